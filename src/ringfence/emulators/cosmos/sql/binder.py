"""What is wrong with a query before a single item is looked at: names, functions, groups.

The service refuses such a query even when the container is empty, so it is not left to the evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator

from ringfence.emulators.cosmos.errors import bad_request, query_error
from ringfence.emulators.cosmos.sql.aggregate import AGGREGATES
from ringfence.emulators.cosmos.sql.evaluate import CLOCK_FUNCTIONS
from ringfence.emulators.cosmos.sql.functions import FUNCTIONS
from ringfence.emulators.cosmos.sql.syntax import Call, Expression, Member, Name, Query, Source, Subquery, children

__all__ = ["aggregates_of", "bind", "is_grouped", "root_of"]


def root_of(source: Source) -> str:
    """Return the name that a top-level FROM starts with: it stands for the container, whatever it is."""
    found = source.collection
    while isinstance(found, Member):
        found = found.of
    return found.name if isinstance(found, Name) else ""


def is_grouped(query: Query) -> bool:
    """Tell whether a query's results are of groups of rows."""
    return bool(query.group) or any(aggregates_of(item.value) for item in query.items or ())


def aggregates_of(expression: Expression) -> list[Call]:
    """Return the aggregates in an expression."""
    return [node for node in _walk(expression) if isinstance(node, Call) and node.function in AGGREGATES]


def bind(query: Query, outer: frozenset[str] = frozenset(), top_level: bool = True) -> None:
    """Check a query, and those in it.

    Args:
        query: what to check.
        outer: the aliases of the queries that it is in.
        top_level: whether it is in none.

    Raises:
        ServiceError: the query cannot be answered.
    """
    names = set(outer)
    for index, source in enumerate(query.sources):
        root = {root_of(source)} if top_level and index == 0 else set()
        _check(source.collection, frozenset(names | root), aggregates=False)
        if source.alias in names:
            raise query_error(
                "SC2011", f"The input alias '{source.alias}' is specified more than once in the FROM clause."
            )
        names.add(source.alias)
    known = frozenset(names)
    for item in query.items or ():
        _check(item.value, known, aggregates=True)
    if query.items is None and query.sources and len(query.sources) > 1:
        raise query_error("SC2040", "'SELECT *' is only valid with a single input set.")
    if query.items is None and not query.sources:
        raise query_error("SC2041", "'SELECT *' is not valid if FROM clause is omitted.")
    if query.where is not None:
        _check(query.where, known, aggregates=False)
    for key in query.group:
        _check(key, known, aggregates=False)
    for order in query.order:
        _check(order.value, known, aggregates=False)
    _check_aliases(query)
    _check_groups(query)
    if query.top is not None and query.limit is not None:
        raise query_error("SC2204", "'TOP' and 'OFFSET LIMIT' cannot be used together.")


def _walk(expression: Expression) -> Iterator[Expression]:
    left = [expression]
    while left:  # not by recursion: a chain of operators may be hundreds deep
        found = left.pop()
        yield found
        left.extend(reversed(list(children(found))))


def _check(expression: Expression, names: frozenset[str], aggregates: bool) -> None:
    for node in _walk(expression):
        match node:
            case Name(name, start) if name not in names:
                text = f"Identifier '{name}' could not be resolved."
                raise query_error("SC2001", text, start, start + len(name))
            case Call():
                _check_call(node, aggregates)
            case Subquery(_, query):
                bind(query, names, top_level=False)


def _check_call(call: Call, aggregates: bool) -> None:
    end = call.start + len(call.function)
    least, most = FUNCTIONS[call.function].arity if call.function in FUNCTIONS else (0, 0)
    if call.function in AGGREGATES:
        if not aggregates:
            text = f"Cannot perform an aggregate function on an expression in this clause: '{call.function}'."
            raise query_error("SC2103", text, call.start, end)
        if any(aggregates_of(argument) for argument in call.arguments):
            text = "Cannot perform an aggregate function on an expression containing an aggregate."
            raise query_error("SC2102", text, call.start, end)
        least, most = 1, 1
    elif call.function not in FUNCTIONS and call.function not in CLOCK_FUNCTIONS:
        text = f"'{call.function}' is not a recognized built-in function name."
        raise query_error("SC2005", text, call.start, end)
    if len(call.arguments) < least or (most is not None and len(call.arguments) > most):
        text = f"The {call.function} function requires {least if least == most else f'at least {least}'} argument(s)."
        raise query_error("SC2050", text, call.start, end)


def _check_aliases(query: Query) -> None:
    seen: set[str] = set()
    for item in query.items or ():
        if item.alias is not None and not query.value:
            if item.alias in seen:
                raise query_error("SC2012", f"Duplicate property name '{item.alias}' specified.")
            seen.add(item.alias)


def _check_groups(query: Query) -> None:
    if not is_grouped(query):
        return
    if query.items is None:
        raise query_error("SC2101", "'SELECT *' is not valid with GROUP BY or an aggregate.")
    if query.order:
        raise bad_request("ORDER BY cannot be used with GROUP BY or an aggregate in this query.")
    for item in query.items:
        _check_grouped(item.value, query.group)


def _check_grouped(expression: Expression, keys: tuple[Expression, ...]) -> None:
    if expression in keys:
        return
    if isinstance(expression, Call) and expression.function in AGGREGATES:
        return
    if isinstance(expression, Name | Subquery):
        text = (
            "Property reference in the select list is invalid because it isn't contained in an aggregate function or "
            "the GROUP BY clause."
        )
        raise query_error("SC2104", text)
    for part in children(expression):
        _check_grouped(part, keys)
