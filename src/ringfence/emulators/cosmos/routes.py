"""From a request to its answer: who asks, what for, and what the account says to it.

The paths are those of the service's REST API, by names; only offers, which have none, go by id.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from ringfence.emulators.cosmos.auth import CONTAINERS, READ_METADATA, Access, Authorizer
from ringfence.emulators.cosmos.container import Container, new_etag
from ringfence.emulators.cosmos.documents import Documents, operation_of, query_parts
from ringfence.emulators.cosmos.errors import ServiceError, SettingsError, bad_request, not_supported
from ringfence.emulators.cosmos.messages import Request, Response
from ringfence.emulators.cosmos.paging import Continuation, page_size
from ringfence.emulators.cosmos.settings import (
    AutoscaleSettings,
    ContainerSettings,
    CreateUpdateOptions,
    DatabaseSettings,
    from_json,
)
from ringfence.emulators.cosmos.sql import prepare
from ringfence.emulators.cosmos.store import Account

__all__ = ["Gateway", "InjectedFault"]

ACTIONS = {
    "create": f"{CONTAINERS}/items/create",
    "upsert": f"{CONTAINERS}/items/upsert",
    "read": f"{CONTAINERS}/items/read",
    "replace": f"{CONTAINERS}/items/replace",
    "patch": f"{CONTAINERS}/items/replace",
    "delete": f"{CONTAINERS}/items/delete",
    "query": f"{CONTAINERS}/executeQuery",
    "change-feed": f"{CONTAINERS}/readChangeFeed",
    "batch": f"{CONTAINERS}/items/create",
}
BATCH_ACTIONS = {
    "Create": "create",
    "Upsert": "upsert",
    "Read": "read",
    "Replace": "replace",
    "Patch": "patch",
    "Delete": "delete",
}
ONE_PARTITION = '"1"'
"""The ETag of the list of physical partitions, which never changes."""


@dataclass
class InjectedFault:
    """An error that the next so-many requests about items get, or those of one operation."""

    error: ServiceError
    times: int
    operation: str | None = None


class Gateway:
    """Answers requests. Knows no sockets."""

    def __init__(self, account: Account, authorizer: Authorizer, endpoint: Callable[[], str]) -> None:
        """Take the account, who checks access to it, and where it is reached."""
        self.account = account
        self.faults: list[BaseException] = []
        self._authorizer = authorizer
        self._endpoint = endpoint
        self._documents = Documents(account.clock)
        self._injected: list[InjectedFault] = []

    def inject(self, fault: InjectedFault) -> None:
        """Let requests fail."""
        with self.account.lock:
            self._injected.append(fault)

    def reset(self) -> None:
        """Forget what was injected."""
        with self.account.lock:
            self._injected.clear()

    def answer(self, request: Request) -> Response:
        """Answer a request. An exception of ours is an answer too, 500, and is kept in `faults`."""
        try:
            with self.account.lock:
                response = self._carried_out(request)
        except ServiceError as error:
            response = Response.of_error(error)
        except Exception as error:
            self.faults.append(error)
            text = f"the Cosmos DB emulator of ringfence has failed: {type(error).__name__}: {error}"
            response = Response.of_error(ServiceError(500, text))
        response.headers.setdefault("x-ms-request-charge", "1")
        response.headers["x-ms-activity-id"] = request.header("x-ms-activity-id") or str(uuid4())
        response.headers["x-ms-version"] = request.header("x-ms-version") or "2020-07-15"
        return response

    def _carried_out(self, request: Request) -> Response:
        segments = request.segments
        for access in _accesses(request):
            self._authorizer.check(access, request.headers)
        match segments:
            case ():
                return Response(200, self._account_body())
            case ("offers", *rest):
                return self._offers(request, rest)
            case ("dbs",):
                return self._databases(request)
            case ("dbs", database):
                return self._database(request, database)
            case ("dbs", database, "colls"):
                return self._containers(request, database)
            case ("dbs", database, "colls", container):
                return self._container(request, database, container)
            case ("dbs", database, "colls", container, "pkranges"):
                return self._partitions(request, self.account.owner_container(database, container))
            case ("dbs", database, "colls", container, "docs") | ("dbs", database, "colls", container, "docs", _):
                return self._items(request, self.account.owner_container(database, container))
        raise not_supported("/".join(segments))

    def _account_body(self) -> dict[str, Any]:
        location = [{"name": "Local", "databaseAccountEndpoint": self._endpoint()}]
        return {
            "_self": "",
            "id": "ringfence",
            "_rid": "ringfence",
            "media": "//media/",
            "addresses": "//addresses/",
            "_dbs": "//dbs/",
            "writableLocations": location,
            "readableLocations": location,
            "enableMultipleWriteLocations": False,
            "userReplicationPolicy": {"asyncReplication": False, "minReplicaSetSize": 1, "maxReplicasetSize": 4},
            "userConsistencyPolicy": {"defaultConsistencyLevel": self.account.settings.default_consistency_level},
            "systemReplicationPolicy": {"minReplicaSetSize": 1, "maxReplicasetSize": 4},
            "readPolicy": {"primaryReadCoefficient": 1, "secondaryReadCoefficient": 1},
            "queryEngineConfiguration": "{}",
        }

    # Databases and containers

    def _databases(self, request: Request) -> Response:
        if request.method == "POST" and not request.is_query:
            with _Settings():
                settings = from_json(DatabaseSettings, {**_object(request), "options": _options(request)})
                database = self.account.create_database(settings)
            return _entity(201, database.body())
        return _feed(request, "Databases", "", [database.body() for database in self.account.databases])

    def _database(self, request: Request, name: str) -> Response:
        match request.method:
            case "GET":
                return _entity(200, self.account.database(name).body())
            case "DELETE":
                self.account.delete_database(name)
                return Response(204)
        raise not_supported(f"{request.method} on a database")

    def _containers(self, request: Request, database: str) -> Response:
        if request.method == "POST" and not request.is_query:
            with _Settings():
                settings = from_json(ContainerSettings, {**_object(request), "options": _options(request)})
                container = self.account.create_container(database, settings)
            return _entity(201, container.body())
        owner = self.account.database(database)
        bodies = [container.body() for container in owner.containers.values()]
        return _feed(request, "DocumentCollections", owner.rid, bodies)

    def _container(self, request: Request, database: str, name: str) -> Response:
        match request.method:
            case "GET":
                container = self.account.container(database, name)
                headers = {"x-ms-resource-usage": f"documentsCount={len(container.items())};"}
                headers["x-ms-resource-quota"] = ""
                return _entity(
                    200, container.body(), headers if request.flag("x-ms-documentdb-populatequotainfo") else {}
                )
            case "PUT":
                body = _object(request)
                if body.get("id") != name:
                    raise bad_request("The id of a container cannot be changed.")
                with _Settings():
                    container = self.account.replace_container(database, from_json(ContainerSettings, body))
                return _entity(200, container.body())
            case "DELETE":
                self.account.delete_container(database, name)
                return Response(204)
        raise not_supported(f"{request.method} on a container")

    def _partitions(self, request: Request, container: Container) -> Response:
        """Answer with the one physical partition. Clients read this as a change feed: until nothing is new."""
        headers = {"etag": ONE_PARTITION}
        if request.header("If-None-Match") == ONE_PARTITION:
            return Response(304, None, headers)
        partition = {
            "_rid": container.rid,
            "id": "0",
            "_etag": new_etag(),
            "minInclusive": "",
            "maxExclusive": "FF",
            "ridPrefix": 0,
            "_self": f"{container.link}pkranges/0/",
            "throughputFraction": 1,
            "status": "online",
            "parents": [],
            "_ts": int(container.modified),
            "_lsn": container.change,
        }
        return Response(200, {"_rid": container.rid, "PartitionKeyRanges": [partition], "_count": 1}, headers)

    def _offers(self, request: Request, rest: list[str]) -> Response:
        bodies = [offer.body() for offer in self.account.offers]
        if not rest:
            return _feed(request, "Offers", "", bodies)
        if request.method == "PUT":
            with _Settings():
                return _entity(200, self.account.replace_offer(rest[0], request.json).body())
        found = [body for body in bodies if body["id"] == rest[0]]
        if request.method != "GET" or not found:
            raise ServiceError(404, "Entity with the specified id does not exist in the system.")
        return _entity(200, found[0])

    # Items

    def _items(self, request: Request, container: Container) -> Response:
        operation = operation_of(request)
        self._fail_if_asked(operation)
        intended = request.header("x-ms-cosmos-intended-collection-rid")
        if intended is not None and intended != container.rid:  # it was deleted and made anew
            raise bad_request("The request's intended container is another one than that of this name.", 1024)
        try:
            response = self._documents.answer(request, container)
        except ServiceError as error:
            response = Response.of_error(error)
        response.headers["x-ms-session-token"] = f"0:-1#{container.change}"
        response.headers["lsn"] = str(container.change)
        response.headers["x-ms-content-path"] = container.rid
        response.headers["x-ms-alt-content-path"] = "/".join(request.segments[:4])
        return response

    def _fail_if_asked(self, operation: str) -> None:
        fault = next((fault for fault in self._injected if fault.operation in (None, operation)), None)
        if fault is None:
            return
        fault.times -= 1
        if fault.times <= 0:
            self._injected.remove(fault)
        raise fault.error


class _Settings:
    """Turns wrong settings into the service's answer to a request that has them."""

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, SettingsError):
            raise bad_request(f"One of the specified inputs is invalid: {error}") from error


def _accesses(request: Request) -> list[Access]:
    """Return what a request does. A batch does as many things as it has kinds of operations."""
    method, segments = request.method, request.segments
    if len(segments) >= 5 and segments[4] == "docs":
        operation = operation_of(request)
        actions = [ACTIONS[operation]]
        if operation == "batch" and isinstance(request.json, list):
            kinds = {
                BATCH_ACTIONS.get(str(each.get("operationType"))) for each in request.json if isinstance(each, dict)
            }
            actions = [ACTIONS[kind] for kind in sorted(kind for kind in kinds if kind)] or actions
        return [Access(method, segments, action) for action in actions]
    reads = method in ("GET", "HEAD") or request.is_query
    return [Access(method, segments, READ_METADATA if reads else None)]


def _object(request: Request) -> dict[str, Any]:
    body = request.json
    if not isinstance(body, dict):
        raise bad_request("The request body is no JSON object.")
    return body


def _options(request: Request) -> CreateUpdateOptions:
    """Return the throughput that a request's headers ask for."""
    fixed, automatic = request.header("x-ms-offer-throughput"), request.header("x-ms-cosmos-offer-autopilot-settings")
    try:
        limit = json.loads(automatic)["maxThroughput"] if automatic else None
        return CreateUpdateOptions(
            throughput=int(fixed) if fixed else None,
            autoscale_settings=None if limit is None else AutoscaleSettings(max_throughput=int(limit)),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise bad_request("The throughput that the request asks for is invalid.") from error


def _entity(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(status, body, {"etag": body["_etag"], **(headers or {})})


def _feed(request: Request, name: str, rid: str, bodies: list[dict[str, Any]]) -> Response:
    """Answer a list of databases, containers or offers, or a query over them."""
    if request.method not in ("GET", "POST"):
        raise not_supported(f"{request.method} on {'/'.join(request.segments)}")
    text, parameters = query_parts(request.json) if request.method == "POST" else ("SELECT * FROM c", {})
    continuation = Continuation(name, rid, text, sorted(parameters.items()))
    found, position = prepare(text).page(
        enumerate(bodies),
        now=0,
        size=page_size(request.header("x-ms-max-item-count")),
        parameters=parameters,
        after=continuation.read(request.header("x-ms-continuation")),
    )
    headers = {"x-ms-item-count": str(len(found))}
    if position is not None:
        headers["x-ms-continuation"] = continuation.write(position)
    return Response(200, {"_rid": rid, name: found, "_count": len(found)}, headers)
