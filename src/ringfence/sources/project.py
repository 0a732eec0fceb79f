"""The embedded engine as a source: evaluates a Pulumi project, Python in process and other languages beside it."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.deployment import Deployment, Diagnostic, ProgramError
from ringfence.sources.interface import Request
from ringfence.sources.pulumi_yaml import ProjectError, ProjectFile, load_project
from ringfence.sources.stack_config import StackConfig, load_stack_config, split_stack, stack_file, stack_names

if TYPE_CHECKING:
    from ringfence.providers.interface import Provider

__all__ = ["EmbeddedSource"]


_RUNTIMES = ("python", "nodejs", "go")


class EmbeddedSource:
    """Evaluates Pulumi projects: those in Python in this process, others in a process of their own.

    `provider` answers for their resources; the offline provider does unless one is given. With `isolate`, Python
    programs run in a process of their own, too; with `in_process` they run here, even where the project has a virtual
    environment of its own. With `type_check` a TypeScript program's types are checked before it runs.
    """

    def __init__(
        self,
        provider: Provider | None = None,
        *,
        isolate: bool = False,
        in_process: bool = False,
        type_check: bool = False,
    ) -> None:
        self._provider = provider
        self._isolate = isolate
        self._in_process = in_process
        self._type_check = type_check
        self.start_next = False
        """For many runs of one project after another: whether the next one's process is started while one runs."""

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
        if project.runtime not in _RUNTIMES:
            raise ProjectError(
                f"{project.path}: runtime: expected one of {', '.join(_RUNTIMES)}, found {project.runtime!r}; programs "
                "of other runtimes need --engine pulumi"
            )
        organization, stack = split_stack(request.stack)
        known = stack_names(project)
        if known and stack not in known:
            raise ProjectError(
                f"{stack_file(project, request.stack)}: there is no such file for stack {request.stack!r}; "
                f"expected one of the stacks {', '.join(known)}"
            )
        config = load_stack_config(project, request.stack, request.config, leave_out=request.leave_out)
        if self.runs_outside(project):
            return self._evaluate_outside(project, request, config)
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
        return run_program(program, self._provider or OfflineProvider(request.outputs, invokes=request.invokes))

    def runs_outside(self, project: ProjectFile) -> bool:
        """Whether a project's program runs in a process of its own."""
        if project.runtime != "python" or self._isolate:
            return True
        if self._in_process:
            return False
        from ringfence.engine.languages.interface import own_environment

        return own_environment(project.folder, project.options) is not None

    def _evaluate_outside(self, project: ProjectFile, request: Request, config: StackConfig) -> Deployment:
        # Imported here: gRPC is for these programs alone.
        from ringfence.engine.remote_host import RemoteProgram, run_remote_program
        from ringfence.providers.foreign import ForeignProvider, import_meanwhile
        from ringfence.sources.head_start import give_head_start, place_of_program

        python = project.runtime == "python"
        place = _entry_point(project, request.project.absolute()) if python else place_of_program(project)
        organization, stack = split_stack(request.stack)
        program = RemoteProgram(
            runtime=project.runtime,
            folder=place[0],
            main=place[1],
            root=project.folder,
            options=project.options,
            project=project.name,
            stack=stack,
            organization=organization,
            config=config.values,
            secret_keys=config.secret_keys,
            stack_references=request.stack_references,
            notes=config.notes,
            time_limit=request.time_limit,
            type_check=self._type_check,
        )
        foreign = ForeignProvider(request.outputs, invokes=request.invokes)

        def meanwhile() -> None:
            import_meanwhile(_required_packages(place[0]))
            if self.start_next:
                give_head_start(project.folder)

        deployment = run_remote_program(program, self._provider or foreign, meanwhile)
        notes = tuple(Diagnostic("info", note) for note in foreign.notes)
        return replace(deployment, diagnostics=(*deployment.diagnostics, *notes))


def _required_packages(folder: Path) -> list[str]:
    """Return the Pulumi packages that a program's manifest names; those that lie elsewhere are met in time."""
    found: set[str] = set()
    for name, pattern in (("package.json", r'"@pulumi/([\w-]+)"'), ("go.mod", r"/pulumi-([\w-]+?)(?:-sdk)?/sdk")):
        with contextlib.suppress(OSError):
            found.update(re.findall(pattern, (folder / name).read_text(encoding="utf-8", errors="replace")))
    return sorted(found - {"pulumi", "policy"})


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
