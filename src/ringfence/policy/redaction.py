"""Taking secrets out of text that others wrote: the messages of CrossGuard policies, which see secrets plain."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from ringfence.deployment import Archive, Asset, Secret

__all__ = ["Redactor"]

_SHORT = 4
"""Shorter secrets are replaced only where they stand as a word, or messages would be riddled."""
_PIECE = 6
"""Length from which a word of a message counts as quoted from a longer secret."""
_WORD = re.compile(r"[^\s\"'`,;:(){}\[\]<>\0]+")
_SHOWN = "[secret]"
_GONE = "\0"
"""Stands for a secret while others are looked for: the word "secret" may be part of one."""


class Redactor:
    """Replaces the secrets among the given values in any text by `[secret]`.

    Replaced are secret strings and numbers, also as Python or JSON would quote them, and words of the text that are
    part of a longer secret (the key within a connection string). Booleans stay: `true` in a sentence tells nothing.
    """

    def __init__(self, *values: Mapping[str, Any]) -> None:
        self._values = values

    @cached_property
    def _secrets(self) -> list[str]:
        found: set[str] = set()
        for values in self._values:
            for text in _secret_texts(values, False):
                if text.strip():
                    found.update({text, repr(text)[1:-1], json.dumps(text)[1:-1]})
        return sorted(found, key=lambda text: (-len(text), text))

    def __call__(self, message: str) -> str:
        """Return `message` without the secrets."""
        if not message or not self._secrets:
            return message
        for secret in self._secrets:
            if len(secret) >= _SHORT:
                message = message.replace(secret, _GONE)
            else:
                message = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", _GONE, message)
        return _WORD.sub(self._without_piece, message).replace(_GONE, _SHOWN)

    def _without_piece(self, match: re.Match[str]) -> str:
        word = match.group().rstrip(".!?")
        if len(word) >= _PIECE and any(word in secret for secret in self._secrets):
            return _GONE + match.group()[len(word) :]
        return match.group()


def _secret_texts(value: Any, secret: bool) -> Iterator[str]:
    match value:
        case Secret():
            yield from _secret_texts(value.value, True)
        case Mapping():
            for item in value.values():
                yield from _secret_texts(item, secret)
        case list() | tuple():
            for item in value:
                yield from _secret_texts(item, secret)
        case Archive() | Asset():
            yield from _secret_texts(value.content, secret)
        case str() if secret:
            yield value
        case int() | float() if secret and not isinstance(value, bool):
            yield str(value)
            yield str(float(value))
