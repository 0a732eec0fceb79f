"""Which line of the user's program a request comes from: sorts its frames, which SDKs send unsorted."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from pulumi.runtime.proto import source_pb2

__all__ = ["keep_user_frames"]

_DEPTH = 32
"""Frames kept of a chain of callers."""


def keep_user_frames(request: Any, is_user_file: Callable[[str], bool]) -> None:
    """Leave only the user's frames in a registration or a read, innermost first, and set its position to the first.

    A call of the base class in the constructor of a subclass says nothing: who calls the constructor comes first.
    """
    own = []
    for frame in request.stackTrace.frames:
        if is_user_file(_path(frame.pc.uri)):
            own.append(source_pb2.StackFrame(pc=frame.pc))
            if len(own) == _DEPTH:
                break
    while len(own) > 1 and _calls_base_class(own[0].pc):
        del own[0]
    del request.stackTrace.frames[:]
    request.stackTrace.frames.extend(own)
    if own:
        request.sourcePosition.CopyFrom(own[0].pc)
    elif not is_user_file(_path(request.sourcePosition.uri)):
        request.ClearField("sourcePosition")


@lru_cache(maxsize=8192)
def _path(uri: str) -> str:
    return unquote(urlparse(uri).path) if uri.startswith("file:") else uri


def _calls_base_class(position: source_pb2.SourcePosition) -> bool:
    lines = _lines(_path(position.uri))
    if not 0 < position.line <= len(lines):
        return False
    line = lines[position.line - 1]
    return line[max(position.column - 1, 0) :].lstrip().startswith(("super(", "super()."))


@lru_cache(maxsize=64)
def _lines(path: str) -> tuple[str, ...]:
    try:
        return tuple(Path(path).read_text(encoding="utf-8", errors="replace").split("\n"))
    except OSError:
        return ()
