"""What the real engine was asked and answered: its log of gRPC messages as resources.

`PULUMI_DEBUG_GRPC` names a file to which the CLI writes each message as a line of JSON (pulumi/pulumi,
sdk/go/common/util/rpcdebug). It holds what no other account of a preview has at once: raw inputs with unknowns and
secrets, dependencies, options, and the lines of the program. What the engine made of a resource's inputs, after
transforms, is what the provider was asked to check, and gave back.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError, Message
from google.protobuf.struct_pb2 import Value
from pulumi.runtime.proto import callback_pb2, provider_pb2, resource_pb2

from ringfence.deployment import STACK_TYPE, UNKNOWN, Options, Resource, Secret, SourceLine
from ringfence.engine.frames import is_user_file
from ringfence.engine.requests import inherit, options_of, sources_of
from ringfence.engine.transforms import transform_registration
from ringfence.engine.urn import name_of, type_of
from ringfence.wire import decode, decode_value

__all__ = ["Recorded", "read_log"]

_HOSTS = "pulumi-language-"
"""Files that start a program and are no part of it."""
_LIBRARIES = ("/node_modules/", "/pkg/mod/", "/.nuget/")
_M = TypeVar("_M", bound=Message)


@dataclass
class Recorded:
    """What one preview registered."""

    resources: dict[str, Resource] = field(default_factory=dict)
    """By URN, in the order in which the engine answered."""
    outputs: Mapping[str, Any] = field(default_factory=dict)


def read_log(path: Path, providers: Mapping[str, str], stack: str, project: str) -> Recorded:
    """Return what a log tells. `providers` are the URNs of the providers that serve resources, by URN."""
    recorder = _Recorder(stack, project, providers)
    for entry in _entries(path):
        recorder.take(str(entry["method"]), entry)
    return recorder.recorded()


def _entries(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the answered messages of a log. A line that was cut off, because the engine was ended, is left out."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if '"response_completed"' not in line:
                continue
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if "response" in entry or str(entry["method"]).endswith("/CheckConfig"):
                yield entry  # a provider that does not check its config takes it as it is


def _parse(data: Mapping[str, Any], message: _M) -> _M:
    with contextlib.suppress(ParseError):  # a field of a newer engine has another form: the rest is read
        ParseDict(dict(data), message, ignore_unknown_fields=True)
    return message


class _Recorder:
    def __init__(self, stack: str, project: str, providers: Mapping[str, str]) -> None:
        self.stack, self.project = stack, project
        self.providers = providers
        self._registered: dict[str, tuple[resource_pb2.RegisterResourceRequest, Any]] = {}
        self._read: dict[str, tuple[resource_pb2.ReadResourceRequest, Any]] = {}
        self._outputs: dict[str, Any] = {}
        self._checked: dict[str, Any] = {}
        self._configured: dict[str, Any] = {}
        self._transformed: dict[tuple[str, str, str], list[bytes]] = defaultdict(list)
        self._packages: dict[str, resource_pb2.RegisterPackageRequest] = {}

    def take(self, method: str, entry: Mapping[str, Any]) -> None:
        request, response = entry["request"], entry.get("response", {})
        match method:
            case "/pulumirpc.ResourceMonitor/RegisterResource":
                answer = _parse(response, resource_pb2.RegisterResourceResponse())
                asked = _parse(request, resource_pb2.RegisterResourceRequest())
                self._registered.setdefault(answer.urn, (asked, answer))
            case "/pulumirpc.ResourceMonitor/RegisterPackage":
                package = _parse(request, resource_pb2.RegisterPackageRequest())
                self._packages[str(response.get("ref"))] = package
            case "/pulumirpc.ResourceMonitor/ReadResource":
                found = _parse(response, resource_pb2.ReadResourceResponse())
                self._read[found.urn] = _parse(request, resource_pb2.ReadResourceRequest()), found
            case "/pulumirpc.ResourceMonitor/RegisterResourceOutputs":
                outputs = _parse(request, resource_pb2.RegisterResourceOutputsRequest())
                self._outputs[outputs.urn] = decode(outputs.outputs)
            case "/pulumirpc.ResourceProvider/Check":
                checked = _parse(response, provider_pb2.CheckResponse())
                self._checked[str(request.get("urn"))] = decode(checked.inputs)
            case "/pulumirpc.ResourceProvider/CheckConfig":
                config = _parse(request, provider_pb2.CheckRequest())
                self._configured[config.urn] = decode(config.news)
            case "/pulumirpc.Callbacks/Invoke":
                self._take_callback(request, response)

    def _take_callback(self, request: Mapping[str, Any], response: Mapping[str, Any]) -> None:
        """Keep what a transform made of a resource. The log has the messages within a callback in base 64."""
        asked = resource_pb2.TransformRequest()
        try:
            asked.ParseFromString(base64.b64decode(request.get("request", "")))
        except (ValueError, DecodeError):
            return  # a callback of another kind, such as a hook
        if asked.type and asked.name:
            given = base64.b64decode(response.get("response", ""))
            self._transformed[asked.type, asked.name, asked.parent].append(given)

    def recorded(self) -> Recorded:
        recorded = Recorded()
        for urn, (request, response) in self._registered.items():
            if urn:
                recorded.resources[urn] = self._resource(urn, request, response, recorded.resources)
        for urn, (asked, found) in self._read.items():
            recorded.resources[urn] = self._external(urn, asked, found)
        for urn, inputs in self._configured.items():
            # Default providers are the engine's own: no program registers them.
            if urn not in recorded.resources:
                recorded.resources[urn] = Resource(
                    urn, type_of(urn), name_of(urn), inputs=inputs, outputs=inputs, default_provider=True
                )
        recorded.outputs = next(
            (outputs for urn, outputs in self._outputs.items() if type_of(urn) == STACK_TYPE), recorded.outputs
        )
        return recorded

    def _resource(
        self,
        urn: str,
        request: resource_pb2.RegisterResourceRequest,
        response: resource_pb2.RegisterResourceResponse,
        others: Mapping[str, Resource],
    ) -> Resource:
        given = self._transformed.get((request.type, request.name, request.parent), [])
        if given:
            request = _transformed(request, given)
        if request.parent in others:
            inherit(request, others[request.parent])
        inputs = decode(request.object)
        if urn in self._checked:
            inputs = _as_marked(self._checked[urn], inputs)
        elif urn in self._configured:
            inputs = _as_marked(self._configured[urn], inputs) | _internal(request, self._packages)
        source, chain = _of_the_program(*sources_of(request))
        options = options_of(request, self.stack, self.project)
        if not request.custom:
            outputs, identity = self._outputs.get(urn, {}), None
        else:
            outputs, identity = decode(response.object), _identity(response.id)
            for name in request.additionalSecretOutputs:
                if not isinstance(outputs.get(name), Secret):
                    outputs[name] = Secret(outputs.get(name, UNKNOWN))
        provider = self.providers.get(urn) or request.provider
        return Resource(
            urn=urn,
            type=request.type,
            name=request.name,
            inputs={key: value for key, value in inputs.items() if key != "__provider"},
            outputs=outputs,
            id=identity,
            custom=request.custom,
            remote=request.remote,
            parent=request.parent or None,
            provider=_provider(provider),
            dependencies=tuple(sorted(request.dependencies)),
            property_dependencies={
                key: tuple(sorted(request.propertyDependencies[key].urns))
                for key in sorted(request.propertyDependencies)
                if request.propertyDependencies[key].urns
            },
            options=replace(options, aliases=_own_aliases(request, options)),
            source=source,
            source_chain=chain,
        )

    def _external(
        self, urn: str, request: resource_pb2.ReadResourceRequest, response: resource_pb2.ReadResourceResponse
    ) -> Resource:
        source, chain = _of_the_program(*sources_of(request))
        outputs = decode(response.properties)
        for name in request.additionalSecretOutputs:
            if not isinstance(outputs.get(name), Secret):
                outputs[name] = Secret(outputs.get(name, UNKNOWN))
        provider = self.providers.get(urn) or request.provider
        return Resource(
            urn=urn,
            type=request.type,
            name=request.name,
            inputs=decode(request.properties),
            outputs=outputs,
            id=_identity(request.id),
            external=True,
            parent=request.parent or None,
            provider=_provider(provider),
            dependencies=tuple(sorted(request.dependencies)),
            options=Options(additional_secret_outputs=tuple(request.additionalSecretOutputs), version=request.version),
            source=source,
            source_chain=chain,
        )


def _identity(text: str) -> Any:
    return decode_value(Value(string_value=text)) if text else UNKNOWN


def _provider(reference: str) -> str | None:
    """Return the URN of a provider; what the engine itself answers, stack references, has none."""
    urn = reference.rpartition("::")[0]
    return urn if urn and type_of(urn) != "pulumi:providers:pulumi" else None


def _internal(
    request: resource_pb2.RegisterResourceRequest, packages: Mapping[str, resource_pb2.RegisterPackageRequest]
) -> dict[str, Any]:
    """Return what the engine keeps of a provider for itself and does not hand to it."""
    kept: dict[str, Any] = {}
    package = packages.get(request.packageRef)
    address = package.download_url if package is not None else ""
    if address or request.pluginDownloadURL:
        kept["pluginDownloadURL"] = address or request.pluginDownloadURL
    if request.envVarMappings:
        kept["envVarMappings"] = {key: request.envVarMappings[key] for key in sorted(request.envVarMappings)}
    if package is not None and package.HasField("parameterization"):
        parameter = base64.b64encode(package.parameterization.value).decode()
        kept |= {"name": package.name, "version": package.version, "parameterization": parameter}
    return {"__internal": kept} if kept else {}


def _as_marked(value: Any, marked: Any) -> Any:
    """Return a value with the secrets of another: a provider that knows none hands them back bare."""
    if isinstance(marked, Secret):
        return value if isinstance(value, Secret) else Secret(value)
    if isinstance(value, dict) and isinstance(marked, Mapping):
        return {key: _as_marked(item, marked.get(key)) for key, item in value.items()}
    if isinstance(value, list) and isinstance(marked, list) and len(value) == len(marked):
        return [_as_marked(item, other) for item, other in zip(value, marked, strict=True)]
    return value


def _transformed(
    request: resource_pb2.RegisterResourceRequest, given: list[bytes]
) -> resource_pb2.RegisterResourceRequest:
    """Return a registration as the program's transforms left it, from what they gave back."""
    answers = iter(given)

    async def replay(_: callback_pb2.Callback, __: bytes) -> bytes:
        return next(answers)

    callbacks = [callback_pb2.Callback()] * len(given)
    return asyncio.run(transform_registration(request, callbacks, replay))


def _own_aliases(request: resource_pb2.RegisterResourceRequest, options: Options) -> tuple[str, ...]:
    """Leave out the aliases that a provider SDK adds by itself: other types of its own package, nothing else."""
    package = request.type.partition(":")[0]
    kept = []
    for alias, urn in zip(request.aliases, options.aliases, strict=False):
        spec = alias.spec
        others = spec.name or spec.stack or spec.project or spec.parentUrn or spec.noParent
        if alias.WhichOneof("alias") == "urn" or others or spec.type.partition(":")[0] != package:
            kept.append(urn)
    return (*kept, *options.aliases[len(request.aliases) :])


def _of_the_program(
    source: SourceLine | None, chain: tuple[SourceLine, ...]
) -> tuple[SourceLine | None, tuple[SourceLine, ...]]:
    """Return the lines that are the user's own."""
    own = tuple(line for line in chain if _is_own(line.path))
    if own:
        return own[0], own
    return (source if source is not None and _is_own(source.path) else None), ()


def _is_own(path: str) -> bool:
    return is_user_file(path) and _HOSTS not in Path(path).name and not any(mark in path for mark in _LIBRARIES)
