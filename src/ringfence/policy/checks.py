"""The small vocabulary that rules are written in: tests of a value, and outcomes that combine in three values.

A *test* says what a value must be and knows how to describe that. A *check* (`require`, `every`, …) applies tests to
places and gives outcomes. Combining follows Kleene's logic: a failure wins over an unknown, an unknown over a pass, so
that a verdict never depends on what is not known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from ringfence.policy.property import Property, describe, number_of
from ringfence.policy.verdict import Outcome, Verdict

__all__ = [
    "PASS",
    "Test",
    "all_of",
    "any_of",
    "between",
    "contains",
    "equals",
    "every",
    "failed",
    "is_not",
    "is_true",
    "matches",
    "non_empty",
    "not_applicable",
    "one_of",
    "passed",
    "require",
    "satisfying",
    "undecided",
]

Kind = Literal["boolean", "number", "string", "list", "object", "any"]

PASS = Outcome(Verdict.PASS)

# Looking a member up in its class takes several times as long as a module's name does, up to Python 3.11.
_PASS, _FAIL, _UNKNOWN, _NOT_APPLICABLE = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN, Verdict.NOT_APPLICABLE


@dataclass(frozen=True, slots=True)
class Test:
    """What a value must be."""

    __test__ = False  # pytest would take the name for a test class

    expected: str
    """For messages: "one of "1.2", "1.3"", "true", "a number from 3 to 10"."""
    accepts: Callable[[Any], bool]
    kind: Kind = "any"
    """A value of another kind fails, whatever `accepts` would say of it."""

    def __call__(self, value: Any) -> bool:
        """Whether a known value is of the right kind and accepted."""
        return _IS_KIND[self.kind](value) and self.accepts(value)


_IS_KIND: dict[Kind, Callable[[Any], bool]] = {
    "boolean": lambda value: isinstance(value, bool),
    "number": lambda value: number_of(value) is not None,
    "string": lambda value: isinstance(value, str),
    "list": lambda value: isinstance(value, list | tuple),
    "object": lambda value: Property(value).is_object,
    "any": lambda _: True,
}


def _kind_of(value: Any) -> Kind:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else "any"


def _same_as(wanted: Any) -> Callable[[Any], bool]:
    """Return whether a value is `wanted`: strings without regard to case, numbers also where a string spells them."""
    if isinstance(wanted, str):
        folded = wanted.casefold()
        return lambda value: type(value) is str and value.casefold() == folded
    if _kind_of(wanted) == "number":
        return lambda value: number_of(value) == wanted
    return lambda value: type(value) is type(wanted) and bool(value == wanted)


_made_once = lru_cache(maxsize=2048, typed=True)
"""Rules ask for the same tests again and again; typed, because True is no 1 here."""


# --- tests -----------------------------------------------------------------------------------------------------------


@_made_once
def equals(wanted: Any) -> Test:
    """Accept `wanted`; strings compare without regard to case, as the clouds do with enums."""
    return Test(describe(wanted), _same_as(wanted), _kind_of(wanted))


@_made_once
def is_true() -> Test:
    """Accept true."""
    return equals(True)


@_made_once
def is_not(refused: Any) -> Test:
    """Accept every value of the same kind but `refused`."""
    expected = {True: "false", False: "true"}.get(refused) if isinstance(refused, bool) else None
    is_refused = _same_as(refused)
    return Test(
        expected or f"anything but {describe(refused)}",
        lambda value: not is_refused(value),
        _kind_of(refused),
    )


@_made_once
def one_of(*wanted: Any) -> Test:
    """Accept any of the values `wanted`, without regard to case."""
    kinds = {_kind_of(item) for item in wanted}
    expected = describe(wanted[0]) if len(wanted) == 1 else "one of " + ", ".join(map(describe, wanted))
    kind = kinds.pop() if len(kinds) == 1 else "any"
    if kind == "string":
        folded = {item.casefold() for item in wanted}
        return Test(expected, lambda value: value.casefold() in folded, kind)
    tests = [_same_as(item) for item in wanted]
    return Test(expected, lambda value: any(same(value) for same in tests), kind)


@_made_once
def between(low: float, high: float, unit: str = "") -> Test:
    """Accept numbers from `low` to `high`, both included; also as strings, as autoscale settings have them."""
    suffix = f" {unit}" if unit else ""

    def accepts(value: Any) -> bool:
        number = number_of(value)
        return number is not None and low <= number <= high

    return Test(f"a number from {low:g} to {high:g}{suffix}", accepts)


@_made_once
def contains(part: str) -> Test:
    """Accept strings that hold `part`, without regard to case."""
    return Test(f"text that contains {describe(part)}", lambda value: part.casefold() in value.casefold(), "string")


@_made_once
def matches(pattern: str, expected: str) -> Test:
    """Accept strings that `pattern` matches from start to end."""
    compiled = re.compile(pattern)
    return Test(expected, lambda value: compiled.fullmatch(value) is not None, "string")


@_made_once
def non_empty(expected: str = "a value that is not empty") -> Test:
    """Accept anything but an empty string, list or object."""
    return Test(expected, lambda value: not (isinstance(value, str | list | tuple | dict) and len(value) == 0))


def satisfying(accepts: Callable[[Any], bool], expected: str, kind: Kind = "any") -> Test:
    """Accept what the function `accepts` accepts."""
    return Test(expected, accepts, kind)


# --- outcomes --------------------------------------------------------------------------------------------------------


def passed(place: Property | None = None) -> Outcome:
    """Say that this check passes."""
    return PASS if place is None else Outcome(_PASS, place.path)


def failed(place: Property | None, message: str, *, expected: str = "", actual: str | None = None) -> Outcome:
    """Say that this check fails at `place`. The message must not hold the value of a secret: use `place.shown`."""
    if actual is None:
        actual = place.shown if place is not None else ""
    return Outcome(_FAIL, place.path if place is not None else "", message, expected, actual)


def undecided(place: Property | None, message: str = "", *, expected: str = "") -> Outcome:
    """Say that what decides is unknown at `place`."""
    path = place.path if place is not None else ""
    return Outcome(
        _UNKNOWN,
        path,
        message or f"{path or 'A value'} is not known before apply.",
        expected,
        "a value that is not known before apply",
    )


def not_applicable(reason: str) -> Outcome:
    """Say that the rule has nothing to say of this resource, and why."""
    return Outcome(_NOT_APPLICABLE, "", reason)


def require(place: Property, test: Test, *, absent: Literal["pass", "fail"] | str) -> Outcome:
    """Check that the value at `place` passes `test`.

    `absent` says what it means that nothing is there: `pass`, `fail`, or a sentence that says why it fails.
    """
    if place.present:
        if test(place.value):
            return passed(place)
        return failed(place, f"{place.path} is {place.shown}, expected {test.expected}.", expected=test.expected)
    if place.unknown:
        return undecided(place, expected=test.expected)
    if not place.absent:
        return failed(place, f"{place.path} is {place.shown}.", expected=test.expected)
    if absent == "pass":
        return passed(place)
    reason = f" {absent}" if absent != "fail" else ""
    return failed(place, f"{place.path} is not set.{reason}", expected=test.expected)


def every(places: Iterable[Property], check: Callable[[Property], Outcome | Iterable[Outcome]]) -> list[Outcome]:
    """Check each place; the outcomes of all of them, so that one bad element is found among good ones."""
    outcomes: list[Outcome] = []
    for place in places:
        if place.present or place.absent:
            result = check(place)
            outcomes.extend([result] if isinstance(result, Outcome) else result)
        elif place.unknown:
            outcomes.append(undecided(place))
        else:
            outcomes.append(failed(place, f"{place.path} is {place.shown}."))
    return outcomes


_WORST_FIRST = (Verdict.ERROR, Verdict.FAIL, Verdict.UNKNOWN)
_BEST_FIRST = (Verdict.PASS, Verdict.UNKNOWN, Verdict.FAIL)


def all_of(*outcomes: Outcome) -> Outcome:
    """Pass if all pass: the first failure, else the first unknown, else pass."""
    for verdict in _WORST_FIRST:
        for outcome in outcomes:
            if outcome.verdict is verdict:
                return outcome
    return outcomes[0] if outcomes else PASS


def any_of(*outcomes: Outcome) -> Outcome:
    """Pass if one passes: the first pass, else the first unknown, else the first failure."""
    for verdict in _BEST_FIRST:
        for outcome in outcomes:
            if outcome.verdict is verdict:
                return outcome
    return outcomes[0] if outcomes else PASS
