"""Values on the wire: protobuf structs with Pulumi's signatures, to and from the values of `ringfence.deployment`.

The signatures and sentinels are those of Pulumi's property marshalling (sdk/go/common/resource/properties.go); they
are part of the protocol between engine, SDKs and providers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from google.protobuf.struct_pb2 import Struct, Value

from ringfence.deployment import UNKNOWN, Archive, Asset, ResourceReference, Secret, Unknown

__all__ = [
    "SIGNATURE",
    "UNKNOWN_SENTINEL",
    "decode",
    "decode_value",
    "dependencies_of",
    "encode",
    "output_value",
    "unknown_where_marked",
    "with_output_values",
]

SIGNATURE = "4dabf18193072939515e22adb298388d"
ASSET = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE = "0def7320c3a5731c473e5ecbe6d01bc7"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
RESOURCE = "5cf8f73096256a8f31e491e813e4eb8e"
OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"

UNKNOWN_SENTINEL = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SENTINELS = frozenset(
    (
        UNKNOWN_SENTINEL,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # boolean
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    )
)


def decode(struct: Struct) -> dict[str, Any]:
    """Return the properties of a struct. Keys come sorted, since a protobuf map has no order."""
    fields = struct.fields
    return {key: decode_value(fields[key]) for key in sorted(fields)}


def decode_value(value: Value) -> Any:
    """Return one wire value as a value of `ringfence.deployment`."""
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        text = value.string_value
        # All sentinels have the length of a UUID: most strings need no look-up. A text made with one is not known
        # either: that is what a program makes of the plain value of a config secret that could not be decrypted.
        return UNKNOWN if len(text) >= 36 and (text in _SENTINELS or UNKNOWN_SENTINEL in text) else text
    if kind == "bool_value":
        return value.bool_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "struct_value":
        struct = value.struct_value
        if SIGNATURE in struct.fields:
            return _decode_signed(struct)
        return decode(struct)
    if kind == "list_value":
        return [decode_value(item) for item in value.list_value.values]
    return None


def unknown_where_marked(value: Any) -> Any:
    """Return a decoded value with all text that holds the mark of an unknown, at any depth, as unknown.

    The SDK never puts the mark into other text; only what stands in for a missing name does (see `stand_ins`).
    """
    match value:
        case str():
            return UNKNOWN if UNKNOWN_SENTINEL in value else value
        case dict():
            return {key: unknown_where_marked(item) for key, item in value.items()}
        case list():
            return [unknown_where_marked(item) for item in value]
        case Secret(inner):
            return Secret(unknown_where_marked(inner))
        case Asset(kind, content) if UNKNOWN_SENTINEL in content:
            return UNKNOWN
        case Archive(kind, content) if kind == "assets":
            return Archive(kind, unknown_where_marked(content))
        case Archive(kind, content) if UNKNOWN_SENTINEL in content:
            return UNKNOWN
    return value


def _decode_signed(struct: Struct) -> Any:
    fields = struct.fields
    signature = fields[SIGNATURE].string_value
    if signature == SECRET:
        return Secret(decode_value(fields["value"]))
    if signature == OUTPUT:
        value = decode_value(fields["value"]) if "value" in fields else UNKNOWN
        return Secret(value) if "secret" in fields and fields["secret"].bool_value else value
    if signature == RESOURCE:
        return ResourceReference(fields["urn"].string_value, decode_value(fields["id"]) if "id" in fields else None)
    if signature == ASSET:
        for key, kind in (("path", "file"), ("text", "text"), ("uri", "remote")):
            if key in fields:
                return Asset(kind, fields[key].string_value)  # type: ignore[arg-type]
    if signature == ARCHIVE:
        if "assets" in fields:
            return Archive("assets", decode_value(fields["assets"]))
        for key, kind in (("path", "file"), ("uri", "remote")):
            if key in fields:
                return Archive(kind, fields[key].string_value)  # type: ignore[arg-type]
    return {key: decode_value(item) for key, item in fields.items() if key != SIGNATURE}


def encode(properties: Mapping[str, Any]) -> Struct:
    """Return properties as a struct; unknowns as the sentinel, secrets and assets with their signatures."""
    struct = Struct()
    fields = struct.fields
    for key, value in properties.items():
        _fill(fields[key], value)
    return struct


def _fill(target: Value, value: Any) -> None:
    if value is None:
        target.null_value = 0  # type: ignore[assignment]
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int | float):
        target.number_value = value
    elif isinstance(value, Unknown):
        target.string_value = UNKNOWN_SENTINEL
    elif isinstance(value, Mapping):
        fields = target.struct_value.fields
        target.struct_value.SetInParent()
        for key, item in value.items():
            _fill(fields[key], item)
    elif isinstance(value, list | tuple):
        target.list_value.SetInParent()
        for item in value:
            _fill(target.list_value.values.add(), item)
    elif isinstance(value, Secret):
        _fill(target, {SIGNATURE: SECRET, "value": value.value})
    elif isinstance(value, Asset):
        key = {"file": "path", "text": "text", "remote": "uri"}[value.kind]
        _fill(target, {SIGNATURE: ASSET, key: value.content})
    elif isinstance(value, Archive):
        key = {"file": "path", "assets": "assets", "remote": "uri"}[value.kind]
        _fill(target, {SIGNATURE: ARCHIVE, key: value.content})
    elif isinstance(value, ResourceReference):
        reference: dict[str, Any] = {SIGNATURE: RESOURCE, "urn": value.urn}
        if value.id is not None:
            reference["id"] = value.id
        _fill(target, reference)
    else:
        raise TypeError(f"a {type(value).__name__} has no form on the wire")


def output_value(value: Value, dependencies: Collection[str] = ()) -> Value:
    """Return a wire value as an output value that carries dependencies, whatever form it has."""
    wrapped = Value()
    fields = wrapped.struct_value.fields
    if _signature(value) == OUTPUT:
        wrapped.CopyFrom(value)
    else:
        fields[SIGNATURE].string_value = OUTPUT
        if _signature(value) == SECRET:
            fields["secret"].bool_value = True
            value = value.struct_value.fields["value"]
        if decode_value(value) is not UNKNOWN:
            fields["value"].CopyFrom(with_output_values(value))
    if dependencies:
        merged = {urn.string_value for urn in fields["dependencies"].list_value.values} | set(dependencies)
        del fields["dependencies"].list_value.values[:]
        for urn in sorted(merged):
            fields["dependencies"].list_value.values.add().string_value = urn
    return wrapped


def with_output_values(value: Value) -> Value:
    """Return a wire value in which each unknown and each secret, at any depth, is an output value."""
    kind, signature = value.WhichOneof("kind"), _signature(value)
    if signature == SECRET or (kind == "string_value" and decode_value(value) is UNKNOWN):
        return output_value(value)
    copy = Value()
    if kind == "list_value":
        copy.list_value.SetInParent()
        for item in value.list_value.values:
            copy.list_value.values.add().CopyFrom(with_output_values(item))
    elif kind == "struct_value" and not signature:
        copy.struct_value.SetInParent()
        for key, item in value.struct_value.fields.items():
            copy.struct_value.fields[key].CopyFrom(with_output_values(item))
    else:
        copy.CopyFrom(value)
    return copy


def _signature(value: Value) -> str:
    if value.WhichOneof("kind") != "struct_value" or SIGNATURE not in value.struct_value.fields:
        return ""
    return value.struct_value.fields[SIGNATURE].string_value


def dependencies_of(value: Value) -> set[str]:
    """Return the URNs that the output values and resource references within a wire value depend on."""
    found: set[str] = set()
    waiting = [value]
    while waiting:
        item = waiting.pop()
        kind = item.WhichOneof("kind")
        if kind == "list_value":
            waiting.extend(item.list_value.values)
        elif kind == "struct_value":
            fields = item.struct_value.fields
            signature = _signature(item)
            if signature == OUTPUT and "dependencies" in fields:
                found.update(urn.string_value for urn in fields["dependencies"].list_value.values)
            if signature == RESOURCE:
                found.add(fields["urn"].string_value)
            waiting.extend(fields.values())
    return found
