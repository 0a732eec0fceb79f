"""From the text of a query to its parts, by recursive descent.

Why no library: sqlglot, the live and typed one, has no dialect for Cosmos DB, whose `SELECT VALUE {…}`, `x IN c.array`,
`c.a[0].b`, `??` and `test ? a : b` are not SQL; a dialect of it would be as long as this file and harder to follow.
"""

from __future__ import annotations

from ringfence.emulators.cosmos.errors import not_supported
from ringfence.emulators.cosmos.sql.expressions import KEYWORDS, ExpressionParser
from ringfence.emulators.cosmos.sql.lexer import tokens_of
from ringfence.emulators.cosmos.sql.syntax import (
    Expression,
    Literal,
    Member,
    Name,
    Order,
    Parameter,
    Query,
    SelectItem,
    Source,
)

__all__ = ["parse", "parse_condition"]


def parse(query: str) -> Query:
    """Return a query.

    Raises:
        ServiceError: its syntax is wrong.
    """
    parser = _Parser(tokens_of(query))
    found = parser.query()
    parser.finish()
    return found


def parse_condition(condition: str) -> Query:
    """Return the query that a patch's predicate is the rest of: `FROM c WHERE c.x = 1`.

    Raises:
        ServiceError: its syntax is wrong.
    """
    parser = _Parser(tokens_of(condition))
    found = parser.after_select(None, value=False)
    parser.finish()
    return found


class _Parser(ExpressionParser):
    def query(self) -> Query:
        self.need("SELECT")
        distinct = self.take("DISTINCT") is not None
        top = self.count() if self.take("TOP") else None
        value = self.sees("VALUE") and not self.sees(".", ",", "FROM", ahead=1)
        if value:
            self.position += 1
        items: list[SelectItem] | None = None
        if not self.take("*"):
            items = [self.item()]
            while not value and self.take(","):
                items.append(self.item())
        return self.after_select(None if items is None else tuple(items), value=value, distinct=distinct, top=top)

    def after_select(
        self,
        items: tuple[SelectItem, ...] | None,
        *,
        value: bool,
        distinct: bool = False,
        top: Expression | None = None,
    ) -> Query:
        sources: list[Source] = []
        if self.take("FROM"):
            sources.append(self.source())
            while self.take("JOIN"):
                sources.append(self.source())
        where = self.expression() if self.take("WHERE") else None
        group: list[Expression] = []
        if self.take("GROUP"):
            self.need("BY")
            group = self.list_of()
        order: list[Order] = []
        if self.take("ORDER"):
            self.need("BY")
            if self.sees("RANK") and not self.sees(".", ahead=1):
                raise not_supported("ORDER BY RANK")
            order = [self.order()]
            while self.take(","):
                order.append(self.order())
        offset = limit = None
        if self.take("OFFSET"):
            offset = self.count()
            self.need("LIMIT")
            limit = self.count()
        return Query(
            items=items,
            value=value,
            distinct=distinct,
            top=top,
            sources=tuple(sources),
            where=where,
            group=tuple(group),
            order=tuple(order),
            offset=offset,
            limit=limit,
        )

    def list_of(self) -> list[Expression]:
        found = [self.expression()]
        while self.take(","):
            found.append(self.expression())
        return found

    def count(self) -> Expression:
        token = self.next
        if token.kind not in ("number", "parameter"):
            raise self.wrong()
        self.position += 1
        return Literal(token.value) if token.kind == "number" else Parameter(token.text)

    def item(self) -> SelectItem:
        value = self.expression()
        alias = self.optional_alias()
        if alias is None and isinstance(value, Name):
            alias = value.name
        if alias is None and isinstance(value, Member) and isinstance(value.key, Literal):
            alias = value.key.value if isinstance(value.key.value, str) else None
        return SelectItem(value, alias)

    def source(self) -> Source:
        if self.sees("("):
            collection: Expression = self.subquery("ARRAY")
            alias = self.optional_alias()
            if alias is None:
                raise self.wrong()
            return Source(alias, collection, each=True)
        if self.sees("IN", ahead=1):
            alias = self.identifier()
            self.need("IN")
            collection = self.subquery("ARRAY") if self.sees("(") else self.path()
            return Source(alias, collection, each=True)
        collection = self.path()
        alias = self.optional_alias() or self._last_name(collection)
        return Source(alias, collection, each=False)

    def path(self) -> Expression:
        start = self.next.start
        return self.members(Name(self.identifier(), start))

    def _last_name(self, path: Expression) -> str:
        if isinstance(path, Name):
            return path.name
        if isinstance(path, Member) and isinstance(path.key, Literal) and isinstance(path.key.value, str):
            return path.key.value
        raise self.wrong()

    def order(self) -> Order:
        value = self.expression()
        return Order(value, self.take("ASC", "DESC") == "DESC")

    def optional_alias(self) -> str | None:
        if self.take("AS"):
            return self.identifier()
        if self.next.kind == "name" and self.next.text.upper() not in KEYWORDS:
            return self.identifier()
        return None
