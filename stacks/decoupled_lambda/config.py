"""The settings of the stack, with their bounds and the rules between them."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from stackkit import Email, Settings

__all__ = ["DEAD_LETTER_RETENTION_DAYS", "DecoupledLambdaSettings"]

DAY = 24 * 60 * 60
"""Seconds."""

DEAD_LETTER_RETENTION_DAYS = 14
"""The most that SQS allows. A message keeps its age when it is moved, so dead letters must be kept longer."""

HANDLER_OVERHEAD_SECONDS = 10
"""What a run needs beside the model: connecting, reading and writing the table, and making its clients.

The function begins no message that it might not end in time. With less than this it would begin none at all.
"""

IMAGE = r"^[0-9]{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/[a-z0-9][a-z0-9._/-]*@sha256:[0-9a-f]{64}$"

Zone = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9][a-z]$")]

InstanceType = Literal[
    "ml.m5.large",
    "ml.m5.xlarge",
    "ml.m5.2xlarge",
    "ml.c5.large",
    "ml.c5.xlarge",
    "ml.c5.2xlarge",
    "ml.g4dn.xlarge",
    "ml.g5.xlarge",
]
"""Types that application auto scaling supports; it does not support the burstable ml.t2 ones."""

LogRetention = Literal[7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 3653]
"""CloudWatch Logs takes these periods alone."""


class DecoupledLambdaSettings(Settings):
    """All that can be set."""

    region: Annotated[
        str,
        Field(alias="aws:region", pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$", description="AWS region of all resources."),
    ]
    private_network: Annotated[
        bool,
        Field(description="Whether worker and model run in a network of their own, without a way to the internet."),
    ] = False
    availability_zones: Annotated[
        tuple[Zone, ...],
        Field(max_length=3, description="Zones of the private network, at least two."),
    ] = ()
    alarm_email: Annotated[Email, Field(description="Address that alarms are sent to; it must confirm once.")]

    model_image: Annotated[
        str,
        Field(max_length=255, pattern=IMAGE, description="Serving image in ECR, in the stack's region, by digest."),
    ]
    model_data_url: Annotated[
        str,
        Field(
            max_length=1024,
            pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[A-Za-z0-9!_.'()/-]+\.tar\.gz$",
            description="The model's weights in S3.",
        ),
    ]
    instance_type: Annotated[InstanceType, Field(description="Machine of one model instance.")] = "ml.m5.large"
    min_instances: Annotated[int, Field(ge=1, le=10, description="Model instances that always run.")] = 1
    max_instances: Annotated[int, Field(ge=1, le=10, description="Most model instances.")] = 2
    target_invocations_per_instance: Annotated[
        int,
        Field(ge=1, le=10_000, description="Invocations per minute that one model instance should get."),
    ] = 100
    scale_out_cooldown_seconds: Annotated[
        int,
        Field(ge=60, le=3600, description="Seconds between two steps out."),
    ] = 60
    scale_in_cooldown_seconds: Annotated[
        int,
        Field(ge=60, le=3600, description="Seconds between two steps in."),
    ] = 300

    function_memory_mb: Annotated[int, Field(ge=128, le=3008, description="Memory of one function run, in MB.")] = 512
    function_timeout_seconds: Annotated[
        int,
        Field(ge=10, le=900, description="Longest run of the function, in seconds."),
    ] = 60
    reserved_concurrency: Annotated[
        int,
        Field(ge=2, le=100, description="Function runs at a time, whoever calls it."),
    ] = 10
    consumer_concurrency: Annotated[
        int,
        Field(ge=2, le=100, description="Function runs at a time that the queue may start."),
    ] = 5
    batch_size: Annotated[int, Field(ge=1, le=10, description="Messages handed to one run.")] = 5
    batch_window_seconds: Annotated[
        int,
        Field(ge=0, le=300, description="Seconds to wait for a batch to fill."),
    ] = 1
    inference_timeout_seconds: Annotated[
        int,
        Field(ge=1, le=60, description="Seconds to wait for the model; SageMaker itself ends a request after 60."),
    ] = 10

    max_receive_count: Annotated[
        int,
        Field(ge=3, le=10, description="Deliveries of a message before it becomes a dead letter."),
    ] = 5
    message_retention_days: Annotated[
        int,
        Field(
            ge=1,
            le=DEAD_LETTER_RETENTION_DAYS - 1,
            description=f"Days that an unread message is kept; dead letters are kept {DEAD_LETTER_RETENTION_DAYS}.",
        ),
    ] = 4

    result_ttl_days: Annotated[int, Field(ge=1, le=3650, description="Days that a result is kept.")] = 30
    max_read_units: Annotated[
        int,
        Field(ge=1, le=40_000, description="Most read request units per second of the table."),
    ] = 100
    max_write_units: Annotated[
        int,
        Field(ge=1, le=40_000, description="Most write request units per second of the table."),
    ] = 100
    recovery_days: Annotated[
        int,
        Field(ge=1, le=35, description="Days that the table can be restored to any second of."),
    ] = 7

    log_retention_days: Annotated[LogRetention, Field(description="Days that logs are kept.")] = 30

    @property
    def visibility_timeout_seconds(self) -> int:
        """Return for how long a received message is hidden, in seconds.

        AWS asks for six times the function's timeout plus the batch window, so that a throttled run can be retried
        before the message shows up again. The bounds above keep it under the service's limit of 12 hours.
        """
        return 6 * self.function_timeout_seconds + self.batch_window_seconds

    @property
    def message_retention_seconds(self) -> int:
        """Return for how long an unread message is kept, in seconds."""
        return self.message_retention_days * DAY

    @property
    def result_ttl_seconds(self) -> int:
        """Return for how long a result is kept, in seconds."""
        return self.result_ttl_days * DAY

    @model_validator(mode="after")
    def check_scaling(self) -> Self:
        """Refuse bounds that contradict each other."""
        if self.min_instances > self.max_instances:
            raise ValueError(
                f"minInstances is {self.min_instances} and must be at most maxInstances, {self.max_instances}"
            )
        if self.scale_in_cooldown_seconds < self.scale_out_cooldown_seconds:
            raise ValueError(
                f"scaleInCooldownSeconds is {self.scale_in_cooldown_seconds} and must be at least "
                f"scaleOutCooldownSeconds, {self.scale_out_cooldown_seconds}: scaling in faster than out flaps"
            )
        if self.consumer_concurrency > self.reserved_concurrency:
            raise ValueError(
                f"consumerConcurrency is {self.consumer_concurrency} and must be at most reservedConcurrency, "
                f"{self.reserved_concurrency}: the queue would be throttled and good messages become dead letters"
            )
        return self

    @model_validator(mode="after")
    def check_zones(self) -> Self:
        """Refuse zones that the private network cannot be made of. SageMaker takes no fewer than two."""
        zones = self.availability_zones
        for zone in zones:
            if zone[:-1] != self.region:
                raise ValueError(f"availabilityZones names {zone} and must name zones of aws:region, {self.region}")
            if zones.count(zone) > 1:
                raise ValueError(f"availabilityZones names {zone} {zones.count(zone)} times and must name it once")
        if self.private_network and len(zones) < 2:
            raise ValueError(
                f"availabilityZones names {len(zones)} zones and must name at least 2 when privateNetwork is true"
            )
        return self

    @model_validator(mode="after")
    def check_time_for_a_batch(self) -> Self:
        """Refuse a batch that cannot be done before the function is stopped."""
        needed = self.batch_size * self.inference_timeout_seconds + HANDLER_OVERHEAD_SECONDS
        if self.function_timeout_seconds < needed:
            raise ValueError(
                f"functionTimeoutSeconds is {self.function_timeout_seconds} and must be at least {needed}: batchSize "
                f"{self.batch_size} times inferenceTimeoutSeconds {self.inference_timeout_seconds} plus "
                f"{HANDLER_OVERHEAD_SECONDS}"
            )
        return self

    @model_validator(mode="after")
    def check_image_region(self) -> Self:
        """Refuse an image of another region: SageMaker pulls from its own region alone."""
        found = re.search(r"\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws", self.model_image)
        if found is None or found[1] != self.region:
            raise ValueError(f"modelImage is {self.model_image} and must be in the region of aws:region, {self.region}")
        return self

    @model_validator(mode="after")
    def check_prod(self) -> Self:
        """Hold prod to what its users need."""
        if not self.is_prod:
            return self
        for key, value, minimum, reason in (
            ("minInstances", self.min_instances, 2, "SageMaker spreads two instances over two zones"),
            ("recoveryDays", self.recovery_days, 35, "damage is often found late"),
            ("logRetentionDays", self.log_retention_days, 365, "an investigation looks back a year"),
        ):
            if value < minimum:
                raise ValueError(f"{key} is {value} and must be at least {minimum} when environment is prod: {reason}")
        return self
