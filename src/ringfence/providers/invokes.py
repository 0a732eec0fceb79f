"""Answers to functions of provider SDKs, such as `aws.get_caller_identity`.

The order is: the user's answers, built-in answers, a placeholder that has the type of the SDK's result class (with
a note that says so), and unknown. Nothing here raises.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from ringfence.deployment import UNKNOWN, ResourceReference, Secret, contains_unknown, reveal, to_json
from ringfence.providers import azure
from ringfence.providers.aws import ACCOUNT, partition_of, region_of
from ringfence.providers.interface import Answer
from ringfence.providers.outputs import fits
from ringfence.providers.policy_document import PolicyDocumentError, policy_document
from ringfence.providers.sdk_types import (
    EnumType,
    ListType,
    MapType,
    ObjectType,
    PropertyType,
    ScalarType,
    UnionType,
    fields_of,
    method,
    result_class,
)
from ringfence.providers.text import compose, hexadecimal

__all__ = ["answer", "answer_method", "placeholder"]

Function: TypeAlias = Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]
"""A built-in answer: takes the arguments and the inputs of the provider."""

_MAX_DEPTH = 4
_ZONES = 3
"""How many elements a placeholder for a list of the result has: programs most often index zones or subnets."""
_VERSION = re.compile(r"/v\d{8}[a-z]*\Z")
_SECRETIVE = re.compile(r"list\w*(Key|Secret|Credential|ConnectionString|Token|Sas)", re.IGNORECASE)


def answer(
    token: str,
    arguments: Mapping[str, Any],
    provider_inputs: Mapping[str, Any],
    invokes: Mapping[str, Mapping[str, Any]],
) -> Answer:
    """Return the answer to a function.

    `invokes` holds the user's answers by token; the short form `aws:ec2:getAmi` is as good as the full one. What a
    user's answer leaves out is filled in from the built-in answer or the placeholder.
    """
    short = _short(token)
    given = invokes.get(token)
    if given is None:
        given = next((value for key, value in invokes.items() if _short(key) == short), None)
    if contains_unknown(arguments):
        # The engine does not ask a provider with unknown arguments; an answer that the user fixed still holds.
        return Answer(dict(given)) if given is not None else Answer({}, known=False)
    if short == "aws:iam:getPolicyDocument" and given is None:
        return _policy_document(arguments)
    result = result_class(token)
    echoed = _echo(result, arguments) if result is not None else {}
    missing = [name for name in _REQUIRED.get(short, ()) if arguments.get(name) is None]
    if missing and given is None and result is not None:
        value = _placeholder(result, short, echoed, region_of(provider_inputs, arguments), 0)
        return Answer(value, failures=tuple((name, "a required argument that is missing") for name in missing))
    built_in = _BUILT_IN.get(short)
    if built_in is not None:
        guess = _GUESSES.get(short)
        if guess is not None and result is not None:
            echoed = _placeholder(result, short, echoed, region_of(provider_inputs, arguments), 0)
        value = {**echoed, **built_in(arguments, provider_inputs), **(given or {})}
        return Answer(value, _note(token, guess) if guess is not None and given is None else "")
    if result is None:
        if given is not None:
            return Answer(dict(given))
        return Answer({}, _note(token, "its result is unknown"), known=False)
    value = _placeholder(result, short, echoed, region_of(provider_inputs, arguments), 0)
    identity = _azure_id(short, arguments, provider_inputs)
    if identity is not None and "id" in value:
        value["id"] = identity
    if given is not None:
        return Answer({**value, **given})
    return Answer(value, _note(token, "the program got a placeholder of the right type"))


def answer_method(token: str, provider: str | None) -> Answer:
    """Return the answer to a method of a resource; `provider` is the URN of the provider resource that would answer.

    Only the provider knows it. A plain method gets a placeholder of the right type all the same, since the program
    would break on an unknown; a provider among its results is the one that would answer.
    """
    found = method(token)
    if found is None or not found.plain:
        return Answer({}, f"Only the provider knows the result of {token}: it is unknown.", known=False)
    value = _placeholder(found.result, _short(token), {}, None, 0)
    if provider is not None:
        value |= {name: ResourceReference(provider) for name in found.providers}
    note = f"Only the provider knows the result of {token}: the program got a placeholder of the right type."
    return Answer(value, note)


def _note(token: str, what: str) -> str:
    return f'No answer is known for {token}: {what}. Give one under [invokes."{token}"] in ringfence.toml.'


def _short(token: str) -> str:
    """Return a token without the repeated function name and the API version: `aws:ec2:getAmi`."""
    package, _, rest = token.partition(":")
    module, _, function = rest.partition(":")
    module = _VERSION.sub("", module) if package == "azure-native" else module.partition("/")[0]
    return f"{package}:{module}:{function}"


def _policy_document(arguments: Mapping[str, Any]) -> Answer:
    plain, secret = _bare(arguments)
    try:
        value = policy_document(plain)
    except PolicyDocumentError as error:
        return Answer({}, failures=((error.path, "[secret]" if secret else error.reason),))
    except (TypeError, ValueError):  # a value that JSON cannot hold, such as an asset
        return Answer({}, "The policy document could not be computed: it is unknown.", known=False)
    return Answer({key: Secret(item) for key, item in value.items()} if secret else value)


def _bare(value: Any) -> tuple[Any, bool]:
    """Return a value without secret markers at any depth, and whether there were any."""
    if isinstance(value, Secret):
        return _bare(value.value)[0], True
    if isinstance(value, Mapping):
        items = {key: _bare(item) for key, item in value.items()}
        return {key: item for key, (item, _) in items.items()}, any(secret for _, secret in items.values())
    if isinstance(value, list | tuple):
        elements = [_bare(item) for item in value]
        return [item for item, _ in elements], any(secret for _, secret in elements)
    return value, False


def _echo(result: type, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that the result repeats."""
    types = fields_of(result).types
    return {
        name: value
        for name, value in arguments.items()
        if value is not None and name in types and fits(types[name], value)
    }


def _placeholder(result: type, token: str, known: Mapping[str, Any], region: Any, depth: int) -> dict[str, Any]:
    """Return a value of every property of a result class."""
    filled: dict[str, Any] = {}
    for name, kind in fields_of(result).types.items():
        filled[name] = known[name] if name in known else _value(kind, name, token, region, depth)
    return {name: value for name, value in filled.items() if value is not None}


def placeholder(kind: PropertyType, name: str, token: str, region: str) -> Any:
    """Return a known value of a type for the property `name`; None where the type does not tell one."""
    return _value(kind, name, _short(token), region, 0)


def _value(kind: PropertyType, name: str, token: str, region: Any, depth: int) -> Any:
    match kind:
        case ScalarType("string"):
            return _text(name, token, region)
        case ScalarType("boolean"):
            return False
        case ScalarType():
            return 1
        case EnumType(values):
            return values[0] if values else None
        case ListType(item):
            if depth >= _MAX_DEPTH:
                return []
            count = _ZONES if depth == 0 else 1  # nested lists would multiply
            return [_value(item, f"{name}-{index}", token, region, depth + 1) for index in range(count)]
        case MapType():
            return {}
        case ObjectType(cls):
            return _placeholder(cls, token, {}, region, depth + 1) if depth < _MAX_DEPTH else {}
        case UnionType(members):
            return _value(members[0], name, token, region, depth)
        case _:
            return None


def _text(name: str, token: str, region: Any) -> Any:
    package, module, function = token.split(":")
    if package == "aws" and (name == "arn" or name.endswith("Arn")):
        return compose(f"arn:{partition_of(region)[0]}:{module}:{{}}:{ACCOUNT}:placeholder/{function}", region)
    text = f"/placeholder/{name}"
    return Secret(text) if _SECRETIVE.match(function) else text


def _azure_id(token: str, arguments: Mapping[str, Any], provider_inputs: Mapping[str, Any]) -> Any:
    """Return the ARM id that a function such as `getStorageAccount` answers, None where it is not known."""
    package, module, function = token.split(":")
    if package != "azure-native" or not function.startswith("get"):
        return None
    return azure.id_from_parameters(f"{module}:{function[3:]}", arguments, provider_inputs)


# --- AWS ----------------------------------------------------------------------------------------------------------


def _seed(token: str, arguments: Mapping[str, Any]) -> str:
    """Return a text that stands for a call; secrets do not go into it."""
    return token + json.dumps(to_json(arguments), sort_keys=True, default=str)


def _caller_identity(arguments: Mapping[str, Any], provider_inputs: Mapping[str, Any]) -> dict[str, Any]:
    partition, _ = partition_of(region_of(provider_inputs))
    arn = f"arn:{partition}:iam::{ACCOUNT}:user/ringfence"
    return {"accountId": ACCOUNT, "arn": arn, "id": ACCOUNT, "userId": "AIDARINGFENCE2OFFLINE"}


def _get_region(arguments: Mapping[str, Any], provider_inputs: Mapping[str, Any]) -> dict[str, Any]:
    region = arguments.get("region") or arguments.get("name") or region_of(provider_inputs)
    suffix = partition_of(region)[1]
    names = {"id": region, "name": region, "region": region, "description": region}
    return {**names, "endpoint": compose("ec2.{}." + suffix, region)}


def _get_partition(arguments: Mapping[str, Any], provider_inputs: Mapping[str, Any]) -> dict[str, Any]:
    partition, suffix = partition_of(region_of(provider_inputs))
    reverse = ".".join(reversed(suffix.split(".")))
    return {"id": partition, "partition": partition, "dnsSuffix": suffix, "reverseDnsPrefix": reverse}


_DIRECTIONS = (("north", "n"), ("south", "s"), ("east", "e"), ("west", "w"), ("central", "c"), ("gov", "g"))


def _zone_prefix(region: Any) -> Any:
    """Return the beginning of zone ids: `use1` for us-east-1, `apse2` for ap-southeast-2."""
    if not isinstance(region, str):
        return UNKNOWN
    first, _, rest = region.partition("-")
    for word, letter in _DIRECTIONS:
        rest = rest.replace(word, letter)
    return first + rest.replace("-", "")


def _availability_zones(arguments: Mapping[str, Any], provider_inputs: Mapping[str, Any]) -> dict[str, Any]:
    region = region_of(provider_inputs, arguments)
    prefix = _zone_prefix(reveal(region))
    names = [compose("{}" + letter, region) for letter in "abc"]
    ids = [compose("{}-az{}", prefix, str(number)) for number in (1, 2, 3)]
    excluded = [reveal(arguments.get(key)) for key in ("excludeNames", "excludeZoneIds")]
    left_out = [item for items in excluded if isinstance(items, list) for item in items]
    pairs = [pair for pair in zip(names, ids, strict=True) if pair[0] not in left_out and pair[1] not in left_out]
    return {
        "id": region,
        "region": region,
        "groupNames": [region],
        "names": [name for name, _ in pairs],
        "zoneIds": [zone for _, zone in pairs],
    }


def _ami(arguments: Mapping[str, Any], provider_inputs: Mapping[str, Any]) -> dict[str, Any]:
    region = region_of(provider_inputs, arguments)
    image = f"ami-{hexadecimal(_seed('getAmi', arguments), 17)}"
    arn = compose(f"arn:{partition_of(region)[0]}:ec2:{{}}::image/{image}", region)
    return {"id": image, "imageId": image, "arn": arn, "region": region, "state": "available", "imageType": "machine"}


def _ami_ids(arguments: Mapping[str, Any], provider_inputs: Mapping[str, Any]) -> dict[str, Any]:
    seed = _seed("getAmiIds", arguments)
    return {"id": hexadecimal(seed, 10), "ids": [f"ami-{hexadecimal(seed, 17)}"]}


def _ssm_parameter(arguments: Mapping[str, Any], provider_inputs: Mapping[str, Any]) -> dict[str, Any]:
    region = region_of(provider_inputs, arguments)
    name = arguments.get("name")
    plain = reveal(name)
    resource = name if isinstance(plain, str) and plain.startswith("/") else compose("/{}", name)
    arn = compose(f"arn:{partition_of(region)[0]}:ssm:{{}}:{ACCOUNT}:parameter{{}}", region, resource)
    value = Secret("placeholder")
    return {
        "arn": arn,
        "id": name,
        "name": name,
        "region": region,
        "type": "String",
        "value": value,
        "insecureValue": value,
        "version": 1,
    }


def _get_arn(arguments: Mapping[str, Any], provider_inputs: Mapping[str, Any]) -> dict[str, Any]:
    arn = arguments.get("arn")
    parts = reveal(arn).split(":", 5) if isinstance(reveal(arn), str) else []
    if len(parts) != 6:
        return dict.fromkeys(("partition", "service", "region", "account", "resource"), UNKNOWN)
    names = ("partition", "service", "region", "account", "resource")
    values = [Secret(part) if isinstance(arn, Secret) else part for part in parts[1:]]
    return {"arn": arn, "id": arn, **dict(zip(names, values, strict=True))}


# --- Azure --------------------------------------------------------------------------------------------------------


def _key(seed: str, length: int = 64) -> Secret:
    """Return a well-formed access key: base64 of `length` bytes that are the same in every run."""
    return Secret(base64.b64encode(hashlib.sha512(seed.encode()).digest()[:length]).decode())


def _client_config(arguments: Mapping[str, Any], provider_inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "clientId": provider_inputs.get("clientId") or "00000000-0000-4000-8000-000000000003",
        "objectId": "00000000-0000-4000-8000-000000000004",
        "subscriptionId": provider_inputs.get("subscriptionId") or azure.SUBSCRIPTION,
        "tenantId": provider_inputs.get("tenantId") or azure.TENANT,
    }


def _client_token(arguments: Mapping[str, Any], provider_inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"token": _key("getClientToken", 32)}


def _storage_keys(arguments: Mapping[str, Any], provider_inputs: Mapping[str, Any]) -> dict[str, Any]:
    seed = _seed("listStorageAccountKeys", arguments)
    created = "2024-01-01T00:00:00.0000000Z"
    return {
        "keys": [
            {"creationTime": created, "keyName": name, "permissions": "FULL", "value": _key(seed + name)}
            for name in ("key1", "key2")
        ]
    }


def _cosmos_keys(arguments: Mapping[str, Any], provider_inputs: Mapping[str, Any]) -> dict[str, Any]:
    seed = _seed("listDatabaseAccountKeys", arguments)
    names = ("primaryMasterKey", "primaryReadonlyMasterKey", "secondaryMasterKey", "secondaryReadonlyMasterKey")
    return {name: _key(seed + name) for name in names}


def _cosmos_connections(arguments: Mapping[str, Any], provider_inputs: Mapping[str, Any]) -> dict[str, Any]:
    keys = _cosmos_keys(arguments, provider_inputs)
    kinds = {
        "primaryMasterKey": ("Primary", "Primary SQL Connection String"),
        "secondaryMasterKey": ("Secondary", "Secondary SQL Connection String"),
        "primaryReadonlyMasterKey": ("PrimaryReadonly", "Primary Read-Only SQL Connection String"),
        "secondaryReadonlyMasterKey": ("SecondaryReadonly", "Secondary Read-Only SQL Connection String"),
    }
    template = "AccountEndpoint=https://{}.documents.azure.com:443/;AccountKey={};"
    account = arguments.get("accountName")
    return {
        "connectionStrings": [
            {
                "connectionString": compose(template, account, keys[name]),
                "description": description,
                "keyKind": kind,
                "type": "Sql",
            }
            for name, (kind, description) in kinds.items()
        ]
    }


def _bus_keys(entity: str = "") -> Function:
    """Return the answer of a list-keys function of Service Bus or Event Hubs; `entity` names its argument."""

    def function(arguments: Mapping[str, Any], provider_inputs: Mapping[str, Any]) -> dict[str, Any]:
        rule, namespace = arguments.get("authorizationRuleName"), arguments.get("namespaceName")
        template = "Endpoint=sb://{}.servicebus.windows.net/;SharedAccessKeyName={};SharedAccessKey={}"
        result: dict[str, Any] = {"keyName": rule}
        for which in ("primary", "secondary"):
            key = _key(_seed(f"bus-{which}", arguments), 32)
            connection = compose(template, namespace, rule, key)
            if entity:
                connection = compose("{};EntityPath={}", connection, arguments.get(entity))
            result |= {f"{which}Key": key, f"{which}ConnectionString": connection}
        return result

    return function


def _host_keys(arguments: Mapping[str, Any], provider_inputs: Mapping[str, Any]) -> dict[str, Any]:
    seed = _seed("listWebAppHostKeys", arguments)
    default = {"default": _key(f"{seed}default", 40)}
    return {"masterKey": _key(f"{seed}master", 40), "functionKeys": default, "systemKeys": {}}


def _registry_credentials(arguments: Mapping[str, Any], provider_inputs: Mapping[str, Any]) -> dict[str, Any]:
    seed = _seed("listRegistryCredentials", arguments)
    passwords = [{"name": name, "value": _key(seed + name, 36)} for name in ("password", "password2")]
    return {"username": arguments.get("registryName"), "passwords": passwords}


def _shared_keys(arguments: Mapping[str, Any], provider_inputs: Mapping[str, Any]) -> dict[str, Any]:
    seed = _seed("getSharedKeys", arguments)
    return {name: _key(seed + name) for name in ("primarySharedKey", "secondarySharedKey")}


_BUILT_IN: dict[str, Function] = {
    "aws:ec2:getAmi": _ami,
    "aws:ec2:getAmiIds": _ami_ids,
    "aws:index:getAmi": _ami,
    "aws:index:getAmiIds": _ami_ids,
    "aws:index:getArn": _get_arn,
    "aws:index:getAvailabilityZones": _availability_zones,
    "aws:index:getCallerIdentity": _caller_identity,
    "aws:index:getPartition": _get_partition,
    "aws:index:getRegion": _get_region,
    "aws:ssm:getParameter": _ssm_parameter,
    "azure-native:authorization:getClientConfig": _client_config,
    "azure-native:authorization:getClientToken": _client_token,
    "azure-native:containerregistry:listRegistryCredentials": _registry_credentials,
    "azure-native:cosmosdb:listDatabaseAccountConnectionStrings": _cosmos_connections,
    "azure-native:cosmosdb:listDatabaseAccountKeys": _cosmos_keys,
    "azure-native:documentdb:listDatabaseAccountKeys": _cosmos_keys,
    "azure-native:eventhub:listEventHubKeys": _bus_keys("eventHubName"),
    "azure-native:eventhub:listNamespaceKeys": _bus_keys(),
    "azure-native:operationalinsights:getSharedKeys": _shared_keys,
    "azure-native:operationalinsights:getWorkspaceSharedKeys": _shared_keys,
    "azure-native:servicebus:listNamespaceKeys": _bus_keys(),
    "azure-native:servicebus:listQueueKeys": _bus_keys("queueName"),
    "azure-native:servicebus:listTopicKeys": _bus_keys("topicName"),
    "azure-native:storage:listStorageAccountKeys": _storage_keys,
    "azure-native:web:listWebAppHostKeys": _host_keys,
}

_REQUIRED = {
    f"azure-native:{function}": ("authorizationRuleName",)
    for function in (
        "eventhub:listEventHubKeys",
        "eventhub:listNamespaceKeys",
        "servicebus:listNamespaceKeys",
        "servicebus:listQueueKeys",
        "servicebus:listTopicKeys",
    )
}
"""Arguments that the SDK does not tell are required, and without which the answer would mean nothing: keys belong to an
authorization rule, whose name is in the request's path (learn.microsoft.com/rest/api/servicebus, List Keys)."""

_GUESSES = {
    "aws:ec2:getAmi": "the image id is made up",
    "aws:ec2:getAmiIds": "the image id is made up",
    "aws:index:getAmi": "the image id is made up",
    "aws:index:getAmiIds": "the image id is made up",
    "aws:ssm:getParameter": "the value is a placeholder",
}
"""Built-in answers that the user should know of."""
