"""Judging a deployment by a CrossGuard pack that was loaded in process."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from inspect import isawaitable
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import pulumi.runtime
from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyResource,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)

from ringfence.deployment import Deployment, Resource
from ringfence.policy._pulumi_policy import (
    CapturedPack,
    NotApplicableError,
    UnknownValueError,
    is_unknown,
    remediation_answer,
    remediation_args,
)
from ringfence.policy.analyzer_wire import write_request
from ringfence.policy.arguments import LazyResource, LazyResourceArgs, Subject
from ringfence.policy.crossguard_config import PolicySetting
from ringfence.policy.crossguard_world import PackWorld
from ringfence.policy.redaction import Redactor
from ringfence.policy.remediated import Remediated, changed, overwritten_unknown, told, with_inputs
from ringfence.policy.verdict import Finding, Level, Severity, Verdict

__all__ = ["CrossGuardPack", "StackContext", "configure_runtime", "wait_for"]

T = TypeVar("T")


@dataclass(frozen=True)
class StackContext:
    """What the CLI tells a pack of the stack, besides its resources."""

    project: str = "project"
    stack: str = "stack"
    organization: str = "organization"
    config: Mapping[str, str] = field(default_factory=dict)
    """The stack's config by full key (`project:key`), for packs that read `pulumi.Config`."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """The stack's tags, for `args.stack_tags`."""


def configure_runtime(context: StackContext) -> None:
    """Set pulumi's ambient settings in the current `contextvars` context, as the SDK does in a pack's process."""
    pulumi.runtime.configure(
        pulumi.runtime.Settings(
            project=context.project, stack=context.stack, dry_run=True, organization=context.organization
        )
    )
    pulumi.runtime.set_all_config(dict(context.config))


@dataclass
class _Report:
    """What one policy said: violations with the URN it named, and how it ended where it did not end by itself."""

    violations: list[tuple[str, str]] = field(default_factory=list)
    end: Verdict | None = None
    message: str = ""
    unknown: Sequence[str] = ()
    """Where it met an unknown value: the keys that lead there."""

    def violation(self, message: str, urn: str | None = None) -> None:
        if message and not isinstance(message, str):
            raise TypeError("Expected message to be a string")
        if urn is not None and not isinstance(urn, str):
            raise TypeError("Expected urn to be a string")
        self.violations.append((message or "", urn or ""))


class CrossGuardPack:
    """A loaded pack. `notes` says what of it works differently here than a reader may expect."""

    def __init__(
        self,
        captured: CapturedPack,
        version: str,
        directory: Path,
        context: StackContext,
        settings: Mapping[str, PolicySetting],
        world: PackWorld,
        notes: Sequence[str] = (),
    ) -> None:
        self.name = captured.name
        self.version = version
        """The version that PulumiPolicy.yaml gives."""
        self.description = captured.description
        self.directory = directory
        self.policies: tuple[Policy, ...] = captured.policies
        self._context = context
        self._tags = MappingProxyType(dict(context.tags))
        self._settings = settings
        self._world = world
        running = [policy for policy in self.policies if settings[policy.name].level is not EnforcementLevel.DISABLED]
        self._resource_policies = [policy for policy in running if isinstance(policy, ResourceValidationPolicy)]
        self._stack_policies = [policy for policy in running if isinstance(policy, StackValidationPolicy)]
        self._remediations = [
            policy
            for policy in self._resource_policies
            if settings[policy.name].level is EnforcementLevel.REMEDIATE and policy.has_remediation()
        ]
        self.notes: tuple[str, ...] = tuple(notes)

    @property
    def policy_names(self) -> tuple[str, ...]:
        """The names of all policies, in the pack's order."""
        return tuple(policy.name for policy in self.policies)

    @property
    def remediates(self) -> bool:
        """Whether any policy that remediates runs at level `remediate`."""
        return bool(self._remediations)

    @property
    def stack_policies(self) -> frozenset[str]:
        """The names of the policies that judge the stack as a whole."""
        return frozenset(policy.name for policy in self._stack_policies)

    def level(self, policy: Policy) -> Level:
        """Return the level that a policy of this pack is judged at; `remediate` is `mandatory`."""
        level = self._settings[policy.name].level
        return Level.MANDATORY if level is EnforcementLevel.REMEDIATE else Level(level.value)

    def remediate(self, resource: Resource, provider: Resource | None) -> Remediated:
        """Return a resource as the pack's remediations leave it, one after the other.

        A remediation that meets an unknown value is a finding `unknown`, one that raises a finding `error`; both leave
        the resource as it is.
        """
        return contextvars.copy_context().run(self._remediate, resource, provider)

    def _remediate(self, resource: Resource, provider: Resource | None) -> Remediated:
        configure_runtime(self._context)
        redactor = Redactor(resource.inputs, provider.inputs if provider else {})
        findings: list[Finding] = []
        notes: list[str] = []
        with self._world.entered():
            for policy in self._remediations:
                request = write_request(resource, provider, internal=True)
                args = remediation_args(request, self._config(policy), self._tags)
                report = _Report()
                answer: Any = self._guarded(report, partial(policy.remediate, args))
                if report.end in (Verdict.UNKNOWN, Verdict.ERROR):
                    path = _path(report.unknown, resource.inputs)
                    report.message = report.message.replace("The policy itself", "The remediation itself", 1)
                    findings.extend(self._end(policy, redactor, report, path, resource))
                elif answer:
                    after = changed(resource.inputs, request.properties, remediation_answer(answer))
                    if key := overwritten_unknown(resource.inputs, after):
                        report.end = Verdict.UNKNOWN
                        findings.extend(self._end(policy, redactor, report, key, resource))
                        continue
                    notes.append(told(self.name, policy.name, resource, resource.inputs, after))
                    resource = with_inputs(resource, after)
        return Remediated(resource, findings, notes)

    def evaluate(self, deployment: Deployment) -> list[Finding]:
        """Return the pack's findings: first by resource and policy, then those of stack policies.

        Each policy gives every violation it reports, with verdict `fail`; then `unknown` if it met an unknown value
        and `error` if it raised; or one `not-applicable` or `pass`. Findings of a stack policy that name no resource
        have no URN. A policy without a severity counts as `medium`. What a policy prints is discarded, and values that
        the deployment marks secret are taken out of its messages.

        As under the engine, resource policies see every resource that is registered, with its inputs, and none that is
        only read; stack policies see all resources with their outputs.
        """
        return contextvars.copy_context().run(self._evaluate, deployment)

    def _evaluate(self, deployment: Deployment) -> list[Finding]:
        context = self._context
        configure_runtime(
            StackContext(deployment.project, deployment.stack, context.organization, context.config, context.tags)
        )
        by_urn = deployment.by_urn
        subjects = [Subject(resource, by_urn.get(resource.provider or "")) for resource in deployment.resources]
        findings: list[Finding] = []
        with self._world.entered():
            for subject in subjects:
                if not subject.resource.external:
                    findings.extend(self._judge_resource(subject))
            for policy in self._stack_policies:
                findings.extend(self._judge_stack(policy, subjects, by_urn))
        return findings

    def _judge_resource(self, subject: Subject) -> list[Finding]:
        resource = subject.resource
        redactor = Redactor(resource.inputs, subject.provider_resource.inputs if subject.provider_resource else {})
        findings = []
        for policy in self._resource_policies:
            if policy.has_validation():
                args = LazyResourceArgs(subject, self._config(policy), self._tags)
                report = self._call(policy.validate, args)
            else:
                report = _Report(end=Verdict.NOT_APPLICABLE, message="Policy does not implement validate")
            for message, _ in report.violations:  # the engine ignores a URN that a resource policy names
                findings.append(self._violation(policy, redactor, message, resource.urn, resource))
            path = _path(report.unknown, subject.inputs)
            findings.extend(self._end(policy, redactor, report, path, resource))
        return findings

    def _judge_stack(
        self, policy: StackValidationPolicy, subjects: list[Subject], by_urn: Mapping[str, Resource]
    ) -> list[Finding]:
        resources = _stack_resources(subjects)
        args = StackValidationArgs(resources, self._config(policy), self._tags)
        report = self._call(policy.validate, args)
        redactor = Redactor(*(values for item in by_urn.values() for values in (item.inputs, item.outputs)))
        findings = []
        for message, urn in report.violations:
            findings.append(self._violation(policy, redactor, message, urn, by_urn.get(urn)))
        # The SDK's error does not say which resource it was; often only one has an unknown at that place.
        feeding = [subject for subject in subjects if report.unknown and _leads_to_unknown(report.unknown, subject)]
        only = feeding[0] if len(feeding) == 1 else None
        path = _path(report.unknown, only.outputs if only else {})
        findings.extend(self._end(policy, redactor, report, path, only.resource if only else None))
        return findings

    def _config(self, policy: Policy) -> dict[str, Any]:
        return dict(self._settings[policy.name].properties)

    def _call(self, validate: Callable[[Any, Any], Awaitable[Any] | None], args: Any) -> _Report:
        report = _Report()
        self._guarded(report, lambda: validate(args, report.violation))
        return report

    def _guarded(self, report: _Report, call: Callable[[], Any]) -> Any:
        """Return what a call of a policy's own code returns, awaited where that must be; note how it ends otherwise."""
        try:
            result = call()
            return wait_for(result) if isawaitable(result) else result
        except UnknownValueError as error:
            report.end, report.unknown = Verdict.UNKNOWN, error.props
        except NotApplicableError as error:
            report.end, report.message = Verdict.NOT_APPLICABLE, error.message
        except (Exception, SystemExit) as error:  # a broken policy is a finding of its own and must not hide the others
            # Validations that are coroutines come wrapped by the SDK.
            cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
            report.end, report.message = Verdict.ERROR, f"The policy itself broke: {self._world.explain(cause)}"
        return None

    def _violation(
        self, policy: Policy, redactor: Redactor, message: str, urn: str, resource: Resource | None
    ) -> Finding:
        shown = redactor(message)
        text = f"{policy.description.rstrip(' .:')}: {shown}" if shown else policy.description
        return self._finding(policy, Verdict.FAIL, text, urn, resource, violation=shown)

    def _end(
        self, policy: Policy, redactor: Redactor, report: _Report, path: str, resource: Resource | None
    ) -> list[Finding]:
        """Return the finding on how the policy ended; none where its violations say it all."""
        verdict = report.end
        if report.violations and verdict not in (Verdict.UNKNOWN, Verdict.ERROR):
            return []
        message = redactor(report.message)
        if verdict is None:
            verdict, message = Verdict.PASS, policy.description
        elif verdict is Verdict.UNKNOWN:
            message = f"{path or 'A value'} is not known before apply."
        return [self._finding(policy, verdict, message, resource.urn if resource else "", resource, path=path)]

    def _finding(
        self,
        policy: Policy,
        verdict: Verdict,
        message: str,
        urn: str,
        resource: Resource | None,
        *,
        path: str = "",
        violation: str = "",
    ) -> Finding:
        return Finding(
            code=policy.name,
            name=policy.name,
            verdict=verdict,
            level=self.level(policy),
            severity=Severity(policy.severity.value) if policy.severity else Severity.MEDIUM,
            message=message,
            urn=urn,
            type=resource.type if resource else "",
            resource=resource.name if resource else "",
            path=path,
            remedy=(policy.remediation_steps or "") if verdict in (Verdict.FAIL, Verdict.UNKNOWN) else "",
            source=resource.source if resource else None,
            source_chain=resource.source_chain if resource else (),
            pack=self.name,
            url=policy.url or "",
            extra={"description": policy.description, "violation": violation, **_framework(policy)},
        )


def _framework(policy: Policy) -> dict[str, Any]:
    """Return the compliance framework that a policy is of, as a report shows it."""
    if policy.framework is None:
        return {}
    names = ("name", "version", "reference", "specification")
    given = {name: getattr(policy.framework, name) for name in names}
    return {"framework": {name: value for name, value in given.items() if value}}


def _stack_resources(subjects: Sequence[Subject]) -> list[PolicyResource]:
    """Return the resources of the stack, linked with each other, for one policy alone."""
    made: dict[str, PolicyResource] = {subject.resource.urn: LazyResource(subject) for subject in subjects}
    for subject in subjects:
        resource = subject.resource
        view = made[resource.urn]
        view.parent = made.get(resource.parent or "")
        view.dependencies = [made[urn] for urn in resource.dependencies if urn in made]
        view.property_dependencies = {
            key: [made[urn] for urn in urns if urn in made]
            for key, urns in resource.property_dependencies.items()
            if urns
        }
    return list(made.values())


def wait_for(result: Awaitable[T]) -> T:
    """Run a coroutine to its end in a loop of its own; in a thread of its own where a loop is already running."""

    async def finish() -> T:
        return await result

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run(finish())
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(contextvars.copy_context().run, _run, finish()).result()


def _run(work: Coroutine[Any, Any, T]) -> T:
    # With a factory of its own the runner leaves the thread's current event loop alone.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(work)


def _path(keys: Sequence[str], values: Any) -> str:
    """Return the path that `keys` spell in `values`, in this project's form: `rules[0].name`."""
    path = ""
    for key in keys:
        if isinstance(values, list) and key.isdecimal():
            path += f"[{key}]"
            values = values[int(key)] if int(key) < len(values) else None
        else:
            path += f".{key}" if path else key
            values = values.get(key) if isinstance(values, Mapping) else None
    return path


def _leads_to_unknown(keys: Sequence[str], subject: Subject) -> bool:
    values: Any = subject.outputs
    for key in keys:
        if isinstance(values, list) and key.isdecimal() and int(key) < len(values):
            values = values[int(key)]
        elif isinstance(values, Mapping):
            values = values.get(key)
        else:
            return False
    return is_unknown(values)
