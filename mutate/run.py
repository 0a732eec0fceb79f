"""Evaluates the reference stacks, makes their mutants and judges each."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from mutate.mutant import REMOVED, Concern, Mutant
from mutate.shapes import shape_mutants
from mutate.table import scalar_mutants
from ringfence.check import find_targets
from ringfence.deployment import Deployment, Resource
from ringfence.policy.evaluate import evaluate
from ringfence.policy.pack import ActiveRule, PackConfig
from ringfence.policy.rule import Rule
from ringfence.policy.tokens import normalise
from ringfence.policy.verdict import Finding, Verdict
from ringfence.settings import load_settings
from ringfence.sources.interface import Request
from ringfence.sources.project import EmbeddedSource
from ringfence_policies import PACK

__all__ = ["Explanation", "Judged", "explanations", "guards", "judge_stack", "mutants_of", "stacks"]

ROOT = Path(__file__).parent.parent
Complaint = tuple[str, str, str]
"""Rule, resource, verdict."""


@dataclass(frozen=True)
class Judged:
    """A mutant and who noticed."""

    stack: str
    mutant: Mutant
    by: tuple[str, ...]
    """Codes of the rules that fail now and did not before; empty for a survivor."""
    guarded: bool
    """Whether some rule says that it looks at what is changed."""


@dataclass(frozen=True)
class Explanation:
    """Why some mutants survive."""

    types: tuple[str, ...]
    changes: tuple[str, ...]
    """Globs over the mutant's type and its change."""
    shown: str
    """The changes, in words."""
    why: str

    def fits(self, mutant: Mutant) -> bool:
        """Whether it is about this mutant."""
        return any(fnmatchcase(mutant.type, glob) for glob in self.types) and any(
            fnmatchcase(mutant.change, glob) for glob in self.changes
        )


def explanations() -> list[Explanation]:
    """Return the known reasons."""
    document = tomllib.loads((ROOT / "mutate" / "survivors.toml").read_text(encoding="utf-8"))
    return [
        Explanation(tuple(entry["types"]), tuple(entry["changes"]), entry["shown"], entry["why"])
        for entry in document["survivor"]
    ]


def stacks(names: Sequence[str] = ()) -> Iterator[Deployment]:
    """Evaluate the reference stacks, those named or all five, as they are for production."""
    for target in find_targets([ROOT / "stacks"], ["prod"]):
        if names and target.path.name not in names:
            continue
        settings = load_settings(target.path)
        deployment = EmbeddedSource().evaluate(
            Request(
                project=target.path,
                stack=target.stack,
                stack_references=settings.stack_references,
                invokes=settings.invokes,
            )
        )
        if deployment.error is not None:
            raise RuntimeError(f"{target.path.name}: {deployment.error.message}")
        yield deployment


def mutants_of(resources: Sequence[Resource], rules: Iterable[Rule] = PACK.rules) -> list[Mutant]:
    """Return the mutants of a stack, each once: those of the table first, then those of the rules' examples."""
    found: dict[tuple[str, str, str], Mutant] = {}
    for resource in resources:
        if resource.external or not resource.custom or resource.type.startswith("pulumi:"):
            continue
        for mutant in (*scalar_mutants(resource), *shape_mutants(resource), *_of_examples(resource, rules)):
            found.setdefault((mutant.urn, repr(mutant.path), repr(mutant.after)), mutant)
    return list(found.values())


def _of_examples(resource: Resource, rules: Iterable[Rule]) -> Iterator[Mutant]:
    """Give the resource what a rule's failing example has and its passing one has not.

    Rules about several resources are left out: their examples mean something as a whole alone.
    """
    for rule in rules:
        if rule.graph or normalise(resource.type) not in rule.types:
            continue
        good: Mapping[str, Any] = rule.good[0].inputs
        for sample in rule.bad:
            if sample.type != normalise(resource.type):
                continue
            for key, value in sample.inputs.items():
                weak = _weakened(resource.inputs.get(key), value, good.get(key))
                if value != good.get(key) and weak != resource.inputs.get(key):
                    yield _example(resource, rule, key, weak)
            for key in good:
                if key not in sample.inputs and key in resource.inputs and rule.absent.startswith("Fails"):
                    yield _example(resource, rule, key, REMOVED)


def _weakened(now: Any, weak: Any, good: Any) -> Any:
    """Return an object with the weak properties over its own, and without those that the passing example has more."""
    if not isinstance(now, Mapping) or not isinstance(weak, Mapping):
        return weak
    missing = set(good) - set(weak) if isinstance(good, Mapping) else set()
    kept = {key: value for key, value in now.items() if key not in missing}
    inner = good if isinstance(good, Mapping) else {}
    return kept | {key: _weakened(now.get(key), value, inner.get(key)) for key, value in weak.items()}


def _example(resource: Resource, rule: Rule, key: str, after: Any) -> Mutant:
    change = f"{key} removed" if after is REMOVED else f"{key} as in the failing example of {rule.code}"
    concern: Concern = "access"
    if rule.code in _DELIVERY:
        concern = "delivery"
    elif rule.code in _BOUNDS or rule.code.startswith("AS"):
        concern = "bounds"
    return Mutant(resource.urn, resource.type, resource.name, (key,), after, concern, change, rule.code)


# Rules that are about cost and reliability; the others are about security.
_BOUNDS = {"WA22", "CI09", "CI11", "ML13", "ML20", "ML22", "ML26", "ML27", "LA11", "DY01", "DY10", "SM17", "GE01"}
_DELIVERY = {"SB13", "SB14", "LA08", "SQ07", "SQ08", "SQ10"}


def guards(rule: Rule, mutant: Mutant) -> bool:
    """Whether a rule says that it looks at what the mutant changes."""
    token = normalise(mutant.type)
    samples = {sample.type for sample in (*rule.bad, *rule.good)}
    if not mutant.path:
        return rule.graph and token in samples and token not in rule.types
    if token not in rule.types and not (rule.graph and token in samples):
        return False
    place = tuple(key for key in mutant.path if isinstance(key, str))
    changed = [place, *(place + more for more in _keys(mutant.after))]
    looked_at = [tuple(text.replace("[]", "").split(".")) for text in _PROPERTY.findall(rule.reads)]
    return any(_meet(one, other) for one in changed for other in looked_at)


_PROPERTY = re.compile(r"[A-Za-z][\w.\[\]]*")


def _keys(value: Any) -> Iterator[tuple[str, ...]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield (key,)
            yield from ((key, *more) for more in _keys(item))


def _meet(changed: tuple[str, ...], looked_at: tuple[str, ...]) -> bool:
    """Whether a change is of the property that is looked at, or of the object that holds it."""
    if changed[-len(looked_at) :] == looked_at:
        return True
    return any(changed[-count:] == looked_at[:count] for count in range(1, len(looked_at)))


def judge_stack(deployment: Deployment) -> Iterator[Judged]:
    """Judge every mutant of a stack by all rules, those of all profiles included."""
    active = PACK.activate(PackConfig(profiles=PACK.profiles))
    before = _complaints(deployment.resources, active)
    for mutant in mutants_of(deployment.resources):
        new = _complaints(mutant.apply(deployment.resources), active) - before
        noticed = sorted({code for code, _, verdict in new if verdict == Verdict.FAIL})
        guarded = bool(noticed) or any(guards(entry.rule, mutant) for entry in active)
        yield Judged(deployment.project, mutant, tuple(noticed), guarded)


def _complaints(resources: Sequence[Resource], active: Sequence[ActiveRule]) -> set[Complaint]:
    findings: list[Finding] = evaluate(resources, active)
    return {(item.code, f"{item.urn} {item.path}", item.verdict) for item in findings if item.verdict is Verdict.FAIL}
