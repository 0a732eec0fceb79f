"""Which back end runs."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from ringfence.emulators import choose as choosing
from ringfence.emulators.choose import DOCKER, VARIABLE, choose, wanted_by
from ringfence.emulators.docker import Images
from ringfence.emulators.interface import Backend, EmulatorError

SERVICES = ("storage", "cosmos", "service-bus", "aws")


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("available", "wanted", "backend", "reason"),
    [
        (True, "auto", "docker", "a Docker daemon answers"),
        (False, "auto", "process", "no Docker daemon answers"),
        (True, "docker", "docker", "as asked for"),
        (True, "process", "process", "as asked for"),
        (False, "process", "process", "as asked for"),
    ],
)
def test_choice(
    available: bool, wanted: Any, backend: Backend, reason: str, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "docker_available", lambda: available)

    choice = choose(service, wanted)

    assert (choice.emulator.service, choice.emulator.backend) == (service, backend)
    assert str(choice) == f"{service}: {backend} ({reason})"


def test_docker_that_is_asked_for_and_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "docker_available", lambda: False)

    with pytest.raises(EmulatorError, match="no Docker daemon answers: start it"):
        choose("storage", "docker")


@pytest.mark.parametrize("value", ["auto", "docker", "process"])
def test_the_environment_asks_for_a_back_end(value: str) -> None:
    assert wanted_by({VARIABLE: value}) == value


@pytest.mark.parametrize("environment", [{}, {VARIABLE: ""}])
def test_nothing_asked_for_is_auto(environment: dict[str, str]) -> None:
    assert wanted_by(environment) == "auto"


def test_the_environment_asks_for_what_there_is_not() -> None:
    with pytest.raises(EmulatorError, match="RINGFENCE_EMULATORS is 'podman', expected auto, docker, process"):
        wanted_by({VARIABLE: "podman"})


def test_images_are_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "docker_available", lambda: True)
    monkeypatch.delenv("RINGFENCE_IMAGE_AZURITE", raising=False)

    emulator: Any = choose("storage", images=Images(azurite="mirror/azurite")).emulator

    assert emulator.images.azurite == "mirror/azurite"


def test_wrong_names() -> None:
    with pytest.raises(ValueError, match="'s3' has no emulator; there are storage, cosmos, service-bus, aws"):
        choose("s3")
    with pytest.raises(ValueError, match="'podman' is not a back end; there are auto, docker, process"):
        choose("storage", "podman")  # type: ignore[arg-type]


def test_each_service_has_both() -> None:
    assert tuple(DOCKER) == SERVICES
    assert get_args(Backend) == ("docker", "process")
