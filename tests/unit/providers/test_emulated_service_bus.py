"""Service Bus entities as the fake has them, from what a program declares."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from ringfence.emulators.interface import EmulatorError
from ringfence.emulators.service_bus import AuthorizationRule, CorrelationFilter, QueueSettings, Rule, SqlFilter
from ringfence.providers.emulated import EmulatedProvider, Gap
from ringfence.providers.emulated.service_bus import ServiceBusService
from tests.unit.providers.registrations import registration

OWNERS = {"resourceGroupName": "g", "namespaceName": "bus"}


class Bus:
    def __init__(self, service: ServiceBusService) -> None:
        self.service = service
        self.provider = EmulatedProvider([service])

    @property
    def broker(self) -> Any:
        return self.service.fake("bus").broker

    def make(self, kind: str, name: str, /, **inputs: Any) -> list[Gap]:
        """Make a resource and return what is not as declared."""
        declared = registration(f"azure-native:servicebus:{kind}", name, **OWNERS, **inputs)
        self.provider.deploy(declared)
        (entry,) = [entry for entry in self.provider.report if entry.urn == declared.urn]
        return list(entry.gaps)


@pytest.fixture
def bus() -> Iterator[Bus]:
    service = ServiceBusService()
    yield Bus(service)
    service.stop()


def test_a_queue_has_all_settings_that_are_declared(bus: Bus) -> None:
    found = bus.make(
        "Queue",
        "jobs",
        queueName="jobs",
        autoDeleteOnIdle="P10D",
        deadLetteringOnMessageExpiration=True,
        defaultMessageTimeToLive="P1DT12H",
        duplicateDetectionHistoryTimeWindow="PT1H30M",
        enableBatchedOperations=False,
        enableExpress=False,
        enablePartitioning=False,
        lockDuration="PT45.5S",
        maxDeliveryCount=7,
        maxSizeInMegabytes=2048,
        requiresDuplicateDetection=True,
        requiresSession=True,
        status="SendDisabled",
    )

    assert bus.broker.queues == [
        QueueSettings(
            name="jobs",
            auto_delete_on_idle=timedelta(days=10),
            dead_lettering_on_message_expiration=True,
            default_message_time_to_live=timedelta(days=1, hours=12),
            duplicate_detection_history_time_window=timedelta(hours=1, minutes=30),
            enable_batched_operations=False,
            lock_duration=timedelta(seconds=45.5),
            max_delivery_count=7,
            max_size_in_megabytes=2048,
            requires_duplicate_detection=True,
            requires_session=True,
            status="SendDisabled",
        )
    ]
    assert [(gap.property, gap.reason) for gap in found] == [
        ("autoDeleteOnIdle", "the fake keeps the setting and does not act on it"),
        ("enableBatchedOperations", "the fake keeps the setting and does not act on it"),
    ]


def test_forwarding_is_left_out_and_said(bus: Bus) -> None:
    found = bus.make("Queue", "jobs", queueName="jobs", forwardTo="other", somethingNew=1)

    assert bus.broker.queues == [QueueSettings(name="jobs")]
    assert found == [
        Gap("forwardTo", "the fake does not forward messages", "other"),
        Gap("somethingNew", "the emulator has no such setting", "1"),
    ]


def test_messages_of_a_premium_namespace_may_be_larger(bus: Bus) -> None:
    bus.make("Namespace", "bus", **{"sku": {"name": "Premium", "tier": "Premium"}})
    bus.make("Queue", "jobs", queueName="jobs")
    premium = bus.service.fake("bus").broker.queues[0]

    assert premium.max_message_size_in_kilobytes == 1024


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"maxDeliveryCount": 5000}, "max_delivery_count is 5000, expected 1 to 2000"),
        ({"lockDuration": "PT10M"}, "lock_duration is 0:10:00, expected 0:00:05 to 0:05:00"),
        ({"lockDuration": "ten minutes"}, "lockDuration is 'ten minutes', expected a duration such as PT1M or P14D"),
        ({"defaultMessageTimeToLive": "P"}, "defaultMessageTimeToLive is 'P', expected a duration"),
    ],
)
def test_what_the_service_refuses_is_refused(bus: Bus, inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(EmulatorError, match=message):
        bus.make("Queue", "jobs", queueName="jobs", **inputs)


def test_a_subscription_gets_its_rules(bus: Bus) -> None:
    assert bus.make("Topic", "news", topicName="news", supportOrdering=False) == []
    path = {"topicName": "news", "subscriptionName": "mine"}
    assert bus.make("Subscription", "mine", **path, maxDeliveryCount=3, lockDuration="PT1M") == []
    large = {"filterType": "SqlFilter", "sqlFilter": {"sqlExpression": "size > 3"}}
    assert bus.make("Rule", "$Default", **path, ruleName="$Default", **large) == []
    red = {
        "filterType": "CorrelationFilter",
        "correlationFilter": {"correlationId": "x", "properties": {"colour": "red"}},
    }
    assert bus.make("Rule", "red", **path, ruleName="red", **red) == []
    action = bus.make("Rule", "acts", **path, ruleName="acts", action={"sqlExpression": "SET a = 1"}, **large)

    (subscription,) = bus.broker.subscriptions("news")
    assert (subscription.name, subscription.max_delivery_count) == ("mine", 3)
    assert bus.broker.rules("news", "mine")[:2] == [
        Rule("$Default", SqlFilter("size > 3")),
        Rule("red", CorrelationFilter(correlation_id="x", properties={"colour": "red"})),
    ]
    assert action == [Gap("action.sqlExpression", "the fake has no actions of rules", "SET a = 1")]


def test_an_access_policy_has_a_key_that_the_program_may_ask_for(bus: Bus) -> None:
    rule = {"authorizationRuleName": "sender"}
    assert bus.make("NamespaceAuthorizationRule", "sender", **rule, rights=["Send"]) == []
    answer = bus.provider.invoke("azure-native:servicebus:listNamespaceKeys", {**OWNERS, **rule}, {})
    kept = bus.broker.authorization_rules["sender"]

    assert kept == AuthorizationRule("sender", kept.key, frozenset(("Send",)))
    assert answer.value["primaryKey"] == kept.key
    assert f"SharedAccessKeyName=sender;SharedAccessKey={kept.key};" in answer.value["primaryConnectionString"]


def test_each_namespace_is_a_fake_with_variables_of_its_own(bus: Bus) -> None:
    one, two = bus.service.fake("first"), bus.service.fake("the-second")
    variables = bus.service.environment()
    name = "RINGFENCE_SERVICE_BUS_CONNECTION_STRING"

    assert variables[name] == variables[f"{name}_FIRST"] == one.environment()[name]
    assert variables[f"{name}_THE_SECOND"] == two.environment()[name]
    bus.service.stop()
    assert bus.service.environment() == {}
