"""A mutant: a deployment in which one thing is weaker than it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from ringfence.deployment import Resource, Secret

__all__ = ["REMOVED", "Concern", "Mutant", "Path", "places", "value_at", "words"]

Path = tuple[str | int, ...]
Concern = Literal["access", "exposure", "encryption", "secrets", "recovery", "audit", "supply", "bounds", "delivery"]


class _Removed:
    def __repr__(self) -> str:
        return "removed"


REMOVED: Final = _Removed()
"""In place of a value: the property is not there any more."""


@dataclass(frozen=True)
class Mutant:
    """One change of one resource."""

    urn: str
    type: str
    name: str
    path: Path
    """Where; empty for the whole resource."""
    after: Any
    """The new value, or `REMOVED`."""
    concern: Concern
    change: str
    """What is changed, in words."""
    origin: str
    """The table, or the rule whose example it is."""

    @property
    def security(self) -> bool:
        """Whether it weakens security. Bounds and delivery are about cost and reliability."""
        return self.concern not in ("bounds", "delivery")

    def apply(self, resources: Sequence[Resource]) -> list[Resource]:
        """Return the stack with the change: in the resource's inputs, and in the outputs that echo them."""
        if not self.path:
            return [item for item in resources if item.urn != self.urn]
        changed = []
        for item in resources:
            if item.urn == self.urn:
                inputs = _put(item.inputs, self.path, self.after)
                key = str(self.path[0])
                outputs = {name: value for name, value in item.outputs.items() if name != key}
                if key in inputs:
                    outputs[key] = inputs[key]
                item = replace(item, inputs=inputs, outputs=outputs)
            changed.append(item)
        return changed


def _put(value: Any, path: Path, new: Any) -> Any:
    if not path:
        return new
    if isinstance(value, Secret):
        return Secret(_put(value.value, path, new))
    key, rest = path[0], path[1:]
    if isinstance(value, list | tuple) and isinstance(key, int):
        items = list(value)
        if rest:
            items[key] = _put(items[key], rest, new)
        elif new is REMOVED:
            del items[key]
        elif key == len(items):
            items.append(new)
        else:
            items[key] = new
        return items
    properties = dict(value) if isinstance(value, Mapping) else {}
    if new is REMOVED and not rest:
        properties.pop(str(key), None)
        return properties
    properties[str(key)] = _put(properties.get(str(key)), rest, new)
    return properties


def places(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Return every place within a value, itself first."""
    if isinstance(value, Secret):
        value = value.value
    if path:
        yield path, value
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from places(item, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from places(item, (*path, index))


def value_at(value: Any, path: Path) -> Any:
    """Return what is at a path; None where nothing is."""
    for key in path:
        if isinstance(value, Secret):
            value = value.value
        if isinstance(value, Mapping):
            value = value.get(str(key))
        elif isinstance(value, list | tuple) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            return None
    return value


def words(path: Path) -> str:
    """Return a path as reports have it: `containers[0].image`."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text
