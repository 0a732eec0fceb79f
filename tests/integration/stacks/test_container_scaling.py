"""The scoring container of container_scaling as a process, and its autoscaler against a stand-in for the service.

The settings of both are those that the stack gives them.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.pipeline.transport import RequestsTransport

from ringfence.deployment import reveal
from ringfence.emulators.functions import FunctionsHost, Run
from ringfence.emulators.tokens import EmulatorCredential
from tests.integration.stacks.resource_manager import (
    ACTIONS,
    MINUTE,
    Clock,
    Fault,
    Operation,
    ResourceManager,
    running,
)
from tests.unit.stacks.graphs import deployment, one
from tests.unit.stacks.loading import STACKS, load, stack_config

STACK = "container_scaling"
APP = STACKS / STACK / "app"
function_app, scaler, model_module = load(STACK, "function_app", "autoscaler.scaler", "scoring.model")
HOST = FunctionsHost(function_app.app, folder=APP)

PROFILE = "azure-native:containerinstance:CGProfile"
LAST = "autoscaler-last-action"
SECONDS = 20
"""The longest that anything here may take."""


# The container.


def profile() -> Mapping[str, Any]:
    return one(deployment(STACK, "dev"), PROFILE).inputs


def container_settings() -> dict[str, str]:
    """Return the variables that the stack gives the container. Its telemetry would need the cloud."""
    (container,) = profile()["containers"]
    found = {entry["name"]: str(reveal(entry["value"])) for entry in container["environmentVariables"]}
    del found["APPLICATIONINSIGHTS_CONNECTION_STRING"]
    return found


def command() -> list[str]:
    """Return what the image runs."""
    lines = (APP / "scoring" / "Dockerfile").read_text().splitlines()
    python, *arguments = json.loads(next(line for line in lines if line.startswith("CMD ")).removeprefix("CMD "))
    assert python == "python"
    return [sys.executable, *arguments]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.01)


class Container:
    """The running process, and what it has logged."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        wait_for(lambda: bool(self.lines))
        self.port: int = self.lines[0]["port"]

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    @property
    def logged(self) -> Counter[str]:
        return Counter(line["message"] for line in list(self.lines))

    def ask(self, method: str, path: str, content: bytes | None = None) -> tuple[int, Any, Mapping[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.request(method, path, content)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read()), dict(answer.headers)
        finally:
            connection.close()

    def begin(self, content: bytes) -> Callable[[], tuple[int, Any]]:
        """Send the first half of a request, and return what sends the other half and reads the answer."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS)
        half = len(content) // 2
        connection.sendall(b"POST /score HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(content) + content[:half])

        def finish() -> tuple[int, Any]:
            with connection:
                connection.sendall(content[half:])
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
            head, _, body = answer.partition(b"\r\n\r\n")
            return int(head.split()[1]), json.loads(body)

        return finish

    def listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS).close()
        except (ConnectionRefusedError, ConnectionResetError):
            # A connection that nobody has accepted by the time that the port closes is reset.
            return False
        return True

    def end(self) -> int:
        code = self.process.wait(SECONDS)
        self._reader.join(SECONDS)
        return code

    def kill(self) -> None:
        self.process.kill()
        self.end()


@contextmanager
def container(**changes: str) -> Iterator[Container]:
    """Run what the image runs, on a free port."""
    variables = {**os.environ, **container_settings(), "PYTHONUNBUFFERED": "1", "PORT": "0", **changes}
    with subprocess.Popen(command(), cwd=APP, env=variables, stdout=subprocess.PIPE, text=True) as process:
        running = Container(process)
        try:
            yield running
        finally:
            running.kill()


MODEL = model_module.Model.load(APP / "scoring" / "model.json")


def request(number: int) -> bytes:
    """Return a request that no other number's is the same as."""
    return json.dumps({"instances": [dict.fromkeys(MODEL.weights, 0) | {"amount": number}]}).encode()


@pytest.fixture(scope="module")
def scoring() -> Iterator[Container]:
    with container() as running:
        yield running


def test_the_stacks_probes_are_answered(scoring: Container) -> None:
    (declared,) = profile()["containers"]
    probes = {name: declared[name]["httpGet"]["path"] for name in ("livenessProbe", "readinessProbe")}

    assert scoring.ask("GET", probes["livenessProbe"])[:2] == (200, {"status": "alive"})
    assert scoring.ask("GET", probes["readinessProbe"])[:2] == (200, {"status": "ready"})


def test_as_many_callers_as_the_stack_allows_get_their_own_answers_and_nobody_is_refused(scoring: Container) -> None:
    callers, each = int(container_settings()["CONCURRENCY"]), 30
    before = scoring.logged
    numbers = range(callers * each)
    with ThreadPoolExecutor(callers) as pool:
        answers = list(pool.map(lambda number: scoring.ask("POST", "/score", request(number))[:2], numbers))

    assert answers == [(200, MODEL.answer(request(number))) for number in numbers]
    wait_for(lambda: scoring.logged["scored"] - before["scored"] >= len(numbers))
    assert scoring.logged - before == Counter(scored=len(numbers))


def test_more_than_the_container_scores_at_a_time_are_turned_away_and_served_when_they_come_back(
    tmp_path: Path,
) -> None:
    weights = {f"f{number}": 1e-4 for number in range(400)}
    file = tmp_path / "model.json"
    file.write_text(json.dumps({"version": "wide", "bias": 0, "weights": weights}))
    # As much as one request may hold: it takes longer than Python lets one thread run.
    content = json.dumps({"instances": [dict.fromkeys(weights, 1)] * 65}, separators=(",", ":")).encode()
    assert 200_000 < len(content) <= 256 * 1024
    expected = model_module.Model.load(file).answer(content)

    with container(MODEL_FILE=str(file), CONCURRENCY="1") as crowded, ThreadPoolExecutor(12) as pool:

        def insist(_: int) -> int:
            """Ask until there is an answer; return how often it was turned away."""
            for turned_away in range(2000):
                status, answer, headers = crowded.ask("POST", "/score", content)
                if status == 200:
                    assert answer == expected
                    return turned_away
                assert (status, answer, headers["Retry-After"]) == (503, {"detail": "busy; try again"}, "1")
                time.sleep(0.02)
            raise AssertionError("always turned away")

        waiting = [pool.submit(insist, number) for number in range(36)]
        alive = [crowded.ask("GET", "/health/live")[0] for _ in range(5)]
        turned_away = sum(caller.result() for caller in waiting)
        wait_for(lambda: crowded.logged["scored"] + crowded.logged["refused"] >= 36 + turned_away)
        logged = crowded.logged

    assert turned_away > 0
    assert alive == [200] * 5
    assert logged == Counter(serving=1, scored=36, refused=turned_away)


def test_sigterm_amid_requests_loses_none() -> None:
    drain = 2.0
    with container(DRAIN_SECONDS=str(drain)) as draining, ThreadPoolExecutor(4) as pool:
        slow = [draining.begin(request(number)) for number in range(4)]
        stop = threading.Event()

        def call(caller: int) -> list[bool]:
            """Go on asking, as the load balancer sends requests until it has noticed."""
            right = []
            while not stop.is_set():
                content = request(1000 + caller)
                right.append(draining.ask("POST", "/score", content)[:2] == (200, MODEL.answer(content)))
            return right

        calling = [pool.submit(call, caller) for caller in range(4)]
        wait_for(lambda: draining.logged["scored"] >= 40)
        began = time.monotonic()
        draining.process.send_signal(signal.SIGTERM)
        wait_for(lambda: draining.logged["draining"] == 1)
        at_signal = draining.logged["scored"]
        ready = draining.ask("GET", "/health/ready")[0]
        alive = draining.ask("GET", "/health/live")[0]
        wait_for(lambda: draining.logged["scored"] >= at_signal + 20)
        stop.set()
        answered = [right for caller in calling for right in caller.result()]
        # The slow ones are still at it when nobody else gets in any more.
        wait_for(lambda: not draining.listens())
        drained = time.monotonic() - began
        finished = [finish() for finish in slow]
        code = draining.end()
        logged = draining.logged

    assert (ready, alive) == (503, 200)
    assert all(answered)
    assert drained >= drain
    assert finished == [(200, MODEL.answer(request(number))) for number in range(4)]
    assert logged == Counter(serving=1, draining=1, stopped=1, scored=len(answered) + 4)
    assert code == 0


def test_a_caller_that_never_finishes_does_not_keep_the_container_past_its_grace_period() -> None:
    grace = re.fullmatch(r"PT(\d+)S", profile()["shutdownGracePeriod"])
    assert grace is not None
    after_drain = int(grace[1]) - int(container_settings()["DRAIN_SECONDS"])
    with container(DRAIN_SECONDS="0") as draining:
        finish = draining.begin(request(0))
        began = time.monotonic()
        draining.process.send_signal(signal.SIGTERM)
        code = draining.end()
        took = time.monotonic() - began
        with pytest.raises((OSError, IndexError)):  # there is nobody to answer any more
            finish()

    assert code == 0
    assert took < after_drain


GOOD = request(1)
BAD: list[tuple[str, bytes, int]] = [
    ("no JSON", b"{", 400),
    ("NaN", GOOD.replace(b" 1,", b" NaN,"), 400),
    ("infinite", GOOD.replace(b" 1,", b" Infinity,"), 400),
    ("too large a number", GOOD.replace(b" 1,", b" 1e999,"), 400),
    ("text", GOOD.replace(b" 1,", b' "1",'), 400),
    ("no instances", b'{"instances": []}', 400),
    ("too many instances", json.dumps({"instances": [{}] * 257}).encode(), 400),
    ("an unknown feature", GOOD.replace(b"amount", b"amounts"), 400),
    ("nested deeply", b"[" * 200_000, 400),
    ("oversized", b" " * (256 * 1024 + 1), 413),
]


@pytest.mark.parametrize(("content", "status"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_what_is_no_request_is_refused_and_the_next_one_is_scored(
    scoring: Container, content: bytes, status: int
) -> None:
    assert content != GOOD
    before = scoring.logged
    refused = None
    try:
        refused = scoring.ask("POST", "/score", content)[0]
    except (BrokenPipeError, ConnectionResetError):
        # What is too large is not read. The answer can be lost when the connection ends while it is still being sent.
        assert status == 413
    scored = scoring.ask("POST", "/score", GOOD)
    wait_for(lambda: scoring.logged["scored"] > before["scored"])

    assert refused in (status, None)
    assert scored[0] == 200
    assert scoring.logged - before == Counter(refused=1, scored=1)
    assert [line["status"] for line in scoring.lines if line["message"] == "refused"][-1] == status


@pytest.mark.parametrize("content", [None, "{", '{"version": 1, "bias": NaN, "weights": {"a": 1}}'])
def test_without_a_model_the_container_does_not_start(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "model.json"
    if content is not None:
        file.write_text(content)
    variables = {**os.environ, **container_settings(), "PORT": "0", "MODEL_FILE": str(file)}
    ended = subprocess.run(command(), cwd=APP, env=variables, capture_output=True, text=True, timeout=SECONDS)

    assert ended.returncode == 1
    assert "serving" not in ended.stdout


def test_a_port_that_is_taken_ends_the_container(scoring: Container) -> None:
    variables = {**os.environ, **container_settings(), "PORT": str(scoring.port)}
    ended = subprocess.run(command(), cwd=APP, env=variables, capture_output=True, text=True, timeout=SECONDS)

    assert ended.returncode == 1
    assert "Address already in use" in ended.stderr


# The autoscaler.


class Scaling:
    """The autoscaler's function under the stack's app settings, and the NGroup that it scales."""

    def __init__(self, manager: ResourceManager, settings: Mapping[str, str], sleeps: list[float]) -> None:
        self.manager = manager
        self.settings = settings
        self.sleeps = sleeps
        """Seconds that the client has waited between tries, instead of waiting."""

    def number(self, key: str) -> int:
        return int(self.settings[key])

    def run(self) -> Run:
        return HOST.fire_timer("scale")

    def minutes(self, count: int) -> list[Run]:
        runs = []
        for _ in range(count):
            self.manager.pass_a_minute()
            runs.append(self.run())
        return runs

    def settle(self, *, load: float) -> None:
        """Let the autoscaler see a steady load until it would act on another one."""
        self.manager.demand = load
        for _ in range(5):  # before that there are no measurements
            self.manager.pass_a_minute()
        runs = self.minutes(self.number("SCALE_IN_WINDOW_MINUTES") + 10)
        assert [run.error for run in runs] == [None] * len(runs)
        assert self.manager.changes == []

    def until_it_scales(self, *, load: float) -> Run:
        """Raise the load and return the first run that tries to write."""
        self.manager.demand = load
        for _ in range(10):
            before = len(self.writes)
            (run,) = self.minutes(1)
            if len(self.writes) > before:
                return run
        raise AssertionError("the autoscaler did not try to scale")

    @property
    def writes(self) -> list[int | None]:
        """Status of each attempt to write."""
        return [status for operation, status in self.manager.requests if operation == "write"]


@pytest.fixture
def scaling(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Scaling]:
    """Return the autoscaler of an environment, `dev` unless the test says otherwise."""
    graph = deployment(STACK, getattr(request, "param", "dev"))
    pairs = one(graph, "azure-native:web:WebApp").inputs["siteConfig"]["appSettings"]
    settings = {pair["name"]: str(reveal(pair["value"])) for pair in pairs}
    ngroup = one(graph, "azure-native:containerinstance:NGroup")
    resource = {
        "tags": dict(ngroup.inputs["tags"]),
        "properties": {"elasticProfile": ngroup.inputs["elasticProfile"]},
    }
    (permission,) = one(graph, "azure-native:authorization:RoleDefinition").inputs["permissions"]
    principal = one(graph, "azure-native:managedidentity:UserAssignedIdentity", "autoscaler").outputs["principalId"]
    clock = Clock()
    manager = ResourceManager(
        settings["NGROUP_ID"], resource, clock, actions=permission["actions"], principal=principal
    )
    sleeps: list[float] = []
    monkeypatch.setattr(function_app, "datetime", clock)
    monkeypatch.setattr(function_app, "DefaultAzureCredential", lambda: EmulatorCredential(principal))
    monkeypatch.setattr(RequestsTransport, "sleep", lambda _, seconds: sleeps.append(seconds))
    with running(manager, tmp_path) as certificate:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        HOST.settings = {**settings, "RESOURCE_MANAGER_ENDPOINT": manager.url}
        with HOST:
            yield Scaling(manager, settings, sleeps)
            if function_app._group.cache_info().currsize:
                function_app._group().client.close()
            function_app._group.cache_clear()
    assert manager.problems == []


@pytest.mark.parametrize("scaling", ["dev", "prod"], indirect=True)
def test_the_count_follows_the_load_within_the_stacks_bounds_and_pace(
    scaling: Scaling, request: pytest.FixtureRequest
) -> None:
    manager, number = scaling.manager, scaling.number
    config = stack_config(STACK, request.node.callspec.params["scaling"])
    minimum, maximum = (int(config[f"{STACK}:{key}"]) for key in ("minimumGroups", "maximumGroups"))
    before = json.loads(json.dumps(manager.resource))
    assert manager.count == minimum

    scaling.settle(load=minimum * number("TARGET_CPU_PERCENT") * 0.9)
    manager.demand = 300.0 * maximum
    runs = scaling.minutes(60)
    assert manager.count == maximum
    out = len(manager.changes)
    manager.demand = 1.0
    for _ in range(400):
        runs += scaling.minutes(1)
        if manager.count == minimum:
            break
    runs += scaling.minutes(60)

    assert manager.count == minimum
    assert {run.error for run in runs} == {None}
    changes = manager.changes
    assert {was < became for _, was, became in changes[:out]} == {True}
    assert {was > became for _, was, became in changes[out:]} == {True}
    assert len(changes) > out
    for _, was, became in changes:
        assert minimum <= became <= maximum
        assert -number("SCALE_IN_STEP") <= became - was <= number("SCALE_OUT_STEP")
    for (earlier, _, _), (later, was, became) in pairwise(changes):
        cooldown = number("SCALE_OUT_COOLDOWN_SECONDS" if became > was else "SCALE_IN_COOLDOWN_SECONDS")
        assert (later - earlier).total_seconds() >= cooldown
    # Nothing but the count and the autoscaler's own tag is other than the deployment made it.
    last = manager.resource["tags"].pop(LAST)
    assert last.startswith(f"{minimum} ")
    assert manager.resource == before


@pytest.mark.parametrize(
    ("fault", "waits"),
    [
        (Fault(429, retry_after=7), [7, 7, 7]),
        (Fault(503, retry_after=2), [2, 2, 2]),
        (Fault(429), []),
        (Fault(500), None),
        (Fault(409), []),
        (Fault(), []),
    ],
    ids=["429 with Retry-After", "503 with Retry-After", "429", "500", "409", "no answer"],
)
def test_a_change_that_is_refused_fails_the_run_and_is_made_once_by_the_next(
    scaling: Scaling, fault: Fault, waits: list[float] | None
) -> None:
    manager = scaling.manager
    scaling.settle(load=50)
    manager.faults["write"] = fault
    tags = dict(manager.resource["tags"])
    failed = scaling.until_it_scales(load=100)

    assert isinstance(failed.error, AzureError)
    assert (manager.count, manager.resource["tags"]) == (1, tags)
    if waits is None:  # the client's own back-off: some, and not for ever
        assert 1 <= len(scaling.sleeps) <= 3
    else:
        assert scaling.sleeps == waits

    del manager.faults["write"]
    runs = scaling.minutes(30)
    assert [run.error for run in runs] == [None] * 30
    # At the first of the runs, and by all of them together.
    assert manager.changes == [(manager.clock.time - 29 * MINUTE, 1, 2)]


def test_a_change_that_is_throttled_once_is_made_once_within_the_run(scaling: Scaling) -> None:
    scaling.settle(load=50)
    scaling.manager.faults["write"] = Fault(429, times=1, retry_after=3)
    written = len(scaling.manager.patches)
    run = scaling.until_it_scales(load=100)
    scaling.minutes(30)

    assert run.error is None
    assert scaling.sleeps == [3]
    assert scaling.writes[-2:] == [429, 202]
    assert len(scaling.manager.patches) == written + 1
    assert [change[1:] for change in scaling.manager.changes] == [(1, 2)]


@pytest.mark.parametrize("hangs", [False, True], ids=["the connection ends", "the answer never comes"])
def test_a_change_whose_answer_is_lost_is_not_made_twice(
    scaling: Scaling, hangs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    scaling.settle(load=50)
    scaling.manager.faults["write"] = Fault(times=1, applied=True, hangs=hangs)
    impatient(monkeypatch)
    written = len(scaling.manager.patches)
    run = scaling.until_it_scales(load=100)
    assert isinstance(run.error, AzureError)
    later = scaling.minutes(30)

    assert [run.error for run in later] == [None] * 30
    assert len(scaling.manager.patches) == written + 1
    assert [change[1:] for change in scaling.manager.changes] == [(1, 2)]


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client wait for an answer for a second instead of minutes."""
    send = RequestsTransport.send

    def send_for_a_second(self: RequestsTransport, request: Any, **options: Any) -> Any:
        return send(self, request, **{**options, "read_timeout": 1})

    monkeypatch.setattr(RequestsTransport, "send", send_for_a_second)


@pytest.mark.parametrize("operation", ["read", "metrics"])
def test_an_endpoint_that_does_not_answer_holds_the_count_and_fails_the_run(
    scaling: Scaling, operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    scaling.settle(load=50)
    impatient(monkeypatch)
    written = len(scaling.manager.patches)
    scaling.manager.demand = 100
    scaling.manager.faults[operation] = Fault(hangs=True)
    runs = scaling.minutes(1)

    assert isinstance(runs[0].error, AzureError if operation == "read" else scaler.BlindError)
    assert len(scaling.manager.patches) == written


@pytest.mark.parametrize("blind", ["nothing", "empty", 500, 429, 404])
def test_missing_metrics_hold_the_count_and_fail_each_run_until_they_are_back(scaling: Scaling, blind: Any) -> None:
    manager = scaling.manager
    scaling.settle(load=50)
    written = len(manager.patches)
    manager.demand = 100  # which nobody sees
    if isinstance(blind, int):
        manager.faults["metrics"] = Fault(blind)
    else:
        manager.measures = blind
    runs = scaling.minutes(15)

    assert [type(run.error) for run in runs] == [scaler.BlindError] * 15
    assert (manager.count, len(manager.patches)) == (1, written)

    manager.faults.clear()
    manager.measures = "all"
    (back,) = scaling.minutes(1)
    assert back.error is None
    assert [change[1:] for change in manager.changes] == [(1, 2)]


@pytest.mark.parametrize("scaling", ["dev", "prod"], indirect=True)
@pytest.mark.parametrize("excess", [50, -1])
def test_bounds_are_restored_although_nothing_is_measured(scaling: Scaling, excess: int) -> None:
    manager = scaling.manager
    minimum, maximum = scaling.number("MINIMUM_GROUPS"), scaling.number("MAXIMUM_GROUPS")
    wrong, right = (maximum + excess, maximum) if excess > 0 else (minimum - 1, minimum)
    manager.resource["properties"]["elasticProfile"]["desiredCount"] = wrong
    manager.measures = "nothing"
    run = scaling.run()

    assert run.error is None
    assert [change[1:] for change in manager.changes] == [(wrong, right)]


def test_two_runs_at_once_ask_for_the_same_count(scaling: Scaling) -> None:
    manager = scaling.manager
    scaling.settle(load=50)
    manager.demand = 100
    for _ in range(3):
        manager.pass_a_minute()
    while not manager.changes:
        manager.pass_a_minute()
        manager.both_have_read = threading.Barrier(2)
        with ThreadPoolExecutor(2) as pool:
            runs = [future.result() for future in [pool.submit(scaling.run) for _ in range(2)]]
        assert [run.error for run in runs] == [None, None]
        manager.both_have_read = None
    scaling.minutes(30)

    assert scaling.writes[-2:] == [202, 202]
    assert [change[1:] for change in manager.changes] == [(1, 2)]


@pytest.mark.parametrize("operation", ACTIONS)
def test_each_action_of_the_stacks_role_is_needed(scaling: Scaling, operation: Operation) -> None:
    manager = scaling.manager
    assert manager.actions == set(ACTIONS.values())
    scaling.settle(load=50)
    manager.actions.remove(ACTIONS[operation])
    manager.demand = 100
    runs = scaling.minutes(10)

    assert isinstance(runs[-1].error, scaler.BlindError if operation == "metrics" else HttpResponseError)
    assert manager.count == 1
    assert (operation, 403) in manager.requests


def test_another_identity_is_refused(scaling: Scaling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function_app, "DefaultAzureCredential", EmulatorCredential)
    (run,) = scaling.minutes(1)

    assert isinstance(run.error, HttpResponseError)
    assert scaling.manager.requests == [("read", 403)]
