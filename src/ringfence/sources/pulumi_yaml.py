"""Pulumi.yaml: what a project is called, how it runs, which config it declares."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ringfence.sources.yaml_data import ProjectError, load_yaml

__all__ = [
    "ConfigDeclaration",
    "ConfigType",
    "ProjectError",
    "ProjectFile",
    "find_projects",
    "load_project",
    "load_runtime",
    "load_yaml",
]

FILE_NAMES = ("Pulumi.yaml", "Pulumi.yml", "Pulumi.json")

# What a declaration may say, and of which types: pulumi/pulumi, sdk/go/common/workspace/project.json and project.go.
_CONFIG_TYPES = ("string", "integer", "boolean", "array", "object")
_ATTRIBUTES = ("type", "items", "description", "secret", "default", "value")
_SKIPPED_FOLDERS = frozenset(
    (".git", ".hg", ".nox", ".tox", ".venv", "venv", "node_modules", "__pycache__", "site-packages")
)
_SHOWN_LENGTH = 80
_INTEGER = re.compile(r"[-+]?[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class ConfigType:
    """The type that a config value must have."""

    name: str
    items: ConfigType | None = None
    """The type of the elements, for `array`."""

    def __str__(self) -> str:
        """Return the type with its article, for messages: "an integer", "an array of strings"."""
        if self.items is None:
            return f"an {self.name}" if self.name[0] in "aio" else f"a {self.name}"
        inner = self.items
        of = "strings" if inner.name == "string" else f"{inner.name}s"
        while inner.items is not None:
            inner = inner.items
            of += f" of {inner.name}s"
        return f"an array of {of}"

    def accepts(self, value: Any) -> bool:
        """Whether a value is of the type. Text that spells an integer or a boolean is one, as for the CLI."""
        match self.name:
            case "string":
                return isinstance(value, str)
            case "integer":
                if isinstance(value, str):
                    return _INTEGER.fullmatch(value) is not None and -(2**63) <= int(value) < 2**63
                return isinstance(value, int) and not isinstance(value, bool)
            case "boolean":
                return isinstance(value, bool) or value in ("true", "false")
            case "object":
                return isinstance(value, Mapping)
        return isinstance(value, list) and (self.items is None or all(map(self.items.accepts, value)))


@dataclass(frozen=True, slots=True)
class ConfigDeclaration:
    """One key that Pulumi.yaml declares."""

    key: str
    """With its namespace, for example `shop:size`."""
    type: ConfigType | None = None
    value: Any = None
    """What stacks have that do not set it: the `default` or `value` of the declaration; None for neither."""
    secret: bool = False
    required: bool = False
    """Whether each stack must set it."""


@dataclass(frozen=True)
class ProjectFile:
    """A project file, read and checked."""

    path: Path
    name: str
    runtime: str
    options: Mapping[str, Any] = field(default_factory=dict)
    main: str = ""
    config: tuple[ConfigDeclaration, ...] = ()
    config_folder: str = ""
    """`stackConfigDir`: folder of the stacks' config files, relative to the project's."""

    @property
    def folder(self) -> Path:
        """The folder that holds the file."""
        return self.path.parent


def find_project_file(folder: Path) -> Path | None:
    """Return the project file in `folder`, None if it has none."""
    for name in FILE_NAMES:
        if (folder / name).is_file():
            return folder / name
    return None


def find_projects(folder: Path) -> list[Path]:
    """Return the folders at or below `folder` that hold a project file, sorted; hidden and library folders aside."""
    found: list[Path] = []
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        if find_project_file(current) is not None:
            found.append(current)
        try:
            entries = sorted(current.iterdir())
        except OSError:
            continue
        waiting.extend(
            entry
            for entry in entries
            if entry.is_dir()
            and not entry.is_symlink()
            and entry.name not in _SKIPPED_FOLDERS
            and not entry.name.startswith(".")
        )
    return sorted(found)


def load_project(folder: Path) -> ProjectFile:
    """Read the project file of `folder`, or of the nearest folder above it. Raises `ProjectError`."""
    start = folder.absolute()
    if not start.is_dir():
        raise ProjectError(f"{folder}: there is no such folder; expected one with a Pulumi.yaml")
    path = next((found for place in (start, *start.parents) if (found := find_project_file(place))), None)
    if path is None:
        raise ProjectError(f"{folder}: is no Pulumi project: there is no Pulumi.yaml in it, nor in a folder above it")
    data = load_yaml(path)
    if not isinstance(data, Mapping):
        raise ProjectError(f"{path}: expected a mapping with name and runtime, found {kind_of(data)}")
    name = data.get("name")
    if not isinstance(name, str) or not name:
        raise ProjectError(f"{path}: name: expected the project's name, found {kind_of(name)}")
    runtime, options = _runtime(path, data.get("runtime"))
    config: Any = data.get("config")
    config_folder = _text(path, data, "stackConfigDir", "a folder")
    if isinstance(config, str):
        # The old meaning of `config`: the folder of the stacks' config files.
        if config_folder:
            raise ProjectError(f"{path}: config: expected a mapping of keys, since stackConfigDir names the folder")
        config_folder, config = config, None
    return ProjectFile(
        path=path,
        name=name,
        runtime=runtime,
        options=options,
        main=_text(path, data, "main", "a file or folder"),
        config=tuple(_declarations(path, name, config)),
        config_folder=config_folder,
    )


def _text(path: Path, data: Mapping[str, Any], key: str, expected: str) -> str:
    value = data.get(key)
    if value is not None and not isinstance(value, str):
        raise ProjectError(f"{path}: {key}: expected {expected}, found {kind_of(value)}")
    return value or ""


def load_runtime(path: Path) -> tuple[str, Mapping[str, Any]]:
    """Return the runtime that the file of a project or a policy pack names, and its options. Raises `ProjectError`."""
    data = load_yaml(path) if path.is_file() else None
    return _runtime(path, data.get("runtime") if isinstance(data, Mapping) else None)


def _runtime(path: Path, runtime: Any) -> tuple[str, Mapping[str, Any]]:
    if isinstance(runtime, str) and runtime:
        return runtime, {}
    if isinstance(runtime, Mapping) and isinstance(runtime.get("name"), str) and runtime["name"]:
        options = runtime.get("options") or {}
        if not isinstance(options, Mapping):
            raise ProjectError(f"{path}: runtime.options: expected a mapping, found {kind_of(options)}")
        return runtime["name"], options
    raise ProjectError(
        f"{path}: runtime: expected a name such as python, or a mapping with one, found {kind_of(runtime)}"
    )


# --- config declarations ---------------------------------------------------------------------------------------------


def full_key(project: str, key: str) -> str | None:
    """Return a config key with its namespace, or None; `ns:config:key` is an old form of `ns:key`."""
    parts = key.split(":")
    if len(parts) == 1:
        return f"{project}:{key}"
    if len(parts) == 3 and parts[1] == "config":
        del parts[1]
    return ":".join(parts) if len(parts) == 2 else None


def _declarations(path: Path, project: str, config: Any) -> list[ConfigDeclaration]:
    if config is None:
        return []
    if not isinstance(config, Mapping):
        raise ProjectError(f"{path}: config: expected a mapping of keys, found {kind_of(config)}")
    declarations = []
    for key, entry in config.items():
        full = full_key(project, key)
        if full is None:
            raise ProjectError(f"{path}: config.{key}: expected a key of the form name or namespace:name")
        own = full.startswith(f"{project}:")
        if entry is None:
            entry = {}
        elif not isinstance(entry, Mapping):
            entry = {"default" if own else "value": entry}
        declarations.append(_declaration(f"{path}: config.{key}", full, entry, own))
    return declarations


def _declaration(place: str, key: str, entry: Mapping[str, Any], own: bool) -> ConfigDeclaration:
    for name in entry:
        if name not in _ATTRIBUTES:
            raise ProjectError(f"{place}.{name}: there is no such attribute; expected one of {', '.join(_ATTRIBUTES)}")
    secret = entry.get("secret") or False
    if not isinstance(secret, bool):
        raise ProjectError(f"{place}.secret: expected true or false, found {kind_of(secret)}")
    default, value = entry.get("default"), entry.get("value")
    if default is not None and value is not None:
        raise ProjectError(f"{place}: expected either default or value, found both")
    if not own:
        for name in ("type", "default"):
            if entry.get(name) is not None:
                raise ProjectError(
                    f"{place}.{name}: expected value alone, since the key is not of the project's namespace"
                )
        if value is None:
            raise ProjectError(f"{place}.value: expected a value, since the key is not of the project's namespace")
        return ConfigDeclaration(key, value=value, secret=secret)
    type_ = _type(place, entry) if entry.get("type") is not None else None
    if default is not None and type_ is not None and not type_.accepts(default):
        found = "a value of another type" if secret else kind_of(default)
        raise ProjectError(f"{place}.default: expected {type_}, found {found}")
    given = default if default is not None else value
    return ConfigDeclaration(key, type=type_, value=given, secret=secret, required=given is None)


def _type(place: str, entry: Mapping[str, Any]) -> ConfigType:
    name = entry.get("type")
    if name not in _CONFIG_TYPES:
        raise ProjectError(f"{place}.type: expected one of {', '.join(_CONFIG_TYPES)}, found {kind_of(name)}")
    if name != "array":
        return ConfigType(name)
    items = entry.get("items")
    if not isinstance(items, Mapping) or items.get("type") is None:
        raise ProjectError(
            f"{place}.items: expected the type of the elements (items: {{type: string}}), found {kind_of(items)}"
        )
    return ConfigType(name, _type(f"{place}.items", items))


def kind_of(value: Any) -> str:
    """Return what a value is, for messages: a scalar as YAML has it, else its kind."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    shown = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
    return shown if len(shown) <= _SHOWN_LENGTH else f"{shown[:_SHOWN_LENGTH]}…"
