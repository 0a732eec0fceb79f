from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Mapping
from typing import Any

import pytest

from tests.unit.stacks.loading import load

request, training, retraining, errors = load("retraining_queue", "request", "training", "retraining", "errors")

BODY = {"model": "churn", "dataset": "churn/2026-01-31.csv", "target": "churned", "penalty": 0.5, "reason": "drift"}


def body(**changes: Any) -> bytes:
    return json.dumps({**BODY, **changes}).encode()


def never() -> None:
    """Let the work go on."""


def csv(rows: int, noise: float = 0.0) -> str:
    """Return a dataset of y = 1 + 3x + 2z."""
    numbers = random.Random(1)
    lines = ["x,y,z"]
    for _ in range(rows):
        x, z = numbers.uniform(-5, 5), numbers.uniform(0, 100)
        lines.append(f"{x},{1 + 3 * x + 2 * z + numbers.gauss(0, noise)},{z}")
    return "\n".join(lines) + "\n"


def fit(dataset: str, penalty: float = 0.0, checkpoint: Any = never) -> Any:
    return training.LinearTrainer().train(dataset, target="y", penalty=penalty, checkpoint=checkpoint)


# The request


def test_a_request_survives_the_queue() -> None:
    asked = request.RetrainingRequest(**BODY)

    assert asked == request.parse(asked.to_json())


def test_penalty_and_reason_may_be_left_out() -> None:
    asked = request.parse(b'{"model": "m", "dataset": "d.csv", "target": "t"}')

    assert (asked.penalty, asked.reason) == (1.0, "")


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"reason": "because"}, True),
        ({"model": "other"}, False),
        ({"dataset": "churn/other.csv"}, False),
        ({"target": "other"}, False),
        ({"penalty": 0.25}, False),
    ],
)
def test_the_id_is_that_of_the_model_asked_for(changes: dict[str, Any], same: bool) -> None:
    asked, other = request.RetrainingRequest(**BODY), request.RetrainingRequest(**{**BODY, **changes})

    assert same is (asked.request_id == other.request_id)


def test_the_id_is_the_same_in_every_process() -> None:
    whole = request.RetrainingRequest(model="m", dataset="d.csv", target="t", penalty=1)

    assert whole.request_id == request.RetrainingRequest(model="m", dataset="d.csv", target="t", penalty=1.0).request_id
    assert whole.request_id == "9d5bcbf3816db54d0e1eece6042c2b0d"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff", "the body is not JSON"),
        (b"{", "the body is not JSON"),
        (b"[" * 10_000, "the body is not JSON"),
        (b"[]", "the body is not a JSON object"),
        (b" " * (16 * 1024 + 1), "the body has more than 16384 bytes"),
        (b"{}", "missing 3 required keyword-only arguments: 'model', 'dataset', and 'target'"),
        (body(colour="red"), "got an unexpected keyword argument 'colour'"),
        (body(model="Churn"), "model must be text that matches"),
        (body(model=7), "model must be text that matches"),
        (body(model="a" * 64), "model must be text that matches"),
        (body(model="a\n"), "model must be text that matches"),
        (body(dataset="../secrets.csv"), "dataset must be text that matches"),
        (body(dataset="/churn.csv"), "dataset must be text that matches"),
        (body(dataset="churn.parquet"), "dataset must be text that matches"),
        (body(dataset="a" * 197 + ".csv"), "dataset must be text that matches"),
        (body(target="1st"), "target must be text that matches"),
        (body(penalty="1"), "penalty must be a number"),
        (body(penalty=True), "penalty must be a number"),
        (body(penalty=-0.1), "penalty must be from 0 to 1e+06"),
        (body(penalty=float("nan")), "penalty must be from 0 to 1e+06"),
        (body(penalty=float("inf")), "penalty must be from 0 to 1e+06"),
        (body(penalty=10**400), "penalty must be from 0 to 1e+06"),
        (body(reason="a" * 201), "reason must be text of at most 200 characters"),
        (body(reason=None), "reason must be text of at most 200 characters"),
    ],
)
def test_what_is_no_request_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(errors.InvalidRequestError) as caught:
        request.parse(content)

    assert str(caught.value).startswith(message)


# Training


def test_a_linear_relation_is_found() -> None:
    model = fit(csv(100))

    assert model.weights == {"x": pytest.approx(3), "z": pytest.approx(2)}
    assert model.intercept == pytest.approx(1)
    assert model.rows == 80
    assert model.rmse == pytest.approx(0, abs=1e-9)


def test_the_error_is_that_of_rows_not_trained_on() -> None:
    model = fit(csv(2000, noise=0.5))

    assert model.rmse == pytest.approx(0.5, rel=0.1)
    assert model.baseline_rmse > 50


def test_the_same_dataset_gives_the_same_model() -> None:
    assert fit(csv(200, noise=1)) == fit(csv(200, noise=1))


def test_a_penalty_shrinks_the_weights() -> None:
    loose, tight = fit(csv(100), penalty=0), fit(csv(100), penalty=1000)

    assert 0 < tight.weights["z"] < loose.weights["z"]


def test_a_feature_that_never_changes_has_no_weight_under_a_penalty() -> None:
    model = fit("x,c,y\n" + "".join(f"{x},7,{2 * x}\n" for x in range(20)), penalty=1e-9)

    assert model.weights == {"x": pytest.approx(2), "c": 0}


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("", "the header must name each column once, and the target y among them"),
        ("x,z\n1,2\n", "the header must name each column once, and the target y among them"),
        ("x,x,y\n1,2,3\n", "the header must name each column once, and the target y among them"),
        ("y\n1\n", "there must be 1 to 200 features, not 0"),
        (",".join(f"x{i}" for i in range(201)) + ",y\n", "there must be 1 to 200 features, not 201"),
        ("x,y\n1,2\n3\n", "line 3 must be 2 numbers from -1e+100 to 1e+100"),
        ("x,y\n1,2\n3,4,5\n", "line 3 must be 2 numbers from -1e+100 to 1e+100"),
        ("x,y\n1,two\n", "line 2 must be 2 numbers from -1e+100 to 1e+100"),
        ("x,y\n1,inf\n", "line 2 must be 2 numbers from -1e+100 to 1e+100"),
        ("x,y\n1e101,1\n", "line 2 must be 2 numbers from -1e+100 to 1e+100"),
        ("x,y\n1e100,0\n" + "".join(f"{x}e-160,{x}e98\n" for x in range(20)), "the numbers differ too much in size"),
        ("x,y\n1,nan\n", "line 2 must be 2 numbers from -1e+100 to 1e+100"),
        ("x,y\n" + "1,2\n" * 9, "there must be at least 10 rows, not 9"),
        (
            "x,z,y\n" + "".join(f"{x},{2 * x},{x}\n" for x in range(20)),
            "the features depend on one another; ask for a penalty above 0",
        ),
    ],
)
def test_an_unusable_dataset_is_refused(dataset: str, message: str) -> None:
    with pytest.raises(errors.UnusableDatasetError) as caught:
        fit(dataset)

    assert message == str(caught.value)


@pytest.mark.parametrize("allowed", [0, 1, 2, 3])
def test_training_can_be_stopped(allowed: int) -> None:
    calls = 0

    def checkpoint() -> None:
        nonlocal calls
        calls += 1
        if calls > allowed:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(csv(3000), checkpoint=checkpoint)


# The retrainer


class Datasets:
    def read(self, path: str) -> str:
        if path != BODY["dataset"]:
            raise errors.DatasetNotFoundError(path)
        return csv(50).replace("y", "churned")


class Store:
    """Models and ledger in memory; a name in `broken` cannot be written to."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.broken = False

    def find(self, name: str) -> Mapping[str, Any] | None:
        return self.kept.get(name)

    def add(self, name: str, content: Any) -> bool:
        if self.broken:
            raise ConnectionError(name)
        return self.kept.setdefault(name, content) is content

    save = add


class CountingTrainer:
    def __init__(self) -> None:
        self.trained = 0

    def train(self, dataset: str, **options: Any) -> Any:
        self.trained += 1
        return training.LinearTrainer().train(dataset, **options)


def retrainer() -> Any:
    return retraining.Retrainer(Datasets(), Store(), Store(), CountingTrainer())


def test_a_model_is_kept_with_what_it_was_made_of() -> None:
    worker, asked = retrainer(), request.RetrainingRequest(**BODY)
    path = worker.retrain("r1", asked, never)
    artefact = json.loads(worker.models.kept[path])

    assert path == "churn/r1.json"
    assert artefact["request"] == dataclasses.asdict(asked)
    assert set(artefact["model"]["weights"]) == {"x", "z"}
    assert set(worker.ledger.kept["r1"]) == {"model", "rmse", "rows"}
    assert worker.ledger.kept["r1"]["model"] == path


def test_a_request_is_trained_once() -> None:
    worker, asked = retrainer(), request.RetrainingRequest(**BODY)
    first, second = worker.retrain("r1", asked, never), worker.retrain("r1", asked, never)

    assert (first, second) == ("churn/r1.json", None)
    assert worker.trainer.trained == 1


def test_who_fails_before_the_ledger_is_written_trains_again_and_finds_the_model() -> None:
    worker, asked = retrainer(), request.RetrainingRequest(**BODY)
    worker.ledger.broken = True
    with pytest.raises(ConnectionError):
        worker.retrain("r1", asked, never)
    kept = dict(worker.models.kept)
    worker.ledger.broken = False

    assert worker.retrain("r1", asked, never) == "churn/r1.json"
    assert kept == worker.models.kept
    assert worker.trainer.trained == 2


def test_nothing_is_noted_of_a_model_that_could_not_be_kept() -> None:
    worker = retrainer()
    worker.models.broken = True
    with pytest.raises(ConnectionError):
        worker.retrain("r1", request.RetrainingRequest(**BODY), never)

    assert worker.ledger.kept == {}


def test_nothing_is_kept_of_work_that_is_stopped_after_training() -> None:
    worker = retrainer()

    def checkpoint() -> None:
        if worker.trainer.trained:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worker.retrain("r1", request.RetrainingRequest(**BODY), checkpoint)

    assert worker.models.kept == worker.ledger.kept == {}


def test_a_missing_dataset_is_said() -> None:
    with pytest.raises(errors.DatasetNotFoundError):
        retrainer().retrain("r1", request.RetrainingRequest(**{**BODY, "dataset": "none.csv"}), never)
