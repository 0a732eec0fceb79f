"""What the parts of an SQL condition mean, as functions of a message's application and system properties.

An unknown value (a property that a message does not have, or NULL) makes comparisons unknown, and AND, OR and NOT work
on three values. Only what is true matches.

Source: Service Bus documentation, "Subscription rule SQL filter syntax".
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

__all__ = [
    "COMPARISONS",
    "Expression",
    "FilterError",
    "Predicate",
    "all_of",
    "any_of",
    "arithmetic",
    "compare",
    "constant",
    "is_null",
    "like",
    "named_property",
    "not_true",
    "one_of",
    "system_property",
    "user_property",
]

Properties = Mapping[str, Any]
Predicate = Callable[[Properties, Properties], bool | None]
Expression = Callable[[Properties, Properties], Any]

COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


class FilterError(Exception):
    """A condition cannot be evaluated for a message: its types do not go together."""


def constant(value: Any) -> Expression:
    """Return a value that stands in the condition."""
    return lambda user, system: value


def _lookup(properties: Properties, name: str) -> tuple[bool, Any]:
    """Find a property by its name, whose case does not matter."""
    if name in properties:
        return True, properties[name]
    for key, value in properties.items():
        if key.lower() == name.lower():
            return True, value
    return False, None


def user_property(name: str, exists: bool) -> Expression:
    """Return an application property, or whether there is one."""
    return lambda user, system: _lookup(user, name)[0 if exists else 1]


def system_property(name: str, exists: bool) -> Expression:
    """Return a property that Service Bus itself knows, or whether there is one."""
    if exists:
        return lambda user, system: system[name] is not None
    return lambda user, system: system[name]


def named_property(argument: Expression) -> Expression:
    """Return the application property that an expression names."""

    def evaluate(user: Properties, system: Properties) -> Any:
        name = argument(user, system)
        if not isinstance(name, str):
            raise FilterError(f"property() needs the name of a property, not {name!r}")
        return _lookup(user, name)[1]

    return evaluate


def any_of(parts: list[Predicate]) -> Predicate:
    """Return OR, on three values."""

    def evaluate(user: Properties, system: Properties) -> bool | None:
        values = [part(user, system) for part in parts]
        return True if True in values else None if None in values else False

    return evaluate


def all_of(parts: list[Predicate]) -> Predicate:
    """Return AND, on three values."""

    def evaluate(user: Properties, system: Properties) -> bool | None:
        values = [part(user, system) for part in parts]
        return False if False in values else None if None in values else True

    return evaluate


def not_true(part: Predicate) -> Predicate:
    """Return NOT, on three values."""

    def evaluate(user: Properties, system: Properties) -> bool | None:
        value = part(user, system)
        return None if value is None else not value

    return evaluate


def is_null(left: Expression, negated: bool) -> Predicate:
    """Return whether a value is unknown, or the opposite."""
    return lambda user, system: (left(user, system) is None) != negated


def compare(mark: str, left: Expression, right: Expression) -> Predicate:
    """Compare two values; unknown if either is."""
    return lambda user, system: _compared(COMPARISONS[mark], left(user, system), right(user, system))


def _compared(compare: Callable[[Any, Any], bool], left: Any, right: Any) -> bool | None:
    if left is None or right is None:
        return None
    if _kind(left) != _kind(right):
        raise FilterError(f"{left!r} cannot be compared with {right!r}")
    if _kind(left) in ("boolean", "guid") and compare not in (operator.eq, operator.ne):
        raise FilterError(f"{left!r} and {right!r} have no order")
    return compare(left, right)


def one_of(left: Expression, items: list[Expression], negated: bool) -> Predicate:
    """Return whether a value is in a list, or the opposite."""

    def evaluate(user: Properties, system: Properties) -> bool | None:
        value = left(user, system)
        if value is None:
            return None
        found = any(_compared(operator.eq, value, item(user, system)) for item in items)
        return found != negated

    return evaluate


def like(left: Expression, pattern: Expression, escape: Expression | None, negated: bool) -> Predicate:
    """Return whether a text has a form, or the opposite."""

    def evaluate(user: Properties, system: Properties) -> bool | None:
        value, form = left(user, system), pattern(user, system)
        sign = escape(user, system) if escape is not None else ""
        if value is None or form is None or sign is None:
            return None
        if not isinstance(value, str) or not isinstance(form, str) or not isinstance(sign, str) or len(sign) > 1:
            raise FilterError(f"LIKE needs texts, not {value!r} and {form!r}")
        return (re.fullmatch(_regex(form, sign), value, re.DOTALL) is not None) != negated

    return evaluate


def _regex(form: str, sign: str) -> str:
    parts = []
    characters = iter(form)
    for character in characters:
        if sign and character == sign:
            parts.append(re.escape(next(characters, sign)))
        else:
            parts.append({"%": ".*", "_": "."}.get(character) or re.escape(character))
    return "".join(parts)


def arithmetic(mark: str, left: Expression, right: Expression) -> Expression:
    """Return the sum, difference, product, quotient or remainder of two values."""

    def evaluate(user: Properties, system: Properties) -> Any:
        first, second = left(user, system), right(user, system)
        if first is None or second is None:
            return None
        if mark == "+" and isinstance(first, str) and isinstance(second, str):
            return first + second
        if _kind(first) != "number" or _kind(second) != "number":
            raise FilterError(f"{first!r} {mark} {second!r} cannot be calculated")
        try:
            return _calculated(mark, first, second)
        except (ZeroDivisionError, OverflowError) as error:
            raise FilterError(f"{first!r} {mark} {second!r}: {error}") from error

    return evaluate


def _calculated(mark: str, left: Any, right: Any) -> Any:
    """Calculate as C# does: integers stay integers, and a division of them drops what is left over."""
    if mark == "/" and isinstance(left, int) and isinstance(right, int):
        quotient = abs(left) // abs(right)
        return quotient if (left < 0) == (right < 0) else -quotient
    if mark == "%":
        remainder = abs(left) % abs(right)
        return remainder if left >= 0 else -remainder
    return {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}[mark](left, right)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, UUID):
        return "guid"
    return "text" if isinstance(value, str) else type(value).__name__
