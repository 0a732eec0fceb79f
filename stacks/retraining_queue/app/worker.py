"""The worker: takes requests from the queue until it has had its share, there is none, or it is told to stop."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import clients
from azure.servicebus import AutoLockRenewer
from azure.servicebus.exceptions import (
    MessageAlreadySettled,
    MessageLockLostError,
)
from blob_store import BlobDatasets, BlobLedger, BlobModels
from errors import PoisonError, TrainingTimeoutError
from json_logs import configure_logs
from messages import body, request_id
from request import parse
from retraining import Retrainer
from training import Checkpoint, LinearTrainer

__all__ = ["Worker", "main"]

logger = logging.getLogger(__name__)

IDLE_SECONDS = 5.0
"""How long to wait for another message. Shorter than the 30 seconds that a stopped container has to end."""
MAX_BACKOFF_SECONDS = 60.0
SETTLE_SECONDS = 30.0
"""How long the lock is renewed beyond training, to keep the model and settle the message."""
MAX_DESCRIPTION = 1000
"""Characters of a dead letter's description; the service takes 4096."""


class InterruptedWork(Exception):  # noqa: N818 (it is no fault of anything)
    """The work must end now, and the message is for somebody else."""


@dataclass
class Worker:
    """Handles messages one after the other, each under a lock that is renewed while it takes."""

    receiver: Any
    """An `azure.servicebus.ServiceBusReceiver` in peek-lock mode."""
    renewer: Any
    """An `azure.servicebus.AutoLockRenewer`."""
    retrainer: Retrainer
    max_messages: int
    training_seconds: float
    """Longest that one message may take."""
    stop: threading.Event = field(default_factory=threading.Event)
    """Set from outside, to end soon."""
    idle_seconds: float = IDLE_SECONDS
    clock: Callable[[], float] = time.monotonic

    def run(self) -> Counter[str]:
        """Handle messages, and return how many had which outcome."""
        outcomes: Counter[str] = Counter()
        while outcomes.total() < self.max_messages and not self.stop.is_set():
            messages = self.receiver.receive_messages(max_message_count=1, max_wait_time=self.idle_seconds)
            if not messages:
                break
            outcomes[self._handle(messages[0])] += 1
        logger.info("run ended", extra={"fields": {"stopped": self.stop.is_set(), **outcomes}})
        return outcomes

    def _handle(self, message: Any) -> str:
        """Handle one message and settle it, and return what became of it."""
        lost = threading.Event()
        deadline = self.clock() + self.training_seconds
        self.renewer.register(
            self.receiver,
            message,
            max_lock_renewal_duration=self.training_seconds + SETTLE_SECONDS,
            on_lock_renew_failure=lambda *_: lost.set(),
        )
        fields = {"message_id": message.message_id, "delivery": (message.delivery_count or 0) + 1}
        logger.info("received", extra={"fields": fields})
        try:
            path = self._work(message, self._checkpoint(lost, deadline))
        except PoisonError as error:
            fields |= {"reason": error.reason, "description": str(error)}
            return self._settle("dead-lettered", message, fields, error)
        except InterruptedWork as error:
            return self._settle("interrupted", message, fields | {"reason": str(error)})
        except Exception:
            # Nobody knows what it was: it may pass, and when it does not, the queue counts the deliveries.
            logger.warning("failed", exc_info=True, extra={"fields": fields})
            self._back_off(message, deadline)
            return self._settle("abandoned", message, fields)
        if path is None:
            return self._settle("duplicate", message, fields)
        return self._settle("trained", message, fields | {"model": path})

    def _work(self, message: Any, checkpoint: Checkpoint) -> str | None:
        checkpoint()
        return self.retrainer.retrain(request_id(message), parse(body(message)), checkpoint)

    def _checkpoint(self, lost: threading.Event, deadline: float) -> Checkpoint:
        def check() -> None:
            if self.stop.is_set():
                raise InterruptedWork("the worker is stopped")
            if lost.is_set():
                raise InterruptedWork("the lock is lost")
            if self.clock() > deadline:
                raise TrainingTimeoutError(f"training takes more than {self.training_seconds:g} seconds")

        return check

    def _back_off(self, message: Any, deadline: float) -> None:
        """Wait before the message is delivered again, or a short outage would use up all deliveries."""
        wished = min(2.0 ** (message.delivery_count or 0), MAX_BACKOFF_SECONDS)
        self.stop.wait(max(0.0, min(wished, deadline - self.clock())))

    def _settle(self, outcome: str, message: Any, fields: dict[str, Any], poison: PoisonError | None = None) -> str:
        try:
            if poison is not None:
                description = str(poison)[:MAX_DESCRIPTION]
                self.receiver.dead_letter_message(message, reason=poison.reason, error_description=description)
            elif outcome in ("trained", "duplicate"):
                self.receiver.complete_message(message)
            else:
                self.receiver.abandon_message(message)
        except (MessageLockLostError, MessageAlreadySettled):
            # Somebody else has the message. Whatever was done is in the ledger, where they find it.
            fields, outcome = fields | {"after": outcome}, "lock-lost"
        level = logging.WARNING if outcome in ("dead-lettered", "lock-lost") else logging.INFO
        logger.log(level, outcome, extra={"fields": fields})
        return outcome


def main() -> int:
    """Run until there is nothing to do. A queue that cannot be reached ends the process with an error."""
    configure_logs()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    retrainer = Retrainer(
        BlobDatasets(clients.container("DATASETS_URL")),
        BlobModels(clients.container("MODELS_URL")),
        BlobLedger(clients.container("LEDGER_URL")),
        LinearTrainer(),
    )
    with (
        clients.service_bus() as bus,
        bus.get_queue_receiver(os.environ["QUEUE_NAME"]) as receiver,
        AutoLockRenewer() as renewer,
    ):
        Worker(
            receiver,
            renewer,
            retrainer,
            max_messages=int(os.environ["MAX_MESSAGES"]),
            training_seconds=float(os.environ["TRAINING_SECONDS"]),
            stop=stop,
        ).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
