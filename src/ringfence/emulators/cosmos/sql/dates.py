"""Dates in queries: ISO 8601 in UTC with seven digits of a second's fraction.

Source: "Date and time functions" of the query language (Learn). Ticks are tenths of a microsecond since 1970.
"""

from __future__ import annotations

import calendar
import re
from datetime import UTC, datetime, timedelta

from ringfence.emulators.cosmos.values import UNDEFINED, Json

__all__ = [
    "TICKS",
    "add",
    "difference",
    "from_milliseconds",
    "from_ticks",
    "part",
    "to_milliseconds",
    "to_ticks",
]

TICKS = 10_000_000
"""In a second."""
SHAPE = re.compile(r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,7}))?Z?)?")
PARTS = {
    "year": ("year", "yyyy", "yy"),
    "month": ("month", "mm", "m"),
    "day": ("day", "dd", "d"),
    "hour": ("hour", "hh"),
    "minute": ("minute", "mi", "n"),
    "second": ("second", "ss", "s"),
    "millisecond": ("millisecond", "ms"),
    "microsecond": ("microsecond", "mcs"),
    "nanosecond": ("nanosecond", "ns"),
}
IN_TICKS = {
    "day": 86_400 * TICKS,
    "hour": 3_600 * TICKS,
    "minute": 60 * TICKS,
    "second": TICKS,
    "millisecond": TICKS // 1_000,
    "microsecond": TICKS // 1_000_000,
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_ticks(text: str) -> int:
    """Return a date as ticks.

    Raises:
        ValueError: it is no date.
    """
    match = SHAPE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    date, time, fraction = match.groups()
    moment = datetime.fromisoformat(f"{date}T{time or '00:00'}+00:00")
    return (moment - EPOCH) // timedelta(seconds=1) * TICKS + int((fraction or "").ljust(7, "0"))


def from_ticks(ticks: float) -> str:
    """Return ticks as a date.

    Raises:
        OverflowError: it is beyond the year 9999.
    """
    seconds, fraction = divmod(int(ticks), TICKS)
    return f"{EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{fraction:07}Z"


def to_milliseconds(text: str) -> int:
    """Return a date as milliseconds since 1970."""
    return to_ticks(text) * 1_000 // TICKS


def from_milliseconds(milliseconds: float) -> str:
    """Return milliseconds since 1970 as a date."""
    return from_ticks(milliseconds * TICKS / 1_000)


def _unit(name: str) -> str | None:
    return next((unit for unit, names in PARTS.items() if name.lower() in names), None)


def add(unit_name: str, count: float, text: str) -> Json:
    """Return a date that is so many units later."""
    unit = _unit(unit_name)
    ticks = to_ticks(text)
    if unit in ("year", "month"):
        seconds, fraction = divmod(ticks, TICKS)
        before = EPOCH + timedelta(seconds=seconds)
        months = before.year * 12 + before.month - 1 + int(count) * (12 if unit == "year" else 1)
        year, month = divmod(months, 12)
        day = min(before.day, calendar.monthrange(year, month + 1)[1])
        moved = before.replace(year=year, month=month + 1, day=day)
        return from_ticks((moved - EPOCH) // timedelta(seconds=1) * TICKS + fraction)
    if unit == "nanosecond":
        return from_ticks(ticks + int(count) // 100)
    return UNDEFINED if unit is None else from_ticks(ticks + int(count) * IN_TICKS[unit])


def difference(unit_name: str, start: str, end: str) -> Json:
    """Return how many boundaries of a unit lie between two dates."""
    unit = _unit(unit_name)
    first, last = to_ticks(start), to_ticks(end)
    if unit in ("year", "month"):
        years = int(end[:4]) - int(start[:4])
        return years if unit == "year" else years * 12 + int(end[5:7]) - int(start[5:7])
    if unit == "nanosecond":
        return (last - first) * 100
    return UNDEFINED if unit is None else last // IN_TICKS[unit] - first // IN_TICKS[unit]


def part(unit_name: str, text: str) -> Json:
    """Return one part of a date."""
    unit = _unit(unit_name)
    seconds, fraction = divmod(to_ticks(text), TICKS)
    match unit:
        case "millisecond":
            return fraction // 10_000
        case "microsecond":
            return fraction // 10
        case "nanosecond":
            return fraction * 100
        case None:
            return UNDEFINED
    return getattr(EPOCH + timedelta(seconds=seconds), unit)
