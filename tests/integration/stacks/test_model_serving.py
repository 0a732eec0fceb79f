"""The scoring script of model_serving under the server that the image runs it with.

The server is installed as the image does it, in a virtual environment of its own. inference_server.txt is the app's
requirements.txt, locked.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from ringfence.deployment import Resource
from ringfence.emulators.cache import digest, installed, run_installer
from ringfence.emulators.child import HOST, Child
from ringfence.emulators.interface import EmulatorError
from tests.integration.availability import installing
from tests.unit.stacks.graphs import deployment, of_type, one
from tests.unit.stacks.loading import STACKS, load

STACK = "model_serving"
APP = STACKS / STACK / "app"
MODEL = APP / "model"
REQUIREMENTS = Path(__file__).with_name("inference_server.txt")
SERVER = "the inference server"
SECONDS = 20
"""The longest that an answer may take."""

(linear_model,) = load(STACK, "linear_model")
LOADED = linear_model.load(MODEL)
ROW = {"tenure_months": 3, "monthly_charge": 90, "support_calls": 6, "late_payments": 2, "on_contract": 0}


def deployed() -> Resource:
    return one(deployment(STACK, "dev"), "azure-native:machinelearningservices:OnlineDeployment")


def routes() -> dict[str, Any]:
    """Return the paths and ports that the service is told of."""
    (environment,) = of_type(deployment(STACK, "dev"), "azure-native:machinelearningservices:EnvironmentVersion")
    found: dict[str, Any] = environment.inputs["properties"]["inferenceConfig"]
    return found


def command(folder: Path, port: int) -> list[str | Path]:
    """Return what the image runs, with the paths of this machine."""
    lines = (APP / "Dockerfile").read_text().splitlines()
    program, *arguments = json.loads(next(line for line in lines if line.startswith("CMD ")).removeprefix("CMD "))
    place = {"/app/score.py": str(APP / "score.py"), str(routes()["scoringRoute"]["port"]): str(port)}
    assert set(place) <= set(arguments)
    return [folder / "bin" / program, *(place.get(argument, argument) for argument in arguments)]


def install() -> Path:
    """Return the virtual environment of the server."""

    def fill(folder: Path) -> None:
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        run_installer(SERVER, [sys.executable, "-m", "venv", folder], folder, environment)
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--require-hashes", "--only-binary", ":all:"]
        run_installer(SERVER, [*pip, "--requirement", REQUIREMENTS], folder, environment)

    version = f"{sys.implementation.cache_tag} {sys.base_prefix}"
    return installed(f"inference-server-{digest(REQUIREMENTS.read_bytes(), version.encode())}", fill)


@pytest.fixture(scope="module")
def environment() -> Path:
    with installing():
        return install()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


class Server:
    """The running server."""

    def __init__(self, child: Child, port: int) -> None:
        self.child, self.port = child, port

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        connection = HTTPConnection(HOST, self.port, timeout=SECONDS)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def score(self, body: bytes, request_id: str = "") -> tuple[int, Any]:
        headers = {"Content-Type": "application/json"} | ({"x-request-id": request_id} if request_id else {})
        status, content = self.ask("POST", routes()["scoringRoute"]["path"], body, headers)
        return status, json.loads(content)

    def is_ready(self) -> bool:
        try:
            return self.ask("GET", routes()["readinessRoute"]["path"])[0] == 200
        except OSError:
            return False

    @property
    def events(self) -> list[dict[str, Any]]:
        """What the script has logged."""
        return [json.loads(line) for line in self.child.output.splitlines() if line.startswith('{"event"')]

    @property
    def workers(self) -> list[int]:
        """The workers that have loaded the model and take requests, by their process ids, in the order they came."""
        return [int(number) for number in re.findall(r"Worker with pid (\d+) ready", self.child.output)]


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.02)


@contextmanager
def starting(environment: Path, model: Path, **changes: str) -> Iterator[Server]:
    """Start the server as the service does: with the deployment's variables and the model's folder."""
    port = free_port()
    variables = {
        **deployed().inputs["properties"]["environmentVariables"],
        "AZUREML_MODEL_DIR": str(model),
        "PYTHONPATH": str(APP),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **changes,
    }
    child = Child(SERVER, command(environment, port), variables)
    try:
        yield Server(child, port)
    finally:
        child.stop()


@contextmanager
def running(environment: Path, **changes: str) -> Iterator[Server]:
    """Start the server and wait until it takes requests."""
    with starting(environment, MODEL, **changes) as server:
        server.child.wait_until(server.is_ready)
        try:
            yield server
        finally:
            os.kill(server.child.pid, signal.SIGTERM)  # it does not end with its input


@pytest.fixture(scope="module")
def server(environment: Path) -> Iterator[Server]:
    with running(environment) as found:
        yield found


def body_of(*rows: Any) -> bytes:
    return json.dumps({"inputs": rows}).encode()


def expected(*rows: Mapping[str, float]) -> dict[str, Any]:
    predictions = [LOADED.predict(row) for row in rows]
    return {"model": LOADED.name, "predictions": [{"score": each.score, "label": each.label} for each in predictions]}


def test_the_locked_server_is_the_one_of_the_app() -> None:
    pins = [line for line in (APP / "requirements.txt").read_text().splitlines() if not line.startswith("#")]

    assert pins
    assert all(f"{pin} \\" in REQUIREMENTS.read_text().splitlines() for pin in pins)


def test_a_request_is_scored_with_the_model_that_the_service_mounts(server: Server) -> None:
    loyal = {"tenure_months": 60, "monthly_charge": 30, "support_calls": 0, "late_payments": 0, "on_contract": 1}

    assert server.score(body_of(ROW, loyal)) == (200, expected(ROW, loyal))
    assert [each["label"] for each in expected(ROW, loyal)["predictions"]] == [True, False]


def test_the_stacks_health_routes_are_answered(server: Server) -> None:
    for route in ("livenessRoute", "readinessRoute"):
        assert server.ask("GET", routes()[route]["path"])[0] == 200


def test_requests_at_a_time_each_get_their_own_answer_and_are_scored_once(server: Server) -> None:
    at_once = deployed().inputs["properties"]["requestSettings"]["maxConcurrentRequestsPerInstance"]
    # One worker for each of them; another test may have killed one, whose successor counts, too.
    wait_until(lambda: len(server.workers) >= at_once)
    rows = [{**ROW, "monthly_charge": number} for number in range(200)]
    with ThreadPoolExecutor(at_once) as pool:
        numbers = range(len(rows))
        answers = list(pool.map(lambda number: server.score(body_of(rows[number]), f"own-{number}"), numbers))

    assert answers == [(200, expected(row)) for row in rows]
    scored = [event["request_id"] for event in server.events if str(event.get("request_id")).startswith("own-")]
    assert sorted(scored) == sorted(f"own-{number}" for number in numbers)


GOOD = body_of(ROW)
BAD = [
    ("no JSON", b"{", 400, "the request must be JSON"),
    ("no UTF-8", b'{"inputs": "\xff"}', 400, None),
    ("NaN", GOOD.replace(b" 90", b" NaN"), 400, "NaN is not JSON; numbers must be finite"),
    ("infinite", GOOD.replace(b" 90", b" -Infinity"), 400, "-Infinity is not JSON; numbers must be finite"),
    ("overflow", GOOD.replace(b" 90", b" 1e999"), 400, "inputs[0].monthly_charge must be from 0 to 10000"),
    ("text", GOOD.replace(b" 90", b' "4711"'), 400, "inputs[0].monthly_charge must be a number"),
    ("empty", b"", 400, "the request has no body; its Content-Type must be application/json"),
    ("nested deeply", b"[" * 100_000, 400, "the request must be JSON"),
    ("no rows", b'{"inputs": []}', 400, "inputs must be a list of at least one row"),
    ("oversized", b" " * (256 * 1024 + 1), 413, "the request must be at most 262144 bytes"),
    ("far too large", b" " * (8 * 1024 * 1024), 413, "the request must be at most 262144 bytes"),
    ("too many rows", body_of(*[{}] * 501), 413, "inputs must have at most 500 rows"),
]


@pytest.mark.parametrize(("body", "status", "problem"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_what_is_no_request_is_refused_and_the_next_one_is_scored(
    server: Server, body: bytes, status: int, problem: str | None
) -> None:
    assert body != GOOD
    answer = server.score(body)

    assert answer[0] == status
    assert problem is None or answer[1] == {"problems": [problem]}
    assert server.score(GOOD) == (200, expected(ROW))


def test_nothing_that_was_sent_is_logged(server: Server) -> None:
    mark = "4242-4242"
    assert server.score(body_of({**ROW, "card": mark}))[0] == 400
    assert server.score(body_of({**ROW, "monthly_charge": mark}))[0] == 400

    assert mark not in server.child.output


def test_a_worker_that_is_killed_is_replaced_and_the_others_go_on(server: Server) -> None:
    number = int(deployed().inputs["properties"]["environmentVariables"]["WORKER_COUNT"])
    wait_until(lambda: len(server.workers) >= number)
    os.kill(server.workers[0], signal.SIGKILL)
    answers = [server.score(GOOD) for _ in range(20)]
    wait_until(lambda: len(server.workers) > number)

    assert answers == [(200, expected(ROW))] * 20


def test_sigterm_amid_a_request_lets_it_be_answered(environment: Path) -> None:
    with running(environment, WORKER_COUNT="1") as draining:
        with socket.create_connection((HOST, draining.port), timeout=SECONDS) as connection:
            head = f"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(GOOD)}"
            connection.sendall(f"{head}\r\nExpect: 100-continue\r\n\r\n".encode())
            # The worker has taken it.
            assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(GOOD[:20])
            os.kill(draining.child.pid, signal.SIGTERM)
            wait_until(lambda: "Handling signal: term" in draining.child.output)
            connection.sendall(GOOD[20:])
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        events = [event for event in draining.events if event["event"] == "scored"]

    assert answer.startswith(b"HTTP/1.1 200")
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == expected(ROW)
    assert len(events) == 1


@pytest.mark.parametrize("content", [None, "{", '{"name": "m", "features": []}'], ids=["none", "no JSON", "no model"])
def test_without_a_model_the_server_does_not_boot(environment: Path, content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "model.json").write_text(content)
    with starting(environment, tmp_path, WORKER_COUNT="1") as unready:
        answered: list[bool] = []

        def check() -> None:
            while True:
                answered.append(unready.is_ready())
                unready.child.check()
                time.sleep(0.05)

        with pytest.raises(EmulatorError, match="ended with exit code 3"):
            check()
        output = unready.child.output

    assert not any(answered)
    assert str(tmp_path) in output
    assert "Worker failed to boot" in output
