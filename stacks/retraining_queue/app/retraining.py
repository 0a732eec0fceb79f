"""Handles a request: each is trained once, however often it is delivered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from request import RetrainingRequest
from training import Checkpoint, Trainer

__all__ = ["Datasets", "Ledger", "Models", "Retrainer"]


class Datasets(Protocol):
    """Where datasets come from."""

    def read(self, path: str) -> str:
        """Return a dataset's text.

        Raises:
            DatasetNotFoundError: there is none.
            UnusableDatasetError: it is too large, or no text.
        """


class Models(Protocol):
    """Where models go."""

    def save(self, path: str, artefact: bytes) -> None:
        """Keep an artefact, unless the path has one."""


class Ledger(Protocol):
    """What remembers handled requests."""

    def find(self, request_id: str) -> Mapping[str, Any] | None:
        """Return what was noted when the request was handled, or None when it was not."""

    def add(self, request_id: str, entry: Mapping[str, Any]) -> bool:
        """Note that the request was handled, and return False when somebody else noted it before."""


@dataclass(frozen=True)
class Retrainer:
    """Trains what requests ask for."""

    datasets: Datasets
    models: Models
    ledger: Ledger
    trainer: Trainer

    def retrain(self, request_id: str, request: RetrainingRequest, checkpoint: Checkpoint) -> str | None:
        """Train and keep the model, and return its path; return None when the request was handled before.

        The ledger is written last. Who is stopped before that leaves a model that the next attempt makes again and
        finds there. Two workers at once make the same model, and one of them notes it.

        Raises:
            PoisonError: another attempt would fail the same way.
        """
        if self.ledger.find(request_id) is not None:
            return None
        dataset = self.datasets.read(request.dataset)
        checkpoint()
        model = self.trainer.train(dataset, target=request.target, penalty=request.penalty, checkpoint=checkpoint)
        path = f"{request.model}/{request_id}.json"
        artefact = {"request_id": request_id, "request": asdict(request), "model": asdict(model)}
        checkpoint()
        self.models.save(path, json.dumps(artefact, allow_nan=False).encode())
        self.ledger.add(request_id, {"model": path, "rmse": model.rmse, "rows": model.rows})
        return path
