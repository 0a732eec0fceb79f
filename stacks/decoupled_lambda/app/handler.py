"""The function's entry point: scoring with SageMaker and DynamoDB behind it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3  # type: ignore[import-not-found,import-untyped,unused-ignore]
from botocore.config import Config  # type: ignore[import-not-found,import-untyped,unused-ignore]
from botocore.exceptions import ClientError  # type: ignore[import-not-found,import-untyped,unused-ignore]
from scoring import process

__all__ = ["Endpoint", "Table", "handle"]


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
        """Return whether the request has a result."""
        answer = self.client.get_item(
            TableName=self.name,
            Key={"request_id": {"S": request_id}},
            ProjectionExpression="request_id",
            ConsistentRead=True,
        )
        return "Item" in answer

    def add(self, request_id: str, prediction: Any) -> bool:
        """Keep a result unless the request has one, and return whether it was kept."""
        try:
            self.client.put_item(
                TableName=self.name,
                Item={
                    "request_id": {"S": request_id},
                    "prediction": {"S": json.dumps(prediction, allow_nan=False)},
                    "expires_at": {"N": str(int(time.time()) + self.ttl_seconds)},
                },
                ConditionExpression="attribute_not_exists(request_id)",
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
    model_timeout = int(os.environ["INFERENCE_TIMEOUT_SECONDS"])
    runtime = boto3.client(
        "sagemaker-runtime",
        config=Config(connect_timeout=2, read_timeout=model_timeout, retries=once),
    )
    dynamodb = boto3.client("dynamodb", config=Config(connect_timeout=1, read_timeout=2, retries=once))
    return (
        Endpoint(runtime, os.environ["ENDPOINT_NAME"]),
        Table(dynamodb, os.environ["TABLE_NAME"], int(os.environ["RESULT_TTL_SECONDS"])),
    )


def handle(event: Mapping[str, Any], _: object) -> dict[str, list[dict[str, str]]]:
    """Answer a batch of queue messages."""
    model, results = _services()
    return process(event, model, results)
