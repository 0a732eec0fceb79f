"""The HTTP API. Callers are the tenants' own backends, each with a function key; users never call it."""

from __future__ import annotations

import json
import os
from functools import cache

import azure.functions as func  # type: ignore[import-not-found,import-untyped,unused-ignore]
from azure.cosmos import CosmosClient  # type: ignore[import-not-found,import-untyped,unused-ignore]
from azure.identity import DefaultAzureCredential  # type: ignore[import-not-found,import-untyped,unused-ignore]
from cosmos_store import CosmosStore
from state import Answer, read, write

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@cache
def _store() -> CosmosStore:
    """Return the store, made once for all calls of this instance. It logs in as the app's identity."""
    client = CosmosClient(os.environ["COSMOS_ENDPOINT"], credential=DefaultAzureCredential())
    database = client.get_database_client(os.environ["COSMOS_DATABASE"])
    return CosmosStore(database.get_container_client(os.environ["COSMOS_CONTAINER"]))


@app.route("tenants/{tenant}/sessions/{session}", methods=["GET"])  # type: ignore[untyped-decorator,unused-ignore]
def get_session(req: func.HttpRequest) -> func.HttpResponse:
    """Return a session's state."""
    return _response(read(_store(), req.route_params["tenant"], req.route_params["session"]))


@app.route("tenants/{tenant}/sessions/{session}", methods=["PUT"])  # type: ignore[untyped-decorator,unused-ignore]
def put_session(req: func.HttpRequest) -> func.HttpResponse:
    """Create or replace a session's state."""
    tenant, session = req.route_params["tenant"], req.route_params["session"]
    return _response(write(_store(), tenant, session, req.get_body(), dict(req.headers)))


def _response(answer: Answer) -> func.HttpResponse:
    body = None if answer.body is None else json.dumps(answer.body)
    return func.HttpResponse(
        body,
        status_code=answer.status,
        headers=dict(answer.headers),
        mimetype="application/json",
    )
