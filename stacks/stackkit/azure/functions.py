"""Python functions on the Flex Consumption plan, without keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pulumi
from pulumi_azure_native import managedidentity, network, resources, storage, web

from ..naming import Names
from .access import BuiltInRole, grant
from .blobs import container_url, keyless_account
from .observability import Observability
from .private_network import PrivateLink, PrivateNetwork
from .settings import AzureSettings

__all__ = ["FlexFunctions", "FlexScale"]


class FlexScale(NamedTuple):
    """How far the app scales."""

    python_version: str
    instance_memory_mb: int
    """512, 2048 or 4096."""
    maximum_instances: int
    always_ready: Mapping[str, int]
    """Instances that always run, by function group (`http`) or function (`function:NAME`)."""
    http_concurrency: int
    """HTTP calls at a time on one instance."""
    zone_redundant: bool


class FlexFunctions(pulumi.ComponentResource):
    """A function app with storage of its own, which logs in as its identity and publishes telemetry as it too."""

    app: web.WebApp
    host: storage.StorageAccount

    def __init__(
        self,
        names: Names,
        part: str,
        settings: AzureSettings,
        group: resources.ResourceGroup,
        identity: managedidentity.UserAssignedIdentity,
        observability: Observability,
        *,
        scale: FlexScale,
        environment: Mapping[str, pulumi.Input[str]],
        allowed_origins: tuple[str, ...] = (),
        soft_delete_days: int = 7,
        private_network: PrivateNetwork | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("stackkit:azure:FlexFunctions", names(part), None, opts)
        self._names, self._part, self._settings, self._group = names, part, settings, group
        self.host = keyless_account(
            names,
            "host",
            settings,
            group,
            zone_redundant=scale.zone_redundant,
            soft_delete_days=soft_delete_days,
            parent=self,
            protect=False,
        )
        packages = storage.BlobContainer(
            names("packages"),
            resource_group_name=group.name,
            account_name=self.host.name,
            container_name="packages",
            public_access=storage.PublicAccess.NONE,
            opts=pulumi.ResourceOptions(parent=self),
        )
        # The host keeps its locks and keys there, for which it asks for this role.
        role = BuiltInRole.STORAGE_BLOB_DATA_OWNER
        before: list[pulumi.Resource] = [grant(names(f"{part}-host"), identity, role, self.host.id, parent=self)]
        grant(
            names(f"{part}-telemetry"),
            identity,
            BuiltInRole.MONITORING_METRICS_PUBLISHER,
            observability.insights.id,
            parent=self,
        )
        subnet = None
        if private_network is not None:
            # The host asks for blobs alone, as long as no trigger needs queues or tables.
            before.append(private_network.connect("host", PrivateLink.BLOB, self.host.id, parent=self))
            # Flex Consumption runs on Container Apps and takes subnets that are delegated to them.
            subnet = private_network.subnet(part, delegated_to="Microsoft.App/environments")
        self.app = self._app(
            identity,
            scale,
            package_url=container_url(self.host, packages),
            environment=_environment(identity, self.host, observability) | dict(environment),
            allowed_origins=allowed_origins,
            subnet=subnet,
            depends_on=before,
        )
        self._refuse_passwords()
        observability.collect(part, self.app.id, logs=["FunctionAppLogs"], metrics="AllMetrics", parent=self)
        self.register_outputs({"host_name": self.app.default_host_name})

    def _app(
        self,
        identity: managedidentity.UserAssignedIdentity,
        scale: FlexScale,
        *,
        package_url: pulumi.Input[str],
        environment: Mapping[str, pulumi.Input[str]],
        allowed_origins: tuple[str, ...],
        subnet: network.Subnet | None,
        depends_on: list[pulumi.Resource],
    ) -> web.WebApp:
        plan = web.AppServicePlan(
            self._names("plan"),
            resource_group_name=self._group.name,
            location=self._settings.location,
            kind="functionapp",
            reserved=True,  # Linux
            sku=web.SkuDescriptionArgs(name="FC1", tier="FlexConsumption"),
            zone_redundant=scale.zone_redundant,
            tags=self._settings.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return web.WebApp(
            self._names(self._part),
            resource_group_name=self._group.name,
            location=self._settings.location,
            kind="functionapp,linux",
            reserved=True,
            server_farm_id=plan.id,
            identity=web.ManagedServiceIdentityArgs(
                type=web.ManagedServiceIdentityType.USER_ASSIGNED,
                user_assigned_identities=[identity.id],
            ),
            https_only=True,
            client_affinity_enabled=False,
            virtual_network_subnet_id=None if subnet is None else subnet.id,
            function_app_config=_function_app_config(scale, identity, package_url),
            site_config=web.SiteConfigArgs(
                min_tls_version=web.SupportedTlsVersions.SUPPORTED_TLS_VERSIONS_1_2,
                scm_min_tls_version=web.SupportedTlsVersions.SUPPORTED_TLS_VERSIONS_1_2,
                ftps_state=web.FtpsState.DISABLED,
                http20_enabled=True,
                remote_debugging_enabled=False,
                cors=web.CorsSettingsArgs(allowed_origins=list(allowed_origins), support_credentials=False),
                app_settings=[web.NameValuePairArgs(name=key, value=value) for key, value in environment.items()],
            ),
            tags=self._settings.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=depends_on),
        )

    def _refuse_passwords(self) -> None:
        """Turn off the publishing passwords: code is published with a login."""
        group, app, child = self._group.name, self.app.name, pulumi.ResourceOptions(parent=self)
        name = self._names(self._part)
        web.WebAppFtpAllowed(f"{name}-ftp", resource_group_name=group, name=app, allow=False, opts=child)
        web.WebAppScmAllowed(f"{name}-scm", resource_group_name=group, name=app, allow=False, opts=child)


def _function_app_config(
    scale: FlexScale,
    identity: managedidentity.UserAssignedIdentity,
    package_url: pulumi.Input[str],
) -> web.FunctionAppConfigArgs:
    return web.FunctionAppConfigArgs(
        deployment=web.FunctionsDeploymentArgs(
            storage=web.FunctionsDeploymentStorageArgs(
                type=web.FunctionsDeploymentStorageType.BLOB_CONTAINER,
                value=package_url,
                authentication=web.FunctionsDeploymentStorageAuthenticationArgs(
                    type=web.AuthenticationType.USER_ASSIGNED_IDENTITY,
                    user_assigned_identity_resource_id=identity.id,
                ),
            )
        ),
        runtime=web.FunctionsRuntimeArgs(name=web.RuntimeName.PYTHON, version=scale.python_version),
        scale_and_concurrency=web.FunctionsScaleAndConcurrencyArgs(
            maximum_instance_count=scale.maximum_instances,
            instance_memory_mb=scale.instance_memory_mb,
            always_ready=[
                web.FunctionsAlwaysReadyConfigArgs(name=name, instance_count=count)
                for name, count in scale.always_ready.items()
                if count
            ],
            triggers=web.FunctionsScaleAndConcurrencyTriggersArgs(
                http=web.FunctionsScaleAndConcurrencyTriggersHttpArgs(per_instance_concurrency=scale.http_concurrency)
            ),
        ),
    )


def _environment(
    identity: managedidentity.UserAssignedIdentity,
    host: storage.StorageAccount,
    observability: Observability,
) -> dict[str, pulumi.Input[str]]:
    """Return the settings that the host itself reads. None is a secret: everything is reached as the identity."""
    return {
        "AzureWebJobsStorage__accountName": host.name,
        "AzureWebJobsStorage__credential": "managedidentity",
        "AzureWebJobsStorage__clientId": identity.client_id,
        "APPLICATIONINSIGHTS_CONNECTION_STRING": observability.insights.connection_string,
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": pulumi.Output.format(
            "ClientId={0};Authorization=AAD", identity.client_id
        ),
        "AZURE_CLIENT_ID": identity.client_id,
    }
