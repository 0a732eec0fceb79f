"""Deployments of the reference stacks on emulators."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from ringfence.emulate import Emulation, Target, emulated
from tests.integration.availability import installing
from tests.unit.stacks.loading import STACKS


@contextmanager
def deployed(
    stack: str, services: Sequence[Any] = (), *, keys: bool = True, environment: str = "dev"
) -> Iterator[Emulation]:
    """Evaluate a stack onto emulators of its own: their ports are free ones, and nothing is in them.

    Where an emulator cannot be installed, as without a network, the test is skipped; in CI it fails.
    """
    with ExitStack() as running:
        with installing():
            emulation = running.enter_context(emulated(Target(STACKS / stack, environment), services, keys=keys))
        yield emulation
