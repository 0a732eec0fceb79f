"""What the Azure rules share: tests of values, API versions of type tokens, which resource belongs to which."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache

from ringfence.policy.checks import Test, satisfying
from ringfence.policy.graph import ResourceView, StackView
from ringfence.policy.property import Property
from ringfence.policy.rule import Framework
from ringfence.policy.verdict import Outcome, Verdict

__all__ = ["HAS_IDENTITY", "about", "api_version", "cis", "mcsb", "named_by", "whole_number"]

_VERSION = re.compile(r"azure-native:[^:]*/v(\d{8})[^:/]*:")

HAS_IDENTITY = satisfying(
    lambda value: (
        not {part.strip().casefold() for part in value.split(",")}.isdisjoint(("systemassigned", "userassigned"))
    ),
    'text that contains "SystemAssigned" or "UserAssigned"',
    "string",
)
"""What `identity.type` must be so that a resource has an identity of either kind."""


def whole_number(low: int, high: int | None = None, unit: str = "") -> Test:
    """Accept whole numbers of at least `low`, and of at most `high` where given; also as strings."""
    bounds = f"of at least {low}" if high is None else f"from {low} to {high}"

    def accepts(value: object) -> bool:
        number = Property(value).number
        return number is not None and number.is_integer() and number >= low and (high is None or number <= high)

    return satisfying(accepts, f"a whole number {bounds}" + (f" {unit}" if unit else ""), "number")


def cis(**references: str) -> tuple[Framework, ...]:
    """Return controls of the CIS Microsoft Azure Foundations Benchmark by version: `v21` is version 2.1."""
    return tuple(
        Framework("CIS Azure Foundations", f"{version[1]}.{version[2]}", reference)
        for version, reference in references.items()
    )


def mcsb(*controls: str, version: str = "1") -> tuple[Framework, ...]:
    """Return controls of the Microsoft cloud security benchmark, as Azure Policy's definitions carry them."""
    return tuple(Framework("Microsoft Cloud Security Benchmark", version, control) for control in controls)


def api_version(resource: ResourceView) -> str | None:
    """Return the API version that the resource's type token names, as `20220901`; None for the SDK's default."""
    found = _VERSION.match(resource.resource.type)
    return found.group(1) if found else None


def named_by(owner: ResourceView, own_name: str, token: str, name: str) -> tuple[list[ResourceView], bool]:
    """Return the resources of type `token` that belong to `owner`, and whether it is unknown of another one.

    One belongs to the owner if its property `name` comes from an output of the owner, or spells the owner's name,
    which the owner's input `own_name` gives, or its output `name` where the provider makes the name up.
    """
    index = owner.stack.once(_names_of(token, name))
    found = {view.urn: view for view in index.by_source.get(owner.urn, ())}
    own = owner[own_name] if owner[own_name].text is not None else owner.output("name")
    if own.text is not None:
        found.update((view.urn, view) for view in index.by_text.get(own.text.casefold(), ()))
    # A name that the provider makes up is in no hand but the owner's outputs.
    made_up = owner[own_name].absent
    unclear = [view for view in index.unclear if view.urn not in found and _may_belong(view[name], owner, made_up)]
    return list(found.values()), bool(unclear) or (own.text is None and index.has_literals)


def _may_belong(place: Property, owner: ResourceView, made_up: bool) -> bool:
    """Return whether a name that is not known before apply may be the owner's."""
    if not place.unknown:
        return False
    if not place.sources:
        return True
    # Both may be made of the same thing, for example a random suffix; but not of another resource of the owner's type.
    return not made_up and not any(source.type == owner.type for source in owner.stack.feeding(place))


@dataclass(slots=True)
class _Names:
    """Resources of a type by what their property for another resource's name holds."""

    by_source: dict[str, list[ResourceView]] = field(default_factory=dict)
    by_text: dict[str, list[ResourceView]] = field(default_factory=dict)
    unclear: list[ResourceView] = field(default_factory=list)
    has_literals: bool = False
    """Whether a known name is written down, and not made from another resource."""


@cache
def _names_of(token: str, name: str) -> Callable[[StackView], _Names]:
    def index(stack: StackView) -> _Names:
        names = _Names()
        for view in stack.of_type(token):
            place = view[name]
            for source in place.sources:
                names.by_source.setdefault(source, []).append(view)
            if place.text is not None:
                names.by_text.setdefault(place.text.casefold(), []).append(view)  # ARM names do not regard case
                names.has_literals = names.has_literals or not place.sources
            else:
                names.unclear.append(view)
        return names

    return index


def about(resource: ResourceView, outcome: Outcome) -> Outcome:
    """Return `outcome`, found at another resource than the one judged, with that resource's name in the message.

    The path goes: it would be read as one of the judged resource.
    """
    if outcome.verdict is Verdict.PASS:
        return Outcome(Verdict.PASS)
    return replace(outcome, path="", message=f"{resource.name}: {outcome.message}")
