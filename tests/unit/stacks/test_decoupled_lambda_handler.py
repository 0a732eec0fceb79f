"""The function's entry point against the real client, whose answers are stubbed and whose requests are checked."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber

from tests.unit.stacks.loading import load

LOOK_UP = {
    "TableName": "results",
    "Key": {"request_id": {"S": "a"}},
    "ProjectionExpression": "request_id",
    "ConsistentRead": True,
}
ASK = {
    "EndpointName": "model",
    "ContentType": "application/json",
    "Accept": "application/json",
    "Body": b'{"x": 1}',
}
PUT = ("TableName", "Item", "ConditionExpression")
EVENT = {"Records": [{"messageId": "m1", "body": '{"request_id": "a", "features": {"x": 1}}'}]}


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
    condition = "attribute_not_exists(request_id)"
    results.add_response("put_item", {}, {"TableName": "results", "Item": item, "ConditionExpression": condition})

    assert handler.handle(EVENT, None) == {"batchItemFailures": []}


def test_a_request_with_a_result_is_not_scored(function: tuple[Any, Stubber, Stubber]) -> None:
    handler, _, results = function
    results.add_response("get_item", {"Item": {"request_id": {"S": "a"}}}, LOOK_UP)

    assert handler.handle(EVENT, None) == {"batchItemFailures": []}


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

    assert {"batchItemFailures": failures} == handler.handle(EVENT, None)


@pytest.mark.parametrize("body", [b"not json", b"NaN"])
def test_an_answer_that_is_not_json_fails_the_message(function: tuple[Any, Stubber, Stubber], body: bytes) -> None:
    handler, model, results = function
    results.add_response("get_item", {}, LOOK_UP)
    model.add_response("invoke_endpoint", answer(body), ASK)

    assert handler.handle(EVENT, None) == {"batchItemFailures": [{"itemIdentifier": "m1"}]}


def test_an_endpoint_that_fails_is_not_hidden(function: tuple[Any, Stubber, Stubber]) -> None:
    handler, model, _ = function
    model.add_client_error("invoke_endpoint", "ModelError", http_status_code=424)
    endpoint, _ = handler._services()
    with pytest.raises(ClientError, match="ModelError"):
        endpoint.predict({"x": 1})


def test_a_call_waits_as_long_as_the_settings_say_and_once(function: tuple[Any, Stubber, Stubber]) -> None:
    handler, _, _ = function
    config = handler._services()[0].client.meta.config

    assert (config.read_timeout, config.retries["total_max_attempts"]) == (7, 1)
