"""Judge a deployment by a pack: the only place where a rule's function is called."""

from __future__ import annotations

from collections.abc import Iterable

from ringfence.deployment import Resource
from ringfence.policy.graph import ResourceView, StackView
from ringfence.policy.pack import ActiveRule, index
from ringfence.policy.redaction import Redactor
from ringfence.policy.verdict import NO_FACTS, Finding, Outcome, Verdict

__all__ = ["decide", "evaluate", "finding_of", "judge"]

_ERROR, _FAIL = Verdict.ERROR, Verdict.FAIL
_REMEDIED = (_FAIL, Verdict.UNKNOWN)
_IF_NONE_FAILS = (Verdict.UNKNOWN, Verdict.PASS, Verdict.NOT_APPLICABLE)


def evaluate(resources: Iterable[Resource], active: Iterable[ActiveRule], *, pack: str = "") -> list[Finding]:
    """Return one finding per rule and resource, more where a rule fails at several places.

    Resources that the program only reads are part of the graph and are not judged: they are managed elsewhere, and
    what the program says of them is not all that they are.

    Findings come in the order of the resources, then of the rules. A rule that raises gets the verdict `error` and
    disturbs no other.
    """
    stack = StackView(resources)
    by_type = index(active)
    everywhere = by_type.pop("", [])
    findings: list[Finding] = []
    for view in stack.resources:
        if view.resource.external:
            continue
        for entry in by_type.get(view.type, ()):
            findings += judge(entry, view, pack)
        if everywhere and view.resource.custom and not view.type.startswith("pulumi:"):
            for entry in everywhere:
                findings += judge(entry, view, pack)
    return findings


def judge(entry: ActiveRule, view: ResourceView, pack: str = "") -> list[Finding]:
    """Return what one rule says of one resource: every failure, else one finding for unknown, pass or neither."""
    return [finding_of(entry, view, outcome, pack) for outcome in decide(entry, view)]


def decide(entry: ActiveRule, view: ResourceView) -> list[Outcome]:
    """Return the outcomes that count, at least one: every failure, else one for unknown, pass or neither."""
    try:
        result = entry.rule.check(view, entry.parameters)
        if type(result) is Outcome:  # most rules: the short way
            return [result]
        outcomes = [result] if isinstance(result, Outcome) else list(result)
        for outcome in outcomes:
            if not isinstance(outcome, Outcome):
                raise TypeError(f"expected an Outcome, found {type(outcome).__name__}")
    except Exception as error:  # a broken rule is a finding of its own and must not hide the others
        # Messages such as int()'s quote the value, which may be a secret of any resource that the rule looked at.
        shown = Redactor(
            *(values for item in view.stack.resources for values in (item.resource.inputs, item.resource.outputs))
        )(str(error))
        outcomes = [Outcome(Verdict.ERROR, message=f"The rule itself broke: {type(error).__name__}: {shown}")]
    return _deciding(outcomes)


def _deciding(outcomes: list[Outcome]) -> list[Outcome]:
    if len(outcomes) == 1:
        return outcomes
    wrong = [outcome for outcome in outcomes if outcome.verdict is _FAIL or outcome.verdict is _ERROR]
    if wrong:
        errors = [outcome for outcome in wrong if outcome.verdict is _ERROR]
        return errors[:1] + [outcome for outcome in wrong if outcome.verdict is _FAIL]
    for verdict in _IF_NONE_FAILS:
        for outcome in outcomes:
            if outcome.verdict is verdict:
                return [outcome]
    return [Outcome(Verdict.PASS)]


def finding_of(entry: ActiveRule, view: ResourceView, outcome: Outcome, pack: str = "") -> Finding:
    """Return an outcome as a finding: with the rule and the resource that it is about."""
    rule, resource, verdict = entry.rule, view.resource, outcome.verdict
    return Finding(  # by position, in the order of the fields: so many keywords take longer than the object itself
        rule.code,
        rule.name,
        verdict,
        entry.level,
        rule.severity,
        outcome.message or rule.title + ".",
        resource.urn,
        resource.type,
        resource.name,
        outcome.path,
        outcome.expected,
        outcome.actual,
        rule.remedy if verdict in _REMEDIED else "",
        resource.source,
        resource.source_chain,
        pack,
        "",
        NO_FACTS,
    )
