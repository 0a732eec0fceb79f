"""Ids and outputs of the offline provider, in both modes."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ringfence.deployment import UNKNOWN, Archive, ResourceReference, Secret, contains_unknown
from ringfence.providers.interface import Created, OutputMode, Registration
from ringfence.providers.offline import OfflineProvider
from tests.unit.providers import sdks as _sdks  # noqa: F401
from tests.unit.providers.registrations import existing, registration

GROUP = "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/rg"
ROLE = "arn:aws:iam::123456789012:role/r"


def create(item: Registration, mode: OutputMode = "synthetic") -> Created:
    return OfflineProvider(mode).create(item)


def azure(token: str, name: str = "thing", /, **inputs: Any) -> Registration:
    return registration(f"azure-native:{token}", name, **inputs)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (azure("resources:ResourceGroup", resourceGroupName="rg"), GROUP),
        (
            azure("storage:StorageAccount", resourceGroupName="rg", accountName="acc"),
            f"{GROUP}/providers/Microsoft.Storage/storageAccounts/acc",
        ),
        (
            azure("storage:BlobContainer", "docs", resourceGroupName="rg", accountName="acc"),
            f"{GROUP}/providers/Microsoft.Storage/storageAccounts/acc/blobServices/default/containers/docs",
        ),
        (
            azure("storage:Queue", resourceGroupName="rg", accountName="acc", queueName="q"),
            f"{GROUP}/providers/Microsoft.Storage/storageAccounts/acc/queueServices/default/queues/q",
        ),
        (
            azure(
                "cosmosdb:SqlResourceSqlContainer",
                resourceGroupName="rg",
                accountName="db",
                databaseName="shop",
                containerName="carts",
            ),
            f"{GROUP}/providers/Microsoft.DocumentDB/databaseAccounts/db/sqlDatabases/shop/containers/carts",
        ),
        (azure("web:WebApp", resourceGroupName="rg", name="api"), f"{GROUP}/providers/Microsoft.Web/sites/api"),
        (
            azure("authorization:RoleAssignment", scope=GROUP, roleAssignmentName="0f0f"),
            f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/0f0f",
        ),
        (
            azure("monitor:DiagnosticSetting", resourceUri=f"{GROUP}/x", name="logs"),
            f"{GROUP}/x/providers/Microsoft.Insights/diagnosticSettings/logs",
        ),
        (  # not in the table: derived from module and class
            azure("storage:DataShare", resourceGroupName="rg", accountName="acc", dataShareName="s"),
            f"{GROUP}/providers/Microsoft.Storage/accounts/acc/dataShares/s",
        ),
        (
            azure("storage/v20220901:StorageAccount", resourceGroupName="rg", accountName="acc"),
            f"{GROUP}/providers/Microsoft.Storage/storageAccounts/acc",
        ),
        (azure("storage:StorageAccount", resourceGroupName=UNKNOWN, accountName="acc"), UNKNOWN),
        (azure("storage:StorageAccount", resourceGroupName="rg", accountName=UNKNOWN), UNKNOWN),
        (azure("storage:StorageAccount", resourceGroupName="rg", accountName=Secret("acc")), UNKNOWN),
        (azure("storage:BlobContainer", resourceGroupName="rg"), UNKNOWN),
        (
            existing(
                "azure-native:web:WebApp", "a", None, {"subscriptionId": "sub"}, {"resourceGroupName": "g", "name": "a"}
            ),
            "/subscriptions/sub/resourceGroups/g/providers/Microsoft.Web/sites/a",
        ),
    ],
)
def test_arm_ids(item: Registration, expected: Any) -> None:
    assert create(item).id == expected


@pytest.mark.parametrize(
    ("item", "pattern"),
    [
        (azure("resources:ResourceGroup", "group"), r"group[0-9a-f]{8}"),
        (azure("web:WebApp", "my-api", resourceGroupName="rg"), r"my-api[0-9a-f]{8}"),
        (azure("storage:StorageAccount", "My-Store", resourceGroupName="rg"), r"mystore[0-9a-f]{8}"),
        (azure("storage:StorageAccount", "a" * 40, resourceGroupName="rg"), r"a{16}[0-9a-f]{8}"),
        (azure("storage:BlobContainer", "docs", resourceGroupName="rg", accountName="a"), r"docs"),
        (azure("authorization:RoleAssignment", "reader", scope=GROUP), r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        (registration("aws:sqs/queue:Queue", "Jobs"), r"Jobs-[0-9a-f]{7}"),
        (registration("aws:sqs/queue:Queue", "jobs", fifoQueue=True), r"jobs-[0-9a-f]{7}\.fifo"),
        (registration("aws:sqs/queue:Queue", "jobs", name="orders"), r"orders"),
        (registration("aws:sqs/queue:Queue", "jobs", namePrefix="orders-"), r"orders-[0-9a-f]{26}"),
        (registration("aws:ecr/repository:Repository", "Images"), r"images-[0-9a-f]{7}"),
        (registration("aws:kms/alias:Alias", "key", targetKeyId="k"), r"alias/key-[0-9a-f]{7}"),
    ],
)
def test_automatic_names(item: Registration, pattern: str) -> None:
    assert re.fullmatch(pattern, create(item).outputs["name"])


def test_the_name_of_an_azure_resource_ends_its_id() -> None:
    created = create(azure("storage:StorageAccount", "store", resourceGroupName="rg"))

    assert created.id.endswith(f"/storageAccounts/{created.outputs['name']}")


@pytest.mark.parametrize(
    ("item", "identity", "arn"),
    [
        (
            registration("aws:lambda/function:Function", name="f", role=ROLE),
            "f",
            "arn:aws:lambda:us-east-1:123456789012:function:f",
        ),
        (
            registration("aws:lambda/alias:Alias", name="live", functionName="f", functionVersion="1"),
            "arn:aws:lambda:us-east-1:123456789012:function:f:live",
            "arn:aws:lambda:us-east-1:123456789012:function:f:live",
        ),
        (
            registration("aws:sqs/queue:Queue", name="q"),
            "https://sqs.us-east-1.amazonaws.com/123456789012/q",
            "arn:aws:sqs:us-east-1:123456789012:q",
        ),
        (
            registration("aws:sns/topic:Topic", name="t"),
            "arn:aws:sns:us-east-1:123456789012:t",
            "arn:aws:sns:us-east-1:123456789012:t",
        ),
        (registration("aws:dynamodb/table:Table", name="t"), "t", "arn:aws:dynamodb:us-east-1:123456789012:table/t"),
        (registration("aws:iam/role:Role", name="r", assumeRolePolicy="{}"), "r", ROLE),
        (
            registration("aws:iam/policy:Policy", name="p", path="/app/", policy="{}"),
            "arn:aws:iam::123456789012:policy/app/p",
            "arn:aws:iam::123456789012:policy/app/p",
        ),
        (
            registration("aws:sagemaker/endpoint:Endpoint", name="E", endpointConfigName="c"),
            "E",
            "arn:aws:sagemaker:us-east-1:123456789012:endpoint/e",
        ),
        (registration("aws:s3/bucket:Bucket", bucket="b"), "b", "arn:aws:s3:::b"),
        (
            registration("aws:cloudwatch/logGroup:LogGroup", name="/aws/lambda/f"),
            "/aws/lambda/f",
            "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/f",
        ),
        (
            registration("aws:cloudwatch/metricAlarm:MetricAlarm", name="a"),
            "a",
            "arn:aws:cloudwatch:us-east-1:123456789012:alarm:a",
        ),
        (
            registration("aws:cloudwatch/eventRule:EventRule", name="r", eventBusName="shop"),
            "r",
            "arn:aws:events:us-east-1:123456789012:rule/shop/r",
        ),
        (
            registration("aws:ecr/repository:Repository", name="r"),
            "r",
            "arn:aws:ecr:us-east-1:123456789012:repository/r",
        ),
        (
            registration("aws:sqs/queue:Queue", name="q", region="cn-north-1"),
            "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q",
            "arn:aws-cn:sqs:cn-north-1:123456789012:q",
        ),
        (
            existing("aws:sqs/queue:Queue", "q", None, {"region": "eu-west-1"}, {"name": "q"}),
            "https://sqs.eu-west-1.amazonaws.com/123456789012/q",
            "arn:aws:sqs:eu-west-1:123456789012:q",
        ),
        (
            registration("aws:lambda/alias:Alias", name="a", functionName="arn:aws:lambda:us-east-1:1:function:f"),
            "arn:aws:lambda:us-east-1:123456789012:function:f:a",
            "arn:aws:lambda:us-east-1:123456789012:function:f:a",
        ),
        (
            registration("aws:iam/openIdConnectProvider:OpenIdConnectProvider", url="https://id.example.com/x"),
            "arn:aws:iam::123456789012:oidc-provider/id.example.com/x",
            "arn:aws:iam::123456789012:oidc-provider/id.example.com/x",
        ),
        (registration("aws:ssm/parameter:Parameter", name="a"), "a", "arn:aws:ssm:us-east-1:123456789012:parameter/a"),
        (
            registration("aws:ssm/parameter:Parameter", name="/a"),
            "/a",
            "arn:aws:ssm:us-east-1:123456789012:parameter/a",
        ),
        (registration("aws:lb/loadBalancer:LoadBalancer", loadBalancerType=UNKNOWN), UNKNOWN, UNKNOWN),
        (registration("aws:sqs/queue:Queue", fifoQueue=UNKNOWN), UNKNOWN, UNKNOWN),
        (registration("aws:sqs/queue:Queue", name=UNKNOWN), UNKNOWN, UNKNOWN),
        (existing("aws:sqs/queue:Queue", "q", None, {"region": UNKNOWN}, {"name": "q"}), UNKNOWN, UNKNOWN),
    ],
)
def test_aws_ids_and_arns(item: Registration, identity: Any, arn: Any) -> None:
    created = create(item)

    assert (created.id, created.outputs["arn"]) == (identity, arn)


@pytest.mark.parametrize(
    ("token", "pattern"),
    [
        ("aws:kms/key:Key", r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
        ("aws:ec2/vpc:Vpc", r"vpc-[0-9a-f]{17}"),
        ("aws:ec2/securityGroup:SecurityGroup", r"sg-[0-9a-f]{17}"),
    ],
)
def test_ids_that_the_service_chooses(token: str, pattern: str) -> None:
    created = create(registration(token))

    assert re.fullmatch(pattern, created.id)
    assert created.outputs["arn"].endswith(f"/{created.id}")


def test_the_arn_of_a_load_balancer_tells_its_kind() -> None:
    network = create(registration("aws:lb/loadBalancer:LoadBalancer", name="lb", loadBalancerType="network"))
    application = create(registration("aws:lb/loadBalancer:LoadBalancer", name="lb"))

    pattern = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/{}/lb/[0-9a-f]{{16}}"
    assert re.fullmatch(pattern.format("net"), network.id)
    assert re.fullmatch(pattern.format("app"), application.id)


def test_the_id_of_an_attachment_is_made_of_its_parts() -> None:
    item = registration("aws:iam/rolePolicyAttachment:RolePolicyAttachment", role="r", policyArn="arn:p")

    assert create(item).id == "r/arn:p"


def test_the_outputs_of_a_storage_account() -> None:
    item = azure(
        "storage:StorageAccount",
        resourceGroupName="rg",
        accountName="acc",
        location="westeurope",
        kind="StorageV2",
        sku={"name": "Standard_LRS"},
        identity={"type": "SystemAssigned"},
        networkRuleSet={"defaultAction": "Deny"},
        tags={"team": "shop"},
    )
    outputs = create(item).outputs

    assert outputs["type"] == "Microsoft.Storage/storageAccounts"
    assert outputs["location"] == outputs["primaryLocation"] == "westeurope"
    assert outputs["primaryEndpoints"]["blob"] == "https://acc.blob.core.windows.net/"
    assert outputs["identity"]["tenantId"] == "00000000-0000-4000-8000-000000000002"
    assert re.fullmatch(r"[0-9a-f-]{36}", outputs["identity"]["principalId"])
    assert outputs["networkRuleSet"] == {"defaultAction": "Deny"}
    assert outputs["sku"] == {"name": "Standard_LRS", "tier": UNKNOWN}  # the service computes the tier
    assert outputs["tags"] == {"team": "shop"}
    assert outputs["isHnsEnabled"] is UNKNOWN
    assert outputs["creationTime"] is UNKNOWN
    assert "resourceGroupName" not in outputs


@pytest.mark.parametrize(
    ("item", "output", "expected"),
    [
        (azure("web:WebApp", name="Api", resourceGroupName="rg"), "defaultHostName", "api.azurewebsites.net"),
        (
            azure("cosmosdb:DatabaseAccount", accountName="db", resourceGroupName="rg"),
            "documentEndpoint",
            "https://db.documents.azure.com:443/",
        ),
        (
            azure("servicebus:Namespace", namespaceName="bus", resourceGroupName="rg"),
            "serviceBusEndpoint",
            "https://bus.servicebus.windows.net:443/",
        ),
        (
            azure("containerregistry:Registry", registryName="Images", resourceGroupName="rg"),
            "loginServer",
            "images.azurecr.io",
        ),
        (
            azure("storage:Blob", blobName="a.txt", containerName="c", accountName="acc", resourceGroupName="rg"),
            "url",
            "https://acc.blob.core.windows.net/c/a.txt",
        ),
        (
            azure("keyvault:Key", vaultName="kv", keyName="k", resourceGroupName="rg"),
            "keyUri",
            "https://kv.vault.azure.net/keys/k",
        ),
        (existing("azure-native:web:WebApp", "a", None, {"location": "uksouth"}, {}), "location", "uksouth"),
        (azure("storage:DataShare", "share", accountName="a", resourceGroupName="rg"), "type", UNKNOWN),
        (registration("aws:sqs/queue:Queue", tags=Secret({"a": "b"})), "tagsAll", Secret({"a": "b"})),
        (registration("aws:sqs/queue:Queue", tags=UNKNOWN), "tagsAll", UNKNOWN),
        (existing("aws:sqs/queue:Queue", "q", None, {"defaultTags": "{"}, {}), "tagsAll", UNKNOWN),
        (existing("aws:sqs/queue:Queue", "q", None, {"defaultTags": {"tags": UNKNOWN}}, {}), "tagsAll", UNKNOWN),
        (
            registration("aws:lambda/function:Function", name="f", role=ROLE),
            "invokeArn",
            "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"
            "arn:aws:lambda:us-east-1:123456789012:function:f/invocations",
        ),
        (registration("aws:lambda/function:Function", role=ROLE), "version", "$LATEST"),
        (registration("aws:lambda/function:Function", role=ROLE, publish=True), "version", "1"),
        (registration("aws:lambda/function:Function", role=ROLE, publish=UNKNOWN), "version", UNKNOWN),
        (
            registration("aws:dynamodb/table:Table", name="t", streamEnabled=True),
            "streamArn",
            "arn:aws:dynamodb:us-east-1:123456789012:table/t/stream/2024-01-01T00:00:00.000",
        ),
        (registration("aws:dynamodb/table:Table", name="t"), "streamArn", UNKNOWN),
        (registration("aws:s3/bucket:Bucket", bucket="b"), "bucketDomainName", "b.s3.amazonaws.com"),
        (
            registration("aws:ecr/repository:Repository", name="r"),
            "repositoryUrl",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/r",
        ),
        (
            existing(
                "aws:sqs/queue:Queue",
                "q",
                None,
                {"defaultTags": '{"tags": {"a": "1", "b": "1"}}'},
                {"tags": {"b": "2"}},
            ),
            "tagsAll",
            {"a": "1", "b": "2"},
        ),
    ],
)
def test_what_the_service_adds(item: Registration, output: str, expected: Any) -> None:
    assert create(item).outputs[output] == expected


def test_a_vault_has_its_address_among_its_properties() -> None:
    item = azure(
        "keyvault:Vault",
        vaultName="kv",
        resourceGroupName="rg",
        properties={"tenantId": "t", "sku": {"family": "A", "name": "standard"}},
    )
    properties = create(item).outputs["properties"]

    assert properties["vaultUri"] == "https://kv.vault.azure.net/"
    assert properties["tenantId"] == "t"


def test_a_secret_has_its_address_among_its_properties() -> None:
    item = azure(
        "keyvault:Secret", vaultName="kv", secretName="s", resourceGroupName="rg", properties={"value": Secret("x")}
    )
    properties = create(item).outputs["properties"]

    assert properties["secretUri"] == "https://kv.vault.azure.net/secrets/s"
    assert properties["secretUriWithVersion"].startswith("https://kv.vault.azure.net/secrets/s/")


def test_a_managed_identity_has_stable_ids() -> None:
    item = azure("managedidentity:UserAssignedIdentity", resourceName="i", resourceGroupName="rg")
    outputs = create(item).outputs

    assert outputs == create(item).outputs
    assert outputs["tenantId"] == "00000000-0000-4000-8000-000000000002"
    assert outputs["principalId"] != outputs["clientId"]


def test_an_endpoint_has_its_address_among_its_properties() -> None:
    item = azure(
        "machinelearningservices:OnlineEndpoint",
        endpointName="e",
        workspaceName="w",
        resourceGroupName="rg",
        location="westeurope",
        properties={"authMode": "AADToken"},
    )
    properties = create(item).outputs["properties"]

    assert properties["authMode"] == "AADToken"
    assert properties["scoringUri"] == "https://e.westeurope.inference.ml.azure.com/score"
    assert properties["provisioningState"] is UNKNOWN


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ({"type": "UserAssigned", "userAssignedIdentities": ["/id"]},
         {"type": "UserAssigned", "userAssignedIdentities": {"/id": {"clientId": UNKNOWN, "principalId": UNKNOWN}}}),
        ({"type": "None"}, {"type": "None"}),
        ({"type": UNKNOWN}, {"type": UNKNOWN, "principalId": UNKNOWN, "tenantId": UNKNOWN}),
        (UNKNOWN, UNKNOWN),
        (None, UNKNOWN),
    ],
)  # fmt: skip
def test_identities(identity: Any, expected: Any) -> None:
    item = azure("storage:StorageAccount", resourceGroupName="rg", identity=identity)

    assert create(item).outputs["identity"] == expected


@pytest.mark.parametrize(
    ("token", "inputs", "expected"),
    [
        ("aws:sqs/queue:Queue", {"policy": "{}", "delaySeconds": 3}, {"policy": "{}", "delaySeconds": 3}),
        ("aws:sqs/queue:Queue", {"delaySeconds": "3"}, {"delaySeconds": UNKNOWN}),
        ("aws:sqs/queue:Queue", {"tags": {"a": 1}}, {"tags": UNKNOWN}),
        ("aws:sqs/queue:Queue", {"policy": Secret("{}")}, {"policy": Secret("{}")}),
        ("aws:sqs/queue:Queue", {"policy": UNKNOWN}, {"policy": UNKNOWN}),
        ("aws:sqs/queue:Queue", {"policy": None}, {"policy": UNKNOWN}),
        ("aws:sqs/queue:Queue", {"kmsMasterKeyId": ResourceReference("urn", "k")}, {"kmsMasterKeyId": "k"}),
        ("aws:lambda/function:Function", {"code": Archive("file", "a")}, {"code": Archive("file", "a")}),
        (
            "aws:lambda/function:Function",
            {"environment": {"variables": {"A": Secret("x"), "B": UNKNOWN}}},
            {"environment": {"variables": {"A": Secret("x"), "B": UNKNOWN}}},
        ),
        (
            "aws:dynamodb/table:Table",
            {"attributes": [{"name": "id", "type": "S"}]},
            {"attributes": [{"name": "id", "type": "S"}]},
        ),
    ],
)  # fmt: skip
def test_inputs_are_echoed_where_they_fit(token: str, inputs: dict[str, Any], expected: dict[str, Any]) -> None:
    outputs = create(registration(token, **inputs)).outputs

    assert {name: outputs[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("item", "output", "expected"),
    [
        (registration("aws:sqs/queue:Queue", name=Secret("q")), "arn", Secret("arn:aws:sqs:us-east-1:123456789012:q")),
        (
            azure("cosmosdb:DatabaseAccount", resourceGroupName="rg", accountName=Secret("db")),
            "documentEndpoint",
            Secret("https://db.documents.azure.com:443/"),
        ),
        (
            azure("servicebus:Namespace", resourceGroupName="rg", namespaceName=Secret("bus")),
            "serviceBusEndpoint",
            Secret("https://bus.servicebus.windows.net:443/"),
        ),
    ],
)
def test_what_is_made_of_a_secret_is_secret(item: Registration, output: str, expected: Any) -> None:
    created = create(item)

    assert created.outputs[output] == expected
    assert created.id is UNKNOWN


@pytest.mark.parametrize(
    ("token", "identity", "inputs", "expected"),
    [
        (
            "azure-native:storage:StorageAccount",
            f"{GROUP}/providers/Microsoft.Storage/storageAccounts/acc",
            {},
            {"name": "acc", "creationTime": UNKNOWN, "identity": UNKNOWN, "kind": UNKNOWN},
        ),
        ("aws:sqs/queue:Queue", "https://sqs.eu-west-1.amazonaws.com/111122223333/q", {},
         {"name": "q", "arn": "arn:aws:sqs:eu-west-1:111122223333:q", "region": "eu-west-1", "tagsAll": UNKNOWN}),
        ("aws:sns/topic:Topic", "arn:aws:sns:eu-west-1:111122223333:t", {},
         {"name": "t", "arn": "arn:aws:sns:eu-west-1:111122223333:t", "owner": "111122223333"}),
        ("aws:iam/role:Role", "r", {}, {"name": "r", "arn": ROLE, "uniqueId": UNKNOWN}),
        ("aws:kms/key:Key", "1234", {"description": "d"}, {"keyId": "1234", "description": "d"}),
    ],
)  # fmt: skip
def test_an_existing_resource(token: str, identity: str, inputs: dict[str, Any], expected: dict[str, Any]) -> None:
    read = OfflineProvider("synthetic").read(existing(token, "thing", identity, {}, inputs))

    assert read.id == identity
    assert {name: read.outputs[name] for name in expected} == expected


def test_an_existing_vault_has_only_what_its_id_tells() -> None:
    identity = f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv"
    read = OfflineProvider("synthetic").read(existing("azure-native:keyvault:Vault", "v", identity, {}, {}))

    assert read.outputs["properties"]["vaultUri"] == "https://kv.vault.azure.net/"
    assert read.outputs["properties"]["enablePurgeProtection"] is UNKNOWN


def test_a_type_without_sdk_echoes_its_inputs() -> None:
    created = create(registration("shop:index:Cart", "cart", size=3, note=None))

    assert re.fullmatch(r"cart-[0-9a-f]{7}", created.id)
    assert created.outputs == {"size": 3}


def test_a_remote_component_is_unknown() -> None:
    created = create(Registration("urn", "aws:sqs/queue:Queue", "n", {"name": "q"}, "p", "s", custom=False))

    assert created.id is UNKNOWN
    assert set(map(type, created.outputs.values())) == {type(UNKNOWN)}


def test_mode_unknown_knows_inputs_only() -> None:
    item = registration("aws:sqs/queue:Queue", delaySeconds=3, policy=Secret("{}"), tags={"a": 1}, nonsense=1)

    assert create(item, "unknown") == Created(UNKNOWN, {"delaySeconds": 3, "policy": Secret("{}")})


def test_mode_unknown_leaves_nothing_in_azure_objects_out() -> None:
    item = azure("storage:StorageAccount", sku={"name": "Standard_LRS"}, networkRuleSet={"defaultAction": "Deny"})

    assert create(item, "unknown").outputs == {
        "sku": {"name": "Standard_LRS", "tier": UNKNOWN},
        "networkRuleSet": {
            "defaultAction": "Deny",
            "bypass": UNKNOWN,
            "ipRules": UNKNOWN,
            "resourceAccessRules": UNKNOWN,
            "virtualNetworkRules": UNKNOWN,
        },
    }


def test_mode_unknown_knows_the_id_of_an_existing_resource() -> None:
    read = OfflineProvider("unknown").read(existing("aws:iam/role:Role", "r", "admin", {}, {}))

    assert read == Created("admin", {})


def test_two_resources_of_one_name_and_two_types_differ() -> None:
    queue, topic = create(registration("aws:sqs/queue:Queue")), create(registration("aws:sns/topic:Topic"))

    assert queue.outputs["name"] != topic.outputs["name"]


def test_outputs_of_known_inputs_that_json_is_built_from_are_known() -> None:
    outputs = create(registration("aws:sqs/queue:Queue")).outputs

    assert not contains_unknown([outputs[name] for name in ("arn", "url", "name")])
