"""What callers send, and what is wrong with it.

A request is a JSON object with one key, `inputs`: a list of rows, each an object with a number for every feature of
the model and nothing else.
"""

from __future__ import annotations

import json
import math
from typing import Any

from linear_model import Feature

__all__ = ["MAX_BYTES", "MAX_ROWS", "RequestError", "parse"]

MAX_BYTES = 256 * 1024
MAX_ROWS = 500
MAX_PROBLEMS = 20
"""Problems that one answer lists."""

Row = dict[str, float]


class RequestError(Exception):
    """The request cannot be scored.

    Its problems name places in the request, and what is allowed there; they never repeat a value.
    """

    def __init__(self, status: int, problems: list[str]) -> None:
        super().__init__(f"{len(problems)} problem(s)")
        self.status = status
        self.problems = problems[:MAX_PROBLEMS]
        if len(problems) > MAX_PROBLEMS:
            self.problems.append(f"and {len(problems) - MAX_PROBLEMS} more")


def parse(body: str, features: tuple[Feature, ...]) -> list[Row]:
    """Return the rows of a request.

    Raises:
        RequestError: 413 for what is too large, 400 for what is no such request.
    """
    if not body:
        # The inference server reads a form, which many clients send unless told otherwise, as no body at all.
        raise RequestError(400, ["the request has no body; its Content-Type must be application/json"])
    # A character has at least one byte, so most that is too large is told without encoding it.
    if len(body) > MAX_BYTES or len(body.encode()) > MAX_BYTES:
        raise RequestError(413, [f"the request must be at most {MAX_BYTES} bytes"])
    rows = _rows(_document(body))
    if len(rows) > MAX_ROWS:
        raise RequestError(413, [f"inputs must have at most {MAX_ROWS} rows"])
    problems = [problem for index, row in enumerate(rows) for problem in _problems(f"inputs[{index}]", row, features)]
    if problems:
        raise RequestError(400, problems)
    return [{feature.name: float(row[feature.name]) for feature in features} for row in rows]


def _document(body: str) -> Any:
    try:
        return json.loads(body, parse_constant=_refuse_constant, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, _NotStrictError) else "the request must be JSON"
        raise RequestError(400, [reason]) from None


class _NotStrictError(ValueError):
    """Python's parser takes it, and the JSON standard does not, or leaves open what it means."""


def _refuse_constant(name: str) -> Any:
    raise _NotStrictError(f"{name} is not JSON; numbers must be finite")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _NotStrictError("the request has an object with the same key twice")
    return found


def _rows(document: Any) -> list[Any]:
    if not isinstance(document, dict) or set(document) != {"inputs"}:
        raise RequestError(400, ["the request must be an object with the key inputs and no other"])
    rows = document["inputs"]
    if not isinstance(rows, list) or not rows:
        raise RequestError(400, ["inputs must be a list of at least one row"])
    return rows


def _problems(place: str, row: Any, features: tuple[Feature, ...]) -> list[str]:
    if not isinstance(row, dict):
        return [f"{place} must be an object"]
    problems = [
        f"{place}.{feature.name} {problem}"
        for feature in features
        if (problem := _problem(row[feature.name], feature) if feature.name in row else "is missing")
    ]
    # An unknown key is the caller's text and may be anything: it is counted, not repeated.
    unknown = len(set(row) - {feature.name for feature in features})
    return problems + ([f"{place} has {unknown} key(s) that are no feature"] if unknown else [])


def _problem(value: Any, feature: Feature) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "must be a number"
    # 1e999 is JSON, and infinite as a Python number. An int is compared as it is: it may be too large for a float.
    if (isinstance(value, float) and not math.isfinite(value)) or not feature.minimum <= value <= feature.maximum:
        return f"must be from {feature.minimum:g} to {feature.maximum:g}"
    return None
