"""Turns a batch of queue messages into stored predictions, each request once."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["InvalidRequestError", "Model", "Request", "Results", "parse", "process"]

logger = logging.getLogger(__name__)
"""The function logs in JSON (its `LoggingConfig`): the runtime writes what `extra` holds as fields of the line."""

REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class InvalidRequestError(ValueError):
    """A message is not a request. It is tried again like any failure and ends as a dead letter."""


class OutOfTimeError(Exception):
    """The run would be broken off before the message is done."""


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
        InvalidRequestError: the body is not JSON, or a field is missing or of the wrong type. The message holds
            nothing of the body.
    """
    try:
        data = json.loads(body, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise InvalidRequestError(f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise InvalidRequestError("the body is nested too deeply") from error
    if not isinstance(data, dict):
        raise InvalidRequestError("the body is not a JSON object")
    request_id = data.get("request_id")
    if not isinstance(request_id, str) or REQUEST_ID.fullmatch(request_id) is None:
        raise InvalidRequestError(f"request_id must be text that matches {REQUEST_ID.pattern}")
    features = data.get("features")
    if not isinstance(features, dict) or not features:
        raise InvalidRequestError("features must be an object with at least one member")
    return Request(request_id, features)


def process(
    event: Mapping[str, Any],
    model: Model,
    results: Results,
    has_time: Callable[[], bool] = lambda: True,
) -> dict[str, list[dict[str, str]]]:
    """Score every message of an SQS event and return those that failed, in the form that Lambda expects.

    SQS delivers a message at least once. A request that has a result already is not scored again; when two runs
    score one request at the same time, the first result stays. Messages that there is no more time for are handed
    back untouched: a run that is broken off would hand back those that it had finished, too.
    """
    failed = []
    for record in event["Records"]:
        fields = _fields(record)
        try:
            if not has_time():
                raise OutOfTimeError("no time is left in this run")
            _score(parse(record["body"]), model, results, fields)
        except Exception as error:
            # One bad message must not fail its batch. The queue delivers it again, then moves it aside.
            if isinstance(error, (InvalidRequestError, OutOfTimeError)):
                logger.warning("message handed back", extra=fields | {"reason": str(error)})
            else:
                logger.exception("message failed", extra=fields)
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}


def _score(request: Request, model: Model, results: Results, fields: Mapping[str, str]) -> None:
    extra = {**fields, "request_id": request.request_id}
    if results.contains(request.request_id):
        logger.info("request has a result already", extra=extra)
        return
    kept = results.add(request.request_id, model.predict(request.features))
    logger.info("request scored" if kept else "another run was first", extra=extra)


def _fields(record: Mapping[str, Any]) -> dict[str, str]:
    """Return what identifies a message, and how often it has been delivered: the last time, it is a dead letter."""
    deliveries = record.get("attributes", {}).get("ApproximateReceiveCount", "unknown")
    return {"message_id": record["messageId"], "deliveries": str(deliveries)}


def _refuse_constant(name: str) -> None:
    """Refuse NaN and Infinity, which Python reads and JSON does not know."""
    raise InvalidRequestError(f"the body is not JSON: it holds {name}")
