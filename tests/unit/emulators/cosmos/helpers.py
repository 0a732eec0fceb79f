"""A clock, and a container without a server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from ringfence.emulators.cosmos import (
    Account,
    Container,
    ContainerPartitionKey,
    ContainerSettings,
    DatabaseSettings,
    ServiceError,
)
from ringfence.emulators.cosmos.partition import PartitionKey

START = 1_700_000_000.0


@dataclass
class ManualClock:
    """A clock that stands still until it is told to go on."""

    now: float = START

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


def make_container(clock: ManualClock, *paths: str, **settings: Any) -> Container:
    """Return a container whose items are partitioned by `/tenant` unless other paths are given."""
    key = ContainerPartitionKey(paths=paths or ("/tenant",), kind="MultiHash" if len(paths) > 1 else "Hash")
    account = Account(clock=clock)
    account.create_database(DatabaseSettings(id="d"))
    return account.create_container("d", ContainerSettings(id="c", partition_key=key, **settings))


def key_of(container: Container, *parts: Any) -> PartitionKey:
    return PartitionKey(parts, container.settings.partition_key)


def refusal(call: Callable[[], object]) -> ServiceError:
    """Return the error with which a call is refused."""
    with pytest.raises(ServiceError) as caught:
        call()
    return caught.value
