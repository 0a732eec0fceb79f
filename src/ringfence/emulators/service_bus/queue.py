"""The state of a queue or a subscription: a state machine with a clock given to it, and no input or output.

A message is active, deferred or scheduled. An active or a deferred one can be locked; its lock ends by settlement, by
expiry, or with its session. Everything that happens by itself (locks and messages that expire, scheduled messages that
fall due) happens in `sweep`, which all operations call first; `next_deadline` says when the next thing is due.

Source: Service Bus documentation on message transfers, locks and settlement; message sessions; expiration; dead-letter
queues; duplicate detection; message deferral; message sequencing.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal
from uuid import UUID, uuid4

from ringfence.emulators.service_bus import errors
from ringfence.emulators.service_bus.sessions import SessionLock, Sessions
from ringfence.emulators.service_bus.settings import ReceiverSettings
from ringfence.emulators.service_bus.stored import MessageLock, StoredMessage

__all__ = ["DEAD_LETTER_SUFFIX", "Clock", "Queue"]

Clock = Callable[[], float]
"""Seconds since the Unix epoch."""

DEAD_LETTER_SUFFIX = "/$DeadLetterQueue"
Due = Literal["lock", "expiry", "schedule", "session"]


class Queue:
    """The messages of one entity, in the order of their sequence numbers."""

    def __init__(self, path: str, settings: ReceiverSettings, clock: Clock, dead_letters: Queue | None = None) -> None:
        """Start empty. A queue without `dead_letters` is itself a dead-letter queue: no limits apply in it."""
        self.path = path
        self.settings = settings
        self.dead_letters = dead_letters
        self.sessions = Sessions()
        self.deleted = False
        self._clock = clock
        self._messages: dict[int, StoredMessage] = {}
        self._locked: dict[UUID, StoredMessage] = {}
        self._ready: dict[str | None, list[int]] = {}
        self._due: list[tuple[float, int, Due, int | str]] = []
        self._order = itertools.count()
        self._last_number = 0
        self.size = 0
        """Bytes of all messages, without those in the dead-letter queue."""

    # What comes in

    def put(self, message: StoredMessage) -> int:
        """Take a message in, or keep it until its time, and return its sequence number."""
        now = self._now()
        message.lock = None
        if message.scheduled_for is not None and message.scheduled_for > now:
            message.state = "scheduled"
            self._number(message)
            message.enqueued_at = message.scheduled_for
            self._add(message)
            self._remind(message.scheduled_for, "schedule", message.sequence_number)
        else:
            self._activate(message, now)
        return message.sequence_number

    def cancel_scheduled(self, sequence_numbers: Sequence[int]) -> None:
        """Drop scheduled messages.

        Raises:
            ServiceError: one of them is not scheduled (any more); then none is dropped.
        """
        self.sweep()
        found = [self._messages.get(number) for number in sequence_numbers]
        if any(message is None or message.state != "scheduled" for message in found):
            raise errors.message_not_found(list(sequence_numbers))
        for message in found:
            if message is not None:
                self._remove(message)

    # What goes out

    def receive(self, *, session_id: str | None = None, delete: bool = False) -> StoredMessage | None:
        """Lock the first ready message and return it, or take it out if it is to be deleted; None if none is ready.

        Raises:
            ServiceError: the session is not locked.
        """
        self.sweep()
        if self.settings.requires_session:
            self.sessions.held(session_id)
        ready = self._ready.get(session_id if self.settings.requires_session else None, [])
        while ready:
            message = self._messages.get(heapq.heappop(ready))
            if message is not None:
                self._hand_out(message, delete)
                return message
        return None

    def receive_deferred(self, sequence_numbers: Sequence[int], *, delete: bool = False) -> list[StoredMessage]:
        """Lock deferred messages and return them, or take them out.

        Raises:
            ServiceError: one of them is not deferred, or is locked; then none is locked.
        """
        self.sweep()
        found = [self._messages.get(number) for number in sequence_numbers]
        deferred = [message for message in found if message and message.state == "deferred" and not message.lock]
        if len(deferred) < len(sequence_numbers):
            raise errors.message_not_found(list(sequence_numbers))
        for message in deferred:
            if self.settings.requires_session:
                self.sessions.held(message.session_id)
            self._hand_out(message, delete)
        return deferred

    def peek(self, from_number: int, count: int, session_id: str | None = None) -> list[StoredMessage]:
        """Return messages in any state, locked ones too, without touching them."""
        self.sweep()
        wanted = (
            message
            for number, message in self._messages.items()
            if number >= from_number and (session_id is None or message.session_id == session_id)
        )
        return list(itertools.islice(wanted, count))

    # Settlement: all of it needs the lock and raises ServiceError when it is lost

    def check_locked(self, tokens: Iterable[UUID]) -> None:
        """Make sure that all tokens are good, before the first is used."""
        self.sweep()
        if any(token not in self._locked for token in tokens):
            raise errors.lock_lost(self.settings.requires_session)

    def complete(self, token: UUID) -> None:
        """Remove a message: its work is done."""
        self._remove(self._unlock(token))

    def abandon(self, token: UUID, properties: dict[str, Any] | None = None) -> None:
        """Give a message back as failed. At the limit it goes to the dead-letter queue."""
        message = self._unlock(token)
        message.application_properties.update(properties or {})
        self._failed(message)

    def release(self, token: UUID) -> None:
        """Give a message back as if it had not been delivered."""
        self._give_back(self._unlock(token))

    def defer(self, token: UUID, properties: dict[str, Any] | None = None) -> None:
        """Put a message aside: from now on it comes by its sequence number only."""
        message = self._unlock(token)
        message.application_properties.update(properties or {})
        message.state = "deferred"

    def dead_letter(
        self,
        token: UUID,
        reason: str | None = None,
        description: str | None = None,
        properties: dict[str, Any] | None = None,
    ) -> None:
        """Move a message to the dead-letter queue, and say why."""
        if self.dead_letters is None:
            raise errors.not_allowed("A message in a dead-letter queue cannot be dead-lettered.")
        message = self._unlock(token)
        message.application_properties.update(properties or {})
        self._bury(message, reason, description)

    def renew_lock(self, token: UUID) -> float:
        """Let a lock start anew, and return until when it holds."""
        self.check_locked([token])
        message = self._locked[token]
        lock = message.lock
        assert lock is not None
        if not self.settings.requires_session:
            lock.until = self._clock() + self._lock_seconds
            self._remind(lock.until, "lock", message.sequence_number)
        return lock.until

    # Sessions

    def accept_session(self, session_id: str | None, holder: object) -> SessionLock | None:
        """Lock a session, or the next free one with messages; None if there is none of those.

        Raises:
            ServiceError: the session asked for is locked by another receiver.
        """
        self.sweep()
        wanted = session_id if session_id is not None else self._next_session()
        if wanted is None:
            return None
        lock = self.sessions.lock(wanted, holder, self._clock() + self._lock_seconds)
        self._remind(lock.until, "session", wanted)
        return lock

    def renew_session_lock(self, session_id: str) -> float:
        """Let a session's lock start anew, with those of its messages, and return until when it holds.

        Raises:
            ServiceError: nobody holds the session.
        """
        self.sweep()
        lock = self.sessions.held(session_id)
        lock.until = self._clock() + self._lock_seconds
        self._remind(lock.until, "session", session_id)
        for message in self._locked_in(session_id):
            assert message.lock is not None
            message.lock.until = lock.until
        return lock.until

    def release_session(self, session_id: str, holder: object) -> None:
        """End a receiver's hold on a session: messages that it did not settle come back uncounted."""
        lock = self.sessions.find(session_id)
        if lock is not None and lock.holder is holder:
            self.sessions.release(session_id)
            for message in self._locked_in(session_id):
                assert message.lock is not None
                self.release(message.lock.token)

    def session_ids(self) -> list[str]:
        """Return the sessions that have messages or a state."""
        self.sweep()
        with_messages = (message.session_id for message in self._messages.values())
        return list(dict.fromkeys([*(name for name in with_messages if name is not None), *self.sessions.with_state]))

    # Time

    def sweep(self) -> None:
        """Do everything that has fallen due."""
        now = self._now()
        while self._due and self._due[0][0] <= now:
            _, _, kind, key = heapq.heappop(self._due)
            if isinstance(key, str):
                self._end_session(key, now)
            else:
                self._act(kind, key, now)

    def next_deadline(self) -> float | None:
        """Return when something may fall due next."""
        return self._due[0][0] if self._due else None

    def count(self, state: str) -> int:
        """Return how many messages are in a state: active, deferred or scheduled."""
        self.sweep()
        return sum(message.state == state for message in self._messages.values())

    # How it works

    def _now(self) -> float:
        return self._clock()

    @property
    def _lock_seconds(self) -> float:
        return self.settings.lock_duration.total_seconds()

    def _remind(self, at: float, kind: Due, key: int | str) -> None:
        heapq.heappush(self._due, (at, next(self._order), kind, key))

    def _act(self, kind: Due, number: int, now: float) -> None:
        message = self._messages.get(number)
        if message is None:
            return
        if kind == "lock" and message.lock is not None and message.lock.until <= now:
            self._failed(self._take_lock(message.lock.token))
        elif kind == "schedule":
            self._remove(message)
            # A scheduled message gets a new number when it becomes active: it is enqueued at that moment.
            self._activate(message, now)
        elif kind == "expiry" and message.lock is None and message.state == "active":
            self._expire(message)

    def _end_session(self, session_id: str, now: float) -> None:
        lock = self.sessions.find(session_id)
        if lock is None or lock.until > now:
            return
        self.sessions.release(session_id)
        for message in self._locked_in(session_id):
            assert message.lock is not None
            self._failed(self._take_lock(message.lock.token))

    def _number(self, message: StoredMessage) -> None:
        self._last_number += 1
        message.sequence_number = self._last_number
        if not message.enqueued_sequence_number:
            message.enqueued_sequence_number = self._last_number

    def _add(self, message: StoredMessage) -> None:
        self._messages[message.sequence_number] = message
        self.size += message.size

    def _remove(self, message: StoredMessage) -> None:
        del self._messages[message.sequence_number]
        self.size -= message.size

    def _activate(self, message: StoredMessage, now: float) -> None:
        message.state = "active"
        self._number(message)
        message.enqueued_at = now
        message.expires_at = self._expiry(message, now)
        self._add(message)
        if message.expires_at is not None:
            self._remind(message.expires_at, "expiry", message.sequence_number)
        self._make_ready(message)

    def _expiry(self, message: StoredMessage, now: float) -> float | None:
        if self.dead_letters is None:
            return None
        default = self.settings.default_message_time_to_live
        limits = [message.time_to_live, default.total_seconds() if default is not None else None]
        given = [limit for limit in limits if limit is not None]
        return now + min(given) if given else None

    def _make_ready(self, message: StoredMessage) -> None:
        session = message.session_id if self.settings.requires_session else None
        heapq.heappush(self._ready.setdefault(session, []), message.sequence_number)

    def _hand_out(self, message: StoredMessage, delete: bool) -> None:
        if delete:
            self._remove(message)
            return
        session = self.sessions.find(message.session_id) if self.settings.requires_session else None
        until = session.until if session is not None else self._clock() + self._lock_seconds
        message.lock = MessageLock(uuid4(), until)
        self._locked[message.lock.token] = message
        if session is None:
            self._remind(until, "lock", message.sequence_number)

    def _unlock(self, token: UUID) -> StoredMessage:
        self.check_locked([token])
        return self._take_lock(token)

    def _take_lock(self, token: UUID) -> StoredMessage:
        message = self._locked.pop(token)
        message.lock = None
        return message

    def _failed(self, message: StoredMessage) -> None:
        message.delivery_count += 1
        limit = self.settings.max_delivery_count
        if self.dead_letters is not None and message.delivery_count >= limit:
            description = f"Message could not be consumed after {limit} delivery attempts."
            self._bury(message, "MaxDeliveryCountExceeded", description)
        else:
            self._give_back(message)

    def _give_back(self, message: StoredMessage) -> None:
        if message.state == "deferred":
            return
        if message.expires_at is not None and message.expires_at <= self._clock():
            self._expire(message)
        else:
            self._make_ready(message)

    def _expire(self, message: StoredMessage) -> None:
        if self.settings.dead_lettering_on_message_expiration:
            self._bury(message, "TTLExpiredException", "The message expired and was dead lettered.")
        else:
            self._remove(message)

    def _bury(self, message: StoredMessage, reason: str | None, description: str | None) -> None:
        assert self.dead_letters is not None
        self._remove(message)
        bury(message, self.path, self.dead_letters, reason, description)

    def _next_session(self) -> str | None:
        best: tuple[int, str] | None = None
        for session_id, numbers in self._ready.items():
            while numbers and numbers[0] not in self._messages:
                heapq.heappop(numbers)
            if not numbers or session_id is None or self.sessions.find(session_id) is not None:
                continue
            if best is None or numbers[0] < best[0]:
                best = (numbers[0], session_id)
        return best[1] if best else None

    def _locked_in(self, session_id: str) -> list[StoredMessage]:
        return [message for message in self._locked.values() if message.session_id == session_id]


def bury(message: StoredMessage, source: str, dead_letters: Queue, reason: str | None, description: str | None) -> None:
    """Put a message into a dead-letter queue, with why and where from."""
    for name, text in (("DeadLetterReason", reason), ("DeadLetterErrorDescription", description)):
        if text is not None:
            message.application_properties[name] = text
    message.annotations["x-opt-deadletter-source"] = source
    message.scheduled_for = None
    message.expires_at = None
    dead_letters.put(message)
