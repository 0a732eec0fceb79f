"""The programs that are measured: functions that register resources."""

from __future__ import annotations

from collections.abc import Callable

import pulumi
from pulumi_azure_native import authorization, cosmosdb, resources, servicebus, storage, web

__all__ = ["eight_resources", "storage_accounts"]


def eight_resources() -> None:
    """Register a small Azure stack of eight resources."""
    group = resources.ResourceGroup("bench")
    account = storage.StorageAccount(
        "bench",
        resource_group_name=group.name,
        kind=storage.Kind.STORAGE_V2,
        sku=storage.SkuArgs(name=storage.SkuName.STANDARD_LRS),
        minimum_tls_version=storage.MinimumTlsVersion.TLS1_2,
        allow_blob_public_access=False,
    )
    storage.BlobContainer("artefacts", resource_group_name=group.name, account_name=account.name)
    plan = web.AppServicePlan(
        "bench", resource_group_name=group.name, sku=web.SkuDescriptionArgs(name="Y1", tier="Dynamic")
    )
    app = web.WebApp(
        "bench",
        resource_group_name=group.name,
        server_farm_id=plan.id,
        kind="functionapp,linux",
        https_only=True,
        identity=web.ManagedServiceIdentityArgs(type=web.ManagedServiceIdentityType.SYSTEM_ASSIGNED),
        site_config=web.SiteConfigArgs(
            min_tls_version="1.2",
            ftps_state="Disabled",
            app_settings=[web.NameValuePairArgs(name="AzureWebJobsStorage__accountName", value=account.name)],
        ),
    )
    cosmosdb.DatabaseAccount(
        "bench",
        resource_group_name=group.name,
        database_account_offer_type=cosmosdb.DatabaseAccountOfferType.STANDARD,
        disable_local_auth=True,
        locations=[cosmosdb.LocationArgs(location_name="westeurope", failover_priority=0)],
    )
    bus = servicebus.Namespace("bench", resource_group_name=group.name, sku=servicebus.SBSkuArgs(name="Standard"))
    authorization.RoleAssignment(
        "bench",
        scope=account.id,
        principal_id="00000000-0000-4000-8000-000000000000",
        principal_type="ServicePrincipal",
        role_definition_id="/providers/Microsoft.Authorization/roleDefinitions/ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    )
    pulumi.export("app", app.name)
    pulumi.export("bus", bus.name)


def storage_accounts(count: int) -> Callable[[], None]:
    """Return a program of `count` storage accounts with nested network rules."""

    def program() -> None:
        group = resources.ResourceGroup("bench")
        for number in range(count):
            storage.StorageAccount(
                f"bench{number}",
                resource_group_name=group.name,
                kind=storage.Kind.STORAGE_V2,
                sku=storage.SkuArgs(name=storage.SkuName.STANDARD_LRS),
                network_rule_set=storage.NetworkRuleSetArgs(
                    default_action=storage.DefaultAction.DENY,
                    ip_rules=[storage.IPRuleArgs(i_p_address_or_range=f"192.0.2.{index}") for index in range(5)],
                ),
            )

    return program
