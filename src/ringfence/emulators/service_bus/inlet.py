"""The way into a queue or a topic: what is checked before a message is taken.

Source: Service Bus documentation on duplicate detection, quotas, suspended entities and message sessions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ringfence.emulators.service_bus import errors
from ringfence.emulators.service_bus.queue import Clock, Queue
from ringfence.emulators.service_bus.settings import SenderSettings
from ringfence.emulators.service_bus.stored import StoredMessage
from ringfence.emulators.service_bus.topic import Topic

__all__ = ["Inlet"]


class Inlet:
    """Checks messages for a queue or a topic, and passes them on."""

    def __init__(self, target: Queue | Topic, settings: SenderSettings, clock: Clock) -> None:
        self.target = target
        self.settings = settings
        self._clock = clock
        self._seen: dict[Any, float] = {}

    @property
    def max_message_size(self) -> int:
        """The largest message or batch, in bytes."""
        return self.settings.max_message_size_in_kilobytes * 1024

    def check_open(self) -> None:
        """Make sure that the entity takes messages at all.

        Raises:
            ServiceError: it does not.
        """
        if self.settings.status in ("Disabled", "SendDisabled"):
            raise errors.entity_disabled(self.target.path)

    def send(self, messages: Sequence[StoredMessage]) -> list[int]:
        """Take all messages or none, and return their sequence numbers. A duplicate gets 0 and is dropped.

        Raises:
            ServiceError: the entity is disabled or full, or wants a session that a message does not name.
        """
        self.check_open()
        in_sessions = isinstance(self.target, Queue) and self.target.settings.requires_session
        if in_sessions and any(message.session_id is None for message in messages):
            raise errors.not_allowed(
                "The SessionId was not set on a message, and it cannot be sent to the entity. Entities that have "
                "session support enabled can only receive messages that have the SessionId set to a valid value."
            )
        size, limit = self._size(), self.settings.max_size_in_megabytes * 1024 * 1024
        if size + sum(message.size for message in messages) > limit:
            raise errors.quota_exceeded(self.target.path, size, limit)
        return [0 if self._is_duplicate(message) else self.target.put(message) for message in messages]

    def _size(self) -> int:
        dead_letters = self.target.dead_letters if isinstance(self.target, Queue) else None
        return self.target.size + (dead_letters.size if dead_letters else 0)

    def _is_duplicate(self, message: StoredMessage) -> bool:
        if not self.settings.requires_duplicate_detection or message.message_id is None:
            return False
        now, window = self._clock(), self.settings.duplicate_detection_history_time_window.total_seconds()
        # Entries are in the order of their times, so that the old ones are in front.
        for known, since in list(self._seen.items()):
            if now - since < window:
                break
            del self._seen[known]
        if message.message_id in self._seen:
            return True
        self._seen[message.message_id] = now
        return False
