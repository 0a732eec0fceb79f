"""What changed between two sets of inputs, as `pulumirpc.DiffResponse` says it.

Whether a change replaces the resource is said where it is known: where the change alone gives the resource another
id, and for what a cloud cannot move.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from google.protobuf.struct_pb2 import Struct, Value
from pulumi.runtime.proto import provider_pb2

from ringfence.deployment import UNKNOWN
from ringfence.wire import SIGNATURE, decode_value

__all__ = ["difference"]

_ADD = provider_pb2.PropertyDiff.Kind.ADD
_DELETE = provider_pb2.PropertyDiff.Kind.DELETE
_UPDATE = provider_pb2.PropertyDiff.Kind.UPDATE
_REPLACES = {
    _ADD: provider_pb2.PropertyDiff.Kind.ADD_REPLACE,
    _DELETE: provider_pb2.PropertyDiff.Kind.DELETE_REPLACE,
    _UPDATE: provider_pb2.PropertyDiff.Kind.UPDATE_REPLACE,
}
Change: TypeAlias = tuple[str, int]
"""A property path as the engine writes it, and the kind of the change."""


def difference(
    old: Struct, new: Struct, replaces: Callable[[str], bool] = lambda name: False
) -> provider_pb2.DiffResponse:
    """Return the difference between two sets of inputs. `replaces` is asked for the name of each changed property."""
    before, after = _fields(old), _fields(new)
    response = provider_pb2.DiffResponse(hasDetailedDiff=True, changes=provider_pb2.DiffResponse.DIFF_NONE)
    for name in sorted(before.keys() | after.keys()):
        changes = list(_changes(name, before.get(name), after.get(name)))
        if not changes:
            continue
        replaced = replaces(name)
        response.changes = provider_pb2.DiffResponse.DIFF_SOME
        response.diffs.append(name)
        if replaced:
            response.replaces.append(name)
        for path, kind in changes:
            detail = response.detailedDiff[path]
            detail.kind = _REPLACES[kind] if replaced else kind  # type: ignore[assignment,index]
            detail.inputDiff = True
    return response


def _fields(struct: Struct) -> dict[str, Any]:
    return {name: _comparable(value) for name, value in struct.fields.items() if not name.startswith("__")}


def _comparable(value: Value) -> Any:
    """Return a value without what makes no difference to a provider: secrecy, dependencies, the path of an asset."""
    kind = value.WhichOneof("kind")
    if kind == "list_value":
        return [_comparable(item) for item in value.list_value.values]
    if kind != "struct_value":
        return decode_value(value)
    fields = value.struct_value.fields
    if SIGNATURE not in fields:
        return {name: _comparable(item) for name, item in fields.items()}
    if "hash" in fields and fields["hash"].string_value:
        return ("asset", fields["hash"].string_value)
    if "value" in fields:  # a secret or an output value
        return _comparable(fields["value"])
    return decode_value(value)


def _changes(path: str, old: Any, new: Any) -> Iterator[Change]:
    if old is None or new is None:
        if old is not new:
            yield path, _ADD if old is None else _DELETE
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            yield from _changes(_member(path, key), old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            pair = [items[index] if index < len(items) else None for items in (old, new)]
            yield from _changes(f"{path}[{index}]", *pair)
    elif old != new or new is UNKNOWN:
        yield path, _UPDATE


def _member(path: str, key: str) -> str:
    if key.replace("_", "a").replace("-", "a").isalnum():
        return f"{path}.{key}"
    quoted = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'{path}["{quoted}"]'
