"""A deployment as a test reads it: queries, values that tell where they come from, findings."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from ringfence.deployment import (
    STACK_TYPE,
    Deployment,
    Diagnostic,
    Options,
    Problem,
    ProgramError,
    Resource,
    Secret,
    SourceLine,
    Unknown,
    to_json,
)

__all__ = [
    "EvaluatedDeployment",
    "EvaluatedResource",
    "MissingValueError",
    "NoSuchResourceError",
    "Reads",
    "SecretValue",
    "UndecidedValueError",
    "UnknownValue",
    "Values",
]


class NoSuchResourceError(AssertionError):
    """A query found no resource, or more than one. The message lists what there is."""


class MissingValueError(KeyError):
    """The resource has no such input or output. The message lists those it has."""

    def __str__(self) -> str:
        return str(self.args[0])


class UndecidedValueError(AssertionError):
    """A test compares a value that is not known before apply: whatever it expects, nothing would be shown by it."""


@dataclass
class Reads:
    """What the running test has read so far: resource, path and value, for the report of its failure."""

    entries: list[tuple[str, str, str]] = field(default_factory=list)

    def note(self, label: str, path: str, value: Any) -> None:
        """Remember one value. A secret is remembered as "[secret]"."""
        shown = repr(_plain(value))
        entry = (label, path, shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…")
        if entry not in self.entries:
            self.entries.append(entry)

    def text(self) -> str:
        """Return the lines of a report: each resource with its source line, below it what was read."""
        lines: list[str] = []
        last = ""
        for label, path, shown in self.entries[-_MOST:]:
            if label != last:
                lines.append(label)
                last = label
            if path:
                lines.append(f"    {path} = {shown}")
        return "\n".join(lines)


_SHOWN = 200
_MOST = 40


def _plain(value: Any) -> Any:
    if isinstance(value, UnknownValue | SecretValue):
        return _Shown(str(value))
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return to_json(value)


class _Shown(str):
    """A text that stands in a report without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


# --- values ----------------------------------------------------------------------------------------------------------


class SecretValue:
    """A value that the program marked secret. It equals its plain value, and shows it nowhere."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def reveal(self) -> Any:
        """Return the plain value. An assert that fails on it shows it."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return bool(self._value == (other._value if isinstance(other, SecretValue) else other))

    def __hash__(self) -> int:
        return hash(str(self._value))

    def __repr__(self) -> str:
        return "[secret]"


class UnknownValue:
    """A value that is not known before apply. It equals `UNKNOWN` and can be compared with nothing else."""

    def __init__(self, place: str) -> None:
        self._place = place

    def _refuse(self, *_: object) -> NoReturn:
        __tracebackhide__ = True
        raise UndecidedValueError(
            f"{self._place} is not known before apply, so nothing can be asserted of it but that: "
            "compare it with ringfence.deployment.UNKNOWN, or evaluate with outputs='synthetic'"
        )

    def __eq__(self, other: object) -> bool:
        return True if isinstance(other, Unknown | UnknownValue) else self._refuse()

    __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __len__ = __iter__ = __contains__ = __getitem__ = _refuse

    def __hash__(self) -> int:
        return hash(Unknown())

    def __repr__(self) -> str:
        return "[unknown]"


class Values(dict[str, Any]):
    """Properties by wire name. What a test reads of them by key is shown when the test fails."""

    def __init__(self, values: Mapping[str, Any], label: str, path: str, reads: Reads) -> None:
        super().__init__({key: _wrap(value, label, _join(path, key), reads) for key, value in values.items()})
        self._label, self._path, self._reads = label, path, reads

    def __getitem__(self, key: str) -> Any:
        __tracebackhide__ = True
        value = super().__getitem__(key)
        self._reads.note(self._label, _join(self._path, key), value)
        return value

    def __missing__(self, key: str) -> NoReturn:
        __tracebackhide__ = True
        near = difflib.get_close_matches(key, self, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        known = ", ".join(sorted(self)) or "nothing"
        place = f"{self._path} of " if self._path else ""
        raise MissingValueError(f"{place}{self._label} has no {key!r}{hint} (it has: {known})")

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of `key`, else `default`."""
        if key in self:
            return self[key]
        self._reads.note(self._label, _join(self._path, key), _Shown("(not set)"))
        return default


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _wrap(value: Any, label: str, path: str, reads: Reads) -> Any:
    match value:
        case Unknown():
            return UnknownValue(f"{path} of {label}")
        case Secret():
            return SecretValue(_unmarked(value.value))
        case Mapping():
            return Values(value, label, path, reads)
        case list() | tuple():
            return [_wrap(item, label, f"{path}[{index}]", reads) for index, item in enumerate(value)]
        case _:
            return value


def _unmarked(value: Any) -> Any:
    match value:
        case Secret():
            return _unmarked(value.value)
        case Mapping():
            return {key: _unmarked(item) for key, item in value.items()}
        case list() | tuple():
            return [_unmarked(item) for item in value]
        case _:
            return value


# --- resources -------------------------------------------------------------------------------------------------------


def shown_line(source: SourceLine | None) -> str:
    """Return `path:line`, relative to the current folder where it is below it; empty where it is not known."""
    if source is None:
        return ""
    path = Path(source.path)
    return f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}:{source.line}"


class EvaluatedResource:
    """One resource that the program registered."""

    def __init__(self, resource: Resource, deployment: EvaluatedDeployment) -> None:
        self.resource = resource
        """The resource as the engine gives it."""
        self._deployment = deployment

    @property
    def type(self) -> str:
        """The type token."""
        return self.resource.type

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
        """The line in the program that made it."""
        return self.resource.source

    @cached_property
    def inputs(self) -> Values:
        """The inputs by wire name (camelCase)."""
        return Values(self.resource.inputs, repr(self), "", self._deployment.reads)

    @cached_property
    def outputs(self) -> Values:
        """The outputs by wire name, and the id."""
        values = {**self.resource.outputs, "id": self.resource.id}
        return Values(values, f"outputs of {self!r}", "", self._deployment.reads)

    @property
    def parent(self) -> EvaluatedResource | None:
        """The parent; None for a resource of the stack itself."""
        return self._deployment._by_urn(self.resource.parent)

    @property
    def children(self) -> list[EvaluatedResource]:
        """The resources whose parent it is."""
        return [item for item in self._deployment.resources if item.resource.parent == self.urn]

    @property
    def dependencies(self) -> list[EvaluatedResource]:
        """The resources that it depends on, by an option or because their outputs went into its inputs."""
        found = (self._deployment._by_urn(urn) for urn in self.resource.dependencies)
        return [item for item in found if item is not None]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EvaluatedResource) and other.resource == self.resource

    def __hash__(self) -> int:
        return hash(self.urn)

    def __repr__(self) -> str:
        line = shown_line(self.source)
        return f"{self.type} {self.name!r}{f' ({line})' if line else ''}"


class EvaluatedDeployment:
    """What a program registered under one config."""

    def __init__(self, deployment: Deployment, reads: Reads | None = None) -> None:
        self.deployment = deployment
        """The deployment as the engine gives it."""
        self.reads = Reads() if reads is None else reads
        self.resources: list[EvaluatedResource] = [
            EvaluatedResource(resource, self)
            for resource in deployment.resources
            if resource.type != STACK_TYPE and not resource.default_provider
        ]
        """All that the program made, in its order: neither the stack itself nor the providers that Pulumi adds."""

    @property
    def error(self) -> ProgramError | None:
        """Why the program broke off; None if it ran to its end."""
        return self.deployment.error

    @property
    def problems(self) -> Sequence[Problem]:
        """What is wrong with the program itself: wrong types, duplicate URNs, outputs used as text."""
        return self.deployment.problems

    @property
    def diagnostics(self) -> Sequence[Diagnostic]:
        """Messages of `pulumi.log`, and notes of the engine."""
        return self.deployment.diagnostics

    @property
    def printed(self) -> str:
        """What the program printed."""
        return self.deployment.printed

    @cached_property
    def outputs(self) -> Values:
        """What the program exported."""
        return Values(self.deployment.outputs, "the stack's outputs", "", self.reads)

    def all(self, type: str = "*", *, name: str = "*") -> list[EvaluatedResource]:  # noqa: A002 — Pulumi's word
        """Return the resources of a type and a logical name; `*` and `?` stand for anything, as in file names."""
        return [item for item in self.resources if fnmatchcase(item.type, type) and fnmatchcase(item.name, name)]

    def one(self, type: str = "*", *, name: str = "*") -> EvaluatedResource:  # noqa: A002
        """Return the one resource of a type and a name. Raises `NoSuchResourceError` if there is not just one."""
        __tracebackhide__ = True
        found = self.all(type, name=name)
        if len(found) == 1:
            self.reads.note(repr(found[0]), "", None)
            return found[0]
        wanted = f"{type} {name!r}" if name != "*" else type
        if found:
            raise NoSuchResourceError(f"{len(found)} resources are {wanted}:\n{_listing(found)}")
        near = self.all(type) or self.all(name=name) or self.resources
        raise NoSuchResourceError(f"no resource is {wanted}; there are:\n{_listing(near)}{_broken(self.error)}")

    def findings(
        self,
        *,
        select: Iterable[str] = (),
        ignore: Iterable[str] = (),
        profiles: Iterable[str] = (),
        policy_packs: Iterable[str | Path] = (),
    ) -> list[Any]:
        """Judge the deployment as `ringfence check` does, settings and exemptions of the project included.

        Returns `ringfence.policy.verdict.Finding` objects. Raises `PackError` for a pack or a rule that is not there.
        """
        from ringfence.check import CheckOptions, Target, check
        from ringfence.reports.interface import TargetJudged

        options = CheckOptions(
            policy_packs=tuple(map(str, policy_packs)),
            profiles=tuple(profiles),
            select=tuple(select),
            ignore=tuple(ignore),
        )
        target = Target(self.deployment.path, self.deployment.stack)
        for event in check([target], options, _Evaluated(self.deployment)):
            if isinstance(event, TargetJudged):
                error = event.result.deployment.error
                if error is not None and error != self.error:
                    raise ValueError(error.message)
                return list(event.result.findings)
        raise AssertionError("the check gave no result")  # pragma: no cover — one target, one result

    def _by_urn(self, urn: str | None) -> EvaluatedResource | None:
        return next((item for item in self.resources if item.urn == urn), None)

    def __iter__(self) -> Iterator[EvaluatedResource]:
        return iter(self.resources)

    def __len__(self) -> int:
        return len(self.resources)

    def __repr__(self) -> str:
        return f"<{self.deployment.project} · {self.deployment.stack}: {len(self)} resources{_broken(self.error)}>"


@dataclass(frozen=True)
class _Evaluated:
    """A source that has its deployment already."""

    deployment: Deployment

    def evaluate(self, _: Any) -> Deployment:
        return self.deployment


def _listing(resources: Sequence[EvaluatedResource]) -> str:
    lines = [f"  {item!r}" for item in resources[:_MOST]]
    if len(resources) > _MOST:
        lines.append(f"  … and {len(resources) - _MOST} more")
    return "\n".join(lines) if lines else "  (none at all)"


def _broken(error: ProgramError | None) -> str:
    if error is None:
        return ""
    line = shown_line(error.source)
    return f"\nthe program broke off: {error.message}{f' ({line})' if line else ''}"
