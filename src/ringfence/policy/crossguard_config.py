"""The configuration of a CrossGuard pack that was loaded in process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pulumi_policy import EnforcementLevel, Policy

from ringfence.policy import pack_config
from ringfence.policy._pulumi_policy import CapturedPack, to_wire
from ringfence.policy.pack import PackError
from ringfence.policy.pack_config import LEVEL_KEY, DeclaredPolicy, PackLevel
from ringfence.policy.rule_config import COMMENT, PACK_SETTINGS, PROFILES, STRICT_UNKNOWNS

__all__ = ["PolicySetting", "reconcile"]


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
    initial = {name: _initial(pack, name, value) for name, value in pack.initial_config.items()}
    notes = []
    for name, (level, properties) in initial.items():
        if level is None:
            # The SDK sends no level as the wire's zero, which is advisory.
            initial[name] = (PackLevel.ADVISORY, properties)
            notes.append(f"{name}: the pack's initial_config names no enforcementLevel; CrossGuard takes advisory.")
    declared = [_declared(policy, pack.level) for policy in pack.policies]
    common, more = pack_config.reconcile(pack.name, declared, initial, _spread(pack, given or {}))
    settings = {}
    for name, setting in common.items():
        try:
            settings[name] = PolicySetting(EnforcementLevel(setting.level.value), to_wire(setting.properties))
        except TypeError as error:
            raise PackError(f"policy pack {pack.name}: {name}: {error}") from None
    return settings, [*notes, *more]


def _declared(policy: Policy, level: EnforcementLevel) -> DeclaredPolicy:
    own = PackLevel((policy.enforcement_level or level).value)
    if policy.config_schema is None:
        return DeclaredPolicy(policy.name, own, checked=False)
    return DeclaredPolicy(policy.name, own, policy.config_schema.properties, policy.config_schema.required or [])


def _initial(pack: CapturedPack, name: str, value: Any) -> pack_config.Entry:
    """Return what one entry of a pack's own config sets: such a config takes the enum alone."""
    given = value.get(LEVEL_KEY) if isinstance(value, Mapping) else value
    if isinstance(given, str) and not isinstance(given, EnforcementLevel):
        expected = "a pulumi_policy.EnforcementLevel"
        raise PackError(f"policy pack {pack.name}: {name}.{LEVEL_KEY}: expected {expected}, found {given!r}")
    plain: Any = given.value if isinstance(given, EnforcementLevel) else given
    if isinstance(value, Mapping):
        rest = {key: item for key, item in value.items() if key != LEVEL_KEY}
        plain = rest if plain is None else {**rest, LEVEL_KEY: plain}
    return pack_config.split_entry(pack.name, name, plain)


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
        if key not in (STRICT_UNKNOWNS, PROFILES, COMMENT, LEVEL_KEY):
            raise PackError(f"{place}.{key}: there is no such key; expected {STRICT_UNKNOWNS} or {PROFILES}")
    spread = {name: value for name, value in given.items() if name != PACK_SETTINGS}
    profiles = settings.get(PROFILES) or []
    for policy in strict:
        own = spread.get(policy.name, {})
        entry = {LEVEL_KEY: own} if isinstance(own, str) else dict(own)
        if settings.get(STRICT_UNKNOWNS):
            entry[STRICT_UNKNOWNS] = settings[STRICT_UNKNOWNS]
        if policy.enforcement_level is EnforcementLevel.DISABLED and set(policy.tags or ()) & set(profiles):
            entry.setdefault(LEVEL_KEY, EnforcementLevel.ADVISORY.value)
        if entry:
            spread[policy.name] = entry
    return spread


def _takes(policy: Policy, key: str) -> bool:
    return policy.config_schema is not None and key in policy.config_schema.properties
