"""Expressions of queries, by recursive descent: one method for each level of operators, the loosest foremost."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ringfence.emulators.cosmos.errors import ServiceError, not_supported, query_error
from ringfence.emulators.cosmos.sql.lexer import Token
from ringfence.emulators.cosmos.sql.syntax import (
    ArrayOf,
    Between,
    Binary,
    Call,
    Conditional,
    Expression,
    In,
    Like,
    Literal,
    Member,
    Name,
    ObjectOf,
    Parameter,
    Query,
    Subquery,
    Unary,
)
from ringfence.emulators.cosmos.values import UNDEFINED

__all__ = ["KEYWORDS", "ExpressionParser"]

KEYWORDS = frozenset(
    [
        "AND",
        "ARRAY",
        "AS",
        "ASC",
        "BETWEEN",
        "BY",
        "DESC",
        "DISTINCT",
        "ESCAPE",
        "EXISTS",
        "FALSE",
        "FROM",
        "GROUP",
        "IN",
        "JOIN",
        "LIKE",
        "LIMIT",
        "NOT",
        "NULL",
        "OFFSET",
        "OR",
        "ORDER",
        "SELECT",
        "TOP",
        "TRUE",
        "UNDEFINED",
        "VALUE",
        "WHERE",
    ]
)
SOFT_KEYWORDS = frozenset({"ARRAY", "VALUE", "OFFSET", "LIMIT", "UNDEFINED", "TOP"})
"""Words that are names too where no keyword can stand."""
CONSTANTS = {"TRUE": True, "FALSE": False, "NULL": None, "UNDEFINED": UNDEFINED}
LEVELS: tuple[tuple[str, ...], ...] = (("|",), ("^",), ("&",), ("<<", ">>", ">>>"), ("+", "-", "||"), ("*", "/", "%"))
"""Operators that bind from left to right, the loosest foremost."""
COMPARISONS = ("=", "!=", "<>", "<=", ">=", "<", ">")
DEEPEST = 40
"""So many expressions may be in one another: the service has a limit too, and Python's own would be a crash."""


class ExpressionParser(ABC):
    """Reads words from the left to the right. What a query is, it leaves to the one that reads clauses."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.position = 0
        self.depth = 0

    # Words

    @property
    def next(self) -> Token:
        """The word that comes next."""
        return self.tokens[self.position]

    def sees(self, *words: str, ahead: int = 0) -> bool:
        """Tell whether the next word, or one further ahead, is one of these."""
        index = self.position + ahead
        token = self.tokens[index] if index < len(self.tokens) else self.tokens[-1]
        return token.kind in ("name", "sign") and token.text.upper() in words

    def take(self, *words: str) -> str | None:
        """Go past the next word if it is one of these, and return it in capitals."""
        if not self.sees(*words):
            return None
        self.position += 1
        return self.tokens[self.position - 1].text.upper()

    def need(self, word: str) -> None:
        """Go past a word that must be here."""
        if self.take(word) is None:
            raise self.wrong()

    def wrong(self) -> ServiceError:
        """Return the error that the next word cannot be here."""
        token = self.next
        near = token.text or "<EOF>"
        return query_error("SC1001", f"Syntax error, incorrect syntax near '{near}'.", token.start, token.end)

    def finish(self) -> None:
        """Refuse what comes after the end."""
        if self.next.kind != "end":
            raise self.wrong()

    def identifier(self) -> str:
        """Read a name."""
        token = self.next
        if token.kind != "name" or token.text.upper() in KEYWORDS - SOFT_KEYWORDS:
            raise self.wrong()
        self.position += 1
        return token.text

    def separated(self, end: str) -> list[Expression]:
        """Read expressions between commas, up to a sign."""
        found: list[Expression] = []
        if self.take(end):
            return found
        while True:
            found.append(self.expression())
            if self.take(end):
                return found
            self.need(",")

    @abstractmethod
    def query(self) -> Query:
        """Read a SELECT."""

    # Expressions, the loosest operator foremost

    def expression(self) -> Expression:
        """Read any expression: `test ? a : b`, or what binds more closely."""
        self.depth += 1
        if self.depth > DEEPEST:
            token = self.next
            raise query_error("SC3016", "The query exceeds the maximum nesting depth.", token.start, token.end)
        try:
            test = self.coalesce()
            if not self.take("?"):
                return test
            then = self.expression()
            self.need(":")
            return Conditional(test, then, self.expression())
        finally:
            self.depth -= 1

    def coalesce(self) -> Expression:
        """Read `a ?? b`."""
        left = self.disjunction()
        while self.take("??"):
            left = Binary("??", left, self.disjunction())
        return left

    def disjunction(self) -> Expression:
        """Read `a OR b`."""
        left = self.conjunction()
        while self.take("OR"):
            left = Binary("OR", left, self.conjunction())
        return left

    def conjunction(self) -> Expression:
        """Read `a AND b`."""
        left = self.negation()
        while self.take("AND"):
            left = Binary("AND", left, self.negation())
        return left

    def negation(self) -> Expression:
        """Read `NOT a`."""
        if not self.sees("NOT"):
            return self.comparison()
        negations = 0
        while self.take("NOT"):
            negations += 1
        found = self.comparison()
        for _ in range(negations):
            found = Unary("NOT", found)
        return found

    def comparison(self) -> Expression:
        """Read a comparison, IN, BETWEEN or LIKE."""
        left = self.operation(0)
        while True:
            negated = self.sees("NOT") and self.sees("IN", "LIKE", "BETWEEN", ahead=1)
            if negated:
                self.take("NOT")
            found: Expression
            if self.take("IN"):
                self.need("(")
                if self.sees(")"):
                    raise self.wrong()
                found = In(left, tuple(self.separated(")")))
            elif self.take("BETWEEN"):
                low = self.operation(0)
                self.need("AND")
                found = Between(left, low, self.operation(0))
            elif self.take("LIKE"):
                pattern = self.operation(0)
                found = Like(left, pattern, self.operation(0) if self.take("ESCAPE") else None)
            elif operator := self.take(*COMPARISONS):
                found = Binary("!=" if operator == "<>" else operator, left, self.operation(0))
            else:
                return left
            left = Unary("NOT", found) if negated else found

    def operation(self, level: int) -> Expression:
        """Read operators of a level, see `LEVELS`."""
        if level == len(LEVELS):
            return self.unary()
        left = self.operation(level + 1)
        while operator := self.take(*LEVELS[level]):
            left = Binary(operator, left, self.operation(level + 1))
        return left

    def unary(self) -> Expression:
        """Read `-a`, `+a` or `~a`."""
        operators: list[str] = []
        while operator := self.take("-", "+", "~"):
            operators.append(operator)
        found = self.members(self.primary())
        for operator in reversed(operators):
            found = Unary(operator, found)
        return found

    def members(self, found: Expression) -> Expression:
        """Read what follows a value: `.name` and `[key]`."""
        while True:
            if self.take("."):
                token = self.next
                if token.kind != "name":
                    raise self.wrong()
                self.position += 1
                found = Member(found, Literal(token.text))
            elif self.take("["):
                found = Member(found, self.expression())
                self.need("]")
            else:
                return found

    def primary(self) -> Expression:
        """Read a constant, a parameter, a name, a call, or something in brackets."""
        token = self.next
        match token.kind:
            case "number" | "string":
                self.position += 1
                return Literal(token.value)
            case "parameter":
                self.position += 1
                return Parameter(token.text)
            case "sign":
                return self.bracketed()
            case "name":
                return self.named()
        raise self.wrong()

    def bracketed(self) -> Expression:
        """Read what begins with a bracket."""
        if self.sees("("):
            if self.sees("SELECT", ahead=1):
                return self.subquery("VALUE")
            self.position += 1
            found = self.expression()
            self.need(")")
            return found
        if self.take("["):
            return ArrayOf(tuple(self.separated("]")))
        if self.take("{"):
            return self.object()
        raise self.wrong()

    def object(self) -> Expression:
        """Read the members of an object."""
        members: list[tuple[str, Expression]] = []
        while not self.take("}"):
            if members:
                self.need(",")
            token = self.next
            if token.kind not in ("string", "name"):
                raise self.wrong()
            self.position += 1
            self.need(":")
            members.append((token.value if token.kind == "string" else token.text, self.expression()))
        return ObjectOf(tuple(members))

    def named(self) -> Expression:
        """Read what begins with a word: a constant, a call, EXISTS, ARRAY or a name."""
        token = self.next
        word = token.text.upper()
        if word in ("EXISTS", "ARRAY") and self.sees("(", ahead=1) and self.sees("SELECT", ahead=2):
            self.position += 1
            return self.subquery(word)
        if word in CONSTANTS:
            self.position += 1
            return Literal(CONSTANTS[word])
        if self.sees("(", ahead=1):
            self.position += 2
            return Call(word, tuple(self.separated(")")), token.start)
        if word == "UDF" and self.sees(".", ahead=1):
            raise not_supported("user-defined functions")
        return Name(self.identifier(), token.start)

    def subquery(self, kind: str) -> Subquery:
        """Read a SELECT in parentheses."""
        self.need("(")
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.wrong()
        found = self.query()
        self.depth -= 1
        self.need(")")
        return Subquery(kind, found)
