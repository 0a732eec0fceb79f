"""What Cosmos DB says when it refuses something: status, sub-status, code and text.

Statuses and sub-statuses are those of the service's REST API ("HTTP status codes for Azure Cosmos DB" on Learn, and the
constants of the SDKs); texts are as users of the service have reported them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

__all__ = [
    "ServiceError",
    "SettingsError",
    "bad_request",
    "conflict",
    "not_found",
    "not_supported",
    "owner_not_found",
    "precondition_failed",
    "query_error",
    "too_large",
    "too_many_requests",
]

NAMES = {
    304: "NotModified",
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    412: "PreconditionFailed",
    413: "RequestEntityTooLarge",
    429: "TooManyRequests",
    449: "RetryWith",
    500: "InternalServerError",
    503: "ServiceUnavailable",
}


class SettingsError(ValueError):
    """An entity cannot be set up as asked. The message names the entity, the setting and what would be accepted."""


class ServiceError(Exception):
    """The service's answer to a request that it does not carry out."""

    def __init__(self, status: int, message: str, substatus: int = 0, headers: Mapping[str, str] | None = None) -> None:
        """Take the HTTP status, the text, the sub-status, and headers beside the usual ones."""
        super().__init__(message)
        self.status = status
        self.code = NAMES.get(status, "Error")
        self.message = message
        self.substatus = substatus
        self.headers = dict(headers or {})


def bad_request(message: str, substatus: int = 0) -> ServiceError:
    """Say that the request is wrong in itself."""
    return ServiceError(400, message, substatus)


def query_error(code: str, message: str, start: int | None = None, end: int | None = None) -> ServiceError:
    """Say that a query is wrong, and where: positions in its text."""
    error: dict[str, object] = {"severity": "Error"}
    if start is not None:
        error["location"] = {"start": start, "end": start if end is None else end}
    return ServiceError(400, json.dumps({"errors": [error | {"code": code, "message": message}]}))


def not_supported(what: str) -> ServiceError:
    """Say that this fake does not do it. Never a status that clients try again on."""
    return ServiceError(400, f"{what}: not supported by this Cosmos DB emulator of ringfence.")


def not_found() -> ServiceError:
    """Say that there is no such entity."""
    return ServiceError(404, "Entity with the specified id does not exist in the system.")


def owner_not_found() -> ServiceError:
    """Say that the container or database of what is asked for is not there."""
    return ServiceError(404, "Owner resource does not exist", 1003)


def conflict(unique_key: bool = False) -> ServiceError:
    """Say that the id, or a unique key, is taken."""
    if unique_key:
        return ServiceError(409, "Unique index constraint violation.")
    return ServiceError(409, "Entity with the specified id already exists in the system.")


def precondition_failed() -> ServiceError:
    """Say that the entity has another ETag, or that a patch's predicate does not hold."""
    return ServiceError(412, "Operation cannot be performed because one of the specified precondition is not met.")


def too_large() -> ServiceError:
    """Say that an item or a request is larger than the service takes."""
    return ServiceError(413, "Request size is too large.")


def too_many_requests(retry_after_ms: int) -> ServiceError:
    """Say that the throughput is used up."""
    return ServiceError(
        429, "Request rate is large. More Request Units may be needed, so no changes were made.",
        3200, {"x-ms-retry-after-ms": str(retry_after_ms)},
    )  # fmt: skip


def wrong_key(signed: str) -> ServiceError:
    """Say that the signature is not the one that the account's key gives for the text that was to be signed."""
    text = (
        "The input authorization token can't serve the request. The wrong key is being used or the expected payload is "
        f"not built as per the protocol. Server used the following payload to sign: {signed!r}"
    )
    return ServiceError(401, text)


def missing_authorization() -> ServiceError:
    """Say that the request says nothing about who sends it."""
    return ServiceError(401, "Required Header authorization is missing. Ensure a valid Authorization token is passed.")


def local_auth_disabled() -> ServiceError:
    """Say that the account takes no keys."""
    return ServiceError(401, "Local Authorization is disabled. Use an AAD token to authorize all requests.", 5202)


def key_metadata_write_disabled(method: str) -> ServiceError:
    """Say that the account lets nobody change databases and containers with a key."""
    text = f"Operation '{method}' on resource is not allowed through Azure Cosmos DB endpoint."
    return ServiceError(403, f"{text} Please switch on such operations for your account, or perform this operation "
                        "through Azure Resource Manager, Azure Portal, Azure CLI or Azure Powershell.")  # fmt: skip


def bad_token(text: str) -> ServiceError:
    """Say what is wrong with a token."""
    return ServiceError(401, f"Request blocked by Auth ringfence : {text}", 5000)


def wrong_audience(audience: str, accepted: str) -> ServiceError:
    """Say that a token is for another service or account."""
    text = f"Provided AAD token is intended for [{audience}]. This database account accepts tokens intended for"
    return ServiceError(401, f"Request blocked by Auth ringfence : {text} [{accepted}].", 5008)


def expired_token(expired: float, now: float) -> ServiceError:
    """Say that a token is too old. Times are in seconds since 1970."""
    since, current = (f"{datetime.fromtimestamp(time, UTC):%m/%d/%Y %H:%M:%S}" for time in (expired, now))
    text = f"Provided AAD token has been expired since [{since} (UTC)]. Current server time is [{current} (UTC)]."
    return ServiceError(403, f"Request blocked by Auth ringfence : {text} Please refresh the AAD token.", 5300)


def token_cannot_authorize(method: str, path: str) -> ServiceError:
    """Say that databases, containers and throughput are not changed with a token here."""
    return ServiceError(
        403,
        f"Request blocked by Auth ringfence : The given request [{method} {path}] cannot be authorized by AAD token in "
        "data plane. Learn more: https://aka.ms/cosmos-native-rbac.",
        5300,
    )


def missing_permission(principal: str, action: str, resource: str) -> ServiceError:
    """Say that no role assignment gives the principal this action on the resource."""
    return ServiceError(
        403,
        f"Request blocked by Auth ringfence : Request is blocked because principal [{principal}] does not have "
        f"required RBAC permissions to perform action [{action}] on resource [{resource}]. Learn more: "
        "https://aka.ms/cosmos-native-rbac.",
        5301,
    )
