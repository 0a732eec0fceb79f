"""The resubmit tool: sends dead letters again, once what made them fail is mended."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import clients
from azure.servicebus import ServiceBusSubQueue
from azure.servicebus.exceptions import (
    MessageLockLostError,
)
from errors import InvalidRequestError
from json_logs import configure_logs
from messages import resubmission_of, resubmissions

__all__ = ["Resubmitter", "main"]

logger = logging.getLogger(__name__)

BATCH = 20
IDLE_SECONDS = 5.0


@dataclass
class Resubmitter:
    """Goes through the dead letters once and sends those again that are asked for."""

    dead_letters: Any
    """An `azure.servicebus.ServiceBusReceiver` of the dead letter queue, in peek-lock mode."""
    sender: Any
    """An `azure.servicebus.ServiceBusSender` of the queue."""
    reasons: Collection[str]
    """Why a message became a dead letter, for it to be sent again."""
    max_resubmissions: int
    """How often one request is sent again. Then it stays a dead letter."""
    limit: int
    """How many dead letters are looked at."""
    idle_seconds: float = IDLE_SECONDS
    seen: set[int] = field(default_factory=set, init=False)

    def preview(self) -> Counter[str]:
        """Return how many dead letters would be sent again and how many not, and change nothing."""
        outcomes: Counter[str] = Counter()
        start = 0
        while len(self.seen) < self.limit:
            messages = self.dead_letters.peek_messages(self._batch(), sequence_number=start)
            if not messages:
                break
            for message in messages:
                outcomes[self._decide(message)[0]] += 1
                start = message.sequence_number + 1
        return outcomes

    def resubmit(self) -> Counter[str]:
        """Send dead letters again, and return how many were sent and how many not.

        A dead letter is removed after it is sent. Should that fail, the next run sends it under the same message id.
        """
        outcomes: Counter[str] = Counter()
        kept = []
        again = False
        try:
            while len(self.seen) < self.limit and not again:
                messages = self.dead_letters.receive_messages(
                    max_message_count=self._batch(), max_wait_time=self.idle_seconds
                )
                if not messages:
                    break
                for message in messages:
                    if message.sequence_number in self.seen:  # its lock has ended, so all were looked at
                        again = True
                        kept.append(message)
                        continue
                    outcome, copy = self._decide(message)
                    outcomes[outcome] += 1
                    if copy is None:
                        kept.append(message)
                    else:
                        self.sender.send_messages(copy)
                        self._settle(self.dead_letters.complete_message, message)
        finally:
            # Given back at the end, or they would be the next to be received.
            for message in kept:
                self._settle(self.dead_letters.abandon_message, message)
        return outcomes

    def _settle(self, settle: Callable[[Any], None], message: Any) -> None:
        with suppress(MessageLockLostError):  # then it is back in the queue already
            settle(message)

    def _batch(self) -> int:
        return min(BATCH, self.limit - len(self.seen))

    def _decide(self, message: Any) -> tuple[str, Any]:
        """Return what becomes of a dead letter, and the message to send when it is to be sent."""
        self.seen.add(message.sequence_number)
        outcome, copy, detail = "other-reason", None, None
        if message.dead_letter_reason in self.reasons:
            try:
                copy = resubmission_of(message)
                outcome = "resubmitted"
            except InvalidRequestError as error:
                outcome, detail = "unusable", str(error)
        if copy is not None and resubmissions(message) >= self.max_resubmissions:
            outcome, copy = "too-often", None
        fields = {
            "message_id": message.message_id,
            "reason": message.dead_letter_reason,
            "description": message.dead_letter_error_description,
            "resubmissions": resubmissions(message),
            "detail": detail,
        }
        logger.info(outcome, extra={"fields": fields})
        return outcome, copy


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for, and say what was done."""
    parser = argparse.ArgumentParser(prog="resubmit", description=__doc__)
    parser.add_argument(
        "--reason",
        action="append",
        required=True,
        help="reason of the dead letters to send again, for example MaxDeliveryCountExceeded; may be given again",
    )
    parser.add_argument("--max-resubmissions", type=_count, default=3, help="how often one request is sent again")
    parser.add_argument("--limit", type=_count, default=100, help="how many dead letters to look at")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    options = parser.parse_args(arguments)
    configure_logs()
    queue = os.environ["QUEUE_NAME"]
    with (
        clients.service_bus() as bus,
        bus.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead_letters,
        bus.get_queue_sender(queue) as sender,
    ):
        tool = Resubmitter(dead_letters, sender, options.reason, options.max_resubmissions, options.limit)
        outcomes = tool.preview() if options.dry_run else tool.resubmit()
    logger.info("done", extra={"fields": {"dry_run": options.dry_run, **outcomes}})
    return 0


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 10_000:
        raise argparse.ArgumentTypeError("must be from 1 to 10000")
    return number


if __name__ == "__main__":
    sys.exit(main())
