"""Reading a value never raises, whatever it is; combining verdicts obeys the laws of Kleene's logic."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.deployment import UNKNOWN, Archive, Asset, ResourceReference, Secret
from ringfence.policy.checks import (
    all_of,
    any_of,
    between,
    contains,
    equals,
    every,
    is_not,
    matches,
    non_empty,
    one_of,
    require,
)
from ringfence.policy.property import Property, State, describe
from ringfence.policy.verdict import Outcome, Verdict

CANARY = "canary-in-a-secret"
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, -(10**400)]),
    st.floats(),
    st.text(),
    st.text('[]{}",:0123456789ae+-. '),
    st.sampled_from([UNKNOWN, Secret(CANARY), Secret(UNKNOWN), Secret(Secret(None))]),
    st.sampled_from(
        [Asset("text", "x"), Archive("assets", {"a": Asset("file", "y")}), ResourceReference("u", UNKNOWN)]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(max_size=5), inner, max_size=4),
        st.dictionaries(st.integers(), inner, max_size=2),
        st.tuples(inner),
        st.builds(Secret, inner),
        inner.map(lambda value: json.dumps(describe(value))),
    ),
    max_leaves=15,
)
STEPS = st.lists(
    st.one_of(st.sampled_from(["elements", "entries", "json", "self"]), st.text(max_size=5).map(lambda key: f"@{key}")),
    max_size=6,
)
TESTS = st.sampled_from(
    [
        equals("a"),
        equals(5),
        equals(True),
        is_not("a"),
        is_not(5),
        one_of("a", 5),
        between(1, 5),
        contains("a"),
        matches("a+", "letters"),
        non_empty(),
    ]
)


def follow(place: Property, steps: list[str]) -> list[Property]:
    places = [place]
    for step in steps:
        if step == "elements":
            places = [inner for item in places for inner in item.elements()]
        elif step == "entries":
            places = [inner for item in places for _, inner in item.entries()]
        elif step == "self":
            places = [inner for item in places for inner in item.elements_or_self()]
        elif step == "json":
            places = [item.json() for item in places]
        else:
            places = [item.at(step[1:]) for item in places]
    return places


@given(value=VALUES, steps=STEPS, test=TESTS)
@settings(deadline=None, max_examples=400)
def test_reading_never_raises_and_never_shows_a_secret(value: Any, steps: list[str], test: Any) -> None:
    for place in follow(Property({"root": value}), ["@root", *steps]):
        outcome = require(place, test, absent="fail")
        every(place.elements(), lambda item: require(item, test, absent="pass"))

        # Exactly one state, and what it allows.
        assert [place.present, place.absent, place.unknown].count(True) == (place.state is not State.MALFORMED)
        assert place.present or (place.value is None and place.text is None and place.number is None)
        assert place.satisfies(test) is (None if place.unknown else outcome.verdict is Verdict.PASS)
        assert outcome.verdict is (Verdict.UNKNOWN if place.unknown else outcome.verdict)
        assert outcome.verdict is not Verdict.ERROR
        texts = [place.shown, repr(place), outcome.message, outcome.actual, outcome.expected]
        assert not any(CANARY in text for text in texts)


@given(value=VALUES)
@settings(deadline=None)
def test_any_value_has_a_short_description(value: Any) -> None:
    text = describe(value)

    assert len(text) <= 200
    assert CANARY not in text


@given(place=VALUES, key=st.text())
@settings(deadline=None)
def test_going_deeper_never_gains_knowledge(place: Any, key: str) -> None:
    outer = Property(place, "p")
    inner = outer[key]

    if outer.state in (State.UNKNOWN, State.ABSENT, State.MALFORMED):
        assert inner.state is outer.state
    if outer.secret:
        assert inner.secret or inner.state is State.MALFORMED
    assert inner.path.startswith("p")


# --- Kleene's logic --------------------------------------------------------------------------------------------------

OUTCOMES = st.sampled_from([Outcome(verdict) for verdict in (Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN)])
TRUTH = {Verdict.FAIL: 0, Verdict.UNKNOWN: 1, Verdict.PASS: 2}
OPPOSITE = {Verdict.FAIL: Verdict.PASS, Verdict.UNKNOWN: Verdict.UNKNOWN, Verdict.PASS: Verdict.FAIL}


def negated(outcome: Outcome) -> Outcome:
    return Outcome(OPPOSITE[outcome.verdict])


@given(outcomes=st.lists(OUTCOMES, min_size=1, max_size=5))
@settings(deadline=None)
def test_all_is_the_least_and_any_the_greatest(outcomes: list[Outcome]) -> None:
    truths = [TRUTH[outcome.verdict] for outcome in outcomes]

    assert TRUTH[all_of(*outcomes).verdict] == min(truths)
    assert TRUTH[any_of(*outcomes).verdict] == max(truths)


@given(a=OUTCOMES, b=OUTCOMES, c=OUTCOMES)
@settings(deadline=None)
def test_the_laws(a: Outcome, b: Outcome, c: Outcome) -> None:
    for combine, other in ((all_of, any_of), (any_of, all_of)):
        assert combine(a, b) == combine(b, a)
        assert combine(a, combine(b, c)) == combine(combine(a, b), c) == combine(a, b, c)
        assert combine(a, a) == a
        assert combine(a, other(a, b)) == a
        assert combine(a, other(b, c)) == other(combine(a, b), combine(a, c))
        assert negated(combine(a, b)) == other(negated(a), negated(b))


@given(known=st.lists(OUTCOMES, max_size=4), decided=st.sampled_from([Outcome(Verdict.PASS), Outcome(Verdict.FAIL)]))
@settings(deadline=None)
def test_learning_an_unknown_never_turns_a_verdict_round(known: list[Outcome], decided: Outcome) -> None:
    unknown = Outcome(Verdict.UNKNOWN)

    for combine in (all_of, any_of):
        before, after = combine(*known, unknown).verdict, combine(*known, decided).verdict
        assert before in (Verdict.UNKNOWN, after)
