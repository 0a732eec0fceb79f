"""Hypothesis strategies for configs: valid ones, and ones with a single fault."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from ringfence.testing.space import ConfigSpace
from ringfence.testing.values import GenerationError, registered

__all__ = ["Broken", "broken", "broken_settings", "configs", "settings_of"]

M = TypeVar("M", bound=BaseModel)


def configs(model: type[M], examples: Sequence[Mapping[str, Any]] = ()) -> st.SearchStrategy[M]:
    """Return a strategy for instances of a pydantic model; each is valid, so that nothing is ever rejected.

    Fields are changed one after another, most often to a value at one of its bounds; what a rule across fields then
    asks for is done to the others. Shrinking undoes changes, towards an example or the defaults.

    `examples` are valid configs by key, such as those of the project's stacks. A strategy that was registered for the
    model (`register_strategy`) is used as it is. Raises `GenerationError` naming the field that has no values.
    """
    own = registered(model)
    if own is not None:
        return own.map(lambda value: value if isinstance(value, model) else model.model_validate(value))
    return settings_of(ConfigSpace(model, examples)).map(model.model_validate)


def settings_of(space: ConfigSpace) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for the configs of a space, as mappings by key as a config file has them."""
    own = registered(space.model)
    if own is not None:
        return own.map(lambda value: space.simplest(to_jsonable_python(value, by_alias=True)))
    return _settings(space)


@st.composite
def _settings(draw: st.DrawFn, space: ConfigSpace) -> dict[str, Any]:
    config = draw(st.sampled_from(space.bases))
    keys = list(space.settings)
    few, many = (st.lists(st.sampled_from(keys), unique=True, max_size=size) for size in (4, len(keys)))
    changes = draw(few | many)
    salt = draw(st.integers(0, 255)) if changes else 0
    for key in changes:
        # A change that the model's rules forbid whatever the other fields are is left out.
        config = space.changed(config, key, draw(space.settings[key].values.strategy), salt) or config
    return dict(config)


@dataclass(frozen=True)
class Broken:
    """A config with one fault."""

    config: Mapping[str, Any]
    """By key, as a config file has it."""
    key: str
    """The field that is broken."""
    fault: str
    """What is wrong: missing, wrong type, below the minimum, …"""


def broken(model: type[BaseModel], examples: Sequence[Mapping[str, Any]] = ()) -> st.SearchStrategy[Broken]:
    """Return a strategy for valid configs of a model of which exactly one field was broken, and which it is.

    Every one is refused by the model because of that field: it is missing, of a wrong type or outside its bounds.
    """
    return broken_settings(ConfigSpace(model, examples))


@st.composite
def broken_settings(draw: st.DrawFn, space: ConfigSpace) -> Broken:
    """Draw a broken config of a space; see `broken`."""
    config = draw(settings_of(space))
    options = breakable(space)
    key = draw(st.sampled_from(list(options)))
    fault, value = draw(st.sampled_from(options[key]))
    if fault == "missing":
        return Broken({name: item for name, item in config.items() if name != key}, key, fault)
    return Broken({**config, key: value}, key, fault)


def breakable(space: ConfigSpace) -> dict[str, list[tuple[str, Any]]]:
    """Return what breaks each field by itself: what is wrong, and the value."""
    found: dict[str, list[tuple[str, Any]]] = {}
    base = space.bases[0]
    for key, setting in space.settings.items():
        options: list[tuple[str, Any]] = [("missing", None)] if setting.required else []
        options += [
            (fault, value)
            for fault, value in _wrong_values(setting.values.boundaries)
            if any(item.key == key for item in space.faults({**base, key: value}))
        ]
        if options:
            found[key] = options
    if not found:
        raise GenerationError(f"{space.model.__name__}: no field can be broken: each takes every value")
    return found


def _wrong_values(boundaries: Sequence[Any]) -> list[tuple[str, Any]]:
    """Return values that may be wrong, the likeliest near the bounds."""
    numbers = sorted({value for value in boundaries if isinstance(value, int | float) and not isinstance(value, bool)})
    texts = sorted((value for value in boundaries if isinstance(value, str)), key=len)
    lists = sorted((value for value in boundaries if isinstance(value, list)), key=len)
    found: list[tuple[str, Any]] = []
    if numbers:
        found += [("below the minimum", numbers[0] - 1), ("above the maximum", numbers[-1] + 1)]
        found += [("not a step", numbers[0] + 1), ("not whole", numbers[0] + 0.5), ("far above", 10**30)]
    if texts:
        found += [("empty", ""), ("too long", texts[-1] + texts[-1][-1:] * 2000), ("a space", f"{texts[0]} x")]
        found += [("upper case", texts[0].upper()), ("a line break", f"{texts[-1]}\n"), ("not one of them", "no-such")]
    if lists:
        found += [("too many", (lists[-1] or ["x"]) * 2000), ("a wrong element", [{"no": "such"}])]
    found += [("wrong type", wrong) for wrong in ({"no": "such"}, ["no"], "no such value \u00b7", -1.5)]
    return list({json.dumps(item, default=str): item for item in reversed(found)}.values())[::-1]
