from __future__ import annotations

import json
import re
from typing import Any

import pytest

from ringfence.deployment import UNKNOWN
from ringfence.policy.rule import Rule, Sample
from ringfence.policy.verdict import Verdict
from ringfence_policies.aws import iam, iam_escalation
from ringfence_policies.aws.iam_escalation import ESCALATIONS
from tests.unit.policies.cases import Case, check, check_examples, check_neighbour, run

ROLE_ARN = "arn:aws:iam::111122223333:role/score"
KEY_ARN = "arn:aws:kms:eu-west-1:111122223333:key/1"
BOUNDARY = {"StringEquals": {"iam:PermissionsBoundary": "arn:aws:iam::111122223333:policy/b"}}
SAGEMAKER = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {**allow(action, resource, **more), "Effect": "Deny"}


def policy(*statements: Any) -> dict[str, Any]:
    return {"policy": {"Version": "2012-10-17", "Statement": list(statements)}}


def inline(*documents: dict[str, Any]) -> dict[str, Any]:
    return {"inlinePolicies": list(documents)}


def shared(bad: dict[str, Any], *, on_unknown: Verdict = Verdict.UNKNOWN) -> list[Case]:
    """Return the cases that each of these rules has.

    `bad` is a statement that fails it, `on_unknown` what that is on a resource that is not known.
    """
    return [
        Case("pass", Verdict.PASS, policy(allow("s3:GetObject"))),
        Case("fail", Verdict.FAIL, policy(bad)),
        Case("text", Verdict.FAIL, {"policy": json.dumps(policy(bad)["policy"])}),
        Case("absent", Verdict.NOT_APPLICABLE, {}),
        Case("unknown", Verdict.UNKNOWN, {"policy": UNKNOWN}, path="policy"),
        Case("wrong type", Verdict.FAIL, {"policy": 7}, path="policy"),
        Case("no JSON", Verdict.FAIL, {"policy": "x"}, path="policy"),
        Case("one bad statement", Verdict.FAIL, policy(allow("s3:GetObject"), bad, deny("s3:*"))),
        Case("bad beside an unknown", Verdict.FAIL, policy(UNKNOWN, bad)),
        Case("good beside an unknown", Verdict.UNKNOWN, policy(UNKNOWN, allow("s3:GetObject"))),
        Case("denied", Verdict.PASS, policy({**bad, "Effect": "Deny"})),
        Case("everything", Verdict.FAIL, policy(allow("*"))),
        Case("unknown action", Verdict.UNKNOWN, policy(allow(UNKNOWN))),
        Case("unknown resource", on_unknown, policy({**bad, "Resource": UNKNOWN})),
        Case("unknown effect", Verdict.UNKNOWN, policy({**bad, "Effect": UNKNOWN})),
        Case("role", Verdict.FAIL, inline(policy(allow("s3:GetObject")), policy(bad)), type=iam.ROLE),
        Case("role policy", Verdict.FAIL, policy(bad), type=iam.ROLE_POLICY),
        Case("no inline", Verdict.NOT_APPLICABLE, {}, type=iam.ROLE),
    ]


TABLE: list[tuple[Rule, list[Case]]] = [
    (
        iam_escalation.no_escalation,
        [
            *shared(allow(["iam:PassRole", "ec2:RunInstances"])),
            Case("one action", Verdict.FAIL, policy(allow("iam:PutRolePolicy")), path="policy.Statement[0].Action"),
            Case("wildcard", Verdict.FAIL, policy(allow("iam:Put*", "arn:aws:iam::111122223333:role/*"))),
            Case("half of a pair", Verdict.PASS, policy(allow("iam:PassRole"))),
            Case("two halves", Verdict.FAIL, policy(allow("iam:PassRole"), allow("ecs:R*"))),
            Case("half is unknown", Verdict.UNKNOWN, policy(allow("iam:PassRole"), allow(UNKNOWN))),
            Case(
                "halves in two documents",
                Verdict.FAIL,
                inline(policy(allow("iam:PassRole")), policy(allow("ec2:RunInstances"))),
                type=iam.ROLE,
            ),
            Case("pair on one role", Verdict.PASS, policy(allow("iam:PassRole", ROLE_ARN), allow("ec2:RunInstances"))),
            Case("on one resource", Verdict.PASS, policy(allow("iam:PutRolePolicy", ROLE_ARN))),
            Case("not action", Verdict.FAIL, policy({"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"})),
            Case("under a boundary", Verdict.PASS, policy(allow("iam:PutRolePolicy", Condition=BOUNDARY))),
            Case("under some condition", Verdict.FAIL, policy(allow("iam:PutRolePolicy", Condition=SAGEMAKER))),
            Case("taken away", Verdict.PASS, policy(allow("iam:PutRole*"), deny("iam:*"))),
            Case("taken away for one", Verdict.FAIL, policy(allow("iam:PutRole*"), deny("iam:*", ROLE_ARN))),
            Case(
                "taken away at times", Verdict.FAIL, policy(allow("iam:PutRole*"), deny("iam:*", Condition=SAGEMAKER))
            ),
            Case("perhaps taken away", Verdict.UNKNOWN, policy(allow("iam:PutRole*"), deny(UNKNOWN))),
        ],
    ),
    (
        iam_escalation.pass_role_narrow,
        [
            # Whatever the roles are, the condition is not there.
            *shared(allow("iam:PassRole"), on_unknown=Verdict.FAIL),
            Case("unknown roles", Verdict.UNKNOWN, policy(allow("iam:PassRole", UNKNOWN, Condition=SAGEMAKER))),
            Case("narrow", Verdict.PASS, policy(allow("iam:PassRole", ROLE_ARN, Condition=SAGEMAKER))),
            Case(
                "path",
                Verdict.FAIL,
                policy(allow("iam:PassRole", Condition=SAGEMAKER)),
                path="policy.Statement[0].Resource",
            ),
            Case(
                "every role", Verdict.FAIL, policy(allow("iam:PassRole", "arn:aws:iam::*:role/*", Condition=SAGEMAKER))
            ),
            Case("some roles", Verdict.PASS, policy(allow("iam:PassRole", f"{ROLE_ARN}-*", Condition=SAGEMAKER))),
            Case(
                "every service",
                Verdict.FAIL,
                policy(allow("iam:PassRole", ROLE_ARN)),
                path="policy.Statement[0].Action",
            ),
            Case("one of two roles", Verdict.FAIL, policy(allow("iam:PassRole", [ROLE_ARN, "*"], Condition=SAGEMAKER))),
            Case("unknown condition", Verdict.UNKNOWN, policy(allow("iam:PassRole", ROLE_ARN, Condition=UNKNOWN))),
            Case(
                "parameter",
                Verdict.PASS,
                policy(allow("iam:PassRole", ROLE_ARN)),
                parameters={"requirePassedToService": False},
            ),
        ],
    ),
    (
        iam_escalation.no_decrypt_with_all_keys,
        [
            *shared(allow("kms:Decrypt")),
            Case("one key", Verdict.PASS, policy(allow("kms:Decrypt", KEY_ARN))),
            Case("path", Verdict.FAIL, policy(allow("kms:Decrypt")), path="policy.Statement[0].Resource"),
            Case(
                "every key", Verdict.FAIL, policy(allow("kms:ReEncrypt*", "arn:aws:kms:eu-west-1:111122223333:key/*"))
            ),
            Case(
                "every key but one",
                Verdict.FAIL,
                policy({"Effect": "Allow", "Action": "kms:*", "NotResource": KEY_ARN}),
            ),
            Case("condition", Verdict.FAIL, policy(allow("kms:Decrypt", Condition=SAGEMAKER))),
            Case("encrypt only", Verdict.PASS, policy(allow("kms:Encrypt"))),
            Case("one of two keys", Verdict.FAIL, policy(allow("kms:Decrypt", [KEY_ARN, "*"]))),
        ],
    ),
]
CASES = [pytest.param(rule, case, id=f"{rule.code}-{case.label}") for rule, cases in TABLE for case in cases]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_verdict(rule: Rule, case: Case) -> None:
    check(rule, case)


@pytest.mark.parametrize("actions", ESCALATIONS, ids=" + ".join)
def test_every_way_is_found_and_needs_each_of_its_actions(actions: tuple[str, ...]) -> None:
    def verdicts(granted: list[str]) -> list[Verdict]:
        sample = Sample(iam.POLICY, policy(*(allow(action) for action in granted)))
        return [finding.verdict for finding in run(iam_escalation.no_escalation, [sample])]

    assert verdicts(list(actions)) == [Verdict.FAIL]
    for left_out in actions:
        others = [action for action in actions if action != left_out]
        assert verdicts(others) == [Verdict.PASS]


def test_the_table_is_well_formed() -> None:
    assert len(ESCALATIONS) >= 30
    assert len({frozenset(actions) for actions in ESCALATIONS}) == len(ESCALATIONS)
    assert all(re.fullmatch(r"[a-z0-9]+:[A-Z][A-Za-z]+", action) for actions in ESCALATIONS for action in actions)


def test_one_finding_for_many_ways() -> None:
    findings = run(iam_escalation.no_escalation, [Sample(iam.POLICY, policy(allow("*")))])

    assert len(findings) == 1
    assert f"{len(ESCALATIONS)} ways" in findings[0].message


@pytest.mark.parametrize("rule", iam_escalation.RULES, ids=lambda rule: rule.code)
def test_examples(rule: Rule) -> None:
    check_examples(rule)


@pytest.mark.parametrize("rule", iam_escalation.RULES, ids=lambda rule: rule.code)
def test_neighbours_are_left_alone(rule: Rule) -> None:
    check_neighbour(rule, "aws:kms/keyPolicy:KeyPolicy")


def test_every_rule_has_a_table() -> None:
    assert [rule.code for rule in iam_escalation.RULES] == [rule.code for rule, _ in TABLE]
