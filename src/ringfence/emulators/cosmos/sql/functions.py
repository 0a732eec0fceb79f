"""The built-in functions of queries.

Source: "System functions in Azure Cosmos DB for NoSQL" (Learn), one page per function. A function of which an argument
has not the type that it takes gives `undefined`, never an error.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ringfence.emulators.cosmos.sql import dates
from ringfence.emulators.cosmos.values import UNDEFINED, Json, Kind, identity, kind_of, number, parse_json, same

__all__ = ["FUNCTIONS", "Function", "text_of"]

KINDS = {"s": Kind.STRING, "n": Kind.NUMBER, "b": Kind.BOOLEAN, "a": Kind.ARRAY, "o": Kind.OBJECT}


@dataclass(frozen=True)
class Function:
    """A function and the types of its arguments.

    `signature` has a letter for each: s, n, b, a, o, or `.` for a value of any type and `*` for `undefined` too. Those
    after a `?` may be left out; a `+` at the end lets the last one come any number of times.
    """

    signature: str
    apply: Callable[..., Json]

    @property
    def arity(self) -> tuple[int, int | None]:
        """The least and the most arguments; None is no limit."""
        letters = self.signature.rstrip("+")
        least = len(letters.split("?")[0])
        return least, None if self.signature.endswith("+") else len(letters.replace("?", ""))

    def __call__(self, arguments: list[Json]) -> Json:
        """Return the value for some arguments, of which there are as many as it takes."""
        letters = self.signature.rstrip("+").replace("?", "")
        letters += letters[-1:] * (len(arguments) - len(letters))
        for letter, argument in zip(letters, arguments, strict=False):
            kind = kind_of(argument)
            if letter != "*" and (kind is Kind.UNDEFINED or (letter != "." and kind is not KINDS[letter])):
                return UNDEFINED
        try:
            found = self.apply(*arguments)
            if kind_of(found) is Kind.NUMBER:
                found = number(found)
        except (ArithmeticError, ValueError):  # a logarithm of -1, an overflow: there is no such number
            return UNDEFINED
        return found


def text_of(value: Json) -> str:
    """Return a value as JSON without blanks, and a string as it is."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _folded(compare: Callable[[str, str], bool]) -> Callable[..., bool]:
    def apply(text: str, other: str, ignore_case: bool = False) -> bool:
        return compare(text.lower(), other.lower()) if ignore_case else compare(text, other)

    return apply


def _of_kind(*kinds: Kind) -> Callable[[Json], bool]:
    return lambda value: kind_of(value) in kinds


def _array_contains(array: list[Json], value: Json, partial: bool = False) -> bool:
    def fits(item: Json, wanted: Json) -> bool:
        if partial and isinstance(item, dict) and isinstance(wanted, dict):
            return all(name in item and fits(item[name], part) for name, part in wanted.items())
        return same(item, wanted)

    return any(fits(item, value) for item in array)


def _slice(array: list[Json], start: float, length: float | None = None) -> list[Json]:
    first = int(start) if start >= 0 else max(len(array) + int(start), 0)
    return array[first:] if length is None else array[first : first + max(int(length), 0)]


def _substring(text: str, start: float, length: float) -> str:
    return text[max(int(start), 0) : max(int(start), 0) + max(int(length), 0)]


def _index_of(text: str, part: str, start: float = 0) -> int:
    return text.find(part, int(start))


def _round(value: float, digits: float = 0) -> float:
    scale = 10 ** int(digits)
    return math.copysign(math.floor(abs(value) * scale + 0.5) / scale, value)


def _regex_match(text: str, pattern: str, modifiers: str = "") -> Json:
    flags = 0
    for letter in modifiers:
        if letter not in "imsx":
            return UNDEFINED
        flags |= {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}[letter]
    try:
        return re.search(pattern, text, flags) is not None
    except re.error:
        return UNDEFINED


def _parsed(*kinds: Kind) -> Callable[[str], Json]:
    def apply(text: str) -> Json:
        value = parse_json(text.strip())
        return value if kind_of(value) in kinds else UNDEFINED

    return apply


def _unique(values: Iterable[Json]) -> list[Json]:
    return list({identity(value): value for value in reversed(list(values))}.values())[::-1]


def _union(left: list[Json], right: list[Json]) -> list[Json]:
    return _unique([*left, *right])


def _intersection(left: list[Json], right: list[Json]) -> list[Json]:
    return _unique(value for value in left if _array_contains(right, value))


def _join(parts: list[Json], between: str) -> Json:
    return between.join(parts) if all(isinstance(part, str) for part in parts) else UNDEFINED


def _choose(index: float, *values: Json) -> Json:
    return values[int(index) - 1] if 1 <= index <= len(values) else UNDEFINED


def _trimmed(strip: Callable[[str, str | None], str]) -> Callable[..., str]:
    return lambda text, characters=None: strip(text, characters)


def _vector_distance(left: list[Json], right: list[Json], exact: bool = False, options: Any = None) -> Json:
    function = str((options or {}).get("distanceFunction", "cosine")).lower()
    if len(left) != len(right) or not left or any(kind_of(value) is not Kind.NUMBER for value in (*left, *right)):
        return UNDEFINED
    if function == "euclidean":
        return math.dist(left, right)
    product = (
        math.sumprod(left, right) if hasattr(math, "sumprod") else sum(a * b for a, b in zip(left, right, strict=True))
    )
    if function == "dotproduct":
        return float(product)
    return float(product / (math.hypot(*left) * math.hypot(*right)))


SCALARS = (Kind.NULL, Kind.BOOLEAN, Kind.NUMBER, Kind.STRING)

FUNCTIONS: dict[str, Function] = {
    # Types
    "IS_DEFINED": Function("*", lambda value: value is not UNDEFINED),
    "IS_NULL": Function("*", _of_kind(Kind.NULL)),
    "IS_BOOL": Function("*", _of_kind(Kind.BOOLEAN)),
    "IS_NUMBER": Function("*", _of_kind(Kind.NUMBER)),
    "IS_STRING": Function("*", _of_kind(Kind.STRING)),
    "IS_ARRAY": Function("*", _of_kind(Kind.ARRAY)),
    "IS_OBJECT": Function("*", _of_kind(Kind.OBJECT)),
    "IS_PRIMITIVE": Function("*", _of_kind(*SCALARS)),
    "IS_FINITE_NUMBER": Function("*", lambda value: kind_of(value) is Kind.NUMBER and math.isfinite(value)),
    "IS_INTEGER": Function(
        "*", lambda value: kind_of(value) is Kind.NUMBER and value == int(value) and -(2**63) <= value < 2**63
    ),
    # Strings
    "CONCAT": Function("ss+", lambda *parts: "".join(parts)),
    "CONTAINS": Function("ss?b", _folded(lambda text, part: part in text)),
    "STARTSWITH": Function("ss?b", _folded(str.startswith)),
    "ENDSWITH": Function("ss?b", _folded(str.endswith)),
    "STRINGEQUALS": Function("ss?b", _folded(lambda text, other: text == other)),
    "INDEX_OF": Function("ss?n", _index_of),
    "LEFT": Function("sn", lambda text, count: text[: max(int(count), 0)]),
    "RIGHT": Function("sn", lambda text, count: text[-int(count) :] if count >= 1 else ""),
    "LENGTH": Function("s", len),
    "LOWER": Function("s", str.lower),
    "UPPER": Function("s", str.upper),
    "TRIM": Function("s?s", _trimmed(str.strip)),
    "LTRIM": Function("s?s", _trimmed(str.lstrip)),
    "RTRIM": Function("s?s", _trimmed(str.rstrip)),
    "REPLACE": Function("sss", lambda text, old, new: text.replace(old, new) if old else text),
    "REPLICATE": Function(
        "sn", lambda text, count: text * int(count) if 0 <= count * len(text) <= 10_000 else UNDEFINED
    ),
    "REVERSE": Function("s", lambda text: text[::-1]),
    "SUBSTRING": Function("snn", _substring),
    "REGEXMATCH": Function("ss?s", _regex_match),
    "STRINGSPLIT": Function("ss", lambda text, between: text.split(between) if between else [text]),
    "STRINGJOIN": Function("as", _join),
    "TOSTRING": Function(".", text_of),
    "STRINGTONUMBER": Function("s", _parsed(Kind.NUMBER)),
    "STRINGTOBOOLEAN": Function("s", _parsed(Kind.BOOLEAN)),
    "STRINGTONULL": Function("s", _parsed(Kind.NULL)),
    "STRINGTOARRAY": Function("s", _parsed(Kind.ARRAY)),
    "STRINGTOOBJECT": Function("s", _parsed(Kind.OBJECT)),
    # Numbers
    "ABS": Function("n", abs),
    "CEILING": Function("n", math.ceil),
    "FLOOR": Function("n", math.floor),
    "ROUND": Function("n?n", _round),
    "TRUNC": Function("n", math.trunc),
    "SIGN": Function("n", lambda value: (value > 0) - (value < 0)),
    "SQRT": Function("n", math.sqrt),
    "SQUARE": Function("n", lambda value: value * value),
    "POWER": Function("nn", math.pow),
    "EXP": Function("n", math.exp),
    "LOG": Function("n?n", math.log),
    "LOG10": Function("n", math.log10),
    "PI": Function("", lambda: math.pi),
    "DEGREES": Function("n", math.degrees),
    "RADIANS": Function("n", math.radians),
    "SIN": Function("n", math.sin),
    "COS": Function("n", math.cos),
    "TAN": Function("n", math.tan),
    "ASIN": Function("n", math.asin),
    "ACOS": Function("n", math.acos),
    "ATAN": Function("n", math.atan),
    "ATN2": Function("nn", math.atan2),
    "NUMBERBIN": Function("n?n", lambda value, size=1: math.floor(value / size) * size),
    # Arrays and objects
    "ARRAY_LENGTH": Function("a", len),
    "ARRAY_CONTAINS": Function("a.?b", _array_contains),
    "ARRAY_CONTAINS_ANY": Function("a.+", lambda array, *values: any(_array_contains(array, v) for v in values)),
    "ARRAY_CONTAINS_ALL": Function("a.+", lambda array, *values: all(_array_contains(array, v) for v in values)),
    "ARRAY_CONCAT": Function("aa+", lambda *arrays: [item for array in arrays for item in array]),
    "ARRAY_SLICE": Function("an?n", _slice),
    "SETINTERSECT": Function("aa", _intersection),
    "SETUNION": Function("aa", _union),
    "CHOOSE": Function("n*+", _choose),
    "OBJECTTOARRAY": Function("o", lambda value: [{"k": name, "v": part} for name, part in value.items()]),
    # Conditions
    "IIF": Function("***", lambda test, then, otherwise: then if test is True else otherwise),
    # Dates
    "DATETIMEADD": Function("sns", dates.add),
    "DATETIMEDIFF": Function("sss", dates.difference),
    "DATETIMEPART": Function("ss", dates.part),
    "DATETIMETOTIMESTAMP": Function("s", dates.to_milliseconds),
    "DATETIMETOTICKS": Function("s", dates.to_ticks),
    "TIMESTAMPTODATETIME": Function("n", dates.from_milliseconds),
    "TICKSTODATETIME": Function("n", dates.from_ticks),
    # Vectors
    "VECTORDISTANCE": Function("aa?bo", _vector_distance),
}
