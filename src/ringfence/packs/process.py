"""The process of a policy pack: it says on standard output which port it serves at, and lives until it is ended."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

__all__ = ["PackProcess"]

_GLANCE_SECONDS = 0.01
_LAST_SECONDS = 1.0
"""How long a process has to end after an error that nothing handled."""
_KEPT = 1024 * 1024
_PORT = re.compile(rb"^\s*(\d{1,5})\s*\n", re.MULTILINE)
_WITH_US = (
    # Runs the command in a group with a watcher, which waits until our end of the pipe goes away, takes the record and
    # its folder away and kills the group: however this process ends, the pack ends with it. The watcher must not hold
    # the pack's own output open.
    'exec 3<&0; { cat <&3; rm -f -- "$0"; rmdir -- "${0%/*}"; kill -KILL 0; } >/dev/null 2>&1 & '
    'exec 3<&-; exec "$@" </dev/null'
)


class PackProcess:
    """A process and its children. What it writes goes to files, so that nothing it leaves open can hold us.

    `record` is a file that the process may write to, alone in its folder; both go with the process that started this
    one. Raises `OSError` where it cannot be started.
    """

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str], record: Path) -> None:
        self.record = record
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - the same
        self.owner = os.getpid()
        """The process that started it: a copy of that by `fork` does not own it."""
        try:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _WITH_US, str(record), *command],
                cwd=folder,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=self._output,
                stderr=self._errors,
                # A group of its own, so that all of it can be ended and Ctrl+C does not reach it.
                start_new_session=True,
            )
        except BaseException:
            self._close()
            raise

    def port(self, seconds: float) -> int | None:
        """Return the port when the process has said it; None where it ended without.

        A process is also over after an error that nothing handled, which it writes to its record: some versions of Node
        do not end then. Raises `TimeoutError`.
        """
        limit = time.monotonic() + seconds
        while True:
            code = self._process.poll()
            found = _PORT.search(_read(self._output))
            if found is not None:
                return int(found[1])
            if code is not None:
                return None
            if self.record.exists():
                limit = min(limit, time.monotonic() + _LAST_SECONDS)
            if time.monotonic() > limit:
                if self.record.exists():
                    return None
                raise TimeoutError
            time.sleep(_GLANCE_SECONDS)

    def code(self, seconds: float = 0.0) -> int | None:
        """Return the exit code, negative for a signal; None where it has not ended within some time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def signal(self, number: int) -> None:
        """Send a signal to the process itself."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def output(self) -> str:
        """Return what it has written to standard output so far, the last of it."""
        return _read(self._output).decode(errors="replace")

    def errors(self, since: int = 0) -> str:
        """Return what it has written to standard error since a place, the last of it."""
        return _read(self._errors, since).decode(errors="replace")

    def place(self) -> int:
        """Return how far it has come on standard error."""
        return os.fstat(self._errors.fileno()).st_size

    def end(self) -> None:
        """Kill the process and its children, and wait for it."""
        if self._output.closed:
            return
        if self.owner == os.getpid():
            # The watcher is in the group as long as this lasts, so the number cannot be another group's.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._close()

    def _close(self) -> None:
        process: subprocess.Popen[bytes] | None = getattr(self, "_process", None)
        for stream in (self._output, self._errors, process.stdin if process else None):
            if stream is not None:
                stream.close()


def _read(stream: IO[bytes], since: int = 0) -> bytes:
    # By position: the process writes at the one that it shares with us.
    size = os.fstat(stream.fileno()).st_size
    return os.pread(stream.fileno(), _KEPT, max(since, size - _KEPT))
