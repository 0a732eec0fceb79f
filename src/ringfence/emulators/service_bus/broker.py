"""The namespace: its entities, made and read by name. No input or output happens here.

Entities can be made, read and deleted from any thread, and so can faults be injected and time be moved. What links use
is called with `Broker.lock` held.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from ringfence.emulators.service_bus import errors
from ringfence.emulators.service_bus.errors import ServiceError, SettingsError
from ringfence.emulators.service_bus.filters import DEFAULT_RULE, Rule
from ringfence.emulators.service_bus.inlet import Inlet
from ringfence.emulators.service_bus.queue import DEAD_LETTER_SUFFIX, Clock, Queue
from ringfence.emulators.service_bus.settings import (
    AuthorizationRule,
    MessageCounts,
    QueueSettings,
    ReceiverSettings,
    SubscriptionSettings,
    TopicSettings,
    check_settings,
)
from ringfence.emulators.service_bus.topic import Subscription, Topic

__all__ = ["Broker", "Operation"]

Operation = Literal["send", "receive", "settle", "manage"]
"""What a client does: put a message in, get one, settle one, or ask `$management` for something."""

SUBSCRIPTIONS = "/subscriptions/"


@dataclass
class _Fault:
    path: str
    operation: Operation
    refusal: Callable[[], ServiceError]
    times: int


class Broker:
    """The queues, topics and subscriptions of a namespace."""

    def __init__(
        self,
        authorization_rules: Sequence[AuthorizationRule] = (),
        *,
        clock: Clock = time.time,
        accept_short_durations: bool = False,
        disable_local_auth: bool = False,
    ) -> None:
        """Start without entities.

        Args:
            authorization_rules: the shared access policies of the namespace.
            clock: what time it is.
            accept_short_durations: whether durations may be shorter than the service allows (a lock of 5 seconds), so
                that tests need not wait.
            disable_local_auth: whether shared access keys are refused, as the namespace's `disableLocalAuth`.
        """
        self.authorization_rules = {rule.name: rule for rule in authorization_rules}
        self.disable_local_auth = disable_local_auth
        self.lock = threading.RLock()
        self.on_change: Callable[[], None] = lambda: None
        """Called after a change that no client has asked for: messages may have become ready by it."""
        self._accept_short_durations = accept_short_durations
        self._clock = clock
        self._ahead = 0.0
        self._queues: dict[str, Queue] = {}
        self._topics: dict[str, Topic] = {}
        self._inlets: dict[str, Inlet] = {}
        self._faults: list[_Fault] = []

    # Entities

    def create_queue(self, settings: QueueSettings) -> None:
        """Make a queue and its dead-letter queue.

        Raises:
            SettingsError: a setting is not accepted, or the name is taken.
        """
        with self.lock:
            self._check_new(settings.name, settings)
            queue = self._new_queue(settings.name, settings)
            self._inlets[settings.name.lower()] = Inlet(queue, settings, self.now)

    def create_topic(self, settings: TopicSettings) -> None:
        """Make a topic, without subscriptions.

        Raises:
            SettingsError: a setting is not accepted, or the name is taken.
        """
        with self.lock:
            self._check_new(settings.name, settings)
            topic = self._topics[settings.name.lower()] = Topic(settings, self.now)
            self._inlets[settings.name.lower()] = Inlet(topic, settings, self.now)

    def create_subscription(self, settings: SubscriptionSettings, rules: Sequence[Rule] = (DEFAULT_RULE,)) -> None:
        """Make a subscription. Without other rules it gets every message.

        Raises:
            SettingsError: a setting is not accepted, there is no such topic, or the name is taken.
        """
        with self.lock:
            check_settings(settings, self._accept_short_durations)
            topic = self._topic(settings.topic_name)
            if settings.name.lower() in topic.subscriptions:
                raise SettingsError(f"{settings.topic_name} has a subscription {settings.name} already")
            queue = self._new_queue(f"{topic.path}/Subscriptions/{settings.name}", settings)
            named = {rule.name: rule for rule in rules}
            topic.subscriptions[settings.name.lower()] = Subscription(settings, queue, named)

    def create_rule(self, topic: str, subscription: str, rule: Rule) -> None:
        """Add a rule to a subscription. The default rule stays until it is deleted.

        Raises:
            SettingsError: there is no such subscription, or it has a rule of this name.
        """
        with self.lock:
            rules = self._subscription(topic, subscription).rules
            if rule.name in rules:
                raise SettingsError(f"{topic}/{subscription} has a rule {rule.name} already")
            rules[rule.name] = rule

    def delete_rule(self, topic: str, subscription: str, name: str) -> None:
        """Delete a rule of a subscription.

        Raises:
            SettingsError: there is no such rule.
        """
        with self.lock:
            if self._subscription(topic, subscription).rules.pop(name, None) is None:
                raise SettingsError(f"{topic}/{subscription} has no rule {name}")

    def delete(self, path: str) -> None:
        """Delete a queue, a topic with its subscriptions, or a subscription (`topic/Subscriptions/name`).

        Raises:
            SettingsError: there is no such entity.
        """
        with self.lock:
            key = path.lower()
            if key not in self._queues and key not in self._topics:
                raise SettingsError(f"there is no entity {path}")
            for name in [name for name in self._queues if name == key or name.startswith(f"{key}/")]:
                self._queues.pop(name).deleted = True
            self._topics.pop(key, None)
            self._inlets.pop(key, None)
            topic, _, subscription = key.partition(SUBSCRIPTIONS)
            if subscription:
                del self._topics[topic].subscriptions[subscription]
        self.on_change()

    def reset(self) -> None:
        """Forget all entities, messages and faults."""
        with self.lock:
            for queue in self._queues.values():
                queue.deleted = True
            for entities in (self._queues, self._topics, self._inlets):
                entities.clear()
            self._faults.clear()
            self._ahead = 0.0
        self.on_change()

    # What is there

    @property
    def queues(self) -> list[QueueSettings]:
        """The settings of all queues."""
        with self.lock:
            return [queue.settings for queue in self._queues.values() if isinstance(queue.settings, QueueSettings)
                    and queue.dead_letters is not None]  # fmt: skip

    @property
    def topics(self) -> list[TopicSettings]:
        """The settings of all topics."""
        with self.lock:
            return [topic.settings for topic in self._topics.values()]

    def subscriptions(self, topic: str) -> list[SubscriptionSettings]:
        """Return the settings of a topic's subscriptions.

        Raises:
            SettingsError: there is no such topic.
        """
        with self.lock:
            return [subscription.settings for subscription in self._topic(topic).subscriptions.values()]

    def rules(self, topic: str, subscription: str) -> list[Rule]:
        """Return the rules of a subscription.

        Raises:
            SettingsError: there is no such subscription.
        """
        with self.lock:
            return list(self._subscription(topic, subscription).rules.values())

    def counts(self, path: str) -> MessageCounts:
        """Return how many messages a queue, a topic or a subscription (`topic/Subscriptions/name`) holds.

        Raises:
            SettingsError: there is no such entity.
        """
        with self.lock:
            if topic := self._topics.get(path.lower()):
                return MessageCounts(active=0, dead_letter=0, scheduled=topic.scheduled, deferred=0)
            queue = self._queues.get(path.lower())
            if queue is None:
                raise SettingsError(f"there is no entity {path}")
            buried = queue.dead_letters
            return MessageCounts(
                active=queue.count("active"),
                dead_letter=buried.count("active") + buried.count("deferred") if buried is not None else 0,
                scheduled=queue.count("scheduled"),
                deferred=queue.count("deferred"),
            )

    # Faults and time

    def inject(
        self,
        path: str,
        operation: Operation,
        *,
        times: int = 1,
        refusal: Callable[[], ServiceError] = errors.server_busy,
    ) -> None:
        """Refuse the next operations of a kind on an entity: as a busy server, unless told otherwise."""
        with self.lock:
            self._faults.append(_Fault(path.lower(), operation, refusal, times))

    def check_fault(self, path: str, operation: Operation) -> None:
        """Refuse an operation if that has been asked for. For links.

        Raises:
            ServiceError: it has.
        """
        for fault in self._faults:
            if (fault.path, fault.operation) == (path.lower(), operation):
                fault.times -= 1
                if not fault.times:
                    self._faults.remove(fault)
                raise fault.refusal()

    def now(self) -> float:
        """Return the time of this broker, in seconds since the Unix epoch."""
        return self._clock() + self._ahead

    def token_time(self) -> float:
        """Return the time that tokens are compared with: the clock's own, by which clients make them."""
        return self._clock()

    def advance(self, seconds: float) -> None:
        """Let time pass at once: locks expire, messages fall due, as if so many seconds had gone by.

        Tokens do not expire by it: a client would make no new one.
        """
        with self.lock:
            self._ahead += seconds
        self.on_change()

    # For links

    def knows(self, path: str) -> bool:
        """Return whether there is a queue or a topic that a path leads to, or into."""
        head = path.lower().split("/$")[0]
        return head in self._queues or head.split(SUBSCRIPTIONS)[0] in self._topics

    def inlet(self, path: str) -> Inlet:
        """Return the way into a queue or a topic.

        Raises:
            ServiceError: there is none of this name.
        """
        found = self._inlets.get(path.lower())
        if found is None:
            raise errors.entity_not_found(path)
        return found

    def outlet(self, path: str) -> Queue:
        """Return the queue, subscription or dead-letter queue that messages can be received from.

        Raises:
            ServiceError: there is none of this name.
        """
        found = self._queues.get(path.lower())
        if found is None:
            raise errors.entity_not_found(path)
        return found

    def sweep(self) -> None:
        """Do everything that has fallen due."""
        for entity in self._entities():
            entity.sweep()

    def next_deadline(self) -> float | None:
        """Return in how many seconds something may fall due next."""
        times = [entity.next_deadline() for entity in self._entities()]
        due = min((at for at in times if at is not None), default=None)
        return None if due is None else max(0.0, due - self.now())

    # How it works

    def _entities(self) -> list[Topic | Queue]:
        return [*self._topics.values(), *self._queues.values()]

    def _check_new(self, name: str, settings: QueueSettings | TopicSettings) -> None:
        check_settings(settings, self._accept_short_durations)
        if name.lower() in self._inlets:
            raise SettingsError(f"there is an entity {name} already")

    def _new_queue(self, path: str, settings: ReceiverSettings) -> Queue:
        buried = dataclasses.replace(settings, requires_session=False)
        dead_letters = Queue(path + DEAD_LETTER_SUFFIX, buried, self.now)
        queue = Queue(path, settings, self.now, dead_letters)
        self._queues[path.lower()] = queue
        self._queues[dead_letters.path.lower()] = dead_letters
        return queue

    def _topic(self, name: str) -> Topic:
        found = self._topics.get(name.lower())
        if found is None:
            raise SettingsError(f"there is no topic {name}")
        return found

    def _subscription(self, topic: str, name: str) -> Subscription:
        found = self._topic(topic).subscriptions.get(name.lower())
        if found is None:
            raise SettingsError(f"topic {topic} has no subscription {name}")
        return found
