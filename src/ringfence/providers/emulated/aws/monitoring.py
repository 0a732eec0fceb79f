"""CloudWatch alarms and log groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ringfence.providers.emulated.aws.calls import COMMON, Maker, Making, some, tag_list, tag_map
from ringfence.providers.emulated.interface import Made, gaps

__all__ = ["MAKERS"]

ALARM = {
    "actionsEnabled": "ActionsEnabled",
    "alarmActions": "AlarmActions",
    "alarmDescription": "AlarmDescription",
    "comparisonOperator": "ComparisonOperator",
    "datapointsToAlarm": "DatapointsToAlarm",
    "evaluateLowSampleCountPercentiles": "EvaluateLowSampleCountPercentile",
    "evaluationPeriods": "EvaluationPeriods",
    "extendedStatistic": "ExtendedStatistic",
    "insufficientDataActions": "InsufficientDataActions",
    "metricName": "MetricName",
    "namespace": "Namespace",
    "okActions": "OKActions",
    "period": "Period",
    "statistic": "Statistic",
    "threshold": "Threshold",
    "treatMissingData": "TreatMissingData",
    "unit": "Unit",
}
"""Properties of an alarm. Source: CloudWatch API Reference, PutMetricAlarm."""


def _alarm(making: Making) -> Made:
    cloudwatch, values = making.client("cloudwatch"), making.values
    dimensions = [{"Name": name, "Value": value} for name, value in values.get("dimensions", {}).items()]
    cloudwatch.put_metric_alarm(
        AlarmName=making.name,
        **{api: values[own] for own, api in ALARM.items() if own in values},
        **some(Dimensions=dimensions or None, Tags=tag_list(values.get("tags"))),
    )
    (kept,) = cloudwatch.describe_alarms(AlarmNames=[making.name])["MetricAlarms"]
    found: dict[str, Any] = {own: kept.get(api) for own, api in ALARM.items()}
    found["dimensions"] = {item["Name"]: item["Value"] for item in kept.get("Dimensions", [])}
    found["tags"] = tag_map(cloudwatch.list_tags_for_resource(ResourceARN=kept["AlarmArn"])["Tags"])
    reason = "alarms over expressions are not made here"
    lacking = gaps(making.inputs, names=COMMON, found=found, reasons={"metricQueries": reason})
    return Made({"arn": kept["AlarmArn"]}, making.name, lacking)


def _log_group(making: Making) -> Made:
    logs, values = making.client("logs"), making.values
    logs.create_log_group(
        logGroupName=making.name,
        **some(
            kmsKeyId=values.get("kmsKeyId"), tags=values.get("tags") or None, logGroupClass=values.get("logGroupClass")
        ),
    )
    if days := values.get("retentionInDays"):
        logs.put_retention_policy(logGroupName=making.name, retentionInDays=days)
    groups = logs.describe_log_groups(logGroupNamePrefix=making.name)["logGroups"]
    (kept,) = [group for group in groups if group["logGroupName"] == making.name]
    arn = kept["arn"].removesuffix(":*")  # the provider's output has no such suffix
    found = {
        "retentionInDays": kept.get("retentionInDays", 0),
        "kmsKeyId": kept.get("kmsKeyId"),
        "logGroupClass": kept.get("logGroupClass", "STANDARD"),
        "tags": logs.list_tags_for_resource(resourceArn=arn).get("tags", {}),
    }
    return Made({"arn": arn}, making.name, gaps(making.inputs, names=(*COMMON, "skipDestroy"), found=found))


MAKERS: Mapping[str, Maker] = {
    "cloudwatch/logGroup:LogGroup": _log_group,
    "cloudwatch/metricAlarm:MetricAlarm": _alarm,
}
