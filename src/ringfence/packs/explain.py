"""What went wrong in a policy pack's process, in a sentence with the pack's own file and line where that is known."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

from ringfence.deployment import SourceLine
from ringfence.engine.languages.interface import Ended, plain
from ringfence.packs.launch import PackLaunch
from ringfence.packs.process import PackProcess

__all__ = ["ended", "fault", "where_it_hangs"]

_ASKING_SECONDS = 3.0
_GLANCE_SECONDS = 0.05
_PYTHON_FRAME = re.compile(r'^\s*File "(?P<path>[^"]+)", line (?P<line>\d+)', re.MULTILINE)
_NODE_FRAME = re.compile(
    r"\bat (?:.* \()?(?:async )?(?:file://)?(?P<path>/[^()]*?):(?P<line>\d+):\d+\)?\s*$", re.MULTILINE
)
_CHAINED = re.compile(r"\n\n(?:The above exception|During handling)")
_MODULE = re.compile(r"^(?:\w+\.)+(?=\w+(?::|$))")
"""The module before the name of an exception's class."""
_PREFIXES = (
    re.compile(r"^Exception calling application: "),
    re.compile(r"^Error (?:validating|remediating) resource with \w+ '.*' from policy pack '.*':\s*"),
    re.compile(r"^\d+ [A-Z_]+: "),
)


def ended(launch: PackLaunch, process: PackProcess, since: int) -> str:
    """Say why a pack's process is over: its error that nothing handled, what it wrote last, else how it ended.

    `since` is where it was on standard error when it was last known to be well.
    """
    code = process.code()
    errors = plain(process.errors(since))
    if launch.language is not None and process.record.exists():
        # What is a program to the language is the pack here.
        error = launch.language.explain(launch.program, Ended(code or 1, errors, (), process.record))
        return f"{error.message.replace('The program ', 'It ', 1)}{_shown(error.source, launch)}"
    found = _python_error(errors, launch) if launch.manifest.runtime == "python" else None
    if found is not None:
        return found
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    said = next((line for line in reversed(lines) if not _NODE_FRAME.search(line)), "")
    if code is None or (code == 0 and not said):
        how = "it ran to its end and served no policies"
    else:
        how = f"it was ended by signal {-code}" if code < 0 else f"it ended itself with exit code {code}"
    return f"{said.rstrip('.')}{_shown(_innermost(errors, launch), launch)}; {how}" if said else how


def fault(details: str, errors: str, launch: PackLaunch) -> str:
    """Say what a policy raised: `details` is the pack's answer, `errors` what it wrote to standard error meanwhile."""
    text = plain(details).strip()
    for prefix in _PREFIXES:
        text = prefix.sub("", text)
    lines = text.splitlines()
    message = " ".join(line.strip() for line in lines[: _first_frame(lines)]).strip()
    if launch.manifest.runtime == "python":
        found = _python_error(plain(errors), launch)
        if found is not None:
            return found
    return f"{message}{_shown(_innermost(text, launch), launch)}"


def where_it_hangs(launch: PackLaunch, process: PackProcess, *, serving: bool) -> str:
    """Ask a process that does not answer where it is; return the place in brackets, or nothing."""
    if launch.language is None:
        return ""
    before = process.place()
    process.signal(launch.language.hang_signal)
    limit = time.monotonic() + _ASKING_SECONDS
    while time.monotonic() < limit and process.code() is None and process.place() == before:
        time.sleep(_GLANCE_SECONDS)
    time.sleep(_GLANCE_SECONDS)
    dump = process.errors(before)
    if serving and launch.manifest.runtime == "python":
        # The main thread, which gets the signal, is where the pack was constructed; policies run on others.
        dump = dump.partition("Current thread")[0]
    return _shown(launch.language.line_of_dump(dump), launch)


def _first_frame(lines: list[str]) -> int:
    return next((index for index, line in enumerate(lines) if _NODE_FRAME.search(line)), len(lines))


def _python_error(text: str, launch: PackLaunch) -> str | None:
    """Return the error of a traceback with the innermost place in the pack's own files; None without a traceback."""
    _, *sections = text.split("Traceback (most recent call last):\n")
    if not sections:
        return None
    # What wraps another error comes after it; the SDK does so with what coroutines raise.
    section = next((item for item in reversed(sections) if _innermost(item, launch)), sections[-1])
    lines = _CHAINED.split(section)[0].rstrip().splitlines()
    start = next((number for number, line in enumerate(lines) if line and not line[0].isspace()), len(lines))
    error = " ".join(line.strip() for line in lines[start:])
    advice = f"; install what the pack requires for {launch.command[0]}" if "No module named" in error else ""
    return f"{_MODULE.sub('', error) or 'an error'}{_shown(_innermost(section, launch), launch)}{advice}"


def _innermost(text: str, launch: PackLaunch) -> SourceLine | None:
    """Return the innermost place in the pack's own files: the last of Python's frames, the first of Node's."""
    own = [place for place in _places(text) if _is_own(place.path, launch)]
    if not own:
        return None
    return own[-1] if launch.manifest.runtime == "python" else own[0]


def _places(text: str) -> Iterator[SourceLine]:
    for pattern in (_PYTHON_FRAME, _NODE_FRAME):
        for found in pattern.finditer(text):
            yield SourceLine(found["path"], int(found["line"]))


def _is_own(path: str, launch: PackLaunch) -> bool:
    place = Path(path)
    libraries = {"node_modules", "site-packages", "dist-packages"}
    return place.is_relative_to(launch.manifest.directory) and not libraries & set(place.parts)


def _shown(source: SourceLine | None, launch: PackLaunch) -> str:
    if source is None:
        return ""
    place, folder = Path(source.path), launch.manifest.directory
    name = place.relative_to(folder) if place.is_relative_to(folder) else place
    return f" ({name}:{source.line})"
