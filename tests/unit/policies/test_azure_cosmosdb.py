from __future__ import annotations

from typing import Any

import pytest

from ringfence.deployment import UNKNOWN
from ringfence.policy.rule import Rule
from ringfence.policy.verdict import Verdict
from ringfence_policies.azure import cosmosdb
from tests.unit.policies.cases import Case, check, check_examples

PASS, FAIL, OPEN, SKIP = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN, Verdict.NOT_APPLICABLE
VERSIONED = "azure-native:documentdb/v20240515:DatabaseAccount"
MOVED = "azure-native:documentdb:DatabaseAccount"


def addresses(*items: Any) -> dict[str, Any]:
    return {"ipRules": [{"ipAddressOrRange": item} for item in items]}


def api(*names: Any, **inputs: Any) -> dict[str, Any]:
    return {"capabilities": [{"name": name} for name in names], **inputs}


TABLE: list[tuple[Rule, list[Case]]] = [
    (
        cosmosdb.no_local_auth,
        [
            Case("pass", PASS, {"disableLocalAuth": True}),
            Case("fail", FAIL, {"disableLocalAuth": False}, path="disableLocalAuth"),
            Case("absent", FAIL, {}, path="disableLocalAuth"),
            Case("kind of the API", FAIL, {"kind": "GlobalDocumentDB"}),
            Case("another API by kind", SKIP, {"kind": "MongoDB"}),
            Case("another API by capability", SKIP, api("EnableServerless", "EnableCassandra")),
            Case("a capability that is no API", FAIL, api("EnableServerless")),
            Case("unknown kind", OPEN, {"kind": UNKNOWN}, path="kind"),
            Case("unknown capability", OPEN, api("EnableServerless", UNKNOWN), path="capabilities"),
            Case("unknown kind without keys", PASS, {"kind": UNKNOWN, "disableLocalAuth": True}),
            Case("unknown", OPEN, {"disableLocalAuth": UNKNOWN}, path="disableLocalAuth"),
            Case("wrong type", FAIL, {"disableLocalAuth": "true"}),
            Case("list", FAIL, {"disableLocalAuth": [True]}),
            Case("versioned", FAIL, {}, type=VERSIONED),
            Case("moved", FAIL, {}, type=MOVED),
        ],
    ),
    (
        cosmosdb.no_all_azure_rule,
        [
            Case("pass", PASS, addresses("203.0.113.7", "198.51.100.0/24")),
            Case(
                "one bad element",
                FAIL,
                addresses("203.0.113.7", "0.0.0.0"),
                path="ipRules[1].ipAddressOrRange",
            ),
            Case("with a prefix", FAIL, addresses("0.0.0.0/32")),
            Case("everyone", FAIL, addresses("0.0.0.0/0")),
            Case("with spaces", FAIL, addresses(" 0.0.0.0 ")),
            Case("no address", FAIL, addresses("anywhere")),
            Case("absent", PASS, {}),
            Case("empty rule", PASS, addresses(None)),
            Case("unknown", OPEN, {"ipRules": UNKNOWN}, path="ipRules[*]"),
            Case("one unknown element", OPEN, addresses("203.0.113.7", UNKNOWN)),
            Case("a failure wins over an unknown", FAIL, addresses(UNKNOWN, "0.0.0.0")),
            Case("wrong type", FAIL, {"ipRules": "203.0.113.7"}, path="ipRules"),
            Case("wrong type of a rule", FAIL, {"ipRules": ["203.0.113.7"]}),
            Case("wrong type of an address", FAIL, addresses(0)),
            Case("old filter, pass", PASS, {"ipRangeFilter": "203.0.113.7,198.51.100.0/24"}),
            Case("old filter, empty", PASS, {"ipRangeFilter": ""}),
            Case("old filter, one bad", FAIL, {"ipRangeFilter": "203.0.113.7, 0.0.0.0"}, path="ipRangeFilter"),
            Case("old filter, unknown", OPEN, {"ipRangeFilter": UNKNOWN}, path="ipRangeFilter"),
            Case("old filter, wrong type", FAIL, {"ipRangeFilter": ["0.0.0.0"]}, path="ipRangeFilter"),
            Case("versioned", FAIL, addresses("0.0.0.0"), type=VERSIONED),
        ],
    ),
    (
        cosmosdb.minimum_tls,
        [
            Case("pass", PASS, {"minimalTlsVersion": "Tls12"}),
            Case("other case", PASS, {"minimalTlsVersion": "TLS12"}),
            Case("fail", FAIL, {"minimalTlsVersion": "Tls11"}, path="minimalTlsVersion"),
            Case("another service's spelling", FAIL, {"minimalTlsVersion": "1.2"}),
            Case("absent", PASS, {}),
            Case("unknown", OPEN, {"minimalTlsVersion": UNKNOWN}, path="minimalTlsVersion"),
            Case("wrong type", FAIL, {"minimalTlsVersion": 12}),
            Case("list", FAIL, {"minimalTlsVersion": ["Tls12"]}),
            Case("versioned", FAIL, {"minimalTlsVersion": "Tls"}, type=VERSIONED),
        ],
    ),
]
CASES = [pytest.param(rule, case, id=f"{rule.code}-{case.label}") for rule, cases in TABLE for case in cases]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_verdict(rule: Rule, case: Case) -> None:
    check(rule, case)


@pytest.mark.parametrize("rule", cosmosdb.RULES, ids=lambda rule: rule.code)
def test_examples(rule: Rule) -> None:
    check_examples(rule)


def test_every_rule_has_a_table() -> None:
    assert [rule.code for rule in cosmosdb.RULES] == [rule.code for rule, _ in TABLE]
