"""Queries give what a plain Python program gives over the same documents, and no text makes more than an error."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from functools import cmp_to_key
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.emulators.cosmos.errors import ServiceError
from ringfence.emulators.cosmos.sql import holds, prepare

GONE: Any = object()
"""What undefined is in the model."""
NAMES = ("a", "b", "gone")
Model = Callable[[dict[str, Any]], Any]
Pair = tuple[str, Model]
"""The text of an expression, and what it is for a document."""

WHOLE = st.integers(-20, 20)
SCALARS = st.one_of(
    st.none(), st.booleans(), WHOLE, st.sampled_from([0.5, -2.25]), st.text("ab%_'\"\\é😀\n", max_size=4)
)
VALUES = st.one_of(
    SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(st.sampled_from(["x", "y"]), SCALARS, max_size=2)
)
DOCUMENTS = st.lists(st.dictionaries(st.sampled_from(["a", "b", "n"]), VALUES, max_size=3), max_size=8)


def kind(value: Any) -> int:
    if value is GONE or value is None or isinstance(value, bool):
        return 0 if value is GONE else 1 if value is None else 2
    return next(
        number for number, of in enumerate(((int, float), (str,), (list,), (dict,)), 3) if isinstance(value, of)
    )


def equal(left: Any, right: Any) -> bool:
    if kind(left) != kind(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(equal(left[name], right[name]) for name in left)
    return bool(left == right)


def literal(value: Any) -> Pair:
    return json.dumps(value), lambda document: value


def member(name: str) -> Pair:
    return f"c.{name}", lambda document: document.get(name, GONE)


def arithmetic(operator: str, left: Pair, right: Pair) -> Pair:
    def model(document: dict[str, Any]) -> Any:
        one, other = left[1](document), right[1](document)
        if kind(one) != 3 or kind(other) != 3:
            return GONE
        return one + other if operator == "+" else one - other if operator == "-" else one * other

    return f"({left[0]} {operator} {right[0]})", model


def comparison(operator: str, left: Pair, right: Pair) -> Pair:
    def model(document: dict[str, Any]) -> Any:
        one, other = left[1](document), right[1](document)
        if one is GONE or other is GONE:
            return GONE
        if operator in ("=", "!="):
            return equal(one, other) is (operator == "=")
        if kind(one) != kind(other) or kind(one) > 4:
            return GONE
        if one is None:
            return "=" in operator
        return {"<": one < other, "<=": one <= other, ">": one > other, ">=": one >= other}[operator]

    return f"({left[0]} {operator} {right[0]})", model


def logic(operator: str, left: Pair, right: Pair) -> Pair:
    decisive = operator == "OR"

    def model(document: dict[str, Any]) -> Any:
        both = (left[1](document), right[1](document))
        if any(each is decisive for each in both):
            return decisive
        return not decisive if all(each is not decisive and isinstance(each, bool) for each in both) else GONE

    return f"({left[0]} {operator} {right[0]})", model


def negation(of: Pair) -> Pair:
    def model(document: dict[str, Any]) -> Any:
        value = of[1](document)
        return not value if isinstance(value, bool) else GONE

    return f"(NOT {of[0]})", model


def choice(test: Pair, then: Pair, otherwise: Pair) -> Pair:
    return (
        f"({test[0]} ? {then[0]} : {otherwise[0]})",
        lambda document: then[1](document) if test[1](document) is True else otherwise[1](document),
    )


def coalesce(left: Pair, right: Pair) -> Pair:
    def model(document: dict[str, Any]) -> Any:
        value = left[1](document)
        return right[1](document) if value is GONE else value

    return f"({left[0]} ?? {right[0]})", model


def one_of(value: Pair, choices: list[Pair]) -> Pair:
    def model(document: dict[str, Any]) -> Any:
        one = value[1](document)
        found = [each[1](document) for each in choices]
        if one is GONE:
            return GONE
        if any(each is not GONE and equal(one, each) for each in found):
            return True
        return GONE if any(each is GONE for each in found) else False

    return f"({value[0]} IN ({', '.join(each[0] for each in choices)}))", model


LEAVES = st.one_of(VALUES.map(literal), st.sampled_from(NAMES).map(member))
EXPRESSIONS: st.SearchStrategy[Pair] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(arithmetic, st.sampled_from(["+", "-", "*"]), inner, inner),
        st.builds(comparison, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), inner, inner),
        st.builds(logic, st.sampled_from(["AND", "OR"]), inner, inner),
        st.builds(negation, inner),
        st.builds(choice, inner, inner, inner),
        st.builds(coalesce, inner, inner),
        st.builds(one_of, inner, st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=8,
)


def ask(query: str, documents: list[dict[str, Any]], size: int = 1000) -> list[list[Any]]:
    """Return the pages of a query; where the next one starts goes through JSON, as in a token."""
    prepared = prepare(query)
    pages, position = [], None
    while True:
        page, position = prepared.page(enumerate(documents), now=0, size=size, after=position)
        pages.append(page)
        if position is None:
            return pages
        position = json.loads(json.dumps(position))


@settings(deadline=None, max_examples=300)
@given(EXPRESSIONS, DOCUMENTS)
def test_expressions_and_conditions(expression: Pair, documents: list[dict[str, Any]]) -> None:
    text, model = expression
    expected = [model(document) for document in documents]
    (values,) = ask(f"SELECT VALUE {text} FROM c", documents)
    (found,) = ask(f"SELECT VALUE c FROM c WHERE {text}", documents)

    assert len(values) == sum(value is not GONE for value in expected)
    assert all(map(equal, values, (value for value in expected if value is not GONE)))
    assert found == [document for document, value in zip(documents, expected, strict=True) if value is True]
    assert [holds(f"FROM c WHERE {text}", document, 0) for document in documents] == [
        value is True for value in expected
    ]


def order(left: Any, right: Any) -> int:
    """Compare as ORDER BY does; arrays and objects have an order of the service's own, which is not modelled."""
    if kind(left) != kind(right) or kind(left) in (0, 1, 5, 6):
        return kind(left) - kind(right)
    return bool(left > right) - bool(left < right)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.fixed_dictionaries({"id": WHOLE}, optional={"a": SCALARS, "b": SCALARS}), max_size=10),
    st.lists(st.tuples(st.sampled_from(["a", "b"]), st.booleans()), max_size=2),
    st.integers(1, 4),
    st.one_of(st.none(), st.tuples(st.integers(0, 3), st.integers(0, 9))),
)
def test_order_limits_and_pages(
    documents: list[dict[str, Any]],
    orders: list[tuple[str, bool]],
    size: int,
    window: tuple[int, int] | None,
) -> None:
    expected = list(documents)
    for name, down in reversed(orders):
        key: Callable[[dict[str, Any]], Any] = lambda document, name=name: document.get(name, GONE)  # type: ignore[misc] # noqa: E731
        expected.sort(key=cmp_to_key(lambda one, other, key=key: order(key(one), key(other))), reverse=down)  # type: ignore[misc]
    text = "SELECT * FROM c"
    if orders:
        text += " ORDER BY " + ", ".join(f"c.{name} {'DESC' if down else 'ASC'}" for name, down in orders)
    if window is not None:
        text += f" OFFSET {window[0]} LIMIT {window[1]}"
        expected = expected[window[0] : window[0] + window[1]]
    pages = ask(text, documents, size)

    assert expected == [found for page in pages for found in page]
    assert all(len(page) == size for page in pages[:-1])


@settings(deadline=None, max_examples=100)
@given(st.lists(st.fixed_dictionaries({"g": st.sampled_from(["x", "y", 1, None])}, optional={"n": WHOLE}), max_size=10))
def test_groups_and_aggregates(documents: list[dict[str, Any]]) -> None:
    columns = (
        "COUNT(1) AS count, COUNT(c.n) AS some, SUM(c.n) AS sum, MIN(c.n) AS low, MAX(c.n) AS high, AVG(c.n) AS mean"
    )
    (found,) = ask(f"SELECT c.g, {columns} FROM c GROUP BY c.g", documents)
    groups: dict[Any, list[Any]] = {}
    for document in documents:
        groups.setdefault(document["g"], []).append(document.get("n", GONE))

    expected = []
    for group, values in groups.items():
        numbers = [value for value in values if value is not GONE]
        row = {"g": group, "count": len(values), "some": len(numbers), "sum": sum(numbers)}
        if numbers:
            row |= {"low": min(numbers), "high": max(numbers), "mean": sum(numbers) / len(numbers)}
        expected.append(row)
    assert expected == found


VOCABULARY = (
    "SELECT VALUE DISTINCT TOP * FROM c IN JOIN WHERE AND OR NOT ORDER BY GROUP LIKE BETWEEN OFFSET LIMIT COUNT ( ) [ "
    "] { } , . : ? ?? = < || - 1 'x' @p c.a null EXISTS ARRAY ESCAPE AS"
)
WORDS = st.sampled_from(VOCABULARY.split())


@settings(deadline=None, max_examples=400)
@given(st.one_of(st.lists(WORDS, max_size=15).map(" ".join), st.text(max_size=30)), DOCUMENTS)
def test_no_text_breaks_it(text: str, documents: list[dict[str, Any]]) -> None:
    for query in (text, f"SELECT {text}", f"SELECT * FROM c WHERE {text}", f"SELECT VALUE {text} FROM c"):
        with contextlib.suppress(ServiceError):
            ask(query, documents)
    with contextlib.suppress(ServiceError):
        holds(text, {}, 0)
