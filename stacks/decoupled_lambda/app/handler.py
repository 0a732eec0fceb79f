"""The function's entry point: scoring with SageMaker and DynamoDB behind it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from scoring import process

__all__ = ["Endpoint", "Table", "handle"]

CONNECT_SECONDS = 2
"""The longest that it may take to connect to the model."""

TABLE_SECONDS = 3
"""The longest that a call to the table may take, one second of which to connect."""


class Context(Protocol):
    """What Lambda says of a run."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the run is broken off."""


@dataclass(frozen=True)
class Endpoint:
    """A model behind a SageMaker endpoint."""

    client: Any
    name: str

    def predict(self, features: Mapping[str, Any]) -> Any:
        """Return the endpoint's answer."""
        answer = self.client.invoke_endpoint(
            EndpointName=self.name,
            ContentType="application/json",
            Accept="application/json",
            Body=json.dumps(features, allow_nan=False).encode(),
        )
        return json.loads(answer["Body"].read())


@dataclass(frozen=True)
class Table:
    """Results in a DynamoDB table."""

    client: Any
    name: str
    ttl_seconds: int

    def contains(self, request_id: str) -> bool:
        """Return whether the request has a result that has not expired. DynamoDB deletes expired items days later."""
        answer = self.client.get_item(
            TableName=self.name,
            Key={"request_id": {"S": request_id}},
            ProjectionExpression="expires_at",
            ConsistentRead=True,
        )
        return "Item" in answer and int(answer["Item"]["expires_at"]["N"]) > time.time()

    def add(self, request_id: str, prediction: Any) -> bool:
        """Keep a result unless the request has one that has not expired, and return whether it was kept."""
        now = int(time.time())
        try:
            self.client.put_item(
                TableName=self.name,
                Item={
                    "request_id": {"S": request_id},
                    "prediction": {"S": json.dumps(prediction, allow_nan=False)},
                    "expires_at": {"N": str(now + self.ttl_seconds)},
                },
                ConditionExpression="attribute_not_exists(request_id) OR expires_at <= :now",
                ExpressionAttributeValues={":now": {"N": str(now)}},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True


@cache
def _services() -> tuple[Endpoint, Table]:
    """Return the services, made once for all runs of this instance.

    The stack's settings promise that a batch of model calls fits in one run, so a call is not tried again here: the
    queue does that.
    """
    once = {"total_max_attempts": 1}
    runtime = boto3.client(
        "sagemaker-runtime",
        config=Config(connect_timeout=CONNECT_SECONDS, read_timeout=_model_seconds(), retries=once),
    )
    dynamodb = boto3.client(
        "dynamodb",
        config=Config(connect_timeout=1, read_timeout=TABLE_SECONDS - 1, retries=once),
    )
    return (
        Endpoint(runtime, os.environ["ENDPOINT_NAME"]),
        Table(dynamodb, os.environ["TABLE_NAME"], int(os.environ["RESULT_TTL_SECONDS"])),
    )


def _model_seconds() -> int:
    return int(os.environ["INFERENCE_TIMEOUT_SECONDS"])


def handle(event: Mapping[str, Any], context: Context) -> dict[str, list[dict[str, str]]]:
    """Answer a batch of queue messages."""
    model, results = _services()
    # A request is looked up, scored and kept.
    longest = TABLE_SECONDS + CONNECT_SECONDS + _model_seconds() + TABLE_SECONDS
    return process(event, model, results, lambda: context.get_remaining_time_in_millis() > longest * 1000)
