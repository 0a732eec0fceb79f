"""What the conformance suite of Service Bus runs against: the fake, or the official emulator where one is up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol

from azure.core.pipeline.transport import RequestsTransport
from azure.servicebus.management import (
    CorrelationRuleFilter,
    ServiceBusAdministrationClient,
    SqlRuleFilter,
    TrueRuleFilter,
)

from ringfence.emulators.service_bus import (
    CorrelationFilter,
    QueueSettings,
    Rule,
    ServiceBusFake,
    SqlFilter,
    SubscriptionSettings,
    TopicSettings,
    TrueFilter,
)

OFFICIAL = "RINGFENCE_TEST_SERVICE_BUS_CONNECTION_STRING"
OFFICIAL_ADMINISTRATION = "RINGFENCE_TEST_SERVICE_BUS_ADMINISTRATION_CONNECTION_STRING"
"""Set both to run the suite against an official emulator: its AMQP port, and its administration port."""

Filter = str | dict[str, Any] | None
"""An SQL condition, the properties of a correlation filter, or None for every message."""


class Backend(Protocol):
    """A namespace in which entities can be made. Settings have the names of Azure Resource Manager."""

    connection_string: str
    lock: timedelta
    """The shortest lock that can be had: tests wait for it."""

    def create_queue(self, name: str, **settings: Any) -> None: ...

    def create_topic(self, name: str, **settings: Any) -> None: ...

    def create_subscription(self, topic: str, name: str, wanted: Filter = None, **settings: Any) -> None: ...


class FakeBackend:
    lock = timedelta(seconds=1.5)

    def __init__(self, fake: ServiceBusFake) -> None:
        self.fake = fake
        self.connection_string = fake.environment()["RINGFENCE_SERVICE_BUS_CONNECTION_STRING"]

    def create_queue(self, name: str, **settings: Any) -> None:
        self.fake.broker.create_queue(QueueSettings(name=name, **settings))

    def create_topic(self, name: str, **settings: Any) -> None:
        self.fake.broker.create_topic(TopicSettings(name=name, **settings))

    def create_subscription(self, topic: str, name: str, wanted: Filter = None, **settings: Any) -> None:
        rule = Rule("wanted", SqlFilter(wanted) if isinstance(wanted, str) else _correlation(wanted))
        self.fake.broker.create_subscription(SubscriptionSettings(topic_name=topic, name=name, **settings), [rule])


class OfficialBackend:
    lock = timedelta(seconds=5)

    def __init__(self, connection_string: str, administration: ServiceBusAdministrationClient) -> None:
        self.connection_string = connection_string
        self.administration = administration

    def create_queue(self, name: str, **settings: Any) -> None:
        self.administration.create_queue(name, **settings)

    def create_topic(self, name: str, **settings: Any) -> None:
        self.administration.create_topic(name, **settings)

    def create_subscription(self, topic: str, name: str, wanted: Filter = None, **settings: Any) -> None:
        self.administration.create_subscription(topic, name, **settings)
        self.administration.delete_rule(topic, name, "$Default")
        rule = TrueRuleFilter() if wanted is None else None
        rule = rule or (SqlRuleFilter(wanted) if isinstance(wanted, str) else CorrelationRuleFilter(**(wanted or {})))
        self.administration.create_rule(topic, name, "wanted", filter=rule)


class PlainHttp(RequestsTransport):
    """Asks without TLS: the official emulator's administration has none, and the SDK's client knows nothing else."""

    def send(self, request: Any, **options: Any) -> Any:
        request.url = request.url.replace("https://", "http://", 1)
        return super().send(request, **options)


@contextmanager
def backend() -> Iterator[Backend]:
    """Give the backend that the environment asks for; the fake unless it names another."""
    if official := os.environ.get(OFFICIAL):
        administration = os.environ[OFFICIAL_ADMINISTRATION]
        with ServiceBusAdministrationClient.from_connection_string(administration, transport=PlainHttp()) as client:
            yield OfficialBackend(official, client)
        return
    with ServiceBusFake(accept_short_durations=True) as fake:
        yield FakeBackend(fake)
        assert fake.faults == []


def _correlation(wanted: dict[str, Any] | None) -> CorrelationFilter | TrueFilter:
    return TrueFilter() if wanted is None else CorrelationFilter(**wanted)
