"""What can be wrong with a request for good. Anything else that fails is tried again."""

from __future__ import annotations

from typing import ClassVar

__all__ = ["DatasetNotFoundError", "InvalidRequestError", "PoisonError", "TrainingTimeoutError", "UnusableDatasetError"]


class PoisonError(Exception):
    """Another attempt would fail the same way: the message becomes a dead letter with this reason."""

    reason: ClassVar[str]


class InvalidRequestError(PoisonError):
    """The message is not a request."""

    reason = "InvalidRequest"


class DatasetNotFoundError(PoisonError):
    """There is no such dataset."""

    reason = "DatasetNotFound"


class UnusableDatasetError(PoisonError):
    """No model can be made of the dataset."""

    reason = "UnusableDataset"


class TrainingTimeoutError(PoisonError):
    """Training takes longer than it may."""

    reason = "TrainingTimeout"
