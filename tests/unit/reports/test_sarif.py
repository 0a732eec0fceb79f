from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as published  # noqa: N813

from ringfence.deployment import SourceLine
from ringfence.policy.verdict import Level, Severity, Verdict
from ringfence.reports import Result, Run, reporter, sarif
from tests.unit.reports import examples
from tests.unit.reports.examples import MINIMUM_TLS, SOFT_DELETE, WEB, broken, every_run, finding, run

TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}
PHYSICAL = {
    "type": "object",
    "additionalProperties": False,
    "required": ["artifactLocation", "region"],
    "properties": {
        "artifactLocation": {
            "oneOf": [
                {
                    "additionalProperties": False,
                    "required": ["uri", "uriBaseId"],
                    "properties": {
                        "uri": {"type": "string", "pattern": "^[A-Za-z0-9_.~%-][A-Za-z0-9_.~%/-]*$"},
                        "uriBaseId": {"const": "%SRCROOT%"},
                    },
                },
                {
                    "additionalProperties": False,
                    "required": ["uri"],
                    "properties": {"uri": {"type": "string", "pattern": "^file:///[A-Za-z0-9_.~%/-]*$"}},
                },
            ]
        },
        "region": {
            "additionalProperties": False,
            "required": ["startLine"],
            "properties": {
                "startLine": {"type": "integer", "minimum": 1},
                "startColumn": {"type": "integer", "minimum": 1},
            },
        },
    },
}
STRICT: dict[str, Any] = {
    # What we write and nothing else, with what GitHub asks for and the specification says in prose only.
    "type": "object",
    "additionalProperties": False,
    "required": ["$schema", "version", "runs"],
    "properties": {
        "$schema": {"const": sarif.SCHEMA},
        "version": {"const": "2.1.0"},
        "runs": {
            "minItems": 1,
            "maxItems": 1,
            "items": {
                "additionalProperties": False,
                "required": ["tool", "invocations", "originalUriBaseIds", "results"],
                "properties": {
                    "tool": {
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "required": ["name", "version", "semanticVersion", "rules"],
                                "properties": {"rules": {"type": "array", "items": {"$ref": "#/$defs/rule"}}},
                            }
                        },
                    },
                    "invocations": {"minItems": 1, "maxItems": 1, "items": {"required": ["executionSuccessful"]}},
                    "originalUriBaseIds": {"required": ["%SRCROOT%"]},
                    "results": {"type": "array", "maxItems": 25_000, "items": {"$ref": "#/$defs/result"}},
                },
            },
        },
    },
    "$defs": {
        "rule": {
            "type": "object",
            "additionalProperties": False,
            "required": [
                *("id", "name", "shortDescription", "fullDescription", "help", "defaultConfiguration", "properties")
            ],
            "properties": {
                "id": {"type": "string", "minLength": 1},
                "name": {"type": "string", "minLength": 1},
                "shortDescription": TEXT,
                "fullDescription": TEXT,
                "help": {**TEXT, "required": ["text", "markdown"]},
                "helpUri": {"type": "string", "pattern": "^https?://"},
                "defaultConfiguration": {"properties": {"level": {"enum": ["error", "warning"]}}},
                "properties": {
                    "required": ["precision", "security-severity", "tags"],
                    "properties": {
                        "precision": {"enum": ["very-high", "high", "medium", "low"]},
                        "security-severity": {"enum": ["9.5", "8.0", "5.5", "3.0"]},
                        "tags": {"type": "array", "maxItems": 10, "items": {"type": "string", "minLength": 1}},
                    },
                },
            },
        },
        "result": {
            "type": "object",
            "additionalProperties": False,
            "required": ["ruleId", "ruleIndex", "kind", "level", "message", "locations", "partialFingerprints"],
            "properties": {
                "ruleId": {"type": "string", "minLength": 1},
                "ruleIndex": {"type": "integer", "minimum": 0},
                "kind": {"enum": ["fail", "pass", "notApplicable"]},
                "level": {"enum": ["error", "warning", "note", "none"]},
                "message": TEXT,
                "locations": {
                    "minItems": 1,
                    "maxItems": 1,
                    "items": {"required": ["physicalLocation"], "properties": {"physicalLocation": PHYSICAL}},
                },
                "relatedLocations": {
                    "minItems": 1,
                    "items": {
                        "required": ["id", "physicalLocation", "message"],
                        "properties": {"physicalLocation": PHYSICAL, "message": TEXT},
                    },
                },
                "partialFingerprints": {"minProperties": 2, "additionalProperties": {"type": "string"}},
                "suppressions": {"minItems": 1, "items": {"required": ["kind", "status", "justification"]}},
                "properties": {"type": "object"},
            },
            "if": {"properties": {"kind": {"const": "fail"}}},
            "then": {"properties": {"level": {"enum": ["error", "warning", "note"]}}},
            "else": {"properties": {"level": {"const": "none"}}},
        },
    },
}


def report(given: Run) -> Any:
    return json.loads(reporter("sarif").render(given), parse_constant=pytest.fail)


def only(given: Run) -> Any:
    """Return the one SARIF run of a report."""
    (document,) = report(given)["runs"]
    return document


def many_runs() -> Iterator[Any]:
    for name, given in every_run().items():
        yield pytest.param(given, id=name)
    odd = finding(resource="a [b](c) {0}", message="", remedy="", source=SourceLine("/else where/ü#?.py", 0), url="x:y")
    yield pytest.param(run(Result(examples.deployment(), (odd,)), rules=()), id="odd")


@pytest.mark.parametrize("given", list(many_runs()))
def test_reports_have_the_form_that_we_promise(given: Run) -> None:
    jsonschema.Draft202012Validator(STRICT).validate(report(given))


@pytest.mark.parametrize("given", list(many_runs()))
def test_reports_follow_the_published_schema(given: Run) -> None:
    # The models of pydantic-sarif are generated from the published schema, its closed objects included. They stem from
    # a revision in which a suppression's `status` was called `state`.
    document = report(given)
    for result in document["runs"][0]["results"]:
        for suppression in result.get("suppressions", ()):
            suppression["state"] = suppression.pop("status")

    published.model_validate(document)
    document["runs"][0]["tool"]["driver"]["rules"] = {}
    with pytest.raises(ValidationError):
        published.model_validate(document)


def test_the_published_schema_takes_no_foreign_key() -> None:
    document = only(run())
    document["ours"] = True

    with pytest.raises(ValidationError):
        published.model_validate({"version": "2.1.0", "runs": [document]})


def test_results_point_at_their_rule() -> None:
    document = only(run(all_verdicts=True))
    rules = document["tool"]["driver"]["rules"]

    assert [rule["id"] for rule in rules] == ["ST02", "ST14", "ST13", "PG01"]
    assert [result["ruleId"] for result in document["results"]] == [
        rules[result["ruleIndex"]]["id"] for result in document["results"]
    ]


def test_a_rule_carries_its_help() -> None:
    rule = only(run())["tool"]["driver"]["rules"][0]

    assert rule["fullDescription"] == {"text": MINIMUM_TLS.why}
    assert MINIMUM_TLS.remedy in rule["help"]["text"]
    assert f"**Fix.** {MINIMUM_TLS.remedy}" in rule["help"]["markdown"]
    assert rule["properties"] == {
        "precision": "high",
        "security-severity": "8.0",
        "tags": ["security", "pulumi", "azure-native", "CIS Azure Foundations"],
    }


def test_tags_stay_within_what_github_shows() -> None:
    rule = replace(MINIMUM_TLS, types=tuple(f"package{number}:x:Y" for number in range(30)))

    assert len(only(run(rules=(rule,)))["tool"]["driver"]["rules"][0]["properties"]["tags"]) == 10


def test_a_finding_lends_its_url_to_its_rule() -> None:
    given = run(Result(examples.deployment(), (finding(url="https://example.net/ST02"), finding(url="ftp://x"))))

    assert only(given)["tool"]["driver"]["rules"][0]["helpUri"] == "https://example.net/ST02"


@pytest.mark.parametrize(
    ("verdict", "level", "strict", "expected"),
    [
        (Verdict.FAIL, Level.MANDATORY, False, ("fail", "error")),
        (Verdict.FAIL, Level.ADVISORY, False, ("fail", "warning")),
        (Verdict.ERROR, Level.MANDATORY, False, ("fail", "error")),
        (Verdict.ERROR, Level.ADVISORY, False, ("fail", "warning")),
        (Verdict.UNKNOWN, Level.MANDATORY, False, ("fail", "note")),
        (Verdict.UNKNOWN, Level.MANDATORY, True, ("fail", "error")),
        (Verdict.UNKNOWN, Level.ADVISORY, True, ("fail", "note")),
        (Verdict.EXEMPT, Level.MANDATORY, False, ("fail", "error")),
        (Verdict.PASS, Level.MANDATORY, False, ("pass", "none")),
        (Verdict.NOT_APPLICABLE, Level.ADVISORY, False, ("notApplicable", "none")),
    ],
)
def test_kind_and_level(verdict: Verdict, level: Level, strict: bool, expected: tuple[str, str]) -> None:
    result = Result(examples.deployment(), (finding(verdict=verdict, level=level),))
    (written,) = only(run(result, strict_unknowns=strict, all_verdicts=True))["results"]

    assert expected == (written["kind"], written["level"])


@pytest.mark.parametrize(
    ("severity", "score"),
    [(Severity.CRITICAL, "9.5"), (Severity.HIGH, "8.0"), (Severity.MEDIUM, "5.5"), (Severity.LOW, "3.0")],
)
def test_severity_as_a_score(severity: Severity, score: str) -> None:
    result = Result(examples.deployment(), (finding(severity=severity),))

    assert score == only(run(result, rules=()))["tool"]["driver"]["rules"][0]["properties"]["security-severity"]


def test_an_exempt_finding_is_suppressed_and_no_other() -> None:
    results = only(run())["results"]

    assert [result["suppressions"] for result in results if "suppressions" in result] == [
        [
            {
                "kind": "external",
                "status": "accepted",
                "justification": "Temporary data; platform team, until 2027-01-31.",
            }
        ]
    ]
    assert [result["properties"]["verdict"] for result in results if "suppressions" in result] == ["exempt"]


def test_where_a_component_was_made_is_related() -> None:
    (result,) = (item for item in only(run())["results"] if item["ruleId"] == "PG01")

    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "stacks/web/components/site.py", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 31, "startColumn": 9},
    }
    assert result["locations"][0]["logicalLocations"] == [
        {"name": "api", "fullyQualifiedName": "urn:pulumi:dev::web::azure-native:web:WebApp::api", "kind": "resource"}
    ]
    assert [item["physicalLocation"]["region"] for item in result["relatedLocations"]] == [{"startLine": 20}]


def where(source: SourceLine | None) -> Any:
    (result,) = only(run(Result(examples.deployment(), (finding(source=source),))))["results"]
    return result["locations"][0]["physicalLocation"]


def test_what_has_no_source_points_at_the_project_file() -> None:
    assert where(None) == {
        "artifactLocation": {"uri": "stacks/web/Pulumi.yaml", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 1},
    }


def test_paths_are_uris() -> None:
    assert where(SourceLine(str(WEB / "a b#ü.py"), 2))["artifactLocation"] == {
        "uri": "stacks/web/a%20b%23%C3%BC.py",
        "uriBaseId": "%SRCROOT%",
    }
    assert where(SourceLine("/opt/shared lib/x.py", 2))["artifactLocation"] == {"uri": "file:///opt/shared%20lib/x.py"}


def fingerprints(*findings: Any) -> list[str]:
    results = only(run(Result(examples.deployment(), findings)))["results"]
    return [result["partialFingerprints"]["ringfence/v1"] for result in results]


def test_fingerprints_outlive_moved_lines_and_new_wording() -> None:
    before = fingerprints(finding())
    after = fingerprints(
        finding(source=SourceLine(str(WEB / "other.py"), 99), message="Worded anew.", severity=Severity.LOW)
    )

    assert before == after


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "networkRuleSet.defaultAction"},
        {"code": "ST03"},
        {"urn": "urn:pulumi:prod::web::azure-native:storage:StorageAccount::artifacts"},
        {},
    ],
    ids=["property", "rule", "resource", "the same again"],
)
def test_fingerprints_tell_findings_apart(changes: dict[str, Any]) -> None:
    assert len(set(fingerprints(finding(), finding(**changes)))) == 2


def test_findings_about_two_stacks_as_a_whole_differ() -> None:
    whole = finding(urn="", resource="", type="")
    given = run(Result(examples.deployment(), (whole,)), Result(examples.deployment(stack="prod"), (whole,)))
    results = only(given)["results"]

    assert len({result["partialFingerprints"]["primaryLocationLineHash"] for result in results}) == 2
    assert all("logicalLocations" not in result["locations"][0] for result in results)


def test_a_failed_program_is_a_failed_execution() -> None:
    (invocation,) = only(every_run()["several"])["invocations"]

    assert invocation == {
        "executionSuccessful": False,
        "toolExecutionNotifications": [
            {
                "level": "error",
                "message": {"text": "broken, stack dev: ZeroDivisionError: division by zero"},
                "locations": [
                    {
                        "physicalLocation": {
                            "artifactLocation": {"uri": "stacks/broken/__main__.py", "uriBaseId": "%SRCROOT%"},
                            "region": {"startLine": 3},
                        }
                    }
                ],
            }
        ],
    }
    assert only(run(broken()))["results"] == []


def test_too_many_results_are_cut_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "MAX_RESULTS", 2)
    low = [finding(SOFT_DELETE, path=str(number)) for number in range(3)]
    document = only(run(Result(examples.deployment(), (*low, finding()))))

    assert [result["ruleId"] for result in document["results"]] == ["ST02", "ST14"]
    assert document["invocations"] == [
        {
            "executionSuccessful": True,
            "toolExecutionNotifications": [
                {
                    "level": "warning",
                    "message": {"text": "2 of 4 results are left out, the least urgent: a run holds 2."},
                }
            ],
        }
    ]


def test_results_that_github_does_not_show_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "SHOWN_RESULTS", 1)
    document = only(run(Result(examples.deployment(), (finding(SOFT_DELETE), finding()))))

    assert len(document["results"]) == 2
    assert document["invocations"][0]["toolExecutionNotifications"][0]["message"] == {
        "text": "GitHub shows the first 1 of 2 results; the most urgent come first."
    }
