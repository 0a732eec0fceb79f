"""Weaknesses by property name, whatever the rules look at: what an attacker, an auditor or an outage would profit from.

The table is made from the services' own settings, not from the rules: what no rule guards must show as a survivor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from mutate.mutant import REMOVED, Concern, Mutant, places, words
from ringfence.deployment import Resource

__all__ = ["scalar_mutants"]


@dataclass(frozen=True)
class Weakness:
    """One property whose safe values can be made unsafe."""

    concern: Concern
    path: str
    """Glob over the path; a name alone stands for a property at any depth."""
    safe: tuple[Any, ...]
    """Values that are safe; empty for any."""
    weak: tuple[Any, ...]
    """What to put instead."""
    types: str = "*"
    """Glob over the type token."""

    def matches(self, resource: Resource, path: str, value: Any) -> bool:
        """Whether the safe value of this property stands there."""
        if not fnmatchcase(resource.type, self.types):
            return False
        if not (fnmatchcase(path, self.path) or fnmatchcase(path, f"*.{self.path}")):
            return False
        return not self.safe or any(type(value) is type(safe) and value == safe for safe in self.safe)


def _on(concern: Concern, *names: str, types: str = "*", removed: bool = True) -> list[Weakness]:
    """Return weaknesses of switches that are on: off, and left out where off is the service's default."""
    weak = (False, REMOVED) if removed else (False,)
    return [Weakness(concern, name, (True,), weak, types) for name in names]


def _off(concern: Concern, *names: str, types: str = "*") -> list[Weakness]:
    return [Weakness(concern, name, (False,), (True,), types) for name in names]


TABLE: tuple[Weakness, ...] = (
    # Who may come in, and as whom.
    *_on("access", "disableLocalAuth"),
    *_on("access", "enableRbacAuthorization", types="azure-native:keyvault:*", removed=False),
    *_on("access", "disableKeyBasedMetadataWriteAccess"),
    *_on("access", "defaultToOAuthAuthentication"),
    *_off("access", "allowSharedKeyAccess", "isLocalUserEnabled", "isSftpEnabled", "adminUserEnabled"),
    *_off("access", "enabledForDeployment", "enabledForDiskEncryption", "enabledForTemplateDeployment"),
    *_off("access", "enableSsmAccess", "remoteDebuggingEnabled", "allowCrossTenantReplication"),
    *_off("access", "allow", types="azure-native:web:WebApp*Allowed"),
    Weakness("access", "authMode", ("AADToken",), ("Key",), "azure-native:machinelearningservices:OnlineEndpoint"),
    Weakness("access", "systemDatastoresAuthMode", ("Identity",), ("AccessKey", REMOVED)),
    Weakness("access", "identity", (), (REMOVED,), "azure-native:web:WebApp"),
    Weakness("access", "identity", (), (REMOVED,), "azure-native:machinelearningservices:OnlineEndpoint"),
    Weakness("access", "principalType", ("ServicePrincipal",), ("User",), "azure-native:authorization:RoleAssignment"),
    Weakness("access", "sasPolicy", (), (REMOVED,)),
    Weakness("access", "keyPolicy", (), (REMOVED,)),
    # What the internet reaches.
    *_off("exposure", "allowBlobPublicAccess", "anonymousPullEnabled", "enableNodePublicIp", "mapPublicIpOnLaunch"),
    *_off("exposure", "defaultOutboundAccess"),
    *_on("exposure", "internal", types="azure-native:app:ManagedEnvironment"),
    *_on("exposure", "enableNetworkIsolation"),
    Weakness("exposure", "publicNetworkAccess", ("Disabled",), ("Enabled", REMOVED)),
    Weakness("exposure", "defaultAction", ("Deny",), ("Allow",)),
    Weakness("exposure", "publicAccess", ("None",), ("Blob", "Container"), "azure-native:storage:BlobContainer"),
    Weakness("exposure", "remoteLoginPortPublicAccess", ("Disabled",), ("Enabled", REMOVED)),
    Weakness("exposure", "isolationMode", ("AllowOnlyApprovedOutbound",), ("AllowInternetOutbound", "Disabled")),
    Weakness("exposure", "networkSecurityGroup", (), (REMOVED,), "azure-native:network:Subnet"),
    Weakness("exposure", "vpcConfig", (), (REMOVED,)),
    Weakness("exposure", "referencedSecurityGroupId", (), (REMOVED,), "aws:vpc/securityGroupIngressRule:*"),
    # On the wire and at rest.
    *_on("encryption", "enableHttpsTrafficOnly", "httpsOnly", removed=False),
    *_on("encryption", "sqsManagedSseEnabled", removed=False),
    Weakness("encryption", "minimumTlsVersion", ("TLS1_2",), ("TLS1_0", "TLS1_1", REMOVED)),
    Weakness("encryption", "minimumTlsVersion", ("1.2",), ("1.0", "1.1")),
    Weakness("encryption", "minTlsVersion", ("1.2", "1.3"), ("1.0", "1.1")),
    Weakness("encryption", "scmMinTlsVersion", ("1.2", "1.3"), ("1.0", "1.1")),
    Weakness("encryption", "minimalTlsVersion", ("Tls12",), ("Tls", "Tls11")),
    Weakness("encryption", "ftpsState", ("Disabled", "FtpsOnly"), ("AllAllowed",)),
    # Getting it back.
    *_on("recovery", "enablePurgeProtection", "deletionProtectionEnabled"),
    *_on("recovery", "enableSoftDelete", removed=False),
    *_on("recovery", "deleteRetentionPolicy.enabled", "containerDeleteRetentionPolicy.enabled"),
    *_on("recovery", "pointInTimeRecovery.enabled"),
    Weakness("recovery", "deleteRetentionPolicy", (), (REMOVED,)),
    Weakness("recovery", "pointInTimeRecovery", (), (REMOVED,)),
    Weakness("recovery", "deleteRetentionPolicy.days", (), (1,)),
    Weakness("recovery", "backupPolicy", (), (REMOVED,), "azure-native:cosmosdb:*"),
    # Who did what.
    Weakness("audit", "workspaceResourceId", (), (REMOVED,), "azure-native:applicationinsights:Component"),
    Weakness("audit", "retentionInDays", (), (REMOVED,), "aws:cloudwatch/logGroup:LogGroup"),
    # How much it may take.
    Weakness("bounds", "maximumInstanceCount", (), (1000, REMOVED)),
    Weakness("bounds", "reservedConcurrentExecutions", (), (-1, REMOVED)),
    Weakness("bounds", "scalingConfig", (), (REMOVED,), "aws:lambda/eventSourceMapping:*"),
    Weakness("bounds", "maxNodeCount", (), (1000,)),
    Weakness("bounds", "capacity.maximum", (), ("1000",), "azure-native:monitor:AutoscaleSetting"),
    Weakness("bounds", "capacity.minimum", (), ("0",), "azure-native:monitor:AutoscaleSetting"),
    *_on("bounds", "enabled", types="azure-native:monitor:AutoscaleSetting"),
    Weakness("bounds", "desiredCount", (), (1000,), "azure-native:containerinstance:NGroup"),
    Weakness("bounds", "resources.limits", (), (REMOVED,), "azure-native:containerinstance:*"),
    Weakness("bounds", "maxCapacity", (), (10000,), "aws:appautoscaling/target:Target"),
    Weakness("bounds", "minCapacity", (), (0,), "aws:appautoscaling/target:Target"),
    Weakness("bounds", "sku.capacity", (), (1000,), "azure-native:machinelearningservices:OnlineDeployment"),
    Weakness("bounds", "totalThroughputLimit", (), (-1, REMOVED)),
    Weakness("bounds", "maxExecutions", (), (1000,), "azure-native:app:Job"),
    # That no message is lost.
    *_on("delivery", "deadLetteringOnMessageExpiration"),
    Weakness("delivery", "maxDeliveryCount", (), (1, 1000)),
    Weakness("delivery", "redrivePolicy", (), (REMOVED,), "aws:sqs/queue:Queue"),
    Weakness("delivery", "visibilityTimeoutSeconds", (), (1, REMOVED), "aws:sqs/queue:Queue"),
    Weakness("delivery", "deadLetterConfig", (), (REMOVED,), "aws:lambda/function:Function"),
    Weakness("delivery", "functionResponseTypes", (), (REMOVED,)),
    Weakness("delivery", "defaultMessageTimeToLive", (), (REMOVED,)),
    # Code that runs.
    Weakness("supply", "runtime", ("python3.12", "python3.13"), ("python3.7",), "aws:lambda/function:Function"),
)


def scalar_mutants(resource: Resource) -> Iterator[Mutant]:
    """Return a resource's mutants by the table."""
    for path, value in places(resource.inputs):
        text = words(path)
        for weakness in TABLE:
            if weakness.matches(resource, text, value):
                for weak in weakness.weak:
                    change = f"{text} removed" if weak is REMOVED else f"{text} = {weak!r}"
                    yield Mutant(
                        resource.urn, resource.type, resource.name, path, weak, weakness.concern, change, "table"
                    )
