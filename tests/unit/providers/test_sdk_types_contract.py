"""The private parts of pulumi and of the provider SDKs that `sdk_types` reads are as it expects them.

A failure here means that an SDK changed: look at `sdk_types` before anything else.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any, Optional, Union

import pulumi
import pytest
from pulumi import _types
from pulumi.runtime import rpc

from ringfence.providers import sdk_types
from ringfence.providers.arm_paths import PATHS
from ringfence.providers.sdk_types import (
    AnyType,
    AssetType,
    EnumType,
    ListType,
    MapType,
    ObjectType,
    ScalarType,
    UnionType,
    describe,
    fields_of,
    resource_class,
    result_class,
)
from tests.unit.providers.sdks import aws, azure_native

STRING = ScalarType("string")

RESOURCES = [
    ("azure-native:storage:StorageAccount", azure_native.storage, "StorageAccount"),
    ("azure-native:web:WebApp", azure_native.web, "WebApp"),
    ("azure-native:cosmosdb:DatabaseAccount", azure_native.cosmosdb, "DatabaseAccount"),
    ("azure-native:resources:ResourceGroup", azure_native.resources, "ResourceGroup"),
    ("aws:lambda/function:Function", aws.lambda_, "Function"),
    ("aws:sqs/queue:Queue", aws.sqs, "Queue"),
    ("aws:iam/role:Role", aws.iam, "Role"),
    ("aws:dynamodb/table:Table", aws.dynamodb, "Table"),
    ("aws:sagemaker/endpoint:Endpoint", aws.sagemaker, "Endpoint"),
]


def test_the_private_functions_of_pulumi_exist() -> None:
    functions = (
        _types._py_properties,
        _types.input_type_types,
        _types.is_input_type,
        _types.is_output_type,
        _types.output_type_types,
        _types.resource_types,
    )

    assert all(len(inspect.signature(function).parameters) == 1 for function in functions)
    assert isinstance(rpc._RESOURCE_MODULES, dict)
    assert isinstance(rpc._RESOURCE_PACKAGES, dict)


@pytest.mark.parametrize(("package", "module"), [("azure-native", "storage"), ("aws", "lambda/function")])
def test_a_registered_module_tells_its_classes(package: str, module: str) -> None:
    (registered,) = rpc._RESOURCE_MODULES[f"{package}:{module}"]
    info: Any = registered.mod_info  # type: ignore[attr-defined]

    assert {"fqn", "classes"} <= info.keys()
    assert all(token.startswith(f"{package}:{module}:") for token in info["classes"])


@pytest.mark.parametrize("package", ["azure-native", "aws"])
def test_a_registered_package_tells_its_root(package: str) -> None:
    (registered,) = rpc._RESOURCE_PACKAGES[package]

    assert registered.pkg_info["fqn"] == f"pulumi_{package.replace('-', '_')}"  # type: ignore[attr-defined]


@pytest.mark.parametrize(("token", "module", "name"), RESOURCES)
def test_a_resource_is_found_with_inputs_and_outputs(token: str, module: Any, name: str) -> None:
    expected = getattr(module, name)
    described = describe(token)

    assert described is not None
    assert described.cls is expected
    assert described.inputs is not None
    parameters = set(inspect.signature(expected._internal_init).parameters) - {
        "__self__",
        "resource_name",
        "opts",
        "__props__",
    }
    assert set(described.inputs.python_names) == parameters
    assert described.outputs
    assert "urn" not in described.outputs


def test_inputs_have_their_types() -> None:
    described = describe("azure-native:storage:StorageAccount")
    assert described is not None
    assert described.inputs is not None
    types = described.inputs.types

    assert described.inputs.required == {"kind", "resourceGroupName", "sku"}
    assert types["accountName"] == STRING
    assert types["allowBlobPublicAccess"] == ScalarType("boolean")
    assert isinstance(types["kind"], EnumType)
    assert "StorageV2" in types["kind"].values
    assert types["sku"] == ObjectType(azure_native.storage.SkuArgs)
    assert types["tags"] == MapType(STRING)
    assert described.outputs["primaryEndpoints"] == ObjectType(azure_native.storage.outputs.EndpointsResponse)


def test_nested_inputs_have_their_types() -> None:
    fields = fields_of(azure_native.storage.NetworkRuleSetArgs)

    assert fields.types["ipRules"] == ListType(ObjectType(azure_native.storage.IPRuleArgs))
    assert fields_of(azure_native.storage.IPRuleArgs).python_names["i_p_address_or_range"] == "iPAddressOrRange"
    assert fields_of(azure_native.storage.IPRuleArgs).required == {"iPAddressOrRange"}


def test_the_members_of_a_union_tell_themselves_apart() -> None:
    described = describe("azure-native:eventgrid:EventSubscription")
    assert described is not None
    assert described.inputs is not None
    destination = described.inputs.types["destination"]

    assert isinstance(destination, UnionType)
    constants = [fields_of(member.cls).constants for member in destination.members if isinstance(member, ObjectType)]
    assert {"endpointType": "WebHook"} in constants
    assert all(list(constant) == ["endpointType"] for constant in constants)


def test_assets_and_documents_have_their_types() -> None:
    function, policy = describe("aws:lambda/function:Function"), describe("aws:iam/policy:Policy")
    assert function is not None
    assert function.inputs is not None
    assert policy is not None
    assert policy.inputs is not None

    assert function.inputs.types["code"] == AssetType()
    assert function.inputs.types["timeout"] == ScalarType("integer")
    assert policy.inputs.types["policy"] == UnionType((STRING, ObjectType(aws.iam.PolicyDocumentArgs)))


@pytest.mark.parametrize(
    "token",
    [
        "azure-native:storage/v20220901:StorageAccount",  # another API version: its types may differ
        "aws:no/such:Thing",
        "pulumi:providers:aws",
        "pulumi-python:dynamic:Resource",
        "pulumi:pulumi:Stack",
        "shop:index:Shop",
        "nonsense",
    ],
)
def test_nothing_is_said_about_other_types(token: str) -> None:
    assert describe(token) is None


def test_a_given_class_saves_the_search() -> None:
    described = describe("azure-native:storage/v20220901:StorageAccount", azure_native.storage.StorageAccount)

    assert described is describe("azure-native:storage:StorageAccount")


def test_a_subclass_of_the_user_has_the_inputs_of_its_base() -> None:
    class Mine(aws.sqs.Queue):
        pass

    described, base = describe("aws:sqs/queue:Queue", Mine), describe("aws:sqs/queue:Queue")

    assert described is not None
    assert base is not None
    assert described.inputs is base.inputs


def test_a_class_written_by_hand_has_no_certain_inputs() -> None:
    class ByHand(pulumi.CustomResource):
        size: pulumi.Output[int]

    described = describe("shop:index:Thing", ByHand)

    assert described is not None
    assert described.inputs is None
    assert described.outputs == {"size": ScalarType("integer")}


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (pulumi.Input[str], STRING),
        (Optional[pulumi.Input[float]], ScalarType("number")),  # noqa: UP045
        (str | None, STRING),
        (Union[str, pulumi.Asset, pulumi.Archive], UnionType((STRING, AssetType()))),  # noqa: UP007
        (Any, AnyType()),
        (dict[str, Any], MapType(AnyType())),
        (pulumi.Resource, AnyType()),
        (Union[str, Any], AnyType()),  # noqa: UP007
    ],
)
def test_hints_are_read(hint: Any, expected: Any) -> None:
    assert sdk_types._convert(hint) == expected


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("aws:index/getCallerIdentity:getCallerIdentity", "GetCallerIdentityResult"),
        ("aws:iam/getPolicyDocument:getPolicyDocument", "GetPolicyDocumentResult"),
        ("aws:lambda/getFunction:getFunction", "GetFunctionResult"),
        ("azure-native:storage:listStorageAccountKeys", "ListStorageAccountKeysResult"),
        ("azure-native:authorization:getClientConfig", "GetClientConfigResult"),
    ],
)
def test_the_result_of_a_function_is_found(token: str, expected: str) -> None:
    found = result_class(token)

    assert found is not None
    assert found.__name__ == expected


@pytest.mark.parametrize("token", ["aws:iam/getNothing:getNothing", "nonsense", "a:b", "shop:index:getThing"])
def test_the_result_of_another_function_is_not(token: str) -> None:
    assert result_class(token) is None


@pytest.mark.parametrize("token", sorted(PATHS))
def test_a_resource_path_names_inputs_of_its_type(token: str) -> None:
    module, name = token.split(":")
    assert getattr(importlib.import_module(f"pulumi_azure_native.{module}"), name)
    assert resource_class(f"azure-native:{token}") is not None
    described = describe(f"azure-native:{token}")
    assert described is not None
    assert described.inputs is not None
    parameters = set(_parameters(PATHS[token]))
    if not PATHS[token].startswith(("/", "{")):
        parameters.add("resourceGroupName")

    assert parameters - {"subscriptionId"} <= described.inputs.types.keys()


def _parameters(path: str) -> list[str]:
    return [part.partition("}")[0] for part in path.split("{")[1:]]
