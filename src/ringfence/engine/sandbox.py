"""What surrounds a program that runs in process: folder, import path, modules, environment, prints.

Whatever a program changes of these is put back, so that the next one starts as the first did.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import io
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from ringfence.deployment import SourceLine
from ringfence.engine.frames import chain_of_frames, is_library_file, is_user_file
from ringfence.engine.time_limit import time_limit

__all__ = [
    "Printed",
    "guarded_modules",
    "line_of_threads",
    "started_threads",
    "surroundings",
    "wait_for_threads",
]


class Printed:
    """What a program wrote to standard output and standard error."""

    def __init__(self) -> None:
        self.text = ""


@contextlib.contextmanager
def surroundings(folder: Path, printed: Printed, *, script: str = "") -> Iterator[None]:
    """Run the body in `folder`, as `python script` would: import path, arguments, environment.

    Standard output goes to `printed`, that of child processes included, so that it never mixes with a report.
    """
    before = (list(sys.path), list(sys.argv), dict(os.environ), Path.cwd())
    sys.path.insert(0, str(folder))
    sys.argv = [script]
    # What an outer deployment put there must not reach this program.
    for name in [name for name in os.environ if name.startswith("PULUMI_CONFIG")]:
        if name not in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"):
            del os.environ[name]
    os.chdir(folder)
    try:
        with _captured(printed), _own_warnings(), _own_settings(), _own_exit_functions():
            yield
    finally:
        sys.path[:], sys.argv = before[0], before[1]
        if dict(os.environ) != before[2]:
            os.environ.clear()
            os.environ.update(before[2])
        os.chdir(before[3])


class _Kept(io.BytesIO):
    """What was written stays readable, although a program closes its standard output."""

    def close(self) -> None:
        pass


@contextlib.contextmanager
def _captured(printed: Printed) -> Iterator[None]:
    written = _Kept()
    text = io.TextIOWrapper(written, encoding="utf-8", errors="backslashreplace", write_through=True)
    with contextlib.ExitStack() as stack:
        child_output = stack.enter_context(_child_output())
        stack.enter_context(contextlib.redirect_stdout(text))
        stack.enter_context(contextlib.redirect_stderr(text))
        try:
            yield
        finally:
            printed.text = written.getvalue().decode(errors="replace") + child_output()


@contextlib.contextmanager
def _own_warnings() -> Iterator[None]:
    """Start with the warning filters that Python has by itself: those of the host (a test run, say) are not its own."""
    with warnings.catch_warnings():
        warnings.resetwarnings()
        for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)
        warnings.filterwarnings("default", category=DeprecationWarning, module="__main__")
        warnings.showwarning = _show_warning
        yield


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))


@contextlib.contextmanager
def _own_settings() -> Iterator[None]:
    """Put back what a program sets for its whole process: root logger, recursion limit, signal handlers, hooks."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level, logging.root.manager.disable)
    limit, hook = sys.getrecursionlimit(), sys.excepthook
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        root.handlers[:], logging.root.manager.disable = before[0], before[2]
        root.setLevel(before[1])
        sys.setrecursionlimit(limit)
        sys.excepthook = hook
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler and handler is not None:
                signal.signal(number, handler)


@contextlib.contextmanager
def started_threads() -> Iterator[list[threading.Thread]]:
    """Collect the threads that the body starts, and that those start; other threads of the host are not meant."""
    found: list[threading.Thread] = []
    body, start = threading.current_thread(), threading.Thread.start

    def note(thread: threading.Thread) -> None:
        starter = threading.current_thread()
        if starter is body or starter in found:
            found.append(thread)
        start(thread)

    threading.Thread.start = note  # type: ignore[assignment, method-assign]
    try:
        yield found
    finally:
        threading.Thread.start = start  # type: ignore[method-assign]


def wait_for_threads(started: Iterable[threading.Thread]) -> None:
    """Wait for the threads that run the user's code, as an interpreter does at its end."""
    for thread in _user_threads(started):
        # Not `join`: Python takes a thread for ended whose `join` an exception interrupts.
        while thread.is_alive():
            time.sleep(0.01)


def line_of_threads(started: Iterable[threading.Thread]) -> SourceLine | None:
    """Return a line of the user's at which one of these threads is."""
    frames = sys._current_frames()
    lines = [line for thread in _user_threads(started) for line in chain_of_frames(frames.get(thread.ident or 0), 1)]
    return min(lines, default=None)


def _user_threads(started: Iterable[threading.Thread]) -> list[threading.Thread]:
    found = []
    for thread in started:
        # An executor's workers are not meant: their code is Python's, and they wait for work until the process ends.
        code = getattr(getattr(thread, "_target", None) or type(thread).run, "__code__", None)
        if thread.is_alive() and not thread.daemon and code is not None and is_user_file(code.co_filename):
            found.append(thread)
    return found


_EXIT_TIME = 2.0
"""Seconds that the functions have which a program registers for its exit."""


@contextlib.contextmanager
def _own_exit_functions() -> Iterator[None]:
    """Run the exit functions (`atexit`) of the user's code at the end of the program, not of the process."""
    functions: list[Callable[[], object]] = []
    register = atexit.register

    def keep(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
        if not is_user_file(sys._getframe(1).f_code.co_filename):
            return register(function, *args, **kwargs)
        functions.append(functools.partial(function, *args, **kwargs))
        return function

    atexit.register = keep  # type: ignore[assignment]
    try:
        yield
    finally:
        atexit.register = register
        for function in reversed(functions):
            try:
                with time_limit(_EXIT_TIME):
                    function()
            except BaseException:  # as at the end of an interpreter: it is shown and ends nothing
                traceback.print_exc()


@contextlib.contextmanager
def _child_output() -> Iterator[Callable[[], str]]:
    """Point file descriptor 1, which child processes inherit, at a temporary file; yield what reads it."""
    with contextlib.suppress(OSError, ValueError):
        sys.__stdout__.flush()  # type: ignore[union-attr]
    try:
        saved = os.dup(1)
    except OSError:  # there is no standard output that a child could write to
        yield lambda: ""
        return
    with tempfile.TemporaryFile() as target:
        os.dup2(target.fileno(), 1)

        def read() -> str:
            target.seek(0)
            return target.read().decode(errors="replace")

        try:
            yield read
        finally:
            os.dup2(saved, 1)
            os.close(saved)


@contextlib.contextmanager
def guarded_modules(folder: Path, forget: Callable[[set[str]], None]) -> Iterator[None]:
    """Give the body a module table of its own as far as the user's code goes.

    Modules that shadow the project's own (another project's `config`, say) are set aside for the time. Afterwards all
    modules of user code that were imported are dropped; libraries stay, since importing a provider SDK takes seconds.
    `forget` is told their names.
    """
    importlib.invalidate_caches()  # files may have been written since the last run
    names = _local_names(folder)
    # Most often there is none, and a look through thousands of modules costs as much as several resources.
    met = names.intersection(sys.modules)
    aside = {name: sys.modules[name] for name in list(sys.modules) if name.partition(".")[0] in met} if met else {}
    for name in aside:
        del sys.modules[name]
    main = sys.modules.get("__main__")
    before = set(sys.modules)
    try:
        yield
    finally:
        dropped = {name for name in set(sys.modules) - before if _is_user_module(name)}
        for name in dropped:
            del sys.modules[name]
        sys.modules.update(aside)
        if main is not None:
            sys.modules["__main__"] = main
        forget(dropped)


def _local_names(folder: Path) -> set[str]:
    """Return the names of the project's own modules that are to be imported, although others of the name are."""
    names = set()
    for entry in folder.iterdir():
        if entry.suffix == ".py" or (entry / "__init__.py").is_file():
            if entry.stem not in sys.stdlib_module_names or (
                entry.stem in sys.modules and entry.stem not in _modules_of_an_sdk_host()
            ):
                names.add(entry.stem)
        elif entry.name in sys.modules and entry.is_dir() and _is_user_module(entry.name):
            # A folder without __init__.py comes last on the import path: libraries of its name go first.
            names.add(entry.name)
    return names - {"__main__", "pulumi", "ringfence"}


@functools.lru_cache(maxsize=1)
def _modules_of_an_sdk_host() -> frozenset[str]:
    """Return the modules that an interpreter has imported before a program starts: those of Python and the SDK.

    A project's own `secrets.py` wins over Python's, and its `queue.py` does not, since the SDK has imported Python's.
    """
    code = "import pulumi.runtime, sys; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return frozenset(found.stdout.split() if found.returncode == 0 else sys.stdlib_module_names)


def _is_user_module(name: str) -> bool:
    module = sys.modules[name]
    files = (
        [module.__file__] if getattr(module, "__file__", None) else [f"{p}/x" for p in getattr(module, "__path__", ())]
    )
    return any(not is_library_file(file) for file in files if file)
