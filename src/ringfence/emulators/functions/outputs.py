"""What a function gives to its output bindings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from azure.functions import Out

if TYPE_CHECKING:
    from ringfence.emulators.functions.host import FunctionsHost

__all__ = ["Output", "fill", "queue_client", "write"]


class Output(Out[Any]):  # type: ignore[misc,unused-ignore]
    """What a function sets; nothing is written if it does not."""

    def __init__(self) -> None:
        self.given = False
        self._value: Any = None

    def set(self, value: Any) -> None:
        """Take a value."""
        self.given, self._value = True, value

    def get(self) -> Any:
        """Return what was set last."""
        return self._value


def write(host: FunctionsHost, binding: Any, value: Any, names: Mapping[str, str]) -> None:
    """Write a value where a binding says.

    Raises:
        NotImplementedError: the binding is of a type that is not covered.
    """
    if value is None:
        return
    if binding.type == "queue":
        client = queue_client(host, binding.connection, fill(host, binding.queue_name, names))
        for item in value if isinstance(value, list) else [value]:
            client.send_message(_data(item))
    elif binding.type == "blob":
        from azure.storage.blob import BlobServiceClient

        container, _, name = fill(host, binding.path, names).partition("/")
        service = BlobServiceClient.from_connection_string(host.connection(binding.connection))
        with service, service.get_blob_client(container, name) as client:
            client.upload_blob(_data(value), overwrite=True)
    else:
        raise NotImplementedError(f"the output binding {binding.type!r} is not covered")


def queue_client(host: FunctionsHost, connection: str, name: str) -> Any:
    """Return a client of a queue, which is made if there is none, as the host does.

    Messages are Base64, as the host has it unless host.json's `queues.messageEncoding` is `none`.
    """
    from azure.core.exceptions import ResourceExistsError
    from azure.storage.queue import (
        BinaryBase64DecodePolicy,
        BinaryBase64EncodePolicy,
        QueueClient,
    )

    policies: dict[str, Any] = {}
    if str(host.extension("queues", "messageEncoding") or "base64").lower() == "base64":
        policies = {
            "message_encode_policy": BinaryBase64EncodePolicy(),
            "message_decode_policy": BinaryBase64DecodePolicy(),
        }
    client = QueueClient.from_connection_string(host.connection(connection), name, **policies)
    with suppress(ResourceExistsError):
        client.create_queue()
    return client


def fill(host: FunctionsHost, text: str, names: Mapping[str, str]) -> str:
    """Return a path or name with its settings and `{name}`s filled in."""
    return re.sub(r"\{(\w+)\}", lambda found: names[found[1]], host.resolve(text))


def _data(value: Any) -> bytes:
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    return (value if isinstance(value, str) else json.dumps(value)).encode()
