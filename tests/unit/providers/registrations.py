"""Registrations for the tests of the offline provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ringfence.providers.interface import Registration


def registration(token: str, name: str = "thing", /, **inputs: Any) -> Registration:
    """Return a registration of a resource with inputs by wire name."""
    return existing(token, name, None, {}, inputs)


def existing(
    token: str, name: str, import_id: str | None, provider: Mapping[str, Any], inputs: Mapping[str, Any]
) -> Registration:
    """Return a registration with an id and inputs of the provider."""
    return Registration(
        urn=f"urn:pulumi:dev::shop::{token}::{name}",
        type=token,
        name=name,
        inputs=inputs,
        project="shop",
        stack="dev",
        import_id=import_id,
        provider_inputs=provider,
    )
