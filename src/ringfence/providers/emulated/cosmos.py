"""Cosmos DB accounts on the fake: databases, containers with all their settings, and who may do what in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from pydantic.alias_generators import to_camel

from ringfence.emulators.cosmos import (
    AccountSettings,
    AutoscaleSettings,
    ContainerSettings,
    CosmosFake,
    CreateUpdateOptions,
    DatabaseSettings,
    ServiceError,
    SettingsError,
    SqlRoleAssignment,
    SqlRoleDefinition,
)
from ringfence.emulators.cosmos.settings import from_json, to_json
from ringfence.emulators.interface import Backend, EmulatorError
from ringfence.providers.emulated.accounts import name_of, named, owners, suffixed, token_of
from ringfence.providers.emulated.interface import Gap, Made, gaps, plain
from ringfence.providers.interface import Created, Registration

__all__ = ["CosmosService", "id_of", "keys_of"]

ACCOUNT = "cosmosdb:DatabaseAccount"
DATABASE = "cosmosdb:SqlResourceSqlDatabase"
CONTAINER = "cosmosdb:SqlResourceSqlContainer"
ROLE_DEFINITION = "cosmosdb:SqlResourceSqlRoleDefinition"
ROLE_ASSIGNMENT = "cosmosdb:SqlResourceSqlRoleAssignment"
TYPES = {ACCOUNT, DATABASE, CONTAINER, ROLE_DEFINITION, ROLE_ASSIGNMENT}
DEFAULT_ACCOUNT = "ringfence"
OWNERS = ("resourceGroupName", "accountName", "databaseName", "location")

KEY_NAMES = [f"{rank}{kind}MasterKey" for rank in ("primary", "secondary") for kind in ("", "Readonly")]
KEPT = "the fake keeps the setting and does not act on it"
UNSUPPORTED = {"computedProperties", "clientEncryptionPolicy"}
INERT = {
    "analyticalStorageTtl",
    "changeFeedPolicy",
    "conflictResolutionPolicy",
    "fullTextPolicy",
    "geospatialConfig",
}
KNOWN = {to_camel(field.name) for field in dataclasses.fields(ContainerSettings)} - {"options"}
INERT_INDEXES = ("spatialIndexes", "vectorIndexes", "fullTextIndexes")
NO_SETTING = "the fake has no such setting"
KEY_TAKEN = "the fake takes the key, which the environment has"
TOO_LATE = "it was not among the resources that the fake was started for"


class CosmosService:
    """All accounts of a program, one fake each.

    Without `keys` a fake refuses its key where the account says so (`disableLocalAuth`), as the service does. With
    them it takes the key in any case, since programs that only have a connection's key could do nothing otherwise.
    `make` gives a fake, not started, of an account with these settings.
    """

    name = "cosmos"
    title = "the Cosmos DB fake"

    def __init__(self, make: Callable[[AccountSettings], CosmosFake] = CosmosFake, *, keys: bool = True) -> None:
        self._make = make
        self._keys = keys
        self._wanted: dict[str, AccountSettings] = {}
        self._fakes: dict[str, CosmosFake] = {}

    def serves(self, token: str) -> bool:
        """Whether resources of this type are made on the fake."""
        return token_of(token) in TYPES

    def needs(self, registrations: Iterable[Registration], outputs: Iterable[Mapping[str, Any]]) -> None:
        """Take the settings of the accounts and the roles in them, which a fake is started with."""
        known = [*zip(registrations, outputs, strict=True)]
        names = owners([entry[0] for entry in known], [entry[1] for entry in known], ACCOUNT, "accountName")
        self._wanted = {name: self._account_settings(name, known) for name in names}

    def start(self) -> None:
        """Start a fake for each account that is wanted, or one for a program's own use."""
        for name in self._wanted or [DEFAULT_ACCOUNT]:
            self.fake(name)

    def fake(self, account: str) -> CosmosFake:
        """Return the fake of an account, which is started if it does not run yet.

        Raises:
            EmulatorError: it cannot be started.
        """
        if account not in self._fakes:
            fake = self._make(self._wanted.get(account, AccountSettings()))
            fake.start()
            self._fakes[account] = fake
        return self._fakes[account]

    def create(self, registration: Registration, offline: Created) -> Made:
        """Make a resource.

        Raises:
            EmulatorError: it cannot be made.
        """
        token, inputs, name = token_of(registration.type), registration.inputs, name_of(offline)
        try:
            if token == ACCOUNT:
                return self._account(inputs, name)
            (account,) = named(inputs, "accountName")
            fake = self.fake(account)
            match token:
                case "cosmosdb:SqlResourceSqlDatabase":
                    return _database(fake, inputs, name)
                case "cosmosdb:SqlResourceSqlContainer":
                    return _container(fake, inputs, name)
                case "cosmosdb:SqlResourceSqlRoleDefinition":
                    return _role_definition(fake, inputs, name)
                case _:
                    return _role_assignment(fake, inputs)
        except SettingsError as error:
            raise EmulatorError(str(error)) from error
        except ServiceError as error:
            raise EmulatorError(f"{error.status}: {error}") from error

    def delete(self, registration: Registration, existing: Created) -> str:
        """Delete a resource. An account is emptied: its fake runs on at the same address.

        Raises:
            EmulatorError: it cannot be deleted.
        """
        token, inputs, name = token_of(registration.type), registration.inputs, name_of(existing)
        fake = self._fakes.get(name if token == ACCOUNT else named(inputs, "accountName")[0])
        if fake is None:
            return ""
        try:
            match token:
                case "cosmosdb:DatabaseAccount":
                    fake.account.reset()
                case "cosmosdb:SqlResourceSqlDatabase":
                    fake.account.delete_database(id_of(inputs, name))
                case "cosmosdb:SqlResourceSqlContainer":
                    fake.account.delete_container(named(inputs, "databaseName")[0], id_of(inputs, name))
                case _:
                    return "the fake takes its roles when it starts"
        except ServiceError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise EmulatorError(f"{error.status}: {error}") from error
        return ""

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Answer the keys of an account, and its connection strings."""
        fake = self._fakes.get(named(arguments, "accountName")[0])
        return None if fake is None else keys_of(token, fake.endpoint, fake.key)

    def environment(self) -> dict[str, str]:
        """Return the endpoint and the key of the first account, and of each where there are more."""
        found = {name: fake.environment() for name, fake in self._fakes.items()}
        return suffixed(found, "RINGFENCE_COSMOS_")

    def backends(self) -> set[Backend]:
        """Return what the fakes run in."""
        return {fake.backend for fake in self._fakes.values()}

    def check(self) -> None:
        """Raise `EmulatorError` if a fake has failed."""
        for fake in self._fakes.values():
            for fault in fake.faults:
                raise EmulatorError(f"the Cosmos DB fake has failed: {fault!r}") from fault

    def stop(self) -> None:
        """Stop."""
        fakes, self._fakes = list(self._fakes.values()), {}
        for fake in fakes:
            fake.stop()

    # --- accounts ------------------------------------------------------------------------------------------------

    def _account_settings(
        self, account: str, known: Iterable[tuple[Registration, Mapping[str, Any]]]
    ) -> AccountSettings:
        """Return the settings of an account, with the roles that a program declares in it."""
        settings, definitions, assignments = AccountSettings(), [], []
        for registration, outputs in known:
            inputs = plain(registration.inputs)
            match token_of(registration.type):
                case "cosmosdb:DatabaseAccount" if plain(outputs.get("name")) == account:
                    settings = self._declared(inputs)
                case "cosmosdb:SqlResourceSqlRoleDefinition" if inputs.get("accountName") == account:
                    definitions.append(_definition(inputs, plain(outputs.get("name"))))
                case "cosmosdb:SqlResourceSqlRoleAssignment" if inputs.get("accountName") == account:
                    assignments.append(_assignment(inputs))
        return dataclasses.replace(settings, role_definitions=tuple(definitions), role_assignments=tuple(assignments))

    def _declared(self, inputs: Mapping[str, Any]) -> AccountSettings:
        consistency = inputs.get("consistencyPolicy", {}).get("defaultConsistencyLevel", "Session")
        return AccountSettings(
            disable_local_auth=not self._keys and bool(inputs.get("disableLocalAuth")),
            disable_key_based_metadata_write_access=not self._keys
            and bool(inputs.get("disableKeyBasedMetadataWriteAccess")),
            default_consistency_level=consistency,
            total_throughput_limit=inputs.get("capacity", {}).get("totalThroughputLimit", -1),
        )

    def _account(self, inputs: Mapping[str, Any], name: str) -> Made:
        self._wanted.setdefault(name, self._declared(plain(inputs)))
        fake = self.fake(name)
        kept = fake.account.settings
        found = {
            "capacity.totalThroughputLimit": kept.total_throughput_limit,
            "consistencyPolicy.defaultConsistencyLevel": kept.default_consistency_level,
        }
        reasons = {}
        for key, value in (
            ("disableLocalAuth", kept.disable_local_auth),
            ("disableKeyBasedMetadataWriteAccess", kept.disable_key_based_metadata_write_access),
        ):
            if self._keys and plain(inputs.get(key)):
                reasons[key] = KEY_TAKEN
            else:
                found[key] = value
        reasons["kind"] = (
            "" if plain(inputs.get("kind")) in (None, "GlobalDocumentDB") else "the fake has the SQL API only"
        )
        return Made(
            {"documentEndpoint": fake.endpoint},
            gaps=gaps(inputs, names=OWNERS, found=found, reasons=reasons),
            absent=("readLocations", "writeLocations"),
        )


def id_of(inputs: Mapping[str, Any], name: str) -> str:
    """Return the id that the service knows a database or container by."""
    return str((plain(inputs.get("resource")) or {}).get("id", name))


def keys_of(token: str, endpoint: str, key: str) -> Mapping[str, Any] | None:
    """Answer a function that lists the keys or the connection strings of an account, None if it is another one."""
    match token_of(token):
        case "cosmosdb:listDatabaseAccountKeys":
            return dict.fromkeys(KEY_NAMES, key)
        case "cosmosdb:listDatabaseAccountConnectionStrings":
            text = f"AccountEndpoint={endpoint};AccountKey={key};"
            return {"connectionStrings": [{"connectionString": text, "description": "Primary"}]}
        case _:
            return None


# --- what is in an account -------------------------------------------------------------------------------------------


def _database(fake: CosmosFake, inputs: Mapping[str, Any], name: str) -> Made:
    fake.account.create_database(DatabaseSettings(id=id_of(inputs, name), options=_options(inputs)))
    kept = fake.account.database(id_of(inputs, name)).settings
    found = {"resource.id": kept.id, **_throughput(fake.account.throughput(kept.id))}
    return Made(gaps=_with_limits(inputs, gaps(inputs, names=OWNERS, found=found)))


def _container(fake: CosmosFake, inputs: Mapping[str, Any], name: str) -> Made:
    (database,) = named(inputs, "databaseName")
    resource = plain(inputs.get("resource")) or {}
    wanted = {key: value for key, value in resource.items() if key in KNOWN and key not in UNSUPPORTED}
    settings = dataclasses.replace(from_json(ContainerSettings, {"id": name, **wanted}), options=_options(inputs))
    fake.account.create_container(database, settings)
    kept = to_json(fake.account.container(database, settings.id).settings)
    reasons = {f"resource.{key}": "the fake does not do this" for key in UNSUPPORTED}
    reasons |= {f"resource.{key}": KEPT for key in INERT if resource.get(key) is not None}
    if resource.get("conflictResolutionPolicy", {}).get("mode") == "LastWriterWins":
        reasons["resource.conflictResolutionPolicy"] = ""
    found = {f"resource.{key}": kept.get(key) for key in KNOWN if f"resource.{key}" not in reasons}
    found |= _throughput(fake.account.throughput(database, settings.id))
    indexes = resource.get("indexingPolicy", {})
    inert = [Gap(f"resource.indexingPolicy.{key}", KEPT) for key in INERT_INDEXES if indexes.get(key)]
    compared = gaps(inputs, names=(*OWNERS, "containerName"), found=found, reasons=reasons)
    return Made(gaps=(*_with_limits(inputs, compared), *inert))


def _options(inputs: Mapping[str, Any]) -> CreateUpdateOptions:
    options = plain(inputs.get("options")) or {}
    automatic = options.get("autoscaleSettings", {}).get("maxThroughput")
    return CreateUpdateOptions(
        throughput=options.get("throughput"),
        autoscale_settings=None if automatic is None else AutoscaleSettings(max_throughput=automatic),
    )


def _throughput(kept: CreateUpdateOptions | None) -> dict[str, Any]:
    if kept is None:
        return {}
    automatic = kept.autoscale_settings
    return {
        "options.throughput": kept.throughput,
        "options.autoscaleSettings.maxThroughput": automatic.max_throughput if automatic is not None else None,
    }


def _with_limits(inputs: Mapping[str, Any], found: tuple[Gap, ...]) -> tuple[Gap, ...]:
    """Add that throughput limits nothing, where some is declared."""
    if not plain(inputs.get("options")):
        return found
    return (*found, Gap("options", "the fake keeps the throughput and refuses nothing for want of it"))


def _definition(inputs: Mapping[str, Any], name: str) -> SqlRoleDefinition:
    actions = [action for permission in inputs.get("permissions", []) for action in permission.get("dataActions", [])]
    return SqlRoleDefinition(name=name, data_actions=tuple(actions))


def _assignment(inputs: Mapping[str, Any]) -> SqlRoleAssignment:
    return SqlRoleAssignment(
        principal_id=str(inputs.get("principalId")),
        role_definition_id=str(inputs.get("roleDefinitionId")),
        scope=str(inputs.get("scope", "/")),
    )


def _role_definition(fake: CosmosFake, inputs: Mapping[str, Any], name: str) -> Made:
    declared = _definition(plain(inputs), name)
    lacking = () if declared in fake.account.settings.role_definitions else (Gap("", TOO_LATE),)
    excluded = [permission for permission in plain(inputs.get("permissions")) or [] if permission.get("notDataActions")]
    reasons = dict.fromkeys(("assignableScopes", "roleName", "type", "permissions"), "")
    if excluded:
        reasons["permissions"] = "the fake knows no notDataActions"
    return Made(gaps=(*lacking, *gaps(inputs, names=(*OWNERS, "roleDefinitionId"), reasons=reasons)))


def _role_assignment(fake: CosmosFake, inputs: Mapping[str, Any]) -> Made:
    known = fake.account.settings.role_assignments or ()
    lacking = () if _assignment(plain(inputs)) in known else (Gap("", TOO_LATE),)
    reasons = dict.fromkeys(("principalId", "roleDefinitionId", "scope"), "")
    return Made(gaps=(*lacking, *gaps(inputs, names=(*OWNERS, "roleAssignmentId"), reasons=reasons)))
