"""The function that takes requests from the queue, and what it may touch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
from access import allow, deny, document, own, service_role
from alerting import Alerting
from config import DecoupledLambdaSettings
from messaging import Messaging
from network import PrivateNetwork, Seat
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
        private_network: PrivateNetwork | None,
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
        before: list[pulumi.Resource] = []
        seat = None
        if private_network is not None:
            seat = private_network.seat("worker", "The function that takes requests from the queue")
            ask, keep = _ask_model(serving), _keep_results(results)
            before.append(private_network.interface("inference", "sagemaker.runtime", seat, [ask]))
            before.append(private_network.gateway("results", "dynamodb", seat, [keep]))
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
            policy=document(
                [
                    *_worker_statements(logs, messaging, results, serving),
                    *([] if seat is None else _join(names, settings, seat)),
                ]
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        # Lambda tries the role out at once.
        before.append(policy)
        self.function = self._function(names, settings, role, logs, messaging, results, serving, seat, before)
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
        self._watch(settings, alerting)
        self.register_outputs({"function_name": self.function.name})

    def _function(
        self,
        names: Names,
        settings: DecoupledLambdaSettings,
        role: aws.iam.Role,
        logs: aws.cloudwatch.LogGroup,
        messaging: Messaging,
        results: Results,
        serving: Serving,
        seat: Seat | None,
        before: list[pulumi.Resource],
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
            vpc_config=None if seat is None else _vpc_config(seat),
            tags=settings.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=before),
        )

    def _watch(self, settings: DecoupledLambdaSettings, alerting: Alerting) -> None:
        function = {"FunctionName": self.function.name}
        for metric, meaning in (
            ("Errors", "The worker itself fails; a bad request alone would not count here."),
            ("Throttles", "The worker is called more often than reservedConcurrency allows."),
        ):
            alerting.alarm(
                f"worker-{metric.lower()}",
                meaning,
                namespace="AWS/Lambda",
                metric=metric,
                dimensions=function,
                parent=self,
            )
        alerting.alarm(
            "worker-slow",
            "A run of the worker is close to functionTimeoutSeconds, where it would be broken off.",
            namespace="AWS/Lambda",
            metric="Duration",
            dimensions=function,
            statistic="Maximum",
            above=0.9 * 1000 * settings.function_timeout_seconds,
            parent=self,
        )
        alerting.alarm(
            "worker-saturated",
            "The queue keeps nearly all the runs busy that consumerConcurrency allows: more load would only wait.",
            namespace="AWS/Lambda",
            metric="ConcurrentExecutions",
            dimensions=function,
            statistic="Average",
            above=0.9 * settings.consumer_concurrency,
            minutes=15,
            parent=self,
        )


def _source_code() -> pulumi.AssetArchive:
    """Return the function's modules. The runtime itself brings boto3."""
    return pulumi.AssetArchive({path.name: pulumi.FileAsset(str(path)) for path in sorted(Path("app").glob("*.py"))})


def _worker_statements(
    logs: aws.cloudwatch.LogGroup,
    messaging: Messaging,
    results: Results,
    serving: Serving,
) -> list[dict[str, Any]]:
    return [
        allow(["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"], [messaging.queue.arn]),
        allow(["sqs:SendMessage"], [messaging.dead_letters.arn]),
        _ask_model(serving),
        _keep_results(results),
        allow(["logs:CreateLogStream", "logs:PutLogEvents"], [pulumi.Output.format("{0}:*", logs.arn)]),
        # Tracing has no resource level permissions.
        allow(["xray:PutTelemetryRecords", "xray:PutTraceSegments"], ["*"]),
    ]


def _ask_model(serving: Serving) -> dict[str, Any]:
    return allow(["sagemaker:InvokeEndpoint"], [serving.endpoint.arn])


def _keep_results(results: Results) -> dict[str, Any]:
    return allow(["dynamodb:GetItem", "dynamodb:PutItem"], [results.table.arn])


def _join(names: Names, settings: DecoupledLambdaSettings, seat: Seat) -> list[dict[str, Any]]:
    """Return what puts the function into the network, for Lambda alone and not for the function's own code.

    Facts: AWS Lambda developer guide, "Giving Lambda functions access to resources in an Amazon VPC". Deleting must
    be allowed on all of the account's resources, it says, or a function may not get to its network.
    """
    create, delete = "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"
    addresses = ["ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"]
    describe = ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"]
    interfaces = own("ec2", settings.region, "network-interface/*")
    # The function's name ends in random characters, and the function is made after its role.
    function = own("lambda", settings.region, f"function:{names('worker')}-*")
    return [
        allow([create], [interfaces, *seat.interface_arns]),
        allow(addresses, [interfaces]),
        allow([delete], [own("ec2", settings.region, "*/*")]),
        # Neither of these has resource level permissions.
        allow(describe, ["*"]),
        deny([create, delete, *addresses, *describe], ["*"], {"ArnLike": {"lambda:SourceFunctionArn": function}}),
    ]


def _vpc_config(seat: Seat) -> aws.lambda_.FunctionVpcConfigArgs:
    return aws.lambda_.FunctionVpcConfigArgs(subnet_ids=seat.subnet_ids, security_group_ids=[seat.group.id])
