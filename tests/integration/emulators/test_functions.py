"""The stand-in for the Functions host, with Azurite and the Service Bus fake behind it."""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.storage.blob import ContainerClient
from azure.storage.queue import QueueClient

from ringfence.emulators.functions import FunctionsHost
from ringfence.emulators.service_bus import QueueSettings, ServiceBusFake

CONNECTION = "RINGFENCE_STORAGE_CONNECTION_STRING"
EVENTS: list[Any] = []


def orders() -> func.FunctionApp:
    """Return an app with one function for each kind of trigger and output."""
    app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)

    @app.route("orders/{id:int}", methods=["GET", "PUT"])
    def order(req: func.HttpRequest) -> func.HttpResponse:
        if "fail" in req.params:
            raise RuntimeError("the details stay inside")
        answer = {
            "method": req.method,
            "id": req.route_params["id"],
            "body": req.get_body().decode(),
            "query": dict(req.params),
            "header": req.headers.get("x-thing"),
            "setting": os.environ["GREETING"],
        }
        return func.HttpResponse(json.dumps(answer), status_code=201, mimetype="application/json")

    @app.route("health", auth_level=func.AuthLevel.ANONYMOUS)
    async def health(req: func.HttpRequest) -> str:
        return "fine"

    @app.route("orders/all", methods=["GET"])
    def every(req: func.HttpRequest) -> func.HttpResponse:
        BARRIER.wait(5)
        return func.HttpResponse("all")

    @app.timer_trigger(arg_name="timer", schedule="0 * * * * *")
    def tick(timer: func.TimerRequest, context: Any) -> None:
        EVENTS.append((context.function_name, timer.past_due))

    @app.queue_trigger(arg_name="msg", queue_name="%WORK%", connection="Storage")
    @app.queue_output(arg_name="done", queue_name="done", connection="Storage")
    @app.blob_output(arg_name="copy", path="%WORK%/{name}.json", connection="Storage")
    def work(msg: func.QueueMessage, done: func.Out[str], copy: func.Out[bytes]) -> None:
        body = msg.get_json()
        EVENTS.append(("work", msg.dequeue_count))
        done.set(body["name"])
        copy.set(msg.get_body())
        if body.get("bad"):
            raise ValueError(body["name"])

    @app.blob_trigger(arg_name="blob", path="%WORK%/in/{name}", connection="Storage")
    def seen(blob: func.InputStream) -> None:
        EVENTS.append((blob.name, blob.read(), blob.length))

    @app.service_bus_queue_trigger(arg_name="msg", queue_name="jobs", connection="Bus")
    async def job(msg: func.ServiceBusMessage) -> None:
        EVENTS.append((msg.message_id, msg.delivery_count, msg.get_body(), dict(msg.application_properties)))
        if msg.get_body() == b"bad":
            raise ValueError

    return app


BARRIER = threading.Barrier(2)


@pytest.fixture
def name() -> str:
    return f"n{uuid.uuid4().hex[:20]}"


@pytest.fixture
def host(tmp_path: Path, name: str, request: pytest.FixtureRequest) -> Iterator[FunctionsHost]:
    (tmp_path / "host.json").write_text(
        json.dumps({"version": "2.0", "extensions": {"queues": {"maxDequeueCount": 3}}})
    )
    settings = {"GREETING": "hello", "WORK": name}
    if "storage" in request.fixturenames:
        settings["AzureWebJobsStorage"] = request.getfixturevalue("storage").environment()[CONNECTION]
    if "bus" in request.fixturenames:
        found = request.getfixturevalue("bus").environment()
        settings["Bus"] = found["RINGFENCE_SERVICE_BUS_CONNECTION_STRING"]
    EVENTS.clear()
    with FunctionsHost(orders(), settings, folder=tmp_path, keys={"order": "the-key"}) as made:
        yield made
    assert "GREETING" not in os.environ


@pytest.fixture
def bus() -> Iterator[ServiceBusFake]:
    with ServiceBusFake() as fake:
        fake.broker.create_queue(QueueSettings(name="jobs", max_delivery_count=2))
        yield fake


def test_a_request_reaches_its_function_with_all_that_it_has(host: FunctionsHost) -> None:
    found = host.request("PUT", "/api/orders/7?a=1&code=the-key", body=b"{}", headers={"X-Thing": "b"})

    assert found.status_code == 201
    assert found.mimetype == "application/json"
    assert json.loads(found.get_body()) == {
        "method": "PUT",
        "id": "7",
        "body": "{}",
        "query": {"a": "1"},
        "header": "b",
        "setting": "hello",
    }


@pytest.mark.parametrize(
    ("method", "url", "headers", "status"),
    [
        ("GET", "/api/orders/7", {"x-functions-key": "the-key"}, 201),
        ("GET", "/api/orders/7", {}, 401),
        ("GET", "/api/orders/7?code=other", {}, 401),
        ("GET", "/api/orders/seven?code=the-key", {}, 404),
        ("DELETE", "/api/orders/7?code=the-key", {}, 404),
        ("GET", "/orders/7?code=the-key", {}, 404),
        ("GET", "/api/orders/7?code=the-key&fail=1", {}, 500),
        ("GET", "/api/health", {}, 200),
    ],
)
def test_status(method: str, url: str, headers: dict[str, str], status: int, host: FunctionsHost) -> None:
    found = host.request(method, url, headers=headers)

    assert found.status_code == status
    assert b"inside" not in found.get_body()


def test_functions_run_side_by_side(host: FunctionsHost) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: host.request("GET", "/api/orders/all").status_code, range(2)))

    assert found == [200, 200]


def test_a_timer(host: FunctionsHost) -> None:
    run = host.fire_timer("tick", past_due=True)

    assert run.error is None
    assert EVENTS == [("tick", True)]
    with pytest.raises(ValueError, match="order has a httpTrigger, not a timerTrigger"):
        host.fire_timer("order")


def test_a_queue_with_its_outputs(host: FunctionsHost, storage: Any, name: str) -> None:
    text = storage.environment()[CONNECTION]
    with ContainerClient.from_connection_string(text, name) as container:
        container.create_container()
        assert host.pump_queue("work") == []
        send(text, name, {"name": "a"})

        (run,) = host.pump_queue("work")

        assert run.error is None
        assert EVENTS == [("work", 1)]
        assert json.loads(container.download_blob("a.json").readall()) == {"name": "a"}
        assert host.pump_queue("work") == []


def test_a_message_that_fails_is_poison_after_the_tries_that_host_json_says(
    host: FunctionsHost, storage: Any, name: str
) -> None:
    text = storage.environment()[CONNECTION]
    assert host.pump_queue("work") == []
    send(text, name, {"name": "a", "bad": True})

    errors = [run.error for _ in range(4) for run in host.pump_queue("work")]

    assert [type(error) for error in errors] == [ValueError] * 3
    assert EVENTS == [("work", 1), ("work", 2), ("work", 3)]
    with QueueClient.from_connection_string(text, f"{name}-poison") as poison:
        assert len(list(poison.receive_messages())) == 1
    with ContainerClient.from_connection_string(text, name) as container:
        assert not container.exists()


def send(text: str, name: str, body: dict[str, Any]) -> None:
    from azure.storage.queue import TextBase64EncodePolicy

    with QueueClient.from_connection_string(text, name, message_encode_policy=TextBase64EncodePolicy()) as queue:
        queue.send_message(json.dumps(body))


def test_a_blob_is_handled_once_until_it_changes(host: FunctionsHost, storage: Any, name: str) -> None:
    with ContainerClient.from_connection_string(storage.environment()[CONNECTION], name) as container:
        container.create_container()
        container.upload_blob("in/a", b"1")
        container.upload_blob("out/b", b"2")
        first = [len(host.pump_blobs("seen")) for _ in range(2)]
        container.upload_blob("in/a", b"34", overwrite=True)
        second = [len(host.pump_blobs("seen")) for _ in range(2)]

    assert (first, second) == ([1, 0], [1, 0])
    assert [(f"{name}/in/a", b"1", 1), (f"{name}/in/a", b"34", 2)] == EVENTS


def test_service_bus(host: FunctionsHost, bus: ServiceBusFake) -> None:
    text = bus.environment()["RINGFENCE_SERVICE_BUS_CONNECTION_STRING"]
    with ServiceBusClient.from_connection_string(text) as service, service.get_queue_sender("jobs") as sender:
        sender.send_messages(ServiceBusMessage(b"good", message_id="m1", application_properties={"a": "b"}))
        sender.send_messages(ServiceBusMessage(b"bad", message_id="m2"))

    errors = [type(run.error) for _ in range(3) for run in host.pump_service_bus("job", wait=0.5)]

    assert sorted(error.__name__ for error in errors) == ["NoneType", "ValueError", "ValueError"]
    assert ("m1", 1, b"good", {"a": "b"}) in EVENTS
    assert [event[1] for event in EVENTS if event[0] == "m2"] == [1, 2]


def test_what_is_missing_is_said(name: str) -> None:
    host = FunctionsHost(orders(), {"WORK": name})

    with pytest.raises(KeyError, match="the app settings have no connection string 'Storage'"):
        host.pump_queue("work")
