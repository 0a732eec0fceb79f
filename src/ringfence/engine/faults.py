"""What to tell the user about an exception that ended a program: one message, and the line that it comes from."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

from ringfence.deployment import ProgramError, SourceLine
from ringfence.engine._pulumi_sdk import Hooks
from ringfence.engine.frames import is_user_file, source_of_exception
from ringfence.engine.monitor import EngineRefusalError
from ringfence.engine.time_limit import TimeLimitExceeded

__all__ = ["explain", "unwrap"]

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
"""Addresses differ from run to run; the message must not."""
_RESOURCE = re.compile(r"While processing resource: '(?P<name>.*?)', type")
_INPUT = re.compile(r"While processing input: '(?P<name>.*?)', type")
_PLAIN = ("RunError", "ConfigMissingError", "Exception")
"""Exceptions whose class says nothing that their text does not say."""


def explain(error: BaseException, hooks: Hooks, *, limit: float, main: Path | None) -> ProgramError:
    """Return what the user is told. `limit` is the time limit in seconds, `main` the program's file."""
    details = "".join(traceback.format_exception(error))
    if isinstance(error, TimeLimitExceeded):
        return ProgramError(
            f"The program did not end within {limit:g} s. It hangs in a loop or waits for something that never comes.",
            error.source or source_of_exception(error),
            details,
        )
    root, place = unwrap(error)
    source = _source(root, hooks) or _source(error, hooks)
    if source is None and isinstance(root, SyntaxError) and main is not None:
        source = SourceLine(str(main), root.lineno or 1)
    text = _message(root)
    if place and source_of_exception(root) is None:
        # The SDK refused a value. (What the user's own code raised needs no such preface.)
        text = ": ".join((*place, str(root).strip()))
    return ProgramError(_ADDRESS.sub("", text), source, details)


def unwrap(error: BaseException) -> tuple[BaseException, tuple[str, ...]]:
    """Return the cause that the SDK wraps while it serialises inputs, and the names of the resource and the input.

    The SDK's own text holds the input's whole value: it is not for messages, since it may be confidential.
    """
    place: list[str] = []
    while error.__cause__ is not None:
        text = str(error)
        found = _RESOURCE.match(text) or _INPUT.match(text)
        if found is None:
            break
        place.append(found["name"])
        error = error.__cause__
    return error, tuple(place)


def _source(error: BaseException, hooks: Hooks) -> SourceLine | None:
    if isinstance(error, EngineRefusalError) and error.source is not None:
        return error.source
    return source_of_exception(error) or hooks.source_of_failure(error)


def _message(error: BaseException) -> str:
    if isinstance(error, EngineRefusalError):
        return str(error)
    if isinstance(error, SystemExit):
        code = "" if error.code is None else repr(error.code)
        return f"The program ended itself by sys.exit({code}) before it was done."
    if isinstance(error, SyntaxError):
        where = "" if not error.filename or is_user_file(error.filename) else f" in {error.filename}"
        return f"{type(error).__name__}: {error.msg}{where}"
    text = str(error).strip()
    name = type(error).__name__
    if isinstance(error, ImportError) and error.path:
        # Where a library is installed differs from machine to machine, and the report must not.
        text = text.removesuffix(f" ({error.path})")
    if isinstance(error, ModuleNotFoundError) and error.name and "." not in error.name:
        text += ". If the program needs it, install it into the environment that ringfence runs in"
    if name in _PLAIN and text:
        return text
    return f"{name}: {text}" if text else name
