"""Resource options, of resources and handed down by components."""

import pulumi
import pulumi_aws as aws

first = aws.sqs.Queue("first", opts=pulumi.ResourceOptions(protect=True, retain_on_delete=True))
second = aws.sqs.Queue(
    "second",
    tags={"first": first.name},
    opts=pulumi.ResourceOptions(
        depends_on=[first],
        ignore_changes=["tags"],
        replace_on_changes=["name"],
        additional_secret_outputs=["arn"],
        delete_before_replace=True,
        custom_timeouts=pulumi.CustomTimeouts(create="5m", delete="1m"),
        deleted_with=first,
        aliases=[
            pulumi.Alias(name="before"),
            pulumi.Alias(stack="other"),
            "urn:pulumi:dev::options::aws:sqs/queue:Queue::ancient",
        ],
    ),
)


class Group(pulumi.ComponentResource):
    def __init__(self, name: str, opts: pulumi.ResourceOptions) -> None:
        super().__init__("options:index:Group", name, None, opts)
        aws.sqs.Queue(f"{name}-inner", opts=pulumi.ResourceOptions(parent=self))
        aws.sqs.Queue(f"{name}-open", opts=pulumi.ResourceOptions(parent=self, protect=False))


Group("group", pulumi.ResourceOptions(protect=True, depends_on=[second]))
aws.sqs.Queue("taken", name="legacy-jobs", opts=pulumi.ResourceOptions(import_="legacy-jobs"))
pulumi.export("arn", second.arn)
