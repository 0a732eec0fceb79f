"""Pages of feeds and queries: their size, and the token with which the next one is asked for."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from ringfence.emulators.cosmos.errors import bad_request

__all__ = ["Continuation", "page_size"]

DEFAULT_SIZE, LARGEST_SIZE = 100, 1000


def page_size(header: str | None) -> int:
    """Return how many results a page has at most; a request leaves it to the service with -1.

    Raises:
        ServiceError: it is no such number.
    """
    if header is None:
        return DEFAULT_SIZE
    try:
        size = int(header)
    except ValueError:
        size = 0
    if size == 0 or size < -1:
        raise bad_request(f"x-ms-max-item-count is {header}, expected a positive number or -1.")
    return LARGEST_SIZE if size == -1 else min(size, LARGEST_SIZE)


class Continuation:
    """The token of a query: where its next page starts. It is of no use to any other query."""

    def __init__(self, *bound_to: Any) -> None:
        """Take what makes up the query."""
        self._query = hashlib.sha256(json.dumps(bound_to, sort_keys=True).encode()).hexdigest()[:16]

    def write(self, position: dict[str, Any]) -> str:
        """Return the token for a position."""
        return base64.b64encode(json.dumps({"query": self._query, "position": position}).encode()).decode()

    def read(self, token: str | None) -> dict[str, Any] | None:
        """Return the position of a token.

        Raises:
            ServiceError: it is none of this query.
        """
        if not token:
            return None
        try:
            found = json.loads(base64.b64decode(token, validate=True))
            query, position = found["query"], dict(found["position"])
        except (ValueError, KeyError, TypeError) as error:
            raise bad_request("Invalid Continuation Token.") from error
        if query != self._query:
            raise bad_request("Invalid Continuation Token: it belongs to another query.")
        return position
