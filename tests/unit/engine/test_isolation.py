"""What a program changes of its process is put back, and projects in one process do not meet."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ringfence.deployment import Deployment
from ringfence.engine import sandbox
from ringfence.sources.interface import Request
from ringfence.sources.project import EmbeddedSource
from tests.unit.engine.rehearsal import line_of, named, rehearse, rehearse_file

PROJECTS = Path(__file__).parents[2] / "fixtures" / "projects"
NAMES = ("north", "south", "east", "west", "centre")
MAIN = """
import config
import pulumi
from shared import naming
from shared.deep.value import VALUE
import plain.tools

pulumi.export("seen", [config.NAME, naming.NAME, VALUE, plain.tools.NAME, config.COUNT])
config.COUNT += 1
"""


def make_project(folder: Path, name: str) -> None:
    """Write a project whose modules have the same names as those of every other, and another content."""
    (folder / "shared" / "deep").mkdir(parents=True)
    (folder / "plain").mkdir()
    (folder / "Pulumi.yaml").write_text(f"name: {name}\nruntime: python\n")
    (folder / "__main__.py").write_text(MAIN)
    (folder / "config.py").write_text(f"NAME = {name!r}\nCOUNT = 0\n")
    (folder / "shared" / "__init__.py").write_text("")
    (folder / "shared" / "naming.py").write_text(f"import config\nNAME = config.NAME + {name!r}\n")
    (folder / "shared" / "deep" / "__init__.py").write_text("")
    (folder / "shared" / "deep" / "value.py").write_text(f"from ..naming import NAME\nVALUE = NAME + {name!r}\n")
    (folder / "plain" / "tools.py").write_text(f"NAME = {name!r}\n")  # a package without __init__.py


def evaluate(folder: Path, **fields: Any) -> Deployment:
    return EmbeddedSource().evaluate(Request(folder, **fields))


def test_five_projects_with_modules_of_the_same_names(tmp_path: Path) -> None:
    for name in NAMES:
        make_project(tmp_path / name, name)
    before = set(sys.modules)

    for name in (*NAMES, *reversed(NAMES)):
        deployment = evaluate(tmp_path / name)
        assert deployment.error is None
        assert deployment.outputs["seen"] == [name, name * 2, name * 3, name, 0]
        assert deployment.project == name

    assert {name.partition(".")[0] for name in set(sys.modules) - before} & {"config", "shared", "plain"} == set()


def test_modules_of_the_host_with_the_same_names_are_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_project(tmp_path / "north", "north")
    make_project(tmp_path / "host", "host")
    monkeypatch.syspath_prepend(str(tmp_path / "host"))
    import config  # type: ignore[import-not-found]
    import plain.tools  # type: ignore[import-not-found]

    try:
        assert evaluate(tmp_path / "north").outputs["seen"][:4] == ["north", "northnorth", "north" * 3, "north"]
        assert sys.modules["config"] is config
        assert sys.modules["plain.tools"] is plain.tools
    finally:
        for name in ("config", "plain", "plain.tools"):
            sys.modules.pop(name, None)


def test_a_module_named_like_one_of_python_s_wins_where_it_would_under_the_cli(tmp_path: Path) -> None:
    import secrets  # noqa: F401  the host has it, an interpreter that runs a program has not

    (tmp_path / "secrets.py").write_text("NAME = 'own'\n")
    (tmp_path / "queue.py").write_text("NAME = 'own'\n")
    code = "import pulumi, queue, secrets\npulumi.export('names', [secrets.NAME, hasattr(queue, 'NAME')])\n"

    assert rehearse_file(tmp_path, code).outputs == {"names": ["own", False]}
    assert hasattr(sys.modules["secrets"], "token_hex")


def test_main_is_the_program_s_while_it_runs(tmp_path: Path) -> None:
    before = sys.modules["__main__"]
    code = """
    import sys, pulumi
    NAME = "mine"
    pulumi.export("name", sys.modules["__main__"].NAME)
    pulumi.export("dunder", [__name__, __file__])
    if __name__ == "__main__":
        pulumi.export("main", True)
    """
    deployment = rehearse_file(tmp_path, code)

    assert deployment.outputs == {
        "name": "mine",
        "dunder": ["__main__", str(tmp_path / "__main__.py")],
        "main": True,
    }
    assert sys.modules["__main__"] is before


CHANGES = """
import atexit, logging, os, signal, sys, threading, warnings
import pulumi

pulumi.export("cwd", os.getcwd())
pulumi.export("argv", list(sys.argv))
pulumi.export("path", sys.path[0])
pulumi.export("secret", os.environ.get("PULUMI_CONFIG"))
os.environ["RINGFENCE_TEST_NEW"] = "1"
os.environ.pop("HOME", None)
os.chdir("/")
sys.path[:] = ["/nowhere"]
sys.argv.append("more")
sys.setrecursionlimit(5000)
sys.excepthook = print
warnings.simplefilter("error")
logging.basicConfig(level=logging.DEBUG, force=True)
logging.disable(logging.CRITICAL)
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
atexit.register(print, "at the end")
{end}
"""


@pytest.mark.parametrize("end", ["", "raise ValueError('broken')", "sys.exit(2)", "while True: pass"])
def test_what_a_program_changes_is_put_back(
    tmp_path: Path, end: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG", '{"other:key": "value"}')
    monkeypatch.setenv("HOME", "/home/somebody")

    def state() -> tuple[Any, ...]:
        return (
            dict(os.environ),
            Path.cwd(),
            list(sys.path),
            list(sys.argv),
            sys.getrecursionlimit(),
            sys.excepthook,
            sys.stdout,
            sys.stderr,
            signal.getsignal(signal.SIGTERM),
            signal.getsignal(signal.SIGALRM),
            logging.getLogger().handlers[:],
            logging.getLogger().level,
            logging.root.manager.disable,
            atexit.register,
            [thread.name for thread in threading.enumerate() if thread.name.startswith("ringfence")],
            threading.Thread.start,
            sys.gettrace(),
        )

    before = state()
    deployment = rehearse_file(tmp_path, CHANGES.format(end=end), time_limit=0.5)

    assert state() == before
    assert (deployment.error is None) == (end == "")
    if not end:
        assert deployment.outputs == {
            "cwd": str(tmp_path),
            "argv": [str(tmp_path / "__main__.py")],
            "path": str(tmp_path),
        }
    assert "at the end\n" in deployment.printed
    assert capfd.readouterr() == ("", "")


def test_an_exit_function_that_hangs_or_raises_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_EXIT_TIME", 0.2)
    code = """
    import atexit, time, pulumi
    atexit.register(lambda: 1 / 0)
    atexit.register(time.sleep, 1000)
    pulumi.export("done", True)
    """
    deployment = rehearse_file(tmp_path, code)

    assert deployment.outputs == {"done": True}
    assert "ZeroDivisionError" in deployment.printed


def test_the_program_is_compiled_with_its_own_future_statements_only(tmp_path: Path) -> None:
    code = """
    import pulumi
    def f(x: int) -> None: ...
    pulumi.export("kind", type(f.__annotations__["x"]).__name__)
    """
    assert rehearse_file(tmp_path, code).outputs == {"kind": "type"}


def test_state_of_the_sdk_does_not_outlive_a_run() -> None:
    import pulumi

    def first() -> None:
        pulumi.runtime.register_stack_transformation(lambda args: 1 / 0)  # type: ignore[arg-type, return-value]
        pulumi.runtime.register_resource_transform(lambda args: None)
        pulumi.export("left", True)

    def second() -> None:
        pulumi.ComponentResource("test:index:Group", "group")

    rehearse(first, config={"shop:key": "value"})
    deployment = rehearse(second)

    assert deployment.error is None
    assert deployment.outputs == {}
    assert pulumi.runtime.get_root_resource() is None
    assert pulumi.runtime.get_config("shop:key") is None


def test_an_sdk_in_the_project_s_own_folder_is_imported_anew_in_each_run() -> None:
    first, second = evaluate(PROJECTS / "local_sdk"), evaluate(PROJECTS / "local_sdk")
    third = evaluate(PROJECTS / "local_sdk", config={"size": "7"})

    assert first.error is None
    assert first == second
    assert (first.outputs, third.outputs) == ({"size": 1}, {"size": 7})
    assert not any(name.startswith("pulumi_tiny") for name in sys.modules)


def test_lines_of_such_an_sdk_are_not_the_user_s() -> None:
    main = PROJECTS / "local_sdk" / "__main__.py"
    deployment = evaluate(PROJECTS / "local_sdk")

    for name in ("thing", "other"):
        resource = named(deployment, name)
        assert [(line.path, line.line) for line in resource.source_chain] == [(str(main), line_of(main, name))]
        assert resource.options.aliases == ()
    assert named(deployment, "other").provider == "urn:pulumi:dev::local-sdk::pulumi:providers:tiny::default_0_1_0"


@pytest.mark.parametrize("lazily", [True, False])
@pytest.mark.parametrize("on_main_thread", [True, False])
def test_a_library_is_not_left_half_imported_where_the_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lazily: bool, on_main_thread: bool
) -> None:
    libraries = tmp_path / "site-packages"
    libraries.mkdir()
    (libraries / "slow_library.py").write_text("import time\nfirst = 1\ntime.sleep(0.7)\nlast = 2\n")
    monkeypatch.syspath_prepend(str(libraries))
    monkeypatch.delitem(sys.modules, "slow_library", raising=False)
    load = "pulumi._utils.lazy_import('slow_library')" if lazily else "__import__('slow_library')"
    code = f"import pulumi, time\npulumi.export('last', {load}.last)\n"

    def run(program: str, limit: float) -> Deployment:
        if on_main_thread:
            return rehearse_file(tmp_path, program, time_limit=limit)
        with ThreadPoolExecutor(1) as executor:
            return executor.submit(rehearse_file, tmp_path, program, time_limit=limit).result()

    try:
        late = run(code + "while True: time.sleep(0.01)", 0.2)
        after = run(code, 10.0)
    finally:
        sys.modules.pop("slow_library", None)

    assert late.error is not None
    assert "did not end within" in late.error.message
    assert (after.error, after.outputs) == (None, {"last": 2})
