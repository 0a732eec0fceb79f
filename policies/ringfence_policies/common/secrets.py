"""What a credential looks like when it stands as plain text in a setting, by its name or by its value.

Precision comes first: a mandatory rule that cries wolf is switched off. Every reason names the pattern, never the
value.
"""

from __future__ import annotations

import re

from ringfence.deployment import Unknown, reveal

__all__ = ["is_reference", "looks_secret", "names_secret", "public_name"]

# Placeholders such as <key>, {key}, ${KEY} or *** are what a template holds where a secret will go.
_FILLED = r"\s*=\s*[^;,&\s<{$*@\"'][^;,&\s\"']{2,}"

_VALUES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("it holds a storage or Cosmos DB account key (AccountKey=)", re.compile(rf"\bAccountKey{_FILLED}", re.I)),
    ("it holds a shared access key (SharedAccessKey=)", re.compile(rf"\bSharedAccessKey{_FILLED}", re.I)),
    ("it holds a SAS token (SharedAccessSignature=)", re.compile(rf"\bSharedAccessSignature{_FILLED}", re.I)),
    ("it holds a SAS token (sig=)", re.compile(r"(?:^|[?&;\s])sig=[A-Za-z0-9%+/=_-]{16}")),
    ("it holds a password (Password=)", re.compile(rf"(?:^|[;,&?\s])(?:Password|Pwd){_FILLED}", re.I)),
    (
        "it is a URL with a password",
        re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/:@?#]{0,80}:[^\s/:@<{$*]{1,200}@"),
    ),
    ("it holds an AWS access key id", re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")),
    ("it holds a private key", re.compile(r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----")),
    ("it holds a GitHub token", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{50})")),
    ("it holds a Slack token", re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{20}")),
    ("it holds a Microsoft Entra client secret", re.compile(r"(?<![\w~.-])[\w~.-]{3}[78]Q~[\w~.-]{31,34}(?![\w~.-])")),
)

# The whole value stands for a secret that lives elsewhere, and is none itself.
_REFERENCE = re.compile(
    r"@Microsoft\.(?:KeyVault|AppConfiguration)\(.+\)"  # App Service resolves these at start
    r"|\{\{resolve:(?:secretsmanager|ssm|ssm-secure):.+\}\}"
    r"|arn:aws[a-z-]*:[a-z0-9-]+:.+"  # an ARN names a secret or a key
    r"|https://[A-Za-z0-9-]+\.vault\.azure\.net(?:/.*)?"
    r"|projects/[^/\s]+/secrets/.+",
    re.DOTALL | re.I,
)

_PUBLIC_NAMES = re.compile(
    # Microsoft documents the connection string and the instrumentation key as identifying a resource, not as
    # secrets: they only allow to send telemetry. The authentication string names the identity that sends it.
    r"APPLICATIONINSIGHTS_(?:CONNECTION|AUTHENTICATION)_STRING|APPINSIGHTS_INSTRUMENTATIONKEY"
    # The Azure SDKs read who they are from these; a GUID that names an identity, a tenant or a subscription.
    r"|AZURE_(?:CLIENT|TENANT|SUBSCRIPTION)_ID"
    # The identity-based form of a Functions connection: where the service is and who logs in, no key.
    r"|.+(?:__|:)(?:fullyQualifiedNamespace|accountName|accountEndpoint|endpoint|credential|clientId|tenantId"
    r"|(?:blob|queue|table|file)?ServiceUri|managedIdentityResourceId)",
    re.I,
)

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_CREDENTIAL = re.compile(
    r"\w*(?:password|passwd|passphrase|secret|apikey|accesskey|accountkey|privatekey|sharedkey|connectionstring)"
    r"|(?:access|auth|sas|bearer)?token|pwd|credentials?|creds|connstr"
)
# "DB_PASSWORD_PROD" and "SECRET_KEY_BASE" are secrets; "SECRET_NAME", "TOKEN_URL" and "TOKEN_LIMIT" are not.
_SUFFIX = re.compile(
    r"\d+|v|primary|secondary|current|previous|old|new|prod|production|dev|development|test|staging|value|base|plain|text"
)
# "MAX_TOKEN" is a number, "ENABLE_PASSWORD" a switch.
_PREFIX = re.compile(r"max|min|num|count|enabled?|disabled?|use|require|allow|has|is|no")
# What makes a "key" a credential; a partition, public or cache key is none.
_SECRET_KEY = re.compile(
    r"access|account|admin|ai|api|auth|cosmos|cosmosdb|crypto|cryptography|encryption|eventhub|functions?|host|jwt|master"
    r"|openai|private|redis|search|secret|servicebus|shared|signing|storage|subscription"
)
_PLAIN_KEY = re.compile(r"blob|cache|foreign|hash|object|partition|primary|public|range|routing|sort")


def names_secret(name: str) -> bool:
    """Whether a setting of this name is meant to hold a credential: `DB_PASSWORD`, `apiKey`, `Auth__ClientSecret`."""
    if public_name(name):
        return False
    words = [word.lower() for word in _WORDS.findall(name[:200])]
    while words and _SUFFIX.fullmatch(words[-1]):
        words.pop()
    if not words or _PREFIX.fullmatch(words[0]) or name.upper() == "PWD":  # PWD alone is the working directory
        return False
    last, before = words[-1], words[-3:-1]
    if _CREDENTIAL.fullmatch(last) or words[-2:] == ["connection", "string"]:
        return True
    if last != "key" or not before or _PLAIN_KEY.fullmatch(before[-1]):
        return False
    return any(_SECRET_KEY.fullmatch(word) for word in before)


def public_name(name: str) -> bool:
    """Whether a setting of this name is known to hold no credential, although its name or value may look like one."""
    return _PUBLIC_NAMES.fullmatch(name) is not None


def is_reference(value: str) -> bool:
    """Whether the whole value points to a secret kept elsewhere: a Key Vault reference, a vault URL, an ARN."""
    return _REFERENCE.fullmatch(value.strip()) is not None


def looks_secret(name: str, value: object) -> str | None:
    """Return why a plain setting looks like a credential, None if it does not.

    `value` may carry the secret marker, which only counts together with the name: programs also mark harmless values.
    What is unknown, and a list or an object, gives None: the caller asks for those first. The reason never holds the
    value.
    """
    value = reveal(value)
    if value is None or isinstance(value, bool | Unknown) or not isinstance(value, str | int | float):
        return None
    text = str(value)
    if not text.strip() or is_reference(text):
        return None
    for reason, pattern in _VALUES:
        if pattern.search(text):
            return reason
    if not names_secret(name) or text.strip().casefold() in ("true", "false"):
        return None
    if _is_connection(name) and _without_credential(text):
        return None
    return "its name says that it is a credential"


def _is_connection(name: str) -> bool:
    words = "".join(_WORDS.findall(name)).lower()
    return "connectionstring" in words or "connstr" in words


_CREDENTIAL_FIELD = re.compile(r"(?:key|password|pwd|secret|token|signature|\bsig)\Z", re.I)
_HOST = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+.-]*://[A-Za-z0-9._-]+|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)(?::\d+)?(?:/[^\s?#]*)?"
)


def _without_credential(text: str) -> bool:
    """Whether every field of a connection string is a known kind that is no credential.

    `Server=…;Authentication=Active Directory Managed Identity` and a bare endpoint are such; what cannot be read as
    fields is not. An instrumentation key is public, see `_PUBLIC_NAMES`.
    """
    for part in text.split(";" if ";" in text else ","):
        name, equals_sign, value = (item.strip() for item in part.partition("="))
        if not equals_sign:
            if name and not _HOST.fullmatch(name):
                return False
        elif value and name.casefold() != "instrumentationkey" and _CREDENTIAL_FIELD.search(name):
            return False
    return True
