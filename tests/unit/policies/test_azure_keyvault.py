from __future__ import annotations

from typing import Any

import pytest

from ringfence.deployment import UNKNOWN
from ringfence.policy.rule import Rule
from ringfence.policy.verdict import Verdict
from ringfence_policies.azure import keyvault
from tests.unit.policies.cases import Case, check, check_examples

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN
VERSIONED = "azure-native:keyvault/v20230701:Vault"


def vault(**properties: Any) -> dict[str, Any]:
    return {"properties": properties}


TABLE: list[tuple[Rule, list[Case]]] = [
    (
        keyvault.purge_protection,
        [
            Case("pass", PASS, vault(enablePurgeProtection=True)),
            Case("fail", FAIL, vault(enablePurgeProtection=False), path="properties.enablePurgeProtection"),
            Case("absent", FAIL, vault(), path="properties.enablePurgeProtection"),
            Case("no properties", FAIL, {}),
            Case("beside the properties", FAIL, {"enablePurgeProtection": True}),
            Case("unknown", OPEN, vault(enablePurgeProtection=UNKNOWN), path="properties.enablePurgeProtection"),
            Case("unknown properties", OPEN, {"properties": UNKNOWN}),
            Case("wrong type", FAIL, vault(enablePurgeProtection="true")),
            Case("wrong type of the properties", FAIL, {"properties": [{"enablePurgeProtection": True}]}),
            Case("versioned", FAIL, vault(), type=VERSIONED),
        ],
    ),
    (
        keyvault.soft_delete,
        [
            Case("pass", PASS, vault(enableSoftDelete=True, softDeleteRetentionInDays=90)),
            Case("absent", PASS, vault()),
            Case("fail", FAIL, vault(enableSoftDelete=False), path="properties.enableSoftDelete"),
            Case("too short", FAIL, vault(softDeleteRetentionInDays=6), path="properties.softDeleteRetentionInDays"),
            Case("too long for the service", FAIL, vault(softDeleteRetentionInDays=91)),
            Case("parameter, pass", PASS, vault(softDeleteRetentionInDays=30), parameters={"days": 30}),
            Case("parameter, fail", FAIL, vault(softDeleteRetentionInDays=29), parameters={"days": 30}),
            Case("unknown", OPEN, vault(enableSoftDelete=UNKNOWN), path="properties.enableSoftDelete"),
            Case("unknown days", OPEN, vault(softDeleteRetentionInDays=UNKNOWN)),
            Case(
                "a failure wins over an unknown", FAIL, vault(enableSoftDelete=False, softDeleteRetentionInDays=UNKNOWN)
            ),
            Case("wrong type", FAIL, vault(enableSoftDelete="false")),
            Case("wrong type of days", FAIL, vault(softDeleteRetentionInDays=True)),
            Case("versioned", FAIL, vault(enableSoftDelete=False), type=VERSIONED),
        ],
    ),
    (
        keyvault.rbac,
        [
            Case("pass", PASS, vault(enableRbacAuthorization=True)),
            Case("empty policies", PASS, vault(enableRbacAuthorization=True, accessPolicies=[])),
            Case("fail", FAIL, vault(enableRbacAuthorization=False), path="properties.enableRbacAuthorization"),
            Case("absent", FAIL, vault(), path="properties.enableRbacAuthorization"),
            Case(
                "policies",
                FAIL,
                vault(enableRbacAuthorization=True, accessPolicies=[{"objectId": "o"}]),
                path="properties.accessPolicies",
            ),
            Case("an unknown policy is one", FAIL, vault(enableRbacAuthorization=True, accessPolicies=[UNKNOWN])),
            Case("unknown", OPEN, vault(enableRbacAuthorization=UNKNOWN), path="properties.enableRbacAuthorization"),
            Case("unknown policies", OPEN, vault(enableRbacAuthorization=True, accessPolicies=UNKNOWN)),
            Case("a failure wins over an unknown", FAIL, vault(enableRbacAuthorization=False, accessPolicies=UNKNOWN)),
            Case("wrong type", FAIL, vault(enableRbacAuthorization=1)),
            Case("wrong type of policies", FAIL, vault(enableRbacAuthorization=True, accessPolicies={"objectId": "o"})),
            Case("versioned", FAIL, vault(), type=VERSIONED),
        ],
    ),
]
CASES = [pytest.param(rule, case, id=f"{rule.code}-{case.label}") for rule, cases in TABLE for case in cases]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_verdict(rule: Rule, case: Case) -> None:
    check(rule, case)


@pytest.mark.parametrize("rule", keyvault.RULES, ids=lambda rule: rule.code)
def test_examples(rule: Rule) -> None:
    check_examples(rule)


def test_every_rule_has_a_table() -> None:
    assert [rule.code for rule in keyvault.RULES] == [rule.code for rule, _ in TABLE]
