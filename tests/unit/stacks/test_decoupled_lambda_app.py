from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.unit.stacks.loading import load

(scoring,) = load("decoupled_lambda", "scoring")


class Model:
    """Answers with the sum of the features, and fails on request."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Any]] = []

    def predict(self, features: Mapping[str, Any]) -> Any:
        self.asked.append(features)
        if features.get("fail"):
            raise TimeoutError("the model does not answer")
        return {"score": sum(features.values())}


class Results:
    """Keeps results in memory. A request in `raced` gets a result from somebody else between look-up and write."""

    def __init__(self, raced: frozenset[str] = frozenset()) -> None:
        self.kept: dict[str, Any] = {}
        self.raced = raced

    def contains(self, request_id: str) -> bool:
        return request_id in self.kept

    def add(self, request_id: str, prediction: Any) -> bool:
        if request_id in self.raced:
            self.kept.setdefault(request_id, "theirs")
        if request_id in self.kept:
            return False
        self.kept[request_id] = prediction
        return True


def message(message_id: str, body: Any) -> dict[str, str]:
    return {"messageId": message_id, "body": body if isinstance(body, str) else json.dumps(body)}


def run(model: Model, results: Results, *messages: dict[str, str]) -> list[str]:
    answer = scoring.process({"Records": list(messages)}, model, results)
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_a_batch_is_scored_and_kept() -> None:
    results = Results()
    failed = run(
        Model(),
        results,
        message("m1", {"request_id": "a", "features": {"x": 1, "y": 2}}),
        message("m2", {"request_id": "b", "features": {"x": 5}}),
    )

    assert failed == []
    assert results.kept == {"a": {"score": 3}, "b": {"score": 5}}


def test_only_the_messages_that_failed_are_delivered_again() -> None:
    results = Results()
    failed = run(
        Model(),
        results,
        message("m1", "not json"),
        message("m2", {"request_id": "b", "features": {"x": 5}}),
        message("m3", {"request_id": "c", "features": {"fail": 1}}),
        message("m4", {"request_id": "d", "features": {"x": 1}}),
    )

    assert failed == ["m1", "m3"]
    assert results.kept == {"b": {"score": 5}, "d": {"score": 1}}


def test_a_message_delivered_twice_is_scored_once() -> None:
    model, results = Model(), Results()
    twice = message("m1", {"request_id": "a", "features": {"x": 1}})

    assert run(model, results, twice) == []
    assert run(model, results, twice) == []
    assert model.asked == [{"x": 1}]


def test_the_first_of_two_runs_at_the_same_time_wins() -> None:
    results = Results(raced=frozenset({"a"}))

    assert run(Model(), results, message("m1", {"request_id": "a", "features": {"x": 1}})) == []
    assert results.kept == {"a": "theirs"}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("", "the body is not JSON"),
        ("{", "the body is not JSON"),
        ("[]", "the body is not a JSON object"),
        ("{}", "request_id must be text"),
        ('{"request_id": 7, "features": {"x": 1}}', "request_id must be text"),
        ('{"request_id": "", "features": {"x": 1}}', "request_id must be text"),
        ('{"request_id": "a b", "features": {"x": 1}}', "request_id must be text"),
        (json.dumps({"request_id": "a" * 65, "features": {"x": 1}}), "request_id must be text"),
        ('{"request_id": "a"}', "features must be an object"),
        ('{"request_id": "a", "features": []}', "features must be an object"),
        ('{"request_id": "a", "features": {}}', "features must be an object"),
    ],
)
def test_what_is_not_a_request(body: str, told: str) -> None:
    with pytest.raises(scoring.InvalidRequestError, match=told):
        scoring.parse(body)


def test_the_longest_request_id() -> None:
    assert scoring.parse(json.dumps({"request_id": "a" * 64, "features": {"x": 1}})).request_id == "a" * 64


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('{"request_id": "a", "features": {"x": NaN}}', "it holds NaN"),
        ('{"request_id": "a", "features": {"x": -Infinity}}', "it holds -Infinity"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_python_would_read_and_json_does_not_know(body: str, told: str) -> None:
    with pytest.raises(scoring.InvalidRequestError, match=told):
        scoring.parse(body)


def test_messages_that_there_is_no_time_for_are_handed_back_untouched(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    model, results, answers = Model(), Results(), iter([True, False, False])
    records = [message(f"m{number}", {"request_id": f"r{number}", "features": {"x": number}}) for number in range(3)]
    answer = scoring.process({"Records": records}, model, results, lambda: next(answers))

    assert answer == {"batchItemFailures": [{"itemIdentifier": "m1"}, {"itemIdentifier": "m2"}]}
    assert model.asked == [{"x": 0}]
    assert [(record.message, getattr(record, "reason", None)) for record in caplog.records] == [
        ("request scored", None),
        ("message handed back", "no time is left in this run"),
        ("message handed back", "no time is left in this run"),
    ]


def test_a_failure_says_which_message_how_often_and_why(caplog: pytest.LogCaptureFixture) -> None:
    """The runtime writes these fields into the line of JSON."""
    poison = {**message("m1", "{}"), "attributes": {"ApproximateReceiveCount": "4"}}
    broken = {**message("m2", {"request_id": "b", "features": {"fail": 1}}), "attributes": {}}
    run(Model(), Results(), poison, broken)
    first, second = caplog.records

    assert (first.levelname, first.message_id, first.deliveries) == ("WARNING", "m1", "4")  # type: ignore[attr-defined]
    assert first.reason.startswith("request_id must be text")  # type: ignore[attr-defined]
    assert (second.levelname, second.message_id, second.deliveries) == ("ERROR", "m2", "unknown")  # type: ignore[attr-defined]
    assert second.exc_info is not None
    assert second.exc_info[0] is TimeoutError


def test_features_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    run(Model(), Results(), message("m1", {"request_id": "a", "features": {"x": 271828}}), message("m2", "{271828"))

    assert [record.message for record in caplog.records] == ["request scored", "message handed back"]
    assert not [record for record in caplog.records if "271828" in str(vars(record))]
