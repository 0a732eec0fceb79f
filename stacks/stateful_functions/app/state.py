"""Session state with optimistic concurrency: what the API answers, whatever the database is."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

__all__ = [
    "Answer",
    "Conflict",
    "Limits",
    "State",
    "Store",
    "Summary",
    "are_identifiers",
    "page",
    "read",
    "remove",
    "write",
]

SHORTEST_TTL_SECONDS = 60
LONGEST_PAGE = 100
USUAL_PAGE = 50
"""Sessions."""

IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Conflict(Exception):  # noqa: N818 (it is an answer of the store, not a fault)
    """The stored state is not the one that the caller expected."""


@dataclass(frozen=True)
class State:
    """What a session holds, and the version of it."""

    data: bytes
    """A JSON object, byte for byte as it was written."""
    etag: str


@dataclass(frozen=True)
class Summary:
    """A session in a list."""

    session: str
    etag: str
    size: int
    """Bytes of the state."""
    written: datetime


@dataclass(frozen=True)
class Limits:
    """What callers may ask for."""

    state_bytes: int
    ttl_seconds: int
    """How long a session is kept after its last write, and the most that a caller may ask for."""


@dataclass(frozen=True)
class Answer:
    """What a caller gets."""

    status: int
    body: bytes | None = None
    """JSON."""
    headers: Mapping[str, str] = field(default_factory=dict)


class Store(Protocol):
    """Where sessions are kept."""

    def get(self, tenant: str, session: str) -> State | None:
        """Return a session's state, or None when there is none or it has expired."""

    def create(self, tenant: str, session: str, data: bytes, ttl_seconds: int | None) -> str:
        """Keep a new session's state and return its ETag, or raise `Conflict` when the session exists."""

    def replace(self, tenant: str, session: str, data: bytes, ttl_seconds: int | None, etag: str) -> str:
        """Replace a session's state and return its new ETag; `Conflict` when it has another one or is gone."""

    def delete(self, tenant: str, session: str, etag: str) -> None:
        """Delete a session, or raise `Conflict` when its version is another one or it is gone."""

    def list(self, tenant: str, after: str, count: int) -> list[Summary]:
        """Return at most so many of a tenant's sessions in the order of their names, those after a name."""


def read(store: Store, tenant: str, session: str) -> Answer:
    """Answer GET: 200 with the state and its ETag, 404 when there is none, 400 for a bad name."""
    if not are_identifiers(tenant, session):
        return _bad_name()
    state = store.get(tenant, session)
    if state is None:
        return _problem(404, "no such session")
    return Answer(200, state.data, {"ETag": state.etag, "Cache-Control": "no-store"})


def write(
    store: Store,
    limits: Limits,
    tenant: str,
    session: str,
    body: bytes,
    headers: Mapping[str, str],
    params: Mapping[str, str],
) -> Answer:
    """Answer PUT, which says what it expects: `If-None-Match: *` for a new session, or `If-Match` with its ETag.

    `ttlSeconds` keeps the session for less time than usual. 201 or 200 with the new ETag; 412 when somebody else was
    first; 428 when nothing is expected; 400 for a body that is not a JSON object or a bad parameter, and 413 for a
    body that is too large.
    """
    if not are_identifiers(tenant, session):
        return _bad_name()
    if len(body) > limits.state_bytes:
        return _problem(413, f"a session holds at most {limits.state_bytes} bytes")
    wrong = _wrong_with(body)
    if wrong is not None:
        return _problem(400, wrong)
    ttl = None
    if "ttlSeconds" in params:
        ttl = _whole_number(params["ttlSeconds"], SHORTEST_TTL_SECONDS, limits.ttl_seconds)
        if ttl is None:
            return _problem(400, f"ttlSeconds must be a whole number, {SHORTEST_TTL_SECONDS} to {limits.ttl_seconds}")
    given = _by_lower_case(headers)
    try:
        if given.get("if-none-match") == "*":
            return Answer(201, headers={"ETag": store.create(tenant, session, body, ttl)})
        if _names_a_version(given):
            return Answer(200, headers={"ETag": store.replace(tenant, session, body, ttl, given["if-match"])})
    except Conflict:
        return _changed()
    return _problem(428, "send If-Match with the session's ETag, or If-None-Match: * for a new session")


def remove(store: Store, tenant: str, session: str, headers: Mapping[str, str]) -> Answer:
    """Answer DELETE, which needs `If-Match`: 204, 412 when the session has changed or is gone, 428 without it."""
    if not are_identifiers(tenant, session):
        return _bad_name()
    given = _by_lower_case(headers)
    if not _names_a_version(given):
        return _problem(428, "send If-Match with the session's ETag")
    try:
        store.delete(tenant, session, given["if-match"])
    except Conflict:
        return _changed()
    return Answer(204)


def page(store: Store, tenant: str, params: Mapping[str, str]) -> Answer:
    """Answer GET of a tenant's sessions, `limit` at a time in the order of their names.

    The answer's `continuation` asks for the next page and is null on the last one. Sessions that come or go between
    two pages do not make others appear twice or be left out.
    """
    if not are_identifiers(tenant):
        return _bad_name()
    limit = _whole_number(params.get("limit", str(USUAL_PAGE)), 1, LONGEST_PAGE)
    if limit is None:
        return _problem(400, f"limit must be a whole number, 1 to {LONGEST_PAGE}")
    after = _continued_after(params["continuation"]) if "continuation" in params else ""
    if after is None:
        return _problem(400, "continuation must be what the page before said")
    found = store.list(tenant, after, limit + 1)  # one more tells whether there is a next page
    shown = found[:limit]
    listed = [
        {"session": item.session, "etag": item.etag, "bytes": item.size, "written": item.written.isoformat()}
        for item in shown
    ]
    more = _continuation(shown[-1].session) if len(found) > limit else None
    return _json(200, {"sessions": listed, "continuation": more}, {"Cache-Control": "no-store"})


def are_identifiers(*names: str) -> bool:
    """Return whether all of these can name a tenant or a session."""
    return all(IDENTIFIER.fullmatch(name) for name in names)


def _wrong_with(body: bytes) -> str | None:
    """Return why a body is not a state, or None."""
    try:
        data = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return "the body is not JSON in UTF-8"
    return None if isinstance(data, dict) else "the body is not a JSON object"


def _refuse_constant(name: str) -> None:
    """Refuse NaN and Infinity, which Python reads and JSON does not know."""
    raise ValueError(name)


def _whole_number(text: str, low: int, high: int) -> int | None:
    """Return a number within bounds, or None. More digits than the bound has are not looked at."""
    if re.fullmatch("[0-9]+", text) is None or len(text) > len(str(high)):
        return None
    return int(text) if low <= int(text) <= high else None


def _continuation(session: str) -> str:
    return urlsafe_b64encode(session.encode()).decode()


def _continued_after(continuation: str) -> str | None:
    """Return the session that a continuation names, or None when it is not one of ours."""
    try:
        session = urlsafe_b64decode(continuation.encode("ascii")).decode("ascii")
    except ValueError:
        return None
    return session if are_identifiers(session) and _continuation(session) == continuation else None


def _by_lower_case(headers: Mapping[str, str]) -> dict[str, str]:
    return {key.lower(): value for key, value in headers.items()}


def _names_a_version(headers: Mapping[str, str]) -> bool:
    return headers.get("if-match", "*") != "*"


def _bad_name() -> Answer:
    return _problem(400, f"tenant and session must match {IDENTIFIER.pattern}")


def _changed() -> Answer:
    return _problem(412, "the session has changed; read it again")


def _problem(status: int, detail: str) -> Answer:
    return _json(status, {"status": status, "detail": detail})


def _json(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, json.dumps(body).encode(), headers or {})
