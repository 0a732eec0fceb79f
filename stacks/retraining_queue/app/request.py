"""A request to retrain a model, and its form as JSON."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Any

from errors import InvalidRequestError

__all__ = ["MAX_BODY_BYTES", "RetrainingRequest", "parse"]

MAX_BODY_BYTES = 16 * 1024
MAX_PENALTY = 1e6
MAX_REASON = 200

MODEL = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
DATASET = re.compile(r"(?=.{1,200}\Z)[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*\.csv")
TARGET = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


@dataclass(frozen=True, kw_only=True)
class RetrainingRequest:
    """What is to be trained, and of what.

    Raises:
        InvalidRequestError: a field is out of bounds.
    """

    model: str
    """Name of the model, in lower-case letters, digits and hyphens."""
    dataset: str
    """Path of a CSV file in the container of datasets. A dataset never changes: new data has a new path."""
    target: str
    """The column to predict."""
    penalty: float = 1.0
    """Strength of the ridge penalty; 0 is plain least squares."""
    reason: str = ""
    """Why somebody asks. It changes nothing about the model."""

    def __post_init__(self) -> None:
        """Check every field."""
        for name, pattern in (("model", MODEL), ("dataset", DATASET), ("target", TARGET)):
            value = getattr(self, name)
            if not isinstance(value, str) or pattern.fullmatch(value) is None:
                raise InvalidRequestError(f"{name} must be text that matches {pattern.pattern}")
        if isinstance(self.penalty, bool) or not isinstance(self.penalty, int | float):
            raise InvalidRequestError("penalty must be a number")
        if not 0 <= self.penalty <= MAX_PENALTY:
            raise InvalidRequestError(f"penalty must be from 0 to {MAX_PENALTY:g}")
        if not isinstance(self.reason, str) or len(self.reason) > MAX_REASON:
            raise InvalidRequestError(f"reason must be text of at most {MAX_REASON} characters")

    @property
    def request_id(self) -> str:
        """Return the id of all requests for this same model. The queue and the workers take each id once."""
        outcome = json.dumps([self.model, self.dataset, self.target, float(self.penalty)])
        return hashlib.sha256(outcome.encode()).hexdigest()[:32]

    def to_json(self) -> bytes:
        """Return the request as a message's body."""
        return json.dumps(asdict(self), separators=(",", ":"), allow_nan=False).encode()


def parse(body: bytes) -> RetrainingRequest:
    """Return the request in a message's body.

    Raises:
        InvalidRequestError: the body is too large, is not JSON, or a field is missing, unknown or out of bounds.
    """
    if len(body) > MAX_BODY_BYTES:
        raise InvalidRequestError(f"the body has more than {MAX_BODY_BYTES} bytes")
    try:
        data: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError("the body is not JSON") from error
    if not isinstance(data, dict):
        raise InvalidRequestError("the body is not a JSON object")
    try:
        return RetrainingRequest(**data)
    except TypeError as error:  # says which field is missing or not known
        raise InvalidRequestError(str(error).removeprefix("RetrainingRequest.__init__() ")) from error
