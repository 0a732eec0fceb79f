"""Processes that end with all that they started: each leads a group, and the group is killed as a whole."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

__all__ = ["ProcessGroup", "run_to_end"]

_KEPT = 4 * 1024 * 1024
"""Bytes of a process's output that are kept: the first half and the last half of them where it wrote more."""


class ProcessGroup:
    """A process and its children. What it writes goes to a file, so that nothing it leaves open can hold us."""

    def __init__(self, process: asyncio.subprocess.Process, output: IO[bytes] | None) -> None:
        self.process = process
        self._output = output

    @classmethod
    async def start(
        cls, command: Sequence[str], folder: Path, environment: Mapping[str, str], *, pipe: bool = False
    ) -> ProcessGroup:
        """Start a command; `pipe` keeps its standard output readable. Raises `OSError` where it cannot be run."""
        output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=folder,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipe else output,
                stderr=output,
                # A group of its own, so that all of it can be ended and Ctrl+C does not reach it.
                start_new_session=True,
            )
        except BaseException:
            output.close()
            raise
        return cls(process, output)

    def signal(self, number: int) -> None:
        """Send a signal to the process itself."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def end(self) -> None:
        """Kill the process and its children, and wait for it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()

    def output(self) -> str:
        """Return what it has written so far, without what went to a pipe."""
        assert self._output is not None
        return _read(self._output)

    def close(self) -> None:
        """Let go of the file."""
        if self._output is not None:
            self._output.close()


def _read(stream: IO[bytes]) -> str:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    if size <= _KEPT:
        return stream.read().decode(errors="replace")
    head = stream.read(_KEPT // 2)
    stream.seek(size - _KEPT // 2)
    return f"{head.decode(errors='replace')}\n[…]\n{stream.read().decode(errors='replace')}"


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
        return code, _read(output)
