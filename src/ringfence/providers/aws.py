"""What AWS gives back for the types of pulumi-aws: ids, ARNs, names and endpoints.

Sources: the Service Authorization Reference of AWS for the ARN formats, the import sections in the documentation
of pulumi-aws for the ids, and its naming rule (logical name, a dash and seven hexadecimal digits).
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from string import Formatter
from typing import Any

from ringfence.deployment import UNKNOWN, Secret, Unknown, reveal
from ringfence.providers.interface import Registration
from ringfence.providers.sdk_types import ResourceTypes
from ringfence.providers.text import compose, digest, hexadecimal

__all__ = ["ACCOUNT", "DEFAULT_REGION", "create", "partition_of", "region_of"]

ACCOUNT = "123456789012"
DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True, eq=False, slots=True)
class AwsType:
    """How the ids of a type look. Names in braces are those of `_Values.get`, else inputs."""

    arn: str = ""
    """ARN from the service on, empty where the type has none."""
    id: str = "{name}"
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Further outputs by wire name."""
    name: str = "name"
    """The input that holds the name."""


def _ec2(kind: str, prefix: str) -> AwsType:
    return AwsType(f"ec2:{{region}}:{{account}}:{kind}/{{id}}", f"{prefix}-{{hex17}}", {"ownerId": "{account}"})


def _of_bucket() -> AwsType:
    return AwsType(id="{bucket}")


_FUNCTION_PATH = "arn:{partition}:apigateway:{region}:lambda:path/2015-03-31/functions/{arn}/invocations"

TYPES = {
    "apigateway/restApi:RestApi": AwsType(
        "apigateway:{region}::/restapis/{id}",
        "{hex10}",
        {"executionArn": "arn:{partition}:execute-api:{region}:{account}:{id}"},
    ),
    "apigatewayv2/api:Api": AwsType(
        "apigateway:{region}::/apis/{id}",
        "{hex10}",
        {
            "apiEndpoint": "https://{id}.execute-api.{region}.{suffix}",
            "executionArn": "arn:{partition}:execute-api:{region}:{account}:{id}",
        },
    ),
    "appautoscaling/target:Target": AwsType(id="{resourceId}"),
    "cloudwatch/eventBus:EventBus": AwsType("events:{region}:{account}:event-bus/{name}"),
    "cloudwatch/eventRule:EventRule": AwsType("events:{region}:{account}:rule/{rule}"),
    "cloudwatch/logGroup:LogGroup": AwsType("logs:{region}:{account}:log-group:{name}"),
    "cloudwatch/metricAlarm:MetricAlarm": AwsType("cloudwatch:{region}:{account}:alarm:{name}"),
    "dynamodb/table:Table": AwsType("dynamodb:{region}:{account}:table/{name}"),
    "ec2/instance:Instance": AwsType("ec2:{region}:{account}:instance/{id}", "i-{hex17}"),
    "ec2/internetGateway:InternetGateway": _ec2("internet-gateway", "igw"),
    "ec2/natGateway:NatGateway": AwsType(id="nat-{hex17}"),
    "ec2/routeTable:RouteTable": _ec2("route-table", "rtb"),
    "ec2/securityGroup:SecurityGroup": _ec2("security-group", "sg"),
    "ec2/subnet:Subnet": _ec2("subnet", "subnet"),
    "ec2/vpc:Vpc": _ec2("vpc", "vpc"),
    "ec2/vpcEndpoint:VpcEndpoint": _ec2("vpc-endpoint", "vpce"),
    "ecr/repository:Repository": AwsType(
        "ecr:{region}:{account}:repository/{name}",
        outputs={"registryId": "{account}", "repositoryUrl": "{account}.dkr.ecr.{region}.{suffix}/{name}"},
    ),
    "ecs/cluster:Cluster": AwsType("ecs:{region}:{account}:cluster/{name}", "{arn}"),
    "ecs/taskDefinition:TaskDefinition": AwsType(
        "ecs:{region}:{account}:task-definition/{name}:1", "{name}", name="family"
    ),
    "eks/cluster:Cluster": AwsType("eks:{region}:{account}:cluster/{name}"),
    "iam/group:Group": AwsType("iam::{account}:group{path}{name}"),
    "iam/instanceProfile:InstanceProfile": AwsType("iam::{account}:instance-profile{path}{name}"),
    "iam/openIdConnectProvider:OpenIdConnectProvider": AwsType("iam::{account}:oidc-provider/{issuer}", "{arn}"),
    "iam/policy:Policy": AwsType("iam::{account}:policy{path}{name}", "{arn}", {"policyId": "ANPA{base17}"}),
    "iam/role:Role": AwsType("iam::{account}:role{path}{name}", outputs={"uniqueId": "AROA{base17}"}),
    "iam/rolePolicy:RolePolicy": AwsType(id="{role}:{name}"),
    "iam/rolePolicyAttachment:RolePolicyAttachment": AwsType(id="{role}/{policyArn}"),
    "iam/user:User": AwsType("iam::{account}:user{path}{name}", outputs={"uniqueId": "AIDA{base17}"}),
    "kinesis/stream:Stream": AwsType("kinesis:{region}:{account}:stream/{name}", "{arn}"),
    "kms/alias:Alias": AwsType("kms:{region}:{account}:{name}"),
    "kms/key:Key": AwsType("kms:{region}:{account}:key/{id}", "{uuid}", {"keyId": "{id}"}),
    "lambda/alias:Alias": AwsType(
        "lambda:{region}:{account}:function:{functionName}:{name}", "{arn}", {"invokeArn": _FUNCTION_PATH}
    ),
    "lambda/eventSourceMapping:EventSourceMapping": AwsType(
        "lambda:{region}:{account}:event-source-mapping:{id}",
        "{uuid}",
        {"functionArn": "arn:{partition}:lambda:{region}:{account}:function:{functionName}", "uuid": "{id}"},
    ),
    "lambda/function:Function": AwsType(
        "lambda:{region}:{account}:function:{name}", outputs={"invokeArn": _FUNCTION_PATH}
    ),
    "lambda/functionUrl:FunctionUrl": AwsType(
        id="{functionName}",
        outputs={
            "functionArn": "arn:{partition}:lambda:{region}:{account}:function:{functionName}",
            "functionUrl": "https://{hex32}.lambda-url.{region}.on.aws/",
            "urlId": "{hex32}",
        },
    ),
    "lambda/layerVersion:LayerVersion": AwsType(
        "lambda:{region}:{account}:layer:{name}:1",
        "{arn}",
        {"layerArn": "arn:{partition}:lambda:{region}:{account}:layer:{name}", "version": "1"},
        name="layerName",
    ),
    "lambda/permission:Permission": AwsType(name="statementId"),
    "lb/loadBalancer:LoadBalancer": AwsType(
        "elasticloadbalancing:{region}:{account}:loadbalancer/{balancer}/{name}/{hex16}", "{arn}"
    ),
    "lb/targetGroup:TargetGroup": AwsType(
        "elasticloadbalancing:{region}:{account}:targetgroup/{name}/{hex16}", "{arn}"
    ),
    "rds/instance:Instance": AwsType("rds:{region}:{account}:db:{name}", "db-{hex17}", name="identifier"),
    "s3/bucket:Bucket": AwsType(
        "s3:::{name}",
        outputs={
            "bucketDomainName": "{name}.s3.{suffix}",
            "bucketRegion": "{region}",
            "bucketRegionalDomainName": "{name}.s3.{region}.{suffix}",
        },
        name="bucket",
    ),
    "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _of_bucket(),
    "s3/bucketObject:BucketObject": AwsType("s3:::{bucket}/{name}", name="key"),
    "s3/bucketObjectv2:BucketObjectv2": AwsType("s3:::{bucket}/{name}", name="key"),
    "s3/bucketPolicy:BucketPolicy": _of_bucket(),
    "s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _of_bucket(),
    "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _of_bucket(),
    "s3/bucketVersioning:BucketVersioning": _of_bucket(),
    "sagemaker/endpoint:Endpoint": AwsType("sagemaker:{region}:{account}:endpoint/{lower}"),
    "sagemaker/endpointConfiguration:EndpointConfiguration": AwsType(
        "sagemaker:{region}:{account}:endpoint-config/{lower}"
    ),
    "sagemaker/model:Model": AwsType("sagemaker:{region}:{account}:model/{lower}"),
    "scheduler/schedule:Schedule": AwsType(
        "scheduler:{region}:{account}:schedule/{groupName}/{name}", "{groupName}/{name}"
    ),
    "secretsmanager/secret:Secret": AwsType("secretsmanager:{region}:{account}:secret:{name}-{hex6}", "{arn}"),
    "secretsmanager/secretVersion:SecretVersion": AwsType(
        id="{secretId}|{uuid}", outputs={"arn": "{secretId}", "secretArn": "{secretId}", "versionId": "{uuid}"}
    ),
    "sfn/stateMachine:StateMachine": AwsType("states:{region}:{account}:stateMachine:{name}", "{arn}"),
    "sns/topic:Topic": AwsType("sns:{region}:{account}:{name}", "{arn}", {"owner": "{account}"}),
    "sns/topicSubscription:TopicSubscription": AwsType(
        id="{topic}:{uuid}", outputs={"arn": "{topic}:{uuid}", "ownerId": "{account}"}
    ),
    "sqs/queue:Queue": AwsType(
        "sqs:{region}:{account}:{name}",
        "https://sqs.{region}.{suffix}/{account}/{name}",
        {"url": "{id}"},
    ),
    "sqs/queuePolicy:QueuePolicy": AwsType(id="{queueUrl}"),
    "sqs/redriveAllowPolicy:RedriveAllowPolicy": AwsType(id="{queueUrl}"),
    "sqs/redrivePolicy:RedrivePolicy": AwsType(id="{queueUrl}"),
    "ssm/parameter:Parameter": AwsType("ssm:{region}:{account}:parameter{slashed}"),
}
"""Types by token without the package. Types that are not here have a name for an id and an unknown ARN."""

_UNLISTED = AwsType()
_DEFAULTS = {"path": "/", "groupName": "default"}
_LOWER_CASE_NAMES = frozenset({"ecr/repository:Repository", "rds/instance:Instance", "s3/bucket:Bucket"})
_SAME = {
    "s3/bucketV2:BucketV2": "s3/bucket:Bucket",
    "alb/loadBalancer:LoadBalancer": "lb/loadBalancer:LoadBalancer",
    "alb/targetGroup:TargetGroup": "lb/targetGroup:TargetGroup",
}
_FIFO = {"sqs/queue:Queue": "fifoQueue", "sns/topic:Topic": "fifoTopic"}
_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def region_of(provider_inputs: Mapping[str, Any], inputs: Mapping[str, Any] | None = None) -> Any:
    """Return the region of a resource or a function call: its own, that of the provider, or us-east-1."""
    return (inputs or {}).get("region") or provider_inputs.get("region") or DEFAULT_REGION


def partition_of(region: Any) -> tuple[str, str]:
    """Return the partition of a region and the DNS suffix of its services."""
    text = reveal(region)
    if isinstance(text, str) and text.startswith("cn-"):
        return "aws-cn", "amazonaws.com.cn"
    if isinstance(text, str) and text.startswith("us-gov-"):
        return "aws-us-gov", "amazonaws.com"
    return "aws", "amazonaws.com"


def create(
    registration: Registration, types: ResourceTypes | None, echoed: Mapping[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Return the id of a resource and the outputs that can be told besides its echoed inputs."""
    token = registration.type.partition(":")[2]
    token = _SAME.get(token, token)
    kind = TYPES.get(token, _UNLISTED)
    known = types.outputs if types is not None else {}
    values = _Values(registration, token, kind, has_name=kind.name in known or not known)
    outputs: dict[str, Any] = {}
    for name, value in (("arn", values.get("arn")), (kind.name, values.get("name")), ("region", values.region)):
        if name in known and name not in registration.inputs:
            outputs[name] = value
    outputs |= {name: _fill(template, values) for name, template in kind.outputs.items()}
    if "tagsAll" in known and not registration.import_id:
        outputs["tagsAll"] = _all_tags(registration)
    if token == "lambda/function:Function":
        outputs |= _lambda_versions(registration, values)
    elif token == "dynamodb/table:Table" and registration.inputs.get("streamEnabled") is True:
        label = "2024-01-01T00:00:00.000"
        outputs |= {"streamArn": compose("{}/stream/{}", values.get("arn"), label), "streamLabel": label}
    identity = values.get("id")
    return (UNKNOWN if isinstance(identity, Secret) else identity), outputs


class _Values:
    """The values that templates name, computed when they are asked for."""

    __slots__ = ("_known", "_registration", "_token", "_type", "region")

    def __init__(self, registration: Registration, token: str, kind: AwsType, has_name: bool) -> None:
        self._registration = registration
        self._token = token
        self._type = kind
        self.region = region_of(registration.provider_inputs, registration.inputs)
        partition, suffix = partition_of(self.region)
        self._known: dict[str, Any] = {
            "account": ACCOUNT,
            "partition": partition,
            "region": self.region,
            "suffix": suffix,
        }
        if registration.import_id:
            self._known |= {"id": registration.import_id, **_parts_of(registration.import_id, kind)}
            self.region = self._known["region"]
            if registration.import_id.startswith("arn:") and kind.id == "{arn}":
                self._known["arn"] = registration.import_id
        else:
            self._known["name"] = self._name() if has_name else UNKNOWN

    def get(self, name: str) -> Any:
        """Return a value by name, unknown where it cannot be told."""
        if name not in self._known:
            self._known[name] = self._compute(name)
        return self._known[name]

    def _compute(self, name: str) -> Any:
        urn = self._registration.urn
        match name:
            case "arn":
                return _fill("arn:{partition}:" + self._type.arn, self) if self._type.arn else UNKNOWN
            case "id":
                if self._type is _UNLISTED and isinstance(self.get("name"), Unknown):
                    return f"{self._registration.name}-{hexadecimal(urn, 7)}"
                return _fill(self._type.id, self)
            case "lower":
                name_value = self.get("name")
                return name_value.lower() if isinstance(name_value, str) else name_value
            case "slashed":
                name_value = self.get("name")
                slashed = isinstance(name_value, str) and name_value.startswith("/")
                return name_value if slashed else compose("/{}", name_value)
            case "rule":  # the default event bus is not named in the ARN
                bus = self._registration.inputs.get("eventBusName")
                return self.get("name") if bus in (None, "default") else compose("{}/{}", bus, self.get("name"))
            case "balancer":
                kinds = {"application": "app", "network": "net", "gateway": "gwy"}
                kind = reveal(self._registration.inputs.get("loadBalancerType"))
                return kinds.get(kind or "application", UNKNOWN) if isinstance(kind, str | None) else UNKNOWN
            case "issuer":
                url = self._registration.inputs.get("url")
                return url.removeprefix("https://") if isinstance(url, str) else UNKNOWN
            case "functionName":
                value = self._registration.inputs.get("functionName")
                return value.rpartition(":")[2] if isinstance(value, str) and value.startswith("arn:") else value
        if name in ("uuid", "base17") or name.startswith("hex"):
            if self._registration.import_id:
                return UNKNOWN  # what a service chose for an existing resource
            if name == "uuid":
                return str(uuid.UUID(bytes=digest(urn)[:16], version=4))
            if name == "base17":
                return "".join(_BASE32[byte % 32] for byte in digest(urn)[:17])
            return hexadecimal(urn, int(name[3:]))
        value = self._registration.inputs.get(name)
        return _DEFAULTS.get(name) if value is None else value

    def _name(self) -> Any:
        registration = self._registration
        name = registration.inputs.get(self._type.name)
        if name is not None:
            return name
        prefix = registration.inputs.get(f"{self._type.name}Prefix")
        if prefix is not None:
            return compose("{}{}", prefix, hexadecimal(registration.urn, 26))
        automatic = f"{registration.name}-{hexadecimal(registration.urn, 7)}"
        if self._token in _LOWER_CASE_NAMES:
            automatic = automatic.lower()
        if self._token == "kms/alias:Alias":
            automatic = f"alias/{automatic}"
        fifo = registration.inputs.get(_FIFO.get(self._token, ""))
        if isinstance(reveal(fifo), Unknown):
            return UNKNOWN
        return f"{automatic}.fifo" if reveal(fifo) is True else automatic


@lru_cache(maxsize=1024)
def _parsed(template: str) -> tuple[str, tuple[str, ...]]:
    """Return a template for `compose` and the names that it takes."""
    parts = list(Formatter().parse(template))
    names = tuple(name for _, name, _, _ in parts if name)
    return "".join(literal + ("{}" if name else "") for literal, name, _, _ in parts), names


def _fill(template: str, values: _Values) -> Any:
    positional, names = _parsed(template)
    return compose(positional, *[values.get(name) for name in names])


@lru_cache(maxsize=1024)
def _pattern(kind: AwsType) -> re.Pattern[str]:
    """Return a pattern of a type's ids that captures name, region and account."""
    positional, names = _parsed("arn:{partition}:" + kind.arn if kind.id == "{arn}" else kind.id)
    groups = {"name": r"(?P<name>.+)", "region": r"(?P<region>[a-z\d-]+)", "account": r"(?P<account>\d+)"}
    literals = positional.split("{}")
    text = re.escape(literals[0])
    for name, literal in zip(names, literals[1:], strict=True):
        text += groups.pop(name, "[^:]*?") + re.escape(literal)
    return re.compile(text + r"\Z")


def _parts_of(identity: str, kind: AwsType) -> dict[str, Any]:
    """Return what an id tells: name, region and account. The name is unknown where it tells none."""
    match = _pattern(kind).match(identity)
    return {"name": UNKNOWN, **(match.groupdict() if match else {})}


def _all_tags(registration: Registration) -> Any:
    """Return the tags of the provider with those of the resource over them."""
    own, defaults = registration.inputs.get("tags"), reveal(registration.provider_inputs.get("defaultTags"))
    if isinstance(defaults, str):  # nested inputs of providers are JSON strings on the wire
        try:
            defaults = json.loads(defaults)
        except ValueError:
            return UNKNOWN
    if isinstance(defaults, Unknown) or isinstance(reveal(own), Unknown):
        return UNKNOWN
    shared = reveal(defaults.get("tags")) if isinstance(defaults, Mapping) else None
    mine = reveal(own)
    if isinstance(shared, Unknown):
        return UNKNOWN
    merged = {**(shared if isinstance(shared, Mapping) else {}), **(mine if isinstance(mine, Mapping) else {})}
    return Secret(merged) if isinstance(own, Secret) else merged


def _lambda_versions(registration: Registration, values: _Values) -> dict[str, Any]:
    """Return the outputs that depend on whether the function publishes versions."""
    publish = reveal(registration.inputs.get("publish"))
    if isinstance(publish, Unknown) or registration.import_id:
        return {}
    version = "1" if publish is True else "$LATEST"
    qualified = compose("{}:{}", values.get("arn"), version)
    prefix = compose("arn:{}:apigateway:{}:lambda:path", values.get("partition"), values.region)
    invoke = compose("{}/2015-03-31/functions/{}/invocations", prefix, qualified)
    return {"qualifiedArn": qualified, "qualifiedInvokeArn": invoke, "version": version}
