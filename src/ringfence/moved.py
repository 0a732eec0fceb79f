"""Modules of provider SDKs that moved between major versions: the old names are still in programs and states."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["AZURE_NATIVE_MODULES", "AZURE_NATIVE_TYPES"]

AZURE_NATIVE_MODULES: Mapping[str, tuple[str, ...]] = {
    "cache": ("redis", "redisenterprise"),
    "devices": ("iothub", "deviceprovisioningservices"),
    "documentdb": ("cosmosdb",),
    "insights": ("monitor", "applicationinsights"),
}
"""Old module to those that hold its types now, the largest first.

pulumi-azure-native v2 named modules after ARM namespaces; v3 names them after products. Source: the alias lists in
pulumi-azure-native 3.29's own classes. Four types of documentdb went to mongocluster instead.
"""

AZURE_NATIVE_TYPES: Mapping[str, str] = {
    "insights:AutoscaleSetting": "monitor:AutoscaleSetting",
    "insights:DiagnosticSetting": "monitor:DiagnosticSetting",
    "insights:Component": "applicationinsights:Component",
    "insights:ActionGroup": "monitor:ActionGroup",
    "insights:MetricAlert": "monitor:MetricAlert",
    "insights:ScheduledQueryRule": "monitor:ScheduledQueryRule",
}
"""Types of split modules that rules are about; same source."""
