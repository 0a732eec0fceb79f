"""The settings of the stack, with their bounds and the rules between them."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from stackkit.azure import AzureSettings, Location

__all__ = ["StatefulFunctionsSettings"]

DAY = 24 * 60 * 60
"""Seconds."""

COPIES_OF_A_STATE = 4
"""What one call holds of a state at most: as it came, as text, as it is sent on, and a part of it while it is read."""

Origin = Annotated[str, Field(pattern=r"^https://[a-z0-9-]+(\.[a-z0-9-]+)+(:[0-9]{1,5})?$")]
"""A web origin. The pattern leaves no room for `*`."""


class StatefulFunctionsSettings(AzureSettings):
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
    secondary_location: Annotated[
        Location | None,
        Field(description="Second Azure region of the database; leave it out for one region."),
    ] = None
    zone_redundant: Annotated[
        bool,
        Field(description="Whether plan, database and storage are spread over zones; the region must have them."),
    ] = False

    python_version: Annotated[
        Literal["3.11", "3.12", "3.13"],
        Field(description="Python version of the functions."),
    ] = "3.12"
    instance_memory_mb: Annotated[
        Literal[512, 2048, 4096],
        Field(description="Memory of one instance, in MB."),
    ] = 2048
    # Below 40 the service takes a value in some regions only.
    maximum_instances: Annotated[int, Field(ge=40, le=100, description="Most instances of a function group.")] = 40
    always_ready_instances: Annotated[
        int,
        Field(ge=0, le=20, description="Instances that always run for HTTP calls; 0 scales to zero."),
    ] = 0
    http_concurrency: Annotated[int, Field(ge=1, le=1000, description="HTTP calls at a time on one instance.")] = 16
    allowed_origins: Annotated[
        tuple[Origin, ...],
        Field(max_length=10, description="Web origins whose scripts may call the API."),
    ] = ()

    session_ttl_seconds: Annotated[
        int,
        Field(ge=60, le=365 * DAY, description="Seconds that a session is kept after its last write."),
    ] = 7 * DAY
    inline_state_kb: Annotated[
        int,
        Field(ge=1, le=256, description="KB of the largest state that is kept in the database; larger ones are blobs."),
    ] = 64
    max_state_kb: Annotated[int, Field(ge=1, le=16_384, description="KB of the largest state.")] = 4096
    container_throughput: Annotated[
        int,
        Field(
            ge=1000,
            le=20_000,
            multiple_of=1000,
            description="Most request units per second of the sessions; a tenth of it is always paid for.",
        ),
    ] = 1000
    throughput_limit: Annotated[
        int,
        Field(ge=1000, le=100_000, description="Most request units per second of the account, over all regions."),
    ] = 1000
    artefact_days: Annotated[
        int,
        Field(ge=1, le=400, description="Days that a large artefact is kept after its last write."),
    ] = 30
    soft_delete_days: Annotated[
        int,
        Field(ge=7, le=365, description="Days that a deleted artefact can be brought back."),
    ] = 7

    @property
    def locations(self) -> tuple[str, ...]:
        """Return the database's regions, the one that is written to first."""
        return (self.location,) if self.secondary_location is None else (self.location, self.secondary_location)

    @model_validator(mode="after")
    def check_regions(self) -> Self:
        """Refuse one region named twice."""
        if self.secondary_location == self.location:
            raise ValueError(
                f"secondaryLocation is {self.secondary_location} and must differ from azure-native:location"
            )
        return self

    @model_validator(mode="after")
    def check_throughput(self) -> Self:
        """Refuse a container that the account's limit would not let exist.

        Each region counts on its own, and an autoscaled container counts with its maximum.
        """
        needed = self.container_throughput * len(self.locations)
        if self.throughput_limit < needed:
            raise ValueError(
                f"throughputLimit is {self.throughput_limit} and must be at least {needed}: containerThroughput "
                f"{self.container_throughput}{' twice, as secondaryLocation is set' if len(self.locations) > 1 else ''}"
            )
        return self

    @model_validator(mode="after")
    def check_retention(self) -> Self:
        """Refuse artefacts that go before the session that names them, which is written a moment after them."""
        needed = self.session_ttl_seconds // DAY + 1
        if self.artefact_days < needed:
            raise ValueError(
                f"artefactDays is {self.artefact_days} and must be at least {needed}, "
                f"as sessionTtlSeconds is {self.session_ttl_seconds}"
            )
        return self

    @model_validator(mode="after")
    def check_sizes(self) -> Self:
        """Refuse bounds that contradict each other, and states that an instance has no memory for."""
        if self.inline_state_kb > self.max_state_kb:
            raise ValueError(
                f"inlineStateKb is {self.inline_state_kb} and must be at most maxStateKb, {self.max_state_kb}"
            )
        memory_mb = self.http_concurrency * self.max_state_kb * COPIES_OF_A_STATE // 1024
        if memory_mb > self.instance_memory_mb // 2:
            raise ValueError(
                f"maxStateKb is {self.max_state_kb}: httpConcurrency {self.http_concurrency} times that may take "
                f"{memory_mb} MB, and must take at most half of instanceMemoryMb, {self.instance_memory_mb // 2}"
            )
        return self

    @model_validator(mode="after")
    def check_zones(self) -> Self:
        """Refuse one always ready instance over several zones: the plan needs two of them."""
        if self.zone_redundant and self.always_ready_instances == 1:
            raise ValueError("alwaysReadyInstances is 1 and must be 0 or at least 2 when zoneRedundant is true")
        return self

    @model_validator(mode="after")
    def check_prod(self) -> Self:
        """Hold prod to what its users need."""
        if not self.is_prod:
            return self
        if not self.zone_redundant:
            raise ValueError("zoneRedundant is false and must be true when environment is prod")
        for key, value, minimum, reason in (
            ("alwaysReadyInstances", self.always_ready_instances, 2, "users do not wait for a cold start"),
            ("softDeleteDays", self.soft_delete_days, 30, "damage is often found late"),
            ("logDays", self.log_days, 90, "an investigation looks back a quarter"),
        ):
            if value < minimum:
                raise ValueError(f"{key} is {value} and must be at least {minimum} when environment is prod: {reason}")
        return self
