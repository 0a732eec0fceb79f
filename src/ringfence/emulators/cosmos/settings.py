"""What an account, a database and a container can be set to.

The names are those of Azure Resource Manager (Microsoft.DocumentDB/databaseAccounts, sqlDatabases, containers), in
snake case; the service's REST API has the same names for what a container holds, in camel case. Limits: "Azure Cosmos
DB service quotas" (Learn).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass

from ringfence.emulators.cosmos.errors import SettingsError
from ringfence.emulators.cosmos.values import parse_path

__all__ = [
    "AccountSettings",
    "AutoscaleSettings",
    "CompositePath",
    "ConflictResolutionPolicy",
    "ContainerPartitionKey",
    "ContainerSettings",
    "CreateUpdateOptions",
    "DatabaseSettings",
    "IndexPath",
    "IndexingPolicy",
    "SqlRoleAssignment",
    "SqlRoleDefinition",
    "UniqueKey",
    "UniqueKeyPolicy",
    "check_container",
    "check_options",
    "from_json",
    "to_json",
]

SHAPE = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

ConsistencyLevel = Literal["Eventual", "ConsistentPrefix", "Session", "BoundedStaleness", "Strong"]


@dataclass(frozen=True, kw_only=True, config=SHAPE)
class ContainerPartitionKey:
    """What items are spread by. With `MultiHash`, by up to three properties, the first one foremost.

    `version` 1, which the service takes when none is given, hashes only the first 100 characters of a string.
    """

    paths: tuple[str, ...]
    kind: Literal["Hash", "MultiHash"] = "Hash"
    version: Literal[1, 2] = 2
    system_key: bool | None = None


@dataclass(frozen=True, kw_only=True, config=SHAPE)
class UniqueKey:
    """Properties whose values together are unique in a logical partition."""

    paths: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, config=SHAPE)
class UniqueKeyPolicy:
    """All unique keys of a container."""

    unique_keys: tuple[UniqueKey, ...] = ()


@dataclass(frozen=True, kw_only=True, config=SHAPE)
class IndexPath:
    """A path that is indexed or not: `/a/?` is the value there, `/a/*` all below. `indexes` is of no effect."""

    path: str
    indexes: tuple[dict[str, Any], ...] | None = None


@dataclass(frozen=True, kw_only=True, config=SHAPE)
class CompositePath:
    """One property of a composite index."""

    path: str
    order: Literal["ascending", "descending"] = "ascending"


@dataclass(frozen=True, kw_only=True, config=SHAPE)
class IndexingPolicy:
    """What is indexed. ORDER BY needs an index here, as in the service; other conditions are answered in any case.

    `spatial_indexes`, `vector_indexes` and `full_text_indexes` are kept and given back; nothing acts on them.
    """

    indexing_mode: Literal["consistent", "lazy", "none"] = "consistent"
    automatic: bool = True
    included_paths: tuple[IndexPath, ...] = (IndexPath(path="/*"),)
    excluded_paths: tuple[IndexPath, ...] = (IndexPath(path='/"_etag"/?'),)
    composite_indexes: tuple[tuple[CompositePath, ...], ...] = ()
    spatial_indexes: tuple[dict[str, Any], ...] | None = None
    vector_indexes: tuple[dict[str, Any], ...] | None = None
    full_text_indexes: tuple[dict[str, Any], ...] | None = None


@dataclass(frozen=True, kw_only=True, config=SHAPE)
class ConflictResolutionPolicy:
    """Which of two writes in two regions wins. Kept and given back: this fake is one region."""

    mode: Literal["LastWriterWins", "Custom"] = "LastWriterWins"
    conflict_resolution_path: str | None = "/_ts"
    conflict_resolution_procedure: str | None = None


@dataclass(frozen=True, kw_only=True, config=SHAPE)
class AutoscaleSettings:
    """Throughput that follows the load, up to so many request units a second."""

    max_throughput: int


@dataclass(frozen=True, kw_only=True, config=SHAPE)
class CreateUpdateOptions:
    """How much throughput a database or container gets, in request units a second: fixed, or up to a limit.

    It is kept and given back. It limits nothing: throttling is injected (`CosmosFake.throttle`).
    """

    throughput: int | None = None
    autoscale_settings: AutoscaleSettings | None = None


@dataclass(frozen=True, kw_only=True, config=SHAPE)
class DatabaseSettings:
    """A database."""

    id: str
    options: CreateUpdateOptions = CreateUpdateOptions()


@dataclass(frozen=True, kw_only=True, config=SHAPE)
class ContainerSettings:
    """A container.

    `options` is what it is made with; `Account.throughput` says what it has now.
    `default_ttl` is in seconds: None never expires whatever an item says, -1 only where an item says so.
    `analytical_storage_ttl`, `conflict_resolution_policy`, `geospatial_config`, `full_text_policy` and
    `change_feed_policy` are kept and given back; nothing acts on them.
    """

    id: str
    partition_key: ContainerPartitionKey
    default_ttl: int | None = None
    unique_key_policy: UniqueKeyPolicy = UniqueKeyPolicy()
    indexing_policy: IndexingPolicy = IndexingPolicy()
    conflict_resolution_policy: ConflictResolutionPolicy = ConflictResolutionPolicy()
    vector_embedding_policy: dict[str, Any] | None = None
    analytical_storage_ttl: int | None = None
    geospatial_config: dict[str, Any] | None = None
    full_text_policy: dict[str, Any] | None = None
    change_feed_policy: dict[str, Any] | None = None
    computed_properties: tuple[dict[str, Any], ...] | None = None
    client_encryption_policy: dict[str, Any] | None = None
    options: CreateUpdateOptions = CreateUpdateOptions()


@dataclass(frozen=True, kw_only=True, config=SHAPE)
class SqlRoleDefinition:
    """A role of the service's own: the data actions that it holds, in which `*` stands for any."""

    name: str
    """The id of the definition, a GUID."""
    data_actions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, config=SHAPE)
class SqlRoleAssignment:
    """A role for a principal, the `oid` of its tokens, on the account (`/`) or on `/dbs/DATABASE[/colls/CONTAINER]`.

    `role_definition_id` and `scope` may be full ids of Azure Resource Manager; what follows the account counts.
    """

    principal_id: str
    role_definition_id: str
    scope: str = "/"


@dataclass(frozen=True, kw_only=True, config=SHAPE)
class AccountSettings:
    """An account.

    Without `role_assignments` (None) a valid token may do all that a token may do; with them, what they say.
    """

    disable_local_auth: bool = False
    disable_key_based_metadata_write_access: bool = False
    default_consistency_level: ConsistencyLevel = "Session"
    total_throughput_limit: int = -1
    """The most that all databases and containers may have together, in request units a second; -1 is no limit."""
    role_definitions: tuple[SqlRoleDefinition, ...] = ()
    role_assignments: tuple[SqlRoleAssignment, ...] | None = None


Settings = TypeVar("Settings", ContainerSettings, DatabaseSettings)
ADAPTERS: dict[type, TypeAdapter[Any]] = {
    kind: TypeAdapter(kind) for kind in (ContainerSettings, DatabaseSettings, IndexingPolicy)
}


def from_json(kind: type[Settings], body: dict[str, Any]) -> Settings:
    """Return the settings that a request's body holds. Properties of the service's own (`_rid`) are left out.

    Raises:
        SettingsError: the body is not of this shape.
    """
    own = {name: value for name, value in body.items() if not name.startswith("_") and value is not None}
    if "partitionKey" in own and isinstance(own["partitionKey"], dict):
        own["partitionKey"] = {"version": 1, **own["partitionKey"]}  # as the service takes it
    try:
        found: Settings = ADAPTERS[kind].validate_python(own)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or kind.__name__
        raise SettingsError(f"{where}: {first['msg']}") from error
    return found


def to_json(settings: ContainerSettings | DatabaseSettings) -> dict[str, Any]:
    """Return settings as the service's REST API writes them. Throughput is not among them: it is an offer."""
    body: dict[str, Any] = ADAPTERS[type(settings)].dump_python(
        settings, mode="json", by_alias=True, exclude_none=True, exclude={"options"}
    )
    if not body.get("uniqueKeyPolicy", {}).get("uniqueKeys", True):
        del body["uniqueKeyPolicy"]
    return body


def check_id(kind: str, name: str) -> None:
    """Refuse what is no id of a database or container.

    Raises:
        SettingsError: it is not.
    """
    if not name or len(name) > 255 or any(character in name for character in "/\\?#\t\r\n") or name.endswith(" "):
        raise SettingsError(f"{kind} {name!r}: an id has 1 to 255 characters without / \\ ? # and no space at its end")


def check_container(settings: ContainerSettings) -> ContainerSettings:
    """Refuse what the service refuses, and what this fake does not do. Return the settings as they are kept.

    Raises:
        SettingsError: a setting is out of its range or not supported.
    """
    check_id("container", settings.id)
    key = settings.partition_key
    most = 3 if key.kind == "MultiHash" else 1
    if not 1 <= len(key.paths) <= most:
        raise SettingsError(f"{settings.id}: partition_key has {len(key.paths)} paths, {key.kind} takes 1 to {most}")
    if key.kind == "MultiHash" and key.version != 2:
        raise SettingsError(f"{settings.id}: partition_key of kind MultiHash needs version 2")
    for path in (*key.paths, *(path for unique in settings.unique_key_policy.unique_keys for path in unique.paths)):
        try:
            parse_path(path)
        except ValueError as error:
            raise SettingsError(f"{settings.id}: {error}") from error
    ttl = settings.default_ttl
    if ttl is not None and ttl != -1 and not 1 <= ttl <= 2**31 - 1:
        raise SettingsError(f"{settings.id}: default_ttl is {ttl}, expected -1 or 1 to {2**31 - 1}")
    for name in ("computed_properties", "client_encryption_policy"):
        if getattr(settings, name):
            raise SettingsError(f"{settings.id}: {name} is not supported by this emulator")
    check_options(settings.id, settings.options)
    paths = [path.path for path in (*settings.indexing_policy.included_paths, *settings.indexing_policy.excluded_paths)]
    if settings.indexing_policy.indexing_mode != "none" and "/*" not in paths:
        raise SettingsError(f"{settings.id}: indexing_policy must include or exclude the path /*")
    if "/_etag/?" not in paths and '/"_etag"/?' not in paths and settings.indexing_policy.indexing_mode != "none":
        excluded = (*settings.indexing_policy.excluded_paths, IndexPath(path='/"_etag"/?'))
        return replace(settings, indexing_policy=replace(settings.indexing_policy, excluded_paths=excluded))
    return settings


def check_options(name: str, options: CreateUpdateOptions) -> None:
    """Refuse throughput that the service does not sell.

    Raises:
        SettingsError: it is out of range.
    """
    fixed, automatic = options.throughput, options.autoscale_settings
    if fixed is not None and automatic is not None:
        raise SettingsError(f"{name}: throughput and autoscale_settings exclude each other")
    if fixed is not None and (fixed < 400 or fixed % 100):
        raise SettingsError(f"{name}: throughput is {fixed}, expected 400 or more in steps of 100")
    if automatic is not None and (automatic.max_throughput < 1000 or automatic.max_throughput % 1000):
        raise SettingsError(
            f"{name}: max_throughput is {automatic.max_throughput}, expected 1000 or more in steps of 1000"
        )
