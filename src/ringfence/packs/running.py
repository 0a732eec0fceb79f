"""The processes of packs that run. One is started for a pack and a stack, and used again as long as both are the same.

A search for settings that break a stack judges hundreds of deployments by one pack: it starts once.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.packs.launch import PackLaunch
from ringfence.packs.process import PackProcess
from ringfence.policy.pack import PackError

if TYPE_CHECKING:
    from ringfence.packs.client import AnalyzerClient

__all__ = ["RunningPack", "close_all", "started"]

_MOST_IDLE = 4
_idle: list[RunningPack] = []
"""Those that no run uses, the one that was used last at the end."""


class RunningPack:
    """A pack's process. `seconds` is how long it may take to start, and to answer each question.

    Raises `PackError` where the process cannot be started.
    """

    def __init__(self, launch: PackLaunch, seconds: float) -> None:
        self.launch = launch
        self.seconds = seconds
        self.since = time.monotonic()
        self._scratch = Path(tempfile.mkdtemp(prefix="ringfence-pack-"))
        record = self._scratch / "record"
        environment = {**launch.environment, "RINGFENCE_PACK_RECORD": str(record)}
        try:
            self.process = PackProcess(launch.command, launch.manifest.directory, environment, record)
        except OSError as error:
            shutil.rmtree(self._scratch, ignore_errors=True)
            raise PackError(
                f"{launch.manifest.directory}: {launch.command[0]}: cannot be run: {error.strerror}"
            ) from None

    @property
    def usable(self) -> bool:
        """Whether the process runs and is ours."""
        return self.process.owner == os.getpid() and self.process.code() is None

    @cached_property
    def client(self) -> AnalyzerClient:
        """What asks the pack."""
        # Imported here: while gRPC and the Pulumi SDK load, the process starts.
        from ringfence.packs.client import AnalyzerClient

        return AnalyzerClient(self)

    def close(self) -> None:
        """Tell the pack that it is over, and end its process."""
        if self.process.owner == os.getpid():
            if "client" in self.__dict__:
                self.client.close()
            shutil.rmtree(self._scratch, ignore_errors=True)
        self.process.end()


@contextmanager
def started(launch: PackLaunch, seconds: float) -> Iterator[RunningPack]:
    """Give the process of a pack: one that was started before, else a new one. Raises `PackError`."""
    running = next((item for item in _idle if item.launch == launch), None)
    if running is not None:
        _idle.remove(running)
        if not running.usable:
            running.close()
            running = None
    running = running or RunningPack(launch, seconds)
    running.seconds = seconds
    try:
        yield running
    except BaseException:
        running.close()  # it may be in the middle of an answer
        raise
    _idle.append(running)
    while len(_idle) > _MOST_IDLE:
        _idle.pop(0).close()


def close_all() -> None:
    """End the processes that are not in use."""
    while _idle:
        with contextlib.suppress(OSError):
            _idle.pop().close()


atexit.register(close_all)
