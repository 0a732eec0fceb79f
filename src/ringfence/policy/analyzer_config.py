"""How the engine's `Configure` sets up a pack of rules: levels, parameters, exemptions, and settings of the whole pack.

The engine has already merged the schemas' defaults, the pack's own config and the user's `--policy-pack-config`, and
checked the result against the schemas. It passes names and keys on that no schema knows; those are errors here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pulumi.runtime import proto

from ringfence.policy.analyzer_wire import read_struct
from ringfence.policy.exemptions import Exemption
from ringfence.policy.pack import ActiveRule, Pack, PackError
from ringfence.policy.rule import ParameterError, Rule
from ringfence.policy.rule_config import COMMENT, PACK_SETTINGS, PROFILES, STRICT_UNKNOWNS, read_settings
from ringfence.policy.verdict import Level

__all__ = ["ConfiguredRule", "Setup", "default_setup", "pack_settings_schema", "setup"]

_ALL = "all"
"""The engine passes the entry by which a config sets one level for all policies, which it has already applied."""

_LEVELS = {proto.ADVISORY: Level.ADVISORY, proto.MANDATORY: Level.MANDATORY, proto.REMEDIATE: Level.MANDATORY}


def pack_settings_schema(pack: Pack) -> dict[str, Any]:
    """Return the JSON schemas of the settings of the whole pack, by key."""
    profiles: dict[str, Any] = {
        "type": "array",
        "description": "Profiles to turn on: their rules, off by default, become advisory.",
        "default": [],
        "items": {"type": "string", **({"enum": list(pack.profiles)} if pack.profiles else {})},
    }
    strict = {
        "type": "boolean",
        "description": "Whether it is a violation, of any policy, that it cannot be decided before apply.",
        "default": False,
    }
    return {STRICT_UNKNOWNS: strict, PROFILES: profiles}


@dataclass(frozen=True, slots=True)
class ConfiguredRule:
    """A rule with what one run makes of it."""

    active: ActiveRule
    level: proto.EnforcementLevel.ValueType
    """How its failures are reported; a rule that remediates and still fails is mandatory."""
    strict_unknowns: bool = False
    exemptions: tuple[Exemption, ...] = ()
    remediates: bool = False

    @property
    def rule(self) -> Rule:
        """The rule."""
        return self.active.rule


@dataclass(frozen=True)
class Setup:
    """The rules of one run. Nothing in it changes: a new `Configure` makes a new one."""

    resource_rules: tuple[ConfiguredRule, ...] = ()
    graph_rules: tuple[ConfiguredRule, ...] = ()
    remediations: tuple[ConfiguredRule, ...] = ()
    """The resource rules whose level is `remediate`."""
    by_type: Mapping[str, tuple[ConfiguredRule, ...]] = field(default_factory=dict)
    """The resource rules by the type they judge, in the pack's order; under "" those that judge every resource."""


def _index(rules: Iterable[ConfiguredRule]) -> dict[str, tuple[ConfiguredRule, ...]]:
    index: dict[str, list[ConfiguredRule]] = {}
    for entry in rules:
        for token in entry.rule.types or ("",):
            index.setdefault(token, []).append(entry)
    return {token: tuple(entries) for token, entries in index.items()}


def _make(rules: Iterable[ConfiguredRule]) -> Setup:
    on = list(rules)
    single = tuple(entry for entry in on if not entry.rule.graph)
    return Setup(
        single,
        tuple(entry for entry in on if entry.rule.graph),
        tuple(entry for entry in single if entry.remediates),
        _index(single),
    )


def default_setup(pack: Pack) -> Setup:
    """Return the set-up of a run without any config."""
    levels = {Level.ADVISORY: proto.ADVISORY, Level.MANDATORY: proto.MANDATORY}
    return _make(ConfiguredRule(active, levels[active.level]) for active in pack.activate())


def setup(pack: Pack, given: Mapping[str, proto.PolicyConfig]) -> Setup:
    """Return the set-up that the engine's config asks for.

    Raises `PackError` that names the rule, the key and what was expected.
    """
    known = {rule.name for rule in pack.rules} | {PACK_SETTINGS, _ALL}
    for name in given:
        if name not in known:
            raise PackError(f"policy pack {pack.name}: {name}: there is no such policy")
    strict, profiles = _pack_settings(pack, given.get(PACK_SETTINGS))
    rules = []
    for rule in pack.rules:
        configured = _configure(pack, rule, given.get(rule.name), strict, profiles)
        if configured is not None:
            rules.append(configured)
    return _make(rules)


def _configure(
    pack: Pack, rule: Rule, given: proto.PolicyConfig | None, strict: bool, profiles: tuple[str, ...]
) -> ConfiguredRule | None:
    try:
        settings = read_settings(rule, read_struct(given.properties) if given else {})
    except ParameterError as error:
        raise PackError(f"policy pack {pack.name}: {rule.name}.{error}") from None
    level: proto.EnforcementLevel.ValueType = given.enforcementLevel if given else getattr(proto, rule.level.name)
    if level == proto.DISABLED and rule.level is Level.DISABLED and rule.profile in profiles:
        level = proto.ADVISORY
    if level == proto.DISABLED:
        return None
    if level not in _LEVELS:
        raise PackError(f"policy pack {pack.name}: {rule.name}.enforcementLevel: {level} is no level of the protocol")
    return ConfiguredRule(
        ActiveRule(rule, _LEVELS[level], settings.parameters),
        proto.MANDATORY if level == proto.REMEDIATE else level,
        strict or settings.strict_unknowns,
        settings.exemptions,
        level == proto.REMEDIATE,
    )


def _pack_settings(pack: Pack, given: proto.PolicyConfig | None) -> tuple[bool, tuple[str, ...]]:
    settings = read_struct(given.properties) if given else {}
    place = f"policy pack {pack.name}: {PACK_SETTINGS}"
    for key in settings:
        if key not in (STRICT_UNKNOWNS, PROFILES, COMMENT):
            raise PackError(f"{place}.{key}: there is no such key; expected {STRICT_UNKNOWNS} or {PROFILES}")
    strict, profiles = settings.get(STRICT_UNKNOWNS, False), settings.get(PROFILES, [])
    if not isinstance(strict, bool):
        raise PackError(f"{place}.{STRICT_UNKNOWNS}: expected true or false, found {strict!r}")
    if not isinstance(profiles, list):
        raise PackError(f"{place}.{PROFILES}: expected a list, found {profiles!r}")
    for profile in profiles:
        if profile not in pack.profiles:
            known = ", ".join(pack.profiles) or "no profile"
            raise PackError(f"{place}.{PROFILES}: policy pack {pack.name} knows {known}, not {profile!r}")
    return strict, tuple(profiles)
