"""Entities, what is checked on the way in, topics, tokens and faults."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from ringfence.emulators.service_bus import (
    AuthorizationRule,
    Broker,
    MessageCounts,
    QueueSettings,
    Rule,
    ServiceError,
    SettingsError,
    SqlFilter,
    SubscriptionSettings,
    TopicSettings,
)
from ringfence.emulators.service_bus.cbs import check_claims, claim_of, path_of
from ringfence.emulators.service_bus.settings import EntitySettings
from tests.unit.emulators.service_bus.helpers import START, ManualClock, message, text_of, token_of

KEY = "c2VjcmV0"
HOST = "sb://127.0.0.1:5672"
RULES = [AuthorizationRule("root", KEY), AuthorizationRule("reader", "b3RoZXI=", frozenset(("Listen",)))]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def broker(clock: ManualClock) -> Broker:
    broker = Broker(RULES, clock=clock)
    broker.create_queue(QueueSettings(name="Orders"))
    broker.create_topic(TopicSettings(name="events"))
    broker.create_subscription(SubscriptionSettings(topic_name="events", name="all"))
    return broker


def refused(call: Callable[[], object]) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        call()
    return caught.value


def counts(**given: int) -> MessageCounts:
    return MessageCounts(**{"active": 0, "dead_letter": 0, "scheduled": 0, "deferred": 0, **given})


# Entities


def test_entities_are_found_whatever_their_case(broker: Broker) -> None:
    settings = QueueSettings(name="late", lock_duration=timedelta(seconds=30), user_metadata="mine")
    broker.create_queue(settings)

    assert broker.queues == [QueueSettings(name="Orders"), settings]
    assert broker.topics == [TopicSettings(name="events")]
    assert broker.subscriptions("EVENTS") == [SubscriptionSettings(topic_name="events", name="all")]
    assert [rule.name for rule in broker.rules("events", "all")] == ["$Default"]
    assert broker.outlet("orders/$deadletterqueue").path == "Orders/$DeadLetterQueue"
    assert broker.outlet("events/subscriptions/ALL").path == "events/Subscriptions/all"
    assert broker.inlet("ORDERS").target is broker.outlet("orders")


@pytest.mark.parametrize("path", ["nowhere", "events/Subscriptions/nobody", "events", "orders/$Transfer"])
def test_what_is_not_there_is_not_found(broker: Broker, path: str) -> None:
    error = refused(lambda: broker.outlet(path))

    assert (error.condition, error.status) == ("amqp:not-found", 404)
    assert f"The messaging entity '{path}' could not be found." in error.description


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (QueueSettings(name="orders"), "there is an entity orders already"),
        (QueueSettings(name="events"), "there is an entity events already"),
        (QueueSettings(name="a b"), "no name of an entity"),
        (QueueSettings(name="x" * 261), "no name of an entity"),
        (QueueSettings(name="q", lock_duration=timedelta(seconds=4)), "lock_duration is 0:00:04, expected 0:00:05"),
        (QueueSettings(name="q", lock_duration=timedelta(minutes=6)), "lock_duration is 0:06:00"),
        (QueueSettings(name="q", max_delivery_count=0), "max_delivery_count is 0, expected 1 to 2000"),
        (QueueSettings(name="q", default_message_time_to_live=timedelta(0)), "default_message_time_to_live"),
        (QueueSettings(name="q", duplicate_detection_history_time_window=timedelta(seconds=1)), "window is 0:00:01"),
        (QueueSettings(name="q", max_message_size_in_kilobytes=0), "max_message_size_in_kilobytes"),
        (QueueSettings(name="q", max_size_in_megabytes=0), "max_size_in_megabytes"),
        (QueueSettings(name="q", auto_delete_on_idle=timedelta(seconds=1)), "auto_delete_on_idle"),
        (QueueSettings(name="q", forward_to="orders"), "forward_to is not supported"),
        (QueueSettings(name="q", forward_dead_lettered_messages_to="o"), "forward_dead_lettered_messages_to is not"),
        (SubscriptionSettings(topic_name="events", name="all"), "has a subscription all already"),
        (SubscriptionSettings(topic_name="events", name="x" * 51), "at most 50"),
        (SubscriptionSettings(topic_name="nowhere", name="s"), "there is no topic nowhere"),
    ],
)
def test_settings_that_are_refused(broker: Broker, settings: EntitySettings, said: str) -> None:
    create: Any = broker.create_queue if isinstance(settings, QueueSettings) else broker.create_subscription
    with pytest.raises(SettingsError) as caught:
        create(settings)
    assert said in str(caught.value)


def test_short_durations_can_be_accepted() -> None:
    broker = Broker(accept_short_durations=True)
    broker.create_queue(QueueSettings(name="q", lock_duration=timedelta(milliseconds=10)))

    with pytest.raises(SettingsError):
        broker.create_queue(QueueSettings(name="r", lock_duration=timedelta(0)))


def test_a_deleted_entity_is_gone(broker: Broker) -> None:
    queue = broker.outlet("Orders")
    broker.delete("orders")
    broker.delete("events/Subscriptions/ALL")

    assert queue.deleted
    assert broker.queues == []
    assert broker.subscriptions("events") == []
    broker.delete("events")
    assert broker.topics == []
    with pytest.raises(SettingsError):
        broker.delete("orders")


def test_a_reset_forgets_all(broker: Broker) -> None:
    broker.inject("orders", "send")
    broker.advance(100)
    broker.reset()

    assert (broker.queues, broker.topics, broker.now()) == ([], [], START)
    broker.check_fault("orders", "send")


def test_messages_are_counted_by_state(broker: Broker) -> None:
    queue = broker.outlet("orders")
    broker.inlet("orders").send([message(str(index)) for index in range(4)])
    broker.inlet("orders").send([message("later", at=START + 60)])
    queue.defer(token_of(queue.receive()))
    queue.dead_letter(token_of(queue.receive()))
    queue.receive()

    assert broker.counts("Orders") == counts(active=2, dead_letter=1, scheduled=1, deferred=1)
    broker.advance(60)
    assert broker.counts("Orders") == counts(active=3, dead_letter=1, deferred=1)
    with pytest.raises(SettingsError):
        broker.counts("nowhere")


# The way in


@pytest.mark.parametrize(
    ("status", "sends", "said"), [("Active", True, ""), ("SendDisabled", False, "disabled"), ("Disabled", False, "dis")]
)
def test_a_disabled_queue_takes_nothing(broker: Broker, status: Any, sends: bool, said: str) -> None:
    broker.create_queue(QueueSettings(name="q", status=status))
    if sends:
        assert broker.inlet("q").send([message()]) == [1]
    else:
        error = refused(lambda: broker.inlet("q").send([message()]))
        assert error.condition == "com.microsoft:entity-disabled"
        assert said in error.description


def test_duplicates_are_dropped_while_they_are_remembered(broker: Broker, clock: ManualClock) -> None:
    window = timedelta(seconds=20)
    settings = QueueSettings(
        name="q", requires_duplicate_detection=True, duplicate_detection_history_time_window=window
    )
    broker.create_queue(settings)
    inlet = broker.inlet("q")
    first = inlet.send([message(message_id="a"), message(message_id="a"), message(message_id="b"), message()])
    clock.wait(19)
    second = inlet.send([message(message_id="a"), message()])
    clock.wait(1)
    third = inlet.send([message(message_id="a")])

    assert (first, second, third) == ([1, 0, 2, 3], [0, 4], [5])


def test_a_full_queue_takes_no_more(broker: Broker) -> None:
    broker.create_queue(QueueSettings(name="q", max_size_in_megabytes=1, max_message_size_in_kilobytes=1024))
    inlet, queue = broker.inlet("q"), broker.outlet("q")
    inlet.send([message("x" * 900_000)])
    error = refused(lambda: inlet.send([message("x" * 200_000)]))
    # What is dead still takes room.
    queue.dead_letter(token_of(queue.receive()))

    assert error.condition == "amqp:resource-limit-exceeded"
    assert "Max entity size in bytes:1048576." in error.description
    assert refused(lambda: inlet.send([message("x" * 200_000)])).condition == "amqp:resource-limit-exceeded"
    inlet.send([message("small")])


def test_a_batch_is_taken_whole_or_not_at_all(broker: Broker) -> None:
    broker.create_queue(QueueSettings(name="s", requires_session=True))
    error = refused(lambda: broker.inlet("s").send([message(session_id="a"), message()]))

    assert error.condition == "amqp:not-allowed"
    assert broker.counts("s") == counts()


# Topics


def test_each_subscription_gets_its_own_copy(broker: Broker) -> None:
    broker.create_subscription(
        SubscriptionSettings(topic_name="events", name="red"), [Rule("r", SqlFilter("c = 'red'"))]
    )
    broker.inlet("events").send([message("1", c="red"), message("2", c="blue"), message("3")])
    everything, red = broker.outlet("events/Subscriptions/all"), broker.outlet("events/Subscriptions/red")

    assert [text_of(everything.receive()) for _ in range(4)] == ["1", "2", "3", None]
    got = red.receive()
    assert text_of(got) == "1"
    red.dead_letter(token_of(got), "R", None)
    assert broker.counts("events/Subscriptions/red") == counts(dead_letter=1)
    assert broker.counts("events/Subscriptions/all") == counts(active=3)
    assert broker.outlet("events/Subscriptions/all").peek(1, 1)[0].application_properties == {"c": "red"}


def test_rules_can_be_exchanged(broker: Broker) -> None:
    broker.create_rule("events", "all", Rule("only", SqlFilter("n = 1")))
    broker.delete_rule("events", "all", "$Default")
    broker.inlet("events").send([message("no", n=2), message("yes", n=1)])

    assert text_of(broker.outlet("events/Subscriptions/all").receive()) == "yes"
    for name, call in (
        ("only", lambda: broker.create_rule("events", "all", Rule("only", SqlFilter("n = 1")))),
        ("none", lambda: broker.delete_rule("events", "all", "none")),
        ("nobody", lambda: broker.create_rule("events", "nobody", Rule("r", SqlFilter("n = 1")))),
    ):
        with pytest.raises(SettingsError, match=name):
            call()


def test_a_topic_keeps_messages_until_their_time(broker: Broker, clock: ManualClock) -> None:
    inlet, queue = broker.inlet("events"), broker.outlet("events/Subscriptions/all")
    numbers = inlet.send([message("a", at=START + 5), message("b", at=START + 5)])
    inlet.target.cancel_scheduled(numbers[:1])
    assert broker.counts("events") == counts(scheduled=1)
    assert broker.next_deadline() == 5
    assert queue.receive() is None
    clock.wait(5)
    broker.sweep()

    assert [text_of(queue.receive()), queue.receive()] == ["b", None]
    assert refused(lambda: inlet.target.cancel_scheduled(numbers)).condition == "com.microsoft:message-not-found"


def test_a_topic_has_a_time_to_live_too(broker: Broker, clock: ManualClock) -> None:
    broker.create_topic(TopicSettings(name="short", default_message_time_to_live=timedelta(seconds=5)))
    broker.create_subscription(
        SubscriptionSettings(topic_name="short", name="s", dead_lettering_on_message_expiration=True)
    )
    broker.inlet("short").send([message(ttl=60), message(ttl=2), message()])
    expired = []
    for _ in range(6):
        clock.wait(1)
        expired.append(broker.counts("short/Subscriptions/s").dead_letter)

    assert expired == [0, 1, 1, 1, 3, 3]


@pytest.mark.parametrize(("kept", "expected"), [(True, 1), (False, 0)])
def test_a_rule_that_cannot_be_evaluated(broker: Broker, kept: bool, expected: int) -> None:
    settings = SubscriptionSettings(
        topic_name="events", name="odd", dead_lettering_on_filter_evaluation_exceptions=kept
    )
    broker.create_subscription(settings, [Rule("r", SqlFilter("n > 5"))])
    broker.inlet("events").send([message(n="text")])

    assert broker.counts("events/Subscriptions/odd") == counts(dead_letter=expected)


def test_a_subscription_with_sessions_buries_what_has_none(broker: Broker) -> None:
    broker.create_subscription(SubscriptionSettings(topic_name="events", name="s", requires_session=True))
    broker.inlet("events").send([message("a", session_id="x"), message("b")])

    assert broker.counts("events/Subscriptions/s") == counts(active=1, dead_letter=1)
    (dead,) = broker.outlet("events/Subscriptions/s/$DeadLetterQueue").peek(0, 10)
    assert dead.application_properties["DeadLetterReason"] == "Session ID is null."


# Faults


def test_a_fault_comes_as_often_as_asked_for(broker: Broker) -> None:
    broker.inject("Orders", "send", times=2)
    broker.check_fault("orders", "receive")
    errors = [refused(lambda: broker.check_fault("orders", "send")) for _ in range(2)]
    broker.check_fault("orders", "send")

    assert [error.condition for error in errors] == ["com.microsoft:server-busy"] * 2
    assert "50002" in errors[0].description


# Tokens


def signed(resource: str, key: str = KEY, name: str = "root", expiry: float = START + 60) -> str:
    encoded = quote(resource, safe="")
    digest = hmac.new(key.encode(), f"{encoded}\n{int(expiry)}".encode(), hashlib.sha256).digest()
    signature = quote(base64.b64encode(digest), safe="")
    return f"SharedAccessSignature sr={encoded}&sig={signature}&se={int(expiry)}&skn={name}"


def entra(**claims: Any) -> str:
    payload = {"aud": "https://servicebus.azure.net", "exp": START + 60, **claims}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, payload)]
    return ".".join([*parts, "unsigned"])


@pytest.mark.parametrize(
    ("token", "condition"),
    [
        (signed(f"{HOST}/orders"), None),
        (signed(HOST), None),
        (signed(f"{HOST}/ORDERS/"), None),
        (signed(f"{HOST}/orders", key="d3Jvbmc="), "InvalidSignature"),
        (signed(f"{HOST}/orders", name="nobody"), "InvalidSignature"),
        (signed(f"{HOST}/orders", expiry=START), "ExpiredToken"),
        (signed(f"{HOST}/order"), "InvalidAudience"),
        (signed("sb://elsewhere/orders"), "InvalidAudience"),
        (signed(HOST).replace("&se=1700000060", "&se=1700009999"), "InvalidSignature"),
        ("SharedAccessSignature nonsense", "InvalidSignature"),
        (entra(), None),
        (entra(aud="https://management.azure.com"), "InvalidAudience"),
        (entra(exp=START), "ExpiredToken"),
        (entra(exp="soon"), "ExpiredToken"),
        ("no.token.here", "InvalidSignature"),
        ("nothing", "InvalidSignature"),
        (None, "InvalidSignature"),
    ],
)
def test_tokens_are_checked(broker: Broker, token: str | None, condition: str | None) -> None:
    if condition is None:
        assert claim_of(broker, f"{HOST}/orders", token).path == "orders"
        return
    error = refused(lambda: claim_of(broker, f"{HOST}/orders", token))
    assert (error.condition, error.status) == ("amqp:unauthorized-access", 401)
    assert error.description.startswith(f"{condition}: ")


def test_no_key_gets_into_a_message(broker: Broker) -> None:
    error = refused(lambda: claim_of(broker, f"{HOST}/orders", signed(HOST, key="d3Jvbmc=")))

    assert KEY not in error.description
    assert KEY not in repr(RULES)


def test_the_token_comes_before_the_entity(broker: Broker) -> None:
    missing = f"{HOST}/nowhere"

    assert refused(lambda: claim_of(broker, missing, signed(missing))).status == 404
    assert refused(lambda: claim_of(broker, missing, signed(missing, key="d3Jvbmc="))).status == 401
    claim_of(broker, f"{HOST}/events/Subscriptions/nobody", signed(HOST))


def test_keys_can_be_switched_off(clock: ManualClock) -> None:
    broker = Broker(RULES, clock=clock, disable_local_auth=True)
    broker.create_queue(QueueSettings(name="orders"))

    assert "LocalAuthDisabled" in refused(lambda: claim_of(broker, f"{HOST}/orders", signed(HOST))).description
    assert claim_of(broker, f"{HOST}/orders", entra()).path == "orders"


def test_a_claim_covers_what_is_under_its_path(broker: Broker) -> None:
    root = claim_of(broker, f"{HOST}/orders", signed(HOST))
    reader = claim_of(broker, f"{HOST}/orders", signed(HOST, "b3RoZXI=", "reader"))

    check_claims([root], "Orders/$DeadLetterQueue", "Listen", START)
    check_claims([root], "orders", "Send", START)
    check_claims([reader], "orders", "Listen", START)
    for claims, path, right, now in (
        ([reader], "orders", "Send", START),
        ([root], "orders2", "Send", START),
        ([root], "orders", "Send", START + 60),
        ([], "orders", "Listen", START),
    ):
        error = refused(lambda: check_claims(claims, path, right, now))  # type: ignore[arg-type]  # noqa: B023
        assert error.condition == "amqp:unauthorized-access"
        assert f"'{right}' claim(s) are required" in error.description


@pytest.mark.parametrize(
    ("address", "path"),
    [("q", "q"), ("/q/", "q"), ("sb://h:1/t/Subscriptions/s", "t/Subscriptions/s"), (None, ""), (b"q", "")],
)
def test_an_address_is_a_path_or_a_uri(address: object, path: str) -> None:
    assert path_of(address) == path
