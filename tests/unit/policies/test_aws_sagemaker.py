from __future__ import annotations

from typing import Any

import pytest

from ringfence.deployment import UNKNOWN
from ringfence.policy.rule import Rule, Sample
from ringfence.policy.verdict import Verdict
from ringfence_policies.aws import sagemaker
from ringfence_policies.aws.scaling import TARGET
from tests.unit.policies.cases import Case, check, check_examples, check_neighbour

SUBNET = Sample("aws:ec2/subnet:Subnet", {}, name="subnet")
KNOWN = {"name": "config", "arn": "arn:config", "id": "config"}


def variants(*items: Any) -> dict[str, Any]:
    return {"productionVariants": list(items)}


def variant(name: Any = "blue", **more: Any) -> dict[str, Any]:
    return {"variantName": name, "instanceType": "ml.m5.large", **more}


def managed(low: Any = 1, high: Any = 4, status: Any = "ENABLED") -> dict[str, Any]:
    return variant(managedInstanceScaling={"status": status, "minInstanceCount": low, "maxInstanceCount": high})


def endpoint(
    configuration: Any = "config", feeds: dict[str, tuple[str, ...]] | None = None, name: Any = "live"
) -> Sample:
    return Sample(sagemaker.ENDPOINT, {"name": name, "endpointConfigName": configuration}, "endpoint", feeds or {})


def target(
    resource: Any = "endpoint/live/variant/blue", low: Any = 1, high: Any = 4, *, of: str | None = None, **more: Any
) -> Sample:
    inputs = {
        "serviceNamespace": "sagemaker",
        "scalableDimension": "sagemaker:variant:DesiredInstanceCount",
        "resourceId": resource,
        "minCapacity": low,
        "maxCapacity": high,
        **more,
    }
    return Sample(TARGET, inputs, name=f"target-{resource}", feeds={"resourceId": (of,)} if of else {})


SERVERLESS = variant(serverlessConfig={"maxConcurrency": 5, "memorySizeInMb": 2048})
MIN = "productionVariants[0].managedInstanceScaling.minInstanceCount"
MAX = "productionVariants[0].managedInstanceScaling.maxInstanceCount"
BY_DEPENDENCY = endpoint(UNKNOWN, {"endpointConfigName": ("example",)}, name=UNKNOWN)


def metadata(version: Any) -> dict[str, Any]:
    return {"instanceMetadataServiceConfiguration": {"minimumInstanceMetadataServiceVersion": version}}


def enum_cases(key: str) -> list[Case]:
    return [
        Case("pass", Verdict.PASS, {key: "Disabled"}),
        Case("fail", Verdict.FAIL, {key: "Enabled"}, path=key),
        Case("absent", Verdict.FAIL, {}, path=key),
        Case("unknown", Verdict.UNKNOWN, {key: UNKNOWN}, path=key),
        Case("wrong type", Verdict.FAIL, {key: False}),
        Case("list", Verdict.FAIL, {key: ["Disabled"]}),
    ]


TABLE: list[tuple[Rule, list[Case]]] = [
    (sagemaker.no_direct_internet, enum_cases("directInternetAccess")),
    (
        sagemaker.in_vpc,
        [
            Case("pass", Verdict.PASS, {"subnetId": "subnet-1"}),
            Case("fail", Verdict.FAIL, {"subnetId": ""}, path="subnetId"),
            Case("absent", Verdict.FAIL, {"securityGroups": ["sg-1"]}, path="subnetId"),
            Case("unknown", Verdict.UNKNOWN, {"subnetId": UNKNOWN}, path="subnetId"),
            Case(
                "unknown but set",
                Verdict.PASS,
                {"subnetId": UNKNOWN},
                others=(SUBNET,),
                feeds={"subnetId": ("subnet",)},
            ),
            Case("wrong type", Verdict.FAIL, {"subnetId": True}),
            Case("list", Verdict.FAIL, {"subnetId": ["subnet-1"]}),
        ],
    ),
    (sagemaker.no_root, enum_cases("rootAccess")),
    (
        sagemaker.metadata_service,
        [
            Case("pass", Verdict.PASS, metadata("2")),
            Case("number", Verdict.PASS, metadata(2.0)),
            Case("fail", Verdict.FAIL, metadata("1")),
            Case("absent", Verdict.FAIL, {}),
            Case("no version", Verdict.FAIL, {"instanceMetadataServiceConfiguration": {}}),
            Case("unknown", Verdict.UNKNOWN, metadata(UNKNOWN)),
            Case("wrong type", Verdict.FAIL, {"instanceMetadataServiceConfiguration": "2"}),
            Case("boolean", Verdict.FAIL, metadata(True)),
            Case("list", Verdict.FAIL, metadata(["2"])),
        ],
    ),
    (
        sagemaker.scaling_bounds,
        [
            Case("pass", Verdict.PASS, variants(managed())),
            Case("equal bounds", Verdict.PASS, variants(managed(2, 2))),
            Case("down to none", Verdict.PASS, variants(managed(0, 2))),
            Case("fail", Verdict.FAIL, variants(managed(5, 4)), path=MIN),
            Case("over the cap", Verdict.FAIL, variants(managed(1, 11)), path=MAX),
            Case("never an instance", Verdict.FAIL, variants(managed(0, 0)), path=MAX),
            Case("no upper bound", Verdict.FAIL, variants(managed(1, None)), path=MAX),
            Case("no lower bound", Verdict.FAIL, variants(managed(None, 4)), path=MIN),
            Case("absent", Verdict.FAIL, variants(variant()), path="productionVariants[0].managedInstanceScaling"),
            Case("off", Verdict.FAIL, variants(managed(status="DISABLED"))),
            Case("no variants", Verdict.NOT_APPLICABLE, {}),
            Case("unknown variants", Verdict.UNKNOWN, {"productionVariants": UNKNOWN}),
            Case("unknown", Verdict.UNKNOWN, variants(variant(managedInstanceScaling=UNKNOWN))),
            Case("unknown status", Verdict.UNKNOWN, variants(managed(status=UNKNOWN))),
            Case("unknown bound", Verdict.UNKNOWN, variants(managed(UNKNOWN, 4)), path=MIN),
            Case("unknown lower, bad upper", Verdict.FAIL, variants(managed(UNKNOWN, 40)), path=MAX),
            Case("wrong type", Verdict.FAIL, variants(managed("one", 4)), path=MIN),
            Case("wrong type of scaling", Verdict.FAIL, variants(variant(managedInstanceScaling=True))),
            Case("wrong type of variant", Verdict.FAIL, variants("blue"), path="productionVariants[0]"),
            Case("null variant", Verdict.FAIL, variants(None), path="productionVariants[0]"),
            Case("wrong type of variants", Verdict.FAIL, {"productionVariants": "blue"}),
            Case(
                "one bad variant",
                Verdict.FAIL,
                variants(managed(), variant("green"), SERVERLESS),
                path="productionVariants[1].managedInstanceScaling",
            ),
            Case("serverless", Verdict.NOT_APPLICABLE, variants(SERVERLESS)),
            Case("perhaps serverless", Verdict.UNKNOWN, variants(variant(serverlessConfig=UNKNOWN))),
            Case("serverless of wrong type", Verdict.FAIL, variants(variant(serverlessConfig="yes"))),
            Case("target", Verdict.PASS, variants(variant()), others=(endpoint(), target()), outputs=KNOWN),
            Case(
                "target without a good upper bound",
                Verdict.FAIL,
                variants(variant()),
                path="productionVariants[0]",
                others=(endpoint(), target(high=100)),
                outputs=KNOWN,
            ),
            Case(
                "target, bounds swapped",
                Verdict.FAIL,
                variants(variant()),
                others=(endpoint(), target(low=5)),
                outputs=KNOWN,
            ),
            Case(
                "target, unknown bound",
                Verdict.UNKNOWN,
                variants(variant()),
                others=(endpoint(), target(high=UNKNOWN)),
                outputs=KNOWN,
            ),
            Case(
                "target of another variant",
                Verdict.FAIL,
                variants(variant()),
                others=(endpoint(), target("endpoint/live/variant/green")),
                outputs=KNOWN,
            ),
            Case(
                "target of another dimension",
                Verdict.FAIL,
                variants(variant()),
                others=(endpoint(), target(scalableDimension="sagemaker:inference-component:DesiredCopyCount")),
                outputs=KNOWN,
            ),
            Case(
                "endpoint of another configuration",
                Verdict.FAIL,
                variants(variant()),
                others=(endpoint("x"), target()),
                outputs=KNOWN,
            ),
            Case("no endpoint", Verdict.FAIL, variants(variant()), others=(target(),), outputs=KNOWN),
            Case(
                "target by dependency",
                Verdict.PASS,
                variants(variant()),
                others=(BY_DEPENDENCY, target(UNKNOWN, of="endpoint")),
            ),
            Case(
                "target by dependency, of one of two variants",
                Verdict.UNKNOWN,
                variants(variant(), variant("green")),
                others=(BY_DEPENDENCY, target(UNKNOWN, of="endpoint")),
            ),
            Case(
                "one of two variants has a target",
                Verdict.FAIL,
                variants(variant(), variant("green")),
                path="productionVariants[1].managedInstanceScaling",
                others=(endpoint(), target()),
                outputs=KNOWN,
            ),
            Case(
                "unknown target",
                Verdict.UNKNOWN,
                variants(variant()),
                others=(endpoint(), target(UNKNOWN)),
                outputs=KNOWN,
            ),
            Case(
                "unknown endpoint",
                Verdict.UNKNOWN,
                variants(variant()),
                others=(endpoint(UNKNOWN), target()),
                outputs=KNOWN,
            ),
            Case("parameter", Verdict.FAIL, variants(managed()), parameters={"maximumInstances": 3}),
        ],
    ),
    (
        sagemaker.no_ssm_access,
        [
            Case("pass", Verdict.PASS, variants(variant(enableSsmAccess=False))),
            Case("absent", Verdict.PASS, variants(variant())),
            Case(
                "fail",
                Verdict.FAIL,
                variants(variant(enableSsmAccess=True)),
                path="productionVariants[0].enableSsmAccess",
            ),
            Case(
                "one bad variant",
                Verdict.FAIL,
                variants(variant(), variant(enableSsmAccess=True), variant()),
                path="productionVariants[1].enableSsmAccess",
            ),
            Case(
                "shadow variant",
                Verdict.FAIL,
                {**variants(variant()), "shadowProductionVariants": [variant(enableSsmAccess=True)]},
                path="shadowProductionVariants[0].enableSsmAccess",
            ),
            Case("unknown", Verdict.UNKNOWN, variants(variant(), variant(enableSsmAccess=UNKNOWN))),
            Case("unknown variant", Verdict.UNKNOWN, variants(variant(), UNKNOWN)),
            Case("bad beside an unknown", Verdict.FAIL, variants(UNKNOWN, variant(enableSsmAccess=True))),
            Case("wrong type", Verdict.FAIL, variants(variant(enableSsmAccess="true"))),
            Case("wrong type of variants", Verdict.FAIL, {"productionVariants": variant()}),
            Case("no variants", Verdict.PASS, {}),
        ],
    ),
]
CASES = [pytest.param(rule, case, id=f"{rule.code}-{case.label}") for rule, cases in TABLE for case in cases]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_verdict(rule: Rule, case: Case) -> None:
    check(rule, case)


@pytest.mark.parametrize("rule", sagemaker.RULES, ids=lambda rule: rule.code)
def test_examples(rule: Rule) -> None:
    check_examples(rule)


@pytest.mark.parametrize("rule", sagemaker.RULES, ids=lambda rule: rule.code)
def test_neighbours_are_left_alone(rule: Rule) -> None:
    check_neighbour(rule, "aws:sagemaker/domain:Domain")


def test_every_rule_has_a_table() -> None:
    assert [rule.code for rule in sagemaker.RULES] == [rule.code for rule, _ in TABLE]
