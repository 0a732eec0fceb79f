"""What every rule keeps to, generated from its own metadata: types, examples, what it reads and what absent means.

That no rule raises, whatever it is given, is in `test_rules_never_raise.py`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.deployment import UNKNOWN, Resource
from ringfence.policy.evaluate import evaluate
from ringfence.policy.pack import Pack, PackConfig, RuleConfig
from ringfence.policy.rule import Rule, Sample
from ringfence.policy.verdict import Level, Verdict
from ringfence.testing import inputs_of
from ringfence_policies import PACK
from tests.property.examples import few
from tests.property.test_rules_never_raise import CONFIGURED, places_of, put, stacks
from tests.unit.policies.cases import build, run

Verdicts = frozenset[tuple[str, Verdict]]

TYPES = sorted({token for rule in PACK.rules for token in rule.types})
EVERY_RULE = pytest.mark.parametrize("rule", PACK.rules, ids=lambda rule: rule.code)


def verdicts(rule: Rule, samples: Iterable[Sample]) -> Verdicts:
    """Return what a rule says of each resource; names of resources stay what they are when their types change."""
    return frozenset((item.resource, item.verdict) for item in run(rule, samples, CONFIGURED.get(rule.code)))


# --- any inputs that the SDK allows ----------------------------------------------------------------------------------

ALL_RULES = PACK.activate(
    PackConfig(
        rules={
            rule.code: RuleConfig(
                level=Level.MANDATORY if rule.level is Level.DISABLED else None,
                parameters=CONFIGURED.get(rule.code, {}),
            )
            for rule in PACK.rules
        }
    )
)


@pytest.mark.parametrize("token", TYPES)
def test_no_rule_breaks_on_inputs_that_the_sdk_allows(token: str) -> None:
    @few(2)
    @given(inputs_of(token, unknowns=0.1, secrets=0.1))
    def check(inputs: dict[str, Any]) -> None:
        resource = Resource(f"urn:pulumi:dev::shop::{token}::a", token, "a", inputs=inputs, outputs=inputs)
        broken = [item for item in evaluate([resource], ALL_RULES) if item.verdict is Verdict.ERROR]

        assert [f"{item.code} {item.message}" for item in broken] == []

    check()


# --- absent ----------------------------------------------------------------------------------------------------------

_PATH = re.compile(r"[a-z][A-Za-z0-9]*(\.[a-z][A-Za-z0-9]*)*\Z")
_DOCUMENTED = {"Fails": Verdict.FAIL, "Passes": Verdict.PASS}
ABSENT = [
    (rule, _DOCUMENTED[first])
    for rule in PACK.rules
    for first in [re.split(r"\W", rule.absent, maxsplit=1)[0]]
    # One property that decides alone, said to pass or fail without exception.
    if first in _DOCUMENTED and _PATH.match(rule.reads) and not rule.graph and "except" not in rule.absent
]


def without(inputs: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return inputs without what stands at a dotted path."""
    key, _, rest = path.partition(".")
    if not rest or not isinstance(inputs.get(key), Mapping):
        return {name: value for name, value in inputs.items() if name != key}
    return {**inputs, key: without(inputs[key], rest)}


def test_many_rules_document_what_absent_means() -> None:
    assert len(ABSENT) > 25


@pytest.mark.parametrize(("rule", "expected"), ABSENT, ids=lambda item: getattr(item, "code", str(item)))
def test_absent_means_what_is_documented(rule: Rule, expected: Verdict) -> None:
    (subject,) = [sample for sample in rule.good if sample.type in rule.types][:1]
    absent = replace(subject, inputs=without(subject.inputs, rule.reads))
    others = [sample for sample in rule.good if sample is not subject]

    assert dict(verdicts(rule, [absent, *others]))[subject.name] is expected
    # Null is how a program says nothing at all.
    null = replace(subject, inputs=put(absent.inputs, tuple(rule.reads.split(".")), None))
    assert dict(verdicts(rule, [null, *others]))[subject.name] is expected


# --- tightening ------------------------------------------------------------------------------------------------------


@EVERY_RULE
def test_what_the_good_example_has_never_turns_a_pass_into_a_failure(rule: Rule) -> None:
    """Take a resource that passes, and give one of its properties the value of the passing example."""
    if len(rule.good) > 1:
        pytest.skip("its passing example is of several resources, none of which passes alone")
    (good,) = rule.good
    tighter = [place for place in places_of(good.inputs) if len(place) == 1]

    @few(6)
    @given(stacks(rule), st.sampled_from(tighter or [()]))
    def check(samples: list[Sample], place: tuple[Any, ...]) -> None:
        before = verdicts(rule, samples)
        if not place or {verdict for _, verdict in before} != {Verdict.PASS} or len(samples) > 1:
            return
        (subject,) = samples
        inputs = {**subject.inputs, place[0]: good.inputs[place[0]]}
        after = verdicts(rule, [replace(subject, inputs=inputs)])

        assert Verdict.FAIL not in {verdict for _, verdict in after}, place

    check()


# --- tokens ----------------------------------------------------------------------------------------------------------


def versioned(token: str) -> str:
    """Return a type token with a recent API version: old ones have other defaults."""
    package, module, name = token.split(":")
    return f"{package}:{module}/v20250601:{name}"


@pytest.mark.parametrize(
    "rule",
    [rule for rule in PACK.rules if any("azure-native" in token for token in rule.types)],
    ids=lambda rule: rule.code,
)
def test_versioned_and_unversioned_tokens_agree(rule: Rule) -> None:
    @few(4)
    @given(stacks(rule))
    def check(samples: list[Sample]) -> None:
        newer = [
            replace(item, type=versioned(item.type)) if item.type.startswith("azure-native") else item
            for item in samples
        ]

        assert verdicts(rule, newer) == verdicts(rule, samples)

    check()


# --- unknown ---------------------------------------------------------------------------------------------------------

REPLACEMENTS = (True, False, 0, 1, 10**6, "no-such-value", "*", [], {})
"""Values that an unknown may turn out to be where an example has one of the same type, beside nothing at all."""
NEVER_NULL = ("GE02",)
"""A tag with a key that stands there has a value, whichever it is."""


@EVERY_RULE
def test_a_verdict_on_an_unknown_stands_whatever_the_unknown_turns_out_to_be(rule: Rule) -> None:
    for samples in (rule.good, rule.bad):
        for at, sample in enumerate(samples):
            # What another resource feeds is known to name it, whatever its text turns out to be.
            for place in (place for place in places_of(sample.inputs) if place[0] not in sample.feeds):
                before = _failing(verdicts(rule, _with(samples, at, put(sample.inputs, place, UNKNOWN))))
                decided = {name: fails for name, fails in before.items() if fails is not None}
                known = _values_at(rule, place)
                other = [item for item in REPLACEMENTS if type(item) in map(type, known)]
                for value in (*other, *known, *([] if rule.code in NEVER_NULL else [None])):
                    after = _failing(verdicts(rule, _with(samples, at, put(sample.inputs, place, value))))
                    assert {name: after[name] for name in decided} == decided, (place, value)


def _failing(found: Verdicts) -> dict[str, bool | None]:
    """Return whether each resource fails, None where that is unknown: to pass or not to be concerned is the same."""
    return {name: None if verdict is Verdict.UNKNOWN else verdict is Verdict.FAIL for name, verdict in found}


def _with(samples: tuple[Sample, ...], at: int, inputs: Mapping[str, Any]) -> list[Sample]:
    return [*samples[:at], replace(samples[at], inputs=inputs), *samples[at + 1 :]]


def _values_at(rule: Rule, place: tuple[Any, ...]) -> list[Any]:
    """Return what stands at a place in the rule's examples."""
    found = []
    for sample in (*rule.bad, *rule.good):
        value: Any = sample.inputs
        for key in place:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                break
        else:
            found.append(value)
    return found


# --- order -----------------------------------------------------------------------------------------------------------


@EVERY_RULE
def test_the_order_of_resources_and_of_keys_is_irrelevant(rule: Rule) -> None:
    @few(4)
    @given(stacks(rule), st.randoms())
    def check(samples: list[Sample], order: random.Random) -> None:
        shuffled = [replace(item, inputs=_shuffled(item.inputs, order)) for item in samples]
        order.shuffle(shuffled)

        assert _failing(verdicts(rule, shuffled)) == _failing(verdicts(rule, samples))

    check()


def _shuffled(value: Any, order: random.Random) -> Any:
    if isinstance(value, Mapping):
        keys = list(value)
        order.shuffle(keys)
        return {key: _shuffled(value[key], order) for key in keys}
    return [_shuffled(item, order) for item in value] if isinstance(value, list) else value


def test_the_order_of_rules_is_irrelevant() -> None:
    resources = build(
        replace(sample, name=f"{rule.code}-{kind}-{number}", feeds={}, parent=None)
        for rule in PACK.rules
        for kind, samples in (("good", rule.good), ("bad", rule.bad))
        for number, sample in enumerate(samples)
    )
    pack = Pack("backwards", "1.0.0", PACK.rules[::-1])
    config = PackConfig(rules={rule.code: RuleConfig(level=Level.MANDATORY) for rule in PACK.rules})
    one, other = (
        {(item.code, item.urn, item.verdict, item.path, item.message) for item in evaluate(resources, some)}
        for some in (PACK.activate(config), pack.activate(config))
    )

    assert one == other
