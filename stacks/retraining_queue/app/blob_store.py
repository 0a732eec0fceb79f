"""Datasets, models and the ledger as blobs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import (
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.storage.blob import ContentSettings
from errors import DatasetNotFoundError, UnusableDatasetError

__all__ = ["BlobDatasets", "BlobLedger", "BlobModels"]

MAX_DATASET_BYTES = 64 * 1024 * 1024
"""A dataset is held in memory, as Python numbers."""


@dataclass(frozen=True)
class BlobDatasets:
    """Datasets in a container behind its client, an `azure.storage.blob.ContainerClient`."""

    container: Any

    def read(self, path: str) -> str:
        """Return a dataset's text.

        Raises:
            DatasetNotFoundError: there is none.
            UnusableDatasetError: it is too large, or no text.
        """
        try:
            download = self.container.download_blob(path)
            if download.size > MAX_DATASET_BYTES:
                raise UnusableDatasetError(f"{path} has more than {MAX_DATASET_BYTES} bytes")
            text: str = download.readall().decode("utf-8-sig")
        except ResourceNotFoundError as error:
            if not _is_missing_blob(error):
                raise
            raise DatasetNotFoundError(f"there is no dataset {path}") from error
        except UnicodeDecodeError as error:
            raise UnusableDatasetError(f"{path} is not text in UTF-8") from error
        return text


@dataclass(frozen=True)
class BlobModels:
    """Models in a container behind its client."""

    container: Any

    def save(self, path: str, artefact: bytes) -> None:
        """Keep an artefact, unless the path has one."""
        _create(self.container, path, artefact)


@dataclass(frozen=True)
class BlobLedger:
    """A blob for each handled request, in a container behind its client."""

    container: Any

    def find(self, request_id: str) -> Mapping[str, Any] | None:
        """Return what was noted when the request was handled, or None when it was not."""
        try:
            entry: Mapping[str, Any] = json.loads(self.container.download_blob(f"{request_id}.json").readall())
        except ResourceNotFoundError as error:
            if not _is_missing_blob(error):
                raise
            return None
        return entry

    def add(self, request_id: str, entry: Mapping[str, Any]) -> bool:
        """Note that the request was handled, and return False when somebody else noted it before."""
        return _create(self.container, f"{request_id}.json", json.dumps(entry, allow_nan=False).encode())


def _is_missing_blob(error: Any) -> bool:
    """Return whether it is the blob that is missing. A missing container means that the worker is set up wrong."""
    return bool(error.error_code == "BlobNotFound")


def _create(container: Any, path: str, content: bytes) -> bool:
    """Write a blob that does not exist yet (`If-None-Match: *`), and return whether it was written."""
    settings = ContentSettings(content_type="application/json")
    try:
        container.upload_blob(path, content, overwrite=False, content_settings=settings)
    except ResourceExistsError:
        return False
    return True
