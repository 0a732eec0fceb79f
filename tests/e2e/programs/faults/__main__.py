"""Inputs that the SDK's types do not take: each is found at its line, and nothing breaks off."""

import pulumi_aws as aws
import pulumi_azure_native as azure_native

group = azure_native.resources.ResourceGroup("team", location="westeurope")
azure_native.storage.StorageAccount(
    "files",
    resource_group_name=group.name,
    kind="StorageV3",
    sku={"name": "Standard_LRS", "size": "large"},
    minimum_tls_version="TLS1_0",
)
aws.sqs.Queue("jobs", delay_seconds="three")
