"""Runs a command, such as `pulumi preview`, with the offline provider attached: no plugin, no cloud, no login."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from ringfence.policy.program import PROGRAM_CHECKS
from ringfence.policy.verdict import Level
from ringfence.providers.emulated import EmulatedProvider
from ringfence.providers.interface import OutputMode
from ringfence.providers.plugin import OfflinePlugin, serve
from ringfence.settings import Settings, load_settings
from ringfence.sources.lent_environment import lent_environment
from ringfence.sources.packages import find_packages
from ringfence.sources.pulumi_yaml import ProjectError, ProjectFile, find_project_file, load_project, load_runtime
from ringfence.sources.stack_config import stack_file, stack_names
from ringfence.sources.throw_away import DEFAULT_STACK, ThrowAway, default_stack, throw_away

__all__ = ["CommandError", "find_command", "names_pulumi", "run_command", "run_offline"]

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_ENDING = (signal.SIGTERM, signal.SIGHUP)
_GRACE = 5.0
"""Seconds that a command has to end by itself once it was told to: Pulumi finishes what it is at, if it can."""
_PATIENCE = 2.0
"""Seconds that processes left behind have to end before they are killed."""
_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER of linux/prctl.h: orphans below this process become its children."""


class CommandError(ValueError):
    """The command cannot be run."""


def run_offline(
    command: Sequence[str],
    outputs: OutputMode = "synthetic",
    *,
    emulated: EmulatedProvider | None = None,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Run a command with the offline provider attached and return its exit code; 128 + n where signal n ended it.

    What is applied is made by `emulated`, where one is given. `environment` is what the command gets besides.

    Raises `CommandError` where there is no such command, and what the project and its settings say wrong.
    """
    program = find_command(command)
    call = _read(command)
    settings = load_settings(call.folder)
    plugins = [
        OfflinePlugin(
            package.name,
            package.version,
            mode=outputs,
            invokes=settings.invokes,
            root=package.root,
            tolerated=_codes(settings, Level.ADVISORY),
            silenced=_codes(settings, Level.DISABLED),
            emulated=emulated,
        )
        for package in find_packages(_folders(call))
    ]
    with (
        throw_away() as place,
        serve(plugins) as ports,
        _kept(_stack_files(call, place)),
        _environments(call, place.notes.append),
    ):
        variables = {**os.environ, **(environment or {}), **place.environment, **_prepare(call, place, settings)}
        variables["PULUMI_DEBUG_PROVIDERS"] = _attached(ports, os.environ.get("PULUMI_DEBUG_PROVIDERS", ""))
        for note in place.notes:
            print(f"ringfence: {note}", file=sys.stderr)
        return run_command([program, *command[1:]], variables)


def find_command(command: Sequence[str]) -> str:
    """Return the path of a command. Raises `CommandError` where there is none."""
    program = shutil.which(command[0])
    if program is None:
        how = ": install it from https://www.pulumi.com/docs/iac/download-install/" if command[0] == "pulumi" else ""
        raise CommandError(f"{command[0]}: there is no such command{how}")
    return program


def names_pulumi(command: Sequence[str]) -> bool:
    """Whether a command is the Pulumi CLI itself, and not one that may call it."""
    return Path(command[0]).name in ("pulumi", "pulumi.exe")


def _codes(settings: Settings, level: Level) -> frozenset[str]:
    """Return the codes of the faults that the project's settings give a level."""
    given = {key: entry.level for key, entry in settings.rules.items()}
    return frozenset(check.code for check in PROGRAM_CHECKS if level in (given.get(check.code), given.get(check.name)))


# --- what the command is about ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Call:
    """What a command line says about the project and the stack."""

    folder: Path
    stack: str = ""
    """The stack that a Pulumi command names; empty where it names none."""
    pulumi: bool = False
    """Whether the command is the Pulumi CLI itself, and not one that may call it."""
    preview: bool = False
    install: bool = False
    """Whether it is `pulumi install`, which fills environments."""
    packs: tuple[Path, ...] = ()
    """The folders of the policy packs that a Pulumi command names."""
    projects: tuple[ProjectFile, ...] = field(default=())


def _read(command: Sequence[str]) -> _Call:
    """Read a command line as the Pulumi CLI would; of another command only the current folder counts."""
    pulumi = names_pulumi(command)
    words = list(command[1:]) if pulumi else []
    folder = Path(_option(words, "-C", "--cwd") or ".")
    here = [folder] if _inside_project(folder) else _projects_below(folder)
    projects = []
    for path in here if folder.is_dir() else []:
        with contextlib.suppress(ProjectError):  # the CLI will say so, if it is about this project
            projects.append(load_project(path))
    stack = _option(words, "-s", "--stack") or os.environ.get("PULUMI_STACK", "")
    packs = tuple(folder / pack for pack in _options(words, "--policy-pack"))
    first = set(words[:4])
    return _Call(folder, stack, pulumi, bool({"preview", "pre"} & first), "install" in first, packs, tuple(projects))


def _projects_below(folder: Path) -> list[Path]:
    """Return the projects at most three folders down: a command may enter one, and a whole disk is not searched."""
    levels = ("*", "*/*", "*/*/*")
    return sorted({path.parent for level in levels for path in folder.glob(f"{level}/Pulumi.y*ml")})


def _inside_project(folder: Path) -> bool:
    absolute = folder.absolute()
    return any(find_project_file(place) is not None for place in (absolute, *absolute.parents))


def _option(words: Sequence[str], *names: str) -> str:
    """Return the value of an option, the last one where it is repeated."""
    return next(reversed(_options(words, *names)), "")


def _options(words: Sequence[str], *names: str) -> list[str]:
    """Return the values of an option that may be repeated."""
    values = []
    for index, word in enumerate(words):
        name, equals, given = word.partition("=")
        if word == "--":
            break
        if name in names:
            values.append(given if equals else next(iter(words[index + 1 :]), ""))
    return values


def _folders(call: _Call) -> list[Path]:
    places = [place for project in call.projects for place in (project.folder, project.folder / project.main)]
    return list(dict.fromkeys([call.folder, *places]))


@contextlib.contextmanager
def _environments(call: _Call, note: Callable[[str], None]) -> Iterator[None]:
    """Lend our Python environment to the project and the packs that name one which is not there."""
    files = [(item.path, item.runtime, item.options) for item in call.projects] if len(call.projects) == 1 else []
    for pack in call.packs:
        manifest = pack / "PulumiPolicy.yaml"
        with contextlib.suppress(ProjectError):  # the CLI will say so
            files.append((manifest, *load_runtime(manifest)))
    with contextlib.ExitStack() as lent:
        for path, runtime, options in files:
            if runtime == "python" and not call.install:
                lent.enter_context(lent_environment(path, options, note))
        yield


def _stack_files(call: _Call, place: ThrowAway) -> list[Path]:
    """Return the config files that the command must not change: a backend of the user's own has its config here."""
    if not place.own_backend:
        return []
    return [stack_file(item, stack) for item in call.projects for stack in {*stack_names(item), DEFAULT_STACK}]


def _prepare(call: _Call, place: ThrowAway, settings: Settings) -> dict[str, str]:
    """Make the stacks that the command may be about, and return what to set for the one that it is about."""
    for project in call.projects:
        for name in dict.fromkeys([*stack_names(project), default_stack(project), call.stack]):
            if name:
                place.add_stack(project.name, name)
    for reference, outputs in settings.stack_references.items():
        parts = reference.split("/")
        if len(parts) == 3 and parts[0] == "organization":
            place.add_stack(parts[1], parts[2], outputs)
    if len(call.projects) != 1 or not place.own_backend:
        return {}
    project = call.projects[0]
    stack = call.stack or default_stack(project)
    found: dict[str, str] = {}
    if stack and not call.stack:
        found["PULUMI_STACK"] = stack
    if stack and call.pulumi and "PULUMI_OPTION_CONFIG_FILE" not in os.environ:
        found["PULUMI_OPTION_CONFIG_FILE"] = str(place.copy_config(project, stack, preview=call.preview))
    return found


def _attached(ports: Mapping[str, int], given: str) -> str:
    """Return the value of PULUMI_DEBUG_PROVIDERS; the providers that the user attached stay."""
    own = {entry.partition(":")[0] for entry in given.split(",") if entry}
    ours = [f"{name}:{port}" for name, port in ports.items() if name not in own]
    return ",".join([*filter(None, [given]), *ours])


# --- running ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _kept(files: Sequence[Path]) -> Iterator[None]:
    """Leave files as they were: the CLI writes a new stack's salt into its config file."""
    before = {path: path.read_bytes() if path.is_file() else None for path in files}
    try:
        yield
    finally:
        for path, content in before.items():
            if content is None:
                path.unlink(missing_ok=True)
            elif not path.is_file() or path.read_bytes() != content:
                path.write_bytes(content)


def run_command(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command, hand signals on to it, and end what it has left running.

    A command that does not end after SIGTERM or SIGHUP is killed, and what it started is ended with it.

    Returns its exit code; 128 + n where signal n ended it. Raises `CommandError` where it cannot be run.
    """
    with _adopting_orphans() as end_orphans, _Forwarder() as forwarder:
        try:
            child = subprocess.Popen(command, env=environment)
        except OSError as error:
            raise CommandError(f"{command[0]}: cannot be run: {error.strerror}") from None
        forwarder.take(child)
        try:
            code = child.wait()
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
            end_orphans()
    return 128 - code if code < 0 else code


class _Forwarder:
    """Passes signals on to the child for the length of a block, and kills a child that does not end."""

    def __init__(self) -> None:
        self.child: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []
        self._last: threading.Timer | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> _Forwarder:
        with contextlib.suppress(ValueError):  # not on the main thread, where signals do not arrive
            for number in _FORWARDED:
                self._before[number] = signal.signal(number, self._forward)
        return self

    def __exit__(self, *_: object) -> None:
        if self._last is not None:
            self._last.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def take(self, child: subprocess.Popen[bytes]) -> None:
        """Pass signals on to `child`; those first that came before there was one."""
        self.child = child
        for number in self._early:
            self._forward(number, None)

    def _forward(self, number: int, _: FrameType | None) -> None:
        if self.child is None:
            self._early.append(number)
            return
        # A terminal's Ctrl-C reaches the child by itself; twice would make Pulumi break off at once.
        by_terminal = number in (signal.SIGINT, signal.SIGQUIT) and _in_foreground()
        if self.child.poll() is None and not by_terminal:
            self.child.send_signal(number)
        if number in _ENDING and self._last is None:
            # Pulumi cancels at this signal, and may wait for ever for what it has started itself.
            self._last = threading.Timer(_GRACE, self._kill, [self.child, number])
            self._last.daemon = True
            self._last.start()

    @staticmethod
    def _kill(child: subprocess.Popen[bytes], number: int) -> None:
        if child.poll() is None:
            name = signal.Signals(number).name
            print(f"ringfence: the command did not end within {_GRACE:g} s of {name}: it is killed.", file=sys.stderr)
            child.kill()


def _in_foreground() -> bool:
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


@contextlib.contextmanager
def _adopting_orphans() -> Iterator[Any]:
    """Give a function that ends what a command has left running. Only Linux can tell; elsewhere it does nothing."""
    if sys.platform != "linux":
        yield lambda: None
        return
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    before = _children()
    prctl(_SUBREAPER, 1, 0, 0, 0)
    try:
        yield lambda: _end(_children() - before)
    finally:
        prctl(_SUBREAPER, 0, 0, 0, 0)


def _children() -> set[int]:
    """Return the ids of this process's children, by whichever thread they were started."""
    found: set[int] = set()
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found.update(map(int, path.read_text(encoding="ascii").split()))
    return found


def _end(processes: set[int]) -> None:
    """End processes and those that they leave to us: first politely."""
    before = _children() - processes
    deadline = time.monotonic() + _PATIENCE
    told: set[int] = set()
    while processes:
        late = time.monotonic() > deadline
        for process in processes:
            if late or process not in told:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL if late else signal.SIGTERM)
                told.add(process)
        for process in processes:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process, os.WNOHANG)
        processes = _children() - before
        if processes:
            time.sleep(0.01)
