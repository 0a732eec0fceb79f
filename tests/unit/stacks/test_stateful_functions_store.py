"""The store against containers that know the real clients' methods and raise their errors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import Any
from unittest.mock import create_autospec

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.cosmos import ContainerProxy
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosHttpResponseError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)
from azure.storage.blob import ContainerClient, ContentSettings

from tests.unit.stacks.loading import load

cosmos_store, artefact_blobs, state = load("stateful_functions", "cosmos_store", "artefact_blobs", "state")

SMALL = b'{"turn": 1}'
LARGE = b'{"turn": "' + b"x" * 100 + b'"}'
INLINE_BYTES = 50


class Items:
    """A Cosmos DB container in memory. `client` takes what a `ContainerProxy` takes and nothing else."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], dict[str, Any]] = {}
        self.behind: list[dict[str, Any] | None] = []
        """What the next reads return, as a replica does that has not heard of the last writes."""
        self.writes = 0
        self.client = create_autospec(ContainerProxy, instance=True)
        for name in ("read_item", "create_item", "replace_item", "delete_item", "query_items"):
            getattr(self.client, name).side_effect = getattr(self, name)

    def read_item(self, item: str, partition_key: list[str]) -> dict[str, Any]:
        found = self.behind.pop(0) if self.behind else self.kept.get((partition_key[0], partition_key[1]))
        if found is None or found["id"] != item:
            raise CosmosResourceNotFoundError(status_code=404)
        return found

    def create_item(self, body: dict[str, Any]) -> dict[str, Any]:
        if (body["tenantId"], body["sessionId"]) in self.kept:
            raise CosmosResourceExistsError(status_code=409)
        return self._keep(body)

    def replace_item(
        self, item: str, body: dict[str, Any], *, etag: str, match_condition: MatchConditions
    ) -> dict[str, Any]:
        assert item == body["id"]
        self._check([body["tenantId"], body["sessionId"]], etag, match_condition)
        return self._keep(body)

    def delete_item(self, item: str, partition_key: list[str], *, etag: str, match_condition: MatchConditions) -> None:
        self._check(partition_key, etag, match_condition)
        assert item == self.kept.pop((partition_key[0], partition_key[1]))["id"]

    def query_items(
        self, query: str, *, parameters: list[dict[str, Any]], partition_key: list[str], max_item_count: int
    ) -> Iterator[dict[str, Any]]:
        """Answer as two physical partitions do: each in order, one after the other."""
        values = {parameter["name"]: parameter["value"] for parameter in parameters}
        assert query.count("@") == len(values)
        assert partition_key == [values["@tenant"]]
        assert max_item_count == values["@count"]
        names = sorted(name for of, name in self.kept if of == partition_key[0] and name > values["@after"])
        for partition in (names[1::2], names[0::2]):
            for name in partition[: values["@count"]]:
                yield self.kept[partition_key[0], name]

    def _check(self, key: list[str], etag: str, match_condition: MatchConditions) -> None:
        assert match_condition is MatchConditions.IfNotModified
        kept = self.kept.get((key[0], key[1]))
        if kept is None:
            raise CosmosResourceNotFoundError(status_code=404)
        if kept["_etag"] != etag:
            raise CosmosAccessConditionFailedError(status_code=412)

    def _keep(self, body: dict[str, Any]) -> dict[str, Any]:
        self.writes += 1
        kept = body | {"_etag": f'"{self.writes}"', "_ts": 1_767_323_045}
        self.kept[body["tenantId"], body["sessionId"]] = kept
        return kept


class Blobs:
    """A blob container in memory. `client` takes what a `ContainerClient` takes and nothing else."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.client = create_autospec(ContainerClient, instance=True)
        for name in ("upload_blob", "download_blob", "delete_blob"):
            getattr(self.client, name).side_effect = getattr(self, name)

    def upload_blob(self, name: str, data: bytes, *, overwrite: bool, content_settings: ContentSettings) -> None:
        assert not overwrite
        assert content_settings.content_type == "application/json"
        if name in self.kept:
            raise ResourceExistsError
        self.kept[name] = data

    def download_blob(self, blob: str) -> Any:
        if blob not in self.kept:
            raise ResourceNotFoundError
        return Download(self.kept[blob])

    def delete_blob(self, blob: str) -> None:
        if self.kept.pop(blob, None) is None:
            raise ResourceNotFoundError


class Download:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def readall(self) -> bytes:
        return self.data


class Fixture:
    """A store, what is behind it, and how long it has slept."""

    def __init__(self) -> None:
        self.items, self.blobs, self.slept = Items(), Blobs(), list[float]()
        self.store = cosmos_store.CosmosStore(
            self.items.client, artefact_blobs.ArtefactBlobs(self.blobs.client), INLINE_BYTES, self.slept.append
        )

    @property
    def item(self) -> dict[str, Any]:
        (item,) = self.items.kept.values()
        return item

    def create(self, data: bytes = SMALL, session: str = "s") -> str:
        return str(self.store.create("t", session, data, None))

    def replace(self, data: bytes, etag: str) -> str:
        return str(self.store.replace("t", "s", data, None, etag))

    def read(self) -> bytes:
        found: bytes = self.store.get("t", "s").data
        return found


@pytest.fixture
def given() -> Fixture:
    return Fixture()


def test_a_small_state_is_in_the_item(given: Fixture) -> None:
    etag = given.create()

    assert given.item == {
        "id": "state",
        "tenantId": "t",
        "sessionId": "s",
        "bytes": 11,
        "state": '{"turn": 1}',
        "_etag": etag,
        "_ts": 1_767_323_045,
    }
    assert (given.blobs.kept, given.read()) == ({}, SMALL)


def test_a_large_state_is_in_a_blob_that_the_item_names(given: Fixture) -> None:
    given.create(LARGE)
    ((name, data),) = given.blobs.kept.items()

    assert name.startswith("t/s/")
    assert LARGE == data == given.read()
    assert "state" not in given.item
    assert {"blob": name, "sha256": sha256(LARGE).hexdigest(), "bytes": len(LARGE)}.items() <= given.item.items()


@pytest.mark.parametrize(("size", "blobs"), [(INLINE_BYTES, 0), (INLINE_BYTES + 1, 1)])
def test_where_small_ends(given: Fixture, size: int, blobs: int) -> None:
    data = b'{"x":"' + b"y" * (size - 8) + b'"}'
    given.create(data)

    assert (size, blobs, data) == (len(data), len(given.blobs.kept), given.read())


@pytest.mark.parametrize(("ttl", "kept"), [(90, {"ttl": 90}), (None, {})])
def test_a_time_to_live_of_its_own(given: Fixture, ttl: int | None, kept: dict[str, int]) -> None:
    given.store.create("t", "s", SMALL, ttl)

    assert kept == {key: value for key, value in given.item.items() if key == "ttl"}


def test_what_is_not_there(given: Fixture) -> None:
    assert given.store.get("t", "s") is None


def test_a_session_that_exists_is_not_made(given: Fixture) -> None:
    given.create()
    with pytest.raises(state.Conflict):
        given.create(b"{}")

    assert given.read() == SMALL


@pytest.mark.parametrize("before", [SMALL, LARGE])
@pytest.mark.parametrize("after", [b"{}", LARGE.upper()])
def test_replacing_leaves_no_blob_behind(given: Fixture, before: bytes, after: bytes) -> None:
    etag = given.replace(after, given.create(before))

    assert (after, etag) == (given.read(), given.item["_etag"])
    assert [after] * (len(after) > INLINE_BYTES) == list(given.blobs.kept.values())


def test_equal_states_share_no_blob(given: Fixture) -> None:
    given.create(LARGE, "one")
    given.create(LARGE, "two")

    assert len(given.blobs.kept) == 2


@pytest.mark.parametrize("etag", ['"7"', None])
def test_a_refused_writer_changes_nothing_that_is_read(given: Fixture, etag: str | None) -> None:
    """Its own blob is left to expire: nobody can tell a refusal from the second try of a write that went through."""
    if etag is not None:
        given.create(LARGE)
    before = dict(given.blobs.kept)
    with pytest.raises(state.Conflict):
        given.replace(LARGE.upper(), etag or '"1"')

    assert {LARGE.upper()} == {data for name, data in given.blobs.kept.items() if name not in before}
    assert before.items() <= given.blobs.kept.items()
    assert given.store.get("t", "s") == (None if etag is None else state.State(LARGE, '"1"'))


def test_a_reader_that_meets_a_writer_reads_again(given: Fixture) -> None:
    etag = given.create(LARGE)
    given.items.behind = [given.item]
    given.replace(LARGE.upper(), etag)
    given.items.behind = [given.item | {"blob": "t/s/replaced"}]

    assert LARGE.upper() == given.read()
    assert given.slept == [0.0, 0.05]


def test_a_writer_that_reads_an_older_version_deletes_no_blob(given: Fixture) -> None:
    """A replica that is behind must neither refuse a good write nor say which blob was replaced."""
    older = given.create(LARGE)
    stale = given.item
    etag = given.replace(LARGE.upper(), older)
    given.blobs.kept[stale["blob"]] = LARGE
    given.items.behind = [stale]
    given.replace(b"{}", etag)

    assert given.read() == b"{}"
    assert sorted([LARGE, LARGE.upper()]) == sorted(given.blobs.kept.values())


def test_a_blob_that_is_gone_for_good_is_an_error_and_not_an_empty_session(given: Fixture) -> None:
    given.create(LARGE)
    given.blobs.kept.clear()
    with pytest.raises(cosmos_store.DamagedStateError, match="session s of tenant t names a blob that is not there"):
        given.read()

    assert given.slept == [0.0, 0.05, 0.2]


def test_a_blob_that_was_changed_is_an_error(given: Fixture) -> None:
    given.create(LARGE)
    given.blobs.kept[given.item["blob"]] = LARGE.upper()
    with pytest.raises(cosmos_store.DamagedStateError, match="is not what was written"):
        given.read()


def test_no_item_is_written_when_its_blob_is_not(given: Fixture) -> None:
    given.blobs.client.upload_blob.side_effect = HttpResponseError
    with pytest.raises(HttpResponseError):
        given.create(LARGE)

    assert given.items.kept == {}


def test_a_blob_stays_when_nobody_knows_whether_its_item_was_written(given: Fixture) -> None:
    def times_out(body: dict[str, Any]) -> None:
        given.items.create_item(body)
        raise CosmosHttpResponseError(status_code=408)

    given.items.client.create_item.side_effect = times_out
    with pytest.raises(CosmosHttpResponseError):
        given.create(LARGE)

    assert given.read() == LARGE


def test_a_blob_that_cannot_be_deleted_does_not_fail_the_write(
    given: Fixture, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    etag = given.create(LARGE)
    name = given.item["blob"]
    given.blobs.client.delete_blob.side_effect = HttpResponseError
    given.replace(b"{}", etag)

    assert given.read() == b"{}"
    assert [f'{{"event": "blob-left-to-expire", "blob": "{name}", "error": "HttpResponseError"}}'] == caplog.messages


@pytest.mark.parametrize("data", [SMALL, LARGE])
def test_deleting_takes_item_and_blob(given: Fixture, data: bytes) -> None:
    given.store.delete("t", "s", given.create(data))

    assert (given.items.kept, given.blobs.kept) == ({}, {})


def test_a_blob_that_has_expired_already_does_not_matter(given: Fixture) -> None:
    etag = given.create(LARGE)
    given.blobs.kept.clear()
    given.store.delete("t", "s", etag)

    assert given.items.kept == {}


@pytest.mark.parametrize("etag", ['"7"', None])
def test_what_has_changed_or_is_gone_is_not_deleted(given: Fixture, etag: str | None) -> None:
    if etag is not None:
        given.create(LARGE)
    with pytest.raises(state.Conflict):
        given.store.delete("t", "s", etag or '"1"')

    assert len(given.blobs.kept) == (0 if etag is None else 1)


def test_a_list_is_in_order_whatever_partitions_the_sessions_are_in(given: Fixture) -> None:
    for name in ("d", "a", "c", "b", "e"):
        given.create(session=name)
    given.store.create("other", "aa", SMALL, None)

    assert [item.session for item in given.store.list("t", "", 3)] == ["a", "b", "c"]
    assert [item.session for item in given.store.list("t", "b", 5)] == ["c", "d", "e"]
    assert given.store.list("t", "e", 5) == []


def test_what_a_list_says(given: Fixture) -> None:
    etag = given.create(LARGE)
    (item,) = given.store.list("t", "", 5)

    assert (item.session, item.etag, item.size) == ("s", etag, len(LARGE))
    assert item.written.isoformat() == "2026-01-02T03:04:05+00:00"


CALLS: Mapping[str, Callable[[Fixture], object]] = {
    "read_item": lambda given: given.read(),
    "create_item": lambda given: given.create(),
    "replace_item": lambda given: given.replace(SMALL, '"1"'),
    "delete_item": lambda given: given.store.delete("t", "s", '"1"'),
    "query_items": lambda given: given.store.list("t", "", 5),
}


@pytest.mark.parametrize("method", CALLS)
def test_what_the_database_cannot_do_is_not_hidden(given: Fixture, method: str) -> None:
    getattr(given.items.client, method).side_effect = CosmosHttpResponseError(status_code=429)
    with pytest.raises(CosmosHttpResponseError):
        CALLS[method](given)
