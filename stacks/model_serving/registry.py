"""The registry of the images that models run in."""

from __future__ import annotations

import pulumi
from config import ModelServingSettings
from pulumi_azure_native import containerregistry, resources
from stackkit import Names
from stackkit.azure import Observability, PrivateLink, PrivateNetwork

__all__ = ["Registry"]


class Registry(pulumi.ComponentResource):
    """A registry that only identities can use, in prod without public access and over zones."""

    registry: containerregistry.Registry

    def __init__(
        self,
        names: Names,
        settings: ModelServingSettings,
        group: resources.ResourceGroup,
        observability: Observability,
        *,
        private_network: PrivateNetwork | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("model_serving:registry:Registry", names("registry"), None, opts)
        self.registry = containerregistry.Registry(
            names.compact("images"),
            resource_group_name=group.name,
            location=settings.location,
            sku=containerregistry.SkuArgs(name=_sku(settings)),
            admin_user_enabled=False,
            anonymous_pull_enabled=False,
            public_network_access=_access(settings),
            network_rule_bypass_options=containerregistry.NetworkRuleBypassOptions.AZURE_SERVICES,
            zone_redundancy=_zones(settings),
            tags=settings.tags,
            opts=pulumi.ResourceOptions(parent=self, protect=settings.is_prod),
        )
        if private_network is not None:
            private_network.connect("registry", PrivateLink.REGISTRY, self.registry.id, parent=self)
        observability.collect(
            "registry",
            self.registry.id,
            logs=["ContainerRegistryRepositoryEvents", "ContainerRegistryLoginEvents"],
            metrics="AllMetrics",
            parent=self,
        )
        self.register_outputs({"login_server": self.registry.login_server})


def _sku(settings: ModelServingSettings) -> containerregistry.SkuName:
    """Return the cheapest tier that has what is asked for: private endpoints and zones are Premium's alone."""
    premium = settings.private_network or settings.zone_redundant
    return containerregistry.SkuName.PREMIUM if premium else containerregistry.SkuName.STANDARD


def _access(settings: ModelServingSettings) -> containerregistry.PublicNetworkAccess:
    access = containerregistry.PublicNetworkAccess
    return access.DISABLED if settings.private_network else access.ENABLED


def _zones(settings: ModelServingSettings) -> containerregistry.ZoneRedundancy:
    redundancy = containerregistry.ZoneRedundancy
    return redundancy.ENABLED if settings.zone_redundant else redundancy.DISABLED
