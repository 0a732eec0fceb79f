from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from ringfence.reports import Result, TargetJudged, TargetStarted
from ringfence.reports.progress import Progress
from tests.unit.reports import examples
from tests.unit.reports.examples import BASE, WEB


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def play(progress: Progress, *targets: Path) -> None:
    with progress as show:
        for number, path in enumerate(targets, start=1):
            show(TargetStarted(path, "dev", number, len(targets)))
            show(TargetJudged(Result(examples.deployment(path=path))))


def test_a_log_gets_one_line_per_target(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    play(Progress(BASE, stream), WEB, Path("/elsewhere/queue"))

    assert stream.getvalue() == "[1/2] stacks/web · dev\n[2/2] /elsewhere/queue · dev\n"
    assert capsys.readouterr() == ("", "")


def test_a_log_gets_nothing_for_a_single_target() -> None:
    stream = io.StringIO()
    play(Progress(BASE, stream), WEB)

    assert stream.getvalue() == ""


def test_standard_error_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    play(Progress(BASE), WEB, WEB)

    assert capsys.readouterr() == ("", "[1/2] stacks/web · dev\n[2/2] stacks/web · dev\n")


def test_a_terminal_gets_a_status_line_that_is_cleared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    with Progress(BASE, stream) as show:
        show(TargetStarted(BASE / "a[red]b", "dev", 1, 1))
        before = stream.getvalue()
        sys.stdout.write("the report\n")
    after = stream.getvalue()

    assert "a[red]b · dev" in before
    assert after.endswith("\x1b[2K")
    assert "\x1b[?25h" in after
    assert capsys.readouterr() == ("the report\n", "")


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    play(Progress(BASE, stream), WEB, WEB)

    assert stream.getvalue() == "[1/2] stacks/web · dev\n[2/2] stacks/web · dev\n"


def test_the_status_line_goes_when_the_run_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with pytest.raises(KeyboardInterrupt), Progress(BASE, stream):
        raise KeyboardInterrupt

    assert "\x1b[?25h" in stream.getvalue()
