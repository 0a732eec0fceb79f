from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.unit.stacks.loading import load

(state,) = load("stateful_functions", "state")


class Store:
    """Keeps sessions in memory; every write makes a new version."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Any] = {}
        self.versions = 0

    def get(self, tenant: str, session: str) -> Any:
        return self.kept.get((tenant, session))

    def create(self, tenant: str, session: str, data: Mapping[str, Any]) -> Any:
        if (tenant, session) in self.kept:
            raise state.Conflict
        return self._keep(tenant, session, data)

    def replace(self, tenant: str, session: str, data: Mapping[str, Any], etag: str) -> Any:
        kept = self.kept.get((tenant, session))
        if kept is None or kept.etag != etag:
            raise state.Conflict
        return self._keep(tenant, session, data)

    def _keep(self, tenant: str, session: str, data: Mapping[str, Any]) -> Any:
        self.versions += 1
        self.kept[tenant, session] = state.State(data, f'"{self.versions}"')
        return self.kept[tenant, session]


NEW = {"If-None-Match": "*"}


def put(store: Store, body: bytes, headers: Mapping[str, str], tenant: str = "t", session: str = "s") -> Any:
    return state.write(store, tenant, session, body, headers)


def test_a_session_is_made_read_and_replaced() -> None:
    store = Store()
    made = put(store, b'{"turn": 1}', NEW)
    replaced = put(store, b'{"turn": 2}', {"If-Match": made.headers["ETag"]})
    read = state.read(store, "t", "s")

    assert (made.status, replaced.status, read.status) == (201, 200, 200)
    assert ({"turn": 2}, replaced.headers["ETag"]) == (read.body, read.headers["ETag"])


def test_header_names_have_no_case() -> None:
    assert put(Store(), b"{}", {"if-none-match": "*"}).status == 201


def test_the_second_of_two_writers_is_told() -> None:
    store = Store()
    etag = put(store, b'{"turn": 1}', NEW).headers["ETag"]
    first = put(store, b'{"by": "first"}', {"If-Match": etag})
    second = put(store, b'{"by": "second"}', {"If-Match": etag})

    assert (first.status, second.status) == (200, 412)
    assert state.read(store, "t", "s").body == {"by": "first"}


def test_a_session_is_made_once() -> None:
    store = Store()

    assert [put(store, b"{}", NEW).status for _ in range(2)] == [201, 412]


def test_a_session_that_has_expired_cannot_be_replaced() -> None:
    assert put(Store(), b"{}", {"If-Match": '"1"'}).status == 412


@pytest.mark.parametrize("headers", [{}, {"If-Match": "*"}, {"If-None-Match": '"1"'}])
def test_a_writer_must_say_what_it_expects(headers: dict[str, str]) -> None:
    store = Store()
    put(store, b'{"turn": 1}', NEW)

    assert put(store, b'{"turn": 2}', headers).status == 428
    assert state.read(store, "t", "s").body == {"turn": 1}


def test_tenants_do_not_see_each_other() -> None:
    store = Store()
    put(store, b'{"of": "a"}', NEW, tenant="a")

    assert state.read(store, "b", "s").status == 404
    assert state.read(store, "a", "s").body == {"of": "a"}


@pytest.mark.parametrize("name", ["", "a b", "../a", "é", "a" * 65, "a\n"])
def test_bad_names(name: str) -> None:
    statuses = [
        state.read(Store(), name, "s").status,
        state.read(Store(), "t", name).status,
        put(Store(), b"{}", NEW, tenant=name).status,
        put(Store(), b"{}", NEW, session=name).status,
    ]

    assert statuses == [400] * 4


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"text"', b"null", b'{"x": NaN}', b'{"x": -Infinity}', b"\xff", b"[" * 100_000],
)
def test_bodies_that_are_no_state(body: bytes) -> None:
    store = Store()

    assert put(store, body, NEW).status == 400
    assert store.kept == {}


def test_the_largest_state() -> None:
    largest = json.dumps({"x": "a" * (state.MAX_STATE_BYTES - len('{"x": ""}'))}).encode()

    assert len(largest) == state.MAX_STATE_BYTES
    assert put(Store(), largest, NEW).status == 201
    assert put(Store(), largest + b" ", NEW).status == 413
