"""The one place that touches private parts of the Pulumi Python SDK's runtime.

Everything here rests on names that the SDK does not promise. `tests/unit/engine/test_pulumi_sdk_contract.py` fails
loudly when one of them changes. What is replaced for the length of a run, and why:

- RPCs run in line on the event loop instead of on a thread each: the monitor answers from memory.
- The stack trace is taken without reading source lines, and holds only the user's frames.
- The aliases that a provider SDK adds to its own types are dropped: 24 to 65 a resource, each of which costs several
  tasks. A first deployment has no state that they could match. Those that the user's own code makes are kept.
- `Output.__str__` remembers where it was called: its result is a text about how not to do that.
- Where an output is made is remembered until it has a value: where it fails, that is the line to show.
- A resource's output is one future, where the SDK makes four futures and a task for each: half of a run's time went
  there. What the outputs resolve to is the same.
- A URN made of plain strings is made at once, without outputs.
- Unwrapping a type annotation is remembered: the SDK does it for every value that it serialises.
- An invoke's form is noted: an output may be unknown, a plain value may not.
- Whether two resources depend on each other is found out without recursion: a chain of 1,000 would end in an error, and
  long before that takes most of the time.
- Callbacks (transforms) are called in process: the SDK's server for them is not started.
- Debug messages of the SDK are dropped, and secret config values that could not be decrypted are unknown.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import contextvars
import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import dill
import pulumi
import pulumi.log
import pulumi.resource
import pulumi.runtime
from google.protobuf import empty_pb2
from pulumi import _types as sdk_types
from pulumi.output import _OutputData
from pulumi.runtime import _callbacks as sdk_callbacks
from pulumi.runtime import config as sdk_config
from pulumi.runtime import resource as sdk_resource
from pulumi.runtime import resource_cycle_breaker as sdk_cycles
from pulumi.runtime import rpc as sdk_rpc
from pulumi.runtime import settings as sdk_settings
from pulumi.runtime._callbacks import _CallbackServicer
from pulumi.runtime._serialization import _deserialize
from pulumi.runtime.proto import callback_pb2, engine_pb2, resource_pb2, source_pb2
from pulumi.runtime.stack import Stack

from ringfence.deployment import SourceLine
from ringfence.engine.frames import chain_of_frames, is_user_file, line_of_waiting, source_of_exception

__all__ = [
    "OUTPUT_AS_TEXT",
    "EngineLoop",
    "Hooks",
    "MonitorAdapter",
    "UnknownOutput",
    "call_back",
    "configure",
    "drop_callback_servers",
    "forget_packages",
    "load_dynamic_provider",
    "patched",
    "release",
    "run_in_stack",
    "waiting_line",
]

OUTPUT_AS_TEXT = "Calling __str__ on an Output[T] is not supported."
"""How the text begins that an `Output` gives when it is used as a string."""

# The package has a function of the module's name.
sdk_invoke = importlib.import_module("pulumi.runtime.invoke")
_sdk_invoke_function = sdk_invoke._invoke

_RPC_MODULE = "pulumi.runtime._context"
"""Module of the wrapper in which the SDK hands an RPC to the executor."""

_SECRET_GETTERS = tuple(
    f"{verb}_secret{kind}" for verb in ("get", "require") for kind in ("", "_bool", "_int", "_float", "_object")
)


_output_form: contextvars.ContextVar[bool] = contextvars.ContextVar("ringfence_output_form", default=False)
"""Whether the invoke under way gives an output: its request does not tell."""


def _invoke(
    token: str, props: Any, opts: Any, typ: Any, package_ref: Any = None, check_dependencies: bool | None = False
) -> Any:
    """Note an invoke's form, then do what the SDK does. Only invokes in output form check dependencies."""
    _output_form.set(bool(check_dependencies))
    return _sdk_invoke_function(token, props, opts, typ, package_ref, check_dependencies)


class EngineLoop(asyncio.SelectorEventLoop):
    """An event loop that runs the SDK's RPCs in line; other executor work goes to threads as usual."""

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run an RPC at once; its result may be a coroutine where the program must be called back."""
        if executor is not None or getattr(func, "__module__", "") != _RPC_MODULE:
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


@dataclass
class Hooks:
    """What is remembered of a run while the SDK is patched."""

    undecrypted: frozenset[str] = frozenset()
    """Full config keys whose secret value is not known."""
    constructed: dict[tuple[str, str], list[tuple[int, tuple[SourceLine, ...]]]] = field(default_factory=dict)
    """Type and name to place in the program's order and source lines of each construction."""
    texts: list[SourceLine] = field(default_factory=list)
    """Where an output was used as a string."""
    texts_before: dict[tuple[str, str], int] = field(default_factory=dict)
    """By type and name of a resource, or "" and name of an export: how many of `texts` there were before it."""
    aliases: set[pulumi.Alias] = field(default_factory=set)
    """The aliases that the user's own code made, as against those that come with a provider SDK."""
    error_line: SourceLine | None = None
    """Where the program first logged an error."""
    failures: dict[int, tuple[BaseException, SourceLine | None]] = field(default_factory=dict)
    """By identity: an exception that made an output fail, and where that output was made."""
    tracebacks: dict[int, TracebackType | None] = field(default_factory=dict)
    """By identity: how such an exception arose."""
    count: int = 0

    def constructing(self, args: pulumi.ResourceTransformationArgs) -> None:
        """Note that the program constructs a resource. Registered as the first stack transformation."""
        self.count += 1
        name = getattr(args, "name", "") or ""
        lines = tuple(chain_of_frames(_caller_of_class(sys._getframe(1), args.resource)))
        self.constructed.setdefault((args.type_, name), []).append((self.count, lines))
        if self.texts:
            self.texts_before[args.type_, name] = len(self.texts)
        aliases = args.opts.aliases
        if aliases:
            package = args.type_.split(":", 1)[0] + ":"
            args.opts.aliases = [alias for alias in aliases if not self._is_sdk_alias(alias, package)]

    def failed(self, line: SourceLine | None, future: asyncio.Future[Any]) -> None:
        """Note where an output was made that failed. The first one that an exception meets is where it arose."""
        error = None if future.cancelled() else future.exception()
        if error is not None:
            # Python drops an exception's traceback when a second waiter meets it: the user's line is read at once.
            self.failures.setdefault(id(error), (error, source_of_exception(error) or line))
            self.tracebacks.setdefault(id(error), error.__traceback__)

    def source_of_failure(self, error: BaseException) -> SourceLine | None:
        """Return the line of an exception that made an output fail, or the registration of a resource."""
        failure = self.failures.get(id(error))
        return failure[1] if failure is not None else self.first_line(_registered_in(error))

    def traceback_of(self, error: BaseException) -> TracebackType | None:
        """Return how an exception arose, also where Python has dropped that."""
        return self.tracebacks.get(id(error)) or error.__traceback__

    def first_line(self, resources: Iterable[pulumi.Resource]) -> SourceLine | None:
        """Return the line of the resource that the program constructs first."""
        made = [place for resource in resources for place in self.constructed.get((resource._type, resource._name), ())]
        return min(((count, chain[0]) for count, chain in made if chain), default=(0, None))[1]

    def _is_sdk_alias(self, alias: Any, package: str) -> bool:
        """Whether a provider SDK gives the alias to all resources of a type: just another type of its package."""
        if not isinstance(alias, pulumi.Alias) or alias in self.aliases:
            return False
        given = alias.type_
        if not isinstance(given, str) or not given.startswith(package):
            return False
        rest: tuple[Any, ...] = (alias.name, alias.parent, alias.stack, alias.project)
        return all(part is ... for part in rest)


def _caller_line(depth: int) -> SourceLine | None:
    """Return the user's innermost line from a frame outwards; `depth` 1 is the frame that calls this."""
    return next(iter(chain_of_frames(sys._getframe(depth), 1)), None)


def _caller_of_class(frame: FrameType | None, resource: pulumi.Resource) -> FrameType | None:
    """Return the frame that called the constructor of the resource's class, where `frame` is within it.

    Like the SDK's own positions: two constructors belong to the SDK's base classes and the third to the class itself.
    A constructor further out is a class of the user's that adds inputs of its own, whose line is worth knowing.
    """
    constructors = 0
    while frame is not None and constructors < 3:
        code = frame.f_code
        if not code.co_argcount or frame.f_locals.get(code.co_varnames[0]) is not resource:
            break
        constructors += code.co_name == "__init__"
        frame = frame.f_back
    return frame


def _transfer_properties(
    resource: pulumi.Resource, properties: Mapping[str, Any], custom: bool
) -> dict[str, Callable[..., None]]:
    """Give a resource an output for each property; return what resolves them. Stands in for the SDK's function.

    The outputs are not tracked among those that a run waits for: the registration that resolves them is.
    """
    loop = asyncio.get_running_loop()
    attributes = resource.__dict__
    resolvers: dict[str, Callable[..., None]] = {}
    for name in properties:
        if name == "urn" or (name == "id" and custom):
            continue
        future: asyncio.Future[Any] = loop.create_future()
        resolvers[name] = functools.partial(_resolve, resource, future)
        output = object.__new__(pulumi.Output)
        output._data = future
        attributes[name] = output
    return resolvers


def _resolve(
    resource: pulumi.Resource,
    future: asyncio.Future[Any],
    value: Any,
    is_known: bool,
    is_secret: bool,
    dependencies: set[pulumi.Resource] | None,
    failed: Exception | None,
) -> None:
    if failed is not None:
        future.set_exception(failed)
        # Whoever awaits it gets it; nobody has to, since the failed registration itself is reported.
        future.exception()
        return
    resources = {resource, *dependencies} if dependencies else {resource}
    future.set_result(_OutputData(resources=resources, value=value, is_known=is_known, is_secret=is_secret))


_sdk_create_urn = sdk_resource.create_urn


def _create_urn(
    name: Any, type_: Any, parent: Any = None, project: str | None = None, stack: str | None = None
) -> pulumi.Output[str]:
    """Give at once what the SDK puts together by several outputs, where all parts are plain strings.

    The SDK does so for each registration, to have a URN in case there is no monitor.
    """
    if not (isinstance(name, str) and isinstance(type_, str) and isinstance(parent, str | None)):
        return _sdk_create_urn(name, type_, parent, project, stack)
    if parent is not None:
        prefix = parent[: parent.rfind("::")] + "$"
    else:
        prefix = f"urn:pulumi:{stack or sdk_settings.get_stack()}::{project or sdk_settings.get_project()}::"
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.set_result(_OutputData(resources=set(), value=f"{prefix}{type_}::{name}", is_known=True, is_secret=False))
    output: pulumi.Output[str] = object.__new__(pulumi.Output)
    output._data = future
    return output


def _reachable(from_resource: pulumi.Resource, to_resource: pulumi.Resource) -> bool:
    """Whether one resource depends on another, by whatever way. The SDK's function calls itself for each step."""
    waiting, seen = [from_resource], {from_resource}
    while waiting:
        resource = waiting.pop()
        if resource is to_resource:
            return True
        for dependency in sdk_cycles._deps(resource):
            if dependency not in seen:
                seen.add(dependency)
                waiting.append(dependency)
    return False


_unwrap_type = functools.lru_cache(maxsize=8192)(sdk_types.unwrap_type)


def _stack_trace() -> source_pb2.StackTrace:
    # Called by register_resource or read_resource, which the base class's constructor called.
    constructor = sys._getframe(2)
    frames = [
        source_pb2.StackFrame(pc=source_pb2.SourcePosition(uri=_uri(line.path), line=line.line))
        for line in chain_of_frames(_caller_of_class(constructor, constructor.f_locals["self"]))
    ]
    return source_pb2.StackTrace(frames=frames)


@functools.lru_cache(maxsize=4096)
def _uri(path: str) -> str:
    return Path(path).as_uri()


@contextlib.contextmanager
def patched(hooks: Hooks) -> Iterator[None]:
    """Replace parts of the SDK for the length of a run; see the module's docstring."""
    original_text = pulumi.Output.__str__

    def text_of_output(output: pulumi.Output[Any]) -> str:
        chain = chain_of_frames(sys._getframe(1))
        if chain:
            hooks.texts.append(chain[0])
        return original_text(output)

    original_alias = pulumi.Alias.__init__

    def make_alias(alias: pulumi.Alias, *args: Any, **kwargs: Any) -> None:
        original_alias(alias, *args, **kwargs)
        if is_user_file(sys._getframe(1).f_code.co_filename):
            hooks.aliases.add(alias)

    original_output = pulumi.Output._from_data
    resource_output = sdk_resource.resource_output.__code__

    def make_output(data: Any) -> pulumi.Output[Any]:
        output: pulumi.Output[Any] = original_output(data)
        if sys._getframe(1).f_code is not resource_output:  # a URN or an id fails with its registration
            output._data.add_done_callback(functools.partial(hooks.failed, _caller_line(2)))
        return output

    original_export = Stack.output

    def export(stack: Stack, name: str, value: Any) -> None:
        if hooks.texts:
            hooks.texts_before["", name] = len(hooks.texts)
        original_export(stack, name, value)

    original_error = pulumi.log.error

    def log_error(*args: Any, **kwargs: Any) -> None:
        hooks.error_line = hooks.error_line or _caller_line(2)
        original_error(*args, **kwargs)

    def drop(*_: Any, **__: Any) -> None:
        return None

    replacements: list[tuple[Any, str, Any]] = [
        (sdk_resource, "_get_stack_trace", _stack_trace),
        (sdk_rpc, "transfer_properties", _transfer_properties),
        (sdk_resource, "create_urn", _create_urn),
        (sdk_types, "unwrap_type", _unwrap_type),
        (sdk_callbacks, "aio", _NoServer),
        (sdk_cycles, "_reachable", _reachable),
        (sdk_invoke, "_invoke", _invoke),
        (pulumi.log, "debug", drop),
        (pulumi.log, "error", log_error),
        (pulumi.Alias, "__init__", make_alias),
        (pulumi.Output, "__str__", text_of_output),
        (pulumi.Output, "_from_data", staticmethod(make_output)),
        (Stack, "output", export),
    ]
    if hooks.undecrypted:
        for name in _SECRET_GETTERS:
            original = getattr(pulumi.Config, name)
            replacements.append((pulumi.Config, name, _unknown_secret(original, hooks.undecrypted)))
    # A class's own entry, since `getattr` would bind a class method.
    saved = [(owner, name, vars(owner)[name]) for owner, name, _ in replacements]
    try:
        for owner, name, value in replacements:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in saved:
            setattr(owner, name, value)


def _unknown_secret(getter: Callable[..., Any], undecrypted: frozenset[str]) -> Callable[..., Any]:
    @functools.wraps(getter)
    def wrapper(config: pulumi.Config, key: str, *args: Any, **kwargs: Any) -> Any:
        if config.full_key(key) in undecrypted:
            return unknown_secret()
        return getter(config, key, *args, **kwargs)

    return wrapper


def unknown_secret() -> pulumi.Output[Any]:
    """Return an output that is secret and not known."""

    async def give(value: Any) -> Any:
        return value

    return pulumi.Output(set(), give(None), give(False), give(True))


class UnknownOutput(pulumi.Output[Any]):
    """An output that is not known. It may be made before the event loop runs, unlike the SDK's own."""

    @property
    def _data(self) -> asyncio.Future[Any]:  # type: ignore[override]
        held = self.__dict__
        if "unknown" not in held:
            held["unknown"] = asyncio.get_running_loop().create_future()
            held["unknown"].set_result(_OutputData(resources=set(), value=None, is_known=False, is_secret=False))
        future: asyncio.Future[Any] = held["unknown"]
        return future


def configure(
    *,
    adapter: MonitorAdapter,
    project: str,
    stack: str,
    organization: str,
    root_directory: str,
    config: Mapping[str, str],
    secret_keys: frozenset[str],
) -> None:
    """Point the SDK of the current context at a monitor. Everything it sets is a context variable."""
    sdk_settings.ROOT.set(None)
    sdk_settings.configure(
        sdk_settings.Settings(
            project=project,
            stack=stack,
            monitor=adapter,
            engine=adapter,
            parallel=16,
            dry_run=True,
            organization=organization,
            root_directory=root_directory,
        )
    )
    sdk_config.set_all_config(dict(config), sorted(secret_keys))


def release(hooks: Hooks) -> None:
    """Let go of the exceptions and tasks that the SDK and the hooks keep of a failed run."""
    hooks.failures.clear()
    hooks.tracebacks.clear()
    sdk_settings.SETTINGS.outputs.clear()
    sdk_settings.SETTINGS.rpc_manager.clear()
    sdk_settings.ROOT.set(None)


async def run_in_stack(program: Callable[[], Any], hooks: Hooks) -> None:
    """Run a program inside a new stack resource and wait for all that it started."""

    def start() -> Any:
        pulumi.runtime.register_stack_transformation(hooks.constructing)
        return program()

    await pulumi.runtime.run_in_stack(start)


def waiting_line(loop: asyncio.AbstractEventLoop, hooks: Hooks, error: BaseException) -> SourceLine | None:
    """Return where a program waits or works that does not end, after `error` ended it from outside.

    That is a coroutine of the user's, else the first resource whose registration is under way.
    """
    lines: list[SourceLine] = []
    resources = list(_registered_in(error))
    for task in asyncio.all_tasks(loop):
        line = line_of_waiting(task.get_coro())
        if line is not None:
            lines.append(line)
        waiting: Any = task.get_coro()
        while waiting is not None:
            resources.extend(_registered_by(getattr(waiting, "cr_frame", None)))
            waiting = getattr(waiting, "cr_await", None)
    return min(lines) if lines else hooks.first_line(resources)


def _registered_in(error: BaseException) -> Iterator[pulumi.Resource]:
    """Yield the resources whose registrations an exception went through."""
    traceback = error.__traceback__
    while traceback is not None:
        yield from _registered_by(traceback.tb_frame)
        traceback = traceback.tb_next


def _registered_by(frame: FrameType | None) -> Iterator[pulumi.Resource]:
    if frame is not None and frame.f_code.co_name in ("do_register", "do_read"):
        resource = frame.f_locals.get("res")
        if isinstance(resource, pulumi.Resource):
            yield resource


class _NoServer:
    """Stands in for `grpc.aio` and its server, since nobody calls back from outside the process."""

    @classmethod
    def server(cls, **_: Any) -> _NoServer:
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


def forget_packages(modules: Collection[str]) -> None:
    """Take out of the SDK's tables what the given modules registered.

    A generated SDK registers itself on import and must not do so twice; one that belongs to the project is imported
    anew in every run.
    """
    tables: tuple[dict[str, list[Any]], ...] = (sdk_rpc._RESOURCE_PACKAGES, sdk_rpc._RESOURCE_MODULES)
    for table in tables:
        for key in list(table):
            table[key] = [entry for entry in table[key] if type(entry).__module__ not in modules]
            if not table[key]:
                del table[key]


def load_dynamic_provider(serialised: str) -> Any:
    """Return the dynamic provider that the SDK pickled into a resource's inputs."""
    return _deserialize(dill.loads, base64.b64decode(serialised))
