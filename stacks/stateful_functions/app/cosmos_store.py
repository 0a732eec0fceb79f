"""Sessions in a Cosmos DB container that is partitioned by tenant and session, the large ones in blobs.

An item holds its state itself, or the name and digest of a blob that does. A large state is written in this order: a
new blob, then the item under its ETag, and only then is the blob that the item named before deleted. So an item never
names a blob that is not there yet, and of two writers one is refused before anything of the other's is touched. What
an interrupted or refused write leaves behind is a blob that no item names; it expires. It is not deleted at once,
since a refusal may also be the answer to the second try of a write whose first one went through.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from artefact_blobs import ArtefactBlobs
from azure.core import MatchConditions
from azure.cosmos import exceptions
from state import Conflict, State, Summary

__all__ = ["CosmosStore", "DamagedStateError"]

ITEM = "state"
"""The id of the item that holds a session's state, unique in the session's own partition."""

LIST = (
    "SELECT TOP @count c.sessionId, c.bytes, c._etag, c._ts FROM c"
    " WHERE c.tenantId = @tenant AND c.sessionId > @after ORDER BY c.tenantId, c.sessionId"
)
"""The tenant is asked for by name too, so that what a tenant sees does not rest on the request's routing alone."""

PAUSES_SECONDS = (0.05, 0.2)
"""Before each further read of a session whose blob was replaced meanwhile."""


class DamagedStateError(Exception):
    """An item names a blob that is not there or not the one that was written."""


@dataclass(frozen=True)
class CosmosStore:
    """A container behind its client, an `azure.cosmos.ContainerProxy`, and the blobs of large states."""

    container: Any
    blobs: ArtefactBlobs
    inline_bytes: int
    """The largest state that is kept in an item."""
    sleep: Callable[[float], None] = time.sleep

    def get(self, tenant: str, session: str) -> State | None:
        """Return a session's state, or None when there is none or it has expired.

        Raises:
            DamagedStateError: the state's blob is gone for good, or is another one.
        """
        for pause in (0.0, *PAUSES_SECONDS):
            self.sleep(pause)
            item = self._read(tenant, session)
            if item is None:
                return None
            data = self._data(item)
            if data is not None:
                return State(data, item["_etag"])
            # The blob is gone. Either somebody replaced the state after the item was read, or this replica is behind.
        raise DamagedStateError(f"the state of session {session} of tenant {tenant} names a blob that is not there")

    def create(self, tenant: str, session: str, data: bytes, ttl_seconds: int | None) -> str:
        """Keep a new session's state and return its ETag, or raise `Conflict` when the session exists."""
        item = self._item(tenant, session, data, ttl_seconds)
        try:
            return str(self.container.create_item(item)["_etag"])
        except exceptions.CosmosResourceExistsError as error:
            raise Conflict from error

    def replace(self, tenant: str, session: str, data: bytes, ttl_seconds: int | None, etag: str) -> str:
        """Replace a session's state and return its new ETag; `Conflict` when it has another one or is gone."""
        before = self._read(tenant, session)
        item = self._item(tenant, session, data, ttl_seconds)
        try:
            kept = self.container.replace_item(ITEM, item, etag=etag, match_condition=MatchConditions.IfNotModified)
        except (exceptions.CosmosAccessConditionFailedError, exceptions.CosmosResourceNotFoundError) as error:
            raise Conflict from error
        self._discard_blob_of(before, etag)
        return str(kept["_etag"])

    def delete(self, tenant: str, session: str, etag: str) -> None:
        """Delete a session, or raise `Conflict` when its version is another one or it is gone."""
        before = self._read(tenant, session)
        try:
            self.container.delete_item(
                ITEM,
                partition_key=[tenant, session],
                etag=etag,
                match_condition=MatchConditions.IfNotModified,
            )
        except (exceptions.CosmosAccessConditionFailedError, exceptions.CosmosResourceNotFoundError) as error:
            raise Conflict from error
        self._discard_blob_of(before, etag)

    def list(self, tenant: str, after: str, count: int) -> list[Summary]:
        """Return at most so many of a tenant's sessions in the order of their names, those after a name.

        A page starts after a name and not where the database says that it left off: the client keeps that per process
        and not per call, and gives it for one physical partition only.
        """
        values = {"@tenant": tenant, "@after": after, "@count": count}
        found = self.container.query_items(
            LIST,
            parameters=[{"name": name, "value": value} for name, value in values.items()],
            partition_key=[tenant],  # the first part of the key: only the tenant's own partitions are asked
            max_item_count=count,
        )
        # Each physical partition answers in order, one after the other.
        ordered = sorted((_summary(item) for item in found), key=lambda summary: summary.session)
        return ordered[:count]

    def _read(self, tenant: str, session: str) -> Mapping[str, Any] | None:
        try:
            item: Mapping[str, Any] = self.container.read_item(ITEM, partition_key=[tenant, session])
        except exceptions.CosmosResourceNotFoundError:
            return None
        return item

    def _item(self, tenant: str, session: str, data: bytes, ttl_seconds: int | None) -> dict[str, Any]:
        """Return the item to write; a large state is in its blob by then."""
        item: dict[str, Any] = {"id": ITEM, "tenantId": tenant, "sessionId": session, "bytes": len(data)}
        if ttl_seconds is not None:
            item["ttl"] = ttl_seconds
        if len(data) <= self.inline_bytes:
            return item | {"state": data.decode("utf-8")}
        return item | {"blob": self.blobs.add(tenant, session, data), "sha256": sha256(data).hexdigest()}

    def _data(self, item: Mapping[str, Any]) -> bytes | None:
        """Return the state that an item holds or names, or None when its blob is gone."""
        if "blob" not in item:
            return str(item["state"]).encode("utf-8")
        data = self.blobs.get(item["blob"])
        if data is not None and sha256(data).hexdigest() != item["sha256"]:
            raise DamagedStateError(f"blob {item['blob']} is not what was written")
        return data

    def _discard_blob_of(self, before: Mapping[str, Any] | None, etag: str) -> None:
        """Delete the blob of the version that was just replaced. Of another version nobody knows who reads it."""
        if before is not None and before["_etag"] == etag and "blob" in before:
            self.blobs.discard(before["blob"])


def _summary(item: Mapping[str, Any]) -> Summary:
    return Summary(item["sessionId"], item["_etag"], item["bytes"], datetime.fromtimestamp(item["_ts"], UTC))
