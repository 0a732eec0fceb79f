"""Emulators for the tests here: one of each for the whole session, and one's own account for each test.

RINGFENCE_EMULATORS chooses the back end: `auto` (the default), `docker` or `process`.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Any

import pytest

from ringfence.emulators.choose import Choice, choose
from ringfence.emulators.interface import Emulator, EmulatorError

USED: dict[str, str] = {}
"""Service to the line that says what it ran on."""


def start(emulator: Emulator) -> None:
    """Start an emulator. Where it cannot be had, the test is skipped with the reason, or fails under CI."""
    try:
        emulator.start()
    except EmulatorError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


def chosen(service: str) -> Choice:
    """Return the emulator that the environment asks for."""
    wanted: Any = os.environ.get("RINGFENCE_EMULATORS", "auto")
    choice = choose(service, wanted)
    USED[service] = str(choice)
    return choice


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if USED:
        terminalreporter.section("emulators")
        for line in sorted(USED.values()):
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def storage() -> Iterator[Any]:
    emulator = chosen("storage").emulator
    start(emulator)
    yield emulator
    emulator.stop()


@pytest.fixture(scope="session")
def aws_emulator() -> Iterator[Any]:
    emulator = chosen("aws").emulator
    start(emulator)
    yield emulator
    emulator.stop()


_numbers = itertools.count(1)


@pytest.fixture
def account() -> str:
    """Return an AWS account that no other test has."""
    return f"{next(_numbers):012d}"
