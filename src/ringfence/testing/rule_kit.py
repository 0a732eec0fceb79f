"""Tests of policies: any CrossGuard policy in Python, or rule of ours, called as the real policy server calls it.

`check_rule` does not imitate the server. It writes the request that the engine would send and hands it to the server's
own code, so a policy gets the proxies, doubles, unknowns and plain secrets that it will get in production. What the
policy said is read from the server's answer.

Importing this module imports pulumi and pulumi_policy.
"""

from __future__ import annotations

import contextvars
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import struct_pb2
from pulumi.runtime import proto
from pulumi_policy import EnforcementLevel, Policy, ResourceValidationPolicy, StackValidationPolicy

from ringfence.deployment import STACK_TYPE, UNKNOWN, Options, Resource
from ringfence.policy._pulumi_policy import CapturedPack, StockAnalyzer, to_wire
from ringfence.policy.arguments import seconds
from ringfence.policy.crossguard_config import PolicySetting, reconcile
from ringfence.policy.crossguard_evaluate import StackContext, configure_runtime
from ringfence.policy.crossguard_export import to_policies
from ringfence.policy.pack import Pack
from ringfence.policy.redaction import Redactor
from ringfence.policy.rule import Rule
from ringfence.policy.verdict import Verdict

__all__ = ["RuleResult", "StackContext", "Violation", "check_rule", "resource"]

_PACK = "pack"
_UNKNOWN_PLACE = re.compile(r" value at \.(.*) can't be known during preview\Z", re.DOTALL)
_LEVELS = {level: getattr(proto, level.name) for level in EnforcementLevel}


@dataclass(frozen=True)
class Violation:
    """One violation that a policy reported."""

    message: str
    """What it gave to `report_violation`, secrets taken out."""
    urn: str = ""
    """The URN it named. The engine ignores one that a resource policy names."""


@dataclass(frozen=True)
class RuleResult:
    """What a policy said."""

    verdict: Verdict
    """`fail` if it reported a violation, `unknown` if it met an unknown value, `error` if it raised, `not-applicable`,
    else `pass`. The worst of these where there are several: an error first, then a failure."""
    violations: tuple[Violation, ...] = ()
    level: str = ""
    """The level at which the engine shows violations: advisory or mandatory."""
    unknown: str = ""
    """Where it met an unknown value, as the server spells it: `rules.0.name`. The engine shows such a line as advisory,
    whatever the policy's level is."""
    reason: str = ""
    """Why it does not apply."""
    error: BaseException | None = field(default=None, repr=False, compare=False)
    """What it raised. The real server fails the whole request for it, and with that every other policy."""
    error_text: str = ""
    """What it raised, in words, secrets taken out."""

    @property
    def messages(self) -> list[str]:
        """The messages of the violations."""
        return [violation.message for violation in self.violations]


def resource(
    type: str,  # noqa: A002 — Pulumi's word
    inputs: Mapping[str, Any] | None = None,
    *,
    name: str = "example",
    outputs: Mapping[str, Any] | None = None,
    parent: Resource | None = None,
    provider: Resource | None = None,
    feeds: Mapping[str, Iterable[Resource]] | None = None,
    depends_on: Iterable[Resource] = (),
    options: Options | None = None,
    component: bool = False,
    id: Any = UNKNOWN,  # noqa: A002
    project: str = "project",
    stack: str = "stack",
) -> Resource:
    """Return a resource for `check_rule`. Values may hold `UNKNOWN`, `Secret`, `Asset` and `Archive`.

    `outputs` comes over the inputs, as on a preview. `feeds` names the resources whose outputs went into an input: what
    a stack policy sees as `property_dependencies`; with `depends_on` they are its `dependencies`. A custom resource
    without a `provider` has the default one of its package.
    """
    given = dict(inputs or {})
    fed = {key: tuple(other.urn for other in others) for key, others in (feeds or {}).items()}
    urns = [*(other.urn for other in depends_on), *(urn for some in fed.values() for urn in some)]
    parents = f"{parent.urn.split('::')[2]}$" if parent is not None and parent.type != STACK_TYPE else ""
    provided = component or type.startswith("pulumi:")
    default = _urn(project, stack, f"pulumi:providers:{type.partition(':')[0]}", "default")
    return Resource(
        urn=_urn(project, stack, f"{parents}{type}", name),
        type=type,
        name=name,
        inputs=given,
        outputs={**given, **(outputs or {})},
        id=None if component else id,
        custom=not component,
        parent=parent.urn if parent is not None else _urn(project, stack, STACK_TYPE, f"{project}-{stack}"),
        provider=None if provided else provider.urn if provider is not None else default,
        dependencies=tuple(dict.fromkeys(urns)),
        property_dependencies=fed,
        options=options or Options(),
    )


def check_rule(
    rule: Rule | Policy,
    inputs: Mapping[str, Any] | Resource | None = None,
    *others: Resource,
    type: str = "",  # noqa: A002 — Pulumi's word
    config: Mapping[str, Any] | None = None,
    context: StackContext | None = None,
    preview: bool = True,
) -> RuleResult:
    """Judge one resource, or a stack, by one policy, through the policy server's own code.

    `inputs` are those of the judged resource, whose type token is `type` (by default the rule's first type, or
    `test:index:Resource`); or it is a whole `resource(...)`. `others` are the rest of the stack. A stack policy gets
    them all, with the stack itself and the providers; a resource policy gets the one, and its provider.

    `config` is what a policy pack's config says of this policy: its properties, and `enforcementLevel`. Defaults of
    its config schema are filled in and checked, as the engine does; a policy that is disabled by default is judged as
    mandatory. `context` is the stack that the policy is told of: names, config, tags. `preview` is False for an update,
    where a policy reads True from nothing that asks whether this is a dry run.

    Nothing that the policy raises is raised here. Raises `PackError` for a config that the policy's schema refuses,
    `TypeError` for what is no policy or no value, and `ValueError` for a number that JSON has not.
    """
    policy = to_policies(Pack(_PACK, "0.0.1", (rule,)))[0] if isinstance(rule, Rule) else rule
    if not isinstance(policy, ResourceValidationPolicy | StackValidationPolicy):
        raise TypeError(f"expected a policy of pulumi_policy or a rule, found {policy!r}")
    context = context or StackContext()
    judged: list[Resource] = []
    if isinstance(inputs, Resource):
        judged = [inputs]
    elif inputs is not None or isinstance(policy, ResourceValidationPolicy):
        token = type or (rule.types[0] if isinstance(rule, Rule) and rule.types else "test:index:Resource")
        judged = [resource(token, inputs, project=context.project, stack=context.stack)]
    resources = _whole_stack([*judged, *others], context)
    server = StockAnalyzer(_PACK, "0.0.1", [policy], EnforcementLevel.ADVISORY)
    setting = _setting(policy, server, config)
    redactor = Redactor(*(values for item in resources for values in (item.inputs, item.outputs)))
    by_urn = {item.urn: item for item in resources}
    of_stack = isinstance(policy, StackValidationPolicy)
    request: Any = (
        _stack_request(resources, by_urn)
        if of_stack
        else proto.AnalyzeRequest(**_request(judged[0], judged[0].inputs, by_urn))
    )

    asked: Any = server  # its methods have no types

    def ask() -> proto.AnalyzeResponse:
        configure_runtime(context)
        configuration = proto.ConfigureAnalyzerRequest()
        configuration.policyConfig[policy.name].enforcementLevel = _LEVELS[setting.level]
        configuration.policyConfig[policy.name].properties.update(setting.properties)
        asked.Configure(configuration, None)
        asked.ConfigureStack(proto.AnalyzerStackConfigureRequest(tags=context.tags), None)
        answer: proto.AnalyzeResponse = (asked.AnalyzeStack if of_stack else asked.Analyze)(request, None)
        return answer

    # The server answers on worker threads, with no event loop of their own: so here, whatever runs in the test's.
    with _told_of(context, preview), ThreadPoolExecutor(max_workers=1) as pool:
        try:
            response = pool.submit(contextvars.copy_context().run, ask).result()
        except (Exception, SystemExit) as error:
            # A coroutine's error comes wrapped by the SDK.
            cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
            text = redactor(" ".join(f"{cause.__class__.__name__}: {cause}".split()))
            return RuleResult(Verdict.ERROR, level=_shown_level(setting), error=cause, error_text=text)
    return _read(response, policy, setting, redactor)


# --- the stack that a policy is told of ------------------------------------------------------------------------------


def _urn(project: str, stack: str, type_: str, name: str) -> str:
    return f"urn:pulumi:{stack}::{project}::{type_}::{name}"


def _whole_stack(given: list[Resource], context: StackContext) -> list[Resource]:
    """Return the resources with what every stack has besides: itself, and the default providers."""
    known = {item.urn for item in given}
    name = f"{context.project}-{context.stack}"
    root = Resource(_urn(context.project, context.stack, STACK_TYPE, name), STACK_TYPE, name, {}, id=None, custom=False)
    added = [] if root.urn in known else [root]
    for urn in dict.fromkeys(item.provider for item in given if item.provider is not None):
        if urn not in known:
            token, _, label = urn.split("::", 2)[2].rpartition("::")
            added.append(Resource(urn, token, label, {}, default_provider=True, parent=root.urn))
    return [*added, *given]


@contextmanager
def _told_of(context: StackContext, preview: bool) -> Iterator[None]:
    """Set the environment by which the engine tells a pack's process of the stack."""
    told = {
        "PULUMI_PROJECT": context.project,
        "PULUMI_STACK": context.stack,
        "PULUMI_ORGANIZATION": context.organization,
        "PULUMI_DRY_RUN": "true" if preview else "false",
        "PULUMI_CONFIG": json.dumps(dict(context.config)),
    }
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _setting(policy: Policy, server: StockAnalyzer, config: Mapping[str, Any] | None) -> PolicySetting:
    captured = CapturedPack(_PACK, (policy,), EnforcementLevel.ADVISORY, {}, "", server)
    settings, _ = reconcile(captured, {policy.name: dict(config)} if config else None)
    setting = settings[policy.name]
    if setting.level is EnforcementLevel.DISABLED:
        setting.level = EnforcementLevel.MANDATORY
    return setting


# --- requests and answers --------------------------------------------------------------------------------------------


def _struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    # The engine keeps properties of its own (`__defaults`, …) from policies.
    wire = {key: to_wire(value) for key, value in values.items() if not key.startswith("__")}
    for key, value in wire.items():
        try:
            json.dumps(value, allow_nan=False)
        except ValueError:
            raise ValueError(f"{key}: infinity and not-a-number cannot be sent to a policy: JSON has neither") from None
    message = struct_pb2.Struct()
    message.update(wire)
    return message


def _request(item: Resource, values: Mapping[str, Any], by_urn: Mapping[str, Resource]) -> dict[str, Any]:
    options = item.options
    timeouts = {key: seconds(options.custom_timeouts.get(key, "")) for key in ("create", "update", "delete")}
    fields: dict[str, Any] = {
        "urn": item.urn,
        "type": item.type,
        "name": item.name,
        "properties": _struct(values),
        "options": proto.AnalyzerResourceOptions(
            protect=bool(options.protect),
            ignoreChanges=options.ignore_changes,
            deleteBeforeReplace=bool(options.delete_before_replace),
            deleteBeforeReplaceDefined=options.delete_before_replace is not None,
            additionalSecretOutputs=options.additional_secret_outputs,
            aliases=options.aliases,
            customTimeouts=proto.AnalyzerResourceOptions.CustomTimeouts(**timeouts),
            parent=item.parent or "",
        ),
    }
    provider = by_urn.get(item.provider or "")
    if provider is not None:
        fields["provider"] = proto.AnalyzerProviderResource(
            type=provider.type, urn=provider.urn, name=provider.name, properties=_struct(provider.inputs)
        )
    return fields


def _stack_request(resources: Iterable[Resource], by_urn: Mapping[str, Resource]) -> proto.AnalyzeStackRequest:
    return proto.AnalyzeStackRequest(
        resources=[
            proto.AnalyzerResource(
                **_request(item, item.outputs, by_urn),
                parent=item.parent or "",
                dependencies=item.dependencies,
                propertyDependencies={
                    key: proto.AnalyzerPropertyDependencies(urns=urns)
                    for key, urns in item.property_dependencies.items()
                    if urns
                },
            )
            for item in resources
        ]
    )


def _shown_level(setting: PolicySetting) -> str:
    level = EnforcementLevel.MANDATORY if setting.level is EnforcementLevel.REMEDIATE else setting.level
    return str(level.value)


def _read(response: proto.AnalyzeResponse, policy: Policy, setting: PolicySetting, redactor: Redactor) -> RuleResult:
    violations = []
    undecided: list[str] = []
    for item in response.diagnostics:
        # The server words an unknown itself; violations begin with the policy's description.
        place = _UNKNOWN_PLACE.search(item.message)
        if item.message.startswith(f"can't run policy '{policy.name}' from policy pack") and place is not None:
            undecided.append(place.group(1))
            continue
        text = item.message.removeprefix(policy.description).removeprefix("\n")
        violations.append(Violation(redactor(text), item.urn))
    reasons = [redactor(item.reason) for item in response.not_applicable]
    if violations:
        verdict = Verdict.FAIL
    elif undecided:
        verdict = Verdict.UNKNOWN
    else:
        verdict = Verdict.NOT_APPLICABLE if reasons else Verdict.PASS
    return RuleResult(
        verdict,
        tuple(violations),
        _shown_level(setting),
        undecided[0] if undecided else "",
        reasons[0] if reasons else "",
    )
