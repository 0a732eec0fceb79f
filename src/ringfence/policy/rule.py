"""What a rule is: one small pure function with metadata."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ringfence.policy.verdict import Level, Outcome, Severity

if TYPE_CHECKING:
    from ringfence.policy.graph import ResourceView

__all__ = ["Check", "Framework", "Parameter", "ParameterError", "Parameters", "Rule", "Sample", "rule"]

Parameters = Mapping[str, Any]
"""The values of a rule's parameters, defaults filled in."""

Check = Callable[["ResourceView", Parameters], Outcome | Iterable[Outcome]]
"""A rule's function. It reads one resource (and, if the rule is a graph rule, `resource.stack`) and gives outcomes."""

_CODE = re.compile(r"[A-Z]{2,3}\d{2}\Z")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)+\Z")


class ParameterError(ValueError):
    """A parameter has a value that its rule does not allow, or the rule has no such parameter."""


@dataclass(frozen=True, slots=True)
class Framework:
    """A control of a published framework that the rule implements."""

    name: str
    version: str
    reference: str
    """The control's id, for example `9.3.6`."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value of a rule that its user may set."""

    name: str
    """camelCase, as in a policy pack's config file."""
    type: Literal["integer", "number", "string", "boolean", "array"]
    default: Any
    description: str
    """What it means, with its unit."""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    """Allowed strings, for `string` and for the elements of `array`."""

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of the parameter, as CrossGuard's config schema takes it."""
        schema: dict[str, Any] = {"type": self.type, "description": self.description, "default": self.default}
        if self.minimum is not None:
            schema["minimum"] = self.minimum
        if self.maximum is not None:
            schema["maximum"] = self.maximum
        if self.type == "array":
            schema["items"] = {"type": "string", **({"enum": list(self.choices)} if self.choices else {})}
        elif self.choices:
            schema["enum"] = list(self.choices)
        return schema

    def expected(self) -> str:
        """Return what a value must be, in words."""
        words = {
            "integer": "a whole number",
            "number": "a number",
            "string": "a string",
            "boolean": "true or false",
            "array": "a list of strings",
        }[self.type]
        if self.choices:
            words += " out of " + ", ".join(self.choices)
        if self.minimum is not None and self.maximum is not None:
            words += f" from {self.minimum:g} to {self.maximum:g}"
        elif self.minimum is not None:
            words += f" of at least {self.minimum:g}"
        elif self.maximum is not None:
            words += f" of at most {self.maximum:g}"
        return words

    def accept(self, value: Any) -> Any:
        """Return `value` as the rule takes it. Raises `ParameterError` naming what was expected."""
        wrong = ParameterError(f"{self.name}: expected {self.expected()}, found {value!r}")
        match self.type:
            case "integer" | "number":
                if isinstance(value, bool) or not isinstance(value, int | float):
                    raise wrong
                if isinstance(value, float) and not math.isfinite(value):
                    raise wrong
                if self.type == "integer":
                    if value != int(value):
                        raise wrong
                    value = int(value)
                if self.minimum is not None and value < self.minimum:
                    raise wrong
                if self.maximum is not None and value > self.maximum:
                    raise wrong
            case "string":
                if not isinstance(value, str) or (self.choices and value not in self.choices):
                    raise wrong
            case "boolean":
                if not isinstance(value, bool):
                    raise wrong
            case "array":
                if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
                    raise wrong
                if self.choices and not set(value) <= set(self.choices):
                    raise wrong
                value = tuple(value)
        return value


@dataclass(frozen=True, slots=True)
class Sample:
    """One resource of a rule's example. An example is a few of them; the rule judges those of its own types."""

    type: str
    inputs: Mapping[str, Any]
    name: str = "example"
    feeds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Property name to the names of the samples whose outputs went into it."""
    parent: str | None = None
    """Name of the parent sample."""
    outputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One guardrail: what it looks at, why, and what to do about a failure."""

    code: str
    """Stable id, for example `ST02`."""
    name: str
    """CrossGuard policy name, for example `storage-minimum-tls`."""
    title: str
    """What is required, in a few words: "Storage accounts require TLS 1.2"."""
    types: tuple[str, ...]
    """Type tokens without API version. Empty: every custom resource."""
    severity: Severity
    level: Level
    check: Check
    why: str
    """What goes wrong without it, in a sentence or two."""
    reads: str
    """The properties that decide, by their wire names."""
    absent: str
    """What it means that they are not set, and the service fact behind that."""
    remedy: str
    """How to mend a failure, in a sentence."""
    sources: tuple[str, ...]
    """Published checks that ask the same, by their ids; `project` where this project alone asks for it."""
    bad: tuple[Sample, ...]
    """An example that fails the rule."""
    good: tuple[Sample, ...]
    """An example that passes it."""
    frameworks: tuple[Framework, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    graph: bool = False
    """Whether it needs other resources than the one it judges (a CrossGuard stack policy)."""
    profile: str | None = None
    """The profile that turns the rule on, for rules that are off by default."""
    remediation: Mapping[str, bool | int | str] = field(default_factory=dict)
    """Scalars that mend a failure, by dotted path. For rules about inputs where setting them is safe, whatever else the
    resource has; a pack's config turns it on, by the level `remediate`."""

    def __post_init__(self) -> None:
        if not _CODE.match(self.code):
            raise ValueError(f"{self.code}: a rule's code is two or three capitals and two digits")
        if not _NAME.match(self.name):
            raise ValueError(f"{self.code}: {self.name!r} is not a policy name in kebab-case")

    def values(self, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the parameters with `given` over the defaults. Raises `ParameterError`."""
        values = {parameter.name: parameter.accept(parameter.default) for parameter in self.parameters}
        known = {parameter.name: parameter for parameter in self.parameters}
        for name, value in (given or {}).items():
            if name not in known:
                allowed = ", ".join(known) or "none"
                raise ParameterError(f"{name}: {self.code} has no such parameter (it has: {allowed})")
            values[name] = known[name].accept(value)
        return values


def rule(code: str, name: str, title: str, **metadata: Any) -> Callable[[Check], Rule]:
    """Make a `Rule` of the decorated function; the keywords are the fields of `Rule`."""

    def make(check: Check) -> Rule:
        return Rule(code=code, name=name, title=title, check=check, **metadata)

    return make
