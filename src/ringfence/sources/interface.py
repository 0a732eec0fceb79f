"""What a source is: it turns a project and a config into a deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ringfence.deployment import Deployment
from ringfence.providers.interface import OutputMode

__all__ = ["DEFAULT_TIME_LIMIT", "Request", "Source"]

DEFAULT_TIME_LIMIT = 60.0
"""Seconds that a program may run."""


@dataclass(frozen=True)
class Request:
    """One evaluation: which project, which stack, under what."""

    project: Path
    """The folder that holds Pulumi.yaml."""
    stack: str = "dev"
    config: Mapping[str, str] = field(default_factory=dict)
    """Values over those of Pulumi.<stack>.yaml; keys with or without namespace."""
    leave_out: frozenset[str] = frozenset()
    """Full keys of Pulumi.<stack>.yaml that the program does not get."""
    outputs: OutputMode = "synthetic"
    stack_references: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Outputs of other stacks, by stack name."""
    invokes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Answers to invokes, by token."""
    time_limit: float = DEFAULT_TIME_LIMIT
    recover: bool = True
    """Whether a program that breaks off is repaired and run again, to find what else is wrong with it."""


class Source(Protocol):
    """Gives deployments. A program's own fault is in the deployment's `error`, never raised."""

    def evaluate(self, request: Request) -> Deployment:
        """Evaluate one project under one stack's config."""
        ...
