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

from ringfence.policy.property import Property, State, describe
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

# See `ringfence.policy.property` for why a member of an enum is named here.
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
        return _is_kind(value, self.kind) and self.accepts(value)


def _is_kind(value: Any, kind: Kind) -> bool:
    match kind:
        case "boolean":
            return isinstance(value, bool)
        case "number":
            return Property(value).number is not None
        case "string":
            return isinstance(value, str)
        case "list":
            return isinstance(value, list | tuple)
        case "object":
            return Property(value).is_object
        case _:
            return True


def _fold(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _kind_of(value: Any) -> Kind:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else "any"


def _same(value: Any, wanted: Any) -> bool:
    """Whether a value is `wanted`: strings without regard to case, numbers also where a string spells them."""
    if _kind_of(wanted) == "number":
        return bool(Property(value).number == wanted)
    return type(value) is type(wanted) and bool(_fold(value) == _fold(wanted))


_made_once = lru_cache(maxsize=2048, typed=True)
"""Rules ask for the same tests again and again; typed, because True is no 1 here."""


# --- tests -----------------------------------------------------------------------------------------------------------


@_made_once
def equals(wanted: Any) -> Test:
    """Accept `wanted`; strings compare without regard to case, as the clouds do with enums."""
    return Test(describe(wanted), lambda value: _same(value, wanted), _kind_of(wanted))


@_made_once
def is_true() -> Test:
    """Accept true."""
    return equals(True)


@_made_once
def is_not(refused: Any) -> Test:
    """Accept every value of the same kind but `refused`."""
    expected = {True: "false", False: "true"}.get(refused) if isinstance(refused, bool) else None
    return Test(
        expected or f"anything but {describe(refused)}",
        lambda value: not _same(value, refused),
        _kind_of(refused),
    )


@_made_once
def one_of(*wanted: Any) -> Test:
    """Accept any of the values `wanted`, without regard to case."""
    kinds = {_kind_of(item) for item in wanted}
    expected = describe(wanted[0]) if len(wanted) == 1 else "one of " + ", ".join(map(describe, wanted))
    kind = kinds.pop() if len(kinds) == 1 else "any"
    return Test(expected, lambda value: any(_same(value, item) for item in wanted), kind)


@_made_once
def between(low: float, high: float, unit: str = "") -> Test:
    """Accept numbers from `low` to `high`, both included; also as strings, as autoscale settings have them."""
    suffix = f" {unit}" if unit else ""

    def accepts(value: Any) -> bool:
        number = Property(value).number
        return number is not None and low <= number <= high

    return Test(f"a number from {low:g} to {high:g}{suffix}", accepts, "number")


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
    return PASS if place is None else Outcome(_PASS, path=place.path)


def failed(place: Property | None, message: str, *, expected: str = "", actual: str | None = None) -> Outcome:
    """Say that this check fails at `place`. The message must not hold the value of a secret: use `place.shown`."""
    return Outcome(
        _FAIL,
        path=place.path if place is not None else "",
        message=message,
        expected=expected,
        actual=actual if actual is not None else place.shown if place is not None else "",
    )


def undecided(place: Property | None, message: str = "", *, expected: str = "") -> Outcome:
    """Say that what decides is unknown at `place`."""
    path = place.path if place is not None else ""
    return Outcome(
        _UNKNOWN,
        path=path,
        message=message or f"{path or 'A value'} is not known before apply.",
        expected=expected,
        actual="a value that is not known before apply",
    )


def not_applicable(reason: str) -> Outcome:
    """Say that the rule has nothing to say of this resource, and why."""
    return Outcome(_NOT_APPLICABLE, message=reason)


def require(place: Property, test: Test, *, absent: Literal["pass", "fail"] | str) -> Outcome:
    """Check that the value at `place` passes `test`.

    `absent` says what it means that nothing is there: `pass`, `fail`, or a sentence that says why it fails.
    """
    if place.present and test(place.value):
        return passed(place)
    match place.state:
        case State.UNKNOWN:
            return undecided(place, expected=test.expected)
        case State.ABSENT:
            if absent == "pass":
                return passed(place)
            reason = f" {absent}" if absent != "fail" else ""
            return failed(place, f"{place.path} is not set.{reason}", expected=test.expected)
        case State.MALFORMED:
            return failed(place, f"{place.path} is {place.shown}.", expected=test.expected)
    return failed(place, f"{place.path} is {place.shown}, expected {test.expected}.", expected=test.expected)


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
