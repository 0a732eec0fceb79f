"""SQS queues and SNS topics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ringfence.providers.emulated.aws.calls import COMMON, Maker, Making, same_json, some, tag_list, tag_map
from ringfence.providers.emulated.interface import Made, gaps

__all__ = ["MAKERS"]

QUEUE = {
    "contentBasedDeduplication": "ContentBasedDeduplication",
    "deduplicationScope": "DeduplicationScope",
    "delaySeconds": "DelaySeconds",
    "fifoQueue": "FifoQueue",
    "fifoThroughputLimit": "FifoThroughputLimit",
    "kmsDataKeyReusePeriodSeconds": "KmsDataKeyReusePeriodSeconds",
    "kmsMasterKeyId": "KmsMasterKeyId",
    "maxMessageSize": "MaximumMessageSize",
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "policy": "Policy",
    "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
    "redriveAllowPolicy": "RedriveAllowPolicy",
    "redrivePolicy": "RedrivePolicy",
    "sqsManagedSseEnabled": "SqsManagedSseEnabled",
    "visibilityTimeoutSeconds": "VisibilityTimeout",
}
"""Attributes of a queue. Source: SQS API Reference, SetQueueAttributes."""

TOPIC = {
    "contentBasedDeduplication": "ContentBasedDeduplication",
    "deliveryPolicy": "DeliveryPolicy",
    "displayName": "DisplayName",
    "fifoTopic": "FifoTopic",
    "kmsMasterKeyId": "KmsMasterKeyId",
    "policy": "Policy",
    "signatureVersion": "SignatureVersion",
    "tracingConfig": "TracingConfig",
}
"""Attributes of a topic. Source: SNS API Reference, SetTopicAttributes."""

SUBSCRIPTION = {
    "deliveryPolicy": "DeliveryPolicy",
    "filterPolicy": "FilterPolicy",
    "filterPolicyScope": "FilterPolicyScope",
    "rawMessageDelivery": "RawMessageDelivery",
    "redrivePolicy": "RedrivePolicy",
}
DOCUMENTS = {"policy", "redriveAllowPolicy", "redrivePolicy", "deliveryPolicy", "filterPolicy"}


def _attributes(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """Return attributes as the APIs take them: all are text."""
    return {api: _text(values[own]) for own, api in names.items() if own in values}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _found(values: Mapping[str, Any], names: Mapping[str, str], kept: Mapping[str, str]) -> dict[str, Any]:
    """Return what was read back, in the types in which it was declared."""
    found: dict[str, Any] = {}
    for own, api in names.items():
        if own not in values:
            continue
        if own in DOCUMENTS:
            found[own] = same_json(values[own], kept.get(api))
        else:
            found[own] = (
                values[own] if _text(values[own]) == kept.get(api, "").replace("True", "true") else kept.get(api)
            )
    return found


def _queue(making: Making) -> Made:
    sqs, values = making.client("sqs"), making.values
    attributes = _attributes(values, QUEUE)
    if attributes.get("FifoQueue") == "false":
        del attributes["FifoQueue"]  # the API takes it for FIFO queues only
    url = sqs.create_queue(QueueName=making.name, Attributes=attributes, **some(tags=values.get("tags")))["QueueUrl"]
    kept = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    found = _found(values, {key: api for key, api in QUEUE.items() if key != "fifoQueue"}, kept)
    found["fifoQueue"] = kept.get("FifoQueue", "false").lower() == "true"
    found["tags"] = sqs.list_queue_tags(QueueUrl=url).get("Tags", {})
    outputs = {"arn": kept["QueueArn"], "url": url}
    return Made(outputs, url, gaps(making.inputs, names=COMMON, found=found))


def _queue_attribute(own: str) -> Maker:
    """Return what sets one attribute of a queue that exists."""

    def make(making: Making) -> Made:
        sqs, values = making.client("sqs"), making.values
        sqs.set_queue_attributes(QueueUrl=values["queueUrl"], Attributes={QUEUE[own]: values[own]})
        # A policy may deny everyone to ask for all attributes, and still let this one be asked for.
        kept = sqs.get_queue_attributes(QueueUrl=values["queueUrl"], AttributeNames=[QUEUE[own]])
        found = {own: same_json(values[own], kept.get("Attributes", {}).get(QUEUE[own]))}
        return Made(id=values["queueUrl"], gaps=gaps(making.inputs, names=(*COMMON, "queueUrl"), found=found))

    return make


def _topic(making: Making) -> Made:
    sns, values = making.client("sns"), making.values
    attributes = _attributes(values, TOPIC)
    if attributes.get("FifoTopic") == "false":
        del attributes["FifoTopic"]
    tags = some(Tags=tag_list(values.get("tags")))
    arn = sns.create_topic(Name=making.name, Attributes=attributes, **tags)["TopicArn"]
    kept = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    found = _found(values, {key: api for key, api in TOPIC.items() if key != "fifoTopic"}, kept)
    found["fifoTopic"] = kept.get("FifoTopic", "false").lower() == "true"
    found["tags"] = tag_map(sns.list_tags_for_resource(ResourceArn=arn)["Tags"])
    return Made({"arn": arn}, arn, gaps(making.inputs, names=COMMON, found=found))


def _topic_policy(making: Making) -> Made:
    sns, values = making.client("sns"), making.values
    sns.set_topic_attributes(TopicArn=values["arn"], AttributeName="Policy", AttributeValue=values["policy"])
    kept = sns.get_topic_attributes(TopicArn=values["arn"])["Attributes"]
    found = {"policy": same_json(values["policy"], kept.get("Policy"))}
    return Made(id=values["arn"], gaps=gaps(making.inputs, names=(*COMMON, "arn"), found=found))


def _topic_subscription(making: Making) -> Made:
    sns, values = making.client("sns"), making.values
    arn = sns.subscribe(
        TopicArn=values["topic"],
        Protocol=values["protocol"],
        Endpoint=values["endpoint"],
        Attributes=_attributes(values, SUBSCRIPTION),
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]
    kept = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    found = _found(values, SUBSCRIPTION, kept)
    found |= {"protocol": kept.get("Protocol"), "endpoint": kept.get("Endpoint"), "topic": kept.get("TopicArn")}
    pending = kept.get("PendingConfirmation", "false").lower() == "true"
    return Made({"arn": arn, "pendingConfirmation": pending}, arn, gaps(making.inputs, names=COMMON, found=found))


MAKERS: Mapping[str, Maker] = {
    "sqs/queue:Queue": _queue,
    "sqs/queuePolicy:QueuePolicy": _queue_attribute("policy"),
    "sqs/redriveAllowPolicy:RedriveAllowPolicy": _queue_attribute("redriveAllowPolicy"),
    "sqs/redrivePolicy:RedrivePolicy": _queue_attribute("redrivePolicy"),
    "sns/topic:Topic": _topic,
    "sns/topicPolicy:TopicPolicy": _topic_policy,
    "sns/topicSubscription:TopicSubscription": _topic_subscription,
}
