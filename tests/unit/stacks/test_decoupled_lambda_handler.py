"""The function's entry point against the real client, whose answers are stubbed and whose requests are checked."""

from __future__ import annotations

import io
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber

from tests.unit.stacks.loading import STACKS, load

LOOK_UP = {
    "TableName": "results",
    "Key": {"request_id": {"S": "a"}},
    "ProjectionExpression": "expires_at",
    "ConsistentRead": True,
}
ASK = {
    "EndpointName": "model",
    "ContentType": "application/json",
    "Accept": "application/json",
    "Body": b'{"x": 1}',
}
PUT = ("TableName", "Item", "ConditionExpression", "ExpressionAttributeValues")
CONDITION = {
    "ConditionExpression": "attribute_not_exists(request_id) OR expires_at <= :now",
    "ExpressionAttributeValues": {":now": {"N": "1000"}},
}
EVENT = {"Records": [{"messageId": "m1", "body": '{"request_id": "a", "features": {"x": 1}}'}]}


class Context:
    """What Lambda says of a run, and how many times it was asked."""

    def __init__(self, *milliseconds: int) -> None:
        self.left = list(milliseconds)

    def get_remaining_time_in_millis(self) -> int:
        return self.left.pop(0)


PLENTY = 60_000


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Stubber, Stubber]]:
    for name, value in {
        "ENDPOINT_NAME": "model",
        "TABLE_NAME": "results",
        "RESULT_TTL_SECONDS": "60",
        "INFERENCE_TIMEOUT_SECONDS": "7",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }.items():
        monkeypatch.setenv(name, value)
    (handler,) = load("decoupled_lambda", "handler")
    handler._services.cache_clear()
    monkeypatch.setattr(handler.time, "time", lambda: 1000.9)
    endpoint, table = handler._services()
    with Stubber(endpoint.client) as model, Stubber(table.client) as results:
        yield handler, model, results
        model.assert_no_pending_responses()
        results.assert_no_pending_responses()


def answer(body: bytes) -> dict[str, Any]:
    return {"Body": StreamingBody(io.BytesIO(body), len(body))}


def test_a_request_is_scored_and_kept_with_its_end(function: tuple[Any, Stubber, Stubber]) -> None:
    handler, model, results = function
    results.add_response("get_item", {}, LOOK_UP)
    model.add_response("invoke_endpoint", answer(b'{"score": 0.5}'), ASK)
    item = {"request_id": {"S": "a"}, "prediction": {"S": '{"score": 0.5}'}, "expires_at": {"N": "1060"}}
    results.add_response("put_item", {}, {"TableName": "results", "Item": item, **CONDITION})

    assert handler.handle(EVENT, Context(PLENTY)) == {"batchItemFailures": []}


def test_a_request_with_a_result_is_not_scored(function: tuple[Any, Stubber, Stubber]) -> None:
    handler, _, results = function
    results.add_response("get_item", {"Item": {"expires_at": {"N": "1001"}}}, LOOK_UP)

    assert handler.handle(EVENT, Context(PLENTY)) == {"batchItemFailures": []}


def test_a_result_that_has_expired_and_is_still_there_is_replaced(function: tuple[Any, Stubber, Stubber]) -> None:
    handler, model, results = function
    results.add_response("get_item", {"Item": {"expires_at": {"N": "1000"}}}, LOOK_UP)
    model.add_response("invoke_endpoint", answer(b"2"), ASK)
    item = {"request_id": {"S": "a"}, "prediction": {"S": "2"}, "expires_at": {"N": "1060"}}
    results.add_response("put_item", {}, {"TableName": "results", "Item": item, **CONDITION})

    assert handler.handle(EVENT, Context(PLENTY)) == {"batchItemFailures": []}


@pytest.mark.parametrize(("left", "begun"), [(15_001, True), (15_000, False)])
def test_a_message_is_begun_while_there_is_time_to_end_it(
    function: tuple[Any, Stubber, Stubber], left: int, begun: bool
) -> None:
    """Two calls to the table of 3 s each, 2 s to connect to the model and the 7 s that it may take."""
    handler, _, results = function
    if begun:
        results.add_response("get_item", {"Item": {"expires_at": {"N": "1001"}}}, LOOK_UP)
    failures = [] if begun else [{"itemIdentifier": "m1"}]

    assert {"batchItemFailures": failures} == handler.handle(EVENT, Context(left))


def test_the_settings_leave_time_for_the_first_message(function: tuple[Any, Stubber, Stubber]) -> None:
    """A run of one message gets its own inference timeout and the overhead; two seconds of it to make the clients."""
    handler, _, _ = function
    (config,) = load("decoupled_lambda", "config")

    assert config.HANDLER_OVERHEAD_SECONDS >= 2 * handler.TABLE_SECONDS + handler.CONNECT_SECONDS + 2


@pytest.mark.parametrize(
    ("code", "failures"),
    [
        ("ConditionalCheckFailedException", []),
        ("ProvisionedThroughputExceededException", [{"itemIdentifier": "m1"}]),
    ],
)
def test_a_write_that_is_refused(function: tuple[Any, Stubber, Stubber], code: str, failures: list[Any]) -> None:
    handler, model, results = function
    results.add_response("get_item", {}, LOOK_UP)
    model.add_response("invoke_endpoint", answer(b"1"), ASK)
    results.add_client_error("put_item", code, expected_params=dict.fromkeys(PUT, ANY))

    assert {"batchItemFailures": failures} == handler.handle(EVENT, Context(PLENTY))


@pytest.mark.parametrize("body", [b"not json", b"NaN"])
def test_an_answer_that_is_not_json_fails_the_message(function: tuple[Any, Stubber, Stubber], body: bytes) -> None:
    handler, model, results = function
    results.add_response("get_item", {}, LOOK_UP)
    model.add_response("invoke_endpoint", answer(body), ASK)

    assert handler.handle(EVENT, Context(PLENTY)) == {"batchItemFailures": [{"itemIdentifier": "m1"}]}


def test_an_endpoint_that_fails_is_not_hidden(function: tuple[Any, Stubber, Stubber]) -> None:
    handler, model, _ = function
    model.add_client_error("invoke_endpoint", "ModelError", http_status_code=424)
    endpoint, _ = handler._services()
    with pytest.raises(ClientError, match="ModelError"):
        endpoint.predict({"x": 1})


def test_a_call_waits_as_long_as_the_settings_say_and_once(function: tuple[Any, Stubber, Stubber]) -> None:
    handler, _, _ = function
    model, table = (service.client.meta.config for service in handler._services())

    assert (model.connect_timeout, model.read_timeout) == (handler.CONNECT_SECONDS, 7)
    assert table.connect_timeout + table.read_timeout == handler.TABLE_SECONDS
    assert [config.retries["total_max_attempts"] for config in (model, table)] == [1, 1]


def test_requirements_are_pinned_and_are_the_tested_versions() -> None:
    lines = (STACKS / "decoupled_lambda" / "app" / "requirements.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))

    assert set(pins) == {"boto3", "botocore"}
    assert pins == {name: version(name) for name in pins}
