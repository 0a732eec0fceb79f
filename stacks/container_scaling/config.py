"""The settings of the stack, with their bounds and the rules between them."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from stackkit.azure import AzureSettings

__all__ = ["ContainerScalingSettings"]

MINUTE = 60
"""Seconds."""

QUOTA = 100
"""Container groups, and cores, that a new subscription has in a region (Azure Container Instances, quota limits)."""

Zone = Literal["1", "2", "3"]


class ContainerScalingSettings(AzureSettings):
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
    zones: Annotated[
        tuple[Zone, ...],
        Field(
            max_length=3,
            description="Zones that the groups are spread over; the region must have them. Zones can be added later, "
            "not taken away.",
        ),
    ] = ()

    registry_id: Annotated[
        str,
        Field(
            pattern=r"^/subscriptions/[0-9a-f-]{36}/resourceGroups/[A-Za-z0-9._()-]{1,90}"
            r"/providers/Microsoft\.ContainerRegistry/registries/[A-Za-z0-9]{5,50}$",
            description="Id of the registry, which exists already; privateNetwork needs one of the Premium tier.",
        ),
    ]
    image: Annotated[
        str,
        Field(
            max_length=255,
            pattern=r"^[a-z0-9]{5,50}\.azurecr\.io/[a-z0-9]+([._/-][a-z0-9]+)*@sha256:[0-9a-f]{64}$",
            description="Scoring image in that registry, by its digest.",
        ),
    ]
    cpu: Annotated[int, Field(ge=1, le=4, description="Cores of one container group.")] = 1
    memory_gb: Annotated[int, Field(ge=1, le=16, description="Memory of one container group, in GB.")] = 2
    concurrency: Annotated[int, Field(ge=1, le=64, description="Requests that one group scores at a time.")] = 8
    startup_seconds: Annotated[
        int,
        Field(ge=10, le=600, description="Seconds until a new group takes its share of the load."),
    ] = 90
    drain_seconds: Annotated[
        int,
        Field(ge=15, le=120, description="Seconds that a group goes on answering after it is told to stop."),
    ] = 15

    minimum_groups: Annotated[int, Field(ge=1, le=QUOTA, description="Fewest container groups; the stack starts so.")]
    maximum_groups: Annotated[int, Field(ge=1, le=QUOTA, description="Most container groups.")]
    update_batch_percent: Annotated[
        int,
        Field(ge=5, le=50, description="Share of the groups that a rolling update replaces at once, in percent."),
    ] = 20
    update_pause_seconds: Annotated[
        int,
        Field(ge=30, le=900, description="Seconds between two batches of a rolling update."),
    ] = 60

    target_cpu_percent: Annotated[
        int,
        Field(ge=20, le=85, description="Mean CPU of the groups that scaling out aims at, in percent."),
    ] = 60
    scale_in_margin_percent: Annotated[
        int,
        Field(ge=10, le=60, description="How far below the target scaling in must stay, in percent of the target."),
    ] = 20
    scale_out_window_minutes: Annotated[
        int,
        Field(ge=2, le=10, description="Minutes whose mean CPU decides on scaling out."),
    ] = 3
    scale_in_window_minutes: Annotated[
        int,
        Field(ge=5, le=60, description="Minutes whose highest CPU decides on scaling in."),
    ] = 10
    scale_out_cooldown_seconds: Annotated[
        int,
        Field(ge=MINUTE, le=30 * MINUTE, description="Seconds from an action to the next scaling out."),
    ] = 3 * MINUTE
    scale_in_cooldown_seconds: Annotated[
        int,
        Field(ge=5 * MINUTE, le=120 * MINUTE, description="Seconds from an action to the next scaling in."),
    ] = 10 * MINUTE
    scale_out_step: Annotated[int, Field(ge=1, le=20, description="Most groups that are added at once.")] = 4
    scale_in_step: Annotated[int, Field(ge=1, le=10, description="Most groups that are removed at once.")] = 1
    python_version: Annotated[
        Literal["3.11", "3.12", "3.13"],
        Field(description="Python version of the autoscaler."),
    ] = "3.12"

    @property
    def registry_host(self) -> str:
        """Return the host that images are pulled from."""
        return self.image.partition("/")[0]

    @property
    def most_groups_at_once(self) -> int:
        """Return how many groups there are at most while a rolling update replaces some of them."""
        return self.maximum_groups + math.ceil(self.maximum_groups * self.update_batch_percent / 100)

    @model_validator(mode="after")
    def check_image(self) -> Self:
        """Refuse an image of a registry that the groups may not pull from."""
        registry = self.registry_id.rpartition("/")[2]
        if self.registry_host != f"{registry.lower()}.azurecr.io":
            raise ValueError(f"image is from {self.registry_host} and must be from {registry}, as registryId says")
        return self

    @model_validator(mode="after")
    def check_zones(self) -> Self:
        """Refuse a zone that is named twice."""
        if len(set(self.zones)) < len(self.zones):
            raise ValueError(f"zones is {', '.join(self.zones)} and must name each zone once")
        return self

    @model_validator(mode="after")
    def check_bounds(self) -> Self:
        """Refuse bounds that exclude each other, or that leave a zone empty."""
        if self.maximum_groups < self.minimum_groups:
            raise ValueError(
                f"maximumGroups is {self.maximum_groups} and must be at least minimumGroups {self.minimum_groups}"
            )
        if self.minimum_groups < len(self.zones):
            raise ValueError(
                f"minimumGroups is {self.minimum_groups} and must be at least {len(self.zones)}, one for each of zones"
            )
        return self

    @model_validator(mode="after")
    def check_quota(self) -> Self:
        """Refuse more cores than a subscription has in a region."""
        cores = self.most_groups_at_once * self.cpu
        if cores > QUOTA:
            raise ValueError(
                f"maximumGroups is {self.maximum_groups} and must be less: with updateBatchPercent "
                f"{self.update_batch_percent} and cpu {self.cpu}, an update takes {cores} cores of {QUOTA}"
            )
        return self

    @model_validator(mode="after")
    def check_pace(self) -> Self:
        """Refuse to scale in faster than out: too many groups cost a little, too few fail callers."""
        for key, value, other, least in (
            (
                "scaleInWindowMinutes",
                self.scale_in_window_minutes,
                "scaleOutWindowMinutes",
                self.scale_out_window_minutes,
            ),
            (
                "scaleInCooldownSeconds",
                self.scale_in_cooldown_seconds,
                "scaleOutCooldownSeconds",
                self.scale_out_cooldown_seconds,
            ),
            ("scaleOutStep", self.scale_out_step, "scaleInStep", self.scale_in_step),
        ):
            if value < least:
                raise ValueError(f"{key} is {value} and must be at least {other} {least}: scaling in is the slower one")
        return self

    @model_validator(mode="after")
    def check_prod(self) -> Self:
        """Hold prod to what its users need."""
        if not self.is_prod:
            return self
        for key, value, minimum, reason in (
            ("zones", len(self.zones), 2, "a zone may fail"),
            ("maximumGroups", self.maximum_groups, self.minimum_groups + 1, "there must be something to scale"),
            ("logDays", self.log_days, 90, "an investigation looks back a quarter"),
        ):
            if value < minimum:
                raise ValueError(f"{key} is {value} and must be at least {minimum} when environment is prod: {reason}")
        return self
