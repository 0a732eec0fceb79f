"""Which line of the user's program did it: sorts the user's stack frames from those of SDKs and libraries."""

from __future__ import annotations

import site
import sysconfig
from functools import lru_cache
from pathlib import Path
from types import FrameType, TracebackType

from ringfence.deployment import SourceLine

__all__ = ["chain_of_frames", "is_host", "is_library_file", "is_user_file", "line_of_waiting", "source_of_exception"]

_HOST = str(Path(__file__).with_name("host.py"))
"""Where a program is started: frames further out belong to whoever started the rehearsal."""
_DEPTH = 32
"""Frames kept of a chain of callers."""


def _library_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = {paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders.update(site.getsitepackages())
    folders.add(site.getusersitepackages())
    # The program under rehearsal may itself live below a library folder's parent, never below these.
    folders.add(str(Path(__file__).resolve().parent.parent))
    resolved = {str(Path(folder).resolve()) for folder in folders} | folders
    return tuple(folder + "/" for folder in sorted(resolved))


_LIBRARIES = _library_folders()
_LIBRARY_MARKS = ("/site-packages/", "/dist-packages/")


def is_library_file(filename: str) -> bool:
    """Whether a file belongs to Python, to an installed package or to ringfence."""
    return filename.startswith(_LIBRARIES) or any(mark in filename for mark in _LIBRARY_MARKS)


def is_host(frame: FrameType) -> bool:
    """Whether a frame is where the program was started: those further out are none of its own."""
    return frame.f_code.co_filename == _HOST


@lru_cache(maxsize=8192)
def is_user_file(filename: str) -> bool:
    """Whether a code object's file is the user's: no library, no SDK (generated ones too), nothing frozen."""
    if not filename or filename.startswith("<") or is_library_file(filename):
        return False
    # An SDK generated beside the project (`pulumi package add`) is recognised by the file every generated SDK has.
    path = Path(filename)
    return not any((folder / "pulumi-plugin.json").is_file() for folder in list(path.parents)[:4])


@lru_cache(maxsize=16384)
def _line(filename: str, number: int) -> SourceLine:
    return SourceLine(_absolute(filename), number)


@lru_cache(maxsize=8192)
def _absolute(filename: str) -> str:
    return str(Path(filename).absolute())


def chain_of_frames(frame: FrameType | None, depth: int = _DEPTH) -> list[SourceLine]:
    """Return the user's lines from `frame` outwards, innermost first, at most `depth` of them."""
    chain: list[SourceLine] = []
    while frame is not None and len(chain) < depth:
        filename = frame.f_code.co_filename
        if filename == _HOST:
            break
        if is_user_file(filename):
            chain.append(_line(filename, frame.f_lineno))
        frame = frame.f_back
    return chain


def line_of_waiting(coroutine: object) -> SourceLine | None:
    """Return the innermost line of the user's at which a suspended coroutine waits."""
    found = None
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is not None and is_user_file(frame.f_code.co_filename):
            found = _line(frame.f_code.co_filename, frame.f_lineno)
        coroutine = getattr(coroutine, "cr_await", None)
    return found


def source_of_exception(error: BaseException) -> SourceLine | None:
    """Return the innermost line of the user's program in an exception's traceback or in those of its causes."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno and is_user_file(error.filename):
        return SourceLine(_absolute(error.filename), error.lineno, error.offset)
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        found = _innermost(current.__traceback__)
        if found is not None:
            return found
        current = current.__cause__ or current.__context__
    return None


def _innermost(traceback: TracebackType | None) -> SourceLine | None:
    found = None
    while traceback is not None:
        filename = traceback.tb_frame.f_code.co_filename
        if filename == _HOST:
            found = None
        elif is_user_file(filename):
            found = _line(filename, traceback.tb_lineno)
        traceback = traceback.tb_next
    return found
