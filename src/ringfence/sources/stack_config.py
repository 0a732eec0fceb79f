"""Pulumi.<stack>.yaml: the config that a program runs under."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringfence.sources.pulumi_yaml import (
    ConfigDeclaration,
    ConfigType,
    ProjectError,
    ProjectFile,
    full_key,
    kind_of,
    load_yaml,
)
from ringfence.wire import UNKNOWN_SENTINEL

if TYPE_CHECKING:
    from ringfence.sources.secrets import Decrypter

__all__ = ["StackConfig", "load_stack_config", "split_stack", "stack_file", "stack_names"]


@dataclass(frozen=True)
class StackConfig:
    """What a program is given as config."""

    values: Mapping[str, str]
    """Full key to text; lists and objects as JSON."""
    secret_keys: frozenset[str] = frozenset()
    undecrypted: frozenset[str] = frozenset()
    """Keys whose secret value is not known."""
    notes: tuple[str, ...] = ()


def _folder(project: ProjectFile) -> Path:
    return project.folder / project.config_folder if project.config_folder else project.folder


def stack_names(project: ProjectFile) -> list[str]:
    """Return the stacks that have a config file, sorted."""
    suffix = project.path.suffix
    names = []
    folder = _folder(project)
    if folder.is_dir():
        for entry in sorted(folder.glob(f"Pulumi.*{suffix}")):
            name = entry.name[len("Pulumi.") : -len(suffix)]
            if name and entry.is_file():
                names.append(name)
    return names


def split_stack(stack: str) -> tuple[str, str]:
    """Return organisation and own name of a stack; self-managed backends have one organisation, called so."""
    parts = stack.split("/")
    return parts[0] if len(parts) == 3 else "organization", parts[-1]


def stack_file(project: ProjectFile, stack: str) -> Path:
    """Return where the config of `stack` belongs. A name with an organisation and a project ends in the stack's own."""
    return _folder(project) / f"Pulumi.{split_stack(stack)[1]}{project.path.suffix}"


def load_stack_config(
    project: ProjectFile, stack: str, overrides: Mapping[str, str], *, leave_out: Collection[str] = ()
) -> StackConfig:
    """Return the config for a stack: the project's values, the stack file's but for `leave_out`, then `overrides`.

    A stack without a file has the project's values alone. Raises `ProjectError` for a file that cannot be read, a
    value of the wrong type or a required value that is missing.
    """
    reader = _Reader(project, stack)
    for declaration in project.config:
        if declaration.value is not None:
            reader.put(declaration.key, declaration.value, project.path)
    path = stack_file(project, stack)
    if path.is_file():
        reader.read(path, leave_out)
    for key, value in overrides.items():
        reader.override(key, value)
    reader.check(path)
    return StackConfig(
        values={key: _text(value) for key, value in sorted(reader.values.items())},
        secret_keys=frozenset(reader.secrets),
        undecrypted=frozenset(reader.unopened),
        notes=(*reader.notes, *reader.unopened.values()),
    )


class _Reader:
    def __init__(self, project: ProjectFile, stack: str) -> None:
        self.project = project
        self.stack = stack
        self.values: dict[str, Any] = {}
        self.secrets = {declaration.key for declaration in project.config if declaration.secret}
        self._encrypted = {item.key for item in project.config if item.secret and item.type is not None}
        """Keys that the CLI takes encrypted only."""
        self.unopened: dict[str, str] = {}
        """Keys of secrets that could not be decrypted, with a note that says why."""
        self.notes: list[str] = []
        self._places: dict[str, str] = {}
        """Where each value comes from, for messages."""
        self._overridden: set[str] = set()
        self._environment = False
        self._salt: object = None
        self._decrypter: Decrypter | str | None = None

    def read(self, path: Path, leave_out: Collection[str] = ()) -> None:
        """Take the values of a stack file, those of some keys aside."""
        data = load_yaml(path)
        if data is None:
            return
        if not isinstance(data, Mapping):
            raise ProjectError(f"{path}: expected a mapping with config, found {kind_of(data)}")
        self._salt = data.get("encryptionsalt")
        if data.get("environment") or data.get("mainEnvironment"):
            self._environment = True
            self.notes.append(f"{path.name}: environment: values from Pulumi ESC are not known here.")
        config = data.get("config")
        if config is None:
            return
        if not isinstance(config, Mapping):
            raise ProjectError(f"{path}: config: expected a mapping of keys, found {kind_of(config)}")
        for key, value in config.items():
            full = full_key(self.project.name, key)
            if full is None:
                raise ProjectError(f"{path}: config.{key}: expected a key of the form name or namespace:name")
            if full not in leave_out:
                self.put(full, value, path)

    def put(self, key: str, value: Any, path: Path) -> None:
        """Take the value of a file."""
        if key in self._encrypted and value is not None and not _holds_secure(value):
            self.notes.append(
                f"{path.name}: config.{key}: {self.project.path.name} declares a secret, and it stands here in plain "
                "text: the Pulumi CLI refuses that."
            )
        self._places[key] = f"{path}: config.{key}"
        self.unopened.pop(key, None)
        plain, reason = self._open(value)
        if reason:
            self.unopened[key] = f"{path.name}: config.{key}: the secret stays unknown: {reason}."
        if reason or _holds_secure(value):
            self.secrets.add(key)
        self.values[key] = UNKNOWN_SENTINEL if reason else plain

    def override(self, key: str, value: str) -> None:
        """Take a value of the command line."""
        full = full_key(self.project.name, key)
        if full is None:
            raise ProjectError(f"--config {key}: expected a key of the form name or namespace:name")
        self._places[full] = f"--config {key}"
        self._overridden.add(full)
        self.unopened.pop(full, None)
        self.values[full] = value

    def _open(self, value: Any) -> tuple[Any, str]:
        """Return a value with its secrets decrypted, or why one of them could not be."""
        if _is_secure(value):
            return self._decrypt(value["secure"])
        if isinstance(value, Mapping):
            pairs = {name: self._open(item) for name, item in value.items()}
            return {name: item for name, (item, _) in pairs.items()}, _first(reason for _, reason in pairs.values())
        if isinstance(value, list):
            items = [self._open(item) for item in value]
            return [item for item, _ in items], _first(reason for _, reason in items)
        return value, ""

    def _decrypt(self, text: str) -> tuple[Any, str]:
        # Imported here: only stacks with secrets need the cipher.
        from ringfence.sources.secrets import decrypter_for

        if self._decrypter is None:
            self._decrypter = decrypter_for(self._salt)
        if isinstance(self._decrypter, str):
            return None, self._decrypter
        try:
            return self._decrypter.decrypt(text), ""
        except ValueError as error:
            return None, str(error)

    def check(self, path: Path) -> None:
        """Raise `ProjectError` for what the project declares and the values do not keep."""
        for declaration in self.project.config:
            key = declaration.key
            if key not in self.values:
                if declaration.required:
                    raise ProjectError(self._missing(path, declaration))
            elif declaration.type is not None and key not in self.unopened:
                self._check_type(key, declaration.type)

    def _missing(self, path: Path, declaration: ConfigDeclaration) -> str:
        expected = f"expected {declaration.type}" if declaration.type is not None else "expected a value"
        message = (
            f"{path}: config.{declaration.key}: is missing for stack {self.stack!r}; {expected}, since "
            f"{self.project.path.name} declares the key without a default"
        )
        if self._environment:
            message += "; if it comes from Pulumi ESC, which is not known here, give it by --config"
        return message

    def _check_type(self, key: str, type_: ConfigType) -> None:
        value = self.values[key]
        if key in self._overridden and type_.name in ("array", "object"):
            value = _parsed(value)
        elif not isinstance(value, Mapping | list):
            value = _text(value)  # scalars reach the check as the text that the program gets, as under the CLI
        if not type_.accepts(value):
            found = "a secret value" if key in self.secrets else kind_of(self.values[key])
            if isinstance(value, list) and type_.name == "array" and key not in self.secrets:
                found = "a list with other elements"
            raise ProjectError(f"{self._places[key]}: expected {type_}, found {found}")


def _first(reasons: Iterable[str]) -> str:
    return next((reason for reason in reasons if reason), "")


def _is_secure(value: Any) -> bool:
    """Whether a value is one that `pulumi config set --secret` wrote."""
    return isinstance(value, Mapping) and list(value) == ["secure"] and isinstance(value["secure"], str)


def _holds_secure(value: Any) -> bool:
    if _is_secure(value):
        return True
    if isinstance(value, Mapping):
        return any(map(_holds_secure, value.values()))
    return isinstance(value, list) and any(map(_holds_secure, value))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _text(value: Any) -> str:
    """Return a value as the CLI hands it to a program: scalars as text, the rest as JSON with sorted keys."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
