from __future__ import annotations

import importlib
import json
from typing import Any

import pytest

from ringfence.deployment import UNKNOWN
from ringfence.policy.rule import Rule, Sample
from ringfence.policy.verdict import Verdict
from ringfence.providers.sdk_types import describe
from ringfence_policies.aws import iam_trust
from ringfence_policies.aws.iam import POLICY, ROLE
from ringfence_policies.aws.iam_trust import SERVICES
from ringfence_policies.aws.lambda_ import FUNCTION
from tests.unit.policies.cases import Case, check, check_examples, check_neighbour

MODEL = "aws:sagemaker/model:Model"
TASK = "aws:ecs/taskDefinition:TaskDefinition"
ARN = "arn:aws:iam::111122223333:role/score"
MINE = {"executionRoleArn": ARN}
LOGS = "arn:aws:logs:*:*:*"


def trust(principal: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more}


def service(*names: Any) -> dict[str, Any]:
    return {"Service": [f"{name}.amazonaws.com" for name in names]}


def role(*statements: Any, name: str = "role", arn: str = ARN) -> Sample:
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    return Sample(ROLE, {"assumeRolePolicy": text}, name=name, outputs={"arn": arn})


def stated(resource: Any, effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Statement": [{"Effect": effect, "Action": "logs:PutLogEvents", "Resource": resource, **more}]}


def policy(*resources: Any) -> dict[str, Any]:
    return {"policy": json.dumps(stated(list(resources)))}


def trusted(label: str, verdict: Verdict, inputs: dict[str, Any], *others: Sample, **more: Any) -> Case:
    return Case(label, verdict, inputs, type=more.pop("type", MODEL), others=others, **more)


SAGEMAKER, LAMBDA = role(trust(service("sagemaker"))), role(trust(service("lambda")))

TABLE: list[tuple[Rule, list[Case]]] = [
    (
        iam_trust.role_trusts_its_service,
        [
            trusted("pass", Verdict.PASS, MINE, SAGEMAKER),
            trusted("fail", Verdict.FAIL, MINE, LAMBDA, path="executionRoleArn"),
            trusted("one service of several", Verdict.PASS, MINE, role(trust(service("lambda", "sagemaker")))),
            trusted(
                "one statement of several", Verdict.PASS, MINE, role(trust({"AWS": ARN}), trust(service("sagemaker")))
            ),
            trusted("another case", Verdict.PASS, MINE, role(trust({"Service": "SageMaker.amazonaws.com"}))),
            trusted("a service of another name", Verdict.FAIL, MINE, role(trust({"Service": "sagemaker.evil.com"}))),
            trusted(
                "regional name",
                Verdict.PASS,
                {"roleArn": ARN},
                role(trust({"Service": "states.eu-west-1.amazonaws.com"})),
                type="aws:sfn/stateMachine:StateMachine",
            ),
            trusted("everyone", Verdict.PASS, MINE, role(trust("*"))),
            trusted("denied", Verdict.FAIL, MINE, role(trust(service("sagemaker"), Effect="Deny"))),
            trusted("another action", Verdict.FAIL, MINE, role(trust(service("sagemaker"), Action="sts:TagSession"))),
            trusted("an account", Verdict.FAIL, MINE, role(trust({"AWS": "111122223333"}))),
            trusted("no document", Verdict.FAIL, MINE, Sample(ROLE, {}, "role", outputs={"arn": ARN})),
            trusted(
                "malformed", Verdict.FAIL, MINE, Sample(ROLE, {"assumeRolePolicy": "{"}, "role", outputs={"arn": ARN})
            ),
            trusted(
                "unknown trust",
                Verdict.UNKNOWN,
                MINE,
                Sample(ROLE, {"assumeRolePolicy": UNKNOWN}, "role", outputs={"arn": ARN}),
            ),
            trusted(
                "unknown beside what trusts",
                Verdict.PASS,
                MINE,
                Sample(
                    ROLE,
                    {"assumeRolePolicy": {"Statement": [UNKNOWN, trust(service("sagemaker"))]}},
                    "role",
                    outputs={"arn": ARN},
                ),
            ),
            trusted("absent", Verdict.NOT_APPLICABLE, {}, LAMBDA),
            trusted("unknown", Verdict.UNKNOWN, {"executionRoleArn": UNKNOWN}, LAMBDA),
            trusted("role of another stack", Verdict.UNKNOWN, {"executionRoleArn": "arn:x"}, LAMBDA),
            trusted("wrong type", Verdict.FAIL, {"executionRoleArn": [ARN]}, LAMBDA),
            trusted(
                "by dependency",
                Verdict.FAIL,
                {"executionRoleArn": UNKNOWN},
                role(trust(service("lambda")), arn="arn:other"),
                feeds={"executionRoleArn": ("role",)},
            ),
            trusted(
                "one of two roles is wrong",
                Verdict.FAIL,
                {"taskRoleArn": ARN, "executionRoleArn": "arn:2"},
                role(trust(service("ecs-tasks"))),
                role(trust(service("lambda")), name="two", arn="arn:2"),
                path="executionRoleArn",
                type=TASK,
            ),
            trusted("function", Verdict.PASS, {"role": ARN}, LAMBDA, type=FUNCTION),
            trusted("function with another's", Verdict.FAIL, {"role": ARN}, SAGEMAKER, type=FUNCTION, path="role"),
        ],
    ),
    (
        iam_trust.no_nameless_arn,
        [
            Case("pass", Verdict.PASS, policy("arn:aws:logs:eu-west-1:111122223333:log-group:score:*"), type=POLICY),
            Case("fail", Verdict.FAIL, policy(LOGS), path="policy.Statement[0].Resource[0]", type=POLICY),
            Case(
                "one of a list",
                Verdict.FAIL,
                policy(f"{ARN}/x", LOGS),
                path="policy.Statement[0].Resource[1]",
                type=POLICY,
            ),
            Case("all of a type", Verdict.FAIL, policy("arn:aws:dynamodb:*:*:table/*"), type=POLICY),
            Case("all of a type, in depth", Verdict.FAIL, policy("arn:aws:logs:*:*:log-group:*:*"), type=POLICY),
            Case("region told", Verdict.FAIL, policy("arn:aws:logs:eu-west-1:*:*"), type=POLICY),
            Case("all buckets", Verdict.FAIL, policy("arn:aws:s3:::*"), type=POLICY),
            Case("all objects of a bucket", Verdict.PASS, policy("arn:aws:s3:::models/*"), type=POLICY),
            Case("name told", Verdict.PASS, policy("arn:aws:logs:*:*:log-group:/aws/lambda/score-*"), type=POLICY),
            Case("account told", Verdict.PASS, policy("arn:aws:logs:*:111122223333:*"), type=POLICY),
            Case("left to other rules", Verdict.PASS, policy("*"), type=POLICY),
            Case("denied", Verdict.PASS, {"policy": json.dumps(stated(LOGS, "Deny"))}, type=POLICY),
            Case("inline policy of a role", Verdict.FAIL, {"inlinePolicies": [policy(LOGS)]}, type=ROLE),
            Case("role without one", Verdict.NOT_APPLICABLE, {}, type=ROLE),
            Case("absent", Verdict.NOT_APPLICABLE, {}, type=POLICY),
            Case("unknown", Verdict.UNKNOWN, {"policy": UNKNOWN}, type=POLICY),
            Case("unknown resource", Verdict.UNKNOWN, {"policy": stated(UNKNOWN)}, type=POLICY),
            Case("unknown beside a bad one", Verdict.FAIL, {"policy": stated([UNKNOWN, LOGS])}, type=POLICY),
            Case("wrong type", Verdict.FAIL, {"policy": stated(7)}, type=POLICY),
            Case("no document", Verdict.FAIL, {"policy": "x"}, type=POLICY),
        ],
    ),
]
CASES = [pytest.param(rule, case, id=f"{rule.code}-{case.label}") for rule, cases in TABLE for case in cases]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_verdict(rule: Rule, case: Case) -> None:
    check(rule, case)


@pytest.mark.parametrize("rule", iam_trust.RULES, ids=lambda rule: rule.code)
def test_examples(rule: Rule) -> None:
    check_examples(rule)


def test_neighbours_are_left_alone() -> None:
    check_neighbour(iam_trust.role_trusts_its_service, "aws:apprunner/service:Service")
    check_neighbour(iam_trust.no_nameless_arn, "aws:sns/topicPolicy:TopicPolicy")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("type_", sorted(SERVICES))
def test_the_properties_are_those_of_the_sdk(type_: str) -> None:
    module, name = type_.split(":")[1].split("/")[0], type_.split(":")[2]
    found = getattr(importlib.import_module(f"pulumi_aws.{module}" + ("_" if module == "lambda" else "")), name)
    described = describe(type_, found)

    assert described is not None
    assert described.inputs is not None
    assert set(SERVICES[type_]) <= set(described.inputs.types)


def test_every_rule_has_a_table() -> None:
    assert [rule.code for rule in iam_trust.RULES] == [rule.code for rule, _ in TABLE]
