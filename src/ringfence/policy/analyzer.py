"""The analyzer service (`pulumirpc.Analyzer`) of a policy pack: what the real engine talks to.

It serves our own packs, and packs of ordinary `pulumi_policy` policies with the answers of the SDK's own server. What
differs from that server: a resource is decoded once and not once for each policy, rules are looked up by type, the
stack is indexed once, and a rule that breaks does not take the others with it.

A pack's `__main__.py` is two lines, see `ringfence.policy.analyzer_server`.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable
from typing import NoReturn, Protocol, TypeVar

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from pulumi.runtime import proto

from ringfence.policy.analyzer_wire import WireError
from ringfence.policy.pack import PackError

__all__ = ["AnalyzerService", "Answers"]

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)


class Answers(Protocol):
    """What a kind of pack has to say to the engine. `PackError` and `WireError` mean that a request is wrong."""

    version: str

    def info(self) -> proto.AnalyzerInfo:
        """Return the metadata of the pack and of its policies."""

    def configure(self, request: proto.ConfigureAnalyzerRequest) -> None:
        """Take levels and parameters."""

    def configure_stack(self, request: proto.AnalyzerStackConfigureRequest) -> None:
        """Take what the engine says of the run."""

    def analyze(self, request: proto.AnalyzeRequest) -> proto.AnalyzeResponse:
        """Judge one resource by its inputs."""

    def analyze_stack(self, request: proto.AnalyzeStackRequest) -> proto.AnalyzeResponse:
        """Judge the stack as a whole."""

    def remediate(self, request: proto.AnalyzeRequest) -> proto.RemediateResponse:
        """Rewrite one resource's inputs where policies say so."""


class AnalyzerService(proto.AnalyzerServicer):
    """The RPCs of the protocol, in front of a pack. No exception of an answer gets past it."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._cancelled = threading.Event()

    def Handshake(
        self, request: proto.AnalyzerHandshakeRequest, context: grpc.ServicerContext
    ) -> proto.AnalyzerHandshakeResponse:
        """Take the engine's address; nothing here calls the engine back."""
        return proto.AnalyzerHandshakeResponse()

    def GetPluginInfo(self, request: Empty, context: grpc.ServicerContext) -> proto.PluginInfo:
        """Return the version of what serves."""
        return proto.PluginInfo(version=self._answers.version)

    def GetAnalyzerInfo(self, request: Empty, context: grpc.ServicerContext) -> proto.AnalyzerInfo:
        """Return the metadata of the pack and of its policies, config schemas among it."""
        return self._answer(lambda _: self._answers.info(), request, context)

    def Configure(self, request: proto.ConfigureAnalyzerRequest, context: grpc.ServicerContext) -> Empty:
        """Take levels and parameters. A wrong one fails the request; the message names policy and key."""
        self._answer(_without_answer(self._answers.configure), request, context)
        return Empty()

    def ConfigureStack(
        self, request: proto.AnalyzerStackConfigureRequest, context: grpc.ServicerContext
    ) -> proto.AnalyzerStackConfigureResponse:
        """Take what the engine says of the run: stack, tags, whether it is a preview."""
        self._answer(_without_answer(self._answers.configure_stack), request, context)
        return proto.AnalyzerStackConfigureResponse()

    def Analyze(self, request: proto.AnalyzeRequest, context: grpc.ServicerContext) -> proto.AnalyzeResponse:
        """Judge one resource by its inputs."""
        return self._answer(self._answers.analyze, request, context, request.urn)

    def AnalyzeStack(self, request: proto.AnalyzeStackRequest, context: grpc.ServicerContext) -> proto.AnalyzeResponse:
        """Judge the stack as a whole."""
        return self._answer(self._answers.analyze_stack, request, context)

    def Remediate(self, request: proto.AnalyzeRequest, context: grpc.ServicerContext) -> proto.RemediateResponse:
        """Rewrite one resource's inputs where policies say so."""
        return self._answer(self._answers.remediate, request, context, request.urn)

    def Cancel(self, request: Empty, context: grpc.ServicerContext) -> Empty:
        """Refuse what comes from now on: the engine is about to end this process."""
        self._cancelled.set()
        return Empty()

    def _answer(self, answer: Callable[[Q], A], request: Q, context: grpc.ServicerContext, about: str = "") -> A:
        where = f"{about}: " if about else ""
        if self._cancelled.is_set():
            _refuse(context, grpc.StatusCode.CANCELLED, "the run was cancelled")
        try:
            return answer(request)
        except (PackError, WireError) as error:
            _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except (Exception, SystemExit) as error:
            # The message of an exception may quote a secret; its place and kind do not.
            frames = "".join(traceback.format_list(traceback.extract_tb(error.__traceback__)))
            print(f"{where}{type(error).__name__}\n{frames}", file=sys.stderr)  # noqa: T201 (the engine shows it)
            _refuse(context, grpc.StatusCode.INTERNAL, f"{where}the policy server broke: {type(error).__name__}")


def _refuse(context: grpc.ServicerContext, code: grpc.StatusCode, message: str) -> NoReturn:
    context.abort(code, message)
    raise AssertionError("abort returned")


def _without_answer(take: Callable[[Q], None]) -> Callable[[Q], Empty]:
    def answer(request: Q) -> Empty:
        take(request)
        return Empty()

    return answer
