"""The Runtime API, with AWS's own runtime interface client as its client."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ringfence.emulators.aws.gateway import runtime_api
from ringfence.emulators.aws.gateway.runtime_api import Environment, FunctionSettings, Outcome

CODE = """\
import os, sys, time

COUNT = 0

def handle(event, context):
    global COUNT
    COUNT += 1
    print("handling", COUNT)
    if "raise" in event:
        raise ValueError(event["raise"])
    if "exit" in event:
        os._exit(event["exit"])
    if "sleep" in event:
        time.sleep(event["sleep"])
    if "write" in event:
        sys.stdout.write("x" * event["write"])
    return {
        "count": COUNT,
        "request": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "memory": context.memory_limit_in_mb,
        "in_time": 0 < context.get_remaining_time_in_millis() <= 1000,
        "variables": sorted(name for name in os.environ if "RINGFENCE" in name or name == "OWN"),
    }
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FunctionSettings:
    (tmp_path / "app.py").write_text(CODE, encoding="utf-8")
    monkeypatch.setenv("RINGFENCE_SECRET", "of this process")
    return FunctionSettings(
        name="worker",
        arn="arn:aws:lambda:us-east-1:000000000000:function:worker",
        version="$LATEST",
        handler="app.handle",
        folder=str(tmp_path),
        timeout=1,
        memory=256,
        variables={"AWS_REGION": "us-east-1", "OWN": "1"},
        python=sys.executable,
        log_group="group",
        log_stream="stream",
    )


@pytest.fixture
def environment(settings: FunctionSettings) -> Iterator[Environment]:
    made = Environment(settings)
    assert made.start() is None
    yield made
    made.stop()
    assert not made.alive


def invoke(environment: Environment, event: Any, request_id: str = "r1") -> tuple[Any, Outcome]:
    outcome = environment.invoke(request_id, json.dumps(event).encode(), "")
    return json.loads(outcome.body), outcome


def test_an_environment_handles_one_event_after_the_other(environment: Environment) -> None:
    first, outcome = invoke(environment, {})
    second, _ = invoke(environment, {}, "r2")

    assert {
        "count": 1,
        "request": "r1",
        "arn": environment.settings.arn,
        "memory": "256",
        "in_time": True,
        "variables": ["OWN"],
    } == first
    assert (second["count"], second["request"]) == (2, "r2")
    assert outcome.log == "handling 1"
    assert not outcome.failed


def test_an_error_is_in_the_form_of_the_service_and_ends_nothing(environment: Environment) -> None:
    error, outcome = invoke(environment, {"raise": "no"})

    assert outcome.failed
    assert (error["errorType"], error["errorMessage"], error["requestId"]) == ("ValueError", "no", "r1")
    assert "raise ValueError" in error["stackTrace"][-1]
    assert invoke(environment, {})[0]["count"] == 2


def test_more_output_than_a_pipe_holds(environment: Environment) -> None:
    _, outcome = invoke(environment, {"write": 500_000})

    assert outcome.log == "handling 1\n" + "x" * 500_000


@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        ({"exit": 3}, "Runtime.ExitError", "RequestId: r1 Error: Runtime exited with error: exit status 3"),
        ({"sleep": 30}, "Sandbox.Timedout", "RequestId: r1 Error: Task timed out after 1.00 seconds"),
    ],
)
def test_one_that_ends_or_hangs_is_dead(event: Any, kind: str, message: str, environment: Environment) -> None:
    error, outcome = invoke(environment, event)

    assert {"errorType": kind, "errorMessage": message} == error
    assert outcome.failed
    assert "handling 1" in outcome.log
    assert not environment.alive


@pytest.mark.parametrize(
    ("code", "handler", "kind"),
    [
        ("import nothing_like_this\n", "app.handle", "Runtime.ImportModuleError"),
        ("", "app.handle", "Runtime.HandlerNotFound"),
        ("def (", "app.handle", "Runtime.UserCodeSyntaxError"),
        ("import os; os._exit(4)\n", "app.handle", "Runtime.ExitError"),
    ],
)
def test_one_that_cannot_start(code: str, handler: str, kind: str, settings: FunctionSettings) -> None:
    Path(settings.folder, "app.py").write_text(code, encoding="utf-8")
    made = Environment(settings)

    outcome = made.start()

    assert outcome is not None
    assert outcome.failed
    assert kind == json.loads(outcome.body)["errorType"]
    assert not made.alive
    made.stop()


def test_one_whose_import_hangs(settings: FunctionSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_api, "INIT_SECONDS", 0.5)
    Path(settings.folder, "app.py").write_text("import time; time.sleep(60)\n", encoding="utf-8")
    made = Environment(settings)

    outcome = made.start()

    assert outcome is not None
    assert json.loads(outcome.body)["errorType"] == "Sandbox.Timedout"
    assert not made.alive
