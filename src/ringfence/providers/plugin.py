"""The offline provider as a provider plugin: `pulumirpc.ResourceProvider` over gRPC, for the real engine.

The engine attaches to it by `PULUMI_DEBUG_PROVIDERS`. It is the same `OfflineProvider` that the embedded engine asks;
here are only the protocol and what an apply needs beyond a preview. One plugin serves one package. The engine opens a
connection for each provider resource, and requests do not name that resource: its config is kept by connection.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc

from ringfence.deployment import UNKNOWN, Unknown
from ringfence.providers.applied import applied
from ringfence.providers.differences import difference
from ringfence.providers.emulated import CannotCreateError, CannotDeleteError, EmulatedProvider
from ringfence.providers.interface import Created, InputFault, OutputMode, Registration
from ringfence.providers.offline import OfflineProvider
from ringfence.providers.sdk_imports import import_sdk
from ringfence.providers.sdk_types import describe
from ringfence.wire import decode, encode

__all__ = ["OfflinePlugin", "PluginError", "serve"]

# The engine's own limit (sdk/go/common/util/rpcutil): inputs of many megabytes are met.
_MAX_MESSAGE = 400 * 1024 * 1024
_THREADS = 4
_UNMOVABLE = {"azure-native": ("location", "resourceGroupName")}
"""Properties that a resource keeps for life, by package."""


class PluginError(OSError):
    """A plugin cannot be served."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass
class _Connection:
    """What the engine said on one connection: that of one provider resource."""

    inputs: Mapping[str, Any] = field(default_factory=dict)
    urn: str = ""
    engine: str = ""


class OfflinePlugin(provider_pb2_grpc.ResourceProviderServicer):
    """The provider plugin of one package.

    `version` is the one that the engine is told. `mode` says what a preview knows of outputs. `root` is the root module
    of the package's SDK, where it has another name than generated. Faults refuse the resource, but those with a code in
    `tolerated` are noted and those in `silenced` left out; `on_faults` takes all of them instead. `on_note` takes the
    notes that go to the engine's log otherwise. What is applied is made by `emulated`, where one is given.
    """

    def __init__(
        self,
        package: str,
        version: str = "",
        *,
        mode: OutputMode = "synthetic",
        invokes: Mapping[str, Mapping[str, Any]] | None = None,
        root: str = "",
        tolerated: Collection[str] = (),
        silenced: Collection[str] = (),
        on_faults: Callable[[str, Sequence[InputFault]], None] | None = None,
        on_note: Callable[[str], None] | None = None,
        emulated: EmulatedProvider | None = None,
    ) -> None:
        self.package = package
        self.version = version.removeprefix("v")
        self._root = root
        self._tolerated = tolerated
        self._silenced = silenced
        self._preview = OfflineProvider(mode, invokes)
        self._apply = OfflineProvider("synthetic", invokes)
        self._on_faults = on_faults
        self._on_note = on_note
        self._emulated = emulated
        self._connections: dict[str, _Connection] = {}
        self._noted: set[str] = set()
        self._lock = threading.Lock()

    # --- the connection ------------------------------------------------------------------------------------------

    def Handshake(self, request: Any, context: Any) -> Any:
        """Remember where the engine is and say what this provider understands."""
        self._connection(context).engine = request.engine_address
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=True, accept_outputs=True)

    def Attach(self, request: Any, context: Any) -> Any:
        """Remember where the engine is."""
        self._connection(context).engine = request.address
        return Empty()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """Say the version of the package's SDK: the engine compares it with what the program asks for."""
        return plugin_pb2.PluginInfo(version=self.version)

    def GetSchema(self, request: Any, context: Any) -> Any:
        """Say the package's name and version; its types are those of the installed SDK, which has no schema."""
        name = request.subpackage_name or self.package
        version = request.subpackage_version or self.version or "0.0.0"
        return provider_pb2.GetSchemaResponse(schema=json.dumps({"name": name, "version": version}))

    def Parameterize(self, request: Any, context: Any) -> Any:
        """Take a parameter that a generated SDK brings; making an SDK from one needs the plugin itself."""
        if request.WhichOneof("parameters") != "value":
            _refuse(context, f"An SDK for {self.package} cannot be generated offline: that needs its provider plugin.")
        return provider_pb2.ParameterizeResponse(name=request.value.name, version=request.value.version)

    def CheckConfig(self, request: Any, context: Any) -> Any:
        """Take the provider's config as it is."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        """Compare two configs of the provider."""
        return difference(_old_inputs(request), request.news)

    def Configure(self, request: Any, context: Any) -> Any:
        """Remember the config of the provider resource that this connection is for."""
        connection = self._connection(context)
        connection.inputs, connection.urn = decode(request.args), request.urn
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, acceptResources=True, acceptOutputs=True
        )

    def Cancel(self, request: Any, context: Any) -> Any:
        """Do nothing: every answer is given at once."""
        return Empty()

    def GetMapping(self, request: Any, context: Any) -> Any:
        """Say that there is no mapping: converters need the plugin itself."""
        return provider_pb2.GetMappingResponse()

    def GetMappings(self, request: Any, context: Any) -> Any:
        """Say that there are no mappings."""
        return provider_pb2.GetMappingsResponse()

    # --- resources -----------------------------------------------------------------------------------------------

    def Check(self, request: Any, context: Any) -> Any:
        """Check inputs against the SDK's types; each fault is a failure with its property path."""
        registration = self._registration(request, request.news, context)
        faults = self._preview.check(registration)
        if self._on_faults is not None:
            if faults:
                self._on_faults(request.urn, faults)
            return provider_pb2.CheckResponse(inputs=request.news)
        response = provider_pb2.CheckResponse(inputs=request.news)
        for fault in faults:
            reason = f"{fault.message} {fault.remedy}".rstrip()
            if fault.code in self._tolerated:
                self._note(f"{fault.code} {reason}", context, request.urn)
            elif fault.code not in self._silenced:
                response.failures.add(property=fault.path, reason=reason)
        return response

    def Diff(self, request: Any, context: Any) -> Any:
        """Compare old and new inputs; a change that gives the resource another id replaces it."""
        old = _old_inputs(request)
        registration = self._registration(request, old, context)
        identity = self._apply.create(registration).id
        unmovable = _UNMOVABLE.get(self.package, ())
        new = decode(request.news)

        def replaces(name: str) -> bool:
            if identity != request.id and self._emulated is None:
                return False  # imported: its id does not come from its inputs
            if name in unmovable:
                return True
            inputs = {key: value for key, value in registration.inputs.items() if key != name}
            if name in new:
                inputs[name] = new[name]
            changed = self._apply.create(replace(registration, inputs=inputs)).id
            return bool(changed != identity)

        response = difference(old, request.news, replaces)
        if response.replaces:
            # What keeps its name must go before its successor can come.
            response.deleteBeforeReplace = identity == self._apply.create(replace(registration, inputs=new)).id
        return response

    def Create(self, request: Any, context: Any) -> Any:
        """Give a resource its id and outputs: in a preview with unknowns, else as if it existed."""
        registration = self._registration(request, request.properties, context)
        if self._emulated is not None and not request.preview:
            try:
                created = self._emulated.deploy(registration)
            except CannotCreateError as error:
                _refuse(context, str(error), grpc.StatusCode.FAILED_PRECONDITION)
        else:
            created = self._created(registration, request.preview)
        identity = created.id if isinstance(created.id, str) else ""
        return provider_pb2.CreateResponse(id=identity, properties=encode(created.outputs))

    def Read(self, request: Any, context: Any) -> Any:
        """Answer `Resource.get`, an import, or a refresh: offline nothing ever drifts."""
        if request.HasField("inputs") and request.inputs != request.properties:
            return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)
        # Of what is imported nothing is known but its id: the engine goes on with an update to what is declared.
        inputs = request.inputs
        registration = self._registration(request, inputs, context, request.id)
        known = _without_unknowns(self._preview.read(registration).outputs)  # the engine takes no unknown here
        return provider_pb2.ReadResponse(id=request.id, properties=encode(known), inputs=inputs)

    def Update(self, request: Any, context: Any) -> Any:
        """Give a resource the outputs that follow from its new inputs."""
        registration = self._registration(request, request.news, context)
        if self._emulated is not None and not request.preview:
            updated = self._emulated.update(registration, request.id)
            return provider_pb2.UpdateResponse(properties=encode(updated.outputs))
        created = self._created(registration, request.preview)
        if created.id != request.id and not isinstance(created.id, Unknown):
            created = self._created(replace(registration, import_id=request.id), request.preview)
        return provider_pb2.UpdateResponse(properties=encode(created.outputs))

    def Delete(self, request: Any, context: Any) -> Any:
        """Delete what an emulator has; offline there is nothing to delete."""
        if self._emulated is not None:
            registration = self._registration(request, _old_inputs(request, request.properties), context)
            try:
                self._emulated.delete(registration, Created(request.id, decode(request.properties)))
            except CannotDeleteError as error:
                _refuse(context, str(error), grpc.StatusCode.FAILED_PRECONDITION)
        return Empty()

    def List(self, request: Any, context: Any) -> Any:
        """Refuse: only the cloud knows what exists."""
        _refuse(context, f"Only the cloud knows which {request.token} exist: there is nothing to list offline.")

    def Construct(self, request: Any, context: Any) -> Any:
        """Refuse: the code of a remote component is in its provider plugin."""
        _refuse(
            context,
            f"{request.type} is a component whose code is in the provider plugin of {self.package}: it cannot be "
            "constructed offline.",
        )

    def _created(self, registration: Registration, preview: bool) -> Created:
        if preview:
            created = self._preview.create(registration)
            types = describe(registration.type)
            # As of the providers themselves: what only they know is unknown, and not left out.
            blank = dict.fromkeys(types.outputs, UNKNOWN) if types is not None else {}
            return Created(created.id, {**blank, **created.outputs})
        return applied(registration, self._apply.create(registration))

    # --- functions -----------------------------------------------------------------------------------------------

    def Invoke(self, request: Any, context: Any) -> Any:
        """Answer a function. The engine takes no unknown from a provider here, so that one is an error."""
        self._load(request.tok)
        provider = self._preview if request.preview else self._emulated or self._apply
        # Whether the program wants a plain value is not told: one that does would break on an unknown.
        answer = provider.invoke(request.tok, decode(request.args), self._connection(context).inputs, plain=True)
        if not answer.known:
            reason = answer.note or f"The result of {request.tok} is not known offline."
            _refuse(context, reason, grpc.StatusCode.FAILED_PRECONDITION)
        if answer.note:
            self._note(answer.note, context)
        response = provider_pb2.InvokeResponse(
            failures=[provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in answer.failures]
        )
        if not answer.failures:
            getattr(response, "return").CopyFrom(encode(_without_unknowns(answer.value)))
        return response

    def Call(self, request: Any, context: Any) -> Any:
        """Answer a method of a resource: a placeholder with a note, or unknown in a preview."""
        self._load(request.tok)
        answer = self._preview.call(request.tok, decode(request.args), self._connection(context).urn or None)
        if not answer.known and not request.dryRun:
            _refuse(context, answer.note or f"The result of {request.tok} is not known offline.")
        if answer.note:
            self._note(answer.note, context)
        response = provider_pb2.CallResponse(
            failures=[provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in answer.failures]
        )
        getattr(response, "return").CopyFrom(encode(answer.value if answer.known else {"result": UNKNOWN}))
        return response

    # --- helpers -------------------------------------------------------------------------------------------------

    def _connection(self, context: Any) -> _Connection:
        with self._lock:
            return self._connections.setdefault(context.peer(), _Connection())

    def _registration(self, request: Any, inputs: Struct, context: Any, import_id: str | None = None) -> Registration:
        parts = request.urn.removeprefix("urn:pulumi:").split("::", 3)
        if len(parts) != 4:
            _refuse(context, f"{request.urn!r} is no URN of a resource.", grpc.StatusCode.INVALID_ARGUMENT)
        stack, project, qualified, name = parts
        token = request.type or qualified.rpartition("$")[2]
        self._load(token)
        if describe(token) is None:
            self._note(f"No installed SDK defines {token}: its inputs go through unchecked.", context)
        return Registration(
            urn=request.urn,
            type=token,
            name=request.name or name,
            inputs=decode(inputs),
            project=project,
            stack=stack,
            import_id=import_id,
            provider_inputs=self._connection(context).inputs,
        )

    def _load(self, token: str) -> None:
        import_sdk(token, self._root if token.startswith(f"{self.package}:") else "")

    def _note(self, message: str, context: Any, urn: str = "") -> None:
        """Tell the user something, each text once."""
        with self._lock:
            if message in self._noted:
                return
            self._noted.add(message)
        if self._on_note is not None:
            self._on_note(message)
            return
        address = self._connection(context).engine
        if not address:
            return
        request = engine_pb2.LogRequest(severity=engine_pb2.INFO, message=message, urn=urn)
        with contextlib.suppress(grpc.RpcError), grpc.insecure_channel(address) as channel:
            # A note is not worth a failure, nor a wait for an engine that has gone.
            engine_pb2_grpc.EngineStub(channel).Log(request, timeout=5)


def _old_inputs(request: Any, outputs: Struct | None = None) -> Struct:
    """Return the old inputs; engines that do not send them send the old outputs only, under one name or another."""
    if request.HasField("old_inputs"):
        old: Struct = request.old_inputs
        return old
    return outputs if outputs is not None else request.olds


def _without_unknowns(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_unknowns(item) for key, item in value.items() if not isinstance(item, Unknown)}
    if isinstance(value, list | tuple):
        return [_without_unknowns(item) for item in value if not isinstance(item, Unknown)]
    return value


def _refuse(context: Any, message: str, code: grpc.StatusCode = grpc.StatusCode.UNIMPLEMENTED) -> NoReturn:
    context.abort(code, message)
    raise AssertionError("abort raises")


@contextlib.contextmanager
def serve(plugins: Sequence[OfflinePlugin], ports: Sequence[int] = ()) -> Iterator[dict[str, int]]:
    """Serve plugins on loopback ports for the length of a block; gives the port of each package.

    `ports` are the ports to take, one for each plugin; by default free ones. Raises `PluginError` if one is in use.
    """
    if not (log := logging.getLogger("grpc")).handlers:
        log.addHandler(logging.NullHandler())  # a failed answer is told to the engine, not to standard error
    servers: list[grpc.Server] = []
    try:
        bound = {}
        for plugin, port in zip(plugins, ports or [0] * len(plugins), strict=True):
            server = grpc.server(
                ThreadPoolExecutor(_THREADS, thread_name_prefix=f"ringfence-{plugin.package}"),
                options=[
                    ("grpc.max_receive_message_length", _MAX_MESSAGE),
                    ("grpc.max_send_message_length", _MAX_MESSAGE),
                    ("grpc.so_reuseport", 0),
                ],
            )
            servers.append(server)
            provider_pb2_grpc.add_ResourceProviderServicer_to_server(plugin, server)
            try:
                bound[plugin.package] = server.add_insecure_port(f"127.0.0.1:{port}")
            except RuntimeError:
                raise PluginError(f"127.0.0.1:{port}: the port is in use or may not be taken") from None
            server.start()
        yield bound
    finally:
        for stopped in [server.stop(grace=None) for server in servers]:
            stopped.wait(5)
