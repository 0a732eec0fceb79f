from __future__ import annotations

import json
from typing import Any

import pytest

from ringfence.deployment import UNKNOWN
from ringfence.policy.rule import Rule, Sample
from ringfence.policy.verdict import Verdict
from ringfence_policies.aws import iam, iam_attachments
from ringfence_policies.aws.iam_attachments import POLICY_ATTACHMENT, ROLE_POLICY_ATTACHMENT
from tests.unit.policies.cases import Case, check, check_examples, check_neighbour

USER_POLICY_ATTACHMENT = "aws:iam/userPolicyAttachment:UserPolicyAttachment"
GROUP_POLICY_ATTACHMENT = "aws:iam/groupPolicyAttachment:GroupPolicyAttachment"
OWN = "arn:aws:iam::111122223333:policy/AdministratorAccess"
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
POLICY = Sample(iam.POLICY, {}, name="policy")
OTHER = Sample("pulumi:pulumi:StackReference", {}, name="network")


def attach(name: Any) -> dict[str, Any]:
    return {"policyArn": f"arn:aws:iam::aws:policy/{name}"}


def shared(bad: str) -> list[Case]:
    """Return the cases that every rule over attachments has; `bad` is a policy of AWS that fails it."""
    arn = f"arn:aws:iam::aws:policy/{bad}"
    return [
        Case("attachment", Verdict.FAIL, attach(bad), type=ROLE_POLICY_ATTACHMENT, path="policyArn"),
        Case("china", Verdict.FAIL, {"policyArn": f"arn:aws-cn:iam::aws:policy/{bad}"}, type=ROLE_POLICY_ATTACHMENT),
        Case("user", Verdict.FAIL, attach(bad), type=USER_POLICY_ATTACHMENT),
        Case("group", Verdict.FAIL, attach(bad), type=GROUP_POLICY_ATTACHMENT),
        Case("several", Verdict.FAIL, {**attach(bad), "roles": ["a", "b"]}, type=POLICY_ATTACHMENT),
        Case("pass", Verdict.PASS, {"policyArn": BASIC}, type=ROLE_POLICY_ATTACHMENT),
        Case("own of that name", Verdict.PASS, {"policyArn": OWN}, type=ROLE_POLICY_ATTACHMENT),
        Case("absent", Verdict.NOT_APPLICABLE, {}, type=ROLE_POLICY_ATTACHMENT),
        Case("unknown", Verdict.UNKNOWN, {"policyArn": UNKNOWN}, type=ROLE_POLICY_ATTACHMENT, path="policyArn"),
        Case(
            "unknown, but of the stack",
            Verdict.PASS,
            {"policyArn": UNKNOWN},
            type=ROLE_POLICY_ATTACHMENT,
            others=(POLICY,),
            feeds={"policyArn": ("policy",)},
        ),
        Case(
            "unknown, of another stack",
            Verdict.UNKNOWN,
            {"policyArn": UNKNOWN},
            type=ROLE_POLICY_ATTACHMENT,
            others=(OTHER,),
            feeds={"policyArn": ("network",)},
        ),
        Case("wrong type", Verdict.FAIL, {"policyArn": [arn]}, type=ROLE_POLICY_ATTACHMENT),
        Case("role", Verdict.PASS, {"managedPolicyArns": [BASIC]}, type=iam.ROLE),
        Case(
            "role, one bad",
            Verdict.FAIL,
            {"managedPolicyArns": [BASIC, UNKNOWN, arn]},
            type=iam.ROLE,
            path="managedPolicyArns[2]",
        ),
        Case("role, one unknown", Verdict.UNKNOWN, {"managedPolicyArns": [BASIC, UNKNOWN]}, type=iam.ROLE),
        Case("role, unknown", Verdict.UNKNOWN, {"managedPolicyArns": UNKNOWN}, type=iam.ROLE),
        Case("role, wrong type", Verdict.FAIL, {"managedPolicyArns": arn}, type=iam.ROLE),
        Case("role, wrong element", Verdict.FAIL, {"managedPolicyArns": [7]}, type=iam.ROLE),
        Case("role, null", Verdict.NOT_APPLICABLE, {"managedPolicyArns": [None]}, type=iam.ROLE),
        Case("role, none", Verdict.NOT_APPLICABLE, {}, type=iam.ROLE),
    ]


def policy(**elements: Any) -> dict[str, Any]:
    return {"policy": json.dumps({"Statement": {"Effect": "Allow", "Resource": "*", **elements}})}


TABLE: list[tuple[Rule, list[Case]]] = [
    (
        iam_attachments.no_administrator_access,
        [
            *shared("AdministratorAccess"),
            Case("longer name", Verdict.PASS, attach("AdministratorAccess-Amplify"), type=ROLE_POLICY_ATTACHMENT),
        ],
    ),
    (
        iam_attachments.no_full_iam,
        [
            *shared("IAMFullAccess"),
            Case("statement", Verdict.FAIL, policy(Action=["s3:Get*", "IAM:*"]), path="policy.Statement.Action[1]"),
            Case("everything", Verdict.FAIL, policy(Action="*")),
            Case("part of IAM", Verdict.PASS, policy(Action="iam:Get*")),
            Case("all but S3", Verdict.FAIL, policy(NotAction="s3:*")),
            Case("all but IAM", Verdict.PASS, policy(NotAction="iam:*")),
            Case("denied", Verdict.PASS, policy(Action="iam:*", Effect="Deny")),
            Case("unknown policy", Verdict.UNKNOWN, {"policy": UNKNOWN}),
            Case(
                "role, inline",
                Verdict.FAIL,
                {"managedPolicyArns": [BASIC], "inlinePolicies": [policy(Action="iam:*")]},
                type=iam.ROLE,
                path="inlinePolicies[0].policy.Statement.Action",
            ),
        ],
    ),
    (
        iam_attachments.no_broad_policy,
        [
            *shared("PowerUserAccess"),
            Case(
                "parameter",
                Verdict.PASS,
                attach("ReadOnlyAccess"),
                type=ROLE_POLICY_ATTACHMENT,
                parameters={"allowedPolicies": ["ReadOnlyAccess"]},
            ),
            Case(
                "not in parameter",
                Verdict.FAIL,
                {"policyArn": BASIC},
                type=ROLE_POLICY_ATTACHMENT,
                parameters={"allowedPolicies": ["ReadOnlyAccess"]},
            ),
        ],
    ),
]
CASES = [pytest.param(rule, case, id=f"{rule.code}-{case.label}") for rule, cases in TABLE for case in cases]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_verdict(rule: Rule, case: Case) -> None:
    check(rule, case)


@pytest.mark.parametrize("rule", iam_attachments.RULES, ids=lambda rule: rule.code)
def test_examples(rule: Rule) -> None:
    check_examples(rule)


@pytest.mark.parametrize("rule", iam_attachments.RULES, ids=lambda rule: rule.code)
def test_neighbours_are_left_alone(rule: Rule) -> None:
    check_neighbour(rule, "aws:ssoadmin/managedPolicyAttachment:ManagedPolicyAttachment")


def test_every_rule_has_a_table() -> None:
    assert [rule.code for rule in iam_attachments.RULES] == [rule.code for rule, _ in TABLE]
