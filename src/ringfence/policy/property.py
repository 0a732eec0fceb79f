"""How a rule reads a value: present, absent, unknown or malformed, and never an exception.

A `Property` is a place in a resource's inputs (or outputs): its path, what is there, and whether that is known. Going
deeper than what is there gives a place that is absent, unknown or malformed in turn, so a rule can read
`resource["siteConfig"]["cors"]["allowedOrigins"]` without asking at every step.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any

from ringfence.deployment import Archive, Asset, ResourceReference, Secret, Unknown, to_json

__all__ = ["Property", "State", "describe", "number_of"]

_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?\s*\Z")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_SHOWN_LENGTH = 80
_LARGE = 10**21
"""Whole numbers from here on are not written out."""
_JSON_DEPTH = 200
"""Deeper JSON documents are malformed to us; no cloud accepts one anywhere near this depth."""


class State(Enum):
    """What is known of a place."""

    PRESENT = "present"
    ABSENT = "absent"
    """Nothing is there, or an explicit null."""
    UNKNOWN = "unknown"
    """Something is or may be there that is not known before apply."""
    MALFORMED = "malformed"
    """The path leads through a value of the wrong type, for example a key of a string."""


_PLAIN = frozenset({str, bool, int, float, list, dict})
"""Types of nearly all values; what is of them is neither absent nor a marker."""


def describe(value: Any) -> str:
    """Return a short text for a known value, for messages; the kind of thing for what is not a scalar."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        shown = value if len(value) <= _SHOWN_LENGTH else value[: _SHOWN_LENGTH - 1] + "…"
        return json.dumps(shown, ensure_ascii=False)
    if isinstance(value, int | float):
        if isinstance(value, float):
            return f"{value:g}"
        return str(value) if abs(value) < _LARGE else "a very large number"
    if isinstance(value, Asset | Archive):
        return "an asset" if isinstance(value, Asset) else "an archive"
    if isinstance(value, ResourceReference):
        return "a resource"
    shown = json.dumps(to_json(value), ensure_ascii=False, default=str)
    if len(shown) <= _SHOWN_LENGTH:
        return shown
    return "a list" if isinstance(value, Sequence) else "an object"


def number_of(value: Any) -> float | None:
    """Return a value as a number if it is one, or a string that spells one (autoscale settings do); else None."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value) if math.isfinite(value) else None
        except OverflowError:  # JSON text may spell an integer that no double holds
            return None
    if isinstance(value, str) and len(value) < _SHOWN_LENGTH and _NUMBER.match(value):
        return float(value)
    return None


@lru_cache(maxsize=4096)
def _step(key: str) -> str:
    """Return the step of a path to the key of an object."""
    return f".{key}" if _IDENTIFIER.match(key) else f"[{json.dumps(key, ensure_ascii=False)}]"


class Property:
    """One place in a resource. Instances are cheap, immutable by convention and safe on any JSON-like input.

    `raw` is what stands there, None for nothing. `fault` says what is wrong where the path cannot be followed; there
    is no `raw` then.
    """

    __slots__ = (
        "__weakref__",
        "_fault",
        "_raw",
        "absent",
        "path",
        "present",
        "secret",
        "sources",
        "text",
        "unknown",
    )

    path: str
    """Path within the resource, for example `containers[0].image`."""
    # Every rule asks for these four again and again, so they are no properties, which would take a call each.
    present: bool
    """Whether a known value is there. It may still hold unknowns deeper down."""
    absent: bool
    """Whether nothing is there."""
    unknown: bool
    """Whether the value itself is unknown."""
    text: str | None
    """The value if it is a known string."""
    secret: bool
    """Whether the value, or one that holds it, is marked secret."""
    sources: tuple[str, ...]
    """URNs of the resources that feed the top-level property."""

    def __init__(
        self,
        raw: Any,
        path: str = "",
        secret: bool = False,
        sources: tuple[str, ...] = (),
        fault: str = "",
    ) -> None:
        if type(raw) in _PLAIN:  # the short way
            self.present, self.absent, self.unknown = True, False, False
        else:
            while isinstance(raw, Secret):
                raw, secret = raw.value, True
            self.absent = raw is None and not fault
            self.unknown = isinstance(raw, Unknown)
            self.present = raw is not None and not self.unknown
        self.text = raw if isinstance(raw, str) else None
        self._raw = raw
        self._fault = fault
        self.path = path
        self.secret = secret
        self.sources = sources

    # --- what is there -------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """What is known of the place, as one word."""
        if self.present:
            return State.PRESENT
        if self.absent:
            return State.ABSENT
        return State.UNKNOWN if self.unknown else State.MALFORMED

    @property
    def value(self) -> Any:
        """The known value without secret markers at its top; None where there is none. Do not put it in a message."""
        return self._raw if self.present else None

    @property
    def number(self) -> float | None:
        """The value if it is a known number, or a string that spells one (autoscale settings do)."""
        return number_of(self._raw) if self.present else None

    @property
    def is_object(self) -> bool:
        """Whether the value is a known object."""
        raw = self._raw
        if type(raw) in _PLAIN:  # the short way: asking an abstract class takes long
            return type(raw) is dict
        return self.present and isinstance(raw, Mapping)

    @property
    def is_list(self) -> bool:
        """Whether the value is a known list."""
        raw = self._raw
        if type(raw) in _PLAIN:
            return type(raw) is list
        return self.present and isinstance(raw, Sequence) and not isinstance(raw, str | bytes)

    @property
    def shown(self) -> str:
        """What is there, for a message. A secret's value never shows."""
        if self.present:
            return "a secret value" if self.secret else describe(self._raw)
        if self.absent:
            return "nothing"
        return "a value that is not known before apply" if self.unknown else self._fault

    def satisfies(self, test: Callable[[Any], bool]) -> bool | None:
        """Return whether the value passes `test`; None if that is unknown. Absent and malformed do not pass."""
        if self.unknown:
            return None
        return self.present and bool(test(self._raw))

    # --- where it leads ------------------------------------------------------------------------------------------

    def _child(self, raw: Any, step: str, fault: str = "") -> Property:
        path = self.path
        # By position: keywords take as long as all the rest.
        return Property(raw, f"{path}{step}" if path else step.removeprefix("."), self.secret, self.sources, fault)

    def __getitem__(self, key: str) -> Property:
        """Return the place `key` of an object; absent, unknown or malformed like this place if it is no object."""
        raw = self._raw
        if type(raw) is dict:  # the short way
            return self._child(raw.get(key), _step(key))
        if not self.present:
            return self._child(raw, _step(key), self._fault)
        if isinstance(raw, Mapping):
            return self._child(raw.get(key), _step(key))
        return self._child(None, _step(key), f"{self.shown} where an object belongs")

    def at(self, path: str) -> Property:
        """Return the place at a dotted path of keys, for example `siteConfig.cors`."""
        place = self
        for key in path.split("."):
            place = place[key]
        return place

    def elements(self) -> list[Property]:
        """Return the elements of a list, each a place of its own.

        An unknown list gives one unknown element and a value that is no list one malformed element, so that neither
        passes by being empty. An absent list gives none.
        """
        if self.is_list:
            return [self._child(item, f"[{index}]") for index, item in enumerate(self._raw)]
        if self.absent:
            return []
        if self.unknown:
            return [self._child(self._raw, "[*]")]
        if not self.present:
            return [self]
        return [Property(None, self.path, secret=self.secret, fault=f"{self.shown} where a list belongs")]

    def elements_or_self(self) -> list[Property]:
        """Return the elements of a list, or the place itself where a single value stands for a list of one."""
        if self.is_list:
            return self.elements()
        return [] if self.absent else [self]

    def entries(self) -> Iterator[tuple[str, Property]]:
        """Yield the keys of an object with their places; one `*` entry for what is unknown or no object."""
        if self.unknown:
            yield "*", self._child(self._raw, ".*")
        elif not self.present:
            if not self.absent:
                yield "*", self
        elif isinstance(self._raw, Mapping):
            for key in self._raw:
                yield str(key), self[str(key)] if isinstance(key, str) else self._child(self._raw[key], f".{key}")
        else:
            yield "*", Property(None, self.path, fault=f"{self.shown} where an object belongs")

    def json(self) -> Property:
        """Return the document that a JSON string holds, at the same path.

        An object that stands there directly is taken as the document (some providers accept both). What is no JSON
        gives a malformed place.
        """
        text = self.text
        if text is None:
            if not self.present or self.is_object or self.is_list:
                return self
            return Property(None, self.path, secret=self.secret, fault=f"{self.shown} where a JSON document belongs")
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            return Property(None, self.path, secret=self.secret, fault="text that is not JSON")
        # No document is nested deeper than it has brackets, and counting those is quick.
        brackets = text.count("{") + text.count("[")
        if brackets > _JSON_DEPTH and _depth_exceeds(document, _JSON_DEPTH):
            return Property(None, self.path, secret=self.secret, fault="JSON nested too deeply to be read")
        return Property(document, self.path, secret=self.secret, sources=self.sources)

    def __repr__(self) -> str:
        return f"<Property {self.path or '(root)'}: {self.shown}>"


def _depth_exceeds(document: Any, limit: int) -> bool:
    level = [document]
    for _ in range(limit):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True
