"""A policy pack in a process of its own, as judge of deployments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from pulumi.runtime import proto

from ringfence.deployment import Deployment, Resource, Secret, Unknown, contains_unknown, reveal
from ringfence.packs.client import LEVELS, AnalyzerClient, RefusedError
from ringfence.policy.analyzer_wire import write_request, write_stack_resource
from ringfence.policy.pack import PackError
from ringfence.policy.pack_config import PackLevel, Setting
from ringfence.policy.redaction import Redactor
from ringfence.policy.remediated import Remediated, changed, overwritten_unknown, told, with_inputs
from ringfence.policy.rule_config import PACK_SETTINGS
from ringfence.policy.verdict import Finding, Level, Severity, Verdict

__all__ = ["RemotePack"]

NO_SECRETS: Mapping[str, Secret] = {}

_CANNOT_RUN = re.compile(
    r"can't run (?:policy|remediation) '.*?' from policy pack '.*?' during preview: (?P<reason>.*)", re.DOTALL
)
"""What the SDKs say in place of a verdict when a policy reads an unknown value."""
_UNKNOWN_AT = re.compile(r"\w* ?value at \.(?P<path>.*) can't be known during preview")
_SEVERITIES = {
    proto.POLICY_SEVERITY_LOW: Severity.LOW,
    proto.POLICY_SEVERITY_MEDIUM: Severity.MEDIUM,
    proto.POLICY_SEVERITY_HIGH: Severity.HIGH,
    proto.POLICY_SEVERITY_CRITICAL: Severity.CRITICAL,
}


@dataclass
class _Answers:
    """What policies answered to one question: diagnostics and the rest by policy."""

    diagnostics: list[proto.AnalyzeDiagnostic] = field(default_factory=list)
    not_applicable: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    """What policies raised."""

    def add(self, response: proto.AnalyzeResponse) -> None:
        self.diagnostics.extend(response.diagnostics)
        self.not_applicable.update((item.policy_name, item.reason) for item in response.not_applicable)


class RemotePack:
    """A pack that serves. `notes` says what of it works differently here than a reader may expect."""

    def __init__(
        self,
        client: AnalyzerClient,
        info: proto.AnalyzerInfo,
        settings: Mapping[str, Setting],
        notes: Iterable[str] = (),
        secrets: Mapping[str, Secret] = NO_SECRETS,
    ) -> None:
        self.name = info.name
        # The file's version goes before the one that the SDK says, as for the engine.
        self.version = client.launch.manifest.version or info.version
        self.notes = tuple(notes)
        self._client = client
        self._settings = settings
        self._secrets = secrets
        # Our own packs list the settings of the whole pack among their policies; they judge nothing.
        self._policies = {policy.name: policy for policy in info.policies if policy.name != PACK_SETTINGS}
        self._running = [name for name in self._policies if settings[name].level is not PackLevel.DISABLED]
        self._runtime = client.launch.manifest.runtime

    @property
    def policy_names(self) -> tuple[str, ...]:
        """The names of all policies, in the pack's order."""
        return tuple(self._policies)

    @property
    def stack_policies(self) -> frozenset[str]:
        """The names of the policies that judge the stack as a whole."""
        return frozenset(self._of_kind(proto.POLICY_TYPE_STACK))

    @property
    def remediates(self) -> bool:
        """Whether any policy runs at level `remediate`."""
        return any(self._settings[name].level is PackLevel.REMEDIATE for name in self._running)

    def level(self, name: str) -> Level:
        """Return the level that a policy is judged at; `remediate` is `mandatory`."""
        return _judged_at(self._settings[name].level)

    # --- remediation ---------------------------------------------------------------------------------------------

    def remediate(self, resource: Resource, provider: Resource | None) -> Remediated:
        """Return a resource as the pack's remediations leave it. Raises `PackError` where the pack is gone or hangs."""
        request = write_request(resource, provider, internal=True)
        with _without_secrets(self._redactor(resource, provider)):
            try:
                answer = self._client.remediate(request)
            except RefusedError:
                return self._remediated_one_by_one(resource, provider)
        return self._read_remediations(resource, provider, request, answer)

    def _read_remediations(
        self,
        resource: Resource,
        provider: Resource | None,
        request: proto.AnalyzeRequest,
        answer: proto.RemediateResponse,
    ) -> Remediated:
        inputs: Mapping[str, Any] = resource.inputs
        findings, notes = [], []
        redactor = self._redactor(resource, provider)
        for item in answer.remediations:
            if item.diagnostic:
                findings.append(self._undecided(item.policyName, redactor(item.diagnostic), resource))
                continue
            after = changed(resource.inputs, request.properties, item.properties)
            key = overwritten_unknown(resource.inputs, after) if self._runtime == "python" else None
            if key is not None:
                text = f"{key} is not known before apply."
                findings.append(self._finding(item.policyName, Verdict.UNKNOWN, text, resource.urn, resource, path=key))
                # The remediations after this one saw what it made of it.
                break
            notes.append(told(self.name, item.policyName, resource, inputs, after))
            inputs = after
        return Remediated(with_inputs(resource, inputs) if notes else resource, findings, notes)

    def _remediated_one_by_one(self, resource: Resource, provider: Resource | None) -> Remediated:
        """Let one policy after the other remediate, after one of them raised and took the others with it."""
        findings: list[Finding] = []
        notes: list[str] = []
        names = [name for name in self._running if self._settings[name].level is PackLevel.REMEDIATE]
        for name in names:
            self._client.configure(self._alone(name))
            request = write_request(resource, provider, internal=True)
            try:
                answer = self._client.remediate(request)
            except RefusedError as error:
                text = f"The remediation itself broke: {self._redactor(resource, provider)(str(error))}"
                findings.append(self._finding(name, Verdict.ERROR, text, resource.urn, resource))
                continue
            result = self._read_remediations(resource, provider, request, answer)
            resource = result.resource
            findings += result.findings
            notes += result.notes
        self._client.configure(self._settings)
        return Remediated(resource, findings, notes)

    # --- analysis ------------------------------------------------------------------------------------------------

    def evaluate(self, deployment: Deployment) -> list[Finding]:
        """Return the pack's findings: first by resource and policy, then those of stack policies.

        Each policy gives every violation it reports, with verdict `fail`; then `unknown` if it met an unknown value
        and `error` if it raised; or one `not-applicable` or `pass`. Findings of a stack policy that name no resource
        have no URN. A policy without a severity counts as `medium`. Values that the deployment marks secret are taken
        out of messages.

        As under the engine, resource policies see every resource that is registered, with its inputs, and none that is
        only read; stack policies see all resources with their outputs. Raises `PackError` where the pack is gone or
        hangs.
        """
        by_urn = deployment.by_urn
        findings: list[Finding] = []
        resource_policies = self._of_kind(proto.POLICY_TYPE_RESOURCE)
        of_either = self._of_kind(proto.POLICY_TYPE_UNKNOWN)
        if resource_policies or of_either:
            for resource in deployment.resources:
                if not resource.external:
                    provider = by_urn.get(resource.provider or "")
                    findings.extend(self._judge_resource(resource, provider, resource_policies, of_either))
        stack_policies = [*self._of_kind(proto.POLICY_TYPE_STACK), *of_either]
        if stack_policies:
            findings.extend(self._judge_stack(deployment, stack_policies))
        return findings

    def _judge_resource(
        self, resource: Resource, provider: Resource | None, names: Sequence[str], others: Sequence[str]
    ) -> list[Finding]:
        request = write_request(resource, provider)
        redactor = self._redactor(resource, provider)
        with _without_secrets(redactor):
            answers = self._ask(lambda: self._client.analyze(request), [*names, *others])
        findings = []
        for name in self._in_order(answers, [*names, *others]):
            # The engine ignores a URN that a resource policy names.
            findings += self._violations(name, answers, redactor, lambda _: resource)
            findings += self._end(name, answers, redactor, resource, blind=resource.inputs, expected=name in names)
        return findings

    def _judge_stack(self, deployment: Deployment, names: Sequence[str]) -> list[Finding]:
        by_urn = deployment.by_urn
        request = proto.AnalyzeStackRequest(
            resources=[write_stack_resource(item, by_urn.get(item.provider or "")) for item in deployment.resources]
        )
        values = (values for item in by_urn.values() for values in (item.inputs, item.outputs))
        redactor = Redactor(self._secrets, *values)
        with _without_secrets(redactor):
            answers = self._ask(lambda: self._client.analyze_stack(request), names)
        findings = []
        outputs = {item.urn: item.outputs for item in deployment.resources}
        for name in self._in_order(answers, names):
            findings += self._violations(name, answers, redactor, by_urn.get)
            ended = self._end(name, answers, redactor, None, blind=outputs, expected=name in names)
            findings += [_placed(finding, deployment) for finding in ended]
        return findings

    def _ask(self, ask: Any, names: Sequence[str]) -> _Answers:
        """Ask all policies at once; one by one, where one of them raised and took the others' answers with it."""
        answers = _Answers()
        try:
            answers.add(ask())
            return answers
        except RefusedError as error:
            if len(names) == 1 and len(self._running) == 1:
                answers.broken[names[0]] = str(error)
                return answers
        for name in names:
            self._client.configure(self._alone(name))
            try:
                answers.add(ask())
            except RefusedError as error:
                answers.broken[name] = str(error)
        self._client.configure(self._settings)
        return answers

    def _alone(self, name: str) -> dict[str, Setting]:
        """Return the settings with all other policies turned off."""
        return {
            other: setting if other == name else replace(setting, level=PackLevel.DISABLED)
            for other, setting in self._settings.items()
        }

    def _in_order(self, answers: _Answers, names: Sequence[str]) -> list[str]:
        """Return the policies to report on, in the pack's order; then names that policies gave to violations."""
        given = (item.policyName for item in answers.diagnostics)
        others = [name for name in self._running if name not in names and name in answers.not_applicable]
        return list(dict.fromkeys((*names, *others, *given)))

    # --- findings ------------------------------------------------------------------------------------------------

    def _violations(self, name: str, answers: _Answers, redactor: Redactor, of: Any) -> list[Finding]:
        findings = []
        for item in answers.diagnostics:
            level = LEVELS.get(item.enforcementLevel, PackLevel.MANDATORY)
            if item.policyName != name or _undecided(item) is not None or level is PackLevel.DISABLED:
                continue
            resource: Resource | None = of(item.urn)
            shown = redactor(item.message)
            description = item.description or self._about(name).description
            violation = shown.removeprefix(description).strip()
            text = f"{description.rstrip(' .:')}: {violation}" if description and violation else shown or description
            finding = self._finding(
                name, Verdict.FAIL, text, resource.urn if resource else item.urn, resource, violation=violation
            )
            severity = _SEVERITIES.get(item.severity, finding.severity)
            findings.append(replace(finding, level=_judged_at(level), severity=severity))
        return findings

    def _end(
        self,
        name: str,
        answers: _Answers,
        redactor: Redactor,
        resource: Resource | None,
        *,
        blind: Any,
        expected: bool,
    ) -> list[Finding]:
        """Return the finding on how a policy ended; none where its violations say it all."""
        said = [item for item in answers.diagnostics if item.policyName == name]
        undecided = next((reason for item in said if (reason := _undecided(item)) is not None), None)
        urn = resource.urn if resource else ""
        if name in answers.broken:
            text = f"The policy itself broke: {redactor(answers.broken[name])}"
            return [self._finding(name, Verdict.ERROR, text, urn, resource)]
        if undecided is not None:
            return [self._undecided(name, redactor(undecided), resource)]
        if said:
            return []
        if name in answers.not_applicable:
            text = redactor(answers.not_applicable[name]) or "Policy does not apply"
            return [self._finding(name, Verdict.NOT_APPLICABLE, text, urn, resource)]
        if not expected:
            return []
        if self._runtime == "opa" and contains_unknown(blind):
            text = "Some of what it may have read is not known before apply, and the pack's language does not tell."
            return [self._finding(name, Verdict.UNKNOWN, text, urn, resource)]
        return [self._finding(name, Verdict.PASS, self._about(name).description, urn, resource)]

    def _undecided(self, name: str, reason: str, resource: Resource | None) -> Finding:
        found = _CANNOT_RUN.search(reason)
        reason = found["reason"] if found else reason
        place = _UNKNOWN_AT.search(reason)
        path = re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", place["path"]) if place else ""
        message = f"{path} is not known before apply." if place else reason
        urn = resource.urn if resource else ""
        return self._finding(name, Verdict.UNKNOWN, message, urn, resource, path=path)

    def _finding(
        self,
        name: str,
        verdict: Verdict,
        message: str,
        urn: str,
        resource: Resource | None,
        *,
        path: str = "",
        violation: str = "",
    ) -> Finding:
        about = self._about(name)
        extra: dict[str, Any] = {"description": about.description, "violation": violation}
        if about.HasField("framework"):
            given = {key.name: value for key, value in about.framework.ListFields()}
            extra["framework"] = given
        return Finding(
            code=name,
            name=name,
            verdict=verdict,
            level=self.level(name) if name in self._settings else Level.MANDATORY,
            severity=_SEVERITIES.get(about.severity, Severity.MEDIUM),
            message=message,
            urn=urn,
            type=resource.type if resource else "",
            resource=resource.name if resource else "",
            path=path,
            remedy=about.remediation_steps if verdict in (Verdict.FAIL, Verdict.UNKNOWN) else "",
            source=resource.source if resource else None,
            source_chain=resource.source_chain if resource else (),
            pack=self.name,
            url=about.url,
            extra=extra,
        )

    def _redactor(self, resource: Resource, provider: Resource | None) -> Redactor:
        return Redactor(self._secrets, resource.inputs, provider.inputs if provider else {})

    def _about(self, name: str) -> proto.PolicyInfo:
        return self._policies.get(name) or proto.PolicyInfo(name=name)

    def _of_kind(self, kind: proto.PolicyType.ValueType) -> list[str]:
        """Return the running policies of a kind. Packs of older SDKs do not tell the kind."""
        return [name for name in self._running if self._policies[name].policy_type == kind]


@contextmanager
def _without_secrets(redactor: Redactor) -> Iterator[None]:
    """Take secrets out of an error that quotes what a pack wrote last."""
    try:
        yield
    except PackError as error:
        raise PackError(redactor(str(error))) from None


def _placed(finding: Finding, deployment: Deployment) -> Finding:
    """Return an undecided finding of a stack policy with the resource that has the unknown, where only one has.

    The SDK's error names the path and no resource.
    """
    if finding.verdict is not Verdict.UNKNOWN or not finding.path:
        return finding
    found = [item for item in deployment.resources if _leads_to_unknown(finding.path, item.outputs)]
    if len(found) != 1:
        return finding
    [resource] = found
    return replace(
        finding,
        urn=resource.urn,
        type=resource.type,
        resource=resource.name,
        source=resource.source,
        source_chain=resource.source_chain,
    )


def _leads_to_unknown(path: str, values: Any) -> bool:
    for key in re.findall(r"[^.\[\]]+", path):
        values = reveal(values)
        if isinstance(values, list) and key.isdecimal() and int(key) < len(values):
            values = values[int(key)]
        elif isinstance(values, Mapping):
            values = values.get(key)
        else:
            return False
    return isinstance(reveal(values), Unknown)


def _judged_at(level: PackLevel) -> Level:
    return Level.MANDATORY if level is PackLevel.REMEDIATE else Level(level.value)


def _undecided(diagnostic: proto.AnalyzeDiagnostic) -> str | None:
    """Return why a policy says that it cannot be decided; None for an ordinary violation."""
    if diagnostic.enforcementLevel != proto.ADVISORY:
        return None
    found = _CANNOT_RUN.match(diagnostic.message)
    return found["reason"] if found else None
