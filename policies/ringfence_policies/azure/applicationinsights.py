"""Application Insights: components."""

from __future__ import annotations

from ringfence.policy.checks import matches, passed, require
from ringfence.policy.graph import ResourceView
from ringfence.policy.rule import Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity

__all__ = ["RULES"]

COMPONENT = "azure-native:applicationinsights:Component"
_WORKSPACE = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/example/providers"
    "/Microsoft.OperationalInsights/workspaces/example"
)


@rule(
    "AI01",
    "applicationinsights-workspace",
    "Application Insights keeps its data in a Log Analytics workspace",
    types=(COMPONENT,),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="Classic components are retired; in a workspace, retention, access and export are decided in one place.",
    reads="workspaceResourceId",
    absent="Fails: the component would be a classic one.",
    remedy="Set workspace_resource_id to the id of a Log Analytics workspace.",
    sources=("Azure.AppInsights.Workspace", "AzP d550e854"),
    bad=(Sample(COMPONENT, {"kind": "web"}),),
    good=(Sample(COMPONENT, {"kind": "web", "workspaceResourceId": _WORKSPACE}),),
)
def workspace(component: ResourceView, _: Parameters) -> Outcome:
    """Check that a workspace is named. An id that another resource gives is never empty, known or not."""
    place = component["workspaceResourceId"]
    if place.unknown and place.sources:
        return passed(place)
    return require(place, matches(r"\s*\S.*", "the id of a workspace"), absent="The component is then a classic one.")


RULES: tuple[Rule, ...] = (workspace,)
