"""What holds for every format."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from ringfence.deployment import Resource, Secret, SourceLine
from ringfence.policy.verdict import Verdict
from ringfence.reports import FORMATS, Result, Run, reporter, summarise
from tests.unit.reports import examples
from tests.unit.reports.examples import PASSWORD, every_run, finding, findings, run


@pytest.mark.parametrize("name", every_run())
@pytest.mark.parametrize("form", FORMATS)
def test_no_secret_is_shown_and_nothing_printed_leaks(form: str, name: str) -> None:
    text = reporter(form).render(every_run()[name])

    assert PASSWORD not in text
    assert "the password is" not in text


@pytest.mark.parametrize("form", ["terminal", "json"])
def test_a_secret_is_shown_as_such(form: str) -> None:
    assert "[secret]" in reporter(form).render(every_run()["preview"])


def test_a_secret_id_is_not_shown() -> None:
    resource = Resource("urn:pulumi:dev::web::a:b:C::x", "a:b:C", "x", {}, id=Secret(PASSWORD))
    text = reporter("json").render(run(Result(examples.deployment(resources=(resource,)))))

    assert PASSWORD not in text
    assert '"id": "[secret]"' in text


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", every_run())
def test_the_same_run_gives_the_same_bytes(form: str, name: str) -> None:
    assert reporter(form).render(every_run()[name]) == reporter(form).render(every_run()[name])


@pytest.mark.parametrize("form", FORMATS)
def test_every_text_can_be_written_and_ends_in_one_line_feed(form: str) -> None:
    odd = finding(message="lone \ud800 and \x1b[31m", resource="名前", source=SourceLine("/elsewhere/ü \udcff.py", 1))
    text = reporter(form).render(run(Result(examples.deployment(), (odd,))))

    assert text.encode("utf-8").endswith(b"\n")
    assert not text.endswith("\n\n")
    assert "名前" in text
    assert "\x1b" not in text


def test_an_unknown_format_is_named_with_what_is_known() -> None:
    with pytest.raises(ValueError, match="format 'xml': expected one of terminal, json, sarif"):
        reporter("xml")


def test_machine_formats_do_not_load_rich() -> None:
    code = (
        "import sys; from ringfence.reports import reporter; reporter('json'); reporter('sarif');"
        "sys.exit(int('rich' in sys.modules or 'pulumi' in sys.modules))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_summary_counts_what_reports_leave_out() -> None:
    summary = summarise(every_run()["several"].results)

    assert summary.as_json() == {
        "pass": {"mandatory": 2, "advisory": 0},
        "fail": {"mandatory": 2, "advisory": 1},
        "unknown": {"mandatory": 1, "advisory": 0},
        "not-applicable": {"mandatory": 0, "advisory": 1},
        "error": {"mandatory": 0, "advisory": 1},
        "exempt": {"mandatory": 0, "advisory": 1},
        "deployments": {"ok": 2, "failed": 1},
        "resources": 5,
        "blocking": 2,
    }


@pytest.mark.parametrize(("strict", "expected"), [(False, 2), (True, 3)])
def test_strict_unknowns_lets_undecided_mandatory_rules_block(strict: bool, expected: int) -> None:
    results = [Result(examples.deployment(), findings())]

    assert expected == summarise(results, strict_unknowns=strict).blocking


def test_a_mandatory_rule_that_broke_blocks() -> None:
    broke = finding(verdict=Verdict.ERROR)

    assert summarise([Result(examples.deployment(), (broke,))]).blocking == 1


@pytest.mark.parametrize("form", FORMATS)
def test_moving_the_whole_folder_changes_nothing(form: str) -> None:
    before = reporter(form).render(run())

    def move(text: str) -> str:
        return text.replace("/home/dev/infra", "/elsewhere/copy")

    def moved(source: SourceLine | None) -> SourceLine | None:
        return None if source is None else replace(source, path=move(source.path))

    def chain(sources: tuple[SourceLine, ...]) -> tuple[SourceLine, ...]:
        return tuple(replace(source, path=move(source.path)) for source in sources)

    base = examples.BASE.parent.parent.parent / "elsewhere" / "copy"
    resources = tuple(
        replace(item, source=moved(item.source), source_chain=chain(item.source_chain)) for item in examples.resources()
    )
    there = tuple(
        replace(item, source=moved(item.source), source_chain=chain(item.source_chain)) for item in findings()
    )
    deployment = examples.deployment(path=base / "stacks" / "web", resources=resources)

    assert before == reporter(form).render(Run((Result(deployment, there),), base, examples.RULES))
