"""Where a search gets its deployments from: this process, wherever the program runs in it."""

from __future__ import annotations

from pathlib import Path

from ringfence.sources.interface import Request, Source
from ringfence.sources.project import EmbeddedSource
from ringfence.sources.pulumi_yaml import ProjectFile, load_project
from ringfence.sources.stack_config import stack_names

__all__ = ["source_for"]


class _InThisProcess(EmbeddedSource):
    """Runs Python programs here although the project has an environment of its own.

    A process for each of hundreds of configs would take minutes, and the model of the config would be out of reach.
    """

    def _runs_outside(self, project: ProjectFile) -> bool:
        return project.runtime != "python"


def source_for(folder: Path) -> Source:
    """Return a source for a project: this process, unless the program lacks a package here that its own has."""
    project = load_project(folder)
    stacks = stack_names(project) or ["dev"]
    here = _InThisProcess()
    error = here.evaluate(Request(folder, stacks[0], recover=False)).error
    missing = error is not None and "ModuleNotFoundError" in f"{error.message}{error.details}"
    return EmbeddedSource() if missing else here
