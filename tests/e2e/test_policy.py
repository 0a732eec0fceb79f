"""The pack under the real CLI finds what ringfence finds: in a preview, and in a state that was exported."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ringfence.policy.verdict import Verdict
from ringfence.sources.project import EmbeddedSource
from tests.e2e.conftest import ROOT, offline
from tests.e2e.test_parity import judged

PACK = ROOT / "policies"
PROGRAM = """\
import pulumi_aws as aws
import pulumi_azure_native as azure_native

group = azure_native.resources.ResourceGroup("team", location="westeurope")
azure_native.storage.StorageAccount(
    "files",
    resource_group_name=group.name,
    kind="StorageV2",
    sku={"name": "Standard_LRS"},
    minimum_tls_version="TLS1_0",
    allow_blob_public_access=True,
)
aws.dynamodb.Table(
    "state", hash_key="id", attributes=[{"name": "id", "type": "S"}], billing_mode="PAY_PER_REQUEST"
)
aws.sqs.Queue("jobs")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.yaml").write_text("name: faulty\nruntime: python\n", encoding="utf-8")
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  aws:region: eu-west-1\n", encoding="utf-8")
    (tmp_path / "__main__.py").write_text(PROGRAM, encoding="utf-8")
    return tmp_path


def expected(project: Path) -> set[tuple[str, str]]:
    """Return policy and resource of each failure that ringfence finds."""
    _, findings = judged(EmbeddedSource(), project, "dev", "synthetic")
    failed = {(item.name, item.urn or "") for item in findings if item.verdict is Verdict.FAIL}
    assert len(failed) > 3
    return failed


def of_events(lines: str) -> set[tuple[str, str]]:
    """Return policy and resource of each violation in the CLI's events."""
    events: list[dict[str, Any]] = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
    found = [event["policyEvent"] for event in events if "policyEvent" in event]
    return {(item["policyName"], item.get("resourceUrn", "")) for item in found}


def test_a_preview_with_the_pack_finds_the_same(project: Path, tmp_path: Path) -> None:
    log = tmp_path / "events.json"
    script = f"PULUMI_DEBUG_COMMANDS=1 pulumi preview --policy-pack {PACK} --event-log {log}"

    done = offline(project, script)

    assert done.returncode != 0
    assert "storage-minimum-tls" in done.stdout
    assert of_events(log.read_text(encoding="utf-8")) == expected(project)


def test_an_analysis_of_the_exported_state_finds_the_same(project: Path, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    assert offline(project, f"pulumi up --yes --skip-preview; pulumi stack export --file {state}").returncode == 0
    command = ["pulumi", "policy", "analyze", "--json", "--file", str(state), "--policy-pack", str(PACK)]
    known = subprocess.run(["pulumi", "policy", "--help"], capture_output=True, text=True, check=True).stdout
    if not re.search(r"^\s+analyze\b", known, re.MULTILINE):
        pytest.skip("needs a CLI that has `pulumi policy analyze` (3.249 or later for --file)")

    done = subprocess.run(
        [sys.executable, "-m", "ringfence.cli.main", "offline", "--", *command],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )

    assert of_events(done.stdout) == expected(project), done.stdout[-2000:] + done.stderr[-2000:]
