"""A network of the stack's own, from which its data is reached without the internet."""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv4Network

import pulumi
from pulumi_azure_native import network, privatedns, resources

from ..naming import Names
from .settings import AzureSettings

__all__ = ["PrivateLink", "PrivateNetwork"]

ADDRESSES = IPv4Network("10.20.0.0/20")
"""Addresses of the whole network: 16 subnets of 256. Azure keeps five of each subnet for itself."""


class PrivateLink(Enum):
    """What a private endpoint leads to: the sub-resource and the DNS zones that Azure documents for it."""

    BLOB = ("blob", "privatelink.blob.core.windows.net")
    FILE = ("file", "privatelink.file.core.windows.net")
    COSMOS_SQL = ("Sql", "privatelink.documents.azure.com")
    SERVICE_BUS = ("namespace", "privatelink.servicebus.windows.net")
    KEY_VAULT = ("vault", "privatelink.vaultcore.azure.net")
    REGISTRY = ("registry", "privatelink.azurecr.io")
    WORKSPACE = ("amlworkspace", "privatelink.api.azureml.ms", "privatelink.notebooks.azure.net")

    @property
    def sub_resource(self) -> str:
        """Return the sub-resource, also called the group id."""
        return str(self.value[0])

    @property
    def zones(self) -> tuple[str, ...]:
        """Return the names of the private DNS zones in the public cloud."""
        return tuple(self.value[1:])


class PrivateNetwork(pulumi.ComponentResource):
    """A virtual network with a subnet for private endpoints and the subnets that are asked for."""

    network: network.VirtualNetwork

    def __init__(
        self,
        names: Names,
        settings: AzureSettings,
        group: resources.ResourceGroup,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("stackkit:azure:PrivateNetwork", names("network"), None, opts)
        self._names, self._settings, self._group = names, settings, group
        self._child = pulumi.ResourceOptions(parent=self)
        self._blocks = ADDRESSES.subnets(new_prefix=24)
        self._last: network.Subnet | None = None
        self._zones: dict[str, tuple[privatedns.PrivateZone, privatedns.VirtualNetworkLink]] = {}
        self.network = network.VirtualNetwork(
            names("network"),
            resource_group_name=group.name,
            location=settings.location,
            address_space=network.AddressSpaceArgs(address_prefixes=[str(ADDRESSES)]),
            tags=settings.tags,
            opts=self._child,
        )
        self._endpoints = self.subnet("endpoints")
        self.register_outputs({"network_id": self.network.id})

    def subnet(
        self,
        part: str,
        *,
        delegated_to: str | None = None,
        nat_gateway: network.NatGateway | None = None,
    ) -> network.Subnet:
        """Add a subnet of 251 addresses, for one service alone when it is delegated to it.

        Nothing in it gets an outbound address by default. To a delegated subnet that does not apply: its service sees
        to outbound connections (Azure Virtual Network, "Default outbound access").
        """
        rules = network.NetworkSecurityGroup(
            self._names(f"{part}-rules"),
            resource_group_name=self._group.name,
            location=self._settings.location,
            tags=self._settings.tags,
            opts=self._child,
        )
        delegations = []
        if delegated_to is not None:
            delegations = [network.DelegationArgs(name="service", service_name=delegated_to)]
        # Azure changes one subnet of a network at a time and refuses the others meanwhile.
        before = [] if self._last is None else [self._last]
        self._last = network.Subnet(
            self._names(part),
            resource_group_name=self._group.name,
            virtual_network_name=self.network.name,
            address_prefix=str(next(self._blocks)),
            default_outbound_access=False,
            delegations=delegations,
            nat_gateway=None if nat_gateway is None else network.SubResourceArgs(id=nat_gateway.id),
            network_security_group=network.NetworkSecurityGroupArgs(id=rules.id),
            opts=pulumi.ResourceOptions(parent=self, depends_on=before),
        )
        return self._last

    def connect(
        self,
        part: str,
        link: PrivateLink,
        resource_id: pulumi.Input[str],
        *,
        parent: pulumi.Resource,
    ) -> network.PrivateDnsZoneGroup:
        """Give a resource an address in the network, and return what makes its usual name lead there."""
        endpoint = network.PrivateEndpoint(
            self._names(f"{part}-endpoint"),
            resource_group_name=self._group.name,
            location=self._settings.location,
            subnet=network.SubnetArgs(id=self._endpoints.id),
            private_link_service_connections=[
                network.PrivateLinkServiceConnectionArgs(
                    name=part,
                    private_link_service_id=resource_id,
                    group_ids=[link.sub_resource],
                )
            ],
            tags=self._settings.tags,
            opts=pulumi.ResourceOptions(parent=parent),
        )
        zones = [(label, *self._zone(zone_part, name)) for label, zone_part, name in _labelled(link)]
        return network.PrivateDnsZoneGroup(
            self._names(f"{part}-endpoint"),
            resource_group_name=self._group.name,
            private_endpoint_name=endpoint.name,
            private_dns_zone_group_name="default",
            private_dns_zone_configs=[
                network.PrivateDnsZoneConfigArgs(name=label, private_dns_zone_id=zone.id) for label, zone, _ in zones
            ],
            # The network must ask the zones before anybody looks the name up.
            opts=pulumi.ResourceOptions(parent=parent, depends_on=[asked for _, _, asked in zones]),
        )

    def _zone(self, part: str, name: str) -> tuple[privatedns.PrivateZone, privatedns.VirtualNetworkLink]:
        """Return a DNS zone and what makes the network ask it, made once for all endpoints of its kind."""
        if name not in self._zones:
            zone = privatedns.PrivateZone(
                self._names(part),
                resource_group_name=self._group.name,
                private_zone_name=name,
                location="global",
                tags=self._settings.tags,
                opts=self._child,
            )
            asked = privatedns.VirtualNetworkLink(
                self._names(part),
                resource_group_name=self._group.name,
                private_zone_name=zone.name,
                location="global",
                registration_enabled=False,
                virtual_network=privatedns.SubResourceArgs(id=self.network.id),
                tags=self._settings.tags,
                opts=self._child,
            )
            self._zones[name] = zone, asked
        return self._zones[name]


def _labelled(link: PrivateLink) -> list[tuple[str, str, str]]:
    """Return for each DNS zone of a link its label in an endpoint's zone group, its resources' part and its name."""
    part = f"{link.name.lower().replace('_', '-')}-zone"
    first, *others = link.zones
    labelled = [(link.sub_resource, part, first)]
    return labelled + [(f"{link.sub_resource}-{i}", f"{part}-{i}", zone) for i, zone in enumerate(others, start=2)]
