"""Emulators for the tests here: one of each for all tests of a process, and one's own account for each test.

RINGFENCE_EMULATORS chooses the back end: `auto` (the default), `docker` or `process`.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ringfence.emulators.choose import Choice, choose
from ringfence.emulators.interface import EmulatorError
from tests.integration.availability import BACK_ENDS, need, start

Record = Callable[[str, object], None]


def chosen(service: str) -> Choice:
    """Return the emulator that the environment asks for."""
    wanted: Any = os.environ.get("RINGFENCE_EMULATORS", "auto")
    try:
        return choose(service, wanted)
    except EmulatorError as error:
        need(str(error))


@contextmanager
def running(service: str) -> Iterator[Choice]:
    choice = chosen(service)
    start(choice.emulator)
    yield choice
    choice.emulator.stop()


@pytest.fixture(scope="session")
def _storage() -> Iterator[Choice]:
    with running("storage") as choice:
        yield choice


@pytest.fixture
def storage(_storage: Choice, record_property: Record) -> Any:
    record_property(BACK_ENDS, str(_storage))
    return _storage.emulator


@pytest.fixture(scope="session")
def _aws() -> Iterator[Choice]:
    with running("aws") as choice:
        yield choice


@pytest.fixture
def aws_emulator(_aws: Choice, record_property: Record) -> Any:
    record_property(BACK_ENDS, str(_aws))
    return _aws.emulator


_numbers = itertools.count(1)


@pytest.fixture
def account() -> str:
    """Return an AWS account that no other test has."""
    return f"{next(_numbers):012d}"
