"""`ringfence pack init`: the folder it writes, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from ringfence.cli.main import main
from ringfence.policy.analyzer_rules import RuleAnalyzer
from ringfence.policy.crossguard import load_pack
from ringfence_policies import PACK
from tests.unit.policy.serving import reconcile

FILES = ["PulumiPolicy.yaml", "__main__.py", "requirements.txt", "policy-config.json", "README.md", ".gitignore"]


def written(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def test_the_folder_is_a_pack_that_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new" / "guardrails"

    assert main(["pack", "init", str(folder)]) == 0

    assert sorted(written(folder)) == sorted(FILES)
    assert f"pulumi preview --policy-pack {folder}" in capsys.readouterr().out
    manifest = yaml.safe_load(written(folder)["PulumiPolicy.yaml"])
    assert manifest["runtime"] == {"name": "python", "options": {"toolchain": "pip"}}
    pack = load_pack(folder, json.loads(written(folder)["policy-config.json"]))
    assert [policy.name for policy in pack.policies] == [rule.name for rule in PACK.rules]


def test_rules_can_be_left_out(tmp_path: Path) -> None:
    main(["pack", "init", str(tmp_path)])
    program = tmp_path / "__main__.py"
    text = program.read_text(encoding="utf-8")
    program.write_text(text.replace("LEFT_OUT: set[str] = set()", 'LEFT_OUT = {"ST01"}'), encoding="utf-8")

    assert [policy.name for policy in load_pack(tmp_path).policies] == [rule.name for rule in PACK.rules[1:]]


def test_the_examples_of_config_are_right(tmp_path: Path) -> None:
    main(["pack", "init", str(tmp_path)])
    files = written(tmp_path)
    example = re.search(r"^    \{\n.*?^    \}$", files["README.md"], re.MULTILINE | re.DOTALL)
    assert example is not None
    answers = RuleAnalyzer(PACK)

    for text in (files["policy-config.json"], example.group()):
        answers.configure(reconcile(answers.info(), json.loads(text)))


def test_files_that_are_there_stay_unless_forced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "__main__.py").write_text("mine", encoding="utf-8")

    assert main(["pack", "init", str(tmp_path)]) == 2
    assert written(tmp_path) == {"__main__.py": "mine"}
    assert capsys.readouterr().err == (
        f"ringfence: pack init: {tmp_path} has __main__.py already; --force overwrites\n"
    )
    assert main(["pack", "init", str(tmp_path), "--force"]) == 0
    assert "mine" not in written(tmp_path)["__main__.py"]


def test_other_files_of_a_folder_are_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text("mine", encoding="utf-8")

    assert main(["pack", "init", str(tmp_path)]) == 0
    assert written(tmp_path)["LICENSE"] == "mine"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder.write_text("", encoding="utf-8"), "is a file; expected a folder"),
        (lambda folder: (folder / "README.md").mkdir(parents=True), "is a folder where a file has to go"),
        (lambda folder: folder.parent.joinpath("x").write_text("", encoding="utf-8"), "x"),
    ],
)
def test_what_cannot_be_written(make: object, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "guardrails"
    assert callable(make)
    make(folder)
    target = tmp_path / "x" / "guardrails" if message == "x" else folder

    assert main(["pack", "init", str(target), "--force"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "internal error" not in error


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["pack", "init", "--help"])

    assert "pulumi preview --policy-pack guardrails" in capsys.readouterr().out
