"""What is wrong with a program although it runs: the PG family's own findings of the engine."""

from __future__ import annotations

from pathlib import Path

import pulumi
import pytest

from ringfence.deployment import Deployment, SourceLine
from tests.unit.engine.rehearsal import Group, Thing, line_of, named, rehearse, rehearse_file


def found(deployment: Deployment) -> list[tuple[str, int]]:
    """Return the code and the line of each problem; all are in one file."""
    assert deployment.error is None, deployment.error
    assert all(problem.remedy for problem in deployment.problems)
    return [(problem.code, problem.source.line if problem.source else 0) for problem in deployment.problems]


def test_two_resources_of_one_name_and_type() -> None:
    def program() -> None:
        Thing("twin", size=1)  # line: first twin
        Group("twin")
        Thing("twin", pulumi.ResourceOptions(parent=Group("other")))
        Thing("twin", size=2)  # line: second twin

    deployment = rehearse(program)

    assert found(deployment) == [("PG05", line_of(__file__, "second twin"))]
    problem = deployment.problems[0]
    assert problem.urn == "urn:pulumi:dev::shop::test:index:Thing::twin"
    first = line_of(__file__, "first twin")
    assert problem.message == (
        f"Two resources have the name 'twin' and the type test:index:Thing, first at line {first} of test_problems.py."
    )


def test_a_duplicate_made_in_a_loop_and_a_read_one() -> None:
    def program() -> None:
        for _ in range(3):
            Thing("same")
        Thing.get("same", "id")

    deployment = rehearse(program)

    assert [problem.code for problem in deployment.problems] == ["PG05"] * 3


TEXTS = """
import pulumi

class Thing(pulumi.CustomResource):
    def __init__(self, name, **inputs):
        super().__init__("test:index:Thing", name, inputs)

a = Thing("a", size=1)
{code}
"""


def run(folder: Path, code: str) -> Deployment:
    return rehearse_file(folder, TEXTS.format(code=code))


@pytest.mark.parametrize(
    ("code", "path"),
    [
        ('Thing("b", text=f"x-{a.id}")  # line: here', "text"),
        ('Thing("b", text="x-" + str(a.id))  # line: here', "text"),
        ('Thing("b", text="x-%s" % a.id)  # line: here', "text"),
        ('Thing("b", text="x-{}".format(a.id))  # line: here', "text"),
        ('text = f"x-{a.id}"  # line: here\nThing("b", nested={"deep": [1, text]})', "nested"),
        ('pulumi.export("text", f"x-{a.id}")  # line: here', "text"),
        ('pulumi.export("text", {"deep": [f"x-{a.id}"]})  # line: here', "text"),
        ('import helper\nThing("b", text=helper.text(a.id))', "text"),
    ],
)
def test_the_text_of_an_output_is_not_its_value(tmp_path: Path, code: str, path: str) -> None:
    helper = tmp_path / "helper.py"
    helper.write_text('def text(output):\n    return f"x-{output}"  # line: here\n')

    deployment = run(tmp_path, code)

    file = helper if "helper" in code else tmp_path / "__main__.py"
    assert [(problem.code, problem.path) for problem in deployment.problems] == [("PG06", path)]
    assert deployment.problems[0].source == SourceLine(str(file), line_of(file, "here"))
    assert deployment.error is None


def test_each_use_has_its_own_line(tmp_path: Path) -> None:
    deployment = run(
        tmp_path,
        'Thing("b", text=f"x-{a.id}")  # line: b\nThing("c", text=f"y-{a.id}")  # line: c\n'
        'pulumi.export("d", f"z-{a.id}")  # line: d',
    )

    main = tmp_path / "__main__.py"
    assert found(deployment) == [("PG06", line_of(main, mark)) for mark in ("b", "c", "d")]


@pytest.mark.parametrize("code", ["print(a.id)", "text = str(a.id)", "print(repr(a.id))", "a.id.apply(str)"])
def test_an_output_s_text_that_goes_nowhere_is_no_problem(tmp_path: Path, code: str) -> None:
    assert run(tmp_path, code).problems == ()


@pytest.mark.parametrize(
    "code",
    [
        "work()  # line: here",
        "kept = work()  # line: here",
        "def go():\n    work()  # line: here\ngo()",
        "a.id.apply(lambda _: [work()])  # line: here",
        "pulumi.runtime.register_resource_transform(lambda _: work() and None)  # line: here\nThing('b')",
    ],
)
def test_a_coroutine_that_nobody_awaits(tmp_path: Path, code: str) -> None:
    deployment = run(tmp_path, f"async def work():\n    Thing('never')\n{code}")

    assert found(deployment) == [("PG07", line_of(tmp_path / "__main__.py", "here"))]
    assert "'work'" in deployment.problems[0].message


@pytest.mark.parametrize(
    "code",
    [
        "async def main():\n    await work()\npulumi.run(main)",
        "Thing('b', size=pulumi.Output.from_input(work()))",
        "Thing('b', size=work())",
        "pulumi.export('x', work())",
        "a.id.apply(lambda _: work())",
    ],
)
def test_a_coroutine_that_is_awaited_is_no_problem(tmp_path: Path, code: str) -> None:
    deployment = run(tmp_path, f"import asyncio\nasync def work():\n    await asyncio.sleep(0)\n    return 3\n{code}")

    assert found(deployment) == []


def test_a_task_that_is_left_behind(tmp_path: Path) -> None:
    code = """
import asyncio

async def work():
    await asyncio.sleep(30)  # line: here
    Thing("never")

async def main():
    asyncio.create_task(work())
    await asyncio.sleep(0.01)
    return {"done": True}

pulumi.run(main)
"""
    deployment = run(tmp_path, code)

    assert found(deployment) == [("PG08", line_of(tmp_path / "__main__.py", "here"))]
    assert deployment.outputs == {"done": True}
    assert named(deployment, "a").name == "a"


def test_a_task_of_a_coroutine_that_started_by_itself_is_reported_too(tmp_path: Path) -> None:
    code = """
import asyncio

async def inner():
    await asyncio.sleep(30)  # line: here

async def work():
    await inner()

asyncio.ensure_future(work())
"""
    assert found(run(tmp_path, code)) == [("PG08", line_of(tmp_path / "__main__.py", "here"))]
