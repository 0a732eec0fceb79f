"""Trust policies that say on whose behalf a service may take the role on."""

from __future__ import annotations

import json
import re
from typing import Any

from ringfence.policy.checks import not_applicable
from ringfence.policy.graph import ResourceView
from ringfence.policy.rule import Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity
from ringfence_policies.aws.iam import ROLE
from ringfence_policies.aws.iam_document import Statement, both, forbid, judge, negated, some

__all__ = ["RULES"]

_SERVICES = re.compile(
    r"(sagemaker|vpc-flow-logs|states|scheduler|bedrock)(\.[a-z]{2}(-[a-z]+)+-\d+)?\.amazonaws\.com(\.cn)?",
    re.IGNORECASE,
)
"""Services that send aws:SourceArn or aws:SourceAccount when they take a role on, by their own guides ("cross-service
confused deputy prevention"). Others, such as lambda.amazonaws.com, do not: a condition would lock them out."""

_KEYS = ("aws:SourceArn", "aws:SourceAccount", "aws:SourceOrgID", "aws:SourceOrgPaths")


def _role(**more: Any) -> Sample:
    statement = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = {"Version": "2012-10-17", "Statement": [{**statement, **more}]}
    return Sample(ROLE, {"assumeRolePolicy": json.dumps(document)})


@rule(
    "IA14",
    "iam-trust-source-condition",
    "Roles of services say on whose behalf they may be assumed",
    types=(ROLE,),
    severity=Severity.MEDIUM,
    level=Level.ADVISORY,
    why="Without it the service may take the role on for somebody else's account that names it: a confused deputy.",
    reads="assumeRolePolicy",
    absent="Not applicable: the service asks for the property.",
    remedy="Add a condition on aws:SourceAccount or aws:SourceArn to the statement.",
    sources=("prowler:iam_role_cross_service_confused_deputy_prevention",),
    bad=(_role(),),
    good=(_role(Condition={"StringEquals": {"aws:SourceAccount": "111122223333"}}),),
)
def source_condition(role: ResourceView, _: Parameters) -> Outcome | list[Outcome]:
    """Check statements that let a service assume the role which says for whom it does."""
    trust = role["assumeRolePolicy"]
    if trust.absent:
        return not_applicable("There is no trust policy.")

    def check(statement: Statement) -> Outcome:
        services = [place for kind, place in statement.principals() if kind.casefold() == "service"]
        named = some(services, lambda text: _SERVICES.fullmatch(text) is not None, statement.element("Principal"))
        fact = both(
            named, statement.allows, statement.grants("sts:AssumeRole"), negated(statement.conditioned_on(*_KEYS))
        )
        return forbid(
            fact,
            "the service {} may assume the role on anyone's behalf.",
            expected="a condition on aws:SourceAccount or aws:SourceArn",
        )

    return judge(trust, check)


RULES: tuple[Rule, ...] = (source_condition,)
