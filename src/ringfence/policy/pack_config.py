"""The configuration of a CrossGuard pack of any language, as the engine reconciles it: levels and properties by policy.

Later sources win: defaults of the policies' config schemas, the pack's own initial config, what the user gives. The
order and the meaning of `all` are those of the engine (pulumi/pulumi, pkg/resource/analyzer/config.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ringfence.policy.pack import PackError

__all__ = ["LEVEL_KEY", "DeclaredPolicy", "PackLevel", "Setting", "reconcile", "split_entry"]

LEVEL_KEY = "enforcementLevel"
_SHOWN_LENGTH = 200
_COUNTED = {
    "maxLength": ("most", "characters"),
    "minLength": ("least", "characters"),
    "maxItems": ("most", "items"),
    "minItems": ("least", "items"),
    "maxProperties": ("most", "keys"),
    "minProperties": ("least", "keys"),
}
"""What a schema's keyword bounds, and from which side."""


class PackLevel(StrEnum):
    """The enforcement levels that CrossGuard has."""

    ADVISORY = "advisory"
    MANDATORY = "mandatory"
    REMEDIATE = "remediate"
    DISABLED = "disabled"


@dataclass(frozen=True)
class DeclaredPolicy:
    """What a pack says of one of its policies, as far as its config goes."""

    name: str
    level: PackLevel
    """The level that it has by itself."""
    schema: Mapping[str, Any] = field(default_factory=dict)
    """JSON schemas by property."""
    required: Sequence[str] = ()
    checked: bool = True
    """Whether it has a schema at all."""


@dataclass
class Setting:
    """The level and the properties that one policy runs with."""

    level: PackLevel
    properties: dict[str, Any] = field(default_factory=dict)


Entry = tuple[PackLevel | None, dict[str, Any]]
"""What one entry of a config sets: a level, if any, and properties."""


def reconcile(
    pack: str, policies: Sequence[DeclaredPolicy], initial: Mapping[str, Entry], given: Mapping[str, Any]
) -> tuple[dict[str, Setting], list[str]]:
    """Return the setting of each policy by name, and notes on what a reader would not expect.

    `initial` is the pack's own config. `given` is what a `--policy-pack-config` file holds: a level or an object by
    policy name, or under `all`. Raises `PackError` that names the policies, the keys and what was expected.
    """
    settings = {policy.name: Setting(policy.level, _defaults(policy)) for policy in policies}
    notes = []
    _apply(settings, initial)
    mine: dict[str, Entry] = {}
    for name, value in given.items():
        if name == "environments":
            notes.append("environments: these are read from Pulumi Cloud, and are left out here.")
            continue
        if name != "all" and name not in settings:
            known = ", ".join(sorted(settings))
            raise PackError(f"policy pack {pack}: {name}: there is no such policy (there are: {known})")
        mine[name] = split_entry(pack, name, value)
        if name == "all" and mine[name][1]:
            raise PackError(f"policy pack {pack}: all: expected only {LEVEL_KEY}, found {', '.join(value)}")
    _apply(settings, mine)
    wrong = [fault for policy in policies for fault in _faults(pack, policy, settings[policy.name].properties)]
    if wrong:
        raise PackError(f"policy pack {pack}: {'; '.join(wrong)}")
    return settings, notes


def split_entry(pack: str, name: str, value: Any) -> Entry:
    """Return the level and the properties that one entry of a config sets. Raises `PackError`."""
    if isinstance(value, Mapping):
        properties = dict(value)
        level = properties.pop(LEVEL_KEY, None)
    elif isinstance(value, str):
        properties, level = {}, value
    else:
        raise PackError(f"policy pack {pack}: {name}: expected an enforcement level or an object, found {value!r}")
    if level is not None and level not in list(PackLevel):
        raise PackError(
            f"policy pack {pack}: {name}.{LEVEL_KEY}: expected one of {', '.join(PackLevel)}, found {level!r}"
        )
    return PackLevel(level) if level is not None else None, properties


def _defaults(policy: DeclaredPolicy) -> dict[str, Any]:
    return {
        key: value["default"]
        for key, value in policy.schema.items()
        if isinstance(value, Mapping) and "default" in value
    }


def _apply(settings: Mapping[str, Setting], entries: Mapping[str, Entry]) -> None:
    overall = entries.get("all", (None, {}))[0]
    for name, setting in settings.items():
        level, properties = entries.get(name, (None, {}))
        setting.level = level or overall or setting.level
        setting.properties = setting.properties | properties


def _faults(pack: str, policy: DeclaredPolicy, properties: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the properties of a policy: policy, key and what was expected."""
    if not policy.checked:
        return []
    from jsonschema import Draft7Validator  # takes a tenth of a second to import, and few packs need it
    from jsonschema.exceptions import SchemaError

    document = {"type": "object", "properties": policy.schema, "required": list(policy.required)}
    try:
        Draft7Validator.check_schema(document)
    except SchemaError as error:
        where = _path(error.absolute_path)
        raise PackError(
            f"policy pack {pack}: {policy.name}: its config schema is wrong at {where}: {error.message}"
        ) from None
    errors = sorted(
        Draft7Validator(document).iter_errors(_with_lists(properties)), key=lambda error: list(map(str, error.path))
    )
    faults = []
    for fault in errors:
        message = fault.message
        shown = message if len(message) <= _SHOWN_LENGTH else f"…{message[-_SHOWN_LENGTH:]}"
        if fault.validator in _COUNTED:
            # The library says "too long" and not what would do.
            most, what = _COUNTED[fault.validator]
            number = int(fault.validator_value)
            shown += f"; expected at {most} {number} {what if number != 1 else what[:-1]}"
        faults.append(f"{'.'.join(filter(None, [policy.name, _path(fault.absolute_path)]))}: {shown}")
    return faults


def _with_lists(value: Any) -> Any:
    """Return `value` with tuples as lists, as the wire has them."""
    if isinstance(value, Mapping):
        return {key: _with_lists(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_lists(item) for item in value]
    return value


def _path(keys: Iterable[str | int]) -> str:
    path = ""
    for key in keys:
        path += f"[{key}]" if isinstance(key, int) else f".{key}" if path else key
    return path
