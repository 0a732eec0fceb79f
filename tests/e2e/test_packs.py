"""Packs in two languages find under the embedded engine what they find under the real one."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.conftest import offline
from tests.integration.judging import Run, check, copied
from tests.integration.node_packages import use_installed_node

SECRET = "s3cr3t-value"
CONFIG = ("token=" + SECRET, "colour=blue")
_UNKNOWN = re.compile(r"can't run policy .* during preview: \w+ value at \.(\S+) can't be known during preview")

Violation = tuple[str, str, str, str]
"""Policy, URN, level and message; `unknown` and the property for what could not be decided."""


@pytest.fixture(autouse=True)
def _installed_node(monkeypatch: pytest.MonkeyPatch) -> None:
    use_installed_node(monkeypatch)
    if shutil.which("pulumi-language-nodejs") is None:
        pytest.skip("needs the CLI's language host for Node beside it: pulumi-language-nodejs")


def prepared(folder: Path, name: str) -> Path:
    """Return a project whose made-up package the offline provider serves: a generated SDK names it."""
    project = copied(folder, name)
    (project / "test_sdk").mkdir()
    (project / "test_sdk" / "pulumi-plugin.json").write_text('{"resource": true, "name": "test"}')
    return project


def embedded(run: Run) -> Counter[Violation]:
    assert run.deployment["error"] is None
    (stack,) = (item["urn"] for item in run.deployment["resources"] if item["type"] == "pulumi:pulumi:Stack")
    found: Counter[Violation] = Counter()
    for item in run.findings:
        if item["verdict"] == "unknown":
            found[_undecided(item["name"], item["urn"] or stack, item["property"])] += 1
        elif item["verdict"] == "fail":
            message = item["message"].partition(": ")[2]
            found[item["name"], item["urn"] or stack, item["level"], _comparable(item["name"], message)] += 1
    return found


def real(project: Path, *packs: Path, config: tuple[str, ...] = ()) -> Counter[Violation]:
    log = project.parent / "log" / "events.json"
    log.parent.mkdir()
    given = " ".join(f"--policy-pack {pack}" for pack in packs)
    values = " ".join(f"--config {project.name}:{value}" for value in config)
    script = f"PULUMI_DEBUG_COMMANDS=1 pulumi preview {given} {values} --event-log {log}"
    done = offline(project, script, "--outputs", "unknown")
    found: Counter[Violation] = Counter()
    for line in log.read_text(encoding="utf-8").splitlines():
        event = json.loads(line).get("policyEvent")
        if event is None:
            continue
        policy, urn = event["policyName"], event["resourceUrn"]
        unknown = _UNKNOWN.search(event["message"])
        if unknown is not None:
            found[_undecided(policy, urn, unknown[1])] += 1
        else:
            message = event["message"].strip().partition("\n")[2]
            found[policy, urn, event["enforcementLevel"], _comparable(policy, message)] += 1
    assert found, done.stdout[-3000:] + done.stderr[-3000:]
    return found


def _undecided(policy: str, urn: str, place: str) -> Violation:
    # A policy about the whole stack: only ours says which resource it was.
    return policy, "" if policy == "fed" else urn, "unknown", place


def _comparable(policy: str, message: str) -> str:
    if policy == "run":
        # A file backend keeps no tags for a stack; ringfence passes those that every backend with tags gives.
        return message.partition(',"blue"')[0]
    return message.replace(SECRET, "[secret]")


def test_packs_of_two_languages_find_the_same(tmp_path: Path) -> None:
    project = prepared(tmp_path, "estate")
    packs = [copied(tmp_path, f"all_{language}") for language in ("python", "typescript")]
    options = [word for value in CONFIG for word in ("--config", value)]

    ours = embedded(check(project, *packs, options=(*options, "--outputs", "unknown")))

    assert sum(ours.values()) == 2 * 20
    assert ours == real(project, *packs, config=CONFIG)


def test_remediations_leave_the_same(tmp_path: Path) -> None:
    # One pack: the real engine's order of packs is that in which they happened to start.
    project, pack = prepared(tmp_path, "sizes"), copied(tmp_path, "remedy_python")

    ours = embedded(check(project, pack, options=("--outputs", "unknown")))

    assert sum(ours.values()) == 5
    assert ours == real(project, pack)
