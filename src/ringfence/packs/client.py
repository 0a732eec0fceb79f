"""The engine's side of `pulumirpc.Analyzer`: one policy pack's process that runs and answers."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

# gRPC's core writes to standard error when a pack's server goes away.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime import proto
from pulumi.runtime.proto import analyzer_pb2_grpc

from ringfence.packs import explain
from ringfence.packs.launch import NO_ENGINE, StackFacts
from ringfence.packs.running import RunningPack
from ringfence.policy.analyzer_wire import write_struct
from ringfence.policy.pack import PackError
from ringfence.policy.pack_config import PackLevel, Setting

__all__ = ["LEVELS", "AnalyzerClient", "RefusedError"]

T = TypeVar("T")
LEVELS = {
    proto.ADVISORY: PackLevel.ADVISORY,
    proto.MANDATORY: PackLevel.MANDATORY,
    proto.REMEDIATE: PackLevel.REMEDIATE,
    proto.DISABLED: PackLevel.DISABLED,
}
"""Levels on the wire."""
_ON_WIRE = {level: number for number, level in LEVELS.items()}

# The engine's own limit (sdk/go/common/util/rpcutil): inputs of many megabytes are met.
_MESSAGE_LIMIT = 400 * 1024 * 1024
_OPTIONS = (
    ("grpc.max_receive_message_length", _MESSAGE_LIMIT),
    ("grpc.max_send_message_length", _MESSAGE_LIMIT),
    ("grpc.enable_http_proxy", 0),
)
_LAST_SECONDS = 2.0
"""How long a process that does not answer any more has to end."""
_CANCEL_SECONDS = 0.5


class RefusedError(Exception):
    """A pack answered that it failed. The message says what a policy raised, with the pack's own line."""


class AnalyzerClient:
    """Asks a pack's process. The first question waits until the process serves."""

    def __init__(self, running: RunningPack) -> None:
        self.launch = running.launch
        self._running = running
        self._process = running.process
        self._channel: Any = None
        self._stub: Any = None
        self._configured: bytes | None = None
        self._heard = 0
        """How far it had come on standard error at its last answer."""

    # --- questions -----------------------------------------------------------------------------------------------

    def configure_stack(self, facts: StackFacts) -> None:
        """Wait until the pack serves, and tell it of the stack, as the engine does. Raises `PackError`."""
        self._connect()
        request = proto.AnalyzerStackConfigureRequest(
            stack=facts.stack,
            project=facts.project,
            organization=facts.organization,
            dry_run=True,
            config=dict(facts.config),
            config_secret_keys=sorted(facts.secret_keys),
            tags=dict(facts.tags),
        )
        self._must("ConfigureStack", request, "it was told of the stack", optional=True)

    def info(self) -> proto.AnalyzerInfo:
        """Return what the pack says of itself and its policies. Raises `PackError`."""
        answer = self._must("GetAnalyzerInfo", Empty(), "it was asked for its policies")
        assert isinstance(answer, proto.AnalyzerInfo)
        return answer

    def configure(self, settings: Mapping[str, Setting]) -> None:
        """Set levels and properties of all policies. Raises `PackError`."""
        request = proto.ConfigureAnalyzerRequest()
        for name, setting in settings.items():
            entry = request.policyConfig[name]
            entry.enforcementLevel = _ON_WIRE[setting.level]
            entry.properties.CopyFrom(write_struct(setting.properties, internal=True))
            entry.properties.SetInParent()
        said = request.SerializeToString(deterministic=True)
        if said != self._configured:
            self._configured = None
            self._must("Configure", request, "it was configured")
            self._configured = said

    def analyze(self, request: proto.AnalyzeRequest) -> proto.AnalyzeResponse:
        """Let the pack judge a resource. Raises `PackError`, and `RefusedError` where a policy raised."""
        return self._ask("Analyze", request, f"it judged {request.type} {request.name}", proto.AnalyzeResponse())

    def analyze_stack(self, request: proto.AnalyzeStackRequest) -> proto.AnalyzeResponse:
        """Let the pack judge the stack. Raises `PackError`, and `RefusedError` where a policy raised."""
        return self._ask("AnalyzeStack", request, "it judged the stack", proto.AnalyzeResponse())

    def remediate(self, request: proto.AnalyzeRequest) -> proto.RemediateResponse:
        """Let the pack change a resource. Raises `PackError`, and `RefusedError` where a policy raised."""
        return self._ask(
            "Remediate", request, f"it remediated {request.type} {request.name}", proto.RemediateResponse()
        )

    def close(self) -> None:
        """Tell the pack that it is over."""
        if self._stub is not None and self._process.code() is None:
            with contextlib.suppress(grpc.RpcError):
                self._stub.Cancel(Empty(), timeout=_CANCEL_SECONDS)
        if self._channel is not None:
            self._channel.close()

    # --- how -----------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        if self._stub is not None:
            return
        left = self._running.seconds - (time.monotonic() - self._running.since)
        try:
            # Where the program took the time, the pack has had it, too; it gets a moment to have its word read.
            port = self._process.port(max(left, _LAST_SECONDS))
        except TimeoutError:
            self._fail(f"did not start within {self._running.seconds:g} s{self._hangs()}")
        if port is None:
            self._fail(f"does not start: {explain.ended(self.launch, self._process, self._heard)}")
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=_OPTIONS)
        self._stub = analyzer_pb2_grpc.AnalyzerStub(self._channel)
        directory = str(self.launch.manifest.directory)
        handshake = proto.AnalyzerHandshakeRequest(
            engine_address=NO_ENGINE, root_directory=directory, program_directory=directory
        )
        self._must("Handshake", handshake, "it was greeted", optional=True)

    def _must(self, name: str, request: Any, when: str, *, optional: bool = False) -> object:
        try:
            return self._call(getattr(self._stub, name), request, when)
        except grpc.RpcError as error:
            if optional and error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return None
            message = explain.fault(
                error.details() or error.code().name, self._process.errors(self._heard), self.launch
            )
            self._fail(f"failed when {when}: {message}")

    def _ask(self, name: str, request: Any, when: str, otherwise: T) -> T:
        try:
            answer: T = self._call(getattr(self._stub, name), request, when)
            return answer
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED and name != "Analyze":
                return otherwise  # as the engine takes it: packs of before have no such thing
            message = explain.fault(
                error.details() or error.code().name, self._process.errors(self._heard), self.launch
            )
        self._heard = self._process.place()
        raise RefusedError(message)

    def _call(self, method: Callable[..., T], request: Any, when: str) -> T:
        """Ask. Raises `PackError` where the process is gone or hangs, and `grpc.RpcError` for other errors."""
        try:
            answer = method(request, timeout=self._running.seconds)
            self._heard = self._process.place()
            return answer
        except grpc.RpcError as error:
            code = error.code()
            if code is grpc.StatusCode.UNIMPLEMENTED:
                self._heard = self._process.place()
                raise
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                place = self._hangs()
                self._fail(f"did not answer within {self._running.seconds:g} s when {when}{place}")
            if code is grpc.StatusCode.UNAVAILABLE or self._process.code() is not None:
                self._process.code(_LAST_SECONDS)
                reason = explain.ended(self.launch, self._process, self._heard)
                self._fail(f"broke off when {when}: {reason}")
            raise

    def _hangs(self) -> str:
        return explain.where_it_hangs(self.launch, self._process, serving=self._stub is not None)

    def _fail(self, what: str) -> NoReturn:
        self._running.close()
        raise PackError(f"{self.launch.manifest.directory}: the policy pack {what}")
