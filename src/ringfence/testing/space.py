"""The configs that a pydantic model accepts: how to get from one to another, whatever rules hold across fields.

A config is a mapping from key to value, as a config file has it. A change of one field may break a rule across fields
(a `model_validator`). Then the other fields that the rule reads are moved until it holds: which they are, the code of
the validator tells, and to which value, mostly its message does ("… must be at least 8000").
"""

from __future__ import annotations

import functools
import json
import random
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from ringfence.testing.values import GenerationError, Values, values_of

__all__ = ["ConfigSpace", "Fault", "Setting"]

Config = Mapping[str, Any]

_TRIES = 120
"""Validations that one repair may take; most take fewer than ten, and what takes more is mostly impossible."""
_DEPTH = 14
"""Fields that one repair may move."""
_NUMBER = re.compile(r"(?<![\w.])-?[0-9][0-9_,]*(?:\.[0-9]+)?")
_SEPARATORS = re.compile(r"([/:@.,;|\s])")


@dataclass(frozen=True)
class Setting:
    """One field of a model."""

    key: str
    """As in a config file: the alias where there is one."""
    name: str
    """As in the model."""
    required: bool
    default: Any
    """As in a config file, None where there is none."""
    values: Values

    def named_in(self, message: str) -> int:
        """Return where a message names the field, -1 where it does not."""
        match = self._names.search(message)
        return -1 if match is None else match.start()

    @cached_property
    def _names(self) -> re.Pattern[str]:
        names = {self.key, self.key.rpartition(":")[2], self.name}
        return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, sorted(names)))})(?!\w)")


@dataclass(frozen=True)
class Fault:
    """Why a model refuses a config."""

    key: str
    """The field; empty where a rule across fields refuses."""
    message: str
    reads: tuple[str, ...] = ()
    """Keys that the rule reads, those first that its message names."""

    @property
    def kind(self) -> tuple[str, str]:
        """What tells one fault from another whatever the values are."""
        return self.key, re.sub(r"\w*[0-9]\w*|'[^']*'", "", self.message)


class ConfigSpace:
    """The configs that a model accepts.

    `examples` are valid configs to begin with. Raises `GenerationError` for a field that no values can be made for, for
    an example that the model refuses, and where no valid config is found at all.
    """

    def __init__(self, model: type[BaseModel], examples: Sequence[Config] = ()) -> None:
        self.model = model
        self.settings = {setting.key: setting for setting in self._settings()}
        self._by_name = {setting.name: setting for setting in self.settings.values()}
        for example in examples:
            faults = self.faults(example)
            if faults:
                raise GenerationError(f"{model.__name__} refuses the example config: {faults[0].message}")
        self.bases: list[dict[str, Any]] = [dict(example) for example in examples] or [self._first()]
        """Valid configs, the simplest first."""

    def _settings(self) -> Iterator[Setting]:
        self.model.model_rebuild()  # a model that is built on first use
        for name, info in self.model.model_fields.items():
            if info.init is not False:
                yield self._setting(name, info)

    def _setting(self, name: str, info: FieldInfo) -> Setting:
        alias = info.validation_alias if isinstance(info.validation_alias, str) else info.alias
        default: Any = None
        if not info.is_required() and info.default is not PydanticUndefined:
            default = to_jsonable_python(info.default, fallback=str)
        elif info.default_factory is not None:
            default = to_jsonable_python(info.get_default(call_default_factory=True, validated_data={}), fallback=str)
        values = values_of(info.annotation, tuple(info.metadata), f"{self.model.__name__}.{name}")
        return Setting(alias or name, name, info.is_required(), default, values)

    # --- what is wrong with a config -----------------------------------------------------------------------------

    def faults(self, config: Config) -> list[Fault]:
        """Return why the model refuses a config; none if it accepts it."""
        try:
            self.model.model_validate(dict(config))
        except ValidationError as error:
            return [self._fault(detail) for detail in error.errors(include_url=False)]
        return []

    def _fault(self, detail: Any) -> Fault:
        message = str(detail["msg"])
        cause = detail.get("ctx", {}).get("error")
        if detail["loc"]:
            key = str(detail["loc"][0])
            known = self._by_name.get(key)
            return Fault(known.key if known is not None and key not in self.settings else key, message, (key,))
        if isinstance(cause, Exception):
            message = str(cause)
        keys = self._read_by(cause) or tuple(self.settings)
        places = {key: self.settings[key].named_in(message) for key in keys}
        named = sorted((key for key in keys if places[key] >= 0), key=lambda key: places[key])
        return Fault("", message, (*named, *(key for key in keys if places[key] < 0)))

    def _read_by(self, error: Any) -> tuple[str, ...]:
        """Return the keys that the validator which raised an error reads."""
        traceback = getattr(error, "__traceback__", None)
        if traceback is None:
            return ()
        names = _names_in(self.model, traceback.tb_frame.f_code)
        return tuple(setting.key for setting in self.settings.values() if setting.name in names)

    # --- from one valid config to another ------------------------------------------------------------------------

    def changed(self, config: Config, key: str, value: Any, salt: int = 0) -> dict[str, Any] | None:
        """Return a valid config in which `key` has `value`, and else as much of `config` as the model's rules allow.

        None where none is found. Which field gives way where several could, `salt` decides.
        """
        changed = {**config, key: value}
        return self._repaired(changed, frozenset((key,)), salt)

    def _repaired(self, config: dict[str, Any], pinned: frozenset[str], salt: int) -> dict[str, Any] | None:
        search = _Repair(self, pinned, random.Random(salt) if salt else None)
        return search.run(config, (), frozenset(), _DEPTH)

    def simplest(self, config: Config) -> dict[str, Any]:
        """Return a config without what is the default anyway."""
        return {
            key: value
            for key, value in config.items()
            if key not in self.settings or self.settings[key].required or value != self.settings[key].default
        }

    def _first(self) -> dict[str, Any]:
        """Return a valid config of the simplest values of the required fields."""
        required = [setting for setting in self.settings.values() if setting.required]
        simplest = {setting.key: setting.values.boundaries[0] for setting in required if setting.values.boundaries}
        if len(simplest) == len(required):
            found = self._repaired(simplest, frozenset(), 0)
            if found is not None:
                return found
        from hypothesis import HealthCheck, Phase, find, settings
        from hypothesis import strategies as st
        from hypothesis.errors import NoSuchExample, Unsatisfiable

        accepted: list[dict[str, Any]] = []

        def accepts(config: dict[str, Any]) -> bool:
            found = self._repaired(config, frozenset(), 0)
            accepted.extend([] if found is None else [found])
            return found is not None

        drawn = st.fixed_dictionaries({setting.key: setting.values.strategy for setting in required})
        profile = settings(
            max_examples=200,
            database=None,
            derandomize=True,
            phases=[Phase.generate],  # any will do: to make it small would take seconds
            suppress_health_check=list(HealthCheck),
        )
        try:
            find(drawn, accepts, settings=profile)
        except (NoSuchExample, Unsatisfiable):
            faults = self.faults(simplest)
            name, reason = self.model.__name__, faults[0].message if faults else "no values were found"
            raise GenerationError(
                f"{name}: no config was found that its rules across fields accept ({reason}); give an example, or "
                f"register a strategy that constructs one: ringfence.testing.register_strategy({name}, a_strategy)"
            ) from None
        return min(accepted, key=lambda config: len(json.dumps(config, default=str)))


@functools.lru_cache(maxsize=1024)
def _names_in(model: type[BaseModel], code: types.CodeType) -> frozenset[str]:
    """Return the names that a function reads, with those that the model's own properties and methods read for it."""
    names: set[str] = set()
    waiting = [code]
    seen = set()
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        names.update(current.co_names)
        names.update(item for item in current.co_consts if isinstance(item, str))  # getattr(self, "name")
        waiting.extend(item for item in current.co_consts if isinstance(item, types.CodeType))
        for name in current.co_names:
            member = getattr(model, name, None)
            function = getattr(member, "fget", None) or getattr(member, "func", None) or member
            inner = getattr(function, "__code__", None)
            if inner is not None and name not in BaseModel.__dict__:
                waiting.append(inner)
    return frozenset(names)


class _Repair:
    """Moves fields until a model accepts a config: a depth-first search that never meets the same fault twice."""

    def __init__(self, space: ConfigSpace, pinned: frozenset[str], order: random.Random | None) -> None:
        self.space = space
        self.pinned = pinned
        self.order = order
        self.left = _TRIES
        self._seen: set[str] = set()

    def run(
        self, config: dict[str, Any], path: tuple[str, ...], met: frozenset[tuple[str, str]], depth: int
    ) -> dict[str, Any] | None:
        """Return a valid config near `config`, None if there is none within reach."""
        state = repr(config)
        if state in self._seen:
            return None
        self._seen.add(state)
        self.left -= 1
        faults = self.space.faults(config)
        if not faults:
            return config
        if path and faults[0].key == path[-1]:
            return None  # no value for this field at all
        kind = faults[0].kind
        if kind in met or depth == 0 or self.left <= 0:
            return None
        for key in self._movable(faults[0]):
            for candidate in _candidates(self.space, config, key, faults[0]):
                if self.left <= 0:
                    return None
                found = self.run({**config, key: candidate}, (*path, key), met | {kind}, depth - 1)
                if found is not None:
                    return found
        return None

    def _movable(self, fault: Fault) -> list[str]:
        keys = [key for key in fault.reads if key not in self.pinned and key in self.space.settings]
        if self.order is not None:
            self.order.shuffle(keys)
        return keys


def _candidates(space: ConfigSpace, config: Config, key: str, fault: Fault) -> list[Any]:
    """Return values that a field may be moved to, the likeliest first."""
    setting = space.settings[key]
    now = config.get(key, setting.default)
    texts = [str(config.get(other, space.settings[other].default) or "") for other in fault.reads if other != key]
    found: list[Any] = []
    if isinstance(now, bool):
        found.append(not now)
    elif isinstance(now, int | float):
        numbers = [_as(type(now), text) for text in _NUMBER.findall(fault.message)]
        found += [number + step for step in (0, 1, -1) for number in numbers if number is not None]
    elif isinstance(now, str):
        found += _spliced(now, texts)
    elif isinstance(now, list):
        found += _lists(setting, now, texts)
    found += [setting.default] if not setting.required else []
    found += setting.values.boundaries
    found += [base[key] for base in getattr(space, "bases", ()) if key in base]
    distinct: dict[str, Any] = {}
    for value in found:
        if value != now:
            distinct.setdefault(repr(value), value)
    return list(distinct.values())[:40]


def _as(kind: type, text: str) -> Any:
    try:
        return kind(text.replace(",", "").replace("_", "").rstrip("."))
    except ValueError:
        return None


def _spliced(now: str, others: Sequence[str]) -> list[str]:
    """Return texts with one part taken from another text: a registry's name in the image that is pulled from it."""
    parts = _SEPARATORS.split(now)
    taken = dict.fromkeys(
        piece for other in others for piece in (other, *_SEPARATORS.split(other)) for piece in (piece, piece.lower())
    )
    found = []
    for piece in taken:
        if len(piece) > 1:
            found += [
                "".join((*parts[:index], piece, *parts[index + 1 :]))
                for index in range(0, len(parts), 2)
                if parts[index] != piece
            ]
            found += [piece + now[-length:] for length in (1, 2)] + [piece]
    return found


def _lists(setting: Setting, now: list[Any], texts: Sequence[str]) -> list[Any]:
    """Return lists near one: without what stands twice, with parts of other texts, longer and shorter ones."""
    distinct = list({json.dumps(item, default=str): item for item in now}.values())
    samples = [item for value in setting.values.boundaries if isinstance(value, list) for item in value] or distinct
    found = [distinct, *(distinct[:size] for size in range(len(distinct)))]
    for text in texts:
        for piece in _SEPARATORS.split(text):
            if len(piece) > 2 and samples and isinstance(samples[0], str):
                made = [piece + suffix for suffix in ("a", "b", "c", "1", "2")]
                found += [made[:size] for size in (max(len(now), 1), 2, 3)]
    return [*found, *(value for value in setting.values.boundaries if isinstance(value, list))]
