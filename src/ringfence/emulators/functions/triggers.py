"""Triggers that poll: each call here is one poll of the host."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ringfence.emulators.functions.outputs import queue_client

if TYPE_CHECKING:
    from ringfence.emulators.functions.host import FunctionsHost, Run

__all__ = ["pump_blobs", "pump_queue", "pump_service_bus"]

MAX_DEQUEUE_COUNT = 5
BATCH_SIZE = 16
INVISIBLE_SECONDS = 600
"""The host's own: host.json reference, `queues`. A message is hidden for ten minutes while its function runs."""


def pump_queue(host: FunctionsHost, name: str, trigger: Any) -> list[Run]:
    """Receive a batch and run the function for each message.

    A message is deleted when the function succeeds. When it fails, the message is visible again after host.json's
    `visibilityTimeout`; after `maxDequeueCount` tries it goes to the queue `NAME-poison`.
    """
    queue = host.resolve(trigger.queue_name)
    client = queue_client(host, trigger.connection, queue)
    most = int(host.extension("queues", "maxDequeueCount") or MAX_DEQUEUE_COUNT)
    size = int(host.extension("queues", "batchSize") or BATCH_SIZE)
    runs = []
    pages = client.receive_messages(visibility_timeout=INVISIBLE_SECONDS, messages_per_page=size).by_page()
    for message in next(pages, ()):
        metadata = {
            "Id": message.id,
            "DequeueCount": message.dequeue_count,
            "PopReceipt": message.pop_receipt,
            "InsertionTime": message.inserted_on.isoformat(),
            "ExpirationTime": message.expires_on.isoformat(),
            "NextVisibleTime": message.next_visible_on.isoformat(),
        }
        content = message.content if isinstance(message.content, bytes) else message.content.encode()
        run = host.run(name, host.decode(name, content, "bytes", metadata), _properties(content))
        runs.append(run)
        if run.error is None:
            client.delete_message(message)
        elif message.dequeue_count >= most:
            queue_client(host, trigger.connection, f"{queue}-poison").send_message(message.content)
            client.delete_message(message)
        else:
            hidden = _seconds(host.extension("queues", "visibilityTimeout"))
            client.update_message(message, visibility_timeout=hidden, content=message.content)
    return runs


def pump_blobs(host: FunctionsHost, name: str, trigger: Any) -> list[Run]:
    """Run the function for each blob that matches the path and has not been handled as it is now.

    What has been handled is kept in this host, by ETag; the real host keeps receipts in its storage account.
    """
    from azure.storage.blob import BlobServiceClient

    container, _, path = host.resolve(trigger.path).partition("/")
    # A `{name}` that is the whole rest may hold slashes.
    expression = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(path or "{name}"))
    runs = []
    service = BlobServiceClient.from_connection_string(host.connection(trigger.connection))
    with service, service.get_container_client(container) as client:
        for blob in client.list_blobs():
            found = re.fullmatch(expression, blob.name)
            key = (name, container, blob.name, blob.etag)
            if found is None or key in host.handled_blobs:
                continue
            content = client.download_blob(blob.name).readall()
            metadata = {
                "Uri": f"{container}/{blob.name}",
                "BlobTrigger": f"{container}/{blob.name}",
                "Properties": {"Length": blob.size},
            }
            run = host.run(name, host.decode(name, content, "bytes", metadata), found.groupdict())
            runs.append(run)
            if run.error is None:
                host.handled_blobs.add(key)
    return runs


def pump_service_bus(host: FunctionsHost, name: str, trigger: Any, wait: float) -> list[Run]:
    """Receive what there is within `wait` seconds and run the function for each message.

    A message is completed when the function succeeds and abandoned when it fails; the broker counts.
    """
    from azure.servicebus import ServiceBusClient

    if getattr(trigger, "is_sessions_enabled", False):
        raise NotImplementedError(f"{name}: Service Bus sessions are not covered")
    runs = []
    with (
        ServiceBusClient.from_connection_string(host.connection(trigger.connection)) as client,
        client.get_queue_receiver(host.resolve(trigger.queue_name), socket_timeout=0.1) as receiver,
    ):
        for message in receiver.receive_messages(max_message_count=BATCH_SIZE, max_wait_time=wait):
            body = b"".join(message.body)
            run = host.run(name, host.decode(name, body, "bytes", _service_bus_metadata(message)), _properties(body))
            runs.append(run)
            (receiver.complete_message if run.error is None else receiver.abandon_message)(message)
    return runs


def _service_bus_metadata(message: Any) -> dict[str, Any]:
    found = {
        "MessageId": message.message_id,
        # The SDK counts from 0, the host from 1.
        "DeliveryCount": (message.delivery_count or 0) + 1,
        "SequenceNumber": message.sequence_number,
        "LockToken": str(message.lock_token),
        "ContentType": message.content_type,
        "CorrelationId": message.correlation_id,
        "Subject": message.subject,
        "Label": message.subject,
        "EnqueuedTimeUtc": message.enqueued_time_utc.isoformat(),
        "UserProperties": _texts(message.application_properties),
        "ApplicationProperties": _texts(message.application_properties),
    }
    return {key: value for key, value in found.items() if value is not None}


def _texts(properties: Any) -> dict[str, Any]:
    """Return application properties with text instead of bytes."""

    def text(value: Any) -> Any:
        return value.decode() if isinstance(value, bytes) else value

    return {str(text(key)): text(value) for key, value in (properties or {}).items()}


def _properties(content: bytes) -> dict[str, str]:
    """Return the fields of a JSON message, which paths of outputs may name."""
    try:
        document = json.loads(content)
    except ValueError:
        return {}
    return {key: str(value) for key, value in document.items()} if isinstance(document, dict) else {}


def _seconds(span: str | None) -> int:
    """Return the seconds of a time span of host.json: `HH:MM:SS`."""
    hours, minutes, seconds = (int(part) for part in (span or "00:00:00").split(":"))
    return hours * 3600 + minutes * 60 + seconds
