"""The address that callers use, and how connections are spread over the groups behind it."""

from __future__ import annotations

import pulumi
from config import ContainerScalingSettings
from pulumi_azure_native import authorization, monitor, network, resources
from stackkit import Names
from stackkit.azure import Observability

__all__ = ["PORT", "READY_PATH", "Balancer"]

PORT = 8080
"""Port of the containers, which do not run as root and so can take none below 1024."""

READY_PATH = "/health/ready"

FRONTEND, POOL, PROBE = "callers", "groups", "ready"


class Balancer(pulumi.ComponentResource):
    """An internal load balancer with an empty pool: the NGroup puts its groups' addresses in and takes them out."""

    balancer: network.LoadBalancer
    pool_id: pulumi.Output[str]
    address: pulumi.Output[str]

    def __init__(
        self,
        names: Names,
        settings: ContainerScalingSettings,
        group: resources.ResourceGroup,
        subnet: network.Subnet,
        observability: Observability,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("container_scaling:balancing:Balancer", names("balancer"), None, opts)
        # The parts of a load balancer refer to each other by full ids, hence a name that is known beforehand.
        name = names("balancer")
        subscription = authorization.get_client_config_output().subscription_id
        own = pulumi.Output.format(
            "/subscriptions/{0}/resourceGroups/{1}/providers/Microsoft.Network/loadBalancers/{2}",
            subscription,
            group.name,
            name,
        )

        def part(kind: str, key: str) -> network.SubResourceArgs:
            return network.SubResourceArgs(id=pulumi.Output.format("{0}/{1}/{2}", own, kind, key))

        self.balancer = network.LoadBalancer(
            name,
            load_balancer_name=name,
            resource_group_name=group.name,
            location=settings.location,
            sku=network.LoadBalancerSkuArgs(name=network.LoadBalancerSkuName.STANDARD),
            frontend_ip_configurations=[
                network.FrontendIPConfigurationArgs(
                    name=FRONTEND,
                    subnet=network.SubnetArgs(id=subnet.id),
                    private_ip_allocation_method=network.IPAllocationMethod.DYNAMIC,
                    zones=settings.zones or None,
                )
            ],
            backend_address_pools=[network.BackendAddressPoolArgs(name=POOL)],
            probes=[
                # Two failures, so 10 s, take a group out: it goes on answering for drainSeconds, which is longer.
                network.ProbeArgs(
                    name=PROBE,
                    protocol=network.ProbeProtocol.HTTP,
                    port=PORT,
                    request_path=READY_PATH,
                    interval_in_seconds=5,
                    number_of_probes=2,
                    probe_threshold=2,
                )
            ],
            load_balancing_rules=[
                network.LoadBalancingRuleArgs(
                    name="score",
                    protocol=network.TransportProtocol.TCP,
                    frontend_port=80,
                    backend_port=PORT,
                    frontend_ip_configuration=part("frontendIPConfigurations", FRONTEND),
                    backend_address_pool=part("backendAddressPools", POOL),
                    probe=part("probes", PROBE),
                    load_distribution=network.LoadDistribution.DEFAULT,
                    enable_tcp_reset=True,
                    idle_timeout_in_minutes=4,
                    disable_outbound_snat=True,
                )
            ],
            tags=settings.tags,
            # The addresses in the pool are not Pulumi's to take out.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["backendAddressPools"]),
        )
        self.pool_id = pulumi.Output.format("{0}/backendAddressPools/{1}", self.balancer.id, POOL)
        self.address = self.balancer.frontend_ip_configurations.apply(_address)
        self._watch(observability)
        self.register_outputs({"address": self.address})

    def _watch(self, observability: Observability) -> None:
        observability.collect(
            "balancer", self.balancer.id, logs=["LoadBalancerHealthEvent"], metrics="AllMetrics", parent=self
        )
        observability.alert(
            "groups-unhealthy",
            "More than a quarter of the container groups is not ready, or their probes fail.",
            resource_id=self.balancer.id,
            namespace="Microsoft.Network/loadBalancers",
            metric="DipAvailability",
            below=75,
            aggregation=monitor.AggregationTypeEnum.AVERAGE,
            parent=self,
        )


def _address(frontends: list[network.outputs.FrontendIPConfigurationResponse] | None) -> str:
    return (frontends[0].private_ip_address if frontends else None) or ""
