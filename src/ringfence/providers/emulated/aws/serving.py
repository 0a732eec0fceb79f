"""SageMaker models and endpoints, and what scales them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ringfence.providers.emulated.aws.calls import COMMON, Maker, Making, camel, pascal, some, tag_list, tag_map
from ringfence.providers.emulated.interface import Made, gaps

__all__ = ["MAKERS"]

NAMES = {"enableSsmAccess": "EnableSSMAccess", "inferenceAmiVersion": "InferenceAmiVersion"}


def _container(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's container as the API takes it; the names of its variables are the program's."""
    rest = {key: value for key, value in values.items() if key != "environment"}
    return {**pascal(rest), **some(Environment=values.get("environment"))}


def _model(making: Making) -> Made:
    sagemaker, values = making.client("sagemaker"), making.values
    containers = values.get("containers")
    primary = values.get("primaryContainer")
    arn = sagemaker.create_model(
        ModelName=making.name,
        ExecutionRoleArn=values["executionRoleArn"],
        **some(
            PrimaryContainer=_container(primary) if primary else None,
            Containers=[_container(item) for item in containers] if containers else None,
            EnableNetworkIsolation=values.get("enableNetworkIsolation"),
            VpcConfig=pascal(values.get("vpcConfig")),
            InferenceExecutionConfig=pascal(values.get("inferenceExecutionConfig")),
            Tags=tag_list(values.get("tags")),
        ),
    )["ModelArn"]
    kept = sagemaker.describe_model(ModelName=making.name)
    answered = camel(kept)
    found: dict[str, Any] = {
        "executionRoleArn": kept.get("ExecutionRoleArn"),
        "primaryContainer": answered.get("primaryContainer"),
        "containers": answered.get("containers"),
        "enableNetworkIsolation": kept.get("EnableNetworkIsolation", False),
        "vpcConfig": answered.get("vpcConfig"),
        "tags": _tags(sagemaker, arn),
    }
    return Made({"arn": arn}, making.name, gaps(making.inputs, names=COMMON, found=found))


def _endpoint_configuration(making: Making) -> Made:
    sagemaker, values = making.client("sagemaker"), making.values
    settings = ("productionVariants", "shadowProductionVariants", "dataCaptureConfig", "asyncInferenceConfig")
    declared = {key: values[key] for key in settings if key in values}
    arn = sagemaker.create_endpoint_config(
        EndpointConfigName=making.name,
        **pascal(declared, **NAMES),
        **some(
            KmsKeyId=values.get("kmsKeyArn"),
            ExecutionRoleArn=values.get("executionRoleArn"),
            Tags=tag_list(values.get("tags")),
        ),
    )["EndpointConfigArn"]
    kept = sagemaker.describe_endpoint_config(EndpointConfigName=making.name)
    answered = camel(kept, **NAMES)
    found: dict[str, Any] = {key: answered.get(key) for key in declared}
    found |= {"kmsKeyArn": kept.get("KmsKeyId"), "executionRoleArn": kept.get("ExecutionRoleArn")}
    found["tags"] = _tags(sagemaker, arn)
    return Made({"arn": arn}, making.name, gaps(making.inputs, names=COMMON, found=found))


def _endpoint(making: Making) -> Made:
    sagemaker, values = making.client("sagemaker"), making.values
    arn = sagemaker.create_endpoint(
        EndpointName=making.name,
        EndpointConfigName=values["endpointConfigName"],
        **some(DeploymentConfig=pascal(values.get("deploymentConfig")), Tags=tag_list(values.get("tags"))),
    )["EndpointArn"]
    kept = sagemaker.describe_endpoint(EndpointName=making.name)
    found: dict[str, Any] = {"endpointConfigName": kept.get("EndpointConfigName"), "tags": _tags(sagemaker, arn)}
    if "deploymentConfig" in values:
        found["deploymentConfig"] = camel(kept.get("LastDeploymentConfig"))
    return Made({"arn": arn}, making.name, gaps(making.inputs, names=COMMON, found=found))


def _tags(sagemaker: Any, arn: str) -> dict[str, str]:
    return tag_map(sagemaker.list_tags(ResourceArn=arn).get("Tags", []))


def _target(making: Making) -> Made:
    scaling, values = making.client("application-autoscaling"), making.values
    place = {key: values[key] for key in ("serviceNamespace", "resourceId", "scalableDimension")}
    declared = {key: values[key] for key in ("minCapacity", "maxCapacity", "suspendedState") if key in values}
    arguments = some(RoleARN=values.get("roleArn"), Tags=values.get("tags") or None)
    arn = scaling.register_scalable_target(**pascal(place), **pascal(declared), **arguments).get("ScalableTargetARN")
    (kept,) = scaling.describe_scalable_targets(
        ServiceNamespace=values["serviceNamespace"],
        ResourceIds=[values["resourceId"]],
        ScalableDimension=values["scalableDimension"],
    )["ScalableTargets"]
    answered = camel(kept)
    found: dict[str, Any] = {key: answered.get(key) for key in (*place, *declared)}
    found["roleArn"] = kept.get("RoleARN")
    arn = arn or kept.get("ScalableTargetARN")
    if "tags" in values:
        found["tags"] = _target_tags(scaling, arn)
    return Made(some(arn=arn), values["resourceId"], gaps(making.inputs, names=COMMON, found=found))


def _target_tags(scaling: Any, arn: str | None) -> dict[str, str] | None:
    from botocore.exceptions import ClientError

    if arn is None:
        return None
    try:
        found: dict[str, str] = scaling.list_tags_for_resource(ResourceARN=arn)["Tags"]
    except ClientError:
        return None  # moto knows no tags of a target, and fails when it is asked for them
    return found


CONFIGURATIONS = {
    "targetTrackingScalingPolicyConfiguration": "TargetTrackingScalingPolicyConfiguration",
    "stepScalingPolicyConfiguration": "StepScalingPolicyConfiguration",
}


def _policy(making: Making) -> Made:
    scaling, values = making.client("application-autoscaling"), making.values
    place = {key: values[key] for key in ("serviceNamespace", "resourceId", "scalableDimension")}
    declared = {api: pascal(values[own]) for own, api in CONFIGURATIONS.items() if own in values}
    kind = values.get("policyType", "StepScaling")
    scaling.put_scaling_policy(PolicyName=making.name, PolicyType=kind, **pascal(place), **declared)
    (kept,) = scaling.describe_scaling_policies(**pascal(place), PolicyNames=[making.name])["ScalingPolicies"]
    found: dict[str, Any] = {own: camel(kept.get(api)) for own, api in CONFIGURATIONS.items()}
    found |= {"policyType": kept.get("PolicyType"), **{key: camel(kept).get(key) for key in place}}
    return Made({"arn": kept["PolicyARN"]}, making.name, gaps(making.inputs, names=COMMON, found=found))


MAKERS: Mapping[str, Maker] = {
    "appautoscaling/policy:Policy": _policy,
    "appautoscaling/target:Target": _target,
    "sagemaker/endpoint:Endpoint": _endpoint,
    "sagemaker/endpointConfiguration:EndpointConfiguration": _endpoint_configuration,
    "sagemaker/model:Model": _model,
}
