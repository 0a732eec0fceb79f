"""Lambda's event source mappings of SQS queues.

It polls as the function's execution role, by SQS's own API. What makes a message stay in its queue is that it is not
deleted: it is visible again after the queue's visibility timeout, and SQS moves it to the dead-letter queue after
`maxReceiveCount` receives. Facts: Lambda developer guide, "Using Lambda with Amazon SQS" and "Handling errors for an
SQS event source in Lambda".
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from . import hooks
from .batch_response import failed_items
from .role import Clients, error_code

__all__ = ["Poller"]

LOG = logging.getLogger("ringfence")
LOOK_SECONDS = 0.1
"""How often it looks for new mappings."""

WAIT_SECONDS = 1
"""How long one receive waits for a message."""

PAUSE_SECONDS = 0.3
"""How long it waits after an error of SQS, or before it offers a batch again that was throttled."""

MOST_RECEIVED = 10
"""Messages that SQS gives at once."""

DEFAULT_CONCURRENCY = 5
"""Batches at once, with which Lambda begins."""


class Poller:
    """Runs a thread for each enabled mapping from a queue."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._running: dict[str, _Mapping] = {}
        self._stopped = threading.Event()

    def start(self) -> None:
        """Start to look for mappings."""
        threading.Thread(target=self._look, name="ringfence-poller", daemon=True).start()

    def _look(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            try:
                wanted = {
                    # Another concurrency is another set of threads; all else is read anew for each batch.
                    f"{mapping['UUID']} {mapping.get('ScalingConfig')}": (account, region, mapping)
                    for account, region, mapping in hooks.event_source_mappings()
                    if ":sqs:" in mapping.get("EventSourceArn", "") and mapping.get("Enabled", True)
                }
                for name in [name for name in self._running if name not in wanted]:
                    self._running.pop(name).stop()
                for name in [name for name in wanted if name not in self._running]:
                    self._running[name] = _Mapping(self._clients, *wanted[name])
            except Exception:
                LOG.exception("looking for event source mappings has failed")


class _Mapping:
    """One mapping, for as long as it is there and enabled."""

    def __init__(self, clients: Clients, account: str, region: str, mapping: dict[str, Any]) -> None:
        self._clients = clients
        self._account = account
        self._region = region
        self._mapping = mapping
        self._stopped = threading.Event()
        name = mapping["EventSourceArn"].rpartition(":")[2]
        with hooks.in_scope(account, region):
            self._url = hooks.queue_url(name)
        self._fifo = name.endswith(".fifo")
        self._free = threading.Semaphore(self._concurrency())
        self._pool = ThreadPoolExecutor(self._concurrency(), thread_name_prefix="ringfence-batch")
        threading.Thread(target=self._poll, name=f"ringfence-{name}", daemon=True).start()

    def stop(self) -> None:
        """Receive no more. Batches in hand are finished."""
        self._stopped.set()
        self._pool.shutdown(wait=False)

    def _concurrency(self) -> int:
        # A batch spans message groups, so two at once could hand out a group's messages in the wrong order.
        if self._fifo:
            return 1
        return int((self._mapping.get("ScalingConfig") or {}).get("MaximumConcurrency") or DEFAULT_CONCURRENCY)

    def _function(self) -> dict[str, Any] | None:
        with hooks.in_scope(self._account, self._region):
            return hooks.function(self._mapping["FunctionName"], self._mapping.get("Qualifier"))

    def _sqs(self, record: dict[str, Any]) -> Any:
        return self._clients.get("sqs", hooks.role_credentials(record.get("config") or record), self._region)

    def _poll(self) -> None:
        while not self._stopped.is_set():
            self._free.acquire()
            handed_over = False
            try:
                record = self._function()
                if record is None:
                    self._stopped.wait(PAUSE_SECONDS)
                    continue
                messages = self._receive(self._sqs(record))
                if messages:
                    self._pool.submit(self._handle, messages, time.monotonic())
                    handed_over = True
            except (ClientError, BotoCoreError) as error:
                code = error_code(error) if isinstance(error, ClientError) else type(error).__name__
                self._mapping["LastProcessingResult"] = f"PROBLEM: Lambda failed to poll the queue: {code}"
                self._stopped.wait(PAUSE_SECONDS)
            except Exception:
                LOG.exception("polling %s has failed", self._mapping["EventSourceArn"])
                self._stopped.wait(PAUSE_SECONDS)
            finally:
                if not handed_over:
                    self._free.release()

    def _receive(self, sqs: Any) -> list[dict[str, Any]]:
        """Return the next batch: as much as is there, or as much as comes within the batching window."""
        # Lambda decides by the queue's length how much to poll.
        sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["ApproximateNumberOfMessages"])
        size, window = int(self._mapping["BatchSize"]), float(self._mapping.get("MaximumBatchingWindowInSeconds") or 0)
        batch: list[dict[str, Any]] = []
        end = None
        while len(batch) < size and not self._stopped.is_set():
            left = WAIT_SECONDS if end is None else end - time.monotonic()
            if left <= 0:
                break
            found = sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=min(size - len(batch), MOST_RECEIVED),
                WaitTimeSeconds=0 if left < WAIT_SECONDS else WAIT_SECONDS,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            ).get("Messages", [])
            batch += found
            if end is None:
                if not found or window == 0:
                    break
                end = time.monotonic() + window
            elif not found:
                self._stopped.wait(min(left, 0.05))
        return batch

    def _handle(self, messages: list[dict[str, Any]], received: float) -> None:
        try:
            record = self._function()
            if record is not None:
                self._invoke(record, messages, received)
        except (ClientError, BotoCoreError) as error:
            LOG.warning("a batch of %s is not done: %s", self._mapping["EventSourceArn"], error)
        except Exception:
            LOG.exception("a batch of %s has failed", self._mapping["EventSourceArn"])
        finally:
            self._free.release()

    def _invoke(self, record: dict[str, Any], messages: list[dict[str, Any]], received: float) -> None:
        records = [self._record(message) for message in messages]
        kept = hooks.filter_records(records, self._mapping)
        done = {item["messageId"] for item in records} - {item["messageId"] for item in kept}
        if kept:
            done |= self._done(record, kept, received)
        handles = {message["MessageId"]: message["ReceiptHandle"] for message in messages}
        entries = [
            {"Id": str(number), "ReceiptHandle": handles[name]} for number, name in enumerate(handles) if name in done
        ]
        sqs = self._sqs(record)
        for start in range(0, len(entries), MOST_RECEIVED):
            sqs.delete_message_batch(QueueUrl=self._url, Entries=entries[start : start + MOST_RECEIVED])

    def _done(self, record: dict[str, Any], records: list[dict[str, Any]], received: float) -> set[str]:
        """Let the function handle the records, and return the ids of those that it has done."""
        # The messages are this poller's until they are visible again; so long it offers them to a busy function.
        with hooks.in_scope(self._account, self._region):
            deadline = received + hooks.visibility_timeout(self._mapping["EventSourceArn"])
            while (result := hooks.execute(record, {"Records": records})).get("throttle"):
                if self._stopped.is_set() or time.monotonic() + PAUSE_SECONDS > deadline:
                    self._mapping["LastProcessingResult"] = "PROBLEM: the function is throttled"
                    return set()
                self._stopped.wait(PAUSE_SECONDS)
        names = [item["messageId"] for item in records]
        if result.get("error"):
            self._mapping["LastProcessingResult"] = "PROBLEM: Function call failed"
            return set()
        failed: set[str] = set()
        if "ReportBatchItemFailures" in (self._mapping.get("FunctionResponseTypes") or ()):
            failed = failed_items(result.get("body"), names)
        self._mapping["LastProcessingResult"] = f"OK - {len(names) - len(failed)} of {len(names)} records"
        return set(names) - failed

    def _record(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return a message in the form in which functions get it."""
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message.get("Attributes", {}),
            "messageAttributes": {
                name: {key[0].lower() + key[1:]: value for key, value in attribute.items()}
                for name, attribute in message.get("MessageAttributes", {}).items()
            },
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": self._mapping["EventSourceArn"],
            "awsRegion": self._region,
        }
