"""The provider SDKs, imported as a program would have done before it registers a resource.

The SDKs import their modules when they are first used, and some modules warn of deprecated names while they are
imported, which is nothing that a test can change.
"""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import pulumi_aws as aws
    import pulumi_azure_native as azure_native

    for module in (
        aws.cloudwatch,
        aws.dynamodb,
        aws.ec2,
        aws.ecr,
        aws.iam,
        aws.kms,
        aws.lambda_,
        aws.lb,
        aws.s3,
        aws.sagemaker,
        aws.secretsmanager,
        aws.sns,
        aws.sqs,
        aws.ssm,
        azure_native.authorization,
        azure_native.containerregistry,
        azure_native.cosmosdb,
        azure_native.eventgrid,
        azure_native.keyvault,
        azure_native.machinelearningservices,
        azure_native.managedidentity,
        azure_native.network,
        azure_native.operationalinsights,
        azure_native.resources,
        azure_native.servicebus,
        azure_native.storage,
        azure_native.web,
    ):
        module._utilities  # noqa: B018

__all__ = ["aws", "azure_native"]
