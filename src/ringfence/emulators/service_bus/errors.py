"""What Service Bus says when it refuses something: AMQP condition, HTTP-like status and text.

The conditions are those of the service's AMQP protocol; the texts are as users of the service have reported them, with
the tracking id and time that the service appends.
"""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

__all__ = [
    "ServiceError",
    "SettingsError",
    "argument_error",
    "entity_disabled",
    "entity_not_found",
    "lock_lost",
    "message_not_found",
    "no_session_in_time",
    "not_allowed",
    "not_implemented",
    "quota_exceeded",
    "server_busy",
    "session_locked",
    "size_exceeded",
    "unauthorized",
]

VENDOR = "com.microsoft:"


class SettingsError(ValueError):
    """An entity cannot be set up as asked. The message names the entity, the setting and what would be accepted."""


class ServiceError(Exception):
    """The service's answer to an operation that it does not carry out."""

    def __init__(self, condition: str, description: str, status: int) -> None:
        """Take the AMQP error condition, the text, and the status that a management response carries."""
        super().__init__(description)
        self.condition = condition
        self.description = f"{description} {_trail()}"
        self.status = status


def _trail() -> str:
    return f"TrackingId:{uuid4()}, SystemTracker:ringfence, Timestamp:{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"


def entity_not_found(path: str) -> ServiceError:
    """Say that nothing has this name."""
    text = (
        f"The messaging entity '{path}' could not be found. To know more visit https://aka.ms/sbResourceMgrExceptions."
    )
    return ServiceError("amqp:not-found", text, 404)


def entity_disabled(path: str) -> ServiceError:
    """Say that the entity's status does not allow it."""
    return ServiceError(f"{VENDOR}entity-disabled", f"Messaging entity '{path}' is currently disabled.", 403)


def lock_lost(in_session: bool) -> ServiceError:
    """Say that the lock on a message, or on its session, is not held any more."""
    if in_session:
        text = "The session lock has expired on the MessageSession. Accept a new MessageSession."
        return ServiceError(f"{VENDOR}session-lock-lost", text, 410)
    text = (
        "The lock supplied is invalid. Either the lock expired, or the message has already been removed from the "
        "queue, or was received by a different receiver instance."
    )
    return ServiceError(f"{VENDOR}message-lock-lost", text, 410)


def message_not_found(sequence_numbers: list[int]) -> ServiceError:
    """Say that no such message is where it was asked for."""
    numbers = ", ".join(map(str, sequence_numbers))
    text = f"Failed to lock one or more specified messages. Message with sequence number {numbers} does not exist."
    return ServiceError(f"{VENDOR}message-not-found", text, 404)


def session_locked(session_id: str) -> ServiceError:
    """Say that another receiver holds the session."""
    text = f"The requested session '{session_id}' cannot be accepted. It may be locked by another receiver."
    return ServiceError(f"{VENDOR}session-cannot-be-locked", text, 410)


def no_session_in_time() -> ServiceError:
    """Say that no session became free while a receiver waited for one."""
    text = "The operation did not complete within the allotted timeout. No session with messages became available."
    return ServiceError(f"{VENDOR}timeout", text, 408)


def size_exceeded(size: int, limit: int) -> ServiceError:
    """Say that a message is larger than its entity allows. Sizes are in bytes."""
    text = f"The received message (size:{size} bytes) exceeds the limit ({limit} bytes) currently allowed on the link."
    return ServiceError("amqp:link:message-size-exceeded", text, 400)


def quota_exceeded(path: str, size: int, limit: int) -> ServiceError:
    """Say that the entity is full. Sizes are in bytes."""
    text = (
        f"The maximum entity size has been reached or exceeded for '{path}'. Size of entity in bytes:{size}, "
        f"Max entity size in bytes:{limit}."
    )
    return ServiceError("amqp:resource-limit-exceeded", text, 403)


def server_busy() -> ServiceError:
    """Say that the entity is throttled."""
    text = (
        "The request was terminated because the entity is being throttled. Error code : 50002. Sub error : 102. "
        "Please wait 4 seconds and try again."
    )
    return ServiceError(f"{VENDOR}server-busy", text, 503)


def not_allowed(text: str) -> ServiceError:
    """Say that the entity is not of the kind that this needs."""
    return ServiceError("amqp:not-allowed", text, 400)


def argument_error(text: str) -> ServiceError:
    """Say that a request does not hold what it must."""
    return ServiceError(f"{VENDOR}argument-error", text, 400)


def not_implemented(what: str) -> ServiceError:
    """Say that this fake does not do it."""
    text = f"{what}: not supported by this Service Bus emulator of ringfence."
    return ServiceError("amqp:not-implemented", text, 501)


def unauthorized(text: str) -> ServiceError:
    """Say that the token does not allow it."""
    return ServiceError("amqp:unauthorized-access", text, 401)
