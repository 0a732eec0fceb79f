"""How each type of resource is deleted: by the calls that the provider makes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ringfence.providers.emulated.aws.calls import Clients, some
from ringfence.providers.emulated.interface import plain
from ringfence.providers.interface import Created, Registration

__all__ = ["REMOVERS", "Removing", "is_absent"]

DEFAULT_DELETION_WINDOW = 30
"""Days until a KMS key is gone. Source: KMS API Reference, ScheduleKeyDeletion."""

ABSENT = (
    "NotFound",
    "NoSuch",
    "NonExistent",
    "DoesNotExist",
    "Could not find",
    "No scalable target",
    "No scaling policy",
)
"""What the services' errors say of what is not there: in their codes, and moto's and SageMaker's in their messages."""

TOPIC_ACTIONS = (
    "AddPermission",
    "DeleteTopic",
    "GetTopicAttributes",
    "ListSubscriptionsByTopic",
    "Publish",
    "RemovePermission",
    "SetTopicAttributes",
    "Subscribe",
)
"""What its own account may do with a topic that has no policy yet."""


@dataclass(frozen=True)
class Removing:
    """A resource that is to be deleted."""

    registration: Registration
    existing: Created
    client: Clients

    @property
    def id(self) -> str:
        """The resource's id."""
        return str(self.existing.id)

    @property
    def values(self) -> dict[str, Any]:
        """What is declared, without markers."""
        known: dict[str, Any] = plain(self.registration.inputs)
        return known


Remover: TypeAlias = Callable[[Removing], Any]
"""Deletes resources of one type."""


def is_absent(error: Any) -> bool:
    """Whether a service says that what is to be deleted is not there."""
    told = error.response.get("Error", {})
    return any(text in f"{told.get('Code')} {told.get('Message')}" for text in ABSENT)


def _by_id(service: str, operation: str, parameter: str) -> Remover:
    """Return what deletes by one call that takes the resource's id."""

    def remove(removing: Removing) -> None:
        getattr(removing.client(service), operation)(**{parameter: removing.id})

    return remove


# --- what is more than one call ------------------------------------------------------------------------------------


def _queue_attribute(attribute: str) -> Remover:
    """Return what takes one attribute of a queue back."""

    def remove(removing: Removing) -> None:
        removing.client("sqs").set_queue_attributes(QueueUrl=removing.id, Attributes={attribute: ""})

    return remove


def _topic_policy(removing: Removing) -> None:
    """Give a topic the policy that a new one has: a topic cannot be without."""
    statement = {
        "Sid": "__default_statement_ID",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": [f"SNS:{action}" for action in TOPIC_ACTIONS],
        "Resource": removing.id,
        "Condition": {"StringEquals": {"AWS:SourceOwner": removing.id.split(":")[4]}},
    }
    policy = {"Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": [statement]}
    removing.client("sns").set_topic_attributes(
        TopicArn=removing.id, AttributeName="Policy", AttributeValue=json.dumps(policy)
    )


def _role(removing: Removing) -> None:
    iam, values = removing.client("iam"), removing.values
    for policy in values.get("inlinePolicies", []):
        iam.delete_role_policy(RoleName=removing.id, PolicyName=policy["name"])
    attached = values.get("managedPolicyArns", [])
    if values.get("forceDetachPolicies"):
        kept = iam.list_attached_role_policies(RoleName=removing.id)["AttachedPolicies"]
        attached = [item["PolicyArn"] for item in kept]
    for arn in attached:
        iam.detach_role_policy(RoleName=removing.id, PolicyArn=arn)
    iam.delete_role(RoleName=removing.id)


def _role_policy(removing: Removing) -> None:
    role, _, name = removing.id.partition(":")
    removing.client("iam").delete_role_policy(RoleName=role, PolicyName=name)


def _role_policy_attachment(removing: Removing) -> None:
    values = removing.values
    removing.client("iam").detach_role_policy(RoleName=values["role"], PolicyArn=values["policyArn"])


def _permission(removing: Removing) -> None:
    values = removing.values
    removing.client("lambda").remove_permission(
        FunctionName=values["function"], StatementId=removing.id, **some(Qualifier=values.get("qualifier"))
    )


def _log_group(removing: Removing) -> None:
    if not removing.values.get("skipDestroy"):
        removing.client("logs").delete_log_group(logGroupName=removing.id)


def _alarm(removing: Removing) -> None:
    removing.client("cloudwatch").delete_alarms(AlarmNames=[removing.id])


def _place(removing: Removing) -> dict[str, str]:
    names = {
        "ServiceNamespace": "serviceNamespace",
        "ResourceId": "resourceId",
        "ScalableDimension": "scalableDimension",
    }
    return {api: removing.values[own] for api, own in names.items()}


def _target(removing: Removing) -> None:
    removing.client("application-autoscaling").deregister_scalable_target(**_place(removing))


def _scaling_policy(removing: Removing) -> None:
    scaling = removing.client("application-autoscaling")
    scaling.delete_scaling_policy(PolicyName=removing.id, **_place(removing))


def _key(removing: Removing) -> None:
    days = removing.values.get("deletionWindowInDays", DEFAULT_DELETION_WINDOW)
    removing.client("kms").schedule_key_deletion(KeyId=removing.id, PendingWindowInDays=int(days))


def _bucket(removing: Removing) -> None:
    s3 = removing.client("s3")
    if removing.values.get("forceDestroy"):
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=removing.id):
            for item in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                s3.delete_object(Bucket=removing.id, Key=item["Key"], **some(VersionId=item.get("VersionId")))
    s3.delete_bucket(Bucket=removing.id)


def _bucket_versioning(removing: Removing) -> None:
    """Suspend versioning: a bucket that once had it cannot be without."""
    if removing.values.get("versioningConfiguration", {}).get("status") == "Enabled":
        removing.client("s3").put_bucket_versioning(Bucket=removing.id, VersioningConfiguration={"Status": "Suspended"})


REMOVERS: Mapping[str, Remover] = {
    "appautoscaling/policy:Policy": _scaling_policy,
    "appautoscaling/target:Target": _target,
    "cloudwatch/logGroup:LogGroup": _log_group,
    "cloudwatch/metricAlarm:MetricAlarm": _alarm,
    "dynamodb/table:Table": _by_id("dynamodb", "delete_table", "TableName"),
    "iam/policy:Policy": _by_id("iam", "delete_policy", "PolicyArn"),
    "iam/role:Role": _role,
    "iam/rolePolicy:RolePolicy": _role_policy,
    "iam/rolePolicyAttachment:RolePolicyAttachment": _role_policy_attachment,
    "kms/alias:Alias": _by_id("kms", "delete_alias", "AliasName"),
    "kms/key:Key": _key,
    "lambda/eventSourceMapping:EventSourceMapping": _by_id("lambda", "delete_event_source_mapping", "UUID"),
    "lambda/function:Function": _by_id("lambda", "delete_function", "FunctionName"),
    "lambda/permission:Permission": _permission,
    "s3/bucket:Bucket": _bucket,
    "s3/bucketPolicy:BucketPolicy": _by_id("s3", "delete_bucket_policy", "Bucket"),
    "s3/bucketV2:BucketV2": _bucket,
    "s3/bucketVersioning:BucketVersioning": _bucket_versioning,
    "sagemaker/endpoint:Endpoint": _by_id("sagemaker", "delete_endpoint", "EndpointName"),
    "sagemaker/endpointConfiguration:EndpointConfiguration": _by_id(
        "sagemaker", "delete_endpoint_config", "EndpointConfigName"
    ),
    "sagemaker/model:Model": _by_id("sagemaker", "delete_model", "ModelName"),
    "sns/topic:Topic": _by_id("sns", "delete_topic", "TopicArn"),
    "sns/topicPolicy:TopicPolicy": _topic_policy,
    "sns/topicSubscription:TopicSubscription": _by_id("sns", "unsubscribe", "SubscriptionArn"),
    "sqs/queue:Queue": _by_id("sqs", "delete_queue", "QueueUrl"),
    "sqs/queuePolicy:QueuePolicy": _queue_attribute("Policy"),
    "sqs/redriveAllowPolicy:RedriveAllowPolicy": _queue_attribute("RedriveAllowPolicy"),
    "sqs/redrivePolicy:RedrivePolicy": _queue_attribute("RedrivePolicy"),
}
