"""Deployments of the reference stacks on emulators."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from ringfence.emulate import Emulation, Target, emulated
from ringfence.emulators.interface import EmulatorError
from tests.unit.stacks.loading import STACKS

BACK_ENDS = "emulators"
"""The property of a test that says what ran."""


@contextmanager
def deployed(
    stack: str, services: Sequence[Any] = (), *, keys: bool = True, environment: str = "dev"
) -> Iterator[Emulation]:
    """Evaluate a stack onto emulators of its own: their ports are free ones, and nothing is in them.

    Where an emulator cannot be installed, as without a network, the test is skipped; in CI it fails.
    """
    running = emulated(Target(STACKS / stack, environment), services, keys=keys)
    try:
        emulation = running.__enter__()
    except EmulatorError as error:
        if "cannot be installed" in str(error) and not os.environ.get("CI"):
            pytest.skip(str(error))
        raise
    try:
        yield emulation
    finally:
        running.__exit__(None, None, None)
