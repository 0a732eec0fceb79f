"""Tables of settings that must be refused, and the checks that all of them share."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pulumi
import pytest

from tests.unit.stacks.loading import STACKS, settings_model


@dataclass(frozen=True)
class Bad:
    """One setting that is refused by itself."""

    key: str
    """Without the project's namespace; a provider's key with its own."""
    value: str | None
    """As the CLI hands it over; None leaves the key out."""
    allowed: str
    """What the message says is allowed."""

    @property
    def label(self) -> str:
        """Return the test's id."""
        return f"{self.key}={self.value}"


@dataclass(frozen=True)
class Contradiction:
    """Settings that are fine one by one and refused together."""

    label: str
    environment: str
    changes: dict[str, str]
    message: str


def full(stack: str, key: str) -> str:
    """Return a key with its namespace."""
    return key if ":" in key else f"{stack}:{key}"


def fields(stack: str) -> dict[str, Any]:
    """Return the JSON schema of each setting by its key."""
    properties: dict[str, Any] = settings_model(stack).model_json_schema()["properties"]
    return properties


def check_bad(load_settings: Callable[..., Any], stack: str, bad: Bad) -> None:
    """Check that the message names stack, key, value and what is allowed, in one line."""
    with pytest.raises(pulumi.RunError) as caught:
        load_settings(stack, "dev", {full(stack, bad.key): bad.value})
    head, *lines = str(caught.value).splitlines()
    state = "is missing" if bad.value is None else f"is {bad.value!r}"

    assert f"the settings of stack 'dev' of project '{stack}' are wrong:" == head
    assert [f"  - {full(stack, bad.key)} {state}; allowed is {bad.allowed}"] == [line.split(". ")[0] for line in lines]


def check_contradiction(load_settings: Callable[..., Any], stack: str, case: Contradiction) -> None:
    """Check that the one line of the message is the rule's own."""
    changes = {full(stack, key): value for key, value in case.changes.items()}
    with pytest.raises(pulumi.RunError) as caught:
        load_settings(stack, case.environment, changes)
    _, *lines = str(caught.value).splitlines()

    assert [f"  - {case.message}"] == lines


def check_bounds(load_settings: Callable[..., Any], stack: str, key: str) -> None:
    """Check that a number may be what its bounds say, one less than which and one more are refused."""
    schema = fields(stack)[key]
    step = schema.get("multipleOf", 1)
    low, high = schema["minimum"], schema["maximum"]
    refused = [value for value in (low - step, low, high, high + step) if _refused(load_settings, stack, key, value)]

    assert [low - step, high + step] == refused


def _refused(load_settings: Callable[..., Any], stack: str, key: str, value: int) -> bool:
    try:
        load_settings(stack, "dev", {full(stack, key): str(value)})
    except pulumi.RunError as error:
        return f"{full(stack, key)} is '{value}'; allowed is" in str(error)  # and not a rule over several settings
    return False


def undocumented(stack: str) -> set[str]:
    """Return the settings that the stack's README does not name."""
    named = set(re.findall(r"`([^`\n]+)`", (STACKS / stack / "README.md").read_text()))
    return set(fields(stack)) - named
