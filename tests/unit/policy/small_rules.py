"""A small pack and small resources for the tests of the machinery."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ringfence.deployment import Resource, SourceLine
from ringfence.policy.checks import between, is_true, require
from ringfence.policy.graph import ResourceView
from ringfence.policy.pack import Pack
from ringfence.policy.rule import Check, Parameter, Parameters, Rule, Sample
from ringfence.policy.verdict import Level, Outcome, Severity

BUCKET = "test:storage:Bucket"
QUEUE = "test:queue:Queue"


def make_rule(check: Check, code: str = "TS01", name: str = "test-rule", **metadata: Any) -> Rule:
    """Return a rule whose metadata does not matter."""
    facts: dict[str, Any] = {
        "title": "Buckets are closed",
        "types": (BUCKET,),
        "severity": Severity.HIGH,
        "level": Level.MANDATORY,
        "why": "Because.",
        "reads": "closed",
        "absent": "It is open.",
        "remedy": "Close it.",
        "sources": ("project",),
        "bad": (Sample(BUCKET, {"closed": False}),),
        "good": (Sample(BUCKET, {"closed": True}),),
        **metadata,
    }
    return Rule(code=code, name=name, check=check, **facts)


def closed(resource: ResourceView, parameters: Parameters) -> Outcome:
    return require(resource["closed"], is_true(), absent="fail")


def bounded(resource: ResourceView, parameters: Parameters) -> Outcome:
    return require(resource["size"], between(0, parameters["maximum"]), absent="pass")


MAXIMUM = Parameter("maximum", "integer", 10, "The largest size.", minimum=1, maximum=100)

SMALL = Pack(
    "ringfence",
    "1.0.0",
    (
        make_rule(closed, "TS01", "bucket-closed"),
        make_rule(bounded, "TS02", "bucket-bounded", level=Level.ADVISORY, parameters=(MAXIMUM,)),
        make_rule(closed, "TS03", "bucket-closed-twice", level=Level.DISABLED, profile="strict"),
        make_rule(closed, "QU01", "queue-closed", types=(QUEUE,)),
    ),
)


def resource(type_: str = BUCKET, name: str = "one", **changes: Any) -> Resource:
    """Return a resource of a stack `dev` of a project `shop`."""
    facts = {
        "urn": f"urn:pulumi:dev::shop::{type_}::{name}",
        "type": type_,
        "name": name,
        "inputs": {},
        "source": SourceLine("/shop/__main__.py", 3),
        **changes,
    }
    return Resource(**facts)


def codes(findings: Iterable[Any]) -> list[str]:
    return [finding.code for finding in findings]
