"""What every emulator is, whatever runs it."""

from __future__ import annotations

from types import TracebackType
from typing import Literal, Protocol, Self

__all__ = ["Backend", "Emulator", "EmulatorError", "StartedByWith"]

Backend = Literal["docker", "process"]
"""What an emulator runs in: a container of the official image, or a process of this machine."""


class EmulatorError(Exception):
    """An emulator cannot be started or has stopped. The message says which, why, and what would mend it."""


class Emulator(Protocol):
    """A service that answers on loopback as a cloud service does.

    `with` starts it and stops it. After `stop` nothing of it is left: no process, no port, no file.
    """

    service: str
    """What it emulates: `storage`, `cosmos`, `service-bus`, `aws`."""

    backend: Backend

    def start(self) -> None:
        """Start, and return once it answers.

        Raises:
            EmulatorError: it cannot be started.
        """

    def environment(self) -> dict[str, str]:
        """Return what a program needs to reach it: the names that the SDKs read, and ringfence's own."""

    def reset(self) -> None:
        """Forget everything that was stored, as if it had just been started."""

    def stop(self) -> None:
        """Stop, and leave nothing behind. Stopping twice is fine."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class StartedByWith:
    """What `with` starts and stops."""

    def start(self) -> None:
        """Start."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()
