"""Our own Python environment in the place of one that a project names and that is not there.

The CLI makes the virtual environment that Pulumi.yaml or PulumiPolicy.yaml names when it is missing, and fills it over
the network (pulumi/pulumi, sdk/python/toolchain/pip.go). Without a network it tries for many minutes. The embedded
engine runs the program in the environment that ringfence runs in; so does the CLI where a link leads it there. No
option or variable of the CLI says where the environment is, so the link has to stand in the project, for the length of
the command.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["lent_environment"]

_TARGET = f"{sys.prefix}/."
"""The dot at its end tells our links from those of users, who have no reason to write it."""
_REQUIREMENT = re.compile(r"([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*(?:[<>=!~;#,(].*)?")


@contextlib.contextmanager
def lent_environment(file: Path, options: Mapping[str, Any], note: Callable[[str], None]) -> Iterator[None]:
    """Let the virtual environment that a file's runtime options name be there for the length of a block.

    Where it is there already, nothing is done; nor where ours lacks what the project requires, which is noted. Several
    commands at a time share a link, and the last one takes it away.
    """
    name, folder = options.get("virtualenv"), file.parent
    # uv and Poetry find their environments in other ways.
    if not isinstance(name, str) or not name or options.get("toolchain", "pip") != "pip":
        yield
        return
    link = folder / name
    if os.path.lexists(link) and not _is_ours(link):
        yield
        return
    lacking = _lacking(folder / "requirements.txt")
    if lacking:
        note(
            f"{file.name}: virtualenv: {name} is not there, and ringfence's own Python cannot stand in for it: it "
            f"has no {', '.join(lacking)}. Pulumi makes one and installs what the project requires, over the network."
        )
        yield
        return
    try:
        descriptor = _lend(link)
    except OSError as error:  # the folder cannot be written to: the CLI will not make an environment there either
        note(f"{file.name}: virtualenv: {name} is not there, and no link can take its place: {error.strerror}.")
        yield
        return
    note(f"{file.name}: virtualenv: {name} is not there: ringfence's own Python is used.")
    try:
        yield
    finally:
        _take_back(link, descriptor)


def _lend(link: Path) -> int:
    """Make the link, and return the descriptor of the folder, whose lock says that the link is used."""
    import fcntl  # not on Windows, where an environment has no `bin`

    folder = os.open(link.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_SH)
        with contextlib.suppress(FileExistsError):
            link.symlink_to(_TARGET)
    except OSError:
        os.close(folder)
        raise
    return folder


def _take_back(link: Path, folder: int) -> None:
    import fcntl

    with contextlib.suppress(OSError):  # another command uses the link still, and takes it away
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_ours(link):
            link.unlink()
    os.close(folder)


def _is_ours(link: Path) -> bool:
    return link.is_symlink() and os.readlink(link) == _TARGET  # noqa: PTH115 (a Path loses the dot)


def _lacking(requirements: Path) -> list[str]:
    """Return what our environment has not; lines that name no package, such as paths, it is taken not to have."""
    lacking = [] if (Path(sys.prefix) / "bin" / "python").is_file() else ["bin/python"]
    if importlib.util.find_spec("pip") is None:
        lacking.append("pip")  # the CLI asks it which packages there are
    try:
        lines = requirements.read_text(encoding="utf-8-sig").splitlines()
    except OSError:
        return lacking
    for line in filter(None, map(str.strip, lines)):
        found = _REQUIREMENT.fullmatch(line)
        if not line.startswith("#") and not (found and _is_installed(found[1])):
            lacking.append(found[1] if found else line)
    return lacking


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
