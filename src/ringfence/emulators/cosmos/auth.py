"""Who sends a request, and whether they may.

Sources: "Access control in the Azure Cosmos DB SQL API" (the key's signature), "Data plane security reference" and
"Connect using role-based access control and Microsoft Entra ID" (Learn). A token's signature is not checked:
whoever can reach loopback can make one. Its audience, its time and what its principal may do are.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote

from ringfence.emulators.cosmos import errors
from ringfence.emulators.cosmos.settings import AccountSettings, SqlRoleDefinition

__all__ = ["Access", "Authorizer", "make_key", "make_token"]

ACCOUNT = "Microsoft.DocumentDB/databaseAccounts"
CONTAINERS = f"{ACCOUNT}/sqlDatabases/containers"
READ_METADATA = f"{ACCOUNT}/readMetadata"
BUILT_IN_ROLES = (
    SqlRoleDefinition(
        name="00000000-0000-0000-0000-000000000001",  # Data Reader
        data_actions=(
            READ_METADATA,
            f"{CONTAINERS}/items/read",
            f"{CONTAINERS}/executeQuery",
            f"{CONTAINERS}/readChangeFeed",
        ),
    ),
    SqlRoleDefinition(
        name="00000000-0000-0000-0000-000000000002",  # Data Contributor
        data_actions=(READ_METADATA, f"{CONTAINERS}/*", f"{CONTAINERS}/items/*"),
    ),
)
ANY_ACCOUNT = "https://cosmos.azure.com"
"""An audience that every account takes."""
TOKEN_LIFETIME = 3600.0


@dataclass(frozen=True)
class Access:
    """What a request does.

    `action` is that of the service's own roles; None is what a token cannot do: change databases, containers and
    throughput.
    """

    method: str
    segments: tuple[str, ...]
    action: str | None

    @property
    def is_metadata_write(self) -> bool:
        """Whether it changes more than items."""
        return self.action is None

    @property
    def scope(self) -> str:
        """The database or container that it is about, as role assignments write it."""
        return "/" + "/".join(
            self.segments[:4] if len(self.segments) >= 4 else self.segments[: len(self.segments) // 2 * 2]
        )


class Authorizer:
    """Checks keys and tokens."""

    def __init__(
        self, settings: AccountSettings, key: str, audiences: Collection[str], clock: Callable[[], float]
    ) -> None:
        """Take the account's settings and key, the audiences besides every account's, and the clock."""
        self.settings = settings
        self._key = key
        self._audiences = (*audiences, ANY_ACCOUNT)
        self._clock = clock

    def check(self, access: Access, headers: Mapping[str, str]) -> None:
        """Let a request pass.

        Raises:
            ServiceError: it may not.
        """
        header = headers.get("authorization")
        if not header:
            raise errors.missing_authorization()
        fields = dict(part.split("=", 1) for part in unquote(header).split("&") if "=" in part)
        if fields.get("type") == "aad":
            self._check_token(access, fields.get("sig", ""))
        elif fields.get("type") == "master":
            self._check_key(access, headers, fields.get("sig", ""))
        else:
            raise errors.missing_authorization()

    def _check_key(self, access: Access, headers: Mapping[str, str], signature: str) -> None:
        if self.settings.disable_local_auth:
            raise errors.local_auth_disabled()
        text = _to_sign(access.method, access.segments, headers)
        if not hmac.compare_digest(_signature(self._key, text), signature.replace(" ", "+")):
            raise errors.wrong_key(text)
        if access.is_metadata_write and self.settings.disable_key_based_metadata_write_access:
            raise errors.key_metadata_write_disabled(access.method)

    def _check_token(self, access: Access, token: str) -> None:
        claims = _claims_of(token)
        audience, expires, principal = str(claims.get("aud", "")), claims.get("exp"), str(claims.get("oid", ""))
        if audience not in self._audiences:
            raise errors.wrong_audience(audience, ", ".join(self._audiences))
        now = self._clock()
        if not isinstance(expires, int | float):
            raise errors.bad_token("Provided AAD token has no time of expiry.")
        if expires <= now:
            raise errors.expired_token(expires, now)
        if access.action is None:
            raise errors.token_cannot_authorize(access.method, "/" + "/".join(access.segments))
        if self.settings.role_assignments is not None and not self._may(principal, access.action, access.scope):
            raise errors.missing_permission(principal, access.action, access.scope)

    def _may(self, principal: str, action: str, scope: str) -> bool:
        roles = {role.name.lower(): role for role in (*BUILT_IN_ROLES, *self.settings.role_definitions)}
        for assignment in self.settings.role_assignments or ():
            role = roles.get(assignment.role_definition_id.rsplit("/", 1)[-1].lower())
            if role is None or assignment.principal_id != principal:
                continue
            held = _scope_of(assignment.scope)
            # What the account is may be read with a role on any part of it.
            inside = (
                held == ""
                or scope == held
                or scope.startswith(f"{held}/")
                or (scope == "/" and action == READ_METADATA)
            )
            if inside and any(fnmatchcase(action, pattern) for pattern in role.data_actions):
                return True
        return False


def _scope_of(scope: str) -> str:
    """Return what follows the account in a scope."""
    position = scope.find("/dbs/")
    return "" if position < 0 else scope[position:].rstrip("/")


def make_key() -> str:
    """Return a new key of an account: 64 random bytes in base 64."""
    return base64.b64encode(secrets.token_bytes(64)).decode()


def make_token(audience: str, principal_id: str, expires: float) -> str:
    """Return an unsigned token, for tests and for programs under emulation.

    Args:
        audience: the scope that a client asks for, without `/.default`.
        principal_id: whose it is.
        expires: when, in seconds since 1970.
    """
    parts = ({"alg": "none", "typ": "JWT"}, {"aud": audience, "oid": principal_id, "exp": int(expires)})
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join((*texts, base64.urlsafe_b64encode(b"unsigned").decode().rstrip("=")))


def _claims_of(token: str) -> Mapping[str, Any]:
    try:
        _, payload, _ = token.split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError as error:
        raise errors.bad_token("Provided AAD token is not a JWT.") from error
    if not isinstance(claims, dict):
        raise errors.bad_token("Provided AAD token is not a JWT.")
    return claims


def _to_sign(method: str, segments: Sequence[str], headers: Mapping[str, str]) -> str:
    """Return the text that a key signs: method, type and link of what is asked for, date."""
    kind = ""
    if segments:
        kind = segments[-1] if len(segments) % 2 else segments[-2]
    link = "/".join(segments[: len(segments) // 2 * 2])
    if kind == "offers":
        link = segments[1].lower() if len(segments) > 1 else ""  # offers have no names: their id alone is signed
    dates = f"{headers.get('x-ms-date', '').lower()}\n{headers.get('date', '').lower()}"
    return f"{method.lower()}\n{kind.lower()}\n{link}\n{dates}\n"


def _signature(key: str, text: str) -> str:
    return base64.b64encode(hmac.digest(base64.b64decode(key), text.encode(), "sha256")).decode()
