"""The value of an expression for one row."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from ringfence.emulators.cosmos.errors import query_error
from ringfence.emulators.cosmos.sql import dates
from ringfence.emulators.cosmos.sql.aggregate import AGGREGATES, aggregate
from ringfence.emulators.cosmos.sql.functions import FUNCTIONS
from ringfence.emulators.cosmos.sql.syntax import (
    ArrayOf,
    Between,
    Binary,
    Call,
    Conditional,
    Expression,
    In,
    Like,
    Literal,
    Member,
    Name,
    ObjectOf,
    Parameter,
    Query,
    Subquery,
    Unary,
)
from ringfence.emulators.cosmos.values import UNDEFINED, Json, Kind, kind_of, number, same, sort_key

__all__ = ["CLOCK_FUNCTIONS", "Row", "Surroundings", "compare", "distance_function", "evaluate"]

CLOCK_FUNCTIONS: dict[str, Callable[[float], Json]] = {
    "GETCURRENTDATETIME": lambda now: dates.from_ticks(now * dates.TICKS),
    "GETCURRENTTIMESTAMP": lambda now: int(now * 1000),
    "GETCURRENTTICKS": lambda now: int(now * dates.TICKS),
}
CLOCK_FUNCTIONS |= {f"{name}STATIC": function for name, function in CLOCK_FUNCTIONS.items()}
COMPARABLE = (Kind.NULL, Kind.BOOLEAN, Kind.NUMBER, Kind.STRING)


@dataclass(frozen=True)
class Surroundings:
    """What is the same for all rows of a query: the time in seconds since 1970, and how a subquery is answered."""

    now: float
    answer: Callable[[Query, Row], list[Json]]
    parameters: Mapping[str, Json] = field(default_factory=dict)
    vector_functions: Mapping[str, str] = field(default_factory=dict)
    """The distance function of each path that holds vectors, by the path's last name."""


@dataclass(frozen=True)
class Row:
    """What the aliases stand for; for an aggregate, also the rows of the group."""

    names: Mapping[str, Json]
    surroundings: Surroundings
    group: Sequence[Row] | None = None

    def with_name(self, name: str, value: Json) -> Row:
        """Return the row with one more alias."""
        return replace(self, names={**self.names, name: value})


def evaluate(expression: Expression, row: Row) -> Json:
    """Return an expression's value; `UNDEFINED` where there is none.

    Raises:
        ServiceError: a parameter is missing.
    """
    match expression:
        case Literal(value):
            return value
        case Name(name):
            return row.names.get(name, UNDEFINED)
        case Member(of, key):
            return _member(evaluate(of, row), evaluate(key, row))
        case Parameter(name):
            if name not in row.surroundings.parameters:
                raise query_error("SC2061", f"Parameter '{name}' was not supplied.")
            return row.surroundings.parameters[name]
        case Binary():
            return _binary(expression, row)
        case Unary(operator, operand):
            return _unary(operator, evaluate(operand, row))
        case Between(value, low, high):
            found = evaluate(value, row)
            return _all_of(compare(">=", found, evaluate(low, row)), compare("<=", found, evaluate(high, row)))
        case In(value, choices):
            return _among(evaluate(value, row), [evaluate(choice, row) for choice in choices])
        case Like(value, pattern, escape):
            mark = "" if escape is None else evaluate(escape, row)
            return _like(evaluate(value, row), evaluate(pattern, row), mark)
        case Conditional(test, then, otherwise):
            return evaluate(then if evaluate(test, row) is True else otherwise, row)
        case Call():
            return _call(expression, row)
        case ArrayOf(items):
            return [value for item in items if (value := evaluate(item, row)) is not UNDEFINED]
        case ObjectOf(members):
            pairs = ((name, evaluate(value, row)) for name, value in members)
            return {name: value for name, value in pairs if value is not UNDEFINED}
        case Subquery(kind, query):
            found = row.surroundings.answer(query, row)
            if kind == "VALUE":
                return found[0] if found else UNDEFINED
            return found if kind == "ARRAY" else bool(found)


def compare(operator: str, left: Json, right: Json) -> Json:
    """Return whether two values compare so. Values of two types are not equal, and none is less than the other.

    The documentation says undefined for the equality of two types; `x != null` and its negation, which clients of the
    service's own LINQ provider rely on, would never hold then.
    """
    if left is UNDEFINED or right is UNDEFINED:
        return UNDEFINED
    if operator in ("=", "!="):
        return same(left, right) is (operator == "=")
    if kind_of(left) is not kind_of(right) or kind_of(left) not in COMPARABLE:
        return UNDEFINED
    one, other = sort_key(left), sort_key(right)
    match operator:
        case "<":
            return one < other
        case "<=":
            return one <= other
        case ">":
            return one > other
    return one >= other


def _member(of: Json, key: Json) -> Json:
    if isinstance(of, dict) and isinstance(key, str):
        return of.get(key, UNDEFINED)
    if isinstance(of, list) and kind_of(key) is Kind.NUMBER and key == int(key) and 0 <= key < len(of):
        return of[int(key)]
    return UNDEFINED


def _all_of(left: Json, right: Json) -> Json:
    if left is False or right is False:
        return False
    return True if left is True and right is True else UNDEFINED


def _any_of(left: Json, right: Json) -> Json:
    if left is True or right is True:
        return True
    return False if left is False and right is False else UNDEFINED


def _among(value: Json, choices: list[Json]) -> Json:
    found: Json = False
    for choice in choices:
        found = _any_of(found, compare("=", value, choice))
    return found


def _binary(expression: Binary, row: Row) -> Json:
    """Return the value of a chain of operators: one after the other and not in depth, since there may be hundreds."""
    chain: list[Binary] = []
    first: Expression = expression
    while isinstance(first, Binary):
        chain.append(first)
        first = first.left
    value = evaluate(first, row)
    for link in reversed(chain):
        value = _combined(link.operator, value, link.right, row)
    return value


def _combined(operator: str, one: Json, right: Expression, row: Row) -> Json:
    match operator:
        case "AND":
            return False if one is False else _all_of(one, evaluate(right, row))
        case "OR":
            return True if one is True else _any_of(one, evaluate(right, row))
        case "??":
            return evaluate(right, row) if one is UNDEFINED else one
    other = evaluate(right, row)
    if operator in ("=", "!=", "<", "<=", ">", ">="):
        return compare(operator, one, other)
    if operator == "||":
        return one + other if isinstance(one, str) and isinstance(other, str) else UNDEFINED
    if kind_of(one) is not Kind.NUMBER or kind_of(other) is not Kind.NUMBER:
        return UNDEFINED
    return _arithmetic(operator, one, other)


def _arithmetic(operator: str, left: float, right: float) -> Json:
    try:
        match operator:
            case "+":
                found = left + right
            case "-":
                found = left - right
            case "*":
                found = left * right
            case "/":
                found = left / right
            case "%":
                found = math.fmod(left, right)
            case _:
                return _bits(operator, left, right)
        return number(found)
    except (ArithmeticError, ValueError):
        return UNDEFINED


def _bits(operator: str, left: float, right: float) -> Json:
    """Return what bit operators give for whole numbers of 32 bits, as in JavaScript."""
    if left != int(left) or right != int(right):
        return UNDEFINED
    one, other = int(left) & 0xFFFFFFFF, int(right) & 0xFFFFFFFF
    match operator:
        case "&":
            found = one & other
        case "|":
            found = one | other
        case "^":
            found = one ^ other
        case "<<":
            found = one << (other & 31)
        case ">>":
            found = _signed(one) >> (other & 31)
        case _:
            return one >> (other & 31)
    return _signed(found)


def _signed(bits: int) -> int:
    low = bits & 0xFFFFFFFF
    return low - (1 << 32) if low >> 31 else low


def _unary(operator: str, value: Json) -> Json:
    if operator == "NOT":
        return not value if isinstance(value, bool) else UNDEFINED
    if kind_of(value) is not Kind.NUMBER:
        return UNDEFINED
    match operator:
        case "-":
            return -value
        case "~":
            return _signed(~int(value)) if value == int(value) else UNDEFINED
    return value


def _like(value: Json, pattern: Json, escape: Json) -> Json:
    if not isinstance(value, str) or not isinstance(pattern, str) or not isinstance(escape, str):
        return UNDEFINED
    try:
        return _like_pattern(pattern, escape).fullmatch(value) is not None
    except re.error:  # [z-a]
        return False


@lru_cache(maxsize=256)
def _like_pattern(pattern: str, escape: str) -> re.Pattern[str]:
    """Return a LIKE pattern as a regular expression: % any text, _ a character, [abc], [a-f] and [^abc] one of some."""
    found: list[str] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        end = pattern.find("]", position + 2)
        if escape and character == escape and position + 1 < len(pattern):
            position += 1
            found.append(re.escape(pattern[position]))
        elif character == "[" and end > 0:
            held = pattern[position + 1 : end]
            negated = held.startswith("^")
            inside = "".join(part if part == "-" else re.escape(part) for part in held[negated:])
            found.append(f"[{'^' if negated else ''}{inside}]")
            position = end
        else:
            found.append({"%": ".*", "_": "."}.get(character, re.escape(character)))
        position += 1
    return re.compile("".join(found), re.DOTALL)


def _call(call: Call, row: Row) -> Json:
    if call.function in AGGREGATES:
        rows = row.group if row.group is not None else ()
        return aggregate(call.function, [evaluate(call.arguments[0], each) for each in rows])
    if call.function in CLOCK_FUNCTIONS:
        return CLOCK_FUNCTIONS[call.function](row.surroundings.now)
    arguments = [evaluate(argument, row) for argument in call.arguments]
    if call.function == "VECTORDISTANCE":
        arguments = [*arguments[:2], False, {"distanceFunction": distance_function(call, row)}]
    return FUNCTIONS[call.function](arguments)


def distance_function(call: Call, row: Row) -> str:
    """Return which distance a VECTORDISTANCE is of: the one that it names, else the one of the container's policy."""
    if len(call.arguments) == 4:
        options = evaluate(call.arguments[3], row)
        if isinstance(options, dict) and "distanceFunction" in options:
            return str(options["distanceFunction"]).lower()
    for argument in call.arguments[:2]:
        if isinstance(argument, Member) and isinstance(argument.key, Literal):
            declared = row.surroundings.vector_functions.get(str(argument.key.value))
            if declared is not None:
                return declared
    return "cosine"
