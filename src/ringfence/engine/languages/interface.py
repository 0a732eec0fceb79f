"""What a language is to the engine: how its programs start, which files are the user's, what their faults mean."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ringfence.deployment import ProgramError, SourceLine

__all__ = [
    "LOGGED",
    "Ended",
    "Language",
    "Launch",
    "LaunchError",
    "RemoteProgram",
    "is_generated_sdk",
    "own_environment",
    "plain",
]

LOGGED = "The program logged an error: "
_COLOR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class RemoteProgram:
    """A program that runs in a process of its own, and what it runs under."""

    runtime: str
    folder: Path
    """Working folder."""
    project: str
    stack: str
    main: Path | None = None
    """The program's file, where the project names one; None for what the runtime takes by itself."""
    root: Path | None = None
    """The folder of Pulumi.yaml, `folder` by default."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """`runtime.options` of Pulumi.yaml."""
    organization: str = "organization"
    config: Mapping[str, str] = field(default_factory=dict)
    """Full key to value."""
    secret_keys: frozenset[str] = frozenset()
    stack_references: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    time_limit: float = 60.0
    """Seconds that the program may run, without what its compiler takes."""
    type_check: bool = False
    """Whether a TypeScript program's types are checked before it runs."""

    @property
    def root_folder(self) -> Path:
        """The folder of Pulumi.yaml."""
        return self.root or self.folder


@dataclass(frozen=True)
class Launch:
    """A command to start."""

    command: Sequence[str]
    environment: Mapping[str, str]
    """Variables over those of this process."""
    standard_input: str = ""
    """What the command reads. A command that reads what it shall run can be started before that is known."""


class LaunchError(Exception):
    """A program cannot be started: something is not installed, or it does not compile."""

    def __init__(self, message: str, source: SourceLine | None = None, details: str = "") -> None:
        super().__init__(message)
        self.source = source
        self.details = details


@dataclass(frozen=True)
class Ended:
    """How a program's process ended."""

    code: int
    """Its exit code, negative for a signal."""
    output: str
    """What it wrote to standard output and standard error."""
    logged: tuple[str, ...]
    """The errors that it logged."""
    record: Path
    """A file that what starts the program may have written to."""

    @property
    def sentence(self) -> str:
        """What to say of a program that ended without a word."""
        how = f"was ended by signal {-self.code}" if self.code < 0 else f"ended itself with exit code {self.code}"
        return f"The program {how} before it was done."


class Language(Protocol):
    """One runtime of programs."""

    hang_signal: signal.Signals
    """The signal by which a program that hangs is asked where it is."""

    def prepare(self, program: RemoteProgram, scratch: Path) -> None:
        """Look for what the program needs and compile it where that is its way. Raises `LaunchError`.

        `scratch` is a folder that goes when the run is over.
        """
        ...

    def launch(self, program: RemoteProgram, address: str, record: Path) -> Launch:
        """Return the command that runs the program against the monitor at `address`."""
        ...

    def dynamic_provider(self, program: RemoteProgram, address: str) -> Launch | None:
        """Return the command that serves the program's dynamic providers, None where the language has none."""
        ...

    def is_user_file(self, path: str) -> bool:
        """Whether a source file is the program's own: no library's, no SDK's."""
        ...

    def line_of_dump(self, output: str) -> SourceLine | None:
        """Return the user's line that a program hangs at; `output` is what it wrote when it was asked."""
        ...

    def explain(self, program: RemoteProgram, ended: Ended) -> ProgramError:
        """Return why a program failed, with the program's own line where that is known."""
        ...


def plain(text: str) -> str:
    """Return a text without colours."""
    return _COLOR.sub("", text)


def own_environment(root: Path, options: Mapping[str, Any]) -> Path | None:
    """Return the interpreter of the virtual environment that a project names, where it is there and is not ours."""
    name = options.get("virtualenv")
    if not isinstance(name, str) or not name:
        return None
    folder = root / name
    interpreter = folder / "bin" / "python"
    if not interpreter.is_file() or folder.resolve() == Path(sys.prefix).resolve():
        return None
    return interpreter


def is_generated_sdk(path: Path, marker: str) -> bool:
    """Whether a file belongs to an SDK that was generated beside the project, by the file that every one has."""
    return any((folder / marker).is_file() for folder in list(path.parents)[:4])
