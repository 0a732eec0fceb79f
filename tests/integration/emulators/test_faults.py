"""What the SDKs get for bad input and faults: the errors that the real services give, whatever the emulator.

What each emulator's own file has already is not here: ports that are taken, wrong keys and tokens, and how an emulator
that was killed says so.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError, ServiceRequestError, ServiceResponseError
from azure.cosmos import CosmosClient, DatabaseProxy, PartitionKey
from azure.cosmos.exceptions import CosmosHttpResponseError
from azure.data.tables import TableServiceClient
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.servicebus.exceptions import (
    MessageSizeExceededError,
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
    ServiceBusError,
)
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError

from ringfence.emulators import cache
from ringfence.emulators.aws import Aws
from ringfence.emulators.azurite import Azurite
from ringfence.emulators.cosmos import CosmosFake
from ringfence.emulators.interface import EmulatorError
from ringfence.emulators.service_bus import QueueSettings, ServiceBusFake
from tests.integration import availability

STORAGE = "RINGFENCE_STORAGE_CONNECTION_STRING"
BUS = "RINGFENCE_SERVICE_BUS_CONNECTION_STRING"
KIBIBYTE = 1024

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")


@pytest.fixture
def name() -> str:
    return f"n{uuid.uuid4().hex[:20]}"


# --- storage ---------------------------------------------------------------------------------------------------------


def read_blob(connection: str, name: str) -> None:
    with BlobServiceClient.from_connection_string(connection) as client:
        client.get_blob_client(name, "x").download_blob()


def send_to_queue(connection: str, name: str) -> None:
    with QueueServiceClient.from_connection_string(connection) as client:
        client.get_queue_client(name).send_message("x")


def read_entity(connection: str, name: str) -> None:
    with TableServiceClient.from_connection_string(connection) as client:
        client.get_table_client(name).get_entity("p", "r")


@pytest.mark.parametrize(
    ("call", "code"),
    [(read_blob, "ContainerNotFound"), (send_to_queue, "QueueNotFound"), (read_entity, "TableNotFound")],
)
def test_storage_that_is_not_there_is_404(call: Callable[[str, str], None], code: str, storage: Any, name: str) -> None:
    with pytest.raises(ResourceNotFoundError) as caught:
        call(storage.environment()[STORAGE], name)

    assert caught.value.status_code == 404
    assert str(caught.value.error_code) in (code, f"StorageErrorCode.{code}") or code in str(caught.value)


def test_a_queue_message_of_storage_that_is_too_large_is_413(storage: Any, name: str) -> None:
    with (
        QueueServiceClient.from_connection_string(storage.environment()[STORAGE]) as client,
        client.create_queue(name) as queue,
    ):
        queue.send_message("x" * 64 * KIBIBYTE)
        with pytest.raises(HttpResponseError) as caught:
            queue.send_message("x" * (64 * KIBIBYTE + 1))

    assert (caught.value.status_code, caught.value.error_code) == (413, "RequestBodyTooLarge")


def test_a_property_of_a_table_that_is_too_large_is_400(storage: Any, name: str) -> None:
    with (
        TableServiceClient.from_connection_string(storage.environment()[STORAGE]) as client,
        client.create_table(name) as table,
        pytest.raises(HttpResponseError) as caught,
    ):
        table.create_entity({"PartitionKey": "p", "RowKey": "r", "text": "x" * (32 * KIBIBYTE + 1)})

    assert caught.value.status_code == 400
    assert "PropertyValueTooLarge" in str(caught.value)


# --- Cosmos DB -------------------------------------------------------------------------------------------------------


@pytest.fixture
def cosmos() -> Iterator[CosmosFake]:
    with CosmosFake() as fake:
        yield fake
        assert fake.faults == []


@pytest.fixture
def database(cosmos: CosmosFake) -> Iterator[DatabaseProxy]:
    with CosmosClient(cosmos.endpoint, cosmos.key, retry_total=0, connection_timeout=2) as client:
        yield client.create_database("shop")


def test_a_database_and_a_container_that_are_not_there_are_404(cosmos: CosmosFake, database: DatabaseProxy) -> None:
    with CosmosClient(cosmos.endpoint, cosmos.key) as client:
        absent = client.get_database_client("no")
        for call in (absent.read, database.get_container_client("no").read):
            with pytest.raises(CosmosHttpResponseError) as caught:
                call()
            assert caught.value.status_code == 404


def test_a_document_that_is_too_large_is_413(database: DatabaseProxy) -> None:
    container = database.create_container("orders", PartitionKey("/id"))

    with pytest.raises(CosmosHttpResponseError) as caught:
        container.create_item({"id": "a", "text": "x" * 2 * KIBIBYTE * KIBIBYTE})

    assert caught.value.status_code == 413
    assert "Request size is too large" in str(caught.value)


# --- Service Bus -----------------------------------------------------------------------------------------------------


@pytest.fixture
def bus() -> Iterator[ServiceBusFake]:
    with ServiceBusFake() as fake:
        fake.broker.create_queue(QueueSettings(name="jobs"))
        yield fake
        assert fake.faults == []


@pytest.mark.parametrize(
    ("entity", "error"),
    [("nowhere", ServiceBusAuthenticationError), ("jobs/$wrong", MessagingEntityNotFoundError)],
)
def test_an_entity_that_is_not_there_is_refused_before_anything_is_sent(
    bus: ServiceBusFake, entity: str, error: type[ServiceBusError]
) -> None:
    with (
        ServiceBusClient.from_connection_string(bus.environment()[BUS], retry_total=0) as client,
        # A sender that is not entered is one that the SDK closes.
        contextlib.closing(client.get_queue_sender(entity)) as sender,
        pytest.raises(error),
    ):
        sender.send_messages(ServiceBusMessage("x"))


def test_a_message_that_is_too_large_is_refused_and_the_next_one_goes_through(bus: ServiceBusFake) -> None:
    with (
        ServiceBusClient.from_connection_string(bus.environment()[BUS], retry_total=0) as client,
        client.get_queue_sender("jobs") as sender,
    ):
        with pytest.raises(MessageSizeExceededError):
            sender.send_messages(ServiceBusMessage("x" * 300 * KIBIBYTE))
        sender.send_messages(ServiceBusMessage("x"))

    assert bus.broker.counts("jobs").active == 1


# --- AWS -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def aws(aws_emulator: Any, account: str) -> Iterator[Callable[[str], Any]]:
    with contextlib.ExitStack() as closing:
        yield lambda service: closing.enter_context(
            contextlib.closing(aws_client(service, aws_emulator.environment(account)))
        )


def aws_client(service: str, found: dict[str, str]) -> Any:
    own = f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}"
    return boto3.client(
        service,
        endpoint_url=found.get(own, found["AWS_ENDPOINT_URL"]),
        aws_access_key_id=found["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=found["AWS_SECRET_ACCESS_KEY"],
        region_name=found["AWS_REGION"],
        config=Config(retries={"max_attempts": 0}),
    )


TABLE: dict[str, Any] = {
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "BillingMode": "PAY_PER_REQUEST",
}


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "codes"),
    [
        ("sqs", "get_queue_url", {"QueueName": "no"}, {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"}),
        ("dynamodb", "get_item", {"TableName": "no", "Key": {"id": {"S": "a"}}}, {"ResourceNotFoundException"}),
        ("lambda", "invoke", {"FunctionName": "no"}, {"ResourceNotFoundException"}),
        ("iam", "get_role", {"RoleName": "no"}, {"NoSuchEntity"}),
        ("s3", "get_object", {"Bucket": "no-such-bucket", "Key": "k"}, {"NoSuchBucket"}),
        ("kms", "describe_key", {"KeyId": "00000000-0000-0000-0000-000000000000"}, {"NotFoundException"}),
        ("sns", "publish", {"TopicArn": "arn:aws:sns:us-east-1:000000000000:no", "Message": "x"}, {"NotFound"}),
        ("sagemaker-runtime", "invoke_endpoint", {"EndpointName": "no", "Body": b"{}"}, {"ValidationError"}),
    ],
)
def test_what_is_not_there_has_the_services_own_code(
    service: str, operation: str, arguments: dict[str, Any], codes: set[str], aws: Callable[[str], Any]
) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(aws(service), operation)(**arguments)

    assert caught.value.response["Error"]["Code"] in codes


def test_an_item_that_is_too_large_is_refused(aws: Callable[[str], Any], name: str) -> None:
    dynamodb = aws("dynamodb")
    dynamodb.create_table(TableName=name, **TABLE)

    with pytest.raises(ClientError) as caught:
        dynamodb.put_item(TableName=name, Item={"id": {"S": "a"}, "text": {"S": "x" * 400 * KIBIBYTE}})

    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert "Item size has exceeded the maximum allowed size" in str(caught.value)
    assert dynamodb.scan(TableName=name)["Count"] == 0


def test_a_message_over_the_queues_limit_is_refused(aws: Callable[[str], Any], name: str) -> None:
    sqs = aws("sqs")
    url = sqs.create_queue(QueueName=name, Attributes={"MaximumMessageSize": "1024"})["QueueUrl"]

    with pytest.raises(ClientError) as caught:
        sqs.send_message(QueueUrl=url, MessageBody="x" * 1025)

    assert caught.value.response["Error"]["Code"] == "InvalidParameterValue"
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


# --- an emulator that is killed while a test uses it -----------------------------------------------------------------


def kill(emulator: Any) -> None:
    os.kill(emulator._child.pid, signal.SIGKILL)


def test_azurite_killed_between_two_calls_is_a_connection_error(name: str) -> None:
    with contextlib.closing(_Stopping(Azurite())) as stopping:
        availability.start(stopping.emulator)
        connection = stopping.emulator.environment()[STORAGE]
        with BlobServiceClient.from_connection_string(connection, retry_total=0) as client:
            client.create_container(name)
            kill(stopping.emulator)
            with pytest.raises((ServiceRequestError, ServiceResponseError)):
                client.get_container_client(name).get_container_properties()
        with pytest.raises(EmulatorError, match="was killed by SIGKILL"):
            _until_it_fails(stopping.emulator.check)


def test_the_aws_emulator_killed_between_two_calls_is_a_connection_error() -> None:
    with contextlib.closing(_Stopping(Aws())) as stopping:
        availability.start(stopping.emulator)
        with contextlib.closing(aws_client("sqs", stopping.emulator.environment())) as sqs:
            assert sqs.list_queues()["ResponseMetadata"]["HTTPStatusCode"] == 200
            kill(stopping.emulator)
            with pytest.raises((EndpointConnectionError, ConnectionClosedError)):
                _until_it_fails(sqs.list_queues)
        with pytest.raises(EmulatorError, match="was killed by SIGKILL"):
            _until_it_fails(stopping.emulator.check)


def test_cosmos_stopped_between_two_calls_is_a_connection_error() -> None:
    fake = CosmosFake()
    fake.start()
    with CosmosClient(fake.endpoint, fake.key, retry_total=0, retry_connect=0) as client:
        database = client.create_database("shop")
        fake.stop()
        with pytest.raises((ServiceRequestError, ServiceResponseError)):
            database.read()


def test_service_bus_stopped_while_a_receiver_waits_is_a_connection_error_and_no_hang() -> None:
    started = time.monotonic()
    _receive_until_it_stops()

    assert time.monotonic() - started < 20
    # The SDK leaves the socket of a connection that was broken off to the garbage collector.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def _receive_until_it_stops() -> None:
    fake = ServiceBusFake()
    fake.start()
    fake.broker.create_queue(QueueSettings(name="jobs"))
    text = fake.environment()[BUS]
    with (
        ServiceBusClient.from_connection_string(text, retry_total=0) as client,
        client.get_queue_receiver("jobs") as receiver,
    ):
        receiver.receive_messages(max_wait_time=0.1)
        timer = threading.Timer(0.3, fake.stop)
        timer.start()
        with pytest.raises(ServiceBusError):
            _until_it_fails(lambda: receiver.receive_messages(max_wait_time=2))
        timer.join()


class _Stopping:
    """An emulator that is stopped at the end, whatever has become of it."""

    def __init__(self, emulator: Any) -> None:
        self.emulator = emulator

    def close(self) -> None:
        self.emulator.stop()


def _until_it_fails(call: Callable[[], object]) -> None:
    """Call again until the connection is gone, which takes the system a moment."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        call()
        time.sleep(0.02)


# --- emulators that cannot be had ------------------------------------------------------------------------------------


def test_the_aws_emulator_says_so_when_pypi_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGFENCE_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")

    with pytest.raises(EmulatorError, match=r"cannot be installed \(exit code 1\): is its registry reachable"):
        Aws().start()

    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []


NEEDY = """\
from ringfence.emulators.azurite import Azurite
from tests.integration.availability import start


def test_it():
    start(Azurite())
"""


@pytest.mark.parametrize(("ci", "outcome"), [("", "1 skipped"), ("1", "1 failed")])
def test_what_cannot_be_installed_is_skipped_with_the_reason_and_fails_in_ci(
    ci: str, outcome: str, tmp_path: Path
) -> None:
    (tmp_path / "test_needy.py").write_text(NEEDY, encoding="utf-8")
    environment = {
        **os.environ,
        "CI": ci,
        "RINGFENCE_CACHE": str(tmp_path / "cache"),
        "npm_config_registry": "http://127.0.0.1:1",
        "npm_config_fetch_retries": "0",
        "npm_config_cache": str(tmp_path / "npm"),
    }
    command = [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", "test_needy.py"]
    root = Path(__file__).parents[3]
    environment["PYTHONPATH"] = os.pathsep.join([str(root), environment.get("PYTHONPATH", "")])

    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert outcome in done.stdout.splitlines()[-1], done.stdout + done.stderr
    assert "Azurite cannot be installed (exit code" in done.stdout
    assert "is its registry reachable from here (proxy, mirror)?" in done.stdout


def test_an_installation_in_progress_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGFENCE_CACHE", str(tmp_path))
    begun = threading.Event()

    def slowly(folder: Path) -> None:
        begun.set()
        time.sleep(0.3)
        (folder / "done").touch()

    with contextlib.ExitStack() as joined:
        other = threading.Thread(target=cache.installed, args=("tool", slowly))
        other.start()
        joined.callback(other.join)
        begun.wait(5)
        assert (cache.installed("tool", slowly) / "done").exists()
