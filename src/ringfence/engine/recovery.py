"""Error recovery, as compilers have it: a fault is noted, repaired for the length of a run, and the search goes on.

A program that breaks off at its first wrong name hides all that is wrong behind it. It is run again from its start,
each time with one repair more, until it ends, until nothing can be repaired or until the bound is reached. What stays
is the error of the first run, the faults of all runs, and the resources of the last one. The user's files are never
changed.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ringfence.deployment import Deployment, Diagnostic, Problem, ProgramError
from ringfence.engine.repairs import Repair

__all__ = ["Attempt", "recover"]

_LET_PASS = ("PG09", "PG10", "PG11", "PG12", "PG13")
"""Codes of the faults that a program would break off at, were they not repaired."""


@dataclass(frozen=True)
class Attempt:
    """One run of the program."""

    deployment: Deployment
    repair: Repair | None = None
    """How to repair the fault that ended it, where that is known."""


def recover(
    first: Attempt, again: Callable[[Sequence[Repair], float], Attempt], *, deadline: float, most: int
) -> Deployment:
    """Run a program that broke off again and again with what repairs it; return what all runs found.

    `again` runs it with repairs, for at most so many seconds. `deadline` (as `time.monotonic` counts) bounds all runs
    together, `most` the repairs.
    """
    repairs: list[Repair] = []
    found = [first.repair] if first.repair is not None else []
    attempts = [first]
    stopped = ""
    while attempts[-1].repair is not None and not stopped:
        repair = attempts[-1].repair
        seconds = deadline - time.monotonic()
        if repair.target in [item.target for item in repairs]:
            stopped = "The same fault came again: its repair does not work"
        elif len(repairs) == most:
            stopped = f"The bound of {most} repairs is reached"
        elif seconds <= 0:
            stopped = "The time limit is reached"
        else:
            repairs.append(repair)
            attempt = again(tuple(repairs), seconds)
            attempts.append(attempt)
            if attempt.repair is not None:
                found.append(attempt.repair)
    return _joined([attempt.deployment for attempt in attempts], repairs, found, stopped)


def _joined(runs: Sequence[Deployment], repairs: Sequence[Repair], found: Sequence[Repair], stopped: str) -> Deployment:
    first, final = runs[0], runs[-1]
    if not repairs:
        return dataclasses.replace(first, problems=_distinct((*(repair.problem for repair in found), *first.problems)))
    # Side effects of the runs before may have ended one early: without an end, the one that came furthest tells most.
    shown = final if final.ok else max(reversed(runs), key=lambda run: len(run.resources))
    met = _distinct([repair.problem for repair in found])
    let_pass = [problem for run in runs for problem in run.problems if problem.code in _LET_PASS]
    problems = _distinct((*met, *let_pass, *shown.problems))
    passed = len(_distinct((*met, *let_pass))) - len(met)
    notes = [Diagnostic("warning", _evaluated_after(repairs, passed))]
    if final.error is not None:
        notes.append(Diagnostic("warning", _ended(final.error, len(repairs), stopped)))
    return dataclasses.replace(
        shown,
        error=first.error,
        problems=problems,
        diagnostics=(*notes, *shown.diagnostics),
        repairs=len(repairs) + passed,
        repaired=final.error is None,
    )


def _distinct(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Return each fault once. The same one may be met again without its line, where an output's function runs."""
    found: dict[tuple[object, ...], Problem] = {}
    messages = set()
    for problem in problems:
        if problem.source is not None or problem.message not in messages:
            found.setdefault((problem.code, problem.message, problem.source, problem.urn), problem)
        messages.add(problem.message)
    return tuple(found.values())


def _evaluated_after(repairs: Sequence[Repair], passed: int) -> str:
    done = "; ".join(map(_described, repairs))
    further = f"; {passed} further {'fault' if passed == 1 else 'faults'} reported and let pass" if passed else ""
    return f"Evaluated after {_count(len(repairs) + passed)}: {done}{further}. Nothing in the program was changed."


def _count(repairs: int) -> str:
    return "1 repair" if repairs == 1 else f"{repairs} repairs"


def _described(repair: Repair) -> str:
    source = repair.problem.source
    return repair.what + (f" ({Path(source.path).name}:{source.line})" if source is not None else "")


def _ended(error: ProgramError, repairs: int, stopped: str) -> str:
    where = f" ({Path(error.source.path).name}:{error.source.line})" if error.source is not None else ""
    reason = f"{stopped}. " if stopped else ""
    return f"{reason}After {_count(repairs)} the program ended with: {error.message}{where}"
