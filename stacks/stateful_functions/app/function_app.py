"""The HTTP API. Callers are trusted backends, each with a key; they know their users' tenants, and users never call."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from functools import cache

import azure.functions as func
import clients
from artefact_blobs import ArtefactBlobs
from azure.core.exceptions import AzureError
from cosmos_store import CosmosStore
from state import Answer, Limits, are_identifiers, page, read, remove, write
from structured_log import log

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)

PASSING = {408, 429, 449, 500, 502, 503, 504}
"""Answers of a service that may be another one a moment later. The clients have tried again by then."""


@cache
def _store() -> CosmosStore:
    """Return the store, made once for all calls of this instance."""
    return CosmosStore(clients.sessions(), ArtefactBlobs(clients.artefacts()), int(os.environ["INLINE_STATE_BYTES"]))


def _limits() -> Limits:
    return Limits(int(os.environ["MAX_STATE_BYTES"]), int(os.environ["SESSION_TTL_SECONDS"]))


@app.route("tenants/{tenant}/sessions", methods=["GET"])  # type: ignore[untyped-decorator,unused-ignore]
def list_sessions(req: func.HttpRequest) -> func.HttpResponse:
    """Return a page of a tenant's sessions, without what they hold."""
    tenant = req.route_params["tenant"]
    return _respond(req, lambda: page(_store(), tenant, req.params))


@app.route("tenants/{tenant}/sessions/{session}", methods=["GET"])  # type: ignore[untyped-decorator,unused-ignore]
def get_session(req: func.HttpRequest) -> func.HttpResponse:
    """Return a session's state."""
    tenant, session = req.route_params["tenant"], req.route_params["session"]
    return _respond(req, lambda: read(_store(), tenant, session))


@app.route("tenants/{tenant}/sessions/{session}", methods=["PUT"])  # type: ignore[untyped-decorator,unused-ignore]
def put_session(req: func.HttpRequest) -> func.HttpResponse:
    """Create or replace a session's state."""
    tenant, session = req.route_params["tenant"], req.route_params["session"]
    return _respond(
        req, lambda: write(_store(), _limits(), tenant, session, req.get_body(), dict(req.headers), req.params)
    )


@app.route("tenants/{tenant}/sessions/{session}", methods=["DELETE"])  # type: ignore[untyped-decorator,unused-ignore]
def delete_session(req: func.HttpRequest) -> func.HttpResponse:
    """Delete a session."""
    tenant, session = req.route_params["tenant"], req.route_params["session"]
    return _respond(req, lambda: remove(_store(), tenant, session, dict(req.headers)))


def _respond(req: func.HttpRequest, work: Callable[[], Answer]) -> func.HttpResponse:
    """Return the answer, or 503 when a service is busy or away; whatever else is wrong ends the call with 500."""
    started = time.monotonic()
    error = None
    try:
        answer = work()
    except AzureError as caught:
        if getattr(caught, "status_code", None) not in {None, *PASSING}:
            raise
        error = type(caught).__name__
        answer = Answer(503, b'{"status": 503, "detail": "try again"}', {"Retry-After": "1"})
    log(
        "call",
        level=logging.INFO if error is None else logging.WARNING,
        method=req.method,
        status=answer.status,
        milliseconds=round((time.monotonic() - started) * 1000, 1),
        error=error,
        # What is not a name has been refused and may be anything.
        **{key: value if are_identifiers(value) else None for key, value in req.route_params.items()},
    )
    return func.HttpResponse(
        answer.body,
        status_code=answer.status,
        headers=dict(answer.headers),
        mimetype="application/json",
    )
