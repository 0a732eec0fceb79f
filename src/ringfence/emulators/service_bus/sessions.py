"""Who holds which session of a queue, and what each session remembers."""

from __future__ import annotations

from dataclasses import dataclass

from ringfence.emulators.service_bus.errors import lock_lost, session_locked

__all__ = ["SessionLock", "Sessions"]


@dataclass
class SessionLock:
    """A receiver's hold on a session. `until` is in seconds since the Unix epoch."""

    session_id: str
    holder: object
    until: float


class Sessions:
    """The locks and the states of a queue's sessions."""

    def __init__(self) -> None:
        self._locks: dict[str, SessionLock] = {}
        self._states: dict[str, bytes] = {}

    def lock(self, session_id: str, holder: object, until: float) -> SessionLock:
        """Give a session to a receiver.

        Raises:
            ServiceError: another one holds it.
        """
        if session_id in self._locks:
            raise session_locked(session_id)
        self._locks[session_id] = SessionLock(session_id, holder, until)
        return self._locks[session_id]

    def find(self, session_id: str | None) -> SessionLock | None:
        """Return the lock on a session, if there is one."""
        return None if session_id is None else self._locks.get(session_id)

    def held(self, session_id: str | None) -> SessionLock:
        """Return the lock on a session.

        Raises:
            ServiceError: nobody holds it.
        """
        found = self.find(session_id)
        if found is None:
            raise lock_lost(in_session=True)
        return found

    def release(self, session_id: str) -> None:
        """Take a session from whoever holds it."""
        self._locks.pop(session_id, None)

    def state_of(self, session_id: str) -> bytes | None:
        """Return what a session remembers."""
        return self._states.get(session_id)

    def set_state(self, session_id: str, state: bytes | None) -> None:
        """Let a session remember something, or nothing."""
        if state is None:
            self._states.pop(session_id, None)
        else:
            self._states[session_id] = state

    @property
    def with_state(self) -> list[str]:
        """The sessions that remember something."""
        return list(self._states)
