"""Mending a resource's inputs as its rules say: scalars set at fixed places, and nothing else touched."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.struct_pb2 import Struct, Value

from ringfence.deployment import Unknown
from ringfence.wire import SECRET, SIGNATURE, decode_value

__all__ = ["Scalar", "set_scalars"]

Scalar = bool | int | str


def set_scalars(properties: Struct, scalars: Mapping[str, Scalar]) -> bool:
    """Set each scalar at its dotted path, in place, and return whether that was possible for all of them.

    Objects on the way are made where nothing is. What is unknown, secret or of another kind on the way is left alone:
    it holds more than this knows of. A secret at the place itself stays one. Nothing is changed unless all are set.
    """
    places = []
    for path, scalar in scalars.items():
        *way, last = path.split(".")
        if not _passable(properties, way, last):
            return False
        places.append((way, last, scalar))
    for way, last, scalar in places:
        struct = properties
        for key in way:
            struct = struct.fields[key].struct_value  # reading it makes it where nothing is
        place = struct.fields[last]
        if place.WhichOneof("kind") == "struct_value":
            place = place.struct_value.fields["value"]
        if isinstance(scalar, bool):
            place.bool_value = scalar
        elif isinstance(scalar, str):
            place.string_value = scalar
        else:
            place.number_value = scalar
    return True


def _passable(properties: Struct, way: list[str], last: str) -> bool:
    struct = properties
    for key in way:
        if key not in struct.fields:
            return True
        value = struct.fields[key]
        kind = value.WhichOneof("kind")
        if kind is None or kind == "null_value":
            return True
        if kind != "struct_value" or SIGNATURE in value.struct_value.fields:
            return False
        struct = value.struct_value
    return last not in struct.fields or _replaceable(struct.fields[last])


def _replaceable(value: Value) -> bool:
    """Whether a scalar, or nothing, stands there, secret or not."""
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        fields = value.struct_value.fields
        signed = SIGNATURE in fields and fields[SIGNATURE].string_value == SECRET and "value" in fields
        return signed and fields["value"].WhichOneof("kind") != "struct_value" and _replaceable(fields["value"])
    if kind == "string_value":
        return not isinstance(decode_value(value), Unknown)
    return kind != "list_value"
