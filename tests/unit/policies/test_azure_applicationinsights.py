from __future__ import annotations

import pytest

from ringfence.deployment import UNKNOWN, Secret
from ringfence.policy.rule import Rule, Sample
from ringfence.policy.verdict import Verdict
from ringfence_policies.azure import applicationinsights
from tests.unit.policies.cases import Case, check, check_examples

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN
WORKSPACE = Sample("azure-native:operationalinsights:Workspace", {}, name="logs")

TABLE: list[tuple[Rule, list[Case]]] = [
    (
        applicationinsights.workspace,
        [
            Case("pass", PASS, {"workspaceResourceId": "/subscriptions/s/resourceGroups/g/providers/w"}),
            Case("secret", PASS, {"workspaceResourceId": Secret("/subscriptions/s")}),
            Case("fail", FAIL, {"workspaceResourceId": ""}, path="workspaceResourceId"),
            Case("blank", FAIL, {"workspaceResourceId": "  "}),
            Case("absent", FAIL, {}, path="workspaceResourceId"),
            Case("null", FAIL, {"workspaceResourceId": None}),
            Case("unknown", OPEN, {"workspaceResourceId": UNKNOWN}, path="workspaceResourceId"),
            Case(
                "unknown, of a workspace",
                PASS,
                {"workspaceResourceId": UNKNOWN},
                others=(WORKSPACE,),
                feeds={"workspaceResourceId": ("logs",)},
            ),
            Case("wrong type", FAIL, {"workspaceResourceId": 7}),
            Case("list", FAIL, {"workspaceResourceId": ["/subscriptions/s"]}),
            Case("versioned", FAIL, {}, type="azure-native:applicationinsights/v20200202:Component"),
            Case("moved", FAIL, {}, type="azure-native:insights:Component"),
        ],
    ),
]
CASES = [pytest.param(rule, case, id=f"{rule.code}-{case.label}") for rule, cases in TABLE for case in cases]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_verdict(rule: Rule, case: Case) -> None:
    check(rule, case)


@pytest.mark.parametrize("rule", applicationinsights.RULES, ids=lambda rule: rule.code)
def test_examples(rule: Rule) -> None:
    check_examples(rule)


def test_every_rule_has_a_table() -> None:
    assert [rule.code for rule in applicationinsights.RULES] == [rule.code for rule, _ in TABLE]
