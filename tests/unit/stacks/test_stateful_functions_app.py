"""What the API answers, whatever the database is."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.stacks.loading import load

(state,) = load("stateful_functions", "state")

LIMITS = state.Limits(state_bytes=1000, ttl_seconds=3600)
NEW = {"If-None-Match": "*"}


class Store:
    """Keeps sessions in memory; every write makes a new version."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Any] = {}
        self.ttl: dict[tuple[str, str], int | None] = {}
        self.versions = 0

    def get(self, tenant: str, session: str) -> Any:
        return self.kept.get((tenant, session))

    def create(self, tenant: str, session: str, data: bytes, ttl_seconds: int | None) -> str:
        if (tenant, session) in self.kept:
            raise state.Conflict
        return self._keep(tenant, session, data, ttl_seconds)

    def replace(self, tenant: str, session: str, data: bytes, ttl_seconds: int | None, etag: str) -> str:
        self._check(tenant, session, etag)
        return self._keep(tenant, session, data, ttl_seconds)

    def delete(self, tenant: str, session: str, etag: str) -> None:
        self._check(tenant, session, etag)
        del self.kept[tenant, session]

    def list(self, tenant: str, after: str, count: int) -> list[Any]:
        names = sorted(session for of, session in self.kept if of == tenant and session > after)
        written = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        kept = [(name, self.kept[tenant, name]) for name in names[:count]]
        return [state.Summary(name, item.etag, len(item.data), written) for name, item in kept]

    def _check(self, tenant: str, session: str, etag: str) -> None:
        kept = self.kept.get((tenant, session))
        if kept is None or kept.etag != etag:
            raise state.Conflict

    def _keep(self, tenant: str, session: str, data: bytes, ttl_seconds: int | None) -> str:
        self.versions += 1
        self.kept[tenant, session] = state.State(data, f'"{self.versions}"')
        self.ttl[tenant, session] = ttl_seconds
        return f'"{self.versions}"'


def put(
    store: Store,
    body: bytes,
    headers: Mapping[str, str],
    tenant: str = "t",
    session: str = "s",
    **params: str,
) -> Any:
    return state.write(store, LIMITS, tenant, session, body, headers, params)


def listed(store: Store, tenant: str = "t", **params: str) -> tuple[list[str], str | None]:
    answer = state.page(store, tenant, params)
    assert answer.status == 200, answer
    body = json.loads(answer.body)
    return [item["session"] for item in body["sessions"]], body["continuation"]


def filled(*sessions: str, tenant: str = "t") -> Store:
    store = Store()
    for session in sessions:
        put(store, b"{}", NEW, tenant=tenant, session=session)
    return store


def test_a_session_is_made_read_and_replaced() -> None:
    store = Store()
    made = put(store, b'{"turn": 1}', NEW)
    replaced = put(store, b'{"turn": 2}', {"If-Match": made.headers["ETag"]})
    read = state.read(store, "t", "s")

    assert (made.status, replaced.status, read.status) == (201, 200, 200)
    assert (b'{"turn": 2}', replaced.headers["ETag"]) == (read.body, read.headers["ETag"])


def test_a_state_comes_back_byte_for_byte() -> None:
    """A number that the database cannot hold, a key that comes twice and spaces are the caller's own."""
    body = '{"n": 12345678901234567890, "e": 1e999,  "a": 1, "a": 2, "text": "\\ud800 é"}'.encode()
    store = Store()

    assert put(store, body, NEW).status == 201
    assert body == state.read(store, "t", "s").body


def test_a_state_is_not_cached_on_its_way() -> None:
    store = filled("s")

    assert state.read(store, "t", "s").headers["Cache-Control"] == "no-store"
    assert state.page(store, "t", {}).headers["Cache-Control"] == "no-store"


def test_header_names_have_no_case() -> None:
    store = Store()
    etag = put(store, b"{}", {"if-none-match": "*"}).headers["ETag"]

    assert state.remove(store, "t", "s", {"IF-MATCH": etag}).status == 204


def test_the_second_of_two_writers_is_told() -> None:
    store = Store()
    etag = put(store, b'{"turn": 1}', NEW).headers["ETag"]
    first = put(store, b'{"by": "first"}', {"If-Match": etag})
    second = put(store, b'{"by": "second"}', {"If-Match": etag})

    assert (first.status, second.status) == (200, 412)
    assert state.read(store, "t", "s").body == b'{"by": "first"}'


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
    assert state.read(store, "t", "s").body == b'{"turn": 1}'


def test_a_session_is_deleted_once() -> None:
    store = Store()
    match = {"If-Match": put(store, b"{}", NEW).headers["ETag"]}

    assert [state.remove(store, "t", "s", match).status for _ in range(2)] == [204, 412]
    assert state.read(store, "t", "s").status == 404


def test_a_session_that_has_changed_is_not_deleted() -> None:
    store = Store()
    etag = put(store, b"{}", NEW).headers["ETag"]
    put(store, b'{"turn": 2}', {"If-Match": etag})

    assert state.remove(store, "t", "s", {"If-Match": etag}).status == 412
    assert state.read(store, "t", "s").body == b'{"turn": 2}'


@pytest.mark.parametrize("headers", [{}, {"If-Match": "*"}, {"If-None-Match": "*"}])
def test_a_deleter_must_say_what_it_expects(headers: dict[str, str]) -> None:
    store = filled("s")

    assert state.remove(store, "t", "s", headers).status == 428
    assert state.read(store, "t", "s").status == 200


def test_tenants_do_not_see_each_other() -> None:
    store = Store()
    put(store, b'{"of": "a"}', NEW, tenant="a")

    assert state.read(store, "b", "s").status == 404
    assert state.read(store, "a", "s").body == b'{"of": "a"}'
    assert listed(store, "b") == ([], None)


@pytest.mark.parametrize("name", ["", "a b", "../a", "é", "a" * 65, "a\n"])
def test_bad_names(name: str) -> None:
    statuses = [
        state.read(Store(), name, "s").status,
        state.read(Store(), "t", name).status,
        put(Store(), b"{}", NEW, tenant=name).status,
        put(Store(), b"{}", NEW, session=name).status,
        state.remove(Store(), name, "s", {"If-Match": '"1"'}).status,
        state.remove(Store(), "t", name, {"If-Match": '"1"'}).status,
        state.page(Store(), name, {}).status,
    ]

    assert statuses == [400] * 7


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b'{"x": NaN}',
        b'{"x": -Infinity}',
        b"\xff",
        b"[" * 999,
        '{"x": 1}'.encode("utf-16"),
        b"\xef\xbb\xbf{}",
    ],
)
def test_bodies_that_are_no_state(body: bytes) -> None:
    store = Store()

    assert put(store, body, NEW).status == 400
    assert store.kept == {}


def test_a_body_that_is_nested_too_deeply_to_be_read_is_refused() -> None:
    deep = b'{"x":' + b"[" * 100_000
    limits = state.Limits(state_bytes=len(deep), ttl_seconds=60)

    assert state.write(Store(), limits, "t", "s", deep, NEW, {}).status == 400


def test_the_largest_state() -> None:
    largest = json.dumps({"x": "a" * (LIMITS.state_bytes - len('{"x": ""}'))}).encode()

    assert len(largest) == LIMITS.state_bytes
    assert put(Store(), largest, NEW).status == 201
    assert put(Store(), largest + b" ", NEW).status == 413


@pytest.mark.parametrize(
    ("given", "status", "kept"),
    [
        ("60", 201, 60),
        ("3600", 201, 3600),
        ("59", 400, None),
        ("3601", 400, None),
        ("", 400, None),
        ("-60", 400, None),
        ("60.0", 400, None),
        ("6_0", 400, None),
        ("٦٠", 400, None),
        ("9" * 5000, 400, None),
    ],
)
def test_a_session_may_be_kept_for_less_time(given: str, status: int, kept: int | None) -> None:
    store = Store()

    assert status == put(store, b"{}", NEW, ttlSeconds=given).status
    assert kept == store.ttl.get(("t", "s"))


def test_a_session_is_kept_as_long_as_usual_when_nothing_else_is_asked_for() -> None:
    store = Store()
    etag = put(store, b"{}", NEW, ttlSeconds="60").headers["ETag"]
    put(store, b"{}", {"If-Match": etag})

    assert store.ttl == {("t", "s"): None}


def test_a_list_says_what_a_session_is_and_not_what_it_holds() -> None:
    store = Store()
    put(store, b'{"secret": 271828}', NEW)
    answer = state.page(store, "t", {})

    assert b"271828" not in answer.body
    assert json.loads(answer.body) == {
        "sessions": [{"session": "s", "etag": '"1"', "bytes": 18, "written": "2026-01-02T03:04:05+00:00"}],
        "continuation": None,
    }


@pytest.mark.parametrize(
    ("count", "limit", "pages"),
    [
        (0, 2, [[]]),
        (1, 2, [["s00"]]),
        (2, 2, [["s00", "s01"]]),
        (3, 2, [["s00", "s01"], ["s02"]]),
        (4, 1, [["s00"], ["s01"], ["s02"], ["s03"]]),
    ],
)
def test_pages_hold_every_session_once(count: int, limit: int, pages: list[list[str]]) -> None:
    store = filled(*(f"s{number:02}" for number in range(count)))
    found, continuation = listed(store, limit=str(limit))
    seen = [found]
    while continuation is not None:
        found, continuation = listed(store, limit=str(limit), continuation=continuation)
        seen.append(found)

    assert pages == seen


def test_sessions_that_come_and_go_between_pages_move_no_others() -> None:
    store = filled("b", "c", "d", "e")
    first, continuation = listed(store, limit="2")
    del store.kept["t", "b"], store.kept["t", "c"]
    put(store, b"{}", NEW, session="a")

    assert (first, listed(store, continuation=continuation)) == (["b", "c"], (["d", "e"], None))


def test_a_page_has_fifty_sessions_when_nothing_else_is_asked_for() -> None:
    found, continuation = listed(filled(*(f"s{number:03}" for number in range(60))))

    assert (len(found), continuation is None) == (50, False)


@pytest.mark.parametrize("limit", ["0", "101", "-1", "1.0", "", "x"])
def test_page_sizes_out_of_bounds(limit: str) -> None:
    assert state.page(Store(), "t", {"limit": limit}).status == 400


@pytest.mark.parametrize(
    "continuation",
    ["", "s00", "czAw=", "****", "é", urlsafe_b64encode(b"' OR 1=1").decode(), urlsafe_b64encode(b"").decode()],
)
def test_a_continuation_that_we_did_not_give(continuation: str) -> None:
    assert state.page(filled("s00"), "t", {"continuation": continuation}).status == 400


def test_one_tenants_continuation_shows_another_tenant_its_own_sessions() -> None:
    store = filled("a", "b", tenant="one")
    put(store, b"{}", NEW, tenant="two", session="c")
    _, continuation = listed(store, "one", limit="1")

    assert listed(store, "two", continuation=continuation) == (["c"], None)
