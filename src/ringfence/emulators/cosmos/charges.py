"""Estimates of what requests cost, in request units.

Source: "Request Units in Azure Cosmos DB" and its page on points of departure (Learn): a point read of 1 KB is 1, of
100 KB 10; a write is about five times that. What is between is on a line. Real charges also depend on indexes,
consistency and the plan of a query: do not plan throughput with these.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["query_charge", "read_charge", "write_charge"]

KILOBYTE = 1024
LEAST_QUERY = 2.3


def read_charge(size: int) -> float:
    """Return the charge of reading so many bytes by id."""
    kilobytes = max(size / KILOBYTE, 1)
    return round(1 + (kilobytes - 1) * 9 / 99, 2)


def write_charge(size: int) -> float:
    """Return the charge of writing so many bytes."""
    return round(5 * read_charge(size), 2)


def query_charge(sizes: Iterable[int]) -> float:
    """Return the charge of a query that looks at items of so many bytes."""
    return round(LEAST_QUERY + 0.1 * sum(read_charge(size) for size in sizes), 2)
