"""What a rule sees: a resource, and through it the stack that it is part of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any, TypeVar, TypeVarTuple

from ringfence.deployment import STACK_TYPE, UNKNOWN, Options, Resource, SourceLine, Unknown
from ringfence.policy.property import Property
from ringfence.policy.tokens import normalise

__all__ = ["ResourceView", "StackView"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_IDENTITIES = ("arn", "id", "name", "url")
"""Outputs by which other resources name a resource."""


class ResourceView:
    """A resource as rules read it: its inputs by wire name, each as a `Property`."""

    __slots__ = ("_inputs", "_outputs", "resource", "stack", "type")

    resource: Resource
    stack: StackView
    type: str
    """Type token without API version; the token as registered is `resource.type`."""

    def __init__(self, resource: Resource, stack: StackView) -> None:
        self.resource = resource
        self.stack = stack
        self.type = normalise(resource.type)
        self._inputs: dict[str, Property] = {}
        self._outputs: dict[str, Property] = {}

    @property
    def name(self) -> str:
        """The logical name."""
        return self.resource.name

    @property
    def urn(self) -> str:
        """The URN."""
        return self.resource.urn

    @property
    def options(self) -> Options:
        """The resource options."""
        return self.resource.options

    @property
    def source(self) -> SourceLine | None:
        """The line in the user's program."""
        return self.resource.source

    def __getitem__(self, key: str) -> Property:
        """Return the place of the input `key`."""
        place = self._inputs.get(key)
        if place is None:
            resource = self.resource
            sources = resource.property_dependencies.get(key, ())
            place = self._inputs[key] = Property(resource.inputs.get(key), key, False, sources)
        return place

    def at(self, path: str) -> Property:
        """Return the place at a dotted path, for example `siteConfig.cors.allowedOrigins`."""
        first, _, rest = path.partition(".")
        return self[first].at(rest) if rest else self[first]

    def output(self, key: str) -> Property:
        """Return the place of the output `key` (`id` too); where the provider does not tell, it is unknown."""
        place = self._outputs.get(key)
        if place is None:
            unsaid = self.resource.id if key == "id" else UNKNOWN
            place = self._outputs[key] = Property(self.resource.outputs.get(key, unsaid), key)
        return place

    @property
    def inputs(self) -> Iterator[tuple[str, Property]]:
        """All inputs as places."""
        for key in self.resource.inputs:
            yield key, self[key]

    def names(self, other: ResourceView, place: Property) -> bool | None:
        """Return whether the value at `place` (of this resource) names the resource `other`; None if unknowable.

        The dependency that the program declared decides first: a value made from an output of `other` names it even
        while it is unknown. A literal is compared with the outputs by which a resource is known: ARN, id, name, URL.
        """
        if place.absent:
            return False
        if other.urn in place.sources:
            return True
        text = place.text
        if text is None:
            return None if place.unknown and not place.sources else False
        open_question = False
        for key in _IDENTITIES:
            identity = other.output(key)
            if identity.text is not None and identity.text == text:
                return True
            # Where even the id is unknown the provider has not answered; otherwise a type without, say, a URL has none.
            unanswered = key in other.resource.outputs or isinstance(other.resource.id, Unknown)
            open_question = open_question or (identity.unknown and unanswered)
        return None if open_question and not place.sources else False

    def __repr__(self) -> str:
        return f"<ResourceView {self.urn}>"


class StackView:
    """All resources of a deployment, indexed as rules need them."""

    def __init__(self, resources: Iterable[Resource], *, project: str = "", stack: str = "") -> None:
        self.project = project
        self.stack = stack
        self.resources = [ResourceView(resource, self) for resource in resources if resource.type != STACK_TYPE]
        self._facts: dict[tuple[Any, ...], Any] = {}

    def once(self, fact: Callable[[StackView, *Ts], T], *args: *Ts) -> T:
        """Return what the function `fact` says of the stack; it is called once, however many rules and resources ask.

        The further arguments are passed on and must be hashable: `fact` is called once for each of their values.

        An index that a graph rule needs for every resource belongs here: built again each time, it would make the
        rule's cost grow with the square of the stack.
        """
        key = (fact, args)
        if key not in self._facts:
            self._facts[key] = fact(self, *args)
        found: T = self._facts[key]
        return found

    @cached_property
    def by_urn(self) -> dict[str, ResourceView]:
        """The resources by URN."""
        return {view.urn: view for view in self.resources}

    @cached_property
    def _by_type(self) -> dict[str, list[ResourceView]]:
        index: dict[str, list[ResourceView]] = {}
        for view in self.resources:
            index.setdefault(view.type, []).append(view)
        return index

    @cached_property
    def _by_parent(self) -> dict[str | None, list[ResourceView]]:
        index: dict[str | None, list[ResourceView]] = {}
        for view in self.resources:
            index.setdefault(view.resource.parent, []).append(view)
        return index

    def of_type(self, *types: str) -> list[ResourceView]:
        """Return the resources of the given types (tokens without API version)."""
        return [view for token in types for view in self._by_type.get(token, ())]

    def children(self, view: ResourceView) -> list[ResourceView]:
        """Return the resources whose parent is `view`."""
        return list(self._by_parent.get(view.urn, ()))

    def feeding(self, place: Property) -> list[ResourceView]:
        """Return the resources whose outputs went into the top-level property that `place` belongs to."""
        return [self.by_urn[urn] for urn in place.sources if urn in self.by_urn]
