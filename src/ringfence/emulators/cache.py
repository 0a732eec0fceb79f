"""Where what an emulator runs is installed once, for all projects of a user."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ringfence.emulators.interface import EmulatorError

__all__ = ["cache_folder", "digest", "installed", "run_installer"]

INSTALL_SECONDS = 400
"""The longest that an installation may take: the larger one takes half a minute on a slow line."""

LINES_SHOWN = 15
"""How many of the last lines of a failed installer are shown."""


def cache_folder() -> Path:
    """Return the folder for installed emulators: `RINGFENCE_CACHE`, or a part of the user's XDG cache."""
    if chosen := os.environ.get("RINGFENCE_CACHE"):
        return Path(chosen)
    # The XDG base directory specification has relative paths ignored.
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "ringfence"


def digest(*contents: bytes) -> str:
    """Return a short name for these contents: another lock file gets another folder."""
    return hashlib.sha256(b"\0".join(contents)).hexdigest()[:16]


def installed(name: str, install: Callable[[Path], None]) -> Path:
    """Return a folder of the cache, which is filled first when there is none.

    Several processes may ask at once: one installs and the others wait. An installation that fails leaves nothing.

    Args:
        name: what is in it, with the digest of its lock file.
        install: fills the folder that it is given, which is where it stays: virtual environments cannot be moved.

    Raises:
        EmulatorError: the folder cannot be written, or what `install` raises.
    """
    folder = cache_folder() / name
    complete = folder / ".complete"
    if complete.exists():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_name(f"{name}.lock")):
            if not complete.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                try:
                    install(folder)
                except BaseException:
                    shutil.rmtree(folder, ignore_errors=True)
                    raise
                complete.touch()
    except OSError as error:
        message = f"the cache folder {folder.parent} cannot be used: {error.strerror}; RINGFENCE_CACHE names another"
        raise EmulatorError(message) from error
    return folder


def run_installer(what: str, command: Sequence[str | Path], folder: Path, environment: dict[str, str]) -> None:
    """Run a program that installs something.

    Raises:
        EmulatorError: it is missing, fails or does not end; the message has the last lines that it wrote.
    """
    reach = "is its registry reachable from here (proxy, mirror)?"
    with tempfile.TemporaryFile() as output:
        try:
            result = subprocess.run(
                [str(part) for part in command],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=INSTALL_SECONDS,
                check=False,
            )
        except FileNotFoundError as error:
            raise EmulatorError(f"{what} cannot be installed: {command[0]} is missing") from error
        except subprocess.TimeoutExpired as error:
            raise EmulatorError(f"{what} was not installed within {INSTALL_SECONDS} s: {reach}") from error
        if result.returncode != 0:
            output.seek(0)
            lines = output.read().decode(errors="replace").strip().splitlines()[-LINES_SHOWN:]
            message = f"{what} cannot be installed (exit code {result.returncode}): {reach}"
            raise EmulatorError("\n  ".join([message, *lines]))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that is gone with this process, however it ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
