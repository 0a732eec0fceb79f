"""The `$management` node of an entity: operations that are a request and a response.

Source: Service Bus documentation, "AMQP 1.0 in Azure Service Bus: request-response-based operations".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from ringfence.emulators.service_bus import errors
from ringfence.emulators.service_bus.amqp.message import (
    APPLICATION_PROPERTIES,
    DATA,
    PROPERTIES,
    VALUE,
    encode_section,
    sections_of,
)
from ringfence.emulators.service_bus.amqp.types import AmqpDecodeError, Array, Int, Symbol, Timestamp, array_of
from ringfence.emulators.service_bus.broker import Broker
from ringfence.emulators.service_bus.queue import Queue
from ringfence.emulators.service_bus.stored import StoredMessage

__all__ = ["MANAGEMENT_SUFFIX", "Reply", "Request", "manage"]

MANAGEMENT_SUFFIX = "/$management"
VENDOR = "com.microsoft:"
NO_TIME_GIVEN = 253_402_300_800_000
"""What clients send for "sessions of any time": the last millisecond that .NET knows."""


@dataclass(frozen=True)
class Request:
    """A request to a node that answers."""

    message_id: Any
    reply_to: Any
    properties: dict[str, Any]
    body: Any

    @classmethod
    def parse(cls, raw: bytes) -> Request:
        """Read an encoded message.

        Raises:
            AmqpDecodeError: it is not one.
        """
        values = {section.code: section.value for section in sections_of(raw)}
        properties = [*(values.get(PROPERTIES) or []), *[None] * 5]
        named = values.get(APPLICATION_PROPERTIES) or {}
        return cls(properties[0], properties[4], {str(key): value for key, value in named.items()},
                   values.get(VALUE, values.get(DATA)))  # fmt: skip


@dataclass(frozen=True)
class Reply:
    """The answer: a status as HTTP has it, and a body if it went well."""

    status: int
    description: str = "OK"
    body: Any = None
    condition: str | None = None

    @classmethod
    def refused(cls, refusal: errors.ServiceError) -> Reply:
        """Return the answer that says no."""
        return cls(refusal.status, refusal.description, None, refusal.condition)

    def encode(self, correlation_id: Any, names: tuple[str, str, str]) -> bytes:
        """Return the encoded message. The names of the three properties differ from node to node."""
        status, description, condition = names
        properties: dict[str, Any] = {status: Int(self.status), description: self.description}
        if self.condition:
            properties[condition] = Symbol(self.condition)
        return (
            encode_section(PROPERTIES, [None, None, None, None, None, correlation_id])
            + encode_section(APPLICATION_PROPERTIES, properties)
            + encode_section(VALUE, self.body if self.body is not None else {})
        )


def manage(broker: Broker, path: str, request: Request) -> Reply:
    """Carry out an operation on the entity at a path, and return the answer."""
    operation = str(request.properties.get("operation", "")).removeprefix(VENDOR)
    body = request.body if isinstance(request.body, dict) else {}
    try:
        broker.check_fault(path, "manage")
        match operation:
            case "schedule-message":
                return _schedule(broker, path, body)
            case "cancel-scheduled-message":
                broker.inlet(path).target.cancel_scheduled(_numbers(body))
                return Reply(200)
            case "renew-lock" | "update-disposition" | "peek-message" | "receive-by-sequence-number":
                return _messages(broker.outlet(path), operation, body)
            case "renew-session-lock" | "get-session-state" | "set-session-state" | "get-message-sessions":
                return _sessions(broker.outlet(path), operation, body)
        raise errors.not_implemented(f"The management operation {operation!r}")
    except errors.ServiceError as refusal:
        return Reply.refused(refusal)


def _schedule(broker: Broker, path: str, body: dict[str, Any]) -> Reply:
    inlet = broker.inlet(path)
    try:
        messages = [StoredMessage.parse(entry["message"]) for entry in body["messages"]]
    except (KeyError, TypeError, AmqpDecodeError) as error:
        raise errors.argument_error(f"A message to schedule cannot be read: {error}") from error
    for message in messages:
        if message.size > inlet.max_message_size:
            raise errors.size_exceeded(message.size, inlet.max_message_size)
    return Reply(200, body={"sequence-numbers": array_of([int(number) for number in inlet.send(messages)])})


def _messages(queue: Queue, operation: str, body: dict[str, Any]) -> Reply:
    if operation == "renew-lock":
        tokens = _tokens(body)
        queue.check_locked(tokens)
        times = [Timestamp(round(queue.renew_lock(token) * 1000)) for token in tokens]
        return Reply(200, body={"expirations": array_of(times)})
    if operation == "update-disposition":
        _settle(queue, body)
        return Reply(200)
    if operation == "peek-message":
        start, count = _field(body, "from-sequence-number", int), _field(body, "message-count", int)
        session = body.get("session-id")
        found = queue.peek(start, count, session if isinstance(session, str) else None)
        listed = [{"message": message.encode()} for message in found]
        return Reply(200, body={"messages": listed}) if listed else Reply(204, "No content")
    delete = body.get("receiver-settle-mode") == 0
    messages = queue.receive_deferred(_numbers(body), delete=delete)
    return Reply(200, body={"messages": [_handed_out(message) for message in messages]})


def _handed_out(message: StoredMessage) -> dict[str, Any]:
    entry: dict[str, Any] = {"message": message.encode()}
    if message.lock is not None:
        entry["lock-token"] = message.lock.token
    return entry


def _settle(queue: Queue, body: dict[str, Any]) -> None:
    tokens, status = _tokens(body), _field(body, "disposition-status", str)
    properties = body.get("properties-to-modify") or {}
    queue.check_locked(tokens)
    for token in tokens:
        match status:
            case "completed":
                queue.complete(token)
            case "abandoned":
                queue.abandon(token, properties)
            case "defered":
                queue.defer(token, properties)
            case "suspended":
                queue.dead_letter(token, body.get("deadletter-reason"), body.get("deadletter-description"), properties)
            case _:
                raise errors.argument_error(f"The disposition status {status!r} is not known.")


def _sessions(queue: Queue, operation: str, body: dict[str, Any]) -> Reply:
    if not queue.settings.requires_session:
        raise errors.not_allowed(f"The entity '{queue.path}' does not require sessions.")
    if operation == "get-message-sessions":
        since, skip, top = (body.get(key, 0) for key in ("last-updated-time", "skip", "top"))
        if since < NO_TIME_GIVEN:
            raise errors.not_implemented("Listing the sessions that were updated since a given time")
        listed = queue.session_ids()[skip : skip + top]
        if not listed:
            return Reply(204, "No content")
        return Reply(200, body={"skip": Int(skip + len(listed)), "sessions-ids": array_of(listed)})
    session = _field(body, "session-id", str)
    if operation == "renew-session-lock":
        return Reply(200, body={"expiration": Timestamp(round(queue.renew_session_lock(session) * 1000))})
    queue.sweep()
    queue.sessions.held(session)
    if operation == "get-session-state":
        return Reply(200, body={"session-state": queue.sessions.state_of(session)})
    state = body.get("session-state")
    queue.sessions.set_state(session, state if isinstance(state, bytes) else None)
    return Reply(200)


def _field(body: dict[str, Any], name: str, kind: type) -> Any:
    value = body.get(name)
    if not isinstance(value, kind):
        raise errors.argument_error(f"The request has no {name}.")
    return value


def _items(body: dict[str, Any], name: str, kind: type) -> list[Any]:
    value = body.get(name)
    items = list(value.items if isinstance(value, Array) else value if isinstance(value, list) else ())
    if not items or not all(isinstance(item, kind) for item in items):
        raise errors.argument_error(f"The request has no {name}.")
    return items


def _tokens(body: dict[str, Any]) -> list[UUID]:
    return _items(body, "lock-tokens", UUID)


def _numbers(body: dict[str, Any]) -> list[int]:
    return _items(body, "sequence-numbers", int)
