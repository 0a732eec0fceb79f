"""The autoscaler's run against an Azure Resource Manager of the test's own, through the real client."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import azure.functions
import pytest
from azure.core import PipelineClient
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.policies import RetryPolicy

from tests.unit.stacks.loading import load

decision, ngroup, scaler, function_app = load(
    "container_scaling", "autoscaler.decision", "autoscaler.ngroup", "autoscaler.scaler", "function_app"
)

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerInstance/ngroups/scores"
ENVIRONMENT = {
    "MINIMUM_GROUPS": "2",
    "MAXIMUM_GROUPS": "10",
    "TARGET_CPU_PERCENT": "60",
    "SCALE_IN_MARGIN_PERCENT": "20",
    "SCALE_OUT_WINDOW_MINUTES": "3",
    "SCALE_IN_WINDOW_MINUTES": "10",
    "SCALE_OUT_COOLDOWN_SECONDS": "180",
    "SCALE_IN_COOLDOWN_SECONDS": "600",
    "SCALE_OUT_STEP": "4",
    "SCALE_IN_STEP": "1",
    "STARTUP_SECONDS": "90",
}
RULES = scaler.rules_from(ENVIRONMENT)
LAST = "autoscaler-last-action"


class Manager(ThreadingHTTPServer):
    """Keeps one NGroup and its metrics."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.resource: dict[str, Any] = {
            "id": ID,
            "tags": {"owner": "somebody", LAST: "4 2026-11-20T12:00:00Z"},
            "identity": {"type": "UserAssigned"},
            "zones": ["1"],
            "properties": {
                "provisioningState": "Succeeded",
                "elasticProfile": {"desiredCount": 4, "maintainDesiredCount": True},
                "containerGroupProfiles": [{"resource": {"id": "profile"}}],
            },
        }
        self.cpu: list[float | None] = [50.0] * 14
        self.patches: list[dict[str, Any]] = []
        self.queries: list[dict[str, list[str]]] = []
        self.fail: dict[str, int] = {}
        """Status to answer with, by `metrics` or a method."""

    def metrics(self) -> dict[str, Any]:
        points = [
            {"timeStamp": (NOW - (len(self.cpu) - index) * MINUTE).strftime("%Y-%m-%dT%H:%M:%SZ")}
            | ({} if value is None else {"average": value})
            for index, value in enumerate(self.cpu)
        ]
        return {"value": [{"name": {"value": "CpuPercentage"}, "timeseries": [{"data": points}] if points else []}]}


class Handler(BaseHTTPRequestHandler):
    server: Manager

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == ID:
            self.answer("GET", self.server.resource)
        elif url.path == f"{ID}/providers/Microsoft.Insights/metrics":
            self.server.queries.append(parse_qs(url.query))
            self.answer("metrics", self.server.metrics())
        else:
            self.send_error(404)

    def do_PATCH(self) -> None:
        patch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.patches.append(patch)
        self.answer("PATCH", None)

    def answer(self, key: str, content: Any) -> None:
        content = b"" if content is None else json.dumps(content).encode()
        self.send_response(self.server.fail.get(key, 202 if key == "PATCH" else 200))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def manager() -> Iterator[Manager]:
    with Manager() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def group(manager: Manager) -> Iterator[Any]:
    url = f"http://127.0.0.1:{manager.server_port}"
    with PipelineClient(url, policies=[RetryPolicy(retry_total=0)]) as client:
        yield ngroup.NGroup(client, ID, "CpuPercentage")


def test_scaling_out_changes_the_count_and_remembers_it_in_one_request(manager: Manager, group: Any) -> None:
    manager.cpu = [90.0] * 14
    decided = scaler.run(group, RULES, NOW)

    assert (decided.count, decided.reason) == (6, decision.Reason.SCALE_OUT)
    assert manager.patches == [
        {
            "tags": {"owner": "somebody", LAST: "6 2026-11-21T12:00:00Z"},
            "properties": {"elasticProfile": {"desiredCount": 6, "maintainDesiredCount": True}},
        }
    ]


def test_nothing_is_written_when_the_count_fits(manager: Manager, group: Any) -> None:
    assert scaler.run(group, RULES, NOW).reason is decision.Reason.STEADY
    assert manager.patches == []


def test_the_metrics_of_the_windows_are_asked_for(manager: Manager, group: Any) -> None:
    scaler.run(group, RULES, NOW)
    (query,) = manager.queries

    assert query["metricnames"] == ["CpuPercentage"]
    assert query["timespan"] == ["2026-11-21T11:46:00Z/2026-11-21T12:00:00Z"]
    assert (query["aggregation"], query["interval"]) == (["Average"], ["PT1M"])


@pytest.mark.parametrize(
    "tags", [None, {}, {LAST: "soon"}, {LAST: "4 2026-11-20T12:00:00"}, {LAST: "4"}, {LAST: "x 2026-11-20T12:00:00Z"}]
)
def test_a_group_that_was_never_scaled_is_remembered_and_left_as_it_is(
    manager: Manager, group: Any, tags: dict[str, str] | None
) -> None:
    manager.resource["tags"] = tags
    manager.cpu = [0.0] * 14
    decided = scaler.run(group, RULES, NOW)

    assert decided.reason is decision.Reason.FIRST_SEEN
    assert manager.patches == [{"tags": {**(tags or {}), LAST: "4 2026-11-21T12:00:00Z"}}]


@pytest.mark.parametrize("state", ["Creating", "Updating", "updating", "Migrating", "Deleting"])
def test_a_change_that_is_under_way_is_waited_for(manager: Manager, group: Any, state: str) -> None:
    manager.resource["properties"]["provisioningState"] = state
    manager.cpu = [100.0] * 14

    assert scaler.run(group, RULES, NOW) is None
    assert manager.patches == []


@pytest.mark.parametrize("state", ["Failed", "Canceled"])
def test_a_change_that_failed_is_followed_by_the_next(manager: Manager, group: Any, state: str) -> None:
    manager.resource["properties"]["provisioningState"] = state
    manager.cpu = [100.0] * 14

    assert scaler.run(group, RULES, NOW).reason is decision.Reason.SCALE_OUT


@pytest.mark.parametrize("status", [403, 404, 500])
def test_metrics_that_cannot_be_read_change_nothing_and_fail_the_run(manager: Manager, group: Any, status: int) -> None:
    manager.fail = {"metrics": status}
    with pytest.raises(scaler.BlindError):
        scaler.run(group, RULES, NOW)

    assert manager.patches == []


@pytest.mark.parametrize("cpu", [[], [None] * 14])
def test_no_metrics_change_nothing_and_fail_the_run(manager: Manager, group: Any, cpu: list[None]) -> None:
    manager.cpu = list(cpu)
    with pytest.raises(scaler.BlindError):
        scaler.run(group, RULES, NOW)

    assert manager.patches == []


def test_bounds_hold_although_the_metrics_cannot_be_read(manager: Manager, group: Any) -> None:
    manager.resource["properties"]["elasticProfile"]["desiredCount"] = 50
    manager.fail = {"metrics": 500}

    assert scaler.run(group, RULES, NOW).count == 10
    assert manager.patches[0]["properties"]["elasticProfile"]["desiredCount"] == 10


@pytest.mark.parametrize("key", ["GET", "PATCH"])
def test_a_group_that_cannot_be_read_or_changed_fails_the_run(manager: Manager, group: Any, key: str) -> None:
    manager.cpu = [90.0] * 14
    manager.fail = {key: 403}
    with pytest.raises(HttpResponseError):
        scaler.run(group, RULES, NOW)


def test_the_login_is_for_the_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Credential:
        def get_token(self, *scopes: str, **_: Any) -> Any:
            asked.extend(scopes)
            raise RuntimeError("asked")

    with pytest.raises(RuntimeError, match="asked"):
        ngroup.NGroup(ngroup.manager(Credential()), ID, "CpuPercentage").state()

    assert asked == ["https://management.azure.com/.default"]


@pytest.mark.parametrize("key", ENVIRONMENT)
def test_every_rule_must_be_there_and_be_a_number(key: str) -> None:
    with pytest.raises(KeyError, match=key):
        scaler.rules_from({name: value for name, value in ENVIRONMENT.items() if name != key})
    with pytest.raises(ValueError, match="many"):
        scaler.rules_from({**ENVIRONMENT, key: "many"})


def test_the_function_runs_once_a_minute() -> None:
    (function,) = function_app.app.get_functions()
    trigger = function.get_trigger()

    assert function.get_function_name() == "scale"
    assert isinstance(trigger, azure.functions.decorators.timer.TimerTrigger)
    assert (trigger.schedule, trigger.run_on_startup) == ("0 * * * * *", False)


def test_the_function_scales_the_group_of_its_environment(
    manager: Manager, group: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in ENVIRONMENT.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(function_app, "_group", lambda: group)
    manager.resource = copy.deepcopy(manager.resource)
    manager.resource["properties"]["elasticProfile"]["desiredCount"] = 1
    function_app.scale.build().get_user_function()(None)

    assert manager.patches[0]["properties"]["elasticProfile"]["desiredCount"] == 2
