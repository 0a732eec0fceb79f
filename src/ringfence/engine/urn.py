"""URNs: the stable names that the engine gives to resources."""

from __future__ import annotations

import re

from ringfence.deployment import STACK_TYPE

__all__ = ["make_urn", "name_of", "package_of", "provider_name", "type_of"]


def make_urn(stack: str, project: str, type_: str, name: str, parent: str = "") -> str:
    """Return the URN of a resource. A parent other than the stack lends its qualified type as a prefix."""
    if parent:
        qualified = parent.split("::", 3)[2]
        if qualified != STACK_TYPE:
            type_ = f"{qualified}${type_}"
    return f"urn:pulumi:{stack}::{project}::{type_}::{name}"


def type_of(urn: str) -> str:
    """Return the type token of a URN, without those of the parents."""
    return urn.split("::", 3)[2].rpartition("$")[2]


def name_of(urn: str) -> str:
    """Return the resource's name; it may itself hold double colons."""
    return urn.split("::", 3)[3]


def package_of(token: str) -> str:
    """Return the package of a type or function token, for example `aws`."""
    return token.split(":", 1)[0]


def provider_name(version: str, download_url: str = "") -> str:
    """Return the name that the engine gives to a default provider: `default_7_51_1`."""
    parts = ["default", *(re.sub(r"[^0-9A-Za-z]+", "_", part).strip("_") for part in (version, download_url) if part)]
    return "_".join(parts)
