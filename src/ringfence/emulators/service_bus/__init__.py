"""A fake of Azure Service Bus: an AMQP 1.0 broker in pure Python, for tests on loopback."""

from ringfence.emulators.service_bus.broker import Broker
from ringfence.emulators.service_bus.errors import ServiceError, SettingsError
from ringfence.emulators.service_bus.filters import CorrelationFilter, FalseFilter, Rule, SqlFilter, TrueFilter
from ringfence.emulators.service_bus.server import ServiceBusFake
from ringfence.emulators.service_bus.settings import (
    AuthorizationRule,
    MessageCounts,
    QueueSettings,
    SubscriptionSettings,
    TopicSettings,
)

__all__ = [
    "AuthorizationRule",
    "Broker",
    "CorrelationFilter",
    "FalseFilter",
    "MessageCounts",
    "QueueSettings",
    "Rule",
    "ServiceBusFake",
    "ServiceError",
    "SettingsError",
    "SqlFilter",
    "SubscriptionSettings",
    "TopicSettings",
    "TrueFilter",
]
