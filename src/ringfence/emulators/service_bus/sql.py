"""The SQL conditions of subscription rules: a subset of SQL-92, parsed once for all messages.

Done: comparison, AND, OR, NOT, IS [NOT] NULL, [NOT] IN, [NOT] LIKE with ESCAPE, EXISTS, arithmetic, property()/p(),
quoted and delimited names. Not done, and refused when the rule is made: parameters (@name), newid(), rule actions.

Source: Service Bus documentation, "Subscription rule SQL filter syntax".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ringfence.emulators.service_bus.errors import SettingsError
from ringfence.emulators.service_bus.sql_values import (
    COMPARISONS,
    Expression,
    Predicate,
    all_of,
    any_of,
    arithmetic,
    compare,
    constant,
    is_null,
    like,
    named_property,
    not_true,
    one_of,
    system_property,
    user_property,
)

__all__ = ["parse_predicate"]

SYSTEM: Final = {
    name.lower(): name
    for name in (
        *("MessageId", "To", "Label", "ReplyTo", "CorrelationId", "ContentType", "SessionId", "ReplyToSessionId"),
    )
} | {"subject": "Label"}
"""What follows `sys.`; other properties of a message are not evaluated here."""

KEYWORDS: Final = frozenset(["AND", "OR", "NOT", "IS", "NULL", "IN", "LIKE", "ESCAPE", "EXISTS", "TRUE", "FALSE"])
TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)
    | (?P<string>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")+"|\[(?:[^\]]|\]\])+\])
    | (?P<word>[^\W\d_]\w*)
    | (?P<mark><>|!=|>=|<=|[=<>(),.+\-*/%])
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Token:
    """A word of the condition: what it is, what it says, and where it stands."""

    kind: str
    text: str
    at: int


def parse_predicate(text: str) -> Predicate:
    """Return a condition as a function of a message's application and system properties.

    Raises:
        SettingsError: it is not a condition, or uses what is not done here.
    """
    parser = _Parser(text)
    predicate = parser.predicate()
    parser.expect("end")
    return predicate


def _tokens(text: str) -> list[Token]:
    tokens = []
    at = 0
    while text[at:].strip():
        found = TOKEN.match(text, at)
        if found is None:
            raise SettingsError(f"the SQL filter {text!r} cannot be read from {text[at:].strip()[:20]!r} on")
        kind = str(found.lastgroup)
        word, start = found.group(kind), found.start(kind)
        if kind == "word" and word.upper() in KEYWORDS:
            kind, word = "keyword", word.upper()
        tokens.append(Token(kind, word, start))
        at = found.end()
    return [*tokens, Token("end", "the end", len(text))]


class _Parser:
    """Recursive descent over one condition."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.at = 0

    # Conditions

    def predicate(self) -> Predicate:
        parts = [self.conjunction()]
        while self.take("OR"):
            parts.append(self.conjunction())
        return parts[0] if len(parts) == 1 else any_of(parts)

    def conjunction(self) -> Predicate:
        parts = [self.negation()]
        while self.take("AND"):
            parts.append(self.negation())
        return parts[0] if len(parts) == 1 else all_of(parts)

    def negation(self) -> Predicate:
        return not_true(self.negation()) if self.take("NOT") else self.test()

    def test(self) -> Predicate:
        if self.take("EXISTS"):
            self.expect("(")
            exists = self.property(exists=True)
            self.expect(")")
            return exists
        if self.peek("("):
            # A bracket may hold a condition or an expression: what follows it tells.
            start = self.at
            try:
                self.expect("(")
                inner = self.predicate()
                self.expect(")")
            except SettingsError:
                self.at = start
            else:
                return inner
        return self.comparison()

    def comparison(self) -> Predicate:
        left = self.sum()
        if self.take("IS"):
            negated = self.take("NOT")
            self.expect("NULL")
            return is_null(left, negated)
        negated = self.take("NOT")
        if self.take("IN"):
            return one_of(left, self.list(), negated)
        if self.take("LIKE"):
            pattern = self.sum()
            return like(left, pattern, self.sum() if self.take("ESCAPE") else None, negated)
        token = self.tokens[self.at]
        if negated or token.text not in COMPARISONS:
            raise self.error("a comparison")
        self.at += 1
        return compare(token.text, left, self.sum())

    def list(self) -> list[Expression]:
        self.expect("(")
        items = [self.sum()]
        while self.take(","):
            items.append(self.sum())
        self.expect(")")
        return items

    # Expressions

    def sum(self) -> Expression:
        left = self.product()
        while self.peek("+") or self.peek("-"):
            mark = self.next().text
            left = arithmetic(mark, left, self.product())
        return left

    def product(self) -> Expression:
        left = self.factor()
        while self.peek("*") or self.peek("/") or self.peek("%"):
            mark = self.next().text
            left = arithmetic(mark, left, self.factor())
        return left

    def factor(self) -> Expression:
        if self.take("-"):
            return arithmetic("-", constant(0), self.factor())
        if self.take("+"):
            return self.factor()
        if self.take("("):
            inner = self.sum()
            self.expect(")")
            return inner
        token = self.tokens[self.at]
        if token.kind == "number":
            self.at += 1
            return constant(int(token.text) if token.text.isdigit() else float(token.text))
        if token.kind == "string":
            self.at += 1
            return constant(token.text[1:-1].replace("''", "'"))
        if token.text in ("TRUE", "FALSE", "NULL") and token.kind == "keyword":
            self.at += 1
            return constant({"TRUE": True, "FALSE": False, "NULL": None}[token.text])
        if token.kind == "word" and self.tokens[self.at + 1].text == "(":
            return self.call()
        return self.property()

    def call(self) -> Expression:
        name = self.next().text.lower()
        if name not in ("property", "p"):
            raise SettingsError(f"the SQL filter {self.text!r} calls {name}(), which is not supported")
        self.expect("(")
        argument = self.sum()
        self.expect(")")
        return named_property(argument)

    def property(self, exists: bool = False) -> Expression:
        first = self.identifier()
        if not self.take("."):
            return user_property(first, exists)
        scope, name = first.lower(), self.identifier()
        if scope == "user":
            return user_property(name, exists)
        if scope != "sys":
            raise SettingsError(f"the SQL filter {self.text!r} has the scope {first}, expected sys or user")
        if name.lower() not in SYSTEM:
            raise SettingsError(f"the SQL filter {self.text!r} reads sys.{name}, which is not supported")
        return system_property(SYSTEM[name.lower()], exists)

    def identifier(self) -> str:
        token = self.next()
        if token.kind == "word":
            return token.text
        if token.kind == "quoted":
            close = token.text[-1]
            return token.text[1:-1].replace(close * 2, close)
        self.at -= 1
        raise self.error("a name")

    # Tokens

    def next(self) -> Token:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def peek(self, text: str) -> bool:
        token = self.tokens[self.at]
        return token.text == text and token.kind in ("mark", "keyword")

    def take(self, text: str) -> bool:
        if self.peek(text):
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if text == "end" and self.tokens[self.at].kind == "end":
            return
        if not self.take(text):
            raise self.error("its end" if text == "end" else text)

    def error(self, expected: str) -> SettingsError:
        token = self.tokens[self.at]
        return SettingsError(f"the SQL filter {self.text!r} has {token.text} at {token.at}, expected {expected}")
