from __future__ import annotations

import pytest

from ringfence.deployment import UNKNOWN
from ringfence.policy.rule import Rule
from ringfence.policy.verdict import Verdict
from ringfence_policies.azure import servicebus
from tests.unit.policies.cases import Case, check, check_examples

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN
V_NAMESPACE = "azure-native:servicebus/v20220101preview:Namespace"
V_QUEUE = "azure-native:servicebus/v20211101:Queue"
V_SUBSCRIPTION = "azure-native:servicebus/v20211101:Subscription"

TABLE: list[tuple[Rule, list[Case]]] = [
    (
        servicebus.no_local_auth,
        [
            Case("pass", PASS, {"disableLocalAuth": True}),
            Case("fail", FAIL, {"disableLocalAuth": False}, path="disableLocalAuth"),
            Case("absent", FAIL, {}, path="disableLocalAuth"),
            Case("null", FAIL, {"disableLocalAuth": None}, path="disableLocalAuth"),
            Case("Basic tier too", FAIL, {"sku": {"name": "Basic"}}),
            Case("unknown", OPEN, {"disableLocalAuth": UNKNOWN}, path="disableLocalAuth"),
            Case("wrong type", FAIL, {"disableLocalAuth": "true"}),
            Case("list", FAIL, {"disableLocalAuth": [True]}),
            Case("versioned", FAIL, {}, type=V_NAMESPACE),
        ],
    ),
    (
        servicebus.minimum_tls,
        [
            Case("pass", PASS, {"minimumTlsVersion": "1.2"}),
            Case("newer", PASS, {"minimumTlsVersion": "1.3"}),
            Case("fail", FAIL, {"minimumTlsVersion": "1.1"}, path="minimumTlsVersion"),
            Case("another service's spelling", FAIL, {"minimumTlsVersion": "TLS1_2"}),
            Case("absent", FAIL, {}, path="minimumTlsVersion"),
            Case("unknown", OPEN, {"minimumTlsVersion": UNKNOWN}, path="minimumTlsVersion"),
            Case("wrong type", FAIL, {"minimumTlsVersion": 1.2}),
            Case("list", FAIL, {"minimumTlsVersion": ["1.2"]}),
            Case("versioned", FAIL, {"minimumTlsVersion": "1.0"}, type=V_NAMESPACE),
        ],
    ),
    (
        servicebus.no_manage_right,
        [
            Case("pass", PASS, {"rights": ["Listen", "Send"]}),
            Case("one bad element", FAIL, {"rights": ["Listen", "Send", "Manage"]}, path="rights[2]"),
            Case("other case", FAIL, {"rights": ["manage"]}),
            Case("of a queue", FAIL, {"rights": ["Manage"]}, type=servicebus.QUEUE_KEY),
            Case("of a topic", FAIL, {"rights": ["Manage"]}, type=servicebus.TOPIC_KEY),
            Case("absent", PASS, {}),
            Case("null element", PASS, {"rights": [None, "Listen"]}),
            Case("unknown", OPEN, {"rights": UNKNOWN}, path="rights[*]"),
            Case("one unknown element", OPEN, {"rights": ["Listen", UNKNOWN]}, path="rights[1]"),
            Case("a failure wins over an unknown", FAIL, {"rights": [UNKNOWN, "Manage"]}),
            Case("wrong type", FAIL, {"rights": "Listen"}, path="rights"),
            Case("wrong type of an element", FAIL, {"rights": [7]}, path="rights[0]"),
            Case(
                "versioned",
                FAIL,
                {"rights": ["Manage"]},
                type="azure-native:servicebus/v20211101:QueueAuthorizationRule",
            ),
        ],
    ),
    (
        servicebus.dead_letter_on_expiry,
        [
            Case("pass", PASS, {"deadLetteringOnMessageExpiration": True}),
            Case("fail", FAIL, {"deadLetteringOnMessageExpiration": False}, path="deadLetteringOnMessageExpiration"),
            Case("absent", FAIL, {}, path="deadLetteringOnMessageExpiration"),
            Case(
                "of a subscription, pass",
                PASS,
                {"deadLetteringOnMessageExpiration": True},
                type=servicebus.SUBSCRIPTION,
            ),
            Case("of a subscription, fail", FAIL, {}, type=servicebus.SUBSCRIPTION),
            Case("unknown", OPEN, {"deadLetteringOnMessageExpiration": UNKNOWN}),
            Case("wrong type", FAIL, {"deadLetteringOnMessageExpiration": "true"}),
            Case("list", FAIL, {"deadLetteringOnMessageExpiration": [True]}),
            Case("versioned", FAIL, {}, type=V_QUEUE),
        ],
    ),
    (
        servicebus.max_delivery_count,
        [
            Case("pass", PASS, {"maxDeliveryCount": 5}),
            Case("a float on the wire", PASS, {"maxDeliveryCount": 5.0}),
            Case("lowest", PASS, {"maxDeliveryCount": 3}),
            Case("highest", PASS, {"maxDeliveryCount": 10}),
            Case("too low", FAIL, {"maxDeliveryCount": 2}, path="maxDeliveryCount"),
            Case("too high", FAIL, {"maxDeliveryCount": 11}, path="maxDeliveryCount"),
            Case("absent", PASS, {}),
            Case("absent, default out of bounds", FAIL, {}, "maxDeliveryCount", {"maximumDeliveryCount": 5}),
            Case("parameters", PASS, {"maxDeliveryCount": 100}, parameters={"maximumDeliveryCount": 100}),
            Case("parameter of the minimum", FAIL, {"maxDeliveryCount": 5}, parameters={"minimumDeliveryCount": 6}),
            Case("of a subscription", FAIL, {"maxDeliveryCount": 1}, type=servicebus.SUBSCRIPTION),
            Case("unknown", OPEN, {"maxDeliveryCount": UNKNOWN}, path="maxDeliveryCount"),
            Case("a number as text", PASS, {"maxDeliveryCount": "5"}),
            Case("wrong type", FAIL, {"maxDeliveryCount": "five"}),
            Case("boolean", FAIL, {"maxDeliveryCount": True}),
            Case("list", FAIL, {"maxDeliveryCount": [5]}),
            Case("versioned", FAIL, {"maxDeliveryCount": 1}, type=V_SUBSCRIPTION),
        ],
    ),
]
CASES = [pytest.param(rule, case, id=f"{rule.code}-{case.label}") for rule, cases in TABLE for case in cases]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_verdict(rule: Rule, case: Case) -> None:
    check(rule, case)


@pytest.mark.parametrize("rule", servicebus.RULES, ids=lambda rule: rule.code)
def test_examples(rule: Rule) -> None:
    check_examples(rule)


def test_every_rule_has_a_table() -> None:
    assert [rule.code for rule in servicebus.RULES] == [rule.code for rule, _ in TABLE]
