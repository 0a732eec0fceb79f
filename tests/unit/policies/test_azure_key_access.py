from __future__ import annotations

from typing import Any

import pytest

from ringfence.deployment import UNKNOWN, Secret
from ringfence.policy.rule import Rule
from ringfence.policy.verdict import Verdict
from ringfence_policies.azure import key_access, private_access
from tests.unit.policies.cases import Case, check, check_examples

PASS, FAIL, OPEN, SKIP = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN, Verdict.NOT_APPLICABLE
RULES = (*key_access.RULES, *private_access.RULES)

PLACES: list[tuple[Rule, str, list[Any], list[Any]]] = [
    (key_access.no_shared_key, "allowSharedKeyAccess", [False], [True, "false", 0]),
    (key_access.entra_by_default, "defaultToOAuthAuthentication", [True], [False, "true", 1]),
    (
        key_access.sas_expiry,
        "sasPolicy.sasExpirationPeriod",
        ["1.00:00:00", "0.12:30:00", "7.00:00:00"],
        ["7.00:00:01", "8.00:00:00", "0.00:00:00", "P7D", "", 7],
    ),
    (key_access.key_expiry, "keyPolicy.keyExpirationPeriodInDays", [1, 90, 90.0], [0, 91, 1.5, "soon"]),
    (key_access.no_local_auth, "disableLocalAuth", [True], [False, "true", 1]),
    (key_access.identity_datastores, "systemDatastoresAuthMode", ["Identity", "identity"], ["AccessKey", "", True]),
    (
        private_access.account_not_public,
        "publicNetworkAccess",
        ["Disabled", "SecuredByPerimeter"],
        ["Enabled", "", False],
    ),
    (
        private_access.cosmos_not_public,
        "publicNetworkAccess",
        ["Disabled", "SecuredByPerimeter"],
        ["Enabled", "", False],
    ),
    (
        private_access.namespace_not_public,
        "publicNetworkAccess",
        ["Disabled", "SecuredByPerimeter"],
        ["Enabled", "", False],
    ),
    (private_access.vault_not_public, "properties.publicNetworkAccess", ["Disabled"], ["Enabled", "", False]),
    (private_access.workspace_not_public, "publicNetworkAccess", ["Disabled"], ["Enabled", "", False]),
    (
        private_access.managed_network,
        "managedNetwork.isolationMode",
        ["AllowOnlyApprovedOutbound"],
        ["AllowInternetOutbound", "Disabled", "", True],
    ),
    (private_access.endpoint_not_public, "properties.publicNetworkAccess", ["Disabled"], ["Enabled", "", False]),
]
"""Rule, the property that decides, values that pass, values that fail. Absent fails for each."""


def put(path: str, value: Any) -> dict[str, Any]:
    first, _, rest = path.partition(".")
    return {first: put(rest, value) if rest else value}


def versioned(token: str) -> str:
    package, module, name = token.split(":")
    return f"{package}:{module}/v20240101:{name}"


def cases(path: str, good: list[Any], bad: list[Any], token: str) -> list[Case]:
    rows = [Case(f"pass {value!r}", PASS, put(path, value)) for value in good]
    rows += [Case(f"fail {value!r}", FAIL, put(path, value), path=path) for value in bad]
    rows += [
        Case("absent", FAIL, {}, path=path),
        Case("null", FAIL, put(path, None), path=path),
        Case("unknown", OPEN, put(path, UNKNOWN), path=path),
        Case("list", FAIL, put(path, [good[0]]), path=path),
        Case("object", FAIL, put(path, {"value": good[0]}), path=path),
        Case("secret pass", PASS, put(path, Secret(good[0]))),
        Case("secret fail", FAIL, put(path, Secret(bad[0])), path=path),
        Case("versioned", FAIL, put(path, bad[0]), type=versioned(token)),
        Case("versioned pass", PASS, put(path, good[0]), type=versioned(token)),
    ]
    if "." in path:
        parent = path.rpartition(".")[0]
        rows += [
            Case("the object is unknown", OPEN, put(parent, UNKNOWN)),
            Case("the object is none", FAIL, put(parent, "text")),
            Case("the object is empty", FAIL, put(parent, {}), path=path),
        ]
    return rows


TABLE = [(rule, case) for rule, path, good, bad in PLACES for case in cases(path, good, bad, rule.types[0])]
ACLS = "properties.networkAcls.defaultAction"
TABLE += [
    (private_access.vault_not_public, Case("firewall", PASS, put(ACLS, "Deny"))),
    (private_access.vault_not_public, Case("open firewall", FAIL, put(ACLS, "Allow"))),
    (private_access.vault_not_public, Case("firewall unknown", OPEN, put(ACLS, UNKNOWN))),
    (
        private_access.vault_not_public,
        Case(
            "public behind a firewall",
            PASS,
            {"properties": {"publicNetworkAccess": "Enabled", "networkAcls": {"defaultAction": "Deny"}}},
        ),
    ),
    (key_access.identity_datastores, Case("project", SKIP, {"kind": "Project"})),
    (key_access.identity_datastores, Case("hub", FAIL, {"kind": "Hub"})),
    (
        key_access.sas_expiry,
        Case("longer allowed", PASS, put("sasPolicy.sasExpirationPeriod", "30.00:00:00"), parameters={"days": 30}),
    ),
    (
        key_access.key_expiry,
        Case("shorter asked", FAIL, put("keyPolicy.keyExpirationPeriodInDays", 90), parameters={"days": 30}),
    ),
]


@pytest.mark.parametrize(
    ("rule", "case"), [pytest.param(rule, case, id=f"{rule.code}-{case.label}") for rule, case in TABLE]
)
def test_verdict(rule: Rule, case: Case) -> None:
    check(rule, case)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_examples(rule: Rule) -> None:
    check_examples(rule)


def test_every_rule_is_in_the_table() -> None:
    assert {rule.code for rule, *_ in PLACES} == {rule.code for rule in RULES}
