"""The nouns of the house: what a program registered, and what is known of it.

Values are plain Python data as JSON knows it (None, bool, int, float, str, list, dict) plus the markers of this
module. A number that is integral on the wire is an ``int`` here, although the wire only knows doubles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

__all__ = [
    "STACK_TYPE",
    "UNKNOWN",
    "Archive",
    "Asset",
    "Deployment",
    "Diagnostic",
    "Options",
    "Problem",
    "ProgramError",
    "Resource",
    "ResourceReference",
    "Secret",
    "SourceLine",
    "Unknown",
    "contains_unknown",
    "reveal",
    "to_json",
]

STACK_TYPE = "pulumi:pulumi:Stack"
"""Type token of the root resource that every deployment has."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that is not known before apply."""


UNKNOWN = Unknown()
"""The one instance of `Unknown` that the engine hands out."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that the program marked secret. Its plain value must not reach any report."""

    value: Any


@dataclass(frozen=True, slots=True)
class Asset:
    """A file, a text or a remote document that the program hands to a resource."""

    kind: Literal["file", "text", "remote"]
    content: str
    """Path, text or URI, by `kind`."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A folder, an archive file, a remote archive or a collection of assets."""

    kind: Literal["file", "assets", "remote"]
    content: Any
    """Path or URI, or for `assets` a mapping from path to `Asset` or `Archive`."""


@dataclass(frozen=True, slots=True)
class ResourceReference:
    """A resource handed over as a value."""

    urn: str
    id: Any = None


@dataclass(frozen=True, slots=True, order=True)
class SourceLine:
    """A place in the user's program."""

    path: str
    """Absolute path of the file."""
    line: int
    """Line, counted from 1."""
    column: int | None = None
    """Column, counted from 1, where the language says it."""


@dataclass(frozen=True, slots=True)
class Options:
    """Resource options as the program gave them. Property names are those of the wire (camelCase)."""

    protect: bool | None = None
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    additional_secret_outputs: tuple[str, ...] = ()
    hide_diffs: tuple[str, ...] = ()
    delete_before_replace: bool | None = None
    retain_on_delete: bool | None = None
    custom_timeouts: Mapping[str, str] = field(default_factory=dict)
    """Timeouts by operation (create, update, delete, read), as Go durations, for example `30m`."""
    aliases: tuple[str, ...] = ()
    """Other URNs that the resource had; those that a provider SDK adds by itself are left out."""
    deleted_with: str | None = None
    replace_with: tuple[str, ...] = ()
    replacement_trigger: Any = None
    import_id: str | None = None
    version: str = ""
    plugin_download_url: str = ""
    providers: Mapping[str, str] = field(default_factory=dict)
    hooks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of resource hooks by moment (before_create, …). They are accepted and not run."""
    env_var_mappings: Mapping[str, str] = field(default_factory=dict)


NO_OPTIONS = Options()


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource that the program registered or read."""

    urn: str
    type: str
    name: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any] = field(default_factory=dict)
    """Outputs as the provider would give them, unknown where that is not knowable. Inputs are among them."""
    id: Any = UNKNOWN
    """Physical id: a string, or `UNKNOWN`. None for a component."""
    custom: bool = True
    remote: bool = False
    """Whether it is a component that a provider plugin constructs."""
    external: bool = False
    """Whether the program reads it (`Resource.get`) instead of managing it."""
    default_provider: bool = False
    """Whether the engine made this provider by itself."""
    parent: str | None = None
    provider: str | None = None
    """URN of the provider resource, None for components and providers."""
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    options: Options = NO_OPTIONS
    source: SourceLine | None = None
    """The line in the user's program, None where the program's language does not tell."""
    source_chain: tuple[SourceLine, ...] = ()
    """The user's frames from `source` outwards: for a component's child, who made the component."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A message of the program (`pulumi.log`) or a note of the engine."""

    severity: Literal["debug", "info", "warning", "error"]
    message: str
    urn: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong with the program itself, whatever the policies say. Its codes are the PG family."""

    code: str
    message: str
    urn: str | None = None
    path: str = ""
    """Path of the property, for example `sku.name`."""
    expected: str = ""
    actual: str = ""
    remedy: str = ""
    source: SourceLine | None = None


@dataclass(frozen=True, slots=True)
class ProgramError:
    """Why a program could not be evaluated to its end."""

    message: str
    """One or a few plain sentences; never a traceback."""
    source: SourceLine | None = None
    details: str = ""
    """The traceback, for `--debug`."""


@dataclass(frozen=True)
class Deployment:
    """The result of evaluating a program under one config."""

    project: str
    stack: str
    path: Path
    """The project's folder."""
    resources: tuple[Resource, ...] = ()
    """In the order in which the program made them; the stack itself comes first."""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    """What the program exported."""
    diagnostics: tuple[Diagnostic, ...] = ()
    problems: tuple[Problem, ...] = ()
    printed: str = ""
    """What the program wrote to standard output and standard error."""
    error: ProgramError | None = None
    repairs: int = 0
    """How many faults of the program were repaired to find what else is wrong. `error` is the first fault then, and
    resources and outputs are those of the repaired program."""
    repaired: bool = False
    """Whether the program ran to its end with these repairs."""

    @property
    def ok(self) -> bool:
        """Whether the program ran to its end as it is."""
        return self.error is None

    @property
    def complete(self) -> bool:
        """Whether the resources are all that the program registers, as it is or with its repairs."""
        return self.error is None or self.repaired

    @cached_property
    def by_urn(self) -> Mapping[str, Resource]:
        """The resources by URN."""
        return {resource.urn: resource for resource in self.resources}


def reveal(value: Any) -> Any:
    """Return `value` with the secret marker taken off its top level."""
    while isinstance(value, Secret):
        value = value.value
    return value


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, Secret):
        yield value.value
    elif isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, list | tuple):
        yield from value
    elif isinstance(value, Archive) and value.kind == "assets":
        yield value.content
    elif isinstance(value, ResourceReference):
        yield value.id


def contains_unknown(value: Any) -> bool:
    """Whether `value` is unknown or holds an unknown at any depth."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Unknown):
            return True
        waiting.extend(_parts(item))
    return False


def to_json(value: Any) -> Any:
    """Return `value` as JSON data for a report: unknowns as "[unknown]", secrets as "[secret]"."""
    match value:
        case Unknown():
            return "[unknown]"
        case Secret():
            return "[secret]"
        case Asset():
            return {"asset": {value.kind: value.content}}
        case Archive():
            return {"archive": {value.kind: to_json(value.content)}}
        case ResourceReference():
            return {"resourceReference": {"urn": value.urn, "id": to_json(value.id)}}
        case Mapping():
            return {str(key): to_json(item) for key, item in value.items()}
        case list() | tuple():
            return [to_json(item) for item in value]
        case _:
            return value
