from __future__ import annotations

from typing import Any

import pytest

from ringfence.deployment import UNKNOWN
from ringfence.policy.rule import Rule
from ringfence.policy.verdict import Verdict
from ringfence_policies.azure import monitor
from tests.unit.policies.cases import Case, check, check_examples

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN
VERSIONED = "azure-native:monitor/v20221001:AutoscaleSetting"
MOVED = "azure-native:insights/v20221001:AutoscaleSetting"


def profiles(*items: Any) -> dict[str, Any]:
    return {"profiles": list(items)}


def capacity(low: Any, default: Any, high: Any) -> dict[str, Any]:
    return {"capacity": {"minimum": low, "default": default, "maximum": high}}


def scaling(*directions: Any, **profile: Any) -> dict[str, Any]:
    return {"rules": [{"scaleAction": {"direction": direction}} for direction in directions], **profile}


GOOD = capacity("1", "2", "4")
WEEKEND: dict[str, Any] = {"recurrence": {"frequency": "Week"}}

# What every rule but AS01 says of settings whose profiles cannot be read.
SHAPES = [
    Case("no profiles", FAIL, {}, path="profiles"),
    Case("empty profiles", FAIL, profiles(), path="profiles"),
    Case("unknown profiles", OPEN, {"profiles": UNKNOWN}),
    Case("profiles that are no list", FAIL, {"profiles": GOOD}, path="profiles"),
    Case("a profile that is no object", FAIL, profiles("default")),
    Case("unknown profile", OPEN, profiles(UNKNOWN), path="profiles[0]"),
]

TABLE: list[tuple[Rule, list[Case]]] = [
    (
        monitor.enabled,
        [
            Case("pass", PASS, {"enabled": True}),
            Case("fail", FAIL, {"enabled": False}, path="enabled"),
            Case("absent", FAIL, {}, path="enabled"),
            Case("unknown", OPEN, {"enabled": UNKNOWN}, path="enabled"),
            Case("wrong type", FAIL, {"enabled": "true"}),
            Case("list", FAIL, {"enabled": [True]}),
            Case("versioned", FAIL, {}, type=VERSIONED),
            Case("moved", FAIL, {}, type=MOVED),
        ],
    ),
    (
        monitor.minimum,
        [
            *SHAPES,
            Case("pass", PASS, profiles(GOOD)),
            Case("a number, not text", PASS, profiles(capacity(1, 1, 2))),
            Case("fail", FAIL, profiles(capacity("0", "1", "4")), path="profiles[0].capacity.minimum"),
            Case("one bad element", FAIL, profiles(GOOD, capacity("0", "1", "4")), path="profiles[1].capacity.minimum"),
            Case("parameter, pass", PASS, profiles(capacity("2", "2", "4")), parameters={"minimum": 2}),
            Case("parameter, fail", FAIL, profiles(GOOD), parameters={"minimum": 2}),
            Case("as text it would be more", FAIL, profiles(capacity("10", "10", "10")), parameters={"minimum": 11}),
            Case("text order would fail it", PASS, profiles(capacity("10", "10", "10")), parameters={"minimum": 9}),
            Case("absent", FAIL, profiles({}), path="profiles[0].capacity.minimum"),
            Case("unknown", OPEN, profiles(capacity(UNKNOWN, "1", "4")), path="profiles[0].capacity.minimum"),
            Case("a failure wins over an unknown", FAIL, profiles(UNKNOWN, capacity("0", "1", "4"))),
            Case("no number", FAIL, profiles(capacity("one", "1", "4"))),
            Case("wrong type", FAIL, profiles(capacity(True, "1", "4"))),
            Case("versioned", FAIL, profiles(capacity("0", "1", "4")), type=VERSIONED),
        ],
    ),
    (
        monitor.maximum,
        [
            *SHAPES,
            Case("pass", PASS, profiles(GOOD)),
            Case("highest", PASS, profiles(capacity("1", "1", "20"))),
            Case("fail", FAIL, profiles(capacity("1", "1", "21")), path="profiles[0].capacity.maximum"),
            Case(
                "one bad element", FAIL, profiles(GOOD, capacity("1", "1", "100")), path="profiles[1].capacity.maximum"
            ),
            Case("text order would pass it", FAIL, profiles(capacity("1", "1", "100")), parameters={"maximum": 20}),
            Case("parameter, pass", PASS, profiles(capacity("1", "1", "100")), parameters={"maximum": 100}),
            Case("parameter, fail", FAIL, profiles(GOOD), parameters={"maximum": 3}),
            Case("absent", FAIL, profiles({}), path="profiles[0].capacity.maximum"),
            Case("unknown", OPEN, profiles(capacity("1", "1", UNKNOWN)), path="profiles[0].capacity.maximum"),
            Case("negative", FAIL, profiles(capacity("1", "1", "-1"))),
            Case("no number", FAIL, profiles(capacity("1", "1", "many"))),
            Case("wrong type", FAIL, profiles(capacity("1", "1", ["4"]))),
            Case("versioned", FAIL, profiles(capacity("1", "1", "100")), type=VERSIONED),
        ],
    ),
    (
        monitor.order,
        [
            *SHAPES,
            Case("pass", PASS, profiles(GOOD)),
            Case("all the same", PASS, profiles(capacity("3", "3", "3"))),
            Case("text order would fail it", PASS, profiles(capacity("2", "9", "10"))),
            Case("default below", FAIL, profiles(capacity("2", "1", "4")), path="profiles[0].capacity.minimum"),
            Case("default above", FAIL, profiles(capacity("1", "5", "4")), path="profiles[0].capacity.default"),
            Case("minimum above maximum", FAIL, profiles(capacity("5", "5", "4"))),
            Case("one bad element", FAIL, profiles(GOOD, capacity("2", "1", "4")), path="profiles[1].capacity.minimum"),
            Case("absent", FAIL, profiles({"capacity": {"minimum": "1", "maximum": "4"}})),
            Case("a fraction", FAIL, profiles(capacity("1", "1.5", "4")), path="profiles[0].capacity.default"),
            Case("no number", FAIL, profiles(capacity("1", "x", "4")), path="profiles[0].capacity.default"),
            Case("unknown", OPEN, profiles(capacity("1", UNKNOWN, "4")), path="profiles[0].capacity.default"),
            Case("unknown between wrong ends", FAIL, profiles(capacity("5", UNKNOWN, "4"))),
            Case("wrong type", FAIL, profiles(capacity(True, "1", "4")), path="profiles[0].capacity.minimum"),
            Case("capacity is a list", FAIL, profiles({"capacity": ["1", "1", "4"]})),
            Case("versioned", FAIL, profiles(capacity("2", "1", "4")), type=VERSIONED),
        ],
    ),
    (
        monitor.both_ways,
        [
            *SHAPES,
            Case("pass", PASS, profiles(scaling("Increase", "Decrease"))),
            Case("other case", PASS, profiles(scaling("increase", "DECREASE"))),
            Case("no way in", FAIL, profiles(scaling("Increase", "Increase")), path="profiles[0].rules"),
            Case("no way out", FAIL, profiles(scaling("Decrease")), path="profiles[0].rules"),
            Case("None is no direction", FAIL, profiles(scaling("Increase", "None"))),
            Case(
                "one bad element",
                FAIL,
                profiles(scaling("Increase", "Decrease"), scaling("Increase")),
                path="profiles[1].rules",
            ),
            Case("absent", FAIL, profiles({}), path="profiles[0].rules"),
            Case("empty", FAIL, profiles(scaling()), path="profiles[0].rules"),
            Case("scheduled, fixed count", PASS, profiles(scaling(**WEEKEND, **capacity("0", "0", "0")))),
            Case("dated, fixed count", PASS, profiles(scaling(fixedDate={"start": "s"}, **capacity("3", "3", "3")))),
            Case("scheduled, room to scale", FAIL, profiles(scaling(**WEEKEND, **capacity("1", "1", "3")))),
            Case("scheduled, unknown count", OPEN, profiles(scaling(**WEEKEND, **capacity("1", "1", UNKNOWN)))),
            Case("scheduled, one way", FAIL, profiles(scaling("Increase", **WEEKEND, **capacity("1", "1", "1")))),
            Case("fixed count all the time", FAIL, profiles(scaling(**capacity("3", "3", "3")))),
            Case("unknown", OPEN, profiles({"rules": UNKNOWN}), path="profiles[0].rules"),
            Case("unknown direction", OPEN, profiles(scaling("Increase", UNKNOWN)), path="profiles[0].rules"),
            Case("both ways and an unknown", PASS, profiles(scaling("Increase", "Decrease", UNKNOWN))),
            Case("wrong type", FAIL, profiles({"rules": "Increase"})),
            Case("wrong type of a rule", FAIL, profiles({"rules": ["Increase", "Decrease"]})),
            Case("wrong type of a direction", FAIL, profiles(scaling(["Increase"], "Decrease"))),
            Case("versioned", FAIL, profiles(scaling("Increase")), type=VERSIONED),
        ],
    ),
]
CASES = [pytest.param(rule, case, id=f"{rule.code}-{case.label}") for rule, cases in TABLE for case in cases]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_verdict(rule: Rule, case: Case) -> None:
    check(rule, case)


@pytest.mark.parametrize("rule", monitor.RULES, ids=lambda rule: rule.code)
def test_examples(rule: Rule) -> None:
    check_examples(rule)


def test_every_rule_has_a_table() -> None:
    assert [rule.code for rule in monitor.RULES] == [rule.code for rule, _ in TABLE]
