"""The rule test kit, the server of pulumi_policy asked by hand, and our own evaluation: one answer for any policy.

The requests of the server that is asked by hand are written apart from the kit's (`tests/unit/policy/stock_server.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pulumi.runtime import proto
from pulumi_policy import EnforcementLevel, Policy, StackValidationPolicy

from ringfence.deployment import STACK_TYPE, Deployment, Resource, Secret
from ringfence.policy._pulumi_policy import CapturedPack, StockAnalyzer
from ringfence.policy.crossguard import CrossGuardPack, StackContext, to_policies
from ringfence.policy.crossguard_config import reconcile
from ringfence.policy.crossguard_world import PackWorld
from ringfence.policy.pack import Pack
from ringfence.policy.redaction import Redactor
from ringfence.policy.rule import Rule
from ringfence.policy.verdict import Finding, Verdict
from ringfence.testing.rule_kit import RuleResult, check_rule
from tests.property.test_analyzer_differential import ADDRESS, spiced
from tests.property.test_crossguard_differential import POLICIES
from tests.property.test_rules_never_raise import CONFIGURED, RULES
from tests.property.test_rules_never_raise import stacks as spoiled_examples
from tests.unit.policies.cases import build
from tests.unit.policy.stock_server import StockServer

HERE = Path(__file__).parent
LEVELS = {level: getattr(proto, level.name) for level in EnforcementLevel}
TAGS = {"team": "blue"}
CONTEXT = StackContext("shop", "dev", tags=TAGS)
ROOT = Resource("urn:pulumi:dev::shop::pulumi:pulumi:Stack::shop-dev", STACK_TYPE, "shop-dev", {}, custom=False)
CAN_FAIL = [policy for policy in POLICIES if policy.name != "off"]

Said = tuple[Verdict, list[str], str, str]
"""Verdict, messages, place of an unknown, reason."""


def of_kit(result: RuleResult) -> Said:
    return (result.verdict, [ADDRESS.sub("", text) for text in result.messages], result.unknown, result.reason)


def of_server(response: proto.AnalyzeResponse, redact: Redactor) -> Said:
    messages, unknown = [], ""
    for item in response.diagnostics:
        if item.message.startswith("can't run policy"):
            unknown = unknown or item.message.rpartition(" value at .")[2].removesuffix(
                " can't be known during preview"
            )
        else:
            messages.append(redact(ADDRESS.sub("", item.message.partition("\n")[2])))
    reason = redact(response.not_applicable[0].reason) if response.not_applicable else ""
    if messages:
        return (Verdict.FAIL, messages, unknown, reason)
    if unknown:
        return (Verdict.UNKNOWN, messages, unknown, reason)
    return (Verdict.NOT_APPLICABLE if response.not_applicable else Verdict.PASS, messages, unknown, reason)


def asked_by_hand(policy: Policy, config: Mapping[str, Any], subject: Resource, resources: list[Resource]) -> Said:
    server = StockServer([policy])
    level = policy.enforcement_level or EnforcementLevel.ADVISORY
    server.configure({policy.name: (LEVELS[level], config)})
    server.set_tags(TAGS)
    redact = Redactor(*(values for item in resources for values in (item.inputs, item.outputs)))
    if isinstance(policy, StackValidationPolicy):
        return of_server(server.analyze_stack(resources), redact)
    return of_server(server.analyze(subject, resources), redact)


def in_process(policy: Policy, config: Mapping[str, Any], subject: Resource, resources: list[Resource]) -> set[Verdict]:
    """Return the verdicts that `ringfence check` would give."""
    server = StockAnalyzer("pack", "0.0.1", [policy], EnforcementLevel.ADVISORY)
    captured = CapturedPack("pack", (policy,), EnforcementLevel.ADVISORY, {}, "", server)
    configured, _ = reconcile(captured, {policy.name: dict(config)})
    pack = CrossGuardPack(captured, "1.0.0", HERE, CONTEXT, configured, PackWorld(HERE, HERE / "__main__.py"))
    found: list[Finding] = pack.evaluate(Deployment("shop", "dev", HERE, tuple(resources)))
    if not isinstance(policy, StackValidationPolicy):
        found = [item for item in found if item.urn == subject.urn]
    return {item.verdict for item in found}


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(CAN_FAIL), spiced(), st.dictionaries(st.just("limit"), st.integers(0, 9)), st.data())
def test_any_policy(policy: Policy, resources: list[Resource], config: dict[str, Any], data: st.DataObject) -> None:
    resources = [ROOT, *resources]
    subject = data.draw(st.sampled_from(resources[1:]))
    others = [item for item in resources if item is not subject]

    result = check_rule(policy, subject, *others, config=config, context=CONTEXT)

    in_order = [subject, *others]
    assert of_kit(result) == asked_by_hand(policy, config, subject, in_order)
    assert result.verdict in in_process(policy, config, subject, in_order)
    assert result.verdict is not Verdict.ERROR


def finite(value: Any) -> Any:
    """Return `value` without the numbers that JSON has not."""
    match value:
        case float() if not math.isfinite(value):
            return 0
        case Secret():
            return Secret(finite(value.value))
        case Mapping():
            return {key: finite(item) for key, item in value.items()}
        case list() | tuple():
            return [finite(item) for item in value]
    return value


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
@given(data=st.data())
@settings(deadline=None, max_examples=5)
def test_our_rules(rule: Rule, data: st.DataObject) -> None:
    spoiled = [
        replace(item, inputs=finite(item.inputs), outputs=finite(item.outputs))
        for item in data.draw(spoiled_examples(rule))
    ]
    resources = [ROOT, *build(spoiled)]
    subject = data.draw(st.sampled_from(resources[1:]))
    others = [item for item in resources if item is not subject]
    config = CONFIGURED.get(rule.code, {})

    result = check_rule(rule, subject, *others, config={**config, "enforcementLevel": "mandatory"}, context=CONTEXT)

    policy = to_policies(Pack("pack", "0.0.1", (rule,)))[0]
    policy.enforcement_level = EnforcementLevel.MANDATORY
    hand = asked_by_hand(policy, config, subject, [subject, *others])
    assert result.verdict is hand[0]
    assert result.messages == hand[1]
