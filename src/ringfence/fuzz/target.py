"""What is varied: the config model of a project, found by running it, or what Pulumi.yaml declares."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import gc
import hashlib
import importlib.metadata
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.alias_generators import to_camel

from ringfence.sources.interface import Request, Source
from ringfence.sources.project import EmbeddedSource
from ringfence.sources.pulumi_yaml import ConfigType, ProjectFile, full_key, load_project, load_yaml
from ringfence.sources.stack_config import load_stack_config, stack_file, stack_names
from ringfence.testing.space import ConfigSpace
from ringfence.testing.values import GenerationError

__all__ = ["Base", "FuzzError", "FuzzTarget", "find_target", "text_of"]


class FuzzError(ValueError):
    """A project cannot be searched. The message says what is missing or wrong."""


@dataclass(frozen=True)
class Base:
    """A stack's own config, from which the search sets out."""

    stack: str
    keys: frozenset[str]
    """Full keys of the stack's file that the search sets or leaves out."""


@dataclass(frozen=True)
class FuzzTarget:
    """A project, and the configs that it may be given."""

    project: ProjectFile
    space: ConfigSpace
    bases: tuple[Base, ...]
    """One for each of the space's."""
    names: Mapping[str, str]
    """Key of the space to full config key."""
    under: str = ""
    """Full key of the one object that holds all, where the program reads its config so."""
    described: str = ""
    """Where the config's types are from, for people."""
    secrets: frozenset[str] = frozenset()
    """Full keys whose values are secret: they stay as they are and are not shown."""

    def request(self, config: Mapping[str, Any], base: Base) -> Request:
        """Return the evaluation of one config."""
        return Request(
            self.project.folder,
            base.stack,
            config=self.texts(config),
            leave_out=base.keys,
        )

    def texts(self, config: Mapping[str, Any]) -> dict[str, str]:
        """Return a config as the program gets it: full keys and text."""
        return {key: text_of(value) for key, value in self.document(config).items()}

    def document(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return a config as its file has it: full keys and values, secrets aside."""
        shown = {key: value for key, value in config.items() if self.names.get(key) not in self.secrets}
        if self.under:
            return {self.under: shown}
        return {self.names[key]: value for key, value in shown.items() if value is not None}

    def base_of(self, config: Mapping[str, Any]) -> Base:
        """Return the stack whose config is the nearest."""

        def distance(index: int) -> int:
            own = self.space.bases[index]
            return sum(config.get(key) != own.get(key) for key in {*config, *own})

        return self.bases[min(range(len(self.bases)), key=distance)]

    @property
    def fingerprint(self) -> str:
        """What tells one space of configs from another: a seed means the same in the same space alone."""
        shown = [self.document(base) for base in self.space.bases]
        parts: list[Any] = [importlib.metadata.version("ringfence"), shown, self.under]
        parts += [(key, setting.values.boundaries, setting.default) for key, setting in self.space.settings.items()]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:8]


def text_of(value: Any) -> str:
    """Return a value as a program gets it."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def find_target(folder: Path, stacks: Sequence[str], source: EmbeddedSource) -> FuzzTarget:
    """Return what to vary in a project.

    A pydantic model of the program's own that its config fits goes first. The program is run once under each stack to
    find it, unless it runs in a process of its own: its model is out of reach there. Else it is what Pulumi.yaml
    declares, with what the stacks set beside that.

    Raises `FuzzError` where there is nothing to vary, `GenerationError` for a field that no values can be made for,
    `ProjectError` for a broken project.
    """
    project = load_project(folder)
    known = stack_names(project)
    for stack in stacks:
        if known and stack not in known:
            raise FuzzError(
                f"{stack_file(project, stack)}: there is no such file for stack {stack!r}; expected one of the stacks "
                f"{', '.join(known)}"
            )
    names = list(stacks) or known or ["dev"]
    read = [_read(project, stack) for stack in names]
    models = [] if source.runs_outside(project) else _own_models(project, names[0], source)
    found = max((_fit(model, read, project) for model in models), key=lambda fit: fit.score, default=None)
    if found is not None and found.score > 0:
        target = _of_model(project, found, names, read)
    else:
        target = _of_declarations(project, names, read)
    _try_numbers_of_the_code(target)
    return target


def _try_numbers_of_the_code(target: FuzzTarget) -> None:
    """Have the search try the whole numbers that stand in the program's code: where it decides, it names them."""
    numbers = sorted({number + step for number in _numbers_in(target.project.folder) for step in (-1, 0, 1)})
    for key, setting in target.space.settings.items():
        known = [value for value in setting.values.boundaries if isinstance(value, int) and not isinstance(value, bool)]
        if known:
            base = target.space.bases[0]
            own = [
                number
                for number in numbers
                if min(known) < number < max(known)
                and number not in known
                and all(fault.key != key for fault in target.space.faults({**base, key: number}))
            ]
            values = dataclasses.replace(setting.values, boundaries=(*setting.values.boundaries, *own[:_MOST_NUMBERS]))
            target.space.settings[key] = dataclasses.replace(setting, values=values)


_MOST_NUMBERS = 24
"""Numbers of the code that one field is tried with."""


def _numbers_in(folder: Path) -> set[int]:
    found: set[int] = set()
    for path in sorted(folder.glob("*.py")):
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue  # running it says so
        found |= {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and type(node.value) is int}
    for path in sorted(path for suffix in _OTHER_SUFFIXES for path in folder.glob(f"*{suffix}")):
        with contextlib.suppress(OSError):
            code = _COMMENT.sub("", path.read_text(encoding="utf-8", errors="replace"))
            found |= {int(number) for number in _NUMBER.findall(code)}
    return found


_OTHER_SUFFIXES = (".ts", ".mts", ".cts", ".js", ".mjs", ".cjs", ".go")
_COMMENT = re.compile(r"/\*.*?\*/|(?<!:)//[^\n]*", re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.])(?:0|[1-9][0-9]{0,9})(?![\w.])")
"""Whole numbers as TypeScript, JavaScript and Go write them."""


@dataclass(frozen=True)
class _Read:
    """The config of one stack."""

    values: Mapping[str, Any]
    """Full key to value, as the files have it."""
    secrets: frozenset[str]


def _read(project: ProjectFile, stack: str) -> _Read:
    config = load_stack_config(project, stack, {})  # raises what is wrong with it
    path = stack_file(project, stack)
    data = load_yaml(path) if path.is_file() else None
    values: dict[str, Any] = {entry.key: entry.value for entry in project.config if entry.value is not None}
    for key, value in ((data or {}).get("config") or {}).items():
        values[full_key(project.name, key) or key] = value
    return _Read({**values, **{key: config.values[key] for key in config.secret_keys}}, config.secret_keys)


# --- the model -------------------------------------------------------------------------------------------------------


def _own_models(project: ProjectFile, stack: str, source: Source) -> list[type[BaseModel]]:
    """Return the pydantic models that a program defines, those that build upon others first."""
    before = set(_below(BaseModel))
    collecting = gc.isenabled()
    gc.disable()  # classes of a program that has ended are garbage
    try:
        source.evaluate(Request(project.folder, stack, recover=False))
        made = [model for model in _below(BaseModel) if model not in before and not _of_a_library(model)]
    finally:
        if collecting:
            gc.enable()
    return sorted(made, key=lambda model: -len(model.__mro__))


def _below(cls: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from _below(sub)


def _of_a_library(model: type) -> bool:
    """Whether a model's module is still loaded: those of a program go when it ends."""
    return getattr(sys.modules.get(model.__module__), model.__name__, None) is model


@dataclass(frozen=True)
class _Fit:
    """How a config fits a model."""

    model: type[BaseModel]
    score: int = 0
    """Config keys that are fields of it; 0 where a required field has none."""
    names: Mapping[str, str] = field(default_factory=dict)
    under: str = ""


def _fit(model: type[BaseModel], read: Sequence[_Read], project: ProjectFile) -> _Fit:
    known = {key for item in read for key in item.values} | {entry.key for entry in project.config}
    places = [("", known)]
    for key in sorted(known):
        parts = [_object(item.values.get(key)) for item in read]
        if any(parts):
            places.append((key, {name for part in parts for name in part}))
    return max((_fit_at(model, under, keys, project) for under, keys in places), key=lambda fit: fit.score)


def _object(value: Any) -> Mapping[str, Any]:
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, Mapping) and "secure" not in value else {}


def _fit_at(model: type[BaseModel], under: str, known: set[str], project: ProjectFile) -> _Fit:
    names: dict[str, str] = {}
    matched = 0
    camel = True
    for name, info in model.model_fields.items():
        alias = info.validation_alias if isinstance(info.validation_alias, str) else info.alias
        spellings = dict.fromkeys((alias or name, name, to_camel(name), name.replace("_", "-")))
        full = {spelling: spelling if under else full_key(project.name, spelling) or spelling for spelling in spellings}
        own = next((full[spelling] for spelling in spellings if full[spelling] in known), None)
        if own is not None:
            matched += 1
            camel = camel and own != full.get(name, "")
        elif info.is_required():
            return _Fit(model)
        names[alias or name] = own or full[alias or name]
    return _Fit(model, matched, names, under)


def _of_model(project: ProjectFile, fit: _Fit, stacks: Sequence[str], read: Sequence[_Read]) -> FuzzTarget:
    secrets = frozenset(key for item in read for key in item.secrets)
    examples, bases = [], []
    for stack, item in zip(stacks, read, strict=True):
        values = _object(item.values.get(fit.under)) if fit.under else item.values
        examples.append({key: values[name] for key, name in fit.names.items() if name in values})
        own = frozenset((fit.under,) if fit.under else fit.names.values()) - secrets
        bases.append(Base(stack, own))
    space = ConfigSpace(fit.model, examples)
    for key in [key for key, name in fit.names.items() if name in secrets]:
        del space.settings[key]
    where = f"the model {fit.model.__name__} of the program"
    return FuzzTarget(project, space, tuple(bases), fit.names, fit.under, where, secrets)


# --- no model --------------------------------------------------------------------------------------------------------


def _of_declarations(project: ProjectFile, stacks: Sequence[str], read: Sequence[_Read]) -> FuzzTarget:
    """Return a target whose model is made of Pulumi.yaml, and of the stacks' values for what it says nothing of."""
    secrets = frozenset(key for item in read for key in item.secrets)
    fields: dict[str, Any] = {}
    names: dict[str, str] = {}
    declared = {entry.key: entry for entry in project.config}
    for key in sorted({*declared, *(key for item in read for key in item.values)} - secrets):
        entry = declared.get(key)
        seen = [item.values[key] for item in read if item.values.get(key) is not None]
        type_: Any = _python_type(entry.type) if entry is not None and entry.type is not None else _seen_type(seen)
        required = all(key in item.values for item in read) and (entry is None or entry.value is None)
        name = f"f{len(fields)}"
        default: Any = ... if required else (entry.value if entry is not None and entry.value is not None else None)
        fields[name] = (type_ if required or default is not None else type_ | None, Field(default, alias=key))
        names[key] = key
    if not fields:
        raise FuzzError(
            f"{project.path}: there is no config to vary: the program has no pydantic model that its config fits, "
            f"{project.path.name} declares no config, and no stack sets any; declare what it takes in "
            f"{project.path.name}, under config"
        )
    model = create_model("Config", __config__=ConfigDict(extra="forbid"), **fields)
    examples = [{key: value for key, value in item.values.items() if key in names} for item in read]
    bases = tuple(Base(stack, frozenset(names)) for stack in stacks)
    try:
        space = ConfigSpace(model, examples)
    except GenerationError as error:
        raise FuzzError(f"{project.path}: {error}") from None
    what = project.path.name if declared else "the values that the stacks set"
    return FuzzTarget(project, space, bases, names, "", what, secrets)


def _python_type(type_: ConfigType) -> Any:
    match type_.name:
        case "string":
            return Annotated[str, Field(max_length=64)]
        case "integer":
            return Annotated[int, Field(ge=-(2**31), lt=2**31)]
        case "boolean":
            return bool
        case "object":
            return dict[str, Any]
    return list[_python_type(type_.items)] if type_.items is not None else list[str]  # type: ignore[misc]


def _seen_type(seen: Sequence[Any]) -> Any:
    """Return the type of values that nobody declared: switches and numbers vary, texts are those that stacks have."""
    if seen and all(isinstance(value, bool) for value in seen):
        return bool
    if seen and all(isinstance(value, int) and not isinstance(value, bool) for value in seen):
        low, high = min(*seen, 0), max(*seen, 1) * 2
        return Annotated[int, Field(ge=low, le=high)]
    texts = [value for value in seen if isinstance(value, str)]
    if len(texts) == len(seen) and texts:
        return Literal[tuple(dict.fromkeys(texts))]
    return Any
