"""`--engine pulumi` where the CLI is missing, too old, broken or slow; with a real one see tests/e2e."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ringfence.cli.main import main
from ringfence.deployment import ProgramError, SourceLine
from ringfence.sources.interface import Request
from ringfence.sources.pulumi_cli import PulumiSource, _error, _failure


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: shop\nruntime: python\n", encoding="utf-8")
    return folder


def pretend_pulumi(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "bin").mkdir()
    command = folder / "bin" / "pulumi"
    command.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")


def test_a_missing_cli_is_a_clear_error(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(project))

    code = main(["check", str(project), "--engine", "pulumi"])

    assert code == 2
    shown = " ".join(capsys.readouterr().out.split())
    assert "pulumi: there is no such command on PATH, which --engine pulumi needs" in shown
    assert "https://www.pulumi.com/docs/iac/download-install/" in shown


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo v2.9.0", "Minimum version requirement failed"),
        ("echo nonsense", "pulumi: Could not parse the Pulumi CLI version"),
        ("exit 3", "pulumi: cannot be run"),
        ('[ "$1" = version ] && echo v3.300.0 && exit; echo "error: no backend" >&2; exit 255', "no backend"),
    ],
)
def test_a_cli_that_does_not_work_is_named(
    project: Path, tmp_path: Path, script: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_pulumi(tmp_path, script, monkeypatch)

    error = PulumiSource().evaluate(Request(project)).error

    assert error is not None
    assert message in error.message


def test_a_cli_that_hangs_is_ended(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = '[ "$1" = version ] && echo v3.300.0 && exit; sleep 600'
    pretend_pulumi(tmp_path, script, monkeypatch)

    error = PulumiSource().evaluate(Request(project, time_limit=0.5)).error

    assert error == ProgramError("The Pulumi CLI did not end within 0.5 s.", details=error.details)


def test_told_to_end_it_takes_everything_along(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = f'[ "$1" = version ] && echo v3.300.0 && exit; echo $$ > {tmp_path}/pid; sleep 600'
    pretend_pulumi(tmp_path, script, monkeypatch)
    place = tmp_path / "tmp"
    place.mkdir()
    command = [sys.executable, "-m", "ringfence.cli.main", "check", str(project), "--engine", "pulumi"]
    with subprocess.Popen(command, env={**os.environ, "TMPDIR": str(place)}, stderr=subprocess.DEVNULL) as process:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)

        assert process.wait(20) == 143

    assert list(place.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_no_project_and_an_unknown_stack(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_pulumi(tmp_path, "exit 3", monkeypatch)
    (project / "Pulumi.prod.yaml").write_text("config: {}\n", encoding="utf-8")

    errors = [PulumiSource().evaluate(Request(folder, "blue")).error for folder in (project, tmp_path / "bin")]

    assert "expected one of the stacks prod" in str(errors[0])
    assert "is no Pulumi project" in str(errors[1])


TRACEBACK = """\
Program failed with an unhandled exception:
Traceback (most recent call last):
  File "/venv/lib/python3.12/site-packages/pulumi/runtime/stack.py", line 1, in run
    run()
  File "/shop/__main__.py", line 3, in <module>
    build()
  File "/shop/parts.py", line 2, in build
    raise ValueError("no size")
ValueError: no size
"""


def test_a_traceback_tells_the_line_and_the_last_word() -> None:
    error = _error(["something else", TRACEBACK], "error: preview failed")

    assert (error.message, error.source) == ("ValueError: no size", SourceLine("/shop/parts.py", 2))
    assert error.details == TRACEBACK


def test_a_wrapper_of_the_sdk_that_holds_an_inputs_value_is_left_out() -> None:
    wrapper = 'Traceback (most recent call last):\n  File "/venv/site-packages/pulumi/rpc.py", line 1, in serialize\n'
    wrapped = "\n\n".join(
        [
            TRACEBACK,
            "The above exception was the direct cause of the following exception:",
            f"{wrapper}RuntimeError: While processing input: 'password', type <class 'str'>, value s3cret",
        ]
    )

    error = _error([wrapped], "error: preview failed")

    assert (error.message, error.source) == ("ValueError: no size", SourceLine("/shop/parts.py", 2))


@pytest.mark.parametrize(
    ("errors", "failure", "message"),
    [
        (["resource 'a' has a problem"], "error: preview failed", "resource 'a' has a problem"),
        ([], "error: no passphrase", "no passphrase"),
        (["x: resource monitor shut down", "no component"], "error: preview failed", "no component"),
        (["update failed"], "error: no login", "no login"),
    ],
)
def test_other_errors_are_told_as_they_are(errors: list[str], failure: str, message: str) -> None:
    assert _error(errors, failure).message == message


def test_the_first_error_of_a_command_is_what_is_wrong() -> None:
    assert _failure("code: 255\nstdout: \nstderr: error: no stack\nerror: more\n") == "error: no stack"
    assert _failure("") == "pulumi preview failed"
