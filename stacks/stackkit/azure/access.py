"""Azure roles, each for one identity on one resource."""

from __future__ import annotations

from enum import Enum

import pulumi
from pulumi_azure_native import authorization, managedidentity

__all__ = ["BuiltInRole", "grant"]


class BuiltInRole(Enum):
    """Ids of Azure's built-in roles: the same in every tenant."""

    STORAGE_BLOB_DATA_OWNER = "b7e6dc6d-f1e8-4753-8033-0f276bb0955b"
    STORAGE_BLOB_DATA_CONTRIBUTOR = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
    STORAGE_BLOB_DATA_READER = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
    MONITORING_METRICS_PUBLISHER = "3913510d-42f4-4e42-8a64-420c390055eb"
    ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
    SERVICE_BUS_DATA_SENDER = "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39"
    SERVICE_BUS_DATA_RECEIVER = "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0"
    AZUREML_METRICS_WRITER = "635dd51f-9968-44d3-b7fb-6d9a6bd613ae"
    KEY_VAULT_SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"


def grant(
    name: str,
    identity: managedidentity.UserAssignedIdentity,
    role: BuiltInRole,
    scope: pulumi.Input[str],
    *,
    parent: pulumi.Resource,
) -> authorization.RoleAssignment:
    """Give an identity a role on one resource."""
    subscription = authorization.get_client_config_output().subscription_id
    return authorization.RoleAssignment(
        name,
        principal_id=identity.principal_id,
        # Without its type, a principal made a moment ago is often not found yet.
        principal_type=authorization.PrincipalType.SERVICE_PRINCIPAL,
        role_definition_id=pulumi.Output.format(
            "/subscriptions/{0}/providers/Microsoft.Authorization/roleDefinitions/{1}", subscription, role.value
        ),
        scope=scope,
        opts=pulumi.ResourceOptions(parent=parent),
    )
