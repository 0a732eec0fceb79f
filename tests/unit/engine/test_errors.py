"""A program that raises, exits, hangs or cannot be read: one clear error at its line, and no trace in the next run."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pulumi
import pytest

from ringfence.deployment import Deployment, ProgramError, SourceLine
from ringfence.engine import host
from tests.unit.engine.rehearsal import Thing, line_of, named, rehearse, rehearse_file

INSTALL = ". If the program needs it, install it into the environment that ringfence runs in"
HANGS = "The program did not end within 0.4 s. It hangs in a loop or waits for something that never comes."
PRELUDE = """
import asyncio, sys, time
import pulumi
from pulumi import Output, ResourceOptions

class Thing(pulumi.CustomResource):
    def __init__(self, name, opts=None, **inputs):
        super().__init__("test:index:Thing", name, inputs, opts)

a = Thing("a", size=1)
"""


def good() -> Deployment:
    """Return the deployment of a program that has nothing wrong with it, in the same process."""

    def program() -> None:
        made = Thing("made", size=1)
        Thing("user", of=made.id)
        pulumi.export("id", made.id)

    deployment = rehearse(program)
    assert deployment.error is None
    return deployment


def run(folder: Path, code: str, limit: float = 20.0) -> ProgramError:
    """Run a program that fails; check that nothing of it reaches a run before or after."""
    before = good()
    deployment = rehearse_file(folder, PRELUDE + textwrap.dedent(code), time_limit=limit)
    after = good()
    assert after == before
    assert deployment.error is not None
    return deployment.error


RAISES = {
    "at the top": ("raise ValueError('broken')  # line: here", "ValueError: broken"),
    "without a text": ("raise KeyError  # line: here", "KeyError"),
    "an exception of one's own": (
        "class QuotaError(Exception):\n    pass\nraise QuotaError('none left')  # line: here",
        "QuotaError: none left",
    ),
    "a RunError": ("raise pulumi.RunError('no quota')  # line: here", "no quota"),
    "from another": (
        "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise RuntimeError('outer') from error  # line: here",
        "RuntimeError: outer",
    ),
    "in a function": ("def make():\n    raise ValueError('broken')  # line: here\nmake()", "ValueError: broken"),
    "in a component": (
        """
class Site(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("x:y:Site", name)
        raise ValueError('broken')  # line: here

Site("site")
""",
        "ValueError: broken",
    ),
    "in apply": ("a.id.apply(lambda v: v / 0)  # line: here", "TypeError: unsupported operand type"),
    "in apply, exported": ("pulumi.export('x', a.id.apply(lambda v: 1 / 0))  # line: here", "ZeroDivisionError"),
    "in apply, as an input": ("Thing('b', x=a.id.apply(lambda v: 1 / 0))  # line: here", "ZeroDivisionError"),
    "in apply, used twice": (
        "x = a.id.apply(lambda v: 1 / 0)  # line: here\nb = Thing('b', x=x)\nThing('c', x=x, y=b.id)",
        "ZeroDivisionError",
    ),
    "in apply, a ValueError as an input": (
        "Thing('b', x=a.id.apply(lambda v: int('no number')))  # line: here",
        "ValueError: invalid literal for int()",
    ),
    "in an apply far away": (
        "def fail(value):\n    raise ValueError('broken')  # line: here\n"
        "Thing('b', x=Output.all(a.id, Output.concat('a', a.id.apply(fail))))",
        "ValueError: broken",
    ),
    "in asynchronous apply": (
        "async def fail(value):\n    await asyncio.sleep(0)\n    raise ValueError('broken')  # line: here\n"
        "Thing('b', x=a.id.apply(fail))",
        "ValueError: broken",
    ),
    "in pulumi.run": (
        "async def main():\n    await a.id.future()\n    raise ValueError('broken')  # line: here\npulumi.run(main)",
        "ValueError: broken",
    ),
    "a lifted key that is not there": ("pulumi.export('x', a.size['key'])  # line: here", "TypeError"),
    "what JSON does not know": (
        "pulumi.export('x', Output.json_dumps({'a': object()}))  # line: here",
        "TypeError: Object of type object is not JSON serializable",
    ),
    "an argument that does not exist": (
        "ResourceOptions(protekt=True)  # line: here",
        "TypeError: ResourceOptions.__init__() got an unexpected keyword argument 'protekt'",
    ),
    "a config value that is missing": (
        "pulumi.Config().require('size')  # line: here",
        "Missing required configuration variable 'shop:size'",
    ),
    "sys.exit with a code": (
        "sys.exit(3)  # line: here",
        "The program ended itself by sys.exit(3) before it was done.",
    ),
    "sys.exit with zero": ("sys.exit(0)  # line: here", "The program ended itself by sys.exit(0) before it was done."),
    "sys.exit without": ("sys.exit()  # line: here", "The program ended itself by sys.exit() before it was done."),
    "sys.exit with a text": ("sys.exit('no region')  # line: here", "sys.exit('no region')"),
    "sys.exit in apply": ("a.id.apply(lambda v: sys.exit(4))  # line: here", "sys.exit(4)"),
    "a cancellation": ("raise asyncio.CancelledError  # line: here", "CancelledError"),
    "an endless recursion": ("def f(): f()  # line: here\nf()", "RecursionError: maximum recursion depth exceeded"),
    "a group": ("raise ExceptionGroup('several', [ValueError('x')])  # line: here", "ExceptionGroup: several"),
    "a wrong value": (
        "Thing('b', x=object())  # line: here",
        "b: x: unexpected input of type object for x in Thing",
    ),
    "a wrong value, nested": (
        "Thing('b', x={'list': [1, object()]})  # line: here",
        "b: x: unexpected input of type object for list in Thing",
    ),
    "a wrong dependency": (
        "Thing('b', ResourceOptions(depends_on=['a']))  # line: here",
        "'depends_on' was passed a value a that was not a Resource",
    ),
    "a circle": (
        "g = pulumi.ComponentResource('x:y:G', 'g')\n"
        "Thing('b', ResourceOptions(parent=g, depends_on=[g]))  # line: here",
        "We have detected a circular dependency",
    ),
    "a wrong option": ("Thing('b', {'protect': True})  # line: class", "Expected resource options"),
    "wrong timeouts": (
        "Thing('b', ResourceOptions(custom_timeouts=3))  # line: here",
        "Expected custom_timeouts to be a CustomTimeouts object",
    ),
    "an import": ("import not_there  # line: here", f"ModuleNotFoundError: No module named 'not_there'{INSTALL}"),
    "an imported name": ("from pulumi import not_there  # line: here", "ImportError: cannot import name 'not_there'"),
    "a syntax error": ("if True  # line: here", "SyntaxError: expected ':'"),
    "an indentation": ("def f():\npass  # line: here", "IndentationError: expected an indented block"),
    "another loop": ("asyncio.run(asyncio.sleep(0))  # line: here", "RuntimeError: asyncio.run() cannot be called"),
}


@pytest.mark.parametrize(("code", "message"), RAISES.values(), ids=RAISES.keys())
def test_one_message_at_the_program_s_line(tmp_path: Path, code: str, message: str) -> None:
    if "# line: class" in code:
        expected = PRELUDE[: PRELUDE.index("super().__init__")].count("\n") + 1
        code = code.partition("  # line")[0]
    else:
        expected = PRELUDE.count("\n") + code[: code.index("# line: here")].count("\n") + 1

    error = run(tmp_path, code)

    assert message in error.message
    assert "Traceback" not in error.message
    assert " at 0x" not in error.message
    assert error.source is not None
    assert (error.source.path, error.source.line) == (str(tmp_path / "__main__.py"), expected)


def test_the_traceback_is_kept_for_who_asks(tmp_path: Path) -> None:
    error = run(tmp_path, "raise ValueError('broken')")

    assert error.details.startswith("Traceback")
    assert error.details.endswith("ValueError: broken\n")


def test_errors_in_a_local_module_are_reported_there(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("x = 1\nif x\n  y\n")
    (tmp_path / "raising.py").write_text("x = 1\n1 / 0\n")
    (tmp_path / "calling.py").write_text("import raising\n")

    broken, raising = run(tmp_path, "import broken"), run(tmp_path, "import calling")

    assert broken.message == "SyntaxError: expected ':'"
    assert broken.source is not None
    assert (broken.source.path, broken.source.line) == (str(tmp_path / "broken.py"), 2)
    assert raising.source == SourceLine(str(tmp_path / "raising.py"), 2)


def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    main = tmp_path / "__main__.py"
    for data in (b"x = 'a\0b'\n", b"\xff\xfe\x00"):
        main.write_bytes(data)
        deployment = rehearse_file_as_it_is(tmp_path)
        assert deployment.error is not None
        assert deployment.error.message.startswith("SyntaxError: ")
        assert deployment.error.source is not None
        assert deployment.error.source.path == str(main)


def rehearse_file_as_it_is(folder: Path) -> Deployment:
    from ringfence.engine.host import Program, run_program
    from tests.unit.engine.rehearsal import EchoProvider

    program = Program(folder=folder, project="shop", stack="dev", main=folder / "__main__.py")
    return run_program(program, EchoProvider())


HANGING = {
    "a loop": "while True: pass  # line: here",
    "a sleep": "time.sleep(1000)  # line: here",
    "a loop that swallows exceptions": """
while True:
    try:
        time.sleep(0.01)  # line: here
    except Exception:
        pass
""",
    "a loop that swallows everything": """
while True:
    try:
        time.sleep(1000)  # line: here
    except BaseException:
        pass
""",
    "a function that swallows everything": """
def once():
    try:
        time.sleep(1000)  # line: here
    except:
        return None

for _ in range(1000):
    once()
""",
    "a future in pulumi.run": """
async def main():
    await asyncio.get_running_loop().create_future()  # line: here

pulumi.run(main)
""",
    "a sleep within coroutines": """
async def inner():
    await asyncio.sleep(1000)  # line: here

async def main():
    await inner()

pulumi.run(main)
""",
    "a future as an input": """
future = asyncio.get_event_loop().create_future()
b = Thing("b", x=Output.from_input(future))  # line: here
Thing("c", x=b.id)
""",
    "a loop in apply": "a.id.apply(lambda v: [None for _ in iter(int, 1)])  # line: here",
    "a loop in a task": """
async def spin():
    while True: pass  # line: here

asyncio.ensure_future(spin())
pulumi.export("x", a.id)
""",
}


@pytest.mark.parametrize("code", HANGING.values(), ids=HANGING.keys())
def test_a_program_that_hangs_is_ended_at_its_line(tmp_path: Path, code: str) -> None:
    start = time.monotonic()
    error = run(tmp_path, code, limit=0.4)

    assert time.monotonic() - start < 10
    assert error.message == HANGS
    assert error.source == SourceLine(str(tmp_path / "__main__.py"), line_of(tmp_path / "__main__.py", "here"))


def test_a_task_that_swallows_its_cancellation_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_CLOSING_TIME", 0.2)
    code = """
async def main():
    while True:
        try:
            await asyncio.sleep(1000)
        except BaseException:
            pass

pulumi.run(main)
"""
    assert run(tmp_path, code, limit=0.4).message == HANGS


def test_a_program_that_swallows_the_end_of_its_time_and_then_ends_has_hung_all_the_same(tmp_path: Path) -> None:
    code = """
try:
    time.sleep(1000)  # line: here
except BaseException:
    pass
Thing("b")
"""
    error = run(tmp_path, code, limit=0.4)

    assert error.message == HANGS
    assert error.source == SourceLine(str(tmp_path / "__main__.py"), line_of(tmp_path / "__main__.py", "here"))


def test_off_the_main_thread_a_loop_is_ended_too(tmp_path: Path) -> None:
    # In a process of its own, so that a thread that does not end cannot hold up the tests.
    code = PRELUDE + "while True: pass  # line: here\n"
    (tmp_path / "__main__.py").write_text(code, encoding="utf-8")
    rehearse_in_a_thread = (
        "import sys, threading\n"
        "from pathlib import Path\n"
        "from tests.unit.engine.rehearsal import rehearse_file\n"
        "found = []\n"
        "folder = Path(sys.argv[1])\n"
        "code = (folder / '__main__.py').read_text()\n"
        "rehearse = lambda: found.append(rehearse_file(folder, code, time_limit=0.4))\n"
        "thread = threading.Thread(target=rehearse, daemon=True)\n"
        "thread.start()\n"
        "thread.join(20)\n"
        "print(found[0].error.message, found[0].error.source.line)\n"
        # What ended it must not be on its way for good: a thread that is traced would never get past its next call.
        "sys.settrace(lambda *_: None)\n"
        "print('traced')\n"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", rehearse_in_a_thread, str(tmp_path)],
        cwd=Path(__file__).parents[3],
        env=clean,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stdout == f"{HANGS} {line_of(tmp_path / '__main__.py', 'here')}\ntraced\n", done.stderr


def test_a_thread_that_does_not_end_is_a_program_that_does_not(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    code = """
import threading

def work():
    time.sleep(1.5)  # line: here

threading.Thread(target=work).start()
"""
    error = run(tmp_path, code, limit=0.4)

    assert error.message == HANGS
    assert error.source == SourceLine(str(tmp_path / "__main__.py"), line_of(tmp_path / "__main__.py", "here"))
    for thread in set(threading.enumerate()) - before:
        thread.join()


def test_threads_that_end_are_waited_for(tmp_path: Path) -> None:
    code = """
import threading

def work():
    time.sleep(0.2)
    print("worked")

threading.Thread(target=work).start()
pulumi.export("slept", Output.from_input(asyncio.to_thread(time.sleep, 0.01)).apply(lambda _: True))
"""
    deployment = rehearse_file(tmp_path, PRELUDE + code)

    assert deployment.error is None
    assert deployment.outputs == {"slept": True}
    assert deployment.printed == "worked\n"


def test_a_program_can_be_rehearsed_where_a_loop_runs() -> None:
    async def outside() -> Deployment:
        deployment = good()
        assert asyncio.get_running_loop().is_running()
        return deployment

    assert asyncio.run(outside()) == good()


def test_the_host_s_own_loop_is_not_touched() -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        good()
        assert asyncio.get_event_loop() is loop
        assert loop.run_until_complete(asyncio.sleep(0, 3)) == 3
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def test_programs_on_two_threads_do_not_meet() -> None:
    found: dict[str, Deployment] = {}

    def start(name: str) -> None:
        def program() -> None:
            time.sleep(0.05)
            pulumi.export("name", pulumi.get_project())

        found[name] = rehearse(program, project=name)

    threads = [threading.Thread(target=start, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert {name: deployment.outputs for name, deployment in found.items()} == {
        name: {"name": name} for name in ("a", "b", "c")
    }


def test_what_was_registered_before_the_error_is_kept() -> None:
    def program() -> None:
        Thing("before")
        raise ValueError("broken")

    deployment = rehearse(program)

    assert not deployment.ok
    assert "before" in {resource.name for resource in deployment.resources}


def test_no_loop_is_left_behind() -> None:
    rehearse(lambda: Thing("thing"))
    rehearse(lambda: 1 / 0)

    gc.collect()
    assert [
        item for item in gc.get_objects() if isinstance(item, asyncio.SelectorEventLoop) and not item.is_closed()
    ] == []
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


def test_a_keyboard_interrupt_is_the_user_s_own() -> None:
    def program() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rehearse(program)
    assert named(good(), "made").id == "id-made"
