"""Storage accounts that only identities can use."""

from __future__ import annotations

import pulumi
from pulumi_azure_native import resources, storage

from ..naming import Names
from .settings import AzureSettings

__all__ = ["container_url", "keyless_account"]


def keyless_account(
    names: Names,
    part: str,
    settings: AzureSettings,
    group: resources.ResourceGroup,
    *,
    zone_redundant: bool,
    soft_delete_days: int,
    parent: pulumi.Resource,
    protect: bool,
) -> storage.StorageAccount:
    """Return an account for blobs, without keys, whose deleted blobs can be brought back for some days."""
    redundancy = storage.SkuName.STANDARD_ZRS if zone_redundant else storage.SkuName.STANDARD_LRS
    account = storage.StorageAccount(
        names.compact(part),
        resource_group_name=group.name,
        location=settings.location,
        kind=storage.Kind.STORAGE_V2,
        sku=storage.SkuArgs(name=redundancy),
        access_tier=storage.AccessTier.HOT,
        enable_https_traffic_only=True,
        minimum_tls_version=storage.MinimumTlsVersion.TLS1_2,
        allow_blob_public_access=False,
        allow_cross_tenant_replication=False,
        allow_shared_key_access=False,
        default_to_o_auth_authentication=True,
        is_local_user_enabled=False,
        is_sftp_enabled=False,
        # Keys do not work here; should somebody turn them on, they are short-lived.
        key_policy=storage.KeyPolicyArgs(key_expiration_period_in_days=90),
        sas_policy=storage.SasPolicyArgs(
            sas_expiration_period="1.00:00:00",
            expiration_action=storage.ExpirationAction.LOG,
        ),
        public_network_access=_access(settings),
        network_rule_set=storage.NetworkRuleSetArgs(
            default_action=storage.DefaultAction.DENY if settings.private_network else storage.DefaultAction.ALLOW,
            bypass=storage.Bypass.AZURE_SERVICES,
        ),
        tags=settings.tags,
        opts=pulumi.ResourceOptions(parent=parent, protect=protect),
    )
    keep = storage.DeleteRetentionPolicyArgs(enabled=True, days=soft_delete_days)
    storage.BlobServiceProperties(
        names.compact(part),
        resource_group_name=group.name,
        account_name=account.name,
        blob_services_name="default",
        delete_retention_policy=keep,
        container_delete_retention_policy=keep,
        opts=pulumi.ResourceOptions(parent=parent),
    )
    return account


def _access(settings: AzureSettings) -> storage.PublicNetworkAccess:
    return storage.PublicNetworkAccess.DISABLED if settings.private_network else storage.PublicNetworkAccess.ENABLED


def container_url(account: storage.StorageAccount, container: storage.BlobContainer) -> pulumi.Output[str]:
    """Return the address of a container in the public cloud."""
    return pulumi.Output.format("https://{0}.blob.core.windows.net/{1}", account.name, container.name)
