"""How the parts of the stack fit together."""

from __future__ import annotations

import pulumi
from balancing import Balancer
from config import ContainerScalingSettings
from groups import ScoringGroups
from outbound import nat_gateway
from pulumi_azure_native import resources
from scaling import Autoscaler
from stackkit import Names
from stackkit.azure import Observability, PrivateLink, PrivateNetwork

__all__ = ["deploy"]


def deploy(settings: ContainerScalingSettings) -> None:
    """Register all resources and the stack's outputs."""
    names = Names.of(settings)
    group = resources.ResourceGroup(names("group"), location=settings.location, tags=settings.tags)
    observability = Observability(names, settings, group)

    # Container groups behind a load balancer always need a network; what is optional is what else is reached in it.
    network = PrivateNetwork(names, settings, group)
    private_network = network if settings.private_network else None
    callers = network.subnet("callers")
    containers = network.subnet(
        "containers",
        delegated_to="Microsoft.ContainerInstance/containerGroups",
        nat_gateway=nat_gateway(names, settings, group, parent=network),
    )
    pulled_over: list[pulumi.Resource] = []
    if private_network is not None:
        link = private_network.connect("registry", PrivateLink.REGISTRY, settings.registry_id, parent=network)
        pulled_over.append(link)

    balancer = Balancer(names, settings, group, callers, observability)
    groups = ScoringGroups(names, settings, group, containers, balancer, observability, pulled_over=pulled_over)
    scaler = Autoscaler(names, settings, group, groups.ngroup, observability, private_network=private_network)

    pulumi.export("resource_group", group.name)
    pulumi.export("score_url", pulumi.Output.format("http://{0}/score", balancer.address))
    pulumi.export("ngroup", groups.ngroup.name)
    pulumi.export("autoscaler", scaler.functions.app.name)
