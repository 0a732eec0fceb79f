from __future__ import annotations

from typing import Any

import pytest

from ringfence.deployment import Deployment, Resource
from tests.unit.stacks.graphs import depends_on, deployment, of_type, one, roles
from tests.unit.stacks.loading import load

STACK = "retraining_queue"
ENVIRONMENTS = ["dev", "prod"]

NAMESPACE = "azure-native:servicebus:Namespace"
QUEUE = "azure-native:servicebus:Queue"
JOB = "azure-native:app:Job"
ENVIRONMENT = "azure-native:app:ManagedEnvironment"
STORAGE = "azure-native:storage:StorageAccount"
ALERT = "azure-native:monitor:MetricAlert"
DIAGNOSTICS = "azure-native:monitor:DiagnosticSetting"
ENDPOINT = "azure-native:network:PrivateEndpoint"
IDENTITY = "azure-native:managedidentity:UserAssignedIdentity"

SENDER = "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39"
RECEIVER = "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0"
BLOB_READER = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
BLOB_CONTRIBUTOR = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
REGISTRY = (
    "/subscriptions/0a1b2c3d-0000-4000-8000-000000000001/resourceGroups/shared"
    "/providers/Microsoft.ContainerRegistry/registries/examplemodels"
)


def graph(environment: str) -> Deployment:
    return deployment(STACK, environment)


def configuration(environment: str) -> Any:
    return one(graph(environment), JOB).inputs["configuration"]


def container(environment: str) -> Any:
    (only,) = one(graph(environment), JOB).inputs["template"]["containers"]
    return only


def identity(environment: str, part: str) -> Resource:
    return one(graph(environment), IDENTITY, part)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_identity_has_the_least_roles(environment: str) -> None:
    def name(part: str) -> str:
        return f"retrain-{environment}-{part}"

    assert {
        (name("producer"), SENDER, name("requests")),
        (name("worker"), RECEIVER, name("requests")),
        (name("worker"), BLOB_READER, name("datasets")),
        (name("worker"), BLOB_CONTRIBUTOR, name("models")),
        (name("worker"), BLOB_CONTRIBUTOR, name("ledger")),
        (name("puller"), ACR_PULL, REGISTRY),
    } == roles(graph(environment))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nothing_takes_a_key(environment: str) -> None:
    namespace, storage = one(graph(environment), NAMESPACE), one(graph(environment), STORAGE)
    settings = configuration(environment)

    assert namespace.inputs["disableLocalAuth"] is True
    assert namespace.inputs["minimumTlsVersion"] == "1.2"
    assert storage.inputs["allowSharedKeyAccess"] is False
    assert "secrets" not in settings
    assert "auth" not in settings["eventTriggerConfig"]["scale"]["rules"][0]
    assert set(settings["registries"][0]) == {"server", "identity"}
    assert one(graph(environment), ENVIRONMENT).inputs["appLogsConfiguration"] == {"destination": "azure-monitor"}


def test_the_queue_is_bounded() -> None:
    dev, prod = (one(graph(environment), QUEUE).inputs for environment in ENVIRONMENTS)

    for queue in (dev, prod):
        assert queue["requiresDuplicateDetection"] is True
        assert queue["deadLetteringOnMessageExpiration"] is True
        assert queue["maxDeliveryCount"] == 5
    names = ("maxSizeInMegabytes", "defaultMessageTimeToLive", "duplicateDetectionHistoryTimeWindow", "lockDuration")
    assert [dev[name] for name in names] == [1024, "P2D", "PT1H", "PT1M"]
    assert [prod[name] for name in names] == [10240, "P7D", "P1D", "PT5M"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (30, "PT30S"),
        (60, "PT1M"),
        (90, "PT1M30S"),
        (3600, "PT1H"),
        (5400, "PT1H30M"),
        (86400, "P1D"),
        (90060, "P1DT1H1M"),
    ],
)
def test_durations_are_written_as_the_service_does(seconds: int, text: str) -> None:
    (requests_queue,) = load(STACK, "requests_queue")

    assert text == requests_queue._iso(seconds)


@pytest.mark.parametrize(("environment", "messages", "executions"), [("dev", "1", 2), ("prod", "2", 10)])
def test_the_queue_s_length_starts_workers(environment: str, messages: str, executions: int) -> None:
    trigger = configuration(environment)["eventTriggerConfig"]
    (rule,) = trigger["scale"]["rules"]

    assert configuration(environment)["triggerType"] == "Event"
    assert rule["type"] == "azure-servicebus"
    assert rule["identity"] == identity(environment, "worker").id
    assert rule["metadata"] == {
        "namespace": one(graph(environment), NAMESPACE).outputs["name"],
        "queueName": "retraining-requests",
        "messageCount": messages,
    }
    assert trigger["parallelism"] == trigger["replicaCompletionCount"] == 1
    assert (trigger["scale"]["minExecutions"], trigger["scale"]["maxExecutions"]) == (0, executions)
    assert trigger["scale"]["pollingInterval"] == 30


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_replica_has_the_time_that_its_messages_take(environment: str) -> None:
    variables = {item["name"]: item["value"] for item in container(environment)["env"]}
    longest = int(variables["MAX_MESSAGES"]) * int(variables["TRAINING_SECONDS"])

    assert longest + 60 <= configuration(environment)["replicaTimeout"]
    assert configuration(environment)["replicaRetryLimit"] == 1


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_worker_finds_queue_and_containers(environment: str) -> None:
    variables = {item["name"]: item["value"] for item in container(environment)["env"]}
    namespace = one(graph(environment), NAMESPACE).outputs["name"]
    account = one(graph(environment), STORAGE).outputs["name"]

    assert variables["AZURE_CLIENT_ID"] == identity(environment, "worker").outputs["clientId"]
    assert variables["SERVICE_BUS_NAMESPACE"] == f"{namespace}.servicebus.windows.net"
    assert variables["QUEUE_NAME"] == "retraining-requests"
    for part in ("datasets", "models", "ledger"):
        assert variables[f"{part.upper()}_URL"] == f"https://{account}.blob.core.windows.net/{part}"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_image_is_pulled_by_an_identity_that_code_cannot_use(environment: str) -> None:
    puller, worker = identity(environment, "puller").id, identity(environment, "worker").id
    settings = configuration(environment)

    assert container(environment)["image"].startswith("examplemodels.azurecr.io/retraining/worker@sha256:")
    assert settings["registries"] == [{"server": "examplemodels.azurecr.io", "identity": puller}]
    assert {item["identity"]: item["lifecycle"] for item in settings["identitySettings"]} == {
        puller: "None",
        worker: "Main",
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_job_waits_for_the_roles_it_starts_with(environment: str) -> None:
    names = depends_on(graph(environment), one(graph(environment), JOB))

    assert {f"retrain-{environment}-{part}" for part in ("puller-pulls", "worker-receives", "workers")} <= names
    assert f"retrain-{environment}-producer" not in names


@pytest.mark.parametrize(("environment", "cpu", "memory"), [("dev", 0.5, "1Gi"), ("prod", 2, "4Gi")])
def test_cpu_and_memory_go_together(environment: str, cpu: float, memory: str) -> None:
    assert container(environment)["resources"] == {"cpu": cpu, "memory": memory}


@pytest.mark.parametrize(("environment", "full"), [("dev", 1024), ("prod", 10240)])
def test_somebody_is_told(environment: str, full: int) -> None:
    namespace, job = one(graph(environment), NAMESPACE).id, one(graph(environment), JOB).id
    found = {}
    for alert in of_type(graph(environment), ALERT):
        (criterion,) = alert.inputs["criteria"]["allOf"]
        dimensions = {item["name"]: item["values"] for item in criterion["dimensions"]}
        found[criterion["metricName"]] = (alert.inputs["scopes"], criterion["threshold"], dimensions)
    queue = {"EntityName": ["retraining-requests"]}

    assert found == {
        "DeadletteredMessages": ([namespace], 0, queue),
        "Size": ([namespace], full * 1024 * 1024 * 80 // 100, queue),
        "ThrottledRequests": ([namespace], 0, {}),
        "ServerErrors": ([namespace], 0, {}),
        "Executions": ([job], 0, {"state": ["Failed"]}),
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_everything_logs_to_one_workspace(environment: str) -> None:
    settings = of_type(graph(environment), DIAGNOSTICS)
    workspace = one(graph(environment), "azure-native:operationalinsights:Workspace")
    account = one(graph(environment), STORAGE).id

    assert {item.inputs["workspaceId"] for item in settings} == {workspace.id}
    assert {item.inputs["resourceUri"] for item in settings} == {
        one(graph(environment), NAMESPACE).id,
        one(graph(environment), ENVIRONMENT).id,
        f"{account}/blobServices/default",
    }


def test_prod_is_spread_over_zones_and_closed() -> None:
    dev, prod = (one(graph(environment), NAMESPACE).inputs for environment in ENVIRONMENTS)

    assert dev["sku"] == {"name": "Standard", "tier": "Standard"}
    assert prod["sku"] == {"name": "Premium", "tier": "Premium", "capacity": 1}
    assert "zoneRedundant" not in dev
    assert prod["zoneRedundant"] is True
    assert dev["publicNetworkAccess"] == "Enabled"
    assert prod["publicNetworkAccess"] == "Disabled"
    assert one(graph("prod"), STORAGE).inputs["publicNetworkAccess"] == "Disabled"
    assert one(graph("prod"), STORAGE).inputs["sku"] == {"name": "Standard_ZRS"}


def test_prod_has_private_endpoints_for_queue_and_data() -> None:
    connections = [item.inputs["privateLinkServiceConnections"][0] for item in of_type(graph("prod"), ENDPOINT)]

    assert of_type(graph("dev"), ENDPOINT) == []
    assert {(item["privateLinkServiceId"], *item["groupIds"]) for item in connections} == {
        (one(graph("prod"), NAMESPACE).id, "namespace"),
        (one(graph("prod"), STORAGE).id, "blob"),
    }


def test_prod_workers_are_in_the_network() -> None:
    dev, prod = (one(graph(environment), ENVIRONMENT).inputs for environment in ENVIRONMENTS)
    subnet = one(graph("prod"), "azure-native:network:Subnet", "workers")

    assert "vnetConfiguration" not in dev
    assert prod["vnetConfiguration"] == {"infrastructureSubnetId": subnet.id, "internal": True}
    assert (dev["zoneRedundant"], prod["zoneRedundant"]) == (False, True)
    assert subnet.inputs["delegations"][0]["serviceName"] == "Microsoft.App/environments"


@pytest.mark.parametrize(
    ("environment", "days"), [("dev", {"models": 14, "ledger": 7}), ("prod", {"models": 180, "ledger": 60})]
)
def test_models_and_ledger_expire_and_datasets_do_not(environment: str, days: dict[str, int]) -> None:
    policy = one(graph(environment), "azure-native:storage:ManagementPolicy").inputs["policy"]
    found = {}
    for rule in policy["rules"]:
        (prefix,) = rule["definition"]["filters"]["prefixMatch"]
        delete = rule["definition"]["actions"]["baseBlob"]["delete"]
        found[prefix.rstrip("/")] = delete["daysAfterModificationGreaterThan"]

    assert days == found


def test_prod_protects_what_cannot_be_made_again() -> None:
    protected = {item.type for item in graph("prod").resources if item.options.protect}

    assert protected == {NAMESPACE, QUEUE, STORAGE, "azure-native:storage:BlobContainer"}
    assert not any(item.options.protect for item in graph("dev").resources)
