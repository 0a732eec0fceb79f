"""Requests about the items of a container."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

from ringfence.emulators.cosmos import batch
from ringfence.emulators.cosmos.change_feed import changes_since, parse_start
from ringfence.emulators.cosmos.charges import query_charge, read_charge, write_charge
from ringfence.emulators.cosmos.container import Container, Precondition, StoredItem
from ringfence.emulators.cosmos.errors import bad_request, not_supported
from ringfence.emulators.cosmos.indexing import check_order
from ringfence.emulators.cosmos.messages import Request, Response
from ringfence.emulators.cosmos.paging import Continuation, page_size
from ringfence.emulators.cosmos.partition import PartitionKey, Scope
from ringfence.emulators.cosmos.sql import prepare
from ringfence.emulators.cosmos.values import parse_path

__all__ = ["Documents", "operation_of", "query_parts"]

NOT_CROSS_PARTITION = (
    "Cross partition query is required but disabled. Please set x-ms-documentdb-query-enablecrosspartition to true, "
    "specify x-ms-documentdb-partitionkey, or revise your query to avoid this exception."
)


def operation_of(request: Request) -> str:
    """Return the name of what a request does with items, one of the keys of `routes.ACTIONS`."""
    is_feed = len(request.segments) == 5
    match request.method:
        case "GET":
            if not is_feed:
                return "read"
            return "change-feed" if request.header("A-IM") else "query"
        case "POST" if is_feed:
            if request.flag("x-ms-cosmos-is-batch-request"):
                return "batch"
            if request.is_query or request.flag("x-ms-cosmos-is-query-plan-request"):
                return "query"
            return "upsert" if request.flag("x-ms-documentdb-is-upsert") else "create"
        case "PUT" if not is_feed:
            return "replace"
        case "PATCH" if not is_feed:
            return "patch"
        case "DELETE" if not is_feed:
            return "delete"
    raise not_supported(f"{request.method} on {'/'.join(request.segments)}")


class Documents:
    """Carries out requests about items. Whoever calls holds the account's lock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Take the clock: seconds since 1970."""
        self._clock = clock

    def answer(self, request: Request, container: Container) -> Response:
        """Carry out a request.

        Raises:
            ServiceError: it cannot be carried out.
        """
        match operation_of(request):
            case "create":
                return self._write(request, container, "create")
            case "upsert":
                return self._write(request, container, "upsert")
            case "replace":
                batch.check_id(request.segments[5], request.json)
                return self._write(request, container, "replace")
            case "read":
                return self._read(request, container)
            case "delete":
                key, name = self._key(request, container), request.segments[5]
                size = container.read(key, name).size
                container.delete(key, name, _precondition(request))
                return Response(204, None, {"x-ms-request-charge": str(write_charge(size))})
            case "patch":
                key = self._key(request, container)
                item = container.patch(key, request.segments[5], request.json, _precondition(request))
                return _written(request, item, new=False)
            case "batch":
                status, results = batch.execute(container, self._key(request, container), request.json)
                charge = sum(result["requestCharge"] for result in results)
                return Response(status, results, {"x-ms-request-charge": str(round(charge, 2))})
            case "change-feed":
                return self._changes(request, container)
        return self._query(request, container)

    def _key(self, request: Request, container: Container) -> PartitionKey:
        header = request.header("x-ms-documentdb-partitionkey")
        if header is None:
            raise bad_request("PartitionKey value must be supplied for this operation.", 1001)
        return container.partitioning.parse(header)

    def _write(self, request: Request, container: Container, mode: Any) -> Response:
        key = self._key(request, container)
        item, new = container.write(mode, key, request.json, _precondition(request))
        return _written(request, item, new)

    def _read(self, request: Request, container: Container) -> Response:
        item = container.read(self._key(request, container), request.segments[5])
        headers = {"etag": item.etag, "x-ms-request-charge": str(read_charge(item.size))}
        if request.header("If-None-Match") == item.etag:
            return Response(304, None, headers)
        return Response(200, item.body, headers)

    def _scope(self, request: Request, container: Container) -> Scope:
        header = request.header("x-ms-documentdb-partitionkey")
        key = None if header is None else container.partitioning.parse(header)
        if request.header("x-ms-read-key-type") != "EffectivePartitionKeyRange":
            return Scope(key)
        return Scope(key, request.header("x-ms-start-epk") or "", request.header("x-ms-end-epk") or "FF")

    def _changes(self, request: Request, container: Container) -> Response:
        if "full-fidelity" in (request.header("A-IM") or "").lower():
            raise not_supported("the change feed of all versions and deletes")
        since = request.header("If-Modified-Since")
        page = changes_since(
            container,
            self._scope(request, container),
            parse_start(container, request.header("If-None-Match")),
            page_size(request.header("x-ms-max-item-count")),
            parsedate_to_datetime(since).timestamp() if since else 0,
        )
        headers = {
            "etag": f'"{page.change}"',
            "x-ms-item-count": str(len(page.items)),
            "x-ms-request-charge": str(query_charge(item.size for item in page.items)),
        }
        if not page.items:
            return Response(304, None, headers)
        changed = [{**item.body, "_lsn": item.change} for item in page.items]
        return Response(200, {"_rid": container.rid, "Documents": changed, "_count": len(changed)}, headers)

    def _query(self, request: Request, container: Container) -> Response:
        if request.flag("x-ms-cosmos-is-query-plan-request"):
            raise not_supported(
                "a query plan (the container is one physical partition, which answers every query whole)"
            )
        scope = self._scope(request, container)
        is_routed = request.header("x-ms-documentdb-partitionkeyrangeid") is not None
        text, parameters = query_parts(request.json) if request.method == "POST" else ("SELECT * FROM c", {})
        is_allowed = request.method == "GET" or request.flag("x-ms-documentdb-query-enablecrosspartition")
        if scope.is_all and not is_routed and not is_allowed:
            raise bad_request(NOT_CROSS_PARTITION)
        query = prepare(text)
        if query.order_paths is not None:
            check_order(container.settings.indexing_policy, query.order_paths)
        key = None if scope.key is None else scope.key.effective
        continuation = Continuation(container.rid, text, sorted(parameters.items()), key, scope.lowest, scope.highest)
        items = container.items(scope)
        results, position = query.page(
            ((item.place, item.body) for item in items),
            now=self._clock(),
            size=page_size(request.header("x-ms-max-item-count")),
            parameters=parameters,
            vector_functions=_vector_functions(container),
            after=continuation.read(request.header("x-ms-continuation")),
        )
        headers = {
            "x-ms-item-count": str(len(results)),
            "x-ms-request-charge": str(query_charge(item.size for item in items)),
        }
        if position is not None:
            headers["x-ms-continuation"] = continuation.write(position)
        return Response(200, {"_rid": container.rid, "Documents": results, "_count": len(results)}, headers)


def query_parts(body: Any) -> tuple[str, dict[str, Any]]:
    """Return the text and the parameters of a query.

    Raises:
        ServiceError: it is none.
    """
    if not isinstance(body, dict) or not isinstance(body.get("query"), str):
        raise bad_request("The query is no JSON object with a text.")
    parameters = body.get("parameters") or []
    if not isinstance(parameters, list) or not all(
        isinstance(each, dict) and isinstance(each.get("name"), str) and "value" in each for each in parameters
    ):
        raise bad_request("The parameters of the query are not a list of names and values.")
    return body["query"], {each["name"]: each["value"] for each in parameters}


def _precondition(request: Request) -> Precondition:
    return Precondition(request.header("If-Match"), request.header("If-None-Match"))


def _written(request: Request, item: StoredItem, new: bool) -> Response:
    headers = {"etag": item.etag, "x-ms-request-charge": str(write_charge(item.size))}
    minimal = "return=minimal" in (request.header("Prefer") or "")
    return Response(201 if new else 200, None if minimal else item.body, headers)


def _vector_functions(container: Container) -> dict[str, str]:
    policy = container.settings.vector_embedding_policy or {}
    embeddings = policy.get("vectorEmbeddings", [])
    return {parse_path(each["path"])[-1]: each.get("distanceFunction", "cosine") for each in embeddings}
