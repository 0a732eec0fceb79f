"""Azure Key Vault: vaults. Their settings stand under `properties`."""

from __future__ import annotations

from ringfence.policy.checks import between, is_not, is_true, require, satisfying
from ringfence.policy.graph import ResourceView
from ringfence.policy.rule import Parameter, Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity
from ringfence_policies.azure.arm import cis, mcsb

__all__ = ["RULES"]

VAULT = "azure-native:keyvault:Vault"


@rule(
    "KV01",
    "keyvault-purge-protection",
    "Key vaults have purge protection",
    types=(VAULT,),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="Who deletes a vault or a key can otherwise purge it too, and all data that the key encrypts is lost.",
    reads="properties.enablePurgeProtection",
    absent="Fails: purge protection is off until it is switched on.",
    remedy="Set enable_purge_protection=True in the vault's properties. It cannot be switched off again.",
    frameworks=(*cis(v30="3.3.5", v40="9.3.5", v50="8.3.5", v60="8.3.5"), *mcsb("DP-8")),
    sources=("CKV_AZURE_110", "CKV_AZURE_42", "Azure.KeyVault.PurgeProtect", "AzP 0b60c0b2"),
    bad=(Sample(VAULT, {"properties": {"enableSoftDelete": True}}),),
    good=(Sample(VAULT, {"properties": {"enablePurgeProtection": True}}),),
)
def purge_protection(vault: ResourceView, _: Parameters) -> Outcome:
    """Check that nobody can purge what was deleted."""
    absent = "What is deleted can then be purged."
    return require(vault["properties"]["enablePurgeProtection"], is_true(), absent=absent)


@rule(
    "KV02",
    "keyvault-soft-delete",
    "Key vaults keep what was deleted",
    types=(VAULT,),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="Without soft delete, a wrong script or a stolen credential destroys keys and secrets for good.",
    reads="properties.enableSoftDelete, properties.softDeleteRetentionInDays",
    absent="Passes: soft delete is on by default, for 90 days.",
    remedy="Leave enable_soft_delete out or set it to True, and keep soft_delete_retention_in_days high enough.",
    frameworks=mcsb("DP-8"),
    sources=("CKV_AZURE_111", "Azure.KeyVault.SoftDelete", "AzP 1e66c121"),
    parameters=(
        Parameter("days", "integer", 7, "Days for which what was deleted is kept, at least.", minimum=7, maximum=90),
    ),
    bad=(Sample(VAULT, {"properties": {"enableSoftDelete": False}}),),
    good=(Sample(VAULT, {"properties": {"enableSoftDelete": True, "softDeleteRetentionInDays": 90}}),),
)
def soft_delete(vault: ResourceView, parameters: Parameters) -> list[Outcome]:
    """Check that soft delete is not switched off, and how long it keeps. The service takes 7 to 90 days."""
    properties = vault["properties"]
    return [
        require(properties["enableSoftDelete"], is_not(False), absent="pass"),
        require(properties["softDeleteRetentionInDays"], between(parameters["days"], 90, "days"), absent="pass"),
    ]


_NO_POLICIES = satisfying(lambda value: len(value) == 0, "no access policies", "list")


@rule(
    "KV03",
    "keyvault-rbac",
    "Key vaults give access by role assignments",
    types=(VAULT,),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="Access policies hold for the whole vault, escape the reviews of role assignments, and whoever may change the "
    "vault can add themselves.",
    reads="properties.enableRbacAuthorization, properties.accessPolicies",
    absent="Fails for enableRbacAuthorization: it is false on vaults made before API version 2026-02-01, and later "
    "versions leave them so. Passes for accessPolicies.",
    remedy="Set enable_rbac_authorization=True, remove access_policies, and assign roles such as Key Vault Secrets "
    "User.",
    frameworks=(*cis(v30="3.3.6", v40="9.3.6", v50="8.3.6", v60="8.3.6"), *mcsb("PA-7")),
    sources=("Azure.KeyVault.RBAC", "Azure.KeyVault.AccessPolicy", "AzP 12d4fa5e"),
    bad=(Sample(VAULT, {"properties": {"enableRbacAuthorization": False}}),),
    good=(Sample(VAULT, {"properties": {"enableRbacAuthorization": True, "accessPolicies": []}}),),
)
def rbac(vault: ResourceView, _: Parameters) -> list[Outcome]:
    """Check that roles decide, and that no access policies pretend to."""
    properties = vault["properties"]
    return [
        require(properties["enableRbacAuthorization"], is_true(), absent="Access policies then decide."),
        require(properties["accessPolicies"], _NO_POLICIES, absent="pass"),
    ]


RULES: tuple[Rule, ...] = (purge_protection, soft_delete, rbac)
