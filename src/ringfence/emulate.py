"""Starts emulators, makes on them what a project declares, and runs a command against them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal, TextIO

from ringfence.deployment import Deployment, to_json
from ringfence.emulators.choose import Decision, Wanted, decide, wanted_by
from ringfence.emulators.interface import Backend, EmulatorError
from ringfence.offline import find_command, names_pulumi, run_command, run_offline
from ringfence.providers.aws import ACCOUNT
from ringfence.providers.emulated import EmulatedProvider, EmulatedService, ResourceReport
from ringfence.reports.text import count, place, visible
from ringfence.settings import Settings, load_settings
from ringfence.sources.interface import DEFAULT_TIME_LIMIT, Request
from ringfence.sources.project import EmbeddedSource
from ringfence.sources.pulumi_yaml import ProjectError, find_project_file, load_project
from ringfence.sources.throw_away import DEFAULT_STACK, default_stack

__all__ = ["SERVICES", "EmulateError", "Emulation", "Target", "emulated", "run_emulated", "write_report"]

Engine = Literal["embedded", "pulumi"]
"""Who makes the resources: the embedded engine before the command runs, or the command, which is `pulumi up`."""

OUTPUTS = "RINGFENCE_STACK_OUTPUTS"
"""The environment variable with the outputs of what was made."""

_ENDING = (signal.SIGTERM, signal.SIGHUP)
"""What ends this process at once unless it is told otherwise; Ctrl-C raises an exception by itself."""


class EmulateError(ValueError):
    """The project cannot be evaluated or made on emulators. The message says what is wrong."""


@dataclass(frozen=True)
class Target:
    """A project under one stack's config."""

    project: Path
    stack: str = ""
    """Empty is the stack that a command is about that names none."""
    config: Mapping[str, str] = field(default_factory=dict)
    time_limit: float = DEFAULT_TIME_LIMIT


@dataclass(frozen=True)
class Emulation:
    """Emulators that run, and what was made on them."""

    provider: EmulatedProvider
    services: tuple[EmulatedService, ...]
    decision: Decision
    """What emulators run in that were not set up by the caller, and why."""
    deployment: Deployment | None = None
    """As after an apply: outputs are the emulators' own. None where nothing was made."""

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to reach all of them."""
        return {name: value for service in self.services for name, value in service.environment().items()}

    @property
    def backends(self) -> list[str]:
        """What runs and what it runs in, for the report of a test: `Azurite (process)`."""
        return [f"{service.title} ({backend})" for service in self.services for backend in sorted(service.backends())]

    def resource(self, token: str, name: str = "") -> Mapping[str, Any]:
        """Return the outputs of the one resource of a type, or of the one whose logical name ends so.

        Raises:
            LookupError: there is none, or more than one.
        """
        resources = self.deployment.resources if self.deployment is not None else ()
        found = [item.outputs for item in resources if item.type.endswith(token) and item.name.endswith(name)]
        if len(found) != 1:
            raise LookupError(f"{token} {name}: {len(found)} resources")
        return found[0]


# --- the emulators ---------------------------------------------------------------------------------------------------


def _storage(backend: Backend, keys: bool, settings: Settings) -> EmulatedService:
    from ringfence.emulators.azurite import Azurite
    from ringfence.emulators.docker import DockerAzurite
    from ringfence.providers.emulated.storage import StorageService

    if backend == "docker":
        return StorageService(lambda accounts: DockerAzurite(accounts=accounts, tls=not keys))
    return StorageService(lambda accounts: Azurite(accounts=accounts, tls=not keys))


def _cosmos(backend: Backend, keys: bool, settings: Settings) -> EmulatedService:
    if backend == "docker":
        from ringfence.emulators.docker import DockerCosmos
        from ringfence.providers.emulated.cosmos_official import OfficialCosmosService

        return OfficialCosmosService(DockerCosmos)
    from ringfence.providers.emulated.cosmos import CosmosService

    return CosmosService(keys=keys)


def _service_bus(backend: Backend, keys: bool, settings: Settings) -> EmulatedService:
    if backend == "docker":
        from ringfence.emulators.docker import DockerServiceBus
        from ringfence.providers.emulated.service_bus_official import OfficialServiceBusService

        return OfficialServiceBusService(lambda entities: DockerServiceBus(entities=entities))
    from ringfence.providers.emulated.service_bus import ServiceBusService

    return ServiceBusService()


def _aws(backend: Backend, keys: bool, settings: Settings) -> EmulatedService:
    from ringfence.emulators.aws import Aws
    from ringfence.emulators.docker import DockerAws
    from ringfence.providers.emulated.aws import AwsService

    answer = settings.invokes.get("aws:index/getCallerIdentity:getCallerIdentity", {})
    return AwsService(DockerAws if backend == "docker" else Aws, str(answer.get("accountId") or ACCOUNT))


SERVICES: Mapping[str, Callable[[Backend, bool, Settings], EmulatedService]] = {
    "storage": _storage,
    "cosmos": _cosmos,
    "service-bus": _service_bus,
    "aws": _aws,
}


def _make(name: str | EmulatedService, backend: Backend, keys: bool, settings: Settings) -> EmulatedService:
    if not isinstance(name, str):
        return name
    try:
        return SERVICES[name](backend, keys, settings)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("ringfence"):
            raise
        raise EmulatorError(
            f"the emulator of {name} needs {error.name}: install ringfence[emulators], which brings it"
        ) from None


@contextlib.contextmanager
def emulated(
    target: Target | None,
    services: Sequence[str | EmulatedService] = (),
    *,
    keys: bool = True,
    engine: Engine = "embedded",
    emulators: Wanted | None = None,
) -> Iterator[Emulation]:
    """Run emulators for the length of a block, and make on them what a project declares.

    Args:
        target: the project; None starts empty emulators.
        services: which emulators to start, by name or set up by the caller; those that the project's resources need
            unless given.
        keys: whether connection strings with keys work even where the stack turns them off. Without, Azurite and the
            Cosmos DB fake speak TLS and take tokens, and the fake refuses keys where the account does.
        engine: `pulumi` leaves it to the command to make the resources; the emulators get ready for them.
        emulators: what they run in; what `RINGFENCE_EMULATORS` says unless given. With `auto` the official images run
            where a Docker daemon answers. It means nothing to services that are set up by the caller.

    Raises:
        EmulateError: the project is wrong, or the emulators refuse what it declares.
        EmulatorError: an emulator cannot be started, or Docker is asked for and does not answer.
    """
    settings = load_settings(target.project) if target is not None else Settings()
    decision = decide(emulators or wanted_by())
    named = services or (SERVICES if target is not None else ())
    found = tuple(_make(name, decision.backend, keys, settings) for name in named)
    provider = EmulatedProvider(found, settings.invokes)
    try:
        if target is not None:
            _prepare(provider, target, settings, required=not services)
        wanted = found if services else tuple(service for service in found if provider.is_needed(service))
        deployment = None
        for service in wanted:
            service.start()
        if target is not None and engine == "embedded":
            deployment = _evaluate(target, settings, provider)
            _refuse_failures(provider.report)
        yield Emulation(provider, wanted, decision, deployment)
    finally:
        for service in found:
            service.stop()


def _prepare(provider: EmulatedProvider, target: Target, settings: Settings, *, required: bool) -> None:
    """Find out what the project needs, by evaluating it without emulators."""
    project = load_project(target.project)
    if project.runtime != "python":
        if required:
            raise EmulateError(
                f"{project.path}: runtime: expected python, found {project.runtime!r}; say with --service which "
                "emulators it needs, and let `pulumi up` make what it declares"
            )
        return
    deployment = _evaluate(target, settings, None)
    folder = project.folder / project.main if project.main else project.folder
    provider.prepare(deployment, folder if folder.is_dir() else folder.parent)


def _evaluate(target: Target, settings: Settings, provider: EmulatedProvider | None) -> Deployment:
    request = Request(
        target.project,
        target.stack or default_stack(load_project(target.project)) or DEFAULT_STACK,
        target.config,
        stack_references=settings.stack_references,
        invokes=settings.invokes,
        time_limit=target.time_limit,
        recover=False,
    )
    deployment = EmbeddedSource(provider).evaluate(request)
    if deployment.error is not None:
        where = place(deployment.error.source, Path.cwd())
        raise EmulateError(f"{where}: {deployment.error.message}" if where else deployment.error.message)
    return deployment


def _refuse_failures(report: Sequence[ResourceReport]) -> None:
    failures = [f"{_title(entry)}: {entry.failure}" for entry in report if entry.failure]
    if failures:
        raise EmulateError("\n  ".join(["the emulators refuse what the project declares:", *failures]))


# --- the command -----------------------------------------------------------------------------------------------------


def run_emulated(
    command: Sequence[str],
    target: Target | None,
    services: Sequence[str] = (),
    *,
    keys: bool = True,
    engine: Engine | None = None,
    emulators: Wanted | None = None,
) -> int:
    """Run a command against emulators and return its exit code; 128 + n where signal n ended it.

    Raises `EmulateError` where the emulators or what is to be made on them are at fault, and `CommandError` where
    there is no such command.
    """
    program = find_command(command)
    who: Engine = engine or ("pulumi" if names_pulumi(command) else "embedded")
    with _raising_signals() as check:
        try:
            with emulated(target, services, keys=keys, engine=who, emulators=emulators) as emulation:
                check()
                print(f"ringfence: {_what_runs(emulation)}", file=sys.stderr)
                if who == "pulumi":
                    code = run_offline(command, emulated=emulation.provider, environment=emulation.environment)
                    write_report(emulation.provider.report, sys.stderr)
                else:
                    write_report(emulation.provider.report, sys.stderr)
                    sys.stderr.flush()
                    variables = {**os.environ, **emulation.environment, **_outputs(emulation)}
                    code = run_command([program, *command[1:]], variables)
                _say_what_ended(emulation)
                return code
        except (EmulatorError, ProjectError) as error:
            check()
            raise EmulateError(str(error)) from error
        except EmulateError:
            check()
            raise


def _outputs(emulation: Emulation) -> dict[str, str]:
    """Return the variable with the stack's outputs as JSON; those that are secret are `[secret]`."""
    if emulation.deployment is None:
        return {}
    return {OUTPUTS: json.dumps(to_json(emulation.deployment.outputs))}


def _what_runs(emulation: Emulation) -> str:
    if not emulation.backends:
        return "nothing to emulate"
    return f"{', '.join(emulation.backends)}: {emulation.decision.reason}"


def _say_what_ended(emulation: Emulation) -> None:
    """Tell of emulators that have ended before the command: what it made of that is its exit code."""
    for service in emulation.services:
        try:
            service.check()
        except EmulatorError as error:
            print(f"ringfence: {error}", file=sys.stderr)


@contextlib.contextmanager
def _raising_signals() -> Iterator[Callable[[], None]]:
    """Let signals that would end this process raise `SystemExit`, so that the emulators are stopped.

    Gives a function that raises it again: a program that is evaluated may have taken it for an exception of its own.
    """
    seen: list[int] = []

    def end(number: int, _: FrameType | None) -> None:
        seen.append(number)
        raise SystemExit(128 + number)

    def check() -> None:
        if seen:
            raise SystemExit(128 + seen[0])

    before: dict[signal.Signals, Any] = {}
    with contextlib.suppress(ValueError):  # not on the main thread, where signals do not arrive
        for number in _ENDING:
            before[number] = signal.signal(number, end)
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def find_target(folder: Path | None) -> Path | None:
    """Return the folder of a project: the given one, else that of the current folder, else None.

    Raises `EmulateError` where the given one has no project.
    """
    start = (folder or Path.cwd()).absolute()
    for candidate in (start, *start.parents) if folder is None else (start,):
        if find_project_file(candidate) is not None:
            return candidate
    if folder is not None:
        raise EmulateError(f"{folder}: there is no Pulumi.yaml")
    return None


# --- what is not as declared -----------------------------------------------------------------------------------------


def write_report(report: Sequence[ResourceReport], stream: TextIO) -> None:
    """Write what was made, and a table of all that is not on the emulators as it is declared."""
    made = [entry for entry in report if entry.service and not entry.failure]
    if not report:
        return
    rows = [row for entry in made for row in _rows(entry)]
    rows += [(_title(entry), "", f"FAILED: {entry.failure}") for entry in report if entry.failure]
    deleted = sum(entry.deleted for entry in made)
    since = f", {deleted} of them deleted again" if deleted else ""
    print(f"ringfence: {len(made)} of {count(len(report), 'resource')} made on emulators{since}", file=stream)
    if rows:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table("RESOURCE", "NOT AS DECLARED", "WHY", box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for row in rows:
            table.add_row(*(Text(visible(cell)) for cell in row))
        width = None if stream.isatty() else 120
        Console(file=stream, color_system=None, width=width, soft_wrap=False).print(table)
    others = Counter(_type(entry.type) for entry in report if not entry.service)
    if others:
        kinds = ", ".join(f"{number} {name}" if number > 1 else name for name, number in sorted(others.items()))
        print(f"ringfence: on no emulator, answered offline: {visible(kinds)}", file=stream)


def _rows(entry: ResourceReport) -> Iterator[tuple[str, str, str]]:
    """Yield the rows of one resource: its properties together that have the same reason."""
    by_reason: dict[str, list[str]] = {}
    for gap in entry.gaps:
        text = f"{gap.property}: {gap.declared} → {gap.found}" if gap.found else gap.property or "the whole resource"
        by_reason.setdefault(gap.reason, []).append(text)
    for reason, properties in by_reason.items():
        yield _title(entry), ", ".join(properties), reason


def _title(entry: ResourceReport) -> str:
    return f"{_type(entry.type)} {entry.name}"


def _type(token: str) -> str:
    return token.rpartition(":")[2]
