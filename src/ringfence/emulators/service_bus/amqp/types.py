"""The AMQP 1.0 type system: values to bytes and back.

Decoding keeps the AMQP type of each value: an `uint` comes back as `UInt`, which is an `int`, and so on. A value that
is decoded and encoded again therefore keeps its type, which is what a broker owes its senders.

Source: OASIS AMQP 1.0, part 1 (types).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

__all__ = [
    "AmqpDecodeError",
    "Array",
    "Byte",
    "Char",
    "Decimal",
    "Described",
    "Float",
    "Int",
    "Short",
    "Symbol",
    "Timestamp",
    "UByte",
    "UInt",
    "ULong",
    "UShort",
    "array_of",
    "decode",
    "encode",
]

MAX_DEPTH = 64
"""How deep values may nest: without a limit a few kilobytes could exhaust the stack."""

MAX_EMPTY_ELEMENTS = 65_536
"""How many elements without a byte of their own an array may claim."""


class AmqpDecodeError(Exception):
    """The bytes are not AMQP 1.0. The message says where they stop making sense."""


class Symbol(str):
    """Text from a fixed vocabulary, ASCII only on the wire."""

    __slots__ = ()


class Char(str):
    """One Unicode character."""

    __slots__ = ()


class UByte(int):
    """Unsigned, 8 bits."""


class UShort(int):
    """Unsigned, 16 bits."""


class UInt(int):
    """Unsigned, 32 bits."""


class ULong(int):
    """Unsigned, 64 bits."""


class Byte(int):
    """Signed, 8 bits."""


class Short(int):
    """Signed, 16 bits."""


class Int(int):
    """Signed, 32 bits. A plain `int` is a long: signed, 64 bits."""


class Timestamp(int):
    """Milliseconds since the Unix epoch."""


class Float(float):
    """32 bits. A plain `float` is a double: 64 bits."""


@dataclass(frozen=True)
class Decimal:
    """A decimal of 32, 64 or 128 bits, as the bytes it came in: nothing here calculates with it."""

    raw: bytes


@dataclass(frozen=True)
class Described:
    """A value with the descriptor that says what it means."""

    descriptor: Any
    value: Any


@dataclass(frozen=True)
class Array:
    """Values of one type: `code` is the format code that they share. `descriptor` is None unless they are described."""

    code: int
    items: tuple[Any, ...]
    descriptor: Any = None


NULL, TRUE, FALSE, BOOLEAN = 0x40, 0x41, 0x42, 0x56
UINT0, ULONG0, LIST0, SMALL_UINT, SMALL_ULONG = 0x43, 0x44, 0x45, 0x52, 0x53
SMALL_INT, SMALL_LONG, LONG, DOUBLE, CHAR, TIMESTAMP, UUID_CODE = 0x54, 0x55, 0x81, 0x82, 0x73, 0x83, 0x98
BINARY8, STRING8, SYMBOL8, BINARY32, STRING32, SYMBOL32 = 0xA0, 0xA1, 0xA3, 0xB0, 0xB1, 0xB3
LIST8, MAP8, ARRAY8, LIST32, MAP32, ARRAY32 = 0xC0, 0xC1, 0xE0, 0xD0, 0xD1, 0xF0
DECIMAL_WIDTHS: Final = {0x74: 4, 0x84: 8, 0x94: 16}
EMPTY_CODES: Final = frozenset((NULL, TRUE, FALSE, UINT0, ULONG0, LIST0))

NUMBERS: Final[dict[int, tuple[Callable[[Any], Any], struct.Struct]]] = {
    0x50: (UByte, struct.Struct(">B")),
    0x60: (UShort, struct.Struct(">H")),
    0x70: (UInt, struct.Struct(">I")),
    0x80: (ULong, struct.Struct(">Q")),
    0x51: (Byte, struct.Struct(">b")),
    0x61: (Short, struct.Struct(">h")),
    0x71: (Int, struct.Struct(">i")),
    LONG: (int, struct.Struct(">q")),
    TIMESTAMP: (Timestamp, struct.Struct(">q")),
    0x72: (Float, struct.Struct(">f")),
    DOUBLE: (float, struct.Struct(">d")),
    SMALL_UINT: (UInt, struct.Struct(">B")),
    SMALL_ULONG: (ULong, struct.Struct(">B")),
    SMALL_INT: (Int, struct.Struct(">b")),
    SMALL_LONG: (int, struct.Struct(">b")),
}
FULL_CODES: Final[dict[type, int]] = {
    UByte: 0x50,
    UShort: 0x60,
    UInt: 0x70,
    ULong: 0x80,
    Byte: 0x51,
    Short: 0x61,
    Int: 0x71,
    int: LONG,
    Timestamp: TIMESTAMP,
    Float: 0x72,
    float: DOUBLE,
}
SMALL_CODES: Final[dict[type, tuple[int, int, int]]] = {
    UInt: (SMALL_UINT, 0, 255),
    ULong: (SMALL_ULONG, 0, 255),
    Int: (SMALL_INT, -128, 127),
    int: (SMALL_LONG, -128, 127),
}
"""Type to the one-byte format code and the range that it holds."""

CONSTANTS: Final[dict[int, Any]] = {NULL: None, TRUE: True, FALSE: False, UINT0: UInt(0), ULONG0: ULong(0)}


def encode(value: Any) -> bytes:
    """Return the bytes of a value, in the shortest form that AMQP has for it.

    Raises:
        TypeError: AMQP has no type for it.
        struct.error: a number does not fit its type.
    """
    if isinstance(value, Described):
        return b"\x00" + encode(value.descriptor) + encode(value.value)
    code = _code(value)
    return bytes((code,)) + _payload(value, code)


def array_of(items: list[Any]) -> Array:
    """Return an array of values that are all of the type of the first; an empty one is an array of nulls."""
    if not items:
        return Array(NULL, ())
    first = items[0]
    wide = {STRING8: STRING32, BINARY8: BINARY32, SYMBOL8: SYMBOL32, LIST0: LIST32, LIST8: LIST32, MAP8: MAP32}
    code = BOOLEAN if isinstance(first, bool) else FULL_CODES.get(type(first)) or _code(first)
    return Array(wide.get(code, code), tuple(items))


def _code(value: Any) -> int:
    """Return the format code of the shortest form of a value."""
    if value is None:
        return NULL
    if isinstance(value, bool):
        return TRUE if value else FALSE
    kind = type(value)
    if kind in FULL_CODES:
        small = SMALL_CODES.get(kind)
        return small[0] if small and small[1] <= value <= small[2] else FULL_CODES[kind]
    if kind is UUID:
        return UUID_CODE
    if kind is Char:
        return CHAR
    if kind is Decimal:
        return next(code for code, width in DECIMAL_WIDTHS.items() if width == len(value.raw))
    if kind is Array:
        return ARRAY32
    if isinstance(value, Symbol):
        return SYMBOL8 if len(value) < 256 else SYMBOL32
    if isinstance(value, str):
        return STRING8 if len(value.encode()) < 256 else STRING32
    if isinstance(value, bytes):
        return BINARY8 if len(value) < 256 else BINARY32
    if isinstance(value, list | tuple):
        return LIST32 if value else LIST0
    if isinstance(value, dict):
        return MAP32
    raise TypeError(f"AMQP has no type for {kind.__name__}")


def _payload(value: Any, code: int) -> bytes:
    """Return the bytes that follow a format code."""
    if code in EMPTY_CODES:
        return b""
    if code in NUMBERS:
        return NUMBERS[code][1].pack(value)
    if code == BOOLEAN:
        return b"\x01" if value else b"\x00"
    if code == UUID_CODE:
        return bytes(value.bytes)
    if code == CHAR:
        return struct.pack(">I", ord(value))
    if code in DECIMAL_WIDTHS:
        return bytes(value.raw)
    if code in (BINARY8, STRING8, SYMBOL8, BINARY32, STRING32, SYMBOL32):
        raw = value if isinstance(value, bytes) else value.encode("ascii" if code in (SYMBOL8, SYMBOL32) else "utf-8")
        return (bytes((len(raw),)) if code < BINARY32 else struct.pack(">I", len(raw))) + raw
    if code == ARRAY32:
        return _array_payload(value)
    items = list(value) if code == LIST32 else [part for pair in value.items() for part in pair]
    body = b"".join(map(encode, items))
    return struct.pack(">II", len(body) + 4, len(items)) + body


def _array_payload(array: Array) -> bytes:
    constructor = b"" if array.descriptor is None else b"\x00" + encode(array.descriptor)
    body = constructor + bytes((array.code,)) + b"".join(_payload(item, array.code) for item in array.items)
    return struct.pack(">II", len(body) + 4, len(array.items)) + body


def decode(raw: bytes, at: int = 0) -> tuple[Any, int]:
    """Return the value that starts at `at`, and where the next one starts.

    Raises:
        AmqpDecodeError: there is no complete value there.
    """
    try:
        return _value(raw, at, 0)
    except (IndexError, struct.error, UnicodeDecodeError, ValueError, OverflowError) as error:
        raise AmqpDecodeError(f"no AMQP value at byte {at}: {error}") from error


def _value(raw: bytes, at: int, depth: int) -> tuple[Any, int]:
    if depth > MAX_DEPTH:
        raise AmqpDecodeError(f"values nest deeper than {MAX_DEPTH}")
    code = raw[at]
    if code == 0:
        descriptor, at = _value(raw, at + 1, depth + 1)
        value, at = _value(raw, at, depth + 1)
        return Described(descriptor, value), at
    return _of_code(raw, at + 1, code, depth)


def _of_code(raw: bytes, at: int, code: int, depth: int) -> tuple[Any, int]:
    """Return the value whose format code has been read."""
    if code in CONSTANTS:
        return CONSTANTS[code], at
    if code == LIST0:
        return [], at
    if code in NUMBERS:
        kind, form = NUMBERS[code]
        return kind(form.unpack_from(raw, at)[0]), at + form.size
    if code == BOOLEAN:
        if raw[at] > 1:
            raise AmqpDecodeError(f"a boolean at byte {at} is neither 0 nor 1")
        return raw[at] == 1, at + 1
    if code == UUID_CODE:
        return UUID(bytes=_slice(raw, at, 16)), at + 16
    if code == CHAR:
        return Char(chr(struct.unpack_from(">I", raw, at)[0])), at + 4
    if code in DECIMAL_WIDTHS:
        width = DECIMAL_WIDTHS[code]
        return Decimal(_slice(raw, at, width)), at + width
    if code in (BINARY8, STRING8, SYMBOL8, BINARY32, STRING32, SYMBOL32):
        size, at = (raw[at], at + 1) if code < BINARY32 else (struct.unpack_from(">I", raw, at)[0], at + 4)
        data = _slice(raw, at, size)
        if code in (BINARY8, BINARY32):
            return data, at + size
        return (data.decode() if code in (STRING8, STRING32) else Symbol(data.decode("ascii"))), at + size
    if code in (LIST8, MAP8, ARRAY8, LIST32, MAP32, ARRAY32):
        return _compound(raw, at, code, depth + 1)
    raise AmqpDecodeError(f"byte {at - 1} is no format code: 0x{code:02x}")


def _compound(raw: bytes, at: int, code: int, depth: int) -> tuple[Any, int]:
    if depth > MAX_DEPTH:
        raise AmqpDecodeError(f"values nest deeper than {MAX_DEPTH}")
    if code in (LIST8, MAP8, ARRAY8):
        size, count = raw[at], raw[at + 1]
        end, at = at + 1 + size, at + 2
    else:
        size, count = struct.unpack_from(">II", raw, at)
        end, at = at + 4 + size, at + 8
    if end > len(raw):
        raise AmqpDecodeError(f"a value says that it ends at byte {end} of {len(raw)}")
    if code in (ARRAY8, ARRAY32):
        return _array(raw, at, end, count, depth)
    items = []
    for _ in range(count):
        item, at = _value(raw, at, depth)
        items.append(item)
    if at != end:
        raise AmqpDecodeError(f"a value ends at byte {at} and says that it ends at byte {end}")
    if code in (LIST8, LIST32):
        return items, end
    if count % 2:
        raise AmqpDecodeError("a map has a key without a value")
    try:
        return dict(zip(items[::2], items[1::2], strict=True)), end
    except TypeError as error:
        raise AmqpDecodeError("a map has a key that is itself a list or a map") from error


def _array(raw: bytes, at: int, end: int, count: int, depth: int) -> tuple[Array, int]:
    descriptor = None
    if raw[at] == 0:
        descriptor, at = _value(raw, at + 1, depth)
    code, at = raw[at], at + 1
    if code in EMPTY_CODES and count > MAX_EMPTY_ELEMENTS:
        raise AmqpDecodeError(f"an array claims {count} elements without content")
    items = []
    for _ in range(count):
        item, at = _of_code(raw, at, code, depth)
        items.append(item)
    if at != end:
        raise AmqpDecodeError(f"an array ends at byte {at} and says that it ends at byte {end}")
    return Array(code, tuple(items), descriptor), end


def _slice(raw: bytes, at: int, size: int) -> bytes:
    data = raw[at : at + size]
    if len(data) != size:
        raise AmqpDecodeError(f"{size} bytes were announced at byte {at}, {len(data)} are there")
    return bytes(data)
