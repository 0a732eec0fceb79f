"""The analyzer of a pack of ordinary `pulumi_policy` policies: what the SDK's own server answers, for less work.

Answers are those of the SDK's server, with two exceptions, both on purpose. A policy that raises fails there the
request, and with it every other policy; here it is a violation of that policy alone, at its level. And values that the
program marked secret are taken out of what policies say.
"""

from __future__ import annotations

import contextvars
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import isawaitable
from types import MappingProxyType
from typing import Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime import proto
from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyResource,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Severity,
    StackValidationArgs,
    StackValidationPolicy,
)

from ringfence.policy._pulumi_policy import (
    STOCK_VERSION,
    CapturedPack,
    NotApplicableError,
    UnknownValueError,
    Validation,
    configure_from_environment,
    deserialize,
    metadata,
    serialize,
    validation_of,
)
from ringfence.policy.analyzer_wire import WireError, holds_secret, read_struct
from ringfence.policy.arguments import ArgumentMaker, LazyResource, RequestSubject
from ringfence.policy.crossguard_evaluate import wait_for
from ringfence.policy.redaction import Redactor

__all__ = ["PolicyAnalyzer"]

_LEVELS = {level: getattr(proto, level.name) for level in EnforcementLevel}
_FROM_WIRE: dict[int, EnforcementLevel] = {number: level for level, number in _LEVELS.items()}
_SEVERITIES = {severity: getattr(proto, f"POLICY_SEVERITY_{severity.name}") for severity in Severity}


@dataclass(frozen=True, slots=True)
class _Running:
    """A policy that is not disabled, as one run configures it."""

    policy: Policy
    level: EnforcementLevel
    reported: proto.EnforcementLevel.ValueType
    """The level on the wire. One that remediates and still finds a violation is mandatory; so is one of a stack."""
    properties: dict[str, Any] | None
    validate: Validation | None
    """What judges; None for a policy that only remediates."""


class PolicyAnalyzer:
    """Answers for a pack of policies. Safe to call from several threads."""

    version = STOCK_VERSION
    """That of pulumi_policy, as its own server says."""

    def __init__(self, pack: CapturedPack) -> None:
        self._pack = pack
        self._info = metadata(pack.stock)
        self._running = self._configured({}, {})
        self._tags: Mapping[str, str] = MappingProxyType({})
        # Everything that the SDK keeps per run lives in context variables: each request starts from this state.
        self._context = contextvars.copy_context()
        self._context.run(configure_from_environment)

    # --- set-up --------------------------------------------------------------------------------------------------

    def info(self) -> proto.AnalyzerInfo:
        """Return the metadata of the pack and of its policies."""
        return self._info

    def configure(self, request: proto.ConfigureAnalyzerRequest) -> None:
        """Take levels and properties."""
        given = request.policyConfig
        for name in given:
            if given[name].enforcementLevel not in _FROM_WIRE:
                raise WireError(f"{name}.enforcementLevel: {given[name].enforcementLevel} is no level of the protocol")
        self._running = self._configured(
            {name: _FROM_WIRE[given[name].enforcementLevel] for name in given},
            {name: json_format.MessageToDict(given[name].properties) for name in given},
        )

    def configure_stack(self, request: proto.AnalyzerStackConfigureRequest) -> None:
        """Take the stack's tags; policies learn the rest from the environment, as under the SDK's server."""
        self._tags = MappingProxyType(dict(request.tags))

    # --- answers -------------------------------------------------------------------------------------------------

    def analyze(self, request: proto.AnalyzeRequest) -> proto.AnalyzeResponse:
        """Judge one resource by its inputs."""
        return self._context.copy().run(self._analyze, request)

    def analyze_stack(self, request: proto.AnalyzeStackRequest) -> proto.AnalyzeResponse:
        """Judge the stack as a whole."""
        return self._context.copy().run(self._analyze_stack, request)

    def remediate(self, request: proto.AnalyzeRequest) -> proto.RemediateResponse:
        """Let the policies whose level is `remediate` rewrite a resource, one after the other."""
        if not any(running.level is EnforcementLevel.REMEDIATE for running in self._running):
            return proto.RemediateResponse()
        return self._context.copy().run(self._remediate, request)

    # --- how -----------------------------------------------------------------------------------------------------

    def _configured(
        self, levels: Mapping[str, EnforcementLevel], properties: Mapping[str, dict[str, Any]]
    ) -> tuple[_Running, ...]:
        running = []
        for policy in self._pack.policies:
            level = levels.get(policy.name) or policy.enforcement_level or self._pack.level
            if level is not EnforcementLevel.DISABLED:
                reported = EnforcementLevel.MANDATORY if level is EnforcementLevel.REMEDIATE else level
                given = properties.get(policy.name) or None
                running.append(_Running(policy, level, _LEVELS[reported], given, validation_of(policy)))
        return tuple(running)

    def _analyze(self, request: proto.AnalyzeRequest) -> proto.AnalyzeResponse:
        answer = _Answer(self._pack, lambda: _secrets(request))
        running = [item for item in self._running if isinstance(item.policy, ResourceValidationPolicy)]
        arguments = ArgumentMaker(RequestSubject(request), self._tags) if running else None
        for item in running:
            if arguments is None or item.validate is None:
                answer.not_applicable(item.policy, "Policy does not implement validate")
            else:
                answer.run(item, item.validate, arguments.make(item.properties))
        return answer.response

    def _analyze_stack(self, request: proto.AnalyzeStackRequest) -> proto.AnalyzeResponse:
        answer = _Answer(self._pack, lambda: _secrets(*request.resources))
        subjects: list[RequestSubject] | None = None
        for item in self._running:
            if item.validate is None or not isinstance(item.policy, StackValidationPolicy):
                continue
            if subjects is None:
                subjects = [RequestSubject(resource) for resource in request.resources]
            resources = _linked(request, subjects)
            properties = item.properties.copy() if item.properties else None
            answer.run(item, item.validate, StackValidationArgs(resources, properties, self._tags))
        return answer.response

    def _remediate(self, request: proto.AnalyzeRequest) -> proto.RemediateResponse:
        response = proto.RemediateResponse()
        subject = RequestSubject(request)
        # One policy sees what the one before it wrote.
        props: Any = deserialize(json_format.MessageToDict(request.properties), True)
        opts, provider = subject.options(), subject.provider()
        for running in self._running:
            policy = running.policy
            if running.level is not EnforcementLevel.REMEDIATE or not isinstance(policy, ResourceValidationPolicy):
                continue
            if not policy.has_remediation():
                response.not_applicable.add(policy_name=policy.name, reason="Policy does not implement remediate")
                continue
            properties = running.properties.copy() if running.properties else None
            args = ResourceValidationArgs(
                request.type, props, request.urn, request.name, opts, provider, properties, self._tags
            )
            rewritten, diagnostic = None, ""
            try:
                result: Any = policy.remediate(args)
                if isawaitable(result):
                    result = wait_for(result)
                if result:
                    props, rewritten = result, Struct()
                    for key, value in serialize(result).items():
                        rewritten[key] = value
            except UnknownValueError as error:
                diagnostic = f"{_cannot_run(self._pack, policy, 'remediation')}: {error.message}"
            except NotApplicableError as error:
                response.not_applicable.add(policy_name=policy.name, reason=error.reason or "")
            except (Exception, SystemExit) as error:
                rewritten, diagnostic = None, _broken("remediation", error, _secrets(request))
            if rewritten is not None or diagnostic:
                response.remediations.add(
                    policyName=policy.name,
                    policyPackName=self._info.name,
                    policyPackVersion=self._info.version,
                    description=policy.description,
                    properties=rewritten,
                    diagnostic=diagnostic,
                )
        return response


class _Answer:
    """Collects what policies say."""

    def __init__(self, pack: CapturedPack, redactor: Callable[[], Redactor | None]) -> None:
        self.response = proto.AnalyzeResponse()
        self._pack = pack
        self._make_redactor = redactor
        self._redactor: Redactor | None = None
        self._looked = False

    def not_applicable(self, policy: Policy, reason: str) -> None:
        """Add that a policy says nothing of this."""
        self.response.not_applicable.add(policy_name=policy.name, reason=reason)

    def run(self, running: _Running, validate: Validation, args: ResourceValidationArgs | StackValidationArgs) -> None:
        """Add what a policy says."""
        policy = running.policy

        def report_violation(message: str, urn: str | None = None) -> None:
            if message and not isinstance(message, str):
                raise TypeError("Expected message to be a string")
            if urn is not None and not isinstance(urn, str):
                raise TypeError("Expected urn to be a string")
            self._violation(running, message, urn or "")

        try:
            result = validate(args, report_violation)
            if result is not None and isawaitable(result):
                wait_for(result)
        except UnknownValueError as error:
            self.response.diagnostics.add(
                policyName=policy.name,
                policyPackName=self._pack.name,
                policyPackVersion=_VERSION,
                message=f"{_cannot_run(self._pack, policy, 'policy')}: {error.message}",
                description=policy.description,
                enforcementLevel=proto.ADVISORY,
            )
        except NotApplicableError as error:
            self.not_applicable(policy, error.reason or "")
        except (Exception, SystemExit) as error:  # a broken policy must not hide the others
            self._violation(running, _broken("policy", error, self._redact()), "")

    def _violation(self, running: _Running, message: str, urn: str) -> None:
        policy = running.policy
        text = policy.description
        if message:
            redact = self._redact()
            text += f"\n{redact(message) if redact else message}"
        self.response.diagnostics.add(
            policyName=policy.name,
            policyPackName=self._pack.name,
            policyPackVersion=_VERSION,
            message=text,
            urn=urn,
            description=policy.description,
            enforcementLevel=running.reported,
            severity=_SEVERITIES[policy.severity] if policy.severity else proto.POLICY_SEVERITY_UNSPECIFIED,
        )

    def _redact(self) -> Redactor | None:
        if not self._looked:
            self._redactor, self._looked = self._make_redactor(), True
        return self._redactor


_VERSION = "0.0.1"
"""What the SDK says of every pack; the engine takes the version from PulumiPolicy.yaml."""


def _cannot_run(pack: CapturedPack, policy: Policy, what: str) -> str:
    return f"can't run {what} '{policy.name}' from policy pack '{pack.name}@v{_VERSION}' during preview"


def _broken(what: str, error: BaseException, redact: Redactor | None) -> str:
    # Validations that are coroutines come wrapped by the SDK.
    cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
    text = " ".join(str(cause).split())
    frames = traceback.extract_tb(cause.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    message = f"The {what} itself broke: {type(cause).__name__}{': ' if text else ''}{text}"
    return f"{redact(message) if redact else message}{place}"


def _secrets(*requests: proto.AnalyzeRequest | proto.AnalyzerResource) -> Redactor | None:
    """Return what takes the secrets of these resources, and of their providers, out of a text; None without any."""
    structs = [item.properties for item in requests]
    structs += [item.provider.properties for item in requests if item.HasField("provider")]
    secret = [struct for struct in structs if holds_secret(struct)]
    return Redactor(*map(read_struct, secret)) if secret else None


def _linked(request: proto.AnalyzeStackRequest, subjects: list[RequestSubject]) -> list[PolicyResource]:
    """Return the resources of the stack, linked with each other, for one policy alone."""
    resources: list[PolicyResource] = [LazyResource(subject) for subject in subjects]
    by_urn = {resource.urn: resource for resource in resources}
    for resource, item in zip(resources, request.resources, strict=True):
        resource.parent = by_urn.get(item.parent)
        resource.dependencies = [by_urn[urn] for urn in item.dependencies if urn in by_urn]
        feeds = item.propertyDependencies
        resource.property_dependencies = {
            key: [by_urn[urn] for urn in feeds[key].urns if urn in by_urn] for key in feeds
        }
    return resources
