"""Azure Machine Learning: workspaces, computes, online endpoints and their deployments.

What a compute or an endpoint is made of stands under its `properties`; what a cluster or an instance is made of, one
level deeper under `properties.properties`.
"""

from __future__ import annotations

from ringfence.policy.checks import (
    Test,
    equals,
    failed,
    is_true,
    not_applicable,
    one_of,
    require,
    undecided,
)
from ringfence.policy.graph import ResourceView
from ringfence.policy.property import Property
from ringfence.policy.rule import Parameter, Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity, Verdict
from ringfence_policies.azure.arm import HAS_IDENTITY, mcsb, whole_number

__all__ = ["RULES"]

WORKSPACE = "azure-native:machinelearningservices:Workspace"
COMPUTE = "azure-native:machinelearningservices:Compute"
ENDPOINT = "azure-native:machinelearningservices:OnlineEndpoint"
DEPLOYMENT = "azure-native:machinelearningservices:OnlineDeployment"

_CLUSTER = "amlcompute"
_INSTANCE = "computeinstance"


def _compute(kind: str, inner: dict[str, object] | None = None, **properties: object) -> Sample:
    """Return an example of a compute with inner properties and properties."""
    nested = {"properties": inner} if inner is not None else {}
    return Sample(COMPUTE, {"properties": {"computeType": kind, **properties, **nested}})


def _kind(compute: ResourceView, *kinds: str) -> tuple[Property, Outcome | None]:
    """Return the place of the compute's type, and the outcome where it is a type that the rule does not judge.

    A compute that does not say its type is judged: the property is required.
    """
    place = compute["properties"]["computeType"]
    if place.text is not None and place.text.casefold() not in kinds:
        return place, not_applicable(f"The rule does not hold for computes of type {place.shown}.")
    return place, None


@rule(
    "ML10",
    "ml-compute-no-local-auth",
    "Machine learning computes refuse local authentication",
    types=(COMPUTE,),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="Local accounts and SSH keys open a machine that holds data and an identity, past Entra ID and its logs.",
    reads="properties.disableLocalAuth; properties.computeType",
    absent="Fails: the service's default is false. Not applicable to attached computes, which have no local accounts "
    "of the service.",
    remedy="Set disable_local_auth=True in the compute's properties.",
    frameworks=mcsb("IM-1"),
    sources=("CKV_AZURE_142", "Azure.ML.DisableLocalAuth", "AzP e96a9a5f"),
    bad=(_compute("AmlCompute", disableLocalAuth=False),),
    good=(_compute("AmlCompute", disableLocalAuth=True),),
)
def compute_no_local_auth(compute: ResourceView, _: Parameters) -> Outcome:
    """Check clusters and instances, as Azure Policy e96a9a5f does since version 2.1."""
    kind, elsewhere = _kind(compute, _CLUSTER, _INSTANCE)
    if elsewhere is not None:
        return elsewhere
    outcome = require(compute["properties"]["disableLocalAuth"], is_true(), absent="Local accounts then work.")
    return undecided(kind) if kind.unknown and outcome.verdict is not Verdict.PASS else outcome


@rule(
    "ML13",
    "ml-compute-node-bound",
    "Machine learning clusters have an upper bound of nodes",
    types=(COMPUTE,),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="A cluster grows with what is queued: one wrong sweep and it costs as much as its bound allows.",
    reads="properties.properties.scaleSettings.maxNodeCount; properties.computeType",
    absent="Fails: a cluster needs it. Not applicable to computes that are no cluster.",
    remedy="Set max_node_count in the cluster's scale_settings to a number within the bound.",
    sources=("project",),
    parameters=(
        Parameter("maximumNodes", "integer", 20, "Nodes that a cluster may have, at most.", minimum=1, maximum=65000),
    ),
    bad=(_compute("AmlCompute", {"scaleSettings": {"maxNodeCount": 1000}}),),
    good=(_compute("AmlCompute", {"scaleSettings": {"maxNodeCount": 4}}),),
)
def compute_node_bound(compute: ResourceView, parameters: Parameters) -> Outcome:
    """Check the largest number of nodes of a cluster."""
    kind, elsewhere = _kind(compute, _CLUSTER)
    if elsewhere is not None:
        return elsewhere
    place = compute.at("properties.properties.scaleSettings.maxNodeCount")
    outcome = require(place, whole_number(0, parameters["maximumNodes"], "nodes"), absent="fail")
    return undecided(kind) if kind.unknown and outcome.verdict is not Verdict.PASS else outcome


@rule(
    "ML15",
    "ml-compute-not-public",
    "Machine learning computes have no public SSH port and no public address",
    types=(COMPUTE,),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="A machine with data and an identity on it, reachable from the internet, is found and tried within minutes.",
    reads="properties.properties: enableNodePublicIp; remoteLoginPortPublicAccess of clusters; "
    "sshSettings.sshPublicAccess of instances; properties.computeType",
    absent="Fails: nodes get a public address, and a cluster outside a virtual network opens its SSH port. Passes for "
    "sshSettings: an instance's SSH port is closed unless it says otherwise.",
    remedy='Set enable_node_public_ip=False, and remote_login_port_public_access="Disabled" (cluster) or '
    'ssh_settings.ssh_public_access="Disabled" (instance).',
    sources=("pb:ml-compute-internet-access",),
    bad=(_compute("AmlCompute", {"enableNodePublicIp": True, "remoteLoginPortPublicAccess": "Enabled"}),),
    good=(_compute("AmlCompute", {"enableNodePublicIp": False, "remoteLoginPortPublicAccess": "Disabled"}),),
)
def compute_not_public(compute: ResourceView, _: Parameters) -> Outcome | list[Outcome]:
    """Check the address of the nodes and the SSH port."""
    kind, elsewhere = _kind(compute, _CLUSTER, _INSTANCE)
    if elsewhere is not None:
        return elsewhere
    if kind.unknown:
        return undecided(kind)
    inner = compute["properties"]["properties"]
    address = require(inner["enableNodePublicIp"], equals(False), absent="The nodes then get a public address.")
    if (kind.text or "").casefold() == _INSTANCE:
        return [address, require(inner["sshSettings"]["sshPublicAccess"], equals("Disabled"), absent="pass")]
    absent = "Outside a virtual network the SSH port is then open."
    return [address, require(inner["remoteLoginPortPublicAccess"], equals("Disabled"), absent=absent)]


@rule(
    "ML17",
    "ml-endpoint-no-keys",
    "Online endpoints are called with tokens, not with keys",
    types=(ENDPOINT,),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="An endpoint's key does not expire, belongs to nobody and ends up in every caller's settings.",
    reads="properties.authMode",
    absent="Fails: the property is required.",
    remedy='Set auth_mode="AADToken".',
    sources=("project",),
    parameters=(Parameter("strict", "boolean", False, "Whether only AADToken is good, and AMLToken is not."),),
    bad=(Sample(ENDPOINT, {"properties": {"authMode": "Key"}}),),
    good=(Sample(ENDPOINT, {"properties": {"authMode": "AADToken"}}),),
)
def endpoint_no_keys(endpoint: ResourceView, parameters: Parameters) -> Outcome:
    """Check how callers authenticate. AMLToken expires, and is all that Kubernetes endpoints have besides keys."""
    test = equals("AADToken") if parameters["strict"] else one_of("AADToken", "AMLToken")
    return require(endpoint["properties"]["authMode"], test, absent="fail")


@rule(
    "ML19",
    "ml-endpoint-identity",
    "Online endpoints have a managed identity",
    types=(ENDPOINT,),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="Without an identity of its own, an endpoint needs keys to reach its registry, its models and its data.",
    reads="identity.type",
    absent="Fails: an endpoint has no identity unless it says so.",
    remedy='Set identity.type to "SystemAssigned" or "UserAssigned".',
    sources=("project",),
    bad=(Sample(ENDPOINT, {"properties": {"authMode": "AADToken"}}),),
    good=(Sample(ENDPOINT, {"identity": {"type": "SystemAssigned"}, "properties": {"authMode": "AADToken"}}),),
)
def endpoint_identity(endpoint: ResourceView, _: Parameters) -> Outcome:
    """Check that the endpoint has an identity of either kind."""
    return require(endpoint["identity"]["type"], HAS_IDENTITY, absent="The endpoint then has no identity.")


_PERCENT = whole_number(0, 100, "percent")
_MIRROR_LIMIT = 50
"""Percent. Source: Azure Machine Learning REST reference, OnlineEndpoints, mirrorTraffic."""


@rule(
    "ML20",
    "ml-endpoint-traffic",
    "The traffic of online endpoints adds up",
    types=(ENDPOINT,),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="The service refuses percentages that do not add up, when the stack is half deployed.",
    reads="properties.traffic, properties.mirrorTraffic",
    absent="Passes: no deployment gets traffic until one is given it.",
    remedy="Make the percentages of traffic sum to 100 (or 0), and mirror at most 50 percent to one deployment.",
    sources=("project",),
    bad=(Sample(ENDPOINT, {"properties": {"traffic": {"blue": 90, "green": 20}}}),),
    good=(Sample(ENDPOINT, {"properties": {"traffic": {"blue": 90, "green": 10}, "mirrorTraffic": {"next": 10}}}),),
)
def endpoint_traffic(endpoint: ResourceView, _: Parameters) -> list[Outcome]:
    """Check the percentages one by one and their sums."""
    properties = endpoint["properties"]
    return [*_traffic(properties["traffic"]), *_mirror_traffic(properties["mirrorTraffic"])]


def _percentages(place: Property) -> tuple[list[Outcome], list[Property], bool]:
    """Return the outcomes of the percentages, those that are known, and whether these are all."""
    entries = [value for _, value in place.entries() if not value.absent]
    outcomes = [require(value, _PERCENT, absent="pass") for value in entries]
    known = [value for value in entries if value.satisfies(_PERCENT)]
    return outcomes, known, len(known) == len(entries)


def _sum(places: list[Property]) -> float:
    return sum(place.number or 0 for place in places)


def _traffic(place: Property) -> list[Outcome]:
    outcomes, known, complete = _percentages(place)
    if _sum(known) > 100 or (complete and _sum(known) not in (0, 100)):
        message = f"{place.path} is {place.shown}, which does not sum to 0 or 100."
        outcomes.append(failed(place, message, expected="percentages that sum to 0 or 100"))
    return outcomes


def _mirror_traffic(place: Property) -> list[Outcome]:
    outcomes, known, _ = _percentages(place)
    if _sum(known) > _MIRROR_LIMIT:
        message = f"{place.path} is {place.shown}, which is more than {_MIRROR_LIMIT} percent."
        outcomes.append(failed(place, message, expected=f"at most {_MIRROR_LIMIT} percent"))
    if sum(value.number != 0 for value in known) > 1:
        message = f"{place.path} is {place.shown}, but traffic can be mirrored to one deployment only."
        outcomes.append(failed(place, message, expected="one deployment"))
    return outcomes


@rule(
    "ML22",
    "ml-deployment-scale-bounds",
    "Online deployments have bounds of instances",
    types=(DEPLOYMENT,),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="Instances, often with a GPU, are paid for whether they are used or not; none at all serves nobody.",
    reads="sku.capacity; properties.scaleSettings: scaleType, minInstances, maxInstances, targetUtilizationPercentage; "
    "properties.endpointComputeType",
    absent="sku.capacity fails where nothing else says how many instances there are. scaleSettings: a managed "
    "deployment keeps its capacity, a Kubernetes one has 1 instance.",
    remedy="Set sku.capacity, and for Kubernetes the scale_settings, within the bounds.",
    sources=("project",),
    parameters=(
        Parameter("minimumInstances", "integer", 1, "Instances of a deployment, at least.", minimum=0),
        Parameter("maximumInstances", "integer", 20, "Instances of a deployment, at most.", minimum=1),
    ),
    bad=(Sample(DEPLOYMENT, {"sku": {"capacity": 200}, "properties": {"endpointComputeType": "Managed"}}),),
    good=(Sample(DEPLOYMENT, {"sku": {"capacity": 2}, "properties": {"endpointComputeType": "Managed"}}),),
)
def deployment_scale_bounds(deployment: ResourceView, parameters: Parameters) -> list[Outcome]:
    """Check the number of instances, and the bounds between which a Kubernetes deployment scales by itself.

    A managed deployment scales by an AutoscaleSetting, which AS02 and AS03 judge; its capacity is where it starts.
    """
    test = whole_number(parameters["minimumInstances"], parameters["maximumInstances"], "instances")
    settings = deployment["properties"]["scaleSettings"]
    target = settings["scaleType"].satisfies(equals("TargetUtilization"))
    outcomes = _utilization(settings, test) if target else []
    if not settings.absent:
        outcomes.append(require(settings["scaleType"], _SCALE_TYPE, absent="fail"))
    capacity = deployment["sku"]["capacity"]
    compute = deployment["properties"]["endpointComputeType"]
    if not capacity.absent:
        outcomes.append(require(capacity, test, absent="fail"))
    elif compute.unknown:
        outcomes.append(undecided(compute))
    elif not compute.satisfies(equals("Kubernetes")) or (target is False and settings.present):
        absent = "Nothing then says how many instances there are."
        outcomes.append(require(capacity, test, absent=absent))
    return outcomes


_SCALE_TYPE = one_of("Default", "TargetUtilization")


def _utilization(settings: Property, test: Test) -> list[Outcome]:
    low, high = settings["minInstances"], settings["maxInstances"]
    outcomes = [require(place, test, absent="pass") for place in (low, high)]
    first, last = (1.0 if place.absent else place.number for place in (low, high))
    if first is not None and last is not None and first > last:
        message = f"{low.path} is {low.shown}, more than {high.path}, which is {high.shown}."
        outcomes.append(failed(low, message, expected="at most maxInstances"))
    outcomes.append(require(settings["targetUtilizationPercentage"], whole_number(1, 100, "percent"), absent="pass"))
    return outcomes


_OFFERED = one_of("Basic", "Free", "Standard", "Premium")
"""Source: SkuTier in the REST reference of Microsoft.MachineLearningServices/workspaces."""


@rule(
    "ML26",
    "ml-workspace-offered-sku",
    "Machine learning workspaces have an SKU that is still offered",
    types=(WORKSPACE,),
    severity=Severity.LOW,
    level=Level.MANDATORY,
    why="The edition Enterprise was retired in 2020: since then the service makes a Basic workspace, or refuses the "
    "SKU, and the program says what is not so.",
    reads="sku.name, sku.tier",
    absent="Passes: the service makes a Basic workspace.",
    remedy='Leave sku out, or set its name and tier to "Basic".',
    sources=("project",),
    bad=(Sample(WORKSPACE, {"sku": {"name": "Enterprise", "tier": "Enterprise"}}),),
    good=(Sample(WORKSPACE, {"sku": {"name": "Basic", "tier": "Basic"}}),),
)
def workspace_offered_sku(workspace: ResourceView, _: Parameters) -> list[Outcome]:
    """Check the name and the tier of the SKU.

    Source: Azure Machine Learning documentation, "What is an Azure Machine Learning workspace?", section "What happened
    to Enterprise edition", as the Terraform provider's pull request 11063 quotes it.
    """
    return [require(workspace["sku"][key], _OFFERED, absent="pass") for key in ("name", "tier")]


RULES: tuple[Rule, ...] = (
    compute_no_local_auth,
    compute_node_bound,
    compute_not_public,
    endpoint_no_keys,
    endpoint_identity,
    endpoint_traffic,
    deployment_scale_bounds,
    workspace_offered_sku,
)
