"""A query's results over documents, a page at a time.

A page ends at a position in the order of the results, and the next one starts after it: what is deleted or added
meanwhile neither repeats a result nor skips one. Where results are of many rows (groups, aggregates, DISTINCT), the
position is their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import total_ordering
from itertools import islice
from typing import Any

from ringfence.emulators.cosmos.errors import bad_request, query_error
from ringfence.emulators.cosmos.sql.binder import bind, is_grouped, root_of
from ringfence.emulators.cosmos.sql.evaluate import Row, Surroundings, distance_function, evaluate
from ringfence.emulators.cosmos.sql.parser import parse, parse_condition
from ringfence.emulators.cosmos.sql.syntax import Call, Expression, Literal, Member, Name, Query
from ringfence.emulators.cosmos.values import UNDEFINED, Json, Kind, identity, kind_of, sort_key

__all__ = ["PreparedQuery", "holds", "prepare"]

Document = tuple[int, Mapping[str, Json]]
"""A document and its place among those of the container."""


@total_ordering
@dataclass(frozen=True)
class _Reversed:
    """A sort key whose order is the other way round."""

    key: tuple[Any, ...]

    def __lt__(self, other: _Reversed) -> bool:
        return other.key < self.key


@dataclass(frozen=True)
class _Found:
    """A row and its position: the values that it is sorted by, its document's place, and its number in that."""

    row: Row
    ordered: list[Json]
    place: int
    number: int


class PreparedQuery:
    """A query that has been read and checked."""

    def __init__(self, query: Query) -> None:
        self.query = query

    @property
    def order_paths(self) -> list[tuple[tuple[str, ...], bool]] | None:
        """The paths that it is ordered by, each with whether it is descending; None if it is ordered by no paths."""
        alias = self.query.sources[0].alias if self.query.sources else ""
        found = [(_path(order.value, alias), order.descending) for order in self.query.order]
        return [(path, down) for path, down in found if path] if found and all(path for path, _ in found) else None

    def page(
        self,
        documents: Iterable[Document],
        *,
        now: float,
        size: int,
        parameters: Mapping[str, Json] | None = None,
        vector_functions: Mapping[str, str] | None = None,
        after: dict[str, Any] | None = None,
    ) -> tuple[list[Json], dict[str, Any] | None]:
        """Return at most so many results, and where the next page starts if there is one.

        Raises:
            ServiceError: a parameter is missing, or a count is none.
        """
        surroundings = Surroundings(now, _answer, parameters or {}, vector_functions or {})
        query, row = self.query, Row({}, surroundings)
        if query.distinct or is_grouped(query):
            start = int((after or {}).get("number", 0))
            results = _limited(query, _whole(query, documents, row), row)
            page = list(islice(results, start, start + size + 1))
            return page[:size], {"number": start + size} if len(page) > size else None
        return _streamed(query, documents, row, size, after)


def prepare(text: str) -> PreparedQuery:
    """Read and check a query.

    Raises:
        ServiceError: it cannot be answered.
    """
    query = parse(text)
    bind(query)
    return PreparedQuery(query)


def holds(condition: str, document: Mapping[str, Json], now: float) -> bool:
    """Tell whether a document meets a patch's predicate, `FROM c WHERE …`.

    Raises:
        ServiceError: the predicate is wrong.
    """
    query = parse_condition(condition)
    if query.where is None or query.group or query.order or query.limit is not None:
        raise bad_request("A filter predicate is of the form 'FROM alias WHERE condition'.")
    bind(query)
    rows = _rows(query, [(0, document)], Row({}, Surroundings(now, _answer)))
    return any(True for _ in rows)


def _path(expression: Expression, alias: str) -> tuple[str, ...] | None:
    if isinstance(expression, Name):
        return () if expression.name == alias else None
    if isinstance(expression, Member) and isinstance(expression.key, Literal):
        before = _path(expression.of, alias)
        return None if before is None else (*before, str(expression.key.value))
    return None


def _answer(query: Query, row: Row) -> list[Json]:
    """Return all results of a subquery."""
    found = _inner_rows(query, row)
    if is_grouped(query):
        results = _groups(query, [each for each, _ in found], row)
    else:
        rows = [
            _Found(each, [evaluate(order.value, each) for order in query.order], 0, number) for each, number in found
        ]
        rows.sort(key=lambda each: _position(query, each))
        results = (_projected(query, each.row) for each in rows)
    return list(_limited(query, _defined(query, results), row))


def _whole(query: Query, documents: Iterable[Document], row: Row) -> Iterator[Json]:
    """Return the results of a query that needs all rows at once."""
    rows = list(_rows(query, documents, row))
    if is_grouped(query):
        yield from _defined(query, _groups(query, [found.row for found in rows], row))
        return
    rows.sort(key=lambda found: _position(query, found))
    yield from _defined(query, (_projected(query, found.row) for found in rows))


def _streamed(
    query: Query, documents: Iterable[Document], row: Row, size: int, after: dict[str, Any] | None
) -> tuple[list[Json], dict[str, Any] | None]:
    rows = list(_rows(query, documents, row))
    rows.sort(key=lambda found: _position(query, found))
    skip = _count(query.offset, row, 0)
    left = _count(query.top if query.top is not None else query.limit, row, -1)
    if after is not None:
        ordered = [UNDEFINED if not value else value[0] for value in after["ordered"]]
        last = _position(query, _Found(row, ordered, after["place"], after["row"]))
        rows = [found for found in rows if _position(query, found) > last]
        skip, left = 0, after["left"]
    rows = rows[skip:]
    if left >= 0:
        rows = rows[:left]
    page: list[Json] = []
    for index, found in enumerate(rows):
        if len(page) == size:
            last_found = rows[index - 1]
            return page, {
                "ordered": [[] if value is UNDEFINED else [value] for value in last_found.ordered],
                "place": last_found.place,
                "row": last_found.number,
                "left": left - index if left >= 0 else -1,
            }
        page.extend(_defined(query, [_projected(query, found.row)]))
    return page, None


def _rows(query: Query, documents: Iterable[Document], row: Row) -> Iterator[_Found]:
    """Return the rows of a query over documents that its WHERE lets through."""
    if not query.sources:
        if query.where is None or evaluate(query.where, row) is True:
            yield _Found(row, [], 0, 0)
        return
    root = root_of(query.sources[0])
    for place, document in documents:
        for found, number in _inner_rows(query, row, {root: document}):
            yield _Found(found, [evaluate(order.value, found) for order in query.order], place, number)


def _inner_rows(query: Query, row: Row, roots: Mapping[str, Json] | None = None) -> Iterator[tuple[Row, int]]:
    """Return the rows that FROM, JOIN and WHERE give from one row, with their numbers."""
    rows = [row]
    for index, source in enumerate(query.sources):
        # Only the first source sees the container's name: after it, its alias is what there is.
        seen = replace(row, names={**row.names, **roots}) if roots and index == 0 else None
        joined: list[Row] = []
        for each in rows:
            value = evaluate(source.collection, seen or each)
            values = value if source.each and isinstance(value, list) else [] if source.each else [value]
            joined.extend(each.with_name(source.alias, item) for item in values if item is not UNDEFINED)
        rows = joined
    for number, each in enumerate(rows):
        if query.where is None or evaluate(query.where, each) is True:
            yield each, number


def _groups(query: Query, rows: list[Row], row: Row) -> Iterator[Json]:
    groups: dict[tuple[str, ...], list[Row]] = {}
    for each in rows:
        groups.setdefault(tuple(identity(evaluate(key, each)) for key in query.group), []).append(each)
    if not groups and not query.group:
        yield _projected(query, replace(row, group=()))  # the aggregate of nothing is one result
    for members in groups.values():
        yield _projected(query, replace(members[0], group=members))


def _projected(query: Query, row: Row) -> Json:
    if query.items is None:
        return row.names[query.sources[0].alias]
    if query.value:
        return evaluate(query.items[0].value, row)
    result: dict[str, Json] = {}
    unnamed = 0
    for item in query.items:
        if item.alias is None:
            unnamed += 1
        value = evaluate(item.value, row)
        if value is not UNDEFINED:
            result[item.alias if item.alias is not None else f"${unnamed}"] = value
    return result


def _defined(query: Query, results: Iterable[Json]) -> Iterator[Json]:
    """Return results without those that are undefined and, for DISTINCT, without those that came before."""
    seen: set[str] = set()
    for result in results:
        if result is UNDEFINED:
            continue
        if query.distinct:
            key = identity(result)
            if key in seen:
                continue
            seen.add(key)
        yield result


def _limited(query: Query, results: Iterable[Json], row: Row) -> Iterator[Json]:
    start = _count(query.offset, row, 0)
    limit = _count(query.top if query.top is not None else query.limit, row, -1)
    return islice(iter(results), start, None if limit < 0 else start + limit)


def _count(expression: Expression | None, row: Row, default: int) -> int:
    if expression is None:
        return default
    value = evaluate(expression, row)
    if kind_of(value) is not Kind.NUMBER or value != int(value) or value < 0:
        raise query_error("SC2062", "TOP, OFFSET and LIMIT take a whole number that is not negative.")
    return int(value)


def _position(query: Query, found: _Found) -> tuple[Any, ...]:
    keys: list[Any] = []
    for order, value in zip(query.order, found.ordered, strict=True):
        down = order.descending
        if isinstance(order.value, Call) and order.value.function == "VECTORDISTANCE":
            down = distance_function(order.value, found.row) != "euclidean"  # the nearest one comes first
        keys.append(_Reversed(sort_key(value)) if down else sort_key(value))
    return (*keys, found.place, found.number)
