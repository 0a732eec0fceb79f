from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.deployment import UNKNOWN, Secret
from ringfence.policy.rule import Rule, Sample
from ringfence.policy.verdict import Verdict
from ringfence_policies.aws import RULES
from tests.unit.policies.cases import run

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([UNKNOWN, Secret("*"), Secret(UNKNOWN), "*", "Allow", "arn:aws:iam::aws:policy/X", 10**400])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def mutate(value: Any, draw: st.DrawFn) -> Any:
    """Return a value of the shape of `value` with parts replaced, nested documents too."""
    if draw(st.integers(0, 4)) == 0:
        return draw(VALUES)
    if isinstance(value, dict):
        return {key: mutate(item, draw) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [mutate(item, draw) for item in value]
    if isinstance(value, str) and value.startswith("{"):
        document = mutate(json.loads(value), draw)
        return document if draw(st.booleans()) else json.dumps(document, default=str)
    return value


@st.composite
def stacks(draw: st.DrawFn, rule: Rule) -> list[Sample]:
    samples = [*rule.good, *(Sample(item.type, item.inputs, f"bad-{item.name}") for item in rule.bad)]
    names = [item.name for item in samples]
    return [
        Sample(
            item.type,
            mutate(dict(item.inputs), draw) if draw(st.booleans()) else item.inputs,
            item.name,
            feeds={key: tuple(draw(st.lists(st.sampled_from(names), max_size=2))) for key in item.inputs},
            outputs={key: draw(VALUES) for key in ("arn", "name", "url")} if draw(st.booleans()) else item.outputs,
        )
        for item in samples
    ]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
@settings(deadline=None, max_examples=60)
@given(st.data())
def test_no_rule_breaks(rule: Rule, data: st.DataObject) -> None:
    samples = [
        item if isinstance(item.inputs, dict) else Sample(item.type, {}, item.name) for item in data.draw(stacks(rule))
    ]

    findings = run(rule, samples)

    assert {finding.message for finding in findings if finding.verdict is Verdict.ERROR} == set()
    assert len({finding.urn for finding in findings}) == sum(item.type in rule.types for item in samples)
