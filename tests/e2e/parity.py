"""Compares what the embedded and the real engine make of one program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ringfence.deployment import UNKNOWN, Deployment, Options, Resource, Secret

__all__ = ["differences"]

_FIELDS = ("type", "name", "custom", "remote", "external", "default_provider", "parent", "provider", "id")
_MAPPINGS = ("inputs", "outputs", "property_dependencies")


def differences(embedded: Deployment, real: Deployment) -> list[str]:
    """Return one line for each thing that the two engines do not agree on."""
    return list(_differences(embedded, real))


def _differences(embedded: Deployment, real: Deployment) -> Iterator[str]:
    if embedded.ok != real.ok:
        yield f"ok: embedded {embedded.error}, real {real.error}"
    for urn in sorted(embedded.by_urn.keys() - real.by_urn.keys()):
        yield f"only the embedded engine registers {urn}"
    for urn in sorted(real.by_urn.keys() - embedded.by_urn.keys()):
        yield f"only the real engine registers {urn}"
    for urn in sorted(embedded.by_urn.keys() & real.by_urn.keys()):
        yield from _of_resource(embedded.by_urn[urn], real.by_urn[urn])
    yield from _of_mapping("stack outputs", embedded.outputs, real.outputs)
    yield from _of_problems(embedded, real)


def _of_resource(embedded: Resource, real: Resource) -> Iterator[str]:
    place = embedded.urn.split("::", 2)[2]
    for name in _FIELDS:
        left, right = getattr(embedded, name), getattr(real, name)
        if left != right:
            yield f"{place}: {name}: embedded {left!r}, real {right!r}"
    for name in _MAPPINGS:
        yield from _of_mapping(f"{place}: {name}", getattr(embedded, name), getattr(real, name))
    if set(embedded.dependencies) != set(real.dependencies):
        yield f"{place}: dependencies: embedded {embedded.dependencies}, real {real.dependencies}"
    for name in Options.__slots__:
        left, right = getattr(embedded.options, name), getattr(real.options, name)
        if left != right:
            yield f"{place}: option {name}: embedded {left!r}, real {right!r}"
    if embedded.source != real.source:
        yield f"{place}: source: embedded {embedded.source}, real {real.source}"


def _of_mapping(place: str, embedded: Mapping[str, Any], real: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted(embedded.keys() | real.keys()):
        left, right = embedded.get(key, UNKNOWN), real.get(key, UNKNOWN)
        if not _same(left, right):
            yield f"{place}.{key}: embedded {left!r}, real {right!r}"


def _same(left: Any, right: Any) -> bool:
    """Whether two values are the same; an output that is left out is unknown, and one of null is left out."""
    if isinstance(left, Secret) and isinstance(right, Secret):
        return _same(left.value, right.value)
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return all(_same(left.get(key), right.get(key)) for key in left.keys() | right.keys())
    if isinstance(left, Sequence) and isinstance(right, Sequence) and not isinstance(left, str):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _of_problems(embedded: Deployment, real: Deployment) -> Iterator[str]:
    sides = [
        {(item.code, item.urn, item.path, item.message, item.source) for item in side.problems if item.code <= "PG04"}
        for side in (embedded, real)
    ]
    for item in sorted(sides[0] - sides[1], key=str):
        yield f"only the embedded engine finds {item}"
    for item in sorted(sides[1] - sides[0], key=str):
        yield f"only the real engine finds {item}"
