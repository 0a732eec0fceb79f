"""How container groups reach the internet: Azure supports a NAT gateway for them and nothing else."""

from __future__ import annotations

import pulumi
from config import ContainerScalingSettings
from pulumi_azure_native import network, resources
from stackkit import Names

__all__ = ["nat_gateway"]


def nat_gateway(
    names: Names, settings: ContainerScalingSettings, group: resources.ResourceGroup, *, parent: pulumi.Resource
) -> network.NatGateway:
    """Return a gateway with one address.

    It is of the Standard tier, which Azure puts in a zone of its choice: the tier that is spread over zones takes no
    subnet of container groups. Only image pulls and telemetry go through it, no scoring does.
    """
    child = pulumi.ResourceOptions(parent=parent)
    address = network.PublicIPAddress(
        names("outbound"),
        resource_group_name=group.name,
        location=settings.location,
        public_ip_allocation_method=network.IPAllocationMethod.STATIC,
        public_ip_address_version=network.IPVersion.I_PV4,
        sku=network.PublicIPAddressSkuArgs(
            name=network.PublicIPAddressSkuName.STANDARD,
            tier=network.PublicIPAddressSkuTier.REGIONAL,
        ),
        zones=settings.zones or None,
        tags=settings.tags,
        opts=child,
    )
    return network.NatGateway(
        names("outbound"),
        resource_group_name=group.name,
        location=settings.location,
        sku=network.NatGatewaySkuArgs(name=network.NatGatewaySkuName.STANDARD),
        public_ip_addresses=[network.SubResourceArgs(id=address.id)],
        idle_timeout_in_minutes=4,
        tags=settings.tags,
        opts=child,
    )
