"""Text that matches a pattern and has a length within bounds, made so instead of filtered.

For each part of a pattern the lengths that it can have are known beforehand, as the bits of a number: a length is
chosen that the bounds allow, then each part gets a share of it that it can fill.
"""

from __future__ import annotations

import importlib
import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["Chooser", "Pattern", "PatternError", "compile_pattern", "matching", "unanchored"]

_SPARE = 32
"""Characters that a text without an upper bound may have beyond the fewest."""
_ALPHABET = string.ascii_lowercase + string.digits + string.ascii_uppercase + "-_./:@ " + string.punctuation
_ASCII = "".join(dict.fromkeys(_ALPHABET))
_CATEGORIES = {
    "CATEGORY_DIGIT": frozenset(string.digits),
    "CATEGORY_WORD": frozenset(string.ascii_letters + string.digits + "_"),
    "CATEGORY_SPACE": frozenset(" "),
}


class PatternError(ValueError):
    """The pattern has a part, such as a look-ahead, whose matches cannot be made one by one."""


class Chooser(Protocol):
    """Makes the choices that a text consists of; index 0 is the simplest."""

    def index(self, count: int) -> int:
        """Return one of `count` indices."""
        ...

    def text(self, alphabet: str, length: int) -> str:
        """Return so many characters."""
        ...


class First:
    """Always chooses the simplest."""

    def index(self, count: int) -> int:
        """Return 0."""
        return 0

    def text(self, alphabet: str, length: int) -> str:
        """Return the first character, repeated."""
        return alphabet[0] * length


@dataclass(frozen=True)
class _Draw:
    draw: Any

    def index(self, count: int) -> int:
        from hypothesis import strategies as st

        return int(self.draw(st.integers(0, count - 1))) if count > 1 else 0

    def text(self, alphabet: str, length: int) -> str:
        from hypothesis import strategies as st

        return str(self.draw(st.text(alphabet, min_size=length, max_size=length)))


class _Part:
    """A part of a pattern."""

    lengths: int
    """Bit n is set where the part can have n characters."""

    def make(self, length: int, choose: Chooser) -> str:
        """Return a text of this length, which must be among `lengths`."""
        raise NotImplementedError


@dataclass
class _Characters(_Part):
    alphabet: str
    lengths: int = 0b10

    def make(self, length: int, choose: Chooser) -> str:
        return choose.text(self.alphabet, length) if len(self.alphabet) > 1 else self.alphabet * length


@dataclass
class _Sequence(_Part):
    parts: Sequence[_Part]
    most: int
    rests: list[int] = field(default_factory=list)
    """Lengths of the parts from here on."""

    def __post_init__(self) -> None:
        self.rests = [1]
        for part in reversed(self.parts):
            self.rests.insert(0, _sums(part.lengths, self.rests[0], self.most))
        self.lengths = self.rests[0]

    def make(self, length: int, choose: Chooser) -> str:
        made = []
        for part, rest in zip(self.parts, self.rests[1:], strict=True):
            options = [own for own in _bits(part.lengths) if own <= length and rest >> (length - own) & 1]
            own = options[choose.index(len(options))]
            made.append(part.make(own, choose))
            length -= own
        return "".join(made)


@dataclass
class _Choice(_Part):
    parts: Sequence[_Part]

    def __post_init__(self) -> None:
        self.lengths = 0
        for part in self.parts:
            self.lengths |= part.lengths

    def make(self, length: int, choose: Chooser) -> str:
        able = [part for part in self.parts if part.lengths >> length & 1]
        return able[choose.index(len(able))].make(length, choose)


@dataclass
class _Repeat(_Part):
    part: _Part
    fewest: int
    highest: int
    most: int
    powers: list[int] = field(default_factory=list)
    """Lengths of so many repetitions."""

    def __post_init__(self) -> None:
        self.powers = [1]
        for _ in range(min(self.highest, self.fewest + self.most)):
            self.powers.append(_sums(self.powers[-1], self.part.lengths, self.most))
        self.lengths = 0
        for power in self.powers[self.fewest :]:
            self.lengths |= power

    def make(self, length: int, choose: Chooser) -> str:
        if isinstance(self.part, _Characters):
            return self.part.make(length, choose)
        counts = [n for n in range(self.fewest, len(self.powers)) if self.powers[n] >> length & 1]
        count = counts[choose.index(len(counts))]
        made = []
        for left in range(count - 1, -1, -1):
            options = [
                own for own in _bits(self.part.lengths) if own <= length and self.powers[left] >> (length - own) & 1
            ]
            own = options[choose.index(len(options))]
            made.append(self.part.make(own, choose))
            length -= own
        return "".join(made)


def _bits(number: int) -> list[int]:
    return [index for index in range(number.bit_length()) if number >> index & 1]


def _sums(one: int, other: int, most: int) -> int:
    """Return every sum of two lengths, up to `most`."""
    found = 0
    for length in _bits(one):
        found |= other << length
    return found & ((1 << (most + 1)) - 1)


@dataclass(frozen=True)
class Pattern:
    """A pattern whose matches can be made."""

    part: _Part
    lengths: tuple[int, ...]
    """The lengths to choose from, ascending."""

    def make(self, choose: Chooser) -> str:
        """Return a text that matches."""
        return self.part.make(self.lengths[choose.index(len(self.lengths))], choose)

    def make_of(self, length: int, choose: Chooser) -> str:
        """Return a text of one of `lengths`."""
        return self.part.make(length, choose)


@lru_cache(maxsize=512)
def compile_pattern(pattern: str, shortest: int = 0, longest: int | None = None) -> Pattern:
    """Return a pattern, to be matched from start to end, with the bounds of its text's length.

    Raises `PatternError`, also where no text of such a length matches.
    """
    # There is no public module that parses a pattern; Hypothesis relies on this one, too.
    parser = importlib.import_module("re._parser")
    try:
        tree = parser.parse(pattern)
    except (ValueError, RecursionError, OverflowError, importlib.import_module("re").error) as error:
        raise PatternError(f"{pattern!r} is no pattern that Python knows: {error}") from None
    fewest = tree.getwidth()[0]
    most = max(shortest, fewest) + _SPARE
    if longest is not None:
        most = longest
    part = _sequence(tree, most)
    lengths = tuple(length for length in _bits(part.lengths) if shortest <= length <= most)
    if not lengths:
        raise PatternError(f"no text of {shortest} to {most} characters matches {pattern!r}")
    return Pattern(part, lengths)


def _sequence(tree: Any, most: int) -> _Part:
    parts = [part for code, argument in tree if (part := _part(str(code), argument, most)) is not None]
    return parts[0] if len(parts) == 1 else _Sequence(parts, most)


def _part(code: str, argument: Any, most: int) -> _Part | None:
    match code:
        case "LITERAL":
            return _Characters(chr(argument))
        case "NOT_LITERAL":
            return _Characters(_ASCII.replace(chr(argument), ""))
        case "ANY":
            return _Characters(_ASCII)
        case "IN":
            return _Characters(_alphabet(argument))
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            low, high, tree = argument
            inner = _sequence(tree, most)
            highest = min(int(high), max(most, low))
            if isinstance(inner, _Characters):
                return _Characters(inner.alphabet, ((1 << (highest + 1)) - 1) >> low << low)
            return _Repeat(inner, low, highest, most)
        case "SUBPATTERN":
            return _sequence(argument[3], most)
        case "ATOMIC_GROUP":
            return _sequence(argument, most)
        case "BRANCH":
            return _Choice([_sequence(tree, most) for tree in argument[1]])
        case "AT" if str(argument) in ("AT_BEGINNING", "AT_BEGINNING_STRING", "AT_END", "AT_END_STRING"):
            return None
    raise PatternError(f"a part of the pattern ({code.lower()}) cannot be made")


def _alphabet(items: Any) -> str:
    found: set[str] = set()
    negated = False
    for code, argument in items:
        match str(code):
            case "NEGATE":
                negated = True
            case "LITERAL":
                found.add(chr(argument))
            case "RANGE":
                low, high = argument
                found.update(chr(number) for number in range(low, min(high, low + 255) + 1))
            case "CATEGORY":
                name = str(argument)
                known = _CATEGORIES.get(name.replace("_NOT_", "_"))
                if known is None:
                    raise PatternError(f"a class of characters ({name.lower()}) is not known")
                found |= set(_ASCII) - known if "_NOT_" in name else known
    characters = set(_ASCII) - found if negated else found
    if not characters:
        raise PatternError("a class of characters holds none that is ASCII")
    return "".join(sorted(characters, key=lambda item: (_ASCII.find(item) % 1000, item)))


def matching(pattern: str, shortest: int = 0, longest: int | None = None) -> SearchStrategy[str]:
    """Return a strategy for texts that match from start to end and have a length within the bounds.

    Every draw is valid; where the pattern has parts that cannot be made, Hypothesis's own search for matches is used,
    and what is too short or too long is filtered.
    """
    from hypothesis import strategies as st

    try:
        compiled = compile_pattern(pattern, shortest, longest)
    except PatternError:
        most = float("inf") if longest is None else longest
        return st.from_regex(pattern, fullmatch=True).filter(lambda text: shortest <= len(text) <= most)

    @st.composite
    def texts(draw: st.DrawFn) -> str:
        ends = (compiled.lengths[0], compiled.lengths[-1])
        length = draw(st.sampled_from(compiled.lengths) | st.sampled_from(ends))
        return compiled.make_of(length, _Draw(draw))

    return texts()


def unanchored(pattern: str) -> str:
    """Return a pattern that is searched for as one that matches from start to end, as far as it is anchored."""
    start = pattern.startswith("^")
    end = pattern.endswith("$") and not pattern.endswith(r"\$")
    body = pattern[1 if start else 0 : -1 if end else None]
    # `^a|b$` is anchored in parts only: the anchors stay, and the alternatives are made as they stand.
    return body if start and end else f"{'' if start else '(?:.{0,3})'}(?:{body}){'' if end else '(?:.{0,3})'}"
