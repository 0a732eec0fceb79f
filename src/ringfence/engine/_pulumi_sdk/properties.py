"""A resource's properties on their way to the monitor and back, without the SDK's detours."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping
from typing import Any

import pulumi
from google.protobuf.struct_pb2 import Struct
from pulumi import _types as sdk_types
from pulumi.output import _OutputData
from pulumi.runtime import resource_cycle_breaker as sdk_cycles
from pulumi.runtime import rpc as sdk_rpc
from pulumi.runtime import settings as sdk_settings

from ringfence.engine._pulumi_sdk.outputs import PLAIN

__all__ = [
    "PropertyOutput",
    "reachable",
    "resolve_outputs",
    "resolve_outputs_due_to_exception",
    "serialize_properties",
    "serialize_property",
    "transfer_properties",
    "unwrap_type",
]

_sdk_serialize_properties = sdk_rpc.serialize_properties
_sdk_serialize_property = sdk_rpc.serialize_property
_sdk_resolve_outputs = sdk_rpc.resolve_outputs

unwrap_type = functools.lru_cache(maxsize=8192)(sdk_types.unwrap_type)

# --- back: from the registration's answer to the resource's outputs ---------------------------------------------------


class _Properties:
    """The outputs of one resource. A class can have fifty, of which a program reads two: one is made when asked for."""

    __slots__ = ("_fault", "_futures", "_loop", "_read", "_resource", "names")

    def __init__(self, resource: pulumi.Resource, names: frozenset[str]) -> None:
        self.names = names
        self._resource = resource
        self._loop = asyncio.get_running_loop()
        self._futures: dict[str, asyncio.Future[Any]] = {}
        self._read: Callable[[str], _OutputData[Any]] | None = None
        self._fault: Exception | None = None

    def future(self, name: str) -> asyncio.Future[Any]:
        """Return what a property's output awaits."""
        future = self._futures.get(name)
        if future is None:
            future = self._futures[name] = self._loop.create_future()
            if self._read is not None or self._fault is not None:
                self._settle(name, future)
        return future

    def resolve(self, read: Callable[[str], tuple[Any, bool, bool, set[pulumi.Resource] | None]]) -> None:
        """Resolve all outputs to what `read` says of each: value, whether it is known and secret, dependencies."""

        def data(name: str) -> _OutputData[Any]:
            value, known, secret, dependencies = read(name)
            return _OutputData({self._resource, *(dependencies or ())}, value, known, secret)

        self._read = data
        for name, future in self._futures.items():
            self._settle(name, future)

    def fail(self, fault: Exception) -> None:
        """Make all outputs fail."""
        self._fault = fault
        for name, future in self._futures.items():
            self._settle(name, future)

    def _settle(self, name: str, future: asyncio.Future[Any]) -> None:
        fault = self._fault
        if self._read is not None and fault is None:
            try:
                future.set_result(self._read(name))
                return
            except Exception as error:  # a value that is not of the property's type
                fault = error
        assert fault is not None
        future.set_exception(fault)
        # Whoever awaits it gets it; nobody has to, since the failed registration itself is reported.
        future.exception()


class PropertyOutput(pulumi.Output[Any]):
    """An output that is one of a resource's properties."""

    @property
    def _data(self) -> asyncio.Future[Any]:  # type: ignore[override]
        held = self.__dict__
        future: asyncio.Future[Any] = held["properties"].future(held["property"])
        return future


def transfer_properties(resource: pulumi.Resource, properties: Mapping[str, Any], custom: bool) -> _Properties:
    """Give a resource an output for each property; return what resolves them. Stands in for the SDK's function.

    The outputs are not tracked among those that a run waits for: the registration that resolves them is.
    """
    names = [name for name in properties if name != "urn" and not (name == "id" and custom)]
    made = _Properties(resource, frozenset(names))
    attributes = resource.__dict__
    for name in names:
        output = attributes[name] = object.__new__(PropertyOutput)
        output.__dict__.update(properties=made, property=name)
    return made


def resolve_outputs_due_to_exception(resolvers: _Properties, exn: Exception) -> None:
    """Make all outputs of a resource fail as its registration did."""
    resolvers.fail(exn)


def resolve_outputs(
    res: pulumi.Resource,
    serialized_props: Struct,
    outputs: Struct,
    deps: Mapping[str, set[pulumi.Resource]],
    resolvers: _Properties,
    custom: bool,
    transform_using_type_metadata: bool = False,
    keep_unknowns: bool = False,
    resolve_missing_as_unknown: bool = False,
) -> None:
    """Resolve a resource's outputs as the SDK does in a preview, each when it is asked for."""
    if sdk_settings.SETTINGS.legacy_apply_enabled:
        _resolve_at_once(res, serialized_props, outputs, deps, resolvers, custom, transform_using_type_metadata)
        return
    types = sdk_types.resource_types(type(res))
    translate: Callable[[str], str] = res.translate_output_property
    translate_nested = translate
    if transform_using_type_metadata:
        known_names = sdk_types.resource_pulumi_to_py_names(type(res))
        translate, translate_nested = (lambda key: known_names.get(key) or key), (lambda key: key)
    keys = {translate(key): key for key in outputs.fields}
    dependencies = {translate(key): resources for key, resources in deps.items()}

    def read(name: str) -> tuple[Any, bool, bool, set[pulumi.Resource] | None]:
        key = keys.get(name)
        value = None if key is None else sdk_rpc.deserialize_property(outputs[key], keep_unknowns)
        if key is not None and value is not None:
            value = sdk_rpc.translate_output_properties(
                value,
                translate_nested,
                types.get(key),
                transform_using_type_metadata,
                path=sdk_rpc._Path(name, resource=res._name),
            )
        plain = sdk_rpc.unwrap_rpc_secret(value)
        return plain, plain is not None, sdk_rpc.is_rpc_secret(value), dependencies.get(name)

    resolvers.resolve(read)


def _resolve_at_once(
    res: pulumi.Resource,
    serialized_props: Struct,
    outputs: Struct,
    deps: Mapping[str, set[pulumi.Resource]],
    resolvers: _Properties,
    custom: bool,
    transform_using_type_metadata: bool,
) -> None:
    """Let the SDK say what the outputs are where the user asks for its legacy ways."""
    found: dict[str, tuple[Any, bool, bool, set[pulumi.Resource] | None]] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda value, known, secret, dependencies, _: found.update({name: (value, known, secret, dependencies)})

    takers = {name: keep(name) for name in resolvers.names}
    _sdk_resolve_outputs(res, serialized_props, outputs, deps, takers, custom, transform_using_type_metadata)
    resolvers.resolve(found.__getitem__)


# --- there: from the program's inputs to the request ------------------------------------------------------------------


async def serialize_properties(
    inputs: Mapping[str, Any],
    property_deps: dict[str, list[pulumi.Resource]],
    resource_obj: pulumi.Resource | None = None,
    input_transformer: Callable[[str], str] | None = None,
    typ: type | None = None,
    keep_output_values: bool = False,
    exclude_resource_refs_from_deps: bool = False,
) -> Struct:
    """Serialise a resource's inputs; those that are not given, most of them, are not looked at."""
    given = {name: inputs[name] for name in inputs if inputs[name] is not None}
    return await _sdk_serialize_properties(
        given,
        property_deps,
        resource_obj,
        input_transformer,
        typ,
        keep_output_values,
        exclude_resource_refs_from_deps,
    )


async def serialize_property(
    value: Any,
    deps: list[pulumi.Resource] | None,
    property_key: str | None,
    resource_obj: pulumi.Resource | None = None,
    input_transformer: Callable[[str], str] | None = None,
    typ: type | None = None,
    keep_output_values: bool = False,
    exclude_resource_refs_from_deps: bool = False,
    return_protobuf_value: bool = False,
) -> Any:
    """Serialise a value. What is plain is its own wire value; the SDK's function does all that is not common."""
    kind = type(value)
    if kind in PLAIN and not return_protobuf_value:
        return value
    if sdk_types.is_input_type(kind) and not return_protobuf_value:
        types = sdk_types.input_type_types(kind)
        return {
            key: await serialize_property(
                item,
                deps,
                property_key,
                resource_obj,
                input_transformer,
                types.get(key),
                keep_output_values,
                exclude_resource_refs_from_deps,
            )
            for key, item in sdk_types.input_type_to_dict(value).items()
        }
    return await _sdk_serialize_property(
        value,
        deps,
        property_key,
        resource_obj,
        input_transformer,
        typ,
        keep_output_values,
        exclude_resource_refs_from_deps,
        return_protobuf_value,
    )


def reachable(from_resource: pulumi.Resource, to_resource: pulumi.Resource) -> bool:
    """Whether one resource depends on another, by whatever way. The SDK's function calls itself for each step."""
    waiting, seen = [from_resource], {from_resource}
    while waiting:
        resource = waiting.pop()
        if resource is to_resource:
            return True
        for dependency in sdk_cycles._deps(resource):
            if dependency not in seen:
                seen.add(dependency)
                waiting.append(dependency)
    return False
