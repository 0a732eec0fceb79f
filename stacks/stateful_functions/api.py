"""The function app that serves the API."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
from access import BuiltInRole, grant
from artefacts import Artefacts
from blobs import container_url, keyless_account
from config import StatefulFunctionsSettings
from observability import Observability
from pulumi_azure_native import managedidentity, resources, storage, web
from sessions import Sessions
from stackkit import Names

__all__ = ["Api"]


class Api(pulumi.ComponentResource):
    """A function app on the Flex Consumption plan, with storage of its own, that logs in as its identity."""

    app: web.WebApp

    def __init__(
        self,
        names: Names,
        settings: StatefulFunctionsSettings,
        group: resources.ResourceGroup,
        identity: managedidentity.UserAssignedIdentity,
        observability: Observability,
        *,
        sessions: Sessions,
        artefacts: Artefacts,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("stateful_functions:api:Api", names("api"), None, opts)
        host = keyless_account(names, "host", settings, group, parent=self, protect=False)
        packages = storage.BlobContainer(
            names("packages"),
            resource_group_name=group.name,
            account_name=host.name,
            container_name="packages",
            public_access=storage.PublicAccess.NONE,
            opts=pulumi.ResourceOptions(parent=self),
        )
        # The host keeps its locks and keys there, for which it asks for this role.
        host_access = grant(names("api-host"), identity, BuiltInRole.STORAGE_BLOB_DATA_OWNER, host.id, parent=self)
        grant(
            names("api-telemetry"),
            identity,
            BuiltInRole.MONITORING_METRICS_PUBLISHER,
            observability.insights.id,
            parent=self,
        )
        self.app = self._app(
            names,
            settings,
            group,
            identity,
            package_url=container_url(host, packages),
            environment=_environment(identity, host, observability, sessions, artefacts),
            depends_on=host_access,
        )
        self._refuse_passwords(names, group)
        observability.collect(
            "api",
            self.app.id,
            logs=["FunctionAppLogs"],
            metrics="AllMetrics",
            parent=self,
        )
        self.register_outputs({"host_name": self.app.default_host_name})

    def _app(
        self,
        names: Names,
        settings: StatefulFunctionsSettings,
        group: resources.ResourceGroup,
        identity: managedidentity.UserAssignedIdentity,
        *,
        package_url: pulumi.Input[str],
        environment: Mapping[str, pulumi.Input[str]],
        depends_on: pulumi.Resource,
    ) -> web.WebApp:
        plan = web.AppServicePlan(
            names("plan"),
            resource_group_name=group.name,
            location=settings.location,
            kind="functionapp",
            reserved=True,  # Linux
            sku=web.SkuDescriptionArgs(name="FC1", tier="FlexConsumption"),
            zone_redundant=settings.zone_redundant,
            tags=settings.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return web.WebApp(
            names("api"),
            resource_group_name=group.name,
            location=settings.location,
            kind="functionapp,linux",
            reserved=True,
            server_farm_id=plan.id,
            identity=web.ManagedServiceIdentityArgs(
                type=web.ManagedServiceIdentityType.USER_ASSIGNED,
                user_assigned_identities=[identity.id],
            ),
            https_only=True,
            client_affinity_enabled=False,
            function_app_config=_function_app_config(settings, identity, package_url),
            site_config=web.SiteConfigArgs(
                min_tls_version=web.SupportedTlsVersions.SUPPORTED_TLS_VERSIONS_1_2,
                scm_min_tls_version=web.SupportedTlsVersions.SUPPORTED_TLS_VERSIONS_1_2,
                ftps_state=web.FtpsState.DISABLED,
                http20_enabled=True,
                remote_debugging_enabled=False,
                cors=web.CorsSettingsArgs(allowed_origins=list(settings.allowed_origins), support_credentials=False),
                app_settings=[web.NameValuePairArgs(name=key, value=value) for key, value in environment.items()],
            ),
            tags=settings.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[depends_on]),
        )

    def _refuse_passwords(self, names: Names, group: resources.ResourceGroup) -> None:
        """Turn off the publishing passwords: code is published with a login."""
        child = pulumi.ResourceOptions(parent=self)
        web.WebAppFtpAllowed(
            names("api-ftp"), resource_group_name=group.name, name=self.app.name, allow=False, opts=child
        )
        web.WebAppScmAllowed(
            names("api-scm"), resource_group_name=group.name, name=self.app.name, allow=False, opts=child
        )


def _function_app_config(
    settings: StatefulFunctionsSettings,
    identity: managedidentity.UserAssignedIdentity,
    package_url: pulumi.Input[str],
) -> web.FunctionAppConfigArgs:
    always_ready = []
    if settings.always_ready_instances:
        always_ready = [web.FunctionsAlwaysReadyConfigArgs(name="http", instance_count=settings.always_ready_instances)]
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
        runtime=web.FunctionsRuntimeArgs(name=web.RuntimeName.PYTHON, version=settings.python_version),
        scale_and_concurrency=web.FunctionsScaleAndConcurrencyArgs(
            maximum_instance_count=settings.maximum_instances,
            instance_memory_mb=settings.instance_memory_mb,
            always_ready=always_ready,
            triggers=web.FunctionsScaleAndConcurrencyTriggersArgs(
                http=web.FunctionsScaleAndConcurrencyTriggersHttpArgs(
                    per_instance_concurrency=settings.http_concurrency,
                )
            ),
        ),
    )


def _environment(
    identity: managedidentity.UserAssignedIdentity,
    host: storage.StorageAccount,
    observability: Observability,
    sessions: Sessions,
    artefacts: Artefacts,
) -> dict[str, pulumi.Input[str]]:
    """Return the app's settings. None is a secret: everything is reached as the identity."""
    return {
        "AzureWebJobsStorage__accountName": host.name,
        "AzureWebJobsStorage__credential": "managedidentity",
        "AzureWebJobsStorage__clientId": identity.client_id,
        "APPLICATIONINSIGHTS_CONNECTION_STRING": observability.insights.connection_string,
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": pulumi.Output.format(
            "ClientId={0};Authorization=AAD", identity.client_id
        ),
        "AZURE_CLIENT_ID": identity.client_id,
        "COSMOS_ENDPOINT": sessions.account.document_endpoint,
        "COSMOS_DATABASE": sessions.database.name,
        "COSMOS_CONTAINER": sessions.container.name,
        "ARTEFACTS_URL": artefacts.url,
    }
