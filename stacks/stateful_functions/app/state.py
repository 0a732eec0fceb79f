"""Session state with optimistic concurrency: what the API answers, whatever the database is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = ["Answer", "Conflict", "State", "Store", "read", "write"]

MAX_STATE_BYTES = 256 * 1024
"""What one session may hold. Writing costs about one request unit for each 200 bytes."""

IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Conflict(Exception):  # noqa: N818 (it is an answer of the store, not a fault)
    """The stored state is not the one that the caller expected."""


@dataclass(frozen=True)
class State:
    """What a session holds, and the version of it."""

    data: Mapping[str, Any]
    etag: str


@dataclass(frozen=True)
class Answer:
    """What a caller gets."""

    status: int
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Store(Protocol):
    """Where sessions are kept."""

    def get(self, tenant: str, session: str) -> State | None:
        """Return a session's state, or None when there is none or it has expired."""

    def create(self, tenant: str, session: str, data: Mapping[str, Any]) -> State:
        """Keep a new session's state, or raise `Conflict` when the session exists."""

    def replace(self, tenant: str, session: str, data: Mapping[str, Any], etag: str) -> State:
        """Replace a session's state, or raise `Conflict` when its version is another one or it is gone."""


def read(store: Store, tenant: str, session: str) -> Answer:
    """Answer GET: 200 with the state and its ETag, 404 when there is none, 400 for a bad name."""
    if not _are_identifiers(tenant, session):
        return _bad_name()
    state = store.get(tenant, session)
    if state is None:
        return _problem(404, "no such session")
    return Answer(200, state.data, {"ETag": state.etag})


def write(store: Store, tenant: str, session: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Answer PUT, which says what it expects: `If-None-Match: *` for a new session, or `If-Match` with its ETag.

    201 or 200 with the new ETag; 412 when somebody else was first; 428 when nothing is expected; 400 for a body that
    is not a JSON object and 413 for one that is too large.
    """
    if not _are_identifiers(tenant, session):
        return _bad_name()
    if len(body) > MAX_STATE_BYTES:
        return _problem(413, f"a session holds at most {MAX_STATE_BYTES} bytes")
    try:
        data = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return _problem(400, "the body is not JSON")
    if not isinstance(data, dict):
        return _problem(400, "the body is not a JSON object")
    given = {key.lower(): value for key, value in headers.items()}
    try:
        if given.get("if-none-match") == "*":
            return Answer(201, headers={"ETag": store.create(tenant, session, data).etag})
        if given.get("if-match", "*") != "*":
            return Answer(200, headers={"ETag": store.replace(tenant, session, data, given["if-match"]).etag})
    except Conflict:
        return _problem(412, "the session has changed; read it again")
    return _problem(428, "send If-Match with the session's ETag, or If-None-Match: * for a new session")


def _refuse_constant(name: str) -> None:
    """Refuse NaN and Infinity, which Python reads and JSON does not know."""
    raise ValueError(name)


def _are_identifiers(*names: str) -> bool:
    return all(IDENTIFIER.fullmatch(name) for name in names)


def _bad_name() -> Answer:
    return _problem(400, f"tenant and session must match {IDENTIFIER.pattern}")


def _problem(status: int, detail: str) -> Answer:
    return Answer(status, {"status": status, "detail": detail})
