"""The remediations of the pack: after one the rule passes, a second changes nothing, and nothing else is touched."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from pulumi.runtime import proto

from ringfence.policy.analyzer_rules import RuleAnalyzer
from ringfence.policy.pack import Pack
from ringfence.policy.rule import Rule
from ringfence_policies import RULES
from tests.unit.policy.serving import reconcile
from tests.unit.policy.stock_server import SECRET, SIGNATURE, UNKNOWN_STRING

REMEDIED = [rule for rule in RULES if rule.remediation]


def test_the_catalogue_marks_these() -> None:
    assert [rule.code for rule in REMEDIED] == ["ST01", "WA01", "WA02"]


def analyzer(rule: Rule) -> RuleAnalyzer:
    answers = RuleAnalyzer(Pack("pack", "1.0.0", (rule,)))
    answers.configure(reconcile(answers.info(), {rule.name: "remediate"}))
    return answers


def ask(rule: Rule, inputs: Any) -> tuple[RuleAnalyzer, proto.AnalyzeRequest]:
    request = proto.AnalyzeRequest(urn=f"urn:pulumi:dev::shop::{rule.types[0]}::a", type=rule.types[0], name="a")
    request.properties.update(inputs)
    return analyzer(rule), request


@pytest.mark.parametrize("rule", REMEDIED, ids=lambda rule: rule.code)
def test_the_examples(rule: Rule) -> None:
    answers, request = ask(rule, dict(rule.bad[0].inputs))
    (offer,) = answers.remediate(request).remediations
    request.properties.CopyFrom(offer.properties)

    assert not answers.analyze(request).diagnostics
    assert not answers.remediate(request).remediations
    good, passing = ask(rule, dict(rule.good[0].inputs))
    assert not good.remediate(passing).remediations


leaves = st.sampled_from([None, True, False, 0.0, 1.0, "", "1.0", "1.2", "true", UNKNOWN_STRING, [], ["1.2"], {}])
anything = leaves | st.builds(lambda value: {SIGNATURE: SECRET, "value": value}, leaves)


@settings(deadline=None)
@given(st.sampled_from(REMEDIED), st.data())
def test_whatever_stands_there(rule: Rule, data: st.DataObject) -> None:
    ((path, scalar),) = rule.remediation.items()
    keys = path.split(".")
    value = data.draw(anything)
    for key in reversed(keys):
        value = {key: value, **data.draw(st.dictionaries(st.sampled_from(["other", "more"]), leaves, max_size=2))}
        value = value if key == keys[0] or data.draw(st.integers(0, 4)) else data.draw(anything)
    answers, request = ask(rule, value)
    before = json_format.MessageToDict(request.properties)

    for offer in answers.remediate(request).remediations:
        if offer.diagnostic:
            assert any(item.enforcementLevel == proto.MANDATORY for item in answers.analyze(request).diagnostics)
            continue
        request.properties.CopyFrom(offer.properties)
        assert not answers.analyze(request).diagnostics
        assert not answers.remediate(request).remediations
        after = json_format.MessageToDict(request.properties)
        assert _without(before, keys) == _without(after, keys)
        assert str(scalar) in str(after)


def _without(values: dict[str, Any], keys: list[str]) -> dict[str, Any]:
    """Return values without the place that is set, and without an object on the way there that holds nothing else."""
    rest = {key: value for key, value in values.items() if key != keys[0]}
    inner = values.get(keys[0])
    if len(keys) > 1 and isinstance(inner, dict) and (left := _without(inner, keys[1:])):
        rest[keys[0]] = left
    return rest
