"""Partial updates of an item.

Source: "Partial document update in Azure Cosmos DB" (Learn): operations, paths, at most ten in a request.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ringfence.emulators.cosmos.errors import ServiceError, bad_request
from ringfence.emulators.cosmos.values import Json, Kind, kind_of, number

__all__ = ["patched"]

MOST_OPERATIONS = 10
SYSTEM_PROPERTIES = frozenset({"id", "_rid", "_self", "_etag", "_ts", "_attachments"})


@dataclass(frozen=True)
class _Place:
    """Where an operation acts: in an object or an array, at a name or an index."""

    parent: Any
    name: str

    @property
    def exists(self) -> bool:
        return (
            self.name in self.parent
            if isinstance(self.parent, dict)
            else (isinstance(self.parent, list) and self.name.isdecimal() and int(self.name) < len(self.parent))
        )

    def get(self) -> Json:
        return self.parent[self.name] if isinstance(self.parent, dict) else self.parent[int(self.name)]

    def put(self, value: Json) -> None:
        self.parent[self.name if isinstance(self.parent, dict) else int(self.name)] = value

    def delete(self) -> None:
        del self.parent[self.name if isinstance(self.parent, dict) else int(self.name)]


def patched(item: dict[str, Any], operations: Sequence[Any], key_paths: Sequence[tuple[str, ...]]) -> dict[str, Any]:
    """Return an item after some operations, all of them or none.

    Args:
        item: the item as it is; it is not changed.
        operations: what the request says.
        key_paths: the paths of the partition key, which cannot be patched.

    Raises:
        ServiceError: an operation is wrong or does not fit the item.
    """
    if not isinstance(operations, list) or not operations:
        raise bad_request("Patch request has no operations.")
    if len(operations) > MOST_OPERATIONS:
        raise bad_request(f"The number of patch operations can't exceed '{MOST_OPERATIONS}'.")
    result = copy.deepcopy(item)
    for index, operation in enumerate(operations, 1):
        try:
            _apply(result, operation, key_paths)
        except ServiceError as error:
            raise bad_request(f"For Operation({index}): {error.message}") from error
    return result


def _apply(item: dict[str, Any], operation: Any, key_paths: Sequence[tuple[str, ...]]) -> None:
    if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
        raise bad_request("An operation is an object with op and path.")
    kind = operation.get("op")
    function = OPERATIONS.get(str(kind).lower())
    if function is None:
        raise bad_request(f"'{kind}' is no operation.")
    if kind not in ("remove", "move") and "value" not in operation:
        raise bad_request(f"{kind} needs a value.")
    paths = [operation["path"], *([operation["from"]] if isinstance(operation.get("from"), str) else [])]
    for path in paths:
        names = _names(path)
        if names[0] in SYSTEM_PROPERTIES or any(key[: len(names)] == tuple(names) for key in key_paths):
            raise bad_request(f"Can't patch path '{path}': it is a system property or part of the partition key.")
    function(item, operation)


def _names(path: str) -> list[str]:
    if not path.startswith("/") or path == "/":
        raise bad_request(f"'{path}' is no path.")
    return [name.replace("~1", "/").replace("~0", "~") for name in path[1:].split("/")]


def _place(item: dict[str, Any], path: str, kind: str) -> _Place:
    *parents, last = _names(path)
    found: Any = item
    for name in parents:
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            found = None
        if not isinstance(found, dict | list):
            raise bad_request(
                f"{kind} Operation can only create a child object of an existing node(array or object) and cannot "
                f"create path recursively, no path found beyond: '{name}'."
            )
    if isinstance(found, list) and last != "-" and not last.isdecimal():
        raise bad_request(f"'{last}' is no index of an array.")
    return _Place(found, last)


def _add(item: dict[str, Any], operation: dict[str, Any]) -> None:
    place = _place(item, operation["path"], "Add")
    if isinstance(place.parent, dict):
        place.put(operation["value"])
        return
    index = len(place.parent) if place.name == "-" else int(place.name)
    if index > len(place.parent):
        raise bad_request("Add Operation: the index is out of the array's bounds.")
    place.parent.insert(index, operation["value"])


def _set(item: dict[str, Any], operation: dict[str, Any]) -> None:
    place = _place(item, operation["path"], "Set")
    if isinstance(place.parent, dict) or place.exists:
        place.put(operation["value"])
    else:
        _add(item, operation)


def _replace(item: dict[str, Any], operation: dict[str, Any]) -> None:
    _existing(item, operation["path"], "Replace").put(operation["value"])


def _remove(item: dict[str, Any], operation: dict[str, Any]) -> None:
    _existing(item, operation["path"], "Remove").delete()


def _increment(item: dict[str, Any], operation: dict[str, Any]) -> None:
    place = _place(item, operation["path"], "Increment")
    step = operation["value"]
    before = place.get() if place.exists else None if isinstance(place.parent, list) else 0
    if kind_of(step) is not Kind.NUMBER or kind_of(before) is not Kind.NUMBER:
        raise bad_request("Increment Operation: the value at the path, and the one to add, must be numbers.")
    place.put(number(before + step))


def _move(item: dict[str, Any], operation: dict[str, Any]) -> None:
    source, target = operation.get("from"), operation["path"]
    if not isinstance(source, str):
        raise bad_request("move needs from.")
    if _names(target)[: len(_names(source))] == _names(source):
        raise bad_request("Move Operation: the path cannot be at or below the one in from.")
    place = _existing(item, source, "Move")
    value = place.get()
    place.delete()
    _set(item, {"path": target, "value": value})


def _existing(item: dict[str, Any], path: str, kind: str) -> _Place:
    place = _place(item, path, kind)
    if not place.exists:
        raise bad_request(f"{kind} Operation: the node at '{path}' is absent.")
    return place


OPERATIONS: dict[str, Callable[[dict[str, Any], dict[str, Any]], None]] = {
    "add": _add,
    "set": _set,
    "replace": _replace,
    "remove": _remove,
    "incr": _increment,
    "move": _move,
}
