"""What reporters are given: the results of a run, and the events of a run under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ringfence.deployment import Deployment
from ringfence.policy.rule import Rule
from ringfence.policy.verdict import Finding

__all__ = ["Event", "Reporter", "Result", "Run", "TargetJudged", "TargetStarted"]


@dataclass(frozen=True)
class Result:
    """One project under one stack: its deployment and what was found in it."""

    deployment: Deployment
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Run:
    """A whole run, as reporters get it."""

    results: Sequence[Result]
    base: Path
    """Folder that paths in reports are relative to: the current folder."""
    rules: Sequence[Rule] = ()
    """The rules that judged, for reports that carry help texts."""
    all_verdicts: bool = False
    """Whether to show passes and not-applicable verdicts too."""
    strict_unknowns: bool = False
    with_findings: bool = True
    """False for `ringfence preview`, which only shows resources."""


@dataclass(frozen=True)
class TargetStarted:
    """A project is about to be evaluated under a stack's config."""

    path: Path
    stack: str
    number: int
    total: int


@dataclass(frozen=True)
class TargetJudged:
    """A project was evaluated and judged."""

    result: Result


Event = TargetStarted | TargetJudged
"""What happens during a run; progress displays consume these, the results are collected from them."""


class Reporter(Protocol):
    """Writes a run for a reader. Pure: the same run gives the same text."""

    def render(self, run: Run) -> str:
        """Return the whole report."""
        ...
