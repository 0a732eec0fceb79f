"""The embedded engine tells the truth: the real one makes the same of every program."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct

from ringfence.check import CheckOptions, Target, check
from ringfence.deployment import UNKNOWN, Deployment, Secret, SourceLine
from ringfence.policy.verdict import Finding
from ringfence.providers.interface import OutputMode
from ringfence.reports.interface import TargetJudged
from ringfence.sources.interface import Source
from ringfence.sources.project import EmbeddedSource
from ringfence.sources.pulumi_cli import PulumiSource
from ringfence.wire import decode
from tests.e2e.conftest import HERE, PASSPHRASE, ROOT, offline
from tests.e2e.parity import differences

PROGRAMS = sorted(path.parent.name for path in HERE.glob("programs/*/Pulumi.yaml"))
STACKS = sorted(
    (path.parent.name, path.name.split(".")[1]) for path in ROOT.glob("stacks/*/Pulumi.*.yaml") if path.is_file()
)
MODES: tuple[OutputMode, ...] = ("unknown", "synthetic")


def judged(source: Source, folder: Path, stack: str, mode: OutputMode) -> tuple[Deployment, list[Finding]]:
    """Return what a source makes of a program, and what the built-in pack finds in it."""
    events = check([Target(folder, stack)], CheckOptions(outputs=mode, recover=False), source)
    result = next(event.result for event in events if isinstance(event, TargetJudged))
    return result.deployment, sorted(result.findings, key=lambda item: (item.code, item.urn or "", item.message))


def assert_parity(folder: Path, stack: str, mode: OutputMode) -> None:
    embedded, ours = judged(EmbeddedSource(), folder, stack, mode)
    real, theirs = judged(PulumiSource(), folder, stack, mode)

    assert embedded.ok, embedded.error
    assert differences(embedded, real) == []
    assert ours == theirs
    assert len(real.resources) > 1


def cli_version() -> tuple[int, ...]:
    text = subprocess.run(["pulumi", "version"], capture_output=True, text=True, check=True).stdout
    return tuple(map(int, re.findall(r"\d+", text)[:3]))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_for_each_engine_feature(
    programs: Path, name: str, mode: OutputMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "reading_ids" and cli_version() < tuple(map(int, version("pulumi").split("."))):
        # ReadResourceResponse.id: the SDK takes an engine that leaves it out to say that it is unknown.
        pytest.skip("needs a CLI that is not older than the SDK: an older one does not hand on the id of what is read")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)

    assert_parity(programs / name, "dev", mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "stack"), STACKS)
def test_reference_stacks(stacks: Path, name: str, stack: str, mode: OutputMode) -> None:
    assert_parity(stacks / name, stack, mode)


def test_a_program_that_raises_fails_at_the_same_line_in_both(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: raises\nruntime: python\n", encoding="utf-8")
    (tmp_path / "__main__.py").write_text("import parts\n\nparts.build()\n", encoding="utf-8")
    (tmp_path / "parts.py").write_text("def build():\n    raise ValueError('no size')\n", encoding="utf-8")

    embedded, _ = judged(EmbeddedSource(), tmp_path, "dev", "unknown")
    real, _ = judged(PulumiSource(), tmp_path, "dev", "unknown")

    assert embedded.error is not None
    assert real.error is not None
    assert real.error.message == "ValueError: no size"
    assert real.error.source == embedded.error.source == SourceLine(str(tmp_path / "parts.py"), 2)


def test_missing_config_is_named_by_both(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: raises\nruntime: python\n", encoding="utf-8")
    (tmp_path / "__main__.py").write_text("import pulumi\n\npulumi.Config().require('colour')\n", encoding="utf-8")

    for source in (EmbeddedSource(), PulumiSource()):
        deployment, _ = judged(source, tmp_path, "dev", "unknown")
        assert deployment.error is not None
        assert "Missing required configuration variable 'raises:colour'" in deployment.error.message


def test_prints_and_messages_are_told_apart_by_both(programs: Path) -> None:
    for source in (EmbeddedSource(), PulumiSource()):
        deployment, _ = judged(source, programs / "messages", "dev", "unknown")
        said = [(item.severity, item.message) for item in deployment.diagnostics]
        assert said == [("info", "from the log"), ("warning", "take care")]
        assert sorted(filter(None, deployment.printed.splitlines())) == ["printed by the program", "to standard error"]


def test_two_resources_of_one_name_are_refused_by_the_real_engine_too(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: twice\nruntime: python\n", encoding="utf-8")
    text = "import pulumi_aws as aws\n\naws.sqs.Queue('jobs')\naws.sqs.Queue('jobs')\n"
    (tmp_path / "__main__.py").write_text(text, encoding="utf-8")

    embedded, _ = judged(EmbeddedSource(), tmp_path, "dev", "unknown")
    real, _ = judged(PulumiSource(), tmp_path, "dev", "unknown")

    assert [item.code for item in embedded.problems] == ["PG05"]
    assert real.error is not None
    assert "Duplicate resource URN" in real.error.message


def test_the_time_limit_ends_the_real_engine_too(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: slow\nruntime: python\n", encoding="utf-8")
    (tmp_path / "__main__.py").write_text("import time\n\ntime.sleep(600)\n", encoding="utf-8")
    events = check([Target(tmp_path, "dev")], CheckOptions(time_limit=4), PulumiSource())

    result = next(event.result for event in events if isinstance(event, TargetJudged))

    assert result.deployment.error is not None
    assert "did not end within 4 s" in result.deployment.error.message


# --- what the engine writes to its state -----------------------------------------------------------------------------


def exported(folder: Path, stack: str) -> list[dict[str, Any]]:
    """Return the resources in the state after a rehearsed `up`, secrets in plain."""
    script = f"pulumi up --yes --skip-preview -s {stack} >&2; pulumi stack export --show-secrets -s {stack}"
    done = offline(folder, script)
    assert done.returncode == 0, done.stdout + done.stderr
    resources: list[dict[str, Any]] = json.loads(done.stdout)["deployment"]["resources"]
    return resources


def of_state(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return properties as they stand in a state file."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict) and "plaintext" in value:
            return {**{k: v for k, v in value.items() if k != "plaintext"}, "value": json.loads(value["plaintext"])}
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list) else value

    return decode(ParseDict(plain(dict(properties)), Struct()))


@pytest.mark.parametrize("name", ["components", "nesting", "options", "providers"])
def test_dependencies_and_inputs_are_those_of_the_state(programs: Path, name: str) -> None:
    embedded, _ = judged(EmbeddedSource(), programs / name, "dev", "synthetic")
    state = {entry["urn"]: entry for entry in exported(programs / name, "dev")}

    for resource in embedded.resources:
        entry = state[resource.urn]
        assert (entry.get("parent"), entry["custom"]) == (resource.parent, resource.custom), resource.urn
        assert sorted(entry.get("dependencies") or []) == sorted(resource.dependencies), resource.urn
        found = {key: tuple(sorted(urns)) for key, urns in (entry.get("propertyDependencies") or {}).items() if urns}
        assert found == resource.property_dependencies, resource.urn
        assert (entry.get("provider") or "").rpartition("::")[0] == (resource.provider or ""), resource.urn
        assert bool(entry.get("protect")) == bool(resource.options.protect), resource.urn
        for key, value in of_state(entry.get("inputs") or {}).items():
            expected = resource.inputs.get(key, {} if key == "__internal" else None)
            assert isinstance(value, Secret) == isinstance(expected, Secret), f"{resource.urn}: {key}"
            if expected is not UNKNOWN and UNKNOWN not in (expected.values() if isinstance(expected, dict) else ()):
                assert value == expected, f"{resource.urn}: {key}"
