"""Python programs out of process: in the project's own virtual environment, or with `--isolate` in ours."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from ringfence.deployment import ProgramError, SourceLine
from ringfence.engine.frames import is_user_file
from ringfence.engine.languages.interface import (
    LOGGED,
    Ended,
    Launch,
    LaunchError,
    RemoteProgram,
    own_environment,
    plain,
)

__all__ = ["PythonLanguage"]

_PROGRAM = Path(__file__).with_name("python_program.py")
_LIBRARY = re.compile(r"/lib(?:64)?/python3\.\d+/")
_WRAPPED = re.compile(r"While processing (?P<kind>resource|input): '(?P<name>.*?)', type")
_PLAIN = ("RunError", "ConfigMissingError", "Exception")
"""Exceptions whose class says nothing that their text does not say."""


class PythonLanguage:
    """Runtime `python`, out of process."""

    hang_signal = signal.SIGUSR1

    def __init__(self) -> None:
        self._python = sys.executable

    def prepare(self, program: RemoteProgram, scratch: Path) -> None:
        """Choose the interpreter."""
        own = own_environment(program.root_folder, program.options)
        self._python = str(own) if own is not None else sys.executable
        if program.main is None or not program.main.is_file():
            raise LaunchError(f"{program.folder}: expected a Python program, and there is none")

    def launch(self, program: RemoteProgram, address: str, record: Path) -> Launch:
        """Return the command that runs the program."""
        assert program.main is not None
        command = [
            *(self._python, "-u", str(_PROGRAM), address),
            *(program.project, program.stack, program.organization),
            *(str(program.root_folder), str(program.main), str(record)),
        ]
        environment = {
            "PULUMI_CONFIG": json.dumps(dict(program.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(sorted(program.secret_keys)),
            # The SDK compiles to megabytes: without kept bytecode every run would compile it anew.
            "PYTHONDONTWRITEBYTECODE": "",
        }
        return Launch(command, environment)

    def dynamic_provider(self, program: RemoteProgram, address: str) -> Launch | None:
        """Return the SDK's own process for dynamic providers."""
        paths = {"PYTHONPATH": str(program.folder)}
        return Launch([self._python, "-u", "-m", "pulumi.dynamic", address], paths)

    def is_user_file(self, path: str) -> bool:
        """Whether a file is the program's own."""
        return _is_user_file(path)

    def line_of_dump(self, output: str) -> SourceLine | None:
        """Return the user's innermost line in a stack dump of faulthandler, which has the innermost frame first."""
        return _innermost_of_dump(output)

    def explain(self, program: RemoteProgram, ended: Ended) -> ProgramError:
        """Return the exception that ended the program, else how its process ended."""
        try:
            kept = json.loads(ended.record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            kept = None
        if isinstance(kept, dict) and kept.get("chain"):
            return _raised(kept["chain"], str(kept.get("details", "")))
        details = "\n".join([*map(plain, ended.logged), plain(ended.output)])
        source = _innermost_of_dump(ended.output)
        if ended.logged and ended.code >= 0:
            return ProgramError(f"{LOGGED}{plain(ended.logged[0])}", source, details)
        return ProgramError(ended.sentence, source, details)


@lru_cache(maxsize=8192)
def _is_user_file(path: str) -> bool:
    return path != str(_PROGRAM) and not _LIBRARY.search(path) and is_user_file(path)


def _raised(chain: list[dict[str, Any]], details: str) -> ProgramError:
    """Explain an exception. The SDK wraps one while it serialises inputs; its text holds the input's whole value."""
    place = []
    index = 0
    while index + 1 < len(chain) and (found := _WRAPPED.match(chain[index]["message"])):
        place.append(found["name"])
        index += 1
    root = chain[index]
    name, message = str(root["name"]), str(root["message"]).strip()
    source = _innermost(root["frames"]) or next(filter(None, (_innermost(entry["frames"]) for entry in chain)), None)
    if root.get("file") and root.get("line") and _is_user_file(str(root["file"])):
        source = SourceLine(str(root["file"]), int(root["line"]))
    if name == "SystemExit":
        return ProgramError(f"The program ended itself by sys.exit({message}) before it was done.", source, details)
    if root.get("module") == "pulumi":
        message += ". The Pulumi SDK is not installed in the project's virtual environment"
    elif root.get("module") and "." not in str(root["module"]):
        message += ". If the program needs it, install it into the environment that the program runs in"
    text = message if name in _PLAIN and message else f"{name}: {message}" if message else name
    if place and _innermost(root["frames"]) is None:
        text = ": ".join((*place, message))
    return ProgramError(text, source, details)


def _innermost(frames: Iterable[tuple[str, int]]) -> SourceLine | None:
    own = [SourceLine(path, line) for path, line in frames if line and _is_user_file(path)]
    return own[-1] if own else None


def _innermost_of_dump(output: str) -> SourceLine | None:
    """Return the user's innermost line in a stack dump of faulthandler, which has the innermost frame first."""
    for found in re.finditer(r'^  File "(?P<path>[^"]+)", line (?P<line>\d+) in ', output, re.MULTILINE):
        if _is_user_file(found["path"]):
            return SourceLine(found["path"], int(found["line"]))
    return None
