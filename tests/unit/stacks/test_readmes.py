from __future__ import annotations

import pytest
from docs.diagrams import drawn_readme, main

from tests.unit.stacks.loading import STACKS, stack_names


@pytest.mark.parametrize("stack", stack_names())
def test_the_diagram_is_what_the_stack_registers(stack: str) -> None:
    readme = STACKS / stack / "README.md"

    assert drawn_readme(STACKS / stack) == readme.read_text(encoding="utf-8"), "run nox -s docs"


def test_the_check_finds_nothing_to_draw(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0
    assert capsys.readouterr().out == ""
