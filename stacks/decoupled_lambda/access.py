"""IAM documents. Every statement names its actions and its resources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

__all__ = ["allow", "deny", "document", "own", "service_role"]


def allow(
    actions: Sequence[str],
    resources: Sequence[pulumi.Input[str]],
    condition: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a statement that allows the actions on the resources."""
    statement: dict[str, Any] = {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    if condition is not None:
        statement["Condition"] = condition
    return statement


def deny(
    actions: Sequence[str],
    resources: Sequence[pulumi.Input[str]],
    condition: Mapping[str, Any],
) -> dict[str, Any]:
    """Return a statement that denies the actions on the resources under a condition."""
    return allow(actions, resources, condition) | {"Effect": "Deny"}


def document(statements: Sequence[Mapping[str, Any]]) -> pulumi.Output[str]:
    """Return a policy document of these statements, as JSON."""
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": list(statements)})


def own(service: str, region: str, rest: str) -> pulumi.Output[str]:
    """Return the ARN of resources of this account in a region; `rest` is what follows the account."""
    account = aws.get_caller_identity_output().account_id
    partition = aws.get_partition_output().partition
    return pulumi.Output.format("arn:{0}:{1}:{2}:{3}:{4}", partition, service, region, account, rest)


def service_role(
    name: str,
    service: str,
    description: str,
    *,
    tags: Mapping[str, str],
    parent: pulumi.Resource,
    condition: Mapping[str, Any] | None = None,
) -> aws.iam.Role:
    """Return a role that one AWS service alone may assume."""
    trust: dict[str, Any] = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}
    if condition is not None:
        trust["Condition"] = condition
    return aws.iam.Role(
        name,
        assume_role_policy=document([trust]),
        description=description,
        max_session_duration=3600,
        tags=tags,
        opts=pulumi.ResourceOptions(parent=parent),
    )
