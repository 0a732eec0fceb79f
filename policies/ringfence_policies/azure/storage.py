"""Azure Storage: accounts, blob services, containers."""

from __future__ import annotations

from ringfence.policy.checks import between, equals, failed, is_not, is_true, not_applicable, require, undecided
from ringfence.policy.graph import ResourceView
from ringfence.policy.rule import Parameter, Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity
from ringfence_policies.azure.arm import about, api_version, cis, mcsb, named_by

__all__ = ["RULES"]

ACCOUNT = "azure-native:storage:StorageAccount"
CONTAINER = "azure-native:storage:BlobContainer"
BLOB_SERVICE = "azure-native:storage:BlobServiceProperties"


@rule(
    "ST01",
    "storage-https-only",
    "Storage accounts accept HTTPS only",
    types=(ACCOUNT,),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="Over plain HTTP, data and SAS tokens cross the network readable by anyone on the way.",
    reads="enableHttpsTrafficOnly",
    absent="Passes: the default is true since API version 2019-04-01. Fails where the type names an older version.",
    remedy="Leave enable_https_traffic_only out or set it to True.",
    frameworks=(*cis(v21="3.1", v30="4.1", v40="10.3.4", v50="9.3.4", v60="9.3.4"), *mcsb("DP-3")),
    sources=("CKV_AZURE_3", "Azure.Storage.SecureTransfer", "AzP 404c3081", "pb:storage-account-https-only"),
    bad=(Sample(ACCOUNT, {"enableHttpsTrafficOnly": False}),),
    good=(Sample(ACCOUNT, {"enableHttpsTrafficOnly": True}),),
    remediation={"enableHttpsTrafficOnly": True},
)
def https_only(account: ResourceView, _: Parameters) -> Outcome:
    """Check that plain HTTP is not switched on."""
    version = api_version(account)
    old = version is not None and version < "20190401"
    absent = "Before API version 2019-04-01 the account then accepts plain HTTP." if old else "pass"
    return require(account["enableHttpsTrafficOnly"], is_true(), absent=absent)


@rule(
    "ST02",
    "storage-minimum-tls",
    "Storage accounts require TLS 1.2",
    types=(ACCOUNT,),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="Clients may otherwise negotiate TLS 1.0 or 1.1, which have known weaknesses and which auditors refuse.",
    reads="minimumTlsVersion",
    absent="Fails: the service's default for this property is TLS1_0.",
    remedy='Set minimum_tls_version="TLS1_2".',
    frameworks=(*cis(v21="3.15", v30="4.15", v40="10.3.7", v50="9.3.6", v60="9.3.6"), *mcsb("DP-3", version="2")),
    sources=("CKV_AZURE_44", "Azure.Storage.MinTLS", "AzP fe83a0eb"),
    bad=(Sample(ACCOUNT, {"minimumTlsVersion": "TLS1_0"}),),
    good=(Sample(ACCOUNT, {"minimumTlsVersion": "TLS1_2"}),),
)
def minimum_tls(account: ResourceView, _: Parameters) -> Outcome:
    """Check the lowest TLS version.

    The service knows TLS1_3 as an enum value and refuses it, so TLS1_2 is the only good one.
    """
    return require(account["minimumTlsVersion"], equals("TLS1_2"), absent="The service then accepts TLS 1.0.")


@rule(
    "ST03",
    "storage-no-anonymous-blobs",
    "Storage accounts forbid anonymous access to blobs",
    types=(ACCOUNT,),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="While an account allows it, one container setting is enough to publish data to the internet.",
    reads="allowBlobPublicAccess",
    absent="Passes: the service takes it for false.",
    remedy="Leave allow_blob_public_access out or set it to False.",
    frameworks=(*cis(v21="3.17", v30="4.17", v40="10.3.9", v50="9.3.8", v60="9.3.8"), *mcsb("NS-2")),
    sources=(
        "CKV_AZURE_190",
        "CKV2_AZURE_47",
        "Azure.Storage.BlobPublicAccess",
        "AzP 4fa4b6c0",
        "pb:storage-account-public-access",
    ),
    bad=(Sample(ACCOUNT, {"allowBlobPublicAccess": True}),),
    good=(Sample(ACCOUNT, {"allowBlobPublicAccess": False}),),
)
def no_anonymous_blobs(account: ResourceView, _: Parameters) -> Outcome:
    """Check that the account does not let containers be public."""
    return require(account["allowBlobPublicAccess"], is_not(True), absent="pass")


@rule(
    "ST04",
    "storage-private-container",
    "Blob containers are private",
    types=(CONTAINER,),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="Anyone on the internet can read the blobs of a public container, or list them too.",
    reads="publicAccess",
    absent="Passes: a container is private unless it says otherwise.",
    remedy='Leave public_access out or set it to "None".',
    sources=("CKV_AZURE_34", "Azure.Storage.BlobAccessType", "pb:storage-account-public-read-prohibited"),
    bad=(Sample(CONTAINER, {"publicAccess": "Blob"}),),
    good=(Sample(CONTAINER, {"publicAccess": "None"}),),
)
def private_container(container: ResourceView, _: Parameters) -> Outcome:
    """Check that the container gives anonymous callers nothing."""
    return require(container["publicAccess"], equals("None"), absent="pass")


@rule(
    "ST11",
    "storage-no-cross-tenant-replication",
    "Storage accounts do not replicate objects to other tenants",
    types=(ACCOUNT,),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="Object replication to an account of another tenant is a quiet way to copy data out of the organisation.",
    reads="allowCrossTenantReplication",
    absent="Passes: the service takes it for false on new accounts.",
    remedy="Leave allow_cross_tenant_replication out or set it to False.",
    frameworks=cis(v21="3.16", v30="4.16", v40="10.3.8", v50="9.3.7", v60="9.3.7"),
    sources=("AzP 92a89a79",),
    bad=(Sample(ACCOUNT, {"allowCrossTenantReplication": True}),),
    good=(Sample(ACCOUNT, {"allowCrossTenantReplication": False}),),
)
def no_cross_tenant_replication(account: ResourceView, _: Parameters) -> Outcome:
    """Check that replication stays within the tenant."""
    return require(account["allowCrossTenantReplication"], is_not(True), absent="pass")


@rule(
    "ST20",
    "storage-no-local-users",
    "Storage accounts have no local (SFTP) users",
    types=(ACCOUNT,),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="Local users log in with passwords or keys of their own, past Entra ID, role assignments and their logs.",
    reads="isLocalUserEnabled, isSftpEnabled",
    absent="Passes: both are off unless switched on.",
    remedy="Leave is_local_user_enabled and is_sftp_enabled out or set them to False.",
    sources=("CKV_AZURE_244",),
    bad=(Sample(ACCOUNT, {"isLocalUserEnabled": True}),),
    good=(Sample(ACCOUNT, {"isLocalUserEnabled": False, "isSftpEnabled": False}),),
)
def no_local_users(account: ResourceView, _: Parameters) -> list[Outcome]:
    """Check that neither local users nor SFTP, which needs them, is switched on."""
    return [require(account[key], is_not(True), absent="pass") for key in ("isLocalUserEnabled", "isSftpEnabled")]


@rule(
    "ST14",
    "storage-blob-soft-delete",
    "Deleted blobs can be restored",
    types=(ACCOUNT,),
    severity=Severity.MEDIUM,
    level=Level.ADVISORY,
    graph=True,
    why="Without soft delete, a wrong script or a stolen credential destroys models and data for good.",
    reads="BlobServiceProperties of the account: deleteRetentionPolicy.enabled, deleteRetentionPolicy.days",
    absent="Fails: soft delete is off until a BlobServiceProperties switches it on.",
    remedy="Add a BlobServiceProperties for the account with a delete_retention_policy that is enabled and keeps "
    "deleted blobs for at least the required days.",
    frameworks=cis(v21="3.11", v30="4.10", v40="10.2.1", v50="9.2.1", v60="9.2.1"),
    sources=("CKV2_AZURE_38", "Azure.Storage.SoftDelete"),
    parameters=(
        Parameter("days", "integer", 7, "Days for which a deleted blob is kept, at least.", minimum=1, maximum=365),
    ),
    bad=(
        Sample(ACCOUNT, {"kind": "StorageV2"}),
        Sample(
            BLOB_SERVICE,
            {"accountName": "account", "deleteRetentionPolicy": {"enabled": False}},
            name="blobs",
            feeds={"accountName": ("example",)},
        ),
    ),
    good=(
        Sample(ACCOUNT, {"kind": "StorageV2"}),
        Sample(
            BLOB_SERVICE,
            {"accountName": "account", "deleteRetentionPolicy": {"enabled": True, "days": 14}},
            name="blobs",
            feeds={"accountName": ("example",)},
        ),
    ),
)
def blob_soft_delete(account: ResourceView, parameters: Parameters) -> Outcome | list[Outcome]:
    """Check the retention policy of the account's blob service.

    The service takes 1 to 365 days.
    """
    return _soft_delete(account, "deleteRetentionPolicy", parameters["days"])


def _soft_delete(account: ResourceView, key: str, days: int) -> Outcome | list[Outcome]:
    kind = account["kind"].text
    if kind is not None and kind.casefold() == "filestorage":
        return not_applicable("An account for files only has no blob service.")
    services, open_question = named_by(account, "accountName", BLOB_SERVICE, "accountName")
    if not services and open_question:
        return undecided(None, "It is not known whether a BlobServiceProperties of the stack belongs to this account.")
    if not services:
        return failed(
            None,
            "No BlobServiceProperties of the stack switches soft delete on for this account.",
            expected=f"soft delete for at least {days} days",
        )
    outcomes = []
    for service in services:
        policy = service[key]
        outcomes.append(about(service, require(policy["enabled"], is_true(), absent="Soft delete is then off.")))
        outcomes.append(about(service, require(policy["days"], between(days, 365, "days"), absent="fail")))
    return outcomes


@rule(
    "ST15",
    "storage-container-soft-delete",
    "Deleted blob containers can be restored",
    types=(ACCOUNT,),
    severity=Severity.MEDIUM,
    level=Level.ADVISORY,
    graph=True,
    why="Soft delete of blobs does not bring back a container: who deletes that, deletes all its blobs for good.",
    reads="BlobServiceProperties of the account: containerDeleteRetentionPolicy.enabled, "
    "containerDeleteRetentionPolicy.days",
    absent="Fails: soft delete is off until a BlobServiceProperties switches it on.",
    remedy="Add a BlobServiceProperties for the account with a container_delete_retention_policy that is enabled and "
    "keeps deleted containers for at least the required days.",
    frameworks=cis(v50="9.2.2", v60="9.2.2"),
    sources=("Azure.Storage.ContainerSoftDelete",),
    parameters=(
        Parameter(
            "days", "integer", 7, "Days for which a deleted container is kept, at least.", minimum=1, maximum=365
        ),
    ),
    bad=(
        Sample(ACCOUNT, {"kind": "StorageV2"}),
        Sample(
            BLOB_SERVICE,
            {"accountName": "account", "containerDeleteRetentionPolicy": {"enabled": False}},
            name="blobs",
            feeds={"accountName": ("example",)},
        ),
    ),
    good=(
        Sample(ACCOUNT, {"kind": "StorageV2"}),
        Sample(
            BLOB_SERVICE,
            {"accountName": "account", "containerDeleteRetentionPolicy": {"enabled": True, "days": 7}},
            name="blobs",
            feeds={"accountName": ("example",)},
        ),
    ),
)
def container_soft_delete(account: ResourceView, parameters: Parameters) -> Outcome | list[Outcome]:
    """Check the retention policy for containers of the account's blob service. The service takes 1 to 365 days."""
    return _soft_delete(account, "containerDeleteRetentionPolicy", parameters["days"])


RULES: tuple[Rule, ...] = (
    https_only,
    minimum_tls,
    no_anonymous_blobs,
    private_container,
    no_cross_tenant_replication,
    blob_soft_delete,
    container_soft_delete,
    no_local_users,
)
