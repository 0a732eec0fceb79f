"""Where a search gets its deployments from: this process, wherever the program runs in it."""

from __future__ import annotations

from pathlib import Path

from ringfence.sources.interface import Request
from ringfence.sources.project import EmbeddedSource
from ringfence.sources.pulumi_yaml import load_project
from ringfence.sources.stack_config import stack_names

__all__ = ["source_for"]


def source_for(folder: Path) -> EmbeddedSource:
    """Return a source for a project: this process, unless the program lacks a package here that its own has.

    A process for each of hundreds of configs would take minutes, and the model of the config would be out of reach.
    """
    project = load_project(folder)
    here = EmbeddedSource(in_process=True)
    if here.runs_outside(project):
        return here
    stacks = stack_names(project) or ["dev"]
    error = here.evaluate(Request(folder, stacks[0], recover=False)).error
    missing = error is not None and "ModuleNotFoundError" in f"{error.message}{error.details}"
    return EmbeddedSource() if missing else here
