"""Verdicts, and the findings that carry them to a reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ringfence.deployment import SourceLine

__all__ = ["NO_FACTS", "Finding", "Level", "Outcome", "Severity", "Verdict"]


class Verdict(StrEnum):
    """What a rule says of a resource."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"
    """It cannot be decided from what is known."""
    NOT_APPLICABLE = "not-applicable"
    ERROR = "error"
    """The rule itself broke."""
    EXEMPT = "exempt"
    """It fails, and an exemption says why that is accepted."""


class Level(StrEnum):
    """CrossGuard's enforcement level."""

    ADVISORY = "advisory"
    MANDATORY = "mandatory"
    DISABLED = "disabled"


class Severity(StrEnum):
    """How bad a failure is, as CrossGuard grades it."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for low to 3 for critical."""
        return list(Severity).index(self)


NO_FACTS: Mapping[str, Any] = {}
"""What nearly all findings have in `extra`: one object for all, as there are so many."""

# Outcomes and findings are made by the ten thousand. A frozen dataclass takes three times as long to make, so these two
# are not frozen; nothing changes one, `dataclasses.replace` makes another.


@dataclass(unsafe_hash=True, slots=True)
class Outcome:
    """What one check within a rule found. A rule may give several; see `ringfence.policy.checks`."""

    verdict: Verdict
    path: str = ""
    """Path of the property that decided, for example `containers[1].image`."""
    message: str = ""
    expected: str = ""
    actual: str = ""
    """What was found, already free of secrets."""


@dataclass(unsafe_hash=True, slots=True)
class Finding:
    """One verdict of one rule on one resource."""

    code: str
    name: str
    verdict: Verdict
    level: Level
    severity: Severity
    message: str
    urn: str = ""
    """Empty where the finding is about the whole stack or the program."""
    type: str = ""
    resource: str = ""
    """Name of the resource."""
    path: str = ""
    """Path of the property that decided, for example `containers[1].image`."""
    expected: str = ""
    actual: str = ""
    remedy: str = ""
    source: SourceLine | None = None
    source_chain: tuple[SourceLine, ...] = ()
    pack: str = ""
    """Name of the policy pack."""
    url: str = ""
    extra: Mapping[str, Any] = field(default_factory=lambda: NO_FACTS, compare=False)
    """Facts that only some reporters show."""

    @property
    def blocks(self) -> bool:
        """Whether this finding alone makes the run fail: a mandatory rule that fails or that broke."""
        return self.level is Level.MANDATORY and self.verdict in (Verdict.FAIL, Verdict.ERROR)
