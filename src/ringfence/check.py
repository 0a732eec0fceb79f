"""The main job: project folders in, judged deployments out, as a stream of events."""

from __future__ import annotations

import dataclasses
import datetime
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringfence.deployment import Deployment, Diagnostic, ProgramError
from ringfence.policy.evaluate import evaluate
from ringfence.policy.exemptions import Exemption, apply_exemptions
from ringfence.policy.pack import ActiveRule, Pack, PackConfig, PackError, RuleConfig
from ringfence.policy.program import PROGRAM_CHECKS, program_findings
from ringfence.policy.rule import ParameterError, Rule
from ringfence.policy.verdict import Finding, Level, Verdict
from ringfence.providers.interface import OutputMode
from ringfence.reports.interface import Event, Result, TargetJudged, TargetStarted
from ringfence.settings import Settings, SettingsError, load_settings
from ringfence.sources.interface import DEFAULT_TIME_LIMIT, Request, Source
from ringfence.sources.pulumi_yaml import (
    ProjectError,
    find_project_file,
    find_projects,
    kind_of,
    load_project,
    load_yaml,
)
from ringfence.sources.stack_config import load_stack_config, split_stack, stack_names

if TYPE_CHECKING:
    from ringfence.policy.crossguard import CrossGuardPack

__all__ = ["BUILT_IN", "CheckOptions", "Target", "blocks", "check", "find_targets"]

BUILT_IN = "ringfence"
"""How `--policy-pack` names the pack that comes with this package."""

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


@dataclass(frozen=True)
class Target:
    """One project under one stack."""

    path: Path
    stack: str
    error: str = ""
    """Why it cannot be evaluated at all."""


def find_targets(paths: Sequence[Path], stacks: Sequence[str]) -> list[Target]:
    """Return the projects under `paths`, each with its stacks: those named, else those that have a config file.

    A folder that is a project is taken as it is; another is searched for projects below. No path means every project
    at or below the current folder. What is no project, or a broken one, is a target with an error.
    """
    targets: list[Target] = []
    projects = [project for path in paths for project in _projects_at(path)] if paths else find_projects(Path())
    for project in projects or [Path()]:
        targets.extend(_stacks_of(project, stacks))
    unique: dict[tuple[Path, str], Target] = {}
    for target in targets:
        unique.setdefault((target.path.resolve(), target.stack), target)
    return list(unique.values())


def _projects_at(path: Path) -> list[Path]:
    folder = path.parent if path.is_file() else path
    if not folder.is_dir() or find_project_file(folder) is not None:
        return [folder]
    return find_projects(folder) or [folder]  # perhaps a folder inside a project


def _stacks_of(folder: Path, stacks: Sequence[str]) -> Iterator[Target]:
    try:
        project = load_project(folder)
    except ProjectError as error:
        yield Target(folder, stacks[0] if stacks else "dev", str(error))
        return
    for stack in stacks or stack_names(project) or ["dev"]:
        yield Target(folder, stack)


def check(targets: Sequence[Target], options: CheckOptions, source: Source) -> Iterator[Event]:
    """Evaluate and judge each target. A broken project is a result with an error and does not hide the others.

    Raises `PackError` where a policy pack or an option about rules is wrong. What a project's own settings say wrong
    concerns that project alone.
    """
    plans = [_plan(target, options) for target in targets]
    unused = _UnusedExemptions(plans, options)
    for number, (target, plan) in enumerate(zip(targets, plans, strict=True), start=1):
        yield TargetStarted(target.path, target.stack, number, len(targets))
        yield TargetJudged(
            _failed(target, plan) if isinstance(plan, str) else _check_one(target, plan, options, source, unused)
        )


def blocks(results: Iterable[Result], *, strict_unknowns: bool = False) -> bool:
    """Whether any finding makes the run fail."""
    for result in results:
        for finding in result.findings:
            if finding.blocks:
                return True
            if strict_unknowns and finding.level is Level.MANDATORY and finding.verdict is Verdict.UNKNOWN:
                return True
    return False


@dataclass(frozen=True)
class _Plan:
    """How one target is judged."""

    settings: Settings
    built_in: tuple[ActiveRule, ...] = ()
    """The rules of the built-in pack that judge."""
    foreign: tuple[tuple[Path, Mapping[str, Any] | None], ...] = ()
    """Other packs: folder and config."""
    exemptions: tuple[Exemption, ...] = ()


def _plan(target: Target, options: CheckOptions) -> _Plan | str:
    """Return how to judge a target, or why it cannot be evaluated at all."""
    if target.error:
        return target.error
    try:
        settings = load_settings(target.path)
        return _plan_by(settings, options) if options.judge else _Plan(settings)
    except SettingsError as error:
        return str(error)


def _check_one(target: Target, plan: _Plan, options: CheckOptions, source: Source, unused: _UnusedExemptions) -> Result:
    settings = plan.settings
    deployment = source.evaluate(
        Request(
            project=target.path,
            stack=target.stack,
            config=options.config,
            outputs=options.outputs,
            stack_references=settings.stack_references,
            invokes=settings.invokes,
            time_limit=options.time_limit,
            recover=options.recover,
        )
    )
    if not options.judge:
        return Result(deployment)
    findings = [
        finding
        for finding in program_findings(deployment, _program_levels(settings))
        if _chosen(finding.code, finding.name, options.select, options.ignore)
    ]
    notes: list[str] = []
    if deployment.resources:
        # A program that broke off is judged by what it had registered by then.
        try:
            packs = [_load_foreign(folder, config, target, options) for folder, config in plan.foreign]
        except PackError as error:
            if options.policy_packs:
                raise
            return Result(dataclasses.replace(deployment, error=deployment.error or ProgramError(str(error))))
        _check_patterns(options, packs)
        judged = evaluate(deployment.resources, plan.built_in, pack=BUILT_IN)
        of_stack = {entry.rule.name for entry in plan.built_in if entry.rule.graph}
        for pack in packs:
            judged.extend(
                finding
                for finding in pack.evaluate(deployment)
                if _chosen(finding.code, finding.name, options.select, options.ignore)
            )
            of_stack |= pack.stack_policies
            notes.extend(pack.notes)
        findings.extend(judged if deployment.complete else _of_half_a_stack(judged, of_stack))
    applied = apply_exemptions(findings, plan.exemptions, datetime.date.today())
    notes = [*applied.notes, *unused.judged(plan, applied.used, ok=deployment.complete), *notes]
    if notes:
        added = tuple(Diagnostic("info", note) for note in notes)
        deployment = dataclasses.replace(deployment, diagnostics=deployment.diagnostics + added)
    return Result(deployment, tuple(applied.findings))


def _of_half_a_stack(findings: Iterable[Finding], of_stack: Collection[str]) -> Iterator[Finding]:
    """Take back what rules about the whole stack fail: the rest of the program may register what they miss."""
    for finding in findings:
        if finding.verdict is Verdict.FAIL and finding.name in of_stack:
            message = f"{finding.message} The program broke off before it had registered all that this depends on."
            finding = dataclasses.replace(finding, verdict=Verdict.UNKNOWN, message=message)
        yield finding


class _UnusedExemptions:
    """Finds the exemptions that select no failure in any target that has them."""

    def __init__(self, plans: Sequence[_Plan | str], options: CheckOptions) -> None:
        # A run that leaves rules out says nothing about the exemptions of those.
        narrowed = options.select or options.ignore or options.policy_packs
        carried = () if narrowed else (entry for plan in plans if isinstance(plan, _Plan) for entry in plan.exemptions)
        self._waiting = Counter(carried)
        self._used: set[Exemption] = set()

    def judged(self, plan: _Plan, used: set[Exemption], *, ok: bool) -> list[str]:
        """Take the result of one target; return notes on the exemptions that no other target can use any more."""
        self._used |= used if ok else set(plan.exemptions)
        notes = []
        for exemption in plan.exemptions:
            self._waiting[exemption] -= 1
            if self._waiting[exemption] == 0 and exemption not in self._used:
                notes.append(f"{exemption.title} selects no failure: it can go.")
        return notes


def _failed(target: Target, message: str) -> Result:
    name = target.path.absolute().name
    return Result(
        Deployment(project=name, stack=target.stack, path=target.path.absolute(), error=ProgramError(message))
    )


def _chosen(code: str, name: str, select: Sequence[str], ignore: Sequence[str]) -> bool:
    def matches(pattern: str) -> bool:
        return pattern.casefold() == name.casefold() or code.startswith(pattern.upper())

    return (not select or any(map(matches, select))) and not any(map(matches, ignore))


def _program_levels(settings: Settings) -> dict[str, Level]:
    return {key: entry.level for key, entry in settings.rules.items() if key in _PROGRAM_KEYS and entry.level}


# --- packs -----------------------------------------------------------------------------------------------------------


def _plan_by(settings: Settings, options: CheckOptions) -> _Plan:
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
        _check_patterns(options, ())
    exemptions = tuple(
        Exemption(entry.rule, entry.resource, entry.reason, entry.owner, entry.expires, entry.path)
        for entry in settings.exempt
    )
    return _Plan(settings, tuple(built_in), tuple(foreign), exemptions)


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
        pattern for pattern in patterns if any(_chosen(rule.code, rule.name, (pattern,), ()) for rule in pack.rules)
    )


def _check_patterns(options: CheckOptions, packs: Sequence[CrossGuardPack]) -> None:
    """Raise `PackError` for a selection that chooses nothing: a slip must not look like a clean run."""
    if not options.select and not options.ignore:
        return
    from ringfence_policies import PACK

    known = [(rule.code, rule.name) for rule in PACK.rules]
    known += [(entry.code, entry.name) for entry in PROGRAM_CHECKS]
    known += [(policy.name, policy.name) for pack in packs for policy in pack.policies]
    for option, patterns in (("--select", options.select), ("--ignore", options.ignore)):
        for pattern in patterns:
            if not any(_chosen(code, name, (pattern,), ()) for code, name in known):
                raise PackError(f"{option} {pattern}: no rule has that code or name; `ringfence rules` lists them")


def _load_foreign(
    folder: Path, config: Mapping[str, Any] | None, target: Target, options: CheckOptions
) -> CrossGuardPack:
    # Imported here: pulumi_policy is only needed for packs made of its policies.
    from ringfence.policy.crossguard import StackContext, load_pack

    project = load_project(target.path)
    organization, stack = split_stack(target.stack)
    values = load_stack_config(project, target.stack, options.config).values
    context = StackContext(project=project.name, stack=stack, organization=organization, config=values)
    return load_pack(folder, config, context)


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
