"""Turns a batch of queue messages into stored predictions, each request once."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["InvalidRequestError", "Model", "Request", "Results", "parse", "process"]

logger = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class InvalidRequestError(ValueError):
    """A message is not a request. It is tried again like any failure and ends as a dead letter."""


@dataclass(frozen=True)
class Request:
    """What a producer asks for."""

    request_id: str
    """Chosen by the producer; the same id is scored and kept once."""
    features: Mapping[str, Any]
    """What the model is given."""


class Model(Protocol):
    """What makes predictions."""

    def predict(self, features: Mapping[str, Any]) -> Any:
        """Return the model's answer, as JSON data."""


class Results(Protocol):
    """What keeps predictions."""

    def contains(self, request_id: str) -> bool:
        """Return whether the request has a result."""

    def add(self, request_id: str, prediction: Any) -> bool:
        """Keep a result unless the request has one, and return whether it was kept."""


def parse(body: str) -> Request:
    """Return the request in a message body.

    Raises:
        InvalidRequestError: the body is not JSON, or a field is missing or of the wrong type.
    """
    try:
        data = json.loads(body)
    except json.JSONDecodeError as error:
        raise InvalidRequestError(f"the body is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise InvalidRequestError("the body is not a JSON object")
    request_id = data.get("request_id")
    if not isinstance(request_id, str) or REQUEST_ID.fullmatch(request_id) is None:
        raise InvalidRequestError(f"request_id must be text that matches {REQUEST_ID.pattern}")
    features = data.get("features")
    if not isinstance(features, dict) or not features:
        raise InvalidRequestError("features must be an object with at least one member")
    return Request(request_id, features)


def process(event: Mapping[str, Any], model: Model, results: Results) -> dict[str, list[dict[str, str]]]:
    """Score every message of an SQS event and return those that failed, in the form that Lambda expects.

    SQS delivers a message at least once. A request that has a result already is not scored again; when two runs
    score one request at the same time, the first result stays.
    """
    failed = []
    for record in event["Records"]:
        message_id = record["messageId"]
        try:
            _score(parse(record["body"]), model, results)
        except Exception:
            # One bad message must not fail its batch. The queue delivers it again, then moves it aside.
            logger.exception("message failed", extra={"message_id": message_id})
            failed.append({"itemIdentifier": message_id})
    return {"batchItemFailures": failed}


def _score(request: Request, model: Model, results: Results) -> None:
    if results.contains(request.request_id):
        logger.info("request has a result already", extra={"request_id": request.request_id})
        return
    kept = results.add(request.request_id, model.predict(request.features))
    logger.info("request scored" if kept else "another run was first", extra={"request_id": request.request_id})
