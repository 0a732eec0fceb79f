"""Amazon SageMaker: notebook instances and endpoints."""

from __future__ import annotations

from collections.abc import Iterator

from ringfence.policy.checks import (
    all_of,
    between,
    equals,
    every,
    failed,
    is_not,
    not_applicable,
    passed,
    require,
    satisfying,
    undecided,
)
from ringfence.policy.graph import ResourceView
from ringfence.policy.property import Property
from ringfence.policy.rule import Parameter, Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity, Verdict
from ringfence_policies.aws.frameworks import fsbp
from ringfence_policies.aws.references import properties, referrers, require_reference
from ringfence_policies.aws.scaling import targets

__all__ = ["RULES"]

NOTEBOOK = "aws:sagemaker/notebookInstance:NotebookInstance"
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
ENDPOINT_CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"

_DIMENSION = "sagemaker:variant:DesiredInstanceCount"
_NOTEBOOK = {"instanceType": "ml.t3.medium", "roleArn": "arn:aws:iam::111122223333:role/notebook"}
_VARIANT = {"variantName": "blue", "modelName": "score", "instanceType": "ml.m5.large", "initialInstanceCount": 1}


@rule(
    "SM01",
    "sagemaker-notebook-no-direct-internet",
    "SageMaker notebook instances have no direct internet access",
    types=(NOTEBOOK,),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="Training data can otherwise leave past every control of the network.",
    reads="directInternetAccess",
    absent="Fails: the default is Enabled.",
    remedy='Set direct_internet_access="Disabled", with a subnet and security groups.',
    frameworks=(fsbp("SageMaker.1"),),
    sources=("CKV_AWS_122", "AwsSolutions-SM3", "NIST-R5-SageMakerNotebookNoDirectInternetAccess"),
    bad=(Sample(NOTEBOOK, {**_NOTEBOOK, "directInternetAccess": "Enabled"}),),
    good=(Sample(NOTEBOOK, {**_NOTEBOOK, "directInternetAccess": "Disabled"}),),
)
def no_direct_internet(notebook: ResourceView, _: Parameters) -> Outcome:
    """Check that traffic goes through the VPC."""
    return require(notebook["directInternetAccess"], equals("Disabled"), absent="The default is Enabled.")


@rule(
    "SM02",
    "sagemaker-notebook-in-vpc",
    "SageMaker notebook instances are in a VPC",
    types=(NOTEBOOK,),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="Outside of a VPC no security group, endpoint policy or flow log covers the notebook.",
    reads="subnetId",
    absent="Fails: the notebook is then in a network of the service.",
    remedy="Set subnet_id and security_groups.",
    frameworks=(fsbp("SageMaker.2"),),
    sources=("CKV_AWS_306", "AwsSolutions-SM1"),
    bad=(Sample(NOTEBOOK, _NOTEBOOK),),
    good=(Sample(NOTEBOOK, {**_NOTEBOOK, "subnetId": "subnet-0123456789abcdef0"}),),
)
def in_vpc(notebook: ResourceView, _: Parameters) -> Outcome:
    """Check that a subnet is named."""
    return require_reference(
        notebook["subnetId"], "the id of a subnet", absent="The notebook is then in a network of the service."
    )


@rule(
    "SM03",
    "sagemaker-notebook-no-root",
    "SageMaker notebook users have no root access",
    types=(NOTEBOOK,),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="With root, a notebook's user can undo what its lifecycle configuration sets up.",
    reads="rootAccess",
    absent="Fails: the default is Enabled.",
    remedy='Set root_access="Disabled"; lifecycle configurations still run as root.',
    frameworks=(fsbp("SageMaker.3"),),
    sources=("CKV_AWS_307",),
    bad=(Sample(NOTEBOOK, {**_NOTEBOOK, "rootAccess": "Enabled"}),),
    good=(Sample(NOTEBOOK, {**_NOTEBOOK, "rootAccess": "Disabled"}),),
)
def no_root(notebook: ResourceView, _: Parameters) -> Outcome:
    """Check root access."""
    return require(notebook["rootAccess"], equals("Disabled"), absent="The default is Enabled.")


@rule(
    "SM11",
    "sagemaker-notebook-imdsv2",
    "SageMaker notebook instances require IMDSv2",
    types=(NOTEBOOK,),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="With version 1 of the metadata service, a request that a server can be tricked into reads the role's keys.",
    reads="instanceMetadataServiceConfiguration.minimumInstanceMetadataServiceVersion",
    absent="Fails: the default is version 1.",
    remedy='Set instance_metadata_service_configuration={"minimum_instance_metadata_service_version": "2"}.',
    sources=("CKV_AWS_371",),
    bad=(Sample(NOTEBOOK, _NOTEBOOK),),
    good=(
        Sample(
            NOTEBOOK,
            {**_NOTEBOOK, "instanceMetadataServiceConfiguration": {"minimumInstanceMetadataServiceVersion": "2"}},
        ),
    ),
)
def metadata_service(notebook: ResourceView, _: Parameters) -> Outcome:
    """Check the lowest version of the instance metadata service."""
    return require(
        notebook.at("instanceMetadataServiceConfiguration.minimumInstanceMetadataServiceVersion"),
        satisfying(lambda value: Property(value).number == 2, '"2"', "number"),
        absent="Version 1 is then accepted.",
    )


@rule(
    "SM22",
    "sagemaker-no-ssm-access",
    "SageMaker endpoint variants have no SSM shell",
    types=(ENDPOINT_CONFIGURATION,),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="A shell on a production instance sees the models and the requests, and leaves no trace in the deployment.",
    reads="enableSsmAccess of productionVariants and shadowProductionVariants",
    absent="Passes: it is off by default.",
    remedy="Remove enable_ssm_access.",
    sources=("project",),
    bad=(Sample(ENDPOINT_CONFIGURATION, {"productionVariants": [{**_VARIANT, "enableSsmAccess": True}]}),),
    good=(Sample(ENDPOINT_CONFIGURATION, {"productionVariants": [_VARIANT]}),),
)
def no_ssm_access(configuration: ResourceView, _: Parameters) -> list[Outcome]:
    """Check each variant, shadow variants too."""
    variants = [
        *configuration["productionVariants"].elements(),
        *configuration["shadowProductionVariants"].elements(),
    ]
    return every(variants, lambda variant: require(variant["enableSsmAccess"], is_not(True), absent="pass"))


@rule(
    "SM17",
    "sagemaker-scaling-bounds",
    "SageMaker endpoint variants scale within bounds",
    types=(ENDPOINT_CONFIGURATION,),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    graph=True,
    why="A fixed number of instances drops requests under load and costs the same at night; a missing upper bound lets "
    "cost grow without one.",
    reads="managedInstanceScaling of productionVariants, or the application auto scaling target on "
    "endpoint/<endpoint>/variant/<variant>",
    absent="Fails: nothing then scales the variant. Serverless variants scale by themselves.",
    remedy="Set managed_instance_scaling with min_instance_count and max_instance_count, or add an "
    "aws.appautoscaling.Target for the variant.",
    sources=("project",),
    parameters=(
        Parameter("maximumInstances", "integer", 10, "Highest upper bound of a variant, in instances.", minimum=1),
    ),
    bad=(Sample(ENDPOINT_CONFIGURATION, {"productionVariants": [_VARIANT]}),),
    good=(
        Sample(
            ENDPOINT_CONFIGURATION,
            {
                "productionVariants": [
                    {
                        **_VARIANT,
                        "managedInstanceScaling": {"status": "ENABLED", "minInstanceCount": 1, "maxInstanceCount": 4},
                    }
                ]
            },
        ),
    ),
)
def scaling_bounds(configuration: ResourceView, parameters: Parameters) -> list[Outcome]:
    """Check how each variant scales.

    The number of instances may be 0 at the least: a variant that hosts inference components scales in to none.
    """
    variants = configuration["productionVariants"].elements()
    if not variants:
        return [not_applicable("The configuration has no production variants.")]
    highest = parameters["maximumInstances"]
    endpoints = list(_endpoints(configuration))
    return every(variants, lambda variant: _variant_outcome(configuration, variant, endpoints, highest))


def _variant_outcome(
    configuration: ResourceView, variant: Property, endpoints: list[tuple[ResourceView, bool | None]], highest: int
) -> Outcome:
    if not variant.is_object:
        return failed(variant, f"{variant.path} is {'null' if variant.absent else variant.shown}.")
    if variant["serverlessConfig"].is_object:
        return not_applicable("Serverless variants scale by themselves.")
    managed = variant["managedInstanceScaling"]
    status = managed["status"]
    if not managed.absent and (status.text or "").upper() != "DISABLED":
        if managed.unknown or status.unknown:
            return undecided(managed)
        return _bounds(managed["minInstanceCount"], managed["maxInstanceCount"], highest)
    outcomes = [
        _bounds_of_target(target, variant, highest) if sure else undecided(variant, _UNSURE.format(target.name))
        for endpoint, sure_of_endpoint in endpoints
        for target, sure_of_target in _targets(endpoint, configuration, variant)
        for sure in (sure_of_endpoint and sure_of_target,)
    ]
    if outcomes:
        return all_of(*outcomes)
    if variant["serverlessConfig"].unknown:
        return undecided(variant["serverlessConfig"])
    return failed(
        managed,
        f"Nothing scales {variant.path}: it has neither managed instance scaling nor a scaling target.",
        expected="managedInstanceScaling, or a scaling target with bounds",
    )


_UNSURE = "It is not known before apply whether the scaling target {} is for this variant."


def _bounds(low: Property, high: Property, highest: int) -> Outcome:
    lower = require(low, between(0, highest, "instances"), absent="The variant needs a lower bound.")
    upper = require(high, between(1, highest, "instances"), absent="The variant needs an upper bound.")
    if low.number is not None and high.number is not None and low.number > high.number:
        return failed(low, f"{low.path} is {low.shown}, more than the upper bound {high.shown}.")
    return all_of(upper, lower)


def _endpoints(configuration: ResourceView) -> Iterator[tuple[ResourceView, bool | None]]:
    for endpoint, _, uses in referrers(configuration, properties(ENDPOINT, "endpointConfigName")):
        yield endpoint, uses


def _targets(
    endpoint: ResourceView, configuration: ResourceView, variant: Property
) -> Iterator[tuple[ResourceView, bool | None]]:
    name, variant_name = endpoint.output("name").text, variant["variantName"].text
    resource_id = f"endpoint/{name}/variant/{variant_name}" if name and variant_name else None
    only_one = len(configuration["productionVariants"].elements()) == 1
    for target, known in targets(endpoint, "sagemaker", _DIMENSION, resource_id):
        # An id that is unknown says which endpoint it is for, but not which of its variants.
        told_apart = only_one or (resource_id is not None and target["resourceId"].text is not None)
        yield target, known if told_apart else None


def _bounds_of_target(target: ResourceView, variant: Property, highest: int) -> Outcome:
    outcome = _bounds(target["minCapacity"], target["maxCapacity"], highest)
    if outcome.verdict is Verdict.PASS:
        return passed(variant)
    build = failed if outcome.verdict is Verdict.FAIL else undecided
    return build(
        variant, f"The scaling target {target.name} of {variant.path}: {outcome.message}", expected=outcome.expected
    )


RULES: tuple[Rule, ...] = (no_direct_internet, in_vpc, no_root, metadata_service, scaling_bounds, no_ssm_access)
