from __future__ import annotations

from typing import Any

import pytest

from ringfence.deployment import UNKNOWN, Secret
from ringfence.policy.checks import (
    PASS,
    Test,
    all_of,
    any_of,
    between,
    contains,
    equals,
    every,
    failed,
    is_not,
    is_true,
    matches,
    non_empty,
    not_applicable,
    one_of,
    passed,
    require,
    satisfying,
    undecided,
)
from ringfence.policy.property import Property
from ringfence.policy.verdict import Outcome, Verdict

TESTS: list[tuple[Test, str, list[Any], list[Any]]] = [
    (equals("TLS1_2"), '"TLS1_2"', ["TLS1_2", "tls1_2"], ["TLS1_0", "", 1, True, None, ["TLS1_2"]]),
    (equals(5), "5", [5, 5.0, "5"], [True, "x", None]),
    (equals(True), "true", [True], [False, "true", 1, None]),
    (is_true(), "true", [True], [False, "True", 1]),
    (is_not("None"), 'anything but "None"', ["x", ""], ["none", "None", 5, None]),
    (is_not(True), "false", [False], [True, 0, "false"]),
    (is_not(False), "true", [True], [False, 1]),
    (one_of("1.2", "1.3"), 'one of "1.2", "1.3"', ["1.2", "1.3"], ["1.1", 1.2, None]),
    (one_of("Deny"), '"Deny"', ["deny"], ["Allow"]),
    (one_of("a", 1), 'one of "a", 1', ["A", 1, 1.0], ["b", 2]),
    (between(3, 10), "a number from 3 to 10", [3, 10, 5.5, "7"], [2.9, 11, "x", True, None]),
    (between(7, 90, "days"), "a number from 7 to 90 days", [7], [91]),
    (contains("Key="), 'text that contains "Key="', ["a;key=b"], ["", 5, None, ["Key="]]),
    (matches(r"\d+", "digits"), "digits", ["12"], ["12a", "", 12]),
    (non_empty(), "a value that is not empty", ["x", [0], {"a": 1}, 0, False], ["", [], (), {}]),
    (satisfying(lambda value: value > 3, "more", "number"), "more", [4], [3, "x"]),
]


@pytest.mark.parametrize(("test", "expected", "good", "bad"), TESTS, ids=[expected for _, expected, _, _ in TESTS])
def test_which_values_pass(test: Test, expected: str, good: list[Any], bad: list[Any]) -> None:
    assert test.expected == expected
    assert [value for value in good if not test(value)] == []
    assert [value for value in bad if test(value)] == []


REQUIRED: list[tuple[Any, str, Outcome]] = [
    ("tls1_2", "fail", Outcome(Verdict.PASS, path="tls")),
    (
        "TLS1_0",
        "fail",
        Outcome(Verdict.FAIL, "tls", 'tls is "TLS1_0", expected "TLS1_2".', '"TLS1_2"', '"TLS1_0"'),
    ),
    (None, "pass", Outcome(Verdict.PASS, path="tls")),
    (None, "fail", Outcome(Verdict.FAIL, "tls", "tls is not set.", '"TLS1_2"', "nothing")),
    (
        None,
        "Azure takes 1.0.",
        Outcome(Verdict.FAIL, "tls", "tls is not set. Azure takes 1.0.", '"TLS1_2"', "nothing"),
    ),
    (
        UNKNOWN,
        "fail",
        Outcome(
            Verdict.UNKNOWN,
            "tls",
            "tls is not known before apply.",
            '"TLS1_2"',
            "a value that is not known before apply",
        ),
    ),
    (
        ["TLS1_2"],
        "fail",
        Outcome(Verdict.FAIL, "tls", 'tls is ["TLS1_2"], expected "TLS1_2".', '"TLS1_2"', '["TLS1_2"]'),
    ),
    (
        Secret("hunter2"),
        "fail",
        Outcome(Verdict.FAIL, "tls", 'tls is a secret value, expected "TLS1_2".', '"TLS1_2"', "a secret value"),
    ),
]


@pytest.mark.parametrize(("value", "absent", "outcome"), REQUIRED)
def test_a_required_value(value: Any, absent: str, outcome: Outcome) -> None:
    assert require(Property(value, "tls"), equals("TLS1_2"), absent=absent) == outcome


def test_a_value_within_what_is_no_object_fails() -> None:
    outcome = require(Property("text", "site")["tls"], equals("TLS1_2"), absent="pass")

    assert (outcome.verdict, outcome.path) == (Verdict.FAIL, "site.tls")
    assert outcome.message == 'site.tls is "text" where an object belongs.'


def test_one_bad_element_is_found_among_good_ones() -> None:
    places = Property([True, False, UNKNOWN, Property, True], "list").elements()[:3]
    places += Property("x", "other").elements()

    outcomes = every(places, lambda place: require(place, is_true(), absent="fail"))

    assert [(outcome.verdict.value, outcome.path) for outcome in outcomes] == [
        ("pass", "list[0]"),
        ("fail", "list[1]"),
        ("unknown", "list[2]"),
        ("fail", "other"),
    ]
    assert every([], lambda place: PASS) == []


def test_a_check_of_an_element_may_give_several_outcomes() -> None:
    outcomes = every(Property([1, 2], "list").elements(), lambda place: [passed(place), undecided(place)])

    assert [outcome.verdict.value for outcome in outcomes] == ["pass", "unknown"] * 2


def test_outcomes_say_what_and_where() -> None:
    place = Property(5, "size")

    assert passed() is PASS
    assert passed(place) == Outcome(Verdict.PASS, path="size")
    assert failed(place, "Too small.") == Outcome(Verdict.FAIL, "size", "Too small.", "", "5")
    assert failed(place, "m", expected="6", actual="five") == Outcome(Verdict.FAIL, "size", "m", "6", "five")
    assert failed(None, "m") == Outcome(Verdict.FAIL, message="m")
    assert undecided(None).message == "A value is not known before apply."
    assert undecided(place, "Why.").message == "Why."
    assert not_applicable("Why.") == Outcome(Verdict.NOT_APPLICABLE, message="Why.")


P, F, U = Outcome(Verdict.PASS, "p"), Outcome(Verdict.FAIL, "f"), Outcome(Verdict.UNKNOWN, "u")
E, N = Outcome(Verdict.ERROR, "e"), Outcome(Verdict.NOT_APPLICABLE, "n")
COMBINED: list[tuple[tuple[Outcome, ...], Outcome, Outcome]] = [
    ((), PASS, PASS),
    ((P,), P, P),
    ((F,), F, F),
    ((U,), U, U),
    ((N,), N, N),
    ((P, P), P, P),
    ((P, F), F, P),
    ((F, P), F, P),
    ((P, U), U, P),
    ((U, P), U, P),
    ((F, U), F, U),
    ((U, F), F, U),
    ((P, U, F), F, P),
    ((E, F), E, F),
    ((Outcome(Verdict.FAIL, "first"), F), Outcome(Verdict.FAIL, "first"), Outcome(Verdict.FAIL, "first")),
]


@pytest.mark.parametrize(("outcomes", "all_", "any_"), COMBINED)
def test_combining(outcomes: tuple[Outcome, ...], all_: Outcome, any_: Outcome) -> None:
    assert all_of(*outcomes) == all_
    assert any_of(*outcomes) == any_
