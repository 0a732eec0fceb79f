"""Processes that are started to be ended as a whole, now or ahead of their time."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ringfence.engine.process_group import ProcessGroup, end_ahead, run_to_end, start_ahead
from tests.integration.languages import alive

ECHO = [sys.executable, "-c", "import os, sys; print(os.getpid()); print(sys.stdin.read())"]


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    end_ahead()


def ended(group: ProcessGroup, said: str = "") -> tuple[int, str]:
    """Say something to a process and return its exit code and what it wrote."""

    async def run() -> int:
        await group.say(said)
        return await group.wait()

    try:
        code = asyncio.run(run())
        return code, group.output()
    finally:
        group.end()
        group.close()


def test_a_process_reads_more_than_a_pipe_holds(tmp_path: Path) -> None:
    text = "ä" * 300_000

    code, output = ended(ProcessGroup.start(ECHO, tmp_path, {}), text)

    assert code == 0
    assert output.split("\n")[1] == text


def test_a_process_that_does_not_read_ends_without(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import os; os.close(0); raise SystemExit(3)"]

    assert ended(ProcessGroup.start(command, tmp_path, {}), "x" * 300_000) == (3, "")


def test_of_much_output_both_ends_are_kept(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('first'); print('x' * 6_000_000); print('last')"]

    _, output = ended(ProcessGroup.start(command, tmp_path, {}))
    _, same = run_to_end(command, tmp_path, {}, 60)

    assert output == same
    assert output.startswith("first\nxxx")
    assert output.endswith("xxx\nlast\n")
    assert "\n[…]\n" in output
    assert len(output) < 4_200_000


def test_what_is_apart_is_not_mixed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; print('port'); print('more'); print('trouble', file=sys.stderr)"]
    group = ProcessGroup.start(command, tmp_path, {}, apart=True)

    first = asyncio.run(group.first_line())

    assert first == "port"
    assert ended(group) == (0, "trouble\n")


def test_a_process_that_says_nothing_has_no_first_line(tmp_path: Path) -> None:
    group = ProcessGroup.start([sys.executable, "-c", ""], tmp_path, {}, apart=True)

    assert asyncio.run(group.first_line()) == ""
    assert ended(group) == (0, "")


def test_the_same_command_takes_what_was_started_ahead_and_another_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    popen = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> Any:
        started.append(popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr("ringfence.engine.process_group.subprocess.Popen", start)
    start_ahead(ECHO, tmp_path, {"COLOR": "red"})

    other = ProcessGroup.start(ECHO, tmp_path, {"COLOR": "blue"})
    same = ProcessGroup.start(ECHO, tmp_path, {"COLOR": "red"})

    assert len(started) == 2
    again = ProcessGroup.start(ECHO, tmp_path, {"COLOR": "red"})
    assert len(started) == 3
    assert [ended(group, "hello")[1].split("\n")[1] for group in (other, same, again)] == ["hello"] * 3


def test_what_nobody_takes_is_ended_with_its_children(tmp_path: Path) -> None:
    script = (
        "import pathlib, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '300'])\n"
        "pathlib.Path('child').write_text(str(child.pid))\n"
        "time.sleep(300)\n"
    )
    command = [sys.executable, "-c", script]
    start_ahead(command, tmp_path, {})
    child = 0
    while not child:
        text = (tmp_path / "child").read_text() if (tmp_path / "child").exists() else ""
        child = int(text or 0)

    end_ahead()

    assert not alive(child)
