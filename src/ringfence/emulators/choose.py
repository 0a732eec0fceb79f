"""Which back end an emulator runs on."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from ringfence.emulators.aws import Aws
from ringfence.emulators.azurite import Azurite
from ringfence.emulators.docker import (
    DockerAws,
    DockerAzurite,
    DockerCosmos,
    DockerServiceBus,
    Images,
    docker_available,
)
from ringfence.emulators.interface import Backend, Emulator, EmulatorError

__all__ = ["VARIABLE", "Choice", "Decision", "Wanted", "choose", "decide", "wanted_by"]

Wanted = Literal["auto", "docker", "process"]
"""What was asked for: `auto` is Docker when its daemon answers, else the process."""

VARIABLE = "RINGFENCE_EMULATORS"
"""The environment variable that asks for a back end where nothing else does."""

DOCKER: Mapping[str, Callable[[Images], Emulator]] = {
    "storage": DockerAzurite,
    "cosmos": DockerCosmos,
    "service-bus": DockerServiceBus,
    "aws": DockerAws,
}


@dataclass(frozen=True)
class Decision:
    """What emulators run in, and why."""

    backend: Backend
    reason: str


@dataclass(frozen=True)
class Choice:
    """An emulator that is not started yet, and why it runs where it does."""

    emulator: Emulator
    reason: str

    def __str__(self) -> str:
        """Return the line for a test report."""
        return f"{self.emulator.service}: {self.emulator.backend} ({self.reason})"


def wanted_by(environment: Mapping[str, str] | None = None) -> Wanted:
    """Return what `RINGFENCE_EMULATORS` asks for; `auto` where it is not set.

    Raises:
        EmulatorError: it asks for what there is not.
    """
    value = (os.environ if environment is None else environment).get(VARIABLE) or "auto"
    for known in get_args(Wanted):
        if value == known:
            found: Wanted = known
            return found
    raise EmulatorError(f"{VARIABLE} is {value!r}, expected {', '.join(get_args(Wanted))}")


def decide(wanted: Wanted = "auto") -> Decision:
    """Return what emulators run in.

    Raises:
        EmulatorError: Docker is asked for and no daemon answers.
        ValueError: there is no such back end.
    """
    if wanted not in get_args(Wanted):
        raise ValueError(f"{wanted!r} is not a back end; there are {', '.join(get_args(Wanted))}")
    if wanted == "process":
        return Decision("process", "as asked for")
    available = docker_available()
    if wanted == "docker" and not available:
        raise EmulatorError("no Docker daemon answers: start it, set DOCKER_HOST, or take the back end `process`")
    if available:
        return Decision("docker", "as asked for" if wanted == "docker" else "a Docker daemon answers")
    return Decision("process", "no Docker daemon answers")


def choose(service: str, wanted: Wanted = "auto", images: Images | None = None) -> Choice:
    """Return the emulator of a service.

    Args:
        service: `storage`, `cosmos`, `service-bus` or `aws`.
        wanted: the back end.
        images: what containers run; the defaults and the environment unless given.

    Raises:
        EmulatorError: Docker is asked for and no daemon answers.
        ValueError: there is no such service or back end.
    """
    if service not in DOCKER:
        raise ValueError(f"{service!r} has no emulator; there are {', '.join(DOCKER)}")
    decision = decide(wanted)
    emulator = DOCKER[service](images or Images()) if decision.backend == "docker" else _process(service)
    return Choice(emulator, decision.reason)


def _process(service: str) -> Emulator:
    # The fakes are imported here: each needs the SDK whose service it stands for.
    if service == "storage":
        return Azurite()
    if service == "aws":
        return Aws()
    if service == "service-bus":
        from ringfence.emulators.service_bus import ServiceBusFake

        return ServiceBusFake()
    from ringfence.emulators.cosmos import CosmosFake

    return CosmosFake()
