from __future__ import annotations

import json
from typing import Any

import pytest

from ringfence.deployment import UNKNOWN, Secret
from ringfence.policy.rule import Rule
from ringfence.policy.verdict import Verdict
from ringfence_policies.aws import iam
from tests.unit.policies.cases import Case, check, check_examples, check_neighbour

ARN = "arn:aws:s3:::models/*"


def allow(action: Any = "s3:GetObject", resource: Any = ARN, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any = "*", resource: Any = "*") -> dict[str, Any]:
    return {**allow(action, resource), "Effect": "Deny"}


def rest(excluded: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "NotAction": excluded, "Resource": "*"}


def policy(*statements: Any) -> dict[str, Any]:
    return {"policy": json.dumps({"Version": "2012-10-17", "Statement": list(statements)})}


def raw(*statements: Any) -> dict[str, Any]:
    """Return a policy as an object, which may hold unknowns."""
    return {"policy": {"Version": "2012-10-17", "Statement": list(statements)}}


def inline(*documents: Any) -> dict[str, Any]:
    return {"inlinePolicies": [{"name": f"p{index}", "policy": text} for index, text in enumerate(documents)]}


GOOD = policy(allow())["policy"]


def shared(bad: dict[str, Any]) -> list[Case]:
    """Return the cases that every rule over identity-based policies has; `bad` is a statement that fails it."""
    document = policy(bad)["policy"]
    return [
        Case("pass", Verdict.PASS, policy(allow())),
        Case("fail", Verdict.FAIL, policy(bad)),
        Case("absent", Verdict.NOT_APPLICABLE, {}),
        Case("unknown", Verdict.UNKNOWN, {"policy": UNKNOWN}, path="policy"),
        Case("wrong type", Verdict.FAIL, {"policy": 12}, path="policy"),
        Case("no JSON", Verdict.FAIL, {"policy": "admin"}, path="policy"),
        Case("denied", Verdict.PASS, policy(deny())),
        Case("one bad statement", Verdict.FAIL, policy(allow(), deny(), bad)),
        Case("one statement, no list", Verdict.FAIL, {"policy": json.dumps({"Statement": bad})}),
        Case("object", Verdict.FAIL, raw(allow(), bad)),
        Case("secret", Verdict.FAIL, {"policy": Secret(document)}),
        Case("bad beside an unknown", Verdict.FAIL, raw(UNKNOWN, bad)),
        Case("good beside an unknown", Verdict.UNKNOWN, raw(allow(), UNKNOWN), path="policy.Statement[1]"),
        Case("unknown effect", Verdict.UNKNOWN, raw({**bad, "Effect": UNKNOWN}), path="policy.Statement[0].Effect"),
        Case("role policy", Verdict.FAIL, policy(bad), type=iam.ROLE_POLICY),
        Case("user policy", Verdict.FAIL, policy(bad), type=iam.USER_POLICY),
        Case("group policy", Verdict.FAIL, policy(bad), type=iam.GROUP_POLICY),
        Case("inline", Verdict.PASS, inline(GOOD), type=iam.ROLE),
        Case("inline, one bad", Verdict.FAIL, inline(GOOD, document), type=iam.ROLE),
        Case(
            "inline, one unknown",
            Verdict.UNKNOWN,
            inline(GOOD, UNKNOWN),
            path="inlinePolicies[1].policy",
            type=iam.ROLE,
        ),
        Case("inline, unknown", Verdict.UNKNOWN, {"inlinePolicies": UNKNOWN}, type=iam.ROLE),
        Case("inline, wrong type", Verdict.FAIL, {"inlinePolicies": document}, type=iam.ROLE),
        Case("inline, null", Verdict.NOT_APPLICABLE, {"inlinePolicies": [None]}, type=iam.ROLE),
        Case("no inline", Verdict.NOT_APPLICABLE, {"assumeRolePolicy": document}, type=iam.ROLE),
    ]


def trust(principal: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more}


def role(*statements: Any) -> dict[str, Any]:
    return {"assumeRolePolicy": {"Version": "2012-10-17", "Statement": list(statements)}}


SERVICE = trust({"Service": ["lambda.amazonaws.com"]})
ROOT = "arn:aws:iam::111122223333:root"
ORGANISATION = {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}
EXTERNAL = {"StringEquals": {"sts:ExternalId": "x"}}

TABLE: list[tuple[Rule, list[Case]]] = [
    (
        iam.no_full_admin,
        [
            *shared(allow("*", "*")),
            Case("path", Verdict.FAIL, policy(allow("*", "*")), path="policy.Statement[0].Action"),
            Case(
                "in lists", Verdict.FAIL, policy(allow(["s3:*", "*"], [ARN, "*"])), path="policy.Statement[0].Action[1]"
            ),
            Case("spelled *:*", Verdict.FAIL, policy(allow("*:*", "arn:aws:*"))),
            Case("not on all", Verdict.PASS, policy(allow("*", ARN))),
            Case("not all actions", Verdict.PASS, policy(allow("s3:*", "*"))),
            Case("two halves", Verdict.PASS, policy(allow("*", ARN), allow("s3:GetObject", "*"))),
            Case("all but one", Verdict.FAIL, policy({"Effect": "Allow", "Action": "*", "NotResource": ARN})),
            Case("unknown resource", Verdict.UNKNOWN, raw(allow("*", UNKNOWN)), path="policy.Statement[0].Resource"),
            Case("unknown resource, one action", Verdict.PASS, raw(allow("s3:GetObject", UNKNOWN))),
            Case(
                "unknown action",
                Verdict.UNKNOWN,
                raw(allow(["s3:Get", UNKNOWN], "*")),
                path="policy.Statement[0].Action[1]",
            ),
            Case("unknown action, one resource", Verdict.PASS, raw(allow(UNKNOWN, ARN))),
            Case("wrong type of action", Verdict.FAIL, raw(allow(7)), path="policy.Statement[0].Action"),
        ],
    ),
    (
        iam.no_star_action,
        [
            *shared(allow("*")),
            Case("in a list", Verdict.FAIL, policy(allow(["s3:Get*", "*"])), path="policy.Statement[0].Action[1]"),
            Case("service", Verdict.PASS, policy(allow("s3:*"))),
            Case("unknown action", Verdict.UNKNOWN, raw(allow(UNKNOWN)), path="policy.Statement[0].Action"),
            Case("unknown resource", Verdict.FAIL, raw(allow("*", UNKNOWN))),
        ],
    ),
    (
        iam.no_service_wildcard,
        [
            *shared(allow("s3:*")),
            Case("in a list", Verdict.FAIL, policy(allow(["s3:Get*", "SQS:*"])), path="policy.Statement[0].Action[1]"),
            Case("several services", Verdict.FAIL, policy(allow("s*:*"))),
            Case("every service", Verdict.FAIL, policy(allow("*"))),
            Case("part of a service", Verdict.PASS, policy(allow("s3:Get*"))),
            Case("not action", Verdict.FAIL, policy(rest("iam:*")), path="policy.Statement[0].NotAction"),
            Case("not action *", Verdict.PASS, policy(rest("*"))),
            Case("not action, unknown", Verdict.UNKNOWN, raw(rest(["iam:*", UNKNOWN]))),
            Case("not action, denied", Verdict.PASS, policy({**rest("iam:*"), "Effect": "Deny"})),
            Case("unknown action", Verdict.UNKNOWN, raw(allow(["s3:Get*", UNKNOWN]))),
        ],
    ),
    (
        iam.trust_not_open,
        [
            Case("pass", Verdict.PASS, role(SERVICE)),
            Case("text", Verdict.PASS, {"assumeRolePolicy": json.dumps(role(SERVICE)["assumeRolePolicy"])}),
            Case("fail", Verdict.FAIL, role(trust({"AWS": "*"})), path="assumeRolePolicy.Statement[0].Principal.AWS"),
            Case("star", Verdict.FAIL, role(trust("*")), path="assumeRolePolicy.Statement[0].Principal"),
            Case("federated star", Verdict.FAIL, role(trust({"Federated": "*"}))),
            Case(
                "in a list",
                Verdict.FAIL,
                role(trust({"AWS": ["arn:aws:iam::111122223333:role/x", "*"]})),
                path="assumeRolePolicy.Statement[0].Principal.AWS[1]",
            ),
            Case("one bad statement", Verdict.FAIL, role(SERVICE, trust("*"))),
            Case("absent", Verdict.NOT_APPLICABLE, {}),
            Case("unknown", Verdict.UNKNOWN, {"assumeRolePolicy": UNKNOWN}, path="assumeRolePolicy"),
            Case("unknown principal", Verdict.UNKNOWN, role(trust(UNKNOWN))),
            Case("unknown in a list", Verdict.UNKNOWN, role(trust({"AWS": [UNKNOWN]}))),
            Case("bad beside an unknown", Verdict.FAIL, role(trust({"AWS": [UNKNOWN, "*"]}))),
            Case("wrong type", Verdict.FAIL, {"assumeRolePolicy": 7}, path="assumeRolePolicy"),
            Case("wrong type of principal", Verdict.FAIL, role(trust(7))),
            Case("list of principals", Verdict.FAIL, role(trust(["*"]))),
            Case("null principal", Verdict.FAIL, role(trust({"AWS": [None]}))),
            Case("no principal", Verdict.FAIL, role(allow("sts:AssumeRole")), path="assumeRolePolicy.Statement[0]"),
            Case("everyone else", Verdict.FAIL, role({**allow(), "NotPrincipal": {"AWS": ROOT}})),
            Case("everyone else denied", Verdict.PASS, role({**deny(), "NotPrincipal": {"AWS": ROOT}})),
            Case("denied", Verdict.PASS, role({**trust("*"), "Effect": "Deny"})),
            Case("organisation", Verdict.PASS, role(trust("*", Condition=ORGANISATION))),
            Case("external id alone", Verdict.FAIL, role(trust("*", Condition=EXTERNAL))),
            Case("unknown condition", Verdict.UNKNOWN, role(trust("*", Condition=UNKNOWN))),
            Case(
                "account", Verdict.FAIL, role(trust({"AWS": ROOT})), path="assumeRolePolicy.Statement[0].Principal.AWS"
            ),
            Case("account by number", Verdict.FAIL, role(trust({"AWS": "111122223333"}))),
            Case("account, external id", Verdict.PASS, role(trust({"AWS": ROOT}, Condition=EXTERNAL))),
            Case(
                "trusted account",
                Verdict.PASS,
                role(trust({"AWS": [ROOT, "111122223333"]})),
                parameters={"trustedAccounts": ["111122223333"]},
            ),
            Case(
                "another account",
                Verdict.FAIL,
                role(trust({"AWS": ROOT})),
                parameters={"trustedAccounts": ["444455556666"]},
            ),
            Case("role of another account", Verdict.PASS, role(trust({"AWS": "arn:aws:iam::444455556666:role/x"}))),
        ],
    ),
]
CASES = [pytest.param(rule, case, id=f"{rule.code}-{case.label}") for rule, cases in TABLE for case in cases]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_verdict(rule: Rule, case: Case) -> None:
    check(rule, case)


@pytest.mark.parametrize("rule", iam.RULES, ids=lambda rule: rule.code)
def test_examples(rule: Rule) -> None:
    check_examples(rule)


@pytest.mark.parametrize("rule", iam.RULES, ids=lambda rule: rule.code)
def test_neighbours_are_left_alone(rule: Rule) -> None:
    # A queue policy is resource-based: it has principals, and `*` means other things there.
    check_neighbour(rule, "aws:sqs/queuePolicy:QueuePolicy")


def test_every_rule_has_a_table() -> None:
    assert [rule.code for rule in iam.RULES] == [rule.code for rule, _ in TABLE]
