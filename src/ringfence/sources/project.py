"""The embedded engine as a source: evaluates a Pulumi project in process."""

from __future__ import annotations

from pathlib import Path

from ringfence.deployment import Deployment, ProgramError
from ringfence.sources.interface import Request
from ringfence.sources.pulumi_yaml import ProjectError, ProjectFile, load_project
from ringfence.sources.stack_config import load_stack_config, split_stack, stack_file, stack_names

__all__ = ["EmbeddedSource"]


class EmbeddedSource:
    """Evaluates Pulumi projects written in Python, in this process."""

    def evaluate(self, request: Request) -> Deployment:
        """Evaluate one project under one stack's config. What is wrong with either is in the deployment's `error`."""
        name, folder = request.project.absolute().name, request.project.absolute()
        try:
            project = load_project(request.project)
            name, folder = project.name, project.folder
            return self._evaluate(project, request)
        except ProjectError as error:
            return Deployment(project=name, stack=request.stack, path=folder, error=ProgramError(str(error)))

    def _evaluate(self, project: ProjectFile, request: Request) -> Deployment:
        if project.runtime != "python":
            raise ProjectError(
                f"{project.path}: runtime: expected python, found {project.runtime!r}; only Python programs can be "
                "evaluated"
            )
        organization, stack = split_stack(request.stack)
        known = stack_names(project)
        if known and stack not in known:
            raise ProjectError(
                f"{stack_file(project, request.stack)}: there is no such file for stack {request.stack!r}; "
                f"expected one of the stacks {', '.join(known)}"
            )
        config = load_stack_config(project, request.stack, request.config)
        folder, main = _entry_point(project, request.project.absolute())
        # Imported here: the engine loads the Pulumi SDK, which a command that only reads files does not need.
        from ringfence.engine.host import Program, run_program
        from ringfence.providers.offline import OfflineProvider

        program = Program(
            folder=folder,
            main=main,
            root=project.folder,
            project=project.name,
            stack=stack,
            organization=organization,
            config=config.values,
            secret_keys=config.secret_keys,
            undecrypted=config.undecrypted,
            stack_references=request.stack_references,
            notes=config.notes,
            time_limit=request.time_limit,
            recover=request.recover,
        )
        return run_program(program, OfflineProvider(request.outputs, invokes=request.invokes))


def _entry_point(project: ProjectFile, start: Path) -> tuple[Path, Path]:
    """Return the folder that a program runs in and its file."""
    place = project.folder / project.main if project.main else project.folder
    if start != project.folder and start.is_dir() and not project.main:
        # Called on a folder inside the project that has a program of its own.
        place = start if (start / "__main__.py").is_file() else place
    main = place / "__main__.py" if place.is_dir() else place
    if not main.is_file():
        key = "main" if project.main else "runtime"
        raise ProjectError(f"{project.path}: {key}: expected a Python program at {main}, which does not exist")
    return main.parent, main
