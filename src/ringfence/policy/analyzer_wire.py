"""What the engine sends to an analyzer, from and to the nouns of `ringfence.deployment`.

The engine marshals properties with their secrets and unknowns, without its internal keys, without output values and
without resource references (pulumi/pulumi, pkg/resource/plugin/analyzer_plugin.go).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from google.protobuf.struct_pb2 import Struct
from pulumi.runtime import proto

from ringfence.deployment import UNKNOWN, Archive, Options, Resource, ResourceReference, Secret
from ringfence.wire import SECRET, SIGNATURE, decode, encode

__all__ = [
    "WireError",
    "holds_secret",
    "provider_of",
    "read_resource",
    "read_struct",
    "seconds",
    "write_options",
    "write_request",
    "write_stack_resource",
    "write_struct",
]

_INTERNAL_PREFIX = "__"
_UNTOLD = ("arn", "id", "name", "url")
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class WireError(ValueError):
    """A request is none of the protocol's. The message quotes no property."""


# --- what an analyzer reads ------------------------------------------------------------------------------------------


def read_struct(struct: Struct) -> dict[str, Any]:
    """Return properties without those that the engine keeps for itself. What is malformed is an ordinary object."""
    properties = decode(struct)
    if any(key.startswith(_INTERNAL_PREFIX) for key in properties):
        return {key: value for key, value in properties.items() if not key.startswith(_INTERNAL_PREFIX)}
    return properties


def holds_secret(struct: Struct) -> bool:
    """Whether anything in a struct is marked secret."""
    waiting = list(struct.fields.values())
    while waiting:
        value = waiting.pop()
        kind = value.WhichOneof("kind")
        if kind == "list_value":
            waiting.extend(value.list_value.values)
        elif kind == "struct_value":
            fields = value.struct_value.fields
            if SIGNATURE in fields and fields[SIGNATURE].string_value == SECRET:
                return True
            waiting.extend(fields.values())
    return False


@lru_cache(maxsize=1024)
def _options(message: bytes) -> Options:
    """Return the resource options that the engine tells an analyzer; those of most resources are the same."""
    given = proto.AnalyzerResourceOptions.FromString(message)
    timeouts = given.customTimeouts
    seconds = {"create": timeouts.create, "update": timeouts.update, "delete": timeouts.delete, "read": timeouts.read}
    return Options(
        protect=given.protect,
        ignore_changes=tuple(given.ignoreChanges),
        delete_before_replace=given.deleteBeforeReplace if given.deleteBeforeReplaceDefined else None,
        additional_secret_outputs=tuple(given.additionalSecretOutputs),
        aliases=tuple(given.aliases),
        custom_timeouts={key: f"{value:g}s" for key, value in seconds.items() if value},
    )


def read_resource(
    request: proto.AnalyzeRequest | proto.AnalyzerResource,
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
    *,
    dry_run: bool,
    external: bool = False,
) -> Resource:
    """Return the resource that a request is about.

    The engine sends neither the id nor, on a preview, the outputs that are yet to come: those by which other resources
    may name this one are unknown. It does not say what is a component either; custom resources alone have a provider.
    """
    in_stack = request if isinstance(request, proto.AnalyzerResource) else None
    custom = request.HasField("provider")
    untold = _UNTOLD if dry_run else ("id",)
    return Resource(
        urn=request.urn,
        type=request.type,
        name=request.name,
        inputs=inputs,
        outputs=dict.fromkeys(untold, UNKNOWN) | dict(outputs),
        id=UNKNOWN if dry_run else None,
        custom=custom,
        external=external,
        parent=(in_stack.parent if in_stack else "") or request.options.parent or None,
        provider=request.provider.urn if custom else None,
        dependencies=tuple(in_stack.dependencies) if in_stack else (),
        property_dependencies=(
            {key: tuple(item.urns) for key, item in in_stack.propertyDependencies.items()} if in_stack else {}
        ),
        options=_options(request.options.SerializeToString(deterministic=True)),
    )


def provider_of(request: proto.AnalyzeRequest) -> Resource | None:
    """Return the provider that serves the resource of a request, None for components and providers."""
    if not request.HasField("provider"):
        return None
    return _provider(request.provider.SerializeToString(deterministic=True))


@lru_cache(maxsize=64)
def _provider(message: bytes) -> Resource:
    # One provider serves many resources, and comes with each.
    given = proto.AnalyzerProviderResource.FromString(message)
    inputs = read_struct(given.properties)
    return Resource(given.urn, given.type, given.name, inputs, outputs=inputs)


# --- what an engine writes -------------------------------------------------------------------------------------------


def write_struct(properties: Mapping[str, Any], *, internal: bool = False) -> Struct:
    """Return properties as the engine sends them; with `internal` also those that it keeps for itself.

    A resource handed over as a value travels as its id, or as its URN where it has none (rpc.go, KeepResources off).
    """
    struct = encode(
        {
            key: _without_references(value)
            for key, value in properties.items()
            if internal or not key.startswith(_INTERNAL_PREFIX)
        }
    )
    # A struct without fields is a field that is not set; the SDK for TypeScript breaks on that.
    struct.SetInParent()
    return struct


def _without_references(value: Any) -> Any:
    match value:
        case ResourceReference():
            return value.urn if value.id is None else _without_references(value.id)
        case Secret(inner):
            return Secret(_without_references(inner))
        case Archive("assets", content):
            return Archive("assets", _without_references(content))
        case Mapping():
            return {str(key): _without_references(item) for key, item in value.items()}
        case list() | tuple():
            return [_without_references(item) for item in value]
    return value


def write_request(resource: Resource, provider: Resource | None, *, internal: bool = False) -> proto.AnalyzeRequest:
    """Return the request about one resource: its inputs, its options and its provider."""
    request = proto.AnalyzeRequest(
        urn=resource.urn,
        type=resource.type,
        name=resource.name,
        properties=write_struct(resource.inputs, internal=internal),
        options=write_options(resource),
        provider=_write_provider(provider),
    )
    request.properties.SetInParent()
    return request


def write_stack_resource(resource: Resource, provider: Resource | None) -> proto.AnalyzerResource:
    """Return one resource of the request about the whole stack: its outputs, and what it depends on."""
    message = proto.AnalyzerResource(
        urn=resource.urn,
        type=resource.type,
        name=resource.name,
        properties=write_struct(resource.outputs),
        options=write_options(resource),
        provider=_write_provider(provider),
        parent=resource.parent or "",
        dependencies=resource.dependencies,
    )
    message.properties.SetInParent()
    for key, urns in resource.property_dependencies.items():
        if urns:
            message.propertyDependencies[key].urns.extend(urns)
    return message


def write_options(resource: Resource) -> proto.AnalyzerResourceOptions:
    """Return the resource options that the engine tells an analyzer."""
    given = resource.options
    timeouts = {key: seconds(given.custom_timeouts.get(key, "")) for key in ("create", "update", "delete", "read")}
    return proto.AnalyzerResourceOptions(
        protect=bool(given.protect),
        ignoreChanges=given.ignore_changes,
        deleteBeforeReplace=bool(given.delete_before_replace),
        deleteBeforeReplaceDefined=given.delete_before_replace is not None,
        additionalSecretOutputs=given.additional_secret_outputs,
        # No aliases: the engine passes those that pair with a resource of the stack's state, and here is no state.
        customTimeouts=proto.AnalyzerResourceOptions.CustomTimeouts(**timeouts),
        parent=resource.parent or "",
    )


def _write_provider(provider: Resource | None) -> proto.AnalyzerProviderResource | None:
    if provider is None:
        return None
    message = proto.AnalyzerProviderResource(
        urn=provider.urn, type=provider.type, name=provider.name, properties=write_struct(provider.inputs)
    )
    message.properties.SetInParent()
    return message


def seconds(duration: str) -> float:
    """Return the seconds of a Go duration such as `1h30m`; 0, the SDK's "not set", for what is none."""
    parts = _DURATION_PART.findall(duration)
    if "".join(number + unit for number, unit in parts) != duration:
        return 0.0
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
