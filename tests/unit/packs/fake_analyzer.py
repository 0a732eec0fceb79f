"""A policy pack that does what its folder's `fake.json` says, and writes down what it is asked.

It serves `pulumirpc.Analyzer` without any SDK for policies, so that it can misbehave in all the ways that a pack can.
"""

# ruff: noqa: T201 - a pack says its port on standard output

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime import proto
from pulumi.runtime.proto import analyzer_pb2_grpc

_LIMIT = [("grpc.max_receive_message_length", 400 << 20), ("grpc.max_send_message_length", 400 << 20)]


class Fake(proto.AnalyzerServicer):
    def __init__(self, does: dict[str, Any]) -> None:
        self.does = does
        self.configured: dict[str, Any] = {}

    def note(self, what: str, said: Any = None) -> None:
        with Path("asked.jsonl").open("a") as stream:
            stream.write(json.dumps([what, json_format.MessageToDict(said) if said is not None else None]) + "\n")

    def misbehave(self, when: str, context: grpc.ServicerContext) -> None:
        match self.does.get(when):
            case "hang":
                time.sleep(600)
            case "exit":
                print(self.does.get("words", "the last words"), file=sys.stderr, flush=True)
                os._exit(7)
            case "kill":
                os.kill(os.getpid(), 9)
            case "refuse":
                context.abort(grpc.StatusCode.UNKNOWN, self.does.get("details", "it went wrong"))
            case "unimplemented":
                context.abort(grpc.StatusCode.UNIMPLEMENTED, "")

    def Handshake(self, request: Any, context: Any) -> Any:
        self.note("Handshake", request)
        self.misbehave("Handshake", context)
        return proto.AnalyzerHandshakeResponse()

    def ConfigureStack(self, request: Any, context: Any) -> Any:
        self.note("ConfigureStack", request)
        self.misbehave("ConfigureStack", context)
        return proto.AnalyzerStackConfigureResponse()

    def GetAnalyzerInfo(self, request: Any, context: Any) -> Any:
        self.note("GetAnalyzerInfo")
        self.misbehave("GetAnalyzerInfo", context)
        return json_format.ParseDict(self.does["info"], proto.AnalyzerInfo())

    def Configure(self, request: Any, context: Any) -> Any:
        self.note("Configure", request)
        self.misbehave("Configure", context)
        self.configured = {name: entry.enforcementLevel for name, entry in request.policyConfig.items()}
        return Empty()

    def Analyze(self, request: Any, context: Any) -> Any:
        self.note("Analyze", request)
        self.misbehave(f"Analyze {request.name}", context)
        return self.answer(request.name, proto.AnalyzeResponse(), context)

    def AnalyzeStack(self, request: Any, context: Any) -> Any:
        self.note("AnalyzeStack", request)
        self.misbehave("AnalyzeStack", context)
        return self.answer("the stack", proto.AnalyzeResponse(), context)

    def Remediate(self, request: Any, context: Any) -> Any:
        self.note("Remediate", request)
        self.misbehave(f"Remediate {request.name}", context)
        return self.answer(f"remediate {request.name}", proto.RemediateResponse(), context)

    def Cancel(self, request: Any, context: Any) -> Any:
        self.note("Cancel")
        return Empty()

    def answer(self, about: str, empty: Any, context: Any) -> Any:
        """Answer for the policies that are on; fail where one of them is said to raise."""
        given = self.does.get("answers", {}).get(about, {})
        for name, details in given.get("raises", {}).items():
            if self.configured.get(name) != proto.DISABLED:
                context.abort(grpc.StatusCode.UNKNOWN, details)
        off = {name for name, level in self.configured.items() if level == proto.DISABLED}
        message = json_format.ParseDict({key: value for key, value in given.items() if key != "raises"}, empty)
        for field in ("diagnostics", "remediations"):
            if field in message.DESCRIPTOR.fields_by_name:
                kept = [item for item in getattr(message, field) if item.policyName not in off]
                message.ClearField(field)
                getattr(message, field).extend(kept)
        return message


def main() -> None:
    """Start as the pack's `fake.json` says, and serve."""
    does = json.loads(Path("fake.json").read_text())
    with Path("started.jsonl").open("a") as stream:
        told = {key: value for key, value in os.environ.items() if key.startswith("PULUMI_")}
        stream.write(json.dumps({"pid": os.getpid(), "arguments": sys.argv[1:], "environment": told}) + "\n")
    for line in does.get("prints", []):
        print(line, flush=True)
    print(*does.get("warns", []), sep="\n", file=sys.stderr, flush=True)
    if does.get("child"):
        child = subprocess.Popen(["sleep", "600"])
        Path("child").write_text(str(child.pid))
    match does.get("start"):
        case "hang":
            time.sleep(600)
        case "exit":
            sys.exit(does.get("code", 0))
    server = grpc.server(ThreadPoolExecutor(4), options=_LIMIT)
    analyzer_pb2_grpc.add_AnalyzerServicer_to_server(Fake(does), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
