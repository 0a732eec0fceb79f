from __future__ import annotations

import pytest

from ringfence.deployment import UNKNOWN
from ringfence.policy.rule import Rule, Sample
from ringfence.policy.verdict import Verdict
from ringfence_policies.aws import dynamodb
from ringfence_policies.aws.scaling import POLICY, TARGET
from tests.unit.policies.cases import Case, check, check_examples, check_neighbour

READ, WRITE = "dynamodb:table:ReadCapacityUnits", "dynamodb:table:WriteCapacityUnits"
NAMED = {"name": "sessions"}


def target(
    dimension: object, resource: object = "table/sessions", namespace: object = "dynamodb", *, of: str | None = None
) -> Sample:
    inputs = {"serviceNamespace": namespace, "scalableDimension": dimension, "resourceId": resource}
    return Sample(TARGET, inputs, name=f"{dimension}-{resource}", feeds={"resourceId": (of,)} if of else {})


def bounded(low: object = 1, high: object = 100) -> dict[str, object]:
    return {
        "serviceNamespace": "dynamodb",
        "scalableDimension": READ,
        "resourceId": "table/sessions",
        "minCapacity": low,
        "maxCapacity": high,
    }


def policy(name: str = "policy", feeds: dict[str, tuple[str, ...]] | None = None, **more: object) -> Sample:
    inputs = {"policyType": "TargetTrackingScaling", "resourceId": "table/sessions", "scalableDimension": READ, **more}
    return Sample(POLICY, inputs, name=name, feeds=feeds or {})


TABLE: list[tuple[Rule, list[Case]]] = [
    (
        dynamodb.scaling,
        [
            Case("pass", Verdict.PASS, {"billingMode": "PAY_PER_REQUEST"}),
            Case("fail", Verdict.FAIL, {"billingMode": "PROVISIONED"}, path="billingMode"),
            Case("absent", Verdict.FAIL, {}, path="billingMode"),
            Case("unknown", Verdict.UNKNOWN, {"billingMode": UNKNOWN}, path="billingMode"),
            Case("wrong type", Verdict.FAIL, {"billingMode": 1}),
            Case("no such mode", Verdict.FAIL, {"billingMode": "FREE"}),
            Case(
                "no such mode, scaled",
                Verdict.FAIL,
                {**NAMED, "billingMode": "FREE"},
                others=(target(READ), target(WRITE)),
            ),
            Case("targets", Verdict.PASS, NAMED, others=(target(READ), target(WRITE))),
            Case(
                "unknown mode, targets",
                Verdict.PASS,
                {**NAMED, "billingMode": UNKNOWN},
                others=(target(READ), target(WRITE)),
            ),
            Case("one target", Verdict.FAIL, NAMED, others=(target(READ),), path="billingMode"),
            Case("target of another", Verdict.FAIL, NAMED, others=(target(READ), target(WRITE, "table/other"))),
            Case(
                "target of an index",
                Verdict.FAIL,
                NAMED,
                others=(target(READ), target(WRITE, "table/sessions/index/x")),
            ),
            Case(
                "target of an index, unknown",
                Verdict.FAIL,
                {},
                others=(
                    target(READ, UNKNOWN, of="example"),
                    target("dynamodb:index:WriteCapacityUnits", UNKNOWN, of="example"),
                ),
            ),
            Case("target of a service", Verdict.FAIL, NAMED, others=(target(READ), target(WRITE, namespace="ecs"))),
            Case(
                "targets by dependency",
                Verdict.PASS,
                {},
                others=(target(READ, UNKNOWN, of="example"), target(WRITE, UNKNOWN, of="example")),
            ),
            Case(
                "target that two tables went into",
                Verdict.UNKNOWN,
                {},
                others=(
                    Sample(dynamodb.TABLE, {}, "second"),
                    target(READ, UNKNOWN, of="example"),
                    Sample(
                        TARGET,
                        {"serviceNamespace": "dynamodb", "scalableDimension": WRITE, "resourceId": UNKNOWN},
                        feeds={"resourceId": ("example", "second")},
                        name="both",
                    ),
                ),
            ),
            Case("unknown target", Verdict.UNKNOWN, NAMED, others=(target(READ), target(WRITE, UNKNOWN))),
            Case("unknown dimension", Verdict.UNKNOWN, NAMED, others=(target(READ), target(UNKNOWN))),
            Case("unknown and one missing", Verdict.FAIL, NAMED, others=(target(READ, UNKNOWN),)),
            Case("unknown name", Verdict.UNKNOWN, {"name": UNKNOWN}, others=(target(READ), target(WRITE))),
            Case("target of wrong type", Verdict.FAIL, NAMED, others=(target(READ), target(WRITE, 3), target([WRITE]))),
        ],
    ),
    (
        dynamodb.point_in_time_recovery,
        [
            Case("pass", Verdict.PASS, {"pointInTimeRecovery": {"enabled": True}}),
            Case("fail", Verdict.FAIL, {"pointInTimeRecovery": {"enabled": False}}, path="pointInTimeRecovery.enabled"),
            Case("absent", Verdict.FAIL, {}, path="pointInTimeRecovery.enabled"),
            Case("unknown", Verdict.UNKNOWN, {"pointInTimeRecovery": UNKNOWN}, path="pointInTimeRecovery.enabled"),
            Case("wrong type", Verdict.FAIL, {"pointInTimeRecovery": True}),
            Case("text", Verdict.FAIL, {"pointInTimeRecovery": {"enabled": "true"}}),
            Case("list", Verdict.FAIL, {"pointInTimeRecovery": [{"enabled": True}]}),
        ],
    ),
    (
        dynamodb.deletion_protection,
        [
            Case("pass", Verdict.PASS, {"deletionProtectionEnabled": True}),
            Case("fail", Verdict.FAIL, {"deletionProtectionEnabled": False}, path="deletionProtectionEnabled"),
            Case("absent", Verdict.FAIL, {}, path="deletionProtectionEnabled"),
            Case("unknown", Verdict.UNKNOWN, {"deletionProtectionEnabled": UNKNOWN}),
            Case("wrong type", Verdict.FAIL, {"deletionProtectionEnabled": "yes"}),
            Case("list", Verdict.FAIL, {"deletionProtectionEnabled": [True]}),
        ],
    ),
    (
        dynamodb.scaling_bounds,
        [
            Case("pass", Verdict.PASS, bounded(), others=(policy(),)),
            Case("too low", Verdict.FAIL, bounded(0), path="minCapacity", others=(policy(),)),
            Case("too high", Verdict.FAIL, bounded(1, 4001), path="maxCapacity", others=(policy(),)),
            Case("swapped", Verdict.FAIL, bounded(10, 5), path="minCapacity", others=(policy(),)),
            Case("absent", Verdict.FAIL, {"serviceNamespace": "dynamodb"}, path="minCapacity", others=(policy(),)),
            Case("unknown", Verdict.UNKNOWN, bounded(1, UNKNOWN), path="maxCapacity", others=(policy(),)),
            Case("wrong type", Verdict.FAIL, bounded(1, [5]), others=(policy(),)),
            Case("no policy", Verdict.FAIL, bounded(), path="resourceId"),
            Case("policy of another type", Verdict.FAIL, bounded(), others=(policy(policyType="StepScaling"),)),
            Case("policy without a type", Verdict.FAIL, bounded(), others=(policy(policyType=None),)),
            Case("policy of another table", Verdict.FAIL, bounded(), others=(policy(resourceId="table/x"),)),
            Case("policy of the other dimension", Verdict.FAIL, bounded(), others=(policy(scalableDimension=WRITE),)),
            Case(
                "one of several policies",
                Verdict.PASS,
                bounded(),
                others=(policy("a", resourceId="table/x"), policy("b", policyType=UNKNOWN), policy("c")),
            ),
            Case("unknown whose policy", Verdict.UNKNOWN, bounded(), others=(policy(resourceId=UNKNOWN),)),
            Case(
                "policy by dependency",
                Verdict.PASS,
                bounded(),
                others=(policy(resourceId=UNKNOWN, feeds={"resourceId": ("example",)}),),
            ),
            Case(
                "policy of another by dependency",
                Verdict.FAIL,
                bounded(),
                others=(target(WRITE), policy(resourceId=UNKNOWN, feeds={"resourceId": (f"{WRITE}-table/sessions",)})),
            ),
            Case("other service", Verdict.NOT_APPLICABLE, {"serviceNamespace": "ecs", "minCapacity": 0}),
            Case("unknown service", Verdict.UNKNOWN, {**bounded(0), "serviceNamespace": UNKNOWN}),
            Case("parameter", Verdict.FAIL, bounded(), parameters={"maximumCapacity": 50}, others=(policy(),)),
        ],
    ),
]
CASES = [pytest.param(rule, case, id=f"{rule.code}-{case.label}") for rule, cases in TABLE for case in cases]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_verdict(rule: Rule, case: Case) -> None:
    check(rule, case)


@pytest.mark.parametrize("rule", dynamodb.RULES, ids=lambda rule: rule.code)
def test_examples(rule: Rule) -> None:
    check_examples(rule)


@pytest.mark.parametrize("rule", dynamodb.RULES, ids=lambda rule: rule.code)
def test_neighbours_are_left_alone(rule: Rule) -> None:
    check_neighbour(rule, "aws:dynamodb/globalTable:GlobalTable")


def test_every_rule_has_a_table() -> None:
    assert [rule.code for rule in dynamodb.RULES] == [rule.code for rule, _ in TABLE]
