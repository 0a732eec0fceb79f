"""Processes that end with all that they started: each leads a group, and the group is killed as a whole."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

__all__ = ["ProcessGroup", "end_ahead", "run_to_end", "start_ahead"]

_KEPT = 4 * 1024 * 1024
"""Bytes of a process's output that are kept: the first half and the last half of them where it wrote more."""
_GLANCE_SECONDS = 0.01


class ProcessGroup:
    """A process and its children. What it writes goes to files, so that nothing it leaves open can hold us."""

    def __init__(self, process: subprocess.Popen[bytes], files: Sequence[IO[bytes]]) -> None:
        self._process = process
        self._files = files
        """What its standard output and its standard error go to: one file, or two."""

    @classmethod
    def start(
        cls, command: Sequence[str], folder: Path, environment: Mapping[str, str], *, apart: bool = False
    ) -> ProcessGroup:
        """Start a command, or take the one that was started ahead. Raises `OSError` where it cannot be run.

        With `apart`, what it writes to standard output is not mixed with what it writes to standard error.
        """
        ready = _take(command, folder, environment)
        if ready is not None:
            return ready
        files = [tempfile.TemporaryFile() for _ in range(2 if apart else 1)]  # noqa: SIM115 - closed by `close`
        try:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=files[0],
                stderr=files[-1],
                # A group of its own, so that all of it can be ended and Ctrl+C does not reach it.
                start_new_session=True,
            )
        except BaseException:
            for file in files:
                file.close()
            raise
        return cls(process, files)

    async def say(self, text: str) -> None:
        """Write a text to the process's standard input and close that. One that does not read it ends without it."""
        # Imported here, and below: a process that is started ahead is started before there is time for this.
        import asyncio

        assert self._process.stdin is not None
        pipe, left = self._process.stdin.fileno(), text.encode()
        os.set_blocking(pipe, False)
        with contextlib.suppress(BrokenPipeError):
            while left:
                try:
                    left = left[os.write(pipe, left) :]
                except BlockingIOError:
                    await asyncio.sleep(_GLANCE_SECONDS)
        self._process.stdin.close()

    async def wait(self) -> int:
        """Return the exit code when the process has ended, negative for a signal."""
        import asyncio

        if self._process.poll() is None and hasattr(os, "pidfd_open"):
            # Where the system can tell, nobody needs to look: a long run is full of glances.
            loop = asyncio.get_running_loop()
            ended = asyncio.Event()
            descriptor = os.pidfd_open(self._process.pid)
            loop.add_reader(descriptor, ended.set)
            try:
                await ended.wait()
            finally:
                loop.remove_reader(descriptor)
                os.close(descriptor)
        while (code := self._process.poll()) is None:
            await asyncio.sleep(_GLANCE_SECONDS)
        return code

    async def first_line(self) -> str:
        """Return the first line of its standard output, as far as that goes where it ends before."""
        import asyncio

        while b"\n" not in (said := _bytes(self._files[0])) and self._process.poll() is None:
            await asyncio.sleep(_GLANCE_SECONDS)
        return said.decode(errors="replace").partition("\n")[0]

    def signal(self, number: int) -> None:
        """Send a signal to the process itself."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def end(self) -> None:
        """Kill the process and its children, and wait for it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def output(self) -> str:
        """Return what it has written so far; where standard output is apart, to standard error alone."""
        return _bytes(self._files[-1]).decode(errors="replace")

    def close(self) -> None:
        """Let go of the files."""
        for stream in (*self._files, self._process.stdin):
            if stream is not None:
                stream.close()


def _bytes(stream: IO[bytes]) -> bytes:
    # By position: the process writes at the one that it shares with us.
    size = os.fstat(stream.fileno()).st_size
    if size <= _KEPT:
        return os.pread(stream.fileno(), size, 0)
    head, tail = (os.pread(stream.fileno(), _KEPT // 2, place) for place in (0, size - _KEPT // 2))
    return b"\n".join((head, "[…]".encode(), tail))


def run_to_end(command: Sequence[str], folder: Path, environment: Mapping[str, str], seconds: float) -> tuple[int, str]:
    """Run a command and return its exit code and output. Raises `subprocess.TimeoutExpired`, and `OSError`."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(seconds)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return code, _bytes(output).decode(errors="replace")


# --- started ahead ---------------------------------------------------------------------------------------------------

_ahead: list[tuple[tuple[object, ...], ProcessGroup]] = []


def start_ahead(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
    """Start a command that waits at its standard input for what it shall do. Raises `OSError`.

    It is for the first who starts the same command, in the same folder and environment.
    """
    _ahead.append((_key(command, folder, environment), ProcessGroup.start(command, folder, environment)))


def end_ahead() -> None:
    """End what was started ahead and nobody took."""
    while _ahead:
        _, group = _ahead.pop()
        group.end()
        group.close()


def _take(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> ProcessGroup | None:
    key = _key(command, folder, environment)
    index = next((index for index, (own, _) in enumerate(_ahead) if own == key), None)
    return _ahead.pop(index)[1] if index is not None else None


def _key(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> tuple[object, ...]:
    return tuple(command), folder.resolve(), dict(environment)
