"""A program that an emulator runs in: started, watched and ended with all that it has started."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ringfence.emulators.interface import EmulatorError

__all__ = ["HOST", "LINES_SHOWN", "Child"]

HOST = "127.0.0.1"
START_SECONDS = 60.0
"""The longest that a program may take to answer. All take about a second, unless the machine is very busy."""

STOP_SECONDS = 5.0
"""How long a program may take to end by itself."""

LINES_SHOWN = 15
"""How many of the last lines of a program are shown when it has ended."""

KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""What a program gets of this process's environment: nothing that could turn it to a real cloud."""


class Child:
    """A running program, with a folder of its own for what it writes.

    Its standard input is a pipe from this process that is never written to. A program that ends when its input ends
    therefore ends with this process, however that ends.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        environment: Mapping[str, str],
        *,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Start the program.

        Args:
            name: what the messages call it.
            command: the program and its arguments; `{folder}` in an argument is the child's folder.
            environment: added to the few variables that it gets of this process's own.
            pass_fds: open files that it inherits.

        Raises:
            EmulatorError: it cannot be run.
        """
        self.name = name
        self.folder = Path(tempfile.mkdtemp(prefix="ringfence-"))
        self._log = self.folder / "log"
        inherited = {key: os.environ[key] for key in KEPT_VARIABLES if key in os.environ}
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    [str(part).replace("{folder}", str(self.folder)) for part in command],
                    cwd=self.folder,
                    env=inherited | {"TMPDIR": str(self.folder), "HOME": str(self.folder)} | dict(environment),
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    # A group of its own, so that all of it can be ended and Ctrl+C does not reach it.
                    start_new_session=True,
                    pass_fds=pass_fds,
                )
        except OSError as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise EmulatorError(f"{name} cannot be started: {error}") from error

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def output(self) -> str:
        """What it has written so far."""
        try:
            return self._log.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def wait_until(self, ready: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Wait until it is ready; it is stopped if that never happens.

        Raises:
            EmulatorError: it has ended, or is not ready in time.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            try:
                self.check()
                if time.monotonic() > deadline:
                    raise EmulatorError(f"{self.name} did not answer within {seconds:g} s{self._last_lines()}")
            except EmulatorError:
                self.stop()
                raise
            time.sleep(0.02)

    def check(self) -> None:
        """Do nothing while it runs.

        Raises:
            EmulatorError: it has ended.
        """
        code = self._process.poll()
        if code is not None:
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            raise EmulatorError(f"{self.name} {how}{self._last_lines()}")

    def stop(self) -> None:
        """End it and what it has started, and remove its folder. Stopping twice is fine."""
        assert self._process.stdin is not None
        # The polite way: each program of ours ends when its input does.
        self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        # The other way, and the end of whatever it has started and left.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _last_lines(self) -> str:
        lines = self.output.strip().splitlines()[-LINES_SHOWN:]
        return "\n  ".join(["; its last lines:", *lines]) if lines else ""
