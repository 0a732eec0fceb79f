"""Outputs after an apply that does not happen: what is unknown gets a placeholder of its type.

A preview takes unknowns; an apply cannot, since the program's `apply` functions run on what the provider gives back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ringfence.deployment import Secret, Unknown, reveal
from ringfence.providers.aws import DEFAULT_REGION, region_of
from ringfence.providers.interface import Created, Registration
from ringfence.providers.invokes import placeholder
from ringfence.providers.sdk_types import AnyType, ListType, MapType, ObjectType, PropertyType, describe, fields_of
from ringfence.providers.text import hexadecimal

__all__ = ["applied"]

_ANY = AnyType()


def applied(registration: Registration, created: Created) -> Created:
    """Return a resource without unknowns. What has no type is left out."""
    described = describe(registration.type)
    types = described.outputs if described is not None else {}
    identity = created.id
    if not isinstance(identity, str):
        identity = f"{registration.name}-{hexadecimal(registration.urn, 7)}"
    region = reveal(region_of(registration.provider_inputs, registration.inputs))
    known = _Placeholders(registration.type, region if isinstance(region, str) else DEFAULT_REGION)
    return Created(identity, known.properties(created.outputs, types))


@dataclass(frozen=True, slots=True)
class _Placeholders:
    """Fills in what is unknown of one resource."""

    token: str
    region: str

    def properties(self, values: Mapping[str, Any], types: Mapping[str, PropertyType]) -> dict[str, Any]:
        known = {name: self._value(value, types.get(name, _ANY), name) for name, value in values.items()}
        return {name: value for name, value in known.items() if value is not None}

    def _value(self, value: Any, kind: PropertyType, name: str) -> Any:
        match value:
            case Unknown():
                return placeholder(kind, name, self.token, self.region)
            case Secret(inner):
                return Secret(self._value(inner, kind, name))
            case Mapping():
                if isinstance(kind, MapType):
                    return self.properties(value, dict.fromkeys(value, kind.item))
                return self.properties(value, fields_of(kind.cls).types if isinstance(kind, ObjectType) else {})
            case list() | tuple():
                item = kind.item if isinstance(kind, ListType) else _ANY
                return [self._value(element, item, name) for element in value]
            case _:
                return value
