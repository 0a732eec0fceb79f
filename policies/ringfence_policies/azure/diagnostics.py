"""Diagnostic settings: that somebody can say later who did what."""

from __future__ import annotations

from ringfence.policy.checks import failed, passed, undecided
from ringfence.policy.graph import ResourceView
from ringfence.policy.property import Property
from ringfence.policy.rule import Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity
from ringfence_policies.azure.arm import cis, mcsb

__all__ = ["RULES"]

SETTING = "azure-native:monitor:DiagnosticSetting"
VAULT = "azure-native:keyvault:Vault"
_ID = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v"
_LOGGED = (
    VAULT,
    "azure-native:servicebus:Namespace",
    "azure-native:cosmosdb:DatabaseAccount",
    "azure-native:machinelearningservices:Workspace",
    "azure-native:machinelearningservices:OnlineEndpoint",
    "azure-native:containerregistry:Registry",
    "azure-native:web:WebApp",
    "azure-native:app:ManagedEnvironment",
)
"""Types that have resource logs of who did what, and whose settings name the resource itself."""


@rule(
    "GE04",
    "diagnostics-exist",
    "Services that hold data or run code send their logs somewhere",
    types=_LOGGED,
    severity=Severity.MEDIUM,
    level=Level.ADVISORY,
    graph=True,
    why="Azure keeps no resource logs by itself: after an incident nothing says who read, changed or deleted what.",
    reads="DiagnosticSettings of the stack: resourceUri",
    absent="Fails: without a diagnostic setting there are no resource logs.",
    remedy="Add a DiagnosticSetting with the resource's id as resource_uri, and a Log Analytics workspace.",
    frameworks=(*cis(v40="7.1.1.4", v50="6.1.1.4", v60="6.1.1.4"), *mcsb("LT-3")),
    sources=("Azure.KeyVault.Logs", "Azure.ServiceBus.AuditLogs", "AzP f8d36e2f", "AzP afe0c3be"),
    bad=(Sample(VAULT, {"location": "westeurope"}, outputs={"id": _ID}),),
    good=(
        Sample(VAULT, {"location": "westeurope"}, outputs={"id": _ID}),
        Sample(SETTING, {"resourceUri": _ID}, name="logs", feeds={"resourceUri": ("example",)}),
    ),
)
def diagnostics_exist(resource: ResourceView, _: Parameters) -> Outcome:
    """Check that a diagnostic setting of the stack names the resource."""
    own = resource.output("id").text
    answers = [_is_for(setting["resourceUri"], resource, own) for setting in resource.stack.of_type(SETTING)]
    if True in answers:
        return passed()
    if None in answers:
        return undecided(None, "It is not known whether a diagnostic setting of the stack is for this resource.")
    return failed(
        None, "No diagnostic setting of the stack is for this resource.", expected="a DiagnosticSetting for it"
    )


def _is_for(place: Property, resource: ResourceView, own: str | None) -> bool | None:
    """Return whether a setting's `resourceUri` is the id of the resource, `own` where that is known.

    ARM compares ids without regard to case. An id that is not known yet tells by the resources that it comes from.
    """
    if place.text is not None and own is not None:
        return place.text.casefold().rstrip("/") == own.casefold().rstrip("/")
    if resource.urn in place.sources:
        return True
    return None if (place.unknown and not place.sources) or place.text is not None else False


RULES: tuple[Rule, ...] = (diagnostics_exist,)
