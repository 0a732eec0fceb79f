"""The same program under the same config gives the same deployment: again, and in another process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ringfence.deployment import UNKNOWN, Secret
from ringfence.providers.interface import OutputMode
from ringfence.sources.interface import Request
from ringfence.sources.project import EmbeddedSource
from tests.unit.engine.rehearsal import named

SHOP = Path(__file__).parents[2] / "fixtures" / "projects" / "shop"
SCRIPT = """
import sys
from pathlib import Path
from ringfence.sources.interface import Request
from ringfence.sources.project import EmbeddedSource

print(repr(EmbeddedSource().evaluate(Request(Path(sys.argv[1]), outputs=sys.argv[2]))))
"""


@pytest.mark.parametrize("outputs", ["synthetic", "unknown"])
def test_twice_and_in_other_processes(outputs: OutputMode) -> None:
    first, second = (EmbeddedSource().evaluate(Request(SHOP, outputs=outputs)) for _ in range(2))

    assert first.error is None
    assert first == second
    assert repr(first) == repr(second)  # the order of keys, too
    for seed in ("0", "1", "4242"):
        process = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(SHOP), outputs],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert process.stdout == repr(first) + "\n"
        assert process.stderr == ""


def test_what_the_program_makes() -> None:
    deployment = EmbeddedSource().evaluate(Request(SHOP))

    everything = named(deployment, "all")
    assert everything.inputs["password"] == Secret("hunter2")
    assert everything.inputs["subnets"] is UNKNOWN
    assert everything.inputs["tags"] == {"name": "all", "team": "shop"}
    assert len(everything.dependencies) > 4
    assert named(deployment, "site-b-outer").urn == (
        "urn:pulumi:dev::shop::shop:index:Site$test:index:Thing$test:index:Thing::site-b-outer"
    )
    assert [problem.code for problem in deployment.problems] == ["PG06"]
    assert deployment.printed == "printed\n"
    assert "hunter2" not in str([problem.message for problem in deployment.problems])
