"""What a function says about the messages of a batch.

Facts: Lambda developer guide, "Handling errors for an SQS event source in Lambda", partial batch responses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["failed_items"]


def failed_items(answer: Any, names: Sequence[str]) -> set[str]:
    """Return the messages of a batch that a function's partial batch response says have failed.

    An answer that is not well-formed, or names a message that was not in the batch, means all of them.
    """
    everything = set(names)
    if answer is None:
        return set()
    if not isinstance(answer, dict):
        return everything
    items = answer.get("batchItemFailures")
    if items is None:
        return set()
    if not isinstance(items, list):
        return everything
    failed = list(_identifiers(items))
    return set(failed) if all(isinstance(name, str) and name in everything for name in failed) else everything


def _identifiers(items: Iterable[Any]) -> Iterable[Any]:
    for item in items:
        yield item.get("itemIdentifier") if isinstance(item, dict) else None
