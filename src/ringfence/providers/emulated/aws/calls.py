"""What the types of AWS have in common: clients, the form of names, policies, tags."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ringfence.deployment import reveal
from ringfence.providers.emulated.interface import plain
from ringfence.providers.interface import Created, Registration

__all__ = ["COMMON", "Clients", "Maker", "Making", "camel", "pascal", "same_json", "some", "tag_list", "tag_map"]

Clients: TypeAlias = Callable[[str], Any]
"""Gives the boto3 client of a service, for example `sqs`."""

COMMON = ("region", "name", "namePrefix", "tagsAll")
"""Properties that need no setting of their own."""


@dataclass(frozen=True)
class Making:
    """A resource that is to be made."""

    registration: Registration
    offline: Created
    client: Clients

    @property
    def inputs(self) -> Mapping[str, Any]:
        """What is declared, with markers."""
        return self.registration.inputs

    @property
    def values(self) -> dict[str, Any]:
        """What is declared, without markers."""
        known: dict[str, Any] = plain(self.registration.inputs)
        return known

    @property
    def name(self) -> str:
        """The name: the one given, or the one that the provider gives."""
        return str(reveal(self.offline.outputs["name"]))


Maker: TypeAlias = Callable[[Making], Any]
"""Makes resources of one type, and returns a `Made`."""


def some(**arguments: Any) -> dict[str, Any]:
    """Return the arguments of a call without those that are not given."""
    return {key: value for key, value in arguments.items() if value is not None}


def pascal(value: Any, **names: str) -> Any:
    """Return nested properties with the names of the service's API; `names` holds those that are spelt otherwise."""
    if isinstance(value, Mapping):
        return {names.get(key, key[:1].upper() + key[1:]): pascal(item, **names) for key, item in value.items()}
    return [pascal(item, **names) for item in value] if isinstance(value, list) else value


def camel(value: Any, **names: str) -> Any:
    """Return what an API answered with the names of the provider's properties."""
    if isinstance(value, Mapping):
        back = {api: own for own, api in names.items()}
        return {back.get(key, key[:1].lower() + key[1:]): camel(item, **names) for key, item in value.items()}
    return [camel(item, **names) for item in value] if isinstance(value, list) else value


def same_json(declared: Any, found: Any) -> Any:
    """Return what was declared if the document that was found says the same, else what was found as text.

    Services put documents into another order, and give some back taken apart.
    """
    try:
        left = json.loads(declared) if isinstance(declared, str) else declared
        right = json.loads(found) if isinstance(found, str) else found
    except ValueError:
        return found
    return declared if left == right else None if right is None else json.dumps(right)


def tag_list(tags: Mapping[str, str] | None) -> list[dict[str, str]] | None:
    """Return tags as most APIs take them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()] if tags else None


def tag_map(tags: list[dict[str, str]]) -> dict[str, str]:
    """Return tags as the provider has them."""
    return {tag["Key"]: tag["Value"] for tag in tags}
