"""The services that the API uses, made in one place from the app's settings. They are logged in to as the app."""

from __future__ import annotations

import os
from typing import Any

from azure.cosmos import CosmosClient
from azure.identity import DefaultAzureCredential
from azure.storage.blob import ContainerClient

__all__ = ["artefacts", "sessions"]

CONNECT_SECONDS, READ_SECONDS, RETRIES, LONGEST_RETRY_SECONDS = 2, 10, 3, 10
"""Far less than the host gives a call (`functionTimeout` in host.json), so that a caller is told what happened."""

BACKOFF = {"initial_backoff": 1, "increment_base": 2, "random_jitter_range": 1}
"""Seconds before a retry to storage: 3, 5, 9, each give or take 1. The client's own begin with 15."""


def sessions() -> Any:
    """Return the client of the container of sessions, an `azure.cosmos.ContainerProxy`."""
    client = CosmosClient(
        os.environ["COSMOS_ENDPOINT"],
        credential=DefaultAzureCredential(),
        connection_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retry_total=RETRIES,
        retry_backoff_max=LONGEST_RETRY_SECONDS,
    )
    database = client.get_database_client(os.environ["COSMOS_DATABASE"])
    return database.get_container_client(os.environ["COSMOS_CONTAINER"])


def artefacts() -> Any:
    """Return the client of the container of large states, an `azure.storage.blob.ContainerClient`."""
    return ContainerClient.from_container_url(
        os.environ["ARTEFACTS_URL"],
        credential=DefaultAzureCredential(),
        connection_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retry_total=RETRIES,
        **BACKOFF,
    )
