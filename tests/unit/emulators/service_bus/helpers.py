"""Messages and a clock for the tests of the broker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ringfence.emulators.service_bus.amqp.message import (
    APPLICATION_PROPERTIES,
    DATA,
    HEADER,
    MESSAGE_ANNOTATIONS,
    PROPERTIES,
    encode_section,
)
from ringfence.emulators.service_bus.amqp.types import Symbol, Timestamp, UInt
from ringfence.emulators.service_bus.stored import StoredMessage

START = 1_700_000_000.0


@dataclass
class ManualClock:
    """A clock that stands still until it is told to go on."""

    now: float = START

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


def encoded(
    body: str = "body",
    *,
    message_id: str | None = None,
    session_id: str | None = None,
    subject: str | None = None,
    ttl: float | None = None,
    at: float | None = None,
    **properties: Any,
) -> bytes:
    """Return a message as a client sends it. Times are in seconds."""
    raw = b""
    if ttl is not None:
        raw += encode_section(HEADER, [True, None, UInt(round(ttl * 1000))])
    if at is not None:
        raw += encode_section(MESSAGE_ANNOTATIONS, {Symbol("x-opt-scheduled-enqueue-time"): Timestamp(int(at * 1000))})
    fields = [message_id, None, None, subject, None, None, None, None, None, None, session_id]
    raw += encode_section(PROPERTIES, fields)
    if properties:
        raw += encode_section(APPLICATION_PROPERTIES, properties)
    return raw + encode_section(DATA, body.encode())


def message(body: str = "body", **options: Any) -> StoredMessage:
    """Return a message as the broker reads it."""
    return StoredMessage.parse(encoded(body, **options))


def text_of(found: StoredMessage | None) -> str | None:
    """Return the body of a message."""
    return None if found is None else found.body_raw[5:].decode()


def token_of(found: StoredMessage | None) -> Any:
    """Return the token of a message that is locked."""
    assert found is not None
    assert found.lock is not None
    return found.lock.token
