"""The analyzer of a pack of rules: what it says to each request of the engine.

The engine hands a resource over twice: with its inputs (`Analyze`), then among all resources with its outputs
(`AnalyzeStack`). Rules about the stack get both, as under `ringfence check`. A resource that comes with its outputs
alone is one that the program only reads, and is not judged.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from google.protobuf.struct_pb2 import Struct
from pulumi.runtime import proto

from ringfence import __version__
from ringfence.policy.analyzer_config import ConfiguredRule, Setup, default_setup, pack_settings_schema, setup
from ringfence.policy.analyzer_wire import provider_of, read_resource, read_struct
from ringfence.policy.evaluate import decide, finding_of, judge
from ringfence.policy.exemptions import apply_exemptions
from ringfence.policy.graph import ResourceView, StackView
from ringfence.policy.pack import Pack
from ringfence.policy.remediation import set_scalars
from ringfence.policy.rule_config import PACK_SETTINGS
from ringfence.policy.tokens import normalise
from ringfence.policy.verdict import Finding, Level, Severity, Verdict

__all__ = ["RuleAnalyzer"]

_SEVERITIES = {severity: getattr(proto, f"POLICY_SEVERITY_{severity.name}") for severity in Severity}
_OTHER_TYPE = "It judges resources of other types."
_NO_RESOURCE = "The stack has no resource of the types that this policy judges."
_NO_REMEDIATION = "Policy does not implement remediate"
_NOT_ENFORCED = "This mandatory policy blocks nothing until that is known, unless strictUnknowns is set."


class RuleAnalyzer:
    """Answers for a pack of rules. Safe to call from several threads.

    `url` is the address of a rule's documentation, with `{code}` and `{name}` in it.
    """

    version = __version__

    def __init__(self, pack: Pack, *, url: str = "") -> None:
        self._pack = pack
        self._url = url
        self._setup = default_setup(pack)
        self._elsewhere = lru_cache(maxsize=1024)(self._not_applicable)
        self._inputs: dict[str, Mapping[str, Any]] = {}
        # The language host starts a pack with this variable; an engine that attaches to one has ConfigureStack alone.
        self._dry_run = os.environ.get("PULUMI_DRY_RUN") != "false"

    # --- set-up --------------------------------------------------------------------------------------------------

    def info(self) -> proto.AnalyzerInfo:
        """Return the metadata of the pack and of its policies."""
        # Imported here, after the port was printed: the server is up sooner without pulumi_policy.
        from ringfence.policy.crossguard_export import analyzer_info

        info = analyzer_info(self._pack, url=self._url)
        settings = info.policies.add(
            name=PACK_SETTINGS,
            displayName="Settings of the whole pack",
            description="Holds what the pack's config says of all policies; it judges nothing.",
            enforcementLevel=proto.DISABLED,
            policy_type=proto.POLICY_TYPE_STACK,
        )
        settings.configSchema.properties.update(pack_settings_schema(self._pack))
        return info

    def configure(self, request: proto.ConfigureAnalyzerRequest) -> None:
        """Take levels, parameters and exemptions. Raises `PackError`; what was configured before stays then."""
        self._setup = setup(self._pack, request.policyConfig)
        self._elsewhere.cache_clear()

    def configure_stack(self, request: proto.AnalyzerStackConfigureRequest) -> None:
        """Take what the engine says of the run."""
        self._dry_run = request.dry_run
        self._inputs = {}

    # --- answers -------------------------------------------------------------------------------------------------

    def analyze(self, request: proto.AnalyzeRequest) -> proto.AnalyzeResponse:
        """Judge one resource by its inputs."""
        view = self._view(request, request.properties)
        self._inputs[request.urn] = view.resource.inputs
        setup = self._setup
        everywhere = view.resource.custom and not view.type.startswith("pulumi:")
        response = proto.AnalyzeResponse()
        response.CopyFrom(self._elsewhere(view.type, everywhere))
        for entry in _judging(setup, view.type, everywhere):
            self._report(entry, view, response, in_stack=False)
        return response

    def analyze_stack(self, request: proto.AnalyzeStackRequest) -> proto.AnalyzeResponse:
        """Judge the whole stack by the rules that need more than one resource."""
        response = proto.AnalyzeResponse()
        rules = self._setup.graph_rules
        if not rules:
            return response
        stack = StackView(self._stack_resources(request))
        for entry in rules:
            views = [view for view in _judged(entry, stack) if not view.resource.external]
            if not views:
                response.not_applicable.add(policy_name=entry.rule.name, reason=_NO_RESOURCE)
                continue
            reasons = []
            for view in views:
                reasons.append(self._report(entry, view, response, in_stack=True))
            if all(reasons):
                response.not_applicable.add(policy_name=entry.rule.name, reason=reasons[0])
        return response

    def remediate(self, request: proto.AnalyzeRequest) -> proto.RemediateResponse:
        """Mend what fails, by the rules whose level is `remediate`.

        A remediation is offered only where the rule fails before it and does not after it.
        """
        response = proto.RemediateResponse()
        rules = self._setup.remediations
        if not rules:
            return response
        properties, type_ = request.properties, normalise(request.type)
        for entry in rules:
            rule = entry.rule
            if not rule.remediation:
                response.not_applicable.add(policy_name=rule.name, reason=_NO_REMEDIATION)
                continue
            if type_ not in rule.types:
                response.not_applicable.add(policy_name=rule.name, reason=_OTHER_TYPE)
                continue
            if not self._fails(entry, request, properties):
                continue
            mended = Struct()
            mended.CopyFrom(properties)
            offer = response.remediations.add(
                policyName=rule.name,
                policyPackName=self._pack.name,
                policyPackVersion=self._pack.version,
                description=rule.title,
            )
            if set_scalars(mended, rule.remediation) and not self._fails(entry, request, mended):
                offer.properties.CopyFrom(mended)
                properties = mended
            else:
                offer.diagnostic = f"{rule.title}\nIt cannot be remediated here, for more than one value decides it."
        return response

    # --- how -----------------------------------------------------------------------------------------------------

    def _view(self, request: proto.AnalyzeRequest, properties: Struct) -> ResourceView:
        inputs = read_struct(properties)
        resources = [read_resource(request, inputs, inputs, dry_run=self._dry_run)]
        provider = provider_of(request)
        if provider is not None:
            resources.append(provider)
        stack = StackView(resources)
        # The stack itself is no resource of a StackView; nor is it one that a rule judges.
        return stack.resources[0] if stack.resources else ResourceView(resources[0], stack)

    def _stack_resources(self, request: proto.AnalyzeStackRequest) -> list[Any]:
        seen = self._inputs
        resources = []
        for item in request.resources:
            outputs = read_struct(item.properties)
            given = seen.get(item.urn)
            inputs = outputs if given is None else given
            # Asked about a stack alone, without its resources before, nothing says what is only read.
            external = bool(seen) and given is None
            resources.append(read_resource(item, inputs, outputs, dry_run=self._dry_run, external=external))
        return resources

    def _not_applicable(self, type_: str, everywhere: bool) -> proto.AnalyzeResponse:
        judging = {entry.rule.name for entry in _judging(self._setup, type_, everywhere)}
        response = proto.AnalyzeResponse()
        for entry in self._setup.resource_rules:
            if entry.rule.name not in judging:
                response.not_applicable.add(policy_name=entry.rule.name, reason=_OTHER_TYPE)
        return response

    def _fails(self, entry: ConfiguredRule, request: proto.AnalyzeRequest, properties: Struct) -> bool:
        findings = judge(entry.active, self._view(request, properties), self._pack.name)
        applied = apply_exemptions(findings, entry.exemptions, datetime.date.today())
        return any(finding.verdict in (Verdict.FAIL, Verdict.ERROR) for finding in applied.findings)

    def _report(
        self, entry: ConfiguredRule, view: ResourceView, response: proto.AnalyzeResponse, *, in_stack: bool
    ) -> str:
        """Add what a rule says of one resource to the response; return the reason if it does not apply, else ""."""
        outcomes = decide(entry.active, view)
        if outcomes[0].verdict is Verdict.PASS:  # most of them, and the engine is told nothing then
            return ""
        findings = [finding_of(entry.active, view, outcome, self._pack.name) for outcome in outcomes]
        if entry.exemptions and findings[0].verdict is Verdict.FAIL:
            findings = apply_exemptions(findings, entry.exemptions, datetime.date.today()).findings
        for finding in findings:
            if finding.verdict is Verdict.UNKNOWN:
                self._violation(entry, response, _undecided(entry, finding), finding, in_stack)
            elif finding.verdict in (Verdict.FAIL, Verdict.ERROR):
                text = f"{finding.message} {finding.remedy}".rstrip()
                self._violation(entry, response, text, finding, in_stack)
        if all(finding.verdict in (Verdict.NOT_APPLICABLE, Verdict.EXEMPT) for finding in findings):
            if not in_stack:
                response.not_applicable.add(policy_name=entry.rule.name, reason=findings[0].message)
            return findings[0].message
        return ""

    def _violation(
        self, entry: ConfiguredRule, response: proto.AnalyzeResponse, text: str, finding: Finding, in_stack: bool
    ) -> None:
        rule = entry.rule
        undecided = finding.verdict is Verdict.UNKNOWN and not entry.strict_unknowns
        response.diagnostics.add(
            policyName=rule.name,
            policyPackName=self._pack.name,
            policyPackVersion=self._pack.version,
            description=rule.title,
            message=f"{rule.title}\n{text}",
            enforcementLevel=proto.ADVISORY if undecided else entry.level,
            urn=finding.urn if in_stack else "",
            severity=_SEVERITIES[rule.severity],
        )


def _undecided(entry: ConfiguredRule, finding: Finding) -> str:
    text = f"It cannot be decided: {finding.message}"
    if entry.active.level is Level.MANDATORY and not entry.strict_unknowns:
        return f"{text} {_NOT_ENFORCED}"
    return text


def _judging(setup: Setup, type_: str, everywhere: bool) -> Iterable[ConfiguredRule]:
    of_type = setup.by_type.get(type_, ())
    return (*of_type, *setup.by_type.get("", ())) if everywhere else of_type


def _judged(entry: ConfiguredRule, stack: StackView) -> Iterator[ResourceView]:
    if entry.rule.types:
        yield from stack.of_type(*entry.rule.types)
        return
    for view in stack.resources:
        if view.resource.custom and not view.type.startswith("pulumi:"):
            yield view
