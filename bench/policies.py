"""Ordinary policies and the resources they judge, for the servers that `bench.analyzer` compares.

The policies are what people write: a look at the type, then at a few properties, and a violation where one is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pulumi.runtime import proto
from pulumi_policy import (
    Policy,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)

__all__ = ["analyze_requests", "policies", "stack_request"]

_TYPES = 10
_PROPERTIES = 15


def _token(number: int) -> str:
    return f"bench:index:Type{number % _TYPES}"


def _resource_policy(number: int) -> ResourceValidationPolicy:
    token = _token(number)

    def validate(args: ResourceValidationArgs, report_violation: ReportViolation) -> None:
        if args.resource_type != token:
            return
        settings = args.props[f"property{number % _PROPERTIES}"]
        if any(rule["port"] == 22 for rule in settings["rules"]):
            report_violation("Port 22 is open.")
        if not settings["enabled"]:
            report_violation("It is switched off.")

    return ResourceValidationPolicy(name=f"resource-{number}", description=f"Policy {number}.", validate=validate)


def _stack_policy(number: int) -> StackValidationPolicy:
    token = _token(number)

    def validate(args: StackValidationArgs, report_violation: ReportViolation) -> None:
        for resource in args.resources:
            if resource.resource_type == token and not resource.dependencies and "name" not in resource.props:
                report_violation("It has no name.", resource.urn)

    return StackValidationPolicy(name=f"stack-{number}", description=f"Stack policy {number}.", validate=validate)


def policies(resource: int, stack: int) -> list[Policy]:
    """Return policies: about one resource each, of ten types in turn, and about the stack."""
    return [*map(_resource_policy, range(resource)), *map(_stack_policy, range(stack))]


def _properties(number: int) -> dict[str, Any]:
    def nested(index: int) -> dict[str, Any]:
        return {"enabled": True, "rules": [{"port": 443.0 + number, "name": f"rule {index}"}]}

    return {"name": f"resource-{number}", **{f"property{index}": nested(index) for index in range(_PROPERTIES)}}


def _filled(message: Callable[..., Any], number: int) -> Any:
    token = _token(number)
    request = message(
        type=token,
        urn=f"urn:pulumi:dev::bench::{token}::resource-{number}",
        name=f"resource-{number}",
        options=proto.AnalyzerResourceOptions(customTimeouts=proto.AnalyzerResourceOptions.CustomTimeouts()),
        provider=proto.AnalyzerProviderResource(
            type="pulumi:providers:bench", urn="urn:pulumi:dev::bench::pulumi:providers:bench::default", name="default"
        ),
    )
    request.properties.update(_properties(number))
    request.provider.properties.update({"region": "north"})
    return request


def analyze_requests(count: int) -> list[proto.AnalyzeRequest]:
    """Return what the engine sends for `count` resources of ten types."""
    return [_filled(proto.AnalyzeRequest, number) for number in range(count)]


def stack_request(count: int) -> proto.AnalyzeStackRequest:
    """Return what the engine sends for the stack of these resources."""
    return proto.AnalyzeStackRequest(resources=[_filled(proto.AnalyzerResource, number) for number in range(count)])
