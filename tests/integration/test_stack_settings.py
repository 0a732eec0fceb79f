"""Wrong settings of the reference stacks, as their user meets them: the command's exit code and message."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from ringfence.cli.main import main
from tests.unit.stacks.loading import STACKS, stack_names


@dataclass(frozen=True)
class Wrong:
    """A setting that a stack must refuse."""

    stack: str
    key: str
    value: str
    says: str
    """What the message says after the key, with the bounds."""


OUT_OF_RANGE = [
    Wrong("container_scaling", "cpu", "5", "is '5'; allowed is a whole number from 1 to 4"),
    Wrong("decoupled_lambda", "batchSize", "11", "is '11'; allowed is a whole number from 1 to 10"),
    Wrong("model_serving", "logDays", "29", "is '29'; allowed is a whole number from 30 to 730"),
    Wrong("retraining_queue", "logDays", "731", "is '731'; allowed is a whole number from 30 to 730"),
    Wrong("stateful_functions", "maximumInstances", "39", "is '39'; allowed is a whole number from 40 to 100"),
]
WRONG_TYPE = [
    Wrong(stack, "owner", '["a", "b"]', 'is \'["a", "b"]\'; allowed is text that matches') for stack in stack_names()
]
CONTRADICTIONS = [
    Wrong("container_scaling", "minimumGroups", "4", "maximumGroups is 3 and must be at least minimumGroups 4"),
    Wrong("decoupled_lambda", "consumerConcurrency", "99", "consumerConcurrency is 99 and must be at most"),
    Wrong("model_serving", "greenPercent", "10", "greenPercent is 10 and must be 0 or left out, as greenModel is not"),
    Wrong("retraining_queue", "ledgerDays", "3", "ledgerDays is 3 and must be at least 4"),
    Wrong("stateful_functions", "artefactDays", "1", "artefactDays is 1 and must be at least 2"),
]


def refusal(folder: Path, *settings: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the command says of a stack under settings that are wrong."""
    options = [part for setting in settings for part in ("--config", setting)]

    assert main(["check", str(folder), "--stack", "dev", *options]) == 2

    captured = capsys.readouterr()
    text = " ".join((captured.out + captured.err).split())
    assert "Traceback" not in text
    assert text.count(f"the settings of stack 'dev' of project '{folder.name}' are wrong") == 1
    return text


@pytest.mark.parametrize("wrong", [*OUT_OF_RANGE, *WRONG_TYPE], ids=lambda wrong: f"{wrong.stack} {wrong.key}")
def test_a_value_that_is_not_allowed(wrong: Wrong, capsys: pytest.CaptureFixture[str]) -> None:
    text = refusal(STACKS / wrong.stack, f"{wrong.stack}:{wrong.key}={wrong.value}", capsys=capsys)

    assert f"{wrong.stack}:{wrong.key} {wrong.says}" in text


@pytest.mark.parametrize("wrong", CONTRADICTIONS, ids=lambda wrong: f"{wrong.stack} {wrong.key}")
def test_a_value_that_contradicts_another(wrong: Wrong, capsys: pytest.CaptureFixture[str]) -> None:
    text = refusal(STACKS / wrong.stack, f"{wrong.stack}:{wrong.key}={wrong.value}", capsys=capsys)

    assert wrong.says in text


@pytest.mark.parametrize("stack", stack_names())
def test_a_value_that_is_missing(stack: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for folder in (stack, "stackkit"):
        shutil.copytree(STACKS / folder, tmp_path / folder, ignore=shutil.ignore_patterns("venv", "__pycache__"))
    settings = tmp_path / stack / "Pulumi.dev.yaml"
    lines = settings.read_text(encoding="utf-8").splitlines()
    settings.write_text("\n".join(line for line in lines if ":owner:" not in line), encoding="utf-8")

    text = refusal(tmp_path / stack, capsys=capsys)

    assert f"{stack}:owner is missing; allowed is text that matches" in text


@pytest.mark.parametrize("stack", stack_names())
def test_a_key_that_is_not_known(stack: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = refusal(STACKS / stack, f"{stack}:unheardOf=1", capsys=capsys)

    assert f"{stack}:unheardOf is not a setting of this stack" in text
