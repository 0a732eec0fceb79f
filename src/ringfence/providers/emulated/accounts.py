"""Emulators that come one for each account or namespace, started when something is made in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from ringfence.deployment import reveal
from ringfence.emulators.interface import Backend
from ringfence.providers.azure import short_token
from ringfence.providers.interface import Created, Registration

__all__ = [
    "AccountEmulator",
    "OnEmulators",
    "Running",
    "is_azure",
    "name_of",
    "named",
    "owners",
    "suffixed",
    "token_of",
]


class Running(Protocol):
    """What is asked of an emulator by the service that started it."""

    backend: Backend

    def start(self) -> None:
        """Start."""

    def check(self) -> None:
        """Raise `EmulatorError` unless it runs."""

    def stop(self) -> None:
        """Stop. Stopping twice is fine."""


class AccountEmulator(Running, Protocol):
    """What runs one account or namespace alone."""

    def environment(self) -> dict[str, str]:
        """Return what a program needs to reach it."""


E = TypeVar("E", bound=Running)


class OnEmulators(Generic[E]):
    """What a service has in common whose accounts or namespaces are on emulators. One may have several of them."""

    def __init__(self) -> None:
        self._emulators: dict[str, E] = {}

    def backends(self) -> set[Backend]:
        """Return what the emulators run in."""
        return {emulator.backend for emulator in self._emulators.values()}

    def check(self) -> None:
        """Raise `EmulatorError` if an emulator has ended."""
        for emulator in self._emulators.values():
            emulator.check()

    def stop(self) -> None:
        """Stop all emulators."""
        emulators, self._emulators = list(self._emulators.values()), {}
        for emulator in emulators:
            emulator.stop()


def is_azure(token: str) -> bool:
    """Whether a type is one of azure-native."""
    return token.startswith("azure-native:") and token.count(":") == 2


def token_of(token: str) -> str:
    """Return a type or function token without its package and version, for example `storage:BlobContainer`."""
    return short_token(token) if is_azure(token) else ""


def name_of(offline: Created) -> str:
    """Return the name of a resource: the one given, or the one that the provider gives."""
    return str(reveal(offline.outputs["name"]))


def named(inputs: Mapping[str, Any], *keys: str) -> list[str]:
    """Return inputs that name what a resource belongs to."""
    return [str(reveal(inputs.get(key))) for key in keys]


def owners(
    registrations: Iterable[Registration], outputs: Iterable[Mapping[str, Any]], token: str, key: str
) -> list[str]:
    """Return the names of accounts in the order in which a program declares them, or something in them."""
    found = []
    for registration, known in zip(registrations, outputs, strict=True):
        name = reveal(known.get("name") if token_of(registration.type) == token else registration.inputs.get(key))
        if isinstance(name, str):
            found.append(name)
    return list(dict.fromkeys(found))


def suffixed(environments: Mapping[str, Mapping[str, str]], prefix: str) -> dict[str, str]:
    """Return the variables of several accounts: those of the first by their names, and each account's with its name.

    `prefix` is what the names of ringfence's own variables begin with. With one account there is nothing to tell apart.
    """
    merged: dict[str, str] = {}
    for name, variables in environments.items():
        for variable, value in variables.items():
            merged.setdefault(variable, value)
            if len(environments) > 1 and variable.startswith(prefix):
                suffix = "".join(character if character.isalnum() else "_" for character in name.upper())
                merged[f"{variable}_{suffix}"] = value
    return merged
