"""What a service of the emulated provider is: it makes resources on emulators and says what these cannot do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from ringfence.deployment import Archive, Asset, ResourceReference, Secret, Unknown, to_json
from ringfence.emulators.interface import Backend, EmulatorError
from ringfence.providers.interface import Created, Registration

__all__ = [
    "CannotCreateError",
    "CannotDeleteError",
    "EmulatedService",
    "Gap",
    "Made",
    "gaps",
    "plain",
    "text_of",
    "with_whole_paths",
]


class CannotCreateError(EmulatorError):
    """A resource cannot be made on its emulator. The message names the resource and says why."""


class CannotDeleteError(EmulatorError):
    """A resource cannot be deleted on its emulator. The message names the resource and says why."""


@dataclass(frozen=True, slots=True)
class Gap:
    """What is declared and is not so on the emulator. A secret's value is not in it."""

    property: str
    """Path by wire names, for example `resource.defaultTtl`; empty for the resource as a whole."""
    reason: str
    declared: str = ""
    found: str = ""
    """What the emulator has instead, where it has something."""


@dataclass(frozen=True, slots=True)
class Made:
    """A resource on an emulator."""

    outputs: Mapping[str, Any] = field(default_factory=dict)
    """Outputs that are the emulator's own, by wire name; they replace those that the offline provider synthesises."""
    id: str | None = None
    """The emulator's own id; None where it has none, as nothing on an emulator has an id of Azure Resource Manager."""
    gaps: tuple[Gap, ...] = ()
    absent: tuple[str, ...] = ()
    """Outputs that the emulator has nothing for: the real cloud's, synthesised, would lead there."""


class EmulatedService(Protocol):
    """The emulators of one service, started when the first resource needs one."""

    name: str
    """As `--service` has it: `storage`, `cosmos`, `service-bus`, `aws`."""

    title: str
    """What people call the emulator, for example `Azurite`."""

    def serves(self, token: str) -> bool:
        """Whether resources of this type are made on an emulator."""
        ...

    def needs(self, registrations: Iterable[Registration], outputs: Iterable[Mapping[str, Any]]) -> None:
        """Take what will be asked for, so that one emulator can be started for all of it."""
        ...

    def create(self, registration: Registration, offline: Created) -> Made:
        """Make a resource. `offline` is what the offline provider says of it, its automatic name among it.

        Raises:
            EmulatorError: it cannot be made.
        """
        ...

    def delete(self, registration: Registration, existing: Created) -> str:
        """Delete a resource. `existing` is its id, and its outputs as they were when it was made or updated.

        Returns why it is still there; empty if it is gone, as it also is where it has never been.

        Raises:
            EmulatorError: it cannot be deleted, as by the service itself.
        """
        ...

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Answer a function by what is on the emulators, None where they do not know."""
        ...

    def start(self) -> None:
        """Start an emulator even though no resource needs one."""
        ...

    def environment(self) -> dict[str, str]:
        """Return what a program needs to reach the emulators."""
        ...

    def backends(self) -> set[Backend]:
        """Return what its emulators run in; empty while none runs."""
        ...

    def check(self) -> None:
        """Do nothing while all emulators run.

        Raises:
            EmulatorError: one has ended.
        """
        ...

    def stop(self) -> None:
        """Stop all emulators, and leave nothing behind. Stopping twice is fine."""
        ...


def plain(value: Any) -> Any:
    """Return a value without markers. What is not known is left out, None at the top."""
    match value:
        case Unknown():
            return None
        case Secret(inner):
            return plain(inner)
        case ResourceReference(_, identity):
            return plain(identity)
        case Mapping():
            known = {key: plain(item) for key, item in value.items()}
            return {key: item for key, item in known.items() if item is not None}
        case list() | tuple():
            return [plain(item) for item in value if not isinstance(item, Unknown)]
        case _:
            return value


def with_whole_paths(value: Any, folder: Path) -> Any:
    """Return a value whose files are named from the root: programs name theirs from the folder that they run in."""
    match value:
        case Asset("file", content) | Archive("file", content):
            return replace(value, content=str(folder / content))
        case Archive("assets", content):
            return replace(value, content={name: with_whole_paths(item, folder) for name, item in content.items()})
        case Secret(inner):
            return Secret(with_whole_paths(inner, folder))
        case Mapping():
            return {name: with_whole_paths(item, folder) for name, item in value.items()}
        case list() | tuple():
            return [with_whole_paths(item, folder) for item in value]
        case _:
            return value


def text_of(value: Any) -> str:
    """Return a value as people read it in a table; a secret's is not shown."""
    shown = to_json(value)
    if isinstance(shown, bool):
        return "true" if shown else "false"
    if isinstance(shown, list):
        return f"[{', '.join(map(text_of, shown))}]"
    if isinstance(shown, dict):
        return f"{{{', '.join(f'{key}: {text_of(item)}' for key, item in shown.items())}}}"
    return str(shown)


def gaps(
    inputs: Mapping[str, Any],
    *,
    names: Iterable[str] = (),
    found: Mapping[str, Any] | None = None,
    reasons: Mapping[str, str] | None = None,
    otherwise: str = "the emulator has no such setting",
) -> tuple[Gap, ...]:
    """Return what the emulator lacks of what is declared. Whatever is not mentioned is a gap, so nothing gets lost.

    Args:
        inputs: what is declared.
        names: properties that name the resource or what it belongs to: they need no setting.
        found: what was read back, by the path of the property.
        reasons: why a property that was not read back is a gap; an empty reason says that it is none.
        otherwise: the reason for all others.
    """
    found, reasons, skipped = found or {}, reasons or {}, set(names)
    known = {*found, *reasons}
    result = []
    for path, value in _settings(inputs, known):
        if path in skipped:
            continue
        if contains_only_unknowns(value):
            result.append(Gap(path, "its value is not known", text_of(value)))
        elif path in found:
            if not _same(plain(value), found[path]):
                reason = "the emulator dropped it" if found[path] is None else "the emulator has another value"
                shown = "" if found[path] is None else _shown(value, found[path])
                result.append(Gap(path, reason, text_of(value), shown))
        elif reason := reasons.get(path, otherwise):
            result.append(Gap(path, reason, text_of(value)))
    return tuple(result)


def contains_only_unknowns(value: Any) -> bool:
    """Whether nothing of a value is known."""
    match value:
        case Unknown():
            return True
        case Secret(inner):
            return contains_only_unknowns(inner)
        case _:
            return False


def _settings(inputs: Mapping[str, Any], known: set[str], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each setting with its path. Objects are taken apart unless their own path is known."""
    for key, value in inputs.items():
        path = f"{prefix}{key}"
        if value is None:
            continue
        if isinstance(value, Mapping) and value and path not in known and not isinstance(value, Asset | Archive):
            yield from _settings(value, known, f"{path}.")
        else:
            yield path, value


def _same(declared: Any, found: Any) -> bool:
    """Compare as services do: what they add to an object, and how they order its keys, is no difference."""
    if isinstance(declared, Mapping) and isinstance(found, Mapping):
        return all(key in found and _same(value, found[key]) for key, value in declared.items())
    if isinstance(declared, list) and isinstance(found, list | tuple):
        return len(declared) == len(found) and all(map(_same, declared, found))
    if isinstance(declared, bool) or isinstance(found, bool):
        return declared is found
    return bool(declared == found)


def _shown(declared: Any, found: Any) -> str:
    """Return what was found, unless what was declared is secret: it may be the same but for its form."""
    return "[secret]" if isinstance(declared, Secret) else text_of(found)
