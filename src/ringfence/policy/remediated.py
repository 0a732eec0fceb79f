"""A resource as the remediations of a CrossGuard pack leave it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.struct_pb2 import Struct

from ringfence.deployment import Resource, Secret, contains_unknown
from ringfence.policy.verdict import Finding
from ringfence.wire import decode

__all__ = ["Remediated", "changed", "overwritten_unknown", "told", "with_inputs"]

_SHORT = 4
"""Secret texts shorter than this are not looked for in other values: they would be found everywhere."""


@dataclass(frozen=True)
class Remediated:
    """A resource after the remediations of one pack, and what there is to say of them."""

    resource: Resource
    findings: Sequence[Finding] = ()
    """Remediations that could not be decided, or that broke."""
    notes: Sequence[str] = ()
    """Which remediations changed what."""


def changed(inputs: Mapping[str, Any], sent: Struct, answer: Struct) -> dict[str, Any]:
    """Return the inputs that a remediation answers, with those of ours that it hands through as they are.

    A value that went over the wire and back has lost something: a resource in it is an id, and the SDK hands a secret
    out as a plain value where a policy copies the properties. What holds a secret of the inputs stays one.
    """
    same = {key for key in answer.fields if key in sent.fields and answer.fields[key] == sent.fields[key]}
    theirs = decode(answer)
    texts = {text for text in _secret_texts(inputs, False) if len(text) >= _SHORT}
    return {
        key: inputs[key] if key in same and key in inputs else _sealed(value, inputs.get(key), texts)
        for key, value in theirs.items()
    }


def _sealed(value: Any, before: Any, secrets: Collection[str]) -> Any:
    """Return a value with what was secret in it before, or holds a secret text, marked so."""
    if isinstance(value, Secret):
        return value
    if isinstance(before, Secret):
        inner = _sealed(value, before.value, ())
        return before if inner == before.value else Secret(inner)
    if isinstance(value, Mapping):
        old = before if isinstance(before, Mapping) else {}
        return {key: _sealed(item, old.get(key), secrets) for key, item in value.items()}
    if isinstance(value, list):
        old_items = before if isinstance(before, list | tuple) else ()
        return [
            _sealed(item, old_items[number] if number < len(old_items) else None, secrets)
            for number, item in enumerate(value)
        ]
    if isinstance(value, str) and any(text in value for text in secrets):
        return Secret(value)
    return value


def _secret_texts(value: Any, secret: bool) -> Iterator[str]:
    if isinstance(value, Secret):
        yield from _secret_texts(value.value, True)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _secret_texts(item, secret)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _secret_texts(item, secret)
    elif isinstance(value, str) and secret:
        yield value


def overwritten_unknown(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """Return the key of an unknown value that a remediation in Python changed; None where there is no such.

    The SDK for Python raises where a validation reads an unknown value, and lets a remediation read the mark that
    stands for it. What that made of the mark was no decision.
    """
    return next((key for key in before if contains_unknown(before[key]) and after.get(key) != before[key]), None)


def with_inputs(resource: Resource, inputs: Mapping[str, Any]) -> Resource:
    """Return a resource with other inputs. Outputs follow inputs that they repeated."""
    outputs = {
        key: value
        for key, value in resource.outputs.items()
        if key in inputs or key not in resource.inputs or resource.inputs[key] != value
    }
    for key, value in inputs.items():
        if key not in resource.inputs or resource.inputs[key] != value:
            outputs[key] = value
    return replace(resource, inputs=dict(inputs), outputs=outputs)


def told(pack: str, policy: str, resource: Resource, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return a note on what a remediation changed: names alone, since values may be secret."""
    keys = sorted(key for key in {*before, *after} if key not in before or before[key] != after.get(key, ...))
    what = ", ".join(keys) or "nothing"
    return f"{pack}/{policy}: changed the inputs of {resource.type} {resource.name}: {what}."
