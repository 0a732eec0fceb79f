"""What a program says: log messages, prints of its own and of its child processes, warnings."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pulumi
import pytest

from ringfence.deployment import Diagnostic, SourceLine
from tests.unit.engine.rehearsal import Thing, line_of, rehearse, rehearse_file


def test_log_messages_become_diagnostics() -> None:
    def program() -> None:
        thing = Thing("thing")
        pulumi.log.debug("hidden")
        pulumi.log.info("for your information")
        pulumi.log.warn("careful", thing)
        pulumi.info("short form")

    deployment = rehearse(program)

    assert deployment.error is None
    assert set(deployment.diagnostics) == {
        Diagnostic("info", "for your information"),
        Diagnostic("info", "short form"),
        Diagnostic("warning", "careful", "urn:pulumi:dev::shop::test:index:Thing::thing"),
    }
    assert deployment.printed == ""


def test_a_logged_error_fails_the_deployment_at_its_line_though_the_program_goes_on() -> None:
    def program() -> None:
        pulumi.log.error("no quota left")  # line: logged
        Thing("after")
        pulumi.log.error("and another")

    deployment = rehearse(program)

    assert [item.message for item in deployment.diagnostics] == ["no quota left", "and another"]
    assert deployment.error is not None
    assert deployment.error.message == "The program logged an error: no quota left"
    assert deployment.error.source == SourceLine(__file__, line_of(__file__, "logged"))
    assert "after" in {resource.name for resource in deployment.resources}


def test_prints_are_captured_and_never_reach_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    def program() -> None:
        print("printed")  # noqa: T201
        print("to stderr", file=sys.stderr)  # noqa: T201
        sys.stdout.write("written\n")
        os.system("echo from the shell")
        subprocess.run([sys.executable, "-c", "import sys; print('from python')"], check=True)
        os.write(1, b"raw\n")
        sys.stdout.buffer.write(b"bytes\n")

    deployment = rehearse(program)

    assert deployment.error is None
    for text in ("printed", "to stderr", "written", "from the shell", "from python", "raw", "bytes"):
        assert text in deployment.printed
    assert capfd.readouterr() == ("", "")


def test_what_a_failing_program_printed_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    def program() -> None:
        print("about to fail")  # noqa: T201
        raise ValueError("failed")

    assert rehearse(program).printed == "about to fail\n"
    assert capfd.readouterr() == ("", "")


def test_standard_output_is_whole_afterwards(capfd: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr

    def program() -> None:
        sys.stdout = sys.stderr  # a program may do this

    rehearse(program)

    assert (sys.stdout, sys.stderr) == before
    print("mine")  # noqa: T201
    os.system("echo child")
    assert capfd.readouterr().out == "mine\nchild\n"


def test_a_closed_standard_output_is_no_reason_to_fail() -> None:
    def program() -> None:
        sys.stdout.close()
        Thing("thing")

    assert rehearse(program).error is None


@pytest.mark.parametrize("category", [UserWarning, DeprecationWarning, RuntimeWarning, ResourceWarning])
def test_warnings_in_the_program_do_not_end_it(category: type[Warning]) -> None:
    def program() -> None:
        warnings.warn("old", category, stacklevel=1)
        pulumi.export("done", True)

    deployment = rehearse(program)

    assert deployment.outputs == {"done": True}
    # As Python does by itself: some kinds are only shown to who asks for them.
    assert ("old" in deployment.printed) == (category in (UserWarning, RuntimeWarning))


def test_a_program_s_warning_filters_are_its_own(tmp_path: Path) -> None:
    before = list(warnings.filters)
    code = """
    import warnings, pulumi
    warnings.simplefilter("error")
    try:
        warnings.warn("made an error", UserWarning)
    except UserWarning:
        pulumi.export("raised", True)
    """

    assert rehearse_file(tmp_path, code).outputs == {"raised": True}
    assert warnings.filters == before
