"""How one setting of an app is judged: is it a credential in plain text? No outcome ever holds a value."""

from __future__ import annotations

from ringfence.policy.checks import PASS, failed, undecided
from ringfence.policy.property import Property
from ringfence.policy.verdict import Outcome
from ringfence_policies.common.secrets import is_reference, looks_secret, names_secret, public_name

__all__ = ["connection_string", "listed_setting", "malformed", "plain_setting"]

_EXPECTED = "a Key Vault reference, @Microsoft.KeyVault(…), or an identity-based connection"


def malformed(place: Property, expected: str) -> Outcome:
    """Say that something else stands where `expected` belongs. What it is may be a credential, so it is not shown."""
    actual = "something else"
    return failed(place, f"{place.path} is not {expected}.", expected=expected, actual=actual)


def plain_setting(name: str | None, shown: str, value: Property, expected: str = _EXPECTED) -> Outcome:
    """Judge one setting. `name` is None where it is unknown; `shown` is the name for messages."""
    if value.absent:
        return PASS
    if value.unknown:
        if name is not None and public_name(name):
            return PASS
        why = "by its name it is a credential" if name and names_secret(name) else "it may hold a credential"
        return undecided(value, f"The value of {shown} is not known, and {why}.", expected=expected)
    if value.is_object or value.is_list:
        return malformed(value, "a string")
    reason = looks_secret(name or "", value.value)
    text = value.text
    if reason is None and text and value.secret and name and names_secret(name) and not is_reference(text):
        reason = "it is marked secret and its name says that it is a credential"
    if reason is not None:
        message = f"{shown} holds a credential in plain text: {reason}."
        return failed(value, message, expected=expected, actual="a credential in plain text")
    if name is None and text is not None and not is_reference(text):
        return undecided(value, f"{shown} has a name that is not known, which may say that it is a credential.")
    return PASS


def listed_setting(setting: Property) -> Outcome:
    """Judge one element of `siteConfig.appSettings`."""
    if setting.absent:
        return PASS
    if not setting.is_object:
        return malformed(setting, "an object of a name and a value")
    name = setting["name"]
    shown = "A setting" if name.text is None else f"App setting {name.shown}"
    known = None if name.unknown else name.text or ""
    return plain_setting(known, shown, setting["value"])


def connection_string(connection: Property) -> Outcome:
    """Judge one element of `siteConfig.connectionStrings`."""
    if connection.absent:
        return PASS
    if not connection.is_object:
        return malformed(connection, "an object of a name and a connectionString")
    name = connection["name"]
    shown = "A connection string" if name.text is None else f"Connection string {name.shown}"
    return plain_setting("CONNECTION_STRING", shown, connection["connectionString"])
