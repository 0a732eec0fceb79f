"""Service Bus as the official SDK sees it. The same cases run against the fake and the official emulator.

The SDK takes half a second to open a sender or a receiver, so that most cases share those of one queue.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from azure.servicebus import (
    NEXT_AVAILABLE_SESSION,
    AutoLockRenewer,
    ServiceBusClient,
    ServiceBusMessage,
    ServiceBusReceivedMessage,
    ServiceBusReceiveMode,
    ServiceBusReceiver,
    ServiceBusSender,
    ServiceBusSubQueue,
)
from azure.servicebus.aio import ServiceBusClient as AsyncClient
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageBodyType
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageNotFoundError,
    MessageSizeExceededError,
    MessagingEntityNotFoundError,
    OperationTimeoutError,
    ServiceBusAuthenticationError,
    ServiceBusError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)

from tests.integration.emulators.service_bus_backend import Backend, backend

# `keep_alive` off: its thread makes every close wait for half a second. Receivers have it unless they prefetch.
QUICK: dict[str, Any] = {"socket_timeout": 0.02, "keep_alive": 0}
RUN = uuid4().hex[:8]
NAMES = ("plain", "brief", "sessions", "unique", "short", "deleting", "shared", "listed")
QUEUES = tuple(f"{name}-{RUN}" for name in NAMES)
PLAIN, BRIEF, SESSIONS, UNIQUE, EXPIRING, DELETING, SHARED, LISTED = QUEUES
TOPIC = f"topic-{RUN}"
MAX_DELIVERIES = 3
LOCK = timedelta(seconds=5)
"""The shortest lock that the service allows: no case holds one as long, unless it is about locks."""
SOON = timedelta(seconds=1.5)
"""When a message is due: long enough for what a case does before, on a busy machine."""


@dataclass
class Bus:
    """The senders and receivers that cases share, by entity."""

    backend: Backend
    client: ServiceBusClient
    senders: dict[str, ServiceBusSender] = field(default_factory=dict)
    receivers: dict[str, ServiceBusReceiver] = field(default_factory=dict)

    @property
    def lock(self) -> float:
        return self.backend.lock.total_seconds()

    def open_queue(self, name: str, **options: Any) -> ServiceBusReceiver:
        return self.client.get_queue_receiver(name, **{**QUICK, "max_wait_time": 5, **options})

    def open_subscription(self, name: str, **options: Any) -> ServiceBusReceiver:
        return self.client.get_subscription_receiver(TOPIC, name, **{**QUICK, "max_wait_time": 5, **options})

    def open_session(self, session_id: Any, **options: Any) -> ServiceBusReceiver:
        return self.open_queue(SESSIONS, session_id=session_id, prefetch_count=1, **options)


@pytest.fixture(scope="module")
def bus() -> Iterator[Bus]:
    with backend() as namespace:
        make_entities(namespace)
        with ServiceBusClient.from_connection_string(namespace.connection_string, retry_total=0) as client:
            bus = Bus(namespace, client)
            bus.senders = {name: client.get_queue_sender(name, **QUICK) for name in QUEUES}
            bus.senders[TOPIC] = client.get_topic_sender(TOPIC, **QUICK)
            bus.receivers = {name: bus.open_queue(name) for name in (PLAIN, BRIEF, UNIQUE, EXPIRING, SHARED)}
            bus.receivers["shared too"] = bus.open_queue(SHARED)
            bus.receivers[DELETING] = bus.open_queue(DELETING, receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE)
            bus.receivers[LISTED] = bus.open_queue(LISTED, max_wait_time=0.5)
            for name in (PLAIN, BRIEF, EXPIRING):
                bus.receivers[f"{name}/dead"] = bus.open_queue(name, sub_queue=ServiceBusSubQueue.DEAD_LETTER)
            for name in ("all", "heavy", "red"):
                bus.receivers[f"{TOPIC}/{name}"] = bus.open_subscription(name)
            bus.receivers[f"{TOPIC}/dead"] = bus.open_subscription("all", sub_queue=ServiceBusSubQueue.DEAD_LETTER)
            handlers = [*bus.senders.values(), *bus.receivers.values()]
            with ThreadPoolExecutor(len(handlers)) as pool:
                list(pool.map(lambda handler: handler.__enter__(), handlers))
            yield bus
            with ThreadPoolExecutor(len(handlers)) as pool:
                list(pool.map(lambda handler: handler.close(), handlers))


def make_entities(namespace: Backend) -> None:
    namespace.create_queue(PLAIN, lock_duration=LOCK, max_delivery_count=MAX_DELIVERIES)
    namespace.create_queue(BRIEF, lock_duration=namespace.lock)
    namespace.create_queue(SESSIONS, lock_duration=namespace.lock, requires_session=True)
    window = timedelta(minutes=1)
    namespace.create_queue(UNIQUE, requires_duplicate_detection=True, duplicate_detection_history_time_window=window)
    namespace.create_queue(EXPIRING, dead_lettering_on_message_expiration=True)
    for name in (DELETING, SHARED, LISTED):
        namespace.create_queue(name)
    namespace.create_topic(TOPIC)
    namespace.create_subscription(TOPIC, "all", max_delivery_count=1)
    namespace.create_subscription(TOPIC, "heavy", "weight > 10 AND (colour <> 'red' OR sys.Label = 'urgent')")
    namespace.create_subscription(TOPIC, "red", {"properties": {"colour": "red"}})


class Queue:
    """A shared queue."""

    def __init__(self, bus: Bus, name: str) -> None:
        self.sender = bus.senders[name]
        self.receiver = bus.receivers[name]
        self.dead = bus.receivers[f"{name}/dead"]

    def send(self, *messages: ServiceBusMessage | str) -> None:
        self.sender.send_messages([ServiceBusMessage(item) if isinstance(item, str) else item for item in messages])

    def receive(self) -> ServiceBusReceivedMessage:
        return one(self.receiver)

    def empty(self) -> None:
        """Take what a failed case has left; the next one shall not suffer from it."""
        for receiver in (self.receiver, self.dead):
            while receiver.peek_messages():
                for message in receiver.receive_messages(max_message_count=10, max_wait_time=6):
                    receiver.complete_message(message)


@pytest.fixture
def queue(bus: Bus) -> Iterator[Queue]:
    """Return the queue of most cases."""
    queue = Queue(bus, PLAIN)
    yield queue
    queue.empty()


@pytest.fixture
def brief(bus: Bus) -> Iterator[Queue]:
    """Return the queue whose locks are the shortest that can be had."""
    queue = Queue(bus, BRIEF)
    yield queue
    queue.empty()


def one(receiver: ServiceBusReceiver, wait: float = 5) -> ServiceBusReceivedMessage:
    messages = receiver.receive_messages(max_message_count=1, max_wait_time=wait)
    assert len(messages) == 1
    return messages[0]


def texts(messages: list[ServiceBusReceivedMessage]) -> list[str]:
    return [str(message) for message in messages]


def drain(receiver: ServiceBusReceiver, count: int) -> list[ServiceBusReceivedMessage]:
    """Receive so many messages, in as many goes as it takes, and complete them."""
    messages: list[ServiceBusReceivedMessage] = []
    while len(messages) < count:
        some = receiver.receive_messages(max_message_count=count - len(messages), max_wait_time=5)
        assert some, f"only {len(messages)} of {count} messages came"
        messages += some
    for message in messages:
        receiver.complete_message(message)
    return messages


def nothing(receiver: ServiceBusReceiver) -> bool:
    return receiver.receive_messages(max_message_count=1, max_wait_time=0.2) == []


# Sending and receiving


def test_all_properties_arrive(queue: Queue) -> None:
    sent = ServiceBusMessage(
        b"\x00body\xff",
        message_id="m1",
        subject="order",
        correlation_id="c1",
        content_type="application/octet-stream",
        to="there",
        reply_to="here",
        reply_to_session_id="s2",
        session_id="s1",
        application_properties={"text": "ü", "number": 7, "big": 2**31 - 1, "real": 0.5, "yes": True},
        time_to_live=timedelta(hours=1),
    )
    before = datetime.now(UTC) - timedelta(seconds=1)
    queue.send(sent)
    got = queue.receive()
    locked_until = got.locked_until_utc
    queue.receiver.complete_message(got)

    names = ("message_id", "subject", "correlation_id", "content_type", "to", "reply_to", "reply_to_session_id")
    assert [getattr(sent, name) for name in names] == [getattr(got, name) for name in names]
    assert b"".join(got.body) == b"\x00body\xff"
    assert got.session_id == "s1"
    assert got.application_properties == {
        b"text": "ü".encode(),
        b"number": 7,
        b"big": 2**31 - 1,
        b"real": 0.5,
        b"yes": True,
    }
    assert got.time_to_live == timedelta(hours=1)
    assert got.enqueued_time_utc is not None
    assert before < got.enqueued_time_utc < datetime.now(UTC) + timedelta(seconds=1)
    assert got.sequence_number == got.enqueued_sequence_number
    assert got.delivery_count == 0
    assert locked_until is not None
    assert locked_until > got.enqueued_time_utc


@pytest.mark.parametrize(
    ("options", "kind", "expected"),
    [
        ({"data_body": [b"one", b"two"]}, AmqpMessageBodyType.DATA, [b"one", b"two"]),
        ({"value_body": {"k": [1, None, True]}}, AmqpMessageBodyType.VALUE, {b"k": [1, None, True]}),
        ({"sequence_body": [[1, "a"], [b"b"]]}, AmqpMessageBodyType.SEQUENCE, [[1, b"a"], [b"b"]]),
    ],
)
def test_bodies_of_any_kind_arrive(
    queue: Queue, options: dict[str, Any], kind: AmqpMessageBodyType, expected: Any
) -> None:
    queue.sender.send_messages(AmqpAnnotatedMessage(**options))
    got = queue.receive()
    queue.receiver.complete_message(got)

    assert got.body_type == kind
    assert (got.body if kind is AmqpMessageBodyType.VALUE else list(got.body)) == expected


def test_a_message_of_many_frames_arrives(queue: Queue) -> None:
    body = bytes(range(256)) * 900
    queue.sender.send_messages(ServiceBusMessage(body))
    got = queue.receive()
    queue.receiver.complete_message(got)

    assert b"".join(got.body) == body


def test_a_batch_keeps_its_order(queue: Queue) -> None:
    batch = queue.sender.create_message_batch()
    for number in range(20):
        batch.add_message(ServiceBusMessage(str(number), message_id=f"b{number}"))
    queue.sender.send_messages(batch)
    got = drain(queue.receiver, 20)

    assert texts(got) == [str(number) for number in range(20)]
    assert [message.message_id for message in got] == [f"b{number}" for number in range(20)]
    numbers = [message.sequence_number or 0 for message in got]
    assert numbers == list(range(numbers[0], numbers[0] + 20))


def test_a_message_that_is_too_large_is_refused(queue: Queue) -> None:
    with pytest.raises(MessageSizeExceededError):
        queue.sender.send_messages(ServiceBusMessage(b"x" * 2_000_000))
    with pytest.raises(MessageSizeExceededError):
        queue.sender.create_message_batch().add_message(ServiceBusMessage(b"x" * 2_000_000))
    queue.send("fits")

    assert texts(drain(queue.receiver, 1)) == ["fits"]


def test_receiving_can_delete(bus: Bus) -> None:
    sender, receiver = bus.senders[DELETING], bus.receivers[DELETING]
    sender.send_messages([ServiceBusMessage("gone"), ServiceBusMessage("gone too")])
    got = [one(receiver), one(receiver)]

    assert texts(got) == ["gone", "gone too"]
    assert [message.lock_token for message in got] == [None, None]
    assert receiver.peek_messages() == []


def test_iterating_ends_when_no_more_comes(bus: Bus) -> None:
    bus.senders[LISTED].send_messages([ServiceBusMessage(text) for text in ("1", "2", "3")])
    got = []
    for message in bus.receivers[LISTED]:
        got.append(str(message))
        bus.receivers[LISTED].complete_message(message)

    assert got == ["1", "2", "3"]


def test_competing_receivers_get_each_message_once(bus: Bus) -> None:
    bus.senders[SHARED].send_messages([ServiceBusMessage(str(number)) for number in range(40)])
    got: list[str] = []
    for _ in range(20):
        for receiver in (bus.receivers[SHARED], bus.receivers["shared too"]):
            message = one(receiver)
            receiver.complete_message(message)
            got.append(str(message))

    assert sorted(got, key=int) == [str(number) for number in range(40)]
    assert bus.receivers[SHARED].peek_messages() == []


def test_prefetched_messages_come_back_when_a_receiver_closes(bus: Bus, queue: Queue) -> None:
    queue.send("1", "2", "3", "4")
    with bus.open_queue(PLAIN, prefetch_count=10) as greedy:
        done = one(greedy)
        greedy.complete_message(done)
    got = drain(queue.receiver, 3)

    assert sorted(texts([done, *got])) == ["1", "2", "3", "4"]
    assert [message.delivery_count for message in got] == [0, 0, 0]


# Settlement and locks


def test_an_abandoned_message_comes_again_until_it_is_dead_lettered(queue: Queue) -> None:
    queue.send("poison", "fine")
    counts = []
    for _ in range(MAX_DELIVERIES):
        message = queue.receive()
        assert str(message) == "poison"
        counts.append(message.delivery_count)
        queue.receiver.abandon_message(message)
    following = queue.receive()
    queue.receiver.complete_message(following)
    dead = one(queue.dead)
    queue.dead.complete_message(dead)

    assert counts == [0, 1, 2]
    assert str(following) == "fine"
    assert str(dead) == "poison"
    assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"
    assert dead.dead_letter_error_description
    assert dead.delivery_count == MAX_DELIVERIES


def test_a_message_can_be_dead_lettered_with_a_reason_and_sent_again(queue: Queue) -> None:
    queue.sender.send_messages(ServiceBusMessage("bad", message_id="d1", application_properties={"tries": 1}))
    queue.receiver.dead_letter_message(queue.receive(), reason="Broken", error_description="no such field")
    dead = one(queue.dead)
    queue.sender.send_messages(ServiceBusMessage(b"".join(dead.body), message_id=dead.message_id))
    queue.dead.complete_message(dead)
    again = queue.receive()
    queue.receiver.complete_message(again)

    assert (dead.dead_letter_reason, dead.dead_letter_error_description) == ("Broken", "no such field")
    assert dead.dead_letter_source == PLAIN
    assert dead.application_properties is not None
    assert dead.application_properties[b"tries"] == 1
    assert (str(again), again.message_id) == ("bad", "d1")
    assert queue.dead.peek_messages() == []


def test_a_deferred_message_comes_by_its_number_only(queue: Queue) -> None:
    queue.send("later", "now")
    message = queue.receive()
    number = message.sequence_number or 0
    queue.receiver.defer_message(message)
    assert texts(drain(queue.receiver, 1)) == ["now"]
    assert nothing(queue.receiver)
    (deferred,) = queue.receiver.receive_deferred_messages(number)
    with pytest.raises(MessageNotFoundError):
        queue.receiver.receive_deferred_messages(number)
    queue.receiver.complete_message(deferred)

    assert str(deferred) == "later"
    assert queue.receiver.peek_messages() == []
    with pytest.raises(MessageNotFoundError):
        queue.receiver.receive_deferred_messages(number)


def test_a_deferred_message_can_be_dead_lettered(queue: Queue) -> None:
    queue.send("set aside")
    message = queue.receive()
    queue.receiver.defer_message(message)
    (deferred,) = queue.receiver.receive_deferred_messages([message.sequence_number or 0])
    queue.receiver.dead_letter_message(deferred, reason="Why", error_description="not")
    dead = one(queue.dead)
    queue.dead.complete_message(dead)

    assert (dead.dead_letter_reason, dead.dead_letter_error_description) == ("Why", "not")


def test_a_lock_that_runs_out_is_lost(bus: Bus, brief: Queue) -> None:
    brief.send("slow")
    first = brief.receive()
    second = one(brief.receiver, wait=bus.lock + 3)
    brief.receiver.complete_message(second)

    assert second.delivery_count == 1
    assert second.lock_token != first.lock_token
    with pytest.raises(MessageLockLostError):
        brief.receiver.complete_message(first)


def test_locks_can_be_renewed_by_hand_and_in_the_background(bus: Bus, brief: Queue) -> None:
    brief.send("by hand", "in the background")
    by_hand, in_background = brief.receive(), brief.receive()
    before = by_hand.locked_until_utc
    with AutoLockRenewer() as renewer:
        renewer.register(brief.receiver, in_background, max_lock_renewal_duration=60)
        for _ in range(2):
            time.sleep(bus.lock * 0.6)
            brief.receiver.renew_message_lock(by_hand)
        after = by_hand.locked_until_utc
        brief.receiver.complete_message(by_hand)
        brief.receiver.complete_message(in_background)

    assert before is not None
    assert after is not None
    assert after - before >= timedelta(seconds=bus.lock)
    assert brief.receiver.peek_messages() == []


def test_a_lock_that_is_lost_cannot_be_renewed(bus: Bus, queue: Queue) -> None:
    queue.send("forgotten")
    message = queue.receive()
    queue.receiver.abandon_message(message)
    again = queue.receive()
    queue.receiver.complete_message(again)

    assert again.delivery_count == 1
    message._settled = False  # or the SDK does not ask the service
    with pytest.raises(MessageLockLostError):
        queue.receiver.renew_message_lock(message)


# Time


def test_a_scheduled_message_comes_at_its_time(queue: Queue) -> None:
    at = datetime.now(UTC) + SOON
    (number,) = queue.sender.schedule_messages(ServiceBusMessage("later"), at)
    (seen,) = queue.receiver.peek_messages()
    assert seen.sequence_number == number
    assert seen.state.name == "SCHEDULED"
    assert nothing(queue.receiver)
    got = queue.receive()
    queue.receiver.complete_message(got)

    assert str(got) == "later"
    assert got.enqueued_time_utc is not None
    assert got.enqueued_time_utc >= at - timedelta(milliseconds=1)


def test_a_message_can_be_sent_with_its_time(queue: Queue) -> None:
    at = datetime.now(UTC) + SOON
    queue.sender.send_messages(ServiceBusMessage("second", scheduled_enqueue_time_utc=at))
    queue.send("first")

    assert texts(drain(queue.receiver, 2)) == ["first", "second"]
    assert datetime.now(UTC) >= at


def test_a_scheduled_message_can_be_cancelled_once(queue: Queue) -> None:
    at = datetime.now(UTC) + timedelta(minutes=5)
    numbers = queue.sender.schedule_messages([ServiceBusMessage("a"), ServiceBusMessage("b")], at)
    queue.sender.cancel_scheduled_messages(numbers)

    assert queue.receiver.peek_messages() == []
    with pytest.raises(ServiceBusError):
        queue.sender.cancel_scheduled_messages(numbers)


def test_an_expired_message_is_dead_lettered_where_that_is_wanted(bus: Bus, queue: Queue) -> None:
    for sender in (queue.sender, bus.senders[EXPIRING]):
        sender.send_messages(ServiceBusMessage("stale", time_to_live=timedelta(seconds=1)))
        sender.send_messages(ServiceBusMessage("fresh"))
        time.sleep(0.05)
    (dead,) = drain(bus.receivers[f"{EXPIRING}/dead"], 1)
    lasting = [drain(bus.receivers[EXPIRING], 1), drain(queue.receiver, 1)]

    assert str(dead) == "stale"
    assert dead.dead_letter_reason == "TTLExpiredException"
    assert [texts(messages) for messages in lasting] == [["fresh"], ["fresh"]]
    assert queue.dead.peek_messages() == []


def test_peeking_shows_all_states_and_locks_nothing(queue: Queue) -> None:
    queue.send("deferred", "active")
    deferred = queue.receive()
    queue.receiver.defer_message(deferred)
    at = datetime.now(UTC) + timedelta(minutes=5)
    numbers = queue.sender.schedule_messages(ServiceBusMessage("scheduled"), at)
    seen = queue.receiver.peek_messages(max_message_count=10, sequence_number=deferred.sequence_number or 0)
    after = queue.receiver.peek_messages(max_message_count=10, sequence_number=(deferred.sequence_number or 0) + 1)
    queue.sender.cancel_scheduled_messages(numbers)
    got = drain(queue.receiver, 1)
    queue.receiver.complete_message(queue.receiver.receive_deferred_messages(deferred.sequence_number or 0)[0])

    expected = [("deferred", "DEFERRED"), ("active", "ACTIVE"), ("scheduled", "SCHEDULED")]
    assert [(str(message), message.state.name) for message in seen] == expected
    assert texts(after) == ["active", "scheduled"]
    assert got[0].delivery_count == 0


# Duplicates


def test_a_duplicate_is_dropped(bus: Bus) -> None:
    sender, receiver = bus.senders[UNIQUE], bus.receivers[UNIQUE]
    sender.send_messages([ServiceBusMessage("1", message_id="x"), ServiceBusMessage("2", message_id="x")])
    sender.send_messages(ServiceBusMessage("3", message_id="x"))
    sender.send_messages(ServiceBusMessage("4", message_id="y"))
    got = drain(receiver, 2)
    sender.send_messages(ServiceBusMessage("5", message_id="x"))

    assert texts(got) == ["1", "4"]
    assert nothing(receiver)


# Sessions


def in_session(session_id: str, *bodies: str) -> list[ServiceBusMessage]:
    return [ServiceBusMessage(body, session_id=session_id) for body in bodies]


def test_a_session_has_its_messages_in_order_and_a_state(bus: Bus) -> None:
    sent = [pair for pairs in zip(in_session("A", "1", "2"), in_session("B", "x", "y"), strict=True) for pair in pairs]
    bus.senders[SESSIONS].send_messages(sent)
    with bus.open_session("A") as first:
        assert first.session.session_id == "A"
        assert first.session.get_state() is None
        first.session.set_state(b"half way")
        got = drain(first, 2)
        with pytest.raises(SessionCannotBeLockedError), bus.open_session("A"):
            pass
    with bus.open_session(NEXT_AVAILABLE_SESSION) as other:
        assert other.session.session_id == "B"
        others = drain(other, 2)
    with bus.open_session("A") as again:
        state = again.session.get_state()
        again.session.set_state(None)
        cleared = again.session.get_state()

    assert texts(got) == ["1", "2"]
    assert {message.session_id for message in got} == {"A"}
    assert texts(others) == ["x", "y"]
    assert (state, cleared) == (b"half way", None)


def test_waiting_for_any_session_ends(bus: Bus) -> None:
    with (
        pytest.raises(OperationTimeoutError),
        bus.open_session(NEXT_AVAILABLE_SESSION, max_wait_time=0.5) as receiver,
    ):
        receiver.receive_messages()


def test_a_session_that_comes_while_one_waits_is_accepted(bus: Bus) -> None:
    with ThreadPoolExecutor(1) as pool:

        def accept() -> list[str]:
            with bus.open_session(NEXT_AVAILABLE_SESSION, max_wait_time=10) as receiver:
                return texts(drain(receiver, 1))

        waiting = pool.submit(accept)
        time.sleep(0.6)
        bus.senders[SESSIONS].send_messages(in_session("C", "at last"))
        assert waiting.result(10) == ["at last"]


def test_the_lock_on_a_session_is_renewed_or_lost(bus: Bus) -> None:
    bus.senders[SESSIONS].send_messages(in_session("D", "1"))
    with bus.open_session("D") as receiver:
        message = one(receiver)
        time.sleep(bus.lock * 0.6)
        until = receiver.session.renew_lock()
        time.sleep(bus.lock * 0.6)
        receiver.session.set_state(b"still mine")
        assert until == receiver.session.locked_until_utc
        time.sleep(bus.lock * 0.6)
        with pytest.raises(SessionLockLostError):
            receiver.complete_message(message)
    with bus.open_session("D") as receiver:
        (again,) = drain(receiver, 1)
        receiver.session.set_state(None)

    assert again.delivery_count == 1


def test_closing_a_session_gives_its_messages_back_uncounted(bus: Bus) -> None:
    bus.senders[SESSIONS].send_messages(in_session("E", "1"))
    with bus.open_session("E") as receiver:
        one(receiver)
    with bus.open_session("E") as receiver:
        (again,) = drain(receiver, 1)

    assert again.delivery_count == 0


def test_a_session_can_defer(bus: Bus) -> None:
    bus.senders[SESSIONS].send_messages(in_session("F", "1"))
    with bus.open_session("F") as receiver:
        message = one(receiver)
        receiver.defer_message(message)
        (deferred,) = receiver.receive_deferred_messages(message.sequence_number or 0)
        receiver.complete_message(deferred)
        assert receiver.peek_messages() == []

    assert str(deferred) == "1"


def test_a_queue_with_sessions_takes_no_message_without_one(bus: Bus) -> None:
    with pytest.raises(ServiceBusError, match="SessionId"):
        bus.senders[SESSIONS].send_messages(ServiceBusMessage("stray"))


# Topics


def test_subscriptions_get_what_their_rules_want(bus: Bus) -> None:
    messages = [
        ServiceBusMessage("light", application_properties={"weight": 3, "colour": "red"}),
        ServiceBusMessage("heavy", application_properties={"weight": 30, "colour": "blue"}),
        ServiceBusMessage("heavy red", application_properties={"weight": 30, "colour": "red"}),
        ServiceBusMessage("urgent", subject="urgent", application_properties={"weight": 11, "colour": "red"}),
        ServiceBusMessage("plain"),
    ]
    bus.senders[TOPIC].send_messages(messages)
    got = {
        name: texts(drain(bus.receivers[f"{TOPIC}/{name}"], count))
        for name, count in (("all", 5), ("heavy", 2), ("red", 3))
    }

    assert got["all"] == ["light", "heavy", "heavy red", "urgent", "plain"]
    assert got["heavy"] == ["heavy", "urgent"]
    assert got["red"] == ["light", "heavy red", "urgent"]


def test_a_subscription_has_a_dead_letter_queue_of_its_own(bus: Bus) -> None:
    bus.senders[TOPIC].send_messages(ServiceBusMessage("poison"))
    receiver = bus.receivers[f"{TOPIC}/all"]
    receiver.abandon_message(one(receiver))
    (dead,) = drain(bus.receivers[f"{TOPIC}/dead"], 1)

    assert (str(dead), dead.dead_letter_reason) == ("poison", "MaxDeliveryCountExceeded")


def test_a_topic_can_schedule(bus: Bus) -> None:
    sender, receiver = bus.senders[TOPIC], bus.receivers[f"{TOPIC}/all"]
    soon = datetime.now(UTC) + SOON
    cancelled = sender.schedule_messages(ServiceBusMessage("never"), soon)
    sender.schedule_messages(ServiceBusMessage("later"), soon)
    sender.cancel_scheduled_messages(cancelled)

    assert nothing(receiver)
    assert texts(drain(receiver, 1)) == ["later"]
    assert nothing(receiver)


# What is refused


@pytest.fixture(scope="module")
def refusals(bus: Bus) -> dict[str, Exception | None]:
    """Return what the SDK raises when it opens what it should not. All at once: each takes half a second."""
    text = bus.backend.connection_string
    with (
        ServiceBusClient.from_connection_string(text, retry_total=0) as client,
        ServiceBusClient.from_connection_string(with_wrong_key(text), retry_total=0) as stranger,
        ThreadPoolExecutor(8) as pool,
    ):
        handlers: dict[str, ServiceBusSender | ServiceBusReceiver] = {
            "wrong key": stranger.get_queue_sender(PLAIN, **QUICK),
            "send nowhere": client.get_queue_sender("nowhere", **QUICK),
            "receive nowhere": client.get_queue_receiver("nowhere", **QUICK),
            "unknown subscription": client.get_subscription_receiver(TOPIC, "nobody", **QUICK),
            "no session": client.get_queue_receiver(SESSIONS, **QUICK),
            "needless session": client.get_queue_receiver(PLAIN, session_id="A", **QUICK),
        }
        return dict(zip(handlers, pool.map(refusal, handlers.values()), strict=True))


def with_wrong_key(connection_string: str) -> str:
    key = next(part for part in connection_string.split(";") if part.startswith("SharedAccessKey="))
    return connection_string.replace(key, "SharedAccessKey=d3Jvbmc=")


def refusal(handler: ServiceBusSender | ServiceBusReceiver) -> Exception | None:
    try:
        with handler:
            if isinstance(handler, ServiceBusReceiver):
                handler.receive_messages(max_wait_time=1)
    except ServiceBusError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("case", "kinds", "text"),
    [
        ("wrong key", (ServiceBusAuthenticationError,), ""),
        # The service looks for the entity when it gets the token, the official emulator when it gets the link.
        ("send nowhere", (ServiceBusAuthenticationError, MessagingEntityNotFoundError), ""),
        ("receive nowhere", (ServiceBusAuthenticationError, MessagingEntityNotFoundError), ""),
        ("unknown subscription", (MessagingEntityNotFoundError,), "could not be found"),
        ("no session", (ServiceBusError,), "requires sessions"),
        ("needless session", (ServiceBusError,), "sessionful message receiver cannot be created"),
    ],
)
def test_what_is_refused(
    refusals: dict[str, Exception | None], case: str, kinds: tuple[type[Exception], ...], text: str
) -> None:
    assert isinstance(refusals[case], kinds)
    assert text in str(refusals[case])


# The asynchronous client


def test_the_asynchronous_client_does_it_all(bus: Bus, queue: Queue) -> None:
    async def work() -> list[Any]:
        async with AsyncClient.from_connection_string(bus.backend.connection_string, retry_total=0) as client:
            results: list[Any] = []
            sender = client.get_queue_sender(PLAIN, **QUICK)
            options: dict[str, Any] = {**QUICK, "max_wait_time": 5, "prefetch_count": 1}
            receiver = client.get_queue_receiver(PLAIN, **options)
            dead = client.get_queue_receiver(PLAIN, sub_queue=ServiceBusSubQueue.DEAD_LETTER, **options)
            await asyncio.gather(*(handler._open() for handler in (sender, receiver, dead)))
            try:
                await sender.send_messages([ServiceBusMessage("1"), ServiceBusMessage("2")])
                first, second = await receiver.receive_messages(max_message_count=2)
                results += [str(first), str(second)]
                await receiver.renew_message_lock(first)
                await receiver.complete_message(first)
                await receiver.dead_letter_message(second, reason="R", error_description="D")
                (buried,) = await dead.receive_messages()
                results.append(buried.dead_letter_reason)
                await dead.complete_message(buried)
                numbers = await sender.schedule_messages(
                    ServiceBusMessage("later"), datetime.now(UTC) + timedelta(minutes=1)
                )
                results.append(len(await receiver.peek_messages()))
                await sender.cancel_scheduled_messages(numbers)
                results.append(len(await receiver.peek_messages()))
            finally:
                await asyncio.gather(*(handler.close() for handler in (sender, receiver, dead)))
            return results

    assert asyncio.run(work()) == ["1", "2", "R", 1, 0]


def test_the_asynchronous_client_has_sessions(bus: Bus) -> None:
    bus.senders[SESSIONS].send_messages(in_session("G", "1", "2"))

    async def work() -> list[str]:
        async with (
            AsyncClient.from_connection_string(bus.backend.connection_string, retry_total=0) as client,
            client.get_queue_receiver(SESSIONS, session_id="G", **QUICK, max_wait_time=5, prefetch_count=1) as receiver,
        ):
            await receiver.session.set_state(b"here")
            assert await receiver.session.get_state() == b"here"
            await receiver.session.renew_lock()
            await receiver.session.set_state(None)
            messages = await receiver.receive_messages(max_message_count=2)
            for message in messages:
                await receiver.complete_message(message)
            return texts(messages)

    assert asyncio.run(work()) == ["1", "2"]


def test_the_asynchronous_client_is_refused_with_a_wrong_key(bus: Bus) -> None:
    text = with_wrong_key(bus.backend.connection_string)

    async def work() -> None:
        async with (
            AsyncClient.from_connection_string(text, retry_total=0) as client,
            client.get_queue_sender(PLAIN, **QUICK) as sender,
        ):
            await sender.send_messages(ServiceBusMessage("x"))

    with pytest.raises(ServiceBusAuthenticationError):
        asyncio.run(work())
