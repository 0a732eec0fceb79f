"""Effective partition keys are those of the official SDK."""

from __future__ import annotations

from typing import Any

import pytest
from azure.cosmos.partition_key import NonePartitionKeyValue
from azure.cosmos.partition_key import PartitionKey as SdkKey

from ringfence.emulators.cosmos.hashing import effective_partition_key, murmur3_32, murmur3_128
from ringfence.emulators.cosmos.values import UNDEFINED

TEXTS = ["", "a", "ü€😀", "x" * 15, "x" * 16, "x" * 17, "y" * 100, "z" * 150, "é" * 60]
VALUES: list[Any] = [*TEXTS, True, False, 0, 1, 1.5, -2.25, 1e300, 123456789, UNDEFINED]


def sdk(kind: Any, version: int, parts: list[Any]) -> str:
    given = [NonePartitionKeyValue if part is UNDEFINED else part for part in parts]
    path: Any = "/a" if kind == "Hash" else ["/a", "/b", "/c"]
    return str(SdkKey(path=path, kind=kind, version=version)._get_effective_partition_key_string(given))


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20])
def test_keys_of_one_part(version: int, value: Any) -> None:
    assert sdk("Hash", version, [value]) == effective_partition_key([value], "Hash", version)


def test_null() -> None:
    assert sdk("Hash", 2, [None]) == effective_partition_key([None], "Hash", 2)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_hierarchical_keys_and_their_prefixes(count: int) -> None:
    for start in range(len(VALUES) - count):
        parts = VALUES[start : start + count]
        assert sdk("MultiHash", 2, parts) == effective_partition_key(parts, "MultiHash", 2)


def test_the_empty_key_is_the_lowest() -> None:
    assert effective_partition_key([], "MultiHash", 2) == ""


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"hello", 0x248BFA47),
        (b"hello, world", 0x149BBB7F),
        (b"The quick brown fox jumps over the lazy dog", 0x2E4FF723),
    ],
)
def test_published_values_of_32_bits(data: bytes, expected: int) -> None:
    assert expected == murmur3_32(data)


@pytest.mark.parametrize(
    ("data", "low", "high"),
    [
        (b"", 0, 0),
        (b"hello", 0xCBD8A7B341BD9B02, 0x5B1E906A48AE1D19),
        (b"The quick brown fox jumps over the lazy dog.", 0xCD99481F9EE902C9, 0x695DA1A38987B6E7),
    ],
)
def test_published_values_of_128_bits(data: bytes, low: int, high: int) -> None:
    assert high << 64 | low == murmur3_128(data)
