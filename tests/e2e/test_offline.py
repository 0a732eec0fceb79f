"""`ringfence offline` with the real CLI: whole life cycles, with no plugin, no login and nothing left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, offline

STACKS = sorted(path.parent.name for path in ROOT.glob("stacks/*/Pulumi.yaml"))
LIFE = """
pulumi up --yes --skip-preview
pulumi preview --expect-no-changes
pulumi refresh --yes --skip-preview --expect-no-changes
pulumi destroy --yes --skip-preview
"""
PROGRAM = "import pulumi_aws as aws\n\naws.sqs.Queue('jobs', delay_seconds={delay})\n"


def write_project(folder: Path, program: str, **files: str) -> Path:
    (folder / "Pulumi.yaml").write_text("name: small\nruntime: python\n", encoding="utf-8")
    (folder / "__main__.py").write_text(program, encoding="utf-8")
    for name, text in files.items():
        (folder / name.replace("_yaml", ".yaml")).write_text(text, encoding="utf-8")
    return folder


def left_behind(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name != "__pycache__"} | {
        path.name for path in Path(os.environ["TMPDIR"]).glob("ringfence-*")
    }


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_lives_its_whole_life(stacks: Path, name: str) -> None:
    before = left_behind(stacks / name)

    done = offline(stacks / name, LIFE)

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "have been deleted" in done.stdout
    assert left_behind(stacks / name) == before


def test_a_preview_without_stack_login_or_plugins_just_works(tmp_path: Path) -> None:
    write_project(tmp_path, PROGRAM.format(delay=3))
    before = left_behind(tmp_path)

    done = offline(tmp_path, "exec pulumi preview")

    assert done.returncode == 0, done.stderr
    assert "+ 2 to create" in done.stdout
    assert left_behind(tmp_path) == before


def test_the_stack_that_the_command_names_is_there(tmp_path: Path) -> None:
    write_project(tmp_path, "import pulumi\npulumi.export('stack', pulumi.get_stack())\n")
    command = [sys.executable, "-m", "ringfence.cli.main", "offline", "--", "pulumi", "preview", "--stack", "blue"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert 'stack: "blue"' in done.stdout


def test_wrong_inputs_are_check_failures_with_their_path(tmp_path: Path) -> None:
    write_project(tmp_path, PROGRAM.format(delay="'three'"))

    done = offline(tmp_path, "exec pulumi preview")

    assert done.returncode != 0
    assert 'delaySeconds is "three", not an integer.' in done.stdout
    assert "delaySeconds" in done.stdout


def test_the_projects_settings_decide_what_blocks(tmp_path: Path) -> None:
    write_project(tmp_path, PROGRAM.format(delay="'three'"))
    (tmp_path / "ringfence.toml").write_text('[rules.PG02]\nlevel = "advisory"\n', encoding="utf-8")

    done = offline(tmp_path, "exec pulumi preview")

    assert done.returncode == 0, done.stdout
    assert 'PG02 delaySeconds is "three", not an integer.' in done.stdout


def test_a_type_without_sdk_passes_through_and_is_noted_once(tmp_path: Path) -> None:
    program = """
    import pulumi

    for name in ("one", "two"):
        pulumi.CustomResource("aws:nowhere/thing:Thing", name, {"size": 3})
    """
    write_project(tmp_path, "\n".join(line[4:] for line in program.splitlines()))

    done = offline(tmp_path, "pulumi up --yes --skip-preview >&2; pulumi stack export")

    assert done.returncode == 0, done.stderr
    things = [item for item in json.loads(done.stdout)["deployment"]["resources"] if item["type"].endswith("Thing")]
    assert [item["outputs"] for item in things] == [{"size": 3}, {"size": 3}]
    notes = [line for line in done.stderr.splitlines() if line.strip().startswith("No installed SDK defines")]
    assert [line.strip() for line in notes] == [
        "No installed SDK defines aws:nowhere/thing:Thing: its inputs go through unchecked."
    ]


def test_secrets_that_cannot_be_decrypted_are_unknown_and_the_file_stays_as_it_is(programs: Path) -> None:
    file = programs / "settings" / "Pulumi.dev.yaml"
    before = file.read_bytes()
    command = [sys.executable, "-m", "ringfence.cli.main", "offline", "--", "pulumi", "preview"]

    done = subprocess.run(command, cwd=programs / "settings", capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "the secrets settings:password cannot be decrypted: each is unknown." in done.stderr
    assert "password: [secret]" in done.stdout or "password: [unknown]" in done.stdout
    assert file.read_bytes() == before


def test_a_change_of_a_name_replaces(tmp_path: Path) -> None:
    program = "import pulumi\nimport pulumi_aws as aws\n\naws.sqs.Queue('jobs', name=pulumi.Config().require('name'))\n"
    write_project(tmp_path, program)
    script = """
    pulumi config set name one; pulumi up --yes --skip-preview
    pulumi config set name two; pulumi preview --diff
    """

    done = offline(tmp_path, script)

    assert done.returncode == 0, done.stderr
    assert "+-1 to replace" in done.stdout
    assert not (tmp_path / "Pulumi.dev.yaml").exists()


def test_a_remote_component_is_refused_with_the_reason(tmp_path: Path) -> None:
    program = """\
import pulumi

pulumi.ComponentResource("aws:index:Cluster", "main", {}, None, True)
"""
    write_project(tmp_path, program)

    done = offline(tmp_path, "exec pulumi preview")

    assert done.returncode != 0
    assert "cannot be constructed offline" in done.stdout + done.stderr


def test_a_killed_command_takes_its_processes_along(tmp_path: Path) -> None:
    write_project(tmp_path, "import os, time\n\nprint('pid', os.getpid(), flush=True)\ntime.sleep(600)\n")
    before = left_behind(tmp_path)
    script = "pulumi preview & child=$!; sleep 5; kill -KILL $child; wait $child"

    done = offline(tmp_path, script)

    assert done.returncode == 137
    pids = [int(line.rpartition("pid ")[2].split()[0]) for line in done.stdout.splitlines() if "pid " in line]
    assert pids
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert left_behind(tmp_path) == before
