"""How targets are judged: rules of the built-in pack, other packs, exemptions; from the command line and settings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringfence.policy.exemptions import Exemption
from ringfence.policy.pack import ActiveRule, Pack, PackConfig, PackError, RuleConfig
from ringfence.policy.program import PROGRAM_CHECKS
from ringfence.policy.rule import ParameterError, Rule
from ringfence.policy.verdict import Level
from ringfence.providers.interface import OutputMode
from ringfence.settings import Settings, SettingsError, load_settings
from ringfence.sources.interface import DEFAULT_TIME_LIMIT
from ringfence.sources.pulumi_yaml import ProjectError, ProjectFile, kind_of, load_project, load_yaml
from ringfence.sources.stack_config import load_stack_config, split_stack

if TYPE_CHECKING:
    from ringfence.packs.launch import StackFacts

__all__ = [
    "BUILT_IN",
    "CheckOptions",
    "Plan",
    "Target",
    "check_patterns",
    "chosen",
    "facts_of",
    "judging_rules",
    "plan_of",
    "program_levels",
]

BUILT_IN = "ringfence"
"""How `--policy-pack` names the pack that comes with this package."""

_TAGS = "pulumi:tags"
_PROGRAM_KEYS = frozenset(key for entry in PROGRAM_CHECKS for key in (entry.code, entry.name))


@dataclass(frozen=True)
class CheckOptions:
    """What a run is told on its command line."""

    config: Mapping[str, str] = field(default_factory=dict)
    policy_packs: tuple[str, ...] = ()
    """Folders, or `BUILT_IN`; empty for what the project's settings say, else the built-in pack."""
    pack_configs: tuple[Path, ...] = ()
    """Config files of the packs, in their order."""
    profiles: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    outputs: OutputMode = "synthetic"
    time_limit: float = DEFAULT_TIME_LIMIT
    recover: bool = True
    """False to run a program once only, even where it breaks off at something that can be repaired."""
    judge: bool = True
    """False to evaluate only."""
    isolate: bool = False
    """Whether packs in Python run in processes of their own, as those of other languages do."""
    type_check: bool = False
    """Whether the types of packs in TypeScript are checked."""


@dataclass(frozen=True)
class Target:
    """One project under one stack."""

    path: Path
    stack: str
    error: str = ""
    """Why it cannot be evaluated at all."""


@dataclass(frozen=True)
class Plan:
    """How one target is judged."""

    settings: Settings
    built_in: tuple[ActiveRule, ...] = ()
    """The rules of the built-in pack that judge."""
    foreign: tuple[tuple[Path, Mapping[str, Any] | None], ...] = ()
    """Other packs: folder and config."""
    exemptions: tuple[Exemption, ...] = ()


def plan_of(target: Target, options: CheckOptions) -> Plan | str:
    """Return how to judge a target, or why it cannot be evaluated at all."""
    if target.error:
        return target.error
    try:
        settings = load_settings(target.path)
        return _plan_by(settings, options) if options.judge else Plan(settings)
    except SettingsError as error:
        return str(error)


def chosen(code: str, name: str, select: Sequence[str], ignore: Sequence[str]) -> bool:
    """Whether the options `--select` and `--ignore` leave a rule in."""

    def matches(pattern: str) -> bool:
        return pattern.casefold() == name.casefold() or code.startswith(pattern.upper())

    return (not select or any(map(matches, select))) and not any(map(matches, ignore))


def program_levels(settings: Settings) -> dict[str, Level]:
    """Return the levels that settings give to what is checked of every program."""
    return {key: entry.level for key, entry in settings.rules.items() if key in _PROGRAM_KEYS and entry.level}


def facts_of(target: Target, options: CheckOptions) -> StackFacts:
    """Return what packs are told of a stack. Raises `ProjectError`."""
    from ringfence.packs.launch import StackFacts

    project = load_project(target.path)
    organization, stack = split_stack(target.stack)
    config = load_stack_config(project, target.stack, options.config)
    return StackFacts(
        project=project.name,
        stack=stack,
        organization=organization,
        config=config.values,
        secret_keys=config.secret_keys,
        tags=_stack_tags(project, config.values),
    )


def _stack_tags(project: ProjectFile, config: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that the CLI gives a stack by itself, and those of the config value `pulumi:tags`.

    Source: pulumi/pulumi, pkg/backend/stack.go. Tags about the git repository are left out: they hang on the machine.
    """
    tags = {"pulumi:project": project.name, "pulumi:runtime": project.runtime}
    description = load_yaml(project.path).get("description")
    if isinstance(description, str) and description:
        tags["pulumi:description"] = description
    if (text := config.get(_TAGS)) is None:
        return tags
    try:
        given = json.loads(text)
    except ValueError:
        given = text
    if not isinstance(given, Mapping) or not all(isinstance(value, str) for value in given.values()):
        raise ProjectError(f"{project.path}: {_TAGS}: expected an object of strings, found {text}")
    return tags | dict(given)


# --- packs -----------------------------------------------------------------------------------------------------------


def _plan_by(settings: Settings, options: CheckOptions) -> Plan:
    names = options.policy_packs or settings.policy_pack or (BUILT_IN,)
    if len(options.pack_configs) > len(names):
        raise PackError(
            f"--policy-pack-config {options.pack_configs[len(names)]}: expected one config for each policy pack; "
            f"there {'is one pack' if len(names) == 1 else f'are {len(names)} packs'}"
        )
    settled = _settled_rules(settings)
    built_in: list[ActiveRule] = []
    foreign: list[tuple[Path, Mapping[str, Any] | None]] = []
    for index, name in enumerate(names):
        file = options.pack_configs[index] if index < len(options.pack_configs) else None
        given = _read_pack_config(file) if file is not None else None
        if name == BUILT_IN:
            built_in = _activate(settings, settled, options, given or {}, file)
        else:
            foreign.append((Path(name), given))
    if not foreign:
        check_patterns(options, ())
    exemptions = tuple(
        Exemption(entry.rule, entry.resource, entry.reason, entry.owner, entry.expires, entry.path)
        for entry in settings.exempt
    )
    return Plan(settings, tuple(built_in), tuple(foreign), exemptions)


def _settled_rules(settings: Settings) -> dict[str, RuleConfig]:
    """Return what the settings say of the built-in rules, by code."""
    from ringfence_policies import PACK

    rules: dict[str, RuleConfig] = {}
    for key, entry in settings.rules.items():
        place = f"{settings.rule_files[key]}: rules.{key}"
        if key in _PROGRAM_KEYS:
            if entry.parameters:
                raise SettingsError(f"{place}.{next(iter(entry.parameters))}: {key} has no parameters")
            continue
        rule = PACK.by_key.get(key)
        if rule is None:
            raise SettingsError(f"{place}: there is no such rule; `ringfence rules` lists them")
        try:
            rule.values(entry.parameters)
        except ParameterError as error:
            raise SettingsError(f"{place}.{error}") from None
        rules[rule.code] = _over(RuleConfig(entry.level, entry.parameters), rules.get(rule.code))
    return rules


def _over(upper: RuleConfig, lower: RuleConfig | None) -> RuleConfig:
    if lower is None:
        return upper
    return RuleConfig(upper.level or lower.level, {**lower.parameters, **upper.parameters})


def _activate(
    settings: Settings,
    settled: Mapping[str, RuleConfig],
    options: CheckOptions,
    given: Mapping[str, Any],
    file: Path | None,
) -> list[ActiveRule]:
    """Return the rules of the built-in pack that judge: the command line goes before the project's settings."""
    from ringfence_policies import PACK

    for profile in settings.profiles:
        if profile not in PACK.profiles:
            raise SettingsError(f"{settings.files[0]}: profiles: {_unknown_profile(PACK, profile)}")
    rules = dict(settled)
    overall = _rule_config("all", given["all"], file).level if "all" in given else None
    if overall is not None:
        rules = {rule.code: _over(RuleConfig(overall), rules.get(rule.code)) for rule in PACK.rules}
    for key, value in given.items():
        if key == "all":
            continue
        rule = PACK.by_key.get(key)
        if rule is None:
            raise PackError(f"{file}: {key}: policy pack {PACK.name} has no such rule")
        config = _rule_config(key, value, file)
        try:
            rule.values(config.parameters)
        except ParameterError as error:
            raise PackError(f"{file}: {key}.{error}") from None
        rules[rule.code] = _over(config, rules.get(rule.code))
    for profile in options.profiles:
        if profile not in PACK.profiles:
            raise PackError(f"--profile {profile}: {_unknown_profile(PACK, profile)}")
    select, ignore = (_patterns_of(PACK, patterns) for patterns in (options.select, options.ignore))
    if options.select and not select:
        return []
    profiles = tuple(dict.fromkeys((*settings.profiles, *options.profiles)))
    return PACK.activate(PackConfig(rules=rules, profiles=profiles, select=select, ignore=ignore))


def _unknown_profile(pack: Pack, profile: str) -> str:
    known = f"; expected one of {', '.join(pack.profiles)}" if pack.profiles else ": it has none"
    return f"policy pack {pack.name} has no profile {profile!r}{known}"


def _patterns_of(pack: Pack, patterns: Sequence[str]) -> tuple[str, ...]:
    """Return those of the patterns that choose a rule of `pack`."""
    return tuple(
        pattern for pattern in patterns if any(chosen(rule.code, rule.name, (pattern,), ()) for rule in pack.rules)
    )


def check_patterns(options: CheckOptions, policies: Sequence[str]) -> None:
    """Raise `PackError` for a selection that chooses nothing: a slip must not look like a clean run.

    `policies` are the names that packs other than the built-in one have.
    """
    if not options.select and not options.ignore:
        return
    from ringfence_policies import PACK

    known = [(rule.code, rule.name) for rule in PACK.rules]
    known += [(entry.code, entry.name) for entry in PROGRAM_CHECKS]
    known += [(name, name) for name in policies]
    for option, patterns in (("--select", options.select), ("--ignore", options.ignore)):
        for pattern in patterns:
            if not any(chosen(code, name, (pattern,), ()) for code, name in known):
                raise PackError(f"{option} {pattern}: no rule has that code or name; `ringfence rules` lists them")


def _rule_config(key: str, value: Any, file: Path | None) -> RuleConfig:
    """Return one entry of a CrossGuard config file: a level alone, or an object with `enforcementLevel`."""
    entry = {"enforcementLevel": value} if isinstance(value, str) else value
    if not isinstance(entry, Mapping):
        raise PackError(f"{file}: {key}: expected a level or an object, found {value!r}")
    parameters = {name: item for name, item in entry.items() if name != "enforcementLevel"}
    level = entry.get("enforcementLevel")
    if level is not None and level not in list(Level):
        raise PackError(f"{file}: {key}.enforcementLevel: expected one of {', '.join(Level)}, found {level!r}")
    if key == "all" and parameters:
        raise PackError(f"{file}: all.{next(iter(parameters))}: expected enforcementLevel alone")
    return RuleConfig(Level(level) if level is not None else None, parameters)


def _read_pack_config(file: Path) -> Mapping[str, Any]:
    try:
        data = load_yaml(file)
    except ProjectError as error:
        raise PackError(str(error)) from None
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise PackError(f"{file}: expected an object of policy names, found {kind_of(data)}")
    return data


def judging_rules(options: CheckOptions) -> tuple[Rule, ...]:
    """Return the built-in rules, for reports that carry help texts."""
    if options.policy_packs and BUILT_IN not in options.policy_packs:
        return ()
    from ringfence_policies import PACK

    return PACK.rules
