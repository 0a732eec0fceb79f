"""AMQP 1.0 frames and protocol headers.

Source: OASIS AMQP 1.0, part 2.2 and 2.3 (transport).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ringfence.emulators.service_bus.amqp.types import AmqpDecodeError

__all__ = [
    "AMQP_FRAME",
    "AMQP_HEADER",
    "HEADER_SIZE",
    "MAX_FRAME_SIZE",
    "SASL_FRAME",
    "SASL_HEADER",
    "FrameHeader",
    "encode_frame",
    "read_header",
]

AMQP_HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"
AMQP_FRAME, SASL_FRAME = 0, 1
HEADER_SIZE = 8
MAX_FRAME_SIZE = 65_536
"""The largest frame that this peer accepts, in bytes: what Service Bus announces too."""


@dataclass(frozen=True)
class FrameHeader:
    """What stands before a frame's body. Sizes are in bytes."""

    body_size: int
    extended_size: int
    kind: int
    channel: int


def read_header(raw: bytes) -> FrameHeader:
    """Read the 8 bytes before a frame.

    Raises:
        AmqpDecodeError: they are no header, or announce more than `MAX_FRAME_SIZE`.
    """
    size, offset, kind, channel = struct.unpack(">IBBH", raw)
    if offset < 2 or size < offset * 4 or kind not in (AMQP_FRAME, SASL_FRAME):
        raise AmqpDecodeError(f"no frame header: {raw.hex()}")
    if size > MAX_FRAME_SIZE:
        raise AmqpDecodeError(f"a frame of {size} bytes is larger than the {MAX_FRAME_SIZE} agreed on")
    return FrameHeader(size - offset * 4, offset * 4 - HEADER_SIZE, kind, channel)


def encode_frame(body: bytes, channel: int = 0, kind: int = AMQP_FRAME) -> bytes:
    """Return a frame. An empty body is the frame that keeps a connection alive."""
    return struct.pack(">IBBH", len(body) + HEADER_SIZE, 2, kind, channel) + body
