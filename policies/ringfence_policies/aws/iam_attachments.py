"""AWS IAM: managed policies that are attached to roles, users and groups."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from ringfence.policy.checks import every, failed, not_applicable, passed
from ringfence.policy.graph import ResourceView
from ringfence.policy.property import Property
from ringfence.policy.rule import Parameter, Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity
from ringfence_policies.aws.iam import POLICY, POLICY_TYPES, ROLE, judge_policies
from ringfence_policies.aws.iam_document import Statement, both, forbid

__all__ = ["POLICY_ATTACHMENT", "ROLE_POLICY_ATTACHMENT", "RULES", "managed_policy"]

ROLE_POLICY_ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
POLICY_ATTACHMENT = "aws:iam/policyAttachment:PolicyAttachment"
_ATTACHMENTS = (
    ROLE_POLICY_ATTACHMENT,
    "aws:iam/userPolicyAttachment:UserPolicyAttachment",
    "aws:iam/groupPolicyAttachment:GroupPolicyAttachment",
    POLICY_ATTACHMENT,
)

_AWS_MANAGED = re.compile(r"arn:[^:]+:iam::aws:policy/(?:[^/]+/)*([^/]+)")
# No pattern for single actions matches it: what grants it grants all of IAM.
_ANY_IAM_ACTION = "iam:\x01\x02action"

NARROW = (
    "AWSLambdaBasicExecutionRole",
    "AWSLambdaVPCAccessExecutionRole",
    "AWSLambdaSQSQueueExecutionRole",
    "AWSLambdaDynamoDBExecutionRole",
    "AWSLambdaKinesisExecutionRole",
    "AWSXRayDaemonWriteAccess",
    "CloudWatchLambdaInsightsExecutionRolePolicy",
)
"""Policies of AWS that hold no more than the runtime of a function needs."""


def managed_policy(arn: Property) -> str | None:
    """Return the name of the AWS-managed policy that an ARN names; None for any other policy or an unknown ARN."""
    found = _AWS_MANAGED.fullmatch(arn.text or "")
    return found.group(1) if found else None


def _attached(resource: ResourceView, check: Callable[[Property], Outcome]) -> list[Outcome]:
    """Check each policy ARN that a role or an attachment names."""
    places = resource["managedPolicyArns"].elements() if resource.type == ROLE else [resource["policyArn"]]
    known: list[Outcome] = []
    for place in places:
        if place.unknown and any(view.type == POLICY for view in resource.stack.feeding(place)):
            known.append(passed(place))  # a policy of this stack, which is none of AWS
        elif place.present and place.text is None:
            known.append(failed(place, f"{place.path} is {place.shown}.", expected="the ARN of a policy"))
        elif not place.absent:
            known += every([place], check)
    return known or [not_applicable("No managed policy is attached.")]


def _forbid(names: tuple[str, ...]) -> Callable[[Property], Outcome]:
    def check(arn: Property) -> Outcome:
        name = managed_policy(arn)
        if name not in names:
            return passed(arn)
        return failed(arn, f"The policy {name} is attached.", expected="a policy with the actions that are needed")

    return check


def _attach(name: str) -> Sample:
    return Sample(ROLE_POLICY_ATTACHMENT, {"role": "score", "policyArn": f"arn:aws:iam::aws:policy/{name}"})


_READS = "managedPolicyArns of roles, policyArn of attachments"
_GOOD = _attach("service-role/AWSLambdaBasicExecutionRole")


@rule(
    "IA05",
    "iam-no-administrator-access",
    "The policy AdministratorAccess is not attached",
    types=(ROLE, *_ATTACHMENTS),
    severity=Severity.CRITICAL,
    level=Level.MANDATORY,
    why="It allows everything: whoever gets hold of the identity owns the account.",
    reads=_READS,
    absent="Not applicable: no managed policy is attached.",
    remedy="Attach a policy with the actions that are needed.",
    sources=("CKV_AWS_274", "pb:iam-*-least-privilege"),
    bad=(_attach("AdministratorAccess"),),
    good=(_GOOD,),
)
def no_administrator_access(resource: ResourceView, _: Parameters) -> list[Outcome]:
    """Check the attached policies."""
    return _attached(resource, _forbid(("AdministratorAccess",)))


@rule(
    "IA06",
    "iam-no-full-iam",
    "IAM policies do not grant all of IAM",
    types=(*POLICY_TYPES, *_ATTACHMENTS),
    severity=Severity.CRITICAL,
    level=Level.MANDATORY,
    why="Who may change IAM may give himself everything else.",
    reads=f"{_READS}; policy of managed and inline policies, inlinePolicies[].policy of roles",
    absent="Not applicable: there is no policy.",
    remedy="List the actions of IAM that are needed, and the ARNs that they are needed on.",
    sources=("CKV2_AWS_56", "CKV2_AWS_40"),
    bad=(
        _attach("IAMFullAccess"),
        Sample(
            POLICY,
            {"policy": json.dumps({"Statement": {"Effect": "Allow", "Action": "iam:*", "Resource": "*"}})},
            name="policy",
        ),
    ),
    good=(_GOOD,),
)
def no_full_iam(resource: ResourceView, _: Parameters) -> list[Outcome]:
    """Check the attached policies, and that no statement allows every action of IAM, by Action or by NotAction."""

    def check(statement: Statement) -> Outcome:
        fact = both(statement.grants(_ANY_IAM_ACTION), statement.allows)
        return forbid(fact, "the statement allows every action of IAM, by {}.", expected="the actions that are needed")

    outcomes: list[Outcome] = []
    if resource.type == ROLE or resource.type in _ATTACHMENTS:
        outcomes += _attached(resource, _forbid(("IAMFullAccess", "AdministratorAccess")))
    if resource.type in POLICY_TYPES:
        outcomes += judge_policies(resource, check)
    return outcomes


@rule(
    "IA07",
    "iam-no-broad-aws-policy",
    "Policies that AWS manages are attached only if they are narrow",
    types=(ROLE, *_ATTACHMENTS),
    severity=Severity.MEDIUM,
    level=Level.ADVISORY,
    why="Most of them are made for trying a service out: they name no resource, and AWS adds actions to them.",
    reads=_READS,
    absent="Not applicable: no managed policy is attached.",
    remedy="Attach a policy of your own with the actions and the ARNs that are needed.",
    sources=("AwsSolutions-IAM4",),
    parameters=(
        Parameter("allowedPolicies", "array", NARROW, "Names of policies of AWS that may be attached, without a path."),
    ),
    bad=(_attach("AmazonSageMakerFullAccess"),),
    good=(_GOOD,),
)
def no_broad_policy(resource: ResourceView, parameters: Parameters) -> list[Outcome]:
    """Check that each attached policy is one of your own or in the list."""

    def check(arn: Property) -> Outcome:
        name = managed_policy(arn)
        if name is None or name in parameters["allowedPolicies"]:
            return passed(arn)
        return failed(arn, f"The policy {name} of AWS is attached.", expected="a policy of your own, or an allowed one")

    return _attached(resource, check)


RULES: tuple[Rule, ...] = (no_administrator_access, no_full_iam, no_broad_policy)
