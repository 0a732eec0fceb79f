"""The database of sessions."""

from __future__ import annotations

import pulumi
from config import StatefulFunctionsSettings
from pulumi_azure_native import cosmosdb, managedidentity, monitor, resources
from stackkit import Names
from stackkit.azure import Observability, PrivateLink, PrivateNetwork

__all__ = ["Sessions"]

DATABASE = "state"
CONTAINER = "sessions"

DATA_CONTRIBUTOR = "00000000-0000-0000-0000-000000000002"
"""Cosmos DB's own built-in role to read and write items. It is not an Azure role."""


class Sessions(pulumi.ComponentResource):
    """A Cosmos DB account without keys, and the one container that the API's identity may read and write."""

    account: cosmosdb.DatabaseAccount
    database: cosmosdb.SqlResourceSqlDatabase
    container: cosmosdb.SqlResourceSqlContainer

    def __init__(
        self,
        names: Names,
        settings: StatefulFunctionsSettings,
        group: resources.ResourceGroup,
        identity: managedidentity.UserAssignedIdentity,
        observability: Observability,
        *,
        private_network: PrivateNetwork | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("stateful_functions:sessions:Sessions", names("sessions"), None, opts)
        self.account = self._account(names, settings, group)
        self.database = cosmosdb.SqlResourceSqlDatabase(
            names("state"),
            resource_group_name=group.name,
            account_name=self.account.name,
            database_name=DATABASE,
            resource=cosmosdb.SqlDatabaseResourceArgs(id=DATABASE),
            opts=pulumi.ResourceOptions(parent=self, protect=settings.is_prod),
        )
        self.container = self._container(names, settings, group)
        cosmosdb.SqlResourceSqlRoleAssignment(
            names("api-sessions"),
            resource_group_name=group.name,
            account_name=self.account.name,
            principal_id=identity.principal_id,
            role_definition_id=pulumi.Output.format("{0}/sqlRoleDefinitions/{1}", self.account.id, DATA_CONTRIBUTOR),
            scope=pulumi.Output.format(
                "{0}/dbs/{1}/colls/{2}", self.account.id, self.database.name, self.container.name
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        if private_network is not None:
            private_network.connect("sessions", PrivateLink.COSMOS_SQL, self.account.id, parent=self)
        self._watch(observability)
        self.register_outputs({"endpoint": self.account.document_endpoint})

    def _account(
        self, names: Names, settings: StatefulFunctionsSettings, group: resources.ResourceGroup
    ) -> cosmosdb.DatabaseAccount:
        tiers = cosmosdb.ContinuousTier
        tier = tiers.CONTINUOUS30_DAYS if settings.is_prod else tiers.CONTINUOUS7_DAYS
        return cosmosdb.DatabaseAccount(
            names("sessions"),
            resource_group_name=group.name,
            location=settings.location,
            kind=cosmosdb.DatabaseAccountKind.GLOBAL_DOCUMENT_DB,
            database_account_offer_type=cosmosdb.DatabaseAccountOfferType.STANDARD,
            locations=[
                cosmosdb.LocationArgs(
                    location_name=location,
                    failover_priority=priority,
                    is_zone_redundant=settings.zone_redundant,
                )
                for priority, location in enumerate(settings.locations)
            ],
            enable_automatic_failover=len(settings.locations) > 1,
            consistency_policy=cosmosdb.ConsistencyPolicyArgs(
                default_consistency_level=cosmosdb.DefaultConsistencyLevel.SESSION,
            ),
            backup_policy=cosmosdb.ContinuousModeBackupPolicyArgs(
                type="Continuous",
                continuous_mode_properties=cosmosdb.ContinuousModePropertiesArgs(tier=tier),
            ),
            capacity=cosmosdb.CapacityArgs(total_throughput_limit=settings.throughput_limit),
            disable_local_auth=True,
            disable_key_based_metadata_write_access=True,
            minimal_tls_version=cosmosdb.MinimalTlsVersion.TLS12,
            public_network_access=_access(settings),
            tags=settings.tags,
            opts=pulumi.ResourceOptions(parent=self, protect=settings.is_prod),
        )

    def _container(
        self, names: Names, settings: StatefulFunctionsSettings, group: resources.ResourceGroup
    ) -> cosmosdb.SqlResourceSqlContainer:
        return cosmosdb.SqlResourceSqlContainer(
            names("sessions"),
            resource_group_name=group.name,
            account_name=self.account.name,
            database_name=self.database.name,
            container_name=CONTAINER,
            resource=cosmosdb.SqlContainerResourceArgs(
                id=CONTAINER,
                # By tenant alone, a large tenant would outgrow the 20 GB of one logical partition.
                partition_key=cosmosdb.ContainerPartitionKeyArgs(
                    kind=cosmosdb.PartitionKind.MULTI_HASH,
                    paths=["/tenantId", "/sessionId"],
                    version=2,
                ),
                default_ttl=settings.session_ttl_seconds,
                # The state itself is read by id and never searched, so indexing it would only cost.
                indexing_policy=cosmosdb.IndexingPolicyArgs(
                    automatic=True,
                    indexing_mode=cosmosdb.IndexingMode.CONSISTENT,
                    included_paths=[cosmosdb.IncludedPathArgs(path="/*")],
                    excluded_paths=[
                        cosmosdb.ExcludedPathArgs(path=path)
                        for path in ("/state/?", "/sha256/?", "/blob/?", '/"_etag"/?')
                    ],
                    # A tenant's sessions are listed in the order of their names.
                    composite_indexes=[
                        [
                            cosmosdb.CompositePathArgs(path=path, order=cosmosdb.CompositePathSortOrder.ASCENDING)
                            for path in ("/tenantId", "/sessionId")
                        ]
                    ],
                ),
            ),
            options=cosmosdb.CreateUpdateOptionsArgs(
                autoscale_settings=cosmosdb.AutoscaleSettingsArgs(max_throughput=settings.container_throughput),
            ),
            opts=pulumi.ResourceOptions(parent=self, protect=settings.is_prod),
        )

    def _watch(self, observability: Observability) -> None:
        observability.collect(
            "sessions",
            self.account.id,
            logs=["ControlPlaneRequests", "DataPlaneRequests", "PartitionKeyRUConsumption", "QueryRuntimeStatistics"],
            metrics="Requests",
            parent=self,
        )
        observability.alert(
            "sessions-throttled",
            "The database refuses requests: containerThroughput is too low, or one session is too busy.",
            resource_id=self.account.id,
            namespace="Microsoft.DocumentDB/databaseAccounts",
            metric="TotalRequests",
            dimensions={"StatusCode": "429"},
            above=0,
            aggregation=monitor.AggregationTypeEnum.COUNT,
            parent=self,
        )
        observability.alert(
            "sessions-saturated",
            "The database is close to its throughput.",
            resource_id=self.account.id,
            namespace="Microsoft.DocumentDB/databaseAccounts",
            metric="NormalizedRUConsumption",
            above=90,
            aggregation=monitor.AggregationTypeEnum.MAXIMUM,
            parent=self,
        )


def _access(settings: StatefulFunctionsSettings) -> cosmosdb.PublicNetworkAccess:
    return cosmosdb.PublicNetworkAccess.DISABLED if settings.private_network else cosmosdb.PublicNetworkAccess.ENABLED
