"""The cluster on which a model is evaluated before it gets requests."""

from __future__ import annotations

import pulumi
from config import ModelServingSettings
from pulumi_azure_native import machinelearningservices as ml
from pulumi_azure_native import managedidentity, resources
from registry import Registry
from stackkit import Names
from stackkit.azure import BuiltInRole, grant
from workspace import Workspace

__all__ = ["Cluster"]


class Cluster(pulumi.ComponentResource):
    """Nodes that come and go with the jobs, without public addresses, SSH from outside or local accounts."""

    compute: ml.Compute

    def __init__(
        self,
        names: Names,
        settings: ModelServingSettings,
        group: resources.ResourceGroup,
        workspace: Workspace,
        registry: Registry,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("model_serving:cluster:Cluster", names("cluster"), None, opts)
        identity = managedidentity.UserAssignedIdentity(
            names("cluster"),
            resource_group_name=group.name,
            location=settings.location,
            tags=settings.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        roles = [
            grant(names("cluster-images"), identity, BuiltInRole.ACR_PULL, registry.registry.id, parent=self),
            # Jobs read data and models, and write what they find, in containers that the workspace makes as it goes.
            grant(
                names("cluster-data"),
                identity,
                BuiltInRole.STORAGE_BLOB_DATA_CONTRIBUTOR,
                workspace.account.id,
                parent=self,
            ),
        ]
        self.compute = ml.Compute(
            names("cluster"),
            resource_group_name=group.name,
            workspace_name=workspace.workspace.name,
            # Of at most 24 characters and unique in the region, as the workspace's name is.
            compute_name=workspace.workspace.name,
            location=settings.location,
            identity=ml.ManagedServiceIdentityArgs(
                type=ml.ManagedServiceIdentityType.USER_ASSIGNED,
                user_assigned_identities=[identity.id],
            ),
            properties=ml.AmlComputeArgs(
                compute_type="AmlCompute",
                description="Evaluates a model before it gets requests",
                disable_local_auth=True,
                properties=ml.AmlComputePropertiesArgs(
                    os_type=ml.OsType.LINUX,
                    vm_size=settings.cluster_vm_size,
                    vm_priority=ml.VmPriority.DEDICATED if settings.is_prod else ml.VmPriority.LOW_PRIORITY,
                    enable_node_public_ip=False,
                    remote_login_port_public_access=ml.RemoteLoginPortPublicAccess.DISABLED,
                    scale_settings=ml.ScaleSettingsArgs(
                        min_node_count=settings.cluster_min_nodes,
                        max_node_count=settings.cluster_max_nodes,
                        node_idle_time_before_scale_down=f"PT{settings.cluster_idle_seconds}S",
                    ),
                ),
            ),
            tags=settings.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=roles),
        )
        self.register_outputs({"name": self.compute.name})
