from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from ringfence.deployment import UNKNOWN, Deployment, Problem, Resource, Secret, SourceLine
from ringfence.reports import Result, Run, reporter
from ringfence.reports.json_report import schema
from tests.unit.reports import examples
from tests.unit.reports.examples import BASE, broken, every_run, run

VALIDATOR = jsonschema.Draft202012Validator(schema())


def report(given: Run) -> Any:
    return json.loads(reporter("json").render(given), parse_constant=pytest.fail)


def test_the_schema_is_itself_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("name", every_run())
def test_reports_follow_the_schema(name: str) -> None:
    VALIDATOR.validate(report(every_run()[name]))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["version"], 2),
        (["summary", "fail"], 3),
        (["deployments", 0, "status"], "fine"),
        (["deployments", 0, "status"], "failed"),
        (["deployments", 0, "path"], ""),
        (["deployments", 0, "error"], {"message": "broke", "source": None}),
        (["deployments", 0, "findings", 0, "verdict"], "maybe"),
        (["deployments", 0, "findings", 0, "source", "line"], 0),
        (["deployments", 0, "resources", 0, "urn"], "web"),
        (["deployments", 0, "resources", 0, "parent"], ""),
    ],
)
def test_the_schema_refuses_a_wrong_value(path: list[Any], value: Any) -> None:
    document = report(run())
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value

    assert not VALIDATOR.is_valid(document)


@pytest.mark.parametrize(
    ("holder", "key"),
    [
        *[("deployment", key) for key in schema()["$defs"]["deployment"]["required"]],
        *[("resource", key) for key in schema()["$defs"]["resource"]["required"]],
        *[("finding", key) for key in schema()["$defs"]["finding"]["required"]],
    ],
)
def test_the_schema_asks_for_every_key_of_the_contract(holder: str, key: str) -> None:
    document = report(run())
    deployment = document["deployments"][0]
    del {"deployment": deployment, "resource": deployment["resources"][0], "finding": deployment["findings"][0]}[
        holder
    ][key]

    assert not VALIDATOR.is_valid(document)


def test_the_whole_report_of_a_small_run() -> None:
    resource = Resource(
        "urn:pulumi:dev::web::a:b:C::x",
        "a:b:C",
        "x",
        {"name": UNKNOWN, "key": Secret("s"), "size": 3, "ratio": 0.5},
        parent="urn:pulumi:dev::web::pulumi:pulumi:Stack::web-dev",
        source=SourceLine("/home/dev/infra/stacks/web/__main__.py", 4),
    )
    deployment = Deployment("web", "dev", BASE / "stacks" / "web", (resource,), {"ü": UNKNOWN})
    given = run(Result(deployment, (examples.finding(),)))

    assert (
        reporter("json").render(given)
        == """\
{
  "version": 1,
  "deployments": [
    {
      "project": "web",
      "stack": "dev",
      "path": "stacks/web",
      "status": "ok",
      "error": null,
      "resources": [
        {
          "urn": "urn:pulumi:dev::web::a:b:C::x",
          "type": "a:b:C",
          "name": "x",
          "parent": "urn:pulumi:dev::web::pulumi:pulumi:Stack::web-dev",
          "inputs": {
            "name": "[unknown]",
            "key": "[secret]",
            "size": 3,
            "ratio": 0.5
          },
          "dependencies": [],
          "source": {
            "path": "stacks/web/__main__.py",
            "line": 4
          },
          "custom": true,
          "id": "[unknown]"
        }
      ],
      "outputs": {
        "ü": "[unknown]"
      },
      "findings": [
        {
          "code": "ST02",
          "name": "storage-minimum-tls",
          "verdict": "fail",
          "level": "mandatory",
          "severity": "high",
          "urn": "urn:pulumi:dev::web::azure-native:storage:StorageAccount::artifacts",
          "type": "azure-native:storage:StorageAccount",
          "resource": "artifacts",
          "property": "minimumTlsVersion",
          "message": "minimumTlsVersion is \\"TLS1_0\\".",
          "remedy": "Set minimum_tls_version=\\"TLS1_2\\".",
          "source": {
            "path": "stacks/web/__main__.py",
            "line": 7
          },
          "expected": "\\"TLS1_2\\"",
          "actual": "\\"TLS1_0\\"",
          "pack": "ringfence"
        }
      ]
    }
  ],
  "summary": {
    "pass": {
      "mandatory": 0,
      "advisory": 0
    },
    "fail": {
      "mandatory": 1,
      "advisory": 0
    },
    "unknown": {
      "mandatory": 0,
      "advisory": 0
    },
    "not-applicable": {
      "mandatory": 0,
      "advisory": 0
    },
    "error": {
      "mandatory": 0,
      "advisory": 0
    },
    "exempt": {
      "mandatory": 0,
      "advisory": 0
    },
    "deployments": {
      "ok": 1,
      "failed": 0
    },
    "resources": 1,
    "blocking": 1
  }
}
"""
    )


def test_passes_are_left_out_unless_asked_for_and_always_counted() -> None:
    some, every = report(run()), report(run(all_verdicts=True))

    assert [item["verdict"] for item in some["deployments"][0]["findings"]] == [
        "fail",
        "fail",
        "unknown",
        "exempt",
        "error",
        "fail",
    ]
    assert len(every["deployments"][0]["findings"]) == 8
    assert some["summary"] == every["summary"]


def test_a_failed_program_has_its_error_and_no_traceback() -> None:
    deployment = report(run(broken()))["deployments"][0]

    assert deployment["status"] == "failed"
    assert deployment["error"] == {
        "message": "ZeroDivisionError: division by zero",
        "source": {"path": "stacks/broken/__main__.py", "line": 3},
    }


def test_every_resource_is_there_with_what_is_set_of_it() -> None:
    resources = {item["name"]: item for item in report(run())["deployments"][0]["resources"]}

    assert list(resources) == ["web-dev", "default", "site", "artifacts", "api"]
    assert resources["default"]["defaultProvider"] is True
    assert "id" not in resources["site"]
    assert "provider" not in resources["site"]
    assert resources["api"]["options"] == {
        "protect": True,
        "ignoreChanges": ["tags"],
        "replacementTrigger": "[secret]",
    }
    assert resources["api"]["inputs"]["package"] == {"asset": {"file": "app.zip"}}


def test_a_preview_shows_what_is_wrong_with_the_program() -> None:
    problem = Problem("PG05", "Two resources have one URN.", source=SourceLine("/home/dev/infra/stacks/web/a.py", 2))
    given = run(Result(examples.deployment(problems=(problem,))), with_findings=False)
    document = report(given)

    VALIDATOR.validate(document)
    assert document["deployments"][0]["problems"] == [
        {
            "code": "PG05",
            "urn": None,
            "property": "",
            "message": "Two resources have one URN.",
            "remedy": "",
            "source": {"path": "stacks/web/a.py", "line": 2},
        }
    ]
