"""From a field's annotation to the values that it takes: what stands at its bounds, and a strategy for all of them.

Values are as a config file has them (text, numbers, lists, objects), not as the model holds them, so that each can be
written to YAML. pydantic reads them back.
"""

from __future__ import annotations

import enum
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import to_jsonable_python

from ringfence.testing.text import First, PatternError, compile_pattern, matching, unanchored

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["GenerationError", "Values", "register_strategy", "registered", "values_of"]

_REGISTERED: dict[Any, SearchStrategy[Any]] = {}
_LARGE = 2**31 - 1
"""Whole numbers without a bound are drawn up to here: what 32 bits hold."""
_LONG = 5
"""Elements that a list without an upper bound may have beyond the fewest."""


class GenerationError(ValueError):
    """No values can be made for a field. The message names it and says how to register a strategy."""


def register_strategy(target: Any, strategy: SearchStrategy[Any]) -> None:
    """Have values of `target`, a model or the type of a field, drawn from `strategy` from now on.

    What is drawn may be an instance, or the values that it is made of. For a model whose rules across fields are hard
    to meet, register a strategy that constructs what meets them.
    """
    _REGISTERED[target] = strategy


def registered(target: Any) -> SearchStrategy[Any] | None:
    """Return the strategy that was registered for a type."""
    try:
        return _REGISTERED.get(target)
    except TypeError:  # what cannot be hashed is no type that could be registered
        return None


@dataclass(frozen=True)
class Values:
    """What a field takes."""

    boundaries: tuple[Any, ...]
    """Values at the bounds, the simplest first."""
    make: Callable[[], SearchStrategy[Any]]
    """Makes the strategy; called when the first value is drawn, as nothing else needs Hypothesis."""

    @cached_property
    def strategy(self) -> SearchStrategy[Any]:
        """All values, with those at the bounds more often than by chance."""
        from hypothesis import strategies as st

        every, bounds = self.make(), self.boundaries
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in bounds):
            return every  # where there are bounds it leans to them by itself
        # What shrinks shrinks to the first of these.
        return every | st.sampled_from(bounds)


def values_of(annotation: Any, metadata: tuple[Any, ...] = (), place: str = "") -> Values:
    """Return the values that an annotation takes. Raises `GenerationError` naming `place`."""
    annotation, metadata = _flat(annotation, metadata)
    found = _given(annotation, metadata)
    if found is not None:
        return found
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, types.UnionType):
        return _union([values_of(item, metadata if item is not type(None) else (), place) for item in arguments])
    if origin is Literal:
        return _choice([to_jsonable_python(item) for item in arguments])
    if annotation is bool:
        return _choice([False, True])
    if annotation is None or annotation is type(None):
        return _choice([None])
    if inspect.isclass(annotation) and issubclass(annotation, enum.Enum):
        return _choice([to_jsonable_python(item.value) for item in annotation])
    if origin in (list, tuple, set, frozenset) or annotation in (list, tuple, set, frozenset):
        return _collection(origin or annotation, arguments, metadata, place)
    if origin is dict or origin in (typing.get_origin(Mapping[str, str]),) or annotation is dict:
        return _mapping(arguments, metadata, place)
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return _model(annotation)
    return _leaf(annotation, metadata, place)


def _flat(annotation: Any, metadata: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """Return an annotation without its wrappers, and all that they say of it."""
    while True:
        alias = getattr(annotation, "__value__", None)  # `type Name = …` of Python 3.12
        if alias is not None and not inspect.isclass(annotation):
            annotation = alias
        elif typing.get_origin(annotation) is Annotated:
            inner, *own = typing.get_args(annotation)
            annotation, metadata = inner, (*own, *metadata)
        elif isinstance(annotation, typing.NewType) and registered(annotation) is None:
            annotation = annotation.__supertype__
        else:
            return annotation, metadata


def _given(annotation: Any, metadata: tuple[Any, ...]) -> Values | None:
    """Return the values of a strategy that was registered, or that stands in the annotation."""
    strategy = registered(annotation)
    for item in metadata:
        if type(item).__module__ == "ringfence.testing.types":
            return _of_constraint(annotation, metadata, item.strategy)
        if any(base.__module__.startswith("hypothesis.") for base in type(item).__mro__):
            strategy = item
    if strategy is None:
        return None
    plain = strategy.map(to_jsonable_python)
    return Values((), lambda: plain)


def _of_constraint(annotation: Any, metadata: tuple[Any, ...], make: Callable[[], Any]) -> Values:
    try:
        boundaries = _leaf(annotation, metadata, "").boundaries
    except GenerationError:
        boundaries = ()
    return Values(boundaries, make)


def _choice(options: list[Any]) -> Values:
    def make() -> SearchStrategy[Any]:
        from hypothesis import strategies as st

        return st.sampled_from(options)

    return Values(tuple(options), make)


def _union(members: list[Values]) -> Values:
    def make() -> SearchStrategy[Any]:
        from hypothesis import strategies as st

        return st.one_of([member.strategy for member in members])

    boundaries = tuple(value for member in members for value in member.boundaries)
    return Values(tuple(sorted(boundaries, key=lambda value: value is not None)), make)


def _collection(origin: Any, arguments: tuple[Any, ...], metadata: tuple[Any, ...], place: str) -> Values:
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        items = [values_of(item, (), f"{place}[{index}]") for index, item in enumerate(arguments)]

        def fixed() -> SearchStrategy[Any]:
            from hypothesis import strategies as st

            return st.tuples(*[item.strategy for item in items]).map(list)

        first = [[item.boundaries[0] for item in items]] if all(item.boundaries for item in items) else []
        return Values(tuple(first), fixed)
    low, high = _bounds_of_length(metadata)
    high = low + _LONG if high is None else high
    unique = origin in (set, frozenset)
    item = values_of(arguments[0] if arguments else str, (), f"{place}[*]")

    def make() -> SearchStrategy[Any]:
        from hypothesis import strategies as st

        # Elements that are all different are what most lists in config need; a few alike must do, too.
        different = st.lists(item.strategy, min_size=low, max_size=high, unique_by=_key)
        return different if unique else different | st.lists(item.strategy, min_size=low, max_size=high)

    distinct = list({_key(value): value for value in item.boundaries}.values())
    sizes = {low, low + 1, low + 2, high}
    boundaries = [distinct[:size] for size in sorted(sizes) if low <= size <= min(high, len(distinct))]
    return Values(tuple(boundaries), make)


def _mapping(arguments: tuple[Any, ...], metadata: tuple[Any, ...], place: str) -> Values:
    low, high = _bounds_of_length(metadata)
    high = low + _LONG if high is None else high
    key, value = (values_of(item, (), f"{place}.*") for item in arguments or (str, str))

    def make() -> SearchStrategy[Any]:
        from hypothesis import strategies as st

        return st.dictionaries(key.strategy, value.strategy, min_size=low, max_size=high)

    return Values(({},) if low == 0 else (), make)


def _model(model: type[BaseModel]) -> Values:
    from ringfence.testing.space import ConfigSpace

    space = ConfigSpace(model)

    def make() -> SearchStrategy[Any]:
        from ringfence.testing.strategies import settings_of

        return settings_of(space)

    return Values(tuple(base for base in space.bases), make)


def _bounds_of_length(metadata: tuple[Any, ...]) -> tuple[int, int | None]:
    low, high = 0, None
    for item in metadata:
        for part in _parts(item):
            low = getattr(part, "min_length", None) or low
            high = getattr(part, "max_length", None) if getattr(part, "max_length", None) is not None else high
    return low, high


def _parts(item: Any) -> list[Any]:
    """Return what a `Field(…)` within an annotation says, as single constraints."""
    return list(getattr(item, "metadata", None) or [item])


def _key(value: Any) -> str:
    return repr(value)


# --- single values ---------------------------------------------------------------------------------------------------


def _leaf(annotation: Any, metadata: tuple[Any, ...], place: str) -> Values:
    """Return the values of a type that is no container, by its JSON schema; each is validated before it is given."""
    try:
        hint: Any = Annotated[(annotation, *metadata)] if metadata else annotation
        adapter: TypeAdapter[Any] = TypeAdapter(hint)
        schema = adapter.json_schema()
    except (PydanticUserError, TypeError, AttributeError) as error:
        raise GenerationError(_advice(place, annotation, str(error).splitlines()[0])) from None
    boundaries, make = _by_schema(schema, annotation, place)

    def valid(value: Any) -> bool:
        try:
            adapter.validate_python(value)
        except ValidationError:
            return False
        return True

    return Values(tuple(value for value in boundaries if valid(value)), lambda: make().filter(valid))


def _advice(place: str, annotation: Any, reason: str = "") -> str:
    name = getattr(annotation, "__name__", str(annotation))
    because = f" ({reason})" if reason else ""
    return (
        f"{place or name}: values of type {name} cannot be generated{because}; give the field a strategy, as in "
        f"Annotated[{name}, a_hypothesis_strategy], or register one: "
        f"ringfence.testing.register_strategy({name}, a_hypothesis_strategy)"
    )


Made = tuple[tuple[Any, ...], Callable[[], Any]]


def _by_schema(schema: Mapping[str, Any], annotation: Any, place: str) -> Made:
    if "enum" in schema or "const" in schema:
        options = tuple(schema.get("enum", [schema.get("const")]))
        return options, lambda: _st().sampled_from(options)
    if "anyOf" in schema:
        parts = [_by_schema(part, annotation, place) for part in schema["anyOf"]]
        return sum((part[0] for part in parts), ()), lambda: _st().one_of([make() for _, make in parts])
    match schema.get("type"):
        case "integer":
            return _integers(schema)
        case "number":
            return _numbers(schema)
        case "boolean":
            return (False, True), lambda: _st().booleans()
        case "null":
            return (None,), lambda: _st().none()
        case "string":
            return _strings(schema, annotation, place)
    if not schema and annotation in (Any, object):
        return (None, "", 0), lambda: _st().none() | _st().booleans() | _st().integers() | _st().text()
    raise GenerationError(_advice(place, annotation))


def _st() -> Any:
    from hypothesis import strategies

    return strategies


def _integers(schema: Mapping[str, Any]) -> Made:
    step = int(schema.get("multipleOf", 1))
    low = schema.get("minimum", schema["exclusiveMinimum"] + 1 if "exclusiveMinimum" in schema else None)
    high = schema.get("maximum", schema["exclusiveMaximum"] - 1 if "exclusiveMaximum" in schema else None)
    low = low if low is not None else min(-_LARGE, high if high is not None else 0)
    high = high if high is not None else max(_LARGE, low)
    first, last = -(-int(low) // step), int(high) // step
    inside = {n for n in (first, first + 1, last - 1, last, 0, 1) if first <= n <= last}
    steps = sorted(inside, key=lambda n: (abs(n), n < 0))

    def make() -> Any:
        # A number near a bound is drawn as any other is, so that it can shrink to one between the bounds.
        ranges = ((first, last), (first, min(first + 1, last)), (max(last - 1, first), last))
        return _st().one_of([_st().integers(low, high) for low, high in ranges]).map(lambda n: n * step)

    return tuple(n * step for n in steps), make


def _numbers(schema: Mapping[str, Any]) -> Made:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    step = schema.get("multipleOf")
    edges = [edge for edge in (low, high, 0.0, 1.0, 0.5) if edge is not None]
    inside = [edge for edge in edges if (low is None or edge >= low) and (high is None or edge <= high)]
    if step:
        first = -(-(low if low is not None else -_LARGE * step) // step)
        last = (high if high is not None else _LARGE * step) // step
        return tuple(inside), lambda: _st().integers(int(first), int(last)).map(lambda n: n * step)
    return tuple(inside), lambda: _st().floats(
        low,
        high,
        allow_nan=False,
        allow_infinity=False,
        exclude_min="exclusiveMinimum" in schema,
        exclude_max="exclusiveMaximum" in schema,
    )


_FORMATS: dict[str, tuple[tuple[str, ...], Callable[[], Any]]] = {
    "date": (("2000-01-01", "2024-02-29"), lambda: _st().dates().map(str)),
    "date-time": (("2000-01-01T00:00:00",), lambda: _st().datetimes().map(lambda value: value.isoformat())),
    "time": (("00:00:00",), lambda: _st().times().map(lambda value: value.isoformat())),
    "duration": (("PT0S", "P1D"), lambda: _st().integers(0, 10**7).map(lambda seconds: f"PT{seconds}S")),
    "uuid": (("00000000-0000-0000-0000-000000000000",), lambda: _st().uuids().map(str)),
    "ipv4": (("10.0.0.0", "127.0.0.1"), lambda: _st().ip_addresses(v=4).map(str)),
    "ipv6": (("::1",), lambda: _st().ip_addresses(v=6).map(str)),
    "ipvanyaddress": (("10.0.0.0", "::1"), lambda: _st().ip_addresses().map(str)),
    "ipv4network": (("10.0.0.0/16",), lambda: _networks()),
    "ipvanynetwork": (("10.0.0.0/16",), lambda: _networks()),
    "path": ((".", "folder/file"), lambda: matching(r"[a-z]{1,8}(/[a-z]{1,8})*")),
    "file-path": ((), lambda: matching(r"[a-z]{1,8}(/[a-z]{1,8})*")),
    "uri": (("https://example.com/",), lambda: matching(r"https://[a-z]{1,8}\.example\.com/[a-z0-9/]*")),
    "email": (("a@example.com",), lambda: matching(r"[a-z]{1,8}@[a-z]{1,8}\.example\.com")),
    "password": (("",), lambda: _st().text(max_size=20)),
}


def _networks() -> Any:
    from ringfence.testing.types import Cidr

    return Cidr(shortest=8, longest=30, private=False).strategy()


def _strings(schema: Mapping[str, Any], annotation: Any, place: str) -> Made:
    low, high = schema.get("minLength", 0), schema.get("maxLength")
    if "pattern" in schema:
        pattern = unanchored(schema["pattern"])
        try:
            compiled = compile_pattern(pattern, low, high)
        except PatternError:
            return (), lambda: matching(pattern, low, high)
        ends = dict.fromkeys((compiled.lengths[0], compiled.lengths[-1]))
        return tuple(compiled.make_of(length, First()) for length in ends), lambda: matching(pattern, low, high)
    if "format" in schema:
        if schema["format"] not in _FORMATS:
            raise GenerationError(_advice(place, annotation, f"format {schema['format']}"))
        return _FORMATS[schema["format"]]
    longest = low + 20 if high is None else high
    ends = dict.fromkeys((low, min(low + 1, longest), min(longest, low + 20)))
    # What no config file can hold, control characters and halves of pairs, is left out.
    return tuple("a" * length for length in ends), lambda: _st().text(
        _st().characters(exclude_categories=("C",)), min_size=low, max_size=longest
    )
