"""The policy server that pulumi_policy itself would start, called without a network: the oracle of these tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import struct_pb2
from pulumi.runtime import proto
from pulumi_policy import EnforcementLevel, Policy
from pulumi_policy.policy import _PolicyAnalyzerServicer

from ringfence.deployment import Archive, Asset, Resource, ResourceReference, Secret, Unknown

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
ASSET = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE = "0def7320c3a5731c473e5ecbe6d01bc7"
UNKNOWN_STRING = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def wire(value: Any) -> Any:
    """Return the JSON that the engine sends for a value. Written apart from the code under test."""
    if isinstance(value, Unknown):
        return UNKNOWN_STRING
    if isinstance(value, Secret):
        return {SIGNATURE: SECRET, "value": wire(value.value)}
    if isinstance(value, Asset):
        return {SIGNATURE: ASSET, {"file": "path", "text": "text", "remote": "uri"}[value.kind]: value.content}
    if isinstance(value, Archive):
        key = {"file": "path", "assets": "assets", "remote": "uri"}[value.kind]
        return {SIGNATURE: ARCHIVE, key: wire(value.content)}
    if isinstance(value, ResourceReference):
        return wire(value.id) if value.id is not None else value.urn
    if isinstance(value, Mapping):
        return {key: wire(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [wire(item) for item in value]
    return value


def struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    message = struct_pb2.Struct()
    message.update({key: wire(value) for key, value in values.items() if not key.startswith("__")})
    return message


def request(resource: Resource, values: Mapping[str, Any], by_urn: Mapping[str, Resource]) -> dict[str, Any]:
    options = resource.options
    seconds = {key: float(value.removesuffix("s")) for key, value in options.custom_timeouts.items()}
    fields: dict[str, Any] = {
        "urn": resource.urn,
        "type": resource.type,
        "name": resource.name,
        "properties": struct(values),
        "options": proto.AnalyzerResourceOptions(
            protect=bool(options.protect),
            ignoreChanges=options.ignore_changes,
            deleteBeforeReplace=bool(options.delete_before_replace),
            deleteBeforeReplaceDefined=options.delete_before_replace is not None,
            additionalSecretOutputs=options.additional_secret_outputs,
            aliases=options.aliases,
            customTimeouts=proto.AnalyzerResourceOptions.CustomTimeouts(**seconds),
            parent=resource.parent or "",
        ),
    }
    provider = by_urn.get(resource.provider or "")
    if provider is not None:
        fields["provider"] = proto.AnalyzerProviderResource(
            type=provider.type, urn=provider.urn, name=provider.name, properties=struct(provider.inputs)
        )
    return fields


class StockServer:
    """A pack served by the SDK's own code."""

    def __init__(self, policies: list[Policy], level: EnforcementLevel = EnforcementLevel.ADVISORY) -> None:
        self.servicer = _PolicyAnalyzerServicer("pack", "1.0.0", policies, level)

    def configure(self, config: Mapping[str, tuple[int, Mapping[str, Any]]]) -> None:
        """Set level (as on the wire) and properties by policy."""
        self.servicer.Configure(configuration(config), None)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self.servicer.ConfigureStack(proto.AnalyzerStackConfigureRequest(tags=tags), None)

    def analyze(self, resource: Resource, others: Iterable[Resource] = ()) -> Any:
        """Send one resource with its inputs."""
        return self.servicer.Analyze(analyze_request(resource, others), None)

    def analyze_stack(self, resources: Iterable[Resource]) -> Any:
        """Send all resources with their outputs."""
        return self.servicer.AnalyzeStack(stack_request(resources), None)


def configuration(config: Mapping[str, tuple[int, Mapping[str, Any]]]) -> proto.ConfigureAnalyzerRequest:
    """Return what the engine sends for levels (as on the wire) and properties by policy."""
    message = proto.ConfigureAnalyzerRequest()
    for name, (level, properties) in config.items():
        message.policyConfig[name].enforcementLevel = level  # type: ignore[assignment]
        message.policyConfig[name].properties.update(properties)
    return message


def analyze_request(resource: Resource, others: Iterable[Resource] = ()) -> proto.AnalyzeRequest:
    """Return what the engine sends to have one resource judged, or remediated."""
    by_urn = {item.urn: item for item in others}
    return proto.AnalyzeRequest(**request(resource, resource.inputs, by_urn))


def stack_request(resources: Iterable[Resource]) -> proto.AnalyzeStackRequest:
    """Return what the engine sends to have a stack judged."""
    by_urn = {item.urn: item for item in resources}
    return proto.AnalyzeStackRequest(
        resources=[
            proto.AnalyzerResource(
                **request(item, item.outputs, by_urn),
                parent=item.parent or "",
                dependencies=item.dependencies,
                propertyDependencies={
                    key: proto.AnalyzerPropertyDependencies(urns=urns)
                    for key, urns in item.property_dependencies.items()
                    if urns
                },
            )
            for item in by_urn.values()
        ]
    )
