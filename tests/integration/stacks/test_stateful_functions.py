"""The API of stateful_functions over its own deployment, used as the identity that the stack makes for it."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from azure.cosmos import CosmosClient
from azure.cosmos.exceptions import CosmosHttpResponseError
from azure.storage.blob import ContainerClient

from ringfence.emulate import Emulation
from ringfence.emulators.cosmos import CosmosFake, ServiceError
from ringfence.emulators.functions import FunctionsHost
from ringfence.emulators.tokens import EmulatorCredential
from ringfence.providers.emulated.cosmos import CosmosService
from tests.integration.availability import BACK_ENDS
from tests.integration.stacks.deploying import deployed
from tests.unit.stacks.loading import STACKS, load

# The client turns verification off for loopback by itself, and then warns of it at each request.
pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")

STACK = "stateful_functions"
function_app, clients, cosmos_store = load(STACK, "function_app", "clients", "cosmos_store")
NEW = {"If-None-Match": "*"}


class Clock:
    """The database's time: the real one, and what tests have added. It never goes back."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


class Deployed:
    """The stack on its emulators, which all tests of this module share."""

    def __init__(self, emulation: Emulation, cosmos: CosmosFake, clock: Clock) -> None:
        self.emulation, self.cosmos, self.clock = emulation, cosmos, clock
        self.host = FunctionsHost(function_app.app, app_settings(emulation), folder=STACKS / STACK / "app")
        self.principal = emulation.resource("managedidentity:UserAssignedIdentity")["principalId"]


class Api:
    """The API with a tenant of a test's own, and what is behind it."""

    def __init__(self, stack: Deployed, blobs: ContainerClient) -> None:
        self.stack, self.cosmos, self.clock, self.settings = stack, stack.cosmos, stack.clock, stack.host.settings
        self.tenant = uuid4().hex
        self.session = self.url("chat-1")
        self._blobs = blobs

    def url(self, session: str = "", *, tenant: str = "") -> str:
        return f"/api/tenants/{tenant or self.tenant}/sessions{session and f'/{session}'}"

    def call(self, method: str, url: str, state: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        body = b"" if state is None else state_bytes(state)
        return self.stack.host.request(method, url, body=body, headers=headers)

    def put(self, url: str, state: Any, headers: Mapping[str, str] = NEW) -> str:
        """Write a state and return its ETag."""
        answer = self.call("PUT", url, state, headers)
        assert answer.status_code in (200, 201), answer.get_body()
        etag: str = answer.headers["ETag"]
        return etag

    def state(self, url: str) -> Any:
        answer = self.call("GET", url)
        assert answer.status_code == 200, answer.get_body()
        return json.loads(answer.get_body())

    def items(self) -> list[Mapping[str, Any]]:
        """Return what the database holds of the tenant, past the app."""
        with self.cosmos.account.lock:
            bodies = [item.body for item in self.cosmos.account.container("state", "sessions").items()]
        return [body for body in bodies if body["tenantId"] == self.tenant]

    def blob_names(self) -> list[str]:
        return [blob.name for blob in self._blobs.list_blobs(name_starts_with=f"{self.tenant}/")]

    def blob(self, name: str) -> bytes:
        content: bytes = self._blobs.download_blob(name).readall()
        return content


def state_bytes(state: Any) -> bytes:
    return json.dumps(state).encode()


def large(limit: int) -> dict[str, str]:
    """Return a state that is too large for the database."""
    return {"text": "x" * (limit + 1)}


# Of the session, as a worker may come back to this module, and the library reads an app once in a process.
@pytest.fixture(scope="session")
def stack() -> Iterator[Deployed]:
    """Deploy the stack as it is: tokens only, with the roles of its identity and no keys."""
    clock = Clock()
    cosmos = CosmosService(lambda settings: CosmosFake(settings, clock=clock), keys=False)
    with deployed(STACK, ["storage", cosmos], keys=False) as emulation:
        account = emulation.resource("cosmosdb:DatabaseAccount")["name"]
        yield Deployed(emulation, cosmos.fake(account), clock)


@pytest.fixture
def api(
    stack: Deployed, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> Iterator[Api]:
    """Return the API, logged in as the identity that the stack makes for it."""
    record_property(BACK_ENDS, ", ".join(stack.emulation.backends))
    variables = stack.emulation.environment
    account = stack.emulation.resource("storage:StorageAccount", "data")["name"]
    blobs = ContainerClient.from_connection_string(
        variables[f"RINGFENCE_STORAGE_CONNECTION_STRING_{account.upper()}"],
        "artefacts",
        connection_verify=variables["RINGFENCE_STORAGE_CA_FILE"],
    )
    monkeypatch.setattr(clients, "DefaultAzureCredential", lambda: EmulatorCredential(stack.principal))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", variables["RINGFENCE_STORAGE_CA_FILE"])
    function_app._store.cache_clear()
    with stack.host, blobs:
        yield Api(stack, blobs)
    function_app._store.cache_clear()
    stack.cosmos.stop_failing()
    assert stack.cosmos.faults == []


def app_settings(emulation: Emulation) -> dict[str, str]:
    """Return the app settings that the stack gives the function app. The stack writes the cloud's own domain."""
    assert emulation.deployment is not None
    (app,) = [item for item in emulation.deployment.resources if item.type.endswith("web:WebApp")]
    settings = {entry["name"]: entry["value"] for entry in app.inputs["siteConfig"]["appSettings"]}
    data = emulation.resource("storage:StorageAccount", "data")
    cloud = f"https://{data['name']}.blob.core.windows.net/"
    assert settings["ARTEFACTS_URL"].startswith(cloud)
    settings["ARTEFACTS_URL"] = settings["ARTEFACTS_URL"].replace(cloud, data["primaryEndpoints"]["blob"])
    return settings


def inline_limit(api: Api) -> int:
    return int(api.settings["INLINE_STATE_BYTES"])


# The documented path


def test_a_session_from_its_first_write_to_its_end(api: Api) -> None:
    first = api.put(api.session, {"turn": 1})
    second = api.put(api.session, {"turn": 2}, {"If-Match": first})

    assert api.state(api.session) == {"turn": 2}
    assert api.call("PUT", api.session, {"turn": 9}, NEW).status_code == 412
    assert api.call("PUT", api.session, {"turn": 9}).status_code == 428
    assert api.call("DELETE", api.session, headers={"If-Match": first}).status_code == 412
    assert api.call("DELETE", api.session, headers={"If-Match": second}).status_code == 204
    assert api.call("GET", api.session).status_code == 404
    assert api.items() == []


def test_a_tenant_sees_its_own_sessions_page_by_page(api: Api) -> None:
    for number in range(5):
        api.put(api.url(f"chat-{number}"), {"n": number})
    api.put(api.url("chat-9", tenant=f"{api.tenant}-other"), {"n": 9})
    seen, more = [], ""
    while more is not None:
        answer = api.call("GET", f"{api.url()}?limit=2{more and f'&continuation={more}'}")
        page = json.loads(answer.get_body())
        seen.append([entry["session"] for entry in page["sessions"]])
        more = page["continuation"]

    assert seen == [["chat-0", "chat-1"], ["chat-2", "chat-3"], ["chat-4"]]


def test_the_database_has_the_stacks_own_settings(api: Api) -> None:
    settings = api.cosmos.account.container("state", "sessions").settings

    assert (settings.partition_key.kind, settings.partition_key.paths) == ("MultiHash", ("/tenantId", "/sessionId"))
    assert int(api.settings["SESSION_TTL_SECONDS"]) == settings.default_ttl == 86_400
    assert [tuple(part.path for part in index) for index in settings.indexing_policy.composite_indexes] == [
        ("/tenantId", "/sessionId")
    ]
    throughput = api.cosmos.account.throughput("state", "sessions")
    assert throughput is not None
    assert throughput.autoscale_settings is not None
    assert throughput.autoscale_settings.max_throughput == 1000


# Who may


def test_keys_are_refused_and_so_is_another_identity(api: Api) -> None:
    variables = api.stack.emulation.environment
    with pytest.raises(CosmosHttpResponseError) as refused:
        CosmosClient(variables["RINGFENCE_COSMOS_ENDPOINT"], variables["RINGFENCE_COSMOS_KEY"])
    assert refused.value.status_code == 401
    with pytest.raises(CosmosHttpResponseError) as refused:
        CosmosClient(variables["RINGFENCE_COSMOS_ENDPOINT"], EmulatorCredential("somebody-else"))
    assert refused.value.status_code == 403


def test_the_identity_may_read_and_write_items_and_make_no_container(api: Api) -> None:
    with CosmosClient(api.cosmos.endpoint, EmulatorCredential(api.stack.principal)) as client:
        container = client.get_database_client("state").get_container_client("sessions")
        container.upsert_item({"id": "state", "tenantId": api.tenant, "sessionId": "x"})

        assert container.read_item("state", [api.tenant, "x"])["sessionId"] == "x"
        with pytest.raises(CosmosHttpResponseError) as refused:
            client.get_database_client("state").delete_container("sessions")
    assert refused.value.status_code == 403


# Writers at the same time


def test_eight_writers_with_stale_etags_lose_no_step_and_take_none_twice(api: Api) -> None:
    writers, steps = 8, 5
    api.put(api.session, {"steps": []})
    refused: Counter[int] = Counter()

    def write(writer: int) -> None:
        for step in range(steps):
            while True:
                answer = api.call("GET", api.session)
                state = json.loads(answer.get_body())
                state["steps"].append([writer, step])
                status = api.call("PUT", api.session, state, {"If-Match": answer.headers["ETag"]}).status_code
                if status == 200:
                    break
                assert status == 412
                refused[writer] += 1

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, range(writers)))

    taken = [tuple(step) for step in api.state(api.session)["steps"]]
    assert Counter((writer, step) for writer in range(writers) for step in range(steps)) == Counter(taken)
    assert refused.total() > 0, "no two writers met: the test has shown nothing"
    # Each writer's own steps are in their order.
    assert all([step for of, step in taken if of == writer] == [*range(steps)] for writer in range(writers))


def test_of_two_first_writers_one_wins(api: Api) -> None:
    barrier = threading.Barrier(6)

    def write(writer: int) -> tuple[int, int]:
        barrier.wait()
        return writer, api.call("PUT", api.session, {"writer": writer}, NEW).status_code

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(write, range(6)))

    (winner,) = [writer for writer, status in answers if status == 201]
    assert Counter({412: 5, 201: 1}) == Counter(status for _, status in answers)
    assert {"writer": winner} == api.state(api.session)


# Large states


def test_a_large_state_spills_over_to_one_blob_that_goes_with_it(api: Api) -> None:
    state = large(inline_limit(api))
    first = api.put(api.session, state)
    (name,) = api.blob_names()

    assert state == api.state(api.session)
    assert [("blob", name)] == [("blob", item["blob"]) for item in api.items()]
    assert state_bytes(state) == api.blob(name)
    second = api.put(api.session, {**state, "turn": 2}, {"If-Match": first})
    assert len(api.blob_names()) == 1
    assert [name] != api.blob_names()
    api.put(api.session, {"small": True}, {"If-Match": second})
    assert api.blob_names() == []
    assert api.state(api.session) == {"small": True}


def test_the_loser_of_two_large_writes_breaks_nothing(api: Api) -> None:
    state = large(inline_limit(api))
    stale = api.put(api.session, state)
    api.put(api.session, {**state, "by": "winner"}, {"If-Match": stale})

    assert api.call("PUT", api.session, {**state, "by": "loser"}, {"If-Match": stale}).status_code == 412
    assert api.state(api.session)["by"] == "winner"
    (item,) = api.items()
    # What the loser wrote is a blob that no item names: the lifecycle rule expires it.
    assert item["blob"] in api.blob_names()
    assert len(api.blob_names()) == 2


def test_a_state_over_the_limit_is_refused_before_anything_is_written(api: Api) -> None:
    answer = api.call("PUT", api.session, large(int(api.settings["MAX_STATE_BYTES"])), NEW)

    assert answer.status_code == 413
    assert api.items() == []
    assert api.blob_names() == []


# Time to live


def test_a_session_expires_when_its_time_has_come(api: Api) -> None:
    api.put(f"{api.session}?ttlSeconds=60", {"short": True})
    api.put(api.url("usual"), {"usual": True})
    api.clock.advance(58)
    assert api.state(api.session) == {"short": True}
    api.clock.advance(4)
    assert api.call("GET", api.session).status_code == 404
    listed = json.loads(api.call("GET", api.url()).get_body())["sessions"]
    assert [entry["session"] for entry in listed] == ["usual"]
    api.clock.advance(int(api.settings["SESSION_TTL_SECONDS"]))
    assert api.call("GET", api.url("usual")).status_code == 404
    # The name is free again.
    assert api.call("PUT", api.session, {"again": True}, NEW).status_code == 201


def test_a_write_begins_the_time_anew(api: Api) -> None:
    etag = api.put(f"{api.session}?ttlSeconds=60", {"turn": 1})
    api.clock.advance(50)
    api.put(f"{api.session}?ttlSeconds=60", {"turn": 2}, {"If-Match": etag})
    api.clock.advance(50)
    assert api.state(api.session) == {"turn": 2}


# Faults


def test_a_short_throttling_is_not_noticed_and_nothing_is_written_twice(api: Api) -> None:
    api.cosmos.throttle(times=3, retry_after_ms=10)
    api.put(api.session, {"turn": 1})
    api.cosmos.throttle(times=2, retry_after_ms=10, operation="read")

    assert api.state(api.session) == {"turn": 1}
    assert len(api.items()) == 1


def test_a_long_throttling_is_told_to_the_caller_who_may_try_again(api: Api) -> None:
    etag = api.put(api.session, {"turn": 1})
    api.cosmos.throttle(times=1000, retry_after_ms=1, operation="replace")
    answer = api.call("PUT", api.session, {"turn": 2}, {"If-Match": etag})

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert api.state(api.session) == {"turn": 1}
    api.cosmos.stop_failing()
    api.put(api.session, {"turn": 2}, {"If-Match": etag})
    assert api.state(api.session) == {"turn": 2}


def test_a_write_that_fails_between_blob_and_item_leaves_the_old_state(api: Api) -> None:
    state = large(inline_limit(api))
    etag = api.put(api.session, {"turn": 1})
    api.cosmos.fail(ServiceError(500, "the replica has gone"), times=100, operation="replace")

    assert api.call("PUT", api.session, state, {"If-Match": etag}).status_code == 503
    api.cosmos.stop_failing()
    assert api.state(api.session) == {"turn": 1}
    assert len(api.blob_names()) >= 1, "the blob of the write that failed waits for its lifecycle rule"
    api.put(api.session, state, {"If-Match": etag})
    assert state == api.state(api.session)


@pytest.fixture
def silent() -> Iterator[str]:
    """Return the address of something that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_blobs_that_do_not_answer_are_told_to_the_caller(
    api: Api, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(clients, "READ_SECONDS", 0.3)
    monkeypatch.setattr(clients, "RETRIES", 0)  # the storage client waits 15 seconds before it tries again
    monkeypatch.setenv("ARTEFACTS_URL", f"https://{silent}/account/artefacts")
    function_app._store.cache_clear()
    began = time.monotonic()

    assert api.call("PUT", api.session, large(inline_limit(api)), NEW).status_code == 503
    assert time.monotonic() - began < 10
    assert api.items() == []
    # What needs no blob goes on.
    api.put(api.url("small"), {"turn": 1})


def test_a_database_that_does_not_answer_is_told_to_the_caller(
    api: Api, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(clients, "READ_SECONDS", 0.3)
    monkeypatch.setattr(clients, "RETRIES", 0)
    monkeypatch.setenv("AZURE_COSMOS_HEALTH_CHECK_MAX_RETRIES", "0")  # else it waits for 5 seconds and again for 5
    monkeypatch.setenv("COSMOS_ENDPOINT", f"https://{silent}/")
    function_app._store.cache_clear()

    answer = api.call("GET", api.session)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
