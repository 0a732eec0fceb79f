"""What a program declares, as Azurite and the AWS emulator have it: read back by clients of the tests' own."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from ringfence.deployment import Archive, Asset
from ringfence.emulate import Emulation
from ringfence.emulators.aws import Aws
from ringfence.emulators.azurite import Azurite
from ringfence.emulators.interface import EmulatorError
from ringfence.providers.emulated import EmulatedProvider, Gap
from ringfence.providers.emulated.aws import AwsService
from ringfence.providers.emulated.storage import StorageService
from tests.integration.availability import installing
from tests.integration.stacks.deploying import deployed
from tests.unit.providers.registrations import existing, registration

OWNERS = {"resourceGroupName": "g", "accountName": "shopdata"}


def started(service: Any) -> Any:
    with installing():
        service.start()
    return service


class Account:
    """A provider over one service, and what it says of each resource."""

    def __init__(self, service: Any, prefix: str) -> None:
        self.service, self.prefix = service, prefix
        self.provider = EmulatedProvider([service])

    def make(self, kind: str, name: str, /, **inputs: Any) -> tuple[Any, list[Gap]]:
        declared = registration(f"{self.prefix}:{kind}", name, **inputs)
        created = self.provider.deploy(declared)
        (entry,) = [entry for entry in self.provider.report if entry.urn == declared.urn]
        return created, list(entry.gaps)


# --- Azurite -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def storage() -> Iterator[Account]:
    service = StorageService(lambda accounts: Azurite(accounts=accounts))
    account = Account(service, "azure-native:storage")
    try:
        started(service)
        account.make("StorageAccount", "shopdata", **OWNERS)
        yield account
    finally:
        service.stop()


@pytest.fixture(scope="module")
def connection(storage: Account) -> str:
    return str(storage.service.environment()["RINGFENCE_STORAGE_CONNECTION_STRING_SHOPDATA"])


def test_a_container_has_its_metadata_and_access(storage: Account, connection: str) -> None:
    inputs = {"containerName": "pictures", "publicAccess": "Blob", "metadata": {"owner": "shop"}}
    _, found = storage.make("BlobContainer", "pictures", **OWNERS, **inputs, enableNfsV3RootSquash=True)
    with BlobServiceClient.from_connection_string(connection) as client:
        kept = client.get_container_client("pictures").get_container_properties()

    assert (kept.metadata, kept.public_access) == ({"owner": "shop"}, "blob")
    assert found == [Gap("enableNfsV3RootSquash", "the emulator has no such setting", "true")]


def test_a_blob_has_its_content(storage: Account, connection: str, tmp_path: Path) -> None:
    (tmp_path / "logo.svg").write_bytes(b"<svg/>")
    storage.make("BlobContainer", "site", **OWNERS, containerName="site")
    created, found = storage.make(
        "Blob",
        "logo",
        **OWNERS,
        containerName="site",
        blobName="img/logo.svg",
        source=Asset("file", str(tmp_path / "logo.svg")),
        contentType="image/svg+xml",
        metadata={"v": "1"},
        type="Block",
    )
    with BlobServiceClient.from_connection_string(connection) as client:
        blob = client.get_blob_client("site", "img/logo.svg")

        assert blob.download_blob().readall() == b"<svg/>"
        assert created.outputs["url"] == blob.url
    assert found == []


def test_queues_and_tables_are_there(storage: Account, connection: str) -> None:
    assert storage.make("Queue", "jobs", **OWNERS, queueName="jobs", metadata={"a": "b"})[1] == []
    assert storage.make("Table", "orders", **OWNERS, tableName="orders")[1] == []
    with QueueServiceClient.from_connection_string(connection) as queues:
        assert queues.get_queue_client("jobs").get_queue_properties().metadata == {"a": "b"}
    with TableServiceClient.from_connection_string(connection) as tables:
        assert [table.name for table in tables.list_tables()] == ["orders"]


RULE = {
    "allowedOrigins": ["https://shop.example"],
    "allowedMethods": ["GET", "PUT"],
    "allowedHeaders": ["x-a"],
    "exposedHeaders": ["x-b"],
    "maxAgeInSeconds": 60,
}


@pytest.mark.parametrize("kind", ["Blob", "Queue", "Table"])
def test_rules_for_web_origins_are_kept(storage: Account, kind: str) -> None:
    _, found = storage.make(f"{kind}ServiceProperties", "default", **OWNERS, cors={"corsRules": [RULE]})

    assert found == []


def test_soft_deletion_is_no_promise(storage: Account) -> None:
    keep = {"enabled": True, "days": 7}
    _, found = storage.make("BlobServiceProperties", "keeps", **OWNERS, deleteRetentionPolicy=keep)

    reason = "Azurite keeps the setting, and cannot bring back what was deleted"
    assert found == [
        Gap("deleteRetentionPolicy.enabled", reason, "true"),
        Gap("deleteRetentionPolicy.days", reason, "7"),
    ]


def test_what_is_there_already_is_refused_with_the_services_own_words(storage: Account) -> None:
    storage.make("BlobContainer", "twice", **OWNERS, containerName="twice")
    with pytest.raises(EmulatorError, match="The specified container already exists"):
        storage.make("BlobContainer", "again", **OWNERS, containerName="twice")


def test_a_program_that_asks_for_the_keys_gets_the_emulators(storage: Account, connection: str) -> None:
    answer = storage.provider.invoke("azure-native:storage:listStorageAccountKeys", OWNERS, {})

    assert f"AccountKey={answer.value['keys'][0]['value']};" in connection


# --- AWS -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def worker() -> Iterator[Emulation]:
    with deployed("decoupled_lambda") as emulation:
        yield emulation


def client(emulation: Emulation, service: str) -> Any:
    variables = emulation.environment
    return boto3.client(
        service,
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        region_name=variables["AWS_DEFAULT_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )


def test_all_of_decoupled_lambda_is_made_and_what_is_lost_is_said(worker: Emulation) -> None:
    report = worker.provider.report

    assert [entry.name for entry in report if not entry.service or entry.failure] == []
    assert len(report) == 32
    assert {(entry.type, gap.property) for entry in report for gap in entry.gaps} == {
        ("aws:dynamodb/table:Table", "pointInTimeRecovery.recoveryPeriodInDays"),
        ("aws:sagemaker/endpoint:Endpoint", "deploymentConfig"),
        ("aws:appautoscaling/target:Target", "tags"),
    }


def test_the_outputs_of_the_stack_lead_to_what_was_made(worker: Emulation) -> None:
    assert worker.deployment is not None
    outputs = worker.deployment.outputs
    sqs = client(worker, "sqs")
    kept = sqs.get_queue_attributes(QueueUrl=outputs["queue_url"], AttributeNames=["All"])["Attributes"]
    letters = sqs.get_queue_attributes(QueueUrl=outputs["dead_letter_queue_url"], AttributeNames=["QueueArn"])

    assert outputs["queue_arn"] == kept["QueueArn"]
    assert kept["QueueArn"].startswith("arn:aws:sqs:eu-central-1:123456789012:")
    redrive = {"deadLetterTargetArn": letters["Attributes"]["QueueArn"], "maxReceiveCount": 5}
    assert json.loads(kept["RedrivePolicy"]) == redrive
    assert kept["VisibilityTimeout"] == "361"
    table = client(worker, "dynamodb").describe_table(TableName=outputs["table_name"])["Table"]
    assert table["DeletionProtectionEnabled"] is True
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"


def test_the_function_is_the_stacks_own_code_under_its_role(worker: Emulation) -> None:
    assert worker.deployment is not None
    kept = client(worker, "lambda").get_function_configuration(FunctionName=worker.deployment.outputs["function_name"])
    role = worker.resource("aws:iam/role:Role", "worker")

    assert (kept["Handler"], kept["Runtime"], kept["Timeout"], kept["MemorySize"]) == (
        "handler.handle",
        "python3.13",
        60,
        512,
    )
    assert kept["Role"] == role["arn"]
    assert kept["Environment"]["Variables"]["TABLE_NAME"] == worker.deployment.outputs["table_name"]
    policy = client(worker, "iam").list_role_policies(RoleName=role["name"])["PolicyNames"]
    assert len(policy) == 1


@pytest.fixture(scope="module")
def aws() -> Iterator[Account]:
    service = AwsService(Aws)
    try:
        yield Account(started(service), "aws")
    finally:
        service.stop()


ASSUME = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)
READS = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}],
    }
)


def test_policies_of_their_own_are_attached(aws: Account) -> None:
    role, lacking = aws.make("iam/role:Role", "reader", name="reader", assumeRolePolicy=ASSUME, path="/apps/")
    assert lacking == []
    policy, lacking = aws.make("iam/policy:Policy", "reads", name="reads", policy=READS, description="reads b")
    assert lacking == []
    names = {"role": "reader", "policyArn": policy.outputs["arn"]}
    _, lacking = aws.make("iam/rolePolicyAttachment:RolePolicyAttachment", "reads", **names)
    assert lacking == []
    attached = aws.service.client("iam", "us-east-1").list_attached_role_policies(RoleName="reader")["AttachedPolicies"]

    assert role.outputs["arn"] == "arn:aws:iam::123456789012:role/apps/reader"
    assert [item["PolicyName"] for item in attached] == ["reads"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pulumi_aws.s3 warns of itself when it is imported
def test_buckets_and_keys_are_there(aws: Account) -> None:
    bucket, lacking = aws.make("s3/bucket:Bucket", "files", bucket="files-1", tags={"a": "b"})
    assert (bucket.id, bucket.outputs["arn"], lacking) == ("files-1", "arn:aws:s3:::files-1", [])
    versions = {"bucket": "files-1", "versioningConfiguration": {"status": "Enabled"}}
    assert aws.make("s3/bucketVersioning:BucketVersioning", "files", **versions)[1] == []
    key, lacking = aws.make("kms/key:Key", "own", description="ours", enableKeyRotation=True, tags={"a": "b"})
    assert lacking == []
    target = {"name": "alias/own", "targetKeyId": key.id}
    alias, lacking = aws.make("kms/alias:Alias", "own", **target)
    assert (alias.id, lacking) == ("alias/own", [])


def test_a_table_has_its_indexes_and_stream(aws: Account) -> None:
    table, lacking = aws.make(
        "dynamodb/table:Table",
        "orders",
        name="orders",
        attributes=[{"name": name, "type": "S"} for name in ("id", "at", "by")],
        hashKey="id",
        rangeKey="at",
        billingMode="PROVISIONED",
        readCapacity=5,
        writeCapacity=6,
        streamEnabled=True,
        streamViewType="NEW_IMAGE",
        globalSecondaryIndexes=[
            {"name": "by-user", "hashKey": "by", "projectionType": "ALL", "readCapacity": 5, "writeCapacity": 5}
        ],
    )

    assert lacking == []
    assert table.outputs["streamArn"].startswith(f"{table.outputs['arn']}/stream/")


def test_a_functions_code_is_all_of_its_archive(aws: Account, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "part.py").write_text("X = 1\n")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "part.pyc").write_bytes(b"0")
    role, _ = aws.make("iam/role:Role", "runner", name="runner", assumeRolePolicy=ASSUME)
    code = Archive(
        "assets", {"app.py": Asset("text", "def handle(*_): return 3\n"), "more": Archive("file", str(tmp_path))}
    )
    function, lacking = aws.make(
        "lambda/function:Function",
        "f",
        name="f",
        role=role.outputs["arn"],
        handler="app.handle",
        runtime="python3.13",
        code=code,
        timeout=10,
        environment={"variables": {"A": "b"}},
    )
    granted = {
        "function": "f",
        "action": "lambda:InvokeFunction",
        "principal": "events.amazonaws.com",
        "statementId": "s",
    }
    assert aws.make("lambda/permission:Permission", "s", **granted)[1] == []
    answer = aws.service.client("lambda", "us-east-1").invoke(FunctionName="f")

    assert lacking == []
    assert function.id == "f"
    assert json.loads(answer["Payload"].read()) == 3


def test_a_functions_archive_is_read_file_by_file(tmp_path: Path) -> None:
    from ringfence.providers.emulated.aws.functions import _zipped

    (tmp_path / "a.py").write_text("1")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_bytes(b"0")
    packed = _zipped(Archive("assets", {"x": Archive("file", str(tmp_path)), "b.txt": Asset("text", "2")}))
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {"b.txt": b"2", "x/a.py": b"1"}


def test_another_region_is_another_client(aws: Account) -> None:
    declared = existing("aws:sqs/queue:Queue", "far", None, {"region": "eu-west-1"}, {"name": "far"})
    created = aws.provider.deploy(declared)

    assert created.outputs["arn"] == "arn:aws:sqs:eu-west-1:123456789012:far"


def test_what_aws_refuses_is_told_in_its_own_words(aws: Account) -> None:
    with pytest.raises(EmulatorError, match=r"QueueDoesNotExist|NonExistentQueue"):
        aws.make("sqs/queuePolicy:QueuePolicy", "none", queueUrl="http://127.0.0.1/123456789012/none", policy="{}")
