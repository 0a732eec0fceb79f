from __future__ import annotations

import json
from typing import Any

import pytest

from ringfence.deployment import UNKNOWN, Secret
from ringfence.policy.checks import PASS, failed
from ringfence.policy.property import Property
from ringfence.policy.verdict import Outcome, Verdict
from ringfence_policies.aws import iam_document
from ringfence_policies.aws.iam_document import Fact, Statement, both, either, forbid, judge

ALLOW = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::models/*"}
DENY = {**ALLOW, "Effect": "Deny"}


def no_allow(statement: Statement) -> Outcome:
    return forbid(statement.allows, "the statement allows.")


def verdicts(raw: Any) -> list[Verdict]:
    return [outcome.verdict for outcome in judge(Property(raw, "policy"), no_allow)]


def paths(raw: Any) -> list[str]:
    return [outcome.path for outcome in judge(Property(raw, "policy"), no_allow) if outcome.verdict is Verdict.FAIL]


def statement(**elements: Any) -> Statement:
    return Statement(Property(elements, "policy.Statement"))


# --- patterns --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "action", "expected"),
    [
        ("s3:GetObject", "s3:GetObject", True),
        ("S3:getobject", "s3:GetObject", True),
        ("s3:Get*", "s3:GetObject", True),
        ("s3:*Object", "s3:GetObject", True),
        ("s3:G?tObject", "s3:GetObject", True),
        ("s3:Get?", "s3:GetObject", False),
        ("*", "s3:GetObject", True),
        ("s3:Put*", "s3:GetObject", False),
        ("s3:Get[O]bject", "s3:GetObject", False),
        ("", "s3:GetObject", False),
        ("", "", True),
        ("***", "", True),
        ("?", "", False),
    ],
)
def test_action_matches(pattern: str, action: str, expected: bool) -> None:
    assert iam_document.action_matches(pattern, action) is expected


def test_resources_match_with_regard_to_case() -> None:
    assert not iam_document.matches("arn:aws:s3:::Models", "arn:aws:s3:::models")


def test_matching_does_not_explode() -> None:
    assert not iam_document.matches("a*" * 2_000 + "b", "a" * 2_000)


@pytest.mark.parametrize(
    ("pattern", "actions", "service", "resources"),
    [
        ("*", True, True, True),
        ("**", True, True, True),
        ("?*", True, True, True),
        ("*:*", True, True, True),
        ("s3:*", False, True, False),
        ("s3:?*", False, True, False),
        ("s3*", False, True, False),
        ("s*:*", False, True, False),
        ("s3:Get*", False, False, False),
        ("s3:?", False, False, False),
        ("?", False, False, False),
        ("", False, False, False),
        ("arn:*", False, True, True),
        ("arn:aws:*", False, False, True),
        ("arn:aws-cn:*:*:*:*", False, False, True),
        ("arn:*:*:*:*:*", False, False, True),
        ("arn:aws:s3:::*", False, False, False),
        ("arn:aws:?:?:?:?", False, False, False),
    ],
)
def test_spans(pattern: str, actions: bool, service: bool, resources: bool) -> None:
    assert iam_document.spans_actions(pattern) is actions
    assert iam_document.spans_service(pattern) is service
    assert iam_document.spans_resources(pattern) is resources


# --- facts -----------------------------------------------------------------------------------------------------------

PLACE = Property("x", "here")
TRUE, FALSE, NOT_KNOWN = Fact(True, PLACE), Fact(False, PLACE), Fact(None, PLACE)


@pytest.mark.parametrize(
    ("one", "other", "conjunction", "disjunction"),
    [
        (TRUE, TRUE, True, True),
        (TRUE, FALSE, False, True),
        (FALSE, FALSE, False, False),
        (TRUE, NOT_KNOWN, None, True),
        (FALSE, NOT_KNOWN, False, None),
        (NOT_KNOWN, NOT_KNOWN, None, None),
    ],
)
def test_facts_combine_in_three_values(one: Fact, other: Fact, conjunction: object, disjunction: object) -> None:
    assert both(one, other).holds is both(other, one).holds is conjunction
    assert either(one, other).holds is either(other, one).holds is disjunction


def test_forbid_shows_the_value_but_no_secret() -> None:
    plain = forbid(Fact(True, Property("s3:*", "policy.Action")), "the statement allows {}.")
    secret = forbid(Fact(True, Property(Secret("s3:*"), "policy.Action")), "the statement allows {}.")

    assert plain == failed(Property("s3:*", "policy.Action"), 'policy.Action: the statement allows "s3:*".')
    assert secret.message == "policy.Action: the statement allows a secret value."
    assert secret.actual == "a secret value"
    assert forbid(FALSE, "never") == PASS


# --- statements ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"Action": "s3:*"}, True),
        ({"Action": ["sqs:*", "s3:get*"]}, True),
        ({"Action": ["sqs:*"]}, False),
        ({"Action": ["sqs:*", UNKNOWN]}, None),
        ({"Action": ["s3:*", UNKNOWN]}, True),
        ({"Action": UNKNOWN}, None),
        ({"action": "s3:GetObject"}, True),
        ({"NotAction": "iam:*"}, True),
        ({"NotAction": ["iam:*", "s3:*"]}, False),
        ({"NotAction": ["iam:*", UNKNOWN]}, None),
        ({"NotAction": UNKNOWN}, None),
        ({}, False),
    ],
)
def test_grants(elements: dict[str, Any], expected: bool | None) -> None:
    assert statement(**elements).grants("s3:GetObject").holds is expected


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"Resource": "*"}, True),
        ({"Resource": ["arn:aws:s3:::a", "*"]}, True),
        ({"Resource": "arn:aws:s3:::a/*"}, False),
        ({"Resource": ["arn:aws:s3:::a", UNKNOWN]}, None),
        ({"NotResource": "arn:aws:s3:::a"}, True),
        ({"NotResource": "*"}, False),
        ({"NotResource": UNKNOWN}, None),
        ({}, False),
    ],
)
def test_on_all_resources(elements: dict[str, Any], expected: bool | None) -> None:
    assert statement(**elements).on_all_resources.holds is expected


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"NotAction": "iam:*"}, True),
        ({"NotAction": "*"}, False),
        ({"NotAction": UNKNOWN}, None),
        ({"Action": "*"}, False),
    ],
)
def test_excludes_actions(elements: dict[str, Any], expected: bool | None) -> None:
    assert statement(**elements).excludes_actions.holds is expected


@pytest.mark.parametrize(
    ("principal", "expected"),
    [
        ("*", [("*", "*")]),
        ({"AWS": "*"}, [("AWS", "*")]),
        (
            {"Service": ["a.amazonaws.com", "b.amazonaws.com"]},
            [("Service", "a.amazonaws.com"), ("Service", "b.amazonaws.com")],
        ),
        ({"AWS": [], "Federated": "cognito-identity.amazonaws.com"}, [("Federated", "cognito-identity.amazonaws.com")]),
        ({"AWS": UNKNOWN}, [("AWS", None)]),
        (UNKNOWN, [("*", None)]),
        (None, []),
        ({}, []),
    ],
)
def test_principals(principal: Any, expected: list[tuple[str, str | None]]) -> None:
    assert [(kind, place.text) for kind, place in statement(Principal=principal).principals()] == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}, True),
        ({"stringequals": {"AWS:principalorgid": ["o-1", "o-2"]}}, True),
        ({"ForAnyValue:StringLike": {"aws:PrincipalOrgID": "o-*"}}, True),
        ({"StringLike": {"aws:PrincipalOrgID": "*"}}, False),
        ({"StringLike": {"aws:PrincipalOrgID": ["o-1", "*"]}}, False),
        ({"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}, False),
        ({"ForAllValues:StringEquals": {"aws:PrincipalOrgID": "o-1"}}, False),
        ({"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}}, False),
        ({"StringEquals": {"aws:SourceIp": "10.0.0.1"}}, False),
        ({"StringEquals": {"aws:PrincipalOrgID": []}}, False),
        ({"StringEquals": {"aws:PrincipalOrgID": None}}, False),
        ({"StringEquals": {"aws:PrincipalOrgID": {"o": 1}}}, False),
        ({"StringEquals": {"aws:PrincipalOrgID": UNKNOWN}}, None),
        ({"StringEquals": {"aws:SourceIp": UNKNOWN}}, False),
        ({"StringEquals": UNKNOWN}, None),
        ({"StringEquals": "o-1"}, False),
        ("o-1", False),
        (UNKNOWN, None),
        (None, False),
    ],
)
def test_conditioned_on(condition: Any, expected: bool | None) -> None:
    assert statement(Condition=condition).conditioned_on("aws:PrincipalOrgID").holds is expected


# --- documents -------------------------------------------------------------------------------------------------------


def document(*statements: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


@pytest.mark.parametrize("write", [lambda value: value, json.dumps], ids=["object", "text"])
def test_statements_of_an_object_or_a_text(write: Any) -> None:
    assert verdicts(write(document(DENY, ALLOW))) == [Verdict.PASS, Verdict.FAIL]
    assert paths(write(document(DENY, ALLOW))) == ["policy.Statement[1].Effect"]
    assert verdicts(write({"Statement": DENY})) == [Verdict.PASS]
    assert paths(write({"Statement": ALLOW})) == ["policy.Statement.Effect"]
    assert paths(write({"statement": {**DENY, "effect": "ALLOW", "Effect": None}})) == ["policy.statement.effect"]


def test_no_statement_grants_nothing() -> None:
    assert verdicts(document()) == [Verdict.PASS]


def test_absent_document() -> None:
    assert verdicts(None) == [Verdict.NOT_APPLICABLE]


@pytest.mark.parametrize(
    "raw",
    [UNKNOWN, Secret(UNKNOWN), {"Statement": UNKNOWN}, document(UNKNOWN), document({**ALLOW, "Effect": UNKNOWN})],
)
def test_unknown_parts(raw: Any) -> None:
    assert verdicts(raw) == [Verdict.UNKNOWN]


def test_a_known_failure_stays_beside_unknown_parts() -> None:
    assert verdicts(document(UNKNOWN, ALLOW)) == [Verdict.UNKNOWN, Verdict.FAIL]
    assert verdicts(document({**ALLOW, "Resource": UNKNOWN, "Sid": UNKNOWN})) == [Verdict.FAIL]


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("", "policy"),
        ("not json", "policy"),
        ("null", "policy"),
        ("[]", "policy"),
        ("3", "policy"),
        ('"{}"', "policy"),
        ("{}", "policy.Statement"),
        (3, "policy"),
        (True, "policy"),
        ([ALLOW], "policy"),
        ({"Statement": None}, "policy.Statement"),
        ({"Statement": "Allow"}, "policy.Statement"),
        ({"Statement": 1}, "policy.Statement"),
        (document(None), "policy.Statement[0]"),
        (document([DENY]), "policy.Statement[0]"),
        (document({**DENY, "Effect": "Permit"}), "policy.Statement[0].Effect"),
        (document({**DENY, "Effect": None}), "policy.Statement[0].Effect"),
        (document({**DENY, "Effect": ["Deny"]}), "policy.Statement[0].Effect"),
        (document({**DENY, "Action": None}), "policy.Statement[0].Action"),
        (document({**DENY, "Action": 3}), "policy.Statement[0].Action"),
        (document({**DENY, "Action": ["s3:GetObject", None]}), "policy.Statement[0].Action[1]"),
        (document({**DENY, "Action": {"s3": "Get"}}), "policy.Statement[0].Action"),
        (document({**DENY, "Resource": [["*"]]}), "policy.Statement[0].Resource[0]"),
        ("[" * 100_000, "policy"),
        ('{"Statement":' * 300 + "{}" + "}" * 300, "policy"),
    ],
)
def test_malformed_documents_fail_and_name_the_place(raw: Any, path: str) -> None:
    assert paths(raw) == [path]


def test_a_malformed_statement_hides_no_other() -> None:
    assert paths(document("x", ALLOW)) == ["policy.Statement[0]", "policy.Statement[1].Effect"]


def test_a_document_of_a_megabyte() -> None:
    statements = [DENY] * 8_000
    text = json.dumps(document(*statements, ALLOW))

    assert len(text) > 600_000
    assert paths(text) == ["policy.Statement[8000].Effect"]
    assert paths("x" * 1_000_000) == ["policy"]


def test_a_secret_document_shows_nothing() -> None:
    raw = Secret(json.dumps(document({**ALLOW, "Action": 3, "Effect": "hunter2", "Resource": {"hunter2": 1}})))

    outcomes = judge(Property(raw, "policy"), no_allow)

    assert {outcome.verdict for outcome in outcomes} == {Verdict.FAIL, Verdict.PASS}
    assert "hunter2" not in repr(outcomes)
