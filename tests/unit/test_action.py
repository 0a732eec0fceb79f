"""The GitHub action, the workflows and the pre-commit hooks: what they say is so, and their scripts run."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ringfence.cli.main import build_parser

ROOT = Path(__file__).parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS: dict[str, dict[str, Any]] = {step["name"]: step for step in ACTION["runs"]["steps"]}
HOOKS: list[dict[str, Any]] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
GOOD = "import pulumi\n\npulumi.export('size', 3)\n"
WRONG = "import pulumi\n\npulumi.export('size', pulumi.nothing)\n"


def write_project(folder: Path, name: str, program: str) -> None:
    (folder / name).mkdir()
    (folder / name / "Pulumi.yaml").write_text(f"name: {name}\nruntime: python\n", encoding="utf-8")
    (folder / name / "__main__.py").write_text(program, encoding="utf-8")


def run_step(folder: Path, name: str, **inputs: str) -> tuple[int, dict[str, str], str, str]:
    """Run a step's script as the runner does; return exit code, outputs, summary and what it printed."""
    given = {key: value.get("default", "") for key, value in ACTION["inputs"].items()} | inputs
    step = STEPS[name]
    files = {key: folder / key.lower() for key in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ENV")}
    for path in files.values():
        path.touch()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GITHUB_")}
    environment |= {key: str(path) for key, path in files.items()} | {"GITHUB_ACTION_PATH": str(ROOT)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    for key, value in step.get("env", {}).items():
        found = re.fullmatch(r"\$\{\{ inputs\.([\w-]+) \}\}", value)
        environment[key] = given[found[1]] if found else inputs["code"]
    # What `shell: bash` means: docs.github.com, "Workflow syntax", jobs.<job_id>.steps[*].shell.
    script = folder / "step.sh"
    script.write_text(step["run"], encoding="utf-8")
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    pairs = (line.partition("=") for line in files["GITHUB_OUTPUT"].read_text(encoding="utf-8").splitlines())
    summary = files["GITHUB_STEP_SUMMARY"].read_text(encoding="utf-8")
    return done.returncode, {key: value for key, _, value in pairs}, summary, done.stdout + done.stderr


def test_every_input_is_used_and_every_used_one_is_declared() -> None:
    steps = yaml.safe_dump(ACTION["runs"])

    assert set(re.findall(r"inputs\.([\w-]+)", steps)) == set(ACTION["inputs"])
    assert all(entry.get("description") for entry in ACTION["inputs"].values())


def test_outputs_are_those_of_a_step() -> None:
    for name, output in ACTION["outputs"].items():
        assert output["value"] == f"${{{{ steps.check.outputs.{name} }}}}"


def test_no_input_is_pasted_into_a_script() -> None:
    # It would be run: docs.github.com, "Security hardening for GitHub Actions", script injections.
    for step in STEPS.values():
        assert "${{" not in step.get("run", "")


def test_a_clean_run(tmp_path: Path) -> None:
    write_project(tmp_path, "shop", GOOD)

    code, outputs, summary, printed = run_step(tmp_path, "Check")

    assert (code, outputs) == (0, {"exit-code": "0", "sarif-file": "ringfence.sarif"})
    assert "Nothing to report" in summary
    assert "Nothing to report" in printed
    report = json.loads((tmp_path / "ringfence.sarif").read_text(encoding="utf-8"))
    assert report["version"] == "2.1.0"
    assert run_step(tmp_path, "Decide", code=outputs["exit-code"])[0] == 0


def test_a_run_that_blocks_writes_its_report_and_fails_at_the_end(tmp_path: Path) -> None:
    write_project(tmp_path, "shop", GOOD)
    write_project(tmp_path, "broken", WRONG)

    code, outputs, summary, _ = run_step(tmp_path, "Check", projects="shop\nbroken\n", stacks="blue\n")

    assert (code, outputs["exit-code"]) == (0, "2")
    assert "shop · blue" in summary
    assert "broken · blue" in summary
    assert outputs["sarif-file"] == "ringfence.sarif"
    assert run_step(tmp_path, "Decide", code="2")[0] == 2


def test_a_wrong_command_line_leaves_no_report_behind(tmp_path: Path) -> None:
    write_project(tmp_path, "shop", GOOD)
    (tmp_path / "ringfence.sarif").write_text("of the last run", encoding="utf-8")

    code, outputs, summary, _ = run_step(tmp_path, "Check", arguments="--select\nXX99")

    assert (code, outputs) == (0, {"exit-code": "2", "sarif-file": ""})
    assert "no rule has that code" in summary


def test_inputs_are_words_and_no_script(tmp_path: Path) -> None:
    write_project(tmp_path, "two words", GOOD)

    code, outputs, _, _ = run_step(
        tmp_path, "Check", projects="two words", arguments="--config\nkey=$(touch pwned) `id`"
    )

    assert (code, outputs["exit-code"]) == (0, "0")
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({}, [str(ROOT)]),
        ({"extras": "azure,aws"}, [f"{ROOT}[azure,aws]"]),
        ({"requirements": "my requirements.txt"}, [str(ROOT), "--requirement", "my requirements.txt"]),
    ],
)
def test_what_is_installed(
    tmp_path: Path, inputs: dict[str, str], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A python3 that tells its arguments: the install itself is pip's.
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python3"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > arguments\n', encoding="utf-8")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))

    code, _, _, printed = run_step(tmp_path, "Install ringfence", **inputs)

    assert code == 0, printed
    words = (tmp_path / "arguments").read_text(encoding="utf-8").splitlines()
    assert words == ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", *expected]


# --- workflows -------------------------------------------------------------------------------------------------------


def uses(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [str(value) for key, value in node.items() if key == "uses"] + [
            found for value in node.values() for found in uses(value)
        ]
    return [found for item in node for found in uses(item)] if isinstance(node, list) else []


@pytest.mark.parametrize("path", [ROOT / "action.yml", *WORKFLOWS], ids=lambda path: path.name)
def test_foreign_actions_are_pinned_by_their_commit(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for name in uses(yaml.safe_load(text)):
        assert name == "./" or re.fullmatch(r"[\w-]+/[\w/-]+@[0-9a-f]{40}", name), name
        assert name == "./" or re.search(rf"{name} # v\d+\.\d+\.\d+\b", text), f"{name}: which version is that?"


def test_workflows_run_sessions_that_exist() -> None:
    sessions = set(re.findall(r"^def (\w+)\(session", (ROOT / "noxfile.py").read_text(encoding="utf-8"), re.MULTILINE))
    named = [name for path in WORKFLOWS for name in re.findall(r"nox -s ([\w ]+)", path.read_text(encoding="utf-8"))]

    assert named
    assert {name for names in named for name in names.split()} <= sessions


def test_the_workflow_gives_the_action_inputs_that_it_has() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/e2e.yml").read_text(encoding="utf-8"))["jobs"]
    given = next(step["with"] for step in jobs["action"]["steps"] if step.get("uses") == "./")

    assert set(given) <= set(ACTION["inputs"])


# --- pre-commit ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: str(hook["id"]))
def test_hooks_run_as_pre_commit_runs_them(hook: dict[str, Any], tmp_path: Path) -> None:
    assert hook.keys() == {"id", "name", "description", "entry", "language", "pass_filenames", "files"}
    assert hook["language"] in ("python", "system")
    command, *words = shlex.split(hook["entry"])
    build_parser().parse_args(words)
    write_project(tmp_path, "shop", GOOD)

    codes = []
    for program in (GOOD, WRONG):
        (tmp_path / "shop" / "__main__.py").write_text(program, encoding="utf-8")
        done = subprocess.run(
            [str(Path(sys.executable).with_name(command)), *words], cwd=tmp_path, capture_output=True, check=False
        )
        codes.append(done.returncode)

    assert hook["pass_filenames"] is False
    assert codes == [0, 2]


@pytest.mark.parametrize(
    ("name", "matches"),
    [
        ("Pulumi.yaml", True),
        ("infra/Pulumi.prod.yaml", True),
        ("infra/__main__.py", True),
        ("infra/ringfence.toml", True),
        ("README.md", False),
        ("docs/NotPulumi.yaml", False),
    ],
)
def test_hooks_run_when_a_program_or_its_config_changes(name: str, matches: bool) -> None:
    for hook in HOOKS:
        assert (re.search(hook["files"], name) is not None) == matches
