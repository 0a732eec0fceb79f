"""How the stack hangs together, and what differs between its environments."""

from __future__ import annotations

from typing import Any

import pytest

from ringfence.deployment import reveal
from tests.unit.stacks.graphs import depends_on, deployment, of_type, one, roles

STACK = "stateful_functions"
BOTH = pytest.mark.parametrize("environment", ["dev", "prod"])

OWNER = "b7e6dc6d-f1e8-4753-8033-0f276bb0955b"
CONTRIBUTOR = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
METRICS_PUBLISHER = "3913510d-42f4-4e42-8a64-420c390055eb"

ACCOUNT = "azure-native:cosmosdb:DatabaseAccount"
CONTAINER = "azure-native:cosmosdb:SqlResourceSqlContainer"
STORAGE = "azure-native:storage:StorageAccount"
APP = "azure-native:web:WebApp"


def settings_of_the_app(environment: str) -> dict[str, Any]:
    pairs = one(deployment(STACK, environment), APP).inputs["siteConfig"]["appSettings"]
    return {pair["name"]: reveal(pair["value"]) for pair in pairs}


@BOTH
def test_the_apps_identity_may_do_this_and_nothing_else(environment: str) -> None:
    graph = deployment(STACK, environment)
    api = f"chat-{environment}-api"

    assert roles(graph) == {
        (api, OWNER, f"chat{environment}host"),
        (api, METRICS_PUBLISHER, f"chat-{environment}-insights"),
        (api, CONTRIBUTOR, f"chat-{environment}-artefacts"),
    }


@BOTH
def test_the_database_lets_the_identity_use_one_container(environment: str) -> None:
    graph = deployment(STACK, environment)
    role = one(graph, "azure-native:cosmosdb:SqlResourceSqlRoleAssignment").inputs
    identity = one(graph, "azure-native:managedidentity:UserAssignedIdentity")
    account = one(graph, ACCOUNT)

    assert role["principalId"] == identity.outputs["principalId"]
    assert str(role["roleDefinitionId"]).endswith("/sqlRoleDefinitions/00000000-0000-0000-0000-000000000002")
    assert role["scope"] == f"{account.id}/dbs/state/colls/sessions"


@BOTH
def test_the_app_waits_for_all_that_it_starts_with(environment: str) -> None:
    graph = deployment(STACK, environment)
    name = f"chat-{environment}"
    needed = {f"{name}-api-host", f"{name}-packages", f"{name}-api", f"{name}-insights", f"chat{environment}host"}

    assert needed <= depends_on(graph, one(graph, APP))


def test_in_prod_the_app_waits_for_the_names_of_its_storage_in_the_network() -> None:
    graph = deployment(STACK, "prod")
    needed = {"chat-prod-host-endpoint", "chat-prod-blob-zone", "chat-prod-network"}
    (link,) = [item for item in of_type(graph, "azure-native:privatedns:VirtualNetworkLink") if "blob" in item.name]
    group = one(graph, "azure-native:network:PrivateDnsZoneGroup", "host")

    assert needed <= depends_on(graph, one(graph, APP))
    assert group.urn in one(graph, APP).dependencies
    assert link.urn in group.dependencies


@BOTH
def test_nothing_takes_a_key(environment: str) -> None:
    graph = deployment(STACK, environment)

    assert one(graph, ACCOUNT).inputs["disableLocalAuth"] is True
    assert [account.inputs["allowSharedKeyAccess"] for account in of_type(graph, STORAGE)] == [False, False]
    assert not {name for name in settings_of_the_app(environment) if "KEY" in name.upper()}


@BOTH
def test_the_app_finds_what_it_needs(environment: str) -> None:
    graph = deployment(STACK, environment)
    settings = settings_of_the_app(environment)
    data = one(graph, STORAGE, "data").outputs["name"]

    assert settings["COSMOS_ENDPOINT"] == reveal(one(graph, ACCOUNT).outputs["documentEndpoint"])
    assert settings["ARTEFACTS_URL"] == f"https://{data}.blob.core.windows.net/artefacts"
    assert (settings["COSMOS_DATABASE"], settings["COSMOS_CONTAINER"]) == ("state", "sessions")
    assert settings["AzureWebJobsStorage__accountName"] == one(graph, STORAGE, "host").outputs["name"]


@pytest.mark.parametrize(("environment", "ttl", "days"), [("dev", 86_400, 7), ("prod", 2_592_000, 35)])
def test_database_app_and_lifecycle_agree_on_how_long_a_session_is_kept(environment: str, ttl: int, days: int) -> None:
    graph = deployment(STACK, environment)
    (rule,) = one(graph, "azure-native:storage:ManagementPolicy").inputs["policy"]["rules"]

    assert ttl == one(graph, CONTAINER).inputs["resource"]["defaultTtl"]
    assert str(ttl) == settings_of_the_app(environment)["SESSION_TTL_SECONDS"]
    assert rule["definition"]["actions"] == {"baseBlob": {"delete": {"daysAfterModificationGreaterThan": days}}}
    assert rule["definition"]["filters"]["prefixMatch"] == ["artefacts/"]


@BOTH
def test_sessions_are_partitioned_and_indexed_as_the_app_asks_for_them(environment: str) -> None:
    resource = one(deployment(STACK, environment), CONTAINER).inputs["resource"]
    composite = resource["indexingPolicy"]["compositeIndexes"]

    assert resource["partitionKey"]["paths"] == ["/tenantId", "/sessionId"]
    assert [[path["path"] for path in paths] for paths in composite] == [["/tenantId", "/sessionId"]]
    assert "/state/?" in [path["path"] for path in resource["indexingPolicy"]["excludedPaths"]]


def test_what_differs_between_the_environments() -> None:
    def differs(environment: str) -> dict[str, Any]:
        graph = deployment(STACK, environment)
        account, app = one(graph, ACCOUNT), one(graph, APP)
        scale = app.inputs["functionAppConfig"]["scaleAndConcurrency"]
        return {
            "regions": [place["locationName"] for place in account.inputs["locations"]],
            "failover": account.inputs["enableAutomaticFailover"],
            "public": {item.inputs["publicNetworkAccess"] for item in [account, *of_type(graph, STORAGE)]},
            "redundancy": {item.inputs["sku"]["name"] for item in of_type(graph, STORAGE)},
            "zones": one(graph, "azure-native:web:AppServicePlan").inputs["zoneRedundant"],
            "ready": scale.get("alwaysReady"),
            "protected": {item.name for item in graph.resources if item.options.protect},
            "endpoints": [item.name for item in of_type(graph, "azure-native:network:PrivateEndpoint")],
            "backup": account.inputs["backupPolicy"]["continuousModeProperties"]["tier"],
        }

    assert differs("dev") == {
        "regions": ["westeurope"],
        "failover": False,
        "public": {"Enabled"},
        "redundancy": {"Standard_LRS"},
        "zones": False,
        "ready": [],
        "protected": set(),
        "endpoints": [],
        "backup": "Continuous7Days",
    }
    assert differs("prod") == {
        "regions": ["westeurope", "northeurope"],
        "failover": True,
        "public": {"Disabled"},
        "redundancy": {"Standard_ZRS"},
        "zones": True,
        "ready": [{"instanceCount": 2, "name": "http"}],
        "protected": {"chat-prod-sessions", "chat-prod-state", "chat-prod-artefacts", "chatproddata"},
        "endpoints": ["chat-prod-sessions-endpoint", "chat-prod-data-endpoint", "chat-prod-host-endpoint"],
        "backup": "Continuous30Days",
    }


def test_the_private_network_holds_what_each_service_documents() -> None:
    graph = deployment(STACK, "prod")
    subnets = {item.name: item for item in of_type(graph, "azure-native:network:Subnet")}
    zones = {item.inputs["privateZoneName"] for item in of_type(graph, "azure-native:privatedns:PrivateZone")}
    endpoints = {
        item.name: (item.inputs["subnet"]["id"], item.inputs["privateLinkServiceConnections"][0])
        for item in of_type(graph, "azure-native:network:PrivateEndpoint")
    }
    (delegation,) = subnets["chat-prod-api"].inputs["delegations"]

    assert set(subnets) == {"chat-prod-endpoints", "chat-prod-api"}
    assert delegation["serviceName"] == "Microsoft.App/environments"
    assert one(graph, APP).inputs["virtualNetworkSubnetId"] == subnets["chat-prod-api"].id
    assert zones == {"privatelink.blob.core.windows.net", "privatelink.documents.azure.com"}
    assert {subnet for subnet, _ in endpoints.values()} == {subnets["chat-prod-endpoints"].id}
    assert {(link["privateLinkServiceId"], link["groupIds"][0]) for _, link in endpoints.values()} == {
        (one(graph, ACCOUNT).id, "Sql"),
        (one(graph, STORAGE, "data").id, "blob"),
        (one(graph, STORAGE, "host").id, "blob"),
    }


def test_subnets_are_made_one_after_the_other() -> None:
    """Azure refuses a change to a network while another one is under way."""
    graph = deployment(STACK, "prod")
    first, second = of_type(graph, "azure-native:network:Subnet")

    assert first.urn in second.dependencies
    assert first.inputs["addressPrefix"] != second.inputs["addressPrefix"]
    assert all("networkSecurityGroup" in subnet.inputs for subnet in (first, second))


def test_endpoints_of_one_kind_share_a_zone() -> None:
    graph = deployment(STACK, "prod")
    groups = of_type(graph, "azure-native:network:PrivateDnsZoneGroup")
    zones = {group.name: group.inputs["privateDnsZoneConfigs"][0]["privateDnsZoneId"] for group in groups}

    assert zones["chat-prod-data-endpoint"] == zones["chat-prod-host-endpoint"]
    assert zones["chat-prod-data-endpoint"] != zones["chat-prod-sessions-endpoint"]


@BOTH
def test_logs_of_everything_go_to_the_one_workspace(environment: str) -> None:
    graph = deployment(STACK, environment)
    settings = of_type(graph, "azure-native:monitor:DiagnosticSetting")
    workspace = one(graph, "azure-native:operationalinsights:Workspace")

    assert {workspace.id} == {item.inputs["workspaceId"] for item in settings}
    assert {item.name.rpartition("-")[2] for item in settings} == {"sessions", "artefacts", "api"}


@BOTH
def test_alerts_are_mailed(environment: str) -> None:
    graph = deployment(STACK, environment)
    alerts = of_type(graph, "azure-native:monitor:MetricAlert")
    receivers = one(graph, "azure-native:monitor:ActionGroup")

    assert {item.name.removeprefix(f"chat-{environment}-") for item in alerts} == {
        "sessions-throttled",
        "sessions-saturated",
        "failed-requests",
    }
    assert [[receivers.id]] * 3 == [[action["actionGroupId"] for action in item.inputs["actions"]] for item in alerts]


@BOTH
def test_outputs_are_what_the_readme_uses(environment: str) -> None:
    assert {"resource_group", "function_app", "api_url", "database_endpoint", "artefacts_url"} == set(
        deployment(STACK, environment).outputs
    )
