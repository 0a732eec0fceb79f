"""The producer: asks for a model to be retrained, now or later."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import clients
from errors import InvalidRequestError
from json_logs import configure_logs
from messages import message_of
from request import RetrainingRequest

__all__ = ["main", "send"]

logger = logging.getLogger(__name__)

MAX_DELAY = timedelta(days=30)


def send(sender: Any, request: RetrainingRequest, at: datetime | None = None) -> int | None:
    """Put a request into the queue, or plan to at a time.

    Sending the same request twice does no harm: the queue drops the second one, or the workers find it handled.

    Args:
        sender: an `azure.servicebus.ServiceBusSender`.
        request: what is asked for.
        at: with a time zone; in the next 30 days.

    Returns:
        The number by which a planned request can be cancelled.

    Raises:
        InvalidRequestError: the time is out of bounds.
    """
    message = message_of(request)
    fields = {"request_id": request.request_id, "model": request.model, "dataset": request.dataset}
    if at is None:
        sender.send_messages(message)
        logger.info("sent", extra={"fields": fields})
        return None
    if at.tzinfo is None:
        raise InvalidRequestError("the time must have a time zone")
    if not timedelta(0) < at - datetime.now(UTC) <= MAX_DELAY:
        raise InvalidRequestError(f"the time must be in the next {MAX_DELAY.days} days")
    (number,) = sender.schedule_messages(message, at.astimezone(UTC))
    logger.info("scheduled", extra={"fields": fields | {"at": at, "sequence_number": number}})
    return int(number)


def main(arguments: Sequence[str] | None = None) -> int:
    """Send what the command line asks for. Exit code 2 says that it asks for nothing that can be."""
    parser = argparse.ArgumentParser(prog="producer", description=__doc__)
    parser.add_argument("--model", required=True, help="name of the model")
    parser.add_argument("--dataset", required=True, help="path of a CSV file in the container of datasets")
    parser.add_argument("--target", required=True, help="column to predict")
    parser.add_argument("--penalty", type=float, default=1.0, help="strength of the ridge penalty")
    parser.add_argument("--reason", default="", help="why the model is retrained")
    parser.add_argument("--at", type=datetime.fromisoformat, help="when, for example 2026-01-31T02:00:00+00:00")
    options = vars(parser.parse_args(arguments))
    configure_logs()
    at = options.pop("at")
    try:
        request = RetrainingRequest(**options)
        with clients.service_bus() as bus, bus.get_queue_sender(os.environ["QUEUE_NAME"]) as sender:
            send(sender, request, at)
    except InvalidRequestError as error:
        logger.error("invalid request: %s", error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
