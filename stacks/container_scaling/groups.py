"""The container groups that score."""

from __future__ import annotations

import pulumi
from balancing import PORT, READY_PATH, Balancer
from config import ContainerScalingSettings
from pulumi_azure_native import containerinstance as aci
from pulumi_azure_native import managedidentity, monitor, network, resources
from stackkit import Names
from stackkit.azure import BuiltInRole, Observability, grant

__all__ = ["CPU", "LAST_ACTION", "ScoringGroups"]

CPU = "CpuPercentage"
"""Metric of an NGroup: mean CPU of its groups, in percent."""

LAST_ACTION = "autoscaler-last-action"
"""Tag in which the autoscaler remembers what it did; see app/autoscaler/ngroup.py."""

ANSWER_SECONDS = 15
"""How long a request may still take after the drain: see IDLE_SECONDS in app/scoring/server.py."""


class ScoringGroups(pulumi.ComponentResource):
    """An NGroup: like container groups, made from one profile and kept at a count that the autoscaler sets."""

    identity: managedidentity.UserAssignedIdentity
    profile: aci.CGProfile
    ngroup: aci.NGroup

    def __init__(
        self,
        names: Names,
        settings: ContainerScalingSettings,
        group: resources.ResourceGroup,
        subnet: network.Subnet,
        balancer: Balancer,
        observability: Observability,
        *,
        pulled_over: list[pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("container_scaling:groups:ScoringGroups", names("groups"), None, opts)
        self.identity = managedidentity.UserAssignedIdentity(
            names("scoring"),
            resource_group_name=group.name,
            location=settings.location,
            tags=settings.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        pull = grant(names("scoring-pull"), self.identity, BuiltInRole.ACR_PULL, settings.registry_id, parent=self)
        grant(
            names("scoring-telemetry"),
            self.identity,
            BuiltInRole.MONITORING_METRICS_PUBLISHER,
            observability.insights.id,
            parent=self,
        )
        self.profile = self._profile(names, settings, group, observability)
        self.ngroup = self._ngroup(names, settings, group, subnet, balancer, depends_on=[pull, *pulled_over])
        self._watch(observability)
        self.register_outputs({"ngroup_id": self.ngroup.id})

    def _profile(
        self,
        names: Names,
        settings: ContainerScalingSettings,
        group: resources.ResourceGroup,
        observability: Observability,
    ) -> aci.CGProfile:
        environment: dict[str, pulumi.Input[str]] = {
            "PORT": str(PORT),
            "CONCURRENCY": str(settings.concurrency),
            "DRAIN_SECONDS": str(settings.drain_seconds),
            "OTEL_SERVICE_NAME": "scoring",
            "APPLICATIONINSIGHTS_CONNECTION_STRING": observability.insights.connection_string,
            "AZURE_CLIENT_ID": self.identity.client_id,
        }
        return aci.CGProfile(
            names("groups"),
            resource_group_name=group.name,
            location=settings.location,
            sku=aci.ContainerGroupSku.STANDARD,
            os_type=aci.OperatingSystemTypes.LINUX,
            restart_policy=aci.ContainerGroupRestartPolicy.ALWAYS,
            shutdown_grace_period=f"PT{settings.drain_seconds + ANSWER_SECONDS}S",
            ip_address=aci.IpAddressArgs(
                type=aci.ContainerGroupIpAddressType.PRIVATE,
                ports=[aci.PortArgs(port=PORT, protocol=aci.ContainerGroupNetworkProtocol.TCP)],
            ),
            image_registry_credentials=[
                aci.ImageRegistryCredentialArgs(server=settings.registry_host, identity=self.identity.id)
            ],
            containers=[
                aci.ContainerArgs(
                    name="scoring",
                    image=settings.image,
                    ports=[aci.ContainerPortArgs(port=PORT, protocol=aci.ContainerNetworkProtocol.TCP)],
                    resources=aci.ResourceRequirementsArgs(
                        requests=aci.ResourceRequestsArgs(cpu=settings.cpu, memory_in_gb=settings.memory_gb),
                        limits=aci.ResourceLimitsArgs(cpu=settings.cpu, memory_in_gb=settings.memory_gb),
                    ),
                    environment_variables=[
                        aci.EnvironmentVariableArgs(name=name, value=value) for name, value in environment.items()
                    ],
                    liveness_probe=_probe("/health/live", failures=6),
                    readiness_probe=_probe(READY_PATH, failures=2),
                )
            ],
            tags=settings.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _ngroup(
        self,
        names: Names,
        settings: ContainerScalingSettings,
        group: resources.ResourceGroup,
        subnet: network.Subnet,
        balancer: Balancer,
        *,
        depends_on: list[pulumi.Resource],
    ) -> aci.NGroup:
        pool = aci.LoadBalancerBackendAddressPoolArgs(resource=balancer.pool_id)
        return aci.NGroup(
            names("groups"),
            resource_group_name=group.name,
            location=settings.location,
            zones=settings.zones or None,
            identity=aci.NGroupIdentityArgs(
                type=aci.ResourceIdentityType.USER_ASSIGNED,
                user_assigned_identities=[self.identity.id],
            ),
            elastic_profile=aci.ElasticProfileArgs(
                desired_count=settings.minimum_groups,
                maintain_desired_count=True,
                container_group_naming_policy=aci.ElasticProfileContainerGroupNamingPolicyArgs(
                    guid_naming_policy=aci.ElasticProfileContainerGroupNamingPolicyGuidNamingPolicyArgs(
                        prefix=f"{names('group')}-"
                    )
                ),
            ),
            container_group_profiles=[
                aci.ContainerGroupProfileStubArgs(
                    resource=aci.ApiEntityReferenceArgs(id=self.profile.id),
                    # Another revision of the profile is what starts a rolling update.
                    revision=self.profile.revision,
                    container_group_properties=aci.NGroupContainerGroupPropertiesArgs(
                        subnet_ids=[aci.ContainerGroupSubnetIdArgs(id=subnet.id, name=subnet.name)]
                    ),
                    network_profile=aci.NetworkProfileArgs(
                        load_balancer=aci.LoadBalancerArgs(backend_address_pools=[pool])
                    ),
                )
            ],
            update_profile=aci.UpdateProfileArgs(
                update_mode=aci.NGroupUpdateMode.ROLLING,
                rolling_update_profile=aci.UpdateProfileRollingUpdateProfileArgs(
                    in_place_update=False,
                    max_batch_percent=settings.update_batch_percent,
                    max_unhealthy_percent=settings.update_batch_percent,
                    pause_time_between_batches=f"PT{settings.update_pause_seconds}S",
                ),
            ),
            tags=settings.tags,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=depends_on,
                # The autoscaler's: a deployment leaves the count as it is.
                ignore_changes=["elasticProfile.desiredCount", f'tags["{LAST_ACTION}"]'],
            ),
        )

    def _watch(self, observability: Observability) -> None:
        observability.alert(
            "groups-saturated",
            "The container groups are busy and scaling out does not help: maximumGroups or a quota is too low.",
            resource_id=self.ngroup.id,
            namespace="Microsoft.ContainerInstance/ngroups",
            metric=CPU,
            above=90,
            aggregation=monitor.AggregationTypeEnum.AVERAGE,
            parent=self,
        )
        observability.alert(
            "scoring-failed",
            "More than ten requests in five minutes were refused or failed.",
            resource_id=observability.insights.id,
            namespace="microsoft.insights/components",
            metric="requests/failed",
            dimensions={"cloud/roleName": "scoring"},
            above=10,
            aggregation=monitor.AggregationTypeEnum.COUNT,
            parent=self,
        )


def _probe(path: str, *, failures: int) -> aci.ContainerProbeArgs:
    return aci.ContainerProbeArgs(
        http_get=aci.ContainerHttpGetArgs(path=path, port=PORT, scheme=aci.Scheme.HTTP),
        initial_delay_seconds=5,
        period_seconds=5,
        timeout_seconds=2,
        failure_threshold=failures,
        success_threshold=1,
    )
