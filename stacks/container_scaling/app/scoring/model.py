"""A logistic regression that is read from a file, and what it may be asked."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["MAX_INSTANCES", "InvalidRequestError", "Model"]

MAX_INSTANCES = 256
"""Instances of one request. More would keep the others waiting."""


class InvalidRequestError(ValueError):
    """The caller asks for something that cannot be scored. The message is for the caller."""


@dataclass(frozen=True)
class Model:
    """Weights of the features, each of which an instance must have."""

    version: str
    bias: float
    weights: Mapping[str, float]

    @classmethod
    def load(cls, path: Path) -> Model:
        """Return the model in a file.

        Raises:
            OSError, ValueError, KeyError: the file cannot be read or holds no model.
        """
        data = json.loads(path.read_text(encoding="utf-8"))
        weights = {str(name): float(weight) for name, weight in data["weights"].items()}
        model = cls(str(data["version"]), float(data["bias"]), weights)
        if not weights or not all(map(math.isfinite, [model.bias, *weights.values()])):
            raise ValueError(f"{path} holds no model: it needs weights, and all of them finite")
        return model

    def answer(self, body: bytes) -> dict[str, Any]:
        """Return the scores that a request's body asks for, in its order.

        Raises:
            InvalidRequestError: the body is not `{"instances": [{feature: number, …}, …]}` with the model's features.
        """
        instances = self._instances(body)
        return {"model": self.version, "scores": [self._score(instance) for instance in instances]}

    def _instances(self, body: bytes) -> list[Mapping[str, float]]:
        try:
            data = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise InvalidRequestError("the body is not JSON") from error
        instances = data.get("instances") if isinstance(data, dict) else None
        if not isinstance(instances, list) or not 1 <= len(instances) <= MAX_INSTANCES:
            raise InvalidRequestError(f"instances must be a list of 1 to {MAX_INSTANCES} objects")
        for index, instance in enumerate(instances):
            self._check(index, instance)
        return instances

    def _check(self, index: int, instance: Any) -> None:
        if not isinstance(instance, dict) or instance.keys() != self.weights.keys():
            raise InvalidRequestError(f"instance {index} must have exactly the features {', '.join(self.weights)}")
        for name, value in instance.items():
            # A bool is an int to Python, and a number too large for a float is not one to the model.
            if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1e15:
                raise InvalidRequestError(f"instance {index}: {name} must be a number from -1e15 to 1e15")

    def _score(self, instance: Mapping[str, float]) -> float:
        total = self.bias + sum(weight * instance[name] for name, weight in self.weights.items())
        # Two forms of one function: neither overflows on its own side.
        return 1 / (1 + math.exp(-total)) if total >= 0 else math.exp(total) / (1 + math.exp(total))
