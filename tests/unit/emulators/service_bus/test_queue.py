"""The state machine of a queue, with a clock that stands still until it is told to go on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from ringfence.emulators.service_bus.amqp.message import sections_of
from ringfence.emulators.service_bus.errors import ServiceError
from ringfence.emulators.service_bus.queue import Queue
from ringfence.emulators.service_bus.settings import QueueSettings
from tests.unit.emulators.service_bus.helpers import START, ManualClock, message, text_of, token_of

LOCK = 60
MESSAGE_LOST, SESSION_LOST = "com.microsoft:message-lock-lost", "com.microsoft:session-lock-lost"


def make(clock: ManualClock, **settings: Any) -> Queue:
    made = QueueSettings(name="q", **{"max_delivery_count": 3, **settings})
    return Queue("q", made, clock, Queue("q/$DeadLetterQueue", QueueSettings(name="q"), clock))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def queue(clock: ManualClock) -> Queue:
    return make(clock)


def buried(queue: Queue) -> list[tuple[str | None, Any, int]]:
    """Return body, reason and delivery count of all dead letters."""
    assert queue.dead_letters is not None
    letters = queue.dead_letters.peek(0, 100)
    return [
        (text_of(item), item.application_properties.get("DeadLetterReason"), item.delivery_count) for item in letters
    ]


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(ServiceError) as caught:
        call()
    return caught.value.condition


def test_messages_come_in_order_and_once(queue: Queue) -> None:
    numbers = [queue.put(message(str(index))) for index in range(3)]
    got = [queue.receive() for _ in range(4)]

    assert numbers == [1, 2, 3]
    assert [text_of(item) for item in got] == ["0", "1", "2", None]


def test_a_completed_message_is_gone(queue: Queue, clock: ManualClock) -> None:
    queue.put(message())
    queue.complete(token_of(queue.receive()))
    clock.wait(10 * LOCK)

    assert (queue.receive(), queue.peek(0, 10), queue.size) == (None, [], 0)


def test_a_message_can_be_taken_out_at_once(queue: Queue, clock: ManualClock) -> None:
    queue.put(message("a"))
    got = queue.receive(delete=True)
    clock.wait(10 * LOCK)

    assert text_of(got) == "a"
    assert got is not None
    assert got.lock is None
    assert queue.receive() is None


def test_a_released_message_keeps_its_place_and_its_count(queue: Queue) -> None:
    for body in ("first", "second"):
        queue.put(message(body))
    queue.release(token_of(queue.receive()))
    again = queue.receive()

    assert text_of(again) == "first"
    assert again is not None
    assert again.delivery_count == 0


def test_failures_end_in_the_dead_letter_queue(queue: Queue) -> None:
    queue.put(message("poison"))
    counts = []
    while (got := queue.receive()) is not None:
        counts.append(got.delivery_count)
        queue.abandon(token_of(got))

    assert counts == [0, 1, 2]
    assert buried(queue) == [("poison", "MaxDeliveryCountExceeded", 3)]


def test_a_lock_that_runs_out_counts_as_a_failure(queue: Queue, clock: ManualClock) -> None:
    queue.put(message("slow"))
    for count in range(3):
        got = queue.receive()
        assert got is not None
        assert got.delivery_count == count
        clock.wait(LOCK - 0.001)
        assert queue.receive() is None
        clock.wait(0.001)
    queue.sweep()

    assert buried(queue) == [("slow", "MaxDeliveryCountExceeded", 3)]


def test_nothing_can_be_done_without_the_lock(queue: Queue, clock: ManualClock) -> None:
    queue.put(message())
    token = token_of(queue.receive())
    clock.wait(LOCK)
    calls: list[Callable[[UUID], object]] = [
        *(queue.complete, queue.abandon, queue.release, queue.defer, queue.dead_letter, queue.renew_lock),
    ]

    assert [refused(lambda call=call: call(token)) for call in calls] == [MESSAGE_LOST] * 6  # type: ignore[misc]
    assert refused(lambda: queue.complete(uuid4())) == MESSAGE_LOST
    (seen,) = queue.peek(0, 10)
    assert seen.delivery_count == 1


def test_a_lock_is_good_for_one_settlement(queue: Queue) -> None:
    queue.put(message())
    token = token_of(queue.receive())
    queue.abandon(token)

    assert refused(lambda: queue.complete(token)) == MESSAGE_LOST


def test_a_renewed_lock_starts_anew(queue: Queue, clock: ManualClock) -> None:
    queue.put(message())
    token = token_of(queue.receive())
    clock.wait(LOCK - 1)
    until = queue.renew_lock(token)
    clock.wait(LOCK - 1)
    queue.complete(token)

    assert until == START + 2 * LOCK - 1


def test_a_message_can_be_dead_lettered_once(queue: Queue) -> None:
    queue.put(message("bad"))
    queue.dead_letter(token_of(queue.receive()), "Why", "because", {"seen-by": "me"})
    dead_letters = queue.dead_letters
    assert dead_letters is not None
    dead = dead_letters.receive()
    assert dead is not None

    assert dead.application_properties == {
        "seen-by": "me",
        "DeadLetterReason": "Why",
        "DeadLetterErrorDescription": "because",
    }
    assert dead.annotations["x-opt-deadletter-source"] == "q"
    assert refused(lambda: dead_letters.dead_letter(token_of(dead))) == "amqp:not-allowed"
    for _ in range(20):
        dead_letters.abandon(token_of(dead))
        dead = dead_letters.receive()
    assert dead is not None
    assert dead.delivery_count == 20


def test_a_deferred_message_waits_to_be_asked_for(queue: Queue, clock: ManualClock) -> None:
    queue.put(message("a", ttl=30))
    queue.defer(token_of(queue.receive()))
    clock.wait(1000)

    assert queue.receive() is None
    (got,) = queue.receive_deferred([1])
    assert text_of(got) == "a"
    assert refused(lambda: queue.receive_deferred([1])) == "com.microsoft:message-not-found"
    queue.abandon(token_of(got))
    assert queue.receive() is None
    assert [item.delivery_count for item in queue.receive_deferred([1], delete=True)] == [1]
    assert queue.peek(0, 10) == []


def test_deferred_messages_come_together_or_not_at_all(queue: Queue) -> None:
    for body in ("a", "b", "c"):
        queue.put(message(body))
    for _ in range(2):
        queue.defer(token_of(queue.receive()))

    assert refused(lambda: queue.receive_deferred([1, 2, 3])) == "com.microsoft:message-not-found"
    assert [text_of(item) for item in queue.receive_deferred([2, 1])] == ["b", "a"]


def test_a_scheduled_message_becomes_active_with_a_new_number(queue: Queue, clock: ManualClock) -> None:
    number = queue.put(message("later", at=START + 50, ttl=10))
    queue.put(message("now"))
    assert (queue.count("scheduled"), queue.count("active")) == (1, 1)
    assert [text_of(queue.receive()), queue.receive()] == ["now", None]
    assert queue.next_deadline() == START + 50
    clock.wait(50)
    got = queue.receive()

    assert text_of(got) == "later"
    assert got is not None
    assert (number, got.sequence_number, got.enqueued_sequence_number) == (1, 3, 1)
    assert (got.enqueued_at, got.expires_at) == (START + 50, START + 60)


def test_scheduled_messages_are_cancelled_together_or_not_at_all(queue: Queue, clock: ManualClock) -> None:
    numbers = [queue.put(message(body, at=START + 5)) for body in ("a", "b")]

    assert refused(lambda: queue.cancel_scheduled([*numbers, 99])) == "com.microsoft:message-not-found"
    queue.cancel_scheduled(numbers[:1])
    clock.wait(5)
    assert [text_of(queue.receive()), queue.receive()] == ["b", None]
    assert refused(lambda: queue.cancel_scheduled(numbers[1:])) == "com.microsoft:message-not-found"


@pytest.mark.parametrize(
    ("default", "own", "lives"), [(None, None, None), (20, None, 20), (None, 10, 10), (20, 10, 10), (20, 30, 20)]
)
def test_the_shorter_time_to_live_counts(
    clock: ManualClock, default: float | None, own: float | None, lives: float | None
) -> None:
    ttl = timedelta(seconds=default) if default else None
    queue = make(clock, default_message_time_to_live=ttl, dead_lettering_on_message_expiration=True)
    queue.put(message("m", ttl=own))
    clock.wait((lives or 10_000) - 0.1)
    queue.sweep()
    assert queue.count("active") == 1
    clock.wait(0.1)
    queue.sweep()

    assert buried(queue) == ([] if lives is None else [("m", "TTLExpiredException", 0)])


def test_an_expired_message_is_dropped_unless_it_is_to_be_kept(queue: Queue, clock: ManualClock) -> None:
    queue.put(message(ttl=5))
    clock.wait(5)

    assert queue.receive() is None
    assert buried(queue) == []


def test_a_locked_message_does_not_expire_before_its_lock(queue: Queue, clock: ManualClock) -> None:
    for body in ("done", "returned"):
        queue.put(message(body, ttl=5))
    first, second = queue.receive(), queue.receive()
    clock.wait(6)
    queue.complete(token_of(first))
    queue.abandon(token_of(second))

    assert queue.receive() is None
    assert queue.peek(0, 10) == []


def test_a_receiver_sees_what_the_service_adds(queue: Queue, clock: ManualClock) -> None:
    queue.put(message("b", ttl=90, message_id="id", key="value"))
    got = queue.receive()
    assert got is not None
    sections = {section.code: section.value for section in sections_of(got.encode())}

    assert sections[0x70] == [True, None, 90_000, False, 0]
    assert sections[0x72] == {
        "x-opt-sequence-number": 1,
        "x-opt-enqueue-sequence-number": 1,
        "x-opt-enqueued-time": START * 1000,
        "x-opt-message-state": 0,
        "x-opt-locked-until": (START + LOCK) * 1000,
    }
    assert sections[0x73][0] == "id"
    assert sections[0x74] == {"key": "value"}
    assert sections[0x75] == b"b"


def test_peeking_starts_anywhere(queue: Queue) -> None:
    for body in ("a", "b", "c"):
        queue.put(message(body))
    queue.receive()

    assert [text_of(item) for item in queue.peek(2, 10)] == ["b", "c"]
    assert [text_of(item) for item in queue.peek(0, 2)] == ["a", "b"]


# Sessions

ME, YOU = object(), object()


@pytest.fixture
def sessions(clock: ManualClock) -> Queue:
    queue = make(clock, requires_session=True)
    for session, body in (("A", "1"), ("B", "x"), ("A", "2")):
        queue.put(message(body, session_id=session))
    return queue


def test_a_session_is_for_one_receiver(sessions: Queue) -> None:
    lock = sessions.accept_session("A", ME)
    assert lock is not None

    assert (lock.session_id, lock.until) == ("A", START + LOCK)
    assert refused(lambda: sessions.accept_session("A", YOU)) == "com.microsoft:session-cannot-be-locked"
    got = [sessions.receive(session_id="A") for _ in range(3)]
    assert [text_of(item) for item in got] == ["1", "2", None]
    assert refused(lambda: sessions.receive(session_id="B")) == SESSION_LOST


def test_the_next_session_is_the_one_that_waits_longest(sessions: Queue) -> None:
    locks = [sessions.accept_session(None, ME) for _ in range(3)]

    assert [lock.session_id if lock else None for lock in locks] == ["A", "B", None]


def test_a_session_without_messages_can_be_asked_for(sessions: Queue) -> None:
    assert sessions.accept_session("new", ME) is not None
    assert sessions.receive(session_id="new") is None


def test_a_session_that_runs_out_counts_as_a_failure(sessions: Queue, clock: ManualClock) -> None:
    sessions.accept_session("A", ME)
    token = token_of(sessions.receive(session_id="A"))
    clock.wait(LOCK)

    assert refused(lambda: sessions.complete(token)) == SESSION_LOST
    assert refused(lambda: sessions.renew_session_lock("A")) == SESSION_LOST
    assert [item.delivery_count for item in sessions.peek(0, 10, "A")] == [1, 0]
    sessions.accept_session("A", YOU)
    assert text_of(sessions.receive(session_id="A")) == "1"


def test_a_renewed_session_keeps_its_messages(sessions: Queue, clock: ManualClock) -> None:
    sessions.accept_session("A", ME)
    token = token_of(sessions.receive(session_id="A"))
    clock.wait(LOCK - 1)
    assert sessions.renew_session_lock("A") == START + 2 * LOCK - 1
    clock.wait(LOCK - 1)

    assert sessions.renew_lock(token) == START + 2 * LOCK - 1
    sessions.complete(token)
    assert [text_of(item) for item in sessions.peek(0, 10, "A")] == ["2"]


def test_a_session_that_is_given_back_does_not_count(sessions: Queue) -> None:
    sessions.accept_session("A", ME)
    sessions.receive(session_id="A")
    sessions.release_session("A", YOU)
    assert refused(lambda: sessions.accept_session("A", YOU)) == "com.microsoft:session-cannot-be-locked"
    sessions.release_session("A", ME)

    sessions.accept_session("A", YOU)
    again = sessions.receive(session_id="A")
    assert text_of(again) == "1"
    assert again is not None
    assert again.delivery_count == 0


def test_sessions_are_listed_with_messages_or_a_state(sessions: Queue) -> None:
    sessions.sessions.set_state("C", b"state")

    assert sessions.session_ids() == ["A", "B", "C"]
    assert sessions.sessions.state_of("C") == b"state"
    sessions.sessions.set_state("C", None)
    assert sessions.session_ids() == ["A", "B"]
