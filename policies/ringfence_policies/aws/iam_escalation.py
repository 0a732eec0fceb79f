"""AWS IAM: permissions that lead to further permissions or to all encrypted data."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from ringfence.policy.checks import PASS, failed, not_applicable, undecided
from ringfence.policy.graph import ResourceView
from ringfence.policy.rule import Parameter, Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity
from ringfence_policies.aws.frameworks import fsbp
from ringfence_policies.aws.iam import POLICY, POLICY_TYPES, judge_policies, policies
from ringfence_policies.aws.iam_document import Fact, Statement, both, either, forbid, judge, negated, spans_type

__all__ = ["ESCALATIONS", "RULES"]

ESCALATIONS: tuple[tuple[str, ...], ...] = (
    # Change what a policy, an identity or a trust says.
    ("iam:CreatePolicyVersion",),
    ("iam:SetDefaultPolicyVersion",),
    ("iam:AttachUserPolicy",),
    ("iam:AttachGroupPolicy",),
    ("iam:AttachRolePolicy",),
    ("iam:PutUserPolicy",),
    ("iam:PutGroupPolicy",),
    ("iam:PutRolePolicy",),
    ("iam:AddUserToGroup",),
    ("iam:UpdateAssumeRolePolicy",),
    ("iam:DeleteRolePermissionsBoundary",),
    ("iam:DeleteUserPermissionsBoundary",),
    # Log in as someone else.
    ("iam:CreateAccessKey",),
    ("iam:CreateLoginProfile",),
    ("iam:UpdateLoginProfile",),
    # Run own code with a role that is there already.
    ("lambda:UpdateFunctionCode",),
    ("lambda:UpdateFunctionConfiguration",),
    ("glue:UpdateDevEndpoint",),
    ("sagemaker:CreatePresignedNotebookInstanceUrl",),
    ("ssm:SendCommand",),
    ("ssm:StartSession",),
    # Run own code with any role that the service may take.
    ("iam:PassRole", "lambda:CreateFunction", "lambda:InvokeFunction"),
    ("iam:PassRole", "lambda:CreateFunction", "lambda:CreateEventSourceMapping"),
    ("iam:PassRole", "lambda:CreateFunction", "lambda:AddPermission"),
    ("iam:PassRole", "ec2:RunInstances"),
    ("iam:PassRole", "autoscaling:CreateLaunchConfiguration", "autoscaling:CreateAutoScalingGroup"),
    ("iam:PassRole", "ecs:RegisterTaskDefinition", "ecs:RunTask"),
    ("iam:PassRole", "cloudformation:CreateStack"),
    ("iam:PassRole", "codebuild:CreateProject", "codebuild:StartBuild"),
    ("iam:PassRole", "datapipeline:CreatePipeline", "datapipeline:PutPipelineDefinition"),
    ("iam:PassRole", "glue:CreateDevEndpoint"),
    ("iam:PassRole", "glue:CreateJob", "glue:StartJobRun"),
    ("iam:PassRole", "glue:UpdateJob", "glue:StartJobRun"),
    ("iam:PassRole", "sagemaker:CreateProcessingJob"),
    ("iam:PassRole", "sagemaker:CreateTrainingJob"),
    ("iam:PassRole", "states:CreateStateMachine", "states:StartExecution"),
)
"""Sets of actions that together, on whatever resource, give an identity more than it has.

Facts: Rhino Security Labs, "AWS IAM Privilege Escalation - Methods and Mitigation"; the services' own API references
for what a role that is passed may be used for.
"""

_SHOWN = 3


def _policy(action: str | list[str], resource: str, condition: dict[str, dict[str, str]] | None = None) -> Sample:
    statement: dict[str, Any] = {"Effect": "Allow", "Action": action, "Resource": resource}
    if condition:
        statement["Condition"] = condition
    return Sample(POLICY, {"policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]})})


_READS = "policy of managed and inline policies, inlinePolicies[].policy of roles"
_ABSENT = "Not applicable: there is no policy document."
_ROLE_ARN = "arn:aws:iam::111122223333:role/score"
_KEY_ARN = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@rule(
    "IA08",
    "iam-no-privilege-escalation",
    "IAM policies give no way to more permissions",
    types=POLICY_TYPES,
    severity=Severity.CRITICAL,
    level=Level.MANDATORY,
    why="These actions look harmless one by one, but let the identity give itself, or borrow, others' permissions.",
    reads=_READS,
    absent=_ABSENT,
    remedy="Name the roles, users or functions that the actions are needed on, or leave one action of the set out.",
    sources=("CKV_AWS_286",),
    bad=(_policy(["iam:PassRole", "lambda:CreateFunction", "lambda:InvokeFunction"], "*"),),
    good=(_policy(["iam:GetRole", "lambda:InvokeFunction"], "*"),),
)
def no_escalation(resource: ResourceView, _: Parameters) -> list[Outcome]:
    """Check for sets of actions that are allowed on every resource of their type.

    All policies of the resource count together; what an unconditional Deny takes away does not count, nor what is only
    allowed under a permissions boundary, which is how AWS tells administrators to delegate.
    """
    places = policies(resource)
    if not places:
        return [not_applicable("The role has no inline policy.")]
    statements: list[Statement] = []

    def collect(statement: Statement) -> Outcome:
        statements.append(statement)
        return PASS

    outcomes = [outcome for place in places for outcome in judge(place, collect)]

    nowhere = Fact(False, places[0])
    # What cannot hold for any action is left out before the table is gone through.
    allowing = [(each, fact) for each in statements if (fact := _allows(each)).holds is not False]
    if not allowing:
        return outcomes
    denying = [(each, fact) for each in statements if (fact := _denies(each)).holds is not False]

    @cache
    def granted(action: str) -> Fact:
        allowed = either(nowhere, *(both(each.grants(action), fact) for each, fact in allowing))
        if allowed.holds is False:
            return allowed
        denied = either(nowhere, *(both(each.grants(action), fact) for each, fact in denying))
        return both(allowed, negated(denied))

    ways = [way for way in ESCALATIONS if all(granted(action).holds is not False for action in way)]
    return [*outcomes, *_summary([(way, both(*map(granted, way))) for way in ways])]


def _summary(ways: list[tuple[tuple[str, ...], Fact]]) -> list[Outcome]:
    """Return one outcome for all ways: `*` alone would give dozens."""
    sure = [(" + ".join(actions), fact.place) for actions, fact in ways if fact.holds]
    if sure:
        more = f" and {len(sure) - _SHOWN} more" if len(sure) > _SHOWN else ""
        listed = "; ".join(text for text, _ in sure[:_SHOWN])
        return [
            failed(
                sure[0][1],
                f"The policy gives {len(sure)} ways to more permissions, on all resources: {listed}{more}.",
                expected="the resources that the actions are needed on",
            )
        ]
    return [undecided(fact.place) for _, fact in ways[:1]]


def _allows(statement: Statement) -> Fact:
    bounded = statement.conditioned_on("iam:PermissionsBoundary")
    return both(statement.on(spans_type), statement.allows, negated(bounded))


def _denies(statement: Statement) -> Fact:
    condition = statement.element("Condition")
    always = Fact(None if condition.unknown else condition.absent, condition)
    return both(negated(statement.allows), statement.on_all_resources, always)


@rule(
    "IA16",
    "iam-pass-role-narrow",
    "iam:PassRole is for named roles and services",
    types=POLICY_TYPES,
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="Who may pass any role to a service can make the service act with the permissions of that role.",
    reads=_READS,
    absent=_ABSENT,
    remedy="Name the roles in Resource, and the service in the condition iam:PassedToService.",
    sources=("CKV_AWS_286", "project"),
    parameters=(
        Parameter(
            "requirePassedToService",
            "boolean",
            True,
            "Whether a statement with named roles also needs the condition iam:PassedToService.",
        ),
    ),
    bad=(_policy("iam:PassRole", "*"),),
    good=(_policy("iam:PassRole", _ROLE_ARN, {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}),),
)
def pass_role_narrow(resource: ResourceView, parameters: Parameters) -> list[Outcome]:
    """Check the roles that may be passed, and to whom."""

    def check(statement: Statement) -> list[Outcome]:
        passes = both(statement.grants("iam:PassRole"), statement.allows)
        outcomes = [
            forbid(
                both(statement.on(spans_type), passes),
                "iam:PassRole is allowed for every role.",
                expected="the ARNs of the roles that may be passed",
            )
        ]
        if parameters["requirePassedToService"]:
            outcomes.append(
                forbid(
                    both(passes, negated(statement.conditioned_on("iam:PassedToService"))),
                    "iam:PassRole is allowed for every service.",
                    expected="the condition iam:PassedToService",
                )
            )
        return outcomes

    return judge_policies(resource, check)


@rule(
    "IA17",
    "iam-no-decrypt-with-all-keys",
    "IAM policies do not allow decryption with every KMS key",
    types=POLICY_TYPES,
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="The identity can otherwise read whatever anyone in the account has encrypted.",
    reads=_READS,
    absent=_ABSENT,
    remedy="Name the keys in Resource.",
    frameworks=(fsbp("KMS.1"), fsbp("KMS.2")),
    sources=("FSBP KMS.1", "FSBP KMS.2"),
    bad=(_policy("kms:Decrypt", "*"),),
    good=(_policy("kms:Decrypt", _KEY_ARN),),
)
def no_decrypt_with_all_keys(resource: ResourceView, _: Parameters) -> list[Outcome]:
    """Check the keys of statements that allow kms:Decrypt or kms:ReEncryptFrom. Conditions do not count, as in FSBP."""

    def check(statement: Statement) -> Outcome:
        decrypts = either(statement.grants("kms:Decrypt"), statement.grants("kms:ReEncryptFrom"))
        fact = both(statement.on(spans_type), decrypts, statement.allows)
        return forbid(fact, "decryption is allowed with every key, by {}.", expected="the ARNs of the keys")

    return judge_policies(resource, check)


RULES: tuple[Rule, ...] = (no_escalation, pass_role_narrow, no_decrypt_with_all_keys)
