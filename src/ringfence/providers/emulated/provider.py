"""The emulated provider: makes what emulators can, and answers all else as the offline provider does."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ringfence.deployment import Deployment
from ringfence.emulators.interface import EmulatorError
from ringfence.providers.applied import applied
from ringfence.providers.emulated.interface import (
    CannotCreateError,
    CannotDeleteError,
    EmulatedService,
    Gap,
    Made,
    with_whole_paths,
)
from ringfence.providers.interface import Answer, Created, InputFault, Registration
from ringfence.providers.offline import OfflineProvider

__all__ = ["EmulatedProvider", "ResourceReport"]


@dataclass(frozen=True)
class ResourceReport:
    """What became of one resource."""

    urn: str
    type: str
    name: str
    service: str = ""
    """The emulated service that has it; empty where it is answered offline."""
    gaps: tuple[Gap, ...] = ()
    failure: str = ""
    """Why it could not be made."""
    deleted: bool = False
    """Whether it was made and is gone again."""


@dataclass
class _Entry:
    registration: Registration
    id: Any
    made: Made
    gaps: list[Gap] = field(default_factory=list)
    deleted: bool = False


class EmulatedProvider:
    """A `Provider` whose `create` makes the thing; ids and outputs are the emulators' own.

    Nothing is unknown, as after an apply: what only the cloud knows of a resource that no emulator has is a
    placeholder. Methods may be called from several threads.
    """

    def __init__(
        self, services: Sequence[EmulatedService], invokes: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        """Take the emulated services and the user's answers to functions, by token."""
        self.services = tuple(services)
        self._offline = OfflineProvider("synthetic", invokes)
        self._answered = frozenset(invokes or ())
        self._entries: dict[str, _Entry] = {}
        self._others: dict[str, ResourceReport] = {}
        self._needed: set[str] = set()
        self._folder: Path | None = None
        self._lock = threading.RLock()

    def prepare(self, deployment: Deployment, folder: Path) -> None:
        """Take what an evaluation without emulators says will be made, so that they start with what all of it needs.

        `folder` is the one that the program runs in: its files are named from there.
        """
        self._folder = folder
        inputs = {resource.urn: resource.inputs for resource in deployment.resources}
        found = [resource for resource in deployment.resources if resource.custom and not resource.external]
        for service in self.services:
            wanted = [resource for resource in found if service.serves(resource.type)]
            if wanted:
                self._needed.add(service.name)
            registrations = [
                Registration(
                    resource.urn,
                    resource.type,
                    resource.name,
                    resource.inputs,
                    deployment.project,
                    deployment.stack,
                    provider_inputs=inputs.get(resource.provider or "", {}),
                )
                for resource in wanted
            ]
            service.needs(registrations, [resource.outputs for resource in wanted])

    def is_needed(self, service: EmulatedService) -> bool:
        """Whether `prepare` found resources for a service."""
        return service.name in self._needed

    # --- the five questions --------------------------------------------------------------------------------------

    def check(self, registration: Registration) -> list[InputFault]:
        """Return the inputs that the type does not take."""
        return self._offline.check(registration)

    def create(self, registration: Registration) -> Created:
        """Make a resource, if an emulator can. A failure is in `report`, and the outputs are synthesised then."""
        try:
            return self.deploy(registration)
        except EmulatorError:
            return applied(registration, self._offline.create(registration))

    def deploy(self, registration: Registration) -> Created:
        """Make a resource, if an emulator can.

        Raises:
            CannotCreateError: the emulator refuses it, or does not run.
        """
        offline = applied(registration, self._offline.create(registration))
        service = self._service(registration.type) if registration.custom else None
        with self._lock:
            if service is None:
                if registration.custom and not registration.type.startswith("pulumi:"):
                    self._note(registration)
                return offline
            try:
                made = service.create(self._with_whole_paths(registration), offline)
            except EmulatorError as error:
                self._note(registration, service.name, failure=str(error))
                message = f"{registration.name} ({registration.type}) cannot be made on the emulator: {error}"
                raise CannotCreateError(message) from error
            self._others.pop(registration.urn, None)
            merged = _merged(offline, made)
            self._entries[registration.urn] = _Entry(registration, merged.id, made, list(made.gaps))
        return merged

    def update(self, registration: Registration, identity: str) -> Created:
        """Answer an update: the outputs follow the new inputs, and what is on the emulator stays as it is.

        That it does is in `report`.
        """
        offline = applied(registration, self._offline.create(registration))
        with self._lock:
            entry = self._entries.get(registration.urn)
            if entry is None:
                return Created(identity, offline.outputs)
            before, after = entry.registration.inputs, registration.inputs
            changed = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
            entry.gaps += [Gap(key, "changed after it was made: the emulator keeps what it has") for key in changed]
        return Created(identity, _merged(offline, entry.made).outputs)

    def delete(self, registration: Registration, existing: Created) -> None:
        """Delete a resource, if it is on an emulator. What stays there nevertheless is in `report`.

        Raises:
            CannotDeleteError: the emulator refuses, or does not run.
        """
        service = self._service(registration.type)
        if service is None:
            return
        with self._lock:
            try:
                left = service.delete(registration, existing)
            except EmulatorError as error:
                message = f"{registration.name} ({registration.type}) cannot be deleted on the emulator: {error}"
                raise CannotDeleteError(message) from error
            entry = self._entries.get(registration.urn)
            if entry is None or entry.id != existing.id:
                return  # its successor is there already
            if left:
                entry.gaps.append(Gap("", f"deleted, and still there until the emulator stops: {left}"))
            else:
                entry.deleted = True

    def read(self, registration: Registration) -> Created:
        """Return the id and the outputs of an existing resource: emulators begin empty, so it is synthesised."""
        return applied(registration, self._offline.read(registration))

    def invoke(
        self, token: str, arguments: Mapping[str, Any], provider_inputs: Mapping[str, Any], *, plain: bool = True
    ) -> Answer:
        """Answer a function: the user's answer, what is on the emulators (keys), else as offline."""
        if token not in self._answered:
            for service in self.services:
                with self._lock:
                    found = service.invoke(token, arguments)
                if found is not None:
                    return Answer(found)
        return self._offline.invoke(token, arguments, provider_inputs, plain=plain)

    def call(self, token: str, arguments: Mapping[str, Any], provider: str | None = None) -> Answer:
        """Answer a method of a resource, as offline."""
        return self._offline.call(token, arguments, provider)

    # --- what became of it ---------------------------------------------------------------------------------------

    @property
    def report(self) -> list[ResourceReport]:
        """What became of each resource, those on emulators first."""
        with self._lock:
            made = [
                ResourceReport(
                    entry.registration.urn,
                    entry.registration.type,
                    entry.registration.name,
                    getattr(self._service(entry.registration.type), "name", ""),
                    tuple(entry.gaps),
                    deleted=entry.deleted,
                )
                for entry in self._entries.values()
            ]
            return [*made, *self._others.values()]

    def _with_whole_paths(self, registration: Registration) -> Registration:
        if self._folder is None:
            return registration
        return replace(registration, inputs=with_whole_paths(registration.inputs, self._folder))

    def _service(self, token: str) -> EmulatedService | None:
        return next((service for service in self.services if service.serves(token)), None)

    def _note(self, registration: Registration, service: str = "", failure: str = "") -> None:
        report = ResourceReport(registration.urn, registration.type, registration.name, service, failure=failure)
        self._others[registration.urn] = report


def _merged(offline: Created, made: Made) -> Created:
    kept = {key: value for key, value in offline.outputs.items() if key not in made.absent}
    return Created(made.id or offline.id, {**kept, **made.outputs})
