"""How the parts of the stack fit together."""

from __future__ import annotations

import pulumi
from api import api
from artefacts import Artefacts
from config import StatefulFunctionsSettings
from pulumi_azure_native import managedidentity, resources
from sessions import Sessions
from stackkit import Names
from stackkit.azure import Observability, PrivateNetwork

__all__ = ["deploy"]


def deploy(settings: StatefulFunctionsSettings) -> None:
    """Register all resources and the stack's outputs."""
    names = Names.of(settings)
    group = resources.ResourceGroup(names("group"), location=settings.location, tags=settings.tags)
    # An identity of its own exists before the app does, so that the app can read its code when it first starts.
    identity = managedidentity.UserAssignedIdentity(
        names("api"),
        resource_group_name=group.name,
        location=settings.location,
        tags=settings.tags,
    )
    observability = Observability(names, settings, group)
    private_network = PrivateNetwork(names, settings, group) if settings.private_network else None
    sessions = Sessions(names, settings, group, identity, observability, private_network=private_network)
    artefacts = Artefacts(names, settings, group, identity, observability, private_network=private_network)
    functions = api(
        names,
        settings,
        group,
        identity,
        observability,
        sessions=sessions,
        artefacts=artefacts,
        private_network=private_network,
    )

    pulumi.export("resource_group", group.name)
    pulumi.export("function_app", functions.app.name)
    pulumi.export("api_url", pulumi.Output.format("https://{0}/api", functions.app.default_host_name))
    pulumi.export("database_endpoint", sessions.account.document_endpoint)
    pulumi.export("artefacts_url", artefacts.url)
