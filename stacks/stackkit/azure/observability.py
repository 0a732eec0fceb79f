"""Logs, traces and alerts of the whole stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi
from pulumi_azure_native import applicationinsights, monitor, operationalinsights, resources

from ..naming import Names
from .settings import AzureSettings

__all__ = ["Observability"]


class Observability(pulumi.ComponentResource):
    """One workspace that everything logs to, Application Insights on it, and a group that alerts go to."""

    workspace: operationalinsights.Workspace
    insights: applicationinsights.Component

    def __init__(
        self,
        names: Names,
        settings: AzureSettings,
        group: resources.ResourceGroup,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("stackkit:azure:Observability", names("observability"), None, opts)
        self._names = names
        self._tags = settings.tags
        self._group = group
        child = pulumi.ResourceOptions(parent=self)
        self.workspace = operationalinsights.Workspace(
            names("logs"),
            resource_group_name=group.name,
            location=settings.location,
            sku=operationalinsights.WorkspaceSkuArgs(name=operationalinsights.WorkspaceSkuNameEnum.PER_GB2018),
            retention_in_days=settings.log_days,
            workspace_capping=operationalinsights.WorkspaceCappingArgs(daily_quota_gb=settings.log_daily_gb),
            features=operationalinsights.WorkspaceFeaturesArgs(disable_local_auth=True),
            tags=settings.tags,
            opts=child,
        )
        self.insights = applicationinsights.Component(
            names("insights"),
            resource_group_name=group.name,
            location=settings.location,
            application_type=applicationinsights.ApplicationType.WEB,
            kind="web",
            workspace_resource_id=self.workspace.id,
            # The connection string then only says where telemetry goes; sending it takes a role.
            disable_local_auth=True,
            tags=settings.tags,
            opts=child,
        )
        self._receivers = monitor.ActionGroup(
            names("alerts"),
            resource_group_name=group.name,
            location="global",
            group_short_name=f"{settings.workload}{settings.environment}",
            enabled=True,
            email_receivers=[
                monitor.MicrosoftCommonEmailReceiverArgs(
                    name="owner",
                    email_address=settings.alert_email,
                    use_common_alert_schema=True,
                )
            ],
            tags=settings.tags,
            opts=child,
        )
        self.register_outputs({"workspace_id": self.workspace.id})

    def collect(
        self,
        part: str,
        resource_id: pulumi.Input[str],
        *,
        logs: Sequence[str],
        metrics: str,
        parent: pulumi.Resource,
    ) -> monitor.DiagnosticSetting:
        """Send the log categories and the metrics of a resource to the workspace."""
        return monitor.DiagnosticSetting(
            self._names(part),
            name="to-workspace",
            resource_uri=resource_id,
            workspace_id=self.workspace.id,
            logs=[monitor.DiagnosticsLogSettingsArgs(category=category, enabled=True) for category in logs],
            metrics=[monitor.DiagnosticsMetricSettingsArgs(category=metrics, enabled=True)],
            opts=pulumi.ResourceOptions(parent=parent),
        )

    def alert(
        self,
        part: str,
        description: str,
        *,
        resource_id: pulumi.Input[str],
        namespace: str,
        metric: str,
        above: float | None = None,
        below: float | None = None,
        aggregation: monitor.AggregationTypeEnum,
        dimensions: Mapping[str, pulumi.Input[str]] | None = None,
        parent: pulumi.Resource,
    ) -> monitor.MetricAlert:
        """Tell the owner when a metric is above or below a bound for five minutes; it is looked at every minute."""
        if (above is None) == (below is None):
            raise ValueError(f"alert {part} needs one bound: above or below")
        return monitor.MetricAlert(
            self._names(part),
            resource_group_name=self._group.name,
            location="global",
            description=description,
            enabled=True,
            severity=2,
            scopes=[resource_id],
            evaluation_frequency="PT1M",
            window_size="PT5M",
            auto_mitigate=True,
            criteria=monitor.MetricAlertSingleResourceMultipleMetricCriteriaArgs(
                odata_type="Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
                all_of=[
                    monitor.MetricCriteriaArgs(
                        criterion_type="StaticThresholdCriterion",
                        name="below" if above is None else "above",
                        metric_namespace=namespace,
                        metric_name=metric,
                        operator=monitor.Operator.LESS_THAN if above is None else monitor.Operator.GREATER_THAN,
                        threshold=below if above is None else above,
                        time_aggregation=aggregation,
                        dimensions=[
                            monitor.MetricDimensionArgs(name=name, operator="Include", values=[value])
                            for name, value in (dimensions or {}).items()
                        ],
                    )
                ],
            ),
            actions=[monitor.MetricAlertActionArgs(action_group_id=self._receivers.id)],
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=parent),
        )

    def alert_on_failed_requests(self, above: int, description: str) -> monitor.MetricAlert:
        """Tell the owner when more than so many requests of all apps fail in five minutes."""
        return self.alert(
            "failed-requests",
            description,
            resource_id=self.insights.id,
            namespace="microsoft.insights/components",
            metric="requests/failed",
            above=above,
            aggregation=monitor.AggregationTypeEnum.COUNT,
            parent=self,
        )
