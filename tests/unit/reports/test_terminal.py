from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ringfence.deployment import Deployment, Diagnostic, Problem, ProgramError, Resource, SourceLine
from ringfence.policy.verdict import Level, Severity
from ringfence.reports import Result, Run, reporter
from tests.unit.reports import examples
from tests.unit.reports.examples import BASE, PROGRAM, SOFT_DELETE, WEB, broken, clean, every_run, finding, run


def render(given: Run, width: int = 80) -> str:
    return reporter("terminal", width=width).render(given)


REPORTED = """\
web · dev  stacks/web

Severity  Level      Failed (4)
critical  mandatory  stacks/web/components/site.py:31  PG01 program-enum-value
                     api
                     httpsOnly is "yes", not a boolean.
                     Fix: Set https_only=True.
high      mandatory  stacks/web/__main__.py:7  ST02 storage-minimum-tls
                     artifacts
                     minimumTlsVersion is "TLS1_0".
                     Fix: Set minimum_tls_version="TLS1_2".
medium    advisory   stacks/web/__main__.py:7  ST14 storage-soft-delete
                     artifacts
                     No BlobServiceProperties belongs to the account.
                     Fix: Add BlobServiceProperties with a
                     delete_retention_policy.
medium    advisory   stacks/web/__main__.py:7  ST14 storage-soft-delete  odd
                     The rule itself broke: KeyError: 'days'

Severity  Level      Undecided (1)
high      mandatory  stacks/web/__main__.py:12  ST02 storage-minimum-tls  media
                     minimumTlsVersion is not known before apply.
                     Fix: Set minimum_tls_version="TLS1_2".

Severity  Level      Exempt (1)
medium    advisory   stacks/web/__main__.py:7  ST14 storage-soft-delete  scratch
                     Temporary data; platform team, until 2027-01-31.
"""
NOTES = """\
Notes
warning  config web:token is encrypted and stays unknown
info     api: deploying (2 times)
"""


def test_findings_by_severity() -> None:
    assert render(run()) == REPORTED + "\n" + NOTES + (
        """
2 mandatory failures, 1 advisory, 1 broken rule, 1 undecided (1 mandatory), 1
exempt, 1 passed, 1 not applicable · 1 stack
1 mandatory verdict is undecided; --strict-unknowns would make the run fail.
--outputs synthetic, the default, decides most of what --outputs unknown cannot.
ringfence rules ST02 explains a rule.
--all-verdicts shows passes and what did not apply.
"""
    )


def test_all_verdicts() -> None:
    assert render(run(all_verdicts=True)) == REPORTED + (
        """
Severity  Level      Not applicable (1)
medium    advisory   stacks/web/__main__.py:7  ST14 storage-soft-delete  queue
                     It holds no blobs.

Severity  Level      Passed (1)
high      mandatory  stacks/web/__main__.py:7  ST02 storage-minimum-tls  logs

"""
        + NOTES
        + """
2 mandatory failures, 1 advisory, 1 broken rule, 1 undecided (1 mandatory), 1
exempt, 1 passed, 1 not applicable · 1 stack
1 mandatory verdict is undecided; --strict-unknowns would make the run fail.
--outputs synthetic, the default, decides most of what --outputs unknown cannot.
ringfence rules ST02 explains a rule.
"""
    )


def test_several_stacks_are_told_apart_and_a_failed_program_hides_none() -> None:
    one = Result(Deployment("web", "dev", WEB), (finding(),))

    assert render(run(broken(), one, clean())) == (
        """\
broken · dev  stacks/broken

Program failed  stacks/broken/__main__.py:3
                ZeroDivisionError: division by zero

web · dev  stacks/web

Severity  Level      Failed (1)
high      mandatory  stacks/web/__main__.py:7  ST02 storage-minimum-tls
                     artifacts
                     minimumTlsVersion is "TLS1_0".
                     Fix: Set minimum_tls_version="TLS1_2".

Stack         Mandatory  Advisory  Undecided  Exempt  Passed
broken · dev  0          0         0          0       0  program failed
web · dev     1          0         0          0       0
queue · prod  0          0         0          0       1

1 program failed, 1 mandatory failure, 1 passed · 3 stacks
ringfence rules ST02 explains a rule.
--all-verdicts shows passes and what did not apply.
"""
    )


def test_a_program_that_failed_half_way() -> None:
    error = ProgramError("config web:size:\n  expected a number, found 'big'", None)
    half = Deployment("web", "dev", WEB, examples.resources()[:1], error=error)

    assert render(run(Result(half))) == (
        """\
web · dev  stacks/web

Program failed  stacks/web
                config web:size:
                expected a number, found 'big'
                It had made 1 resource by then; what follows concerns these.

1 program failed · 1 stack
"""
    )


def test_preview() -> None:
    assert render(every_run()["preview"]) == (
        """\
web · dev  stacks/web

Resource     Type                                 Source
web-dev      pulumi:pulumi:Stack
  site       app:index:Site                       stacks/web/__main__.py:20
    api      azure-native:web:WebApp              stacks/web/components/site.py:31
  artifacts  azure-native:storage:StorageAccount  stacks/web/__main__.py:7
1 default provider not shown.

Output    Value
endpoint  "https://api.example.net/"
key       [secret]
hosts     ["a", "[unknown]"]
limit     "Infinity"

"""
        + NOTES
        + """
4 resources · 1 stack
--format json shows every input.
"""
    )


def test_a_preview_shows_what_is_wrong_with_the_program() -> None:
    problem = Problem("PG05", "Two resources have one URN.", remedy="Rename one.", source=SourceLine(PROGRAM, 2))
    given = run(Result(Deployment("web", "dev", WEB, problems=(problem,))), with_findings=False)

    assert render(given) == (
        """\
web · dev  stacks/web

No resources.

Wrong with the program
stacks/web/__main__.py:2  PG05
  Two resources have one URN. Rename one.

0 resources · 1 stack
"""
    )


def test_no_project_at_all() -> None:
    assert render(every_run()["nothing"]) == "Nothing was judged.\n"


def test_a_stack_that_no_rule_concerns() -> None:
    assert render(every_run()["no resource"]) == (
        "web · dev  stacks/web\n\nNothing to report: no rule applied.\n\nno rule applied · 1 stack\n"
    )


def test_the_worst_comes_first_and_mandatory_before_advisory() -> None:
    levels = (Level.ADVISORY, Level.MANDATORY)
    mixed = tuple(finding(severity=severity, level=level) for severity in Severity for level in levels)
    text = render(run(Result(Deployment("web", "dev", WEB), mixed)))
    rows = re.findall(r"^(critical|high|medium|low) +(mandatory|advisory)", text, re.MULTILINE)

    assert rows == [
        (severity, level) for severity in ("critical", "high", "medium", "low") for level in ("mandatory", "advisory")
    ]


def test_undecided_mandatory_rules_fail_a_strict_run_and_the_report_says_so() -> None:
    text = render(run(strict_unknowns=True), 200)

    assert "1 mandatory verdict is undecided, and --strict-unknowns makes the run fail." in text


@pytest.mark.parametrize("width", [1, 40, 80, 200])
@pytest.mark.parametrize("name", every_run())
def test_places_stay_whole_and_no_line_ends_in_a_blank(name: str, width: int) -> None:
    given = every_run()[name]
    lines = render(given, width).split("\n")
    places = {
        f"{item.source.path.removeprefix(str(BASE))[1:]}:{item.source.line}"
        for result in given.results
        for item in result.findings
        if item.source
        and given.with_findings
        and (given.all_verdicts or item.verdict not in ("pass", "not-applicable"))
    }

    assert [line for line in lines if line != line.rstrip()] == []
    assert {place for place in places if not any(place in line for line in lines)} == set()


def test_a_long_path_sticks_out_of_a_narrow_terminal() -> None:
    path = WEB / ("very_long_folder_name/" * 6) / "module with blanks.py"
    text = render(run(Result(Deployment("web", "dev", WEB), (finding(source=SourceLine(str(path), 12345)),))), 40)

    assert f"stacks/web/{'very_long_folder_name/' * 6}module with blanks.py:12345\n" in text


def test_a_very_long_message_is_cut_and_its_words_stay_whole() -> None:
    word = "x" * 300
    text = render(run(Result(Deployment("web", "dev", WEB), (finding(message=f"{word} " + "long " * 20_000),))))

    assert f"                     {word}\n" in text
    assert "(100,300 characters; --format json has them all)" in text.replace("\n                     ", " ")
    assert len(text) < 2_000


def test_what_would_steer_a_terminal_is_shown_instead() -> None:
    resource = Resource("urn:pulumi:dev::web::a:b:C::x", "a:b:C", "x\x1b[2J", {}, id=None)
    result = Result(
        examples.deployment(
            project="we\x07b", resources=(resource,), diagnostics=(Diagnostic("info", "\x1b]0;title\x07 two\nlines"),)
        ),
        (finding(message="bad\x1b[2J\nnews", resource="a\u202eb"),),
    )

    for text in (render(run(result)), render(run(result, with_findings=False))):
        assert set(re.findall(r"[\x00-\x1f\u202e]", text)) == {"\n"}
    assert "bad\ufffd[2J news" in render(run(result))


def test_markup_and_emoji_codes_are_plain_text() -> None:
    result = Result(Deployment("web", "dev", WEB), (finding(message="tags[red] are :smile: [/]"),))

    for color in (False, True):
        assert "tags[red] are :smile: [/]" in reporter("terminal", color=color).render(run(result))


def test_wide_characters_count_as_two_columns() -> None:
    result = Result(Deployment("web", "dev", WEB), (finding(message="漢字漢字 漢字漢字 漢字漢字", remedy=""),))
    lines = render(run(result), 40).split("\n")

    assert [line.strip() for line in lines if "漢" in line] == ["漢字漢字 漢字漢字", "漢字漢字"]


@pytest.mark.parametrize("name", every_run())
def test_colour_changes_no_text(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "20")
    coloured = reporter("terminal", width=80, color=True).render(every_run()[name])
    plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured)

    assert "\x1b[" in coloured
    assert render(every_run()[name]) == "".join(line.rstrip() + "\n" for line in plain.split("\n")[:-1])


def test_no_colour_means_no_control_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")

    assert "\x1b" not in render(run())


def test_a_finding_without_a_source_names_the_type_and_the_project() -> None:
    text = render(run(Result(Deployment("web", "dev", WEB), (finding(source=None),))), 120)

    assert (
        "high      mandatory  stacks/web  ST02 storage-minimum-tls  artifacts  (azure-native:storage:StorageAccount)\n"
        in text
    )


def test_notes_are_shown_once_and_not_without_end() -> None:
    notes = tuple(Diagnostic("info", f"note {number}") for number in range(30)) + (Diagnostic("info", ""),) * 2
    text = render(run(Result(Deployment("web", "dev", WEB, diagnostics=(notes[-1], *notes * 3)))))

    assert "\ninfo     (7 times)\ninfo     note 0 (3 times)\n" in text
    assert "note 8 (3 times)\n21 more with --format json.\n" in text
    assert "note 9 " not in text


def test_parents_in_a_circle_hide_no_resource() -> None:
    first, second = (Resource(f"urn:pulumi:dev::web::a:b:C::{name}", "a:b:C", name, {}) for name in ("one", "two"))
    circle = (replace(first, parent=second.urn), replace(second, parent=first.urn))
    text = render(run(Result(Deployment("web", "dev", WEB, circle)), with_findings=False))

    assert "\none       a:b:C\ntwo       a:b:C\n" in text


def test_hints_name_only_what_can_be_explained() -> None:
    result = Result(Deployment("web", "dev", WEB), (finding(SOFT_DELETE, code="ACME-1"),))

    assert "explains a rule" not in render(run(result))
