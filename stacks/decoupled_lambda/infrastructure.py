"""How the parts of the stack fit together."""

from __future__ import annotations

import pulumi
from alerting import Alerting
from config import DecoupledLambdaSettings
from messaging import Messaging
from network import PrivateNetwork
from results import Results
from serving import Serving
from stackkit import Names
from worker import Worker

__all__ = ["deploy"]


def deploy(settings: DecoupledLambdaSettings) -> None:
    """Register all resources and the stack's outputs."""
    names = Names.of(settings)
    alerting = Alerting(names, settings)
    messaging = Messaging(names, settings, alerting)
    results = Results(names, settings, alerting)
    private_network = PrivateNetwork(names, settings) if settings.private_network else None
    serving = Serving(names, settings, alerting, private_network=private_network)
    worker = Worker(
        names,
        settings,
        alerting,
        messaging=messaging,
        results=results,
        serving=serving,
        private_network=private_network,
    )

    pulumi.export("queue_url", messaging.queue.url)
    pulumi.export("queue_arn", messaging.queue.arn)
    pulumi.export("dead_letter_queue_url", messaging.dead_letters.url)
    pulumi.export("function_name", worker.function.name)
    pulumi.export("endpoint_name", serving.endpoint.name)
    pulumi.export("table_name", results.table.name)
