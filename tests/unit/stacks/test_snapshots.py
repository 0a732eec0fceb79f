"""What each stack registers in each environment, so that a change is a visible diff.

`python -m tests.unit.stacks.test_snapshots` writes the files anew.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ringfence.deployment import STACK_TYPE
from tests.unit.stacks.graphs import deployment
from tests.unit.stacks.loading import stack_names

SNAPSHOTS = Path(__file__).parent / "snapshots"
CASES = [(stack, environment) for stack in stack_names() for environment in ("dev", "prod")]


def listing(stack: str, environment: str) -> str:
    """Return a line for each resource: type, name and, indented below its parent, where it belongs."""
    graph = deployment(stack, environment)

    def below(parent: str, depth: int) -> list[str]:
        lines = []
        for resource in sorted(graph.resources, key=lambda item: (item.type, item.name)):
            if resource.parent == parent:
                flag = " (protected)" if resource.options.protect else ""
                lines.append(f"{'  ' * depth}{resource.type} {resource.name}{flag}")
                lines += below(resource.urn, depth + 1)
        return lines

    root = next(resource for resource in graph.resources if resource.type == STACK_TYPE)
    outputs = [f"output {name}" for name in sorted(graph.outputs)]
    return "\n".join([*below(root.urn, 0), *outputs]) + "\n"


@pytest.mark.parametrize(("stack", "environment"), CASES)
def test_resources_are_those_of_the_snapshot(stack: str, environment: str) -> None:
    expected = (SNAPSHOTS / f"{stack}.{environment}.txt").read_text(encoding="utf-8")

    assert expected == listing(stack, environment), "wanted? then run python -m tests.unit.stacks.test_snapshots"


def test_no_snapshot_is_left_over() -> None:
    assert {f"{stack}.{environment}.txt" for stack, environment in CASES} == {path.name for path in SNAPSHOTS.iterdir()}


if __name__ == "__main__":
    SNAPSHOTS.mkdir(exist_ok=True)
    for stack, environment in CASES:
        (SNAPSHOTS / f"{stack}.{environment}.txt").write_text(listing(stack, environment), encoding="utf-8")
