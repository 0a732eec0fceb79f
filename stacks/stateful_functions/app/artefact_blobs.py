"""States that are too large for the database, as blobs that are never changed."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from azure.core.exceptions import (
    AzureError,
    ResourceNotFoundError,
)
from azure.storage.blob import ContentSettings
from structured_log import log

__all__ = ["ArtefactBlobs"]


@dataclass(frozen=True)
class ArtefactBlobs:
    """A container behind its client, an `azure.storage.blob.ContainerClient`. Its blobs expire by a lifecycle rule."""

    container: Any

    def add(self, tenant: str, session: str, data: bytes) -> str:
        """Keep data in a new blob and return its name.

        No two writes share a name, not even for equal data: whoever deletes a blob that was replaced cannot hit one
        that somebody else has just written.
        """
        name = f"{tenant}/{session}/{uuid4().hex}"
        settings = ContentSettings(content_type="application/json")
        self.container.upload_blob(name, data, overwrite=False, content_settings=settings)
        return name

    def get(self, name: str) -> bytes | None:
        """Return a blob's data, or None when it is gone."""
        try:
            data: bytes = self.container.download_blob(name).readall()
        except ResourceNotFoundError:
            return None
        return data

    def discard(self, name: str) -> None:
        """Delete a blob that nothing refers to any more, if that works: otherwise it expires."""
        try:
            self.container.delete_blob(name)
        except ResourceNotFoundError:
            return
        except AzureError as error:
            log("blob-left-to-expire", level=logging.WARNING, blob=name, error=type(error).__name__)
