"""Which ORDER BY a container's indexes can answer.

Sources: "Indexing policies in Azure Cosmos DB" and "Manage indexing policies" (Learn). An ORDER BY of one property
needs it indexed; one of more needs a composite index of the same properties in the same sequence, in the same or in the
opposite directions.
"""

from __future__ import annotations

from collections.abc import Sequence

from ringfence.emulators.cosmos.errors import bad_request
from ringfence.emulators.cosmos.settings import IndexingPolicy
from ringfence.emulators.cosmos.values import parse_path

__all__ = ["check_order", "is_indexed"]

WILD = "*"


def check_order(policy: IndexingPolicy, order: Sequence[tuple[tuple[str, ...], bool]]) -> None:
    """Refuse an ORDER BY that no index serves. It is given as paths, each with whether it is descending.

    Raises:
        ServiceError: there is no such index.
    """
    if len(order) == 1:
        if not is_indexed(policy, order[0][0]):
            raise bad_request("The index path corresponding to the specified order-by item is excluded.")
        return
    wanted = [(path, descending) for path, descending in order]
    opposite = [(path, not descending) for path, descending in order]
    for index in policy.composite_indexes:
        held = [(parse_path(part.path), part.order == "descending") for part in index]
        if held in (wanted, opposite):
            return
    raise bad_request("The order by query does not have a corresponding composite index that it can be served from.")


def is_indexed(policy: IndexingPolicy, path: tuple[str, ...]) -> bool:
    """Tell whether a property is indexed. Of the paths that match it, the one that says most about it decides."""
    if policy.indexing_mode == "none":
        return False
    included = max((_closeness(entry.path, path) for entry in policy.included_paths), default=-1)
    excluded = max((_closeness(entry.path, path) for entry in policy.excluded_paths), default=-1)
    return included > excluded


def _closeness(pattern: str, path: tuple[str, ...]) -> int:
    """Return how closely an index path matches a property, or -1: `/a/b/?` is closer to /a/b than `/a/*` is."""
    names = parse_path(pattern)
    *start, last = names
    if last == WILD:
        return 2 * len(start) if path[: len(start)] == tuple(start) else -1
    if last != "?":
        start = [*start, last]
    return 2 * len(start) + 1 if path == tuple(start) else -1
