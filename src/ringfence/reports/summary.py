"""How many verdicts a run gave, and in which order findings concern a reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ringfence.policy.verdict import Finding, Level, Verdict
from ringfence.reports.interface import Result, Run

__all__ = ["REPORTED", "Summary", "blocks", "priority", "shown", "summarise"]

REPORTED = (Verdict.FAIL, Verdict.ERROR, Verdict.UNKNOWN, Verdict.EXEMPT)
"""The verdicts that every report shows; passes and not-applicable only under `--all-verdicts`."""

_ORDER = (
    Verdict.ERROR,
    Verdict.FAIL,
    Verdict.UNKNOWN,
    Verdict.EXEMPT,
    Verdict.NOT_APPLICABLE,
    Verdict.PASS,
)
_LEVELS = (Level.MANDATORY, Level.ADVISORY, Level.DISABLED)


@dataclass(frozen=True)
class Summary:
    """Counts over a run, or over one deployment of it. They count every verdict, whatever the report shows."""

    deployments: int
    failed: int
    """Programs that could not be evaluated to their end."""
    resources: int
    verdicts: Counter[tuple[Verdict, Level]]
    blocking: int
    """Findings that make the run fail."""

    def of(self, verdict: Verdict, level: Level | None = None) -> int:
        """Return how many findings have `verdict`, at `level` or at any."""
        levels = _LEVELS if level is None else (level,)
        return sum(self.verdicts[verdict, item] for item in levels)

    def as_json(self) -> dict[str, Any]:
        """Return the summary as JSON reports hold it: by verdict, then by level."""
        document: dict[str, Any] = {
            verdict.value: {level.value: self.of(verdict, level) for level in (Level.MANDATORY, Level.ADVISORY)}
            for verdict in Verdict
        }
        document["deployments"] = {"ok": self.deployments - self.failed, "failed": self.failed}
        document["resources"] = self.resources
        document["blocking"] = self.blocking
        return document


def blocks(finding: Finding, *, strict_unknowns: bool) -> bool:
    """Whether `finding` makes a run fail, with undecided mandatory rules counted under `--strict-unknowns`."""
    undecided = finding.verdict is Verdict.UNKNOWN and finding.level is Level.MANDATORY
    return finding.blocks or (strict_unknowns and undecided)


def summarise(results: Iterable[Result], *, strict_unknowns: bool = False) -> Summary:
    """Count the verdicts of `results`."""
    results = list(results)
    findings = [finding for result in results for finding in result.findings]
    return Summary(
        deployments=len(results),
        failed=sum(not result.deployment.ok for result in results),
        resources=sum(len(result.deployment.resources) for result in results),
        verdicts=Counter((finding.verdict, finding.level) for finding in findings),
        blocking=sum(blocks(finding, strict_unknowns=strict_unknowns) for finding in findings),
    )


def shown(run: Run, findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that the run's reader asked for, in their order."""
    return [finding for finding in findings if run.all_verdicts or finding.verdict in REPORTED]


def priority(finding: Finding) -> tuple[Any, ...]:
    """Return a sort key: what failed first, then the worst, then mandatory ones, then by place."""
    source = finding.source
    return (
        # A broken rule is as urgent as a failed one and stands among them.
        max(_ORDER.index(finding.verdict), _ORDER.index(Verdict.FAIL)),
        -finding.severity.rank,
        _LEVELS.index(finding.level),
        (source.path, source.line) if source else ("", 0),
        finding.code,
        finding.urn,
        finding.path,
        finding.message,
    )
