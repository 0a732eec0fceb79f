"""Aggregates: one value of many rows.

Source: the pages of COUNT, SUM, AVG, MIN, MAX and COUNTIF (Learn). What is not defined does not count. A value that
is no number makes SUM and AVG undefined, an array or object MIN and MAX.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ringfence.emulators.cosmos.values import UNDEFINED, Json, Kind, kind_of, number, sort_key

__all__ = ["AGGREGATES", "aggregate"]

AGGREGATES = frozenset({"COUNT", "SUM", "AVG", "MIN", "MAX", "COUNTIF"})


def aggregate(function: str, values: Sequence[Json]) -> Json:
    """Return the aggregate of an expression's values, one for each row."""
    defined = [value for value in values if value is not UNDEFINED]
    match function:
        case "COUNT":
            return len(defined)
        case "COUNTIF":
            return sum(value is True for value in defined)
        case "MIN" | "MAX":
            if not defined or any(kind_of(value) in (Kind.ARRAY, Kind.OBJECT) for value in defined):
                return UNDEFINED
            return min(defined, key=sort_key) if function == "MIN" else max(defined, key=sort_key)
    if any(kind_of(value) is not Kind.NUMBER for value in defined):
        return UNDEFINED
    try:
        total = number(math.fsum(defined))
        if function == "SUM":
            return total
        return number(total / len(defined)) if defined else UNDEFINED
    except OverflowError:
        return UNDEFINED
