"""The result of a run, as text for the terminal and as docs/mutation.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mutate.run import Explanation, Judged

__all__ = ["Score", "document", "score", "scores", "unexplained"]


@dataclass(frozen=True)
class Score:
    """How many mutants a rule noticed."""

    killed: int
    total: int

    @property
    def percent(self) -> float:
        """From 0 to 100; 100 where there is nothing to notice."""
        return 100 * self.killed / self.total if self.total else 100.0

    def __str__(self) -> str:
        return f"{self.killed} of {self.total} ({self.percent:.1f} %)"


def score(judged: Iterable[Judged]) -> Score:
    """Return the score of some mutants."""
    given = list(judged)
    return Score(sum(bool(item.by) for item in given), len(given))


def scores(judged: Sequence[Judged]) -> tuple[Score, Score, Score]:
    """Return three scores: guarded security, all of security, bounds and delivery."""
    security = [item for item in judged if item.mutant.security]
    return (
        score(item for item in security if item.guarded),
        score(security),
        score(item for item in judged if not item.mutant.security),
    )


def unexplained(judged: Iterable[Judged], known: Sequence[Explanation]) -> list[Judged]:
    """Return the survivors that nobody has given a reason for."""
    return [item for item in judged if not item.by and not any(entry.fits(item.mutant) for entry in known)]


HEAD = """\
# How strong the rules are

`python3 -m nox -s mutate` takes the five reference stacks as they are for production, which no rule complains about,
breaks one thing of one resource at a time, and asks whether a rule fails that did not before. What is broken comes from
two places: a table of settings of the services that an attacker, an auditor or an outage would profit from, made
without looking at the rules (`mutate/table.py`, `mutate/shapes.py`), and the failing examples of the rules themselves.
The change is made to the evaluated inputs, so that some hundred mutants take seconds. All rules judge, those of the
profiles included.

- **Guarded**: a rule says that it reads the property that is broken. A survivor here is a hole in a rule, unless
  nothing became weaker.
- **All**: the whole table, guarded or not. A survivor here may be a rule that is missing.
- **Bounds and delivery**: limits, scaling and dead letters: about cost and reliability, not security.

This page is written by `python3 -m nox -s mutate -- --write`.

## Killed mutants

| stack | security, guarded | security, all | bounds and delivery |
|---|---|---|---|
"""


def document(by_stack: dict[str, list[Judged]], known: Sequence[Explanation]) -> str:
    """Return the page."""
    every = [item for judged in by_stack.values() for item in judged]
    rows = [f"| {name} | {' | '.join(map(str, scores(judged)))} |" for name, judged in by_stack.items()]
    rows.append(f"| **together** | {' | '.join(map(str, scores(every)))} |")
    parts = [
        HEAD,
        "\n".join(rows),
        "\n\n## Survivors, and why\n\n",
        "| what | changes | stacks | why |\n|---|---|---|---|\n",
    ]
    survivors = [item for item in every if not item.by]
    for entry in known:
        mine = [item for item in survivors if next((e for e in known if e.fits(item.mutant)), None) is entry]
        if mine:
            types = ", ".join(sorted({f"`{item.mutant.type}`" for item in mine}))
            where = ", ".join(sorted({item.stack for item in mine}))
            parts.append(f"| {types} | {entry.shown} ({len(mine)}) | {where} | {entry.why} |\n")
    for item in unexplained(every, known):
        parts.append(f"| `{item.mutant.type}` | {item.mutant.change} | {item.stack} | **not explained** |\n")
    return "".join(parts)
