"""AMQP values go over the wire and come back as they were, types included; bytes that are not AMQP are refused."""

from __future__ import annotations

import contextlib
import math
import struct
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.emulators.service_bus.amqp.performatives import decode_performative
from ringfence.emulators.service_bus.amqp.types import (
    AmqpDecodeError,
    Array,
    Byte,
    Char,
    Decimal,
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
from ringfence.emulators.service_bus.stored import StoredMessage

CHARACTERS = st.characters(exclude_categories=("Cs",))
RANGES: list[tuple[type[int], int, int]] = [
    (UByte, 0, 8),
    (UShort, 0, 16),
    (UInt, 0, 32),
    (ULong, 0, 64),
    (Byte, 8, 8),
    (Short, 16, 16),
    (Int, 32, 32),
    (int, 64, 64),
    (Timestamp, 64, 64),
]
NUMBERS = st.one_of(
    st.integers(-(2 ** (bits - 1)) if signed else 0, 2 ** (bits - 1 if signed else bits) - 1).map(kind)
    for kind, signed, bits in RANGES
)
TEXTS = st.text(CHARACTERS, max_size=300)
SYMBOLS = st.text(st.characters(codec="ascii"), max_size=300).map(Symbol)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    NUMBERS,
    st.floats(),
    st.floats(width=32).map(Float),
    CHARACTERS.map(Char),
    TEXTS,
    SYMBOLS,
    st.binary(max_size=300),
    st.uuids(),
    st.sampled_from([4, 8, 16]).flatmap(lambda size: st.binary(min_size=size, max_size=size)).map(Decimal),
)
ARRAYS = st.one_of(
    st.lists(kind, max_size=5).map(array_of)
    for kind in (st.booleans(), st.integers(-(2**63), 2**63 - 1), TEXTS, SYMBOLS, st.uuids(), st.binary(max_size=300))
)
VALUES = st.recursive(
    SCALARS | ARRAYS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(TEXTS, inner, max_size=4)
        | st.builds(Described, st.integers(0, 2**64 - 1).map(ULong) | SYMBOLS, inner)
    ),
    max_leaves=20,
)


def typed(value: Any) -> Any:
    """Return a value with the types of all its parts, so that equal is really equal."""
    match value:
        case list():
            return [typed(item) for item in value]
        case dict():
            return {key: typed(item) for key, item in value.items()}
        case Described(descriptor, inner):
            return Described, typed(descriptor), typed(inner)
        case Array(code, items, descriptor):
            return Array, code, [typed(item) for item in items], descriptor
        case float() if math.isnan(value):
            return type(value), "not a number"
        case float():
            return type(value), struct.pack(">d", value)
    return type(value), value


@settings(deadline=None)
@given(VALUES)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    raw = encode(value)
    back, end = decode(raw)

    assert typed(back) == typed(value)
    assert end == len(raw)
    assert encode(back) == raw


@settings(deadline=None)
@given(st.lists(VALUES, max_size=4))
def test_values_follow_each_other(values: list[Any]) -> None:
    raw = b"".join(map(encode, values))
    at, back = 0, []
    while at < len(raw):
        value, at = decode(raw, at)
        back.append(value)

    assert [typed(value) for value in back] == [typed(value) for value in values]


@settings(deadline=None)
@given(VALUES, st.data())
def test_a_value_that_is_cut_short_is_refused(value: Any, data: st.DataObject) -> None:
    raw = encode(value)
    cut = raw[: data.draw(st.integers(0, len(raw) - 1))]

    try:
        decode(cut)
    except AmqpDecodeError:
        return
    raise AssertionError(f"{cut.hex()} was read")


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    for read in (decode, decode_performative, StoredMessage.parse):
        with contextlib.suppress(AmqpDecodeError):
            read(raw)


@settings(deadline=None)
@given(VALUES, st.data())
def test_a_changed_byte_is_read_or_refused(value: Any, data: st.DataObject) -> None:
    raw = bytearray(encode(value))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))

    try:
        back, end = decode(bytes(raw))
    except AmqpDecodeError:
        return
    assert 0 < end <= len(raw)
    # What was read can be written, and then reads the same.
    again, _ = decode(encode(back))
    assert typed(again) == typed(back)
