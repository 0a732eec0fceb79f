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
    MONITORING_METRICS_PUBLISHER = "3913510d-42f4-4e42-8a64-420c390055eb"


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
