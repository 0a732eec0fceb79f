"""Requests and answers, without a socket."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import quote

import pytest

from ringfence.emulators.cosmos import (
    Account,
    AccountSettings,
    AutoscaleSettings,
    CompositePath,
    ContainerPartitionKey,
    ContainerSettings,
    CreateUpdateOptions,
    DatabaseSettings,
    IndexingPolicy,
    IndexPath,
    SettingsError,
    UniqueKey,
    UniqueKeyPolicy,
)
from ringfence.emulators.cosmos.auth import Authorizer, make_key, make_token
from ringfence.emulators.cosmos.documents import operation_of
from ringfence.emulators.cosmos.errors import ServiceError
from ringfence.emulators.cosmos.indexing import is_indexed
from ringfence.emulators.cosmos.messages import Request, Response
from ringfence.emulators.cosmos.paging import Continuation, page_size
from ringfence.emulators.cosmos.routes import Gateway, InjectedFault
from ringfence.emulators.cosmos.settings import check_container, from_json, to_json
from tests.unit.emulators.cosmos.helpers import ManualClock, refusal

KEY = make_key()
DATE = "Fri, 20 Nov 2026 10:00:00 GMT"
DOCS = ("dbs", "d", "colls", "c", "docs")


def signature(method: str, kind: str, link: str, key: str = KEY) -> str:
    """Sign as the documentation of the REST API says."""
    text = f"{method.lower()}\n{kind}\n{link}\n{DATE.lower()}\n\n"
    digest = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()
    return quote(f"type=master&ver=1.0&sig={base64.b64encode(digest).decode()}", safe="")


@pytest.fixture
def account() -> Account:
    account = Account(clock=ManualClock())
    account.create_database(DatabaseSettings(id="d"))
    account.create_container("d", ContainerSettings(id="c", partition_key=ContainerPartitionKey(paths=("/t",))))
    return account


@pytest.fixture
def gateway(account: Account) -> Gateway:
    authorizer = Authorizer(account.settings, KEY, ["https://127.0.0.1"], time.time)
    return Gateway(account, authorizer, lambda: "https://127.0.0.1:1/")


def ask(gateway: Gateway, method: str, segments: tuple[str, ...], body: Any = None, **headers: str) -> Response:
    kind = segments[-1] if len(segments) % 2 else segments[-2] if segments else ""
    link = "/".join(segments[: len(segments) // 2 * 2])
    given = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    given = {"x-ms-date": DATE, "authorization": signature(method, kind, link), **given}
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return gateway.answer(Request(method, segments, given, raw))


def create(gateway: Gateway, name: str, tenant: Any = "a", **headers: str) -> Response:
    key = {"x-ms-documentdb-partitionkey": json.dumps([tenant])}
    return ask(gateway, "POST", DOCS, {"id": name, "t": tenant}, **{**key, **headers})


def query(gateway: Gateway, text: str, **headers: str) -> Response:
    options = {"x-ms-documentdb-isquery": "true", "x-ms-documentdb-query-enablecrosspartition": "true"}
    return ask(gateway, "POST", DOCS, {"query": text}, **{**options, **headers})


@pytest.mark.parametrize(
    ("method", "segments", "body", "status"),
    [
        ("GET", (), None, 200),
        ("GET", ("dbs",), None, 200),
        ("POST", ("dbs",), {"id": "e"}, 201),
        ("POST", ("dbs",), {"id": "d"}, 409),
        ("POST", ("dbs",), {}, 400),
        ("POST", ("dbs",), [], 400),
        ("POST", ("dbs",), b"{", 400),
        ("POST", ("dbs",), {"id": "a/b"}, 400),
        ("PUT", ("dbs", "d"), {}, 400),
        ("GET", ("dbs", "e"), None, 404),
        ("DELETE", ("dbs", "d"), None, 204),
        ("POST", ("dbs", "d", "colls"), {"id": "e", "partitionKey": {"paths": ["/x"], "kind": "Hash"}}, 201),
        ("POST", ("dbs", "d", "colls"), {"id": "c", "partitionKey": {"paths": ["/x"]}}, 409),
        ("POST", ("dbs", "e", "colls"), {"id": "c", "partitionKey": {"paths": ["/x"]}}, 404),
        ("POST", ("dbs", "d", "colls"), {"id": "e"}, 400),
        ("POST", ("dbs", "d", "colls"), {"id": "e", "partitionKey": {"paths": ["x"]}}, 400),
        ("POST", ("dbs", "d", "colls"), {"id": "e", "partitionKey": {"paths": ["/x"]}, "unheardOf": 1}, 400),
        ("PUT", ("dbs", "d", "colls", "c"), {"id": "x", "partitionKey": {"paths": ["/t"]}}, 400),
        ("DELETE", ("dbs", "d", "colls", "c"), None, 204),
        ("PATCH", ("dbs", "d", "colls", "c"), None, 400),
        ("GET", ("dbs", "d", "colls", "x", "docs", "1"), None, 404),
        ("GET", ("dbs", "d", "colls", "c", "sprocs"), None, 400),
        ("GET", ("media", "x"), None, 400),
        ("GET", ("offers", "none"), None, 401),
    ],
    ids=lambda value: "/".join(value) if isinstance(value, tuple) else str(value),
)
def test_routes(gateway: Gateway, method: str, segments: tuple[str, ...], body: Any, status: int) -> None:
    response = ask(gateway, method, segments, body)

    assert (status, []) == (response.status, gateway.faults)


def test_an_error_has_the_services_form(gateway: Gateway) -> None:
    response = ask(
        gateway, "GET", (*DOCS, "1"), **{"x-ms-documentdb-partitionkey": '["a"]', "x-ms-activity-id": "mine"}
    )

    assert (response.status, response.headers["x-ms-substatus"]) == (404, "0")
    assert response.body == {
        "code": "NotFound",
        "message": "Entity with the specified id does not exist in the system.",
    }
    assert response.headers["x-ms-activity-id"] == "mine"
    assert response.headers["x-ms-session-token"] == "0:-1#0"


def test_an_item_of_a_container_that_is_not_there(gateway: Gateway) -> None:
    response = ask(gateway, "GET", ("dbs", "d", "colls", "x", "docs", "1"))

    assert response.headers["x-ms-substatus"] == "1003"


def test_a_write_has_the_headers_of_the_service(gateway: Gateway) -> None:
    response = create(gateway, "1")

    assert (201, response.body["_etag"]) == (response.status, response.headers["etag"])
    assert {
        name: response.headers[name].removesuffix(".0")
        for name in ("x-ms-session-token", "lsn", "x-ms-alt-content-path", "x-ms-request-charge")
    } == {
        "x-ms-session-token": "0:-1#1",
        "lsn": "1",
        "x-ms-alt-content-path": "dbs/d/colls/c",
        "x-ms-request-charge": "5",
    }


@pytest.mark.parametrize("header", ["nonsense", "{}", '["a", "b"]', '[["a"]]'])
def test_a_wrong_partition_key_header(gateway: Gateway, header: str) -> None:
    response = create(gateway, "1", **{"x-ms-documentdb-partitionkey": header})

    assert (response.status, response.headers["x-ms-substatus"]) == (400, "1001")


@pytest.mark.parametrize(("method", "segments"), [("POST", DOCS), ("GET", (*DOCS, "1")), ("DELETE", (*DOCS, "1"))])
def test_a_request_must_name_its_partition(gateway: Gateway, method: str, segments: tuple[str, ...]) -> None:
    response = ask(gateway, method, segments, {"id": "1", "t": "a"})

    assert (response.status, "must be supplied" in response.body["message"]) == (400, True)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b'{"id": "1", "t": "a", "n": NaN}', 400),
        (b'{"id": "1", "t": "a", "n": 1e999}', 400),
        (b'{"id": "1", "t": "a", "n": 1' + b"0" * 400 + b"}", 400),
        (b'{"id": "1", "t": "a", "n": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
        (b'{"id": "1", "t": "a", "n": ' + b"[" * 129 + b"]" * 129 + b"}", 400),
        (b'{"id": "1", "t": "a", "n": ' + b"[" * 127 + b"]" * 127 + b"}", 201),
        (b"\xff", 400),
        (b"", 400),
        (b'{"id": "\\ud800", "t": "a"}', 201),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_bodies_that_are_hardly_json(gateway: Gateway, raw: bytes, status: int) -> None:
    response = ask(gateway, "POST", DOCS, raw, **{"x-ms-documentdb-partitionkey": '["a"]'})

    assert (response.status, gateway.faults) == (status, [])


def test_numbers_are_doubles(gateway: Gateway) -> None:
    raw = b'{"id": "1", "t": "a", "n": [9007199254740993, 1.5, 12345678901234567890, 7.0]}'
    response = ask(gateway, "POST", DOCS, raw, **{"x-ms-documentdb-partitionkey": '["a"]'})

    assert json.dumps(response.body["n"]) == "[9007199254740992, 1.5, 12345678901234567168, 7]"


def test_a_container_that_was_made_anew_is_another_one(gateway: Gateway, account: Account) -> None:
    rid = account.container("d", "c").rid
    header = {"x-ms-cosmos-intended-collection-rid": rid}
    assert create(gateway, "1", **header).status == 201
    account.delete_container("d", "c")
    account.create_container("d", ContainerSettings(id="c", partition_key=ContainerPartitionKey(paths=("/t",))))
    response = create(gateway, "1", **header)

    assert (response.status, response.headers["x-ms-substatus"]) == (400, "1024")


@pytest.mark.parametrize(
    ("body", "headers", "text"),
    [
        ({"query": 5}, {}, "no JSON object with a text"),
        ({"query": "SELECT * FROM c", "parameters": [{"name": "@a"}]}, {}, "not a list of names and values"),
        ({"query": "SELECT * FROM c"}, {"x-ms-max-item-count": "0"}, "x-ms-max-item-count"),
        ({"query": "SELECT * FROM c"}, {"x-ms-continuation": "nonsense"}, "Invalid Continuation Token"),
        ({"query": "SELECT * FROM c"}, {"x-ms-cosmos-is-query-plan-request": "true"}, "query plan"),
        (
            {"query": "SELECT * FROM c"},
            {"x-ms-documentdb-query-enablecrosspartition": "false"},
            "Cross partition query",
        ),
    ],
)
def test_wrong_queries(gateway: Gateway, body: Any, headers: dict[str, str], text: str) -> None:
    options = {"x-ms-documentdb-isquery": "true", "x-ms-documentdb-query-enablecrosspartition": "true", **headers}
    response = ask(gateway, "POST", DOCS, body, **options)

    assert response.status == 400
    assert text in response.body["message"]


def test_a_continuation_belongs_to_its_query(gateway: Gateway) -> None:
    for name in "123":
        create(gateway, name)
    size = {"x-ms-max-item-count": "2"}
    first = query(gateway, "SELECT VALUE c.id FROM c", **size)
    token = first.headers["x-ms-continuation"]
    rest = query(gateway, "SELECT VALUE c.id FROM c", **size, **{"x-ms-continuation": token})
    other = query(gateway, "SELECT VALUE c.t FROM c", **size, **{"x-ms-continuation": token})

    assert (first.body["Documents"], rest.body["Documents"]) == (["1", "2"], ["3"])
    assert "x-ms-continuation" not in rest.headers
    assert other.status == 400
    assert "it belongs to another query" in other.body["message"]


@pytest.mark.parametrize(("header", "size"), [(None, 100), ("-1", 1000), ("5", 5), ("5000", 1000)])
def test_page_sizes(header: str | None, size: int) -> None:
    assert size == page_size(header)


@pytest.mark.parametrize("text", ["x", base64.b64encode(b"[]").decode(), base64.b64encode(b'{"query": 1}').decode()])
def test_what_is_no_continuation(text: str) -> None:
    assert refusal(lambda: Continuation("q").read(text)).status == 400


def test_feeds_of_databases_and_containers(gateway: Gateway, account: Account) -> None:
    account.create_database(DatabaseSettings(id="e"))
    page = ask(gateway, "GET", ("dbs",), **{"x-ms-max-item-count": "1"})
    token = page.headers["x-ms-continuation"]
    rest = ask(gateway, "GET", ("dbs",), **{"x-ms-max-item-count": "1", "x-ms-continuation": token})
    found = ask(gateway, "POST", ("dbs",), {"query": "SELECT VALUE d.id FROM d"}, **{"x-ms-documentdb-isquery": "true"})

    assert tuple([each["id"] for each in answer.body["Databases"]] for answer in (page, rest)) == (["d"], ["e"])
    assert found.body["Databases"] == ["d", "e"]


def test_physical_partitions_are_read_until_nothing_is_new(gateway: Gateway) -> None:
    path = ("dbs", "d", "colls", "c", "pkranges")
    first = ask(gateway, "GET", path)
    (found,) = first.body["PartitionKeyRanges"]
    again = ask(gateway, "GET", path, **{"If-None-Match": first.headers["etag"]})

    assert (found["id"], found["minInclusive"], found["maxExclusive"]) == ("0", "", "FF")
    assert again.status == 304


def test_injected_faults_come_first_and_are_used_up(gateway: Gateway) -> None:
    gateway.inject(InjectedFault(ServiceError(503, "busy"), 2, "create"))
    assert [create(gateway, name).status for name in "123"] == [503, 503, 201]
    gateway.inject(InjectedFault(ServiceError(429, "slow", 3200, {"x-ms-retry-after-ms": "7"}), 1))
    assert ask(gateway, "GET", ("dbs", "d", "colls", "c")).status == 200  # only requests about items
    response = query(gateway, "SELECT * FROM c")
    assert (response.status, response.headers["x-ms-retry-after-ms"]) == (429, "7")
    gateway.inject(InjectedFault(ServiceError(503, "busy"), 2))
    gateway.reset()
    assert query(gateway, "SELECT * FROM c").status == 200


def test_an_exception_of_ours_is_an_answer(gateway: Gateway, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account.container("d", "c"), "write", lambda *arguments: {}["gone"])  # type: ignore[misc]
    response = create(gateway, "1")

    assert response.status == 500
    assert "KeyError: 'gone'" in response.body["message"]
    assert [repr(fault) for fault in gateway.faults] == ["KeyError('gone')"]


@pytest.mark.parametrize(
    ("method", "name", "headers", "expected"),
    [
        ("GET", None, {}, "query"),
        ("GET", None, {"a-im": "Incremental feed"}, "change-feed"),
        ("GET", "1", {}, "read"),
        ("POST", None, {}, "create"),
        ("POST", None, {"x-ms-documentdb-is-upsert": "True"}, "upsert"),
        ("POST", None, {"content-type": "application/query+json; charset=utf-8"}, "query"),
        ("POST", None, {"x-ms-cosmos-is-batch-request": "True"}, "batch"),
        ("PUT", "1", {}, "replace"),
        ("PATCH", "1", {}, "patch"),
        ("DELETE", "1", {}, "delete"),
    ],
)
def test_operations(method: str, name: str | None, headers: dict[str, str], expected: str) -> None:
    assert expected == operation_of(Request(method, (*DOCS, name) if name else DOCS, headers))


# Keys and tokens; what the SDK sends is in the integration tests


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        "type=resource&ver=1&sig=x",
        signature("GET", "dbs", "", make_key()),
        signature("POST", "dbs", ""),
        signature("GET", "dbs", "dbs/d"),
    ],
    # Names of their own, since keys and so signatures are others in every process.
    ids=["none", "nonsense", "of a token", "of another key", "of another verb", "of another resource"],
)
def test_a_wrong_signature(gateway: Gateway, header: str) -> None:
    response = ask(gateway, "GET", ("dbs",), authorization=header)

    assert response.status == 401
    assert KEY not in response.body["message"]


def test_an_offer_is_signed_by_its_id_in_small_letters(gateway: Gateway, account: Account) -> None:
    (offer,) = account.offers
    rid = offer.rid
    body = {**offer.body(), "content": {"offerThroughput": 1000}}
    signed = signature("PUT", "offers", rid.lower())
    response = ask(gateway, "PUT", ("offers", rid), body, authorization=signed)

    assert (response.status, response.body["content"]["offerThroughput"]) == (200, 1000)
    assert CreateUpdateOptions(throughput=1000) == account.throughput("d", "c")


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ({"offerThroughput": 450}, 400),
        ({"offerThroughput": 300}, 400),
        ({"offerThroughput": "many"}, 400),
        ({"offerAutopilotSettings": {"maxThroughput": 4000}}, 400),
        (None, 400),
    ],
)
def test_wrong_offers(gateway: Gateway, account: Account, content: Any, status: int) -> None:
    (offer,) = account.offers
    signed = signature("PUT", "offers", offer.rid.lower())

    assert status == ask(gateway, "PUT", ("offers", offer.rid), {"content": content}, authorization=signed).status


def test_a_token_says_who_it_is_of(account: Account) -> None:
    token = make_token("https://cosmos.azure.com", "me", time.time() + 60)
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))

    assert (claims["aud"], claims["oid"]) == ("https://cosmos.azure.com", "me")


# Settings


def wanted(**settings: Any) -> ContainerSettings:
    return ContainerSettings(**{"id": "c", "partition_key": ContainerPartitionKey(paths=("/t",)), **settings})


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"id": ""}, "an id has 1 to 255 characters"),
        ({"id": "a#b"}, "an id has"),
        ({"partition_key": ContainerPartitionKey(paths=())}, "has 0 paths, Hash takes 1 to 1"),
        ({"partition_key": ContainerPartitionKey(paths=("/a", "/b"))}, "has 2 paths, Hash takes 1 to 1"),
        ({"partition_key": ContainerPartitionKey(paths=("/a",) * 4, kind="MultiHash")}, "MultiHash takes 1 to 3"),
        ({"partition_key": ContainerPartitionKey(paths=("/a",), kind="MultiHash", version=1)}, "needs version 2"),
        ({"partition_key": ContainerPartitionKey(paths=("a",))}, "'a' is no path"),
        ({"partition_key": ContainerPartitionKey(paths=("/a//b",))}, "a name is empty"),
        ({"partition_key": ContainerPartitionKey(paths=('/"a',))}, "not closed"),
        ({"unique_key_policy": UniqueKeyPolicy(unique_keys=(UniqueKey(paths=("/",)),))}, "'/' is no path"),
        ({"default_ttl": 0}, "default_ttl is 0, expected -1 or 1 to 2147483647"),
        ({"computed_properties": ({"name": "x", "query": "SELECT 1"},)}, "computed_properties is not supported"),
        ({"options": CreateUpdateOptions(throughput=450)}, "expected 400 or more in steps of 100"),
        ({"options": CreateUpdateOptions(autoscale_settings=AutoscaleSettings(max_throughput=1500))}, "steps of 1000"),
        (
            {"options": CreateUpdateOptions(throughput=400, autoscale_settings=AutoscaleSettings(max_throughput=1000))},
            "exclude each other",
        ),
        ({"indexing_policy": IndexingPolicy(included_paths=(IndexPath(path="/a/?"),))}, "the path /*"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_container(wanted(**settings))
    assert text in str(caught.value)


def test_settings_are_json_and_back() -> None:
    settings = wanted(
        default_ttl=5,
        partition_key=ContainerPartitionKey(paths=("/a", "/b"), kind="MultiHash"),
        unique_key_policy=UniqueKeyPolicy(unique_keys=(UniqueKey(paths=("/x", "/y")),)),
        indexing_policy=IndexingPolicy(
            excluded_paths=(IndexPath(path="/blob/*"), IndexPath(path='/"_etag"/?')),
            composite_indexes=((CompositePath(path="/a"), CompositePath(path="/b", order="descending")),),
        ),
    )
    body = json.loads(json.dumps(to_json(settings)))

    assert body["partitionKey"] == {"paths": ["/a", "/b"], "kind": "MultiHash", "version": 2}
    assert body["uniqueKeyPolicy"]["uniqueKeys"] == [{"paths": ["/x", "/y"]}]
    assert body["indexingPolicy"]["compositeIndexes"][0][1] == {"path": "/b", "order": "descending"}
    assert settings == from_json(ContainerSettings, body)


def test_a_key_without_a_version_is_of_the_first() -> None:
    found = from_json(
        ContainerSettings, {"id": "c", "partitionKey": {"paths": ["/x"]}, "_rid": "x", "defaultTtl": None}
    )

    assert (found.partition_key.version, found.default_ttl) == (1, None)


def test_an_account_counts_its_throughput() -> None:
    account = Account(AccountSettings(total_throughput_limit=1400))
    account.create_database(DatabaseSettings(id="d", options=CreateUpdateOptions(throughput=1000)))
    account.create_container("d", wanted())
    account.create_container("d", wanted(id="own", options=CreateUpdateOptions(throughput=400)))
    error = refusal(
        lambda: account.create_container("d", wanted(id="more", options=CreateUpdateOptions(throughput=400)))
    )

    assert (error.status, error.substatus) == (403, 1028)
    assert list(account.database("d").containers) == ["c", "own"]
    account.delete_container("d", "own")
    account.create_container("d", wanted(id="more", options=CreateUpdateOptions(throughput=400)))
    account.delete_database("d")
    assert account.offers == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("n",), True),
        (("state",), False),
        (("state", "x"), True),
        (("blob", "x"), False),
        (("blob", "keep"), True),
        (("_etag",), False),
    ],
)
def test_what_is_indexed(path: tuple[str, ...], expected: bool) -> None:
    policy = IndexingPolicy(
        included_paths=(IndexPath(path="/*"), IndexPath(path="/blob/keep/?")),
        excluded_paths=tuple(IndexPath(path=each) for each in ("/state/?", "/blob/*", '/"_etag"/?')),
    )

    assert expected is is_indexed(policy, path)
    assert not is_indexed(IndexingPolicy(indexing_mode="none"), path)
