"""Services that only a private network reaches: the profile `private-network`, for stacks that have one."""

from __future__ import annotations

from ringfence.policy.checks import any_of, equals, one_of, require
from ringfence.policy.graph import ResourceView
from ringfence.policy.rule import Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity
from ringfence_policies.azure.arm import cis, mcsb

__all__ = ["RULES"]

ACCOUNT = "azure-native:storage:StorageAccount"
COSMOS = "azure-native:cosmosdb:DatabaseAccount"
NAMESPACE = "azure-native:servicebus:Namespace"
VAULT = "azure-native:keyvault:Vault"
WORKSPACE = "azure-native:machinelearningservices:Workspace"
ENDPOINT = "azure-native:machinelearningservices:OnlineEndpoint"
_PROFILE = "private-network"
_WHY = "What answers on the internet is one stolen credential, or one fault of the service, away from anyone."
_REMEDY = 'Set public_network_access="Disabled", and reach the service by a private endpoint.'
_ENABLED = "The service then answers on the internet."


@rule(
    "ST07",
    "storage-not-public",
    "Storage accounts answer on private endpoints only",
    types=(ACCOUNT,),
    severity=Severity.HIGH,
    level=Level.DISABLED,
    profile=_PROFILE,
    why=_WHY,
    reads="publicNetworkAccess",
    absent="Fails: the service's default is Enabled.",
    remedy=_REMEDY,
    frameworks=(*cis(v21="3.7", v30="4.6", v40="10.3.2.2", v50="9.3.2.2"), *mcsb("NS-2", version="2")),
    sources=("CKV_AZURE_59", "AzP b2982f36"),
    bad=(Sample(ACCOUNT, {"publicNetworkAccess": "Enabled"}),),
    good=(Sample(ACCOUNT, {"publicNetworkAccess": "Disabled"}),),
)
def account_not_public(account: ResourceView, _: Parameters) -> Outcome:
    """Check that the internet does not reach the account."""
    return require(account["publicNetworkAccess"], one_of("Disabled", "SecuredByPerimeter"), absent=_ENABLED)


@rule(
    "CO02",
    "cosmosdb-not-public",
    "Cosmos DB accounts answer on private endpoints only",
    types=(COSMOS,),
    severity=Severity.HIGH,
    level=Level.DISABLED,
    profile=_PROFILE,
    why=_WHY,
    reads="publicNetworkAccess",
    absent="Fails: the service's default is Enabled.",
    remedy=_REMEDY,
    frameworks=mcsb("NS-2"),
    sources=("CKV_AZURE_101", "Azure.Cosmos.PublicAccess", "AzP 797b37f7"),
    bad=(Sample(COSMOS, {"publicNetworkAccess": "Enabled"}),),
    good=(Sample(COSMOS, {"publicNetworkAccess": "Disabled"}),),
)
def cosmos_not_public(account: ResourceView, _: Parameters) -> Outcome:
    """Check that the internet does not reach the account."""
    return require(account["publicNetworkAccess"], one_of("Disabled", "SecuredByPerimeter"), absent=_ENABLED)


@rule(
    "SB03",
    "servicebus-not-public",
    "Service Bus namespaces answer on private endpoints only",
    types=(NAMESPACE,),
    severity=Severity.HIGH,
    level=Level.DISABLED,
    profile=_PROFILE,
    why=_WHY,
    reads="publicNetworkAccess",
    absent="Fails: the service's default, which the SDK also fills in, is Enabled.",
    remedy=_REMEDY + " Private endpoints need the Premium tier.",
    frameworks=mcsb("NS-2", version="2"),
    sources=("CKV_AZURE_204", "AzP cbd11fd3"),
    bad=(Sample(NAMESPACE, {"publicNetworkAccess": "Enabled"}),),
    good=(Sample(NAMESPACE, {"publicNetworkAccess": "Disabled"}),),
)
def namespace_not_public(namespace: ResourceView, _: Parameters) -> Outcome:
    """Check that the internet does not reach the namespace."""
    return require(namespace["publicNetworkAccess"], one_of("Disabled", "SecuredByPerimeter"), absent=_ENABLED)


@rule(
    "KV04",
    "keyvault-not-public",
    "Key vaults refuse the internet",
    types=(VAULT,),
    severity=Severity.HIGH,
    level=Level.DISABLED,
    profile=_PROFILE,
    why=_WHY,
    reads="properties.publicNetworkAccess, properties.networkAcls.defaultAction",
    absent="Fails: without either the vault answers everyone.",
    remedy=_REMEDY + ' Or set network_acls with default_action="Deny".',
    frameworks=(*cis(v40="9.3.7", v50="8.3.7", v60="8.3.7"), *mcsb("NS-2")),
    sources=("CKV_AZURE_109", "CKV_AZURE_189", "Azure.KeyVault.Firewall", "AzP 405c5871", "AzP 55615ac9"),
    bad=(Sample(VAULT, {"properties": {"publicNetworkAccess": "Enabled"}}),),
    good=(Sample(VAULT, {"properties": {"publicNetworkAccess": "Disabled"}}),),
)
def vault_not_public(vault: ResourceView, _: Parameters) -> Outcome:
    """Check that the internet does not reach the vault, or that its firewall denies what it does not name."""
    return any_of(
        require(vault.at("properties.publicNetworkAccess"), equals("Disabled"), absent=_ENABLED),
        require(vault.at("properties.networkAcls.defaultAction"), equals("Deny"), absent=_ENABLED),
    )


@rule(
    "ML01",
    "ml-workspace-not-public",
    "Machine learning workspaces answer on private endpoints only",
    types=(WORKSPACE,),
    severity=Severity.HIGH,
    level=Level.DISABLED,
    profile=_PROFILE,
    why=_WHY,
    reads="publicNetworkAccess",
    absent="Fails: the default depends on the API version, and is Enabled in most.",
    remedy=_REMEDY,
    frameworks=mcsb("NS-2"),
    sources=("CKV_AZURE_144", "CKV2_AZURE_49", "Azure.ML.PublicAccess", "AzP 438c38d2"),
    bad=(Sample(WORKSPACE, {"publicNetworkAccess": "Enabled"}),),
    good=(Sample(WORKSPACE, {"publicNetworkAccess": "Disabled"}),),
)
def workspace_not_public(workspace: ResourceView, _: Parameters) -> Outcome:
    """Check that the internet does not reach the workspace."""
    return require(workspace["publicNetworkAccess"], equals("Disabled"), absent=_ENABLED)


@rule(
    "ML04",
    "ml-workspace-managed-network",
    "Machine learning workspaces have a managed network that lets out only what is approved",
    types=(WORKSPACE,),
    severity=Severity.MEDIUM,
    level=Level.DISABLED,
    profile=_PROFILE,
    why="Training code runs packages of strangers: with an open way out it can send the data that it sees anywhere.",
    reads="managedNetwork.isolationMode",
    absent="Fails: there is then no managed network.",
    remedy='Set managed_network with isolation_mode="AllowOnlyApprovedOutbound".',
    frameworks=mcsb("NS-2", version="2"),
    sources=("AzP 6ddb1705",),
    bad=(Sample(WORKSPACE, {"managedNetwork": {"isolationMode": "Disabled"}}),),
    good=(Sample(WORKSPACE, {"managedNetwork": {"isolationMode": "AllowOnlyApprovedOutbound"}}),),
)
def managed_network(workspace: ResourceView, _: Parameters) -> Outcome:
    """Check the isolation mode."""
    place = workspace.at("managedNetwork.isolationMode")
    return require(place, equals("AllowOnlyApprovedOutbound"), absent="There is then no managed network.")


@rule(
    "ML18",
    "ml-endpoint-not-public",
    "Online endpoints answer on private endpoints only",
    types=(ENDPOINT,),
    severity=Severity.HIGH,
    level=Level.DISABLED,
    profile=_PROFILE,
    why=_WHY,
    reads="properties.publicNetworkAccess",
    absent="Fails: the service's default, which the SDK also fills in, is Enabled.",
    remedy='Set public_network_access="Disabled"; callers come by the private endpoint of the workspace.',
    frameworks=mcsb("NS-2"),
    sources=("project",),
    bad=(Sample(ENDPOINT, {"properties": {"publicNetworkAccess": "Enabled"}}),),
    good=(Sample(ENDPOINT, {"properties": {"publicNetworkAccess": "Disabled"}}),),
)
def endpoint_not_public(endpoint: ResourceView, _: Parameters) -> Outcome:
    """Check that the internet does not reach the endpoint."""
    return require(endpoint.at("properties.publicNetworkAccess"), equals("Disabled"), absent=_ENABLED)


RULES: tuple[Rule, ...] = (
    account_not_public,
    cosmos_not_public,
    namespace_not_public,
    vault_not_public,
    workspace_not_public,
    managed_network,
    endpoint_not_public,
)
