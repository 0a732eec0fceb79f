"""Python programs out of process: the same deployment as in process, in the project's own environment."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Any

import pytest

from ringfence.deployment import Deployment, Resource, Secret, SourceLine
from ringfence.fuzz import source_for
from ringfence.sources.interface import Request
from ringfence.sources.project import EmbeddedSource
from ringfence.sources.pulumi_yaml import load_project
from tests.integration.languages import alive, evaluate, named, notes
from tests.unit.engine.rehearsal import line_of
from tests.unit.stacks.loading import STACKS

PROGRAM = """
import asyncio
import pulumi
from pulumi.dynamic import CheckResult, Resource, ResourceProvider

config = pulumi.Config()


class Thing(pulumi.CustomResource):
    size: pulumi.Output[int]

    def __init__(self, name, opts=None, **inputs):
        super().__init__("test:index:Thing", name, {"size": None, **inputs}, opts)


class Shelf(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("shop:index:Shelf", name)
        Thing(f"{name}-first", pulumi.ResourceOptions(parent=self), size=1)  # line: child


class Rows(ResourceProvider):
    def check(self, olds, news):
        return CheckResult({**news, "checked": True}, [])


class Table(Resource):
    def __init__(self, name, props):
        super().__init__(Rows(), name, props)


def mark(args):
    return pulumi.ResourceTransformResult({**args.props, "seen": args.name}, args.opts) if args.custom else None


print("this goes to standard output")
pulumi.runtime.register_resource_transform(mark)
plain = Thing("plain", size=config.require_int("size"))  # line: plain
Thing("full", pulumi.ResourceOptions(protect=True, depends_on=[plain]), of=plain.size, token=config.get_secret("token"))
Shelf("shelf")
Table("table", {"rows": 3})  # line: table
pulumi.export("size", plain.size)
pulumi.export("token", config.get_secret("token"))
"""


def project(folder: Path, text: str, options: str = "") -> Path:
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text(f"name: shop\nruntime:\n  name: python\n{options}")
    (folder / "__main__.py").write_text(text)
    return folder


def comparable(deployment: Deployment, but: str = "") -> list[tuple[Any, ...]]:
    """Return what must not depend on how a program runs; the order of arrival may, and how a provider is pickled."""
    return sorted(
        (item.urn, str(item.inputs), str(_visible(item)), str(item.options), item.dependencies, _line(item))
        for item in deployment.resources
        if item.name != but
    )


def _visible(resource: Resource) -> dict[str, Any]:
    return {key: value for key, value in resource.outputs.items() if key != "__provider"}


def _line(resource: Resource) -> str:
    return f"{resource.source.path}:{resource.source.line}" if resource.source else ""


def test_a_program_gives_the_same_deployment_as_in_process(tmp_path: Path) -> None:
    folder = project(tmp_path / "shop", PROGRAM)
    config = {"size": "3", "token": "s3cr3t-value"}
    main = folder / "__main__.py"

    outside = evaluate(folder, isolate=True, config=config)

    inside = evaluate(folder, config=config)
    assert outside.error is None
    # In process a dynamic resource's own class counts as its line; outside the caller of that class does.
    assert comparable(outside, but="table") == comparable(inside, but="table")
    assert named(outside, "table").source == SourceLine(str(main), line_of(main, "table"))
    assert outside.outputs == inside.outputs == {"size": 3, "token": Secret("s3cr3t-value")}
    assert named(outside, "full").inputs["seen"] == "full"
    assert named(outside, "table").inputs == {"rows": 3, "checked": True, "seen": "table"}
    assert outside.printed == "this goes to standard output\n"


def test_a_whole_stack_gives_the_same_deployment_as_in_process(tmp_path: Path) -> None:
    pytest.importorskip("pulumi_aws")
    for name in ("decoupled_lambda", "stackkit"):
        shutil.copytree(STACKS / name, tmp_path / name, ignore=shutil.ignore_patterns("venv", "__pycache__"))
    folder = tmp_path / "decoupled_lambda"

    outside = evaluate(folder, isolate=True)

    inside = evaluate(folder)
    assert outside.error is None
    assert comparable(outside) == comparable(inside)
    assert outside.outputs == inside.outputs
    assert outside.problems == inside.problems


def test_a_projects_own_environment_is_used(tmp_path: Path) -> None:
    folder = project(tmp_path / "shop", "import pulumi\nimport only_here\n", "  options:\n    virtualenv: own\n")
    venv.create(folder / "own", symlinks=True, with_pip=False)
    packages = next((folder / "own" / "lib").glob("python3*/site-packages"))
    ours = next(path for path in sys.path if path.endswith("site-packages"))
    (packages / "ours.pth").write_text(f"{ours}\n")
    (packages / "only_here.py").write_text("import pulumi\n\npulumi.export('environment', __file__)\n")

    deployment = evaluate(folder)

    assert deployment.error is None
    assert deployment.outputs == {"environment": str(packages / "only_here.py")}
    here = EmbeddedSource(in_process=True).evaluate(Request(folder, recover=False))
    assert here.error is not None
    assert here.error.message.startswith("ModuleNotFoundError: No module named 'only_here'")
    # A search runs it here only where it runs here at all.
    assert source_for(folder).runs_outside(load_project(folder))


FAULTS = {
    "raise": ("def f():\n    raise KeyError('zone')\nf()\n", "KeyError: 'zone'", 2),
    "syntax": ("x = 1\ny = = 2\n", "SyntaxError: invalid syntax", 2),
    "config": ("import pulumi\npulumi.Config().require('zone')\n", "Missing required configuration variable", 2),
    "module": ("import nowhere_to_be_found\n", "ModuleNotFoundError: No module named 'nowhere_to_be_found'. If", 1),
    "exit": ("import sys\nsys.exit(3)\n", "The program ended itself by sys.exit(3) before it was done.", 2),
    "apply": (
        "import pulumi\npulumi.Output.from_input(1).apply(lambda n: n.none)\n",
        "AttributeError: 'int' object has no attribute 'none'",
        2,
    ),
    "hang": ("x = 1\nwhile True:\n    x += 1\n", "The program did not end within 5 s.", None),
    "killed": ("import os\nos.kill(os.getpid(), 9)\n", "The program was ended by signal 9 before it was done.", None),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_error_with_its_line(tmp_path: Path, name: str) -> None:
    text, message, line = FAULTS[name]

    error = evaluate(project(tmp_path / "shop", text), isolate=True, time_limit=5 if name == "hang" else 60).error

    assert error is not None
    assert error.message.startswith(message)
    if name == "hang":
        assert error.source is not None
        assert error.source.line in (2, 3)
    else:
        assert (error.source.line if error.source else None) == line


def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    text = (
        "import os, pathlib, subprocess, time\nchild = subprocess.Popen(['sleep', '300'])\n"
        "pathlib.Path('children').write_text(f'{os.getpid()} {child.pid}')\ntime.sleep(300)  # line: sleep\n"
    )
    folder = project(tmp_path / "shop", text)

    error = evaluate(folder, isolate=True, time_limit=4).error

    assert error is not None
    assert error.source is not None
    assert error.source.line == line_of(folder / "__main__.py", "sleep")
    for process in (folder / "children").read_text().split():
        assert not alive(int(process))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_ringfence_ends_the_program_too(tmp_path: Path, number: signal.Signals, code: int) -> None:
    text = "import os, pathlib, time\npathlib.Path('process').write_text(str(os.getpid()))\ntime.sleep(300)\n"
    folder = project(tmp_path / "shop", text)
    command = [sys.executable, "-m", "ringfence.cli.main", "preview", str(folder), "--isolate"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (folder / "process").exists() or not (folder / "process").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)

    child.send_signal(number)

    assert child.wait(30) == code
    assert not alive(int((folder / "process").read_text()))


def test_no_note_is_given_for_what_was_checked(tmp_path: Path) -> None:
    pytest.importorskip("pulumi_aws")
    text = "import pulumi\nimport pulumi_aws as aws\naws.sqs.Queue('queue', visibility_timeout_seconds='long')\n"

    deployment = evaluate(project(tmp_path / "shop", text), isolate=True)

    assert [(item.code, item.path) for item in deployment.problems] == [("PG02", "visibilityTimeoutSeconds")]
    assert "not checked" not in notes(deployment)
