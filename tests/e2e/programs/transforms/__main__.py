"""Transforms of resources, components and the stack, of functions, and the older transformations."""

from typing import Any

import pulumi
import pulumi_aws as aws


def tag(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
    if args.type_ != "aws:sqs/queue:Queue":
        return None
    return pulumi.ResourceTransformResult(
        props={**args.props, "tags": {**(args.props.get("tags") or {}), "by": "stack"}}, opts=args.opts
    )


def own(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult:
    opts = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(protect=True))
    return pulumi.ResourceTransformResult(props={**args.props, "delaySeconds": 5}, opts=opts)


def older(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult:
    return pulumi.ResourceTransformationResult({**args.props, "fifo_queue": True}, args.opts)


def zones(args: pulumi.InvokeTransformArgs) -> pulumi.InvokeTransformResult | None:
    if "getAvailabilityZones" not in args.token:
        return None
    return pulumi.InvokeTransformResult(args={**args.args, "excludeNames": ["us-east-1a"]}, opts=args.opts)


pulumi.runtime.register_resource_transform(tag)
pulumi.runtime.register_invoke_transform(zones)
topic = aws.sns.Topic("topic")
aws.sqs.Queue("plain", name=topic.name)
aws.sqs.Queue("own", tags={"a": "b"}, opts=pulumi.ResourceOptions(transforms=[own]))
aws.sqs.Queue("older", opts=pulumi.ResourceOptions(transformations=[older]))


class Group(pulumi.ComponentResource):
    def __init__(self, name: str, **options: Any) -> None:
        super().__init__("transforms:index:Group", name, {"size": 1}, pulumi.ResourceOptions(**options))
        aws.sqs.Queue("inner", opts=pulumi.ResourceOptions(parent=self))


Group("group", transforms=[lambda args: pulumi.ResourceTransformResult({**args.props, "size": 2}, args.opts)])
pulumi.export("zones", aws.get_availability_zones_output().names)
