"""The emulated provider over the official emulators of Cosmos DB and Service Bus, with fakes in their place.

The fakes speak the same protocols. What only the official emulators know (limits, names) is taken from their
documentation and is not run here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from azure.cosmos import CosmosClient
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from ringfence.emulators.cosmos import CosmosFake
from ringfence.emulators.docker import DockerServiceBus
from ringfence.emulators.interface import Backend, EmulatorError
from ringfence.emulators.service_bus import QueueSettings, ServiceBusFake, SubscriptionSettings, TopicSettings
from ringfence.providers.emulated import EmulatedProvider, Gap
from ringfence.providers.emulated.cosmos_official import OfficialCosmosService
from ringfence.providers.emulated.service_bus_official import OfficialServiceBusService, entities
from ringfence.providers.interface import Created, Registration
from tests.unit.providers.registrations import registration

# --- Cosmos DB -------------------------------------------------------------------------------------------------------

ACCOUNT = {"resourceGroupName": "g", "accountName": "shop"}
POLICY = {
    "indexingMode": "consistent",
    "automatic": True,
    "includedPaths": [{"path": "/*"}],
    "excludedPaths": [{"path": "/raw/*"}],
}
RESOURCE = {
    "id": "sessions",
    "partitionKey": {"paths": ["/tenantId", "/sessionId"], "kind": "MultiHash", "version": 2},
    "defaultTtl": 60,
    "indexingPolicy": POLICY,
    "uniqueKeyPolicy": {"uniqueKeys": [{"paths": ["/email"]}]},
}


@pytest.fixture
def cosmos() -> Iterator[OfficialCosmosService]:
    service = OfficialCosmosService(lambda: CosmosFake(tls=False))
    try:
        yield service
    finally:
        service.stop()


def make(provider: EmulatedProvider, kind: str, name: str, /, **inputs: Any) -> tuple[Created, list[Gap]]:
    declared = registration(f"azure-native:{kind}", name, **inputs)
    created = provider.deploy(declared)
    (entry,) = [entry for entry in provider.report if entry.urn == declared.urn]
    return created, list(entry.gaps)


def test_a_container_is_made_by_the_sdk_and_read_back(cosmos: OfficialCosmosService) -> None:
    provider = EmulatedProvider([cosmos])
    account, lacking = make(provider, "cosmosdb:DatabaseAccount", "shop", **ACCOUNT, disableLocalAuth=True)
    assert lacking == [Gap("disableLocalAuth", "the official emulator's account has no settings", "true")]
    variables = cosmos.environment()
    assert account.outputs["documentEndpoint"] == variables["RINGFENCE_COSMOS_ENDPOINT"]
    assert "writeLocations" not in account.outputs

    database = {"databaseName": "state", "resource": {"id": "state"}}
    assert make(provider, "cosmosdb:SqlResourceSqlDatabase", "state", **ACCOUNT, **database)[1] == []
    container = {"databaseName": "state", "containerName": "sessions", "resource": RESOURCE}
    options = {"autoscaleSettings": {"maxThroughput": 1000}}
    made = make(provider, "cosmosdb:SqlResourceSqlContainer", "sessions", **ACCOUNT, **container, options=options)

    assert made[1] == [
        Gap("options.autoscaleSettings.maxThroughput", "the official emulator has no throughput", "1000")
    ]
    with CosmosClient(
        variables["RINGFENCE_COSMOS_ENDPOINT"], variables["RINGFENCE_COSMOS_KEY"], enable_endpoint_discovery=False
    ) as client:
        kept = client.get_database_client("state").get_container_client("sessions").read()
    assert (kept["partitionKey"], kept["defaultTtl"]) == (RESOURCE["partitionKey"], 60)
    assert kept["indexingPolicy"]["excludedPaths"][0] == {"path": "/raw/*"}
    assert kept["uniqueKeyPolicy"]["uniqueKeys"] == [{"paths": ["/email"]}]


def test_roles_are_gaps_and_a_fault_of_the_program_is_the_services(cosmos: OfficialCosmosService) -> None:
    provider = EmulatedProvider([cosmos])
    _, lacking = make(provider, "cosmosdb:SqlResourceSqlRoleAssignment", "may", **ACCOUNT, principalId="p")
    assert lacking == [Gap("", "the official emulator has no roles: everyone may do everything")]

    with pytest.raises(EmulatorError, match=r"sessions .*cannot be made on the emulator"):
        make(provider, "cosmosdb:SqlResourceSqlContainer", "sessions", **ACCOUNT, databaseName="no", resource=RESOURCE)


def test_a_deletion_is_carried_out_once_and_harmless_twice(cosmos: OfficialCosmosService) -> None:
    provider = EmulatedProvider([cosmos])
    inputs = {**ACCOUNT, "databaseName": "state", "resource": {"id": "state"}}
    created, _ = make(provider, "cosmosdb:SqlResourceSqlDatabase", "state", **inputs)
    for _ in range(2):
        provider.delete(registration("azure-native:cosmosdb:SqlResourceSqlDatabase", "state", **inputs), created)
    make(provider, "cosmosdb:SqlResourceSqlDatabase", "state", **inputs)


def test_the_keys_of_an_account_are_the_emulators(cosmos: OfficialCosmosService) -> None:
    cosmos.needs([registration("azure-native:cosmosdb:DatabaseAccount", "shop", **ACCOUNT)], [{"name": "shop"}])
    cosmos.start()
    variables = cosmos.environment()
    provider = EmulatedProvider([cosmos])
    keys = provider.invoke("azure-native:cosmosdb:listDatabaseAccountKeys", ACCOUNT, {})
    texts = provider.invoke("azure-native:cosmosdb:listDatabaseAccountConnectionStrings", ACCOUNT, {})

    assert keys.value["primaryMasterKey"] == variables["RINGFENCE_COSMOS_KEY"]
    expected = (
        f"AccountEndpoint={variables['RINGFENCE_COSMOS_ENDPOINT']};AccountKey={variables['RINGFENCE_COSMOS_KEY']};"
    )
    assert texts.value["connectionStrings"][0]["connectionString"] == expected
    assert cosmos.invoke("azure-native:cosmosdb:listDatabaseAccountKeys", {"accountName": "other"}) is None


# --- Service Bus -----------------------------------------------------------------------------------------------------

BUS = {"resourceGroupName": "g", "namespaceName": "bus"}
NAME = re.compile(r"[A-Za-z0-9]$|^[A-Za-z0-9][\w\-./]*[A-Za-z0-9]")
DURATION = re.compile(r"P(?!$)(?:\d+Y)?(?:\d+M)?(?:\d+D)?(?:T(?:\d+H)?(?:\d+M)?(?:\d+S)?)?")
"""How the emulator's schema wants names and durations."""


def declared(kind: str, name: str, **inputs: Any) -> tuple[Registration, Mapping[str, Any]]:
    return registration(f"azure-native:servicebus:{kind}", name, **BUS, **inputs), {"name": name}


SHOP = [
    declared("Namespace", "bus"),
    declared(
        "Queue",
        "jobs",
        queueName="jobs",
        maxDeliveryCount=5,
        lockDuration="PT30S",
        requiresSession=True,
        deadLetteringOnMessageExpiration=True,
        defaultMessageTimeToLive="PT10M",
        requiresDuplicateDetection=True,
        duplicateDetectionHistoryTimeWindow="PT1M",
    ),
    declared("Queue", "plain", queueName="plain"),
    declared(
        "Queue",
        "greedy",
        queueName="greedy",
        maxDeliveryCount=50,
        defaultMessageTimeToLive="P10675199DT2H48M5.4775807S",
        duplicateDetectionHistoryTimeWindow="PT30M",
        forwardTo="plain",
    ),
    declared("Topic", "orders", topicName="orders"),
    declared("Topic", "lonely", topicName="lonely"),
    declared("Subscription", "all", topicName="orders", subscriptionName="all", lockDuration="PT10S"),
    declared("Subscription", "red", topicName="orders", subscriptionName="red"),
    declared(
        "Rule",
        "$Default",
        topicName="orders",
        subscriptionName="red",
        ruleName="$Default",
        sqlFilter={"sqlExpression": "colour = 'red'"},
        action={"sqlExpression": "SET seen = 1"},
    ),
    declared(
        "Rule",
        "mine",
        topicName="orders",
        subscriptionName="red",
        ruleName="mine",
        correlationFilter={"correlationId": "a", "properties": {"k": "v"}, "requiresPreprocessing": False},
    ),
]


def test_the_configuration_file_has_what_is_declared_within_the_emulators_limits() -> None:
    found = entities("bus", SHOP)

    queues = {entry["Name"]: entry["Properties"] for entry in found["Queues"]}
    assert queues["jobs"] == {
        "DeadLetteringOnMessageExpiration": True,
        "DefaultMessageTimeToLive": "PT10M",
        "DuplicateDetectionHistoryTimeWindow": "PT1M",
        "ForwardDeadLetteredMessagesTo": "",
        "ForwardTo": "",
        "LockDuration": "PT30S",
        "MaxDeliveryCount": 5,
        "RequiresDuplicateDetection": True,
        "RequiresSession": True,
    }
    assert queues["plain"]["MaxDeliveryCount"] == 10, "the service's default, not the emulator's 3"
    assert queues["greedy"] | {"MaxDeliveryCount": 10, "DefaultMessageTimeToLive": "PT60M"} == queues["greedy"]
    assert (queues["greedy"]["DuplicateDetectionHistoryTimeWindow"], queues["greedy"]["ForwardTo"]) == ("PT5M", "plain")
    (topic,) = found["Topics"]
    assert topic["Name"] == "orders", "a topic without a subscription is left out"
    every, red = topic["Subscriptions"]
    assert every["Properties"]["LockDuration"] == "PT1M", "the least that a subscription has there"
    assert "Rules" not in every
    assert red["Rules"] == [
        {
            "Name": "Default",
            "Properties": {
                "FilterType": "Sql",
                "SqlFilter": {"SqlExpression": "colour = 'red'"},
                "Action": {"SqlExpression": "SET seen = 1"},
            },
        },
        {
            "Name": "mine",
            "Properties": {
                "FilterType": "Correlation",
                "CorrelationFilter": {"CorrelationId": "a", "Properties": {"k": "v"}},
            },
        },
    ]


def test_names_and_durations_have_the_form_that_the_emulator_wants() -> None:
    def walk(value: Any) -> Iterator[tuple[str, Any]]:
        for key, item in value.items() if isinstance(value, dict) else []:
            yield key, item
            yield from walk(item)
        for item in value if isinstance(value, list) else []:
            yield from walk(item)

    config = DockerServiceBus(entities=entities("bus", SHOP)).config()
    found = list(walk(config))
    durations = ("DefaultMessageTimeToLive", "DuplicateDetectionHistoryTimeWindow", "LockDuration")
    assert [value for key, value in found if key in durations and not DURATION.fullmatch(value)] == []
    assert [value for key, value in found if key == "Name" and not NAME.fullmatch(value)] == []
    assert config["UserConfig"]["Logging"] == {"Type": "Console"}
    (namespace,) = config["UserConfig"]["Namespaces"]
    assert (namespace["Name"], len(namespace["Queues"]), len(namespace["Topics"])) == ("sbemulatorns", 3, 1)


def test_more_entities_than_the_emulator_takes_are_refused_with_the_way_out() -> None:
    many = [declared("Queue", f"q{number}", queueName=f"q{number}") for number in range(51)]

    with pytest.raises(EmulatorError, match=r"bus has 51 queues and topics, .* takes 50: take the back end `process`"):
        entities("bus", many)


class Configured:
    """A namespace on the fake, with the entities of a configuration file."""

    backend: Backend = "docker"

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        self.wanted = wanted
        self.fake = ServiceBusFake(accept_short_durations=True)

    def start(self) -> None:
        self.fake.start()
        broker = self.fake.broker
        for queue in self.wanted.get("Queues", []):
            deliveries = queue["Properties"]["MaxDeliveryCount"]
            broker.create_queue(QueueSettings(name=queue["Name"], max_delivery_count=deliveries))
        for topic in self.wanted.get("Topics", []):
            broker.create_topic(TopicSettings(name=topic["Name"]))
            for subscription in topic["Subscriptions"]:
                broker.create_subscription(SubscriptionSettings(topic_name=topic["Name"], name=subscription["Name"]))

    def environment(self) -> dict[str, str]:
        return self.fake.environment()

    def check(self) -> None: ...

    def stop(self) -> None:
        self.fake.stop()


@pytest.fixture
def bus() -> Iterator[OfficialServiceBusService]:
    service = OfficialServiceBusService(Configured)
    service.needs([entry[0] for entry in SHOP], [entry[1] for entry in SHOP])
    try:
        service.start()
        yield service
    finally:
        service.stop()


def test_entities_are_there_from_the_start_and_limits_are_gaps(bus: OfficialServiceBusService) -> None:
    provider = EmulatedProvider([bus])
    for entry, _ in SHOP:
        provider.deploy(entry)
    found = {entry.name: list(entry.gaps) for entry in provider.report}

    limit = "the official emulator has a limit there"
    assert found["jobs"] == found["plain"] == found["red"] == found["$Default"] == found["mine"] == []
    assert found["greedy"] == [
        Gap("defaultMessageTimeToLive", limit, "P10675199DT2H48M5.4775807S", "PT60M"),
        Gap("duplicateDetectionHistoryTimeWindow", limit, "PT30M", "PT5M"),
        Gap("maxDeliveryCount", limit, "50", "10"),
    ]
    assert found["all"] == [Gap("lockDuration", limit, "PT10S", "PT1M")]
    assert found["lonely"] == [Gap("", "the official emulator takes no topic without a subscription")]
    with (
        ServiceBusClient.from_connection_string(bus.environment()["RINGFENCE_SERVICE_BUS_CONNECTION_STRING"]) as client,
        client.get_queue_sender("plain") as sender,
    ):
        sender.send_messages(ServiceBusMessage("x"))
    assert bus.backends() == {"docker"}


def test_what_the_emulator_was_not_started_with_is_said(bus: OfficialServiceBusService) -> None:
    provider = EmulatedProvider([bus])
    changed = registration(
        "azure-native:servicebus:Queue", "plain", **BUS, queueName="plain", maxDeliveryCount=3, enableExpress=True
    )
    provider.deploy(changed)
    assert list(provider.report[0].gaps) == [
        Gap("", "it is not as the emulator read it when it started"),
        Gap("enableExpress", "the emulator has no such setting", "true"),
    ]
    late = registration("azure-native:servicebus:Queue", "late", **BUS, queueName="late")
    with pytest.raises(EmulatorError, match=r"late .*cannot be made on the emulator: late is not on the emulator"):
        provider.deploy(late)


def test_the_emulator_keeps_its_entities_and_has_one_key(bus: OfficialServiceBusService) -> None:
    provider = EmulatedProvider([bus])
    plain = SHOP[2][0]
    provider.delete(plain, provider.deploy(plain))
    (entry,) = provider.report
    assert (entry.deleted, entry.gaps[-1].reason) == (
        False,
        "deleted, and still there until the emulator stops: the official emulator has its entities for life",
    )

    token, arguments = "azure-native:servicebus:listNamespaceKeys", {**BUS, "authorizationRuleName": "reader"}
    answer = provider.invoke(token, arguments, {}).value
    assert f"SharedAccessKeyName=reader;SharedAccessKey={answer['primaryKey']}" in answer["primaryConnectionString"]
