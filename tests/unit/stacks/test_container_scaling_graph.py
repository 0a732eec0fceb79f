"""How the stack hangs together, and what differs between its environments."""

from __future__ import annotations

from typing import Any

import pytest

from ringfence.deployment import Unknown, reveal
from tests.unit.stacks.graphs import depends_on, deployment, of_type, one, roles
from tests.unit.stacks.loading import load

STACK = "container_scaling"
BOTH = pytest.mark.parametrize("environment", ["dev", "prod"])

OWNER = "b7e6dc6d-f1e8-4753-8033-0f276bb0955b"
METRICS_PUBLISHER = "3913510d-42f4-4e42-8a64-420c390055eb"
ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
REGISTRY = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/shared"
    "/providers/Microsoft.ContainerRegistry/registries/exampleimages"
)

NGROUP = "azure-native:containerinstance:NGroup"
PROFILE = "azure-native:containerinstance:CGProfile"
BALANCER = "azure-native:network:LoadBalancer"
SUBNET = "azure-native:network:Subnet"
ROLE = "azure-native:authorization:RoleDefinition"
APP = "azure-native:web:WebApp"
ALERT = "azure-native:monitor:MetricAlert"


def settings_of_the_autoscaler(environment: str) -> dict[str, Any]:
    pairs = one(deployment(STACK, environment), APP).inputs["siteConfig"]["appSettings"]
    return {pair["name"]: reveal(pair["value"]) for pair in pairs}


def container(environment: str) -> dict[str, Any]:
    (only,) = one(deployment(STACK, environment), PROFILE).inputs["containers"]
    found: dict[str, Any] = only
    return found


@BOTH
def test_each_identity_may_do_this_and_nothing_else(environment: str) -> None:
    name = f"scorer-{environment}"

    assert roles(deployment(STACK, environment)) == {
        (f"{name}-scoring", ACR_PULL, REGISTRY),
        (f"{name}-scoring", METRICS_PUBLISHER, f"{name}-insights"),
        (f"{name}-autoscaler", f"{name}-autoscaler", f"{name}-groups"),
        (f"{name}-autoscaler", OWNER, f"scorer{environment}host"),
        (f"{name}-autoscaler", METRICS_PUBLISHER, f"{name}-insights"),
    }


@BOTH
def test_the_autoscalers_role_reads_metrics_and_reads_and_writes_the_ngroup_it_is_assigned_on(environment: str) -> None:
    graph = deployment(STACK, environment)
    role = one(graph, ROLE)
    assignment = one(graph, "azure-native:authorization:RoleAssignment", "autoscaler-scale")

    assert role.inputs["permissions"] == [
        {
            "actions": [
                "Microsoft.ContainerInstance/ngroups/read",
                "Microsoft.ContainerInstance/ngroups/write",
                "Microsoft.Insights/metrics/read",
            ]
        }
    ]
    assert role.inputs["assignableScopes"] == [one(graph, "azure-native:resources:ResourceGroup").id]
    assert assignment.inputs["scope"] == one(graph, NGROUP).id


@BOTH
def test_the_ngroup_comes_after_all_that_its_groups_need(environment: str) -> None:
    graph = deployment(STACK, environment)
    name = f"scorer-{environment}"
    needed = {
        f"{name}-scoring-pull",
        f"{name}-groups",
        f"{name}-balancer",
        f"{name}-containers",
        f"{name}-outbound",
        f"{name}-insights",
    }
    if environment == "prod":
        needed.add(f"{name}-registry-endpoint")

    assert needed <= depends_on(graph, one(graph, NGROUP))
    assert f"{name}-groups" in depends_on(graph, one(graph, APP))


@BOTH
def test_the_ngroup_is_what_the_settings_say(environment: str) -> None:
    graph = deployment(STACK, environment)
    ngroup = one(graph, NGROUP)
    (profile,) = ngroup.inputs["containerGroupProfiles"]
    (pool,) = profile["networkProfile"]["loadBalancer"]["backendAddressPools"]

    assert ngroup.inputs["elasticProfile"]["desiredCount"] == {"dev": 1, "prod": 3}[environment]
    assert ngroup.inputs["elasticProfile"]["maintainDesiredCount"] is True
    assert ngroup.inputs.get("zones") == {"dev": None, "prod": ["1", "2", "3"]}[environment]
    assert ngroup.inputs["updateProfile"] == {
        "updateMode": "Rolling",
        "rollingUpdateProfile": {
            "inPlaceUpdate": False,
            "maxBatchPercent": 20,
            "maxUnhealthyPercent": 20,
            "pauseTimeBetweenBatches": "PT60S",
        },
    }
    assert profile["resource"]["id"] == one(graph, PROFILE).id
    assert pool["resource"] == f"{one(graph, BALANCER).id}/backendAddressPools/groups"


@BOTH
def test_another_revision_of_the_profile_starts_a_rolling_update(environment: str) -> None:
    (profile,) = one(deployment(STACK, environment), NGROUP).inputs["containerGroupProfiles"]

    assert isinstance(profile["revision"], Unknown)  # the service counts them


@BOTH
def test_a_deployment_leaves_alone_what_autoscaler_and_service_change(environment: str) -> None:
    graph = deployment(STACK, environment)
    (ngroup,) = load(STACK, "autoscaler.ngroup")

    assert one(graph, NGROUP).options.ignore_changes == (
        "elasticProfile.desiredCount",
        f'tags["{ngroup.LAST_ACTION}"]',
    )
    assert one(graph, BALANCER).options.ignore_changes == ("backendAddressPools",)


@BOTH
def test_groups_are_reached_through_the_balancer_alone_and_have_no_public_address(environment: str) -> None:
    graph = deployment(STACK, environment)
    balancer = one(graph, BALANCER)
    (frontend,) = balancer.inputs["frontendIPConfigurations"]
    (probe,) = balancer.inputs["probes"]
    (rule,) = balancer.inputs["loadBalancingRules"]

    assert one(graph, PROFILE).inputs["ipAddress"]["type"] == "Private"
    assert one(graph, PROFILE).inputs["ipAddress"]["ports"] == [{"port": 8080, "protocol": "TCP"}]
    assert frontend["subnet"]["id"] == one(graph, SUBNET, "callers").id
    assert "publicIPAddress" not in frontend
    assert (probe["port"], probe["requestPath"]) == (8080, "/health/ready")
    assert rule["backendAddressPool"]["id"] == f"{balancer.id}/backendAddressPools/groups"
    assert rule["probe"]["id"] == f"{balancer.id}/probes/ready"


@BOTH
def test_groups_stay_in_their_own_subnet_which_goes_out_through_a_gateway(environment: str) -> None:
    graph = deployment(STACK, environment)
    subnet = one(graph, SUBNET, "containers")

    assert [item["serviceName"] for item in subnet.inputs["delegations"]] == [
        "Microsoft.ContainerInstance/containerGroups"
    ]
    assert subnet.inputs["natGateway"]["id"] == one(graph, "azure-native:network:NatGateway").id


@BOTH
def test_the_container_is_limited_probed_and_pulled_by_identity(environment: str) -> None:
    graph = deployment(STACK, environment)
    profile, scoring = one(graph, PROFILE), container(environment)
    size = {"dev": {"cpu": 1, "memoryInGB": 2}, "prod": {"cpu": 2, "memoryInGB": 4}}[environment]

    assert scoring["resources"] == {"requests": size, "limits": size}
    assert scoring["image"].startswith("exampleimages.azurecr.io/scorer@sha256:")
    assert scoring["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert scoring["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert profile.inputs["imageRegistryCredentials"] == [
        {
            "server": "exampleimages.azurecr.io",
            "identity": one(graph, "azure-native:managedidentity:UserAssignedIdentity", "scoring").id,
        }
    ]


@BOTH
def test_a_group_is_out_of_the_pool_before_it_stops_and_stops_before_it_is_killed(environment: str) -> None:
    graph = deployment(STACK, environment)
    (server,) = load(STACK, "scoring.server")
    drain = next(
        int(item["value"]) for item in container(environment)["environmentVariables"] if "DRAIN" in item["name"]
    )
    (probe,) = one(graph, BALANCER).inputs["probes"]
    grace = int(one(graph, PROFILE).inputs["shutdownGracePeriod"].removeprefix("PT").removesuffix("S"))

    assert probe["intervalInSeconds"] * probe["probeThreshold"] < drain
    assert drain + server.IDLE_SECONDS < grace


@BOTH
def test_the_autoscaler_is_told_what_the_settings_say(environment: str) -> None:
    (scaler,) = load(STACK, "autoscaler.scaler")
    settings = settings_of_the_autoscaler(environment)
    rules = scaler.rules_from(settings)

    assert settings["NGROUP_ID"] == one(deployment(STACK, environment), NGROUP).id
    assert settings["METRIC"] == "CpuPercentage"
    assert (rules.minimum, rules.maximum) == {"dev": (1, 3), "prod": (3, 24)}[environment]
    assert (rules.target, rules.margin) == (60, 20)
    assert rules.in_cooldown.total_seconds() == {"dev": 600, "prod": 900}[environment]
    assert rules.in_window == {"dev": 10, "prod": 15}[environment]


@BOTH
def test_alerts(environment: str) -> None:
    graph = deployment(STACK, environment)
    found = {
        alert.name.removeprefix(f"scorer-{environment}-"): (
            criterion["metricName"],
            criterion["operator"],
            criterion["threshold"],
        )
        for alert in of_type(graph, ALERT)
        for criterion in alert.inputs["criteria"]["allOf"]
    }

    assert found == {
        "groups-unhealthy": ("DipAvailability", "LessThan", 75),
        "groups-saturated": ("CpuPercentage", "GreaterThan", 90),
        "scoring-failed": ("requests/failed", "GreaterThan", 10),
        "autoscaler-failed": ("requests/failed", "GreaterThan", 3),
    }


def test_prod_alone_reaches_registry_and_storage_privately() -> None:
    endpoint = "azure-native:network:PrivateEndpoint"
    dev, prod = deployment(STACK, "dev"), deployment(STACK, "prod")

    assert of_type(dev, endpoint) == []
    assert {item.name for item in of_type(prod, endpoint)} == {
        "scorer-prod-registry-endpoint",
        "scorer-prod-host-endpoint",
    }
    assert one(prod, "azure-native:storage:StorageAccount").inputs["publicNetworkAccess"] == "Disabled"


@BOTH
def test_no_secret_leaves_the_stack(environment: str) -> None:
    graph = deployment(STACK, environment)

    assert set(graph.outputs) == {"resource_group", "score_url", "ngroup", "autoscaler"}
    assert all("password" not in credential for credential in one(graph, PROFILE).inputs["imageRegistryCredentials"])
