from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from ringfence.deployment import Deployment
from ringfence.sources.interface import Request
from ringfence.sources.project import EmbeddedSource
from tests.unit.stacks.graphs import depends_on, deployment, of_type, one, roles
from tests.unit.stacks.loading import STACKS

STACK = "model_serving"
ML = "azure-native:machinelearningservices:"
ENDPOINT = f"{ML}OnlineEndpoint"
DEPLOYMENT = f"{ML}OnlineDeployment"
ACCOUNT = "azure-native:storage:StorageAccount"
VAULT = "azure-native:keyvault:Vault"
REGISTRY = "azure-native:containerregistry:Registry"
PRIVATE_ENDPOINT = "azure-native:network:PrivateEndpoint"

ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
BLOB_READER = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
BLOB_CONTRIBUTOR = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
METRICS_WRITER = "635dd51f-9968-44d3-b7fb-6d9a6bd613ae"


def dev() -> Deployment:
    return deployment(STACK, "dev")


def prod() -> Deployment:
    return deployment(STACK, "prod")


def with_settings(environment: str, **changes: str) -> Deployment:
    config = {f"{STACK}:{key}": value for key, value in changes.items()}
    result = EmbeddedSource().evaluate(Request(STACKS / STACK, environment, config=config))
    assert result.ok, result.error
    return result


def properties(graph: Deployment, token: str, name_part: str = "") -> dict[str, Any]:
    found: dict[str, Any] = one(graph, token, name_part).inputs["properties"]
    return found


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_each_identity_has_the_roles_it_needs_and_no_other(environment: str) -> None:
    caller = {
        "dev": "6f1f6f0a-2c55-4d0e-8f6a-0a4c1f3b7d11",
        "prod": "0b8d9c52-7c0e-4b7d-9a55-5d1f2f7f4c21",
    }[environment]
    images, data = f"churn{environment}images", f"churn{environment}data"
    named = f"churn-{environment}"

    assert roles(deployment(STACK, environment)) == {
        (caller, f"{named}-caller", f"{named}-endpoint"),
        (f"{named}-endpoint", ACR_PULL, images),
        (f"{named}-endpoint", BLOB_READER, data),
        (f"{named}-endpoint", METRICS_WRITER, f"{named}-ml"),
        (f"{named}-cluster", ACR_PULL, images),
        (f"{named}-cluster", BLOB_CONTRIBUTOR, data),
    }


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_callers_may_score_and_nothing_else(environment: str) -> None:
    role = one(deployment(STACK, environment), "azure-native:authorization:RoleDefinition").inputs

    assert role["permissions"] == [
        {"actions": ["Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action"]}
    ]
    assert role["assignableScopes"] == [role["scope"]]


@pytest.mark.parametrize(
    ("environment", "kind"),
    [("dev", "Group"), ("prod", "ServicePrincipal")],
)
def test_the_kind_of_the_caller_is_said(environment: str, kind: str) -> None:
    graph = deployment(STACK, environment)

    assert one(graph, "azure-native:authorization:RoleAssignment", "caller").inputs["principalType"] == kind


def test_deployments_come_after_the_roles_they_start_with() -> None:
    for colour in ("blue", "green"):
        before = depends_on(prod(), one(prod(), DEPLOYMENT, colour))

        assert {"churn-prod-endpoint-images", "churn-prod-endpoint-models", "churn-prod-endpoint-metrics"} <= before
        assert {"churn-prod-ml", "churn-prod-endpoint", f"churn-prod-{colour}"} <= before


def test_the_cluster_comes_after_its_roles() -> None:
    before = depends_on(prod(), one(prod(), f"{ML}Compute"))

    assert {"churn-prod-cluster-images", "churn-prod-cluster-data"} <= before


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_workspace_keeps_its_things_in_the_stack(environment: str) -> None:
    graph = deployment(STACK, environment)
    workspace = one(graph, f"{ML}Workspace").inputs

    assert (workspace["storageAccount"], workspace["keyVault"], workspace["containerRegistry"]) == (
        one(graph, ACCOUNT).id,
        one(graph, VAULT).id,
        one(graph, REGISTRY).id,
    )
    assert workspace["applicationInsights"] == one(graph, "azure-native:applicationinsights:Component").id
    assert workspace["systemDatastoresAuthMode"] == "Identity"
    assert workspace["sku"] == {"name": "Basic", "tier": "Basic"}


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_nothing_takes_a_key(environment: str) -> None:
    graph = deployment(STACK, environment)
    vault = properties(graph, VAULT)

    assert properties(graph, ENDPOINT)["authMode"] == "AADToken"
    assert one(graph, ACCOUNT).inputs["allowSharedKeyAccess"] is False
    assert one(graph, REGISTRY).inputs["adminUserEnabled"] is False
    assert (vault["enableRbacAuthorization"], vault["enablePurgeProtection"]) == (True, True)
    assert properties(graph, f"{ML}Compute")["disableLocalAuth"] is True


@pytest.mark.parametrize(("environment", "nodes"), [("dev", (0, 2)), ("prod", (0, 4))])
def test_the_cluster_is_bounded_and_closed(environment: str, nodes: tuple[int, int]) -> None:
    compute = properties(deployment(STACK, environment), f"{ML}Compute")["properties"]
    scale = compute["scaleSettings"]

    assert nodes == (scale["minNodeCount"], scale["maxNodeCount"])
    assert scale["nodeIdleTimeBeforeScaleDown"] == "PT300S"
    assert (compute["enableNodePublicIp"], compute["remoteLoginPortPublicAccess"]) == (False, "Disabled")


def test_dev_has_a_blue_deployment_and_sends_it_everything() -> None:
    assert [resource.inputs["deploymentName"] for resource in of_type(dev(), DEPLOYMENT)] == ["blue"]
    assert properties(dev(), ENDPOINT)["traffic"] == {"blue": 100}


def test_prod_divides_the_requests() -> None:
    assert {resource.inputs["deploymentName"] for resource in of_type(prod(), DEPLOYMENT)} == {"blue", "green"}
    assert properties(prod(), ENDPOINT)["traffic"] == {"blue": 90, "green": 10}


@pytest.mark.parametrize("percent", range(0, 101, 10))
def test_the_traffic_sums_to_100(percent: int) -> None:
    traffic = properties(with_settings("prod", greenPercent=str(percent)), ENDPOINT)["traffic"]

    assert sum(traffic.values()) == 100
    assert traffic.get("green", 0) == percent
    assert 0 not in traffic.values()


BARE = {
    "azure-native:location": "westeurope",
    "model_serving:environment": "dev",
    "model_serving:workload": "churn",
    "model_serving:owner": "ml@example.com",
    "model_serving:costCentre": "ML-1",
    "model_serving:alertEmail": "ml@example.com",
    "model_serving:callerPrincipalId": "6f1f6f0a-2c55-4d0e-8f6a-0a4c1f3b7d11",
}
"""All that must be set: there is no deployment yet."""


def test_the_way_from_nothing_to_green_alone(tmp_path: Path) -> None:
    """Each update of a rollout sends requests only to deployments that the update before has made."""
    for folder in (STACK, "stackkit"):
        shutil.copytree(
            STACKS / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "Pulumi.*.yaml")
        )
    (tmp_path / STACK / "Pulumi.bare.yaml").write_text(yaml.safe_dump({"config": BARE}))
    blue = {"blueModel": "churn:1", "blueImage": f"scoring@sha256:{'a' * 64}"}
    green = {"greenModel": "churn:2", "greenImage": f"scoring@sha256:{'b' * 64}"}
    made: set[str] = set()
    for settings, expected in (
        ({}, {}),
        (blue, {}),
        ({**blue, "greenPercent": "0"}, {"blue": 100}),
        ({**blue, **green, "greenPercent": "0"}, {"blue": 100}),
        ({**blue, **green, "greenPercent": "10"}, {"blue": 90, "green": 10}),
        ({**blue, **green, "greenPercent": "100"}, {"green": 100}),
        ({**green, "greenPercent": "100"}, {"green": 100}),
    ):
        graph = EmbeddedSource().evaluate(Request(tmp_path / STACK, "bare", config=settings))
        assert graph.ok, graph.error
        there = {resource.inputs["deploymentName"] for resource in of_type(graph, DEPLOYMENT)}

        assert properties(graph, ENDPOINT)["traffic"] == expected
        assert set(expected) <= made
        assert set(expected) <= there
        made = there


@pytest.mark.parametrize(
    ("colour", "model", "machine", "capacity", "image"),
    [
        ("blue", "churn/versions/7", "Standard_F4s_v2", 4, "3b1c"),
        ("green", "churn/versions/8", "Standard_F4s_v2", 2, "9d2e"),
    ],
)
def test_each_deployment_has_its_own_model_image_and_machines(
    colour: str, model: str, machine: str, capacity: int, image: str
) -> None:
    made = one(prod(), DEPLOYMENT, colour)
    environment = one(prod(), f"{ML}EnvironmentVersion", colour)
    registry = one(prod(), REGISTRY).outputs["loginServer"]

    assert made.inputs["properties"]["model"].endswith(f"/models/{model}")
    assert made.inputs["properties"]["instanceType"] == machine
    assert made.inputs["sku"]["capacity"] == capacity
    assert made.inputs["properties"]["environmentId"] == environment.id
    assert environment.inputs["properties"]["image"].startswith(f"{registry}/scoring@sha256:{image}")
    assert environment.inputs["version"].startswith(image)


def test_a_new_image_is_a_new_version_of_the_environment() -> None:
    digest = "c" * 64
    graph = with_settings("prod", greenImage=f"scoring@sha256:{digest}")

    assert one(graph, f"{ML}EnvironmentVersion", "green").inputs["version"] == digest[:16]


def test_requests_are_bounded() -> None:
    made = properties(with_settings("dev", concurrentRequests="4", requestTimeoutSeconds="7"), DEPLOYMENT)

    assert made["requestSettings"]["maxConcurrentRequestsPerInstance"] == 4
    assert made["environmentVariables"] == {"WORKER_COUNT": "4"}
    assert made["requestSettings"]["requestTimeout"] == "PT7S"


@pytest.mark.parametrize(("environment", "colours"), [("dev", ["blue"]), ("prod", ["blue", "green"])])
def test_each_deployment_is_scaled_by_its_own_metric(environment: str, colours: list[str]) -> None:
    graph = deployment(STACK, environment)
    token = "azure-native:monitor:AutoscaleSetting"

    assert len(of_type(graph, token)) == len(colours)
    for colour in colours:
        scaled = one(graph, DEPLOYMENT, colour).id
        setting = one(graph, token, colour).inputs
        (profile,) = setting["profiles"]

        assert setting["targetResourceUri"] == scaled
        assert {rule["metricTrigger"]["metricResourceUri"] for rule in profile["rules"]} == {scaled}


def test_scaling_settings_reach_the_rules() -> None:
    graph = with_settings(
        "dev",
        scaleOutCpuPercent="80",
        scaleInCpuPercent="20",
        scaleOutWindowMinutes="6",
        scaleInWindowMinutes="20",
        scaleOutCooldownMinutes="12",
        scaleInCooldownMinutes="14",
        instanceStartMinutes="3",
        blueMaxInstances="9",
    )
    (profile,) = one(graph, "azure-native:monitor:AutoscaleSetting").inputs["profiles"]
    out, into = profile["rules"]

    assert profile["capacity"] == {"minimum": "1", "default": "1", "maximum": "9"}
    assert (out["metricTrigger"]["threshold"], into["metricTrigger"]["threshold"]) == (80, 20)
    assert (out["metricTrigger"]["timeWindow"], into["metricTrigger"]["timeWindow"]) == ("PT6M", "PT20M")
    assert (out["metricTrigger"]["timeAggregation"], into["metricTrigger"]["timeAggregation"]) == ("Average", "Maximum")
    assert (out["scaleAction"]["cooldown"], into["scaleAction"]["cooldown"]) == ("PT12M", "PT14M")


def test_dev_is_public_and_cheap() -> None:
    assert one(dev(), REGISTRY).inputs["sku"] == {"name": "Standard"}
    assert one(dev(), f"{ML}Workspace").inputs["managedNetwork"]["isolationMode"] == "AllowInternetOutbound"
    assert properties(dev(), ENDPOINT)["publicNetworkAccess"] == "Enabled"
    assert properties(dev(), f"{ML}Compute")["properties"]["vmPriority"] == "LowPriority"
    assert of_type(dev(), PRIVATE_ENDPOINT) == []
    assert [resource.name for resource in dev().resources if resource.options.protect] == []


def test_prod_is_private() -> None:
    closed = [
        one(prod(), ACCOUNT).inputs["publicNetworkAccess"],
        one(prod(), REGISTRY).inputs["publicNetworkAccess"],
        one(prod(), f"{ML}Workspace").inputs["publicNetworkAccess"],
        properties(prod(), VAULT)["publicNetworkAccess"],
        properties(prod(), ENDPOINT)["publicNetworkAccess"],
    ]

    assert closed == ["Disabled"] * 5
    assert one(prod(), f"{ML}Workspace").inputs["managedNetwork"]["isolationMode"] == "AllowOnlyApprovedOutbound"
    assert properties(prod(), VAULT)["networkAcls"] == {"defaultAction": "Deny", "bypass": "AzureServices"}


def test_prod_reaches_everything_by_private_endpoints() -> None:
    connections = {
        (item["groupIds"][0], item["privateLinkServiceId"])
        for resource in of_type(prod(), PRIVATE_ENDPOINT)
        for item in resource.inputs["privateLinkServiceConnections"]
    }

    assert connections == {
        ("blob", one(prod(), ACCOUNT).id),
        ("file", one(prod(), ACCOUNT).id),
        ("vault", one(prod(), VAULT).id),
        ("registry", one(prod(), REGISTRY).id),
        ("amlworkspace", one(prod(), f"{ML}Workspace").id),
    }


def test_the_workspace_is_found_in_both_of_its_zones() -> None:
    zones = of_type(prod(), "azure-native:privatedns:PrivateZone")
    names = {zone.id: zone.inputs["privateZoneName"] for zone in zones}
    group = one(prod(), "azure-native:network:PrivateDnsZoneGroup", "workspace").inputs
    linked = [names[item["privateDnsZoneId"]] for item in group["privateDnsZoneConfigs"]]

    assert linked == ["privatelink.api.azureml.ms", "privatelink.notebooks.azure.net"]


def test_prod_is_redundant_and_protected() -> None:
    registry = one(prod(), REGISTRY).inputs
    protected = {resource.name for resource in prod().resources if resource.options.protect}

    assert (registry["sku"], registry["zoneRedundancy"]) == ({"name": "Premium"}, "Enabled")
    assert one(prod(), ACCOUNT).inputs["sku"] == {"name": "Standard_ZRS"}
    assert protected == {"churnprodimages", "churnproddata", "churn-prod-kv", "churn-prod-ml", "churn-prod-endpoint"}


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_everything_logs_to_one_workspace(environment: str) -> None:
    graph = deployment(STACK, environment)
    settings = of_type(graph, "azure-native:monitor:DiagnosticSetting")
    watched = {str(setting.inputs["resourceUri"]).removesuffix("/blobServices/default") for setting in settings}

    assert {setting.inputs["workspaceId"] for setting in settings} == {
        one(graph, "azure-native:operationalinsights:Workspace").id
    }
    assert watched == {one(graph, token).id for token in (ACCOUNT, VAULT, REGISTRY, f"{ML}Workspace", ENDPOINT)}


def test_alerts() -> None:
    alerts = {resource.name: resource.inputs for resource in of_type(prod(), "azure-native:monitor:MetricAlert")}
    asked = {
        name.removeprefix("churn-prod-"): (item["metricName"], item["threshold"])
        for name, inputs in alerts.items()
        for item in inputs["criteria"]["allOf"]
    }

    assert asked == {
        "errors": ("RequestsPerMinute", 1),
        "throttled": ("RequestsPerMinute", 1),
        "latency": ("RequestLatency_P95", 1000),
        "blue-saturated": ("CpuUtilizationPercentage", 95),
        "green-saturated": ("CpuUtilizationPercentage", 95),
    }
    assert alerts["churn-prod-green-saturated"]["scopes"] == [one(prod(), DEPLOYMENT, "green").id]


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_names_have_the_lengths_that_the_services_take(environment: str) -> None:
    graph = with_settings(environment, workload="w" * 8)
    length = {
        "workspace": len(one(graph, f"{ML}Workspace").outputs["name"]),
        "endpoint": len(one(graph, ENDPOINT).inputs["endpointName"]),
        "cluster": len(one(graph, f"{ML}Compute").inputs["computeName"]),
        "vault": len(one(graph, VAULT).outputs["name"]),
        "account": len(one(graph, ACCOUNT).outputs["name"]),
        "registry": len(one(graph, REGISTRY).outputs["name"]),
    }
    longest = {"workspace": 33, "endpoint": 32, "cluster": 24, "vault": 24, "account": 24, "registry": 50}

    assert {name: value for name, value in length.items() if not 3 <= value <= longest[name]} == {}
