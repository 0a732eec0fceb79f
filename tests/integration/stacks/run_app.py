"""Runs a program of retraining_queue in a process of its own, with clients of the emulators in place of the cloud's.

`python -m tests.integration.stacks.run_app worker` is what the container runs, but for the module `clients`.
"""

from __future__ import annotations

import os
import runpy
import sys
from types import ModuleType
from typing import Any

from azure.servicebus import ServiceBusClient
from azure.storage.blob import ContainerClient

from tests.unit.stacks.loading import STACKS

APP = STACKS / "retraining_queue" / "app"
QUICK: dict[str, Any] = {"socket_timeout": 0.02, "keep_alive": 0}
"""Options that shorten the half second which the client waits whenever it opens or closes a link; nothing else does."""


class QuickClient(ServiceBusClient):
    """The client with those options. The app itself gives none."""

    def get_queue_sender(self, queue_name: str, **options: Any) -> Any:
        return super().get_queue_sender(queue_name, **QUICK, **options)

    def get_queue_receiver(self, queue_name: str, **options: Any) -> Any:
        return super().get_queue_receiver(queue_name, **QUICK, **options)


def service_bus() -> Any:
    """Return a client of the namespace."""
    return QuickClient.from_connection_string(os.environ["RINGFENCE_SERVICE_BUS_CONNECTION_STRING"])


def container(variable: str) -> Any:
    """Return a client of the container whose address a variable holds: its last part is the container's name."""
    name = os.environ[variable].rpartition("/")[2]
    return ContainerClient.from_connection_string(os.environ["RINGFENCE_STORAGE_CONNECTION_STRING"], name)


def main() -> None:
    """Run the program that the command line names, with the rest as its arguments."""
    program, *arguments = sys.argv[1:]
    clients = ModuleType("clients")
    clients.__dict__.update(service_bus=service_bus, container=container)
    sys.modules["clients"] = clients
    sys.path.insert(0, str(APP))
    sys.argv = [program, *arguments]
    runpy.run_path(str(APP / f"{program}.py"), run_name="__main__")


if __name__ == "__main__":
    main()
