"""An analyzer in this process, spoken to over gRPC; and the engine's part of the protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf import json_format
from pulumi.runtime import proto
from pulumi.runtime.proto import analyzer_pb2_grpc

from ringfence.policy.analyzer import Answers
from ringfence.policy.analyzer_server import start

_SIZE = [("grpc.max_receive_message_length", 400 * 1024 * 1024), ("grpc.max_send_message_length", 400 * 1024 * 1024)]
_LEVELS = {name: getattr(proto, name.upper()) for name in ("advisory", "mandatory", "remediate", "disabled")}


@contextmanager
def connected(port: int) -> Iterator[Any]:
    """Give a client of the analyzer at a port. No request waits for ever."""
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=_SIZE) as channel:
        yield analyzer_pb2_grpc.AnalyzerStub(channel)


@contextmanager
def served(answers: Answers) -> Iterator[Any]:
    """Serve what a pack answers, and give a client of it."""
    server, port = start(answers)
    try:
        with connected(port) as stub:
            yield stub
    finally:
        server.stop(None).wait(10)


def reconcile(info: proto.AnalyzerInfo, config: Mapping[str, Any]) -> proto.ConfigureAnalyzerRequest:
    """Return what the engine makes of a pack's schemas and the user's config (pkg/resource/analyzer/config.go)."""
    message = proto.ConfigureAnalyzerRequest()
    entries = {name: {"enforcementLevel": value} if isinstance(value, str) else value for name, value in config.items()}
    overall = entries.get("all", {}).get("enforcementLevel")
    for policy in info.policies:
        schema = json_format.MessageToDict(policy.configSchema.properties)
        defaults = {key: value["default"] for key, value in schema.items() if "default" in value}
        message.policyConfig[policy.name].enforcementLevel = _LEVELS[overall] if overall else policy.enforcementLevel
        message.policyConfig[policy.name].properties.update(defaults)
    for name, entry in entries.items():
        if "enforcementLevel" in entry:
            message.policyConfig[name].enforcementLevel = _LEVELS[entry["enforcementLevel"]]
        rest = {key: value for key, value in entry.items() if key != "enforcementLevel"}
        message.policyConfig[name].properties.update(rest)
    return message
