"""Blobs that are too large for the database."""

from __future__ import annotations

import pulumi
from config import StatefulFunctionsSettings
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
    """A private container whose blobs expire, which the API's identity may read and write."""

    account: storage.StorageAccount
    container: storage.BlobContainer
    url: pulumi.Output[str]

    def __init__(
        self,
        names: Names,
        settings: StatefulFunctionsSettings,
        group: resources.ResourceGroup,
        identity: managedidentity.UserAssignedIdentity,
        observability: Observability,
        *,
        private_network: PrivateNetwork | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("stateful_functions:artefacts:Artefacts", names("artefacts"), None, opts)
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
        self.container = storage.BlobContainer(
            names("artefacts"),
            resource_group_name=group.name,
            account_name=self.account.name,
            container_name="artefacts",
            public_access=storage.PublicAccess.NONE,
            opts=pulumi.ResourceOptions(parent=self, protect=settings.is_prod),
        )
        self.url = container_url(self.account, self.container)
        self._expire(names, settings, group)
        if private_network is not None:
            private_network.connect("data", PrivateLink.BLOB, self.account.id, parent=self)
        grant(
            names("api-artefacts"),
            identity,
            BuiltInRole.STORAGE_BLOB_DATA_CONTRIBUTOR,
            self.container.id,
            parent=self,
        )
        observability.collect(
            "artefacts",
            pulumi.Output.format("{0}/blobServices/default", self.account.id),
            logs=["StorageRead", "StorageWrite", "StorageDelete"],
            metrics="Transaction",
            parent=self,
        )
        self.register_outputs({"url": self.url})

    def _expire(self, names: Names, settings: StatefulFunctionsSettings, group: resources.ResourceGroup) -> None:
        age = storage.DateAfterModificationArgs(days_after_modification_greater_than=settings.artefact_days)
        storage.ManagementPolicy(
            names("artefacts"),
            resource_group_name=group.name,
            account_name=self.account.name,
            management_policy_name="default",
            policy=storage.ManagementPolicySchemaArgs(
                rules=[
                    storage.ManagementPolicyRuleArgs(
                        name="expire-artefacts",
                        enabled=True,
                        type=storage.RuleType.LIFECYCLE,
                        definition=storage.ManagementPolicyDefinitionArgs(
                            filters=storage.ManagementPolicyFilterArgs(
                                blob_types=["blockBlob"],
                                prefix_match=["artefacts/"],
                            ),
                            actions=storage.ManagementPolicyActionArgs(
                                base_blob=storage.ManagementPolicyBaseBlobArgs(delete=age),
                            ),
                        ),
                    )
                ]
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
