from __future__ import annotations

from typing import Any

import pytest

from ringfence.deployment import UNKNOWN
from ringfence.policy.rule import Sample
from ringfence.policy.verdict import Verdict
from ringfence_policies.azure import diagnostics
from tests.unit.policies.cases import Case, check, check_examples

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN
ID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/mine"
MINE = {"id": ID}


def setting(uri: Any, *feeds: str, token: str = diagnostics.SETTING) -> tuple[Sample, ...]:
    return (Sample(token, {"resourceUri": uri}, name="logs", feeds={"resourceUri": feeds} if feeds else {}),)


OTHER = Sample(diagnostics.VAULT, {}, name="other", outputs={"id": ID.replace("mine", "other")})
TABLE = [
    Case("none", FAIL, {}, outputs=MINE),
    Case("by id", PASS, {}, outputs=MINE, others=setting(ID)),
    Case("by id in other case", PASS, {}, outputs=MINE, others=setting(ID.lower() + "/")),
    Case("by dependency, unknown", PASS, {}, others=setting(UNKNOWN, "example")),
    Case("of another", FAIL, {}, outputs=MINE, others=(OTHER, *setting(UNKNOWN, "other"))),
    Case("id of another", FAIL, {}, outputs=MINE, others=setting(ID.replace("mine", "other"))),
    Case("a part of it", FAIL, {}, outputs=MINE, others=setting(ID + "/secrets/a")),
    Case("an id beside an unknown one", OPEN, {}, outputs={"id": UNKNOWN}, others=setting(ID)),
    Case("unknown", OPEN, {}, outputs=MINE, others=setting(UNKNOWN)),
    Case("wrong type", FAIL, {}, outputs=MINE, others=setting([ID])),
    Case("absent", FAIL, {}, outputs=MINE, others=setting(None)),
    Case(
        "versioned",
        PASS,
        {},
        outputs=MINE,
        type="azure-native:keyvault/v20230701:Vault",
        others=setting(ID, token="azure-native:monitor/v20210501preview:DiagnosticSetting"),
    ),
    Case("versioned, none", FAIL, {}, outputs=MINE, type="azure-native:keyvault/v20230701:Vault"),
]


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.label)
def test_verdict(case: Case) -> None:
    check(diagnostics.diagnostics_exist, case)


def test_examples() -> None:
    check_examples(diagnostics.diagnostics_exist)
