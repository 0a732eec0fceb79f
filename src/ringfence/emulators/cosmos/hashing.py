"""Effective partition keys: where a partition key lies in the range of hashes that a container is spread over.

Clients compute them too and ask by range of them: for a prefix of a hierarchical key, and for feed ranges. MurmurHash3
is Austin Appleby's, in the public domain. How a key is written for hashing is that of the service's SDKs; a test
compares with one of them.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Literal

from ringfence.emulators.cosmos.values import Json, Kind, kind_of

__all__ = ["effective_partition_key", "murmur3_32", "murmur3_128"]

MASK_32, MASK_64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
NUMBER_MARK, STRING_MARK = 0x05, 0x08
FIRST_VERSION_LENGTH = 100
"""Version 1 hashes so many characters of a string."""


def effective_partition_key(key: Sequence[Json], kind: Literal["Hash", "MultiHash"], version: int) -> str:
    """Return the effective partition key of a partition key, or of a prefix of one, in hexadecimal digits."""
    if not key:
        return ""
    if kind == "MultiHash":
        return "".join(_digits(_hash_v2([part])) for part in key)
    if version == 2:
        return _digits(_hash_v2(key))
    return _first_version(key)


def _hash_v2(key: Sequence[Json]) -> bytes:
    data = b"".join(_written(part, b"\xff") for part in key)
    digest = bytearray(murmur3_128(data).to_bytes(16, "big"))
    digest[0] &= 0x3F  # the highest effective partition key is FF, and no key may be beyond
    return bytes(digest)


def _first_version(key: Sequence[Json]) -> str:
    short = [part[:FIRST_VERSION_LENGTH] if isinstance(part, str) else part for part in key]
    hashed = murmur3_32(b"".join(_written(part, b"\x00") for part in short))
    return b"".join(_ordered(part) for part in (float(hashed), *short)).hex()


def _digits(digest: bytes) -> str:
    return digest.hex().upper()


def _written(part: Json, end: bytes) -> bytes:
    """Return a component as it is hashed."""
    match kind_of(part):
        case Kind.UNDEFINED:
            return b"\x00"
        case Kind.NULL:
            return b"\x01"
        case Kind.BOOLEAN:
            return b"\x03" if part else b"\x02"
        case Kind.NUMBER:
            return bytes([NUMBER_MARK]) + struct.pack("<d", float(part))
    return bytes([STRING_MARK]) + str(part).encode("utf-8", "surrogatepass") + end


def _ordered(part: Json) -> bytes:
    """Return a component so that the order of the bytes is that of the values. Only version 1 has this."""
    match kind_of(part):
        case Kind.UNDEFINED:
            return b"\x00"
        case Kind.NULL:
            return b"\x01"
        case Kind.BOOLEAN:
            return b"\x03" if part else b"\x02"
        case Kind.NUMBER:
            return bytes([NUMBER_MARK]) + _ordered_number(float(part))
    text = str(part).encode("utf-8", "surrogatepass")
    if len(text) <= FIRST_VERSION_LENGTH:
        return bytes([STRING_MARK]) + bytes(byte + 1 for byte in text) + b"\x00"
    return bytes([STRING_MARK]) + bytes(byte + 1 for byte in text[: FIRST_VERSION_LENGTH + 1])


def _ordered_number(value: float) -> bytes:
    bits = int.from_bytes(struct.pack(">d", value), "big")
    bits = (~bits + 1) & MASK_64 if bits >> 63 else bits ^ (1 << 63)
    chunks = [bits >> 56]
    bits = (bits << 8) & MASK_64
    while bits:
        chunks.append((bits >> 56) | 1)  # seven bits, and one that says that more follow
        bits = (bits << 7) & MASK_64
    if len(chunks) == 1:
        chunks.append(0)
    else:
        chunks[-1] &= 0xFE
    return bytes(chunks)


def _rotate(value: int, shift: int, width: int) -> int:
    return ((value << shift) | (value >> (width - shift))) & ((1 << width) - 1)


def _mix_64(value: int) -> int:
    value ^= value >> 33
    value = value * 0xFF51AFD7ED558CCD & MASK_64
    value ^= value >> 33
    value = value * 0xC4CEB9FE1A85EC53 & MASK_64
    return value ^ value >> 33


def murmur3_128(data: bytes) -> int:
    """Return MurmurHash3 x64 128 of some bytes with seed 0, the second half foremost."""
    c1, c2 = 0x87C37B91114253D5, 0x4CF5AD432745937F
    h1 = h2 = 0
    whole = len(data) & ~15
    for position in range(0, whole, 16):
        k1, k2 = struct.unpack_from("<QQ", data, position)
        h1 ^= _rotate(k1 * c1 & MASK_64, 31, 64) * c2 & MASK_64
        h1 = (_rotate(h1, 27, 64) + h2) * 5 + 0x52DCE729 & MASK_64
        h2 ^= _rotate(k2 * c2 & MASK_64, 33, 64) * c1 & MASK_64
        h2 = (_rotate(h2, 31, 64) + h1) * 5 + 0x38495AB5 & MASK_64
    k1, k2 = struct.unpack("<QQ", data[whole:].ljust(16, b"\x00"))
    h2 ^= _rotate(k2 * c2 & MASK_64, 33, 64) * c1 & MASK_64
    h1 ^= _rotate(k1 * c1 & MASK_64, 31, 64) * c2 & MASK_64
    h1 ^= len(data)
    h2 ^= len(data)
    h1 = h1 + h2 & MASK_64
    h2 = h2 + h1 & MASK_64
    h1, h2 = _mix_64(h1), _mix_64(h2)
    h1 = h1 + h2 & MASK_64
    h2 = h2 + h1 & MASK_64
    return h2 << 64 | h1


def murmur3_32(data: bytes) -> int:
    """Return MurmurHash3 x86 32 of some bytes with seed 0."""
    c1, c2 = 0xCC9E2D51, 0x1B873593
    result = 0
    whole = len(data) & ~3
    for (chunk,) in struct.iter_unpack("<I", data[:whole]):
        result ^= _rotate(chunk * c1 & MASK_32, 15, 32) * c2 & MASK_32
        result = _rotate(result, 13, 32) * 5 + 0xE6546B64 & MASK_32
    rest = int.from_bytes(data[whole:], "little")
    result ^= _rotate(rest * c1 & MASK_32, 15, 32) * c2 & MASK_32
    result ^= len(data)
    result ^= result >> 16
    result = result * 0x85EBCA6B & MASK_32
    result ^= result >> 13
    result = result * 0xC2B2AE35 & MASK_32
    return result ^ result >> 16
