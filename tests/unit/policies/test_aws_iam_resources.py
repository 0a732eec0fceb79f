from __future__ import annotations

import json
from typing import Any

import pytest

from ringfence.deployment import UNKNOWN
from ringfence.policy.verdict import Verdict
from ringfence_policies.aws import iam, iam_resources
from tests.unit.policies.cases import Case, check, check_examples

PASS, FAIL, OPEN, SKIP = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN, Verdict.NOT_APPLICABLE
BUCKET = "arn:aws:s3:::models/*"


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def policy(*statements: Any) -> dict[str, Any]:
    return {"policy": {"Version": "2012-10-17", "Statement": list(statements)}}


BAD = allow("s3:GetObject")
TABLE = [
    Case("fail", FAIL, policy(BAD), path="policy.Statement[0].Resource"),
    Case("pass", PASS, policy(allow("s3:GetObject", BUCKET))),
    Case("text", FAIL, {"policy": json.dumps(policy(BAD)["policy"])}),
    Case("absent", SKIP, {}),
    Case("unknown", OPEN, {"policy": UNKNOWN}, path="policy"),
    Case("wrong type", FAIL, {"policy": 7}, path="policy"),
    Case("takes no resource", PASS, policy(allow(["ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"]))),
    Case("not in the table", PASS, policy(allow("a4b:GetDevice"))),
    Case("one of two actions", FAIL, policy(allow(["ecr:GetAuthorizationToken", "ecr:BatchGetImage"]))),
    Case("other case", FAIL, policy(allow("S3:getobject"))),
    Case("pattern", FAIL, policy(allow("s3:Get*"))),
    Case("everything", FAIL, policy(allow("*"))),
    Case("every resource of a partition", FAIL, policy(allow("s3:GetObject", "arn:aws:*"))),
    Case("one of two resources", FAIL, policy(allow("s3:GetObject", [BUCKET, "*"]))),
    Case("one bad statement", FAIL, policy(allow("s3:GetObject", BUCKET), BAD)),
    Case("under a condition", FAIL, policy({**BAD, "Condition": {"Bool": {"aws:SecureTransport": "true"}}})),
    Case("denied", PASS, policy({**BAD, "Effect": "Deny"})),
    Case("all but one", FAIL, policy({"Effect": "Allow", "Action": "s3:GetObject", "NotResource": BUCKET})),
    Case("unknown action", OPEN, policy(allow(UNKNOWN))),
    Case("unknown resource", OPEN, policy(allow("s3:GetObject", UNKNOWN))),
    Case("unknown effect", OPEN, policy({**BAD, "Effect": UNKNOWN})),
    Case("bad beside an unknown", FAIL, policy(UNKNOWN, BAD)),
    Case("role", FAIL, {"inlinePolicies": [policy(BAD)]}, type=iam.ROLE),
    Case("role policy", FAIL, policy(BAD), type=iam.ROLE_POLICY),
]


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.label)
def test_verdict(case: Case) -> None:
    check(iam_resources.no_star_resource, case)


def test_examples() -> None:
    check_examples(iam_resources.no_star_resource)


def test_the_table_names_actions() -> None:
    assert len(set(iam_resources.LIMITABLE)) == len(iam_resources.LIMITABLE)
    assert [action for action in iam_resources.LIMITABLE if action.count(":") != 1 or "*" in action] == []
