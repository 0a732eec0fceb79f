"""The queue between producers and the worker."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws
from access import document
from alerting import Alerting
from config import DAY, DEAD_LETTER_RETENTION_DAYS, DecoupledLambdaSettings
from stackkit import Names

__all__ = ["Messaging"]


class Messaging(pulumi.ComponentResource):
    """A queue, the queue of its dead letters, and alarms on both."""

    queue: aws.sqs.Queue
    dead_letters: aws.sqs.Queue

    def __init__(
        self,
        names: Names,
        settings: DecoupledLambdaSettings,
        alerting: Alerting,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("decoupled_lambda:messaging:Messaging", names("messaging"), None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.dead_letters = aws.sqs.Queue(
            names("dead-letters"),
            message_retention_seconds=DEAD_LETTER_RETENTION_DAYS * DAY,
            sqs_managed_sse_enabled=True,
            tags=settings.tags,
            opts=child,
        )
        self.queue = aws.sqs.Queue(
            names("requests"),
            message_retention_seconds=settings.message_retention_seconds,
            visibility_timeout_seconds=settings.visibility_timeout_seconds,
            receive_wait_time_seconds=20,
            sqs_managed_sse_enabled=True,
            redrive_policy=pulumi.Output.json_dumps(
                {"deadLetterTargetArn": self.dead_letters.arn, "maxReceiveCount": settings.max_receive_count}
            ),
            tags=settings.tags,
            opts=child,
        )
        aws.sqs.RedriveAllowPolicy(
            names("dead-letters"),
            queue_url=self.dead_letters.url,
            redrive_allow_policy=pulumi.Output.json_dumps(
                {"redrivePermission": "byQueue", "sourceQueueArns": [self.queue.arn]}
            ),
            opts=child,
        )
        _refuse_plain_http(names("requests"), self.queue, child)
        _refuse_plain_http(names("dead-letters"), self.dead_letters, child)
        self._watch(settings, alerting)
        self.register_outputs({"queue_url": self.queue.url, "dead_letter_queue_url": self.dead_letters.url})

    def _watch(self, settings: DecoupledLambdaSettings, alerting: Alerting) -> None:
        alerting.alarm(
            "dead-letters",
            "A request could not be processed. Read it, mend the cause, and move it back with a redrive task.",
            namespace="AWS/SQS",
            metric="ApproximateNumberOfMessagesVisible",
            dimensions={"QueueName": self.dead_letters.name},
            statistic="Maximum",
            parent=self,
        )
        alerting.alarm(
            "requests-age",
            "The worker does not keep up: the oldest request has waited for three visibility timeouts.",
            namespace="AWS/SQS",
            metric="ApproximateAgeOfOldestMessage",
            dimensions={"QueueName": self.queue.name},
            statistic="Maximum",
            above=3 * settings.visibility_timeout_seconds,
            parent=self,
        )


def _refuse_plain_http(name: str, queue: aws.sqs.Queue, opts: pulumi.ResourceOptions) -> None:
    """Deny every action without TLS. The wildcards only widen a Deny; nobody is allowed anything here."""
    aws.sqs.QueuePolicy(
        name,
        queue_url=queue.url,
        policy=document(
            [
                {
                    "Sid": "TlsOnly",
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "sqs:*",
                    "Resource": queue.arn,
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                }
            ]
        ),
        opts=opts,
    )
