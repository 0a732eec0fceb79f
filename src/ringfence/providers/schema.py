"""Checks of inputs against the types of the installed SDK: family PG01 to PG04.

A checker is compiled once per class of arguments and consists of closures, so that a resource costs one
function call per value. Object types are compiled when the first value of theirs is met.

Only what is certain is a fault. Unknown values, values of types that the SDK does not tell, members of a union
that cannot be told apart, and JSON documents that the SDK offers in typed form are left alone.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

from ringfence.deployment import Archive, Asset, ResourceReference, Secret, Unknown
from ringfence.providers.interface import InputFault
from ringfence.providers.sdk_types import (
    AnyType,
    AssetType,
    EnumType,
    Fields,
    ListType,
    MapType,
    ObjectType,
    PropertyType,
    ScalarType,
    UnionType,
    describe,
    fields_of,
)

__all__ = ["check"]

Path: TypeAlias = tuple[Any, ...]
"""A path from the inside out: (parent path, key). The empty tuple is the resource."""
Checker: TypeAlias = Callable[[Any, Path, bool, list[InputFault]], None]
"""Called with a value, its path, whether it is inside a secret, and the list to add faults to."""

_PLAIN_KEY = re.compile(r"[A-Za-z_$][\w$-]*\Z")
_MAX_LISTED = 12
"""How many values of an enum a message lists."""


def check(token: str, inputs: Mapping[str, Any]) -> list[InputFault]:
    """Return the faults of a resource's inputs, empty where no imported SDK defines the type."""
    described = describe(token)
    fields = described.inputs if described is not None else None
    if fields is None or not fields.types:
        return []
    faults: list[InputFault] = []
    _object_checker(fields)(inputs, (), False, faults)
    return faults


def _render(path: Path) -> str:
    keys: list[Any] = []
    while path:
        path, key = path
        keys.append(key)
    text = ""
    for key in reversed(keys):
        if isinstance(key, int):
            text += f"[{key}]"
        elif _PLAIN_KEY.match(key):
            text += f".{key}" if text else key
        else:
            text += '["' + key.replace('"', '\\"') + '"]'
    return text


def _shown(value: Any, hidden: bool) -> str:
    """Return a value for a message: short, and never what is inside a secret."""
    if hidden:
        return "[secret]"
    match value:
        case str():
            return f'"{value}"' if len(value) <= 60 else f'"{value[:57]}..."'
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case Mapping():
            return "an object"
        case list() | tuple():
            return "a list"
        case Asset():
            return "an asset"
        case Archive():
            return "an archive"
        case ResourceReference():
            return "a resource"
        case _:
            return type(value).__name__


def _nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that was most likely meant, or an empty string."""
    names = {re.sub(r"[\W_]", "", item).lower(): item for item in known}
    plain = re.sub(r"[\W_]", "", name).lower()
    if plain in names:
        return names[plain]
    close = difflib.get_close_matches(plain, names, n=1, cutoff=0.6)
    return names[close[0]] if close else ""


@lru_cache(maxsize=65536)
def _compile(kind: PropertyType) -> Checker:
    match kind:
        case ScalarType(name):
            return _scalar_checker(name)
        case EnumType(values):
            return _enum_checker(values)
        case ListType(item):
            return _list_checker(_compile(item))
        case MapType(item):
            return _map_checker(_compile(item))
        case ObjectType(cls):
            return _lazy_object_checker(cls)
        case AssetType():
            return _check_asset
        case UnionType(members):
            return _union_checker(members)
        case AnyType():
            return _accept


def _accept(value: Any, path: Path, hidden: bool, faults: list[InputFault]) -> None:
    """Accept every value."""


def _opened(value: Any) -> tuple[Any, bool] | None:
    """Return what is inside a marker and whether that is secret; None where nothing is known of it."""
    secret = False
    while isinstance(value, Secret):
        value, secret = value.value, True
    return None if value is None or isinstance(value, Unknown) else (value, secret)


def _wrong_type(expected: str, value: Any, path: Path, hidden: bool, faults: list[InputFault]) -> None:
    shown = _shown(value, hidden)
    name = _render(path)
    faults.append(InputFault("PG02", name, f"{name} is {shown}, not {expected}.", expected=expected, actual=shown))


def _scalar_checker(name: str) -> Checker:
    exact: tuple[type, ...] = {"string": (str,), "boolean": (bool,), "integer": (int,), "number": (int, float)}[name]
    expected = {"string": "a string", "boolean": "a boolean", "integer": "an integer", "number": "a number"}[name]

    def checker(value: Any, path: Path, hidden: bool, faults: list[InputFault]) -> None:
        if type(value) in exact:
            return
        opened = _opened(value)
        if opened is None:
            return
        inner, secret = opened
        if type(inner) in exact or (name == "integer" and isinstance(inner, float) and inner.is_integer()):
            return
        if isinstance(inner, ResourceReference) and name != "boolean":
            return  # the engine hands on the id of the resource
        _wrong_type(expected, inner, path, hidden or secret, faults)

    return checker


def _enum_checker(values: tuple[Any, ...]) -> Checker:
    known = frozenset((isinstance(value, bool), value) for value in values)
    texts = frozenset(value for value in values if isinstance(value, str))
    kinds = {_kind_of(value) for value in values}
    listed = ", ".join(str(value) for value in values[:_MAX_LISTED])
    if len(values) > _MAX_LISTED:
        listed += f" and {len(values) - _MAX_LISTED} more"
    expected = f"one of {listed}"

    def checker(value: Any, path: Path, hidden: bool, faults: list[InputFault]) -> None:
        if type(value) is str and value in texts:
            return
        opened = _opened(value)
        if opened is None or isinstance(opened[0], ResourceReference):
            return
        inner, secret = opened
        concealed = hidden or secret
        if _kind_of(inner) not in kinds:
            _wrong_type(expected, inner, path, concealed, faults)
            return
        if (isinstance(inner, bool), inner) in known:
            return
        name, shown = _render(path), _shown(inner, concealed)
        meant = _nearest(inner, texts) if isinstance(inner, str) and not concealed else ""
        message = f"{name} is {shown}, which is no value that the installed SDK knows."
        remedy = f'Did you mean "{meant}"?' if meant else ""
        faults.append(InputFault("PG01", name, message, expected=expected, actual=shown, remedy=remedy))

    return checker


def _kind_of(value: Any) -> str:
    """Return the JSON kind of a value."""
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case Mapping():
            return "object"
        case list() | tuple():
            return "list"
        case _:
            return "other"


def _list_checker(item: Checker) -> Checker:
    def checker(value: Any, path: Path, hidden: bool, faults: list[InputFault]) -> None:
        if not isinstance(value, list):
            opened = _opened(value)
            if opened is None:
                return
            value, secret = opened
            hidden = hidden or secret
            if not isinstance(value, list | tuple):
                _wrong_type("a list", value, path, hidden, faults)
                return
        for index, element in enumerate(value):
            if element is not None:
                item(element, (path, index), hidden, faults)

    return checker


def _map_checker(item: Checker) -> Checker:
    def checker(value: Any, path: Path, hidden: bool, faults: list[InputFault]) -> None:
        if not isinstance(value, dict):
            opened = _opened(value)
            if opened is None:
                return
            value, secret = opened
            hidden = hidden or secret
            if not isinstance(value, Mapping):
                _wrong_type("an object", value, path, hidden, faults)
                return
        for key, element in value.items():
            if element is not None:
                item(element, (path, "[secret]" if hidden else key), hidden, faults)

    return checker


def _lazy_object_checker(cls: type) -> Checker:
    compiled: list[Checker] = []

    def checker(value: Any, path: Path, hidden: bool, faults: list[InputFault]) -> None:
        if not compiled:
            fields = fields_of(cls)
            compiled.append(_object_checker(fields) if fields.types else _accept)
        compiled[0](value, path, hidden, faults)

    return checker


@lru_cache(maxsize=16384)
def _object_checker(fields: Fields) -> Checker:
    checkers = {name: _compile(kind) for name, kind in fields.types.items()}
    # A property with one allowed value is set by the provider where it is missing.
    required = sorted(fields.required - fields.constants.keys())

    def checker(value: Any, path: Path, hidden: bool, faults: list[InputFault]) -> None:
        if not isinstance(value, dict):
            opened = _opened(value)
            if opened is None:
                return
            value, secret = opened
            hidden = hidden or secret
            if not isinstance(value, Mapping):
                _wrong_type("an object", value, path, hidden, faults)
                return
        for key, item in value.items():
            if item is None:
                continue
            check_item = checkers.get(key)
            if check_item is not None:
                check_item(item, (path, key), hidden, faults)
            elif not str(key).startswith("__"):  # such keys are the SDK's own, for example __defaults
                _unknown_key(str(key), path, hidden, checkers, faults)
        for name in required:
            if value.get(name) is None:
                where = _render((path, name))
                faults.append(
                    InputFault("PG04", where, f"{where} is required and missing.", expected="a value", actual="absent")
                )

    return checker


def _unknown_key(key: str, path: Path, hidden: bool, known: Mapping[str, Any], faults: list[InputFault]) -> None:
    shown = "[secret]" if hidden else key
    meant = "" if hidden else _nearest(key, known)
    remedy = f'Did you mean "{meant}"?' if meant else ""
    message = f'{_render(path) or "The resource"} has no property "{shown}".'
    faults.append(
        InputFault("PG03", _render((path, shown)), message, expected=meant, actual=shown, remedy=remedy),
    )


def _check_asset(value: Any, path: Path, hidden: bool, faults: list[InputFault]) -> None:
    # Some providers take a path as a string for an asset, so a string is no certain fault.
    opened = _opened(value)
    if opened is None or isinstance(opened[0], Asset | Archive | str | ResourceReference):
        return
    _wrong_type("an asset or an archive", opened[0], path, hidden or opened[1], faults)


def _union_checker(members: tuple[PropertyType, ...]) -> Checker:
    scalars = {_scalar_kind(m) for m in members if isinstance(m, ScalarType)}
    enums = [_compile(m) for m in members if isinstance(m, EnumType)]
    lists = [_compile(m) for m in members if isinstance(m, ListType)]
    maps = [_compile(m) for m in members if isinstance(m, MapType)]
    objects = [fields_of(m.cls) for m in members if isinstance(m, ObjectType)]
    assets = any(isinstance(m, AssetType) for m in members)
    # A string or an object is a JSON document, which the provider takes as a string and does not check.
    documents = "string" in scalars and bool(objects)
    expected = " or ".join(dict.fromkeys(_described(m) for m in members))

    def checker(value: Any, path: Path, hidden: bool, faults: list[InputFault]) -> None:
        opened = _opened(value)
        if opened is None:
            return
        inner, secret = opened
        concealed = hidden or secret
        kind = _kind_of(inner)
        if kind in scalars or kind == "other" or (assets and kind == "string"):
            return
        if kind == "object" and (maps or objects):
            if not documents and not maps:
                _check_member(objects, inner, path, concealed, faults)
            elif len(maps) == 1 and not objects:
                maps[0](inner, path, concealed, faults)
        elif kind == "list" and lists:
            if len(lists) == 1:
                lists[0](inner, path, concealed, faults)
        elif kind in ("string", "number", "boolean") and enums:
            enums[0](inner, path, concealed, faults)
        else:
            _wrong_type(expected, inner, path, concealed, faults)

    return checker


def _check_member(
    members: list[Fields], value: Mapping[str, Any], path: Path, hidden: bool, faults: list[InputFault]
) -> None:
    """Check an object against the member of a union that its constant property names."""
    if len(members) == 1:
        _object_checker(members[0])(value, path, hidden, faults)
        return
    shared = set.intersection(*(set(member.constants) for member in members))
    if len(shared) != 1:
        return
    name = shared.pop()
    opened = _opened(value.get(name))
    if opened is None or not isinstance(opened[0], str):
        return
    chosen, secret = opened
    matching = [member for member in members if member.constants[name] == chosen]
    if len(matching) == 1:
        _object_checker(matching[0])(value, path, hidden, faults)
    elif not matching:
        allowed = tuple(member.constants[name] for member in members)
        _compile(EnumType(allowed))(chosen, (path, name), hidden or secret, faults)


def _scalar_kind(kind: ScalarType) -> str:
    return "number" if kind.name == "integer" else kind.name


def _described(kind: PropertyType) -> str:
    match kind:
        case ScalarType(name):
            return "an integer" if name == "integer" else f"a {name}"
        case EnumType(values):
            return f"one of {', '.join(str(value) for value in values[:_MAX_LISTED])}"
        case ListType():
            return "a list"
        case AssetType():
            return "an asset or an archive"
        case _:
            return "an object"
