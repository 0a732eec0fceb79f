from __future__ import annotations

import json
from typing import Any

import pytest

from ringfence.deployment import UNKNOWN
from ringfence.policy.rule import Rule, Sample
from ringfence.policy.verdict import Verdict
from ringfence_policies.aws import lambda_role
from ringfence_policies.aws.iam import POLICY, ROLE, ROLE_POLICY
from ringfence_policies.aws.iam_attachments import POLICY_ATTACHMENT, ROLE_POLICY_ATTACHMENT
from ringfence_policies.aws.lambda_ import FUNCTION
from tests.unit.policies.cases import Case, check, check_examples, check_neighbour

ARN = "arn:aws:iam::111122223333:role/score"
POLICY_ARN = "arn:aws:iam::111122223333:policy/p"
ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
MINE = {"role": ARN}
ROLES = (Sample(ROLE, {}, name="one"), Sample(ROLE, {}, name="two"))


def document(action: Any) -> str:
    return json.dumps({"Statement": [{"Effect": "Allow", "Action": action, "Resource": "arn:aws:s3:::models/*"}]})


STAR, NARROW = document(["s3:Get*", "*"]), document("s3:GetObject")


def role(**inputs: Any) -> Sample:
    return Sample(ROLE, inputs, name="role", outputs={"arn": ARN, "id": "score", "name": "score"})


def inline(*documents: Any) -> Sample:
    return role(inlinePolicies=[{"policy": text} for text in documents])


def role_policy(text: Any, of: Any = "score", feeds: dict[str, tuple[str, ...]] | None = None) -> Sample:
    return Sample(ROLE_POLICY, {"role": of, "policy": text}, name="extra", feeds=feeds or {})


def managed(text: Any) -> Sample:
    return Sample(POLICY, {"policy": text}, name="policy", outputs={"arn": POLICY_ARN, "id": POLICY_ARN})


def attach(arn: Any, of: Any = "score", feeds: dict[str, tuple[str, ...]] | None = None) -> Sample:
    return Sample(ROLE_POLICY_ATTACHMENT, {"role": of, "policyArn": arn}, name="attachment", feeds=feeds or {})


def function(role: object, name: str = "other", feeds: dict[str, tuple[str, ...]] | None = None) -> Sample:
    return Sample(FUNCTION, {"role": role}, name=name, feeds=feeds or {})


TABLE: list[tuple[Rule, list[Case]]] = [
    (
        lambda_role.role_no_star,
        [
            Case(
                "pass", Verdict.PASS, MINE, others=(inline(NARROW), role_policy(NARROW), managed(NARROW), attach(BASIC))
            ),
            Case("fail", Verdict.FAIL, MINE, path="role", others=(inline(NARROW, STAR),)),
            Case("role policy", Verdict.FAIL, MINE, path="role", others=(role(), role_policy(STAR))),
            Case("role policy of another", Verdict.PASS, MINE, others=(role(), role_policy(STAR, "other"))),
            Case("role policy of someone", Verdict.UNKNOWN, MINE, others=(role(), role_policy(STAR, UNKNOWN))),
            Case(
                "by dependency",
                Verdict.FAIL,
                {"role": UNKNOWN},
                others=(Sample(ROLE, {}, "one"), role_policy(STAR, UNKNOWN, {"role": ("one",)})),
                feeds={"role": ("one",)},
            ),
            Case("attached", Verdict.FAIL, MINE, others=(role(), managed(STAR), attach(POLICY_ARN))),
            Case("attached to the role itself", Verdict.FAIL, MINE, others=(role(managedPolicyArns=[BASIC, ADMIN]),)),
            Case(
                "attached by dependency",
                Verdict.FAIL,
                MINE,
                others=(role(), managed(STAR), attach(UNKNOWN, feeds={"policyArn": ("policy",)})),
            ),
            Case(
                "attached to another", Verdict.PASS, MINE, others=(role(), managed(STAR), attach(POLICY_ARN, "other"))
            ),
            Case(
                "perhaps attached", Verdict.UNKNOWN, MINE, others=(role(), managed(STAR), attach(POLICY_ARN, UNKNOWN))
            ),
            Case(
                "perhaps attached, but narrow",
                Verdict.PASS,
                MINE,
                others=(role(), managed(NARROW), attach(POLICY_ARN, UNKNOWN)),
            ),
            Case("administrator, of whom", Verdict.UNKNOWN, MINE, others=(role(), attach(ADMIN, UNKNOWN))),
            Case("not attached", Verdict.PASS, MINE, others=(role(), managed(STAR))),
            Case("administrator", Verdict.FAIL, MINE, others=(role(), attach(ADMIN))),
            Case(
                "attached in one go",
                Verdict.FAIL,
                MINE,
                others=(role(), Sample(POLICY_ATTACHMENT, {"roles": ["x", "score"], "policyArn": ADMIN}, "attachment")),
            ),
            Case("something unknown attached", Verdict.UNKNOWN, MINE, others=(role(), attach(UNKNOWN))),
            Case("unknown policy", Verdict.UNKNOWN, MINE, others=(inline(UNKNOWN),)),
            Case("bad beside an unknown", Verdict.FAIL, MINE, others=(inline(UNKNOWN, STAR),)),
            Case("malformed policy", Verdict.FAIL, MINE, others=(inline("*"),)),
            Case("absent", Verdict.NOT_APPLICABLE, {}),
            Case("unknown", Verdict.UNKNOWN, {"role": UNKNOWN}, path="role", others=(inline(NARROW),)),
            Case("role of another stack", Verdict.UNKNOWN, {"role": "arn:x"}, path="role", others=(inline(STAR),)),
            Case("wrong type", Verdict.FAIL, {"role": [ARN]}, path="role"),
        ],
    ),
    (
        lambda_role.own_role,
        [
            Case("pass", Verdict.PASS, {"role": "arn:1"}, others=(function("arn:2"),)),
            Case("alone", Verdict.PASS, {"role": "arn:1"}),
            Case("fail", Verdict.FAIL, {"role": "arn:1"}, path="role", others=(function("arn:1"),)),
            Case(
                "one of several",
                Verdict.FAIL,
                {"role": "arn:1"},
                others=(function("arn:2", "a"), function(UNKNOWN, "b"), function("arn:1", "c")),
            ),
            Case("absent", Verdict.NOT_APPLICABLE, {}),
            Case("other has none", Verdict.PASS, {"role": "arn:1"}, others=(function(None),)),
            Case("unknown", Verdict.UNKNOWN, {"role": UNKNOWN}, others=(function("arn:1"),)),
            Case("unknown but alone", Verdict.PASS, {"role": UNKNOWN}),
            Case("wrong type", Verdict.FAIL, {"role": ["arn:1"]}),
            Case(
                "one role resource",
                Verdict.FAIL,
                {"role": UNKNOWN},
                others=(*ROLES, function(UNKNOWN, feeds={"role": ("one",)})),
                feeds={"role": ("one",)},
            ),
            Case(
                "two role resources",
                Verdict.PASS,
                {"role": UNKNOWN},
                others=(*ROLES, function(UNKNOWN, feeds={"role": ("two",)})),
                feeds={"role": ("one",)},
            ),
            Case(
                "role resource and a literal",
                Verdict.UNKNOWN,
                {"role": UNKNOWN},
                others=(*ROLES, function("arn:1")),
                feeds={"role": ("one",)},
            ),
        ],
    ),
]
CASES = [pytest.param(rule, case, id=f"{rule.code}-{case.label}") for rule, cases in TABLE for case in cases]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_verdict(rule: Rule, case: Case) -> None:
    check(rule, case)


@pytest.mark.parametrize("rule", lambda_role.RULES, ids=lambda rule: rule.code)
def test_examples(rule: Rule) -> None:
    check_examples(rule)


@pytest.mark.parametrize("rule", lambda_role.RULES, ids=lambda rule: rule.code)
def test_neighbours_are_left_alone(rule: Rule) -> None:
    check_neighbour(rule, "aws:sfn/stateMachine:StateMachine")


def test_every_rule_has_a_table() -> None:
    assert [rule.code for rule in lambda_role.RULES] == [rule.code for rule, _ in TABLE]
