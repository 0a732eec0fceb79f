"""Our policy server and the SDK's own, as processes that are started and spoken to as the engine does it.

What is compared is the processor time of the server processes, from the first request to the last answer; the time
that a start takes is compared apart.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime import proto
from pulumi.runtime.proto import analyzer_pb2_grpc

from bench.policies import analyze_requests, stack_request
from bench.stack import stack
from ringfence.deployment import Resource
from ringfence.policy._pulumi_policy import to_wire
from ringfence_policies import PACK

__all__ = ["main"]

ROOT = Path(__file__).parent.parent
RESOURCES, POLICIES, STACK_POLICIES = 300, 100, 10
_MANIFEST = "runtime: python\nversion: 0.0.1\n"
_PACK = """\
from {module} import PolicyPack

from bench.policies import policies

PolicyPack(name="bench", policies=policies({resource}, {stack}))
"""
_STOCK, _OURS = "pulumi_policy", "ringfence.policy.analyzer_server"

Requests = tuple[list[proto.AnalyzeRequest], proto.AnalyzeStackRequest]


@contextmanager
def pack(module: str, resource: int, stack_policies: int) -> Iterator[Path]:
    """Give the folder of a pack of that many policies, which the class `PolicyPack` of `module` serves."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "PulumiPolicy.yaml").write_text(_MANIFEST, encoding="utf-8")
        program = _PACK.format(module=module, resource=resource, stack=stack_policies)
        (Path(folder) / "__main__.py").write_text(program, encoding="utf-8")
        yield Path(folder)


@contextmanager
def server(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int, float]]:
    """Start a pack as the language host does; give the process, its port and the seconds until the port was there."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]]), "PULUMI_DRY_RUN": "true"}
    command = [sys.executable, "-u", "-m", "pulumi.policy", "127.0.0.1:0", str(folder)]
    begin = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        yield process, port, time.perf_counter() - begin
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def processor_seconds(process: subprocess.Popen[bytes]) -> float:
    """Return the processor time of a process so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def judged(folder: Path, requests: Requests) -> float:
    """Return the processor seconds that a server takes for all requests of a preview."""
    with server(folder) as (process, port, _), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = analyzer_pb2_grpc.AnalyzerStub(channel)
        stub.ConfigureStack(proto.AnalyzerStackConfigureRequest(stack="dev", project="bench", dry_run=True))
        stub.GetAnalyzerInfo(Empty())
        before = processor_seconds(process)
        for request in requests[0]:
            stub.Remediate(request)
            stub.Analyze(request)
        stub.AnalyzeStack(requests[1])
        return processor_seconds(process) - before


def started(folder: Path) -> float:
    """Return the seconds from the start of a server to its port."""
    with server(folder) as (_, _, seconds):
        return seconds


def own_requests(resources: list[Resource]) -> Requests:
    """Return what the engine sends for the resources of the examples of our own rules."""

    def filled(message: Any, resource: Resource, values: Any, **more: Any) -> Any:
        properties = Struct()
        properties.update(to_wire(values))
        provider = proto.AnalyzerProviderResource(type="pulumi:providers:bench", urn="urn:pulumi:dev::bench::p::p")
        facts = {"type": resource.type, "urn": resource.urn, "name": resource.name}
        return message(**facts, properties=properties, provider=provider, **more)

    def fed(resource: Resource) -> dict[str, Any]:
        feeds = resource.property_dependencies.items()
        return {key: proto.AnalyzerPropertyDependencies(urns=urns) for key, urns in feeds}

    return (
        [filled(proto.AnalyzeRequest, item, item.inputs) for item in resources],
        proto.AnalyzeStackRequest(
            resources=[
                filled(
                    proto.AnalyzerResource,
                    item,
                    item.outputs,
                    parent=item.parent or "",
                    propertyDependencies=fed(item),
                )
                for item in resources
            ]
        ),
    )


def main(rounds: int = 3) -> None:
    """Run the measurements and print ratios."""
    requests = analyze_requests(RESOURCES), stack_request(RESOURCES)
    resources = stack(PACK.rules, RESOURCES)
    own = own_requests(resources)
    active = len(PACK.activate())
    with pack(_STOCK, POLICIES, STACK_POLICIES) as stock, pack(_OURS, POLICIES, STACK_POLICIES) as ours:
        times = [
            (judged(stock, requests), judged(ours, requests), judged(ROOT / "policies", own)) for _ in range(rounds)
        ]
    theirs, mine, pack_own = (statistics.median(column) for column in zip(*times, strict=True))
    print(
        f"policy server, {RESOURCES} resources, {POLICIES} resource policies and {STACK_POLICIES} stack policies: "
        f"pulumi_policy {theirs:.2f} s of processor time, ringfence {mine:.2f} s: {theirs / mine:.1f} times less"
    )
    per_policy = theirs / (POLICIES + STACK_POLICIES) / RESOURCES
    per_rule = pack_own / active / len(resources)
    print(
        f"the built-in pack, {active} rules, {len(resources)} resources: {pack_own:.2f} s; per rule and resource "
        f"{per_rule * 1e6:.1f} µs, pulumi_policy {per_policy * 1e6:.1f} µs: {per_policy / per_rule:.1f} times less"
    )
    with pack(_STOCK, 1, 0) as stock:
        starts = [(started(stock), started(ROOT / "policies")) for _ in range(3 * rounds + 1)][1:]
    theirs, mine = (statistics.median(column) for column in zip(*starts, strict=True))
    ratio = statistics.median(b / a for a, b in starts)
    print(f"start to port: pulumi_policy, one policy {theirs:.2f} s, the built-in pack {mine:.2f} s: {ratio:.2f} times")


if __name__ == "__main__":
    main()
