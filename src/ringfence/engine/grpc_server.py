"""Serves a monitor over gRPC: `pulumirpc.ResourceMonitor` and `pulumirpc.Engine` at one address.

All answers are given on one event loop, so the monitor needs no lock; an answer that calls the program back is awaited
there while others go on.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

# gRPC's core writes to standard error when a program's callback server goes away, which is no error.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
import grpc.aio
from google.protobuf import empty_pb2
from pulumi.runtime.proto import (
    callback_pb2,
    callback_pb2_grpc,
    engine_pb2,
    engine_pb2_grpc,
    provider_pb2,
    resource_pb2,
    resource_pb2_grpc,
    source_pb2,
)

from ringfence.deployment import STACK_TYPE
from ringfence.engine.languages.source_frames import keep_user_frames
from ringfence.engine.monitor import FEATURES, EngineRefusalError, Monitor

__all__ = ["MESSAGE_LIMIT", "OPTIONS", "CallbackClients", "MonitorServer"]

# The engine's own limit (sdk/go/common/util/rpcutil): inputs of many megabytes are met.
MESSAGE_LIMIT = 400 * 1024 * 1024
OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_LIMIT),
    ("grpc.max_send_message_length", MESSAGE_LIMIT),
    ("grpc.so_reuseport", 0),
)
T = TypeVar("T")
_Empty = empty_pb2.Empty


def _legacy_name(feature: int) -> str:
    """Return a feature's name for `SupportsFeature`, as SDKs before `GetDeploymentInfo` ask: `aliasSpecs`."""
    words = resource_pb2.ResourceMonitorFeature.Name(feature).removeprefix("RESOURCE_MONITOR_FEATURE_").lower()  # type: ignore[arg-type]
    return re.sub(r"_(\w)", lambda match: match[1].upper(), words)


_LEGACY_FEATURES = frozenset(map(_legacy_name, FEATURES))


class CallbackClients:
    """Calls a program's callbacks back, at the servers that it said it has."""

    def __init__(self) -> None:
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def call_back(self, callback: callback_pb2.Callback, request: bytes) -> bytes:
        """Run a callback and return its answer. Raises `EngineRefusalError` with the text of what it raised."""
        channel = self._channels.get(callback.target)
        if channel is None:
            channel = self._channels[callback.target] = grpc.aio.insecure_channel(callback.target, options=OPTIONS)
        stub = callback_pb2_grpc.CallbacksStub(channel)
        try:
            answer = await stub.Invoke(callback_pb2.CallbackInvokeRequest(token=callback.token, request=request))
        except grpc.aio.AioRpcError as error:
            raise EngineRefusalError(f"a callback of the program failed: {error.details()}") from None
        return bytes(answer.response)

    async def close(self) -> None:
        """Close the connections. Another call opens one again."""
        while self._channels:
            await self._channels.popitem()[1].close(None)


class MonitorServer:
    """One address of a monitor.

    `is_user_file` sorts the program's own frames from those of libraries. Where `source` is given, everything that
    registers here is said to come from there: a provider's process registers the children of a component in the name
    of the line that makes the component.
    """

    def __init__(
        self, monitor: Monitor, is_user_file: Callable[[str], bool], source: source_pb2.StackTrace | None = None
    ) -> None:
        self.monitor = monitor
        self.address = ""
        self.root = ""
        self.asked_info = False
        """Whether the SDK is one that asks for the deployment's info: such a one says when a program has ended."""
        self.signalled = False
        """Whether the program said that it has ended."""
        self.on_signal: Callable[[], Awaitable[None]] | None = None
        """Awaited when the program says that it has ended."""
        self.call: Callable[[Any], Awaitable[provider_pb2.CallResponse | None]] | None = None
        """Has a method's provider answer it; gives None where the monitor shall."""
        self.refusals: list[EngineRefusalError] = []
        self.faults: list[Exception] = []
        """Exceptions of our own code."""
        self._is_user_file = is_user_file
        self._source = source
        self._server: grpc.aio.Server | None = None

    has_served = False
    """Whether this process has ever served: its copies by `fork` cannot, since gRPC's threads are not copied."""

    async def start(self) -> str:
        """Serve; returns host and port."""
        MonitorServer.has_served = True
        server = self._server = grpc.aio.server(options=OPTIONS)
        resource_pb2_grpc.add_ResourceMonitorServicer_to_server(_MonitorService(self), server)
        engine_pb2_grpc.add_EngineServicer_to_server(_EngineService(self), server)
        self.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        return self.address

    async def stop(self) -> None:
        """End; calls under way are cancelled."""
        if self._server is not None:
            await self._server.stop(None)

    async def answer(self, context: Any, function: Callable[[], T | Awaitable[T]]) -> T:
        """Give the monitor's answer, or fail the call with what it refuses."""
        try:
            result = function()
            return await result if inspect.isawaitable(result) else result
        except EngineRefusalError as error:
            self.refusals.append(error)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except grpc.aio.AioRpcError as error:
            await context.abort(error.code(), error.details())
        except Exception as error:
            self.faults.append(error)
            await context.abort(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")
        raise AssertionError  # abort always raises

    async def call_method(self, request: Any) -> provider_pb2.CallResponse:
        """Answer a method of a resource, by its provider where that takes part."""
        answer = await self.call(request) if self.call is not None else None
        return answer if answer is not None else self.monitor.call(request)

    def keep_user_frames(self, request: Any) -> None:
        """Leave only the program's own frames in a request; the stack itself is nobody's line."""
        if request.type == STACK_TYPE:
            del request.stackTrace.frames[:]
            request.ClearField("sourcePosition")
            return
        if self._source is not None:
            request.stackTrace.CopyFrom(self._source)
            request.ClearField("sourcePosition")
            return
        keep_user_frames(request, self._is_user_file)


class _MonitorService(resource_pb2_grpc.ResourceMonitorServicer):
    def __init__(self, server: MonitorServer) -> None:
        self._server = server
        self._monitor = server.monitor

    async def GetDeploymentInfo(self, request: Any, context: Any) -> Any:
        self._server.asked_info = True
        monitor = self._monitor
        return resource_pb2.DeploymentInfo(
            project=monitor.project,
            stack=monitor.stack,
            organization=monitor.organization,
            config=monitor.config,
            configSecretKeys=sorted(monitor.secret_keys),
            dryRun=True,
            parallel=16,
            supportedFeatures=FEATURES,
        )

    async def SupportsFeature(self, request: Any, context: Any) -> Any:
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in _LEGACY_FEATURES)

    async def RegisterResource(self, request: Any, context: Any) -> Any:
        self._server.keep_user_frames(request)
        return await self._server.answer(context, lambda: self._monitor.register_resource(request))

    async def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:
        await self._server.answer(context, lambda: self._monitor.register_resource_outputs(request))
        return _Empty()

    async def ReadResource(self, request: Any, context: Any) -> Any:
        self._server.keep_user_frames(request)
        return await self._server.answer(context, lambda: self._monitor.read_resource(request))

    async def ExistsResource(self, request: Any, context: Any) -> Any:
        return await self._server.answer(context, lambda: self._monitor.exists_resource(request))

    async def Invoke(self, request: Any, context: Any) -> Any:
        # The request does not tell whether the program takes an unknown, so it gets a value.
        return await self._server.answer(context, lambda: self._monitor.invoke(request, plain=True))

    async def Call(self, request: Any, context: Any) -> Any:
        return await self._server.answer(context, lambda: self._server.call_method(request))

    async def RegisterPackage(self, request: Any, context: Any) -> Any:
        return await self._server.answer(context, lambda: self._monitor.register_package(request))

    async def RegisterStackTransform(self, request: Any, context: Any) -> Any:
        self._monitor.register_stack_transform(request)
        return _Empty()

    async def RegisterStackInvokeTransform(self, request: Any, context: Any) -> Any:
        self._monitor.register_stack_invoke_transform(request)
        return _Empty()

    async def RegisterResourceHook(self, request: Any, context: Any) -> Any:
        return _Empty()  # hooks run around operations, and a rehearsal has none

    async def RegisterErrorHook(self, request: Any, context: Any) -> Any:
        return _Empty()  # nothing fails in a rehearsal that it could handle

    async def SignalAndWaitForShutdown(self, request: Any, context: Any) -> Any:
        self._server.signalled = True
        if self._server.on_signal is not None:
            await self._server.on_signal()
        return _Empty()


class _EngineService(engine_pb2_grpc.EngineServicer):
    def __init__(self, server: MonitorServer) -> None:
        self._server = server

    async def Log(self, request: Any, context: Any) -> Any:
        self._server.monitor.log(request)
        return _Empty()

    async def GetRootResource(self, request: Any, context: Any) -> Any:
        return engine_pb2.GetRootResourceResponse(urn=self._server.root)

    async def SetRootResource(self, request: Any, context: Any) -> Any:
        self._server.root = request.urn
        return engine_pb2.SetRootResourceResponse()

    async def StartDebugging(self, request: Any, context: Any) -> Any:
        return _Empty()

    async def RequirePulumiVersion(self, request: Any, context: Any) -> Any:
        return engine_pb2.RequirePulumiVersionResponse()  # there is no CLI whose version could be wrong
