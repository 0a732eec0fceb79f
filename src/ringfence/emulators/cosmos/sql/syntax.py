"""What a query is made of. Plain data.

The grammar is that of "Azure Cosmos DB for NoSQL query language" (Learn), without user-defined functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import TypeAlias

from ringfence.emulators.cosmos.values import Json

__all__ = [
    "ArrayOf",
    "Between",
    "Binary",
    "Call",
    "Conditional",
    "Expression",
    "In",
    "Like",
    "Literal",
    "Member",
    "Name",
    "ObjectOf",
    "Order",
    "Parameter",
    "Query",
    "SelectItem",
    "Source",
    "Subquery",
    "Unary",
    "children",
]


@dataclass(frozen=True)
class Literal:
    """A constant."""

    value: Json


@dataclass(frozen=True)
class Parameter:
    """`@name`."""

    name: str


@dataclass(frozen=True)
class Name:
    """An alias of FROM or JOIN."""

    name: str
    start: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Member:
    """`of.name`, `of["name"]` or `of[0]`."""

    of: Expression
    key: Expression


@dataclass(frozen=True)
class Unary:
    """`-x`, `+x`, `~x` or `NOT x`."""

    operator: str
    operand: Expression


@dataclass(frozen=True)
class Binary:
    """Two operands: arithmetic, bits, `||`, comparison, AND, OR and `??`."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Between:
    """`value BETWEEN low AND high`."""

    value: Expression
    low: Expression
    high: Expression


@dataclass(frozen=True)
class In:
    """`value IN (…)`."""

    value: Expression
    choices: tuple[Expression, ...]


@dataclass(frozen=True)
class Like:
    """`value LIKE pattern [ESCAPE character]`."""

    value: Expression
    pattern: Expression
    escape: Expression | None


@dataclass(frozen=True)
class Conditional:
    """`test ? then : otherwise`."""

    test: Expression
    then: Expression
    otherwise: Expression


@dataclass(frozen=True)
class Call:
    """A function, its name in capitals."""

    function: str
    arguments: tuple[Expression, ...]
    start: int = field(default=0, compare=False)


@dataclass(frozen=True)
class ArrayOf:
    """`[…]`."""

    items: tuple[Expression, ...]


@dataclass(frozen=True)
class ObjectOf:
    """`{…}`."""

    members: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True)
class Subquery:
    """`(SELECT …)`: its first result; `EXISTS(SELECT …)`: whether it has one; `ARRAY(SELECT …)`: all of them."""

    kind: str
    query: Query


Expression: TypeAlias = (
    Literal
    | Parameter
    | Name
    | Member
    | Unary
    | Binary
    | Between
    | In
    | Like
    | Conditional
    | Call
    | ArrayOf
    | ObjectOf
    | Subquery
)


@dataclass(frozen=True)
class SelectItem:
    """One thing that is selected, and what it is called; None is for the service to number."""

    value: Expression
    alias: str | None


@dataclass(frozen=True)
class Source:
    """`collection [AS] alias`, or with `each`, `alias IN collection`: all elements of an array."""

    alias: str
    collection: Expression
    each: bool


@dataclass(frozen=True)
class Order:
    """One thing to sort by."""

    value: Expression
    descending: bool


@dataclass(frozen=True)
class Query:
    """A SELECT. Without `items` it is `SELECT *`; the first source is FROM, the others are JOIN."""

    items: tuple[SelectItem, ...] | None
    value: bool = False
    distinct: bool = False
    top: Expression | None = None
    sources: tuple[Source, ...] = ()
    where: Expression | None = None
    group: tuple[Expression, ...] = ()
    order: tuple[Order, ...] = ()
    offset: Expression | None = None
    limit: Expression | None = None


def children(node: Expression) -> Iterator[Expression]:
    """Return the expressions that an expression is made of; a subquery keeps its own to itself."""
    if isinstance(node, Subquery):
        return
    if isinstance(node, ObjectOf):
        yield from (value for _, value in node.members)
        return
    for each in fields(node):
        value = getattr(node, each.name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, Expression):
                yield part
