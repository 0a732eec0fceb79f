"""The function app as the host runs it: real requests, real decorators; database and blobs in memory."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import azure.functions as func
import pytest
from azure.core.exceptions import HttpResponseError, ServiceRequestError
from azure.cosmos import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError
from azure.storage.blob import ContainerClient, ExponentialRetry

from tests.unit.stacks.loading import STACKS, load
from tests.unit.stacks.test_stateful_functions_store import Blobs, Items

function_app, clients = load("stateful_functions", "function_app", "clients")

FUNCTIONS = function_app.app.get_functions()
"""The host asks once, and so may we."""

SETTINGS = {
    "COSMOS_ENDPOINT": "https://chat.documents.azure.com:443/",
    "COSMOS_DATABASE": "state",
    "COSMOS_CONTAINER": "sessions",
    "ARTEFACTS_URL": "https://chatdata.blob.core.windows.net/artefacts",
    "SESSION_TTL_SECONDS": "3600",
    "INLINE_STATE_BYTES": "100",
    "MAX_STATE_BYTES": "1000",
}
NEW = {"If-None-Match": "*"}


class Api:
    """The app behind its routes, as the host calls it."""

    def __init__(self, items: Items, blobs: Blobs) -> None:
        self.items, self.blobs = items, blobs
        self.functions = {
            (method.value, trigger.route): function
            for function in FUNCTIONS
            for trigger in [function.get_trigger()]
            for method in trigger.methods
        }

    def call(self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Any:
        parts = urlsplit(url)
        names = parts.path.removeprefix("/api/").split("/")
        (route,) = [route for of, route in self.functions if of == method and route.count("/") == len(names) - 1]
        pairs = zip(route.split("/"), names, strict=True)
        request = func.HttpRequest(
            method,
            f"https://chat.azurewebsites.net{url}",
            headers=headers or {},
            params=dict(parse_qsl(parts.query)),
            route_params={part.strip("{}"): name for part, name in pairs if part.startswith("{")},
            body=body,
        )
        return self.functions[method, route].get_user_function()(request)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    items, blobs = Items(), Blobs()
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(clients, "sessions", lambda: items.client)
    monkeypatch.setattr(clients, "artefacts", lambda: blobs.client)
    function_app._store.cache_clear()
    yield Api(items, blobs)
    function_app._store.cache_clear()


SESSION = "/api/tenants/acme/sessions/chat-1"


def test_what_the_host_is_told_of_the_functions() -> None:
    told = {
        function.get_function_name(): (
            [method.value for method in function.get_trigger().methods],
            function.get_trigger().route,
            function.get_trigger().auth_level,
        )
        for function in FUNCTIONS
    }
    one, all_of_them = "tenants/{tenant}/sessions/{session}", "tenants/{tenant}/sessions"

    assert told == {
        "list_sessions": (["GET"], all_of_them, func.AuthLevel.FUNCTION),
        "get_session": (["GET"], one, func.AuthLevel.FUNCTION),
        "put_session": (["PUT"], one, func.AuthLevel.FUNCTION),
        "delete_session": (["DELETE"], one, func.AuthLevel.FUNCTION),
    }


def test_the_life_of_a_session(api: Api) -> None:
    large = b'{"turn": "' + b"x" * 200 + b'"}'
    made = api.call("PUT", SESSION, b'{"turn": 1}', NEW)
    grown = api.call("PUT", SESSION + "?ttlSeconds=600", large, {"If-Match": made.headers["ETag"]})
    read = api.call("GET", SESSION)
    listed = api.call("GET", "/api/tenants/acme/sessions?limit=10")
    gone = api.call("DELETE", SESSION, headers={"If-Match": grown.headers["ETag"]})

    assert [answer.status_code for answer in (made, grown, read, listed, gone)] == [201, 200, 200, 200, 204]
    assert (large, grown.headers["ETag"]) == (read.get_body(), read.headers["ETag"])
    assert [("chat-1", len(large))] == [
        (item["session"], item["bytes"]) for item in json.loads(listed.get_body())["sessions"]
    ]
    assert api.call("GET", SESSION).status_code == 404
    assert (api.items.kept, api.blobs.kept) == ({}, {})


def test_answers_are_json(api: Api) -> None:
    answer = api.call("GET", SESSION)

    assert answer.mimetype == "application/json"
    assert json.loads(answer.get_body()) == {"status": 404, "detail": "no such session"}


def test_headers_in_any_case(api: Api) -> None:
    assert api.call("PUT", SESSION, b"{}", {"if-none-match": "*"}).status_code == 201


def test_limits_are_the_settings(api: Api) -> None:
    exactly = b'{"x":"' + b"y" * 992 + b'"}'

    assert api.call("PUT", SESSION + "?ttlSeconds=3600", exactly, NEW).status_code == 201
    assert api.call("PUT", SESSION, exactly + b" ", NEW).status_code == 413
    assert api.call("PUT", SESSION + "?ttlSeconds=3601", b"{}", NEW).status_code == 400


def test_pages(api: Api) -> None:
    for number in range(3):
        api.call("PUT", f"/api/tenants/acme/sessions/chat-{number}", b"{}", NEW)
    first = json.loads(api.call("GET", "/api/tenants/acme/sessions?limit=2").get_body())
    url = f"/api/tenants/acme/sessions?limit=2&continuation={first['continuation']}"
    second = json.loads(api.call("GET", url).get_body())

    assert [item["session"] for item in first["sessions"] + second["sessions"]] == ["chat-0", "chat-1", "chat-2"]
    assert second["continuation"] is None


@pytest.mark.parametrize(
    "error",
    [
        CosmosHttpResponseError(status_code=429, message="busy"),
        CosmosHttpResponseError(status_code=503, message="away"),
        ServiceRequestError("no route to host"),
    ],
)
def test_a_service_that_is_busy_or_away(api: Api, error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    api.items.client.read_item.side_effect = error
    answer = api.call("GET", SESSION)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert [(record.levelname, json.loads(record.message)["error"]) for record in caplog.records] == [
        ("WARNING", type(error).__name__)
    ]


@pytest.mark.parametrize("status", [400, 401, 403])
def test_what_trying_again_does_not_mend_ends_the_call(api: Api, status: int) -> None:
    """The host answers 500, counts the request as failed and logs the exception."""
    api.items.client.read_item.side_effect = CosmosHttpResponseError(status_code=status, message="no")
    with pytest.raises(CosmosHttpResponseError):
        api.call("GET", SESSION)


def test_blobs_that_are_refused_end_the_call(api: Api) -> None:
    refused = HttpResponseError("forbidden")
    refused.status_code = 403
    api.blobs.client.upload_blob.side_effect = refused
    with pytest.raises(HttpResponseError):
        api.call("PUT", SESSION, b'{"x": "' + b"y" * 200 + b'"}', NEW)


def test_a_call_is_one_line_of_json_without_what_the_session_holds(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    api.call("PUT", SESSION, b'{"card": "271828"}', NEW)
    (line,) = caplog.messages
    logged = json.loads(line)

    assert logged.pop("milliseconds") >= 0
    assert logged == {
        "event": "call",
        "method": "PUT",
        "status": 201,
        "error": None,
        "tenant": "acme",
        "session": "chat-1",
    }


def test_names_that_are_none_are_not_logged(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert api.call("GET", "/api/tenants/acme/sessions/mary@example.com").status_code == 400
    logged = json.loads(caplog.messages[0])

    assert (logged["tenant"], logged["session"]) == ("acme", None)


def test_the_clients_are_those_of_the_settings_and_log_in_as_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection is made: the clients connect on their first call, except the database's, which is stood in for."""
    asked: dict[str, Any] = {}

    class Client(clients.CosmosClient):  # type: ignore[misc,name-defined]
        def __init__(self, url: str, credential: object, **options: object) -> None:
            asked.update(options, url=url, credential=type(credential).__name__)

        def get_database_client(self, database: str) -> Any:
            asked["database"] = database
            return self

        def get_container_client(self, container: str) -> ContainerProxy:
            asked["container"] = container
            return Items().client  # type: ignore[no-any-return]

    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(clients, "CosmosClient", Client)

    assert isinstance(clients.sessions(), ContainerProxy)
    assert {
        "url": SETTINGS["COSMOS_ENDPOINT"],
        "credential": "DefaultAzureCredential",
        "database": "state",
        "container": "sessions",
    }.items() <= asked.items()
    blobs = clients.artefacts()
    assert isinstance(blobs, ContainerClient)
    assert SETTINGS["ARTEFACTS_URL"] == blobs.url
    assert type(blobs.credential).__name__ == "DefaultAzureCredential"
    blobs.close()


def test_a_call_to_a_service_ends_before_the_host_ends_the_function() -> None:
    host = json.loads((STACKS / "stateful_functions" / "app" / "host.json").read_text())

    assert host["functionTimeout"] == "00:01:00"
    assert (clients.RETRIES + 1) * clients.READ_SECONDS < 60


def test_storage_that_does_not_answer_is_given_up_before_the_host_gives_up() -> None:
    policy = ExponentialRetry(retry_total=clients.RETRIES, **clients.BACKOFF)
    waits = [policy.get_backoff_time({"count": count}) for count in range(1, clients.RETRIES + 1)]

    assert sum(waits) + (clients.RETRIES + 1) * clients.READ_SECONDS < 60


def test_requirements_are_pinned_and_are_the_tested_versions() -> None:
    lines = (STACKS / "stateful_functions" / "app" / "requirements.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines)

    assert {"azure-core", "azure-cosmos", "azure-functions", "azure-identity", "azure-storage-blob"} == set(pins)
    assert pins == {name: version(name) for name in pins}
