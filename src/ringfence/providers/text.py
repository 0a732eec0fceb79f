"""Texts that are made from values which may be unknown or secret."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

from ringfence.deployment import UNKNOWN, Secret

__all__ = ["compose", "digest", "hexadecimal"]


@lru_cache(maxsize=8192)
def digest(text: str) -> bytes:
    """Return 32 bytes that depend on nothing but `text`: the source of everything that looks random."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def hexadecimal(seed: str, length: int) -> str:
    """Return up to 64 lower-case hexadecimal digits that depend on nothing but `seed`."""
    return digest(seed).hex()[:length]


def compose(template: str, *parts: Any) -> Any:
    """Return `template` with its `{}` filled in.

    The result is unknown where a part is no known text, and secret where a part is secret.
    """
    secret = False
    texts = []
    for part in parts:
        while isinstance(part, Secret):
            part, secret = part.value, True
        if type(part) is not str:
            return UNKNOWN
        texts.append(part)
    text = template.format(*texts)
    return Secret(text) if secret else text
