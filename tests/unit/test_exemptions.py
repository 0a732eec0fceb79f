from __future__ import annotations

import datetime

import pytest

from ringfence.policy.exemptions import Exemption, apply_exemptions
from ringfence.policy.verdict import Finding, Level, Severity, Verdict

TODAY = datetime.date(2026, 6, 15)
TYPE = "azure-native:storage:StorageAccount"


def finding(code: str = "ST05", name: str = "storage-network", resource: str = "host", **changes: object) -> Finding:
    facts = {
        "code": code,
        "name": name,
        "verdict": Verdict.FAIL,
        "level": Level.MANDATORY,
        "severity": Severity.HIGH,
        "message": "It is open.",
        "urn": f"urn:pulumi:dev::shop::{TYPE}::{resource}",
        "type": TYPE,
        "resource": resource,
        **changes,
    }
    return Finding(**facts)  # type: ignore[arg-type]


def exemption(rule: str = "ST05", resource: str = "*", expires: datetime.date | None = None) -> Exemption:
    return Exemption(rule, resource, "It moves in May.", "storage team", expires)


SELECTS = [
    ("ST05", "*", True),
    ("st05", "*", True),
    ("storage-network", "*", True),
    ("ST*", "*", True),
    ("storage-*", "*", True),
    ("*", "*", True),
    ("ST0", "*", False),
    ("ST06", "*", False),
    ("ST05", f"{TYPE}::host", True),
    ("ST05", f"{TYPE}::ho*", True),
    ("ST05", "azure-native:*::host", True),
    ("ST05", "*::other", False),
    ("ST05", f"{TYPE}::HOST", False),
    ("ST05", "host", False),
    ("ST05", f"urn:pulumi:dev::shop::{TYPE}::host", True),
    ("ST05", "urn:pulumi:dev::*", True),
    ("ST05", "urn:pulumi:prod::*", False),
]


@pytest.mark.parametrize(("rule", "resource", "expected"), SELECTS)
def test_which_failures_an_exemption_selects(rule: str, resource: str, expected: bool) -> None:
    assert exemption(rule, resource).selects(finding()) is expected


PATHS = [
    ("*", True),
    ("containers[1].image", True),
    ("containers[0].image", False),
    ("containers[*].image", True),
    ("containers[?].image", True),
    ("containers*", True),
    ("containers[1]", False),
    ("", False),
]


@pytest.mark.parametrize(("path", "expected"), PATHS)
def test_an_exemption_may_name_one_property(path: str, expected: bool) -> None:
    mine = Exemption("ST05", "*", "r", "team", TODAY - datetime.timedelta(days=1), path)

    applied = apply_exemptions([finding(path="containers[1].image")], [mine], TODAY)

    assert mine.selects(finding(path="containers[1].image")) is expected
    assert mine.title == f"The exemption of ST05 for {'' if path == '*' else f'{path} of '}* (team)"
    assert len(applied.notes) == expected


def test_an_exempt_failure_stays_visible_and_no_longer_blocks() -> None:
    [result] = apply_exemptions([finding()], [exemption(expires=datetime.date(2027, 1, 31))], TODAY).findings

    assert finding().blocks
    assert not result.blocks
    assert result.verdict is Verdict.EXEMPT
    assert result.message == "It is open. Exempt: It moves in May (storage team, until 2027-01-31)."
    assert result.extra["exemption"] == {
        "reason": "It moves in May.",
        "owner": "storage team",
        "expires": "2027-01-31",
    }
    assert (result.code, result.urn, result.level) == ("ST05", finding().urn, Level.MANDATORY)


def test_an_exemption_without_an_end() -> None:
    applied = apply_exemptions([finding()], [exemption()], TODAY)

    assert applied.findings[0].message == "It is open. Exempt: It moves in May (storage team)."
    assert applied.findings[0].extra["exemption"]["expires"] is None
    assert applied.notes == []


@pytest.mark.parametrize(
    "verdict", [Verdict.PASS, Verdict.UNKNOWN, Verdict.NOT_APPLICABLE, Verdict.ERROR, Verdict.EXEMPT]
)
def test_only_failures_are_exempt(verdict: Verdict) -> None:
    before = finding(verdict=verdict)

    applied = apply_exemptions([before], [exemption()], TODAY)

    assert applied.findings == [before]
    assert applied.used == set()


@pytest.mark.parametrize(("expires", "holds"), [(TODAY, True), (TODAY - datetime.timedelta(days=1), False)])
def test_it_holds_on_its_last_day(expires: datetime.date, holds: bool) -> None:
    mine = exemption(expires=expires)

    applied = apply_exemptions([finding()], [mine], TODAY)

    assert applied.findings[0].verdict is (Verdict.EXEMPT if holds else Verdict.FAIL)
    assert applied.used == {mine}
    note = "The exemption of ST05 for * (storage team) expired on 2026-06-14: what it exempted fails again."
    assert applied.notes == ([] if holds else [note])


def test_an_expired_one_is_noted_once_and_leaves_the_work_to_another() -> None:
    old, new = exemption(expires=datetime.date(2020, 1, 1)), exemption("storage-*")

    both = apply_exemptions([finding(), finding(resource="b")], [old, new], TODAY)
    old_only = apply_exemptions([finding(), finding(resource="b")], [old], TODAY)

    assert [item.verdict for item in both.findings] == [Verdict.EXEMPT] * 2
    assert (both.notes, both.used) == ([], {new})
    assert [item.verdict for item in old_only.findings] == [Verdict.FAIL] * 2
    assert len(old_only.notes) == 1


def test_others_are_left_as_they_are_and_in_their_order() -> None:
    findings = [finding("ST01"), finding("ST05"), finding("ST02", verdict=Verdict.PASS), finding("ST05", resource="b")]

    applied = apply_exemptions(findings, [exemption(resource="*::host")], TODAY)

    assert [item.code for item in applied.findings] == ["ST01", "ST05", "ST02", "ST05"]
    assert [item.verdict for item in applied.findings] == [
        Verdict.FAIL,
        Verdict.EXEMPT,
        Verdict.PASS,
        Verdict.FAIL,
    ]
    assert applied.findings[0] is findings[0]
