"""Our policy server and the SDK's own as real processes, started and spoken to as language host and engine do it.

The requests are those that Pulumi 3.260 sent for a preview and an update, recorded in `tests/fixtures/protocol`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime import proto

from tests.unit.policy.serving import connected, reconcile

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests" / "fixtures" / "protocol"
OWN_PACK = ROOT / "policies"
TIMEOUT = 60

ORDINARY = """\
from {module} import PolicyPack
from pulumi_policy import EnforcementLevel, ResourceValidationPolicy, Severity, StackValidationPolicy
import pulumi

def https(args, report_violation):
    if not args.resource_type.startswith("azure-native:"):
        args.not_applicable("It is another cloud's.")
    if args.props.get("enableHttpsTrafficOnly") is False:
        report_violation(f"{{args.name}} of {{pulumi.get_project()}}-{{pulumi.get_stack()}} takes plain HTTP.")

def reads_all(args, report_violation):
    for key in sorted(args.props):
        args.props[key]

async def options(args, report_violation):
    provider = args.provider.name if args.provider else None
    opts = args.opts
    report_violation(f"{{opts.protect}} {{opts.custom_timeouts.create_seconds}} {{provider}} {{opts.parent}}")
    report_violation(f"{{list(opts.ignore_changes)}} {{args.get_config()}} {{dict(args.stack_tags)}}")

def tags(args):
    if "tags" in args.props:
        args.props["tags"]["remediated"] = "yes"
        return args.props

def links(args, report_violation):
    for item in args.resources:
        feeds = {{key: [one.name for one in found] for key, found in sorted(item.property_dependencies.items())}}
        parent = item.parent.name if item.parent else None
        report_violation(f"{{item.name}} {{parent}} {{[one.name for one in item.dependencies]}} {{feeds}}", item.urn)

PolicyPack(
    name="ordinary",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=[
        ResourceValidationPolicy("https", "Takes HTTPS only.", https, severity=Severity.HIGH),
        ResourceValidationPolicy("reads-all", "Reads everything.", reads_all, EnforcementLevel.ADVISORY),
        ResourceValidationPolicy("options", "Reads the options.", options),
        ResourceValidationPolicy("tags", "Is tagged.", remediate=tags),
        StackValidationPolicy("links", "Reads the links.", links),
    ],
)
"""
STOCK, OURS = "pulumi_policy", "ringfence.policy.analyzer_server"

# --- the engine's part -----------------------------------------------------------------------------------------------


def sequence(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RECORDED / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


MESSAGES: dict[str, Any] = {
    "Analyze": proto.AnalyzeRequest,
    "AnalyzeStack": proto.AnalyzeStackRequest,
    "ConfigureStack": proto.AnalyzerStackConfigureRequest,
    "Remediate": proto.AnalyzeRequest,
}


def play(stub: Any, steps: list[dict[str, Any]], config: dict[str, Any] | None = None) -> list[tuple[str, Any]]:
    """Send a recorded sequence, and return the answers. What is remediated is analysed as remediated."""
    answers: list[tuple[str, Any]] = []
    info = None
    remediated: dict[str, Any] = {}
    for step in steps:
        rpc = step["rpc"]
        if rpc == "Configure":
            message: Any = reconcile(info, step["config"] if config is None else config)
        else:
            message = json_format.ParseDict(step["request"], MESSAGES.get(rpc, Empty)())
        if rpc == "Analyze" and message.urn in remediated:
            message.properties.CopyFrom(remediated[message.urn])
        answer = getattr(stub, rpc)(message, timeout=TIMEOUT)
        answers.append((rpc, answer))
        if rpc == "GetAnalyzerInfo":
            info = answer
        if rpc == "Remediate":
            for offer in answer.remediations:
                if not offer.diagnostic:
                    remediated[message.urn] = offer.properties
    return answers


# --- the language host's part ----------------------------------------------------------------------------------------


@contextmanager
def started(folder: Path, *, direct: bool = False) -> Iterator[tuple[subprocess.Popen[bytes], Any]]:
    """Start a pack, give the process and a client, and kill it as the engine does at the end."""
    stack = {"PULUMI_PROJECT": "shop", "PULUMI_STACK": "dev", "PULUMI_DRY_RUN": "true", "PULUMI_CONFIG": "{}"}
    module = [] if direct else ["-m", "pulumi.policy", "127.0.0.1:1"]
    process = subprocess.Popen(
        [sys.executable, "-u", *module, str(folder)],
        cwd=folder,
        env={**os.environ, **stack},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        assert line.strip().isdigit(), (line, process.stderr.read())
        with connected(int(line)) as stub:
            yield process, stub
    finally:
        process.kill()
        process.wait(TIMEOUT)
        process.stdout.close()
        process.stderr.close()


def ordinary_pack(folder: Path, module: str, program: str = ORDINARY) -> Path:
    folder.mkdir()
    (folder / "PulumiPolicy.yaml").write_text("runtime: python\nversion: 1.0.0\n", encoding="utf-8")
    (folder / "__main__.py").write_text(program.format(module=module), encoding="utf-8")
    return folder


# --- ordinary policies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recording", ["preview", "up"])
@pytest.mark.parametrize("direct", [False, True])
def test_both_servers_answer_a_run_alike(recording: str, direct: bool, tmp_path: Path) -> None:
    # Cancel comes last; the SDK's server does not know it.
    steps = [step for step in sequence(recording) if step["rpc"] != "Cancel"]
    config = {"tags": "remediate", "options": {"limit": 3}}
    answers = []
    for module in (STOCK, OURS):
        with started(ordinary_pack(tmp_path / module, module), direct=direct) as (_, stub):
            answers.append(play(stub, steps, config))

    theirs, ours = answers
    assert ours == theirs
    said = [item.message for rpc, answer in ours if rpc == "Analyze" for item in answer.diagnostics]
    assert "Takes HTTPS only.\naccount of shop-dev takes plain HTTP." in said
    assert sum(len(answer.remediations) for rpc, answer in ours if rpc == "Remediate") == 1
    assert any("can't run policy 'reads-all'" in message for message in said) == (recording == "preview")
    assert len(ours[-1][1].diagnostics) == 11


# --- our own pack ----------------------------------------------------------------------------------------------------


def names(answers: list[tuple[str, Any]], level: int) -> set[str]:
    return {
        item.policyName
        for rpc, answer in answers
        if rpc in ("Analyze", "AnalyzeStack")
        for item in answer.diagnostics
        if item.enforcementLevel == level
    }


def test_our_pack_judges_a_preview() -> None:
    with started(OWN_PACK) as (_, stub):
        stub.Handshake(proto.AnalyzerHandshakeRequest(engine_address="127.0.0.1:1"), timeout=TIMEOUT)
        answers = play(stub, sequence("preview"))

    mandatory = names(answers, proto.MANDATORY)
    assert "storage-minimum-tls" in mandatory  # unknown, under strictUnknowns
    assert not {"storage-https-only", "web-https-only", "web-minimum-tls"} & mandatory  # remediated
    offers = [item.policyName for rpc, answer in answers if rpc == "Remediate" for item in answer.remediations]
    assert sorted(offers) == ["storage-https-only", "web-https-only", "web-minimum-tls"]
    assert "hunter2" not in str([answer.diagnostics for rpc, answer in answers if rpc == "Analyze"])


def test_our_pack_judges_an_update() -> None:
    with started(OWN_PACK) as (_, stub):
        answers = play(stub, sequence("up"))

    assert names(answers, proto.MANDATORY) == set()
    assert {"storage-https-only", "storage-minimum-tls", "web-https-only"} <= names(answers, proto.ADVISORY)


def test_two_packs_at_once(tmp_path: Path) -> None:
    with ExitStack() as stack:
        stubs = [stack.enter_context(started(OWN_PACK))[1] for _ in range(2)]
        stubs.append(stack.enter_context(started(ordinary_pack(tmp_path / "pack", OURS)))[1])

        answers = [play(stub, sequence("up")) for stub in stubs[:2]]

    assert answers[0] == answers[1]


# --- the end ---------------------------------------------------------------------------------------------------------


def ended(process: subprocess.Popen[bytes]) -> int:
    return process.wait(TIMEOUT)


@pytest.mark.parametrize("kind", ["rules", "policies"])
def test_interrupted_it_ends_at_once_even_while_a_policy_hangs(kind: str, tmp_path: Path) -> None:
    hangs = (
        "import time\nfrom {module} import PolicyPack\nfrom pulumi_policy import ResourceValidationPolicy\n"
        "PolicyPack('p', [ResourceValidationPolicy('hangs', 'Hangs.', lambda args, report: time.sleep(600))])\n"
    )
    folder = OWN_PACK if kind == "rules" else ordinary_pack(tmp_path / "pack", OURS, hangs)
    with started(folder) as (process, stub):
        pending = stub.Analyze.future(proto.AnalyzeRequest(type="a:b:C", urn="urn:a"))
        if kind == "rules":
            pending.result(TIMEOUT)
        stub.Cancel(Empty(), timeout=TIMEOUT)
        process.send_signal(signal.SIGINT)

        assert ended(process) == 0
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
        if kind == "policies":
            with pytest.raises(grpc.RpcError):
                pending.result(TIMEOUT)


def test_when_whoever_started_it_is_killed_it_ends(tmp_path: Path) -> None:
    starter = (
        "import subprocess, sys\n"
        f"command = [sys.executable, '-u', '-m', 'pulumi.policy', '127.0.0.1:1', {str(OWN_PACK)!r}]\n"
        f"server = subprocess.Popen(command, cwd={str(OWN_PACK)!r}, stdout=subprocess.PIPE)\n"
        "print(server.stdout.readline().decode().strip(), server.pid, flush=True)\n"
        "server.wait()\n"
    )
    with subprocess.Popen([sys.executable, "-c", starter], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        _, pid = process.stdout.readline().split()
        process.kill()
    deadline = time.monotonic() + TIMEOUT
    while _alive(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.1)

    assert not _alive(int(pid))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")  # a zombie that nobody waits for has ended
    return not (status.exists() and status.read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z")
