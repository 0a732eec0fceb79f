"""The code that the stacks deploy is tested with the versions that it is deployed with."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.unit.stacks.loading import STACKS

PINNED = tomllib.loads((STACKS.parent / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]["apps"]
FILES = sorted(STACKS.glob("*/app/**/requirements.txt"))
SERVERS = ("azureml-inference-server-http", "azure-monitor-opentelemetry")
"""What runs the code and is not imported by it. The tests' own pydantic cannot live beside it."""


def pins(file: Path) -> list[str]:
    """Return the requirements of a file."""
    lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("file", FILES, ids=lambda path: str(path.relative_to(STACKS)))
def test_each_requirement_is_pinned_to_what_the_tests_run_with(file: Path) -> None:
    for pin in pins(file):
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9A-Za-z.]*", pin)
        if not pin.startswith(SERVERS):
            name, _, number = pin.partition("==")
            assert pin in PINNED
            assert number == version(name)


def test_each_stack_has_such_a_file() -> None:
    assert {file.relative_to(STACKS).parts[0] for file in FILES} == {
        path.parent.name for path in STACKS.glob("*/Pulumi.yaml")
    }
