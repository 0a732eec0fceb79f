"""Exemptions: failures that somebody answers for. They stay visible and are counted; they no longer fail the run."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from ringfence.policy.verdict import Finding, Verdict

__all__ = ["Exemption", "apply_exemptions"]


@dataclass(frozen=True, slots=True)
class Exemption:
    """Which failures are accepted, why, by whom and until when."""

    rule: str
    """Code or name of a rule; globs are allowed."""
    resource: str
    """A URN, `type::name`, or a glob of either."""
    reason: str
    owner: str
    expires: datetime.date | None = None
    """The last day on which it holds."""
    path: str = "*"
    """Path of the property that failed, for a single finding of a rule; globs are allowed."""

    @property
    def title(self) -> str:
        """How notes name it."""
        place = self.resource if self.path == "*" else f"{self.path} of {self.resource}"
        return f"The exemption of {self.rule} for {place} ({self.owner})"

    def expired(self, today: datetime.date) -> bool:
        """Whether its last day is over."""
        return self.expires is not None and self.expires < today

    def selects(self, finding: Finding) -> bool:
        """Whether this exemption is about `finding`."""
        if not any(_matches(key.casefold(), self.rule.casefold()) for key in (finding.code, finding.name) if key):
            return False
        if not _matches(finding.path, self.path):
            return False
        return any(_matches(key, self.resource) for key in (finding.urn, f"{finding.type}::{finding.resource}"))


def _matches(text: str, glob: str) -> bool:
    """Whether `text` matches a glob of `*` and `?`. Brackets are those of property paths: `containers[*].image`."""
    return fnmatchcase(text, glob.replace("[", "[[]"))


@dataclass
class Applied:
    """Findings after exemptions, and what to say about the exemptions themselves."""

    findings: list[Finding]
    used: set[Exemption] = field(default_factory=set)
    """The exemptions that select a failure, expired ones among them."""
    notes: list[str] = field(default_factory=list)


def apply_exemptions(findings: Sequence[Finding], exemptions: Sequence[Exemption], today: datetime.date) -> Applied:
    """Return the findings with the exempt failures marked so; notes name the exemptions that expired.

    The first exemption that selects a failure and still holds is the one that counts. Only failures are exempt: what
    is not known cannot be answered for, and a broken rule says nothing.
    """
    applied = Applied([])
    expired: list[Exemption] = []
    for finding in findings:
        result = finding
        if finding.verdict is Verdict.FAIL:
            selecting = [exemption for exemption in exemptions if exemption.selects(finding)]
            holding = [exemption for exemption in selecting if not exemption.expired(today)]
            if holding:
                applied.used.add(holding[0])
                result = _exempt(finding, holding[0])
            else:
                expired += [exemption for exemption in selecting if exemption not in expired]
        applied.findings.append(result)
    applied.notes = [
        f"{exemption.title} expired on {exemption.expires}: what it exempted fails again." for exemption in expired
    ]
    applied.used.update(expired)
    return applied


def _exempt(finding: Finding, exemption: Exemption) -> Finding:
    until = f", until {exemption.expires}" if exemption.expires else ""
    facts = {
        "reason": exemption.reason,
        "owner": exemption.owner,
        "expires": exemption.expires.isoformat() if exemption.expires else None,
    }
    reason = exemption.reason.rstrip(".")
    return replace(
        finding,
        verdict=Verdict.EXEMPT,
        extra={**finding.extra, "exemption": facts},
        message=f"{finding.message} Exempt: {reason} ({exemption.owner}{until}).",
    )
