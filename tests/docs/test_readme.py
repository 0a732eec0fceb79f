"""Every command block of the README, run as a newcomer would: in a fresh copy of the checkout, in a fresh Python."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ringfence.policy.rule import Rule
from ringfence.settings import Settings
from tests.unit.policies.cases import check_examples

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def tracked_files() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return [name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what git knows of this checkout, and of what is new in it."""
    copy = tmp_path_factory.mktemp("readme") / "ringfence"
    for name in tracked_files():
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    return copy


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Make a fresh Python with pip, and an environment in which it is `python3`."""
    # virtualenv, which nox brings, has pip at hand; venv would install it.
    home = tmp_path_factory.mktemp("python")
    subprocess.run([sys.executable, "-m", "virtualenv", "--quiet", str(home)], check=True)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COV", "COVERAGE", "NOX", "PYTEST")) and name not in ("VIRTUAL_ENV", "PYTHONPATH")
    }
    # uv, where this environment has it, makes nox quick; without it nox uses pip.
    path = [str(home / "bin"), *([str(Path(uv).parent)] if (uv := shutil.which("uv")) else []), kept["PATH"]]
    # The block that runs all tests must not run this test again: a few of them stand for all.
    few = "tests/unit/policy/test_tokens.py tests/unit/policies/test_azure_cosmosdb.py"
    return {**kept, "PATH": os.pathsep.join(path), "PYTEST_ADDOPTS": few}


def test_command_blocks_run_one_after_another(checkout: Path, environment: dict[str, str]) -> None:
    commands = blocks("sh")
    assert len(commands) >= 6

    for command in commands:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=checkout,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        if "-s check" in command:
            assert "no failures" in done.stdout
        if "-s tests" in command:
            assert re.search(r"\d+ passed", done.stdout)

    assert (checkout / "ringfence.sarif").stat().st_size > 1000


def test_the_rule_of_the_readme_is_a_rule() -> None:
    (source,) = blocks("python")
    names: dict[str, object] = {}
    exec(compile(source, "README.md", "exec"), names)
    rule = names["retention"]

    assert isinstance(rule, Rule)
    check_examples(rule)


def test_the_settings_of_the_readme_are_settings() -> None:
    (source,) = blocks("toml")
    settings = Settings.model_validate(tomllib.loads(source))

    assert settings.profiles == ("private-network",)
    assert [entry.rule for entry in settings.exempt] == ["ST05"]
