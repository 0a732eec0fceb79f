"""What the engine sends to an analyzer, as the nouns of `ringfence.deployment`.

The engine marshals properties with their secrets and unknowns, without its internal keys, without output values and
without resource references (pulumi/pulumi, pkg/resource/plugin/analyzer_plugin.go).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from google.protobuf.struct_pb2 import Struct
from pulumi.runtime import proto

from ringfence.deployment import UNKNOWN, Options, Resource
from ringfence.wire import SECRET, SIGNATURE, decode

__all__ = ["WireError", "holds_secret", "provider_of", "read_resource", "read_struct"]

_INTERNAL_PREFIX = "__"
_UNTOLD = ("arn", "id", "name", "url")


class WireError(ValueError):
    """A request is none of the protocol's. The message quotes no property."""


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
