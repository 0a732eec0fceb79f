"""Guardrails for AWS."""

from __future__ import annotations

from ringfence.policy.rule import Rule
from ringfence_policies.aws import (
    dynamodb,
    iam,
    iam_attachments,
    iam_confused_deputy,
    iam_escalation,
    iam_resources,
    iam_trust,
    lambda_,
    lambda_permission,
    lambda_role,
    sagemaker,
    sqs,
)

__all__ = ["RULES"]

RULES: tuple[Rule, ...] = (
    *lambda_permission.RULES,
    *lambda_.RULES,
    *lambda_role.RULES,
    *dynamodb.RULES,
    *iam.RULES,
    *iam_attachments.RULES,
    *iam_escalation.RULES,
    *iam_trust.RULES,
    *iam_resources.RULES,
    *iam_confused_deputy.RULES,
    *sqs.RULES,
    *sagemaker.RULES,
)
