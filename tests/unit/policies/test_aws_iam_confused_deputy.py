from __future__ import annotations

import json
from typing import Any

import pytest

from ringfence.deployment import UNKNOWN
from ringfence.policy.verdict import Verdict
from ringfence_policies.aws import iam_confused_deputy
from tests.unit.policies.cases import Case, check, check_examples

PASS, FAIL, OPEN, SKIP = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN, Verdict.NOT_APPLICABLE
ACCOUNT = {"StringEquals": {"aws:SourceAccount": "111122223333"}}
SAGEMAKER = {"Service": "sagemaker.amazonaws.com"}


def allow(principal: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more}


def trust(*statements: Any) -> dict[str, Any]:
    return {"assumeRolePolicy": {"Version": "2012-10-17", "Statement": list(statements)}}


BAD = allow(SAGEMAKER)
TABLE = [
    Case("fail", FAIL, trust(BAD)),
    Case("text", FAIL, {"assumeRolePolicy": json.dumps(trust(BAD)["assumeRolePolicy"])}),
    Case("account", PASS, trust(allow(SAGEMAKER, Condition=ACCOUNT))),
    Case("arn", PASS, trust(allow(SAGEMAKER, Condition={"ArnLike": {"AWS:sourcearn": "arn:aws:sagemaker:*:1:*"}}))),
    Case("any arn", FAIL, trust(allow(SAGEMAKER, Condition={"ArnLike": {"aws:SourceArn": "*"}}))),
    Case("another key", FAIL, trust(allow(SAGEMAKER, Condition={"StringEquals": {"aws:PrincipalTag/a": "b"}}))),
    Case(
        "if it is there at all",
        FAIL,
        trust(allow(SAGEMAKER, Condition={"StringEqualsIfExists": {"aws:SourceAccount": "1"}})),
    ),
    Case("a service that does not say", PASS, trust(allow({"Service": "lambda.amazonaws.com"}))),
    Case("with a region", FAIL, trust(allow({"Service": "states.eu-west-1.amazonaws.com"}))),
    Case("one of two services", FAIL, trust(allow({"Service": ["lambda.amazonaws.com", "states.amazonaws.com"]}))),
    Case("one bad statement", FAIL, trust(allow(SAGEMAKER, Condition=ACCOUNT), BAD)),
    Case("an account", PASS, trust(allow({"AWS": "arn:aws:iam::111122223333:root"}))),
    Case("denied", PASS, trust({**BAD, "Effect": "Deny"})),
    Case("absent", SKIP, {}),
    Case("unknown", OPEN, {"assumeRolePolicy": UNKNOWN}, path="assumeRolePolicy"),
    Case("unknown condition", OPEN, trust(allow(SAGEMAKER, Condition=UNKNOWN))),
    Case("unknown service", OPEN, trust(allow({"Service": UNKNOWN}))),
    Case("wrong type", FAIL, {"assumeRolePolicy": 7}, path="assumeRolePolicy"),
    Case("no JSON", FAIL, {"assumeRolePolicy": "x"}, path="assumeRolePolicy"),
]


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.label)
def test_verdict(case: Case) -> None:
    check(iam_confused_deputy.source_condition, case)


def test_examples() -> None:
    check_examples(iam_confused_deputy.source_condition)
