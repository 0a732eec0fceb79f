"""What an entity can be set to: the names are those of Azure Resource Manager, in snake case.

Limits and defaults: Microsoft.ServiceBus/namespaces/queues, topics and subscriptions (ARM reference); Service Bus
quotas.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from ringfence.emulators.service_bus.errors import SettingsError

__all__ = [
    "AuthorizationRule",
    "EntitySettings",
    "EntityStatus",
    "MessageCounts",
    "QueueSettings",
    "ReceiverSettings",
    "SubscriptionSettings",
    "TopicSettings",
    "check_settings",
]

EntityStatus = Literal["Active", "Disabled", "SendDisabled", "ReceiveDisabled"]
Right = Literal["Listen", "Send", "Manage"]

NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/~-]*[A-Za-z0-9_~-])?")


@dataclass(frozen=True)
class AuthorizationRule:
    """A shared access policy of the namespace: a key, and what its bearer may do. Manage holds the other two."""

    name: str
    key: str
    rights: frozenset[Right] = frozenset(("Listen", "Send", "Manage"))

    def __repr__(self) -> str:
        """Leave the key out."""
        return f"AuthorizationRule(name={self.name!r}, rights={sorted(self.rights)})"


@dataclass(frozen=True, kw_only=True)
class MessageCounts:
    """How many messages an entity holds. `active` are those ready for delivery and those locked by a receiver."""

    active: int
    dead_letter: int
    scheduled: int
    deferred: int


@dataclass(frozen=True, kw_only=True)
class EntitySettings:
    """What all entities have. A time to live of None is the service's default: messages never expire.

    `auto_delete_on_idle`, `enable_batched_operations` and `user_metadata` are kept and given back; nothing acts on
    them.
    """

    name: str
    default_message_time_to_live: timedelta | None = None
    status: EntityStatus = "Active"
    auto_delete_on_idle: timedelta | None = None
    enable_batched_operations: bool = True
    user_metadata: str | None = None


@dataclass(frozen=True, kw_only=True)
class ReceiverSettings(EntitySettings):
    """What entities have that messages are received from: queues and subscriptions."""

    lock_duration: timedelta = timedelta(minutes=1)
    max_delivery_count: int = 10
    dead_lettering_on_message_expiration: bool = False
    requires_session: bool = False
    forward_to: str | None = None
    forward_dead_lettered_messages_to: str | None = None


@dataclass(frozen=True, kw_only=True)
class SenderSettings(EntitySettings):
    """What entities have that messages are sent to: queues and topics.

    `enable_express` and `enable_partitioning` are kept and given back; nothing acts on them. The message size is that
    of the Standard tier unless set; Premium starts at 1024.
    """

    requires_duplicate_detection: bool = False
    duplicate_detection_history_time_window: timedelta = timedelta(minutes=10)
    max_size_in_megabytes: int = 1024
    max_message_size_in_kilobytes: int = 256
    enable_express: bool = False
    enable_partitioning: bool = False


@dataclass(frozen=True, kw_only=True)
class QueueSettings(ReceiverSettings, SenderSettings):
    """A queue."""


@dataclass(frozen=True, kw_only=True)
class TopicSettings(SenderSettings):
    """A topic. `support_ordering` is kept and given back: order is kept in any case."""

    support_ordering: bool = False


@dataclass(frozen=True, kw_only=True)
class SubscriptionSettings(ReceiverSettings):
    """A subscription of a topic."""

    topic_name: str
    dead_lettering_on_filter_evaluation_exceptions: bool = True


def check_settings(settings: EntitySettings, accept_short_durations: bool) -> None:
    """Refuse what the service refuses, and what this fake does not do.

    With `accept_short_durations` the service's lower limits do not count, so that tests need not wait for them.

    Raises:
        SettingsError: a setting is out of its range or not supported.
    """
    longest_name = 50 if isinstance(settings, SubscriptionSettings) else 260
    if not NAME.fullmatch(settings.name) or len(settings.name) > longest_name:
        raise SettingsError(
            f"{settings.name!r} is no name of an entity: letters, digits and . - _ / ~, at most {longest_name}"
        )
    least = timedelta(0) if accept_short_durations else None
    time_to_live = settings.default_message_time_to_live
    if time_to_live is not None:
        _within(settings, "default_message_time_to_live", time_to_live, least or timedelta(seconds=1), timedelta.max)
    if settings.auto_delete_on_idle is not None:
        idle = settings.auto_delete_on_idle
        _within(settings, "auto_delete_on_idle", idle, timedelta(minutes=5), timedelta.max)
    if isinstance(settings, ReceiverSettings):
        shortest = timedelta(seconds=5) if least is None else least
        _within(settings, "lock_duration", settings.lock_duration, shortest, timedelta(minutes=5))
        if not 1 <= settings.max_delivery_count <= 2000:
            raise SettingsError(
                f"{settings.name}: max_delivery_count is {settings.max_delivery_count}, expected 1 to 2000"
            )
        for name in ("forward_to", "forward_dead_lettered_messages_to"):
            if getattr(settings, name):
                raise SettingsError(f"{settings.name}: {name} is not supported by this emulator")
    if isinstance(settings, SenderSettings):
        window = settings.duplicate_detection_history_time_window
        shortest = timedelta(seconds=20) if least is None else least
        _within(settings, "duplicate_detection_history_time_window", window, shortest, timedelta(days=7))
        if not 1 <= settings.max_message_size_in_kilobytes <= 102_400:
            raise SettingsError(f"{settings.name}: max_message_size_in_kilobytes is not within 1 to 102400")
        if settings.max_size_in_megabytes < 1:
            raise SettingsError(f"{settings.name}: max_size_in_megabytes is less than 1")


def _within(settings: EntitySettings, name: str, value: timedelta, shortest: timedelta, longest: timedelta) -> None:
    if not shortest <= value <= longest or value <= timedelta(0):
        raise SettingsError(f"{settings.name}: {name} is {value}, expected {shortest} to {longest}")
