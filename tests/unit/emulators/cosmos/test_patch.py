"""Partial updates."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ringfence.emulators.cosmos.patch import patched
from tests.unit.emulators.cosmos.helpers import refusal

ITEM = {
    "id": "1",
    "t": {"k": "key"},
    "n": 1,
    "f": 1.5,
    "s": "x",
    "o": {"p": {"q": 1}},
    "a": [1, [2], {"b": 3}],
    "x/y": 1,
    "m~n": 2,
}
KEYS = [("t", "k")]


def operation(op: str, path: str, value: Any = None, **more: Any) -> dict[str, Any]:
    return {"op": op, "path": path, **({} if op in ("remove", "move") else {"value": value}), **more}


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([operation("add", "/new", 1)], {"new": 1}),
        ([operation("add", "/n", {"over": 1})], {"n": {"over": 1}}),
        ([operation("add", "/o/p/r", None)], {"o": {"p": {"q": 1, "r": None}}}),
        ([operation("add", "/a/0", 0)], {"a": [0, 1, [2], {"b": 3}]}),
        ([operation("add", "/a/3", 4)], {"a": [1, [2], {"b": 3}, 4]}),
        ([operation("add", "/a/-", 4)], {"a": [1, [2], {"b": 3}, 4]}),
        ([operation("add", "/a/1/-", 5)], {"a": [1, [2, 5], {"b": 3}]}),
        ([operation("set", "/a/2/b", 5)], {"a": [1, [2], {"b": 5}]}),
        ([operation("set", "/a/0", 5)], {"a": [5, [2], {"b": 3}]}),
        ([operation("set", "/a/3", 5)], {"a": [1, [2], {"b": 3}, 5]}),
        ([operation("set", "/a/-", 5)], {"a": [1, [2], {"b": 3}, 5]}),
        ([operation("replace", "/x~1y", 5)], {"x/y": 5}),
        ([operation("replace", "/m~0n", 5)], {"m~n": 5}),
        ([operation("remove", "/a/0")], {"a": [[2], {"b": 3}]}),
        ([operation("incr", "/n", 2), operation("incr", "/n", -0.5)], {"n": 2.5}),
        ([operation("incr", "/f", 0.5)], {"f": 2}),
        ([operation("incr", "/new", 2)], {"new": 2}),
        ([operation("incr", "/a/0", 2)], {"a": [3, [2], {"b": 3}]}),
        ([operation("move", "/moved", **{"from": "/o/p"})], {"o": {}, "moved": {"q": 1}}),
        ([operation("move", "/n", **{"from": "/s"})], {"n": "x"}),
        ([operation("set", "/o", {}), operation("add", "/o/z", 1)], {"o": {"z": 1}}),
        ([operation("set", "/t/other", 1)], {"t": {"k": "key", "other": 1}}),
    ],
    ids=str,
)
def test_operations(operations: list[Any], expected: dict[str, Any]) -> None:
    before = copy.deepcopy(ITEM)
    found = patched(ITEM, operations, KEYS)

    assert expected == {name: found[name] for name in expected}
    assert before == ITEM


@pytest.mark.parametrize(
    ("operations", "text"),
    [
        ([], "no operations"),
        (None, "no operations"),
        ([operation("set", "/n", 1)] * 11, "can't exceed '10'"),
        ([{}], "For Operation(1): An operation is an object with op and path"),
        (["x"], "For Operation(1)"),
        ([operation("copy", "/n", 1)], "'copy' is no operation"),
        ([{"op": "set", "path": "/n"}], "set needs a value"),
        ([operation("set", "/n", 1), operation("set", "n", 1)], "For Operation(2): 'n' is no path"),
        ([operation("set", "/id", "2")], "Can't patch path '/id'"),
        ([operation("set", "/_etag", "2")], "Can't patch path '/_etag'"),
        ([operation("set", "/t/k", "2")], "Can't patch path '/t/k'"),
        ([operation("remove", "/t")], "Can't patch path '/t'"),
        ([operation("move", "/z", **{"from": "/t/k"})], "Can't patch path '/t/k'"),
        ([operation("move", "/o/p/z", **{"from": "/o"})], "at or below"),
        ([operation("move", "/z")], "move needs from"),
        ([operation("move", "/z", **{"from": "/absent"})], "'/absent' is absent"),
        ([operation("replace", "/absent", 1)], "'/absent' is absent"),
        ([operation("remove", "/a/3")], "'/a/3' is absent"),
        ([operation("add", "/absent/x", 1)], "no path found beyond: 'absent'"),
        ([operation("add", "/s/x", 1)], "no path found beyond: 's'"),
        ([operation("add", "/a/4", 1)], "out of the array's bounds"),
        ([operation("add", "/a/x", 1)], "'x' is no index"),
        ([operation("incr", "/s", 1)], "must be numbers"),
        ([operation("incr", "/n", "1")], "must be numbers"),
        ([operation("incr", "/n", True)], "must be numbers"),
        ([operation("incr", "/a/9", 1)], "must be numbers"),
    ],
    ids=str,
)
def test_wrong_operations(operations: Any, text: str) -> None:
    error = refusal(lambda: patched(ITEM, operations, KEYS))

    assert error.status == 400
    assert text in error.message
