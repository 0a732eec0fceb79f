"""Checks of inputs against the installed SDKs: PG01 to PG04."""

from __future__ import annotations

from typing import Any

import pytest

from ringfence.deployment import UNKNOWN, Archive, Asset, ResourceReference, Secret
from ringfence.providers.interface import InputFault
from ringfence.providers.schema import check
from tests.unit.providers import sdks as _sdks  # noqa: F401

ACCOUNT = "azure-native:storage:StorageAccount"
FUNCTION = "aws:lambda/function:Function"
TABLE = "aws:dynamodb/table:Table"
SUBSCRIPTION = "azure-native:eventgrid:EventSubscription"
GOOD_ACCOUNT: dict[str, Any] = {
    "resourceGroupName": "rg",
    "kind": "StorageV2",
    "sku": {"name": "Standard_LRS"},
    "enableHttpsTrafficOnly": True,
    "networkRuleSet": {"defaultAction": "Deny", "ipRules": [{"iPAddressOrRange": "192.0.2.1", "action": "Allow"}]},
    "tags": {"team": "shop"},
}
GOOD_FUNCTION: dict[str, Any] = {"role": "arn:aws:iam::123456789012:role/r", "timeout": 3}


def found(token: str, inputs: dict[str, Any]) -> list[tuple[str, str]]:
    return [(fault.code, fault.path) for fault in check(token, inputs)]


@pytest.mark.parametrize(
    ("token", "inputs"),
    [
        (ACCOUNT, GOOD_ACCOUNT),
        (ACCOUNT, {**GOOD_ACCOUNT, "sku": Secret({"name": "Standard_LRS"}), "tags": Secret(UNKNOWN)}),
        (
            ACCOUNT,
            {**GOOD_ACCOUNT, "sku": UNKNOWN, "kind": UNKNOWN, "resourceGroupName": UNKNOWN, "tags": {"a": UNKNOWN}},
        ),
        (
            ACCOUNT,
            {**GOOD_ACCOUNT, "accountName": None, "networkRuleSet": {"defaultAction": "Deny", "ipRules": [None]}},
        ),
        (ACCOUNT, {**GOOD_ACCOUNT, "resourceGroupName": ResourceReference("urn", "rg"), "__defaults": []}),
        (FUNCTION, {**GOOD_FUNCTION, "code": Archive("file", "app.zip")}),
        (FUNCTION, {**GOOD_FUNCTION, "code": Archive("assets", {"a.py": Asset("text", "")}), "runtime": "python3.13"}),
        (FUNCTION, {**GOOD_FUNCTION, "timeout": 3.0, "environment": {"variables": {"A": Secret("x")}}}),
        ("aws:iam/policy:Policy", {"policy": "{}"}),
        ("aws:iam/policy:Policy", {"policy": {"Version": "2012-10-17", "Statement": {"Effect": "Allow"}}}),
        ("aws:s3/bucketObjectv2:BucketObjectv2", {"bucket": "b", "source": Asset("file", "a.txt")}),
        (SUBSCRIPTION, {"scope": "/s", "destination": {"endpointType": "WebHook", "endpointUrl": "https://x"}}),
        (SUBSCRIPTION, {"scope": "/s", "destination": {"endpointUrl": "https://x"}}),  # cannot be told apart
        ("azure-native:storage/v20220901:StorageAccount", {"nonsense": 1}),  # its types are not installed
        ("shop:index:Thing", {"nonsense": 1}),
    ],
)
def test_what_is_right_or_not_certain_is_no_fault(token: str, inputs: dict[str, Any]) -> None:
    assert check(token, inputs) == []


@pytest.mark.parametrize(
    ("token", "inputs", "expected"),
    [
        (ACCOUNT, {**GOOD_ACCOUNT, "kind": "storagev2"}, ("PG01", "kind")),
        (ACCOUNT, {**GOOD_ACCOUNT, "sku": {"name": "Standard_Banana"}}, ("PG01", "sku.name")),
        (ACCOUNT, {**GOOD_ACCOUNT, "accessTier": "Lukewarm"}, ("PG01", "accessTier")),
        (FUNCTION, {**GOOD_FUNCTION, "runtime": "python3.1"}, ("PG01", "runtime")),
        (
            SUBSCRIPTION,
            {"scope": "/s", "destination": {"endpointType": "Webhook"}},
            ("PG01", "destination.endpointType"),
        ),
        (ACCOUNT, {**GOOD_ACCOUNT, "resourceGroupName": 3}, ("PG02", "resourceGroupName")),
        (ACCOUNT, {**GOOD_ACCOUNT, "enableHttpsTrafficOnly": "true"}, ("PG02", "enableHttpsTrafficOnly")),
        (ACCOUNT, {**GOOD_ACCOUNT, "enableHttpsTrafficOnly": 1}, ("PG02", "enableHttpsTrafficOnly")),
        (ACCOUNT, {**GOOD_ACCOUNT, "kind": 2}, ("PG02", "kind")),
        (ACCOUNT, {**GOOD_ACCOUNT, "sku": "Standard_LRS"}, ("PG02", "sku")),
        (ACCOUNT, {**GOOD_ACCOUNT, "sku": ["Standard_LRS"]}, ("PG02", "sku")),
        (ACCOUNT, {**GOOD_ACCOUNT, "tags": {"cost.centre": 7}}, ("PG02", 'tags["cost.centre"]')),
        (ACCOUNT, {**GOOD_ACCOUNT, "tags": ["a"]}, ("PG02", "tags")),
        (
            ACCOUNT,
            {**GOOD_ACCOUNT, "networkRuleSet": {"defaultAction": "Deny", "ipRules": {}}},
            ("PG02", "networkRuleSet.ipRules"),
        ),
        (FUNCTION, {**GOOD_FUNCTION, "timeout": "3"}, ("PG02", "timeout")),
        (FUNCTION, {**GOOD_FUNCTION, "timeout": 1.5}, ("PG02", "timeout")),
        (FUNCTION, {**GOOD_FUNCTION, "timeout": True}, ("PG02", "timeout")),
        (FUNCTION, {**GOOD_FUNCTION, "code": 7}, ("PG02", "code")),
        (FUNCTION, {**GOOD_FUNCTION, "publish": ResourceReference("urn", "x")}, ("PG02", "publish")),
        ("aws:iam/policy:Policy", {"policy": 7}, ("PG02", "policy")),
        ("aws:iam/policy:Policy", {"policy": ["{}"]}, ("PG02", "policy")),
        (SUBSCRIPTION, {"scope": "/s", "destination": "https://x"}, ("PG02", "destination")),
        (FUNCTION, {**GOOD_FUNCTION, "layers": "arn"}, ("PG02", "layers")),
        (FUNCTION, {**GOOD_FUNCTION, "layers": [Asset("text", "")]}, ("PG02", "layers[0]")),
        (FUNCTION, {**GOOD_FUNCTION, "handler": Archive("file", "a")}, ("PG02", "handler")),
        (ACCOUNT, {**GOOD_ACCOUNT, "minimumTLS": "TLS1_2"}, ("PG03", "minimumTLS")),
        (ACCOUNT, {**GOOD_ACCOUNT, "sku": {"name": "Standard_LRS", "tier": "x"}}, ("PG03", "sku.tier")),
        (
            ACCOUNT,
            {**GOOD_ACCOUNT, "networkRuleSet": {"defaultAction": "Deny", "ip_rules": []}},
            ("PG03", "networkRuleSet.ip_rules"),
        ),
        (
            SUBSCRIPTION,
            {"scope": "/s", "destination": {"endpointType": "WebHook", "endpointURI": "x"}},
            ("PG03", "destination.endpointURI"),
        ),
        (ACCOUNT, {**GOOD_ACCOUNT, "sku": {}}, ("PG04", "sku.name")),
        (ACCOUNT, {**GOOD_ACCOUNT, "sku": {"name": None}}, ("PG04", "sku.name")),
        (ACCOUNT, {key: value for key, value in GOOD_ACCOUNT.items() if key != "kind"}, ("PG04", "kind")),
        (
            ACCOUNT,
            {**GOOD_ACCOUNT, "networkRuleSet": {"defaultAction": "Deny", "ipRules": [{"iPAddressOrRange": "x"}, {}]}},
            ("PG04", "networkRuleSet.ipRules[1].iPAddressOrRange"),
        ),
        (TABLE, {"attributes": [{"name": "id"}]}, ("PG04", "attributes[0].type")),
        (
            "azure-native:web:WebApp",
            {"resourceGroupName": "rg", "siteConfig": {"appSettings": [{"name": 1}]}},
            ("PG02", "siteConfig.appSettings[0].name"),
        ),
        (
            "azure-native:cosmosdb:DatabaseAccount",
            {
                "resourceGroupName": "rg",
                "databaseAccountOfferType": "Standard",
                "locations": [{"failoverPriority": "0"}],
            },
            ("PG02", "locations[0].failoverPriority"),
        ),
        ("aws:sqs/queue:Queue", {"visibilityTimeoutSeconds": "30"}, ("PG02", "visibilityTimeoutSeconds")),
    ],
)
def test_one_thing_that_is_wrong_is_one_fault(token: str, inputs: dict[str, Any], expected: tuple[str, str]) -> None:
    assert found(token, inputs) == [expected]


def test_an_enum_fault_says_what_was_meant() -> None:
    (fault,) = check(ACCOUNT, {**GOOD_ACCOUNT, "kind": "storagev2"})

    assert fault == InputFault(
        "PG01",
        "kind",
        'kind is "storagev2", which is no value that the installed SDK knows.',
        expected="one of Storage, StorageV2, BlobStorage, FileStorage, BlockBlobStorage",
        actual='"storagev2"',
        remedy='Did you mean "StorageV2"?',
    )


def test_an_unknown_key_says_what_was_meant() -> None:
    (fault,) = check(ACCOUNT, {**GOOD_ACCOUNT, "networkRuleSet": {"default_action": "Deny", "defaultAction": "Deny"}})

    assert fault.message == 'networkRuleSet has no property "default_action".'
    assert fault.remedy == 'Did you mean "defaultAction"?'


def test_a_type_fault_says_what_was_expected() -> None:
    (fault,) = check(FUNCTION, {**GOOD_FUNCTION, "timeout": "3"})

    assert (fault.message, fault.expected, fault.actual) == ('timeout is "3", not an integer.', "an integer", '"3"')


def test_a_missing_input_says_so() -> None:
    (fault,) = check(ACCOUNT, {**GOOD_ACCOUNT, "sku": {}})

    assert fault.message == "sku.name is required and missing."


@pytest.mark.parametrize(
    "inputs",
    [
        {**GOOD_ACCOUNT, "kind": Secret("hunter2")},
        {**GOOD_ACCOUNT, "enableHttpsTrafficOnly": Secret("hunter2")},
        {**GOOD_ACCOUNT, "sku": Secret({"name": "hunter2"})},
        {**GOOD_ACCOUNT, "sku": Secret("hunter2")},
        {**GOOD_ACCOUNT, "sku": Secret({"name": "Standard_LRS", "hunter2": 1})},
        {**GOOD_ACCOUNT, "tags": Secret({"hunter2": 1})},
        {**GOOD_ACCOUNT, "tags": Secret(["hunter2"])},
        {**GOOD_ACCOUNT, "networkRuleSet": {"defaultAction": "Deny", "ipRules": [Secret({"hunter2": 1})]}},
    ],
)
def test_a_secret_is_checked_and_never_shown(inputs: dict[str, Any]) -> None:
    faults = check(ACCOUNT, inputs)

    assert faults
    assert "hunter2" not in repr(faults)


def test_all_faults_are_found() -> None:
    inputs = {"kind": "x", "sku": {"name": 1}, "nonsense": 1}

    assert sorted(found(ACCOUNT, inputs)) == [
        ("PG01", "kind"),
        ("PG02", "sku.name"),
        ("PG03", "nonsense"),
        ("PG04", "resourceGroupName"),
    ]
