"""No rule raises, whatever stands in a resource's inputs, and no finding shows what is marked secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringfence.deployment import UNKNOWN, Archive, Asset, ResourceReference, Secret
from ringfence.policy.rule import Rule, Sample
from ringfence.policy.verdict import Verdict
from ringfence_policies import aws, azure, common
from tests.unit.policies.cases import run

RULES: tuple[Rule, ...] = (*azure.RULES, *common.RULES, *getattr(aws, "RULES", ()))
CANARY = "canary-in-a-secret"
CONFIGURED = {"GE01": {"locations": ["westeurope"]}, "GE02": {"tags": ["owner", "env=dev|prod"]}}

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["*", "/", "0.0.0.0", "None", "true", "12", "{", "[]", '{"Statement": [{}]}', "@", "a=b;c", "\x00"]
    ),
    st.sampled_from([UNKNOWN, Secret(UNKNOWN), Secret(CANARY), Secret({"a": CANARY}), Secret([CANARY]), Secret(None)]),
    st.sampled_from([Asset("text", "x"), Archive("assets", {}), ResourceReference("urn:x", UNKNOWN)]),
)


def words_of(rule: Rule) -> list[str]:
    """Return the property names that a rule reads, as its description and its examples have them."""
    return sorted({*re.findall(r"[a-z][A-Za-z0-9]+", rule.reads), *keys_of([*rule.bad, *rule.good])})


def keys_of(value: Any) -> set[str]:
    match value:
        case Sample():
            return keys_of(value.inputs)
        case Mapping():
            return {str(key) for key in value}.union(*(keys_of(item) for item in value.values()))
        case list() | tuple():
            return set().union(*(keys_of(item) for item in value))
    return set()


def values(words: list[str]) -> st.SearchStrategy[Any]:
    """Return JSON-like data that has the property names `words` at any depth."""
    keys = st.one_of(st.sampled_from(words), st.text(max_size=4))
    return st.recursive(
        SCALARS,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=4), st.builds(Secret, inner)
        ),
        max_leaves=12,
    )


def places_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of everything within `value`."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, Mapping):
        items = list(value.items())
    elif isinstance(value, list | tuple):
        items = list(enumerate(value))
    return [place for key, item in items for place in [(*path, key), *places_of(item, (*path, key))]]


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return `value` with `new` at `path`; unchanged if an earlier change has taken that place away."""
    if not path:
        return new
    key, *rest = path
    if isinstance(value, Mapping) and key in value:
        return {**value, key: put(value[key], tuple(rest), new)}
    if isinstance(value, list | tuple) and isinstance(key, int):
        return [put(item, tuple(rest), new) if index == key else item for index, item in enumerate(value)]
    return value


@st.composite
def stacks(draw: st.DrawFn, rule: Rule) -> list[Sample]:
    """Return a stack of a rule's example, its inputs damaged or replaced, its dependencies shuffled."""
    words = words_of(rule)
    garbage = values(words)
    samples = draw(st.sampled_from([rule.bad, rule.good]))
    names = [sample.name for sample in samples]
    result = []
    for sample in samples:
        inputs: Any = sample.inputs
        places = places_of(inputs)
        if places and draw(st.integers(0, 3)):
            for place in draw(st.lists(st.sampled_from(places), min_size=1, max_size=3)):
                inputs = put(inputs, place, draw(st.one_of(SCALARS, garbage)))
        else:
            inputs = draw(st.dictionaries(st.sampled_from(words), garbage, max_size=6))
        feeds = draw(
            st.one_of(
                st.just(sample.feeds),
                st.dictionaries(
                    st.sampled_from(words), st.lists(st.sampled_from(names), max_size=2).map(tuple), max_size=3
                ),
            )
        )
        type_ = draw(st.sampled_from([sample.type, *rule.types]))
        outputs = draw(
            st.one_of(st.just(sample.outputs), st.dictionaries(st.sampled_from(["id", "arn", "name"]), SCALARS))
        )
        result.append(replace(sample, type=type_, inputs=inputs, feeds=feeds, outputs=outputs))
    return result


GARBAGE = [None, True, 0, 1.5, float("nan"), "", "*", "x y", [], [None], {}, {"a": []}, UNKNOWN]
GARBAGE += [Secret(CANARY), Secret(UNKNOWN), Secret([CANARY]), Secret({"a": CANARY}), [Secret(CANARY)]]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_garbage_at_every_place_of_the_examples(rule: Rule) -> None:
    for samples in (rule.bad, rule.good):
        for at, sample in enumerate(samples):
            for place in places_of(sample.inputs):
                for garbage in GARBAGE:
                    stack = [
                        *samples[:at],
                        replace(sample, inputs=put(sample.inputs, place, garbage)),
                        *samples[at + 1 :],
                    ]
                    findings = run(rule, stack, CONFIGURED.get(rule.code))
                    assert [item.message for item in findings if item.verdict is Verdict.ERROR] == [], (place, garbage)
                    assert CANARY not in repr(findings), place


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
@given(data=st.data())
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_no_rule_raises_or_shows_a_secret(rule: Rule, data: st.DataObject) -> None:
    findings = run(rule, data.draw(stacks(rule)), CONFIGURED.get(rule.code))

    assert [finding.message for finding in findings if finding.verdict is Verdict.ERROR] == []
    assert CANARY not in repr(findings)
