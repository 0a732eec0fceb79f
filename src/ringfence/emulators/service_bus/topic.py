"""A topic: it keeps scheduled messages until their time, and hands the others on to its subscriptions."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from ringfence.emulators.service_bus import errors
from ringfence.emulators.service_bus.filters import DEFAULT_RULE, Rule, matches
from ringfence.emulators.service_bus.queue import Clock, Queue, bury
from ringfence.emulators.service_bus.settings import SubscriptionSettings, TopicSettings
from ringfence.emulators.service_bus.sql_values import FilterError
from ringfence.emulators.service_bus.stored import StoredMessage

__all__ = ["Subscription", "Topic"]


@dataclass
class Subscription:
    """A queue of its own behind a topic, with the rules that say what comes into it."""

    settings: SubscriptionSettings
    queue: Queue
    rules: dict[str, Rule] = field(default_factory=lambda: {DEFAULT_RULE.name: DEFAULT_RULE})

    def offer(self, message: StoredMessage) -> None:
        """Take a copy of a message, if a rule wants it."""
        dead_letters = self.queue.dead_letters
        assert dead_letters is not None
        try:
            wanted = matches(self.rules, message)
        except FilterError as error:
            if self.settings.dead_lettering_on_filter_evaluation_exceptions:
                bury(message.copy(), self.queue.path, dead_letters, "FilterEvaluationException", str(error))
            return
        if not wanted:
            return
        if self.settings.requires_session and message.session_id is None:
            reason = "Session ID is null."
            text = "Session enabled entity doesn't allow a message whose session identifier is null."
            bury(message.copy(), self.queue.path, dead_letters, reason, text)
            return
        self.queue.put(message.copy())


class Topic:
    """The subscriptions of a topic, and the messages that wait for their time."""

    def __init__(self, settings: TopicSettings, clock: Clock) -> None:
        self.path = settings.name
        self.settings = settings
        self.subscriptions: dict[str, Subscription] = {}
        self._clock = clock
        self._scheduled: dict[int, StoredMessage] = {}
        self._due: list[tuple[float, int]] = []
        self._numbers = itertools.count(1)

    @property
    def size(self) -> int:
        """Bytes of the messages that its subscriptions hold, and of those that wait."""
        waiting = sum(message.size for message in self._scheduled.values())
        return waiting + sum(item.queue.size for item in self.subscriptions.values())

    @property
    def scheduled(self) -> int:
        """How many messages wait for their time."""
        self.sweep()
        return len(self._scheduled)

    def put(self, message: StoredMessage) -> int:
        """Hand a message on, or keep it until its time, and return its sequence number."""
        number = message.enqueued_sequence_number = next(self._numbers)
        default = self.settings.default_message_time_to_live
        if default is not None:
            limit = default.total_seconds()
            message.time_to_live = min(message.time_to_live or limit, limit)
        if message.scheduled_for is not None and message.scheduled_for > self._clock():
            self._scheduled[number] = message
            heapq.heappush(self._due, (message.scheduled_for, number))
        else:
            self._publish(message)
        return number

    def cancel_scheduled(self, sequence_numbers: Sequence[int]) -> None:
        """Drop scheduled messages.

        Raises:
            ServiceError: one of them is not scheduled (any more); then none is dropped.
        """
        self.sweep()
        if any(number not in self._scheduled for number in sequence_numbers):
            raise errors.message_not_found(list(sequence_numbers))
        for number in sequence_numbers:
            del self._scheduled[number]

    def sweep(self) -> None:
        """Hand on what has fallen due."""
        while self._due and self._due[0][0] <= self._clock():
            _, number = heapq.heappop(self._due)
            message = self._scheduled.pop(number, None)
            if message is not None:
                self._publish(message)

    def next_deadline(self) -> float | None:
        """Return when something may fall due next."""
        return self._due[0][0] if self._due else None

    def _publish(self, message: StoredMessage) -> None:
        message.scheduled_for = None
        for subscription in self.subscriptions.values():
            subscription.offer(message)
