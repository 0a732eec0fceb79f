from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pulumi
import pytest

from tests.unit.stacks.loading import load, set_stack, settings_model, stack_config

Settings = Callable[..., Any]


@pytest.fixture
def load_settings() -> Iterator[Settings]:
    """Return what loads a stack's settings with changes: a value, or None for a key that is left out."""

    def load_with(
        stack: str, environment: str, changes: Mapping[str, str | None], secrets: tuple[str, ...] = ()
    ) -> Any:
        config = {
            key: value for key, value in {**stack_config(stack, environment), **changes}.items() if value is not None
        }
        set_stack(stack, environment, config, list(secrets))
        (stackkit,) = load(stack, "stackkit")
        return stackkit.load_settings(settings_model(stack))

    yield load_with
    pulumi.runtime.settings.reset_options()
    pulumi.runtime.set_all_config({}, [])
