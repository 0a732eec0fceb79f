"""Where datasets are read from and models are kept."""

from __future__ import annotations

import pulumi
from config import RetrainingQueueSettings
from pulumi_azure_native import managedidentity, resources, storage
from stackkit import Names
from stackkit.azure import (
    BuiltInRole,
    Observability,
    PrivateLink,
    PrivateNetwork,
    container_url,
    grant,
    keyless_account,
)

__all__ = ["Artefacts"]


class Artefacts(pulumi.ComponentResource):
    """Three private containers: datasets, which the workers read, models, and the ledger of handled requests."""

    account: storage.StorageAccount
    datasets_url: pulumi.Output[str]
    models_url: pulumi.Output[str]
    ledger_url: pulumi.Output[str]

    def __init__(
        self,
        names: Names,
        settings: RetrainingQueueSettings,
        group: resources.ResourceGroup,
        identity: managedidentity.UserAssignedIdentity,
        observability: Observability,
        *,
        private_network: PrivateNetwork | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("retraining_queue:artefacts:Artefacts", names("artefacts"), None, opts)
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
        urls = {}
        for part, role in (
            ("datasets", BuiltInRole.STORAGE_BLOB_DATA_READER),
            ("models", BuiltInRole.STORAGE_BLOB_DATA_CONTRIBUTOR),
            ("ledger", BuiltInRole.STORAGE_BLOB_DATA_CONTRIBUTOR),
        ):
            container = self._container(names, settings, group, part)
            urls[part] = container_url(self.account, container)
            grant(names(f"worker-{part}"), identity, role, container.id, parent=self)
        self.datasets_url, self.models_url, self.ledger_url = urls["datasets"], urls["models"], urls["ledger"]
        self._expire(names, settings, group)
        if private_network is not None:
            private_network.connect("data", PrivateLink.BLOB, self.account.id, parent=self)
        observability.collect(
            "artefacts",
            pulumi.Output.format("{0}/blobServices/default", self.account.id),
            logs=["StorageRead", "StorageWrite", "StorageDelete"],
            metrics="Transaction",
            parent=self,
        )
        self.register_outputs({"models_url": self.models_url})

    def _container(
        self, names: Names, settings: RetrainingQueueSettings, group: resources.ResourceGroup, part: str
    ) -> storage.BlobContainer:
        return storage.BlobContainer(
            names(part),
            resource_group_name=group.name,
            account_name=self.account.name,
            container_name=part,
            public_access=storage.PublicAccess.NONE,
            opts=pulumi.ResourceOptions(parent=self, protect=settings.is_prod),
        )

    def _expire(self, names: Names, settings: RetrainingQueueSettings, group: resources.ResourceGroup) -> None:
        """Delete what is old. Datasets belong to those who bring them."""
        storage.ManagementPolicy(
            names("artefacts"),
            resource_group_name=group.name,
            account_name=self.account.name,
            management_policy_name="default",
            policy=storage.ManagementPolicySchemaArgs(
                rules=[_expiry("models", settings.model_days), _expiry("ledger", settings.ledger_days)]
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )


def _expiry(container: str, days: int) -> storage.ManagementPolicyRuleArgs:
    age = storage.DateAfterModificationArgs(days_after_modification_greater_than=days)
    return storage.ManagementPolicyRuleArgs(
        name=f"expire-{container}",
        enabled=True,
        type=storage.RuleType.LIFECYCLE,
        definition=storage.ManagementPolicyDefinitionArgs(
            filters=storage.ManagementPolicyFilterArgs(blob_types=["blockBlob"], prefix_match=[f"{container}/"]),
            actions=storage.ManagementPolicyActionArgs(
                base_blob=storage.ManagementPolicyBaseBlobArgs(delete=age),
            ),
        ),
    )
