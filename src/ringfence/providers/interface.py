"""What a provider is: it answers Check, Create, Read, Invoke and Call for the types of a package.

Values are those of `ringfence.deployment`: plain data with `Unknown` and `Secret` markers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

__all__ = ["Answer", "Created", "InputFault", "OutputMode", "Provider", "Registration"]

OutputMode = Literal["synthetic", "unknown"]
"""`synthetic`: outputs as if applied. `unknown`: what a first preview knows."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A resource that the program registers or reads, as the engine hands it to a provider."""

    urn: str
    type: str
    name: str
    inputs: Mapping[str, Any]
    project: str
    stack: str
    custom: bool = True
    import_id: str | None = None
    """The id given for `Resource.get` or `import_`."""
    provider_inputs: Mapping[str, Any] = field(default_factory=dict)
    """Inputs of the provider resource that serves it, for example the region."""


@dataclass(frozen=True, slots=True)
class InputFault:
    """An input that the type does not take. `code` is one of the PG family's."""

    code: str
    path: str
    """Path of the property, for example `sku.name`."""
    message: str
    expected: str = ""
    actual: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Created:
    """What a provider gives back for a resource."""

    id: Any
    """A string or `UNKNOWN`."""
    outputs: Mapping[str, Any]
    """All outputs by wire name, inputs among them; `UNKNOWN` where it does not know."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider answers to an invoke or a call."""

    value: Mapping[str, Any]
    note: str = ""
    """Set where the answer is a guess that the user should know of."""
    known: bool = True
    """False where nothing can be said; the result is then unknown as a whole."""
    failures: tuple[tuple[str, str], ...] = ()
    """Refused arguments: property and reason. The invoke fails with them; `value`, where it is not empty, is what a
    program gets that runs on for the sake of its other faults."""


class Provider(Protocol):
    """The five questions. Implementations raise nothing: what they do not know is unknown."""

    def check(self, registration: Registration) -> list[InputFault]:
        """Return what is wrong with the inputs; empty where nothing is or nothing can be said."""
        ...

    def create(self, registration: Registration) -> Created:
        """Return the id and the outputs that the resource would have."""
        ...

    def read(self, registration: Registration) -> Created:
        """Return the id and the outputs of an existing resource."""
        ...

    def invoke(
        self, token: str, arguments: Mapping[str, Any], provider_inputs: Mapping[str, Any], *, plain: bool = True
    ) -> Answer:
        """Answer a function such as `aws:index/getCallerIdentity:getCallerIdentity`.

        `plain` says that the program needs a value at once and cannot take an unknown.
        """
        ...

    def call(self, token: str, arguments: Mapping[str, Any], provider: str | None = None) -> Answer:
        """Answer a method of a resource; `provider` is the URN of the provider resource that serves it."""
        ...
