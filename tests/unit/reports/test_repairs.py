"""What reports say of a program that broke off and was repaired to find what else is wrong with it."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from ringfence.deployment import ProgramError, SourceLine
from ringfence.reports import reporter
from ringfence.reports.interface import Result
from ringfence.reports.json_report import schema
from tests.unit.reports import examples

ERROR = ProgramError("NameError: name 'json' is not defined", SourceLine(str(examples.WEB / "__main__.py"), 5))


def rendered(name: str, repairs: int) -> str:
    deployment = examples.deployment(error=ERROR, repairs=repairs, repaired=bool(repairs))
    return reporter(name, width=80).render(examples.run(Result(deployment, (examples.finding(),))))


def of_json(repairs: int) -> dict[str, Any]:
    document = json.loads(rendered("json", repairs))
    jsonschema.Draft202012Validator(schema()).validate(document)
    deployment: dict[str, Any] = document["deployments"][0]
    return deployment


@pytest.mark.parametrize(
    ("repairs", "told"),
    [
        (0, "It had made {made} by then; what follows concerns these."),
        (1, "With 1 repair it made {made}; what follows concerns these."),
        (3, "With 3 repairs it made {made}; what follows concerns these."),
    ],
)
def test_terminal(repairs: int, told: str) -> None:
    told = told.format(made=f"{len(examples.resources())} resources")

    assert told in " ".join(rendered("terminal", repairs).split())


def test_json() -> None:
    assert of_json(2)["repairs"] == 2
    assert of_json(2)["status"] == "failed"
    assert "repairs" not in of_json(0)


@pytest.mark.parametrize(
    ("repairs", "end"),
    [
        (0, "name 'json' is not defined"),
        (1, "name 'json' is not defined (The results were found after 1 repair of the program.)"),
        (2, "name 'json' is not defined (The results were found after 2 repairs of the program.)"),
    ],
)
def test_sarif(repairs: int, end: str) -> None:
    (run,) = json.loads(rendered("sarif", repairs))["runs"]

    (notification,) = run["invocations"][0]["toolExecutionNotifications"]
    assert notification["message"]["text"].endswith(end)
    assert [item["properties"].get("repairs", 0) for item in run["results"]] == [repairs]
