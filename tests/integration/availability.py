"""What a test does where this machine lacks what it needs: it is skipped with the reason, and fails under CI."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest

from ringfence.emulators.interface import Emulator, EmulatorError

BACK_ENDS = "emulators"
"""The property of a test that says what it ran on."""

_NOT_INSTALLED = ("cannot be installed", "was not installed within")
"""What the message says where npm, PyPI or the program that asks them is missing."""


def need(reason: str) -> NoReturn:
    """Skip the test, with the reason; where CI is set, fail it."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def start(emulator: Emulator) -> None:
    """Start an emulator that the test needs."""
    try:
        emulator.start()
    except EmulatorError as error:
        need(str(error))


@contextmanager
def installing() -> Iterator[None]:
    """Need whatever is installed in here. What goes wrong otherwise is a failure everywhere."""
    try:
        yield
    except EmulatorError as error:
        if any(words in str(error) for words in _NOT_INSTALLED):
            need(str(error))
        raise
