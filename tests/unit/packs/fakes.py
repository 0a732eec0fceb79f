"""Folders of packs that misbehave as told, and what they saw."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ringfence.deployment import Deployment, Resource
from ringfence.packs.interface import Judged, judge
from ringfence.packs.launch import StackFacts
from ringfence.packs.loading import starting
from ringfence.policy.verdict import Finding

ROOT = Path(__file__).parents[3]
FACTS = StackFacts("shop", "dev", config={"shop:size": "4"}, tags={"team": "blue"})
THING = "acme:index:Thing"


def policy(name: str, level: str = "MANDATORY", kind: str = "RESOURCE", **more: Any) -> dict[str, Any]:
    """Return what a pack says of one of its policies."""
    return {
        "name": name,
        "description": f"About {name}.",
        "enforcementLevel": level,
        "policyType": f"POLICY_TYPE_{kind}",
        **more,
    }


def violation(name: str, message: str = "", level: str = "MANDATORY", **more: Any) -> dict[str, Any]:
    """Return a violation as the SDKs report it."""
    text = f"About {name}.\n{message}" if message else f"About {name}."
    return {"policyName": name, "description": f"About {name}.", "message": text, "enforcementLevel": level, **more}


def fake_pack(folder: Path, *policies: Mapping[str, Any], info: Mapping[str, Any] | None = None, **does: Any) -> Path:
    """Write a pack in Python that is the fake analyzer, with these policies."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {"name": folder.name, "supportsConfig": True, "policies": list(policies), **(info or {})}
    (folder / "fake.json").write_text(json.dumps({"info": about, **does}))
    (folder / "PulumiPolicy.yaml").write_text("runtime: python\nversion: 1.2.3\n")
    (folder / "__main__.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom tests.unit.packs.fake_analyzer import main\nmain()\n"
    )
    return folder


def fake_plugin(folder: Path) -> Path:
    """Write the fake analyzer as the plugin for packs of runtime `opa`."""
    folder.mkdir()
    plugin = folder / "pulumi-analyzer-policy-opa"
    plugin.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from tests.unit.packs.fake_analyzer import main\nmain()\n"
    )
    plugin.chmod(0o755)
    return plugin


def thing(name: str = "a", **inputs: Any) -> Resource:
    """Return a resource that repeats its inputs as outputs."""
    return Resource(f"urn:pulumi:dev::shop::{THING}::{name}", THING, name, inputs, outputs=dict(inputs))


def deployed(*resources: Resource) -> Deployment:
    """Return a deployment of these resources."""
    return Deployment("shop", "dev", Path("/shop"), resources)


def judged(
    packs: Sequence[Path],
    *resources: Resource,
    configs: Sequence[Mapping[str, Any]] = (),
    facts: StackFacts = FACTS,
    seconds: float = 30.0,
) -> Judged:
    """Judge resources by packs in processes of their own."""
    given = [(pack, configs[index] if index < len(configs) else None) for index, pack in enumerate(packs)]
    with starting(given, facts, seconds=seconds, isolate=True) as load:
        return judge(deployed(*resources), load())


def shown(findings: Sequence[Finding]) -> list[tuple[str, str, str]]:
    """Return policy, verdict and message of each finding."""
    return [(finding.name, finding.verdict.value, finding.message) for finding in findings]


def asked(pack: Path) -> list[tuple[str, Any]]:
    """Return what a pack was asked, in order."""
    path = pack / "asked.jsonl"
    return [tuple(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def starts(pack: Path) -> list[dict[str, Any]]:
    """Return how a pack was started, each time."""
    path = pack / "started.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def alive(pid: int) -> bool:
    """Whether a process runs. One that has ended and that nobody waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return not Path("/proc/self").exists()


def wait_until_gone(*pids: int, seconds: float = 5.0) -> None:
    """Wait for processes to end; fail where one does not."""
    limit = time.monotonic() + seconds
    while left := [pid for pid in pids if alive(pid)]:
        assert time.monotonic() < limit, f"processes that are left: {left}"
        time.sleep(0.02)


def names(questions: Sequence[tuple[str, Any]]) -> Iterator[str]:
    """Return the names of questions."""
    return (name for name, _ in questions)
