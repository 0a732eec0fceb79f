"""The queue of retraining requests."""

from __future__ import annotations

import pulumi
from config import RetrainingQueueSettings
from pulumi_azure_native import authorization, managedidentity, monitor, resources, servicebus
from stackkit import Names
from stackkit.azure import BuiltInRole, Observability, PrivateLink, PrivateNetwork, grant

__all__ = ["RequestsQueue"]

QUEUE = "retraining-requests"
RESOURCE_TYPE = "Microsoft.ServiceBus/namespaces"

LOGS = ["OperationalLogs", "DiagnosticErrorLogs"]
PREMIUM_LOGS = ["RuntimeAuditLogs", "ApplicationMetricsLogs", "VNetAndIPFilteringLogs"]
"""Categories that the service fills for Premium namespaces alone. Source: Service Bus monitoring data reference."""

FULL_PERCENT = 80
"""How full the queue is when somebody is told. A full queue refuses requests."""


class RequestsQueue(pulumi.ComponentResource):
    """A namespace without keys, and a queue that one identity may send to and another may receive from."""

    namespace: servicebus.Namespace
    queue: servicebus.Queue
    address: pulumi.Output[str]
    """Host name of the namespace in the public cloud."""
    receiver_role: authorization.RoleAssignment

    def __init__(
        self,
        names: Names,
        settings: RetrainingQueueSettings,
        group: resources.ResourceGroup,
        observability: Observability,
        *,
        sender: managedidentity.UserAssignedIdentity,
        receiver: managedidentity.UserAssignedIdentity,
        private_network: PrivateNetwork | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("retraining_queue:requests_queue:RequestsQueue", names("requests"), None, opts)
        self.namespace = self._namespace(names, settings, group)
        self.address = pulumi.Output.format("{0}.servicebus.windows.net", self.namespace.name)
        self.queue = self._queue(names, settings, group)
        grant(names("producer-sends"), sender, BuiltInRole.SERVICE_BUS_DATA_SENDER, self.queue.id, parent=self)
        # Data Receiver may read the queue's length too, which is what the scaler does.
        self.receiver_role = grant(
            names("worker-receives"), receiver, BuiltInRole.SERVICE_BUS_DATA_RECEIVER, self.queue.id, parent=self
        )
        if private_network is not None:
            private_network.connect("bus", PrivateLink.SERVICE_BUS, self.namespace.id, parent=self)
        self._watch(settings, observability)
        self.register_outputs({"address": self.address})

    def _namespace(
        self, names: Names, settings: RetrainingQueueSettings, group: resources.ResourceGroup
    ) -> servicebus.Namespace:
        sku, tier = servicebus.SkuName(settings.namespace_sku), servicebus.SkuTier(settings.namespace_sku)
        premium = settings.is_premium
        access = servicebus.PublicNetworkAccess
        return servicebus.Namespace(
            names("bus"),
            resource_group_name=group.name,
            location=settings.location,
            sku=servicebus.SBSkuArgs(name=sku, tier=tier, capacity=settings.messaging_units if premium else None),
            premium_messaging_partitions=1 if premium else None,
            zone_redundant=settings.zone_redundant if premium else None,
            disable_local_auth=True,
            minimum_tls_version=servicebus.TlsVersion.TLS_VERSION_1_2,
            public_network_access=access.DISABLED if settings.private_network else access.ENABLED,
            tags=settings.tags,
            opts=pulumi.ResourceOptions(parent=self, protect=settings.is_prod),
        )

    def _queue(
        self, names: Names, settings: RetrainingQueueSettings, group: resources.ResourceGroup
    ) -> servicebus.Queue:
        return servicebus.Queue(
            names("requests"),
            resource_group_name=group.name,
            namespace_name=self.namespace.name,
            queue_name=QUEUE,
            max_size_in_megabytes=settings.queue_size_mb,
            default_message_time_to_live=f"P{settings.message_ttl_days}D",
            dead_lettering_on_message_expiration=True,
            max_delivery_count=settings.max_delivery_count,
            lock_duration=_iso(settings.lock_seconds),
            requires_duplicate_detection=True,
            duplicate_detection_history_time_window=_iso(60 * settings.duplicate_window_minutes),
            requires_session=False,
            enable_partitioning=False,
            enable_express=False,
            enable_batched_operations=True,
            opts=pulumi.ResourceOptions(parent=self, protect=settings.is_prod),
        )

    def _watch(self, settings: RetrainingQueueSettings, observability: Observability) -> None:
        observability.collect(
            "bus",
            self.namespace.id,
            logs=LOGS + (PREMIUM_LOGS if settings.is_premium else []),
            metrics="AllMetrics",
            parent=self,
        )
        total, maximum = monitor.AggregationTypeEnum.TOTAL, monitor.AggregationTypeEnum.MAXIMUM
        full = settings.queue_size_mb * 1024 * 1024 * FULL_PERCENT // 100
        for part, metric, above, aggregation, of_queue, description in (
            (
                "dead-letters",
                "DeadletteredMessages",
                0,
                maximum,
                True,
                "Requests became dead letters; each says why.",
            ),
            ("queue-full", "Size", full, maximum, True, "The queue is nearly full and will refuse requests."),
            ("throttled", "ThrottledRequests", 0, total, False, "The namespace refuses calls: there are too many."),
            ("server-errors", "ServerErrors", 0, total, False, "Service Bus fails to answer calls."),
        ):
            observability.alert(
                part,
                description,
                resource_id=self.namespace.id,
                namespace=RESOURCE_TYPE,
                metric=metric,
                above=above,
                aggregation=aggregation,
                dimensions={"EntityName": QUEUE} if of_queue else None,
                parent=self,
            )


def _iso(seconds: int) -> str:
    """Return a duration as the service writes it, so that a refresh finds no difference: PT1H30M, not PT5400S."""
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    time = "".join(f"{value}{unit}" for value, unit in ((hour, "H"), (minute, "M"), (second, "S")) if value)
    return "P" + (f"{day}D" if day else "") + (f"T{time}" if time else "")
