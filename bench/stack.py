"""A stack for the rules to judge, made from the examples that the rules pass: as many of each type as there is room."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import count, cycle
from typing import Any

from ringfence.deployment import Resource
from ringfence.policy.rule import Rule, Sample

__all__ = ["stack"]

_NAMES = re.compile(r"\b(account|app|dead|endpoint|example|jobs|score|sessions|table|worker)\b")
"""What the examples call their resources, in names and in ARNs."""
_PRINCIPAL = "11111111-1111-4111-8111-111111111111"
_LARGE = 6
"""Examples of more resources would fill the stack with one type."""


def stack(rules: Iterable[Rule], size: int) -> list[Resource]:
    """Return `size` resources or a few more, of every type that the rules' examples are about, type by type in turn.

    Each example is copied under names of its own, so that its resources name each other and no other copy's.
    """
    by_type: dict[str, list[tuple[Sample, ...]]] = {}
    for rule in rules:
        if len(rule.good) < _LARGE:
            for sample in rule.good:
                by_type.setdefault(sample.type, []).append(rule.good)
    turns = [cycle(examples) for examples in by_type.values()]
    resources: list[Resource] = []
    for number in count():
        resources += _copy(next(turns[number % len(turns)]), number)
        if len(resources) >= size:
            return resources
    raise AssertionError("unreachable")


def _copy(samples: tuple[Sample, ...], number: int) -> list[Resource]:
    names = {sample.name: f"{sample.name}-{number}" for sample in samples}
    urns = {sample.name: f"urn:pulumi:dev::bench::{sample.type}::{names[sample.name]}" for sample in samples}
    return [
        Resource(
            urn=urns[sample.name],
            type=sample.type,
            name=names[sample.name],
            inputs=(inputs := _renamed(dict(sample.inputs), number)),
            outputs={
                "arn": f"arn:aws:bench:eu-west-1:111122223333:{names[sample.name]}",
                "id": names[sample.name],
                "name": names[sample.name],
                "url": f"https://example.com/{names[sample.name]}",
                **inputs,
                **_renamed(dict(sample.outputs), number),
            },
            parent=urns.get(sample.parent or ""),
            property_dependencies={key: tuple(urns[name] for name in sources) for key, sources in sample.feeds.items()},
        )
        for sample in samples
    ]


def _renamed(value: Any, number: int) -> Any:
    """Return a value with the names in it made those of the copy."""
    if isinstance(value, dict):
        return {key: _renamed(item, number) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(item, number) for item in value]
    if isinstance(value, str):
        return _NAMES.sub(rf"\g<1>{number}", value).replace(_PRINCIPAL, f"{_PRINCIPAL[:-12]}{number:012d}")
    return value
