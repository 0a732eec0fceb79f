"""The settings of the stack, with their bounds and the rules between them."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from stackkit.azure import AzureSettings

__all__ = ["RetrainingQueueSettings"]

START_SECONDS = 60
"""What a replica has beside training: to start, to log in and to look for another message."""

LARGEST_STANDARD_QUEUE_MB = 5120
"""Source: Service Bus quotas, queue or topic size."""

ENVIRONMENT_CORES = 100
"""What an environment's Consumption profile may use unless Azure is asked for more. Source: Container Apps quotas."""

QueueSize = Literal[1024, 2048, 3072, 4096, 5120, 10240, 20480, 40960, 81920]


class RetrainingQueueSettings(AzureSettings):
    """All that can be set."""

    workload: Annotated[
        str,
        Field(
            min_length=3,
            max_length=8,
            pattern=r"^[a-z][a-z0-9]*$",
            description="Short name that all resource names begin with; a storage account's has 24 characters in all.",
        ),
    ]
    zone_redundant: Annotated[
        bool,
        Field(description="Whether queue, workers and storage are spread over zones; the region must have them."),
    ] = False

    registry_id: Annotated[
        str,
        Field(
            pattern=r"^/subscriptions/[0-9a-fA-F-]{36}/resourceGroups/[A-Za-z0-9_().-]{1,90}"
            r"/providers/Microsoft\.ContainerRegistry/registries/[A-Za-z0-9]{5,50}$",
            description="Resource id of the container registry that holds the workers' image.",
        ),
    ]
    image: Annotated[
        str,
        Field(
            max_length=255,
            pattern=r"^[a-z0-9]+([._/-][a-z0-9]+)*@sha256:[0-9a-f]{64}$",
            description="The workers' image in that registry, by repository and digest.",
        ),
    ]

    namespace_sku: Annotated[
        Literal["Standard", "Premium"],
        Field(description="Tier of the Service Bus namespace; Premium has zones and private endpoints."),
    ] = "Standard"
    messaging_units: Annotated[
        Literal[1, 2, 4, 8, 16],
        Field(description="Messaging units of a Premium namespace, each paid for by the hour."),
    ] = 1
    queue_size_mb: Annotated[QueueSize, Field(description="Most MB that the queue holds.")] = 1024
    message_ttl_days: Annotated[
        int,
        Field(ge=1, le=14, description="Days that a request waits before it becomes a dead letter."),
    ] = 7
    duplicate_window_minutes: Annotated[
        int,
        Field(ge=1, le=7 * 24 * 60, description="Minutes in which the same request is taken once."),
    ] = 60
    lock_seconds: Annotated[
        int,
        Field(ge=30, le=300, description="Seconds that a message is hidden for; the worker renews it as it trains."),
    ] = 60
    max_delivery_count: Annotated[
        int,
        Field(ge=3, le=10, description="Deliveries before a request becomes a dead letter."),
    ] = 5

    training_seconds: Annotated[
        int,
        Field(
            ge=60, le=6 * 3600, description="Longest training of one model, in seconds; its lock is renewed so long."
        ),
    ] = 900
    messages_per_replica: Annotated[
        int,
        Field(ge=1, le=20, description="Most requests that one replica handles, one after the other."),
    ] = 1
    replica_timeout_seconds: Annotated[
        int,
        Field(ge=120, le=24 * 3600, description="Seconds after which a replica is ended."),
    ] = 1200
    replica_retry_limit: Annotated[
        int,
        Field(ge=0, le=5, description="Times that a failed replica is started again."),
    ] = 1
    parallelism: Annotated[int, Field(ge=1, le=10, description="Replicas of one execution.")] = 1
    max_executions: Annotated[int, Field(ge=1, le=100, description="Most executions at a time.")] = 2
    polling_seconds: Annotated[
        int,
        Field(ge=10, le=300, description="Seconds between two looks at the queue's length."),
    ] = 30
    worker_millicores: Annotated[
        int,
        Field(
            ge=250, le=4000, multiple_of=250, description="CPU of a replica in thousandths of a core; 2 GiB each core."
        ),
    ] = 500

    ledger_days: Annotated[
        int,
        Field(ge=2, le=400, description="Days that a handled request is remembered and not trained again."),
    ] = 30
    model_days: Annotated[int, Field(ge=2, le=3650, description="Days that a trained model is kept.")] = 90
    soft_delete_days: Annotated[
        int,
        Field(ge=7, le=365, description="Days that a deleted model or dataset can be brought back."),
    ] = 7

    @property
    def is_premium(self) -> bool:
        """Return whether the namespace has the features of the Premium tier."""
        return self.namespace_sku == "Premium"

    @property
    def registry_server(self) -> str:
        """Return the registry's login server in the public cloud."""
        return f"{self.registry_id.rpartition('/')[2].lower()}.azurecr.io"

    @model_validator(mode="after")
    def check_tier(self) -> Self:
        """Refuse what the Standard tier lacks."""
        if self.is_premium:
            return self
        for key, value, wrong in (
            ("privateNetwork", "true", self.private_network),
            ("zoneRedundant", "true", self.zone_redundant),
            ("messagingUnits", self.messaging_units, self.messaging_units > 1),
            ("queueSizeMb", self.queue_size_mb, self.queue_size_mb > LARGEST_STANDARD_QUEUE_MB),
        ):
            if wrong:
                raise ValueError(f"namespaceSku is {self.namespace_sku} and must be Premium when {key} is {value}")
        return self

    @model_validator(mode="after")
    def check_zones(self) -> Self:
        """Refuse workers over several zones without a network: Container Apps needs a subnet for that."""
        if self.zone_redundant and not self.private_network:
            raise ValueError("privateNetwork is false and must be true when zoneRedundant is true")
        return self

    @model_validator(mode="after")
    def check_times(self) -> Self:
        """Refuse a replica that is ended while it may still train."""
        needed = self.messages_per_replica * self.training_seconds + START_SECONDS
        if self.replica_timeout_seconds < needed:
            raise ValueError(
                f"replicaTimeoutSeconds is {self.replica_timeout_seconds} and must be at least {needed}: "
                f"messagesPerReplica {self.messages_per_replica} * trainingSeconds {self.training_seconds} "
                f"+ {START_SECONDS}"
            )
        return self

    @model_validator(mode="after")
    def check_cores(self) -> Self:
        """Refuse more replicas than the environment's quota lets run."""
        cores = self.max_executions * self.parallelism * self.worker_millicores / 1000
        if cores > ENVIRONMENT_CORES:
            raise ValueError(
                f"maxExecutions {self.max_executions} * parallelism {self.parallelism} * workerMillicores "
                f"{self.worker_millicores} is {cores:g} cores and must be at most {ENVIRONMENT_CORES}"
            )
        return self

    @model_validator(mode="after")
    def check_retention(self) -> Self:
        """Refuse to forget a request that can still come back, or to remember one whose model is gone."""
        if self.ledger_days < 2 * self.message_ttl_days:
            raise ValueError(
                f"ledgerDays is {self.ledger_days} and must be at least {2 * self.message_ttl_days}: a request and its "
                f"resubmission wait up to messageTtlDays {self.message_ttl_days} each"
            )
        if self.model_days < self.ledger_days:
            raise ValueError(
                f"modelDays is {self.model_days} and must be at least {self.ledger_days}, as ledgerDays is "
                f"{self.ledger_days}"
            )
        return self

    @model_validator(mode="after")
    def check_prod(self) -> Self:
        """Hold prod to what its users need."""
        if not self.is_prod:
            return self
        if not self.zone_redundant:
            raise ValueError("zoneRedundant is false and must be true when environment is prod")
        for key, value, minimum, reason in (
            ("softDeleteDays", self.soft_delete_days, 30, "damage is often found late"),
            ("logDays", self.log_days, 90, "an investigation looks back a quarter"),
        ):
            if value < minimum:
                raise ValueError(f"{key} is {value} and must be at least {minimum} when environment is prod: {reason}")
        return self
