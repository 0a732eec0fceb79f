"""What a request looks like in the queue."""

from __future__ import annotations

import re
from typing import Any

from azure.servicebus import ServiceBusMessage
from errors import InvalidRequestError
from request import RetrainingRequest

__all__ = ["body", "message_of", "request_id", "resubmission_of", "resubmissions"]

REQUEST_ID = "request_id"
"""Property that keeps the request's id when a resubmission needs a message id of its own."""
RESUBMISSIONS = "resubmissions"
"""Property that says how often the request was a dead letter and was sent again."""

LEFT_BEHIND = ("DeadLetterReason", "DeadLetterErrorDescription")
"""Properties that Service Bus gives a dead letter, which are not true of its resubmission."""

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
SUBJECT = "retraining-request"


def message_of(request: RetrainingRequest) -> Any:
    """Return the request as a message. The queue drops a message whose id it has seen a moment ago."""
    return ServiceBusMessage(
        request.to_json(),
        message_id=request.request_id,
        subject=SUBJECT,
        content_type="application/json",
        application_properties={REQUEST_ID: request.request_id, RESUBMISSIONS: 0},
    )


def resubmission_of(message: Any) -> Any:
    """Return a dead letter as a new message.

    Its message id is new, as the queue would drop the old one; by its request id the workers know it again. Who
    resubmits the same dead letter twice gives both messages the same id, and the queue drops one.

    Raises:
        InvalidRequestError: the dead letter has no id by which the workers could know it.
    """
    identity, count = request_id(message), resubmissions(message) + 1
    properties: dict[Any, Any] = {**_properties(message), REQUEST_ID: identity, RESUBMISSIONS: count}
    for name in LEFT_BEHIND:
        properties.pop(name, None)
    return ServiceBusMessage(
        body(message),
        message_id=f"{identity}.r{count}",
        subject=message.subject,
        content_type=message.content_type,
        correlation_id=message.correlation_id,
        application_properties=properties,
    )


def request_id(message: Any) -> str:
    """Return the id by which a received message's request is known.

    Raises:
        InvalidRequestError: there is none, or it cannot name a blob.
    """
    identity = _properties(message).get(REQUEST_ID, message.message_id)
    if not isinstance(identity, str) or ID.fullmatch(identity) is None:
        raise InvalidRequestError(f"the message id must match {ID.pattern}")
    return identity


def resubmissions(message: Any) -> int:
    """Return how often a received message's request was sent again."""
    count = _properties(message).get(RESUBMISSIONS, 0)
    return count if isinstance(count, int) else 0


def body(message: Any) -> bytes:
    """Return a received message's body. The client hands it over in parts, and as other types to other senders."""
    content = message.body
    try:
        return content if isinstance(content, bytes) else b"".join(content)
    except TypeError as error:
        raise InvalidRequestError("the body is not binary data") from error


def _properties(message: Any) -> dict[str, Any]:
    """Return the properties of a received message, whose keys and text values the client leaves as bytes."""
    return {_text(key): _text(value) for key, value in (message.application_properties or {}).items()}


def _text(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
