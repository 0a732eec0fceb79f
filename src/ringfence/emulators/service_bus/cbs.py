"""The `$cbs` node: clients put tokens there to show what they may do.

A shared access signature is checked in full. Of an Entra token the form, the audience and the expiry are checked: not
the signature, and no role, since there is nobody here who has given any.

Source: Service Bus AMQP protocol guide on claims-based security; Service Bus documentation on shared access
signatures.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from ringfence.emulators.service_bus import errors
from ringfence.emulators.service_bus.broker import Broker
from ringfence.emulators.service_bus.settings import AuthorizationRule, Right

__all__ = ["Claim", "check_claims", "claim_of", "path_of"]

SAS_PREFIX = "SharedAccessSignature "
ENTRA_AUDIENCES = ("https://servicebus.azure.net", "https://servicebus.azure.net/")
ALL_RIGHTS: frozenset[Right] = frozenset(("Listen", "Send", "Manage"))


@dataclass(frozen=True)
class Claim:
    """What a token allows: `rights` on everything under `path`, until `expires_at` (seconds since the epoch)."""

    path: str
    rights: frozenset[Right]
    expires_at: float


def path_of(address: object) -> str:
    """Return the path of an address, which may be a path or a URI."""
    text = address if isinstance(address, str) else ""
    path = text.split("://", 1)[1].partition("/")[2] if "://" in text else text
    return path.strip("/")


def claim_of(broker: Broker, audience: str, token: object) -> Claim:
    """Return what a token allows. What kind it is shows in itself: the SDK for Python calls all of them `jwt`.

    Raises:
        ServiceError: the token is not good (401), or there is no such entity (404). The service looks at the
            token first, so that nobody without one can find out what there is.
    """
    text = token if isinstance(token, str) else ""
    read = _shared_access if text.startswith(SAS_PREFIX) else _entra
    claim = read(broker, audience, text)
    if not broker.knows(claim.path):
        raise errors.entity_not_found(audience)
    return claim


def check_claims(claims: Iterable[Claim], path: str, right: Right, now: float) -> None:
    """Make sure that something has been put that allows this.

    Raises:
        ServiceError: nothing has.
    """
    wanted = f"{path.lower()}/"
    for claim in claims:
        if wanted.startswith(f"{claim.path.lower()}/") and claim.expires_at > now and right in claim.rights:
            return
    raise errors.unauthorized(
        f"Unauthorized access. '{right}' claim(s) are required to perform this operation. Resource: '{path}'."
    )


def _shared_access(broker: Broker, audience: str, token: str) -> Claim:
    if broker.disable_local_auth:
        raise errors.unauthorized(
            "LocalAuthDisabled: Authorization failed because SAS authentication has been disabled for the namespace."
        )
    parts = dict(part.split("=", 1) for part in token.removeprefix(SAS_PREFIX).split("&") if "=" in part)
    resource, expiry = parts.get("sr", ""), parts.get("se", "")
    rule = broker.authorization_rules.get(unquote(parts.get("skn", "")))
    if rule is None or not _signed(rule, resource, expiry, unquote(parts.get("sig", ""))):
        raise errors.unauthorized("InvalidSignature: The token has an invalid signature.")
    if not expiry.isdecimal() or int(expiry) <= broker.token_time():
        raise errors.unauthorized("ExpiredToken: The token is expired.")
    covered = unquote(resource).lower().split("://", 1)[-1].rstrip("/") + "/"
    if not (audience.lower().split("://", 1)[-1].rstrip("/") + "/").startswith(covered):
        raise errors.unauthorized("InvalidAudience: The authorization header contains a token with a wrong audience.")
    rights = ALL_RIGHTS if "Manage" in rule.rights else rule.rights
    return Claim(path_of(audience), rights, int(expiry))


def _signed(rule: AuthorizationRule, resource: str, expiry: str, signature: str) -> bool:
    digest = hmac.new(rule.key.encode(), f"{resource}\n{expiry}".encode(), hashlib.sha256).digest()
    return hmac.compare_digest(base64.b64encode(digest), signature.encode())


def _entra(broker: Broker, audience: str, token: str) -> Claim:
    claims = _payload(token)
    if claims is None:
        raise errors.unauthorized("InvalidSignature: The token has an invalid signature.")
    if claims.get("aud") not in ENTRA_AUDIENCES:
        raise errors.unauthorized("InvalidAudience: The authorization header contains a token with a wrong audience.")
    expiry = claims.get("exp")
    if not isinstance(expiry, int | float) or expiry <= broker.token_time():
        raise errors.unauthorized("ExpiredToken: The token is expired.")
    return Claim(path_of(audience), ALL_RIGHTS, float(expiry))


def _payload(token: str) -> dict[str, Any] | None:
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        payload = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    return payload if isinstance(payload, dict) else None
