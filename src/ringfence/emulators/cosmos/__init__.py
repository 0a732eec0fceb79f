"""A fake of Azure Cosmos DB for NoSQL: an HTTP server in pure Python, for tests on loopback."""

from ringfence.emulators.cosmos.container import Container, StoredItem
from ringfence.emulators.cosmos.errors import ServiceError, SettingsError
from ringfence.emulators.cosmos.server import CosmosFake
from ringfence.emulators.cosmos.settings import (
    AccountSettings,
    AutoscaleSettings,
    CompositePath,
    ConflictResolutionPolicy,
    ContainerPartitionKey,
    ContainerSettings,
    CreateUpdateOptions,
    DatabaseSettings,
    IndexingPolicy,
    IndexPath,
    SqlRoleAssignment,
    SqlRoleDefinition,
    UniqueKey,
    UniqueKeyPolicy,
)
from ringfence.emulators.cosmos.store import Account, Database

__all__ = [
    "Account",
    "AccountSettings",
    "AutoscaleSettings",
    "CompositePath",
    "ConflictResolutionPolicy",
    "Container",
    "ContainerPartitionKey",
    "ContainerSettings",
    "CosmosFake",
    "CreateUpdateOptions",
    "Database",
    "DatabaseSettings",
    "IndexPath",
    "IndexingPolicy",
    "ServiceError",
    "SettingsError",
    "SqlRoleAssignment",
    "SqlRoleDefinition",
    "StoredItem",
    "UniqueKey",
    "UniqueKeyPolicy",
]
