"""What judges a deployment: a policy pack of any language, in this process or in one of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ringfence.deployment import Deployment, Resource
from ringfence.policy.remediated import Remediated
from ringfence.policy.verdict import Finding

__all__ = ["Judged", "JudgingPack", "judge"]


class JudgingPack(Protocol):
    """A loaded pack."""

    name: str
    notes: tuple[str, ...]
    """What of it works differently here than a reader may expect."""

    @property
    def policy_names(self) -> tuple[str, ...]:
        """The names of all its policies, in its order."""
        ...

    @property
    def stack_policies(self) -> frozenset[str]:
        """The names of the policies that judge the stack as a whole."""
        ...

    @property
    def remediates(self) -> bool:
        """Whether any of its policies runs at level `remediate`."""
        ...

    def remediate(self, resource: Resource, provider: Resource | None) -> Remediated:
        """Return a resource as the pack's remediations leave it. Raises `PackError`."""
        ...

    def evaluate(self, deployment: Deployment) -> list[Finding]:
        """Return the pack's findings. Raises `PackError` where it cannot go on."""
        ...


@dataclass(frozen=True)
class Judged:
    """A deployment as packs leave it, and what they find."""

    deployment: Deployment
    findings: Sequence[Finding]
    notes: Sequence[str]


def judge(deployment: Deployment, packs: Sequence[JudgingPack]) -> Judged:
    """Let packs change the resources, and then judge them.

    As under the engine: each pack in its turn changes what the one before it left, and all of them judge the result.
    Raises `PackError`.
    """
    changed, early, notes = _remediated(deployment, [pack for pack in packs if pack.remediates])
    findings = []
    for pack in packs:
        found = pack.evaluate(changed)
        told = {(item.name, item.urn, item.verdict) for item in found}
        # What a remediation could not decide, its validation mostly cannot either, and says so itself.
        mine = [item for item in early if item.pack == pack.name]
        findings += [item for item in mine if (item.name, item.urn, item.verdict) not in told] + found
    return Judged(changed, findings, [*notes, *(note for pack in packs for note in pack.notes)])


def _remediated(deployment: Deployment, packs: Sequence[JudgingPack]) -> tuple[Deployment, list[Finding], list[str]]:
    if not packs:
        return deployment, [], []
    by_urn = dict(deployment.by_urn)
    findings: list[Finding] = []
    notes: list[str] = []
    for urn in by_urn:
        if by_urn[urn].external:
            continue
        for pack in packs:
            resource = by_urn[urn]
            result = pack.remediate(resource, by_urn.get(resource.provider or ""))
            by_urn[urn] = result.resource
            findings += result.findings
            notes += result.notes
    return replace(deployment, resources=tuple(by_urn[item.urn] for item in deployment.resources)), findings, notes
