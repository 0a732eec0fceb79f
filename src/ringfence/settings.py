"""ringfence.toml: what a project sets for its own checks.

The file stands beside Pulumi.yaml or in a folder above; `[tool.ringfence]` in a pyproject.toml does the same. Nearer
files win: tables are merged key by key, lists of exemptions are joined, other values are replaced.
"""

from __future__ import annotations

import datetime
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ringfence.policy.verdict import Level

__all__ = ["Exemption", "RuleSettings", "Settings", "SettingsError", "load_settings"]

FILE_NAME = "ringfence.toml"
_TABLES = ("rules", "stack-references", "invokes")


class SettingsError(ValueError):
    """A settings file is wrong. The message names the file, the key and what was expected."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RuleSettings(BaseModel):
    """`[rules.CODE]`: the level, and the rule's own parameters."""

    model_config = ConfigDict(extra="allow", frozen=True)

    level: Level | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """The keys beside `level`."""
        return dict(self.model_extra or {})


class Exemption(_Model):
    """`[[exempt]]`: a failure that somebody answers for."""

    rule: Annotated[str, Field(min_length=1)]
    resource: Annotated[str, Field(min_length=1)] = "*"
    reason: Annotated[str, Field(min_length=1)]
    owner: Annotated[str, Field(min_length=1)]
    expires: datetime.date | None = None
    path: str = Field(default="*", alias="property")

    @field_validator("expires", mode="before")
    @classmethod
    def _a_date(cls, value: Any) -> Any:
        # Numbers would be taken for seconds since 1970, and a time of day would be dropped or refused by chance.
        if isinstance(value, datetime.datetime) or not isinstance(value, datetime.date | str):
            raise ValueError
        return datetime.date.fromisoformat(value) if isinstance(value, str) else value


class _File(_Model):
    """What one file may say."""

    policy_pack: tuple[str, ...] = Field(default=(), alias="policy-pack")
    """Folders of policy packs, absolute once loaded."""
    profiles: tuple[str, ...] = ()
    rules: Mapping[str, RuleSettings] = Field(default_factory=dict)
    stack_references: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict, alias="stack-references")
    invokes: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    exempt: tuple[Exemption, ...] = ()

    @field_validator("policy_pack", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class Settings(_File):
    """All settings of one project."""

    files: tuple[str, ...] = ()
    """Where the settings came from, nearest first."""
    rule_files: Mapping[str, str] = Field(default_factory=dict)
    """The nearest file that has a table for each of `rules`."""


def load_settings(folder: Path) -> Settings:
    """Return the settings for the project in `folder`. Raises `SettingsError`."""
    merged: dict[str, Any] = {}
    files: list[str] = []
    rule_files: dict[str, str] = {}
    for place in reversed((folder.absolute(), *folder.absolute().parents)):
        for path, table in _tables(place):
            _check(path, table)
            _merge(merged, _absolute_packs(table, place))
            files.insert(0, str(path))
            rule_files |= dict.fromkeys(table.get("rules", {}), str(path))
    return Settings.model_validate({**merged, "files": files, "rule_files": rule_files})


def _tables(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    found = []
    project = folder / "pyproject.toml"
    if project.is_file():
        tool = _read(project).get("tool", {})
        table = tool.get("ringfence") if isinstance(tool, dict) else None
        if isinstance(table, dict):
            found.append((project, table))
        elif table is not None:
            raise SettingsError(f"{project}: tool.ringfence: expected a table, found {_shown(table)}")
    own = folder / FILE_NAME
    if own.is_file():
        found.append((own, _read(own)))
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is not UTF-8 text") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError(f"{path}: is not valid TOML: {error}") from None


# --- mistakes --------------------------------------------------------------------------------------------------------

_EXPECTED = {
    "tuple_type": "a list",
    "string_type": "text",
    "string_too_short": "text that is not empty",
    "mapping_type": "a table",
    "dict_type": "a table",
    "model_type": "a table",
    "enum": f"one of {', '.join(Level)}",
    "value_error": "a date such as 2027-01-31",
    "missing": "text",
}
"""What to expect, by pydantic's name of the mistake."""
_SHOWN_LENGTH = 80


def _check(path: Path, table: dict[str, Any]) -> None:
    try:
        _File.model_validate(table)
    except ValidationError as error:
        raise SettingsError(f"{path}: {_explain(error)}") from None


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    location = first["loc"]
    key = ".".join(str(part) for part in location)
    if first["type"] == "extra_forbidden":
        model = Exemption if location[0] == "exempt" else _File
        known = ", ".join(field.alias or name for name, field in model.model_fields.items())
        return f"{key}: there is no such setting; expected one of {known}"
    expected = _EXPECTED.get(first["type"], first["msg"])
    if first["type"] == "missing":
        return f"{key}: is missing; expected {expected}"
    if location[0] == "policy-pack" and len(location) == 1:
        expected = "a folder or a list of folders"
    # Answers for stack references and invokes may be secrets.
    found = "" if location[0] in ("stack-references", "invokes") else f", found {_shown(first['input'])}"
    return f"{key}: expected {expected}{found}"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    shown = json.dumps(value, ensure_ascii=False, default=str)
    return shown if len(shown) <= _SHOWN_LENGTH else f"{shown[:_SHOWN_LENGTH]}…"


# --- merging ---------------------------------------------------------------------------------------------------------


def _absolute_packs(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    packs = table.get("policy-pack")
    if packs is None:
        return table
    packs = [packs] if isinstance(packs, str) else packs
    return {**table, "policy-pack": [pack if pack == "ringfence" else str((folder / pack).resolve()) for pack in packs]}


def _merge(into: dict[str, Any], table: Mapping[str, Any]) -> None:
    for key, value in table.items():
        if key in _TABLES:
            target = into.setdefault(key, {})
            for name, entry in value.items():
                target[name] = {**target.get(name, {}), **entry}
        elif key == "exempt":
            into["exempt"] = [*value, *into.get("exempt", [])]
        else:
            into[key] = value
