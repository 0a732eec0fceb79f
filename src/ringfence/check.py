"""The main job: project folders in, judged deployments out, as a stream of events."""

from __future__ import annotations

import dataclasses
import datetime
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ringfence.deployment import Deployment, Diagnostic, ProgramError
from ringfence.plan import (
    BUILT_IN,
    CheckOptions,
    Plan,
    Target,
    check_patterns,
    chosen,
    facts_of,
    judging_rules,
    plan_of,
    program_levels,
)
from ringfence.policy.evaluate import evaluate
from ringfence.policy.exemptions import Exemption, apply_exemptions
from ringfence.policy.pack import PackError
from ringfence.policy.program import program_findings
from ringfence.policy.verdict import Finding, Level, Verdict
from ringfence.reports.interface import Event, Result, TargetJudged, TargetStarted
from ringfence.sources.interface import Request, Source
from ringfence.sources.pulumi_yaml import ProjectError, find_project_file, find_projects, load_project
from ringfence.sources.stack_config import stack_names

if TYPE_CHECKING:
    from ringfence.packs.interface import JudgingPack

__all__ = ["BUILT_IN", "CheckOptions", "Target", "blocks", "check", "find_targets", "judging_rules"]


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
    plans = [plan_of(target, options) for target in targets]
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


def _check_one(target: Target, plan: Plan, options: CheckOptions, source: Source, unused: _UnusedExemptions) -> Result:
    request = Request(
        project=target.path,
        stack=target.stack,
        config=options.config,
        outputs=options.outputs,
        stack_references=plan.settings.stack_references,
        invokes=plan.settings.invokes,
        time_limit=options.time_limit,
        recover=options.recover,
    )
    if not options.judge:
        return Result(source.evaluate(request))
    with _starting_packs(target, plan, options) as load_packs:
        deployment = source.evaluate(request)
        try:
            # A program that broke off is judged by what it had registered by then.
            packs = load_packs() if deployment.resources else []
            if deployment.resources:
                check_patterns(options, [name for pack in packs for name in pack.policy_names])
            deployment, findings, notes = _judge(deployment, plan, packs, options)
        except PackError as error:
            if options.policy_packs:
                raise
            return Result(dataclasses.replace(deployment, error=deployment.error or ProgramError(str(error))))
    program = _chosen(program_findings(deployment, program_levels(plan.settings)), options)
    applied = apply_exemptions([*program, *findings], plan.exemptions, datetime.date.today())
    notes = [*applied.notes, *unused.judged(plan, applied.used, ok=deployment.complete), *notes]
    if notes:
        added = tuple(Diagnostic("info", note) for note in notes)
        deployment = dataclasses.replace(deployment, diagnostics=deployment.diagnostics + added)
    return Result(deployment, tuple(applied.findings))


@contextmanager
def _starting_packs(target: Target, plan: Plan, options: CheckOptions) -> Iterator[Callable[[], list[JudgingPack]]]:
    """Start the packs of a target, and give what returns them loaded."""
    if not plan.foreign:
        yield list
        return
    try:
        facts = facts_of(target, options)
    except ProjectError as error:
        # The source says it, too, and then there is nothing to judge.
        problem = error
        yield lambda: _raise(problem)
        return
    # Imported here: most runs have the built-in pack alone.
    from ringfence.packs.loading import starting

    with starting(
        plan.foreign, facts, seconds=options.time_limit, isolate=options.isolate, type_check=options.type_check
    ) as load_packs:
        yield load_packs


def _raise(error: Exception) -> NoReturn:
    raise error


def _chosen(findings: Iterable[Finding], options: CheckOptions) -> list[Finding]:
    return [finding for finding in findings if chosen(finding.code, finding.name, options.select, options.ignore)]


def _judge(
    deployment: Deployment, plan: Plan, packs: Sequence[JudgingPack], options: CheckOptions
) -> tuple[Deployment, list[Finding], Sequence[str]]:
    """Return the deployment as the packs' remediations leave it, what the packs find in it, and notes."""
    theirs: Sequence[Finding] = ()
    notes: Sequence[str] = ()
    if packs:
        from ringfence.packs.interface import judge

        judged = judge(deployment, packs)
        deployment, theirs, notes = judged.deployment, _chosen(judged.findings, options), judged.notes
    findings = [*evaluate(deployment.resources, plan.built_in, pack=BUILT_IN), *theirs]
    if not deployment.complete:
        of_stack = {entry.rule.name for entry in plan.built_in if entry.rule.graph}
        of_stack.update(name for pack in packs for name in pack.stack_policies)
        findings = list(_of_half_a_stack(findings, of_stack))
    return deployment, findings, notes


def _of_half_a_stack(findings: Iterable[Finding], of_stack: Collection[str]) -> Iterator[Finding]:
    """Take back what rules about the whole stack fail: the rest of the program may register what they miss."""
    for finding in findings:
        if finding.verdict is Verdict.FAIL and finding.name in of_stack:
            message = f"{finding.message} The program broke off before it had registered all that this depends on."
            finding = dataclasses.replace(finding, verdict=Verdict.UNKNOWN, message=message)
        yield finding


class _UnusedExemptions:
    """Finds the exemptions that select no failure in any target that has them."""

    def __init__(self, plans: Sequence[Plan | str], options: CheckOptions) -> None:
        # A run that leaves rules out says nothing about the exemptions of those.
        narrowed = options.select or options.ignore or options.policy_packs
        carried = () if narrowed else (entry for plan in plans if isinstance(plan, Plan) for entry in plan.exemptions)
        self._waiting = Counter(carried)
        self._used: set[Exemption] = set()

    def judged(self, plan: Plan, used: set[Exemption], *, ok: bool) -> list[str]:
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
