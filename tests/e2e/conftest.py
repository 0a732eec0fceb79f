"""The tests here run the real Pulumi CLI; without one on PATH they are skipped."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PASSPHRASE = "correct horse"
"""What the secrets in the config of `programs/settings` are encrypted by."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if shutil.which("pulumi") is None:
        why = "needs the Pulumi CLI on PATH: https://www.pulumi.com/docs/iac/download-install/"
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session", autouse=True)
def _pip() -> None:
    """Have pip in this environment: the CLI asks it for the packages of a program, and uv leaves it out."""
    if importlib.util.find_spec("pip") is None:
        subprocess.run([sys.executable, "-m", "ensurepip"], check=True, capture_output=True)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let the CLI find this Python, and nothing of the user's."""
    for name in [name for name in os.environ if name.startswith(("PULUMI_", "AWS_", "ARM_", "AZURE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))
    # No test needs the network: an environment that the CLI makes by itself stays empty.
    monkeypatch.setenv("PIP_NO_INDEX", "1")


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the purpose-made programs, so that the CLI may write to them."""
    return Path(shutil.copytree(HERE / "programs", tmp_path_factory.mktemp("e2e") / "programs"))


@pytest.fixture(scope="session")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the reference stacks as a fresh clone has them: without the virtual environments that they name."""
    ignored = shutil.ignore_patterns("__pycache__", "venv", ".venv", ".mypy_cache", ".ruff_cache")
    return Path(shutil.copytree(ROOT / "stacks", tmp_path_factory.mktemp("e2e") / "stacks", ignore=ignored))


def offline(folder: Path, script: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script under `ringfence offline`."""
    command = [sys.executable, "-m", "ringfence.cli.main", "offline", *options, "--", "sh", "-ec", script]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=180)
