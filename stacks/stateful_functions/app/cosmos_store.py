"""Sessions in a Cosmos DB container that is partitioned by tenant and session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from azure.core import MatchConditions  # type: ignore[import-not-found,import-untyped,unused-ignore]
from azure.cosmos import exceptions  # type: ignore[import-not-found,import-untyped,unused-ignore]
from state import Conflict, State

__all__ = ["CosmosStore"]

ITEM = "state"
"""The id of the item that holds a session's state, unique in the session's own partition."""


@dataclass(frozen=True)
class CosmosStore:
    """A container behind its client, an `azure.cosmos.ContainerProxy`."""

    container: Any

    def get(self, tenant: str, session: str) -> State | None:
        """Return a session's state, or None when there is none or it has expired."""
        try:
            return _state(self.container.read_item(ITEM, partition_key=[tenant, session]))
        except exceptions.CosmosResourceNotFoundError:
            return None

    def create(self, tenant: str, session: str, data: Mapping[str, Any]) -> State:
        """Keep a new session's state, or raise `Conflict` when the session exists."""
        try:
            return _state(self.container.create_item(_item(tenant, session, data)))
        except exceptions.CosmosResourceExistsError as error:
            raise Conflict from error

    def replace(self, tenant: str, session: str, data: Mapping[str, Any], etag: str) -> State:
        """Replace a session's state, or raise `Conflict` when its version is another one or it is gone."""
        try:
            item = self.container.replace_item(
                ITEM,
                _item(tenant, session, data),
                etag=etag,
                match_condition=MatchConditions.IfNotModified,
            )
        except (exceptions.CosmosAccessConditionFailedError, exceptions.CosmosResourceNotFoundError) as error:
            raise Conflict from error
        return _state(item)


def _item(tenant: str, session: str, data: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": ITEM, "tenantId": tenant, "sessionId": session, "state": dict(data)}


def _state(item: Mapping[str, Any]) -> State:
    return State(item["state"], item["_etag"])
