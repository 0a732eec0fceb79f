"""Training: linear regression with a ridge penalty, in plain Python."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from errors import UnusableDatasetError

__all__ = ["Checkpoint", "LinearTrainer", "TrainedModel", "Trainer"]

Checkpoint = Callable[[], None]
"""Called now and then by whatever takes long; it raises when the work must end."""

ROWS_PER_CHECKPOINT = 1000
HOLDOUT = 5
"""Every fifth row measures the model and is not trained on."""
MIN_ROWS = 10
MAX_FEATURES = 200
MAX_VALUE = 1e100
"""Sums of squares of larger numbers leave the range of floats."""


@dataclass(frozen=True)
class TrainedModel:
    """A linear model: the prediction is `intercept` plus each feature times its weight."""

    weights: dict[str, float]
    intercept: float
    rows: int
    """Rows that it was trained on."""
    rmse: float
    """Root mean square error on the rows that were held out."""
    baseline_rmse: float
    """The same error of always predicting the mean."""


class Trainer(Protocol):
    """What makes a model of a dataset."""

    def train(self, dataset: str, *, target: str, penalty: float, checkpoint: Checkpoint) -> TrainedModel:
        """Return the model.

        Raises:
            UnusableDatasetError: no model can be made of the dataset.
        """


class LinearTrainer:
    """Fits a numeric CSV with a header by least squares with a ridge penalty on the standardised weights."""

    def train(self, dataset: str, *, target: str, penalty: float, checkpoint: Checkpoint) -> TrainedModel:
        """Return the model. The same dataset gives the same model.

        Raises:
            UnusableDatasetError: no model can be made of the dataset.
        """
        features, rows, targets = _read(dataset, target, checkpoint)
        held_out = range(0, len(rows), HOLDOUT)
        kept = [index for index in range(len(rows)) if index % HOLDOUT]
        means = [_mean(rows[index][column] for index in kept) for column in range(len(features))]
        scales = [_spread([rows[index][column] for index in kept]) for column in range(len(features))]
        middle = _mean(targets[index] for index in kept)
        matrix = [[0.0] * len(features) for _ in features]
        vector = [0.0] * len(features)
        for count, index in enumerate(kept):
            if count % ROWS_PER_CHECKPOINT == 0:
                checkpoint()
            standard = [(value - mean) / scale for value, mean, scale in zip(rows[index], means, scales, strict=True)]
            for i, value in enumerate(standard):
                vector[i] += value * (targets[index] - middle)
                line = matrix[i]
                for j in range(i + 1):
                    line[j] += value * standard[j]
        for i in range(len(features)):
            matrix[i][i] += penalty
            for j in range(i):
                matrix[j][i] = matrix[i][j]
        weights = [weight / scale for weight, scale in zip(_solve(matrix, vector), scales, strict=True)]
        intercept = middle - _dot(weights, means)
        errors = [targets[index] - intercept - _dot(weights, rows[index]) for index in held_out]
        model = TrainedModel(
            weights=dict(zip(features, weights, strict=True)),
            intercept=intercept,
            rows=len(kept),
            rmse=_root_mean_square(errors),
            baseline_rmse=_root_mean_square([targets[index] - middle for index in held_out]),
        )
        if not all(map(math.isfinite, [*weights, model.intercept, model.rmse])):
            raise UnusableDatasetError("the numbers differ too much in size")
        return model


def _read(dataset: str, target: str, checkpoint: Checkpoint) -> tuple[list[str], list[list[float]], list[float]]:
    """Return the names of the features, their values by row, and the target's values."""
    reader = csv.reader(io.StringIO(dataset))
    header = next(reader, [])
    if target not in header or len(set(header)) != len(header):
        raise UnusableDatasetError(f"the header must name each column once, and the target {target} among them")
    if not 2 <= len(header) <= MAX_FEATURES + 1:
        raise UnusableDatasetError(f"there must be 1 to {MAX_FEATURES} features, not {len(header) - 1}")
    position = header.index(target)
    rows, targets = [], []
    for number, line in enumerate(reader, start=2):
        if number % ROWS_PER_CHECKPOINT == 0:
            checkpoint()
        values = _numbers(line, number, len(header))
        targets.append(values.pop(position))
        rows.append(values)
    if len(rows) < MIN_ROWS:
        raise UnusableDatasetError(f"there must be at least {MIN_ROWS} rows, not {len(rows)}")
    header.pop(position)
    return header, rows, targets


def _numbers(line: Sequence[str], number: int, columns: int) -> list[float]:
    try:
        values = [float(text) for text in line]
    except ValueError:
        values = []
    if len(values) != columns or not all(abs(value) <= MAX_VALUE for value in values):  # which NaN is not
        raise UnusableDatasetError(f"line {number} must be {columns} numbers from {-MAX_VALUE:g} to {MAX_VALUE:g}")
    return values


def _dot(left: Iterable[float], right: Iterable[float]) -> float:
    return math.fsum(a * b for a, b in zip(left, right, strict=True))


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return math.fsum(numbers) / len(numbers)


def _spread(values: Sequence[float]) -> float:
    """Return the standard deviation, or 1 where all values are the same and any weight would do."""
    mean = _mean(values)
    return math.sqrt(_mean((value - mean) ** 2 for value in values)) or 1.0


def _root_mean_square(values: Sequence[float]) -> float:
    return math.sqrt(_mean(value * value for value in values))


def _solve(matrix: list[list[float]], vector: list[float]) -> list[float]:
    """Solve a symmetric system by elimination with pivoting."""
    rows = [[*line, value] for line, value in zip(matrix, vector, strict=True)]
    size = len(rows)
    largest = max(abs(value) for line in matrix for value in line)
    for column in range(size):
        pivot = max(range(column, size), key=lambda row: abs(rows[row][column]))
        if abs(rows[pivot][column]) <= largest * 1e-12:
            raise UnusableDatasetError("the features depend on one another; ask for a penalty above 0")
        rows[column], rows[pivot] = rows[pivot], rows[column]
        for row in range(column + 1, size):
            factor = rows[row][column] / rows[column][column]
            for place in range(column, size + 1):
                rows[row][place] -= factor * rows[column][place]
    solution = [0.0] * size
    for row in reversed(range(size)):
        known = math.fsum(rows[row][place] * solution[place] for place in range(row + 1, size))
        solution[row] = (rows[row][size] - known) / rows[row][row]
    return solution
