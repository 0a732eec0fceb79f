"""Our rules as ordinary `pulumi_policy` policies, for the stock policy server and the real CLI.

What the stock server leaves us to work with, and what follows from it:

- A policy has one enforcement level and only it decides whether a violation blocks. A verdict `unknown` is therefore
  given by the SDK's own way of saying so: the policy meets an unknown value, and the engine shows an advisory line
  that names the property. A pack's config may set `strictUnknowns` for a policy; then it is a violation at the
  policy's level.
- A resource policy sees one resource's inputs. A stack policy sees every resource with its *outputs*, which on a
  preview are the inputs and what little the provider foretells.
- Secrets come as plain text without a mark. So that none is shown, a failure is worded as if every value were secret.
  Where the verdict depends on the mark, it is unknown.
- Properties are decoded for every policy and resource. Rules look at the type first, and only then at the properties.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import pulumi.runtime
from pulumi.runtime import proto
from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyComplianceFramework,
    PolicyConfigSchema,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Severity,
    StackValidationArgs,
    StackValidationPolicy,
)

from ringfence.deployment import UNKNOWN, Options, Resource, Secret, Unknown
from ringfence.policy._pulumi_policy import StockAnalyzer, metadata, restore, unknown_value
from ringfence.policy.evaluate import judge
from ringfence.policy.exemptions import apply_exemptions
from ringfence.policy.graph import ResourceView, StackView
from ringfence.policy.pack import ActiveRule, Pack
from ringfence.policy.rule import ParameterError, Rule
from ringfence.policy.rule_config import EXEMPT, STRICT_UNKNOWNS, config_schema, read_settings
from ringfence.policy.tokens import normalise
from ringfence.policy.verdict import Finding, Verdict

__all__ = ["EXEMPT", "STRICT_UNKNOWNS", "analyzer_info", "to_policies"]

_LISTED = 3
"""Unknown places that a stack policy lists in its one line."""


def to_policies(pack: Pack, *, url: str = "") -> list[Policy]:
    """Return a policy for each rule of `pack`, in its order.

    `url` is the address of a rule's documentation, with `{code}` and `{name}` in it. Raises `ValueError` for a rule
    that has a parameter of a reserved name: `strictUnknowns`, `exempt` or `comment`.
    """
    return [_policy(rule, url) for rule in pack.rules]


def analyzer_info(pack: Pack, *, url: str = "") -> proto.AnalyzerInfo:
    """Return the metadata of the pack and of its policies, as the SDK's own analyzer says it."""
    return metadata(StockAnalyzer(pack.name, pack.version, to_policies(pack, url=url), EnforcementLevel.ADVISORY))


def _policy(rule: Rule, url: str) -> Policy:
    framework = rule.frameworks[0] if rule.frameworks else None  # a policy has one; the others become tags
    metadata: dict[str, Any] = {
        "name": rule.name,
        "description": rule.title,
        "display_name": f"{rule.code} {rule.title}",
        "enforcement_level": EnforcementLevel(rule.level.value),
        "severity": Severity(rule.severity.value),
        "framework": framework
        and PolicyComplianceFramework(name=framework.name, version=framework.version, reference=framework.reference),
        "config_schema": PolicyConfigSchema(properties=config_schema(rule)),
        "remediation_steps": rule.remedy,
        "tags": [
            rule.code,
            *([rule.profile] if rule.profile else []),
            *(f"{item.name} {item.version}: {item.reference}" for item in rule.frameworks[1:]),
        ],
        "url": url.format(code=rule.code, name=rule.name) or None,
    }
    if rule.graph:
        return StackValidationPolicy(validate=_stack_validation(rule), **metadata)
    return ResourceValidationPolicy(validate=_resource_validation(rule), **metadata)


def _resource_validation(rule: Rule) -> Callable[[ResourceValidationArgs, ReportViolation], None]:
    def validate(args: ResourceValidationArgs, report_violation: ReportViolation) -> None:
        # The server does not say what is a component; custom resources alone have a provider.
        if not _judges(rule, args.resource_type, lambda: args.provider is not None):
            return
        plain = StackView([_resource(args, _options(args), restore(args.props))])
        _report(rule, plain, plain.resources, args, report_violation)

    return validate


def _stack_validation(rule: Rule) -> Callable[[StackValidationArgs, ReportViolation], None]:
    def validate(args: StackValidationArgs, report_violation: ReportViolation) -> None:
        judged = {
            item.urn
            for item in args.resources
            if _judges(rule, item.resource_type, lambda item=item: item.provider is not None)  # type: ignore[misc]
        }
        if not judged:
            args.not_applicable("The stack has no resource of the types that this policy judges.")
        plain = StackView([_stack_resource(item) for item in args.resources])
        _report(rule, plain, [view for view in plain.resources if view.urn in judged], args, report_violation)

    return validate


def _judges(rule: Rule, token: str, custom: Callable[[], bool]) -> bool:
    if rule.types:
        return normalise(token) in rule.types
    return not token.startswith("pulumi:") and custom()


# --- what a policy is given, as our resources ------------------------------------------------------------------------


def _outputs(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return outputs with those unknown that others may name the resource by and that the server does not tell.

    The id is never among the properties, and a preview leaves out what it does not know, which is not the same as none.
    """
    untold = ("arn", "id", "name", "url") if pulumi.runtime.is_dry_run() else ("id",)
    return dict.fromkeys(untold, UNKNOWN) | dict(given)


def _no_id() -> Unknown | None:
    """Return the id of a resource: unknown on a preview, where outputs are yet to come; else not told."""
    return UNKNOWN if pulumi.runtime.is_dry_run() else None


def _options(item: ResourceValidationArgs | PolicyResource) -> Options:
    given = item.opts
    timeouts = given.custom_timeouts
    seconds = {
        "create": timeouts.create_seconds,
        "update": timeouts.update_seconds,
        "delete": timeouts.delete_seconds,
    }
    return Options(
        protect=given.protect,
        ignore_changes=tuple(given.ignore_changes),
        delete_before_replace=given.delete_before_replace,
        additional_secret_outputs=tuple(given.additional_secret_outputs),
        aliases=tuple(given.aliases),
        custom_timeouts={key: f"{value:g}s" for key, value in seconds.items() if value},
    )


def _resource(item: ResourceValidationArgs, options: Options, inputs: Mapping[str, Any]) -> Resource:
    return Resource(
        urn=item.urn,
        type=item.resource_type,
        name=item.name,
        inputs=inputs,
        outputs=_outputs(inputs),
        id=_no_id(),
        custom=item.provider is not None,
        parent=item.opts.parent,
        provider=item.provider.urn if item.provider else None,
        options=options,
    )


def _stack_resource(item: PolicyResource) -> Resource:
    values = restore(item.props)
    return Resource(
        urn=item.urn,
        type=item.resource_type,
        name=item.name,
        inputs=values,
        outputs=_outputs(values),
        id=_no_id(),
        custom=item.provider is not None,
        parent=item.parent.urn if item.parent else item.opts.parent,
        provider=item.provider.urn if item.provider else None,
        dependencies=tuple(other.urn for other in item.dependencies),
        property_dependencies={
            key: tuple(other.urn for other in others) for key, others in item.property_dependencies.items()
        },
        options=_options(item),
    )


# --- verdicts --------------------------------------------------------------------------------------------------------


def _report(
    rule: Rule,
    plain: StackView,
    views: Iterable[ResourceView],
    args: ResourceValidationArgs | StackValidationArgs,
    report_violation: ReportViolation,
) -> None:
    """Judge the views and say the verdicts in CrossGuard's terms.

    Raises the SDK's unknown-value error after everything else was reported: what was reported before it stays.
    """
    config: dict[str, Any] = restore(args.get_config())  # the wire made 3 a 3.0
    try:
        settings = read_settings(rule, config)
    except ParameterError as error:
        report_violation(f"This policy's configuration is wrong: {error}.", None)
        return
    entry = ActiveRule(rule, rule.level, settings.parameters)
    in_stack = isinstance(args, StackValidationArgs)
    masked: StackView | None = None
    unknown: list[Finding] = []
    reasons: list[str] = []
    passed = False
    for view in views:
        findings = judge(entry, view)
        verdict = findings[0].verdict
        if verdict is Verdict.FAIL:
            # Only the wording for secrets is safe to show, and only if the verdict does not hang on the mark.
            masked = masked or _masked(plain)
            findings = judge(entry, masked.by_urn[view.urn])
            if findings[0].verdict is not Verdict.FAIL:
                verdict = Verdict.UNKNOWN
        if verdict is Verdict.FAIL:
            applied = apply_exemptions(findings, settings.exemptions, datetime.date.today()).findings
            findings = [finding for finding in applied if finding.verdict is Verdict.FAIL]
            if not findings:
                reasons.append(applied[0].message)
                continue
            for finding in findings:
                report_violation(_message(finding), view.urn if in_stack else None)
        elif verdict is Verdict.ERROR:
            # The error's own text may quote a value.
            report_violation(f"The rule {rule.code} itself broke on this resource.", view.urn if in_stack else None)
        elif verdict is Verdict.UNKNOWN and settings.strict_unknowns:
            report_violation(f"It cannot be decided: {_undecided(findings[0])}", view.urn if in_stack else None)
        elif verdict is Verdict.UNKNOWN:
            unknown.append(findings[0])
        elif verdict is Verdict.NOT_APPLICABLE:
            reasons.append(findings[0].message)
        else:
            passed = True
        passed = passed or verdict in (Verdict.FAIL, Verdict.ERROR, Verdict.UNKNOWN)
    if unknown:
        raise unknown_value(_places(unknown, in_stack))
    if reasons and not passed:
        args.not_applicable(reasons[0])


def _mask(values: Mapping[str, Any]) -> dict[str, Any]:
    """Mark everything secret that could be one, so that no message shows it."""
    return {key: value if isinstance(value, bool | Unknown) else Secret(value) for key, value in values.items()}


def _masked(stack: StackView) -> StackView:
    resources = [view.resource for view in stack.resources]
    return StackView(replace(item, inputs=_mask(item.inputs), outputs=_mask(item.outputs)) for item in resources)


def _message(finding: Finding) -> str:
    message = finding.message.replace("a secret value", "a value that is not shown")
    return f"{message} {finding.remedy}".strip()


def _undecided(finding: Finding) -> str:
    if finding.verdict is Verdict.UNKNOWN:
        return finding.message
    return "it hangs on which values are secret, and policies are not told that."


def _places(findings: list[Finding], in_stack: bool) -> str:
    def place(finding: Finding) -> str:
        path = finding.path if finding.verdict is Verdict.UNKNOWN else "(whether a value is secret)"
        return f"{finding.resource}.{path}" if in_stack else path or "(a value)"

    places = [place(finding) for finding in findings]
    more = f" and {len(places) - _LISTED} more" if len(places) > _LISTED else ""
    return ", ".join(places[:_LISTED]) + more
