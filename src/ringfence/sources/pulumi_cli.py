"""The real Pulumi CLI as a source: previews a project by the Automation API, with the offline provider attached."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from ringfence.deployment import Deployment, Diagnostic, Problem, ProgramError, SourceLine
from ringfence.engine.frames import is_user_file
from ringfence.providers.interface import InputFault
from ringfence.sources.interface import Request
from ringfence.sources.lent_environment import lent_environment
from ringfence.sources.packages import find_packages
from ringfence.sources.pulumi_yaml import ProjectError, ProjectFile, load_project
from ringfence.sources.stack_config import load_stack_config, split_stack, stack_file, stack_names
from ringfence.sources.throw_away import ThrowAway, throw_away, write_config

__all__ = ["PulumiSource"]

_MISSING = (
    "pulumi: there is no such command on PATH, which --engine pulumi needs: install the Pulumi CLI from "
    "https://www.pulumi.com/docs/iac/download-install/, or leave --engine out"
)
_COLOR = re.compile(r"<\{%.*?%\}>|\x1b\[[0-9;]*m")
_FRAME = re.compile(r'^\s*File "(?P<path>[^"]+)", line (?P<line>\d+)', re.MULTILINE)
_CAUSED = "The above exception was the direct cause of the following exception:"
_WRAPPER = re.compile(r"While processing (?:input|resource): ")
_SEVERITIES = ("info", "warning", "error")
_AFTERWARDS = re.compile(r"resource monitor shut down|^(?:update|preview) failed$|non-zero exit code")
"""What is said in consequence of another error."""


class PulumiSource:
    """Evaluates Pulumi projects in any language by `pulumi preview`, without plugins, cloud or login."""

    def evaluate(self, request: Request) -> Deployment:
        """Evaluate one project under one stack's config. What is wrong with either is in the deployment's `error`."""
        name, folder = request.project.absolute().name, request.project.absolute()
        try:
            if shutil.which("pulumi") is None:
                raise ProjectError(_MISSING)
            project = load_project(request.project)
            name, folder = project.name, project.folder
            return self._evaluate(project, request)
        except ProjectError as error:
            return Deployment(project=name, stack=request.stack, path=folder, error=ProgramError(str(error)))

    def _evaluate(self, project: ProjectFile, request: Request) -> Deployment:
        known = stack_names(project)
        stack = split_stack(request.stack)[1]
        if known and stack not in known:
            raise ProjectError(
                f"{stack_file(project, request.stack)}: there is no such file for stack {request.stack!r}; "
                f"expected one of the stacks {', '.join(known)}"
            )
        config = load_stack_config(project, request.stack, request.config)
        given = os.environ.keys() & {"PULUMI_SKIP_UPDATE_CHECK"}
        with _cleaning_up(), throw_away(given) as place:
            place.add_stack(project.name, stack)
            for reference, outputs in request.stack_references.items():
                parts = reference.split("/")
                if len(parts) == 3 and parts[0] == "organization":
                    place.add_stack(parts[1], parts[2], outputs)
            copy = place.folder / stack_file(project, request.stack).name
            write_config(copy, config, place.environment["PULUMI_CONFIG_PASSPHRASE"])
            preview = _Preview(project, stack, request, place, copy)
            preview.run()
            return preview.deployment(config.notes)


class _Preview:
    """One `pulumi preview`."""

    def __init__(self, project: ProjectFile, stack: str, request: Request, place: ThrowAway, config: Path) -> None:
        self.project, self.stack, self.request, self.place, self.config = project, stack, request, place, config
        self.log = place.folder / "messages.json"
        self.notes: list[str] = []
        self.faults: list[tuple[str, InputFault]] = []
        self.providers: dict[str, str] = {}
        self.diagnostics: list[Diagnostic] = []
        self.printed: list[str] = []
        self.failure = ""

    def run(self) -> None:
        # Imported here: the Automation API and gRPC are for this engine alone.
        from pulumi import automation

        from ringfence.providers.plugin import OfflinePlugin, serve

        plugins = [
            OfflinePlugin(
                package.name,
                package.version,
                mode=self.request.outputs,
                invokes=self.request.invokes,
                root=package.root,
                on_faults=lambda urn, faults: self.faults.extend((urn, fault) for fault in faults),
                on_note=self.notes.append,
            )
            for package in find_packages([self.project.folder, self.project.folder / self.project.main])
        ]
        with serve(plugins) as ports, self._environment():
            environment = {
                **self.place.environment,
                "PULUMI_DEBUG_PROVIDERS": ",".join(f"{name}:{port}" for name, port in ports.items()),
                "PULUMI_DEBUG_GRPC": str(self.log),
                "PULUMI_OPTION_CONFIG_FILE": str(self.config),
            }
            workspace = automation.LocalWorkspace(
                work_dir=str(self.project.folder),
                env_vars=environment,
                pulumi_command=_command(self.request.time_limit),
            )
            try:
                stack = automation.Stack.select(self.stack, workspace)
                stack.preview(color="never", on_event=self._take, suppress_progress=True)
            except subprocess.TimeoutExpired:
                self.failure = f"The Pulumi CLI did not end within {self.request.time_limit:g} s."
            except automation.CommandError as error:
                self.failure = _failure(str(error))
            except RuntimeError as error:  # no summary: the preview ended before it began
                self.failure = str(error)

    def _environment(self) -> contextlib.AbstractContextManager[None]:
        """Lend our Python environment to a project that names one which is not there."""
        if self.project.runtime != "python":
            return contextlib.nullcontext()
        return lent_environment(self.project.path, self.project.options, self.notes.append)

    def _take(self, event: Any) -> None:
        started = event.resource_pre_event
        if started is not None and started.metadata.new is not None:
            self.providers[started.metadata.urn] = started.metadata.new.provider
        said = event.diagnostic_event
        if said is None or said.ephemeral:
            return
        text = _COLOR.sub("", said.message).rstrip()
        # A printed line comes with its own end of line; nothing else tells it from a message of the program's.
        if said.severity == "info#err" or (said.severity == "info" and said.message.endswith("\n\n")):
            self.printed.append(text)
        elif text and said.severity in _SEVERITIES:
            self.diagnostics.append(Diagnostic(said.severity, text, said.urn or None))

    def deployment(self, notes: Sequence[str]) -> Deployment:
        from ringfence.sources.engine_log import read_log

        recorded = read_log(self.log, self.providers, self.stack, self.project.name)
        resources = recorded.resources
        problems = [
            Problem(
                code=fault.code,
                message=fault.message,
                urn=urn,
                path=fault.path,
                expected=fault.expected,
                actual=fault.actual,
                remedy=fault.remedy,
                source=resources[urn].source if urn in resources else None,
            )
            for urn, fault in self.faults
        ]
        ours = [Diagnostic("info", note) for note in (*notes, *self.notes)]
        errors = [item.message for item in self.diagnostics if item.severity == "error"]
        return Deployment(
            project=self.project.name,
            stack=self.stack,
            path=self.project.folder,
            resources=tuple(resources.values()),
            outputs=recorded.outputs,
            diagnostics=(*ours, *(item for item in self.diagnostics if item.severity != "error")),
            problems=tuple(problems),
            printed="\n".join(self.printed),
            error=_error(errors, self.failure) if self.failure else None,
        )


@contextlib.contextmanager
def _cleaning_up() -> Iterator[None]:
    """Let this process, where it is told to end, first take away what it made and end what it started."""

    def end(number: int, _: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    before = {}
    with contextlib.suppress(ValueError):  # not on the main thread, where signals do not arrive
        for number in (signal.SIGTERM, signal.SIGHUP):
            before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _failure(text: str) -> str:
    """Return what a failed command says is wrong, without what it printed before."""
    lines = [line.strip() for line in text.splitlines()]
    named = (line[line.index("error:") :] for line in lines if "error:" in line)
    return next(named, lines[-1] if lines else "pulumi preview failed")


def _error(errors: Sequence[str], failure: str) -> ProgramError:
    """Return why a preview failed; a program's own exception with its line."""
    causes = [text for text in errors if not _AFTERWARDS.search(text)]
    for whole in causes:
        text = _without_wrappers(whole)
        frames = [(item["path"], int(item["line"])) for item in _FRAME.finditer(text)]
        if frames:
            own = [
                SourceLine(path, line) for path, line in frames if is_user_file(path) and "pulumi-language" not in path
            ]
            last = [line.strip() for line in text.splitlines() if line.strip()][-1]
            return ProgramError(last, own[-1] if own else None, whole)
    message = next(iter(causes), failure.removeprefix("error:").strip())
    return ProgramError(message, details="\n".join([*errors, failure]))


def _without_wrappers(text: str) -> str:
    """Return a traceback without the exceptions that the SDK wraps around one while it serialises inputs.

    Their text holds the input's whole value: it is not for messages, since it may be confidential.
    """
    causes = text.split(_CAUSED)
    while len(causes) > 1 and _WRAPPER.search(causes[-1]):
        causes.pop()
    return _CAUSED.join(causes)


def _command(limit: float) -> Any:
    """Return the Automation API's way to run the CLI, with a time limit. Raises `ProjectError`."""
    from pulumi import automation
    from pulumi.automation.errors import create_command_error

    class Command(automation.PulumiCommand):
        """Runs the CLI in a process group of its own, so that nothing of it outlives the limit."""

        def run(
            self,
            args: list[str],
            cwd: str,
            additional_env: Mapping[str, str],
            on_output: Callable[[str], Any] | None = None,
            on_error: Callable[[str], Any] | None = None,
        ) -> Any:
            environment = {**os.environ, **additional_env, "PULUMI_AUTOMATION_API": "true"}
            process = subprocess.Popen(
                [self.command, "--non-interactive", *args],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=cwd,
                env=environment,
                encoding="utf-8",
                start_new_session=True,
            )
            with process:
                try:
                    stdout, stderr = process.communicate(timeout=limit)
                finally:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
            result = automation.CommandResult(stdout=stdout, stderr=stderr, code=process.returncode)
            if process.returncode:
                raise create_command_error(result)
            return result

    try:
        return Command()
    except automation.InvalidVersionError as error:
        raise ProjectError(f"pulumi: {error}") from None
    except (OSError, subprocess.CalledProcessError) as error:
        raise ProjectError(f"pulumi: cannot be run: {error}") from None
