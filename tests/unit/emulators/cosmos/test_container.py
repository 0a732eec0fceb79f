"""The state of a container, with a clock that stands still until it is told to go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ringfence.emulators.cosmos import Container, ContainerPartitionKey, ContainerSettings, UniqueKey, UniqueKeyPolicy
from ringfence.emulators.cosmos.batch import execute
from ringfence.emulators.cosmos.change_feed import changes_since, parse_start
from ringfence.emulators.cosmos.container import LARGEST_ITEM, Precondition
from ringfence.emulators.cosmos.partition import Scope
from tests.unit.emulators.cosmos.helpers import START, ManualClock, key_of, make_container, refusal


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def container(clock: ManualClock) -> Container:
    return make_container(clock)


def item(name: str = "1", tenant: str = "a", **properties: Any) -> dict[str, Any]:
    return {"id": name, "tenant": tenant, **properties}


def put(container: Container, *names: str, tenant: str = "a") -> None:
    for name in names:
        container.write("upsert", None, item(name, tenant))


def names(container: Container, *prefix: Any) -> list[str]:
    scope = Scope(key_of(container, *prefix)) if prefix else None
    return [found.id for found in container.items(scope)]


def test_an_item_gets_the_services_properties(container: Container, clock: ManualClock) -> None:
    clock.wait(0.9)
    stored, new = container.write("create", None, item(n=1))

    assert new
    assert {"id": "1", "tenant": "a", "n": 1, "_ts": int(START), "_attachments": "attachments/"} == {
        name: value for name, value in stored.body.items() if name not in ("_rid", "_self", "_etag")
    }
    assert f"{container.link}docs/{stored.body['_rid']}/" == stored.body["_self"]
    assert stored.body["_etag"].startswith('"')
    assert stored is container.read(key_of(container, "a"), "1")


def test_what_a_client_says_of_the_services_properties_does_not_count(container: Container) -> None:
    first, _ = container.write("create", None, item(_etag="mine", _ts=1, _rid="x"))
    second, _ = container.write("replace", None, dict(first.body))

    assert (first.body["_ts"], first.etag) != (START, "mine")
    assert first.etag != second.etag
    assert first.body["_rid"] == second.body["_rid"]


@pytest.mark.parametrize(
    ("mode", "there", "status"),
    [("create", True, 409), ("replace", False, 404)],
)
def test_a_write_that_cannot_be(container: Container, mode: Any, there: bool, status: int) -> None:
    if there:
        put(container, "1")

    assert status == refusal(lambda: container.write(mode, None, item())).status


@pytest.mark.parametrize(
    ("document", "status", "substatus"),
    [
        ([], 400, 0),
        ({"tenant": "a"}, 400, 0),
        ({"id": 5, "tenant": "a"}, 400, 0),
        ({"id": "", "tenant": "a"}, 400, 0),
        ({"id": "a/b", "tenant": "a"}, 400, 0),
        ({"id": "x" * 1024, "tenant": "a"}, 400, 0),
        ({"id": "1", "tenant": ["a"]}, 400, 1001),
        ({"id": "1", "tenant": {"a": 1}}, 400, 1001),
        ({"id": "1", "tenant": "x" * 2049}, 400, 0),
        ({"id": "1", "tenant": "b"}, 400, 1001),
        ({"id": "1", "tenant": "a", "ttl": 0}, 400, 0),
        ({"id": "1", "tenant": "a", "ttl": "5"}, 400, 0),
        ({"id": "1", "tenant": "a", "ttl": True}, 400, 0),
        ({"id": "1", "tenant": "a", "text": "x" * LARGEST_ITEM}, 413, 0),
        ({"id": "1", "tenant": "a", "text": "é" * (LARGEST_ITEM // 2)}, 413, 0),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wrong_documents(container: Container, document: Any, status: int, substatus: int) -> None:
    error = refusal(lambda: container.write("create", key_of(container, "a"), document))

    assert (status, substatus) == (error.status, error.substatus)
    assert container.items() == []


def test_an_item_is_as_large_as_its_text(container: Container) -> None:
    overhead = len('{"id":"1","tenant":"a","text":""}')
    stored, _ = container.write("create", None, item(text="x" * (LARGEST_ITEM - overhead)))

    assert stored.size == LARGEST_ITEM
    assert (
        refusal(lambda: container.write("create", None, item("2", text="x" * (LARGEST_ITEM - overhead + 1)))).status
        == 413
    )


@pytest.mark.parametrize(
    ("match", "none_match", "passes"),
    [
        (None, None, True),
        ("own", None, True),
        ("*", None, True),
        ('"other"', None, False),
        (None, "own", False),
        (None, "*", False),
        (None, '"other"', True),
    ],
)
@pytest.mark.parametrize("verb", ["upsert", "replace", "patch", "delete"])
def test_preconditions(
    container: Container, verb: str, match: str | None, none_match: str | None, passes: bool
) -> None:
    own = container.write("create", None, item(n=1))[0].etag
    condition = Precondition(own if match == "own" else match, own if none_match == "own" else none_match)
    key = key_of(container, "a")
    calls: dict[str, Callable[[], object]] = {
        "upsert": lambda: container.write("upsert", None, item(n=2), condition),
        "replace": lambda: container.write("replace", None, item(n=2), condition),
        "patch": lambda: container.patch(key, "1", [{"op": "set", "path": "/n", "value": 2}], condition),
        "delete": lambda: container.delete(key, "1", condition),
    }
    if passes:
        calls[verb]()
    else:
        assert refusal(calls[verb]).status == 412

    expected = [1] if not passes else [] if verb == "delete" else [2]
    assert expected == [found.body["n"] for found in container.items()]


def test_an_upsert_of_what_is_not_there_needs_no_etag(container: Container) -> None:
    _, new = container.write("upsert", None, item(), Precondition(match='"any"'))

    assert new


def test_the_same_id_in_two_partitions_is_two_items(container: Container) -> None:
    for tenant in ("a", "b", 1, True, None):
        container.write("create", None, item("1", tenant))  # type: ignore[arg-type]
    container.write("create", None, {"id": "1"})
    container.delete(key_of(container, "a"), "1")

    assert [found.body.get("tenant", "none") for found in container.items()] == ["b", 1, True, None, "none"]
    assert refusal(lambda: container.write("create", None, item("1", 1.0))).status == 409  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("default", "ttl", "expires"),
    [
        (None, 10, None),
        (None, None, None),
        (-1, None, None),
        (-1, 10, 10),
        (20, None, 20),
        (20, 10, 10),
        (20, 30, 30),
        (20, -1, None),
    ],
)
def test_time_to_live(clock: ManualClock, default: int | None, ttl: int | None, expires: int | None) -> None:
    container = make_container(clock, default_ttl=default)
    container.write("create", None, item() if ttl is None else item(ttl=ttl))
    clock.wait((expires or 10_000) - 0.1)
    assert names(container) == ["1"]
    clock.wait(0.1)

    assert ([] if expires else ["1"]) == names(container)
    assert expires is None or container.write("create", None, item())[1]


def test_a_write_begins_the_time_to_live_anew(clock: ManualClock) -> None:
    container = make_container(clock, default_ttl=10)
    put(container, "1", "2")
    clock.wait(9)
    put(container, "1")
    clock.wait(5)

    assert names(container) == ["1"]


def test_another_default_counts_for_old_items(clock: ManualClock) -> None:
    container = make_container(clock)
    put(container, "1")
    clock.wait(100)
    settings = container.settings
    key = settings.partition_key
    container.replace_settings(ContainerSettings(id="c", partition_key=key, default_ttl=50))
    assert names(container) == []
    put(container, "2")
    container.replace_settings(settings)
    clock.wait(100)
    assert names(container) == ["2"]


def test_what_a_container_keeps_for_good(container: Container) -> None:
    other = ContainerSettings(id="c", partition_key=ContainerPartitionKey(paths=("/x",)))
    unique = ContainerSettings(
        id="c",
        partition_key=container.settings.partition_key,
        unique_key_policy=UniqueKeyPolicy(unique_keys=(UniqueKey(paths=("/e",)),)),
    )
    for settings in (other, unique):
        assert refusal(lambda settings=settings: container.replace_settings(settings)).status == 400  # type: ignore[misc]


def test_unique_keys(clock: ManualClock) -> None:
    unique = UniqueKeyPolicy(unique_keys=(UniqueKey(paths=("/a/b", "/c")), UniqueKey(paths=("/d",))))
    container = make_container(clock, unique_key_policy=unique)
    container.write("create", None, item("1", a={"b": 1}, c=1, d=1))
    container.write("create", None, item("2", a={"b": 1}, c=2, d=2))
    container.write("create", None, item("1", "b", a={"b": 1}, c=1, d=1))
    container.write("create", None, item("3"))
    taken = (item("4", a={"b": 1.0}, c=1, d=4), item("4", d=1), item("4"), item("2", a={"b": 1}, c=1, d=2))

    assert [
        refusal(lambda document=document: container.write("upsert", None, document)).status  # type: ignore[misc]
        for document in taken
    ] == [409, 409, 409, 409]
    assert not container.write("upsert", None, item("1", a={"b": 1}, c=1, d=1))[1]


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        (("t1",), ["1", "2", "3"]),
        (("t1", "u1"), ["1", "2"]),
        (("t1", "u1", 1), ["1"]),
        (("t1", "u1", True), []),
        (("t",), []),
    ],
)
def test_prefixes_of_a_hierarchical_key(clock: ManualClock, prefix: tuple[Any, ...], expected: list[str]) -> None:
    container = make_container(clock, "/t", "/u", "/s")
    for name, (tenant, user, session) in enumerate(
        [("t1", "u1", 1), ("t1", "u1", 2), ("t1", "u2", 1), ("t2", "u1", 1)], 1
    ):
        container.write("create", None, {"id": str(name), "t": tenant, "u": user, "s": session})
    key = key_of(container, *prefix)

    assert expected == names(container, *prefix)
    by_range = container.items(Scope(None, key.effective, f"{key.effective}FF"))  # as the SDK asks
    assert expected == [found.id for found in by_range]
    if len(prefix) < 3:
        assert refusal(lambda: container.read(key, "1")).status == 400


def test_a_transaction_is_all_or_nothing(container: Container) -> None:
    put(container, "1")
    before = container.change

    def work() -> None:
        with container.transaction():
            put(container, "1", "2")
            container.delete(key_of(container, "a"), "1")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        work()
    assert (names(container), container.change) == (["1"], before)


# Batches


def operation(kind: str, name: str = "1", **options: Any) -> dict[str, Any]:
    body = None if kind in ("Read", "Delete") else item(name, n=kind)
    return {"operationType": kind, "id": name, "resourceBody": body, **options}


def test_a_batch_in_order(container: Container) -> None:
    key = key_of(container, "a")
    operations = [operation(kind) for kind in ("Create", "Upsert", "Replace", "Read", "Delete", "Create")]
    status, results = execute(container, key, operations)

    assert (status, [result["statusCode"] for result in results]) == (200, [201, 200, 200, 200, 204, 201])
    assert results[3]["resourceBody"]["n"] == "Replace"
    assert container.change == 1


@pytest.mark.parametrize(
    ("failing", "status"),
    [
        (operation("Create"), 409),
        (operation("Read", "9"), 404),
        (operation("Delete", ifMatch='"other"'), 412),
        (operation("Replace", resourceBody=item("2")), 400),
        (operation("Upsert", resourceBody=item("1", "b")), 400),
        (operation("Patch", resourceBody={"operations": [{"op": "remove", "path": "/x"}]}), 400),
        (operation("Execute"), 400),
        ("nonsense", 400),
    ],
    ids=str,
)
def test_a_batch_that_fails(container: Container, failing: Any, status: int) -> None:
    put(container, "1")
    before = container.read(key_of(container, "a"), "1")
    found, results = execute(container, key_of(container, "a"), [operation("Upsert"), failing, operation("Read")])

    assert (207, [424, status, 424]) == (found, [result["statusCode"] for result in results])
    assert before is container.read(key_of(container, "a"), "1")


@pytest.mark.parametrize(
    ("operations", "status"),
    [
        ([], 400),
        ({}, 400),
        ([operation("Read")] * 101, 400),
        ([operation("Create", resourceBody=item(t="x" * 2**21))], 413),
    ],
    ids=["none", "no list", "too many", "too large"],
)
def test_no_batch(container: Container, operations: Any, status: int) -> None:
    assert status == refusal(lambda: execute(container, key_of(container, "a"), operations)).status


# The change feed


def feed(container: Container, after: int = 0, size: int = 100, **options: Any) -> tuple[list[str], int]:
    page = changes_since(container, options.pop("scope", Scope()), after, size, **options)
    return [found.id for found in page.items], page.change


def test_the_change_feed(container: Container) -> None:
    put(container, "1", "2", "3")
    put(container, "1")
    container.delete(key_of(container, "a"), "2")

    assert feed(container) == (["3", "1"], 5)
    assert feed(container, size=1) == (["3"], 3)
    assert feed(container, after=3, size=1) == (["1"], 5)
    assert feed(container, after=5) == ([], 5)


def test_the_change_feed_keeps_a_batch_together(container: Container) -> None:
    put(container, "0")
    execute(container, key_of(container, "a"), [operation("Create", name) for name in "123"])
    put(container, "4")

    assert feed(container, size=2) == (["0", "1", "2", "3"], 2)
    assert feed(container, after=2, size=2) == (["4"], 3)


def test_the_change_feed_of_some_partitions_and_times(container: Container, clock: ManualClock) -> None:
    put(container, "1")
    put(container, "2", tenant="b")
    clock.wait(10)
    put(container, "3")
    scope = Scope(key_of(container, "a"))

    assert feed(container, scope=scope) == (["1", "3"], 3)
    assert feed(container, modified_since=START + 5) == (["3"], 3)
    own = key_of(container, "b").effective
    assert feed(container, scope=Scope(None, own, own)) == (["2"], 3)


def test_where_a_change_feed_starts(container: Container) -> None:
    put(container, "1", "2")

    assert [parse_start(container, header) for header in (None, "*", '"1"', "7")] == [0, 2, 1, 7]
    assert refusal(lambda: parse_start(container, '"x"')).status == 400
