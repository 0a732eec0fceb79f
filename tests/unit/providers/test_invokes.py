"""Answers to functions: of the user, built in, by type, unknown."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ringfence.deployment import UNKNOWN, Asset, Secret, contains_unknown
from ringfence.providers.interface import Answer
from ringfence.providers.offline import OfflineProvider
from tests.unit.providers import sdks as _sdks  # noqa: F401

IDENTITY = "aws:index/getCallerIdentity:getCallerIdentity"
AMI = "aws:ec2/getAmi:getAmi"
DOCUMENT = "aws:iam/getPolicyDocument:getPolicyDocument"
KEYS = "azure-native:storage:listStorageAccountKeys"


def ask(token: str, arguments: dict[str, Any] | None = None, /, region: Any = None, **answers: Any) -> Answer:
    provider_inputs = {} if region is None else {"region": region}
    return OfflineProvider("synthetic", answers).invoke(token, arguments or {}, provider_inputs)


@pytest.mark.parametrize(
    ("token", "arguments", "region", "expected"),
    [
        (IDENTITY, {}, None, {"accountId": "123456789012", "arn": "arn:aws:iam::123456789012:user/ringfence"}),
        (IDENTITY, {}, "cn-north-1", {"arn": "arn:aws-cn:iam::123456789012:user/ringfence"}),
        ("aws:index/getRegion:getRegion", {}, None, {"id": "us-east-1", "region": "us-east-1"}),
        (
            "aws:index/getRegion:getRegion",
            {},
            "eu-west-1",
            {"name": "eu-west-1", "endpoint": "ec2.eu-west-1.amazonaws.com"},
        ),
        ("aws:index/getRegion:getRegion", {"region": "eu-west-2"}, "eu-west-1", {"name": "eu-west-2"}),
        ("aws:index/getPartition:getPartition", {}, None, {"partition": "aws", "reverseDnsPrefix": "com.amazonaws"}),
        ("aws:index/getPartition:getPartition", {}, "us-gov-west-1", {"partition": "aws-us-gov"}),
        (
            "aws:index/getAvailabilityZones:getAvailabilityZones",
            {"state": "available"},
            "ap-southeast-2",
            {
                "names": ["ap-southeast-2a", "ap-southeast-2b", "ap-southeast-2c"],
                "zoneIds": ["apse2-az1", "apse2-az2", "apse2-az3"],
                "state": "available",
            },
        ),
        (
            "aws:index/getAvailabilityZones:getAvailabilityZones",
            {"excludeNames": ["us-east-1b"]},
            None,
            {"names": ["us-east-1a", "us-east-1c"], "zoneIds": ["use1-az1", "use1-az3"]},
        ),
        (
            "aws:index/getArn:getArn",
            {"arn": "arn:aws:sqs:us-east-1:123456789012:q"},
            None,
            {"service": "sqs", "account": "123456789012", "resource": "q"},
        ),
        (
            "azure-native:authorization:getClientConfig",
            {},
            None,
            {
                "subscriptionId": "00000000-0000-4000-8000-000000000001",
                "tenantId": "00000000-0000-4000-8000-000000000002",
            },
        ),
        (
            "azure-native:web:listWebAppHostKeys",
            {"name": "api", "resourceGroupName": "rg"},
            None,
            {"systemKeys": {}},
        ),
    ],
)
def test_built_in_answers(token: str, arguments: dict[str, Any], region: Any, expected: dict[str, Any]) -> None:
    answer = ask(token, arguments, region=region)

    assert answer.known
    assert answer.note == ""
    assert {name: answer.value[name] for name in expected} == expected


def test_storage_keys_are_secret_and_well_formed() -> None:
    keys = ask(KEYS, {"accountName": "a", "resourceGroupName": "rg"}).value["keys"]

    assert [key["keyName"] for key in keys] == ["key1", "key2"]
    assert all(len(base64.b64decode(key["value"].value)) == 64 for key in keys)
    assert keys[0]["value"] != keys[1]["value"]


@pytest.mark.parametrize(
    ("token", "names"),
    [
        (
            "azure-native:cosmosdb:listDatabaseAccountKeys",
            {"primaryMasterKey", "primaryReadonlyMasterKey", "secondaryMasterKey", "secondaryReadonlyMasterKey"},
        ),
        ("azure-native:operationalinsights:getSharedKeys", {"primarySharedKey", "secondarySharedKey"}),
        ("azure-native:authorization:getClientToken", {"token"}),
    ],
)
def test_keys_are_secret(token: str, names: set[str]) -> None:
    value = ask(token).value

    assert names <= value.keys()
    assert all(isinstance(value[name], Secret) for name in names)


def test_the_keys_of_a_queue_make_a_connection_string() -> None:
    arguments = {"namespaceName": "bus", "queueName": "jobs", "authorizationRuleName": "send"}
    value = ask("azure-native:servicebus:listQueueKeys", arguments).value

    assert value["primaryConnectionString"] == Secret(
        "Endpoint=sb://bus.servicebus.windows.net/;SharedAccessKeyName=send;"
        f"SharedAccessKey={value['primaryKey'].value};EntityPath=jobs"
    )


def test_the_connection_strings_of_a_database_account() -> None:
    strings = ask("azure-native:cosmosdb:listDatabaseAccountConnectionStrings", {"accountName": "db"}).value
    text = strings["connectionStrings"][0]["connectionString"]

    assert text.value.startswith("AccountEndpoint=https://db.documents.azure.com:443/;AccountKey=")


def test_the_credentials_of_a_registry() -> None:
    value = ask("azure-native:containerregistry:listRegistryCredentials", {"registryName": "images"}).value

    assert value["username"] == "images"
    assert all(isinstance(password["value"], Secret) for password in value["passwords"])


def test_an_image_is_made_up_and_said_to_be() -> None:
    first, again = (ask(AMI, {"owners": ["amazon"], "mostRecent": True}) for _ in range(2))
    other = ask(AMI, {"owners": ["self"]})

    assert first == again
    assert first.value["id"].startswith("ami-")
    assert first.value["owners"] == ["amazon"]
    assert isinstance(first.value["architecture"], str)
    assert first.value["id"] != other.value["id"]
    assert f'[invokes."{AMI}"]' in first.note


def test_a_parameter_is_a_secret_placeholder() -> None:
    answer = ask("aws:ssm/getParameter:getParameter", {"name": "/shop/key"})

    assert answer.value["value"] == Secret("placeholder")
    assert answer.value["arn"] == "arn:aws:ssm:us-east-1:123456789012:parameter/shop/key"
    assert answer.note


@pytest.mark.parametrize("key", [AMI, "aws:ec2:getAmi"])
def test_the_answer_of_the_user_comes_first(key: str) -> None:
    answer = ask(AMI, {"owners": ["amazon"]}, **{key: {"id": "ami-123"}})

    assert answer.value["id"] == "ami-123"
    assert answer.value["owners"] == ["amazon"]
    assert answer.note == ""


def test_what_the_user_leaves_out_is_a_placeholder() -> None:
    token = "aws:lambda/getFunction:getFunction"
    answer = ask(token, {"functionName": "f"}, **{token: {"arn": "arn:mine"}})

    assert (answer.value["arn"], answer.value["functionName"], answer.note) == ("arn:mine", "f", "")
    assert answer.value["memorySize"] == 1


def test_parts_of_something_else_than_an_arn_are_unknown() -> None:
    assert ask("aws:index/getArn:getArn", {"arn": "queue"}).value["service"] is UNKNOWN


@pytest.mark.parametrize("token", ["shop:index:getCart", DOCUMENT])
def test_the_user_may_answer_anything(token: str) -> None:
    assert ask(token, {"x": UNKNOWN}, **{token: {"json": "{}"}}) == Answer({"json": "{}"})
    assert ask(token, {}, **{token: {"json": "{}"}}).value["json"] == "{}"


def test_unknown_arguments_make_an_unknown_answer() -> None:
    assert ask(DOCUMENT, {"statements": [{"resources": [UNKNOWN]}]}) == Answer({}, known=False)


def test_any_other_function_has_a_placeholder_of_its_type() -> None:
    token = "aws:lambda/getFunction:getFunction"
    answer = ask(token, {"functionName": "f", "qualifier": 3}, region="eu-west-1")

    assert answer.known
    assert answer.value["functionName"] == "f"
    assert isinstance(answer.value["qualifier"], str)  # an argument that does not fit is not repeated
    assert answer.value["arn"] == "arn:aws:lambda:eu-west-1:123456789012:placeholder/getFunction"
    assert len(answer.value["architectures"]) == 3
    assert answer.value["memorySize"] == 1
    assert answer.value["tags"] == {}
    assert not contains_unknown(answer.value)
    assert token in answer.note
    assert f'[invokes."{token}"]' in answer.note


def test_a_look_up_in_azure_has_the_id_that_its_arguments_tell() -> None:
    arguments = {"resourceGroupName": "rg", "virtualNetworkName": "net", "subnetName": "apps"}
    answer = ask("azure-native:network:getSubnet", arguments)

    assert answer.value["id"].endswith(
        "/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/net/subnets/apps"
    )
    assert answer.note


def test_placeholders_for_keys_are_secret() -> None:
    answer = ask("azure-native:web:listStaticSiteSecrets", {"name": "site", "resourceGroupName": "rg"})

    assert answer.value["name"] == "site"
    assert answer.value["id"] == Secret("/placeholder/id")
    assert answer.note


@pytest.mark.parametrize("token", ["shop:index:getCart", "aws:iam/getNothing:getNothing", "nonsense", "", "a:b:c:d"])
def test_what_nobody_knows_is_unknown(token: str) -> None:
    answer = ask(token)

    assert not answer.known
    assert token in answer.note


def test_a_method_is_unknown() -> None:
    answer = OfflineProvider().call("aws:sqs/queue:Queue/method", {})

    assert not answer.known
    assert answer.note


# --- aws.iam.get_policy_document -----------------------------------------------------------------------------------


def document(**arguments: Any) -> Any:
    answer = ask(DOCUMENT, arguments)
    assert answer.failures == ()
    assert json.loads(answer.value["minifiedJson"]) == json.loads(answer.value["json"])
    return json.loads(answer.value["json"])


def test_a_document_is_written_as_the_provider_writes_it() -> None:
    answer = ask(
        DOCUMENT,
        {
            "statements": [
                {
                    "sid": "Read",
                    "actions": ["s3:GetObject", "s3:ListBucket", "s3:GetObject"],
                    "resources": ["arn:aws:s3:::b/home/&{aws:username}"],
                    "conditions": [{"test": "StringLike", "variable": "s3:prefix", "values": ["", "<home>"]}],
                }
            ]
        },
    )

    assert answer.value["json"] == (
        "{\n"
        '  "Version": "2012-10-17",\n'
        '  "Statement": [\n'
        "    {\n"
        '      "Sid": "Read",\n'
        '      "Effect": "Allow",\n'
        '      "Action": [\n'
        '        "s3:ListBucket",\n'
        '        "s3:GetObject"\n'
        "      ],\n"
        '      "Resource": "arn:aws:s3:::b/home/${aws:username}",\n'
        '      "Condition": {\n'
        '        "StringLike": {\n'
        '          "s3:prefix": [\n'
        '            "",\n'
        '            "\\u003chome\\u003e"\n'
        "          ]\n"
        "        }\n"
        "      }\n"
        "    }\n"
        "  ]\n"
        "}"
    )
    assert answer.value["minifiedJson"].startswith('{"Version":"2012-10-17","Statement":[{"Sid":"Read",')
    assert answer.value["id"].isdecimal()


def test_a_document_of_nothing() -> None:
    assert document() == {"Version": "2012-10-17"}


def test_a_document_has_its_id_and_version() -> None:
    assert document(policyId="p", version="2008-10-17") == {"Version": "2008-10-17", "Id": "p"}


def test_denials_and_negations() -> None:
    statement = {"effect": "Deny", "notActions": ["iam:*"], "notResources": ["b", "a"]}

    assert document(statements=[statement])["Statement"] == [
        {"Effect": "Deny", "NotAction": "iam:*", "NotResource": ["b", "a"]}
    ]


@pytest.mark.parametrize(
    ("principals", "expected"),
    [
        ([{"type": "Service", "identifiers": ["lambda.amazonaws.com"]}], {"Service": "lambda.amazonaws.com"}),
        ([{"type": "AWS", "identifiers": ["a", "b"]}], {"AWS": ["b", "a"]}),
        ([{"type": "AWS", "identifiers": ["*"]}], {"AWS": "*"}),
        ([{"type": "*", "identifiers": ["*"]}], "*"),
        ([{"type": "AWS", "identifiers": ["a"]}, {"type": "AWS", "identifiers": ["b"]}], {"AWS": ["a", "b"]}),
        (
            [{"type": "Service", "identifiers": ["s"]}, {"type": "AWS", "identifiers": ["a"]}],
            {"AWS": "a", "Service": "s"},
        ),
    ],
)
def test_principals(principals: Any, expected: Any) -> None:
    read = document(statements=[{"principals": principals, "notPrincipals": principals}])["Statement"][0]

    assert (read["Principal"], read["NotPrincipal"]) == (expected, expected)


def test_conditions_are_grouped_by_test_and_variable() -> None:
    conditions = [
        {"test": "StringEquals", "variable": "b", "values": ["1"]},
        {"test": "StringEquals", "variable": "a", "values": ["2", "1"]},
        {"test": "StringEquals", "variable": "b", "values": ["0"]},
        {"test": "Bool", "variable": "c", "values": ["true"]},
        {"test": "Null", "variable": "d", "values": [""]},
    ]

    assert document(statements=[{"conditions": conditions}])["Statement"][0]["Condition"] == {
        "Bool": {"c": "true"},
        "Null": {"d": ""},
        "StringEquals": {"a": ["2", "1"], "b": ["1", "0"]},
    }


def test_sources_come_first_and_overrides_replace() -> None:
    source = {"Version": "2008-10-17", "Statement": [{"Sid": "A", "Effect": "Allow", "Action": "s3:*"}]}
    override = {"Statement": {"Sid": "A", "Effect": "Deny", "Action": "*", "Principal": "*"}}

    assert document(
        sourcePolicyDocuments=[json.dumps(source), None],
        statements=[{"sid": "B", "actions": ["sqs:*"]}],
        overridePolicyDocuments=[json.dumps(override)],
    ) == {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "A", "Effect": "Deny", "Action": "*", "Principal": "*"},
            {"Sid": "B", "Effect": "Allow", "Action": "sqs:*"},
        ],
    }


def test_a_document_survives_being_a_source() -> None:
    statement = {
        "actions": ["s3:GetObject"],
        "principals": [{"type": "AWS", "identifiers": ["a", "b"]}],
        "conditions": [{"test": "Bool", "variable": "aws:SecureTransport", "values": ["true"]}],
    }
    text = ask(DOCUMENT, {"statements": [statement]}).value["json"]

    assert ask(DOCUMENT, {"sourcePolicyDocuments": [text]}).value["json"] == text


def test_conditions_of_a_source_become_strings() -> None:
    source = {"Statement": [{"Condition": {"Bool": {"aws:SecureTransport": False}}}]}

    read = document(sourcePolicyDocuments=[json.dumps(source)])["Statement"][0]
    assert read == {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"version": "2020-01-01"}, "version"),
        ({"statements": {}}, "statements"),
        ({"statements": ["x"]}, "statements[0]"),
        ({"statements": [{"sid": "not ok"}]}, "statements[0].sid"),
        ({"statements": [{"sid": "A"}, {"sid": "A"}]}, "statements[1].sid"),
        ({"statements": [{"effect": "allow"}]}, "statements[0].effect"),
        ({"statements": [{"actions": "s3:*"}]}, "statements[0].actions"),
        ({"statements": [{"actions": [3]}]}, "statements[0].actions"),
        ({"statements": [{"resources": ["&{x}"]}], "version": "2008-10-17"}, "statements[0].resources"),
        ({"statements": [{"principals": [{"identifiers": ["a"]}]}]}, "statements[0].principals[0]"),
        ({"statements": [{"conditions": [{"test": "Bool"}]}]}, "statements[0].conditions[0]"),
        ({"sourcePolicyDocuments": ["{"]}, "sourcePolicyDocuments[0]"),
        ({"sourcePolicyDocuments": ["[]"]}, "sourcePolicyDocuments[0]"),
        ({"sourcePolicyDocuments": ['{"Statement": ["x"]}']}, "sourcePolicyDocuments[0]"),
        ({"sourcePolicyDocuments": ['{"Statement": [{"Sid": "A"}]}'] * 2}, "sourcePolicyDocuments[1]"),
        ({"overridePolicyDocuments": ['{"Version": 1}']}, "overridePolicyDocuments[0]"),
        ({"overridePolicyDocuments": ["no"]}, "overridePolicyDocuments[0]"),
    ],
)
def test_refused_arguments(arguments: dict[str, Any], path: str) -> None:
    ((failed, reason),) = ask(DOCUMENT, arguments).failures

    assert failed == path
    assert reason


def test_a_document_of_secrets_is_secret() -> None:
    answer = ask(DOCUMENT, {"statements": [{"actions": ["s3:*"], "resources": [Secret("hunter2")]}]})

    assert "hunter2" in answer.value["json"].value
    assert all(isinstance(value, Secret) for value in answer.value.values())


def test_a_refusal_does_not_show_secrets() -> None:
    answer = ask(DOCUMENT, {"statements": [{"resources": [Secret("&{hunter2}")]}], "version": "2008-10-17"})

    assert answer.failures == (("statements[0].resources", "[secret]"),)


def test_a_document_that_json_cannot_hold_is_unknown() -> None:
    answer = ask(DOCUMENT, {"policyId": Asset("text", "x")})

    assert not answer.known
    assert answer.note
