"""Cosmos DB accounts on Microsoft's own emulator: databases and containers, made by the SDK.

The emulator has one account, no roles and no throughput: each account of a program has an emulator of its own, and the
rest is a gap. Source: Microsoft Learn, "Linux-based emulator - vNext (preview)", the tables of features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ringfence.emulators.interface import EmulatorError
from ringfence.providers.emulated.accounts import (
    AccountEmulator,
    OnEmulators,
    name_of,
    named,
    owners,
    suffixed,
    token_of,
)
from ringfence.providers.emulated.cosmos import ACCOUNT, DEFAULT_ACCOUNT, OWNERS, TYPES, id_of, keys_of
from ringfence.providers.emulated.interface import Gap, Made, gaps, plain
from ringfence.providers.interface import Created, Registration

__all__ = ["OfficialCosmosService"]

NO_ROLES = "the official emulator has no roles: everyone may do everything"
NO_THROUGHPUT = "the official emulator has no throughput"
NO_SETTING = "the official emulator's account has no settings"

SETTINGS = {
    "analyticalStorageTtl": "analytical_storage_ttl",
    "computedProperties": "computed_properties",
    "conflictResolutionPolicy": "conflict_resolution_policy",
    "defaultTtl": "default_ttl",
    "fullTextPolicy": "full_text_policy",
    "indexingPolicy": "indexing_policy",
    "uniqueKeyPolicy": "unique_key_policy",
    "vectorEmbeddingPolicy": "vector_embedding_policy",
}
"""Settings of a container, and the SDK's names of them."""

ADDED_EXCLUSION = {"path": '/"_etag"/?'}
"""What the service adds to every indexing policy."""


class OfficialCosmosService(OnEmulators[AccountEmulator]):
    """All accounts of a program, one emulator each. `make` gives an emulator, not started."""

    name = "cosmos"
    title = "the Cosmos DB emulator"

    def __init__(self, make: Callable[[], AccountEmulator]) -> None:
        super().__init__()
        self._make = make
        self._wanted: list[str] = []

    def serves(self, token: str) -> bool:
        """Whether resources of this type are made on the emulator."""
        return token_of(token) in TYPES

    def needs(self, registrations: Iterable[Registration], outputs: Iterable[Mapping[str, Any]]) -> None:
        """Take the names of the accounts."""
        self._wanted = owners(registrations, outputs, ACCOUNT, "accountName")

    def start(self) -> None:
        """Start an emulator for each account that is wanted, or one for a program's own use."""
        for name in self._wanted or [DEFAULT_ACCOUNT]:
            self._account(name)

    def create(self, registration: Registration, offline: Created) -> Made:
        """Make a resource.

        Raises:
            EmulatorError: it cannot be made.
        """
        token, inputs, name = token_of(registration.type), registration.inputs, name_of(offline)
        if token == ACCOUNT:
            return self._make_account(inputs, name)
        if token not in ("cosmosdb:SqlResourceSqlDatabase", "cosmosdb:SqlResourceSqlContainer"):
            return Made(gaps=(Gap("", NO_ROLES),))
        from azure.core.exceptions import AzureError

        (account,) = named(inputs, "accountName")
        try:
            with _client(self._account(account)) as client:
                if token == "cosmosdb:SqlResourceSqlDatabase":
                    return _database(client, inputs, name)
                return _container(client, inputs, name)
        except AzureError as error:
            raise EmulatorError(_reason(error)) from error

    def delete(self, registration: Registration, existing: Created) -> str:
        """Delete a resource. Of an account there is nothing left when its databases are gone.

        Raises:
            EmulatorError: it cannot be deleted.
        """
        from azure.core.exceptions import AzureError
        from azure.cosmos.exceptions import CosmosResourceNotFoundError

        token, inputs, name = token_of(registration.type), registration.inputs, name_of(existing)
        account, database = named(inputs, "accountName", "databaseName")
        if account not in self._emulators:
            return ""
        try:
            with _client(self._account(account)) as client:
                if token == "cosmosdb:SqlResourceSqlDatabase":
                    client.delete_database(id_of(inputs, name))
                elif token == "cosmosdb:SqlResourceSqlContainer":
                    client.get_database_client(database).delete_container(id_of(inputs, name))
        except CosmosResourceNotFoundError:
            return ""
        except AzureError as error:
            raise EmulatorError(_reason(error)) from error
        return ""

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Answer the keys of an account, and its connection strings."""
        (account,) = named(arguments, "accountName")
        if account not in self._emulators:
            return None
        variables = self._account(account)
        return keys_of(token, variables["RINGFENCE_COSMOS_ENDPOINT"], variables["RINGFENCE_COSMOS_KEY"])

    def environment(self) -> dict[str, str]:
        """Return the endpoint and the key of the first account, and of each where there are more."""
        found = {name: emulator.environment() for name, emulator in self._emulators.items()}
        return suffixed(found, "RINGFENCE_COSMOS_")

    def _account(self, name: str) -> dict[str, str]:
        """Return how to reach an account, on an emulator that is started if none has it."""
        if name not in self._emulators:
            emulator = self._make()
            emulator.start()
            self._emulators[name] = emulator
        return self._emulators[name].environment()

    def _make_account(self, inputs: Mapping[str, Any], name: str) -> Made:
        endpoint = self._account(name)["RINGFENCE_COSMOS_ENDPOINT"]
        reasons = {"kind": "" if plain(inputs.get("kind")) in (None, "GlobalDocumentDB") else "it has the SQL API only"}
        return Made(
            {"documentEndpoint": endpoint},
            gaps=gaps(inputs, names=OWNERS, reasons=reasons, otherwise=NO_SETTING),
            absent=("readLocations", "writeLocations"),
        )


def _database(client: Any, inputs: Mapping[str, Any], name: str) -> Made:
    kept = client.create_database(id_of(inputs, name)).read()
    return Made(gaps=gaps(inputs, names=OWNERS, found={"resource.id": kept["id"]}, reasons=_throughput(inputs)))


def _container(client: Any, inputs: Mapping[str, Any], name: str) -> Made:
    from azure.cosmos import PartitionKey

    (database,) = named(inputs, "databaseName")
    resource = plain(inputs.get("resource")) or {}
    key = resource.get("partitionKey", {})
    paths, kind = key.get("paths", ["/_partitionKey"]), key.get("kind", "Hash")
    settings = {sdk: resource[own] for own, sdk in SETTINGS.items() if own in resource}
    container = client.get_database_client(database).create_container(
        id_of(inputs, name),
        PartitionKey(path=paths if kind == "MultiHash" else paths[0], kind=kind, version=key.get("version", 2)),
        **settings,
    )
    kept = container.read()
    found = {f"resource.{own}": kept.get(own) for own in ("id", "partitionKey", *SETTINGS)}
    if policy := found["resource.indexingPolicy"]:
        excluded = [entry for entry in policy.get("excludedPaths", []) if entry != ADDED_EXCLUSION]
        found["resource.indexingPolicy"] = {**policy, "excludedPaths": excluded}
    compared = gaps(inputs, names=(*OWNERS, "containerName"), found=found, reasons=_throughput(inputs))
    return Made(gaps=compared)


def _throughput(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Say of each throughput that is declared that there is none."""
    options = plain(inputs.get("options")) or {}
    declared = ("options.throughput", "options.autoscaleSettings.maxThroughput") if options else ()
    return dict.fromkeys(declared, NO_THROUGHPUT)


def _client(variables: Mapping[str, str]) -> Any:
    from azure.cosmos import CosmosClient

    endpoint, key = variables["RINGFENCE_COSMOS_ENDPOINT"], variables["RINGFENCE_COSMOS_KEY"]
    return CosmosClient(endpoint, key, enable_endpoint_discovery=False)


def _reason(error: Exception) -> str:
    """Return an SDK's message without the addresses and times that follow on lines of their own."""
    return str(error).strip().splitlines()[0]
