"""Whatever tree of components and resources a program makes, its URNs and dependencies are those of a plain model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.engine.rehearsal import Group, Thing, rehearse

STACK = "urn:pulumi:dev::shop::pulumi:pulumi:Stack::shop-dev"


@dataclass
class Node:
    index: int
    component: bool
    parent: int | None
    depends_on: tuple[int, ...] = ()
    fed_by: tuple[int, ...] = ()

    @property
    def type(self) -> str:
        return f"test:index:{'Group' if self.component else 'Thing'}"

    @property
    def name(self) -> str:
        return f"n{self.index}::{'a$b' if self.index % 3 == 0 else 'c'}"


def descends(nodes: list[Node], index: int, ancestor: int) -> bool:
    parent = nodes[index].parent
    return parent is not None and (parent == ancestor or descends(nodes, parent, ancestor))


@st.composite
def programs(draw: st.DrawFn) -> list[Node]:
    """Draw nodes that may depend on resources made before, and on components whose every part was."""
    nodes: list[Node] = []
    for index in range(draw(st.integers(1, 9))):
        parent = draw(st.none() | st.integers(0, index - 1)) if index else None
        nodes.append(Node(index, draw(st.booleans()), parent))
    for node in nodes:
        whole = [
            other.index
            for other in nodes[: node.index]
            if all(not descends(nodes, later.index, other.index) for later in nodes[node.index :])
        ]
        if whole:
            node.depends_on = tuple(draw(st.lists(st.sampled_from(whole), max_size=3, unique=True)))
        custom = [other.index for other in nodes[: node.index] if not other.component]
        if custom and not node.component:
            node.fed_by = tuple(draw(st.lists(st.sampled_from(custom), max_size=3, unique=True)))
    return nodes


def qualified_type(nodes: list[Node], node: Node) -> str:
    return node.type if node.parent is None else f"{qualified_type(nodes, nodes[node.parent])}${node.type}"


def urn(nodes: list[Node], index: int) -> str:
    return f"urn:pulumi:dev::shop::{qualified_type(nodes, nodes[index])}::{nodes[index].name}"


def resources_of(nodes: list[Node], index: int) -> set[int]:
    """Return what a dependency means: a resource itself, for a component the resources in it, not those below them."""
    if not nodes[index].component:
        return {index}
    children = [node.index for node in nodes if node.parent == index]
    return {resource for child in children for resource in resources_of(nodes, child)}


def run(nodes: list[Node]) -> Any:
    def program() -> None:
        made: list[Any] = []
        for node in nodes:
            options = pulumi.ResourceOptions(
                parent=None if node.parent is None else made[node.parent],
                depends_on=[made[index] for index in node.depends_on],
            )
            if node.component:
                made.append(Group(node.name, options))
            else:
                inputs = {f"from{index}": [made[index].id] for index in node.fed_by}
                made.append(Thing(node.name, options, **inputs))

    return rehearse(program)


@settings(deadline=None, max_examples=60)
@given(programs())
def test_urns_parents_and_dependencies(nodes: list[Node]) -> None:
    deployment = run(nodes)

    assert deployment.error is None
    found = {resource.name: resource for resource in deployment.resources if resource.type.startswith("test:")}
    assert [resource.name for resource in deployment.resources if resource.name in found] == [
        node.name for node in nodes
    ]
    for node in nodes:
        resource = found[node.name]
        assert resource.urn == urn(nodes, node.index)
        assert resource.parent == (STACK if node.parent is None else urn(nodes, node.parent))
        meant = {target for index in node.depends_on for target in resources_of(nodes, index)} | set(node.fed_by)
        assert set(resource.dependencies) == {urn(nodes, index) for index in meant}
        assert resource.property_dependencies == {f"from{index}": (urn(nodes, index),) for index in sorted(node.fed_by)}
