"""The change feed, latest versions: each item once, at its last change, in the order of changes.

Source: "Change feed modes in Azure Cosmos DB" (Learn). Deleted and expired items are not in it. Changes of one
transactional batch are in one page. The continuation is the page's ETag: the number of the last change in it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ringfence.emulators.cosmos.container import Container, StoredItem
from ringfence.emulators.cosmos.errors import bad_request
from ringfence.emulators.cosmos.partition import Scope

__all__ = ["ChangePage", "changes_since", "parse_start"]


@dataclass(frozen=True)
class ChangePage:
    """Some changed items, and the number of the change to go on after."""

    items: list[StoredItem]
    change: int


def parse_start(container: Container, if_none_match: str | None) -> int:
    """Return the change to start after: none for the beginning, `*` for now, or a page's ETag.

    Raises:
        ServiceError: it is none of these.
    """
    if if_none_match is None:
        return 0
    if if_none_match.strip() == "*":
        return container.change
    text = if_none_match.strip().strip('"')
    if not text.isdecimal():
        raise bad_request(f"The continuation of the change feed is invalid: {if_none_match}")
    return int(text)


def changes_since(container: Container, scope: Scope, after: int, size: int, modified_since: float = 0) -> ChangePage:
    """Return a page of changes.

    Args:
        container: whose changes.
        scope: the partitions to look at.
        after: the change to start after.
        size: how many items a page has; those of one batch stay together.
        modified_since: leave out what was written before, in seconds since 1970.
    """
    changed = [item for item in container.items(scope) if item.change > after and item.written >= modified_since]
    changed.sort(key=lambda item: (item.change, item.place))
    end = min(size, len(changed))
    while 0 < end < len(changed) and changed[end].change == changed[end - 1].change:
        end += 1
    upto = changed[end - 1].change if end < len(changed) else container.change
    return ChangePage(changed[:end], upto)
