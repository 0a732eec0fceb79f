"""What `ringfence rules` prints: the list of rules, one rule in full, and both as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import yaml

from ringfence.deployment import to_json
from ringfence.policy.rule import Parameter, Rule, Sample
from ringfence.policy.verdict import Level
from ringfence.reports.text import as_json

__all__ = ["explain_rule", "list_rules", "rules_json"]

VERSION = 1
"""Version of the JSON's form."""
_INDENT = "  "


def list_rules(rules: Sequence[Rule]) -> str:
    """Return a table of rules: code, name, level, severity and title."""
    rows = [("Code", "Name", "Level", "Severity", "Title")]
    rows += [(rule.code, rule.name, _level(rule), rule.severity.value, rule.title) for rule in rules]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["  ".join([*(cell.ljust(size) for cell, size in zip(row, widths, strict=False)), row[4]]) for row in rows]
    number = "1 rule" if len(rules) == 1 else f"{len(rules):,} rules"
    return "\n".join([*lines, "", f"{number}. ringfence rules CODE explains one."]) + "\n"


def _level(rule: Rule) -> str:
    if rule.level is Level.DISABLED:
        return f"off ({rule.profile})" if rule.profile else "off"
    return rule.level.value


def explain_rule(rule: Rule, width: int = 80) -> str:
    """Return all that is known of a rule, wrapped to `width` columns; examples keep their own lines."""
    state = f"{_level(rule)}, {rule.severity.value} severity"
    if rule.level is Level.DISABLED and rule.profile:
        state = f"off, turned on by --profile {rule.profile}; {rule.severity.value} severity"
    parts = [f"{rule.code} {rule.name}\n{rule.title}\n({state})\n"]
    parts.append(_section("Why", rule.why, width))
    parts.append(_section("Judges", ", ".join(rule.types) or "every custom resource", width))
    parts.append(_section("Reads", rule.reads + (", and other resources of the stack" if rule.graph else ""), width))
    parts.append(_section("When it is absent", rule.absent, width))
    if rule.parameters:
        parts.append("Parameters\n" + "".join(_parameter(parameter, width) for parameter in rule.parameters))
    parts.append(_section("Fix", rule.remedy, width))
    parts.append(_example("Fails", rule.bad))
    parts.append(_example("Passes", rule.good))
    frameworks = [f"{item.name} {item.version}: {item.reference}" for item in rule.frameworks]
    if frameworks:
        parts.append("Frameworks\n" + "".join(f"{_INDENT}{line}\n" for line in frameworks))
    if rule.sources:
        parts.append(_section("Asked by", ", ".join(rule.sources), width))
    return "\n".join(parts)


def _section(title: str, text: str, width: int) -> str:
    return f"{title}\n{_wrap(text, width, _INDENT)}\n"


def _wrap(text: str, width: int, indent: str) -> str:
    return textwrap.fill(
        text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _parameter(parameter: Parameter, width: int) -> str:
    default = as_json(to_json(parameter.default)).strip() if parameter.type != "array" else _listed(parameter.default)
    text = f"{parameter.description.rstrip('.')}. Takes {parameter.expected()}; {default} by default."
    return f"{_INDENT}{parameter.name}\n{_wrap(text, width, _INDENT * 2)}\n"


def _listed(values: Sequence[str]) -> str:
    return ", ".join(values) or "none"


def _example(title: str, samples: Sequence[Sample]) -> str:
    documents = [_sample(sample, names=len(samples) > 1) for sample in samples]
    text = yaml.safe_dump(documents, sort_keys=False, allow_unicode=True, width=1_000)
    return f"{title}\n{textwrap.indent(text, _INDENT)}"


def _sample(sample: Sample, *, names: bool = True) -> dict[str, Any]:
    document: dict[str, Any] = {"type": sample.type}
    if names:
        document["name"] = sample.name
    optional = {
        "parent": sample.parent,
        "feeds": {key: list(names) for key, names in sample.feeds.items()},
        "outputs": to_json(sample.outputs),
    }
    document["inputs"] = to_json(sample.inputs)
    return document | {key: value for key, value in optional.items() if value}


def rules_json(rules: Sequence[Rule]) -> str:
    """Return rules as JSON, with a line feed at its end."""
    return as_json({"version": VERSION, "rules": [_rule(rule) for rule in rules]})


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "code": rule.code,
        "name": rule.name,
        "title": rule.title,
        "level": rule.level.value,
        "profile": rule.profile,
        "severity": rule.severity.value,
        "types": list(rule.types),
        "graph": rule.graph,
        "why": rule.why,
        "reads": rule.reads,
        "absent": rule.absent,
        "remedy": rule.remedy,
        "parameters": [{"name": item.name, **to_json(item.schema())} for item in rule.parameters],
        "frameworks": [
            {"name": item.name, "version": item.version, "reference": item.reference} for item in rule.frameworks
        ],
        "sources": list(rule.sources),
        "bad": [_sample(sample) for sample in rule.bad],
        "good": [_sample(sample) for sample in rule.good],
    }
