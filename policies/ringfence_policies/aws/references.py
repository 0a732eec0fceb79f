"""Who refers to whom: what AWS rules ask of a place that should name another resource."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache

from ringfence.policy.checks import matches, passed, require
from ringfence.policy.graph import ResourceView, StackView
from ringfence.policy.property import Property
from ringfence.policy.verdict import Outcome

__all__ = [
    "Index",
    "Place",
    "Places",
    "Spellings",
    "as_written",
    "candidates",
    "is_set",
    "points_to",
    "properties",
    "referents",
    "referrers",
    "require_reference",
]

Place = tuple[ResourceView, Property]
"""A place that may name another resource, and the resource that holds it."""

Places = Callable[[StackView], Iterable[Place]]
"""A function that gives the places of one kind in a stack. It is asked once per stack; it must be hashable."""

Spellings = Callable[[str], Iterable[str]]
"""A function that gives what a resource may be called that a text names."""


def is_set(place: Property) -> bool | None:
    """Return whether something is set at `place`; None if that is unknown.

    A value that is unknown but made from another resource's output is set: what names a resource is never empty once
    the resource exists. Empty strings, lists and objects count as not set.
    """
    if place.unknown:
        return True if place.sources else None
    if not place.present:
        return False
    return not (isinstance(place.value, str | list | tuple | dict) and len(place.value) == 0)


def require_reference(place: Property, expected: str, *, absent: str) -> Outcome:
    """Check that something is named at `place`: a text that is not empty, or another resource's output."""
    if place.unknown and place.sources:
        return passed(place)
    return require(place, matches(r"(?s)\s*\S.*", expected), absent=absent)


def points_to(view: ResourceView, place: Property, other: ResourceView) -> bool | None:
    """Return whether the value at `place` of `view` names `other`; None if that is unknown.

    A known value is compared with what `other` is known by. Where that does not decide, the declared dependencies do,
    if only one resource of that type went into the property: two queues in one property may be told apart by the
    value only.
    """
    text = place.text
    if text is None and not place.unknown:
        return False
    same = None if text is None else _names(text, other)
    if same:
        return True
    if other.urn not in place.sources:
        return None if same is None and not place.sources else False
    rivals = [source for source in view.stack.feeding(place) if source.type == other.type and source is not other]
    if not rivals:
        return True
    if text is not None and any(_names(text, rival) for rival in rivals):
        return False
    return None


def _names(text: str, other: ResourceView) -> bool | None:
    """Return whether a text is what `other` is called by, in the form that the text has: an ARN, a URL or a name."""
    keys = ("arn",) if text.startswith("arn:") else ("url", "id") if "://" in text else ("name", "id")
    known = [place.text for place in map(other.output, keys) if place.text is not None]
    return text in known if known else None


# --- who names this resource? ----------------------------------------------------------------------------------------
# Asking every place about every resource takes time that grows with the square of the stack. The index below only
# leaves out places that cannot name the resource; whether one of the others does is for `points_to` and its like.


@cache
def properties(type_: str, path: str) -> Places:
    """Return the places at `path` of all resources of a type."""
    return lambda stack: [(view, view.at(path)) for view in stack.of_type(type_)]


def as_written(text: str) -> Iterable[str]:
    """Take a text for what it says."""
    return (text,)


class Index:
    """Places by what they hold: the URNs of the resources that went into them, and their text."""

    def __init__(self, stack: StackView, places: Places, spellings: Spellings = as_written) -> None:
        self._places = list(places(stack))
        self._by_key: dict[str, list[int]] = {}
        self._unknown: list[int] = []
        self._literal: list[int] = []
        for number, (_, place) in enumerate(self._places):
            for urn in place.sources:
                self._by_key.setdefault(urn, []).append(number)
            if place.text is not None:
                for spelling in spellings(place.text):
                    self._by_key.setdefault(spelling, []).append(number)
            if not any(urn in stack.by_urn for urn in place.sources):
                if place.unknown:
                    self._unknown.append(number)
                elif place.text is not None:
                    self._literal.append(number)

    def find(self, *keys: str | None, literals: bool) -> list[Place]:
        """Return the places that hold one of the keys or that may, being unknown, in program order.

        With `literals` any text may: what the resource is called is not known. Places that are made from another
        resource of the stack are left out then too.
        """
        found = {number for key in keys if key is not None for number in self._by_key.get(key, ())}
        found.update(self._unknown)
        if literals:
            found.update(self._literal)
        return [self._places[number] for number in sorted(found)]


def candidates(
    other: ResourceView,
    places: Places,
    *aliases: str | None,
    spellings: Spellings = as_written,
) -> list[Place]:
    """Return the places that may name `other`, by one of its outputs or by an alias, in program order.

    `spellings` gives the names that a text may mean.
    """
    arn, url, name, id_ = (other.output(key).text for key in ("arn", "url", "name", "id"))
    nameless = arn is None or (id_ is None and (url is None or name is None))  # in one of the forms of `_names`
    index = other.stack.once(Index, places, spellings)
    return index.find(other.urn, arn, url, name, id_, *aliases, literals=nameless)


def referrers(other: ResourceView, places: Places) -> Iterator[tuple[ResourceView, Property, bool | None]]:
    """Yield the places that name `other`, or that may (None), in program order."""
    for view, place in candidates(other, places):
        named = points_to(view, place, other)
        if named is not False:
            yield view, place, named


def referents(stack: StackView, places: Places, type_: str) -> dict[ResourceView, list[ResourceView]]:
    """Return the resources of a type that are certainly named at `places`, by the resource that holds the place.

    To be asked by `stack.once(referents, …)`.
    """
    found: dict[ResourceView, list[ResourceView]] = {}
    for other in stack.of_type(type_):
        for view, _, named in referrers(other, places):
            if named:
                found.setdefault(view, []).append(other)
    return found
