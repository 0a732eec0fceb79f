"""IAM policy documents, read in three values: what is there, what is not, and what is not known before apply.

The grammar is that of the IAM user guide, "IAM JSON policy elements reference": a document holds one statement or a
list of them, and most elements hold one string or a list. Element and action names are read without regard to case.
That is on the safe side for elements: a statement that AWS might refuse is judged rather than skipped.

A rule asks each statement for *facts* and combines them with `both` and `either`. A fact knows the place it was found
at, so that a finding can name it. What cannot be read as a document is a failure of its own: the rule could not have
seen what it looks for, and AWS refuses such a document.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple
from weakref import WeakKeyDictionary

from ringfence.policy.checks import PASS, failed, not_applicable, undecided
from ringfence.policy.property import Property
from ringfence.policy.verdict import Outcome

__all__ = [
    "Fact",
    "Statement",
    "action_matches",
    "both",
    "either",
    "forbid",
    "judge",
    "matches",
    "negated",
    "some",
    "spans_actions",
    "spans_resources",
    "spans_service",
    "spans_type",
]

_VALUES = ("Action", "NotAction", "Resource", "NotResource")
_STRONG_OPERATORS = frozenset({"stringequals", "stringequalsignorecase", "stringlike", "arnequals", "arnlike"})
_ANY_OF_TYPE = re.compile(r"arn:(?:[^:]*:){4}(?:[a-z-]+[:/])?[*?]*\*[*?]*")
# An ARN that no pattern matches by luck: what matches it leaves open all that tells resources apart.
_ANY_ARN = tuple(f"arn:{partition}:\x01\x02svc:\x01\x02rgn:\x01\x02acc:\x01\x02res" for partition in ("aws", "aws-cn"))


# --- patterns --------------------------------------------------------------------------------------------------------


def matches(pattern: str, text: str) -> bool:
    """Return whether an IAM pattern matches all of `text`: `*` stands for any characters, `?` for exactly one.

    It takes at most `len(pattern) * len(text)` steps, whatever the pattern.
    """
    if "*" not in pattern and "?" not in pattern:
        return pattern == text
    at = start = resume = 0
    star = -1
    while start < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, resume = at, start
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", text[start]):
            at += 1
            start += 1
        elif star >= 0:
            # The last star takes one character more; earlier ones never need to.
            resume += 1
            at, start = star + 1, resume
        else:
            return False
    return pattern[at:].strip("*") == ""


def action_matches(pattern: str, action: str) -> bool:
    """Return whether a pattern of an Action element matches an action, without regard to case."""
    return matches(pattern.lower(), action.lower())


def _is_open(part: str) -> bool:
    return "*" in part and part.strip("*?") == ""


def spans_actions(pattern: str) -> bool:
    """Return whether a pattern matches every action: `*`, also spelled `*:*`."""
    return _is_open(pattern) or (pattern.count(":") == 1 and all(map(_is_open, pattern.split(":"))))


def spans_service(pattern: str) -> bool:
    """Return whether a pattern matches every action of at least one service: `s3:*`, `s3*`, `*`."""
    service, colon, action = pattern.partition(":")
    return _is_open(action) if colon else service.endswith("*")


def spans_resources(pattern: str) -> bool:
    """Return whether a pattern matches every resource of a partition: `*`, `arn:aws:*`, `arn:*:*:*:*:*`."""
    return any(matches(pattern, arn) for arn in _ANY_ARN)


def spans_type(pattern: str) -> bool:
    """Return whether a pattern matches every resource of a type in an account: `*`, `arn:aws:kms:*:*:key/*`."""
    return spans_resources(pattern) or _ANY_OF_TYPE.fullmatch(pattern) is not None


# --- facts -----------------------------------------------------------------------------------------------------------


class Fact(NamedTuple):
    """Whether something holds (None: not known), and the place that says so."""

    holds: bool | None
    place: Property


def negated(fact: Fact) -> Fact:
    """Return the fact that `fact` does not hold."""
    return Fact(None if fact.holds is None else not fact.holds, fact.place)


def both(first: Fact, *others: Fact) -> Fact:
    """Return the fact that all hold: the first that does not, else the first that is unknown, else `first`."""
    facts = (first, *others)
    for value in (False, None):
        for fact in facts:
            if fact.holds is value:
                return fact
    return first


def either(first: Fact, *others: Fact) -> Fact:
    """Return the fact that one holds: the first that does, else the first that is unknown, else `first`."""
    facts = (first, *others)
    for value in (True, None):
        for fact in facts:
            if fact.holds is value:
                return fact
    return first


def some(places: Iterable[Property], test: Callable[[str], bool], otherwise: Property) -> Fact:
    """Return the fact that one of `places` holds a text that passes `test`; `otherwise` is the place if none is."""
    unknown: Property | None = None
    for place in places:
        text = place.text
        if text is not None and test(text):
            return Fact(True, place)
        if place.unknown and unknown is None:
            unknown = place
    return Fact(False, otherwise) if unknown is None else Fact(None, unknown)


def forbid(fact: Fact, message: str, *, expected: str = "") -> Outcome:
    """Fail if the fact holds. `{}` in the message stands for what is at its place; a secret is not shown."""
    if fact.holds is None:
        return undecided(fact.place, expected=expected)
    if fact.holds:
        return failed(fact.place, f"{fact.place.path}: {message.replace('{}', fact.place.shown)}", expected=expected)
    return PASS


# --- statements ------------------------------------------------------------------------------------------------------


class _Object:
    """An object of a policy, whose elements are found by name: spelled exactly, or else in any case."""

    __slots__ = ("_elements", "_in_any_case", "place")

    def __init__(self, place: Property) -> None:
        self.place = place
        self._elements: dict[str, Property] = {}
        self._in_any_case: dict[str, Property] = {}
        for key in place.value if place.is_object else ():
            if isinstance(key, str) and not (element := place[key]).absent:
                self._elements[key] = element
                self._in_any_case.setdefault(key.casefold(), element)

    def element(self, name: str) -> Property:
        """Return the place of an element, for example `Action`."""
        place = self._elements.get(name)
        if place is None:
            place = self._in_any_case.get(name.casefold()) or self.place[name]
            self._elements[name] = place
        return place


class Statement(_Object):
    """One statement of a document, which `judge` has found to be well-formed as far as it is known."""

    __slots__ = ("_values", "allows")

    allows: Fact
    """Whether the effect is Allow."""

    def __init__(self, place: Property) -> None:
        super().__init__(place)
        self._values: dict[str, list[Property]] = {}
        effect = self.element("Effect")
        self.allows = Fact(None if effect.unknown else (effect.text or "").casefold() == "allow", effect)

    def values(self, name: str) -> list[Property]:
        """Return the values of an element that holds one string or a list of them."""
        places = self._values.get(name)
        if places is None:
            places = self._values[name] = self.element(name).elements_or_self()
        return places

    def acts(self, test: Callable[[str], bool]) -> Fact:
        """Return whether a pattern of Action passes `test`."""
        return some(self.values("Action"), test, self.element("Action"))

    @property
    def excludes_actions(self) -> Fact:
        """Whether NotAction stands for the actions, so that all others are meant; `*` there means none."""
        excluded = self.element("NotAction")
        if excluded.absent:
            return Fact(False, excluded)
        everything = some(self.values("NotAction"), spans_actions, excluded)
        return negated(everything)

    def on(self, test: Callable[[str], bool]) -> Fact:
        """Return whether a pattern of Resource passes `test`, or NotResource means all resources but a few."""
        excluded = self.element("NotResource")
        on_rest = some(self.values("NotResource"), spans_resources, excluded)
        rest = Fact(False, excluded) if excluded.absent else negated(on_rest)
        return either(some(self.values("Resource"), test, self.element("Resource")), rest)

    @property
    def on_all_resources(self) -> Fact:
        """Whether the statement is about all resources, or about all but a few."""
        return self.on(spans_resources)

    def grants(self, action: str) -> Fact:
        """Return whether the statement has `action` among its actions (whatever its effect)."""
        named = self.acts(lambda pattern: action_matches(pattern, action))
        excluded = self.element("NotAction")
        if excluded.absent:
            return named
        hit = some(self.values("NotAction"), lambda pattern: action_matches(pattern, action), excluded)
        return either(named, negated(hit))

    def principals(self) -> Iterator[tuple[str, Property]]:
        """Yield the principals by kind (`AWS`, `Service`, `Federated`, …); `*` alone is of the kind `*`."""
        principal = self.element("Principal")
        if not principal.is_object:
            if not principal.absent:
                yield "*", principal
            return
        for kind, place in principal.entries():
            for value in place.elements_or_self():
                yield kind, value

    def conditioned_on(self, *keys: str) -> Fact:
        """Return whether a condition pins one of the context keys to values that are not wildcards alone.

        Only operators that a request without the key cannot satisfy count: no `IfExists`, no `ForAllValues`, no
        negation.
        """
        condition = self.element("Condition")
        if condition.absent:
            return Fact(False, condition)
        wanted = {key.casefold() for key in keys}
        facts: list[Fact] = []
        for operator, tests in condition.entries():
            name = operator.casefold().removeprefix("foranyvalue:")
            if operator == "*" and tests.unknown:
                facts.append(Fact(None, tests))
            elif name in _STRONG_OPERATORS:
                # The key "*" stands for tests that are not known.
                facts += [_pinned(values) for key, values in tests.entries() if key.casefold() in wanted | {"*"}]
        return either(Fact(False, condition), *facts)


def _pinned(values: Property) -> Fact:
    elements = values.elements_or_self()
    facts = [
        Fact(None if value.unknown else value.text is not None and value.text.strip("*?") != "", value)
        for value in elements
    ]
    return both(*facts) if facts else Fact(False, values)


# --- documents -------------------------------------------------------------------------------------------------------


def judge(place: Property, check: Callable[[Statement], Outcome | Iterable[Outcome]]) -> list[Outcome]:
    """Check each statement of the document at `place`.

    A part that is not known gives an unknown, a part that no policy can have gives a failure; both beside what the
    other statements give.
    """
    outcomes: list[Outcome] = []
    for statement, faults in _statements(place):
        outcomes += faults
        if statement is not None:
            result = check(statement)
            outcomes += [result] if isinstance(result, Outcome) else result
    return outcomes or [PASS]


_Statements = list[tuple[Statement | None, list[Outcome]]]

_READ: WeakKeyDictionary[Property, _Statements] = WeakKeyDictionary()
"""The statements of documents that a rule has read already: ten rules read each."""


def _statements(place: Property) -> _Statements:
    statements = _READ.get(place)
    if statements is None:
        statements = _READ[place] = _read(place)
    return statements


def _read(place: Property) -> _Statements:
    """Return the statements of a document, each with what AWS refuses in it; None where there is none to be checked."""
    if place.absent:
        return [(None, [not_applicable(f"{place.path} is not set: there is no policy document.")])]
    document = place.json()
    if document.absent:
        return [(None, [failed(place, f"{place.path} is text that holds no policy document.")])]
    if document.unknown:
        return [(None, [undecided(document)])]
    if not document.is_object:
        return [(None, [failed(document, f"{place.path} is no policy document: {document.shown}.")])]
    statements = _Object(document).element("Statement")
    if statements.absent:
        message = f"{statements.path} is not set: a policy document needs statements."
        return [(None, [failed(statements, message)])]
    read: _Statements = []
    for part in statements.elements_or_self():
        if part.unknown:
            read.append((None, [undecided(part)]))
        else:
            statement = Statement(part)
            read.append((statement if part.is_object else None, list(_faults(statement))))
    return read


def _faults(statement: Statement) -> Iterator[Outcome]:
    """Yield what makes a statement one that AWS refuses."""
    part = statement.place
    if not part.is_object:
        shown = "null" if part.absent else part.shown
        yield failed(part, f"{part.path} is {shown} where a statement belongs.")
        return
    effect = statement.element("Effect")
    if not effect.unknown and (effect.text or "").casefold() not in ("allow", "deny"):
        yield failed(effect, f"{effect.path} is {effect.shown}.", expected='"Allow" or "Deny"')
    action = statement.element("Action")
    if action.absent and statement.element("NotAction").absent:
        yield failed(action, f"{part.path} has neither Action nor NotAction.")
    for name in _VALUES:
        for value in statement.values(name):
            if value.text is None and not value.unknown:
                shown = "null" if value.absent else value.shown
                yield failed(value, f"{value.path} is {shown} where a string belongs.", expected="a string")
