"""What the conformance suite of Cosmos DB runs against: the fake, or the official emulator where one is up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ringfence.emulators.cosmos import CosmosFake

OFFICIAL_ENDPOINT, OFFICIAL_KEY = "RINGFENCE_TEST_COSMOS_ENDPOINT", "RINGFENCE_TEST_COSMOS_KEY"
"""Set both to run the suite against an official emulator."""


@dataclass(frozen=True)
class Backend:
    endpoint: str
    key: str


@contextmanager
def backend() -> Iterator[Backend]:
    """Give the backend that the environment asks for; the fake unless it names another."""
    if endpoint := os.environ.get(OFFICIAL_ENDPOINT):
        yield Backend(endpoint, os.environ[OFFICIAL_KEY])
        return
    with CosmosFake() as fake:
        environment = fake.environment()
        yield Backend(environment["RINGFENCE_COSMOS_ENDPOINT"], environment["RINGFENCE_COSMOS_KEY"])
        assert fake.faults == []
