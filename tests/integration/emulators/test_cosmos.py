"""Cosmos DB as the official SDK sees it. The same cases run against the fake and the official emulator."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from azure.core import MatchConditions
from azure.cosmos import ContainerProxy, CosmosClient, DatabaseProxy, PartitionKey, ThroughputProperties
from azure.cosmos.aio import CosmosClient as AsyncClient
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosBatchOperationError,
    CosmosHttpResponseError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)
from azure.cosmos.partition_key import NonePartitionKeyValue, NullPartitionKeyValue

from tests.integration.emulators.cosmos_backend import Backend, backend

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")  # the SDK checks no certificate on loopback

IF_SAME = MatchConditions.IfNotModified
COMPOSITE = {"compositeIndexes": [[{"path": "/tenant"}, {"path": "/n", "order": "descending"}]]}


@pytest.fixture(scope="module")
def server() -> Iterator[Backend]:
    with backend() as found:
        yield found


@pytest.fixture(scope="module")
def client(server: Backend) -> Iterator[CosmosClient]:
    with CosmosClient(server.endpoint, server.key) as client:
        yield client


@pytest.fixture(scope="module")
def database(client: CosmosClient) -> Iterator[DatabaseProxy]:
    database = client.create_database(f"test-{uuid4().hex[:8]}")
    yield database
    client.delete_database(database.id)


@pytest.fixture
def make(database: DatabaseProxy) -> Callable[..., ContainerProxy]:
    def make(*paths: str, **settings: Any) -> ContainerProxy:
        key = PartitionKey(path=list(paths)) if len(paths) > 1 else PartitionKey(path=(paths or ("/tenant",))[0])
        return database.create_container(f"c-{uuid4().hex[:8]}", partition_key=key, **settings)

    return make


@pytest.fixture
def container(make: Callable[..., ContainerProxy]) -> ContainerProxy:
    return make()


@pytest.fixture(scope="module")
def shop(database: DatabaseProxy) -> ContainerProxy:
    """Six items that queries read and nobody changes."""
    policy = {"indexingMode": "consistent", "automatic": True, "includedPaths": [{"path": "/*"}], **COMPOSITE}
    container = database.create_container(
        f"shop-{uuid4().hex[:8]}", partition_key=PartitionKey(path="/tenant"), indexing_policy=policy
    )
    for index, (tenant, kind) in enumerate(zip("aaabbb", ("x", "y", "x", "x", "z", "z"), strict=True)):
        extra: dict[str, Any] = {"opt": None} if index == 0 else {"opt": index} if index == 1 else {}
        tags = [{"name": f"t{part}", "weight": part} for part in range(index % 3)]
        container.create_item(
            {
                "id": str(index),
                "tenant": tenant,
                "n": index,
                "kind": kind,
                "name": f"Item {index}",
                "tags": tags,
                **extra,
            }
        )
    return container


def item(name: str = "1", tenant: str = "a", **properties: Any) -> dict[str, Any]:
    return {"id": name, "tenant": tenant, **properties}


def refused(status: int, call: Callable[[], Any]) -> CosmosHttpResponseError:
    with pytest.raises(CosmosHttpResponseError) as caught:
        call()
    assert status == caught.value.status_code, caught.value
    return caught.value


def ask(container: ContainerProxy, query: str, **options: Any) -> list[Any]:
    if "partition_key" not in options:
        options["enable_cross_partition_query"] = True
    parameters = [{"name": f"@{name}", "value": value} for name, value in options.pop("values", {}).items()]
    return list(container.query_items(query, parameters=parameters, **options))


# Databases, containers, throughput


def test_a_database_is_there_once(client: CosmosClient, database: DatabaseProxy) -> None:
    with pytest.raises(CosmosResourceExistsError):
        client.create_database(database.id)

    assert database.id in [found["id"] for found in client.list_databases()]
    assert database.read()["id"] == database.id
    assert [database.id] == [
        found["id"]
        for found in client.query_databases(
            "SELECT * FROM d WHERE d.id = @id", parameters=[{"name": "@id", "value": database.id}]
        )
    ]


def test_what_is_not_there_is_404(client: CosmosClient, database: DatabaseProxy) -> None:
    with pytest.raises(CosmosResourceNotFoundError):
        client.get_database_client("nowhere").read()
    with pytest.raises(CosmosResourceNotFoundError):
        database.get_container_client("nowhere").read()
    with pytest.raises(CosmosResourceNotFoundError):
        database.get_container_client("nowhere").read_item("1", partition_key="a")
    with pytest.raises(CosmosResourceNotFoundError):
        client.delete_database("nowhere")


def test_a_container_gives_back_its_settings(make: Callable[..., ContainerProxy], database: DatabaseProxy) -> None:
    unique = {"uniqueKeys": [{"paths": ["/email"]}]}
    policy = {
        "indexingMode": "consistent",
        "automatic": True,
        "includedPaths": [{"path": "/*"}],
        "excludedPaths": [{"path": "/state/?"}, {"path": '/"_etag"/?'}],
        **COMPOSITE,
    }
    container = make("/tenant", "/session", default_ttl=60, unique_key_policy=unique, indexing_policy=policy)
    found = container.read()

    assert found["partitionKey"] == {"paths": ["/tenant", "/session"], "kind": "MultiHash", "version": 2}
    assert found["defaultTtl"] == 60
    assert unique == found["uniqueKeyPolicy"]
    assert [path["path"] for path in found["indexingPolicy"]["excludedPaths"]] == ["/state/?", '/"_etag"/?']
    composite = found["indexingPolicy"]["compositeIndexes"]
    assert [[(path["path"], path.get("order", "ascending")) for path in index] for index in composite] == [
        [("/tenant", "ascending"), ("/n", "descending")]
    ]
    assert container.id in [each["id"] for each in database.list_containers()]
    with pytest.raises(CosmosResourceExistsError):
        database.create_container(container.id, partition_key=PartitionKey(path="/tenant"))


def test_replacing_a_container_keeps_its_items(container: ContainerProxy, database: DatabaseProxy) -> None:
    container.create_item(item())
    database.replace_container(container, partition_key=PartitionKey(path="/tenant"), default_ttl=100)

    assert container.read()["defaultTtl"] == 100
    assert [found["id"] for found in container.read_all_items()] == ["1"]
    refused(400, lambda: database.replace_container(container, partition_key=PartitionKey(path="/other")))


def test_a_deleted_container_is_gone_and_its_name_is_free(container: ContainerProxy, database: DatabaseProxy) -> None:
    container.create_item(item())
    database.delete_container(container.id)
    with pytest.raises(CosmosResourceNotFoundError):
        container.read_item("1", partition_key="a")

    again = database.create_container(container.id, partition_key=PartitionKey(path="/tenant"))
    assert list(again.read_all_items()) == []
    assert container.create_item(item())["id"] == "1"  # by the old client too


@pytest.mark.parametrize(
    ("given", "expected", "changed"),
    [
        (500, (500, None), 600),
        (ThroughputProperties(auto_scale_max_throughput=4000), (None, 4000), None),
        (None, (400, None), 800),
    ],
)
def test_throughput(make: Callable[..., ContainerProxy], given: Any, expected: Any, changed: int | None) -> None:
    container = make(offer_throughput=given) if given else make()
    found = container.get_throughput()
    if expected[1] is None:
        assert expected[0] == found.offer_throughput
    assert expected[1] == found.auto_scale_max_throughput
    new = ThroughputProperties(auto_scale_max_throughput=5000) if changed is None else changed
    container.replace_throughput(new)
    after = container.get_throughput()
    assert (changed or 5000) == (after.offer_throughput if changed else after.auto_scale_max_throughput)


# Items


def test_an_item_is_written_and_read(container: ContainerProxy) -> None:
    written = container.create_item(item(n=1, text="ü€😀", nested={"a": [1, 2.5, None, True]}))
    read = container.read_item("1", partition_key="a")

    assert written == read
    assert (read["n"], read["text"], read["nested"]) == (1, "ü€😀", {"a": [1, 2.5, None, True]})
    assert {"_rid", "_self", "_etag", "_attachments", "_ts"} <= set(read)
    assert abs(time.time() - read["_ts"]) < 60
    headers = container.client_connection.last_response_headers
    assert float(headers["x-ms-request-charge"]) >= 1
    assert read["_etag"] == headers["etag"]
    assert ":" in headers["x-ms-session-token"]


@pytest.mark.parametrize(
    ("name", "key"), [("2", "a"), ("1", "b"), ("1", None)], ids=["no such id", "another partition", "null"]
)
def test_an_absent_item_is_404(container: ContainerProxy, name: str, key: Any) -> None:
    container.create_item(item())
    call: Any = lambda: container.read_item(name, partition_key=key)  # noqa: E731
    error = refused(404, call)

    assert "does not exist in the system" in str(error)


def test_create_upsert_replace_delete(container: ContainerProxy) -> None:
    first = container.create_item(item(n=1))
    with pytest.raises(CosmosResourceExistsError):
        container.create_item(item(n=2))
    assert container.create_item(item("2"))["id"] == "2"
    assert container.create_item(item(tenant="b"))["id"] == "1"  # the same id, another partition
    second = container.upsert_item(item(n=3))
    assert second["n"] == 3
    assert first["_etag"] != second["_etag"]
    assert first["_rid"] == second["_rid"]
    assert {k: v for k, v in container.replace_item("1", item(n=4)).items() if k == "n"} == {"n": 4}
    container.delete_item("1", partition_key="a")
    with pytest.raises(CosmosResourceNotFoundError):
        container.delete_item("1", partition_key="a")
    with pytest.raises(CosmosResourceNotFoundError):
        container.replace_item("1", item())
    assert sorted((found["id"], found["tenant"]) for found in container.read_all_items()) == [("1", "b"), ("2", "a")]


@pytest.mark.parametrize(
    "body",
    [
        {"tenant": "a", "id": ""},
        {"tenant": "a", "id": 5},
        {"tenant": "a", "id": "1", "ttl": 0},
        {"id": "1", "tenant": {}},
    ],
    ids=["empty id", "id is no string", "ttl 0", "key is an object"],
)
def test_a_wrong_item_is_400(make: Callable[..., ContainerProxy], body: dict[str, Any]) -> None:
    container = make(default_ttl=-1)
    with pytest.raises((CosmosHttpResponseError, TypeError)) as caught:
        container.create_item(body)
    if isinstance(caught.value, CosmosHttpResponseError):
        assert caught.value.status_code == 400


def test_an_item_has_at_most_two_megabytes(container: ContainerProxy) -> None:
    size = 2 * 1024 * 1024
    container.create_item(item("small", text="x" * (size - 10_000)))
    error = refused(413, lambda: container.create_item(item("large", text="x" * size)))

    assert "Request size is too large" in str(error)


@pytest.mark.parametrize("verb", ["replace", "upsert", "delete", "patch"])
def test_a_stale_etag_is_412(container: ContainerProxy, verb: str) -> None:
    stale = container.create_item(item(n=1))["_etag"]
    fresh = container.upsert_item(item(n=2))["_etag"]
    calls: dict[str, Callable[[str], Any]] = {
        "replace": lambda etag: container.replace_item("1", item(n=3), etag=etag, match_condition=IF_SAME),
        "upsert": lambda etag: container.upsert_item(item(n=3), etag=etag, match_condition=IF_SAME),
        "delete": lambda etag: container.delete_item("1", partition_key="a", etag=etag, match_condition=IF_SAME),
        "patch": lambda etag: container.patch_item(
            "1", "a", [{"op": "set", "path": "/n", "value": 3}], etag=etag, match_condition=IF_SAME
        ),
    }
    with pytest.raises(CosmosAccessConditionFailedError):
        calls[verb](stale)
    assert container.read_item("1", partition_key="a")["n"] == 2
    calls[verb](fresh)
    assert ([] if verb == "delete" else [3]) == [found["n"] for found in container.read_all_items()]


def test_an_unchanged_item_is_not_read_again(container: ContainerProxy) -> None:
    etag = container.create_item(item())["_etag"]
    condition = MatchConditions.IfModified
    same = container.read_item("1", partition_key="a", etag=etag, match_condition=condition)
    other = container.read_item("1", partition_key="a", etag='"other"', match_condition=condition)

    assert dict(same) == {}
    assert other["id"] == "1"


def test_a_response_without_content(container: ContainerProxy) -> None:
    assert dict(container.create_item(item(), no_response=True)) == {}
    assert container.read_item("1", partition_key="a")["id"] == "1"


@pytest.mark.parametrize("key", ["a", 5, 5.5, True, None], ids=repr)
def test_partition_keys_of_all_types(container: ContainerProxy, key: Any) -> None:
    container.create_item({"id": "1", "tenant": key})
    container.create_item({"id": "1", "tenant": "other"})

    assert key == container.read_item("1", partition_key=key)["tenant"]
    asked = NullPartitionKeyValue if key is None else key  # None asks all partitions
    assert [key] == ask(container, "SELECT VALUE c.tenant FROM c", partition_key=asked)


def test_an_item_without_a_partition_key(container: ContainerProxy) -> None:
    container.create_item({"id": "1"})
    assert container.read_item("1", partition_key=NonePartitionKeyValue)["id"] == "1"
    with pytest.raises(CosmosResourceNotFoundError):
        container.read_item("1", partition_key="a")


def test_a_nested_partition_key(make: Callable[..., ContainerProxy]) -> None:
    container = make("/owner/name")
    container.create_item({"id": "1", "owner": {"name": "ann"}})

    assert container.read_item("1", partition_key="ann")["id"] == "1"


def test_unique_keys_hold_within_a_partition(make: Callable[..., ContainerProxy]) -> None:
    container = make(unique_key_policy={"uniqueKeys": [{"paths": ["/email", "/kind"]}]})
    container.create_item(item("1", email="x", kind=1))
    container.create_item(item("2", email="x", kind=2))
    container.create_item(item("1", "b", email="x", kind=1))
    with pytest.raises(CosmosResourceExistsError):
        container.create_item(item("3", email="x", kind=1))
    with pytest.raises(CosmosResourceExistsError):
        container.upsert_item(item("2", email="x", kind=1))
    assert container.upsert_item(item("1", email="x", kind=1, n=1))["n"] == 1


def test_time_to_live(make: Callable[..., ContainerProxy]) -> None:
    cases = [(1, None, False), (1, -1, True), (-1, 1, False), (-1, None, True), (None, 1, True), (1000, 1, False)]
    containers = [make(**({} if default is None else {"default_ttl": default})) for default, _, _ in cases]
    for container, (_, ttl, _) in zip(containers, cases, strict=True):
        container.create_item(item() if ttl is None else item(ttl=ttl))
    time.sleep(1.1)

    left = [
        (*case[:2], bool(list(container.read_all_items()))) for container, case in zip(containers, cases, strict=True)
    ]
    assert cases == left


def test_writers_with_etags_lose_nothing(container: ContainerProxy) -> None:
    container.create_item(item(n=0))

    def add(_: int) -> None:
        while True:
            found = container.read_item("1", partition_key="a")
            try:
                container.replace_item(
                    "1", {**found, "n": found["n"] + 1}, etag=found["_etag"], match_condition=IF_SAME
                )
            except CosmosAccessConditionFailedError:
                continue
            return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(40)))
    assert container.read_item("1", partition_key="a")["n"] == 40


# Patch and batch


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([{"op": "set", "path": "/n", "value": 2}], {"n": 2}),
        ([{"op": "add", "path": "/new", "value": {"x": 1}}], {"new": {"x": 1}}),
        ([{"op": "replace", "path": "/nested/x", "value": "y"}], {"nested": {"x": "y"}}),
        ([{"op": "remove", "path": "/nested/x"}], {"nested": {}}),
        ([{"op": "incr", "path": "/n", "value": -3}, {"op": "incr", "path": "/m", "value": 2}], {"n": -2, "m": 2}),
        (
            [{"op": "add", "path": "/list/-", "value": 3}, {"op": "add", "path": "/list/0", "value": 0}],
            {"list": [0, 1, 2, 3]},
        ),
        ([{"op": "set", "path": "/list/1", "value": 9}], {"list": [1, 9]}),
        ([{"op": "remove", "path": "/list/0"}], {"list": [2]}),
        ([{"op": "move", "from": "/n", "path": "/nested/n"}], {"nested": {"x": 1, "n": 1}}),
    ],
    ids=lambda value: "-".join(each["op"] for each in value) if isinstance(value, list) else "",
)
def test_patch(container: ContainerProxy, operations: list[dict[str, Any]], expected: dict[str, Any]) -> None:
    container.create_item(item(n=1, nested={"x": 1}, list=[1, 2]))
    patched = container.patch_item("1", "a", operations)

    assert expected == {name: patched[name] for name in expected}
    assert patched == container.read_item("1", partition_key="a")


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/absent", "value": 1},
        {"op": "remove", "path": "/absent"},
        {"op": "add", "path": "/absent/deeper", "value": 1},
        {"op": "incr", "path": "/text", "value": 1},
        {"op": "set", "path": "/tenant", "value": "b"},
        {"op": "set", "path": "/id", "value": "b"},
    ],
    ids=lambda operation: f"{operation['op']} {operation['path']}",
)
def test_a_patch_that_does_not_fit_changes_nothing(container: ContainerProxy, operation: dict[str, Any]) -> None:
    before = container.create_item(item(n=1, text="x"))
    refused(400, lambda: container.patch_item("1", "a", [{"op": "set", "path": "/n", "value": 2}, operation]))

    assert before == container.read_item("1", partition_key="a")


def test_a_patch_has_at_most_ten_operations(container: ContainerProxy) -> None:
    container.create_item(item(n=0))
    operations = [{"op": "incr", "path": "/n", "value": 1}] * 11
    refused(400, lambda: container.patch_item("1", "a", operations))

    assert container.patch_item("1", "a", operations[:10])["n"] == 10


def test_a_patch_with_a_predicate(container: ContainerProxy) -> None:
    container.create_item(item(state="Pending", n=1))
    operations = [{"op": "set", "path": "/state", "value": "Done"}]
    with pytest.raises(CosmosAccessConditionFailedError):
        container.patch_item("1", "a", operations, filter_predicate="FROM c WHERE c.state = 'pending'")

    done = container.patch_item("1", "a", operations, filter_predicate="from c where c.state = 'Pending' AND c.n > 0")
    assert done["state"] == "Done"


def test_a_batch_is_carried_out_whole(container: ContainerProxy) -> None:
    container.create_item(item("old", n=1))
    container.create_item(item("gone"))
    results = container.execute_item_batch(
        [
            ("create", (item("new"),)),
            ("upsert", (item("up", n=1),)),
            ("replace", ("old", item("old", n=2))),
            ("patch", ("up", [{"op": "incr", "path": "/n", "value": 5}]), {"filter_predicate": "from c where c.n = 1"}),
            ("read", ("old",)),
            ("delete", ("gone",)),
        ],
        partition_key="a",
    )

    assert [result["statusCode"] for result in results] == [201, 201, 200, 200, 200, 204]
    assert results[4]["resourceBody"]["n"] == 2
    assert container.read_item("up", partition_key="a")["n"] == 6
    assert sorted(found["id"] for found in container.read_all_items()) == ["new", "old", "up"]


def test_a_batch_is_not_carried_out_in_part(container: ContainerProxy) -> None:
    container.create_item(item("1", n=1))
    with pytest.raises(CosmosBatchOperationError) as caught:
        container.execute_item_batch(
            [
                ("upsert", (item("1", n=2),)),
                ("create", (item("2"),)),
                ("create", (item("1"),)),
                ("delete", ("1",)),
            ],
            partition_key="a",
        )

    assert (caught.value.error_index, caught.value.status_code) == (2, 409)
    assert [result["statusCode"] for result in caught.value.operation_responses] == [424, 424, 409, 424]
    assert [(found["id"], found["n"]) for found in container.read_all_items()] == [("1", 1)]


def test_a_batch_takes_etags(container: ContainerProxy) -> None:
    etag = container.create_item(item(n=1))["_etag"]
    container.upsert_item(item(n=2))
    with pytest.raises(CosmosBatchOperationError) as caught:
        container.execute_item_batch([("replace", ("1", item(n=3)), {"if_match_etag": etag})], partition_key="a")

    assert caught.value.status_code == 412


def test_a_batch_is_of_one_partition_and_at_most_100_operations(container: ContainerProxy) -> None:
    with pytest.raises(CosmosBatchOperationError) as caught:
        container.execute_item_batch([("create", (item("1", "b"),))], partition_key="a")
    assert caught.value.status_code == 400
    many: list[Any] = [("create", (item(str(number)),)) for number in range(101)]
    refused(400, lambda: container.execute_item_batch(many, partition_key="a"))
    assert len(container.execute_item_batch(many[:100], partition_key="a")) == 100


# Queries


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT VALUE c.n FROM c WHERE c.kind = 'x' ORDER BY c.n", [0, 2, 3]),
        ("SELECT VALUE c.n FROM c WHERE c.n > 1 AND NOT (c.kind = 'z') ORDER BY c.n DESC", [3, 2]),
        ("SELECT VALUE c.n FROM c WHERE c.n IN (1, 4, 9) ORDER BY c.n", [1, 4]),
        ("SELECT VALUE c.n FROM c WHERE c.n BETWEEN 2 AND 4 ORDER BY c.n", [2, 3, 4]),
        ("SELECT VALUE c.n FROM c WHERE c.name LIKE 'Item [2-4]' ORDER BY c.n", [2, 3, 4]),
        ("SELECT VALUE c.n FROM c WHERE CONTAINS(c.name, 'item', true) AND c.n < 2 ORDER BY c.n", [0, 1]),
        ("SELECT VALUE c.n FROM c WHERE IS_DEFINED(c.opt) ORDER BY c.n", [0, 1]),
        ("SELECT VALUE c.n FROM c WHERE IS_NULL(c.opt)", [0]),
        ("SELECT VALUE c.n FROM c WHERE ARRAY_CONTAINS(c.tags, {'name': 't1'}, true) ORDER BY c.n", [2, 5]),
        (
            "SELECT VALUE c.n FROM c WHERE EXISTS(SELECT VALUE t FROM t IN c.tags WHERE t.weight = 1) ORDER BY c.n",
            [2, 5],
        ),
        ("SELECT c.n, c.name AS title FROM c WHERE c.n = 1", [{"n": 1, "title": "Item 1"}]),
        ("SELECT c.n, c.absent FROM c WHERE c.n = 1", [{"n": 1}]),
        ("SELECT TOP 2 VALUE c.n FROM c ORDER BY c.n DESC", [5, 4]),
        ("SELECT VALUE c.n FROM c ORDER BY c.n OFFSET 1 LIMIT 2", [1, 2]),
        ("SELECT VALUE {'id': c.id, 'twice': c.n * 2} FROM c WHERE c.n = 3", [{"id": "3", "twice": 6}]),
        ("SELECT VALUE t.name FROM c JOIN t IN c.tags WHERE c.n = 5", ["t0", "t1"]),
        ("SELECT VALUE COUNT(1) FROM c", [6]),
        ("SELECT VALUE SUM(c.n) FROM c WHERE c.tenant = 'b'", [12]),
        ("SELECT VALUE MIN(c.n) FROM c", [0]),
        ("SELECT VALUE MAX(c.n) FROM c", [5]),
        ("SELECT VALUE AVG(c.n) FROM c", [2.5]),
    ],
)
def test_queries(shop: ContainerProxy, query: str, expected: list[Any]) -> None:
    assert expected == ask(shop, query)


def test_groups_and_distinct_values(shop: ContainerProxy) -> None:
    groups = ask(shop, "SELECT c.kind, COUNT(1) AS count, MAX(c.n) AS top FROM c GROUP BY c.kind", partition_key="a")
    assert sorted((group["kind"], group["count"], group["top"]) for group in groups) == [("x", 2, 2), ("y", 1, 1)]
    assert sorted(ask(shop, "SELECT DISTINCT VALUE c.kind FROM c", partition_key="b")) == ["x", "z"]


def test_parameters(shop: ContainerProxy) -> None:
    query = "SELECT VALUE c.n FROM c WHERE c.tenant = @tenant AND ARRAY_CONTAINS(@kinds, c.kind) ORDER BY c.n"

    assert ask(shop, query, values={"tenant": "b", "kinds": ["x", "y"]}) == [3]


def test_a_query_of_one_partition_sees_no_other(shop: ContainerProxy) -> None:
    assert sorted(ask(shop, "SELECT VALUE c.n FROM c", partition_key="a")) == [0, 1, 2]
    assert ask(shop, "SELECT VALUE c.n FROM c WHERE c.tenant = 'b'", partition_key="a") == []
    assert ask(shop, "SELECT VALUE COUNT(1) FROM c", partition_key="b") == [3]


def test_a_query_across_partitions_must_say_so(shop: ContainerProxy) -> None:
    refused(400, lambda: list(shop.query_items("SELECT * FROM c")))


@pytest.mark.parametrize(
    "query",
    [
        "SELEC * FROM c",
        "SELECT * FROM c WHERE",
        "SELECT * FROM c WHERE x.n = 1",
        "SELECT NOSUCH(c.n) FROM c",
        "SELECT 'x FROM c",
    ],
)
def test_a_wrong_query_is_400(shop: ContainerProxy, query: str) -> None:
    refused(400, lambda: ask(shop, query, partition_key="a"))


@pytest.mark.parametrize(
    "query",
    [
        "SELECT VALUE c.n FROM c",
        "SELECT VALUE c.n FROM c ORDER BY c.n DESC",
        "SELECT TOP 5 VALUE c.n FROM c ORDER BY c.n",
    ],
)
@pytest.mark.parametrize("scope", [{"partition_key": "a"}, {"enable_cross_partition_query": True}], ids=["key", "all"])
def test_pages(shop: ContainerProxy, query: str, scope: dict[str, Any]) -> None:
    pages = [list(page) for page in shop.query_items(query, max_item_count=2, **scope).by_page()]
    whole = ask(shop, query, **scope)

    assert all(0 < len(page) <= 2 for page in pages)
    assert whole == [each for page in pages for each in page]


def test_a_continuation_token_goes_on_in_another_client(shop: ContainerProxy, server: Backend) -> None:
    query = "SELECT VALUE c.n FROM c ORDER BY c.n"
    pages = shop.query_items(query, partition_key="a", max_item_count=2).by_page()
    assert list(next(pages)) == [0, 1]
    token = pages.continuation_token
    assert token
    with CosmosClient(server.endpoint, server.key) as client:
        other = client.get_database_client(shop.container_link.split("/")[1]).get_container_client(shop.id)
        rest = list(other.query_items(query, partition_key="a", max_item_count=2).by_page(token))

        assert [list(page) for page in rest] == [[2]]
        wrong = base64.b64encode(b"nonsense").decode()
        refused(400, lambda: list(next(other.query_items(query, partition_key="a").by_page(wrong))))


def test_what_is_deleted_between_pages_hides_nothing(container: ContainerProxy) -> None:
    for number in range(6):
        container.create_item(item(str(number), n=number))
    pages = container.query_items("SELECT * FROM c ORDER BY c.n", partition_key="a", max_item_count=2).by_page()
    seen = []
    for page in pages:
        found = list(page)
        seen += [each["n"] for each in found]
        for each in found:
            container.delete_item(each["id"], partition_key="a")

    assert seen == [0, 1, 2, 3, 4, 5]


def test_read_items(shop: ContainerProxy) -> None:
    found = shop.read_items([("0", "a"), ("3", "b"), ("9", "a"), ("1", "b")])

    assert sorted(each["n"] for each in found) == [0, 3]


# Hierarchical partition keys


@pytest.fixture(scope="module")
def sessions(database: DatabaseProxy) -> ContainerProxy:
    key = PartitionKey(path=["/tenant", "/user", "/session"])
    container = database.create_container(f"sessions-{uuid4().hex[:8]}", partition_key=key)
    for tenant, user, session in [("t1", "u1", "s1"), ("t1", "u1", "s2"), ("t1", "u2", "s1"), ("t2", "u1", "s1")]:
        container.create_item({"id": "state", "tenant": tenant, "user": user, "session": session})
    return container


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        (["t1"], ["t1/u1/s1", "t1/u1/s2", "t1/u2/s1"]),
        (["t1", "u1"], ["t1/u1/s1", "t1/u1/s2"]),
        (["t1", "u2", "s1"], ["t1/u2/s1"]),
        (["t"], []),
    ],
    ids="-".join,
)
def test_a_prefix_of_a_hierarchical_key(sessions: ContainerProxy, prefix: list[str], expected: list[str]) -> None:
    query = "SELECT VALUE CONCAT(c.tenant, '/', c.user, '/', c.session) FROM c"

    assert expected == sorted(ask(sessions, query, partition_key=prefix))
    pages = sessions.query_items(query, partition_key=prefix, max_item_count=1).by_page()
    assert expected == sorted(each for page in pages for each in page)


def test_an_item_of_a_hierarchical_key(sessions: ContainerProxy) -> None:
    assert sessions.read_item("state", partition_key=["t1", "u2", "s1"])["user"] == "u2"
    with pytest.raises(CosmosResourceNotFoundError):
        sessions.read_item("state", partition_key=["t2", "u2", "s1"])
    refused(400, lambda: sessions.read_item("state", partition_key=["t1", "u2"]))


# Change feed


def feed(container: ContainerProxy, **options: Any) -> tuple[list[str], str]:
    """Return the ids of the changed items, and where to go on."""
    found = container.query_items_change_feed(**options)
    ids = [each["id"] for each in found]
    return ids, container.client_connection.last_response_headers["etag"]


def test_the_change_feed_has_each_item_once_in_the_order_of_changes(container: ContainerProxy) -> None:
    for name in ("1", "2", "3"):
        container.create_item(item(name))
    container.upsert_item(item("1", n=2))
    container.delete_item("2", partition_key="a")

    assert feed(container, start_time="Beginning")[0] == ["3", "1"]


def test_the_change_feed_goes_on(container: ContainerProxy) -> None:
    container.create_item(item("1"))
    ids, token = feed(container, start_time="Beginning")
    assert ids == ["1"]
    assert feed(container, continuation=token)[0] == []
    container.create_item(item("2"))
    container.upsert_item(item("1"))

    assert feed(container, continuation=token)[0] == ["2", "1"]


def test_the_change_feed_from_now(container: ContainerProxy) -> None:
    container.create_item(item("1"))
    ids, token = feed(container, start_time="Now")
    assert ids == []
    container.create_item(item("2"))

    assert feed(container, continuation=token)[0] == ["2"]


def test_the_change_feed_of_a_partition(container: ContainerProxy) -> None:
    for name, tenant in (("1", "a"), ("2", "b"), ("3", "a")):
        container.create_item(item(name, tenant))

    assert feed(container, start_time="Beginning", partition_key="a")[0] == ["1", "3"]
    ranges = list(container.read_feed_ranges())
    assert sorted(name for each in ranges for name in feed(container, start_time="Beginning", feed_range=each)[0]) == [
        "1",
        "2",
        "3",
    ]


def test_the_change_feed_in_pages(container: ContainerProxy) -> None:
    for number in range(5):
        container.create_item(item(str(number)))
    pages = container.query_items_change_feed(start_time="Beginning", max_item_count=2).by_page()

    assert [ids for page in pages if (ids := [each["id"] for each in page])] == [["0", "1"], ["2", "3"], ["4"]]


# Access


def test_a_wrong_key_is_401(server: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_COSMOS_HEALTH_CHECK_MAX_RETRIES", "0")  # or the SDK asks again for a second and a half
    wrong = base64.b64encode(b"another key").decode()
    error = refused(401, lambda: CosmosClient(server.endpoint, wrong))

    assert "wrong key" in str(error)
    assert wrong not in str(error)


# The asynchronous client


def test_the_asynchronous_client(server: Backend, database: DatabaseProxy) -> None:
    async def use() -> list[Any]:
        async with AsyncClient(server.endpoint, server.key) as client:
            own = client.get_database_client(database.id)
            container = await own.create_container(
                f"aio-{uuid4().hex[:8]}", partition_key=PartitionKey(path=["/tenant", "/session"])
            )
            for number in range(5):
                await container.create_item({"id": str(number), "tenant": "a", "session": str(number % 2), "n": number})
            first = await container.read_item("1", partition_key=["a", "1"])
            with pytest.raises(CosmosAccessConditionFailedError):
                await container.replace_item("1", dict(first), etag='"stale"', match_condition=IF_SAME)
            with pytest.raises(CosmosResourceNotFoundError):
                await container.read_item("9", partition_key=["a", "1"])
            await container.patch_item("1", ["a", "1"], [{"op": "incr", "path": "/n", "value": 10}])
            query = container.query_items("SELECT VALUE c.n FROM c", partition_key=["a"], max_item_count=2)
            found = [each async for each in query]
            counts = container.query_items("SELECT VALUE COUNT(1) FROM c", partition_key=["a", "0"])
            changes = [each["id"] async for each in container.query_items_change_feed(start_time="Beginning")]
            return [sorted(found), [each async for each in counts], changes]

    assert asyncio.run(use()) == [[0, 2, 3, 4, 11], [3], ["0", "2", "3", "4", "1"]]
