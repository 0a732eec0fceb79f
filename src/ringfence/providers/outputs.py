"""Outputs of resources: echoed inputs, and in mode `synthetic` what the service would add.

An input is echoed where the output of its name takes it. In nested objects what the output always has and the
input lacks is unknown, for example the principal id of an identity. What neither the inputs nor the tables for
Azure and AWS tell stays unknown: a wrong answer is worse than none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

from ringfence.deployment import UNKNOWN, Archive, Asset, ResourceReference, Secret, Unknown
from ringfence.providers import aws, azure
from ringfence.providers.interface import Created, OutputMode, Registration
from ringfence.providers.sdk_types import (
    AssetType,
    EnumType,
    Fields,
    ListType,
    MapType,
    ObjectType,
    PropertyType,
    ResourceTypes,
    ScalarType,
    UnionType,
    describe,
    fields_of,
)
from ringfence.providers.text import hexadecimal

__all__ = ["create", "fits"]


class _NoFit:
    """The mark of a value that an output does not take."""


_NO_FIT = _NoFit()
Echo: TypeAlias = Callable[[Any], Any]
"""Returns the value as the output has it, or `_NO_FIT`."""


def create(registration: Registration, mode: OutputMode) -> Created:
    """Return the id and the outputs of a new resource, or of an existing one where `import_id` is set.

    In mode `synthetic` the outputs hold every output of the type, in mode `unknown` only those that a first
    preview knows. Nothing is raised.
    """
    package = registration.type.partition(":")[0]
    types = describe(registration.type) or _default_version(registration.type)
    # pulumi-azure-native's preview marks every property unknown that the program does not set, at any depth.
    plan = _plan(types, mode == "unknown" and package == "azure-native") if types is not None else None
    if not registration.custom:
        return Created(UNKNOWN, dict(plan.blank) if plan is not None else {})
    echoed = plan.echo(registration.inputs) if plan is not None else _present(registration.inputs)
    if mode == "unknown":
        return Created(registration.import_id or UNKNOWN, echoed)
    match package:
        case "azure-native" if registration.type.count(":") == 2:
            identity, more = azure.create(registration, types, echoed)
        case "aws":
            identity, more = aws.create(registration, types, echoed)
        case _:
            name = registration.import_id or f"{registration.name}-{hexadecimal(registration.urn, 7)}"
            identity, more = name, {}
    if plan is None:
        return Created(identity, {**echoed, **more})
    extra = {name: value for name, value in more.items() if name in plan.blank}
    return Created(identity, {**plan.blank, **echoed, **extra})


def _default_version(token: str) -> ResourceTypes | None:
    """Return the types of azure-native's default version: a good guess for outputs, not for checks."""
    if not token.startswith("azure-native:") or token.count(":") != 2:
        return None
    return describe(f"azure-native:{azure.short_token(token)}")


def _present(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in inputs.items() if value is not None}


class _Plan:
    """How the inputs of a type become outputs."""

    __slots__ = ("_echoes", "blank")

    def __init__(self, types: ResourceTypes, thorough: bool) -> None:
        self.blank: dict[str, Any] = dict.fromkeys(types.outputs, UNKNOWN)
        self._echoes = {name: _echo(kind, thorough) for name, kind in types.outputs.items()}

    def echo(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs that are known from the inputs."""
        outputs = {}
        for key, value in inputs.items():
            echo = self._echoes.get(key)
            if echo is not None and value is not None:
                echoed = echo(value)
                if echoed is not _NO_FIT:
                    outputs[key] = echoed
        return outputs


@lru_cache(maxsize=8192)
def _plan(types: ResourceTypes, thorough: bool) -> _Plan:
    return _Plan(types, thorough)


def fits(kind: PropertyType, value: Any) -> bool:
    """Whether a value can be one of a type."""
    return _echo(kind, False)(value) is not _NO_FIT


@lru_cache(maxsize=65536)
def _echo(kind: PropertyType, thorough: bool) -> Echo:
    match kind:
        case ScalarType(name):
            exact: tuple[type, ...] = {"string": (str,), "boolean": (bool,), "integer": (int,), "number": (int, float)}[
                name
            ]
            return _through_markers(lambda value: value if type(value) in exact else _NO_FIT, exact)
        case EnumType(values):
            kinds = tuple({type(value) for value in values})
            return _through_markers(lambda value: value if type(value) in kinds else _NO_FIT, kinds)
        case ListType(item):
            return _through_markers(_echo_list(_echo(item, thorough)))
        case MapType(item):
            return _through_markers(_echo_map(_echo(item, thorough)))
        case ObjectType(cls):
            return _through_markers(_echo_object(cls, thorough))
        case AssetType():
            return _through_markers(lambda value: value if isinstance(value, Asset | Archive) else _NO_FIT)
        case UnionType(members):
            return _through_markers(_echo_union([_echo(member, thorough) for member in members]))
        case _:
            return lambda value: value


def _through_markers(echo: Echo, exact: tuple[type, ...] = ()) -> Echo:
    """Return `echo` for values that may be unknown, secret or a reference to a resource."""

    def marked(value: Any) -> Any:
        if type(value) in exact:
            return value
        match value:
            case Unknown():
                return value
            case Secret(inner):
                echoed = marked(inner)
                return echoed if echoed is _NO_FIT else Secret(echoed)
            case ResourceReference(_, identity) if exact:
                return marked(identity) if identity is not None else UNKNOWN
            case _:
                return echo(value)

    return marked


def _echo_list(item: Echo) -> Echo:
    def echo(value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return _NO_FIT
        echoed = [item(element) for element in value]
        return _NO_FIT if _NO_FIT in echoed else echoed

    return echo


def _echo_map(item: Echo) -> Echo:
    def echo(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return _NO_FIT
        echoed = {key: item(element) for key, element in value.items() if element is not None}
        return _NO_FIT if _NO_FIT in echoed.values() else echoed

    return echo


def _echo_object(cls: type, thorough: bool) -> Echo:
    compiled: list[tuple[dict[str, Echo], dict[str, Any]]] = []

    def echo(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return _NO_FIT
        if not compiled:  # late, since object types can be recursive
            fields: Fields = fields_of(cls)
            echoes = {name: _echo(kind, thorough) for name, kind in fields.types.items()}
            compiled.append((echoes, dict.fromkeys(fields.types if thorough else sorted(fields.required), UNKNOWN)))
        echoes, blank = compiled[0]
        result = dict(blank)
        for key, item in value.items():
            nested = echoes.get(key)
            if nested is not None and item is not None:
                echoed = nested(item)
                result[key] = UNKNOWN if echoed is _NO_FIT else echoed
        return result

    return echo


def _echo_union(members: list[Echo]) -> Echo:
    def echo(value: Any) -> Any:
        fitting = [echoed for member in members if (echoed := member(value)) is not _NO_FIT]
        if len(fitting) == 1:
            return fitting[0]
        # Objects of a union cannot be told apart here: the value goes through as it is.
        return value if fitting else _NO_FIT

    return echo
