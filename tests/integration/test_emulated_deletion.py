"""What is deleted through the emulated provider is gone from the emulators, and what the service keeps is refused."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient

from ringfence.deployment import Asset
from ringfence.emulate import Emulation
from ringfence.emulators.aws import Aws
from ringfence.emulators.azurite import Azurite
from ringfence.providers.emulated import CannotDeleteError, EmulatedProvider
from ringfence.providers.emulated.aws import AwsService
from ringfence.providers.emulated.storage import StorageService
from ringfence.providers.interface import Created, Registration
from tests.integration.availability import installing
from tests.integration.stacks.deploying import deployed
from tests.unit.providers.registrations import registration


class Made:
    """Resources that are made in order, and deleted in the other one."""

    def __init__(self, service: Any) -> None:
        self.service = service
        self.provider = EmulatedProvider([service])
        self.resources: list[tuple[Registration, Created]] = []

    def make(self, token: str, name: str, /, **inputs: Any) -> Created:
        declared = registration(token, name, **inputs)
        self.resources.append((declared, self.provider.deploy(declared)))
        return self.resources[-1][1]

    def delete_all(self) -> None:
        for declared, existing in reversed(self.resources):
            self.provider.delete(declared, existing)


@contextlib.contextmanager
def running(service: Any) -> Iterator[Made]:
    try:
        with installing():
            service.start()
        yield Made(service)
    finally:
        service.stop()


def client(variables: dict[str, str], service: str) -> Any:
    own = f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}"
    made = boto3.client(
        service,
        endpoint_url=variables.get(own, variables["AWS_ENDPOINT_URL"]),
        region_name=variables["AWS_DEFAULT_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )
    return contextlib.closing(made)


def left(variables: dict[str, str]) -> dict[str, int]:
    """Count what there is in the account."""
    calls = {
        "sqs": [("list_queues", "QueueUrls")],
        "dynamodb": [("list_tables", "TableNames")],
        "lambda": [("list_functions", "Functions")],
        "iam": [("list_roles", "Roles")],
        "sns": [("list_topics", "Topics"), ("list_subscriptions", "Subscriptions")],
        "cloudwatch": [("describe_alarms", "MetricAlarms")],
        "logs": [("describe_log_groups", "logGroups")],
        "sagemaker": [
            ("list_models", "Models"),
            ("list_endpoints", "Endpoints"),
            ("list_endpoint_configs", "EndpointConfigs"),
        ],
        "s3": [("list_buckets", "Buckets")],
    }
    found = {}
    for service, operations in calls.items():
        with client(variables, service) as asked:
            for operation, key in operations:
                found[key] = len(getattr(asked, operation)().get(key, []))
    return found


def delete_all(emulation: Emulation) -> list[str]:
    """Delete a deployment's resources, the last one first, and return what could not be deleted."""
    assert emulation.deployment is not None
    inputs = {item.urn: item.inputs for item in emulation.deployment.resources}
    refused = []
    for item in reversed(emulation.deployment.resources):
        provider = inputs.get(item.provider or "", {})
        declared = Registration(item.urn, item.type, item.name, item.inputs, "shop", "dev", provider_inputs=provider)
        try:
            emulation.provider.delete(declared, Created(item.id, item.outputs))
        except CannotDeleteError as error:
            refused.append(str(error))
    return refused


def test_decoupled_lambda_leaves_nothing_but_the_table_that_is_protected() -> None:
    with deployed("decoupled_lambda") as emulation:
        assert min(left(emulation.environment)[key] for key in ("QueueUrls", "Functions", "Roles", "Endpoints")) > 0
        (refused,) = delete_all(emulation)
        assert "inference-dev-results (aws:dynamodb/table:Table) cannot be deleted on the emulator" in refused
        assert {key: number for key, number in left(emulation.environment).items() if number} == {"TableNames": 1}
        with client(emulation.environment, "dynamodb") as dynamodb:
            (table,) = dynamodb.list_tables()["TableNames"]
            dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)

        assert delete_all(emulation) == [], "what is gone already is no error"
        assert set(left(emulation.environment).values()) == {0}
        assert [entry.name for entry in emulation.provider.report if not entry.deleted] == []


POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}],
}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}},
    ],
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pulumi_aws.s3 warns of itself when it is imported
def test_types_of_aws_that_no_stack_has() -> None:
    with running(AwsService(Aws)) as made:
        variables = made.service.environment()
        role = made.make("aws:iam/role:Role", "role", name="role", assumeRolePolicy=json.dumps(TRUST))
        policy = made.make("aws:iam/policy:Policy", "policy", name="policy", policy=json.dumps(POLICY))
        made.make(
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment", "both", role=role.id, policyArn=policy.outputs["arn"]
        )
        bucket = made.make("aws:s3/bucket:Bucket", "files", bucket="files-of-a-test", forceDestroy=True)
        versioning = {"versioningConfiguration": {"status": "Enabled"}}
        made.make("aws:s3/bucketVersioning:BucketVersioning", "files", bucket=bucket.id, **versioning)
        key = made.make("aws:kms/key:Key", "key", deletionWindowInDays=7)
        made.make("aws:kms/alias:Alias", "alias", name="alias/key", targetKeyId=key.id)
        topic = made.make("aws:sns/topic:Topic", "topic", name="topic")
        own = {"Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": topic.outputs["arn"]}
        document = json.dumps({"Version": "2012-10-17", "Statement": [own]})
        made.make("aws:sns/topicPolicy:TopicPolicy", "topic", arn=topic.outputs["arn"], policy=document)
        with client(variables, "s3") as s3:
            for body in (b"1", b"2"):
                s3.put_object(Bucket=bucket.id, Key="a", Body=body)

        with client(variables, "sns") as sns:
            made.provider.delete(*made.resources.pop())
            kept = json.loads(sns.get_topic_attributes(TopicArn=topic.outputs["arn"])["Attributes"]["Policy"])
            assert [entry["Effect"] for entry in kept["Statement"]] == ["Allow"]
        made.delete_all()

        assert set(left(variables).values()) == {0}
        with client(variables, "iam") as iam:
            assert iam.list_policies(Scope="Local")["Policies"] == []
        with client(variables, "kms") as kms:
            assert kms.list_aliases()["Aliases"] == []
            assert kms.describe_key(KeyId=key.id)["KeyMetadata"]["KeyState"] == "PendingDeletion"


OWNERS = {"resourceGroupName": "g", "accountName": "shopdata"}


def test_storage_is_deleted_piece_by_piece_and_an_account_with_all_that_is_in_it() -> None:
    storage = "azure-native:storage"
    with running(StorageService(lambda accounts: Azurite(accounts=accounts))) as made:
        account = registration(f"{storage}:StorageAccount", "shopdata", **OWNERS)
        existing = made.provider.deploy(account)
        made.make(f"{storage}:BlobContainer", "site", **OWNERS, containerName="site")
        logo = {"blobName": "logo", "source": Asset("text", "<svg/>")}
        made.make(f"{storage}:Blob", "logo", **OWNERS, containerName="site", **logo)
        made.make(f"{storage}:Queue", "jobs", **OWNERS, queueName="jobs")
        made.make(f"{storage}:Table", "orders", **OWNERS, tableName="orders")
        connection = made.service.environment()["RINGFENCE_STORAGE_CONNECTION_STRING_SHOPDATA"]
        with BlobServiceClient.from_connection_string(connection) as client:
            assert client.get_blob_client("site", "logo").exists()
            made.delete_all()
            with pytest.raises(ResourceNotFoundError):
                client.get_container_client("site").get_container_properties()
            assert [entry.name for entry in made.provider.report if not entry.deleted] == ["shopdata"]

            client.create_container("made-by-the-app")
            made.provider.delete(account, existing)
            assert list(client.list_containers()) == []
