"""AMQP values, frames and performatives against bytes from the specification, and against bytes that are wrong."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from ringfence.emulators.service_bus.amqp.frames import (
    AMQP_FRAME,
    MAX_FRAME_SIZE,
    FrameHeader,
    encode_frame,
    read_header,
)
from ringfence.emulators.service_bus.amqp.message import BATCH_FORMAT, encode_section, sections_of, unbatch
from ringfence.emulators.service_bus.amqp.performatives import (
    AmqpError,
    Attach,
    Coordinator,
    Detach,
    Disposition,
    Modified,
    Open,
    Rejected,
    SaslInit,
    Source,
    Target,
    decode_performative,
    encode_performative,
)
from ringfence.emulators.service_bus.amqp.sasl import answer
from ringfence.emulators.service_bus.amqp.types import (
    AmqpDecodeError,
    Array,
    Byte,
    Char,
    Described,
    Float,
    Int,
    Short,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
    array_of,
    decode,
    encode,
)

IDENTITY = UUID("12345678-1234-5678-1234-567812345678")

VALUES: list[tuple[Any, str]] = [
    (None, "40"),
    (True, "41"),
    (False, "42"),
    (UByte(255), "50ff"),
    (UShort(258), "600102"),
    (UInt(0), "5200"),
    (UInt(256), "7000000100"),
    (ULong(7), "5307"),
    (ULong(2**63), "808000000000000000"),
    (Byte(-1), "51ff"),
    (Short(-2), "61fffe"),
    (Int(-128), "5480"),
    (Int(128), "7100000080"),
    (5, "5505"),
    (-(2**40), "81ffffff0000000000"),
    (Float(0.5), "723f000000"),
    (1.5, "823ff8000000000000"),
    (Char("ü"), "73000000fc"),
    (Timestamp(1000), "8300000000000003e8"),
    (IDENTITY, "98" + IDENTITY.hex),
    (b"\x01\x02", "a0020102"),
    ("hé", "a10368c3a9"),
    (Symbol("sym"), "a30373796d"),
    ([], "45"),
    (["a", None], "d00000000800000002a1016140"),
    ({Symbol("k"): 1}, "d10000000900000002a3016b5501"),
    (Array(0x81, (1, 2)), "f000000015000000028100000000000000010000000000000002"),
    (Described(ULong(0x24), []), "00532445"),
]


@pytest.mark.parametrize(("value", "expected"), VALUES, ids=[text[:20] for _, text in VALUES])
def test_a_value_has_these_bytes(value: Any, expected: str) -> None:
    raw = encode(value)
    back, end = decode(raw)

    assert raw.hex() == expected
    assert (back, type(back), end) == (value, type(value), len(raw))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("43", UInt(0)),
        ("44", ULong(0)),
        ("5600", False),
        ("5601", True),
        ("c00401a1024142", None),  # list8 whose size does not fit
        ("c0040141", None),
        ("c00201" + "41", [True]),
        ("c10703a1016b5501", None),  # a map with three elements
        ("c10602a1016b5501", {"k": 1}),
        ("e003024141", None),
        ("e00202" + "41", Array(0x41, (True, True))),
        ("e0050300" + "5324" + "45", Array(0x45, ([], [], []), ULong(0x24))),
        ("b00000000241", None),
        ("a102ff", None),
        ("a101ff", None),
        ("a301e9", None),
        ("73ffffffff", None),
        ("98" + "00" * 15, None),
        ("5602", None),
        ("ff", None),
        ("", None),
        ("00", None),
        ("c106024541" + "4041", None),  # a list as a key
        ("f0" + "00000005" + "ffffffff" + "40", None),  # four thousand million nulls
    ],
)
def test_other_forms_are_read_and_nonsense_is_refused(raw: str, expected: Any) -> None:
    if expected is None:
        with pytest.raises(AmqpDecodeError):
            decode(bytes.fromhex(raw))
    else:
        assert decode(bytes.fromhex(raw)) == (expected, len(raw) // 2)


def test_values_cannot_nest_without_end() -> None:
    raw = b"\x45"
    for _ in range(100):
        raw = b"\xd0" + (len(raw) + 4).to_bytes(4, "big") + b"\x00\x00\x00\x01" + raw

    with pytest.raises(AmqpDecodeError, match="deeper"):
        decode(raw)
    with pytest.raises(AmqpDecodeError, match="deeper"):
        decode(b"\x00" * 5000 + b"\x40")


@pytest.mark.parametrize("value", [object(), {1, 2}, 2 + 1j])
def test_what_amqp_has_no_type_for_cannot_be_encoded(value: Any) -> None:
    with pytest.raises(TypeError):
        encode(value)


@pytest.mark.parametrize(
    ("items", "code"),
    [
        ([], 0x40),
        ([1, 300], 0x81),
        ([True, False], 0x56),
        ([Timestamp(1)], 0x83),
        ([IDENTITY], 0x98),
        (["a", "b" * 300], 0xB1),
        ([Symbol("a")], 0xB3),
        ([[], ["x"]], 0xD0),
    ],
)
def test_arrays_have_one_type(items: list[Any], code: int) -> None:
    array = array_of(items)

    assert array.code == code
    assert decode(encode(array))[0] == array


# Frames and performatives


def test_a_frame_has_a_header() -> None:
    frame = encode_frame(b"body", channel=7)

    assert read_header(frame[:8]) == FrameHeader(4, 0, AMQP_FRAME, 7)
    assert read_header(bytes.fromhex("0000001003000000")) == FrameHeader(4, 4, AMQP_FRAME, 0)
    assert encode_frame(b"").hex() == "0000000802000000"


@pytest.mark.parametrize(
    "raw", ["0000000801000000", "0000000402000000", "0000000802090000", f"{MAX_FRAME_SIZE + 1:08x}02000000"]
)
def test_no_frame_starts_like_this(raw: str) -> None:
    with pytest.raises(AmqpDecodeError):
        read_header(bytes.fromhex(raw))


@pytest.mark.parametrize(
    "performative",
    [
        Open("me", "there", 512, 3, 1000, properties={Symbol("product"): "x"}),
        Attach("link", 1, True, 2, 1, Source("q", filter={Symbol("f"): None}), Target("t"), initial_delivery_count=0),
        Attach("tx", 2, False, target=Coordinator(capabilities=Symbol("amqp:local-transactions"))),
        Disposition(True, 3, 5, False, Modified(True, False, {Symbol("a"): 1})),
        Disposition(True, 3, None, True, Rejected(AmqpError("amqp:not-found", "no", {Symbol("k"): "v"}))),
        Detach(3, True, AmqpError("amqp:internal-error", None)),
    ],
)
def test_a_performative_comes_back_as_it_was(performative: Any) -> None:
    assert decode_performative(encode_performative(performative, b"rest")) == (performative, b"rest")


def test_trailing_fields_can_be_left_out() -> None:
    raw = encode(Described(ULong(0x10), ["me"]))

    assert decode_performative(raw) == (Open("me"), b"")


def test_an_error_has_all_its_fields_on_the_wire() -> None:
    """The SDK for Python reads the third field of an error by its position."""
    value, _ = decode(encode_performative(AmqpError("amqp:not-found")))

    assert value == Described(0x1D, ["amqp:not-found", None, None])


@pytest.mark.parametrize(
    "body", [encode("text"), encode(Described(ULong(0x99), [])), encode(Described(ULong(0x24), [1]))]
)
def test_what_is_no_performative_is_refused(body: bytes) -> None:
    with pytest.raises(AmqpDecodeError):
        decode_performative(body)


def test_only_anonymous_peers_come_in() -> None:
    assert answer(encode_performative(SaslInit("ANONYMOUS")))[0] is True
    assert answer(encode_performative(SaslInit("PLAIN", b"\x00user\x00secret")))[0] is False
    with pytest.raises(AmqpDecodeError):
        answer(encode_performative(Open("me")))


# Messages


def test_a_message_is_read_section_by_section() -> None:
    raw = encode_section(0x70, [True]) + encode_section(0x75, b"one") + encode_section(0x75, b"two")
    sections = sections_of(raw)

    assert [(section.code, section.value) for section in sections] == [(0x70, [True]), (0x75, b"one"), (0x75, b"two")]
    assert b"".join(section.raw for section in sections) == raw


def test_a_batch_holds_messages() -> None:
    inner = [encode_section(0x75, b"1"), encode_section(0x77, "2")]
    batch = encode_section(0x73, ["id"]) + b"".join(encode_section(0x75, raw) for raw in inner)

    assert unbatch(batch) == inner
    assert BATCH_FORMAT == 0x80013700
    with pytest.raises(AmqpDecodeError):
        unbatch(encode_section(0x77, "no batch"))


@pytest.mark.parametrize("raw", [b"hello", encode("text"), encode_section(0x70, [])[:-1], encode_section(0x69, [])])
def test_what_is_no_message_is_refused(raw: bytes) -> None:
    with pytest.raises(AmqpDecodeError):
        sections_of(raw)
