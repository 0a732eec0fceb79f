"""The autoscaler: a function that sets the NGroup's count once a minute, and the one thing that it may do."""

from __future__ import annotations

from uuid import NAMESPACE_URL, uuid5

import pulumi
from config import ContainerScalingSettings
from groups import CPU
from pulumi_azure_native import authorization, managedidentity, monitor, resources
from pulumi_azure_native import containerinstance as aci
from stackkit import Names
from stackkit.azure import FlexFunctions, FlexScale, Observability, PrivateNetwork

__all__ = ["Autoscaler"]

ACTIONS = (
    "Microsoft.ContainerInstance/ngroups/read",
    "Microsoft.ContainerInstance/ngroups/write",
    "Microsoft.Insights/metrics/read",
)


class Autoscaler(pulumi.ComponentResource):
    """A timer function whose identity may read one NGroup, its metrics, and write it; nothing else in Azure."""

    identity: managedidentity.UserAssignedIdentity
    functions: FlexFunctions

    def __init__(
        self,
        names: Names,
        settings: ContainerScalingSettings,
        group: resources.ResourceGroup,
        ngroup: aci.NGroup,
        observability: Observability,
        *,
        private_network: PrivateNetwork | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("container_scaling:scaling:Autoscaler", names("scaling"), None, opts)
        self.identity = managedidentity.UserAssignedIdentity(
            names("autoscaler"),
            resource_group_name=group.name,
            location=settings.location,
            tags=settings.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self._allow(names, group, ngroup)
        self.functions = FlexFunctions(
            names,
            "autoscaler",
            settings,
            group,
            self.identity,
            observability,
            # A timer runs on one instance whatever the bounds; these are the service's smallest.
            scale=FlexScale(
                python_version=settings.python_version,
                instance_memory_mb=512,
                maximum_instances=40,
                always_ready={},
                http_concurrency=1,
                zone_redundant=bool(settings.zones),
            ),
            environment=_environment(settings, ngroup),
            private_network=private_network,
            opts=pulumi.ResourceOptions(parent=self),
        )
        observability.alert(
            "autoscaler-failed",
            "The autoscaler fails, or sees no metrics: the number of container groups stays what it is.",
            resource_id=observability.insights.id,
            namespace="microsoft.insights/components",
            metric="requests/failed",
            dimensions={"cloud/roleName": self.functions.app.name},
            above=3,  # of the five runs in five minutes
            aggregation=monitor.AggregationTypeEnum.COUNT,
            parent=self,
        )
        self.register_outputs({"function_app": self.functions.app.name})

    def _allow(self, names: Names, group: resources.ResourceGroup, ngroup: aci.NGroup) -> None:
        """Let the identity scale the NGroup. A role is defined in a resource group and assigned on one resource."""
        role = authorization.RoleDefinition(
            names("autoscaler"),
            scope=group.id,
            role_definition_id=group.id.apply(_guid),
            # Role names are unique in a tenant, and so is the NGroup's with its random end.
            role_name=pulumi.Output.format("Scale NGroup {0}", ngroup.name),
            description="Reads an NGroup and its metrics, and sets its count.",
            role_type="CustomRole",
            permissions=[authorization.PermissionArgs(actions=list(ACTIONS))],
            assignable_scopes=[group.id],
            opts=pulumi.ResourceOptions(parent=self),
        )
        authorization.RoleAssignment(
            names("autoscaler-scale"),
            principal_id=self.identity.principal_id,
            principal_type=authorization.PrincipalType.SERVICE_PRINCIPAL,
            role_definition_id=role.id,
            scope=ngroup.id,
            opts=pulumi.ResourceOptions(parent=self),
        )


def _guid(group_id: str) -> str:
    """Return the role's id: a GUID, other than that of any other resource group's autoscaler."""
    return str(uuid5(NAMESPACE_URL, f"{group_id}/autoscaler"))


def _environment(settings: ContainerScalingSettings, ngroup: aci.NGroup) -> dict[str, pulumi.Input[str]]:
    """Return what app/function_app.py and app/autoscaler/scaler.py read."""
    return {
        "NGROUP_ID": ngroup.id,
        "METRIC": CPU,
        "MINIMUM_GROUPS": str(settings.minimum_groups),
        "MAXIMUM_GROUPS": str(settings.maximum_groups),
        "TARGET_CPU_PERCENT": str(settings.target_cpu_percent),
        "SCALE_IN_MARGIN_PERCENT": str(settings.scale_in_margin_percent),
        "SCALE_OUT_WINDOW_MINUTES": str(settings.scale_out_window_minutes),
        "SCALE_IN_WINDOW_MINUTES": str(settings.scale_in_window_minutes),
        "SCALE_OUT_COOLDOWN_SECONDS": str(settings.scale_out_cooldown_seconds),
        "SCALE_IN_COOLDOWN_SECONDS": str(settings.scale_in_cooldown_seconds),
        "SCALE_OUT_STEP": str(settings.scale_out_step),
        "SCALE_IN_STEP": str(settings.scale_in_step),
        "STARTUP_SECONDS": str(settings.startup_seconds),
    }
