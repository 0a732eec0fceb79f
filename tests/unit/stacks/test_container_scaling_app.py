"""The scoring container: what it answers, and how it starts, drains and stops."""

from __future__ import annotations

import http.client
import json
import logging
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.unit.stacks.loading import STACKS, load

model_module, server_module, telemetry = load(
    "container_scaling", "scoring.model", "scoring.server", "scoring.telemetry"
)
APP = STACKS / "container_scaling" / "app"

MODEL = model_module.Model("v1", -1.0, {"amount": 2.0, "age": -0.5})
GOOD = {"amount": 1, "age": 2.0}


def body(*instances: Any) -> bytes:
    return json.dumps({"instances": list(instances)}).encode()


def test_scores_are_those_of_the_logistic_function_in_order() -> None:
    answer = MODEL.answer(body({"age": 2, "amount": 1}, {"amount": 0, "age": 0}))

    assert answer["model"] == "v1"
    assert answer["scores"] == pytest.approx([0.5, 1 / (1 + math.e)])


@pytest.mark.parametrize(("amount", "score"), [(1e15, 1.0), (-1e15, 0.0)])
def test_extreme_features_do_not_overflow(amount: float, score: float) -> None:
    assert MODEL.answer(body({"amount": amount, "age": 0}))["scores"] == [score]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "instances must be a list of 1 to 256 objects"),
        (b"{}", "instances must be"),
        (b'{"instances": {}}', "instances must be"),
        (b'{"instances": []}', "instances must be"),
        (body(*[GOOD] * 257), "instances must be"),
        (body(3), "instance 0 must have exactly the features amount, age"),
        (body(GOOD, {"amount": 1}), "instance 1 must have exactly"),
        (body(GOOD | {"more": 1}), "instance 0 must have exactly"),
        (body(GOOD | {"age": "2"}), "instance 0: age must be a number"),
        (body(GOOD | {"age": None}), "instance 0: age must be a number"),
        (body(GOOD | {"age": True}), "instance 0: age must be a number"),
        (body(GOOD | {"age": 10**400}), "instance 0: age must be a number"),
        (b'{"instances": [{"amount": NaN, "age": 1}]}', "instance 0: amount must be a number"),
        (b'{"instances": [{"amount": Infinity, "age": 1}]}', "instance 0: amount must be a number"),
    ],
)
def test_what_is_no_request(content: bytes, says: str) -> None:
    with pytest.raises(model_module.InvalidRequestError, match=says):
        MODEL.answer(content)


def test_the_packaged_model_scores() -> None:
    model = model_module.Model.load(APP / "scoring" / "model.json")
    calm, odd = (dict.fromkeys(model.weights, value) for value in (0, 1))
    low, high = model.answer(body(calm, odd | {"amount": 2000, "failed_logins": 5}))["scores"]

    assert low < 0.05 < 0.9 < high


@pytest.mark.parametrize("content", ["{}", "[]", '{"version": 1, "bias": 0, "weights": {}}', "no JSON"])
def test_a_file_that_holds_no_model_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(content)
    with pytest.raises((ValueError, KeyError, TypeError)):
        model_module.Model.load(tmp_path / "model.json")


class SlowModel:
    """A model that answers when it is told to."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.go = threading.Event()

    def answer(self, content: bytes) -> dict[str, Any]:
        self.asked.release()
        assert self.go.wait(10)
        return {"scores": []}


class BrokenModel:
    def answer(self, content: bytes) -> dict[str, Any]:
        raise RuntimeError("a secret detail")


@contextmanager
def serving(model: Any = MODEL, *, concurrency: int = 4, drain_seconds: float = 0.0) -> Iterator[Any]:
    """Run a server on a free port until it is left, or until it has drained."""
    with server_module.ScoringServer(
        ("127.0.0.1", 0), model, concurrency=concurrency, drain_seconds=drain_seconds
    ) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def ask(server: Any, method: str, path: str, content: bytes | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        connection.request(method, path, content)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def raw(server: Any, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_endpoints() -> None:
    with serving() as server:
        assert ask(server, "GET", "/health/live") == (200, {"status": "alive"})
        assert ask(server, "GET", "/health/ready") == (200, {"status": "ready"})
        assert ask(server, "POST", "/score", body(GOOD))[0] == 200
        assert ask(server, "POST", "/score", b"{}")[0] == 400
        assert ask(server, "GET", "/score")[0] == 404
        assert ask(server, "POST", "/other", b"")[0] == 404


def test_one_connection_is_one_request_so_that_the_balancer_can_spread_them() -> None:
    with serving() as server:
        answer = raw(server, b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n" * 2)

    assert answer.count(b"HTTP/1.0 200 OK") == 1


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        (b"", b"", b"411"),
        (b"Content-Length: many\r\n", b"", b"411"),
        (b"Content-Length: -1\r\n", b"", b"411"),
        (b"Content-Length: 262145\r\n", b"", b"413"),
        (b"Content-Length: " + b"9" * 5000 + b"\r\n", b"", b"413"),
        (b"Content-Length: 10\r\n", b"{}", b"400"),
    ],
)
def test_bodies_that_are_not_read(headers: bytes, content: bytes, status: bytes) -> None:
    with serving() as server:
        answer = raw(server, b"POST /score HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n" + content)

    assert answer.split(b" ")[1] == status


def test_a_fault_is_an_answer_without_its_details(caplog: pytest.LogCaptureFixture) -> None:
    with serving(BrokenModel()) as server:
        answer = ask(server, "POST", "/score", b"{}")

    assert answer == (500, {"detail": "scoring failed"})
    assert "a secret detail" in caplog.text


def test_what_is_too_much_is_turned_away_and_health_is_answered_all_the_same() -> None:
    model = SlowModel()
    with serving(model, concurrency=2) as server, ThreadPoolExecutor(2) as callers:
        waiting = [callers.submit(ask, server, "POST", "/score", b"{}") for _ in range(2)]
        for _ in waiting:
            assert model.asked.acquire(timeout=10)
        turned_away = ask(server, "POST", "/score", b"{}")
        alive = ask(server, "GET", "/health/live")
        model.go.set()
        answered = [future.result() for future in waiting]

    assert (turned_away[0], alive[0]) == (503, 200)
    assert [status for status, _ in answered] == [200, 200]


def test_a_draining_server_is_not_ready_but_answers_and_finishes_what_it_began() -> None:
    model = SlowModel()
    with ThreadPoolExecutor(1) as callers:
        with serving(model, drain_seconds=0.3) as server:
            began = callers.submit(ask, server, "POST", "/score", b"{}")
            assert model.asked.acquire(timeout=10)
            server.drain()
            server.drain()  # a second signal changes nothing
            ready = ask(server, "GET", "/health/ready")
            alive = ask(server, "GET", "/health/live")
            threading.Timer(0.6, model.go.set).start()  # after the loop has ended
        finished = began.result()

    assert (ready, alive[0]) == ((503, {"status": "draining"}), 200)
    assert finished == (200, {"scores": []})


def lines_of(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    for line in process.stdout:
        yield json.loads(line)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_drains_on_a_signal_and_ends_well(number: signal.Signals) -> None:
    environment = {**os.environ, "PORT": "0", "DRAIN_SECONDS": "0.5", "PYTHONUNBUFFERED": "1"}
    environment.pop("APPLICATIONINSIGHTS_CONNECTION_STRING", None)
    with subprocess.Popen(
        [sys.executable, "-m", "scoring"], cwd=APP, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        lines = lines_of(process)
        try:
            started = next(lines)
            process.send_signal(number)
            draining = next(lines)
            connection = http.client.HTTPConnection("127.0.0.1", started["port"], timeout=10)
            connection.request("GET", "/health/ready")
            status = connection.getresponse().status
            connection.close()
            messages = [line["message"] for line in lines]
            code = process.wait(10)
        finally:
            process.kill()

    assert (started["message"], draining["message"], status) == ("serving", "draining", 503)
    assert (messages, code) == (["stopped"], 0)


def test_logs_are_json_with_what_was_given_as_extra() -> None:
    record = logging.makeLogRecord(
        {"name": "scoring", "levelname": "INFO", "msg": "scored %s", "args": ("x",), "status": 200, "created": 0.0}
    )
    line = json.loads(telemetry.JsonFormatter().format(record))

    assert line == {
        "time": "1970-01-01T00:00:00+00:00",
        "level": "INFO",
        "logger": "scoring",
        "message": "scored x",
        "status": 200,
    }


def test_a_logged_exception_stays_one_line() -> None:
    try:
        raise ValueError("odd")
    except ValueError:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": sys.exc_info()})
    line = telemetry.JsonFormatter().format(record)

    assert "\n" not in line
    assert "ValueError: odd" in json.loads(line)["exception"]


def test_the_image_has_all_that_the_package_needs() -> None:
    dockerfile = (APP / "scoring" / "Dockerfile").read_text()

    assert "USER 10001" in dockerfile
    assert {path.suffix for path in (APP / "scoring").iterdir() if path.is_file()} <= {".py", ".json", ".txt", ""}
    assert "COPY *.py model.json" in dockerfile


def test_a_caller_that_goes_away_does_not_keep_a_slot() -> None:
    model = SlowModel()
    with serving(model, concurrency=1) as server:
        with socket.create_connection(("127.0.0.1", server.server_port)) as connection:
            connection.sendall(b"POST /score HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
            assert model.asked.acquire(timeout=10)
        model.go.set()
        deadline = time.monotonic() + 10
        while (status := ask(server, "POST", "/score", b"{}")[0]) == 503 and time.monotonic() < deadline:
            time.sleep(0.01)

    assert status == 200
