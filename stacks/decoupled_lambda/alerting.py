"""Where alarms go, and how one is made."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_aws as aws
from access import document
from config import DecoupledLambdaSettings
from stackkit import Names

__all__ = ["Alerting"]


class Alerting(pulumi.ComponentResource):
    """A topic that CloudWatch alarms of this account may write to, with one subscriber."""

    topic: aws.sns.Topic

    def __init__(
        self,
        names: Names,
        settings: DecoupledLambdaSettings,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("decoupled_lambda:alerting:Alerting", names("alerting"), None, opts)
        self._names = names
        self._tags = settings.tags
        child = pulumi.ResourceOptions(parent=self)
        self.topic = aws.sns.Topic(names("alarms"), tags=self._tags, opts=child)
        aws.sns.TopicPolicy(names("alarms"), arn=self.topic.arn, policy=_topic_policy(self.topic), opts=child)
        aws.sns.TopicSubscription(
            names("alarms"),
            topic=self.topic.arn,
            protocol="email",
            endpoint=settings.alarm_email,
            opts=child,
        )
        self.register_outputs({"topic_arn": self.topic.arn})

    def alarm(
        self,
        part: str,
        description: str,
        *,
        namespace: str,
        metric: str,
        dimensions: Mapping[str, pulumi.Input[str]],
        parent: pulumi.Resource,
        above: float = 0,
        statistic: str = "Sum",
        percentile: int | None = None,
        minutes: int = 5,
    ) -> aws.cloudwatch.MetricAlarm:
        """Return an alarm that fires while a metric is above a bound, looked at once in `minutes` minutes.

        A percentile of the values is looked at instead of the statistic when one is given. No data is good: these
        metrics are only written when something happens.
        """
        return aws.cloudwatch.MetricAlarm(
            self._names(part),
            alarm_description=description,
            namespace=namespace,
            metric_name=metric,
            dimensions=dimensions,
            statistic=statistic if percentile is None else None,
            extended_statistic=None if percentile is None else f"p{percentile}",
            period=minutes * 60,
            evaluation_periods=1,
            threshold=above,
            comparison_operator="GreaterThanThreshold",
            treat_missing_data="notBreaching",
            alarm_actions=[self.topic.arn],
            ok_actions=[self.topic.arn],
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=parent),
        )


def _topic_policy(topic: aws.sns.Topic) -> pulumi.Output[str]:
    account = aws.get_caller_identity_output().account_id
    return document(
        [
            {
                "Effect": "Allow",
                "Principal": {"Service": "cloudwatch.amazonaws.com"},
                "Action": "sns:Publish",
                "Resource": topic.arn,
                "Condition": {"StringEquals": {"aws:SourceAccount": account}},
            },
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "sns:Publish",
                "Resource": topic.arn,
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
        ]
    )
