"""A request and a response of the REST API, whatever carries them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ringfence.emulators.cosmos.errors import ServiceError, bad_request
from ringfence.emulators.cosmos.values import parse_json

__all__ = ["Request", "Response"]


@dataclass(frozen=True)
class Request:
    """A request: its method, the segments of its path, its headers by names in small letters, and its raw body."""

    method: str
    segments: tuple[str, ...]
    headers: Mapping[str, str]
    raw: bytes = b""

    def header(self, name: str) -> str | None:
        """Return a header, or None."""
        return self.headers.get(name.lower())

    def flag(self, name: str) -> bool:
        """Tell whether a header says true."""
        return (self.header(name) or "").lower() == "true"

    @property
    def is_query(self) -> bool:
        """Whether the body is a query."""
        media_type = (self.header("Content-Type") or "").split(";")[0].strip()
        return self.method == "POST" and (
            self.flag("x-ms-documentdb-isquery") or media_type == "application/query+json"
        )

    @cached_property
    def json(self) -> Any:
        """The body.

        Raises:
            ServiceError: it is no JSON.
        """
        try:
            return parse_json(self.raw)
        except ValueError as error:
            raise bad_request("The request body is not valid JSON.") from error


@dataclass
class Response:
    """A response: its status, its body as JSON or None, and its headers besides the usual ones."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_error(cls, error: ServiceError) -> Response:
        """Return the response to a request that is not carried out."""
        headers = {"x-ms-substatus": str(error.substatus), "x-ms-request-charge": "1", **error.headers}
        return cls(error.status, {"code": error.code, "message": error.message}, headers)

    def encoded(self) -> bytes:
        """Return the body as it is sent. JSON has no lone surrogates, so that they are escaped."""
        if self.body is None or self.status in (204, 304):
            return b""
        return json.dumps(self.body, separators=(",", ":")).encode()
