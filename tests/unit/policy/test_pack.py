from __future__ import annotations

import pytest

from ringfence.policy.pack import Pack, PackConfig, PackError, RuleConfig, index
from ringfence.policy.verdict import Level
from tests.unit.policy.small_rules import BUCKET, QUEUE, SMALL, closed, make_rule


def active(config: PackConfig | None = None) -> list[tuple[str, str]]:
    return [(entry.rule.code, entry.level.value) for entry in SMALL.activate(config)]


def test_rules_judge_at_their_own_level_in_pack_order() -> None:
    assert active() == [("TS01", "mandatory"), ("TS02", "advisory"), ("QU01", "mandatory")]


CONFIGS: list[tuple[PackConfig, list[tuple[str, str]]]] = [
    (
        PackConfig(profiles=("strict",)),
        [("TS01", "mandatory"), ("TS02", "advisory"), ("TS03", "advisory"), ("QU01", "mandatory")],
    ),
    (
        PackConfig(rules={"TS03": RuleConfig(Level.MANDATORY)}, select=("TS",)),
        [("TS01", "mandatory"), ("TS02", "advisory"), ("TS03", "mandatory")],
    ),
    (
        PackConfig(rules={"TS03": RuleConfig(Level.DISABLED)}, profiles=("strict",), ignore=("QU",)),
        [("TS01", "mandatory"), ("TS02", "advisory")],
    ),
    (PackConfig(rules={"bucket-closed": RuleConfig(Level.ADVISORY)}, select=("ts01",)), [("TS01", "advisory")]),
    (PackConfig(rules={"TS01": RuleConfig(Level.DISABLED)}, select=("TS01",)), []),
    (PackConfig(select=(" Bucket-Bounded ",)), [("TS02", "advisory")]),
    (PackConfig(select=("TS01", "QU")), [("TS01", "mandatory"), ("QU01", "mandatory")]),
    (PackConfig(select=("TS",), ignore=("TS02",)), [("TS01", "mandatory")]),
    (PackConfig(select=("TS03",)), []),
]


@pytest.mark.parametrize(("config", "expected"), CONFIGS)
def test_a_run_is_configured(config: PackConfig, expected: list[tuple[str, str]]) -> None:
    assert active(config) == expected


def test_parameters_reach_the_rule() -> None:
    [entry] = SMALL.activate(PackConfig(rules={"TS02": RuleConfig(parameters={"maximum": 60})}, select=("TS02",)))

    assert entry.parameters == {"maximum": 60}
    assert SMALL.activate(PackConfig(select=("TS02",)))[0].parameters == {"maximum": 10}


MISTAKES = [
    (PackConfig(rules={"TS09": RuleConfig()}), "rules.TS09: policy pack ringfence has no such rule"),
    (PackConfig(profiles=("lax",)), "profile 'lax': policy pack ringfence knows strict"),
    (PackConfig(select=("closed",)), "--select closed: policy pack ringfence has no rule of that code or name"),
    (PackConfig(ignore=("XX",)), "--ignore XX: policy pack ringfence has no rule of that code or name"),
    (
        PackConfig(rules={"TS02": RuleConfig(parameters={"maximum": "x"})}),
        "rules.TS02.maximum: expected a whole number from 1 to 100, found 'x'",
    ),
]


@pytest.mark.parametrize(("config", "message"), MISTAKES)
def test_a_mistake_names_the_key_and_what_was_expected(config: PackConfig, message: str) -> None:
    with pytest.raises(PackError) as caught:
        SMALL.activate(config)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("second", "key"),
    [({"code": "TS01", "name": "other-name"}, "TS01"), ({"code": "TS02", "name": "test-rule"}, "test-rule")],
)
def test_two_rules_of_one_code_or_name_are_refused(second: dict[str, str], key: str) -> None:
    with pytest.raises(PackError) as caught:
        Pack("mine", "1", (make_rule(closed), make_rule(closed, **second)))
    assert str(caught.value) == f"policy pack mine: two rules are called {key}"


def test_rules_are_found_by_code_and_name() -> None:
    assert SMALL.by_key["TS01"] is SMALL.by_key["bucket-closed"]
    assert len(SMALL.by_key) == 8
    assert SMALL.profiles == ("strict",)


def test_rules_by_type() -> None:
    everywhere = make_rule(closed, "EV01", "every-where", types=())
    both = make_rule(closed, "BO01", "both-types", types=(BUCKET, QUEUE))
    by_type = index(Pack("p", "1", (everywhere, both, make_rule(closed))).activate())

    assert {token: [entry.rule.code for entry in entries] for token, entries in by_type.items()} == {
        "": ["EV01"],
        BUCKET: ["BO01", "TS01"],
        QUEUE: ["BO01"],
    }
