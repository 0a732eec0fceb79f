"""Explicit and default providers, inherited by children, configured with what is known and what is not."""

import pulumi
import pulumi_aws as aws
import pulumi_azure_native as azure_native

west = aws.Provider(
    "west",
    region="us-west-2",
    access_key=pulumi.Output.secret("not-a-key"),
    default_tags={"tags": {"owner": pulumi.Output.secret("team")}},
    opts=pulumi.ResourceOptions(plugin_download_url="https://plugins.example.com", version="7.50.0"),
)
aws.sqs.Queue("default")
queue = aws.sqs.Queue("west", opts=pulumi.ResourceOptions(provider=west))


class Group(pulumi.ComponentResource):
    def __init__(self, name: str, opts: pulumi.ResourceOptions) -> None:
        super().__init__("providers:index:Group", name, None, opts)
        aws.sqs.Queue("inside", opts=pulumi.ResourceOptions(parent=self))


Group("group", pulumi.ResourceOptions(providers=[west]))
azure = azure_native.Provider("azure", subscription_id="11111111-2222-3333-4444-555555555555")
group = azure_native.resources.ResourceGroup("team", location="westeurope", opts=pulumi.ResourceOptions(provider=azure))
azure_native.storage.StorageAccount(
    "files",
    resource_group_name=group.name,
    location=group.location,
    kind=azure_native.storage.Kind.STORAGE_V2,
    sku={"name": azure_native.storage.SkuName.STANDARD_LRS},
    opts=pulumi.ResourceOptions(provider=azure),
)
pulumi.export("queue", queue.arn)
pulumi.export("group", group.id)
