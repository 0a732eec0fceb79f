"""Storage accounts on Azurite: containers, queues, tables and blobs, by Microsoft's own SDKs.

Azurite keeps the settings of an account's services and acts on few of them; docs/emulators/azurite.md says which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ringfence.deployment import Asset, reveal
from ringfence.emulators.interface import EmulatorError
from ringfence.providers.emulated.accounts import OnEmulators, Running, name_of, named, owners, suffixed, token_of
from ringfence.providers.emulated.interface import Gap, Made, gaps, plain
from ringfence.providers.interface import Created, Registration

__all__ = ["StorageEmulator", "StorageService"]

ACCOUNT = "storage:StorageAccount"
TYPES = {
    ACCOUNT,
    "storage:Blob",
    "storage:BlobContainer",
    "storage:BlobServiceProperties",
    "storage:Queue",
    "storage:QueueServiceProperties",
    "storage:Table",
    "storage:TableServiceProperties",
}
DEFAULT_ACCOUNT = "devstoreaccount1"
OWNERS = ("resourceGroupName", "accountName", "containerName")

NO_UNDELETE = "Azurite keeps the setting, and cannot bring back what was deleted"
KEY_TAKEN = "Azurite takes the key, which the connection string in the environment has"
NO_ACCOUNT_SETTINGS = "an account of Azurite has no settings"


class StorageEmulator(Running, Protocol):
    """What runs several storage accounts."""

    def environment(self, account: str | None = None) -> dict[str, str]:
        """Return what a program needs to reach an account."""


class StorageService(OnEmulators[StorageEmulator]):
    """All storage accounts of a program. `make` gives an emulator, not started, for accounts of these names."""

    name = "storage"
    title = "Azurite"

    def __init__(self, make: Callable[[Sequence[str]], StorageEmulator]) -> None:
        super().__init__()
        self._make = make
        self._wanted: list[str] = []

    def serves(self, token: str) -> bool:
        """Whether resources of this type are made on Azurite."""
        return token_of(token) in TYPES

    def needs(self, registrations: Iterable[Registration], outputs: Iterable[Mapping[str, Any]]) -> None:
        """Take the names of the accounts: one Azurite has them all, and takes no more once it runs."""
        self._wanted = owners(registrations, outputs, ACCOUNT, "accountName")

    def start(self) -> None:
        """Start Azurite with the accounts that are wanted, or its default one."""
        self._account((self._wanted or [DEFAULT_ACCOUNT])[0])

    def create(self, registration: Registration, offline: Created) -> Made:
        """Make a resource.

        Raises:
            EmulatorError: it cannot be made.
        """
        from azure.core.exceptions import AzureError

        try:
            return self._create(token_of(registration.type), registration.inputs, offline)
        except AzureError as error:
            raise EmulatorError(_reason(error)) from error

    def delete(self, registration: Registration, existing: Created) -> str:
        """Delete a resource. An account is emptied: Azurite has its accounts for life.

        Raises:
            EmulatorError: it cannot be deleted.
        """
        from azure.core.exceptions import AzureError, ResourceNotFoundError

        token, name = token_of(registration.type), name_of(existing)
        account = name if token == ACCOUNT else named(registration.inputs, "accountName")[0]
        if account not in self._emulators:
            return ""
        try:
            _delete(self._account(account), token, registration.inputs, name)
        except ResourceNotFoundError:
            return ""
        except AzureError as error:
            raise EmulatorError(_reason(error)) from error
        return ""

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Answer the keys of an account."""
        account = reveal(arguments.get("accountName"))
        if token_of(token) != "storage:listStorageAccountKeys" or account not in self._emulators:
            return None
        key = _connection_settings(self._account(str(account)))["AccountKey"]
        return {"keys": [{"creationTime": "", "keyName": "key1", "permissions": "Full", "value": key}]}

    def environment(self) -> dict[str, str]:
        """Return the connection string and the endpoints of the first account, and of each where there are more."""
        found = {account: self._account(account) for account in self._emulators}
        return suffixed(found, "RINGFENCE_STORAGE_")

    # --- accounts ------------------------------------------------------------------------------------------------

    def _account(self, name: str) -> dict[str, str]:
        """Return how to reach an account, on an emulator that is started if none has it."""
        if name not in self._emulators:
            together = list(dict.fromkeys([name, *(self._wanted if not self._emulators else [])]))
            together.sort(key=lambda account: self._wanted.index(account) if account in self._wanted else -1)
            try:
                emulator = self._make(together)
            except ValueError as error:
                raise EmulatorError(str(error)) from error
            emulator.start()
            self._emulators |= dict.fromkeys(together, emulator)
        return self._emulators[name].environment(name)

    def _create(self, token: str, inputs: Mapping[str, Any], offline: Created) -> Made:
        if token == ACCOUNT:
            return self._storage_account(inputs, name_of(offline))
        (account,) = named(inputs, "accountName")
        connection = self._account(account)
        match token:
            case "storage:BlobContainer":
                return _container(connection, inputs, name_of(offline))
            case "storage:Blob":
                return _blob(connection, inputs, name_of(offline))
            case "storage:Queue":
                return _queue(connection, inputs, name_of(offline))
            case "storage:Table":
                return _table(connection, inputs, name_of(offline))
            case _:
                return _service_properties(connection, token, inputs)

    def _storage_account(self, inputs: Mapping[str, Any], name: str) -> Made:
        environment = self._account(name)
        endpoints = {
            service: f"{environment[f'RINGFENCE_STORAGE_{service.upper()}_ENDPOINT']}/"
            for service in ("blob", "queue", "table")
        }
        reasons = {"tags": NO_ACCOUNT_SETTINGS, "location": ""}
        if inputs.get("allowSharedKeyAccess") is False:
            reasons["allowSharedKeyAccess"] = KEY_TAKEN
        found = gaps(inputs, names=OWNERS, reasons=reasons, otherwise=NO_ACCOUNT_SETTINGS)
        return Made({"primaryEndpoints": endpoints}, gaps=found, absent=("secondaryEndpoints",))


# --- what is in an account -------------------------------------------------------------------------------------------


def _container(connection: Mapping[str, str], inputs: Mapping[str, Any], name: str) -> Made:
    from azure.storage.blob import BlobServiceClient

    public = {"Blob": "blob", "Container": "container"}.get(str(reveal(inputs.get("publicAccess"))))
    with _client(BlobServiceClient, connection) as service, service.get_container_client(name) as client:
        client.create_container(metadata=plain(inputs.get("metadata")), public_access=public)
        properties = client.get_container_properties()
    found = {
        "publicAccess": {"blob": "Blob", "container": "Container"}.get(properties.public_access, "None"),
        "metadata": dict(properties.metadata or {}),
    }
    return Made(gaps=gaps(inputs, names=OWNERS, found=found))


def _blob(connection: Mapping[str, str], inputs: Mapping[str, Any], name: str) -> Made:
    from azure.storage.blob import BlobServiceClient, BlobType, ContentSettings

    (container,) = named(inputs, "containerName")
    source = reveal(inputs.get("source"))
    lacking: list[Gap] = []
    content = b""
    if isinstance(source, Asset) and source.kind != "remote":
        content = Path(source.content).read_bytes() if source.kind == "file" else source.content.encode()
    elif source is not None:
        lacking.append(Gap("source", "only files and texts are uploaded; the blob is empty"))
    kind = BlobType.APPENDBLOB if reveal(inputs.get("type")) == "Append" else BlobType.BLOCKBLOB
    settings = ContentSettings(content_type=plain(inputs.get("contentType")))
    service = _client(BlobServiceClient, connection)
    with service, service.get_blob_client(container, name) as blob:
        blob.upload_blob(content, blob_type=kind, metadata=plain(inputs.get("metadata")), content_settings=settings)
        properties = blob.get_blob_properties()
        url = str(blob.url)
    found = {
        "contentType": properties.content_settings.content_type,
        "metadata": dict(properties.metadata or {}),
        "type": {"BlockBlob": "Block", "AppendBlob": "Append"}.get(str(properties.blob_type.value)),
    }
    names = (*OWNERS, "blobName", "source")
    return Made({"url": url}, gaps=(*lacking, *gaps(inputs, names=names, found=found)))


def _queue(connection: Mapping[str, str], inputs: Mapping[str, Any], name: str) -> Made:
    from azure.storage.queue import QueueServiceClient

    service = _client(QueueServiceClient, connection)
    with service, service.create_queue(name, metadata=plain(inputs.get("metadata"))) as queue:
        found = {"metadata": dict(queue.get_queue_properties().metadata or {})}
    return Made(gaps=gaps(inputs, names=(*OWNERS, "queueName"), found=found))


def _table(connection: Mapping[str, str], inputs: Mapping[str, Any], name: str) -> Made:
    from azure.data.tables import TableServiceClient

    with _client(TableServiceClient, connection) as service:
        service.create_table(name)
        present = [table.name for table in service.list_tables()]
    if name not in present:
        raise EmulatorError("the table was accepted, and is not there")
    return Made(gaps=gaps(inputs, names=(*OWNERS, "tableName")))


def _delete(connection: Mapping[str, str], token: str, inputs: Mapping[str, Any], name: str) -> None:
    """Delete a resource; the settings of a service, which nobody can delete, stay as they are."""
    from azure.data.tables import TableServiceClient
    from azure.storage.blob import BlobServiceClient
    from azure.storage.queue import QueueServiceClient

    with (
        _client(BlobServiceClient, connection) as blobs,
        _client(QueueServiceClient, connection) as queues,
        _client(TableServiceClient, connection) as tables,
    ):
        match token:
            case "storage:StorageAccount":
                for container in [item.name for item in blobs.list_containers()]:
                    blobs.delete_container(container)
                for queue in [item.name for item in queues.list_queues()]:
                    queues.delete_queue(queue)
                for table in [item.name for item in tables.list_tables()]:
                    tables.delete_table(table)
            case "storage:BlobContainer":
                blobs.delete_container(name)
            case "storage:Blob":
                (container,) = named(inputs, "containerName")
                blobs.get_blob_client(container, name).delete_blob()
            case "storage:Queue":
                queues.delete_queue(name)
            case "storage:Table":
                tables.delete_table(name)


CORS = {
    "allowedOrigins": "allowed_origins",
    "allowedMethods": "allowed_methods",
    "allowedHeaders": "allowed_headers",
    "exposedHeaders": "exposed_headers",
    "maxAgeInSeconds": "max_age_in_seconds",
}
"""Properties of a rule for requests from other web origins, and the SDKs' names of them."""


def _service_properties(connection: Mapping[str, str], token: str, inputs: Mapping[str, Any]) -> Made:
    """Set what Azurite keeps of a service's settings: rules for web origins, and for blobs also soft deletion."""
    kind = token.removeprefix("storage:").removesuffix("ServiceProperties")
    client, rule = _service_client(kind, connection)
    wanted: dict[str, Any] = {}
    if (rules := (plain(inputs.get("cors")) or {}).get("corsRules")) is not None:
        wanted["cors"] = [
            rule(
                given["allowedOrigins"],
                given["allowedMethods"],
                allowed_headers=given.get("allowedHeaders", []),
                exposed_headers=given.get("exposedHeaders", []),
                max_age_in_seconds=given.get("maxAgeInSeconds", 0),
            )
            for given in rules
        ]
    keep = plain(inputs.get("deleteRetentionPolicy")) or {}
    if kind == "Blob" and keep.get("enabled"):
        from azure.storage.blob import RetentionPolicy

        wanted["delete_retention_policy"] = RetentionPolicy(enabled=True, days=keep.get("days"))
    with client:
        if wanted:
            client.set_service_properties(**wanted)
        properties = client.get_service_properties()
    found = {
        "cors.corsRules": [
            {key: _words(getattr(given, attribute)) for key, attribute in CORS.items()} for given in properties["cors"]
        ]
    }
    names = (*OWNERS, f"{kind.lower()}ServicesName", f"{kind.lower()}ServiceName")
    undelete = NO_UNDELETE if keep.get("enabled") else ""
    reasons = {} if kind != "Blob" else {f"deleteRetentionPolicy.{key}": undelete for key in ("enabled", "days")}
    return Made(gaps=gaps(inputs, names=names, found=found, reasons=reasons))


def _service_client(kind: str, connection: Mapping[str, str]) -> tuple[Any, Any]:
    """Return the client of a service, and the class of its rules for web origins."""
    if kind == "Blob":
        from azure.storage.blob import BlobServiceClient, CorsRule

        return _client(BlobServiceClient, connection), CorsRule
    if kind == "Queue":
        from azure.storage.queue import CorsRule as QueueCorsRule
        from azure.storage.queue import QueueServiceClient

        return _client(QueueServiceClient, connection), QueueCorsRule
    from azure.data.tables import TableCorsRule, TableServiceClient

    return _client(TableServiceClient, connection), TableCorsRule


def _client(kind: Any, connection: Mapping[str, str]) -> Any:
    """Return the client of a service of the account that these variables lead to."""
    verify = connection.get("RINGFENCE_STORAGE_CA_FILE", True)
    return kind.from_connection_string(connection["RINGFENCE_STORAGE_CONNECTION_STRING"], connection_verify=verify)


def _words(value: Any) -> Any:
    """Return a list that the SDK has as text with commas."""
    return [word for word in value.split(",") if word] if isinstance(value, str) else value


def _connection_settings(environment: Mapping[str, str]) -> dict[str, str]:
    parts = environment["RINGFENCE_STORAGE_CONNECTION_STRING"].strip(";").split(";")
    return {name: value for name, _, value in (part.partition("=") for part in parts)}


def _reason(error: Exception) -> str:
    """Return an SDK's message without the request's number and time, which follow on lines of their own."""
    return str(error).strip().splitlines()[0]
