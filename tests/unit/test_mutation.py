"""The mutation run: what it changes, what it counts, and that its score stands where the docs say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from mutate.mutant import REMOVED, Mutant, places, words
from mutate.report import Score, document, score, scores, unexplained
from mutate.run import Explanation, Judged, explanations, guards, judge_stack, mutants_of, stacks
from mutate.table import TABLE, scalar_mutants

from ringfence.deployment import Deployment, Resource, Secret
from ringfence_policies import PACK

PAGE = Path(__file__).parents[2] / "docs" / "mutation.md"
ACCOUNT = "azure-native:storage:StorageAccount"
GOAL = 95.0
"""Percent of the guarded security mutants that must be killed, on each stack."""


def resource(inputs: dict[str, Any], type_: str = ACCOUNT) -> Resource:
    return Resource(f"urn:pulumi:dev::p::{type_}::a", type_, "a", inputs, outputs={**inputs, "id": "x"})


def mutant(path: tuple[str | int, ...], after: Any, type_: str = ACCOUNT, origin: str = "table") -> Mutant:
    return Mutant(f"urn:pulumi:dev::p::{type_}::a", type_, "a", path, after, "access", "a change", origin)


# --- what a mutant changes -------------------------------------------------------------------------------------------

CHANGES: list[tuple[str, tuple[str | int, ...], Any, dict[str, Any]]] = [
    ("a value", ("on",), False, {"on": False, "deep": {"list": [{"a": 1}, {"a": 2}]}}),
    ("removed", ("on",), REMOVED, {"deep": {"list": [{"a": 1}, {"a": 2}]}}),
    ("within a list", ("deep", "list", 1, "a"), 3, {"on": True, "deep": {"list": [{"a": 1}, {"a": 3}]}}),
    ("an element removed", ("deep", "list", 0), REMOVED, {"on": True, "deep": {"list": [{"a": 2}]}}),
    ("an element more", ("deep", "list", 2), 9, {"on": True, "deep": {"list": [{"a": 1}, {"a": 2}, 9]}}),
    ("a new object", ("new", "x"), 1, {"on": True, "deep": {"list": [{"a": 1}, {"a": 2}]}, "new": {"x": 1}}),
]


@pytest.mark.parametrize(("path", "after", "inputs"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_a_mutant_changes_one_place_of_inputs_and_outputs(
    path: tuple[str | int, ...], after: Any, inputs: dict[str, Any]
) -> None:
    whole = resource({"on": True, "deep": {"list": [{"a": 1}, {"a": 2}]}})
    other = Resource("urn:other", ACCOUNT, "other", {"on": True})

    changed = mutant(path, after).apply([other, whole])

    assert changed == [other, resource(inputs)]
    assert whole == resource({"on": True, "deep": {"list": [{"a": 1}, {"a": 2}]}}), "the original stays"


def test_a_mutant_without_a_path_leaves_the_resource_out() -> None:
    assert mutant((), REMOVED).apply([resource({})]) == []


def test_a_secret_stays_one() -> None:
    (changed,) = mutant(("env", "a"), "b").apply([resource({"env": Secret({"c": "d"})})])

    assert changed.inputs == {"env": Secret({"c": "d", "a": "b"})}


# --- what the table and the examples make ----------------------------------------------------------------------------


def test_the_table_turns_safe_values_alone() -> None:
    safe = resource({"minimumTlsVersion": "TLS1_2", "allowBlobPublicAccess": False})
    weak = resource({"minimumTlsVersion": "TLS1_0", "allowBlobPublicAccess": True})

    assert {item.change for item in scalar_mutants(safe)} == {
        "minimumTlsVersion = 'TLS1_0'",
        "minimumTlsVersion = 'TLS1_1'",
        "minimumTlsVersion removed",
        "allowBlobPublicAccess = True",
    }
    assert list(scalar_mutants(weak)) == []


def test_each_mutant_is_made_once() -> None:
    found = mutants_of([resource({"allowBlobPublicAccess": False})])

    assert len({(repr(item.path), repr(item.after)) for item in found}) == len(found)
    assert "allowBlobPublicAccess = True" in {item.change for item in found}
    assert "allowBlobPublicAccess as in the failing example of ST03" not in {item.change for item in found}


@pytest.mark.parametrize(
    ("path", "after", "code", "expected"),
    [
        (("minimumTlsVersion",), "TLS1_0", "ST02", True),
        (("minimumTlsVersion",), "TLS1_0", "ST01", False),
        (("sasPolicy",), REMOVED, "ST18", True),
        (("sasPolicy", "sasExpirationPeriod"), "x", "ST18", True),
        (("sasPolicy", "expirationAction"), "x", "ST18", False),
        (("sasPolicy",), {"sasExpirationPeriod": "x"}, "ST18", True),
    ],
)
def test_what_a_rule_guards(path: tuple[str | int, ...], after: Any, code: str, expected: bool) -> None:
    assert guards(PACK.by_key[code], mutant(path, after)) is expected


# --- the run ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def by_stack() -> dict[str, list[Judged]]:
    return {deployment.path.name: list(judge_stack(deployment)) for deployment in stacks()}


def test_all_five_stacks_reach_the_goal(by_stack: dict[str, list[Judged]]) -> None:
    reached = {name: scores(judged)[0] for name, judged in by_stack.items()}

    assert len(reached) == 5
    assert {name: str(found) for name, found in reached.items() if found.percent < GOAL or found.total < 50} == {}


def test_every_survivor_has_a_reason(by_stack: dict[str, list[Judged]]) -> None:
    every = [item for judged in by_stack.values() for item in judged]

    assert [(item.stack, item.mutant.type, item.mutant.change) for item in unexplained(every, explanations())] == []


def test_every_row_of_the_table_breaks_something() -> None:
    every = [item for deployment in stacks() for item in deployment.resources]
    idle = [
        row
        for row in TABLE
        if not any(row.matches(item, words(path), value) for item in every for path, value in places(item.inputs))
    ]

    assert idle == []


def test_the_page_has_the_score(by_stack: dict[str, list[Judged]]) -> None:
    rows = re.findall(r"^\| (\w+) \| (\d+) of (\d+) \(([\d.]+) %\) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    written = {name: float(percent) for name, _, _, percent in rows}
    now = {name: scores(judged)[0].percent for name, judged in by_stack.items()}

    assert written == pytest.approx(now, abs=2.0), "python -m mutate --write writes the page anew"


def test_a_pack_that_judges_nothing_kills_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = Deployment("p", "dev", Path(), (resource({"minimumTlsVersion": "TLS1_2"}),))
    killed = [item.by for item in judge_stack(deployment) if item.mutant.change == "minimumTlsVersion = 'TLS1_0'"]
    monkeypatch.setattr("mutate.run.PACK", type(PACK)("empty", "1.0.0", ()))

    blind = list(judge_stack(deployment))

    assert killed == [("ST02",)]
    assert blind
    assert score(blind) == Score(0, len(blind))


def test_the_page_of_a_small_run() -> None:
    killed = Judged("shop", mutant(("a",), 1), ("ST02",), True)
    known = Judged("shop", mutant(("b",), 1), (), False)
    stray = Judged("mail", mutant(("c",), 1, "aws:sqs/queue:Queue"), (), True)

    page = document({"shop": [killed, known], "mail": [stray]}, [Explanation((ACCOUNT,), ("a *",), "b is 1", "so")])

    assert page.partition("## Killed mutants")[2].splitlines()[2:] == [
        "| stack | security, guarded | security, all | bounds and delivery |",
        "|---|---|---|---|",
        "| shop | 1 of 1 (100.0 %) | 1 of 2 (50.0 %) | 0 of 0 (100.0 %) |",
        "| mail | 0 of 1 (0.0 %) | 0 of 1 (0.0 %) | 0 of 0 (100.0 %) |",
        "| **together** | 1 of 2 (50.0 %) | 1 of 3 (33.3 %) | 0 of 0 (100.0 %) |",
        "",
        "## Survivors, and why",
        "",
        "| what | changes | stacks | why |",
        "|---|---|---|---|",
        f"| `{ACCOUNT}` | b is 1 (1) | shop | so |",
        "| `aws:sqs/queue:Queue` | a change | mail | **not explained** |",
    ]
