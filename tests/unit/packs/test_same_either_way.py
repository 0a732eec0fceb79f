"""A pack in Python says the same in this process and in one of its own, by the SDK's server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ringfence.deployment import UNKNOWN, Deployment, Options, Resource, Secret, SourceLine
from ringfence.packs.interface import Judged, judge
from ringfence.packs.loading import starting
from ringfence.packs.running import close_all
from tests.unit.packs.fakes import FACTS

PACKS = Path(__file__).parents[2] / "fixtures" / "packs"
STACK = Resource("urn:stack", "pulumi:pulumi:Stack", "shop-dev", {}, custom=False)
PROVIDER = Resource("urn:p", "pulumi:providers:test", "default", {"region": "x"}, outputs={"region": "x"})
FIRST = Resource(
    "urn:a",
    "test:index:Thing",
    "a",
    {"value": "broken", "key": Secret("hush-hush"), "ports": [22, 80.5], "tags": {"x": {"y": [1]}}},
    outputs={"value": "broken", "arn": "arn:a"},
    parent=STACK.urn,
    provider=PROVIDER.urn,
    source=SourceLine("/shop/main.py", 3),
)
SECOND = replace(
    FIRST,
    urn="urn:b",
    name="b",
    inputs={"value": UNKNOWN, "site": {"rules": [{"name": UNKNOWN}]}, "size": 1},
    outputs={"value": UNKNOWN, "arn": UNKNOWN},
    dependencies=("urn:a",),
    property_dependencies={"value": ("urn:a",)},
    options=Options(protect=True, aliases=("urn:o",), custom_timeouts={"create": "5m"}),
)


@pytest.fixture(autouse=True)
def _no_pack_stays() -> Iterator[None]:
    yield
    close_all()


def judged(pack: Path, *, isolate: bool) -> Judged:
    deployment = Deployment("shop", "dev", Path("/shop"), (STACK, PROVIDER, FIRST, SECOND))
    with starting([(pack, None)], FACTS, seconds=30, isolate=isolate) as load:
        return judge(deployment, load())


@pytest.mark.parametrize(
    "name",
    ["asynchronous", "not_applicable", "remediate", "simple", "stack_policy", "tells", "twin_a", "with_main"],
)
def test_the_same_findings_either_way(name: str) -> None:
    here, there = (judged(PACKS / name, isolate=isolate) for isolate in (False, True))

    assert there.findings == here.findings
    assert here.findings
    assert there.notes == here.notes
    assert there.deployment == here.deployment
