"""The table that every rule is tested by: one row a case, judged through the real pack machinery."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ringfence.deployment import Resource
from ringfence.policy.evaluate import evaluate
from ringfence.policy.pack import Pack, PackConfig, RuleConfig
from ringfence.policy.rule import Rule, Sample
from ringfence.policy.verdict import Finding, Level, Verdict


@dataclass(frozen=True)
class Case:
    """One row: what the rule says of these inputs, and where."""

    label: str
    verdict: Verdict
    inputs: Mapping[str, Any]
    path: str | None = None
    """The property that must be named; None where the case does not care."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    others: tuple[Sample, ...] = ()
    """Further resources of the stack."""
    feeds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    type: str | None = None
    """Type token, the rule's first type by default."""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    """What the provider tells of the resource beside its inputs: ARN, id, generated name."""


def urn(sample: Sample) -> str:
    """Return a URN for a sample."""
    return f"urn:pulumi:dev::example::{sample.type}::{sample.name}"


def build(samples: Iterable[Sample]) -> list[Resource]:
    """Return resources for samples that name each other."""
    samples = list(samples)
    urns = {sample.name: urn(sample) for sample in samples}
    resources = []
    for sample in samples:
        feeds = {key: tuple(urns[name] for name in names) for key, names in sample.feeds.items()}
        resources.append(
            Resource(
                urn=urns[sample.name],
                type=sample.type,
                name=sample.name,
                inputs=sample.inputs,
                outputs={**sample.inputs, **sample.outputs},
                parent=urns.get(sample.parent or ""),
                property_dependencies=feeds,
                dependencies=tuple(sorted({item for items in feeds.values() for item in items})),
            )
        )
    return resources


def run(rule: Rule, samples: Iterable[Sample], parameters: Mapping[str, Any] | None = None) -> list[Finding]:
    """Judge samples by one rule, switched on whatever its default level is."""
    pack = Pack("test", "1.0.0", (rule,))
    level = Level.MANDATORY if rule.level is Level.DISABLED else None
    config = PackConfig(rules={rule.code: RuleConfig(level=level, parameters=parameters or {})})
    return evaluate(build(samples), pack.activate(config))


def check(rule: Rule, case: Case) -> None:
    """Assert that `rule` gives the verdict of `case` on the case's resource."""
    subject = Sample(case.type or rule.types[0], case.inputs, feeds=case.feeds, outputs=case.outputs)
    findings = [
        finding for finding in run(rule, [subject, *case.others], case.parameters) if finding.urn == urn(subject)
    ]

    assert {finding.verdict for finding in findings} == {case.verdict}, findings
    if case.path is not None:
        assert case.path in {finding.path for finding in findings}, findings


def check_examples(rule: Rule, parameters: Mapping[str, Any] | None = None) -> None:
    """Assert that the rule's failing example fails and its passing one passes.

    `parameters` are for rules that say nothing until they are configured.
    """
    bad = {finding.verdict for finding in run(rule, rule.bad, parameters)}
    good = {finding.verdict for finding in run(rule, rule.good, parameters)}

    assert Verdict.FAIL in bad, bad
    assert good <= {Verdict.PASS, Verdict.NOT_APPLICABLE}, good
    assert Verdict.PASS in good, good


def check_neighbour(rule: Rule, type: str) -> None:  # noqa: A002
    """Assert that the rule leaves resources of another type alone, although they have its failing properties."""
    samples = [Sample(type, sample.inputs, name=sample.name) for sample in rule.bad]

    assert run(rule, samples) == []
