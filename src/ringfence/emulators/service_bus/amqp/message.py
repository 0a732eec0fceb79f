"""AMQP messages as sections, so that what a broker does not touch passes through byte for byte.

Source: OASIS AMQP 1.0, part 3.2 (messaging).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ringfence.emulators.service_bus.amqp.types import AmqpDecodeError, Described, ULong, decode, encode

__all__ = [
    "APPLICATION_PROPERTIES",
    "BATCH_FORMAT",
    "DATA",
    "DELIVERY_ANNOTATIONS",
    "FOOTER",
    "HEADER",
    "MESSAGE_ANNOTATIONS",
    "PROPERTIES",
    "VALUE",
    "Section",
    "encode_section",
    "sections_of",
    "unbatch",
]

HEADER, DELIVERY_ANNOTATIONS, MESSAGE_ANNOTATIONS, PROPERTIES, APPLICATION_PROPERTIES = 0x70, 0x71, 0x72, 0x73, 0x74
DATA, SEQUENCE, VALUE, FOOTER = 0x75, 0x76, 0x77, 0x78

BATCH_FORMAT = 0x80013700
"""The message format of a batch: each data section is an encoded message. A convention of Service Bus."""


@dataclass(frozen=True)
class Section:
    """A part of a message: what it is, its value, and its bytes as they came."""

    code: int
    value: Any
    raw: bytes


def sections_of(raw: bytes) -> list[Section]:
    """Return the sections of an encoded message.

    Raises:
        AmqpDecodeError: it is not a message.
    """
    sections = []
    at = 0
    while at < len(raw):
        value, end = decode(raw, at)
        if not isinstance(value, Described) or value.descriptor not in range(HEADER, FOOTER + 1):
            raise AmqpDecodeError(f"byte {at} of a message is not the start of a section")
        sections.append(Section(int(value.descriptor), value.value, raw[at:end]))
        at = end
    return sections


def encode_section(code: int, value: Any) -> bytes:
    """Return the bytes of a section."""
    return encode(Described(ULong(code), value))


def unbatch(raw: bytes) -> list[bytes]:
    """Return the messages of a batch, each still encoded.

    Raises:
        AmqpDecodeError: it is not a batch.
    """
    parts = [section.value for section in sections_of(raw) if section.code == DATA]
    if not parts or not all(isinstance(part, bytes) for part in parts):
        raise AmqpDecodeError("a batch has no data sections")
    return parts
