"""Azurite, on whichever back end there is, by the SDKs; and the process itself."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ServiceRequestError,
)
from azure.data.tables import TableClient, UpdateMode
from azure.storage.blob import BlobServiceClient, ContainerClient
from azure.storage.queue import QueueClient

from ringfence.emulators.azurite import Azurite
from ringfence.emulators.interface import EmulatorError
from ringfence.emulators.tokens import EmulatorCredential
from tests.integration.availability import start

CONNECTION = "RINGFENCE_STORAGE_CONNECTION_STRING"


@pytest.fixture
def name() -> str:
    return f"n{uuid.uuid4().hex[:20]}"


@pytest.fixture
def blobs(storage: Any, name: str) -> Iterator[ContainerClient]:
    with ContainerClient.from_connection_string(storage.environment()[CONNECTION], name) as client:
        client.create_container()
        yield client


@pytest.fixture
def queue(storage: Any, name: str) -> Iterator[QueueClient]:
    with QueueClient.from_connection_string(storage.environment()[CONNECTION], name) as client:
        client.create_queue()
        yield client


@pytest.fixture
def table(storage: Any, name: str) -> Iterator[TableClient]:
    with TableClient.from_connection_string(storage.environment()[CONNECTION], name) as client:
        client.create_table()
        yield client


@pytest.fixture(scope="module")
def process() -> Iterator[Azurite]:
    """Give an Azurite of two accounts that speaks TLS."""
    azurite = Azurite(accounts=("first", "second"), tls=True)
    start(azurite)
    yield azurite
    azurite.stop()


# --- what the applications here need of Storage ---------------------------------------------------------------------


def test_a_blob_is_written_once(blobs: ContainerClient) -> None:
    blob = blobs.get_blob_client("model.bin")
    content = os.urandom(5_000_000)
    blob.upload_blob(content, overwrite=False, max_concurrency=2)

    with pytest.raises(ResourceExistsError) as caught:
        blob.upload_blob(b"other", overwrite=False)

    assert caught.value.error_code == "BlobAlreadyExists"
    assert blob.download_blob().readall() == content


def test_a_stale_etag_is_refused(blobs: ContainerClient) -> None:
    blob = blobs.get_blob_client("state.json")
    stale = blob.upload_blob(b"1")["etag"]
    blob.upload_blob(b"2", overwrite=True)

    with pytest.raises(ResourceModifiedError) as caught:
        blob.upload_blob(b"3", overwrite=True, etag=stale, match_condition=MatchConditions.IfNotModified)

    assert caught.value.status_code == 412
    assert blob.download_blob().readall() == b"2"


def test_a_lease_keeps_others_away(blobs: ContainerClient) -> None:
    blob = blobs.get_blob_client("lock")
    blob.upload_blob(b"")
    lease = blob.acquire_lease(15)

    with pytest.raises(HttpResponseError) as caught:
        blob.upload_blob(b"other", overwrite=True)
    assert caught.value.error_code == "LeaseIdMissing"

    lease.release()
    blob.upload_blob(b"other", overwrite=True)


def test_a_message_comes_back_and_is_counted(queue: QueueClient) -> None:
    queue.send_message("work")
    first = queue.receive_message(visibility_timeout=2)
    assert queue.receive_message() is None
    deadline = time.monotonic() + 20
    while (second := queue.receive_message(visibility_timeout=30)) is None and time.monotonic() < deadline:
        time.sleep(0.05)

    assert first is not None
    assert second is not None
    assert (first.dequeue_count, second.dequeue_count) == (1, 2)
    with pytest.raises(HttpResponseError) as caught:
        queue.delete_message(first)
    assert caught.value.error_code == "PopReceiptMismatch"
    queue.delete_message(second)


def test_a_stale_entity_is_refused(table: TableClient) -> None:
    table.create_entity({"PartitionKey": "p", "RowKey": "r", "n": 1})
    entity = table.get_entity("p", "r")
    table.update_entity({"PartitionKey": "p", "RowKey": "r", "n": 2}, mode=UpdateMode.REPLACE)

    with pytest.raises(ResourceModifiedError):
        table.update_entity(
            {"PartitionKey": "p", "RowKey": "r", "n": 3},
            mode=UpdateMode.REPLACE,
            etag=entity.metadata["etag"],
            match_condition=MatchConditions.IfNotModified,
        )

    assert table.get_entity("p", "r")["n"] == 2


def test_a_wrong_key_is_refused(storage: Any) -> None:
    good = storage.environment()[CONNECTION]
    key = next(part for part in good.split(";") if part.startswith("AccountKey="))
    wrong = good.replace(key, "AccountKey=" + "A" * 86 + "==")

    with BlobServiceClient.from_connection_string(wrong) as client, pytest.raises(HttpResponseError) as caught:
        client.create_container("mine")

    # Azurite says 400 where the service says 403.
    assert caught.value.status_code in (400, 403)


def test_reset_forgets_everything_and_keeps_the_address(storage: Any) -> None:
    before = storage.environment()
    with BlobServiceClient.from_connection_string(before[CONNECTION]) as client:
        client.create_container("soon-gone")
        storage.reset()
        assert list(client.list_containers()) == []

    assert storage.environment() == before


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_a_token_is_accepted_over_tls(process: Azurite, name: str) -> None:
    found = process.environment()
    credential = EmulatorCredential()

    with BlobServiceClient(
        found["RINGFENCE_STORAGE_BLOB_ENDPOINT"], credential, connection_verify=str(process.ca_file)
    ) as client:
        client.create_container(name)
        assert name in [item.name for item in client.list_containers()]
    with QueueClient(
        found["RINGFENCE_STORAGE_QUEUE_ENDPOINT"], name, credential=credential, connection_verify=str(process.ca_file)
    ) as queue:
        queue.create_queue()
        assert queue.send_message("work").id


def test_a_token_for_something_else_is_refused(process: Azurite) -> None:
    credential = EmulatorCredential(audience="https://vault.azure.net")
    url, ca_file = process.environment()["RINGFENCE_STORAGE_BLOB_ENDPOINT"], str(process.ca_file)

    with (
        BlobServiceClient(url, credential, connection_verify=ca_file) as client,
        pytest.raises(ClientAuthenticationError) as caught,
    ):
        client.create_container("mine")

    assert caught.value.status_code == 403


def test_its_certificate_is_trusted_by_nobody_else(process: Azurite) -> None:
    url = process.environment()["RINGFENCE_STORAGE_BLOB_ENDPOINT"]

    with (
        BlobServiceClient(url, EmulatorCredential(), retry_total=0) as client,
        pytest.raises(ServiceRequestError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.create_container("mine")


def test_accounts_share_nothing(process: Azurite, name: str) -> None:
    ca_file = str(process.ca_file)
    first, second = (
        BlobServiceClient.from_connection_string(process.environment(account)[CONNECTION], connection_verify=ca_file)
        for account in ("first", "second")
    )
    with first, second:
        first.create_container(name)
        assert name not in [item.name for item in second.list_containers()]


# --- the process ------------------------------------------------------------------------------------------------------


def ports(azurite: Azurite) -> list[int]:
    found = azurite.environment()
    return [int(found[f"RINGFENCE_STORAGE_{name}_ENDPOINT"].split(":")[2].split("/")[0]) for name in SERVICES]


SERVICES = ("BLOB", "QUEUE", "TABLE")


def is_open(port: int) -> bool:
    with closing(socket.socket()) as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def test_nothing_is_left_after_stop() -> None:
    azurite = Azurite()
    start(azurite)
    assert azurite._child is not None
    folder, pid, used = azurite._child.folder, azurite._child.pid, ports(azurite)
    assert all(is_open(port) for port in used)

    azurite.stop()

    assert not folder.exists()
    assert not Path(f"/proc/{pid}").exists()
    assert not any(is_open(port) for port in used)
    with pytest.raises(EmulatorError, match="Azurite does not run: start it first"):
        azurite.environment()


def test_a_port_that_is_taken(process: Azurite) -> None:
    with pytest.raises(EmulatorError, match="EADDRINUSE"):
        Azurite(ports=(0, ports(process)[0], 0)).start()


def test_one_that_is_killed_says_so_and_can_be_started_again() -> None:
    azurite = Azurite()
    start(azurite)
    assert azurite._child is not None
    os.kill(azurite._child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, azurite._child.pid, os.WEXITED | os.WNOWAIT)

    with pytest.raises(EmulatorError, match="Azurite was killed by SIGKILL"):
        azurite.environment()
    with pytest.raises(EmulatorError, match="Azurite was killed by SIGKILL"):
        azurite.reset()

    azurite.stop()
    with azurite:
        azurite.check()


@pytest.mark.usefixtures("process")  # which has seen to it that Azurite is installed
def test_it_ends_with_whoever_started_it() -> None:
    code = (
        "import os, signal\n"
        "from ringfence.emulators.azurite import Azurite\n"
        "one = Azurite()\n"
        "one.start()\n"
        "print(one._child.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    deadline = time.monotonic() + 5
    while Path(f"/proc/{found.stdout.strip()}/cmdline").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{found.stdout.strip()}/cmdline").exists()


def test_names_that_no_account_can_have() -> None:
    with pytest.raises(ValueError, match="'No-Account' is not the name of a storage account"):
        Azurite(accounts=("No-Account",))
