"""What Azure Resource Manager gives back for azure-native types: ids, names, endpoints and identities.

Sources: the resource paths of the Azure REST API reference, and the naming rules of pulumi-azure-native (a
resource directly in a resource group gets a random suffix, a child keeps its logical name, role assignments and
definitions get a UUID).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from ringfence.deployment import UNKNOWN, Secret, Unknown, reveal
from ringfence.providers.arm_paths import PATHS
from ringfence.providers.interface import Registration
from ringfence.providers.sdk_types import ObjectType, ResourceTypes, fields_of
from ringfence.providers.text import compose, digest, hexadecimal

__all__ = ["SUBSCRIPTION", "TENANT", "create", "id_from_parameters", "short_token"]

SUBSCRIPTION = "00000000-0000-4000-8000-000000000001"
TENANT = "00000000-0000-4000-8000-000000000002"

_UUID_NAMED = frozenset(
    {
        "authorization:RoleAssignment",
        "authorization:RoleDefinition",
        "cosmosdb:SqlResourceSqlRoleAssignment",
        "cosmosdb:SqlResourceSqlRoleDefinition",
    }
)
_VERSION = re.compile(r"/v\d{8}[a-z]*\Z")
_PARAMETER = re.compile(r"\{(\w+)\}")
_GROUP = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/"


def short_token(token: str) -> str:
    """Return a token without its package and API version: `storage:StorageAccount`."""
    _, module, name = token.split(":", 2)
    return f"{_VERSION.sub('', module)}:{name}"


def _name_of_id(arm_id: str) -> str:
    """Return the last segment of an ARM id, which is the resource's name."""
    return arm_id.rstrip("/").rpartition("/")[2]


def create(
    registration: Registration, types: ResourceTypes | None, echoed: Mapping[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Return the id of a resource and the outputs that can be told besides its echoed inputs."""
    token = short_token(registration.type)
    inputs = registration.inputs
    path = PATHS.get(token)
    template = path or _derived_path(token, types)
    parameters = _PARAMETER.findall(template)
    own = parameters[-1]
    if registration.import_id:
        arm_id: Any = registration.import_id
        name: Any = _name_of_id(registration.import_id)
    else:
        name = inputs.get(own)
        if name is None:
            name = _automatic_name(token, template, registration)
        parts = {**{parameter: inputs.get(parameter) for parameter in parameters}, own: name}
        parts["resourceGroupName"] = name if own == "resourceGroupName" else inputs.get("resourceGroupName")
        parts["subscriptionId"] = registration.provider_inputs.get("subscriptionId") or SUBSCRIPTION
        full = template if template[0] in "/{" else _GROUP + template
        arm_id = _path(full, parts)
    outputs: dict[str, Any] = {"name": name}
    if path is not None:
        outputs["type"] = _arm_type(path)
    if not registration.import_id or "location" in inputs:
        location = inputs.get("location") or registration.provider_inputs.get("location") or UNKNOWN
        outputs["location"] = location
    facts = _FACTS.get(token)
    if facts is not None:
        outputs |= facts(Facts(registration, types, name, outputs.get("location", UNKNOWN), echoed))
    if not registration.import_id and types is not None and _has_principal(types):
        identity = _identity(inputs.get("identity"), registration)
        if identity is not None:
            outputs["identity"] = identity
    return (UNKNOWN if isinstance(arm_id, Secret) else arm_id), outputs


def id_from_parameters(token: str, parameters: Mapping[str, Any], provider_inputs: Mapping[str, Any]) -> Any:
    """Return the ARM id for a token without the package and all parameters; None for types not in the table."""
    path = PATHS.get(token)
    if path is None:
        return None
    subscription = provider_inputs.get("subscriptionId") or SUBSCRIPTION
    full = path if path[0] in "/{" else _GROUP + path
    return _path(full, {"subscriptionId": subscription, **parameters})


def _path(template: str, parts: Mapping[str, Any]) -> Any:
    names = _PARAMETER.findall(template)
    return compose(_PARAMETER.sub("{}", template), *(parts.get(name) for name in names))


def _automatic_name(token: str, template: str, registration: Registration) -> str:
    """Return the name that pulumi-azure-native gives where the program gives none."""
    name, suffix = registration.name, hexadecimal(registration.urn, 8)
    if token in _UUID_NAMED:
        return identifier(registration, "name")
    if token == "storage:StorageAccount":
        # Storage accounts allow 3 to 24 lower-case letters and digits.
        return re.sub(r"[^a-z0-9]", "", name.lower())[: 24 - len(suffix)] + suffix
    own_path = template.partition("/providers/")[2] or template.rpartition("{subscriptionId}")[2]
    return name if own_path.count("{") > 1 else name + suffix


def _arm_type(path: str) -> str:
    """Return the resource type of an ARM path, for example `Microsoft.Storage/storageAccounts`."""
    namespace, *segments = path.rpartition("/providers/")[2].strip("/").split("/")
    if namespace == "subscriptions":
        return "Microsoft.Resources/resourceGroups"
    return "/".join([namespace, *segments[::2]])


def _derived_path(token: str, types: ResourceTypes | None) -> str:
    """Return a path for a type that the table lacks.

    It is `Microsoft.<module>/<class in the plural>/<name>`, with the other required inputs that end in `Name` as
    parents in the order of the SDK's signature. Such an id is well formed; its spelling is a guess, so the
    output `type` stays unknown for these types.
    """
    module, cls = token.split(":")
    plural = cls[:1].lower() + cls[1:] + ("es" if cls.endswith("s") else "s")
    fields = types.inputs if types is not None else None
    required = [name for name in fields.types if name in fields.required] if fields is not None else []
    parents = [name for name in required if name.endswith("Name") and name != "resourceGroupName"]
    optional = [name for name in fields.types if name not in fields.required] if fields is not None else []
    own = cls[:1].lower() + cls[1:] + "Name"
    named = [name for name in optional if name.endswith("Name") and own.lower().endswith(name.lower())]
    middle = "".join(f"/{parent.removesuffix('Name')}s/{{{parent}}}" for parent in parents)
    name = next(iter(named), "name" if "name" in optional else own)
    grouped = fields is None or "resourceGroupName" in fields.types
    scope = "" if grouped else "/subscriptions/{subscriptionId}/providers/"
    return f"{scope}Microsoft.{module.capitalize()}{middle}/{plural}/{{{name}}}"


def identifier(registration: Registration, purpose: str) -> str:
    """Return a stable UUID for a resource and a purpose."""
    return str(uuid.UUID(bytes=digest(f"{registration.urn}#{purpose}")[:16], version=4))


def _has_principal(types: ResourceTypes) -> bool:
    kind = types.outputs.get("identity")
    return isinstance(kind, ObjectType) and "principalId" in fields_of(kind.cls).types


def _identity(value: Any, registration: Registration) -> Any:
    """Return the identity of a resource with what the service adds, None where it has none."""
    secret, identity = isinstance(value, Secret), reveal(value)
    if isinstance(identity, Unknown):
        return UNKNOWN
    if not isinstance(identity, Mapping):
        return None
    kind = reveal(identity.get("type"))
    result: dict[str, Any] = {"type": kind} if kind is not None else {}
    if isinstance(kind, str) and "systemassigned" in kind.lower():
        result["principalId"] = identifier(registration, "principal")
        result["tenantId"] = registration.provider_inputs.get("tenantId") or TENANT
    elif isinstance(kind, Unknown):
        result["principalId"] = result["tenantId"] = UNKNOWN
    assigned = reveal(identity.get("userAssignedIdentities"))
    if isinstance(assigned, Unknown):
        result["userAssignedIdentities"] = UNKNOWN
    elif isinstance(assigned, list | tuple | Mapping) and assigned:
        # The program lists ids; the service answers an object by id with the identity's own ids.
        names = [reveal(item) for item in assigned]
        known = all(isinstance(name, str) for name in names)
        unknown = {"clientId": UNKNOWN, "principalId": UNKNOWN}
        result["userAssignedIdentities"] = {name: dict(unknown) for name in names} if known else UNKNOWN
    return Secret(result) if secret else result


class Facts:
    """What the facts of a type are computed from."""

    __slots__ = ("echoed", "inputs", "location", "name", "registration", "types")

    def __init__(
        self,
        registration: Registration,
        types: ResourceTypes | None,
        name: Any,
        location: Any,
        echoed: Mapping[str, Any],
    ) -> None:
        self.registration = registration
        self.inputs = registration.inputs
        self.types = types
        self.name = name
        self.location = location
        self.echoed = echoed

    def uuid(self, purpose: str) -> Any:
        """Return a stable UUID; unknown for a resource that exists, whose own we cannot know."""
        return UNKNOWN if self.registration.import_id else identifier(self.registration, purpose)

    def extended(self, key: str, more: Mapping[str, Any]) -> Any:
        """Return an echoed object with properties that the service adds."""
        value = self.echoed.get(key)
        if value is None:
            kind = self.types.outputs.get(key) if self.types is not None else None
            value = dict.fromkeys(fields_of(kind.cls).types, UNKNOWN) if isinstance(kind, ObjectType) else UNKNOWN
        inner = reveal(value)
        if not isinstance(inner, Mapping):
            return value
        merged = {**inner, **more}
        return Secret(merged) if isinstance(value, Secret) else merged


def _lower(name: Any) -> Any:
    if isinstance(name, Secret):
        return Secret(_lower(name.value))
    return name.lower() if isinstance(name, str) else name


def _storage(f: Facts) -> dict[str, Any]:
    services = ("blob", "dfs", "file", "queue", "table")
    endpoints = {service: compose(f"https://{{}}.{service}.core.windows.net/", f.name) for service in services}
    # The zone of a static website's host name is not known beforehand; z13 is that of East US.
    endpoints["web"] = compose("https://{}.z13.web.core.windows.net/", f.name)
    return {"primaryEndpoints": endpoints, "primaryLocation": f.location}


def _blob(f: Facts) -> dict[str, Any]:
    account, container = f.inputs.get("accountName"), f.inputs.get("containerName")
    return {"url": compose("https://{}.blob.core.windows.net/{}/{}", account, container, f.name)}


def _web_app(f: Facts) -> dict[str, Any]:
    host = compose("{}.azurewebsites.net", _lower(f.name))
    return {"defaultHostName": host, "hostNames": [host], "repositorySiteName": f.name}


def _bus(f: Facts) -> dict[str, Any]:
    return {"serviceBusEndpoint": compose("https://{}.servicebus.windows.net:443/", f.name)}


def _vault(f: Facts) -> dict[str, Any]:
    return {"properties": f.extended("properties", {"vaultUri": compose("https://{}.vault.azure.net/", f.name)})}


def _vault_child(kind: str) -> Callable[[Facts], dict[str, Any]]:
    def facts(f: Facts) -> dict[str, Any]:
        uri = compose(f"https://{{}}.vault.azure.net/{kind}s/{{}}", f.inputs.get("vaultName"), f.name)
        version = UNKNOWN if f.registration.import_id else hexadecimal(f.registration.urn, 32)
        uris = {f"{kind}Uri": uri, f"{kind}UriWithVersion": compose("{}/{}", uri, version)}
        # A secret has these under its properties, a key beside them.
        return {"properties": f.extended("properties", uris)} if kind == "secret" else uris

    return facts


def _component(f: Facts) -> dict[str, Any]:
    key, app = f.uuid("instrumentation"), f.uuid("application")
    text = "InstrumentationKey={};IngestionEndpoint=https://{}.in.applicationinsights.azure.com/;ApplicationId={}"
    connection = compose(text, key, f.location, app)
    return {
        "appId": app,
        "applicationId": f.name,
        "connectionString": connection,
        "instrumentationKey": key,
        "tenantId": f.registration.provider_inputs.get("tenantId") or TENANT,
    }


def _user_identity(f: Facts) -> dict[str, Any]:
    tenant = f.registration.provider_inputs.get("tenantId") or TENANT
    return {"clientId": f.uuid("client"), "principalId": f.uuid("principal"), "tenantId": tenant}


def _online_endpoint(f: Facts) -> dict[str, Any]:
    host = compose("https://{}.{}.inference.ml.azure.com", f.name, f.location)
    more = {"scoringUri": compose("{}/score", host), "swaggerUri": compose("{}/swagger.json", host)}
    return {"properties": f.extended("properties", more)}


def _one(output: str, template: str) -> Callable[[Facts], dict[str, Any]]:
    """Return the facts of a type with one output that is made from the name."""
    return lambda f: {output: compose(template, _lower(f.name))}


_FACTS: dict[str, Callable[[Facts], dict[str, Any]]] = {
    "appconfiguration:ConfigurationStore": _one("endpoint", "https://{}.azconfig.io"),
    "applicationinsights:Component": _component,
    "containerregistry:Registry": _one("loginServer", "{}.azurecr.io"),
    "cosmosdb:DatabaseAccount": _one("documentEndpoint", "https://{}.documents.azure.com:443/"),
    "dbforpostgresql:Server": _one("fullyQualifiedDomainName", "{}.postgres.database.azure.com"),
    "eventhub:Namespace": _bus,
    "keyvault:Key": _vault_child("key"),
    "keyvault:Secret": _vault_child("secret"),
    "keyvault:Vault": _vault,
    "machinelearningservices:OnlineEndpoint": _online_endpoint,
    "machinelearningservices:Workspace": lambda f: {"workspaceId": f.uuid("workspace")},
    "managedidentity:UserAssignedIdentity": _user_identity,
    "operationalinsights:Workspace": lambda f: {"customerId": f.uuid("customer")},
    "redis:Redis": _one("hostName", "{}.redis.cache.windows.net"),
    "search:Service": _one("endpoint", "https://{}.search.windows.net"),
    "servicebus:Namespace": _bus,
    "sql:Server": _one("fullyQualifiedDomainName", "{}.database.windows.net"),
    "storage:Blob": _blob,
    "storage:StorageAccount": _storage,
    "web:WebApp": _web_app,
}
