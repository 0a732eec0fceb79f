"""How the SDK's remote procedure calls reach the monitor without a wire or a thread."""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import inspect
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from google.protobuf import empty_pb2
from pulumi.runtime._callbacks import _CallbackServicer
from pulumi.runtime.proto import callback_pb2, engine_pb2, resource_pb2
from pulumi.runtime.rpc_manager import RPCManager

__all__ = [
    "EngineLoop",
    "InlineCall",
    "MonitorAdapter",
    "NoServer",
    "call_back",
    "drop_callback_servers",
    "invoke",
    "run_rpc",
    "sdk_invoke",
]

# The package has a function of the module's name.
sdk_invoke = importlib.import_module("pulumi.runtime.invoke")
_sdk_invoke_function = sdk_invoke._invoke
_sdk_do_rpc = RPCManager.do_rpc

_output_form: contextvars.ContextVar[bool] = contextvars.ContextVar("ringfence_output_form", default=False)
"""Whether the invoke under way gives an output: its request does not tell."""


def invoke(
    token: str, props: Any, opts: Any, typ: Any, package_ref: Any = None, check_dependencies: bool | None = False
) -> Any:
    """Note an invoke's form, then do what the SDK does. Only invokes in output form check dependencies."""
    _output_form.set(bool(check_dependencies))
    return _sdk_invoke_function(token, props, opts, typ, package_ref, check_dependencies)


class InlineCall:
    """An RPC that the SDK hands to its executor. Stands in for the wrapper that carries a context to a thread."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self) -> Any:
        """Make the call."""
        return self.function()


def run_rpc(
    manager: RPCManager, name: str, function: Callable[..., Awaitable[Any]]
) -> Callable[..., Awaitable[tuple[Any, Exception | None]]]:
    """Wrap an RPC as the SDK's manager does, in one task instead of two: its caller makes one of the wrapper.

    The manager waits for all that it knows of and then raises the first fault, which is noted here. An invoke may be
    awaited by the program itself, so it keeps a task of its own.
    """
    if name == "invoke":
        return _sdk_do_rpc(manager, name, function)

    def run(*args: Any, **kwargs: Any) -> _Rpc:
        return _Rpc(manager, function(*args, **kwargs))

    return run


class _Rpc(Coroutine[Any, Any, tuple[Any, Exception | None]]):
    """An RPC of the SDK's: gives its result or its fault, and notes the fault.

    While it runs, Python does not keep where each coroutine is made. That is kept for the user's coroutines, of which
    there are none here; for the SDK's it would take a tenth of a run.
    """

    __slots__ = ("_inner", "_manager", "_started")

    def __init__(self, manager: RPCManager, inner: Awaitable[Any]) -> None:
        self._inner: Any = inner
        self._manager = manager
        self._started = False

    def send(self, value: Any) -> Any:
        """Run on to where it waits next."""
        if not self._started:
            self._started = True
            task = asyncio.current_task()
            assert task is not None
            self._manager.rpcs.append(task)
        return self._step(self._inner.send, value)

    def throw(self, *error: Any) -> Any:
        """Raise an exception where it waits."""
        return self._step(self._inner.throw, *error)

    def close(self) -> None:
        """End it where it waits."""
        self._inner.close()

    def __await__(self) -> _Rpc:
        return self

    def __iter__(self) -> _Rpc:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def __getattr__(self, name: str) -> Any:
        """Return what tells of the inner one: its frame, its code, what it waits for."""
        return getattr(self._inner, name)

    def _step(self, step: Callable[..., Any], *given: Any) -> Any:
        depth = sys.get_coroutine_origin_tracking_depth()
        sys.set_coroutine_origin_tracking_depth(0)
        try:
            return step(*given)
        except StopIteration as done:
            raise StopIteration((done.value, None)) from None
        except Exception as error:
            if self._manager.unhandled_exception is None:
                self._manager.unhandled_exception = error
                self._manager.exception_traceback = error.__traceback__
            raise StopIteration((None, error)) from None
        finally:
            sys.set_coroutine_origin_tracking_depth(depth)


class EngineLoop(asyncio.SelectorEventLoop):
    """An event loop that runs the SDK's RPCs in line; other executor work goes to threads as usual."""

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run an RPC at once; its result may be a coroutine where the program must be called back."""
        if executor is not None or not isinstance(func, InlineCall):
            return super().run_in_executor(executor, func, *args)
        future: asyncio.Future[Any] = self.create_future()
        try:
            result = func(*args)
        except Exception as error:
            future.set_exception(error)
            return future
        # Invokes give a pair of response and error, other RPCs the response alone.
        response = result[0] if isinstance(result, tuple) else result
        if not inspect.iscoroutine(response):
            future.set_result(result)
            return future

        async def finish() -> Any:
            try:
                answer = await response
            except Exception as error:
                if isinstance(result, tuple):
                    return None, error
                raise
            return (answer, result[1]) if isinstance(result, tuple) else answer

        return self.create_task(finish())


class MonitorAdapter:
    """Gives the core monitor the method names and the shape of the SDK's gRPC stubs (monitor and engine in one)."""

    def __init__(self, monitor: Any, features: tuple[int, ...]) -> None:
        self._features = features
        self.RegisterResource = monitor.register_resource
        self.ReadResource = monitor.read_resource
        self.ExistsResource = monitor.exists_resource
        self.Call = monitor.call
        self.RegisterPackage = monitor.register_package
        self._monitor = monitor

    def Invoke(self, request: resource_pb2.ResourceInvokeRequest) -> Any:
        """Pass an invoke on, and whether the program waits for its plain value."""
        return self._monitor.invoke(request, plain=not _output_form.get())

    def RegisterResourceOutputs(self, request: resource_pb2.RegisterResourceOutputsRequest) -> empty_pb2.Empty:
        """Pass outputs on."""
        self._monitor.register_resource_outputs(request)
        return empty_pb2.Empty()

    def RegisterStackTransform(self, request: callback_pb2.Callback) -> empty_pb2.Empty:
        """Pass a transform on."""
        self._monitor.register_stack_transform(request)
        return empty_pb2.Empty()

    def RegisterStackInvokeTransform(self, request: callback_pb2.Callback) -> empty_pb2.Empty:
        """Pass an invoke transform on."""
        self._monitor.register_stack_invoke_transform(request)
        return empty_pb2.Empty()

    def RegisterResourceHook(self, _: resource_pb2.RegisterResourceHookRequest) -> empty_pb2.Empty:
        """Accept a hook; hooks do not run in a preview unless they ask for it, and never in a rehearsal."""
        return empty_pb2.Empty()

    def RegisterErrorHook(self, _: resource_pb2.RegisterErrorHookRequest) -> empty_pb2.Empty:
        """Accept an error hook; nothing fails in a rehearsal that it could handle."""
        return empty_pb2.Empty()

    def SupportsFeature(self, _: resource_pb2.SupportsFeatureRequest) -> resource_pb2.SupportsFeatureResponse:
        """Answer SDKs that ask feature by feature: this SDK asks for the deployment info."""
        return resource_pb2.SupportsFeatureResponse(hasSupport=False)

    def GetDeploymentInfo(self, _: empty_pb2.Empty) -> resource_pb2.DeploymentInfo:
        """Say what the monitor implements."""
        return resource_pb2.DeploymentInfo(supportedFeatures=self._features)  # type: ignore[arg-type]

    def SignalAndWaitForShutdown(self, _: empty_pb2.Empty) -> empty_pb2.Empty:
        """Let the program end."""
        return empty_pb2.Empty()

    def RequirePulumiVersion(
        self, _: engine_pb2.RequirePulumiVersionRequest
    ) -> engine_pb2.RequirePulumiVersionResponse:
        """Accept any demand on the CLI's version: there is no CLI here."""
        return engine_pb2.RequirePulumiVersionResponse()

    def Log(self, request: engine_pb2.LogRequest) -> None:
        """Pass a message on."""
        self._monitor.log(request)


class NoServer:
    """Stands in for `grpc.aio` and its server, since nobody calls back from outside the process."""

    @classmethod
    def server(cls, **_: Any) -> NoServer:
        return cls()

    def add_insecure_port(self, address: str) -> int:
        return 0

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        pass

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:
        pass

    async def start(self) -> None:
        pass

    async def stop(self, grace: float | None) -> None:
        pass


async def call_back(callback: callback_pb2.Callback, request: bytes) -> bytes:
    """Run one of the program's callbacks on its own loop, without a server in between."""
    for servicer in _CallbackServicer._servicers:
        function = servicer._callbacks.get(callback.token)
        if function is not None:
            return (await function(request)).SerializeToString()
    raise LookupError(f"the program registered no callback {callback.token}")


def drop_callback_servers(loop: asyncio.AbstractEventLoop) -> None:
    """Forget the callback servers of a loop that ended without closing them."""
    _CallbackServicer._servicers[:] = [item for item in _CallbackServicer._servicers if item._loop is not loop]
