"""Cosmos DB accounts as the fake has them, from what a program declares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ringfence.deployment import Deployment, Resource
from ringfence.emulators.cosmos import AccountSettings, SqlRoleAssignment, SqlRoleDefinition
from ringfence.emulators.interface import EmulatorError
from ringfence.providers.emulated import EmulatedProvider, Gap
from ringfence.providers.emulated.cosmos import CosmosService
from tests.unit.providers.registrations import registration

OWNERS = {"resourceGroupName": "g", "accountName": "orders", "databaseName": "shop"}
NO_LIMIT = "the fake keeps the throughput and refuses nothing for want of it"
KEPT = "the fake keeps the setting and does not act on it"


class Cosmos:
    def __init__(self, service: CosmosService) -> None:
        self.service = service
        self.provider = EmulatedProvider([service])

    @property
    def account(self) -> Any:
        return self.service.fake("orders").account

    def make(self, kind: str, name: str, /, **inputs: Any) -> list[Gap]:
        declared = registration(f"azure-native:cosmosdb:{kind}", name, **inputs)
        self.provider.deploy(declared)
        (entry,) = [entry for entry in self.provider.report if entry.urn == declared.urn]
        return list(entry.gaps)

    def database(self, **inputs: Any) -> list[Gap]:
        return self.make("SqlResourceSqlDatabase", "shop", **OWNERS, resource={"id": "shop"}, **inputs)

    def container(self, resource: dict[str, Any], **inputs: Any) -> list[Gap]:
        resource = {"id": "items", "partitionKey": {"paths": ["/k"], "kind": "Hash", "version": 2}, **resource}
        names = {**OWNERS, "containerName": "items"}
        return self.make("SqlResourceSqlContainer", "items", **names, resource=resource, **inputs)


@pytest.fixture
def cosmos() -> Iterator[Cosmos]:
    service = CosmosService()
    yield Cosmos(service)
    service.stop()


def test_a_container_has_all_settings_that_are_declared(cosmos: Cosmos) -> None:
    assert cosmos.database() == []
    found = cosmos.container(
        {
            "partitionKey": {"paths": ["/a", "/b/c"], "kind": "MultiHash", "version": 2},
            "defaultTtl": 3600,
            "uniqueKeyPolicy": {"uniqueKeys": [{"paths": ["/email"]}]},
            "indexingPolicy": {
                "indexingMode": "consistent",
                "automatic": True,
                "includedPaths": [{"path": "/*"}],
                "excludedPaths": [{"path": "/big/?"}],
                "compositeIndexes": [[{"path": "/a", "order": "descending"}, {"path": "/b/c", "order": "ascending"}]],
            },
        }
    )
    settings = cosmos.account.container("shop", "items").settings

    assert (settings.partition_key.kind, settings.partition_key.paths) == ("MultiHash", ("/a", "/b/c"))
    assert settings.default_ttl == 3600
    assert [key.paths for key in settings.unique_key_policy.unique_keys] == [("/email",)]
    assert [part.order for part in settings.indexing_policy.composite_indexes[0]] == ["descending", "ascending"]
    # The service adds this one, and so does the fake.
    assert found == [
        Gap(
            "resource.indexingPolicy",
            "the emulator has another value",
            found[0].declared,
            found[0].found,
        )
    ]
    assert '"_etag"' in found[0].found


@pytest.mark.parametrize(
    ("options", "throughput", "most"),
    [
        ({"throughput": 600}, 600, None),
        ({"autoscaleSettings": {"maxThroughput": 2000}}, None, 2000),
    ],
)
def test_throughput_is_kept_and_limits_nothing(
    cosmos: Cosmos, options: dict[str, Any], throughput: int | None, most: int | None
) -> None:
    assert cosmos.database(options=options) == [Gap("options", NO_LIMIT)]
    assert cosmos.container({}, options=options) == [Gap("options", NO_LIMIT)]
    for kept in (cosmos.account.throughput("shop"), cosmos.account.throughput("shop", "items")):
        assert kept.throughput == throughput
        assert (kept.autoscale_settings and kept.autoscale_settings.max_throughput) == most


def test_what_nothing_acts_on_and_what_is_not_done_is_said(cosmos: Cosmos) -> None:
    cosmos.database()
    found = cosmos.container(
        {
            "analyticalStorageTtl": -1,
            "computedProperties": [{"name": "lower", "query": "SELECT VALUE LOWER(c.n) FROM c"}],
            "conflictResolutionPolicy": {"mode": "LastWriterWins", "conflictResolutionPath": "/_ts"},
            "createMode": "Default",
        }
    )

    assert [(gap.property, gap.reason) for gap in found] == [
        ("resource.analyticalStorageTtl", KEPT),
        ("resource.computedProperties", "the fake does not do this"),
        ("resource.createMode", "the emulator has no such setting"),
    ]


@pytest.mark.parametrize(
    ("resource", "message"),
    [
        ({"defaultTtl": 0}, "default_ttl is 0"),
        ({"partitionKey": {"paths": ["/a", "/b"], "kind": "Hash"}}, "partition_key has 2 paths"),
        ({"indexingPolicy": {"indexingMode": "eager"}}, "indexingMode"),
    ],
)
def test_what_the_service_refuses_is_refused(cosmos: Cosmos, resource: dict[str, Any], message: str) -> None:
    cosmos.database()
    with pytest.raises(EmulatorError, match=message):
        cosmos.container(resource)


def test_a_container_without_its_database_is_refused(cosmos: Cosmos) -> None:
    with pytest.raises(EmulatorError, match="404"):
        cosmos.container({})


ACCOUNT = {
    "resourceGroupName": "g",
    "accountName": "orders",
    "disableLocalAuth": True,
    "consistencyPolicy": {"defaultConsistencyLevel": "Strong"},
    "capacity": {"totalThroughputLimit": 4000},
}
ROLE = {"principalId": "p", "roleDefinitionId": "/x/sqlRoleDefinitions/d", "scope": "/dbs/shop"}
OWN_ROLE = {"roleDefinitionId": "d", "permissions": [{"dataActions": ["Microsoft.DocumentDB/a"]}]}


def prepared(service: CosmosService) -> EmulatedProvider:
    provider = EmulatedProvider([service])
    names = {"resourceGroupName": "g", "accountName": "orders"}
    resources = (
        resource("DatabaseAccount", "orders", ACCOUNT, {"name": "orders"}),
        resource("SqlResourceSqlRoleDefinition", "own", {**names, **OWN_ROLE}, {"name": "d"}),
        resource("SqlResourceSqlRoleAssignment", "may", {**names, **ROLE}, {"name": "r"}),
    )
    provider.prepare(Deployment("shop", "dev", Path("/shop"), resources), Path("/shop"))
    return provider


def resource(kind: str, name: str, inputs: dict[str, Any], outputs: dict[str, Any]) -> Resource:
    return Resource(f"urn:{kind}", f"azure-native:cosmosdb:{kind}", name, inputs, outputs)


@pytest.mark.parametrize("keys", [True, False])
def test_an_account_starts_with_its_roles_and_with_keys_as_asked_for(keys: bool) -> None:
    service = CosmosService(keys=keys)
    provider = prepared(service)
    try:
        provider.deploy(registration("azure-native:cosmosdb:DatabaseAccount", "orders", **ACCOUNT))
        provider.deploy(
            registration("azure-native:cosmosdb:SqlResourceSqlRoleAssignment", "may", accountName="orders", **ROLE)
        )
        (account, role) = provider.report

        assert service.fake("orders").account.settings == AccountSettings(
            disable_local_auth=not keys,
            default_consistency_level="Strong",
            total_throughput_limit=4000,
            role_definitions=(SqlRoleDefinition(name="d", data_actions=("Microsoft.DocumentDB/a",)),),
            role_assignments=(
                SqlRoleAssignment(principal_id="p", role_definition_id="/x/sqlRoleDefinitions/d", scope="/dbs/shop"),
            ),
        )
        assert [gap.property for gap in account.gaps] == (["disableLocalAuth"] if keys else [])
        assert role.gaps == ()
    finally:
        service.stop()


def test_a_role_that_comes_too_late_is_said(cosmos: Cosmos) -> None:
    found = cosmos.make("SqlResourceSqlRoleAssignment", "may", accountName="orders", **ROLE)

    assert found == [Gap("", "it was not among the resources that the fake was started for")]


def test_keys_and_connection_strings_are_the_fakes(cosmos: Cosmos) -> None:
    cosmos.database()
    fake = cosmos.service.fake("orders")
    names = {"accountName": "orders", "resourceGroupName": "g"}
    keys = cosmos.provider.invoke("azure-native:cosmosdb:listDatabaseAccountKeys", names, {}).value
    strings = cosmos.provider.invoke("azure-native:cosmosdb:listDatabaseAccountConnectionStrings", names, {}).value

    assert set(keys.values()) == {fake.key}
    assert (
        strings["connectionStrings"][0]["connectionString"] == f"AccountEndpoint={fake.endpoint};AccountKey={fake.key};"
    )
