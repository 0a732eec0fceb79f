"""The endpoint, its blue and green deployments, and who may call it."""

from __future__ import annotations

from typing import NamedTuple

import pulumi
from config import Colour, ModelServingSettings
from pulumi_azure_native import authorization, managedidentity, monitor, resources
from pulumi_azure_native import machinelearningservices as ml
from registry import Registry
from scaling import CPU, scale
from stackkit import Names
from stackkit.azure import BuiltInRole, Observability, grant
from workspace import Workspace, access

__all__ = ["Serving"]

SCORE = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action"
"""All that calling an endpoint with an Entra token needs. Built-in roles with it, AzureML Data Scientist for one, may
change the workspace's contents too."""

PORT = 5001
"""Of the inference server in the image."""

ENDPOINT_METRICS = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"


class _Site(NamedTuple):
    """Where everything of the endpoint belongs."""

    names: Names
    settings: ModelServingSettings
    group: resources.ResourceGroup
    workspace: ml.Workspace


class Serving(pulumi.ComponentResource):
    """An endpoint that takes Entra tokens alone and divides its requests between blue and green."""

    endpoint: ml.OnlineEndpoint
    scoring_uri: pulumi.Output[str | None]

    def __init__(
        self,
        names: Names,
        settings: ModelServingSettings,
        group: resources.ResourceGroup,
        workspace: Workspace,
        registry: Registry,
        observability: Observability,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("model_serving:serving:Serving", names("serving"), None, opts)
        self._site = _Site(names, settings, group, workspace.workspace)
        identity = managedidentity.UserAssignedIdentity(
            names("endpoint"),
            resource_group_name=group.name,
            location=settings.location,
            tags=settings.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.endpoint = self._endpoint(identity)
        self.scoring_uri = self.endpoint.properties.apply(lambda properties: properties.scoring_uri)
        roles = self._roles(identity, workspace, registry)
        self._let_callers_in()
        self._watch_endpoint(observability)
        for colour in settings.colours:
            deployment = self._deployment(colour, registry, roles)
            scale(names, settings, group, colour, deployment, parent=self)
            self._watch_deployment(observability, colour, deployment)
        self.register_outputs({"scoring_uri": self.scoring_uri})

    def _endpoint(self, identity: managedidentity.UserAssignedIdentity) -> ml.OnlineEndpoint:
        site = self._site
        return ml.OnlineEndpoint(
            site.names("endpoint"),
            resource_group_name=site.group.name,
            workspace_name=site.workspace.name,
            # Of at most 32 characters and unique in the region, as the workspace's name is.
            endpoint_name=site.workspace.name,
            location=site.settings.location,
            kind="Managed",
            # An identity of its own has its roles before the first deployment pulls its image. It can never be changed.
            identity=ml.ManagedServiceIdentityArgs(
                type=ml.ManagedServiceIdentityType.USER_ASSIGNED,
                user_assigned_identities=[identity.id],
            ),
            properties=ml.OnlineEndpointPropertiesArgs(
                auth_mode=ml.EndpointAuthMode.AAD_TOKEN,
                public_network_access=access(site.settings),
                traffic=site.settings.traffic,
            ),
            tags=site.settings.tags,
            opts=pulumi.ResourceOptions(parent=self, protect=site.settings.is_prod),
        )

    def _roles(
        self, identity: managedidentity.UserAssignedIdentity, workspace: Workspace, registry: Registry
    ) -> list[pulumi.Resource]:
        """Give the endpoint's identity what the service gives a system-assigned one.

        Models are in several containers of the account, by how they were registered, hence the whole account.
        """
        names = self._site.names
        return [
            grant(names(part), identity, role, scope, parent=self)
            for part, role, scope in (
                ("endpoint-images", BuiltInRole.ACR_PULL, registry.registry.id),
                ("endpoint-models", BuiltInRole.STORAGE_BLOB_DATA_READER, workspace.account.id),
                ("endpoint-metrics", BuiltInRole.AZUREML_METRICS_WRITER, workspace.workspace.id),
            )
        ]

    def _let_callers_in(self) -> None:
        """Let the callers score, and nothing else, at this endpoint alone."""
        site, child = self._site, pulumi.ResourceOptions(parent=self)
        role = authorization.RoleDefinition(
            site.names("caller"),
            # A role can be defined for a resource group, and not for less.
            scope=site.group.id,
            assignable_scopes=[site.group.id],
            # Role names are unique in a tenant, and the group's name ends in random characters.
            role_name=pulumi.Output.format("Caller of the online endpoint in {0}", site.group.name),
            role_type="CustomRole",
            description="May send requests to the online endpoint.",
            permissions=[authorization.PermissionArgs(actions=[SCORE])],
            opts=child,
        )
        authorization.RoleAssignment(
            site.names("caller"),
            principal_id=site.settings.caller_principal_id,
            principal_type=authorization.PrincipalType(site.settings.caller_principal_type),
            role_definition_id=role.id,
            scope=self.endpoint.id,
            opts=child,
        )

    def _environment(self, colour: Colour, registry: Registry) -> ml.EnvironmentVersion:
        """Register the colour's image; a version is never changed, so it is named after the image's digest."""
        site = self._site
        digest = colour.image.rpartition(":")[2]
        health = ml.RouteArgs(path="/", port=PORT)
        return ml.EnvironmentVersion(
            site.names(colour.name),
            resource_group_name=site.group.name,
            workspace_name=site.workspace.name,
            name=site.names(colour.name),
            version=digest[:16],
            properties=ml.EnvironmentVersionPropertiesArgs(
                image=pulumi.Output.format("{0}/{1}", registry.registry.login_server, colour.image),
                os_type=ml.OperatingSystemType.LINUX,
                inference_config=ml.InferenceContainerPropertiesArgs(
                    liveness_route=health,
                    readiness_route=health,
                    scoring_route=ml.RouteArgs(path="/score", port=PORT),
                ),
                tags=site.settings.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _deployment(self, colour: Colour, registry: Registry, roles: list[pulumi.Resource]) -> ml.OnlineDeployment:
        site, settings = self._site, self._site.settings
        model, _, version = colour.model.partition(":")
        probe = ml.ProbeSettingsArgs(
            initial_delay="PT10S", period="PT10S", timeout="PT2S", failure_threshold=30, success_threshold=1
        )
        return ml.OnlineDeployment(
            site.names(colour.name),
            resource_group_name=site.group.name,
            workspace_name=site.workspace.name,
            endpoint_name=self.endpoint.name,
            deployment_name=colour.name,
            location=settings.location,
            kind="Managed",
            sku=ml.SkuArgs(name="Default", tier=ml.SkuTier.STANDARD, capacity=colour.min_instances),
            properties=ml.ManagedOnlineDeploymentArgs(
                endpoint_compute_type="Managed",
                model=pulumi.Output.format("{0}/models/{1}/versions/{2}", site.workspace.id, model, version),
                environment_id=self._environment(colour, registry).id,
                instance_type=colour.instance_type,
                # One worker for each request at a time; more requests would wait for one.
                environment_variables={"WORKER_COUNT": str(settings.concurrent_requests)},
                request_settings=ml.OnlineRequestSettingsArgs(
                    max_concurrent_requests_per_instance=settings.concurrent_requests,
                    request_timeout=f"PT{settings.request_timeout_seconds}S",
                ),
                liveness_probe=probe,
                readiness_probe=probe,
                scale_settings=ml.DefaultScaleSettingsArgs(scale_type="Default"),
                # It would log in with an instrumentation key, which Application Insights refuses here. What the
                # container prints is in the workspace's logs anyway.
                app_insights_enabled=False,
            ),
            tags=settings.tags,
            # The number of instances is autoscale's once the deployment exists.
            opts=pulumi.ResourceOptions(parent=self, depends_on=roles, ignore_changes=["sku.capacity"]),
        )

    def _watch_endpoint(self, observability: Observability) -> None:
        observability.collect(
            "endpoint",
            self.endpoint.id,
            logs=["AmlOnlineEndpointConsoleLog", "AmlOnlineEndpointEventLog", "AmlOnlineEndpointTrafficLog"],
            metrics="AllMetrics",
            parent=self,
        )
        for part, description, metric, dimensions, above in (
            (
                "errors",
                "Scoring fails: the endpoint answers with 5xx.",
                "RequestsPerMinute",
                {"statusCodeClass": "5xx"},
                1,
            ),
            (
                "throttled",
                "The endpoint refuses requests: there are too few instances, or concurrentRequests is too low.",
                "RequestsPerMinute",
                {"statusCode": "429"},
                1,
            ),
            (
                "latency",
                "Scoring is slow: one request of 20 takes longer than latencyAlertMs.",
                "RequestLatency_P95",
                {},
                self._site.settings.latency_alert_ms,
            ),
        ):
            observability.alert(
                part,
                description,
                resource_id=self.endpoint.id,
                namespace=ENDPOINT_METRICS,
                metric=metric,
                dimensions=dimensions,
                above=above,
                aggregation=monitor.AggregationTypeEnum.AVERAGE,
                parent=self,
            )

    def _watch_deployment(self, observability: Observability, colour: Colour, deployment: ml.OnlineDeployment) -> None:
        observability.alert(
            f"{colour.name}-saturated",
            f"The {colour.name} instances stay busy: {colour.name}MaxInstances is too low.",
            resource_id=deployment.id,
            namespace=f"{ENDPOINT_METRICS}/deployments",
            metric=CPU,
            above=95,
            aggregation=monitor.AggregationTypeEnum.AVERAGE,
            parent=self,
        )
