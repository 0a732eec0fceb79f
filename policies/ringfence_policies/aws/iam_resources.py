"""IAM policies: on which resources actions are allowed that can be limited to some."""

from __future__ import annotations

import json
from typing import Final

from ringfence.policy.graph import ResourceView
from ringfence.policy.rule import Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity
from ringfence_policies.aws.iam import POLICY, POLICY_TYPES, judge_policies
from ringfence_policies.aws.iam_document import Statement, action_matches, both, forbid, spans_resources

__all__ = ["LIMITABLE", "RULES"]

LIMITABLE: Final = (
    *("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket", "s3:GetObjectVersion"),
    *("sqs:SendMessage", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:PurgeQueue"),
    *("sns:Publish", "sns:Subscribe"),
    *("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:Query"),
    *("dynamodb:Scan", "dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:DeleteTable"),
    *("lambda:InvokeFunction", "lambda:UpdateFunctionCode", "states:StartExecution", "events:PutEvents"),
    *("sagemaker:InvokeEndpoint", "sagemaker:UpdateEndpoint", "bedrock:InvokeModel"),
    *("kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"),
    *("secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"),
    *("ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath", "ssm:PutParameter"),
    *("logs:CreateLogStream", "logs:PutLogEvents", "logs:FilterLogEvents", "logs:GetLogEvents"),
    *("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability", "ecr:PutImage"),
    *("ec2:CreateNetworkInterface", "ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterface"),
    *("ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"),
    *("kinesis:PutRecord", "kinesis:GetRecords", "sts:AssumeRole", "iam:PassRole"),
)
"""Actions that take a resource in a policy's Resource, of the services that AI workloads use.

Not all that there are. Source: the AWS Service Authorization Reference, "Resource types" of each service's actions.
"""


def _policy(action: str, resource: str) -> Sample:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return Sample(POLICY, {"policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]})})


@rule(
    "IA04",
    "iam-no-star-resource",
    "Actions that can be limited to resources are limited",
    types=POLICY_TYPES,
    severity=Severity.MEDIUM,
    level=Level.ADVISORY,
    why="An identity that may read any object, queue or secret makes one flaw in its code a breach of all of them.",
    reads="policy of managed and inline policies, inlinePolicies[].policy of roles",
    absent="Not applicable: there is no policy document.",
    remedy='Name the resources; give actions that know none, such as ecr:GetAuthorizationToken, a statement of "*".',
    sources=("CKV_AWS_355", "AwsSolutions-IAM5"),
    bad=(_policy("s3:GetObject", "*"),),
    good=(_policy("s3:GetObject", "arn:aws:s3:::models/scorer/*"),),
)
def no_star_resource(resource: ResourceView, _: Parameters) -> list[Outcome]:
    """Check statements with every resource for actions that take one. Conditions do not count.

    An action that is not in the table passes: of some actions it is not known here whether they can be limited.
    """

    def check(statement: Statement) -> Outcome:
        limitable = statement.acts(lambda pattern: any(action_matches(pattern, action) for action in LIMITABLE))
        fact = both(statement.on(spans_resources), limitable, statement.allows)
        return forbid(
            fact, "actions that can be limited to resources are allowed on all.", expected="the ARNs of the resources"
        )

    return judge_policies(resource, check)


RULES: tuple[Rule, ...] = (no_star_resource,)
