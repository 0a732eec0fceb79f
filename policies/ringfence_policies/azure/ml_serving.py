"""Azure Machine Learning: what serves models."""

from __future__ import annotations

from ringfence.policy.checks import PASS, failed
from ringfence.policy.graph import ResourceView
from ringfence.policy.rule import Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity

__all__ = ["RULES"]

_INFERENCE = "azure-native:machinelearningservices:InferenceEndpoint"
_SERVING = (
    "azure-native:machinelearningservices:OnlineEndpoint",
    "azure-native:machinelearningservices:BatchEndpoint",
    "azure-native:machinelearningservices:ServerlessEndpoint",
)


@rule(
    "ML27",
    "ml-serving-endpoint",
    "Models are served by online, batch or serverless endpoints",
    types=(_INFERENCE, *_SERVING),
    severity=Severity.MEDIUM,
    level=Level.ADVISORY,
    why="An InferenceEndpoint is a part of an inference pool, which preview versions of the API have. Deployments, the "
    "traffic between them and autoscale settings belong to online endpoints.",
    reads="the type of the endpoint",
    absent="Not applicable: there is no endpoint.",
    remedy="Use an OnlineEndpoint with OnlineDeployments, and an AutoscaleSetting for each deployment.",
    sources=("project",),
    bad=(Sample(_INFERENCE, {"kind": "Deployment"}),),
    good=(Sample(_SERVING[0], {"endpointProperties": {"authMode": "AADToken"}}),),
)
def serving_endpoint(endpoint: ResourceView, _: Parameters) -> Outcome:
    """Check the type alone: workspaces/inferencePools/endpoints is in preview versions of the REST reference only."""
    if endpoint.type != _INFERENCE:
        return PASS
    return failed(endpoint["kind"], "An InferenceEndpoint is not what serves models.", expected="an OnlineEndpoint")


RULES: tuple[Rule, ...] = (serving_endpoint,)
