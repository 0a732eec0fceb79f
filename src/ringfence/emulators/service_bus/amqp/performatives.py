"""The performatives of AMQP 1.0: what peers tell each other to open, attach, transfer, settle and close.

Each is a dataclass whose fields stand in the order of the wire. Fields that are not given are null; they are always
written out, since peers exist that read an error's fields by position.

Source: OASIS AMQP 1.0, part 2.7 and 2.8 (transport), 3.4 and 3.5 (messaging), 4.5 (transactions).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from ringfence.emulators.service_bus.amqp.types import (
    AmqpDecodeError,
    Described,
    Symbol,
    UByte,
    UInt,
    ULong,
    UShort,
    decode,
    encode,
)

__all__ = [
    "Accepted",
    "AmqpError",
    "Attach",
    "Begin",
    "Close",
    "Composite",
    "Coordinator",
    "Detach",
    "Disposition",
    "End",
    "Flow",
    "Modified",
    "Open",
    "Received",
    "Rejected",
    "Released",
    "SaslInit",
    "SaslMechanisms",
    "SaslOutcome",
    "Source",
    "Target",
    "TransactionalState",
    "Transfer",
    "decode_performative",
    "encode_performative",
]


# Numbers and symbols have several forms on the wire, of which a field has one. All other values tell theirs.
UBYTE, USHORT, UINT, ULONG, SYMBOL = ({"kind": kind} for kind in (UByte, UShort, UInt, ULong, Symbol))


@dataclass
class Composite:
    """A described list with named fields."""

    CODE: ClassVar[int]

    def described(self) -> Described:
        """Return it as it goes over the wire."""
        fields = dataclasses.fields(self)
        return Described(ULong(self.CODE), [_on_the_wire(getattr(self, item.name), item.metadata) for item in fields])


def _on_the_wire(value: Any, metadata: Mapping[str, Callable[[Any], Any]]) -> Any:
    if isinstance(value, Composite):
        return value.described()
    return metadata["kind"](value) if "kind" in metadata and value is not None else value


@dataclass
class AmqpError(Composite):
    """Why something was refused or closed."""

    CODE = 0x1D
    condition: str = field(default="amqp:internal-error", metadata=SYMBOL)
    description: str | None = None
    info: dict[Any, Any] | None = None


@dataclass
class Received(Composite):
    """How far a delivery has come in: no outcome yet."""

    CODE = 0x23
    section_number: int | None = field(default=None, metadata=UINT)
    section_offset: int | None = field(default=None, metadata=ULONG)


@dataclass
class Accepted(Composite):
    """The receiver is done with it."""

    CODE = 0x24


@dataclass
class Rejected(Composite):
    """The receiver cannot take it."""

    CODE = 0x25
    error: AmqpError | None = None


@dataclass
class Released(Composite):
    """The receiver gives it back untouched."""

    CODE = 0x26


@dataclass
class Modified(Composite):
    """The receiver gives it back: it failed, or shall not come here again."""

    CODE = 0x27
    delivery_failed: bool | None = None
    undeliverable_here: bool | None = None
    message_annotations: dict[Any, Any] | None = None


@dataclass
class TransactionalState(Composite):
    """A transfer or an outcome that is part of a transaction."""

    CODE = 0x34
    txn_id: bytes | None = None
    outcome: Any = None


@dataclass
class Source(Composite):
    """Where a link's messages come from."""

    CODE = 0x28
    address: Any = None
    durable: int | None = field(default=None, metadata=UINT)
    expiry_policy: str | None = field(default=None, metadata=SYMBOL)
    timeout: int | None = field(default=None, metadata=UINT)
    dynamic: bool | None = None
    dynamic_node_properties: dict[Any, Any] | None = None
    distribution_mode: str | None = field(default=None, metadata=SYMBOL)
    filter: dict[Any, Any] | None = None
    default_outcome: Any = None
    outcomes: Any = None
    capabilities: Any = None


@dataclass
class Target(Composite):
    """Where a link's messages go to."""

    CODE = 0x29
    address: Any = None
    durable: int | None = field(default=None, metadata=UINT)
    expiry_policy: str | None = field(default=None, metadata=SYMBOL)
    timeout: int | None = field(default=None, metadata=UINT)
    dynamic: bool | None = None
    dynamic_node_properties: dict[Any, Any] | None = None
    capabilities: Any = None


@dataclass
class Coordinator(Composite):
    """The target of a link that controls transactions."""

    CODE = 0x30
    capabilities: Any = None


@dataclass
class Open(Composite):
    """A connection starts. Sizes are in bytes, the time-out is in milliseconds."""

    CODE = 0x10
    container_id: str = ""
    hostname: str | None = None
    max_frame_size: int | None = field(default=None, metadata=UINT)
    channel_max: int | None = field(default=None, metadata=USHORT)
    idle_time_out: int | None = field(default=None, metadata=UINT)
    outgoing_locales: Any = None
    incoming_locales: Any = None
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: dict[Any, Any] | None = None


@dataclass
class Begin(Composite):
    """A session starts on a channel."""

    CODE = 0x11
    remote_channel: int | None = field(default=None, metadata=USHORT)
    next_outgoing_id: int = field(default=0, metadata=UINT)
    incoming_window: int = field(default=0, metadata=UINT)
    outgoing_window: int = field(default=0, metadata=UINT)
    handle_max: int | None = field(default=None, metadata=UINT)
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: dict[Any, Any] | None = None


@dataclass
class Attach(Composite):
    """A link starts. `role` is True for the receiving end."""

    CODE = 0x12
    name: str = ""
    handle: int = field(default=0, metadata=UINT)
    role: bool = False
    snd_settle_mode: int | None = field(default=None, metadata=UBYTE)
    rcv_settle_mode: int | None = field(default=None, metadata=UBYTE)
    source: Any = None
    target: Any = None
    unsettled: dict[Any, Any] | None = None
    incomplete_unsettled: bool | None = None
    initial_delivery_count: int | None = field(default=None, metadata=UINT)
    max_message_size: int | None = field(default=None, metadata=ULONG)
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: dict[Any, Any] | None = None


@dataclass
class Flow(Composite):
    """How much may be sent, in a session and, with a handle, on a link."""

    CODE = 0x13
    next_incoming_id: int | None = field(default=None, metadata=UINT)
    incoming_window: int = field(default=0, metadata=UINT)
    next_outgoing_id: int = field(default=0, metadata=UINT)
    outgoing_window: int = field(default=0, metadata=UINT)
    handle: int | None = field(default=None, metadata=UINT)
    delivery_count: int | None = field(default=None, metadata=UINT)
    link_credit: int | None = field(default=None, metadata=UINT)
    available: int | None = field(default=None, metadata=UINT)
    drain: bool | None = None
    echo: bool | None = None
    properties: dict[Any, Any] | None = None


@dataclass
class Transfer(Composite):
    """A message, or a part of one. The bytes follow the performative in the same frame."""

    CODE = 0x14
    handle: int = field(default=0, metadata=UINT)
    delivery_id: int | None = field(default=None, metadata=UINT)
    delivery_tag: bytes | None = None
    message_format: int | None = field(default=None, metadata=UINT)
    settled: bool | None = None
    more: bool | None = None
    rcv_settle_mode: int | None = field(default=None, metadata=UBYTE)
    state: Any = None
    resume: bool | None = None
    aborted: bool | None = None
    batchable: bool | None = None


@dataclass
class Disposition(Composite):
    """What has become of the deliveries `first` to `last`. `role` is True if the receiver of them speaks."""

    CODE = 0x15
    role: bool = False
    first: int = field(default=0, metadata=UINT)
    last: int | None = field(default=None, metadata=UINT)
    settled: bool | None = None
    state: Any = None
    batchable: bool | None = None


@dataclass
class Detach(Composite):
    """A link ends."""

    CODE = 0x16
    handle: int = field(default=0, metadata=UINT)
    closed: bool | None = None
    error: AmqpError | None = None


@dataclass
class End(Composite):
    """A session ends."""

    CODE = 0x17
    error: AmqpError | None = None


@dataclass
class Close(Composite):
    """A connection ends."""

    CODE = 0x18
    error: AmqpError | None = None


@dataclass
class SaslMechanisms(Composite):
    """How the server lets peers authenticate."""

    CODE = 0x40
    mechanisms: Any = None


@dataclass
class SaslInit(Composite):
    """How a peer wants to authenticate."""

    CODE = 0x41
    mechanism: str = field(default="", metadata=SYMBOL)
    initial_response: bytes | None = None
    hostname: str | None = None


@dataclass
class SaslOutcome(Composite):
    """Whether it may: 0 for yes, 1 for no."""

    CODE = 0x44
    code: int = field(default=0, metadata=UBYTE)
    additional_data: bytes | None = None


COMPOSITES: Final[dict[int, type[Composite]]] = {
    kind.CODE: kind
    for kind in (
        *(AmqpError, Received, Accepted, Rejected, Released, Modified, TransactionalState),
        *(Source, Target, Coordinator, SaslMechanisms, SaslInit, SaslOutcome),
        *(Open, Begin, Attach, Flow, Transfer, Disposition, Detach, End, Close),
    )
}


def encode_performative(performative: Composite, payload: bytes = b"") -> bytes:
    """Return the body of the frame that carries a performative."""
    return encode(performative.described()) + payload


def decode_performative(body: bytes) -> tuple[Composite, bytes]:
    """Return the performative in a frame's body, and the bytes that follow it.

    Raises:
        AmqpDecodeError: there is none, or it has fields that AMQP 1.0 does not know.
    """
    value, end = decode(body)
    performative = _composite(value)
    if not isinstance(performative, Composite):
        raise AmqpDecodeError("a frame does not start with a performative")
    return performative, body[end:]


def _composite(value: Any) -> Any:
    """Return a described list as the composite that it is, and anything else as it came."""
    if not isinstance(value, Described) or not isinstance(value.value, list):
        return value
    kind = COMPOSITES.get(value.descriptor) if isinstance(value.descriptor, int) else None
    if kind is None:
        return value
    fields = dataclasses.fields(kind)
    if len(value.value) > len(fields):
        raise AmqpDecodeError(f"{kind.__name__} has {len(value.value)} fields, {len(fields)} are known")
    given = {item.name: _composite(entry) for item, entry in zip(fields, value.value, strict=False)}
    return kind(**{name: entry for name, entry in given.items() if entry is not None})
