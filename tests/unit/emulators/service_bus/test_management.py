"""The operations of `$management`, as requests and answers."""

from __future__ import annotations

from typing import Any

import pytest

from ringfence.emulators.service_bus import Broker, QueueSettings
from ringfence.emulators.service_bus.amqp.types import Array, Timestamp, array_of
from ringfence.emulators.service_bus.management import NO_TIME_GIVEN, Reply, Request, manage
from tests.unit.emulators.service_bus.helpers import START, ManualClock, encoded, message, token_of

ANY_TIME = Timestamp(NO_TIME_GIVEN)


@pytest.fixture
def broker() -> Broker:
    broker = Broker(clock=ManualClock())
    broker.create_queue(QueueSettings(name="q"))
    broker.create_queue(QueueSettings(name="s", requires_session=True))
    return broker


def ask(broker: Broker, path: str, operation: str, **body: Any) -> Reply:
    named = {name.replace("_", "-"): value for name, value in body.items()}
    return manage(broker, path, Request("id", "me", {"operation": f"com.microsoft:{operation}"}, named))


def test_messages_are_scheduled_and_cancelled(broker: Broker) -> None:
    raw = [{"message": encoded(body, at=START + 60)} for body in ("a", "b")]
    reply = ask(broker, "q", "schedule-message", messages=raw)

    assert (reply.status, reply.body) == (200, {"sequence-numbers": Array(0x81, (1, 2))})
    assert ask(broker, "q", "cancel-scheduled-message", sequence_numbers=array_of([1])).status == 200
    assert ask(broker, "q", "cancel-scheduled-message", sequence_numbers=array_of([1])).status == 404
    assert broker.counts("q").scheduled == 1


def test_a_message_that_is_too_large_cannot_be_scheduled(broker: Broker) -> None:
    reply = ask(broker, "q", "schedule-message", messages=[{"message": encoded("x" * 300_000)}])

    assert (reply.status, reply.condition) == (400, "amqp:link:message-size-exceeded")


@pytest.mark.parametrize(
    ("status", "active", "dead", "deferred"),
    [("completed", 1, 0, 0), ("abandoned", 3, 0, 0), ("suspended", 1, 2, 0), ("defered", 1, 0, 2)],
)
def test_messages_are_settled_by_their_tokens(
    broker: Broker, status: str, active: int, dead: int, deferred: int
) -> None:
    broker.inlet("q").send([message() for _ in range(3)])
    queue = broker.outlet("q")
    tokens = [token_of(queue.receive()) for _ in range(2)]
    reply = ask(
        broker,
        "q",
        "update-disposition",
        lock_tokens=array_of(tokens),
        disposition_status=status,
        deadletter_reason="R",
        properties_to_modify={"seen": True},
    )
    counts = broker.counts("q")

    assert reply.status == 200
    assert (counts.active, counts.dead_letter, counts.deferred) == (active, dead, deferred)
    left = [*queue.peek(0, 10), *broker.outlet("q/$DeadLetterQueue").peek(0, 10)]
    assert sum(item.application_properties.get("seen", False) for item in left) == (0 if status == "completed" else 2)


def test_tokens_are_all_good_or_none_is_used(broker: Broker) -> None:
    broker.inlet("q").send([message(), message()])
    queue = broker.outlet("q")
    good, used = (token_of(queue.receive()) for _ in range(2))
    queue.complete(used)
    for operation in ("update-disposition", "renew-lock"):
        reply = ask(broker, "q", operation, lock_tokens=array_of([good, used]), disposition_status="completed")
        assert (reply.status, reply.condition) == (410, "com.microsoft:message-lock-lost")
    unknown = ask(broker, "q", "update-disposition", lock_tokens=array_of([good]), disposition_status="eaten")

    assert unknown.condition == "com.microsoft:argument-error"
    broker.advance(30)
    renewed = ask(broker, "q", "renew-lock", lock_tokens=array_of([good]))
    assert renewed.body == {"expirations": Array(0x83, (Timestamp((START + 90) * 1000),))}


@pytest.mark.parametrize(("mode", "locked"), [(0, False), (1, True)])
def test_deferred_messages_come_locked_or_for_good(broker: Broker, mode: int, locked: bool) -> None:
    broker.inlet("q").send([message()])
    queue = broker.outlet("q")
    queue.defer(token_of(queue.receive()))
    reply = ask(broker, "q", "receive-by-sequence-number", sequence_numbers=array_of([1]), receiver_settle_mode=mode)

    assert reply.status == 200
    assert ("lock-token" in reply.body["messages"][0]) is locked
    assert len(queue.peek(0, 10)) == locked


def test_a_session_is_renewed_and_remembers(broker: Broker) -> None:
    queue = broker.outlet("s")
    calls = ("renew-session-lock", "get-session-state", "set-session-state")
    lost = [ask(broker, "s", call, session_id="A", session_state=b"x").condition for call in calls]
    queue.accept_session("A", self := object())
    broker.advance(30)

    assert lost == ["com.microsoft:session-lock-lost"] * 3
    assert ask(broker, "s", "renew-session-lock", session_id="A").body == {"expiration": (START + 90) * 1000}
    assert ask(broker, "s", "get-session-state", session_id="A").body == {"session-state": None}
    assert ask(broker, "s", "set-session-state", session_id="A", session_state=b"x").status == 200
    assert ask(broker, "s", "get-session-state", session_id="A").body == {"session-state": b"x"}
    queue.release_session("A", self)
    assert ask(broker, "s", "get-session-state", session_id="A").status == 410


def test_sessions_are_listed_page_by_page(broker: Broker) -> None:
    broker.inlet("s").send([message(session_id=name) for name in ("a", "b", "c", "a")])
    pages = [
        ask(broker, "s", "get-message-sessions", last_updated_time=ANY_TIME, skip=skip, top=2) for skip in (0, 2, 3)
    ]

    assert [page.body and page.body["sessions-ids"].items for page in pages] == [("a", "b"), ("c",), None]
    assert [page.status for page in pages] == [200, 200, 204]
    since = ask(broker, "s", "get-message-sessions", last_updated_time=Timestamp(0), skip=0, top=2)
    assert since.condition == "amqp:not-implemented"
    assert ask(broker, "q", "get-message-sessions", last_updated_time=ANY_TIME).condition == "amqp:not-allowed"


def test_peeking_is_limited_to_a_session(broker: Broker) -> None:
    broker.inlet("s").send([message(session_id=name) for name in ("a", "b", "a")])
    found = ask(broker, "s", "peek-message", from_sequence_number=1, message_count=10, session_id="a")

    assert len(found.body["messages"]) == 2


def test_a_busy_entity_and_an_unknown_one_refuse(broker: Broker) -> None:
    broker.inject("q", "manage")

    assert ask(broker, "q", "peek-message").condition == "com.microsoft:server-busy"
    assert ask(broker, "nowhere", "renew-lock").condition == "amqp:not-found"
