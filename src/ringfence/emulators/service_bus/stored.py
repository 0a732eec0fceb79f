"""A message as the broker keeps it."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from ringfence.emulators.service_bus.amqp.message import (
    APPLICATION_PROPERTIES,
    DATA,
    HEADER,
    MESSAGE_ANNOTATIONS,
    PROPERTIES,
    encode_section,
    sections_of,
)
from ringfence.emulators.service_bus.amqp.types import AmqpDecodeError, Int, Symbol, Timestamp, UInt

__all__ = ["MessageLock", "MessageState", "StoredMessage"]

MessageState = Literal["active", "deferred", "scheduled"]
STATE_NUMBERS: dict[MessageState, int] = {"active": 0, "deferred": 1, "scheduled": 2}
LONGEST_TTL = 0xFFFFFFFF
"""Milliseconds: the header's time to live is an unsigned 32 bit number."""


@dataclass
class MessageLock:
    """Who may settle a message, and until when (seconds since the Unix epoch)."""

    token: UUID
    until: float


@dataclass
class StoredMessage:
    """The parts of a message that the broker reads or writes, and the rest as it came. Times are in seconds."""

    header: list[Any]
    annotations: dict[str, Any]
    application_properties: dict[str, Any]
    properties: list[Any]
    properties_raw: bytes
    body_raw: bytes
    size: int

    sequence_number: int = 0
    enqueued_sequence_number: int = 0
    enqueued_at: float = 0.0
    expires_at: float | None = None
    delivery_count: int = 0
    state: MessageState = "active"
    lock: MessageLock | None = None
    time_to_live: float | None = field(init=False)
    scheduled_for: float | None = field(init=False)

    def __post_init__(self) -> None:
        """Read what the sender has asked for."""
        ttl, at = _field(self.header, 2), self.annotations.get("x-opt-scheduled-enqueue-time")
        self.time_to_live = ttl / 1000 if isinstance(ttl, int) and ttl > 0 else None
        self.scheduled_for = at / 1000 if isinstance(at, int) else None

    @classmethod
    def parse(cls, raw: bytes) -> StoredMessage:
        """Read an encoded message.

        Raises:
            AmqpDecodeError: it is not one.
        """
        sections = sections_of(raw)
        first = {section.code: section for section in reversed(sections)}

        def value_of(code: int, kind: type[list[Any]] | type[dict[Any, Any]]) -> Any:
            value = first[code].value if code in first else kind()
            if not isinstance(value, kind):
                raise AmqpDecodeError(f"section 0x{code:x} of a message is no {kind.__name__}")
            return value

        return cls(
            header=value_of(HEADER, list),
            annotations={str(key): value for key, value in value_of(MESSAGE_ANNOTATIONS, dict).items()},
            application_properties=dict(value_of(APPLICATION_PROPERTIES, dict)),
            properties=value_of(PROPERTIES, list),
            properties_raw=first[PROPERTIES].raw if PROPERTIES in first else b"",
            body_raw=b"".join(section.raw for section in sections if section.code >= DATA),
            size=len(raw),
        )

    @property
    def message_id(self) -> Any:
        """What the sender calls it: duplicates have the same."""
        return _field(self.properties, 0)

    @property
    def session_id(self) -> str | None:
        """The session that it belongs to."""
        value = _field(self.properties, 10)
        return value if isinstance(value, str) else None

    @property
    def system_properties(self) -> dict[str, Any]:
        """What a filter can read of it beside the application properties, by the names of the .NET class."""
        names = ("MessageId", None, "To", "Label", "ReplyTo", "CorrelationId", "ContentType")
        values = {name: _field(self.properties, index) for index, name in enumerate(names) if name}
        values["SessionId"] = self.session_id
        values["ReplyToSessionId"] = _field(self.properties, 12)
        return values

    def copy(self) -> StoredMessage:
        """Return a copy that can go its own way."""
        other = copy.copy(self)
        other.annotations = dict(self.annotations)
        other.application_properties = dict(self.application_properties)
        return other

    def encode(self) -> bytes:
        """Return it as a receiver gets it: what the sender wrote, and what the service adds."""
        ttl = None
        if self.expires_at is not None:
            ttl = UInt(min(max(0, round((self.expires_at - self.enqueued_at) * 1000)), LONGEST_TTL))
        header = [_field(self.header, 0), _field(self.header, 1), ttl, False, UInt(self.delivery_count)]
        annotations = {Symbol(key): value for key, value in self.annotations.items()}
        annotations[Symbol("x-opt-sequence-number")] = int(self.sequence_number)
        annotations[Symbol("x-opt-enqueue-sequence-number")] = int(self.enqueued_sequence_number)
        annotations[Symbol("x-opt-enqueued-time")] = Timestamp(round(self.enqueued_at * 1000))
        annotations[Symbol("x-opt-message-state")] = Int(STATE_NUMBERS[self.state])
        if self.lock is not None:
            annotations[Symbol("x-opt-locked-until")] = Timestamp(round(self.lock.until * 1000))
        application = self.application_properties
        return (
            encode_section(HEADER, header)
            + encode_section(MESSAGE_ANNOTATIONS, annotations)
            + self.properties_raw
            + (encode_section(APPLICATION_PROPERTIES, application) if application else b"")
            + self.body_raw
        )


def _field(values: list[Any], index: int) -> Any:
    return values[index] if len(values) > index else None
