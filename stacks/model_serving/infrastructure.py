"""How the parts of the stack fit together."""

from __future__ import annotations

import pulumi
from cluster import Cluster
from config import ModelServingSettings
from pulumi_azure_native import resources
from registry import Registry
from serving import Serving
from stackkit import Names
from stackkit.azure import Observability, PrivateNetwork
from workspace import Workspace

__all__ = ["deploy"]


def deploy(settings: ModelServingSettings) -> None:
    """Register all resources and the stack's outputs."""
    names = Names.of(settings)
    group = resources.ResourceGroup(names("group"), location=settings.location, tags=settings.tags)
    observability = Observability(names, settings, group)
    private_network = PrivateNetwork(names, settings, group) if settings.private_network else None
    registry = Registry(names, settings, group, observability, private_network=private_network)
    workspace = Workspace(names, settings, group, registry, observability, private_network=private_network)
    cluster = Cluster(names, settings, group, workspace, registry)
    serving = Serving(names, settings, group, workspace, registry, observability)

    pulumi.export("resource_group", group.name)
    pulumi.export("workspace", workspace.workspace.name)
    pulumi.export("registry", registry.registry.login_server)
    pulumi.export("cluster", cluster.compute.name)
    pulumi.export("endpoint", serving.endpoint.name)
    pulumi.export("scoring_uri", serving.scoring_uri)
