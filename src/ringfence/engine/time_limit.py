"""Ends a program that runs for too long, wherever it is, and leaves nothing half done that others rely on."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from ringfence.deployment import SourceLine
from ringfence.engine.frames import chain_of_frames, is_host, is_library_file, is_user_file

__all__ = ["TimeLimitExceeded", "time_limit"]


class TimeLimitExceeded(BaseException):
    """The program ran for longer than it may. `source` is the user's line that it was at, where that is known."""

    def __init__(self, source: SourceLine | None = None) -> None:
        super().__init__("the time limit is exceeded")
        self.source = source


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TimeLimitExceeded` in the body once `seconds` have passed, and again until it gives in.

    On the main thread a signal does it, which also ends blocking calls. On another thread the interpreter is asked to
    raise it, which takes effect when Python code runs. A body that swallows the exception and then ends or raises
    something else has exceeded its time all the same.
    """
    on_main_thread = threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")
    expired: list[TimeLimitExceeded] = []
    try:
        with (_signal_limit if on_main_thread else _thread_limit)(seconds, expired):
            yield
    finally:
        if expired:
            raise expired[0]


_AGAIN = 0.1
"""Seconds until a body that swallowed the exception gets it once more."""


_IMPORT_TIME = 120.0
"""Seconds beyond its limit that a program has to end the import of a library."""


def _imports_library(frame: FrameType | None) -> bool:
    """Whether a library is being imported. Interrupted, it would be left half there for all programs that follow."""
    while frame is not None and not is_host(frame):
        code = frame.f_code
        if code.co_name == "exec_module" and code.co_filename.startswith("<frozen importlib"):
            loader = frame.f_locals.get("self")
            if is_library_file(str(getattr(loader, "path", ""))):
                return True
        frame = frame.f_back
    return False


@contextlib.contextmanager
def _signal_limit(seconds: float, expired: list[TimeLimitExceeded]) -> Iterator[None]:
    tracer = sys.gettrace()
    last = time.monotonic() + seconds + _IMPORT_TIME

    def expire(_: int, frame: FrameType | None) -> None:
        if _imports_library(frame) and time.monotonic() < last:
            return
        if expired:
            _raise_at_next_line(frame)
        lines = chain_of_frames(frame, 1)
        expired.append(TimeLimitExceeded(lines[0] if lines else None))
        raise expired[-1]

    def stop() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        if expired:
            sys.settrace(tracer)

    previous = signal.signal(signal.SIGALRM, expire)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
        yield
    finally:
        _surely(stop)


def _raise_at_next_line(frame: FrameType | None) -> None:
    """Make the user's functions raise at the next line that they run: that of the handler which swallows."""

    def refuse(current: FrameType, event: str, _: object) -> Any:
        if event == "line":
            raise TimeLimitExceeded
        return refuse if is_user_file(current.f_code.co_filename) else None

    sys.settrace(refuse)
    while frame is not None:
        if is_user_file(frame.f_code.co_filename):
            frame.f_trace = refuse
        frame = frame.f_back


@contextlib.contextmanager
def _thread_limit(seconds: float, expired: list[TimeLimitExceeded]) -> Iterator[None]:
    done = threading.Event()
    identity = threading.get_ident()

    def watch() -> None:
        wait = seconds
        last = time.monotonic() + seconds + _IMPORT_TIME
        while not done.wait(wait):
            frame = sys._current_frames().get(identity)
            wait = _AGAIN
            if _imports_library(frame) and time.monotonic() < last:
                continue
            lines = chain_of_frames(frame, 1)
            expired.append(TimeLimitExceeded(lines[0] if lines else None))
            _raise_in_thread(identity, TimeLimitExceeded)

    def stop() -> None:
        done.set()
        watcher.join()
        if expired:
            _take_back(identity)

    watcher = threading.Thread(target=watch, name="ringfence-time-limit", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        _surely(stop)


def _raise_in_thread(identity: int, error: type[BaseException]) -> None:
    """Have a thread raise an exception as soon as it runs Python code, instead of one that waits for that."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(identity), ctypes.py_object(error))


class _NothingMore(BaseException):
    """What a thread is given last."""


def _take_back(identity: int) -> None:
    """Let nothing be on its way to this thread any more.

    CPython has a call for that, after which 3.11 looks for an exception at every chance, in all threads and for good; a
    thread that is traced then never gets past its next call.
    """
    try:
        _raise_in_thread(identity, _NothingMore)
        while True:
            time.sleep(0)
    except _NothingMore:
        pass


def _surely(stop: Callable[[], None]) -> None:
    """Call `stop` to its end, although the limit that it lifts may strike while it runs."""
    while True:
        try:
            return stop()
        except TimeLimitExceeded:
            continue
