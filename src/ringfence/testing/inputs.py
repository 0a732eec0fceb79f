"""Hypothesis strategies for the inputs of a resource, from the types of the installed provider SDK."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st

from ringfence.deployment import UNKNOWN, Archive, Asset, Secret
from ringfence.providers.sdk_imports import import_sdk
from ringfence.providers.sdk_types import (
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
from ringfence.testing.values import GenerationError

__all__ = ["inputs_of"]

_DEPTH = 4
"""Levels of objects within objects; deeper, only what must be there is."""
_TEXTS = ["a", "westeurope", "eu-west-1", "*", "0.0.0.0/0", "1.2", "TLS1_2", "Enabled", "None", "", "a" * 64]


def inputs_of(
    token: str,
    *,
    unknowns: float = 0.05,
    secrets: float = 0.05,
    floats: bool = True,
    always: Mapping[str, st.SearchStrategy[Any]] | None = None,
) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for the inputs of a resource type, for example `azure-native:storage:StorageAccount`.

    Inputs are those that the SDK's types allow: what is required is there, the rest often; enums have their values,
    objects are nested. Names are those of the wire (camelCase).

    `unknowns` and `secrets` say which share of the values is `UNKNOWN` or wrapped in `Secret`, from 0 to 1. `floats`
    has every whole number as a float, as the wire and so the policy server have it; False for the values of a
    `Deployment`. `always` are properties to have in any case, each with its own strategy.

    Raises `GenerationError` where no installed SDK defines the type.
    """
    for name, rate in (("unknowns", unknowns), ("secrets", secrets)):
        if not 0 <= rate <= 1:
            raise ValueError(f"{name}: expected a share from 0 to 1, found {rate}")
    import_sdk(token)
    described = describe(token)
    fields = described.inputs if described is not None else None
    if fields is None:
        package = token.partition(":")[0]
        raise GenerationError(
            f"{token}: no installed SDK defines this type; expected a type token such as "
            f"azure-native:storage:StorageAccount, and the package pulumi-{package} beside ringfence"
        )
    maker = _Maker(unknowns, secrets, floats)
    return maker.object(fields, 0, always or {})


class _Maker:
    def __init__(self, unknowns: float, secrets: float, floats: bool) -> None:
        self.unknowns, self.secrets, self.floats = unknowns, secrets, floats

    def object(
        self, fields: Fields, depth: int, always: Mapping[str, st.SearchStrategy[Any]] | None = None
    ) -> st.SearchStrategy[dict[str, Any]]:
        given = always or {}
        optional = [name for name in fields.types if name not in fields.required and name not in given]

        @st.composite
        def objects(draw: st.DrawFn) -> dict[str, Any]:
            chosen = draw(st.lists(st.sampled_from(optional), unique=True, max_size=6)) if optional else []
            names = [
                name for name in fields.types if name in fields.required or name in (chosen if depth < _DEPTH else ())
            ]
            made = {name: draw(self.marked(self.field(fields, name, depth))) for name in names if name not in given}
            return made | {name: draw(strategy) for name, strategy in given.items()}

        return objects()

    def field(self, fields: Fields, name: str, depth: int) -> st.SearchStrategy[Any]:
        if name in fields.constants:
            return st.just(fields.constants[name])
        return st.deferred(lambda: self.value(fields.types[name], depth + 1))

    def marked(self, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        """Return values of which some are unknown or secret."""
        if not self.unknowns and not self.secrets:
            return values

        @st.composite
        def marked_values(draw: st.DrawFn) -> Any:
            # High draws are the rare ones, so that shrinking takes marks away.
            place = draw(st.integers(0, 9999)) / 10_000
            value = UNKNOWN if place >= 1 - self.unknowns else draw(values)
            secret = self.secrets > 0 and draw(st.integers(0, 9999)) / 10_000 >= 1 - self.secrets
            return Secret(value) if secret else value

        return marked_values()

    def value(self, kind: PropertyType, depth: int) -> st.SearchStrategy[Any]:
        match kind:
            case ScalarType(name):
                return self._scalars[name](self)
            case EnumType(values):
                return st.sampled_from(values).map(self.number)
            case ListType(item):
                return st.lists(self.marked(self.value(item, depth)), max_size=3 if depth < _DEPTH else 0)
            case MapType(item):
                keys = st.text("abcdefghijk-", min_size=1, max_size=6)
                return st.dictionaries(keys, self.marked(self.value(item, depth)), max_size=3 if depth < _DEPTH else 0)
            case ObjectType(cls):
                return self.object(fields_of(cls), depth)
            case UnionType(members):
                return st.one_of([self.value(member, depth) for member in members])
            case AssetType():
                return st.sampled_from([Asset("text", "x"), Archive("assets", {"a": Asset("text", "x")})])
        return st.none() | st.booleans() | st.integers(-5, 5).map(self.number) | st.sampled_from(_TEXTS)

    def number(self, value: Any) -> Any:
        """Return a whole number as the wire has it."""
        return float(value) if self.floats and isinstance(value, int) and not isinstance(value, bool) else value

    _scalars: Mapping[str, Callable[[_Maker], st.SearchStrategy[Any]]] = {
        "string": lambda _: st.sampled_from(_TEXTS) | st.text(max_size=12),
        "boolean": lambda _: st.booleans(),
        "integer": lambda maker: (st.sampled_from([0, 1, 2**31 - 1]) | st.integers(-(2**31), 2**31 - 1)).map(
            maker.number
        ),
        "number": lambda _: st.floats(-1e9, 1e9).map(float),
    }
