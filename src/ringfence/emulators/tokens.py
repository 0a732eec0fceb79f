"""A token credential for emulators that accept tokens without asking anybody."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from typing import Any, NamedTuple

__all__ = ["AccessToken", "EmulatorCredential"]

VALID_SECONDS = 3600
ISSUER = "https://sts.windows.net/00000000-0000-0000-0000-000000000000/"
"""The form that Azurite asks for. No such tenant exists."""


class AccessToken(NamedTuple):
    """A token, and when it expires (seconds since 1970). Has the fields of `azure.core.credentials.AccessToken`."""

    token: str
    expires_on: int


class EmulatorCredential:
    """Stands for `DefaultAzureCredential` in a test: gives well-formed tokens without a signature.

    No cloud accepts them. It has what the Azure SDKs' protocol `TokenCredential` asks for.
    """

    def __init__(self, object_id: str = "00000000-0000-0000-0000-000000000000", audience: str | None = None) -> None:
        """Take who is meant (`oid`), and the audience instead of what the SDK asks for."""
        self._object_id = object_id
        self._audience = audience

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """Return a token for the audience that the scopes name."""
        now = int(time.time())
        audience = self._audience or (scopes[0].removesuffix("/.default") if scopes else "")
        claims = {
            "aud": audience,
            "iss": ISSUER,
            "iat": now,
            "nbf": now - 60,
            "exp": now + VALID_SECONDS,
            "oid": self._object_id,
            "ver": "1.0",
        }
        parts = [_encoded({"alg": "RS256", "typ": "JWT"}), _encoded(claims), "none"]
        return AccessToken(".".join(parts), now + VALID_SECONDS)

    def close(self) -> None:
        """Do nothing: there is nothing to close."""


def _encoded(value: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
