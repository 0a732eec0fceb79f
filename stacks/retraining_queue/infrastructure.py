"""How the parts of the stack fit together."""

from __future__ import annotations

import pulumi
from artefacts import Artefacts
from config import RetrainingQueueSettings
from pulumi_azure_native import managedidentity, resources
from requests_queue import RequestsQueue
from stackkit import Names
from stackkit.azure import Observability, PrivateNetwork
from training_job import TrainingJob

__all__ = ["deploy"]


def deploy(settings: RetrainingQueueSettings) -> None:
    """Register all resources and the stack's outputs."""
    names = Names.of(settings)
    group = resources.ResourceGroup(names("group"), location=settings.location, tags=settings.tags)
    producer, worker, puller = (_identity(names(part), settings, group) for part in ("producer", "worker", "puller"))
    observability = Observability(names, settings, group)
    private_network = PrivateNetwork(names, settings, group) if settings.private_network else None
    queue = RequestsQueue(
        names, settings, group, observability, sender=producer, receiver=worker, private_network=private_network
    )
    artefacts = Artefacts(names, settings, group, worker, observability, private_network=private_network)
    training = TrainingJob(
        names,
        settings,
        group,
        observability,
        identity=worker,
        puller=puller,
        queue=queue,
        artefacts=artefacts,
        private_network=private_network,
    )

    pulumi.export("resource_group", group.name)
    pulumi.export("service_bus_namespace", queue.address)
    pulumi.export("queue", queue.queue.name)
    pulumi.export("queue_id", queue.queue.id)
    pulumi.export("producer_client_id", producer.client_id)
    pulumi.export("job", training.job.name)
    pulumi.export("datasets_url", artefacts.datasets_url)
    pulumi.export("models_url", artefacts.models_url)


def _identity(
    name: str, settings: RetrainingQueueSettings, group: resources.ResourceGroup
) -> managedidentity.UserAssignedIdentity:
    return managedidentity.UserAssignedIdentity(
        name, resource_group_name=group.name, location=settings.location, tags=settings.tags
    )
