from __future__ import annotations

from collections.abc import Iterator

import pytest

from ringfence.deployment import STACK_TYPE, UNKNOWN, Problem, Resource, Secret, SourceLine
from ringfence.deployment import Deployment as Result
from ringfence.policy.checks import PASS, every, failed, is_true, not_applicable, require, undecided
from ringfence.policy.evaluate import evaluate
from ringfence.policy.graph import ResourceView
from ringfence.policy.pack import ActiveRule, Pack
from ringfence.policy.program import PROGRAM_CHECKS, program_findings
from ringfence.policy.rule import Check, Parameters
from ringfence.policy.verdict import Finding, Level, Outcome, Severity, Verdict
from tests.unit.policy.small_rules import BUCKET, QUEUE, SMALL, codes, make_rule, resource


def active(*checks: Check, types: tuple[str, ...] = (BUCKET,)) -> list[ActiveRule]:
    rules = tuple(make_rule(check, f"TS{n:02}", f"test-rule-{n}", types=types) for n, check in enumerate(checks, 1))
    return Pack("p", "1", rules).activate()


def judged(check: Check, *resources: Resource) -> list[tuple[str, str]]:
    findings = evaluate(resources or [resource()], active(check))
    return [(finding.verdict.value, finding.path) for finding in findings]


def gives(*outcomes: Outcome) -> Check:
    return lambda resource, parameters: list(outcomes)


P, F, G = PASS, Outcome(Verdict.FAIL, "f", "Bad."), Outcome(Verdict.FAIL, "g", "Worse.")
U, N, E = undecided(None), not_applicable("Why."), Outcome(Verdict.ERROR, "e", "Broke.")
DECIDED = [
    ((), [("pass", "")]),
    ((P,), [("pass", "")]),
    ((P, P), [("pass", "")]),
    ((F,), [("fail", "f")]),
    ((P, F, P, G), [("fail", "f"), ("fail", "g")]),
    ((U, P), [("unknown", "")]),
    ((P, U), [("unknown", "")]),
    ((U, F), [("fail", "f")]),
    ((N,), [("not-applicable", "")]),
    ((N, P), [("pass", "")]),
    ((N, U), [("unknown", "")]),
    ((E, F, U, E), [("error", "e"), ("fail", "f")]),
]


@pytest.mark.parametrize(("outcomes", "expected"), DECIDED)
def test_which_outcomes_decide(outcomes: tuple[Outcome, ...], expected: list[tuple[str, str]]) -> None:
    assert judged(gives(*outcomes)) == expected


def test_each_bad_element_is_a_finding() -> None:
    def check(resource: ResourceView, parameters: Parameters) -> list[Outcome]:
        return every(resource["rules"].elements(), lambda rule: require(rule["closed"], is_true(), absent="fail"))

    rules = [{"closed": True}, {"closed": False}, {}, {"closed": UNKNOWN}, "no rule"]

    assert judged(check, resource(inputs={"rules": rules})) == [
        ("fail", "rules[1].closed"),
        ("fail", "rules[2].closed"),
        ("fail", "rules[4].closed"),
    ]
    assert judged(check, resource(inputs={"rules": UNKNOWN})) == [("unknown", "rules[*]")]
    assert judged(check, resource(inputs={"rules": "text"})) == [("fail", "rules")]


def test_a_rule_that_raises_disturbs_no_other() -> None:
    def raises(resource: ResourceView, parameters: Parameters) -> Outcome:
        raise KeyError("size")

    def raises_later(resource: ResourceView, parameters: Parameters) -> Iterator[Outcome]:
        yield failed(resource["a"], "Bad.")
        raise ZeroDivisionError("division by zero")

    def nothing(resource: ResourceView, parameters: Parameters) -> Outcome:
        return None  # type: ignore[return-value]

    findings = evaluate([resource()], active(raises, gives(F), raises_later, nothing, gives(P)))

    assert [(finding.code, finding.verdict.value) for finding in findings] == [
        ("TS01", "error"),
        ("TS02", "fail"),
        ("TS03", "error"),
        ("TS04", "error"),
        ("TS05", "pass"),
    ]
    assert findings[0].message == "The rule itself broke: KeyError: 'size'"
    assert findings[2].message == "The rule itself broke: ZeroDivisionError: division by zero"
    assert all(finding.blocks for finding in findings[:4])


def test_a_rule_that_breaks_on_a_secret_does_not_show_it() -> None:
    def raises(resource: ResourceView, parameters: Parameters) -> Outcome:
        return int(resource["key"].value)  # type: ignore[return-value]

    findings = evaluate([resource(inputs={"key": Secret("hunter2")})], active(raises))

    assert findings[0].verdict is Verdict.ERROR
    assert "hunter2" not in repr(findings)


def test_what_gives_no_outcome_is_an_error() -> None:
    def wrong(resource: ResourceView, parameters: Parameters) -> list[Outcome]:
        return [True]  # type: ignore[list-item]

    assert judged(wrong) == [("error", "")]


def test_rules_see_the_resources_of_their_types() -> None:
    component = resource("test:index:Component", "component", custom=False)
    provider = resource("pulumi:providers:test", "provider")
    versioned = resource("azure-native:storage/v20220901:StorageAccount", "account")
    resources = [resource(STACK_TYPE, "stack"), component, provider, resource(QUEUE, "q"), resource(), versioned]

    def seen(*types: str) -> list[str]:
        return [finding.resource for finding in evaluate(resources, active(gives(P), types=types))]

    assert seen(BUCKET, QUEUE) == ["q", "one"]
    assert seen("azure-native:storage:StorageAccount") == ["account"]
    assert seen() == ["q", "one", "account"]
    assert seen("test:index:Component") == ["component"]


def test_findings_come_by_resource_then_by_rule() -> None:
    both = [resource(name="b", inputs={"size": 50}), resource(name="a", inputs={"size": 1})]

    findings = evaluate(both, SMALL.activate(), pack="small")

    assert [(finding.resource, finding.code, finding.verdict.value) for finding in findings] == [
        ("b", "TS01", "fail"),
        ("b", "TS02", "fail"),
        ("a", "TS01", "fail"),
        ("a", "TS02", "pass"),
    ]
    assert {finding.pack for finding in findings} == {"small"}


def test_a_finding_says_all_that_a_reader_needs() -> None:
    chain = (SourceLine("/shop/site.py", 7), SourceLine("/shop/__main__.py", 3))
    subject = resource(inputs={"closed": False}, source=chain[0], source_chain=chain)

    [finding, _] = evaluate([subject], SMALL.activate(), pack="small")

    assert finding == Finding(
        code="TS01",
        name="bucket-closed",
        verdict=Verdict.FAIL,
        level=Level.MANDATORY,
        severity=Severity.HIGH,
        message="closed is false, expected true.",
        urn=subject.urn,
        type=BUCKET,
        resource="one",
        path="closed",
        expected="true",
        actual="false",
        remedy="Close it.",
        source=chain[0],
        source_chain=chain,
        pack="small",
    )


@pytest.mark.parametrize(("outcome", "remedy"), [(P, ""), (N, ""), (F, "Close it."), (U, "Close it."), (E, "")])
def test_a_remedy_stands_where_something_is_to_be_done(outcome: Outcome, remedy: str) -> None:
    [finding] = evaluate([resource()], active(gives(outcome)))

    assert finding.remedy == remedy
    assert finding.message == (outcome.message or "Buckets are closed.")


# --- the program's own problems --------------------------------------------------------------------------------------


def deployment(*problems: Problem) -> Result:
    from pathlib import Path

    return Result("shop", "dev", Path("/shop"), resources=(resource(),), problems=problems)


def test_problems_of_the_program_are_findings() -> None:
    line = SourceLine("/shop/__main__.py", 3)
    problem = Problem("PG01", "No such colour.", resource().urn, "colour", "red", "blue", "", line)

    [finding] = program_findings(deployment(problem))

    assert finding == Finding(
        code="PG01",
        name="program-enum-value",
        verdict=Verdict.FAIL,
        level=Level.MANDATORY,
        severity=Severity.MEDIUM,
        message="No such colour.",
        urn=resource().urn,
        type=BUCKET,
        resource="one",
        path="colour",
        expected="red",
        actual="blue",
        remedy="Use one of the values of the SDK's enum class.",
        source=line,
        pack="program",
    )


def test_a_problem_of_no_resource_keeps_its_own_remedy() -> None:
    [finding] = program_findings(deployment(Problem("PG07", "m", remedy="Await it.")))

    assert (finding.urn, finding.type, finding.resource, finding.remedy) == ("", "", "", "Await it.")
    assert finding.level is Level.ADVISORY


@pytest.mark.parametrize("key", ["PG07", "program-never-awaited"])
def test_levels_of_the_program_checks(key: str) -> None:
    problems = [Problem("PG07", "m"), Problem("PG05", "m")]

    mandatory = program_findings(deployment(*problems), {key: Level.MANDATORY})
    disabled = program_findings(deployment(*problems), {key: Level.DISABLED})

    assert [finding.level for finding in mandatory] == [Level.MANDATORY, Level.MANDATORY]
    assert codes(disabled) == ["PG05"]


def test_program_checks_have_codes_and_names_of_their_own() -> None:
    keys = [key for check in PROGRAM_CHECKS for key in (check.code, check.name)]

    assert [check.code for check in PROGRAM_CHECKS] == [f"PG{number:02}" for number in range(1, len(keys) // 2 + 1)]
    assert len(set(keys)) == len(keys)
