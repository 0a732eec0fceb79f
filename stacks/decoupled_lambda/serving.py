"""The model behind a SageMaker endpoint that scales with its load."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_aws as aws
from access import allow, document, own, service_role
from alerting import Alerting
from config import DecoupledLambdaSettings
from network import PrivateNetwork, Seat
from pulumi_aws.appautoscaling import (
    PolicyTargetTrackingScalingPolicyConfigurationArgs as TargetTracking,
)
from pulumi_aws.appautoscaling import (
    PolicyTargetTrackingScalingPolicyConfigurationPredefinedMetricSpecificationArgs as PredefinedMetric,
)
from pulumi_aws.sagemaker import (
    EndpointDeploymentConfigBlueGreenUpdatePolicyTrafficRoutingConfigurationArgs as Routing,
)
from pulumi_aws.sagemaker import (
    EndpointDeploymentConfigBlueGreenUpdatePolicyTrafficRoutingConfigurationCanarySizeArgs as CanarySize,
)
from stackkit import Names

__all__ = ["Serving"]

VARIANT = "primary"


class Serving(pulumi.ComponentResource):
    """A model without network, its endpoint, and the bounds of its scaling."""

    endpoint: aws.sagemaker.Endpoint

    def __init__(
        self,
        names: Names,
        settings: DecoupledLambdaSettings,
        alerting: Alerting,
        *,
        private_network: PrivateNetwork | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("decoupled_lambda:serving:Serving", names("serving"), None, opts)
        child = pulumi.ResourceOptions(parent=self)
        # SageMaker writes to a log group of this name and makes one that never expires when there is none.
        endpoint_name = names("model")
        logs = aws.cloudwatch.LogGroup(
            names("model"),
            name=f"/aws/sagemaker/Endpoints/{endpoint_name}",
            retention_in_days=settings.log_retention_days,
            tags=settings.tags,
            opts=child,
        )
        model = self._model(names, settings, logs, private_network)
        configuration = aws.sagemaker.EndpointConfiguration(
            names("model"),
            production_variants=[
                aws.sagemaker.EndpointConfigurationProductionVariantArgs(
                    variant_name=VARIANT,
                    model_name=model.name,
                    instance_type=settings.instance_type,
                    initial_instance_count=settings.min_instances,
                    initial_variant_weight=1,
                    enable_ssm_access=False,
                )
            ],
            tags=settings.tags,
            opts=child,
        )
        errors = self._watch(settings, endpoint_name, alerting)
        self.endpoint = aws.sagemaker.Endpoint(
            names("model"),
            name=endpoint_name,
            endpoint_config_name=configuration.name,
            deployment_config=_safe_deployment(settings, errors),
            tags=settings.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[logs]),
        )
        self._scale(names, settings)
        self.register_outputs({"endpoint_name": self.endpoint.name})

    def _model(
        self,
        names: Names,
        settings: DecoupledLambdaSettings,
        logs: aws.cloudwatch.LogGroup,
        private_network: PrivateNetwork | None,
    ) -> aws.sagemaker.Model:
        seat = None if private_network is None else private_network.seat("model", "Instances of the model")
        before: list[pulumi.Resource] = []
        if private_network is not None and seat is not None:
            before.append(private_network.gateway("model-data", "s3", seat, [_read_weights(settings)]))
        role = service_role(
            names("model"),
            "sagemaker.amazonaws.com",
            "Lets SageMaker load one model and write its logs and metrics",
            tags=settings.tags,
            parent=self,
            # In this form alone; the guide says not to name a model or an endpoint (SageMaker developer guide,
            # "Cross-service confused deputy prevention", SageMaker AI Inference).
            condition={"ArnLike": {"aws:SourceArn": own("sagemaker", settings.region, "*")}},
        )
        policy = aws.iam.RolePolicy(
            names("model"),
            role=role.id,
            policy=_model_policy(settings, logs, seat),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return aws.sagemaker.Model(
            names("model"),
            execution_role_arn=role.arn,
            enable_network_isolation=True,
            primary_container=aws.sagemaker.ModelPrimaryContainerArgs(
                image=settings.model_image,
                model_data_url=settings.model_data_url,
            ),
            vpc_config=None if seat is None else _vpc_config(seat),
            tags=settings.tags,
            # SageMaker tries the role out at once.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy, *before]),
        )

    def _watch(
        self, settings: DecoupledLambdaSettings, endpoint_name: str, alerting: Alerting
    ) -> aws.cloudwatch.MetricAlarm:
        """Set the alarms on the model and return the one that a new version must not raise."""
        variant = {"EndpointName": endpoint_name, "VariantName": VARIANT}
        microseconds = 1_000_000 * settings.inference_timeout_seconds
        alerting.alarm(
            "model-slow",
            "One answer in twenty takes longer than half of inferenceTimeoutSeconds.",
            namespace="AWS/SageMaker",
            metric="ModelLatency",
            dimensions=variant,
            percentile=95,
            above=microseconds / 2,
            parent=self,
        )
        return alerting.alarm(
            "model-errors",
            "The model answers with server errors. While a new version is rolled out, this rolls it back.",
            namespace="AWS/SageMaker",
            metric="Invocation5XXErrors",
            dimensions=variant,
            minutes=1,
            parent=self,
        )

    def _scale(self, names: Names, settings: DecoupledLambdaSettings) -> None:
        target = aws.appautoscaling.Target(
            names("model"),
            service_namespace="sagemaker",
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            resource_id=pulumi.Output.format("endpoint/{0}/variant/{1}", self.endpoint.name, VARIANT),
            min_capacity=settings.min_instances,
            max_capacity=settings.max_instances,
            tags=settings.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.appautoscaling.Policy(
            names("model"),
            policy_type="TargetTrackingScaling",
            service_namespace=target.service_namespace,
            scalable_dimension=target.scalable_dimension,
            resource_id=target.resource_id,
            target_tracking_scaling_policy_configuration=TargetTracking(
                predefined_metric_specification=PredefinedMetric(
                    predefined_metric_type="SageMakerVariantInvocationsPerInstance",
                ),
                target_value=settings.target_invocations_per_instance,
                scale_out_cooldown=settings.scale_out_cooldown_seconds,
                scale_in_cooldown=settings.scale_in_cooldown_seconds,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )


def _model_policy(
    settings: DecoupledLambdaSettings, logs: aws.cloudwatch.LogGroup, seat: Seat | None
) -> pulumi.Output[str]:
    """Return what SageMaker may do for the model. The model itself has no network and gets no credentials."""
    partition = aws.get_partition_output().partition
    registry, repository = settings.model_image.split("@", 1)[0].split("/", 1)
    image = pulumi.Output.format(
        "arn:{0}:ecr:{1}:{2}:repository/{3}", partition, settings.region, registry.split(".", 1)[0], repository
    )
    return document(
        [
            _read_weights(settings),
            allow(["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], [image]),
            # The next two have no resource level permissions.
            allow(["ecr:GetAuthorizationToken"], ["*"]),
            allow(
                ["cloudwatch:PutMetricData"],
                ["*"],
                {"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}},
            ),
            allow(
                ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                [logs.arn, pulumi.Output.format("{0}:*", logs.arn)],
            ),
            *([] if seat is None else _join(settings, seat)),
        ]
    )


def _read_weights(settings: DecoupledLambdaSettings) -> dict[str, Any]:
    bucket, key = settings.model_data_url.removeprefix("s3://").split("/", 1)
    partition = aws.get_partition_output().partition
    return allow(["s3:GetObject"], [pulumi.Output.format("arn:{0}:s3:::{1}/{2}", partition, bucket, key)])


def _join(settings: DecoupledLambdaSettings, seat: Seat) -> list[dict[str, Any]]:
    """Return what puts the model's instances into the network (SageMaker developer guide, "host-vpc")."""
    interfaces = own("ec2", settings.region, "network-interface/*")
    return [
        allow(["ec2:CreateNetworkInterface"], [interfaces, *seat.interface_arns]),
        allow(
            [
                "ec2:CreateNetworkInterfacePermission",
                "ec2:DeleteNetworkInterface",
                "ec2:DeleteNetworkInterfacePermission",
            ],
            [interfaces],
        ),
        # None of these has resource level permissions.
        allow(
            [
                "ec2:DescribeDhcpOptions",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
            ],
            ["*"],
        ),
    ]


def _vpc_config(seat: Seat) -> aws.sagemaker.ModelVpcConfigArgs:
    return aws.sagemaker.ModelVpcConfigArgs(subnets=seat.subnet_ids, security_group_ids=[seat.group.id])


def _safe_deployment(
    settings: DecoupledLambdaSettings,
    alarm: aws.cloudwatch.MetricAlarm,
) -> aws.sagemaker.EndpointDeploymentConfigArgs:
    """Return an update that goes back when the alarm fires, and that tries one instance first where there are more.

    SageMaker refuses a canary of more than half of the instances.
    """
    routing = Routing(type="ALL_AT_ONCE", wait_interval_in_seconds=300)
    if settings.min_instances > 1:
        canary = CanarySize(type="INSTANCE_COUNT", value=1)
        routing = Routing(type="CANARY", canary_size=canary, wait_interval_in_seconds=300)
    return aws.sagemaker.EndpointDeploymentConfigArgs(
        blue_green_update_policy=aws.sagemaker.EndpointDeploymentConfigBlueGreenUpdatePolicyArgs(
            traffic_routing_configuration=routing,
            termination_wait_in_seconds=300,
            maximum_execution_timeout_in_seconds=3600,
        ),
        auto_rollback_configuration=aws.sagemaker.EndpointDeploymentConfigAutoRollbackConfigurationArgs(
            alarms=[aws.sagemaker.EndpointDeploymentConfigAutoRollbackConfigurationAlarmArgs(alarm_name=alarm.name)],
        ),
    )
