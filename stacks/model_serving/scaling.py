"""How many instances a deployment has.

The rules are by CPU in both directions: with one metric for scaling out and another for scaling in, both can be
wanted at once. Requests per minute are no alternative, as the service gives them as an average over status codes.
"""

from __future__ import annotations

import pulumi
from config import Colour, ModelServingSettings
from pulumi_azure_native import machinelearningservices as ml
from pulumi_azure_native import monitor, resources
from stackkit import Names

__all__ = ["CPU", "scale"]

CPU = "CpuUtilizationPercentage"
"""The metric of a deployment, in percent of an instance. It has one value a minute."""


def scale(
    names: Names,
    settings: ModelServingSettings,
    group: resources.ResourceGroup,
    colour: Colour,
    deployment: ml.OnlineDeployment,
    *,
    parent: pulumi.Resource,
) -> monitor.AutoscaleSetting:
    """Return what scales a deployment between its bounds.

    It scales out when the average of some minutes is high, and in when not one minute of a longer time was busy. Should
    the metric be missing, the service scales out to the default and never in.
    """
    low = str(colour.min_instances)
    return monitor.AutoscaleSetting(
        names(f"{colour.name}-scale"),
        resource_group_name=group.name,
        location=settings.location,
        target_resource_uri=deployment.id,
        enabled=True,
        profiles=[
            monitor.AutoscaleProfileArgs(
                name="by-cpu",
                capacity=monitor.ScaleCapacityArgs(minimum=low, default=low, maximum=str(colour.max_instances)),
                rules=[_out(settings, deployment), _in(settings, deployment)],
            )
        ],
        tags=settings.tags,
        opts=pulumi.ResourceOptions(parent=parent),
    )


def _out(settings: ModelServingSettings, deployment: ml.OnlineDeployment) -> monitor.ScaleRuleArgs:
    return _rule(
        deployment,
        operator=monitor.ComparisonOperationType.GREATER_THAN,
        threshold=settings.scale_out_cpu_percent,
        window_minutes=settings.scale_out_window_minutes,
        over_the_window=monitor.TimeAggregationType.AVERAGE,
        direction=monitor.ScaleDirection.INCREASE,
        instances=settings.scale_out_step,
        cooldown_minutes=settings.scale_out_cooldown_minutes,
    )


def _in(settings: ModelServingSettings, deployment: ml.OnlineDeployment) -> monitor.ScaleRuleArgs:
    return _rule(
        deployment,
        operator=monitor.ComparisonOperationType.LESS_THAN,
        threshold=settings.scale_in_cpu_percent,
        window_minutes=settings.scale_in_window_minutes,
        # By an average, what regular bursts need would go between them, and come back with the next one.
        over_the_window=monitor.TimeAggregationType.MAXIMUM,
        direction=monitor.ScaleDirection.DECREASE,
        instances=1,
        cooldown_minutes=settings.scale_in_cooldown_minutes,
    )


def _rule(
    deployment: ml.OnlineDeployment,
    *,
    operator: monitor.ComparisonOperationType,
    threshold: int,
    window_minutes: int,
    over_the_window: monitor.TimeAggregationType,
    direction: monitor.ScaleDirection,
    instances: int,
    cooldown_minutes: int,
) -> monitor.ScaleRuleArgs:
    return monitor.ScaleRuleArgs(
        metric_trigger=monitor.MetricTriggerArgs(
            metric_name=CPU,
            metric_resource_uri=deployment.id,
            time_grain="PT1M",
            statistic=monitor.MetricStatisticType.AVERAGE,
            time_window=f"PT{window_minutes}M",
            time_aggregation=over_the_window,
            operator=operator,
            threshold=threshold,
        ),
        scale_action=monitor.ScaleActionArgs(
            direction=direction,
            type=monitor.ScaleType.CHANGE_COUNT,
            value=str(instances),
            cooldown=f"PT{cooldown_minutes}M",
        ),
    )
