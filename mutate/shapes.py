"""Weaknesses that are no single value: policy documents, roles, settings with a secret, images, whole resources."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from mutate.mutant import REMOVED, Concern, Mutant, Path, places, value_at, words
from ringfence.deployment import Resource, reveal

__all__ = ["shape_mutants"]

SUBSCRIPTION = "/subscriptions/00000000-0000-4000-8000-000000000001"
ROLES = {
    "Owner": "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
    "Contributor": "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "User Access Administrator": "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
}
CONNECTION_STRING = "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=" + "Zm9vYmFyYmF6cXV1eA" * 4 + "==;"
SECRET_SETTING = ("AzureWebJobsStorage", CONNECTION_STRING)
DOCUMENTS = re.compile(r"policy|assumeRolePolicy")
PROTECTORS: dict[str, Concern] = {
    "azure-native:web:WebAppFtpAllowed": "access",
    "azure-native:web:WebAppScmAllowed": "access",
    "azure-native:storage:BlobServiceProperties": "recovery",
    "azure-native:monitor:DiagnosticSetting": "audit",
    "aws:sqs/queuePolicy:QueuePolicy": "encryption",
    "aws:ec2/flowLog:FlowLog": "audit",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": "exposure",
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": "access",
    "aws:appautoscaling/policy:Policy": "bounds",
    "azure-native:monitor:AutoscaleSetting": "bounds",
}
"""Types of resources whose absence is the weakness."""


def shape_mutants(resource: Resource) -> Iterator[Mutant]:
    """Return a resource's mutants that are no single value."""

    def mutant(path: Path, after: Any, concern: Concern, change: str) -> Mutant:
        return Mutant(resource.urn, resource.type, resource.name, path, after, concern, change, "table")

    if resource.type in PROTECTORS:
        yield mutant((), REMOVED, PROTECTORS[resource.type], "the whole resource is left out")
    for shape in (_documents, _roles, _settings, _images, _networks):
        yield from shape(resource, mutant)


Make = Callable[[Path, Any, Concern, str], Mutant]


def _documents(resource: Resource, mutant: Make) -> Iterator[Mutant]:
    for key, given in resource.inputs.items():
        text = reveal(given)
        if not DOCUMENTS.fullmatch(key) or not isinstance(text, str):
            continue
        document = json.loads(text)
        for index, statement in enumerate(document["Statement"]):
            for change, weaker in _weaker(key, statement):
                statements = [*document["Statement"][:index], *weaker, *document["Statement"][index + 1 :]]
                after = json.dumps({**document, "Statement": statements})
                yield mutant((key,), after, "access", f"{key}: statement {index}: {change}")


def _weaker(key: str, statement: dict[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    if statement["Effect"] == "Deny":
        yield "Deny left out", []
        return
    actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
    if key != "assumeRolePolicy":
        yield "Action = *", [{**statement, "Action": "*"}]
        service = actions[0].partition(":")[0]
        yield f"Action = {service}:*", [{**statement, "Action": f"{service}:*"}]
    if "Resource" in statement and "*" not in statement["Resource"]:
        yield "Resource = *", [{**statement, "Resource": "*"}]
    if statement.get("Principal", "*") != "*":
        yield (
            "Principal = *",
            [{key: value for key, value in statement.items() if key != "Condition"} | {"Principal": "*"}],
        )
    if "Condition" in statement:
        yield "Condition left out", [{key: value for key, value in statement.items() if key != "Condition"}]


def _roles(resource: Resource, mutant: Make) -> Iterator[Mutant]:
    if resource.type == "azure-native:authorization:RoleAssignment":
        for name, guid in ROLES.items():
            after = f"{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{guid}"
            yield mutant(("roleDefinitionId",), after, "access", f"the role is {name}")
        yield mutant(("scope",), SUBSCRIPTION, "access", "the scope is the subscription")
    if resource.type == "azure-native:authorization:RoleDefinition":
        yield mutant(("permissions", 0, "actions"), ["*"], "access", "actions = *")
        yield mutant(
            ("permissions", 0, "actions"),
            [
                *value_at(resource.inputs, ("permissions", 0, "actions")),
                "Microsoft.Authorization/roleAssignments/write",
            ],
            "access",
            "it may assign roles",
        )
    if resource.type == "azure-native:cosmosdb:SqlResourceSqlRoleAssignment":
        scope = str(reveal(resource.inputs["scope"]))
        yield mutant(("scope",), scope.partition("/dbs/")[0], "access", "the scope is the whole account")


def _settings(resource: Resource, mutant: Make) -> Iterator[Mutant]:
    for path, value in places(resource.inputs):
        match path[-1], value:
            case "appSettings" | "environmentVariables" | "env", list():
                name, secret = SECRET_SETTING
                yield mutant((*path, len(value)), {"name": name, "value": secret}, "secrets", f"{words(path)}: a key")
            case "variables", dict() if resource.type == "aws:lambda/function:Function":
                yield mutant((*path, "API_TOKEN"), "ghp_" + "a1B2" * 9, "secrets", f"{words(path)}: a token")
            case "imageRegistryCredentials", list():
                for index, entry in enumerate(value):
                    after = {"server": entry["server"], "username": "pull", "password": "c2VjcmV0LXB1bGwtcGFzc3dvcmQ"}
                    yield mutant((*path, index), after, "secrets", f"{words(path)}: a password")
            case "siteConfig", dict():
                cors = {"allowedOrigins": ["*"]}
                yield mutant((*path, "cors"), cors, "exposure", "siteConfig.cors: any origin")


def _images(resource: Resource, mutant: Make) -> Iterator[Mutant]:
    for path, value in places(resource.inputs):
        if path[-1] == "image" and isinstance(value, str) and "@sha256:" in value:
            yield mutant(path, value.partition("@")[0] + ":latest", "supply", f"{words(path)}: the tag latest")
        if path[-1] == "containers" and isinstance(value, list) and "containerinstance" in resource.type:
            for index in range(len(value)):
                place = (*path, index, "securityContext")
                yield mutant(place, {"privileged": True}, "access", f"{words(place)}: privileged")


def _networks(resource: Resource, mutant: Make) -> Iterator[Mutant]:
    if resource.type == "azure-native:network:NetworkSecurityGroup":
        everyone = {
            "name": "anyone",
            "priority": 100,
            "direction": "Inbound",
            "access": "Allow",
            "protocol": "*",
            "sourceAddressPrefix": "*",
            "sourcePortRange": "*",
            "destinationAddressPrefix": "*",
            "destinationPortRange": "*",
        }
        rules = value_at(resource.inputs, ("securityRules",)) or []
        yield mutant(("securityRules",), [*rules, everyone], "exposure", "securityRules: anyone to any port")
    if resource.type == "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule":
        yield mutant(("cidrIpv4",), "0.0.0.0/0", "exposure", "cidrIpv4: anyone")
    if resource.type == "azure-native:cosmosdb:DatabaseAccount":
        yield mutant(("ipRules",), [{"ipAddressOrRange": "0.0.0.0"}], "exposure", "ipRules: all of Azure")
