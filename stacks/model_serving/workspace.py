"""The Azure Machine Learning workspace and what it keeps its things in."""

from __future__ import annotations

import pulumi
from config import ModelServingSettings
from pulumi_azure_native import authorization, keyvault, resources, storage
from pulumi_azure_native import machinelearningservices as ml
from registry import Registry
from stackkit import Names
from stackkit.azure import Observability, PrivateLink, PrivateNetwork, keyless_account

__all__ = ["Workspace", "access"]


class Workspace(pulumi.ComponentResource):
    """A workspace that reaches its storage, vault and registry as its own identity, from a network of its own.

    The service itself gives the workspace's identity its roles on the three.
    """

    account: storage.StorageAccount
    vault: keyvault.Vault
    workspace: ml.Workspace

    def __init__(
        self,
        names: Names,
        settings: ModelServingSettings,
        group: resources.ResourceGroup,
        registry: Registry,
        observability: Observability,
        *,
        private_network: PrivateNetwork | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("model_serving:workspace:Workspace", names("workspace"), None, opts)
        self.account = keyless_account(
            names,
            "data",
            settings,
            group,
            zone_redundant=settings.zone_redundant,
            soft_delete_days=settings.soft_delete_days,
            parent=self,
            protect=settings.is_prod,
        )
        self.vault = self._vault(names, settings, group)
        self.workspace = self._workspace(names, settings, group, registry, observability)
        if private_network is not None:
            for part, link, resource_id in (
                ("blobs", PrivateLink.BLOB, self.account.id),
                ("files", PrivateLink.FILE, self.account.id),
                ("vault", PrivateLink.KEY_VAULT, self.vault.id),
                # Requests to the endpoint come in by the workspace's own address.
                ("workspace", PrivateLink.WORKSPACE, self.workspace.id),
            ):
                private_network.connect(part, link, resource_id, parent=self)
        self._collect(observability)
        self.register_outputs({"name": self.workspace.name})

    def _vault(self, names: Names, settings: ModelServingSettings, group: resources.ResourceGroup) -> keyvault.Vault:
        closed = settings.private_network
        action = keyvault.NetworkRuleAction.DENY if closed else keyvault.NetworkRuleAction.ALLOW
        return keyvault.Vault(
            names("kv"),
            resource_group_name=group.name,
            location=settings.location,
            properties=keyvault.VaultPropertiesArgs(
                tenant_id=authorization.get_client_config_output().tenant_id,
                sku=keyvault.SkuArgs(family=keyvault.SkuFamily.A, name=keyvault.SkuName.STANDARD),
                enable_rbac_authorization=True,
                enable_soft_delete=True,
                enable_purge_protection=True,
                soft_delete_retention_in_days=settings.soft_delete_days,
                public_network_access="Disabled" if closed else "Enabled",
                network_acls=keyvault.NetworkRuleSetArgs(
                    default_action=action,
                    bypass=keyvault.NetworkRuleBypassOptions.AZURE_SERVICES,
                ),
            ),
            tags=settings.tags,
            opts=pulumi.ResourceOptions(parent=self, protect=settings.is_prod),
        )

    def _workspace(
        self,
        names: Names,
        settings: ModelServingSettings,
        group: resources.ResourceGroup,
        registry: Registry,
        observability: Observability,
    ) -> ml.Workspace:
        return ml.Workspace(
            names("ml"),
            resource_group_name=group.name,
            location=settings.location,
            kind="Default",
            sku=ml.SkuArgs(name="Basic", tier=ml.SkuTier.BASIC),
            identity=ml.ManagedServiceIdentityArgs(type=ml.ManagedServiceIdentityType.SYSTEM_ASSIGNED),
            friendly_name=names("ml"),
            storage_account=self.account.id,
            key_vault=self.vault.id,
            container_registry=registry.registry.id,
            application_insights=observability.insights.id,
            system_datastores_auth_mode=ml.SystemDatastoresAuthMode.IDENTITY,
            public_network_access=access(settings),
            # Without a network the cluster's nodes would need public addresses. Only what is approved needs no more
            # than private endpoints, as images come ready built; rules by host name would bring a firewall's cost.
            managed_network=ml.ManagedNetworkSettingsArgs(isolation_mode=_isolation(settings)),
            provision_network_now=True,
            tags=settings.tags,
            opts=pulumi.ResourceOptions(parent=self, protect=settings.is_prod),
        )

    def _collect(self, observability: Observability) -> None:
        observability.collect(
            "data",
            pulumi.Output.format("{0}/blobServices/default", self.account.id),
            logs=["StorageRead", "StorageWrite", "StorageDelete"],
            metrics="Transaction",
            parent=self,
        )
        observability.collect("vault", self.vault.id, logs=["AuditEvent"], metrics="AllMetrics", parent=self)
        observability.collect(
            "workspace",
            self.workspace.id,
            logs=[
                "AmlComputeClusterEvent",
                "AmlComputeJobEvent",
                "AmlRunStatusChangedEvent",
                "EnvironmentChangeEvent",
                "ModelsActionEvent",
                "ModelsChangeEvent",
            ],
            metrics="AllMetrics",
            parent=self,
        )


def access(settings: ModelServingSettings) -> ml.PublicNetworkAccessType:
    """Return whether workspace and endpoint are reached from the internet."""
    kinds = ml.PublicNetworkAccessType
    return kinds.DISABLED if settings.private_network else kinds.ENABLED


def _isolation(settings: ModelServingSettings) -> ml.IsolationMode:
    modes = ml.IsolationMode
    return modes.ALLOW_ONLY_APPROVED_OUTBOUND if settings.private_network else modes.ALLOW_INTERNET_OUTBOUND
