"""What all formats write the same way: places, single lines, numbers of things, JSON text."""

from __future__ import annotations

import json
import math
import os
import unicodedata
from pathlib import Path
from typing import Any

from ringfence.deployment import SourceLine

__all__ = ["as_json", "count", "finite", "one_line", "place", "relative", "shorten", "source_json", "visible"]

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that reorder text: a name that holds one can show a reader something else than it says."""


def relative(path: str | Path, base: Path) -> str:
    """Return `path` with forward slashes: relative to `base` when it is below it, else absolute.

    The file system is not asked, so that the same run gives the same text anywhere.
    """
    folder = Path(os.path.normpath(base))
    whole = Path(os.path.normpath(folder / path))
    if whole.is_relative_to(folder):
        return whole.relative_to(folder).as_posix()
    return whole.as_posix()


def place(source: SourceLine | None, base: Path) -> str:
    """Return `path:line` as editors and terminals make it a link; the empty string for no source."""
    return "" if source is None else f"{visible(relative(source.path, base))}:{source.line}"


def source_json(source: SourceLine | None, base: Path) -> dict[str, Any] | None:
    """Return a place as JSON reports hold it."""
    if source is None:
        return None
    column = {} if source.column is None else {"column": source.column}
    return {"path": relative(source.path, base), "line": source.line, **column}


def visible(text: str) -> str:
    """Return `text` with what would steer a terminal (escape codes, text direction) replaced by U+FFFD."""
    if text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character.isspace():
        return " "
    if character in _BIDI or unicodedata.category(character) in ("Cc", "Cs"):
        return "\ufffd"
    return character


def one_line(text: str) -> str:
    """Return `text` on one line: runs of white space as one blank, nothing that steers a terminal."""
    return " ".join(visible(text).split())


def shorten(text: str, limit: int) -> str:
    """Return `text`, cut to `limit` characters with a note of how long it is."""
    if len(text) <= limit:
        return text
    return f"{text[:limit].rstrip()} … ({len(text):,} characters; --format json has them all)"


def count(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: `1 stack`, `2 stacks`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def as_json(document: Any) -> str:
    """Return `document` as JSON text that every reader takes, ending in a line feed.

    What JSON and UTF-8 do not know is replaced: see `finite`; lone surrogates become escapes.
    """
    text = json.dumps(finite(document), ensure_ascii=False, indent=2, allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n"


def finite(value: Any) -> Any:
    """Return JSON data with "NaN", "Infinity" and "-Infinity" for the numbers that JSON does not know."""
    match value:
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case dict():
            return {key: finite(item) for key, item in value.items()}
        case list():
            return [finite(item) for item in value]
        case _:
            return value
