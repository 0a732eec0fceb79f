"""What ringfence adds to a TypeScript program: `python -m bench.nodejs`.

The bare contender is the SDK's own runner against a monitor that answers at once.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2_grpc, resource_pb2, resource_pb2_grpc
from tests.integration.node_packages import node_program, use_installed_node

from ringfence.engine.languages.interface import RemoteProgram
from ringfence.engine.monitor import FEATURES
from ringfence.engine.remote_host import run_remote_program
from ringfence.providers.foreign import ForeignProvider

__all__ = ["main"]

_PROGRAM = """
import * as pulumi from "@pulumi/pulumi";

class Bucket extends pulumi.CustomResource {{
    public readonly arn!: pulumi.Output<string>;
    constructor(name: string, args: any, opts?: pulumi.CustomResourceOptions) {{
        super("aws:s3/bucket:Bucket", name, {{ arn: undefined, ...args }}, opts);
    }}
}}
const first = new Bucket("first", {{ bucket: "first" }});
for (let index = 1; index < {count}; index++) {{
    new Bucket(`bucket-${{index}}`, {{
        bucket: `bucket-${{index}}`,
        forceDestroy: false,
        tags: {{ first: first.arn, number: `${{index}}`, owner: "bench", environment: "dev" }},
    }});
}}
export const arn = first.arn;
"""


class _Echo:
    """Answers each question with what it holds."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: empty_pb2.Empty()

    def GetDeploymentInfo(self, request: Any, context: Any) -> Any:  # noqa: N802 - the name of the RPC
        """Say what the real monitor would."""
        return resource_pb2.DeploymentInfo(supportedFeatures=FEATURES)

    def RegisterResource(self, request: Any, context: Any) -> Any:  # noqa: N802 - the name of the RPC
        """Give the inputs back."""
        urn = f"urn:pulumi:dev::shop::{request.type}::{request.name}"
        return resource_pb2.RegisterResourceResponse(urn=urn, id=request.name, object=request.object)


def _bare(project: Path) -> float:
    """Return the seconds of the SDK's runner alone, started as the Pulumi CLI starts it."""
    server = grpc.server(ThreadPoolExecutor(8))
    echo: Any = _Echo()
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(echo, server)
    engine_pb2_grpc.add_EngineServicer_to_server(echo, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    command = [
        *("node", str((project / "node_modules/@pulumi/pulumi").resolve() / "cmd/run")),
        *("--monitor", address, "--engine", address, "--project", "shop", "--stack", "dev"),
        *("--pwd", str(project), "--parallel", "16", "--dry-run", "."),
    ]
    options = {"PULUMI_CONFIG": "{}", "PULUMI_NODEJS_TYPESCRIPT": "true", "PULUMI_NODEJS_TRANSPILE_ONLY": "true"}
    start = time.perf_counter()
    subprocess.run(command, cwd=project, env={**os.environ, **options}, check=True, capture_output=True)
    seconds = time.perf_counter() - start
    server.stop(None).wait()
    return seconds


def _ours(project: Path) -> float:
    """Return the seconds of a whole `ringfence check` with the pack."""
    command = [sys.executable, "-m", "ringfence.cli.main", "check", str(project), "--format", "json", "--exit-zero"]
    start = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True)
    seconds = time.perf_counter() - start
    (deployment,) = json.loads(done.stdout)["deployments"]
    assert len([item for item in deployment["resources"] if item["type"] == "aws:s3/bucket:Bucket"]) == 9
    return seconds


def _program(project: Path) -> RemoteProgram:
    return RemoteProgram(runtime="nodejs", folder=project, project="shop", stack="dev")


def _own_cpu(project: Path) -> float:
    """Return the processor seconds of this process, all of its threads, for one program."""
    start = time.process_time()
    deployment = run_remote_program(_program(project), ForeignProvider())
    assert deployment.error is None
    return time.process_time() - start


def main(rounds: int = 7) -> None:
    """Run both measurements, where Node and the packages are there."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        try:
            use_installed_node(patch)
            small, large, none = (
                node_program(Path(folder) / str(count), _PROGRAM.format(count=count)) for count in (9, 500, 1)
            )
        except (pytest.skip.Exception, pytest.fail.Exception) as missing:
            print(f"TypeScript: not measured: {missing.msg}")
            return
        for project in (small, large, none):
            # As in a project that has the package: the program's class stands in for the one of its large SDK.
            manifest = {"name": "shop", "private": True, "dependencies": {"@pulumi/aws": "7.0.0"}}
            (project / "package.json").write_text(json.dumps(manifest))
        _bare(small), _ours(small)  # compiled modules, a warm file cache
        pairs = [(_bare(small), _ours(small)) for _ in range(rounds)]
        bare, whole = (statistics.median(side) for side in zip(*pairs, strict=True))
        added = statistics.median(b - a for a, b in pairs)
        print(
            f"9 resources in TypeScript: node cmd/run {bare:.2f} s, ringfence check as a whole process {whole:.2f} s: "
            f"{added:.2f} s more"
        )
        _own_cpu(large)  # the SDK's types are read once
        costs = [(_own_cpu(none), _own_cpu(large)) for _ in range(3)]
        each = statistics.median((many - one) / 499 for one, many in costs)
        print(f"500 resources over gRPC: {each * 1e3:.2f} ms of our own processor time for each")


if __name__ == "__main__":
    main()
