"""What only the fake can do, seen through the official SDK: tokens, faults on demand, time that passes at once."""

from __future__ import annotations

import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ResourceNotFoundError, ServiceRequestError, ServiceResponseError
from azure.cosmos import ContainerProxy, CosmosClient, PartitionKey
from azure.cosmos.exceptions import CosmosHttpResponseError
from azure.storage.blob import ContainerClient

from ringfence.emulators.cosmos import (
    AccountSettings,
    AutoscaleSettings,
    CompositePath,
    ContainerPartitionKey,
    ContainerSettings,
    CosmosFake,
    CreateUpdateOptions,
    DatabaseSettings,
    IndexingPolicy,
    IndexPath,
    ServiceError,
    SqlRoleAssignment,
    SqlRoleDefinition,
)
from ringfence.emulators.interface import Emulator, EmulatorError
from tests.unit.emulators.cosmos.helpers import ManualClock
from tests.unit.stacks.loading import load

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")  # the SDK checks no certificate on loopback

PRINCIPAL = "11111111-1111-1111-1111-111111111111"
READER, CONTRIBUTOR = (f"00000000-0000-0000-0000-00000000000{number}" for number in (1, 2))
SESSIONS = ContainerSettings(
    id="sessions",
    partition_key=ContainerPartitionKey(kind="MultiHash", paths=("/tenantId", "/sessionId"), version=2),
    default_ttl=3600,
    indexing_policy=IndexingPolicy(
        excluded_paths=tuple(IndexPath(path=path) for path in ("/state/?", '/"_etag"/?')),
        composite_indexes=((CompositePath(path="/tenantId"), CompositePath(path="/sessionId")),),
    ),
    options=CreateUpdateOptions(autoscale_settings=AutoscaleSettings(max_throughput=1000)),
)


def make(fake: CosmosFake) -> None:
    fake.account.create_database(DatabaseSettings(id="state"))
    fake.account.create_container("state", SESSIONS)


class Credential:
    """A credential of a principal, as `DefaultAzureCredential` is one."""

    def __init__(self, fake: CosmosFake, principal: str = PRINCIPAL, **changes: Any) -> None:
        self.fake, self.principal, self.changes = fake, principal, changes

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        audience = self.changes.get("audience", scopes[0].removesuffix("/.default"))
        text = self.fake.token(self.principal, audience, self.changes.get("lifetime", 3600))
        return AccessToken(self.changes.get("text", text), int(time.time()) + 3600)


def connect(fake: CosmosFake, credential: Any = None, **options: Any) -> ContainerProxy:
    client = CosmosClient(fake.endpoint, credential or fake.key, **options)
    return client.get_database_client("state").get_container_client("sessions")


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients that are refused give up at once, not after the SDK's second and a half."""
    monkeypatch.setenv("AZURE_COSMOS_HEALTH_CHECK_MAX_RETRIES", "0")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(time.time())


@pytest.fixture
def fake(clock: ManualClock) -> Iterator[CosmosFake]:
    with CosmosFake(clock=clock) as fake:
        make(fake)
        yield fake
        assert fake.faults == []


@pytest.fixture
def container(fake: CosmosFake) -> ContainerProxy:
    return connect(fake)


def session(name: str = "s1", tenant: str = "t1", **properties: Any) -> dict[str, Any]:
    return {"id": "state", "tenantId": tenant, "sessionId": name, **properties}


def refused(status: int, call: Callable[[], Any], substatus: int = 0) -> str:
    with pytest.raises(CosmosHttpResponseError) as caught:
        call()
    assert (status, substatus) == (caught.value.status_code, caught.value.sub_status or 0)
    return str(caught.value)


# The stack's own code


def stack_modules() -> list[Any]:
    return load("stateful_functions", "cosmos_store", "artefact_blobs")


@pytest.fixture
def store(fake: CosmosFake) -> Any:
    """Give the store of stateful_functions over a client with a token; its blobs are not there."""
    cosmos_store, artefact_blobs = stack_modules()
    blobs = create_autospec(ContainerClient, instance=True)
    blobs.download_blob.side_effect = ResourceNotFoundError
    container = connect(fake, Credential(fake))
    return cosmos_store.CosmosStore(container, artefact_blobs.ArtefactBlobs(blobs), 1000, sleep=lambda seconds: None)


def test_the_stacks_store(store: Any, clock: ManualClock) -> None:
    conflict = stack_modules()[0].Conflict
    etag = store.create("t1", "s1", b'{"turn": 1}', None)
    found = store.get("t1", "s1")
    assert (b'{"turn": 1}', etag) == (found.data, found.etag)
    assert store.get("t2", "s1") is None
    with pytest.raises(conflict):
        store.create("t1", "s1", b"{}", None)
    new = store.replace("t1", "s1", b'{"turn": 2}', None, etag)
    for call in (lambda: store.replace("t1", "s1", b"{}", None, etag), lambda: store.delete("t1", "s1", etag)):
        with pytest.raises(conflict):
            call()
    store.delete("t1", "s1", new)
    assert store.get("t1", "s1") is None

    store.create("t1", "short", b"{}", 60)
    store.create("t1", "long", b"{}", None)
    clock.wait(61)
    assert (store.get("t1", "short"), store.get("t1", "long").data) == (None, b"{}")
    clock.wait(3600)
    assert store.get("t1", "long") is None


def test_the_stacks_list_in_pages(store: Any) -> None:
    for tenant, count in (("t1", 7), ("t2", 2)):
        for number in reversed(range(count)):
            store.create(tenant, f"s{number}", b"{}", None)
    seen, after = [], ""
    while page := store.list("t1", after, 3):
        seen.append([each.session for each in page])
        after = page[-1].session

    assert seen == [["s0", "s1", "s2"], ["s3", "s4", "s5"], ["s6"]]
    assert [each.size for each in store.list("t2", "", 50)] == [2, 2]


# Tokens


def test_a_token_reads_and_writes_items_and_changes_nothing_else(fake: CosmosFake) -> None:
    container = connect(fake, Credential(fake))
    container.create_item(session())
    assert container.read_item("state", partition_key=["t1", "s1"])["sessionId"] == "s1"
    client = CosmosClient(fake.endpoint, Credential(fake))
    message = refused(403, lambda: client.create_database("more"), 5300)

    assert "The given request [POST /dbs] cannot be authorized by AAD token in data plane" in message
    refused(403, lambda: client.get_database_client("state").delete_container("sessions"), 5300)


@pytest.mark.parametrize(
    ("changes", "status", "substatus", "text"),
    [
        ({"audience": "https://storage.azure.com"}, 401, 5008, "is intended for [https://storage.azure.com]"),
        ({"lifetime": -10}, 403, 5300, "has been expired"),
        ({"text": "nonsense"}, 401, 5000, "not a JWT"),
        ({"text": "a.bm8.c"}, 401, 5000, "not a JWT"),
    ],
)
def test_a_wrong_token(fake: CosmosFake, changes: dict[str, Any], status: int, substatus: int, text: str) -> None:
    assert text in refused(status, lambda: CosmosClient(fake.endpoint, Credential(fake, **changes)), substatus)


def test_an_account_without_local_authentication_takes_tokens_only() -> None:
    with CosmosFake(AccountSettings(disable_local_auth=True)) as fake:
        make(fake)
        message = refused(401, lambda: connect(fake), 5202)
        assert "Local Authorization is disabled. Use an AAD token to authorize all requests." in message
        assert connect(fake, Credential(fake)).create_item(session())["sessionId"] == "s1"


def test_an_account_whose_key_changes_items_only() -> None:
    with CosmosFake(AccountSettings(disable_key_based_metadata_write_access=True)) as fake:
        make(fake)
        container = connect(fake)
        container.create_item(session())
        with CosmosClient(fake.endpoint, fake.key) as client:
            message = refused(403, lambda: client.create_database("more"))
        assert "is not allowed through Azure Cosmos DB endpoint" in message


def assigned(role: str, scope: str = "/dbs/state/colls/sessions") -> AccountSettings:
    account = "/subscriptions/s/resourceGroups/g/providers/Microsoft.DocumentDB/databaseAccounts/a"
    custom = SqlRoleDefinition(
        name="custom",
        data_actions=(
            "Microsoft.DocumentDB/databaseAccounts/readMetadata",
            "Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/items/create",
        ),
    )
    assignment = SqlRoleAssignment(
        principal_id=PRINCIPAL, role_definition_id=f"{account}/sqlRoleDefinitions/{role}", scope=f"{account}{scope}"
    )
    return AccountSettings(role_definitions=(custom,), role_assignments=(assignment,))


@pytest.mark.parametrize(
    ("settings", "allowed"),
    [
        (assigned(CONTRIBUTOR), {"create", "batch", "read", "query", "feed", "delete"}),
        (assigned(CONTRIBUTOR, "/dbs/state"), {"create", "batch", "read", "query", "feed", "delete"}),
        (assigned(CONTRIBUTOR, ""), {"create", "batch", "read", "query", "feed", "delete"}),
        (assigned(READER), {"read", "query", "feed"}),
        (assigned("custom"), {"create", "batch"}),
        (assigned(CONTRIBUTOR, "/dbs/state/colls/other"), set()),
        (assigned(CONTRIBUTOR, "/dbs/state/colls/sess"), set()),
    ],
    ids=["container", "database", "account", "reader", "custom", "elsewhere", "half a name"],
)
def test_roles(settings: AccountSettings, allowed: set[str]) -> None:
    key = ["t1", "s1"]
    calls: dict[str, Callable[[ContainerProxy], Any]] = {
        "create": lambda container: container.create_item(session("s2")),
        "batch": lambda container: container.execute_item_batch([("create", (session(),))], partition_key=key),
        "read": lambda container: container.read_item("state", partition_key=["t1", "s0"]),
        "query": lambda container: list(container.query_items("SELECT * FROM c", partition_key=key)),
        "feed": lambda container: list(container.query_items_change_feed(start_time="Beginning")),
        "delete": lambda container: container.delete_item("state", partition_key=["t1", "s0"]),
    }
    with CosmosFake(settings) as fake:
        make(fake)
        connect(fake).create_item(session("s0"))
        container = connect(fake, Credential(fake))
        for name, call in calls.items():
            if name in allowed:
                call(container)
            else:
                message = refused(403, lambda call=call: call(container), 5301)  # type: ignore[misc]
                assert f"principal [{PRINCIPAL}] does not have required RBAC permissions" in message


def test_another_principal_has_no_role() -> None:
    with CosmosFake(assigned(CONTRIBUTOR)) as fake:
        make(fake)
        refused(403, lambda: connect(fake, Credential(fake, "someone else")), 5301)


# Faults


def test_throttled_requests_are_tried_again_after_the_time_that_was_named(
    fake: CosmosFake, container: ContainerProxy
) -> None:
    fake.throttle(times=2, retry_after_ms=50)
    start = time.monotonic()
    container.create_item(session())

    assert time.monotonic() - start >= 0.1
    assert container.read_item("state", partition_key=["t1", "s1"])["sessionId"] == "s1"


def test_throttling_for_good_reaches_the_caller(fake: CosmosFake) -> None:
    container = connect(fake, retry_total=1)
    fake.throttle(times=100, retry_after_ms=1)
    message = refused(429, lambda: container.create_item(session()), 3200)

    assert "Request rate is large" in message
    fake.reset()
    make(fake)
    assert container.create_item(session())["sessionId"] == "s1"


def test_faults_can_be_called_off_and_items_stay(fake: CosmosFake, container: ContainerProxy) -> None:
    container.create_item(session())
    fake.throttle(times=1000, retry_after_ms=1)
    fake.stop_failing()

    assert container.read_item("state", partition_key=["t1", "s1"])["sessionId"] == "s1"


def test_a_fault_of_one_operation(fake: CosmosFake, container: ContainerProxy) -> None:
    fake.fail(ServiceError(449, "Retry the request."), operation="replace")
    container.create_item(session())
    refused(449, lambda: container.replace_item("state", session(n=1)))
    assert container.replace_item("state", session(n=1))["n"] == 1


def test_a_bug_of_ours_is_an_answer_and_is_kept(
    clock: ManualClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with CosmosFake(clock=clock) as fake:
        make(fake)
        container = connect(fake)
        broken = fake.account.container("state", "sessions")
        monkeypatch.setattr(broken, "write", lambda *arguments: 1 / 0)
        message = refused(500, lambda: container.create_item(session()))

        assert "ZeroDivisionError: division by zero" in message
        assert [ZeroDivisionError] == [type(fault) for fault in fake.faults]
        monkeypatch.undo()
        assert container.create_item(session())["sessionId"] == "s1"


# Settings that a stack declares


def test_order_by_needs_the_index_that_the_container_has(fake: CosmosFake) -> None:
    container = connect(fake)
    container.create_item(session())
    for order in ("c.tenantId, c.sessionId", "c.tenantId DESC, c.sessionId DESC", "c.sessionId"):
        assert len(list(container.query_items(f"SELECT * FROM c ORDER BY {order}", partition_key=["t1"]))) == 1
    for order in ("c.sessionId, c.tenantId", "c.tenantId, c.sessionId DESC", "c.tenantId, c.sessionId, c._ts"):
        call: Any = lambda order=order: list(  # noqa: E731
            container.query_items(f"SELECT * FROM c ORDER BY {order}", partition_key=["t1"])
        )
        assert "does not have a corresponding composite index" in refused(400, call)
    call = lambda: list(container.query_items("SELECT * FROM c ORDER BY c.state", partition_key=["t1"]))  # noqa: E731
    assert "is excluded" in refused(400, call)


def test_what_python_declared_the_sdk_reads(fake: CosmosFake, container: ContainerProxy) -> None:
    found = container.read()

    assert found["defaultTtl"] == 3600
    assert [path["path"] for path in found["indexingPolicy"]["excludedPaths"]] == ["/state/?", '/"_etag"/?']
    assert container.get_throughput().auto_scale_max_throughput == 1000


def test_what_the_sdk_declared_python_reads(fake: CosmosFake) -> None:
    with CosmosClient(fake.endpoint, fake.key) as client:
        database = client.create_database("orders", offer_throughput=600)
        database.create_container("shared", partition_key=PartitionKey(path="/k"), default_ttl=-1)
    made = fake.account.container("orders", "shared").settings

    assert ContainerPartitionKey(paths=("/k",), version=2) == made.partition_key
    assert (made.default_ttl, made.unique_key_policy.unique_keys) == (-1, ())
    assert CreateUpdateOptions(throughput=600) == fake.account.throughput("orders")
    assert fake.account.throughput("orders", "shared") is None


def test_the_accounts_limit_of_throughput() -> None:
    key = PartitionKey(path="/k")
    with (
        CosmosFake(AccountSettings(total_throughput_limit=1000)) as fake,
        CosmosClient(fake.endpoint, fake.key) as client,
    ):
        database = client.create_database("d")
        container = database.create_container("c", key, offer_throughput=600)
        message = refused(403, lambda: database.create_container("e", key, offer_throughput=500), 1028)
        refused(403, lambda: container.replace_throughput(1100), 1028)
    assert "total throughput limit of 1000 RU/s" in message


# Starting and stopping


def test_it_is_an_emulator(fake: CosmosFake) -> None:
    emulator: Emulator = fake

    assert (emulator.service, emulator.backend) == ("cosmos", "process")
    assert {
        "RINGFENCE_COSMOS_ENDPOINT": f"https://127.0.0.1:{fake.port}/",
        "RINGFENCE_COSMOS_KEY": fake.key,
    } == emulator.environment()


def test_it_starts_and_stops_and_keeps_nothing() -> None:
    before = set(threading.enumerate())
    fake = CosmosFake()
    for _ in range(2):
        fake.start()
        make(fake)
        container = connect(fake, retry_total=0)
        container.create_item(session())
        fake.stop()
        assert fake.account.databases == []
        with pytest.raises((ServiceRequestError, ServiceResponseError)):
            container.read()
    fake.stop()
    left = set(threading.enumerate()) - before

    assert [thread.name for thread in left if thread.name.startswith("ringfence")] == []
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", fake.port))


def test_a_taken_port_is_named() -> None:
    with CosmosFake(tls=False) as first:
        with pytest.raises(EmulatorError, match=rf"127\.0\.0\.1:{first.port}: .*in use"):
            CosmosFake(port=first.port).start()
        with pytest.raises(EmulatorError, match="runs already"):
            first.start()


def test_reset_forgets_everything(fake: CosmosFake, container: ContainerProxy) -> None:
    container.create_item(session())
    fake.reset()
    refused(404, container.read)


def test_plain_http() -> None:
    with CosmosFake(tls=False) as fake:
        make(fake)
        assert connect(fake).create_item(session())["sessionId"] == "s1"
        with pytest.raises(EmulatorError, match="only while it runs with TLS"):
            _ = fake.certificate_pem


def test_the_certificate_is_good_for_clients_that_check_it(fake: CosmosFake, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text(fake.certificate_pem)
    context = ssl.create_default_context(cafile=str(path))
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(fake.endpoint, context=context)
    with caught.value as answer:
        assert (answer.code, answer.read().decode()[50:74]) == (401, "authorization is missing")


def test_a_client_that_never_shakes_hands_holds_up_nobody(fake: CosmosFake, container: ContainerProxy) -> None:
    with socket.create_connection(("127.0.0.1", fake.port)):
        assert container.create_item(session())["sessionId"] == "s1"


def test_two_fakes_know_nothing_of_each_other() -> None:
    def use(number: int) -> list[Any]:
        with CosmosFake() as fake:
            make(fake)
            container = connect(fake)
            container.create_item(session(n=number))
            return [each["n"] for each in container.read_all_items()]

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(use, range(2))) == [[0], [1]]
