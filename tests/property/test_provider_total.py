"""The offline provider raises nothing, whatever the inputs are, and answers the same every time."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringfence.deployment import UNKNOWN, Archive, Asset, ResourceReference, Secret, to_json
from ringfence.providers.interface import OutputMode, Registration
from ringfence.providers.offline import OfflineProvider
from ringfence.providers.sdk_types import describe
from tests.unit.providers import sdks as _sdks  # noqa: F401

TOKENS = [
    "azure-native:storage:StorageAccount",
    "azure-native:storage:BlobContainer",
    "azure-native:storage/v20220901:StorageAccount",
    "azure-native:web:WebApp",
    "azure-native:keyvault:Vault",
    "azure-native:eventgrid:EventSubscription",
    "azure-native:authorization:RoleAssignment",
    "azure-native:nowhere:Nothing",
    "aws:lambda/function:Function",
    "aws:sqs/queue:Queue",
    "aws:dynamodb/table:Table",
    "aws:iam/policy:Policy",
    "aws:nowhere/nothing:Nothing",
    "shop:index:Cart",
]
FUNCTIONS = [
    "aws:iam/getPolicyDocument:getPolicyDocument",
    "aws:index/getAvailabilityZones:getAvailabilityZones",
    "aws:index/getArn:getArn",
    "aws:index/getRegion:getRegion",
    "aws:ec2/getAmi:getAmi",
    "aws:ssm/getParameter:getParameter",
    "aws:lambda/getFunction:getFunction",
    "azure-native:authorization:getClientConfig",
    "azure-native:cosmosdb:listDatabaseAccountConnectionStrings",
    "azure-native:servicebus:listQueueKeys",
    "azure-native:storage:listStorageAccountKeys",
    "azure-native:storage:getStorageAccount",
]
KEYS = st.text(max_size=5) | st.sampled_from(["name", "type", "defaultTags", "tags", "statements", "sid", "actions"])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(["SystemAssigned", "StorageV2", "arn:aws:sqs:us-east-1:1:q", "{}", "*"])
    | st.just(UNKNOWN)
    | st.builds(Asset, st.just("text"), st.text(max_size=3))
    | st.builds(Archive, st.just("file"), st.text(max_size=3))
    | st.builds(ResourceReference, st.just("urn"), st.none() | st.text(max_size=3) | st.just(UNKNOWN))
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3) | st.builds(Secret, inner),
    max_leaves=8,
)


def _inputs_of(token: str) -> st.SearchStrategy[dict[str, Any]]:
    described = describe(token)
    known = sorted(described.inputs.types) if described is not None and described.inputs is not None else []
    keys = st.sampled_from(known) | KEYS if known else KEYS
    return st.dictionaries(keys, VALUES, max_size=8)


@st.composite
def registrations(draw: st.DrawFn) -> Registration:
    """Draw a registration of a known or unknown type with inputs that may be anything."""
    token = draw(st.sampled_from(TOKENS))
    name = draw(st.text(max_size=9))
    return Registration(
        urn=f"urn:pulumi:dev::shop::{token}::{name}",
        type=token,
        name=name,
        inputs=draw(_inputs_of(token)),
        project="shop",
        stack="dev",
        custom=draw(st.booleans()),
        import_id=draw(st.none() | st.text(max_size=9) | st.just("arn:aws:sns:us-east-1:1:t")),
        provider_inputs=draw(st.dictionaries(st.sampled_from(["region", "subscriptionId", "defaultTags"]), VALUES)),
    )


def _text(value: Any) -> str:
    return json.dumps(to_json(value), sort_keys=True, default=repr)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(registrations(), st.sampled_from(get_args(OutputMode)))
def test_every_registration_is_answered_and_always_the_same(item: Registration, mode: OutputMode) -> None:
    provider = OfflineProvider(mode)
    provider.check(item)
    created = provider.create(item)

    assert created.id is UNKNOWN or isinstance(created.id, str)
    assert (_text(created.id), _text(created.outputs)) == (
        _text(OfflineProvider(mode).create(item).id),
        _text(OfflineProvider(mode).read(item).outputs),
    )


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(FUNCTIONS),
    st.dictionaries(KEYS | st.sampled_from(["arn", "region", "excludeNames", "accountName"]), VALUES, max_size=5),
    st.dictionaries(st.just("region"), VALUES),
)
def test_every_function_is_answered(token: str, arguments: dict[str, Any], provider_inputs: dict[str, Any]) -> None:
    answer = OfflineProvider().invoke(token, arguments, provider_inputs)

    assert answer.known or not answer.value


@settings(deadline=None)
@given(VALUES.filter(lambda value: value is not None))
def test_no_fault_shows_a_secret(value: Any) -> None:
    item = Registration("urn", TOKENS[0], "n", {"tags": Secret({"hunter2": value})}, "p", "s")

    assert "hunter2" not in repr(OfflineProvider().check(item))


@pytest.mark.parametrize("token", TOKENS)
def test_no_inputs_are_answered_too(token: str) -> None:
    item = Registration("urn", token, "n", {}, "p", "s")

    assert OfflineProvider().create(item).id is not None
