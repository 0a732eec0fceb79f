"""A stack and the package that the stacks share can be taken elsewhere."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest

from ringfence.sources.interface import Request
from ringfence.sources.project import EmbeddedSource
from tests.unit.stacks.graphs import deployment
from tests.unit.stacks.loading import STACKS, stack_names

IGNORED = shutil.ignore_patterns("__pycache__", ".mypy_cache", "venv")
# The CLI makes a `venv` beside a program that it deploys.
FILES = sorted(path for path in STACKS.rglob("*.py") if "venv" not in path.parts)


@pytest.mark.parametrize("environment", ["dev", "prod"])
@pytest.mark.parametrize("stack", stack_names())
def test_a_copy_registers_the_same(stack: str, environment: str, tmp_path: Path) -> None:
    for folder in (stack, "stackkit"):
        shutil.copytree(STACKS / folder, tmp_path / folder, ignore=IGNORED)

    copy = EmbeddedSource().evaluate(Request(tmp_path / stack, environment))

    assert copy.error is None
    assert copy.problems == ()
    assert {item.urn for item in deployment(stack, environment).resources} == {item.urn for item in copy.resources}


@pytest.mark.parametrize("file", FILES, ids=lambda path: str(path.relative_to(STACKS)))
def test_nothing_that_is_deployed_imports_ringfence(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert imported.isdisjoint({"ringfence", "ringfence_policies", "tests"})
