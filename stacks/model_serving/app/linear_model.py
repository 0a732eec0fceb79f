"""A logistic model that is a file of JSON: its numbers can be read, reviewed and compared."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Feature", "LinearModel", "ModelError", "Prediction", "load"]

FILE_NAME = "model.json"


class ModelError(Exception):
    """The model's folder does not hold a model. The deployment then never becomes ready."""


@dataclass(frozen=True)
class Feature:
    """One number that the model asks for."""

    name: str
    minimum: float
    maximum: float
    """The range that the model was trained on, and that inputs must be in."""
    mean: float
    deviation: float
    """Mean and standard deviation of the training data; the coefficient is for the standardised value."""
    coefficient: float


@dataclass(frozen=True)
class Prediction:
    """What the model says of one row."""

    score: float
    """Probability, 0 to 1."""
    label: bool


@dataclass(frozen=True)
class LinearModel:
    """A weighted sum of standardised features, as a probability."""

    name: str
    features: tuple[Feature, ...]
    intercept: float
    threshold: float
    """Probability from which on the label is true."""

    def predict(self, row: Mapping[str, float]) -> Prediction:
        """Return the prediction for one row, which has a finite number for each feature."""
        total = self.intercept + math.fsum(
            feature.coefficient * (row[feature.name] - feature.mean) / feature.deviation for feature in self.features
        )
        score = _logistic(total)
        return Prediction(score, score >= self.threshold)


def _logistic(value: float) -> float:
    """Return the logistic function, by the branch whose exponential cannot overflow."""
    if value >= 0:
        return 1 / (1 + math.exp(-value))
    power = math.exp(value)
    return power / (1 + power)


def load(folder: Path) -> LinearModel:
    """Return the model in a folder, or in one below: a model that was registered as a folder keeps the folder's name.

    Raises:
        ModelError: there is no such file or more than one, or it is no model.
    """
    found = sorted(folder.rglob(FILE_NAME))
    if len(found) != 1:
        raise ModelError(f"{folder} must hold one {FILE_NAME} and holds {len(found)}")
    try:
        return _model(json.loads(found[0].read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{found[0]} is no model: {type(error).__name__} {error}") from error


def _model(document: Any) -> LinearModel:
    features = tuple(_feature(entry) for entry in document["features"])
    if not features:
        raise ValueError("there are no features")
    if len({feature.name for feature in features}) != len(features):
        raise ValueError("two features have the same name")
    threshold = _number(document, "threshold")
    if not 0 < threshold < 1:
        raise ValueError(f"threshold is {threshold} and must be between 0 and 1")
    return LinearModel(_text(document, "name"), features, _number(document, "intercept"), threshold)


def _feature(entry: Any) -> Feature:
    keys: Sequence[str] = ("minimum", "maximum", "mean", "deviation", "coefficient")
    feature = Feature(_text(entry, "name"), *(_number(entry, key) for key in keys))
    if feature.minimum > feature.maximum:
        raise ValueError(f"minimum of {feature.name} is more than its maximum")
    if feature.deviation <= 0:
        raise ValueError(f"deviation of {feature.name} must be more than 0")
    return feature


def _text(document: Any, key: str) -> str:
    value = document[key]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} must be text")
    return value


def _number(document: Any, key: str) -> float:
    value = document[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{key} must be a finite number")
    return float(value)
