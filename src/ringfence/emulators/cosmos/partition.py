"""Partition keys of items, and which partition keys a request is about."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ringfence.emulators.cosmos.errors import ServiceError, bad_request
from ringfence.emulators.cosmos.hashing import effective_partition_key
from ringfence.emulators.cosmos.settings import ContainerPartitionKey
from ringfence.emulators.cosmos.values import UNDEFINED, Json, Kind, identity, kind_of, lookup, parse_json, parse_path

__all__ = ["PartitionKey", "Partitioning", "Scope"]

LOWEST, HIGHEST = "", "FF"
LONGEST_KEY = {1: 101, 2: 2048}
"""The most bytes of a partition key by version (service quotas)."""


class PartitionKey:
    """The values of one logical partition's key, or of a prefix of them."""

    def __init__(self, parts: Sequence[Json], definition: ContainerPartitionKey) -> None:
        self.parts = tuple(parts)
        self._definition = definition
        self._identity = tuple(identity(part) for part in parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PartitionKey) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def starts_with(self, prefix: PartitionKey) -> bool:
        """Tell whether the key is this one or below it."""
        return self._identity[: len(prefix._identity)] == prefix._identity

    @property
    def is_whole(self) -> bool:
        """Whether it names one logical partition."""
        return len(self.parts) == len(self._definition.paths)

    @cached_property
    def effective(self) -> str:
        """The effective partition key."""
        return effective_partition_key(self.parts, self._definition.kind, self._definition.version)


@dataclass(frozen=True)
class Scope:
    """Which logical partitions a request is about: those of a key or of a prefix, and those of a range of hashes."""

    key: PartitionKey | None = None
    lowest: str = LOWEST
    highest: str = HIGHEST

    @property
    def is_all(self) -> bool:
        """Whether it is the whole container."""
        return self.key is None and (self.lowest, self.highest) == (LOWEST, HIGHEST)

    def holds(self, key: PartitionKey) -> bool:
        """Tell whether a logical partition is in scope."""
        if self.key is not None and not key.starts_with(self.key):
            return False
        if (self.lowest, self.highest) == (LOWEST, HIGHEST):
            return True
        # A range of one key has itself as its end; all others do not hold their end.
        found = key.effective.upper()
        lowest, highest = self.lowest.upper(), self.highest.upper()
        return lowest <= found < highest or lowest == found == highest


class Partitioning:
    """How a container's items are spread."""

    def __init__(self, definition: ContainerPartitionKey) -> None:
        self.definition = definition
        self.paths = tuple(parse_path(path) for path in definition.paths)

    def key_of(self, item: dict[str, Any]) -> PartitionKey:
        """Return the partition key of an item.

        Raises:
            ServiceError: the value is an array or an object, or too long.
        """
        return self._checked([lookup(item, path) for path in self.paths])

    def parse(self, header: str) -> PartitionKey:
        """Return the partition key that a request's header holds; what is `{}` there is not defined.

        Raises:
            ServiceError: it is none, or has more parts than the container's key.
        """
        try:
            parts = parse_json(header)
        except ValueError:
            parts = None
        if not isinstance(parts, list) or len(parts) > len(self.paths):
            raise _mismatch(f"Partition key {header} is invalid.")
        if not parts and self.definition.system_key:
            parts = [{}]
        return self._checked([UNDEFINED if part == {} else part for part in parts])

    def _checked(self, parts: list[Json]) -> PartitionKey:
        for part in parts:
            if kind_of(part) in (Kind.ARRAY, Kind.OBJECT):
                raise _mismatch(
                    f"Partition key {json.dumps(part)} is invalid: it must be a string, number, boolean or null."
                )
            if (
                isinstance(part, str)
                and len(part.encode("utf-8", "surrogatepass")) > LONGEST_KEY[self.definition.version]
            ):
                raise bad_request("Partition key is too long.")
        return PartitionKey(parts, self.definition)


def _mismatch(text: str) -> ServiceError:
    return bad_request(text, 1001)
