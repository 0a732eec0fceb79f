"""The settings of the stack, with their bounds and the rules between them."""

from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator
from stackkit.azure import AzureSettings

__all__ = ["MARGIN_PERCENT", "Colour", "ModelServingSettings"]

MARGIN_PERCENT = 5
"""CPU percent that must lie between what scaling out leads to and what scaling in asks for: load is never even."""

InstanceType = Literal[
    "Standard_DS2_v2",
    "Standard_DS3_v2",
    "Standard_DS4_v2",
    "Standard_D2as_v4",
    "Standard_D4as_v4",
    "Standard_D8as_v4",
    "Standard_E2s_v3",
    "Standard_E4s_v3",
    "Standard_E8s_v3",
    "Standard_F4s_v2",
    "Standard_F8s_v2",
    "Standard_F16s_v2",
]
"""Types without a GPU, as CPU is what is scaled by, from the service's "Managed online endpoints SKU list".

The list warns of Standard_DS1_v2 and Standard_F2s_v2: containers run out of memory or disk on them.
"""

ClusterSize = Literal[
    "Standard_DS2_v2", "Standard_DS3_v2", "Standard_DS4_v2", "Standard_F4s_v2", "Standard_F8s_v2", "Standard_E4s_v3"
]

ModelReference = Annotated[
    str,
    Field(min_length=3, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*:[1-9][0-9]*$"),
]
"""A model that is registered in the workspace, by name and version."""

ImageReference = Annotated[
    str,
    Field(min_length=73, max_length=200, pattern=r"^[a-z0-9]+([._/-][a-z0-9]+)*@sha256:[0-9a-f]{64}$"),
]
"""An image in the stack's registry, by digest: the registry's host is not a part of it."""


class Colour(NamedTuple):
    """One deployment of the endpoint."""

    name: Literal["blue", "green"]
    model: str
    image: str
    instance_type: str
    min_instances: int
    max_instances: int
    percent: int
    """Requests that it gets, of a hundred."""


class ModelServingSettings(AzureSettings):
    """All that can be set."""

    workload: Annotated[
        str,
        Field(
            min_length=3,
            max_length=8,
            pattern=r"^[a-z][a-z0-9]*$",
            description="Short name that all resource names begin with; a key vault's has 24 characters in all.",
        ),
    ]
    zone_redundant: Annotated[
        bool,
        Field(description="Whether storage and registry are spread over zones; the region must have them."),
    ] = False
    soft_delete_days: Annotated[
        int,
        Field(ge=7, le=90, description="Days that a deleted blob, or the deleted key vault, can be brought back."),
    ] = 7
    caller_principal_id: Annotated[
        str,
        Field(
            max_length=36,
            pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
            description="Object id of the group or the service principal that may call the endpoint.",
        ),
    ]
    caller_principal_type: Annotated[
        Literal["Group", "ServicePrincipal"],
        Field(description="What the object id stands for; a managed identity is a service principal."),
    ] = "ServicePrincipal"

    cluster_vm_size: Annotated[ClusterSize, Field(description="Machine of one node of the cluster.")] = (
        "Standard_DS3_v2"
    )
    cluster_min_nodes: Annotated[int, Field(ge=0, le=4, description="Nodes of the cluster that always run.")] = 0
    cluster_max_nodes: Annotated[int, Field(ge=1, le=20, description="Most nodes of the cluster.")] = 2
    cluster_idle_seconds: Annotated[
        int,
        Field(ge=120, le=3600, description="Seconds that a node waits for the next job before it is given back."),
    ] = 300

    blue_model: Annotated[
        ModelReference | None,
        Field(description="Registered model of the blue deployment; leave it out for no such deployment."),
    ] = None
    blue_image: Annotated[ImageReference | None, Field(description="Image that the blue deployment runs.")] = None
    blue_instance_type: Annotated[InstanceType, Field(description="Machine of one blue instance.")] = "Standard_DS3_v2"
    blue_min_instances: Annotated[int, Field(ge=1, le=19, description="Blue instances that always run.")] = 1
    blue_max_instances: Annotated[int, Field(ge=2, le=20, description="Most blue instances.")] = 2
    green_model: Annotated[
        ModelReference | None,
        Field(description="Registered model of the green deployment; leave it out for no such deployment."),
    ] = None
    green_image: Annotated[ImageReference | None, Field(description="Image that the green deployment runs.")] = None
    green_instance_type: Annotated[InstanceType, Field(description="Machine of one green instance.")] = (
        "Standard_DS3_v2"
    )
    green_min_instances: Annotated[int, Field(ge=1, le=19, description="Green instances that always run.")] = 1
    green_max_instances: Annotated[int, Field(ge=2, le=20, description="Most green instances.")] = 2
    # One number, so that what blue and green get can only sum to 100.
    green_percent: Annotated[
        Annotated[int, Field(ge=0, le=100)] | None,
        Field(
            description="Requests of a hundred that green gets, the others go to blue; leave it out for none at all."
        ),
    ] = None

    request_timeout_seconds: Annotated[
        int,
        Field(ge=1, le=180, description="Seconds that scoring may take; the service ends a request after 180."),
    ] = 5
    concurrent_requests: Annotated[
        int,
        Field(ge=1, le=100, description="Requests at a time on one instance; those above are refused with 429."),
    ] = 8
    latency_alert_ms: Annotated[
        int,
        Field(ge=10, le=180_000, description="Milliseconds that 19 of 20 requests should stay below."),
    ] = 1000

    scale_out_cpu_percent: Annotated[int, Field(ge=30, le=90, description="CPU percent to scale out above.")] = 70
    scale_in_cpu_percent: Annotated[int, Field(ge=5, le=60, description="CPU percent to scale in below.")] = 25
    scale_out_step: Annotated[int, Field(ge=1, le=5, description="Instances added at a time; one goes at a time.")] = 1
    scale_out_window_minutes: Annotated[
        int,
        Field(ge=5, le=60, description="Minutes whose average decides on scaling out."),
    ] = 5
    scale_in_window_minutes: Annotated[
        int,
        Field(ge=5, le=120, description="Minutes of which every one must be calm before scaling in."),
    ] = 15
    scale_out_cooldown_minutes: Annotated[
        int,
        Field(ge=5, le=60, description="Minutes without a step in either direction after scaling out."),
    ] = 10
    scale_in_cooldown_minutes: Annotated[
        int,
        Field(ge=5, le=60, description="Minutes without a step in either direction after scaling in."),
    ] = 10
    instance_start_minutes: Annotated[
        int,
        Field(ge=1, le=30, description="Minutes until a new instance takes requests, as measured."),
    ] = 5

    @property
    def colours(self) -> tuple[Colour, ...]:
        """Return the deployments that there are."""
        green = self.green_percent or 0
        blue = 0 if self.green_percent is None else 100 - green
        found = []
        if self.blue_model is not None and self.blue_image is not None:
            shape = self.blue_instance_type, self.blue_min_instances, self.blue_max_instances
            found.append(Colour("blue", self.blue_model, self.blue_image, *shape, blue))
        if self.green_model is not None and self.green_image is not None:
            shape = self.green_instance_type, self.green_min_instances, self.green_max_instances
            found.append(Colour("green", self.green_model, self.green_image, *shape, green))
        return tuple(found)

    @property
    def traffic(self) -> dict[str, int]:
        """Return the percent of requests of each deployment that gets any: nothing, or what sums to 100.

        A deployment without requests is left out, so that it can be made before the endpoint knows it.
        """
        return {colour.name: colour.percent for colour in self.colours if colour.percent > 0}

    @model_validator(mode="after")
    def check_colours(self) -> Self:
        """Refuse a deployment that is half described, and bounds that contradict each other."""
        for name, model, image, low, high in (
            ("blue", self.blue_model, self.blue_image, self.blue_min_instances, self.blue_max_instances),
            ("green", self.green_model, self.green_image, self.green_min_instances, self.green_max_instances),
        ):
            if (model is None) != (image is None):
                missing, given = ("Model", "Image") if model is None else ("Image", "Model")
                raise ValueError(f"{name}{missing} is missing and must be set, as {name}{given} is set")
            if high <= low:
                raise ValueError(
                    f"{name}MaxInstances is {high} and must be more than {name}MinInstances, {low}: between equal "
                    "bounds nothing scales"
                )
        return self

    @model_validator(mode="after")
    def check_traffic(self) -> Self:
        """Refuse requests for a deployment that does not exist."""
        if self.green_percent is None:
            return self
        if self.green_percent > 0 and self.green_model is None:
            raise ValueError(
                f"greenPercent is {self.green_percent} and must be 0 or left out, as greenModel is not set"
            )
        if self.green_percent < 100 and self.blue_model is None:
            raise ValueError(
                f"greenPercent is {self.green_percent} and must be 100 or left out, as blueModel is not set"
            )
        return self

    @model_validator(mode="after")
    def check_cluster(self) -> Self:
        """Refuse nodes that contradict each other, and nodes that nobody uses in dev."""
        if self.cluster_min_nodes > self.cluster_max_nodes:
            raise ValueError(
                f"clusterMinNodes is {self.cluster_min_nodes} and must be at most clusterMaxNodes, "
                f"{self.cluster_max_nodes}"
            )
        if not self.is_prod and self.cluster_min_nodes > 0:
            raise ValueError(
                f"clusterMinNodes is {self.cluster_min_nodes} and must be 0 when environment is dev: idle nodes cost"
            )
        return self

    @model_validator(mode="after")
    def check_thresholds(self) -> Self:
        """Refuse thresholds that flap.

        Scaling out from n instances by a step spreads the CPU of n over n + step, and it must then be too busy to
        scale in. The fewer instances, the larger the jump, so the smallest deployment decides. As one instance goes at
        a time, this keeps scaling in from leading to scaling out too.
        """
        for colour in self.colours:
            after = colour.min_instances + self.scale_out_step
            spread = self.scale_out_cpu_percent * colour.min_instances // after
            if self.scale_in_cpu_percent > spread - MARGIN_PERCENT:
                raise ValueError(
                    f"scaleInCpuPercent is {self.scale_in_cpu_percent} and must be at most {spread - MARGIN_PERCENT}: "
                    f"scaleOutCpuPercent {self.scale_out_cpu_percent} on {colour.name}MinInstances "
                    f"{colour.min_instances} becomes {spread} on scaleOutStep {self.scale_out_step} more, and without "
                    f"{MARGIN_PERCENT} between them it flaps"
                )
        return self

    @model_validator(mode="after")
    def check_pace(self) -> Self:
        """Refuse steps that are decided before the last one shows, and scaling in that is faster than scaling out."""
        shown = self.scale_out_window_minutes + self.instance_start_minutes
        if self.scale_out_cooldown_minutes < shown:
            raise ValueError(
                f"scaleOutCooldownMinutes is {self.scale_out_cooldown_minutes} and must be at least {shown}: "
                f"instanceStartMinutes {self.instance_start_minutes} plus scaleOutWindowMinutes "
                f"{self.scale_out_window_minutes}, or old load is counted twice"
            )
        if self.scale_in_window_minutes < 2 * self.scale_out_window_minutes:
            raise ValueError(
                f"scaleInWindowMinutes is {self.scale_in_window_minutes} and must be at least "
                f"{2 * self.scale_out_window_minutes}, twice scaleOutWindowMinutes: scaling in is the slower one"
            )
        if self.scale_in_cooldown_minutes < self.scale_out_cooldown_minutes:
            raise ValueError(
                f"scaleInCooldownMinutes is {self.scale_in_cooldown_minutes} and must be at least "
                f"scaleOutCooldownMinutes, {self.scale_out_cooldown_minutes}: scaling in faster than out flaps"
            )
        return self

    @model_validator(mode="after")
    def check_latency_alert(self) -> Self:
        """Refuse an alert on a latency that no request can reach."""
        longest = self.request_timeout_seconds * 1000
        if self.latency_alert_ms > longest:
            raise ValueError(
                f"latencyAlertMs is {self.latency_alert_ms} and must be at most {longest}, as requestTimeoutSeconds is "
                f"{self.request_timeout_seconds}"
            )
        return self

    @model_validator(mode="after")
    def check_prod(self) -> Self:
        """Hold prod to what its users need."""
        if not self.is_prod:
            return self
        for key, value in (("privateNetwork", self.private_network), ("zoneRedundant", self.zone_redundant)):
            if not value:
                raise ValueError(f"{key} is false and must be true when environment is prod")
        minima = [
            (f"{colour.name}MinInstances", colour.min_instances, 2, "one alone is down whenever it is replaced")
            for colour in self.colours
            if colour.percent > 0
        ]
        for key, number, minimum, reason in (
            *minima,
            ("softDeleteDays", self.soft_delete_days, 30, "damage is often found late"),
            ("logDays", self.log_days, 90, "an investigation looks back a quarter"),
        ):
            if number < minimum:
                raise ValueError(f"{key} is {number} and must be at least {minimum} when environment is prod: {reason}")
        return self
