"""The configuration of a CrossGuard pack: levels and properties by policy, as the engine reconciles them.

Later sources win: defaults of the policies' config schemas, the pack's own `initial_config`, what the user gives. The
order and the meaning of `all` are those of the engine (pulumi/pulumi, pkg/resource/analyzer/config.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pulumi_policy import EnforcementLevel, Policy

from ringfence.policy._pulumi_policy import CapturedPack, to_wire
from ringfence.policy.pack import PackError
from ringfence.policy.rule_config import COMMENT, PACK_SETTINGS, PROFILES, STRICT_UNKNOWNS

__all__ = ["PolicySetting", "reconcile"]

_LEVEL_KEY = "enforcementLevel"
_LEVELS = [level.value for level in EnforcementLevel]
_SHOWN_LENGTH = 200


@dataclass
class PolicySetting:
    """The level and the properties that one policy runs with."""

    level: EnforcementLevel
    properties: dict[str, Any] = field(default_factory=dict)


def reconcile(pack: CapturedPack, given: Mapping[str, Any] | None) -> tuple[dict[str, PolicySetting], list[str]]:
    """Return the setting of each policy by name, and notes on what a reader would not expect.

    `given` is what a `--policy-pack-config` file holds: a level or an object by policy name, or under `all`. Numbers
    among the properties become doubles, as they reach policies by the wire. Raises `PackError` that names the policy,
    the key and what was expected.
    """
    settings = {policy.name: _default(policy, pack.level) for policy in pack.policies}
    notes: list[str] = []
    initial = {name: _split(pack, name, value, initial=True) for name, value in pack.initial_config.items()}
    for name, (level, _) in initial.items():
        if level is None:
            # The SDK sends no level as the wire's zero, which is advisory.
            initial[name] = (EnforcementLevel.ADVISORY, initial[name][1])
            notes.append(f"{name}: the pack's initial_config names no enforcementLevel; CrossGuard takes advisory.")
    _apply(settings, initial)
    mine = {}
    for name, value in _spread(pack, given or {}).items():
        if name == "environments":
            notes.append("environments: these are read from Pulumi Cloud, and are left out here.")
            continue
        if name != "all" and name not in settings:
            known = ", ".join(sorted(settings))
            raise PackError(f"policy pack {pack.name}: {name}: there is no such policy (there are: {known})")
        mine[name] = _split(pack, name, value)
        if name == "all" and mine[name][1]:
            raise PackError(f"policy pack {pack.name}: all: expected only {_LEVEL_KEY}, found {', '.join(value)}")
    _apply(settings, mine)
    for policy in pack.policies:
        _validate(pack, policy, settings[policy.name].properties)
    for name, setting in settings.items():
        try:
            setting.properties = to_wire(setting.properties)
        except TypeError as error:
            raise PackError(f"policy pack {pack.name}: {name}: {error}") from None
    return settings, notes


def _spread(pack: CapturedPack, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a config with the settings of the whole pack, which our own packs know, as settings of its policies."""
    settings = given.get(PACK_SETTINGS)
    strict = [policy for policy in pack.policies if _takes(policy, STRICT_UNKNOWNS)]
    if settings is None or not strict:
        return given
    place = f"policy pack {pack.name}: {PACK_SETTINGS}"
    if not isinstance(settings, Mapping):
        raise PackError(f"{place}: expected an object, found {settings!r}")
    for key in settings:
        if key not in (STRICT_UNKNOWNS, PROFILES, COMMENT, _LEVEL_KEY):
            raise PackError(f"{place}.{key}: there is no such key; expected {STRICT_UNKNOWNS} or {PROFILES}")
    spread = {name: value for name, value in given.items() if name != PACK_SETTINGS}
    profiles = settings.get(PROFILES) or []
    for policy in strict:
        own = spread.get(policy.name, {})
        entry = {_LEVEL_KEY: own} if isinstance(own, str) else dict(own)
        if settings.get(STRICT_UNKNOWNS):
            entry[STRICT_UNKNOWNS] = settings[STRICT_UNKNOWNS]
        if policy.enforcement_level is EnforcementLevel.DISABLED and set(policy.tags or ()) & set(profiles):
            entry.setdefault(_LEVEL_KEY, EnforcementLevel.ADVISORY.value)
        if entry:
            spread[policy.name] = entry
    return spread


def _takes(policy: Policy, key: str) -> bool:
    return policy.config_schema is not None and key in policy.config_schema.properties


def _default(policy: Policy, level: EnforcementLevel) -> PolicySetting:
    schema = policy.config_schema.properties if policy.config_schema else {}
    properties = {key: value["default"] for key, value in schema.items() if "default" in value}
    return PolicySetting(policy.enforcement_level or level, properties)


def _split(
    pack: CapturedPack, name: str, value: Any, *, initial: bool = False
) -> tuple[EnforcementLevel | None, dict[str, Any]]:
    """Return the level and the properties that one entry of a config sets."""
    if isinstance(value, Mapping):
        properties = dict(value)
        level = properties.pop(_LEVEL_KEY, None)
    elif isinstance(value, str | EnforcementLevel):
        properties, level = {}, value
    else:
        raise PackError(f"policy pack {pack.name}: {name}: expected an enforcement level or an object, found {value!r}")
    if level is None or isinstance(level, EnforcementLevel):
        return level, properties
    if initial or level not in _LEVELS:  # a pack's own config takes the enum alone
        expected = "a pulumi_policy.EnforcementLevel" if initial else f"one of {', '.join(_LEVELS)}"
        raise PackError(f"policy pack {pack.name}: {name}.{_LEVEL_KEY}: expected {expected}, found {level!r}")
    return EnforcementLevel(level), properties


def _apply(
    settings: dict[str, PolicySetting], entries: Mapping[str, tuple[EnforcementLevel | None, dict[str, Any]]]
) -> None:
    overall = entries.get("all", (None, {}))[0]
    for name, setting in settings.items():
        level, properties = entries.get(name, (None, {}))
        setting.level = level or overall or setting.level
        setting.properties = setting.properties | properties


def _validate(pack: CapturedPack, policy: Policy, properties: dict[str, Any]) -> None:
    schema = policy.config_schema
    if schema is None:
        return
    from jsonschema import Draft7Validator  # takes a tenth of a second to import, and few packs need it
    from jsonschema.exceptions import SchemaError

    document = {"type": "object", "properties": schema.properties, "required": schema.required or []}
    try:
        Draft7Validator.check_schema(document)
    except SchemaError as error:
        where = _path(error.absolute_path)
        raise PackError(
            f"policy pack {pack.name}: {policy.name}: its config schema is wrong at {where}: {error.message}"
        ) from None
    errors = sorted(
        Draft7Validator(document).iter_errors(_with_lists(properties)), key=lambda error: list(map(str, error.path))
    )
    if errors:
        message = errors[0].message
        shown = message if len(message) <= _SHOWN_LENGTH else f"…{message[-_SHOWN_LENGTH:]}"
        place = ".".join(filter(None, [policy.name, _path(errors[0].absolute_path)]))
        raise PackError(f"policy pack {pack.name}: {place}: {shown}")


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
