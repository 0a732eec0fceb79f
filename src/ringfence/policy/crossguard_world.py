"""The part of the interpreter that a policy pack takes for its own while it runs in this process."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

__all__ = ["PackWorld"]


class PackWorld:
    """What a pack takes for its own interpreter: its modules, `__main__`, path, working folder, arguments, output.

    Python has one of each per process, so a pack's are put in place while it runs and taken away after. Two packs, or a
    pack and a program, may so have modules of the same name.
    """

    _lock = threading.RLock()

    def __init__(self, directory: Path, program: Path) -> None:
        self.directory = directory
        self.program = program
        self._path = [str(program.parent), str(directory)]
        main = ModuleType("__main__")
        main.__file__ = str(program)
        self._modules: dict[str, ModuleType] = {"__main__": main}
        self._output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Put the pack's things in place, and the process's own back afterwards. Not for two threads at a time."""
        with self._lock:
            names = self._own_names()
            hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in names}
            before = set(sys.modules)
            sys.modules.update(self._modules)
            path, arguments, folder = list(sys.path), list(sys.argv), Path.cwd()
            sys.path[:0] = self._path
            sys.argv[:] = [str(self.program)]
            os.chdir(self.directory)
            try:
                with contextlib.redirect_stdout(self._output), contextlib.redirect_stderr(self._output):
                    yield
            finally:
                os.chdir(folder)
                sys.argv[:] = arguments
                sys.path[:] = path
                self._modules = {
                    name: module
                    for name, module in sys.modules.items()
                    if name not in before and (name.partition(".")[0] in names or self._holds(module))
                }
                for name in self._modules:
                    del sys.modules[name]
                sys.modules.update(hidden)

    def execute(self) -> None:
        """Run the pack's program. Within `entered` only."""
        importlib.invalidate_caches()
        code = compile(self.program.read_bytes(), str(self.program), "exec")
        exec(code, self._modules["__main__"].__dict__)

    def explain(self, error: BaseException) -> str:
        """Return what went wrong in the pack's own code, in a sentence with the pack's file and line."""
        if isinstance(error, SyntaxError) and error.filename:
            return f"SyntaxError: {error.msg} ({self._shown(error.filename)}:{error.lineno})"
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if self._inside(frame.filename)]
        place = f" ({self._shown(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
        if isinstance(error, SystemExit):
            return f"it exits with {error.code!r}{place}"
        text = " ".join(str(error).split())
        advice = ""
        if isinstance(error, ModuleNotFoundError):
            advice = "; install what the pack requires into this environment"
        return f"{type(error).__name__}{': ' if text else ''}{text}{place}{advice}"

    def _own_names(self) -> set[str]:
        names: set[str] = set()
        for folder in map(Path, self._path):
            names.update(path.stem for path in folder.glob("*.py"))
            names.update(path.parent.name for path in folder.glob("*/__init__.py"))
        # A file of the standard library's name does not win under the CLI either: what it shadows is loaded before.
        return (names - sys.stdlib_module_names) | {"__main__"}

    def _holds(self, module: ModuleType) -> bool:
        spec = getattr(module, "__spec__", None)
        places = [getattr(module, "__file__", None), *(getattr(spec, "submodule_search_locations", None) or ())]
        return any(isinstance(place, str) and self._inside(place) for place in places)

    def _inside(self, path: str) -> bool:
        place = Path(path)
        # A virtual environment in the pack's folder is not the pack's own code.
        return place.is_relative_to(self.directory) and "site-packages" not in place.parts

    def _shown(self, path: str) -> str:
        place = Path(path)
        return str(place.relative_to(self.directory)) if place.is_relative_to(self.directory) else path
