"""A container: its items and what is done with them. State and rules only, no I/O.

A container is one physical partition here, whatever its size.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import uuid4

from ringfence.emulators.cosmos.errors import (
    bad_request,
    conflict,
    not_found,
    precondition_failed,
    too_large,
)
from ringfence.emulators.cosmos.ids import item_rid
from ringfence.emulators.cosmos.partition import Partitioning, PartitionKey, Scope
from ringfence.emulators.cosmos.patch import patched
from ringfence.emulators.cosmos.settings import ContainerSettings, to_json
from ringfence.emulators.cosmos.sql import holds
from ringfence.emulators.cosmos.values import identity, lookup, parse_path

__all__ = ["LARGEST_ITEM", "Container", "Precondition", "StoredItem", "WriteMode"]

LARGEST_ITEM = 2 * 1024 * 1024
"""In bytes of UTF-8 JSON (service quotas)."""
DEEPEST_ITEM = 128
"""In levels of objects and arrays (service quotas)."""
LONGEST_ID = 1023
NEVER = -1
WriteMode = Literal["create", "upsert", "replace"]


@dataclass(frozen=True)
class Precondition:
    """What a request says about the ETag: If-Match and If-None-Match."""

    match: str | None = None
    none_match: str | None = None


@dataclass(frozen=True)
class StoredItem:
    """An item as it is kept."""

    body: dict[str, Any]
    """With the service's own properties. It is never changed, only replaced."""
    key: PartitionKey
    place: int
    """Its number among all items that were ever created in the container."""
    change: int
    """The number of the container's last change to it (LSN)."""
    written: float
    """When, in seconds since 1970."""
    size: int
    """In bytes."""

    @property
    def id(self) -> str:
        """Its id, unique among those of its partition key."""
        return str(self.body["id"])

    @property
    def etag(self) -> str:
        """Its version."""
        return str(self.body["_etag"])


class Container:
    """The items of a container. Not safe for threads: the account's lock is for that."""

    def __init__(self, settings: ContainerSettings, rid: str, database_rid: str, clock: Callable[[], float]) -> None:
        self.settings = settings
        self.rid = rid
        self.link = f"dbs/{database_rid}/colls/{rid}/"
        self.partitioning = Partitioning(settings.partition_key)
        self.change = 0
        self.etag = new_etag()
        self.modified = clock()
        self._clock = clock
        self._items: dict[tuple[PartitionKey, str], StoredItem] = {}
        self._created = 0
        self._transaction: int | None = None
        self._next_expiry = math.inf

    def body(self) -> dict[str, Any]:
        """Return what the REST API says of the container."""
        own = {"_rid": self.rid, "_self": self.link, "_etag": self.etag, "_ts": int(self.modified)}
        links = {f"_{name}": f"{name}/" for name in ("docs", "sprocs", "triggers", "udfs", "conflicts")}
        return {**to_json(self.settings), **own, **links}

    def replace_settings(self, settings: ContainerSettings) -> None:
        """Change the settings; items stay.

        Raises:
            ServiceError: the partition key or the unique keys would change, which the service does not do.
        """
        if settings.partition_key != self.settings.partition_key:
            raise bad_request("Document collection partition key cannot be changed.")
        if settings.unique_key_policy != self.settings.unique_key_policy:
            raise bad_request("The unique key policy cannot be changed once the collection is created.")
        self.settings = replace(settings, options=self.settings.options)
        self._next_expiry = 0  # the time to live may be another one
        self.etag = new_etag()
        self.modified = self._clock()

    # Reading

    def items(self, scope: Scope | None = None) -> list[StoredItem]:
        """Return the items that have not expired, in the order of their creation."""
        self._expire()
        return [item for item in self._items.values() if scope is None or scope.holds(item.key)]

    def read(self, key: PartitionKey, item_id: str) -> StoredItem:
        """Return an item.

        Raises:
            ServiceError: there is none, or the partition key is only the start of one.
        """
        item = self._find(key, item_id)
        if item is None:
            raise not_found()
        return item

    # Writing

    def write(
        self, mode: WriteMode, key: PartitionKey | None, document: Any, condition: Precondition | None = None
    ) -> tuple[StoredItem, bool]:
        """Create or replace an item; return it, and whether it is new.

        `key` is what the request says; None takes the document's own.

        Raises:
            ServiceError: the document is wrong, its id or a unique key is taken, or the condition does not hold.
        """
        document, size = _checked(document)
        own = self.partitioning.key_of(document)
        if key is not None and key != own:
            text = "PartitionKey extracted from document doesn't match the one specified in the header."
            raise bad_request(text, 1001)
        condition = condition or Precondition()
        before = self._find(own, document["id"])
        if mode == "create" and before is not None:
            raise conflict()
        if mode == "replace" and before is None:
            raise not_found()
        if before is not None:  # an upsert of what is not there is an insert, whatever If-Match says
            _check_condition(before, condition)
        self._check_unique(own, document)
        return self._store(own, document, before, size), before is None

    def delete(self, key: PartitionKey, item_id: str, condition: Precondition | None = None) -> None:
        """Delete an item.

        Raises:
            ServiceError: there is none, or the condition does not hold.
        """
        item = self.read(key, item_id)
        _check_condition(item, condition or Precondition())
        self._next_change()
        del self._items[item.key, item_id]

    def patch(self, key: PartitionKey, item_id: str, request: Any, condition: Precondition | None = None) -> StoredItem:
        """Change parts of an item.

        Raises:
            ServiceError: there is none, the condition or the predicate does not hold, or an operation does not fit.
        """
        item = self.read(key, item_id)
        _check_condition(item, condition or Precondition())
        request = {"operations": request} if isinstance(request, list) else request
        if not isinstance(request, dict):
            raise bad_request("The patch request is no JSON object.")
        predicate = request.get("condition")
        if predicate is not None and not holds(str(predicate), item.body, self._clock()):
            raise precondition_failed()
        document = patched(item.body, request.get("operations", []), self.partitioning.paths)
        return self.write("replace", key, document)[0]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all changes within one change of the container, and none of them if an exception leaves it."""
        before = dict(self._items), self.change, self._created
        self.change += 1
        self._transaction = self.change
        try:
            yield
        except BaseException:
            self._items, self.change, self._created = before
            raise
        finally:
            self._transaction = None

    def _find(self, key: PartitionKey, item_id: str) -> StoredItem | None:
        if not key.is_whole:
            text = (
                "Partition key provided either doesn't correspond to definition in the collection or doesn't match "
                "partition key field values specified in the document."
            )
            raise bad_request(text, 1001)
        self._expire()
        return self._items.get((key, item_id))

    def _store(self, key: PartitionKey, document: dict[str, Any], before: StoredItem | None, size: int) -> StoredItem:
        if before is None:
            self._created += 1
        place = self._created if before is None else before.place
        rid = item_rid(self.rid, place)
        now = self._clock()
        own = {
            "_rid": rid,
            "_self": f"{self.link}docs/{rid}/",
            "_etag": new_etag(),
            "_attachments": "attachments/",
            "_ts": int(now),
        }
        item = StoredItem({**document, **own}, key, place, self._next_change(), now, size)
        self._items[key, item.id] = item
        self._next_expiry = min(self._next_expiry, self._expiry(item))
        return item

    def _next_change(self) -> int:
        if self._transaction is None:
            self.change += 1
        return self.change

    def _check_unique(self, key: PartitionKey, document: dict[str, Any]) -> None:
        for unique in self.settings.unique_key_policy.unique_keys:
            paths = [parse_path(path) for path in unique.paths]
            wanted = [identity(lookup(document, path)) for path in paths]
            for item in self._items.values():
                if item.key != key or item.id == document["id"]:
                    continue
                if [identity(lookup(item.body, path)) for path in paths] == wanted:
                    raise conflict(unique_key=True)

    def _expire(self) -> None:
        now = self._clock()
        if now < self._next_expiry:
            return
        expiries = {place: self._expiry(item) for place, item in self._items.items()}
        for place, expiry in expiries.items():
            if expiry <= now:
                del self._items[place]
        self._next_expiry = min((expiry for expiry in expiries.values() if expiry > now), default=math.inf)

    def _expiry(self, item: StoredItem) -> float:
        """Return when an item expires. Without a default for the container nothing does, whatever the item says."""
        default = self.settings.default_ttl
        seconds = NEVER if default is None else item.body.get("ttl", default)
        return math.inf if seconds == NEVER else item.written + seconds


def new_etag() -> str:
    """Return a version that nothing had before."""
    return f'"{uuid4()}"'


def _check_condition(item: StoredItem, condition: Precondition) -> None:
    if condition.match is not None and condition.match not in ("*", item.etag):
        raise precondition_failed()
    if condition.none_match is not None and condition.none_match in ("*", item.etag):
        raise precondition_failed()


def _checked(document: Any) -> tuple[dict[str, Any], int]:
    """Return a document without what the service writes itself, and its size in bytes."""
    if not isinstance(document, dict):
        raise bad_request("The document body must be a JSON object.")
    if "id" not in document:
        raise bad_request("The input content is invalid because the required properties - 'id; ' - are missing")
    item_id, ttl = document["id"], document.get("ttl", NEVER)
    if not isinstance(item_id, str) or not item_id:
        raise bad_request("The input content is invalid because 'id' is not a string with at least one character.")
    if len(item_id.encode("utf-8", "surrogatepass")) > LONGEST_ID or any(character in item_id for character in "/\\?#"):
        raise bad_request(f"The id '{item_id[:50]}' is invalid: at most {LONGEST_ID} bytes, and none of / \\ ? #.")
    if isinstance(ttl, bool) or not isinstance(ttl, int) or (ttl != NEVER and not 1 <= ttl <= 2**31 - 1):
        raise bad_request(f"The input ttl '{ttl}' is invalid. Ensure to provide a nonzero positive integer or -1.")
    if _is_deeper(document, DEEPEST_ITEM):
        raise bad_request(f"The document is nested more deeply than {DEEPEST_ITEM} levels.")
    size = len(json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass"))
    if size > LARGEST_ITEM:
        raise too_large()
    return document, size


def _is_deeper(value: Any, levels: int) -> bool:
    layer = [value]
    for _ in range(levels + 1):
        layer = [
            part
            for each in layer
            for part in (each.values() if isinstance(each, dict) else each if isinstance(each, list) else ())
            if isinstance(part, dict | list)
        ]
        if not layer:
            return False
    return True
