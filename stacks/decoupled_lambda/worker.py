"""The function that takes requests from the queue, and what it may touch."""

from __future__ import annotations

from pathlib import Path

import pulumi
import pulumi_aws as aws
from access import allow, document, service_role
from alerting import Alerting
from config import DecoupledLambdaSettings
from messaging import Messaging
from results import Results
from serving import Serving
from stackkit import Names

__all__ = ["Worker"]


class Worker(pulumi.ComponentResource):
    """A function with a role of its own, fed by the queue within bounds."""

    function: aws.lambda_.Function

    def __init__(
        self,
        names: Names,
        settings: DecoupledLambdaSettings,
        alerting: Alerting,
        *,
        messaging: Messaging,
        results: Results,
        serving: Serving,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("decoupled_lambda:worker:Worker", names("worker"), None, opts)
        logs = aws.cloudwatch.LogGroup(
            names("worker"),
            name=f"/aws/lambda/{names('worker')}",
            retention_in_days=settings.log_retention_days,
            tags=settings.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        role = service_role(
            names("worker"),
            "lambda.amazonaws.com",
            "Lets the worker read its queue, ask the model and keep results",
            tags=settings.tags,
            parent=self,
        )
        policy = aws.iam.RolePolicy(
            names("worker"),
            role=role.id,
            policy=_worker_policy(logs, messaging, results, serving),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.function = self._function(names, settings, role, policy, logs, messaging, results, serving)
        aws.lambda_.EventSourceMapping(
            names("worker"),
            event_source_arn=messaging.queue.arn,
            function_name=self.function.arn,
            batch_size=settings.batch_size,
            maximum_batching_window_in_seconds=settings.batch_window_seconds,
            function_response_types=["ReportBatchItemFailures"],
            scaling_config=aws.lambda_.EventSourceMappingScalingConfigArgs(
                maximum_concurrency=settings.consumer_concurrency,
            ),
            tags=settings.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self._watch(alerting)
        self.register_outputs({"function_name": self.function.name})

    def _function(
        self,
        names: Names,
        settings: DecoupledLambdaSettings,
        role: aws.iam.Role,
        policy: aws.iam.RolePolicy,
        logs: aws.cloudwatch.LogGroup,
        messaging: Messaging,
        results: Results,
        serving: Serving,
    ) -> aws.lambda_.Function:
        return aws.lambda_.Function(
            names("worker"),
            description="Scores queued requests with the model and keeps the results",
            code=_source_code(),
            handler="handler.handle",
            runtime=aws.lambda_.Runtime.PYTHON3D13,
            architectures=["arm64"],
            role=role.arn,
            memory_size=settings.function_memory_mb,
            timeout=settings.function_timeout_seconds,
            reserved_concurrent_executions=settings.reserved_concurrency,
            environment=aws.lambda_.FunctionEnvironmentArgs(
                variables={
                    "ENDPOINT_NAME": serving.endpoint.name,
                    "TABLE_NAME": results.table.name,
                    "INFERENCE_TIMEOUT_SECONDS": str(settings.inference_timeout_seconds),
                    "RESULT_TTL_SECONDS": str(settings.result_ttl_seconds),
                }
            ),
            # The queue has its own redrive policy; this one is for whoever calls the function asynchronously.
            dead_letter_config=aws.lambda_.FunctionDeadLetterConfigArgs(target_arn=messaging.dead_letters.arn),
            logging_config=aws.lambda_.FunctionLoggingConfigArgs(
                log_format="JSON",
                log_group=logs.name,
                application_log_level="INFO",
                system_log_level="WARN",
            ),
            tracing_config=aws.lambda_.FunctionTracingConfigArgs(mode="Active"),
            tags=settings.tags,
            # Lambda tries the role out at once.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )

    def _watch(self, alerting: Alerting) -> None:
        for metric, meaning in (
            ("Errors", "The worker itself fails; a bad request alone would not count here."),
            ("Throttles", "The worker is called more often than reservedConcurrency allows."),
        ):
            alerting.alarm(
                f"worker-{metric.lower()}",
                meaning,
                namespace="AWS/Lambda",
                metric=metric,
                dimensions={"FunctionName": self.function.name},
                parent=self,
            )


def _source_code() -> pulumi.AssetArchive:
    """Return the function's modules. The runtime itself brings boto3."""
    return pulumi.AssetArchive({path.name: pulumi.FileAsset(str(path)) for path in sorted(Path("app").glob("*.py"))})


def _worker_policy(
    logs: aws.cloudwatch.LogGroup,
    messaging: Messaging,
    results: Results,
    serving: Serving,
) -> pulumi.Output[str]:
    return document(
        [
            allow(["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"], [messaging.queue.arn]),
            allow(["sqs:SendMessage"], [messaging.dead_letters.arn]),
            allow(["sagemaker:InvokeEndpoint"], [serving.endpoint.arn]),
            allow(["dynamodb:GetItem", "dynamodb:PutItem"], [results.table.arn]),
            allow(["logs:CreateLogStream", "logs:PutLogEvents"], [pulumi.Output.format("{0}:*", logs.arn)]),
            # Tracing has no resource level permissions.
            allow(["xray:PutTelemetryRecords", "xray:PutTraceSegments"], ["*"]),
        ]
    )
