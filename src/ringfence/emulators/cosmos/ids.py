"""Resource ids (`_rid`): a database's is four bytes, a container's has four more, an item's another eight."""

from __future__ import annotations

import base64

__all__ = ["container_rid", "database_rid", "item_rid", "offer_rid"]

CONTAINER_BIT = 0x80000000
"""Tells a container from a user."""


def _text(raw: bytes) -> str:
    return base64.b64encode(raw, b"+-").decode()


def _raw(rid: str) -> bytes:
    return base64.b64decode(rid, b"+-")


def database_rid(number: int) -> str:
    """Return the id of an account's so-manieth database."""
    return _text(number.to_bytes(4, "big"))


def container_rid(database: str, number: int) -> str:
    """Return the id of a database's so-manieth container."""
    return _text(_raw(database) + (CONTAINER_BIT | number).to_bytes(4, "big"))


def item_rid(container: str, number: int) -> str:
    """Return the id of a container's so-manieth item."""
    return _text(_raw(container) + number.to_bytes(8, "little"))


def offer_rid(number: int) -> str:
    """Return the id of an account's so-manieth offer: four characters, as the service's are."""
    return _text(number.to_bytes(3, "big"))
