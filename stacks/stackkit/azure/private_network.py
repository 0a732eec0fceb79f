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
    """What a private endpoint leads to: the sub-resource and the DNS zone that Azure documents for it."""

    BLOB = ("blob", "privatelink.blob.core.windows.net")
    FILE = ("file", "privatelink.file.core.windows.net")
    COSMOS_SQL = ("Sql", "privatelink.documents.azure.com")
    SERVICE_BUS = ("namespace", "privatelink.servicebus.windows.net")
    KEY_VAULT = ("vault", "privatelink.vaultcore.azure.net")
    REGISTRY = ("registry", "privatelink.azurecr.io")
    WORKSPACE = ("amlworkspace", "privatelink.api.azureml.ms")

    @property
    def sub_resource(self) -> str:
        """Return the sub-resource, also called the group id."""
        return self.value[0]

    @property
    def zone(self) -> str:
        """Return the name of the private DNS zone in the public cloud."""
        return self.value[1]


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
        self._zones: dict[PrivateLink, privatedns.PrivateZone] = {}
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

    def subnet(self, part: str, *, delegated_to: str | None = None) -> network.Subnet:
        """Add a subnet of 251 addresses, for one service alone when it is delegated to it."""
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
    ) -> network.PrivateEndpoint:
        """Give a resource an address in the network, under its usual name."""
        child = pulumi.ResourceOptions(parent=parent)
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
            opts=child,
        )
        network.PrivateDnsZoneGroup(
            self._names(f"{part}-endpoint"),
            resource_group_name=self._group.name,
            private_endpoint_name=endpoint.name,
            private_dns_zone_group_name="default",
            private_dns_zone_configs=[
                network.PrivateDnsZoneConfigArgs(name=link.sub_resource, private_dns_zone_id=self._zone(link).id)
            ],
            opts=child,
        )
        return endpoint

    def _zone(self, link: PrivateLink) -> privatedns.PrivateZone:
        """Return the link's DNS zone, made once for all endpoints of its kind."""
        if link not in self._zones:
            part = f"{link.name.lower().replace('_', '-')}-zone"
            zone = privatedns.PrivateZone(
                self._names(part),
                resource_group_name=self._group.name,
                private_zone_name=link.zone,
                location="global",
                tags=self._settings.tags,
                opts=self._child,
            )
            privatedns.VirtualNetworkLink(
                self._names(part),
                resource_group_name=self._group.name,
                private_zone_name=zone.name,
                location="global",
                registration_enabled=False,
                virtual_network=privatedns.SubResourceArgs(id=self.network.id),
                tags=self._settings.tags,
                opts=self._child,
            )
            self._zones[link] = zone
        return self._zones[link]
