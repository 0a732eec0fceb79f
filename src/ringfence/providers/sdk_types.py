"""What the installed provider SDKs say about types, resources and functions.

This is the only module that reads private parts of `pulumi` for types: `pulumi._types` and the table of
registered resource modules in `pulumi.runtime.rpc`. It imports no provider SDK: a program that registers a
resource has already imported the module that defines it. What the SDK does not say for certain is `AnyType`.
"""

from __future__ import annotations

import collections.abc
import enum
import inspect
import re
import sys
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import UnionType as _PipeUnion
from typing import Any, Literal, TypeAlias, Union

import pulumi
from pulumi import _types
from pulumi.runtime import rpc

__all__ = [
    "AnyType",
    "AssetType",
    "EnumType",
    "Fields",
    "ListType",
    "MapType",
    "ObjectType",
    "PropertyType",
    "ResourceTypes",
    "ScalarType",
    "UnionType",
    "describe",
    "fields_of",
    "forget_classes",
    "homes_of",
    "resource_class",
    "result_class",
]


@dataclass(frozen=True, slots=True)
class AnyType:
    """Every value, or a type that the SDK does not tell for certain."""


@dataclass(frozen=True, slots=True)
class ScalarType:
    """A string, an integer, a number or a boolean."""

    name: Literal["string", "integer", "number", "boolean"]


@dataclass(frozen=True, slots=True)
class EnumType:
    """One of a list of values. The service may know more values than the installed SDK."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class ListType:
    """A list of one type of item."""

    item: PropertyType


@dataclass(frozen=True, slots=True)
class MapType:
    """A mapping from strings to one type of value."""

    item: PropertyType


@dataclass(frozen=True, slots=True)
class ObjectType:
    """An object with named properties; `fields_of` reads them, since object types can be recursive."""

    cls: type


@dataclass(frozen=True, slots=True)
class AssetType:
    """An asset or an archive."""


@dataclass(frozen=True, slots=True)
class UnionType:
    """A value of one of several types."""

    members: tuple[PropertyType, ...]


PropertyType: TypeAlias = AnyType | ScalarType | EnumType | ListType | MapType | ObjectType | AssetType | UnionType

ANY = AnyType()
_SCALARS: dict[Any, ScalarType] = {
    str: ScalarType("string"),
    int: ScalarType("integer"),
    float: ScalarType("number"),
    bool: ScalarType("boolean"),
}
_CONSTANT = re.compile(r"Expected value is '([^']*)'")


@dataclass(frozen=True, eq=False, slots=True)
class Fields:
    """The properties of an object type by wire name."""

    types: Mapping[str, PropertyType]
    required: frozenset[str]
    """Properties that an input must have, or that an output always has."""
    constants: Mapping[str, str]
    """Properties with one allowed value: they tell the members of a union apart."""
    python_names: Mapping[str, str]
    """Wire name by the name that the Python SDK uses."""


NO_FIELDS = Fields({}, frozenset(), {}, {})


@dataclass(frozen=True, eq=False)
class ResourceTypes:
    """Inputs and outputs of a resource type."""

    cls: type

    @cached_property
    def inputs(self) -> Fields | None:
        """The input properties, None where the SDK does not tell."""
        args = _args_class(self.cls)
        return fields_of(args) if args is not None else None

    @cached_property
    def outputs(self) -> Mapping[str, PropertyType]:
        """The output properties by wire name, without `id` and `urn`."""
        try:
            hints = _types.resource_types(self.cls)
        except Exception:  # a hint that does not resolve: hand-written or half-imported modules
            return {}
        return {name: _convert(hint) for name, hint in hints.items() if name not in ("id", "urn")}


def describe(token: str, cls: type | None = None) -> ResourceTypes | None:
    """Return what the SDK says about a type token, None where no imported SDK defines it.

    `cls` is the class of the resource object, where the caller has it; it saves the search.
    """
    if token.startswith(("pulumi:", "pulumi-")):
        return None  # inputs of providers are JSON strings on the wire, other than their types say
    found = cls or resource_class(token)
    return _describe(found) if found is not None else None


@lru_cache(maxsize=4096)
def _describe(cls: type) -> ResourceTypes:
    return ResourceTypes(cls)


def resource_class(token: str) -> type | None:
    """Return the class that an imported SDK registered for a type token.

    The search is by dictionaries only and its result is not cached: a project may bring its own
    generated SDK, and the next project another one for the same token.
    """
    package, _, rest = token.partition(":")
    module = rest.partition(":")[0]
    for registered in reversed(rpc._RESOURCE_MODULES.get(f"{package}:{module}", ())):
        info = getattr(registered, "mod_info", None)
        if not isinstance(info, dict):
            continue
        home = sys.modules.get(info.get("fqn", ""))
        found = getattr(home, info.get("classes", {}).get(token, ""), None)
        if inspect.isclass(found):
            return found
    return None


def _args_class(cls: type) -> type | None:
    """Return the class of the arguments of a generated resource class.

    The generator names it `<Name>Args`, or `<Name>InitArgs` where the first name is taken; its
    constructor makes an instance of it, so the name must occur in the constructor's code.
    """
    for base in cls.__mro__:
        constructor = base.__dict__.get("_internal_init")
        if constructor is None:
            continue
        names = getattr(getattr(constructor, "__code__", None), "co_names", ())
        home = sys.modules.get(base.__module__)
        for name in (f"{base.__name__}Args", f"{base.__name__}InitArgs"):
            args = getattr(home, name, None)
            if name in names and inspect.isclass(args) and _types.is_input_type(args):
                return args
    return None


def forget_classes() -> None:
    """Let go of all classes that were ever asked about.

    The SDK remembers what it has found out of each class without a limit, and so holds every class of every program
    that has run, with the modules that they are from.
    """
    for item in [*vars(_types).values(), _describe, fields_of]:
        clear = getattr(item, "cache_clear", None)
        if clear is not None:
            clear()


@lru_cache(maxsize=16384)
def fields_of(cls: type) -> Fields:
    """Return the properties of an input or output class of an SDK."""
    try:
        hints = _types.input_type_types(cls) if _types.is_input_type(cls) else _types.output_type_types(cls)
        properties = _types._py_properties(cls)
        signature = inspect.signature(cls.__init__)  # type: ignore[misc]
    except Exception:  # a hint that does not resolve, or no generated class: nothing is certain
        return NO_FIELDS
    python_names = {python: wire for python, wire, _ in properties}
    constants = {}
    for _, wire, prop in properties:
        constant = _CONSTANT.search(prop.__doc__ or "")
        if constant:
            constants[wire] = constant[1]
    required = frozenset(
        python_names[parameter.name]
        for parameter in signature.parameters.values()
        if parameter.name in python_names and parameter.default is inspect.Parameter.empty
    )
    return Fields({name: _convert(hint) for name, hint in hints.items()}, required, constants, python_names)


def _convert(hint: Any) -> PropertyType:
    """Return the property type that a resolved type hint stands for."""
    if hint in _SCALARS:
        return _SCALARS[hint]
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin in (Union, _PipeUnion):
        return _convert_union([item for item in arguments if not _is_wrapper(item)])
    if origin in (collections.abc.Sequence, list) and len(arguments) == 1:
        return ListType(_convert(arguments[0]))
    if origin in (collections.abc.Mapping, dict) and len(arguments) == 2:
        return MapType(_convert(arguments[1]))
    if origin is pulumi.Output and len(arguments) == 1:
        return _convert(arguments[0])
    if not inspect.isclass(hint):
        return ANY
    if issubclass(hint, enum.Enum):
        return EnumType(tuple(member.value for member in hint))
    if issubclass(hint, pulumi.Asset | pulumi.Archive):
        return AssetType()
    if _types.is_input_type(hint) or _types.is_output_type(hint):
        return ObjectType(hint)
    return ANY


def _is_wrapper(hint: Any) -> bool:
    """Whether a member of a union is what `Input[T]` adds to T, and so no type of its own."""
    return (
        hint is type(None)
        or typing.is_typeddict(hint)
        or hint is pulumi.Output
        or (isinstance(hint, typing.ForwardRef) and hint.__forward_arg__.startswith("Output["))
        or typing.get_origin(hint) in (pulumi.Output, collections.abc.Awaitable)
    )


def _convert_union(hints: list[Any]) -> PropertyType:
    members = list(dict.fromkeys(_convert(hint) for hint in hints))
    if not members or ANY in members:
        return ANY
    enums = [member for member in members if isinstance(member, EnumType)]
    if enums:
        # `Union[str, Kind]` is how the generator writes an enum that the service calls extensible.
        known = EnumType(tuple(dict.fromkeys(value for member in enums for value in member.values)))
        rest = [m for m in members if not isinstance(m, EnumType | ScalarType)]
        members = [known, *rest]
    return members[0] if len(members) == 1 else UnionType(tuple(members))


def result_class(token: str) -> type | None:
    """Return the class of what a function gives back, from an imported SDK.

    `aws:lambda/getFunction:getFunction` is `pulumi_aws.lambda_.GetFunctionResult`.
    """
    package, _, rest = token.partition(":")
    module, _, function = rest.partition(":")
    if not function:
        return None
    name = f"{function.rpartition('/')[2]}Result"
    name = name[0].upper() + name[1:]
    for home in _function_homes(package, module.partition("/")[0]):
        found = getattr(sys.modules.get(home), name, None)
        if inspect.isclass(found) and _types.is_output_type(found):
            return found
    return None


@dataclass(frozen=True, slots=True)
class Method:
    """A method of a resource that its provider answers."""

    result: type
    """The class of what it gives back."""
    plain: bool
    """Whether the program gets a plain value at once, not an output: it cannot take an unknown."""
    providers: frozenset[str]
    """Properties of the result that are provider resources, by wire name."""


def method(token: str) -> Method | None:
    """Return a method of an imported SDK's resource class by its token, for example `eks:index:Cluster/getKubeconfig`.

    The generator nests the result's class in the resource's and lets plain methods call `call_plain`.
    """
    class_token, _, name = token.rpartition("/")
    home = resource_class(class_token)
    result = getattr(home, f"{name[:1].upper()}{name[1:]}Result", None)
    if home is None or not inspect.isclass(result) or not _types.is_output_type(result):
        return None
    codes = [code for item in vars(home).values() if (code := getattr(item, "__code__", None)) is not None]
    plain = any("call_plain" in code.co_names and token in code.co_consts for code in codes)
    try:
        hints = _types.output_type_types(result)
    except Exception:  # a hint that does not resolve: nothing is certain
        hints = {}
    providers = {
        key for key, hint in hints.items() if inspect.isclass(hint) and issubclass(hint, pulumi.ProviderResource)
    }
    return Method(result, plain, frozenset(providers))


def homes_of(token: str) -> list[str]:
    """Return the names of Python modules that may define the type or the function of a token.

    They are those that a package's root module has registered, so that it must be imported before.
    """
    package, _, rest = token.partition(":")
    module = rest.partition(":")[0]
    infos = [getattr(item, "mod_info", None) for item in rpc._RESOURCE_MODULES.get(f"{package}:{module}", ())]
    homes = [info["fqn"] for info in infos if isinstance(info, dict)]
    return list(dict.fromkeys(homes)) or _function_homes(package, module.partition("/")[0])


def _function_homes(package: str, module: str) -> list[str]:
    """Return the names of Python modules that may hold the functions of a module of a package."""
    infos = [getattr(registered, "pkg_info", None) for registered in rpc._RESOURCE_PACKAGES.get(package, ())]
    roots = [info["fqn"] for info in reversed(infos) if isinstance(info, dict)]
    roots = roots or [f"pulumi_{package.replace('-', '_')}"]
    homes = list(roots) if module == "index" else []
    # An SDK registers hundreds of modules, on import and never later: number and last one tell of any other.
    table = rpc._RESOURCE_MODULES
    for key in _registered_below(f"{package}:{module}", len(table), next(reversed(table), "")):
        infos = [getattr(registered, "mod_info", None) for registered in table.get(key, ())]
        homes += [info["fqn"] for info in infos if isinstance(info, dict)]
    homes += [f"{root}.{module}{suffix}" for root in roots for suffix in ("", "_")]
    return list(dict.fromkeys(homes))


@lru_cache(maxsize=256)
def _registered_below(prefix: str, registered: int, last: str) -> list[str]:
    """Return the registered modules of this name and those that it holds, while so many are and this one the last."""
    return [key for key in rpc._RESOURCE_MODULES if key == prefix or key.startswith(f"{prefix}/")]
