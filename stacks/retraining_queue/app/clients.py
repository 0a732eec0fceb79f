"""The services behind the app, found by the environment. Everything logs in as the app's identity."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from azure.identity import DefaultAzureCredential
from azure.servicebus import ServiceBusClient
from azure.storage.blob import ContainerClient

__all__ = ["container", "service_bus"]


@cache
def _credential() -> Any:
    return DefaultAzureCredential()


def service_bus() -> Any:
    """Return a client of the Service Bus namespace."""
    return ServiceBusClient(os.environ["SERVICE_BUS_NAMESPACE"], _credential())


def container(variable: str) -> Any:
    """Return a client of the blob container whose address an environment variable holds."""
    return ContainerClient.from_container_url(os.environ[variable], credential=_credential())
