"""Processes of providers that take part in a rehearsal: those of remote components, and dynamic providers' checks.

A remote component is made by its provider's binary, `pulumi-resource-<package>` on PATH, which registers the children
with the monitor. A dynamic provider's code is the program's, in the program's language: the SDK's own process runs its
check.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, resource_pb2, source_pb2

from ringfence.deployment import ResourceReference, Secret, contains_unknown, reveal
from ringfence.engine.grpc_server import OPTIONS, MonitorServer
from ringfence.engine.languages.interface import Language, Launch, RemoteProgram, plain
from ringfence.engine.languages.source_frames import keep_user_frames
from ringfence.engine.monitor import EngineRefusalError, Monitor
from ringfence.engine.process_group import ProcessGroup
from ringfence.engine.requests import sources_of
from ringfence.engine.urn import package_of
from ringfence.wire import decode, decode_value, encode

__all__ = ["Plugins"]

_START_SECONDS = 30.0
_FIELDS = (
    *("project", "stack", "type", "name", "parent", "providers", "dependencies", "protect", "retainOnDelete"),
    *("additionalSecretOutputs", "deletedWith", "deleteBeforeReplace", "ignoreChanges", "replaceOnChanges"),
    *("replace_with",),
)
"""Fields of a registration that `Construct` has under the same name."""


class Plugins:
    """The provider processes of one run."""

    def __init__(self, server: MonitorServer, program: RemoteProgram, language: Language) -> None:
        self._server = server
        self._program = program
        self._language = language
        self._started: dict[str, asyncio.Task[_Plugin]] = {}
        self._endpoints: list[MonitorServer] = []

    async def take_part(
        self, monitor: Monitor, request: resource_pb2.RegisterResourceRequest
    ) -> resource_pb2.RegisterResourceResponse | None:
        """Construct a remote component and return its answer; change a dynamic resource's inputs as its check does.

        None means that the monitor registers the resource itself.
        """
        if request.remote:
            return await self._construct(monitor, request)
        await self._check(monitor, request)
        return None

    async def close(self) -> None:
        """End all processes."""
        for task in self._started.values():
            task.cancel()
        for plugin in await asyncio.gather(*self._started.values(), return_exceptions=True):
            if isinstance(plugin, _Plugin):
                await plugin.close()
        for endpoint in self._endpoints:
            await endpoint.stop()

    # --- remote components ---------------------------------------------------------------------------------------

    async def _construct(
        self, monitor: Monitor, request: resource_pb2.RegisterResourceRequest
    ) -> resource_pb2.RegisterResourceResponse | None:
        package = package_of(request.type)
        binary = shutil.which(f"pulumi-resource-{package}")
        if binary is None:
            return None
        source = sources_of(request)[0]
        inputs = monitor.provider_inputs(request)
        plugin = await self._plugin(package, Launch([binary, self._server.address], {}), inputs)
        endpoint = self._endpoint(monitor, request.stackTrace)
        construct = provider_pb2.ConstructRequest(
            config=dict(monitor.config),
            configSecretKeys=sorted(monitor.secret_keys),
            dryRun=True,
            parallel=16,
            organization=monitor.organization,
            monitorEndpoint=await endpoint.start(),
            accepts_output_values=True,
            aliases=[alias.urn for alias in request.aliases if alias.WhichOneof("alias") == "urn"]
            + [*request.aliasURNs],
            inputs=request.object,
        )
        given = {"project": monitor.project, "stack": monitor.stack}
        for name in _FIELDS:
            value = given.get(name, getattr(request, name, None))
            if name in ("protect", "retainOnDelete", "deleteBeforeReplace") and not value:
                continue
            _set(construct, name, value)
        for key, dependencies in request.propertyDependencies.items():
            construct.inputDependencies[key].urns.extend(dependencies.urns)
        try:
            answer = await plugin.stub.Construct(construct)
        except grpc.aio.AioRpcError as error:
            self._server.faults.extend(endpoint.faults)
            message = f"{request.name}: pulumi-resource-{package} could not construct it: {_text(error, plugin)}"
            raise EngineRefusalError(message, source) from None
        self._server.faults.extend(endpoint.faults)
        response = resource_pb2.RegisterResourceResponse(urn=answer.urn, object=answer.state)
        for key, dependencies in answer.stateDependencies.items():
            response.propertyDependencies[key].urns.extend(dependencies.urns)
        return response

    async def call(self, request: Any) -> provider_pb2.CallResponse | None:
        """Have a method of a remote component answered by the provider that constructed it; None for other methods.

        The provider of another resource is not started for a method: it would want the cloud.
        """
        started = self._started.get(package_of(request.tok))
        if started is None:
            return None
        monitor = self._server.monitor
        plugin = await asyncio.shield(started)
        arguments = decode(request.args)
        keep_user_frames(request, self._language.is_user_file)
        endpoint = self._endpoint(monitor, request.stackTrace)
        call = provider_pb2.CallRequest(
            tok=request.tok,
            args=request.args,
            project=monitor.project,
            stack=monitor.stack,
            config=dict(monitor.config),
            configSecretKeys=sorted(monitor.secret_keys),
            dryRun=True,
            parallel=16,
            organization=monitor.organization,
            monitorEndpoint=await endpoint.start(),
            accepts_output_values=True,
        )
        for key, dependencies in request.argDependencies.items():
            call.argDependencies[key].urns.extend(dependencies.urns)
        try:
            answer: provider_pb2.CallResponse = await plugin.stub.Call(call)
        except grpc.aio.AioRpcError as error:
            message = f"{request.tok}: its provider could not answer: {_text(error, plugin)}"
            # Not every SDK tells the line of the call; the component's own one is near.
            itself = arguments.get("__self__")
            component = monitor.resources.get(itself.urn) if isinstance(itself, ResourceReference) else None
            source = sources_of(request)[0] or (component.source if component is not None else None)
            raise EngineRefusalError(message, source) from None
        finally:
            self._server.faults.extend(endpoint.faults)
        # A method that hands an argument through must not take its secret marker off.
        secrets = [reveal(value) for value in arguments.values() if isinstance(value, Secret)]
        result = getattr(answer, "return")
        result.CopyFrom(
            encode({key: Secret(value) if value in secrets else value for key, value in decode(result).items()})
        )
        return answer

    def _endpoint(self, monitor: Monitor, source: source_pb2.StackTrace) -> MonitorServer:
        """Return an address of the monitor for a provider's process, in the name of one of the program's lines."""
        endpoint = MonitorServer(monitor, self._language.is_user_file, source)
        endpoint.call = self.call
        self._endpoints.append(endpoint)
        return endpoint

    # --- dynamic providers ---------------------------------------------------------------------------------------

    async def _check(self, monitor: Monitor, request: resource_pb2.RegisterResourceRequest) -> None:
        launch = self._language.dynamic_provider(self._program, self._server.address)
        if launch is None or contains_unknown(decode_value(request.object.fields["__provider"])):
            monitor.note(f"{request.name}: the dynamic provider is unknown, its check did not run.")
            return
        # Imported here, as in the monitor: only programs with dynamic providers need it.
        from ringfence.engine.dynamic import NOT_TAKEN, plain_value

        source = sources_of(request)[0]
        plugin = await self._plugin(package_of(request.type), launch, monitor.config)
        inputs = decode(request.object)
        given = {key: plain_value(value) for key, value in inputs.items()}
        asked = provider_pb2.CheckRequest(
            urn=monitor.urn_of(request), name=request.name, type=request.type, news=encode(given), olds=Struct()
        )
        failures: list[str]
        checked: dict[str, Any] = {}
        try:
            answer = await plugin.stub.Check(asked)
            failures = [f"{item.property}: {item.reason}" for item in answer.failures]
            checked = decode(answer.inputs)
        except grpc.aio.AioRpcError as error:
            failures = [_text(error, plugin)]
        if failures and contains_unknown(inputs):
            monitor.note(f"{request.name}: {NOT_TAKEN}")
            return
        if failures:
            message = f"{request.name}: the dynamic provider's check refused the inputs: {'; '.join(failures)}"
            raise EngineRefusalError(message, source)
        # A check that hands an input through must not take its secret marker off.
        for key, value in inputs.items():
            if key in checked and plain_value(checked[key]) == given[key]:
                checked[key] = value
        request.object.CopyFrom(encode({**checked, "__provider": inputs["__provider"]}))

    # --- processes -----------------------------------------------------------------------------------------------

    async def _plugin(self, package: str, launch: Launch, inputs: Mapping[str, Any]) -> _Plugin:
        task = self._started.get(package)
        if task is None:
            task = self._started[package] = asyncio.create_task(
                _Plugin.start(package, launch, self._program.folder, inputs, self._server.address)
            )
        return await asyncio.shield(task)


class _Plugin:
    """One running provider."""

    def __init__(self, group: ProcessGroup, channel: grpc.aio.Channel) -> None:
        self.group = group
        self._channel = channel
        self.stub: Any = provider_pb2_grpc.ResourceProviderStub(channel)

    @classmethod
    async def start(cls, package: str, launch: Launch, folder: Path, inputs: Mapping[str, Any], engine: str) -> _Plugin:
        """Start a provider and configure it. Raises `EngineRefusalError`."""
        try:
            group = ProcessGroup.start(launch.command, folder, launch.environment, apart=True)
        except OSError as error:
            raise EngineRefusalError(f"{launch.command[0]}: cannot be run: {error.strerror}") from None
        try:
            async with asyncio.timeout(_START_SECONDS):
                await group.say(launch.standard_input)
                port = (await group.first_line()).strip()
            if not port.isdigit():
                said = plain(group.output()).strip().splitlines()
                raise EngineRefusalError(
                    f"the provider of {package} did not start: {said[-1] if said else 'it told no port'}"
                )
            plugin = cls(group, grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS))
            await plugin._configure(inputs, engine)
            return plugin
        except BaseException as error:
            group.end()
            group.close()
            if isinstance(error, TimeoutError):
                raise EngineRefusalError(
                    f"the provider of {package} did not start within {_START_SECONDS:g} s"
                ) from None
            raise

    async def _configure(self, inputs: Mapping[str, Any], engine: str) -> None:
        configure = provider_pb2.ConfigureRequest(
            args=encode(inputs), acceptSecrets=True, acceptResources=True, sends_old_inputs=True
        )
        try:
            await self.stub.Configure(configure)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                raise EngineRefusalError(f"the provider refuses its configuration: {error.details()}") from None

    async def close(self) -> None:
        """End it."""
        await self._channel.close(None)
        self.group.end()
        self.group.close()


def _text(error: grpc.aio.AioRpcError, plugin: _Plugin) -> str:
    """Return what a provider said went wrong, the first line of it."""
    details = plain(error.details() or "")
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        said = plain(plugin.group.output()).strip().splitlines()
        details = said[-1] if said else details
    return details.strip().splitlines()[0] if details.strip() else error.code().name


def _set(message: Any, name: str, value: Any) -> None:
    field = getattr(message, name)
    if isinstance(value, str | bool):
        setattr(message, name, value)
    elif hasattr(field, "update"):
        field.update(value)
    else:
        field.extend(value)
