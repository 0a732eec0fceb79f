"""JSON values as Cosmos DB sees them: with `undefined`, an order over all types, and paths into a document.

Source of the order over types: "ORDER BY clause in Azure Cosmos DB for NoSQL" (Learn), and "Comparison" for what can be
compared with what.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from enum import Enum, IntEnum
from typing import Any, TypeAlias

__all__ = [
    "UNDEFINED",
    "Json",
    "Kind",
    "Undefined",
    "identity",
    "kind_of",
    "lookup",
    "number",
    "parse_json",
    "parse_path",
    "same",
    "sort_key",
]


class Undefined(Enum):
    """The type of `UNDEFINED`."""

    UNDEFINED = "undefined"


LARGEST_EXACT = 2**53
"""Doubles hold all integers up to this."""
UNDEFINED = Undefined.UNDEFINED
"""What a property that is not there is. It is not null, and it equals nothing."""

Json: TypeAlias = Any
"""A JSON value, or `UNDEFINED`."""


class Kind(IntEnum):
    """The type of a value. The order is that of ORDER BY."""

    UNDEFINED = 0
    NULL = 1
    BOOLEAN = 2
    NUMBER = 3
    STRING = 4
    ARRAY = 5
    OBJECT = 6


def kind_of(value: Json) -> Kind:
    """Return a value's type. In JSON true is no number, whatever Python thinks."""
    match value:
        case Undefined():
            return Kind.UNDEFINED
        case None:
            return Kind.NULL
        case bool():
            return Kind.BOOLEAN
        case int() | float():
            return Kind.NUMBER
        case str():
            return Kind.STRING
        case list():
            return Kind.ARRAY
        case dict():
            return Kind.OBJECT
    raise TypeError(f"{type(value).__name__} is no JSON value")


def identity(value: Json) -> str:
    """Return a text that two values share if, and only if, they are the same to the service: 1 and 1.0 are."""
    match kind_of(value):
        case Kind.UNDEFINED:
            return "u"
        case Kind.NUMBER:
            return repr(float(value))
        case Kind.ARRAY:
            return "[" + ",".join(identity(item) for item in value) + "]"
        case Kind.OBJECT:
            members = sorted((json.dumps(name), identity(item)) for name, item in value.items())
            return "{" + ",".join(f"{name}:{item}" for name, item in members) + "}"
    return json.dumps(value)


def same(left: Json, right: Json) -> bool:
    """Tell whether two values are equal. `undefined` is equal to itself here."""
    return identity(left) == identity(right)


def number(value: int | float) -> int | float:
    """Return a number as the service keeps and writes it: a double, without a fraction that is zero.

    Raises:
        OverflowError: there is no such double.
    """
    if not math.isfinite(value):
        raise OverflowError("the number is not finite")
    if isinstance(value, int):
        return value if abs(value) <= LARGEST_EXACT else int(float(value))
    return int(value) if value.is_integer() and abs(value) <= LARGEST_EXACT else value


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text. Its numbers are doubles: large integers lose digits, as they do in the service.

    Raises:
        ValueError: it is none, has a number that is no double, or is nested too deeply for this process.
    """

    def refused(name: str) -> Any:
        raise ValueError(f"{name} is no JSON value")

    try:
        return json.loads(
            text,
            parse_constant=refused,
            parse_int=lambda digits: number(int(digits)),
            parse_float=lambda digits: number(float(digits)),
        )
    except (OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from error


def sort_key(value: Json) -> tuple[Any, ...]:
    """Return what to sort a value by among values of all types."""
    kind = kind_of(value)
    match kind:
        case Kind.BOOLEAN | Kind.NUMBER:
            return (kind, value)
        case Kind.STRING:
            return (kind, value.encode("utf-8", "surrogatepass"))
        case Kind.ARRAY | Kind.OBJECT:
            return (kind, identity(value))
    return (kind,)


def parse_path(path: str) -> tuple[str, ...]:
    """Return the names in a path of a partition key, an index or a unique key: `/a/b`, or `/"a b"/c`.

    Raises:
        ValueError: it is no path.
    """
    if not path.startswith("/") or path == "/":
        raise ValueError(f"{path!r} is no path: it must start with / and name a property")
    names: list[str] = []
    rest = path[1:]
    while rest:
        if rest[0] in "\"'":
            end = rest.find(rest[0], 1)
            if end < 0 or rest[end + 1 : end + 2] not in ("", "/"):
                raise ValueError(f"{path!r} is no path: a quotation mark is not closed")
            names.append(rest[1:end])
            rest = rest[end + 2 :]
        else:
            name, _, rest = rest.partition("/")
            if not name:
                raise ValueError(f"{path!r} is no path: a name is empty")
            names.append(name)
    return tuple(names)


def lookup(document: Json, names: Sequence[str]) -> Json:
    """Return what is at a path of names, or `UNDEFINED`."""
    value = document
    for name in names:
        if not isinstance(value, dict) or name not in value:
            return UNDEFINED
        value = value[name]
    return value
