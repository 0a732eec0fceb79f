from __future__ import annotations

import pytest

from ringfence.deployment import UNKNOWN, Secret
from ringfence.policy.rule import Rule, Sample
from ringfence.policy.verdict import Verdict
from ringfence_policies.aws import lambda_permission
from tests.unit.policies.cases import Case, check, check_examples, check_neighbour

QUEUE = Sample("aws:sqs/queue:Queue", {}, name="jobs")

TABLE: list[tuple[Rule, list[Case]]] = [
    (
        lambda_permission.not_public,
        [
            Case("pass", Verdict.PASS, {"principal": "s3.amazonaws.com"}),
            Case("fail", Verdict.FAIL, {"principal": "*"}, path="principal"),
            Case("absent", Verdict.FAIL, {}, path="principal"),
            Case("unknown", Verdict.UNKNOWN, {"principal": UNKNOWN}, path="principal"),
            Case("wrong type", Verdict.FAIL, {"principal": 7}),
            Case("list", Verdict.FAIL, {"principal": ["*"]}),
            Case("organisation", Verdict.PASS, {"principal": "*", "principalOrgId": "o-1"}),
            Case("no organisation", Verdict.FAIL, {"principal": "*", "principalOrgId": ""}),
            Case("unknown organisation", Verdict.UNKNOWN, {"principal": "*", "principalOrgId": UNKNOWN}),
            Case("secret", Verdict.FAIL, {"principal": Secret("*")}),
        ],
    ),
    (
        lambda_permission.permission_source,
        [
            Case("pass", Verdict.PASS, {"principal": "s3.amazonaws.com", "sourceArn": "arn:aws:s3:::incoming"}),
            Case("account", Verdict.PASS, {"principal": "s3.amazonaws.com", "sourceAccount": "111122223333"}),
            Case("fail", Verdict.FAIL, {"principal": "s3.amazonaws.com"}, path="sourceArn"),
            Case("empty", Verdict.FAIL, {"principal": "s3.amazonaws.com", "sourceArn": ""}, path="sourceArn"),
            Case("china", Verdict.FAIL, {"principal": "s3.amazonaws.com.cn"}),
            Case("absent", Verdict.NOT_APPLICABLE, {}),
            Case("role", Verdict.NOT_APPLICABLE, {"principal": "arn:aws:iam::111122223333:role/x"}),
            Case("alexa", Verdict.NOT_APPLICABLE, {"principal": "alexa-appkit.amazon.com", "eventSourceToken": "t"}),
            Case("unknown principal", Verdict.UNKNOWN, {"principal": UNKNOWN}, path="principal"),
            Case("unknown", Verdict.UNKNOWN, {"principal": "s3.amazonaws.com", "sourceArn": UNKNOWN}, path="sourceArn"),
            Case("unknown both", Verdict.PASS, {"principal": UNKNOWN, "sourceArn": "arn:aws:s3:::incoming"}),
            Case(
                "unknown but set",
                Verdict.PASS,
                {"principal": "sqs.amazonaws.com", "sourceArn": UNKNOWN},
                others=(QUEUE,),
                feeds={"sourceArn": ("jobs",)},
            ),
            Case("wrong type", Verdict.FAIL, {"principal": 111122223333}, path="principal"),
        ],
    ),
]
CASES = [pytest.param(rule, case, id=f"{rule.code}-{case.label}") for rule, cases in TABLE for case in cases]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_verdict(rule: Rule, case: Case) -> None:
    check(rule, case)


@pytest.mark.parametrize("rule", lambda_permission.RULES, ids=lambda rule: rule.code)
def test_examples(rule: Rule) -> None:
    check_examples(rule)


@pytest.mark.parametrize("rule", lambda_permission.RULES, ids=lambda rule: rule.code)
def test_neighbours_are_left_alone(rule: Rule) -> None:
    check_neighbour(rule, "aws:lambda/layerVersionPermission:LayerVersionPermission")


def test_every_rule_has_a_table() -> None:
    assert [rule.code for rule in lambda_permission.RULES] == [rule.code for rule, _ in TABLE]
