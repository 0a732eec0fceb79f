"""The words of a query."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from ringfence.emulators.cosmos.errors import query_error
from ringfence.emulators.cosmos.values import number

__all__ = ["Token", "tokens_of"]

WORDS = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*)
  | (?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<parameter>@[A-Za-z_]\w*)
  | (?P<name>[A-Za-z_]\w*)
  | (?P<sign>\?\?|\|\||!=|<>|<=|>=|<<|>>>|>>|[-+*/%&|^~=<>().,\[\]{}:?])
    """,
    re.VERBOSE | re.DOTALL,
)
ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)


@dataclass(frozen=True)
class Token:
    """A word of a query, where it stands, and its value if it is a literal."""

    kind: Literal["number", "string", "parameter", "name", "sign", "end"]
    text: str
    start: int
    value: Any = None

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.start + len(self.text)


def tokens_of(query: str) -> list[Token]:
    """Return the words of a query; the last one is its end.

    Raises:
        ServiceError: something in it is no word.
    """
    found: list[Token] = []
    position = 0
    while position < len(query):
        match = WORDS.match(query, position)
        if match is None:
            text = f"Syntax error, invalid token '{query[position : position + 1]}'."
            raise query_error("SC1010", text, position, position + 1)
        text = match.group()
        match match.lastgroup:
            case "number":
                try:
                    found.append(Token("number", text, position, _number(text)))
                except OverflowError as error:
                    message = f"The number '{text[:20]}' is out of range."
                    raise query_error("SC1012", message, position, match.end()) from error
            case "string":
                found.append(Token("string", text, position, _string(text)))
            case "parameter":
                found.append(Token("parameter", text, position))
            case "name":
                found.append(Token("name", text, position))
            case "sign":
                found.append(Token("sign", text, position))
        position = match.end()
    return [*found, Token("end", "", len(query))]


def _number(text: str) -> int | float:
    if text[:2] in ("0x", "0X"):
        return number(int(text, 16))
    return number(float(text) if re.search("[.eE]", text) else int(text))


def _string(text: str) -> str:
    def unescaped(match: re.Match[str]) -> str:
        code, character = match.groups()
        return chr(int(code, 16)) if code else ESCAPES.get(character, character)

    value = ESCAPE.sub(unescaped, text[1:-1])
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # \ud83d\ude00 is one character
