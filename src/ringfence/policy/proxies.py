"""What policies read properties through: the SDK's proxies, made where a policy looks and nowhere else.

The SDK decodes a resource's properties and wraps them, down to the last leaf, once for every policy. Here they are
decoded once; a proxy wraps a child when it is first read, and copies an object when a policy first writes to it, so
that no policy sees what another wrote.
"""

from __future__ import annotations

import copy
from typing import Any

import pulumi
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct, Value

from ringfence.policy._pulumi_policy import DictProxy, ListProxy, UnknownValueError, deserialize, is_unknown
from ringfence.wire import SECRET, SIGNATURE

__all__ = ["decode_properties", "lazy_proxy"]

_TARGET = "__target"
"""The key under which the SDK's proxies give what they hold."""


# The classes go by the names of the SDK's, since policies compare and print those.


class _DictProxy(DictProxy):
    """An object. `_shared` is what all policies look at; `_own` is what this one has of it."""

    __module__ = DictProxy.__module__

    def __init__(self, shared: dict[str, Any], path: tuple[str, ...]) -> None:
        self._shared = shared
        self._own: dict[str, Any] = {}
        self._path = path

    def __getitem__(self, key: Any) -> Any:
        if key == _TARGET:
            return self._whole()
        value = self._child(key)
        if is_unknown(value):
            raise UnknownValueError(value, [*self._path, str(key)])
        return value

    def __setitem__(self, key: Any, value: Any) -> None:
        if key not in self._shared:
            self._shared = {**self._shared, key: value}
        self._own[key] = value

    def __len__(self) -> int:
        return len(self._shared)

    def __iter__(self) -> Any:
        return iter(self._shared)

    def _child(self, key: Any) -> Any:
        if key in self._own:
            return self._own[key]
        value = self._shared[key]
        kind = type(value)
        if kind is str or kind is float or kind is bool:
            return value
        wrapped = self._own[key] = _wrap(value, (*self._path, str(key)))
        return wrapped

    def _whole(self) -> dict[str, Any]:
        """Return everything, each child wrapped, in a dict that is this proxy's own from now on."""
        whole = {key: self._child(key) for key in self._shared}
        self._shared = self._own = whole
        return whole


class _ListProxy(ListProxy):
    """A list."""

    __module__ = ListProxy.__module__

    def __init__(self, shared: list[Any], path: tuple[str, ...]) -> None:
        self._shared = shared
        self._own: list[Any] | None = None
        self._path = path

    def __getitem__(self, key: Any) -> Any:
        if self._own is None:
            self._own = [_wrap(item, (*self._path, str(index))) for index, item in enumerate(self._shared)]
        if key == _TARGET:
            return self._own
        value = self._own[key]
        if is_unknown(value):
            raise UnknownValueError(value, [*self._path, str(key)])
        return value

    def __len__(self) -> int:
        return len(self._shared if self._own is None else self._own)


def _wrap(value: Any, path: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        return _DictProxy(value, path)
    if isinstance(value, list):
        return _ListProxy(value, path)
    if isinstance(value, pulumi.Asset | pulumi.Archive):
        return copy.deepcopy(value)  # a policy may change it
    return value


def lazy_proxy(properties: dict[str, Any]) -> Any:
    """Return `properties` as a policy is given them. It must not change while proxies of it are in use."""
    return _DictProxy(properties, ())


def decode_properties(struct: Struct) -> dict[str, Any]:
    """Return properties as the SDK decodes them from the wire: numbers as doubles, secrets plain, assets as objects.

    Raises `ValueError` for what JSON has not (infinity, not a number) and `AssertionError` for a signature that the
    SDK does not know, as the SDK does.
    """
    fields = struct.fields
    return {key: _decode(fields[key]) for key in fields}


def _decode(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "bool_value":
        return value.bool_value
    if kind == "number_value":
        number = value.number_value
        if number - number != 0:  # infinite, or not a number
            raise ValueError("a number that is infinite or none at all")
        return number
    if kind == "struct_value":
        fields = value.struct_value.fields
        if SIGNATURE not in fields:
            return {key: _decode(fields[key]) for key in fields}
        if fields[SIGNATURE].string_value == SECRET and "value" in fields:
            return _decode(fields["value"])
        return deserialize({"value": json_format.MessageToDict(value.struct_value)})["value"]
    if kind == "list_value":
        return [_decode(item) for item in value.list_value.values]
    return None
