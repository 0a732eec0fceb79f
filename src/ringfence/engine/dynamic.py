"""Dynamic providers (`pulumi.dynamic`): as in a preview their `check` runs, their `create` does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pulumi.dynamic import ConfigureRequest
from pulumi.dynamic.config import Config

from ringfence.deployment import SourceLine, contains_unknown, reveal
from ringfence.engine._pulumi_sdk import load_dynamic_provider
from ringfence.engine.frames import source_of_exception

__all__ = ["Checked", "DynamicProviderError", "check_dynamic"]


class DynamicProviderError(Exception):
    """The provider's own code raised. `source` is its line where that is known."""

    def __init__(self, message: str, source: SourceLine | None = None) -> None:
        super().__init__(message)
        self.source = source


@dataclass(frozen=True, slots=True)
class Checked:
    """What a dynamic provider's check said."""

    inputs: Mapping[str, Any]
    failures: tuple[tuple[str, str], ...] = ()
    """Property and reason."""
    note: str = ""


def check_dynamic(serialised: str, inputs: Mapping[str, Any], config: Mapping[str, str], project: str) -> Checked:
    """Run the provider's `configure` and `check` on the inputs.

    `serialised` is the provider as the SDK pickles it. Inputs that are unknown leave the check undone, with a note:
    the SDK's own provider process hands them over as markers that a check can hardly read. Raises
    `DynamicProviderError` where the provider's code raises.
    """
    if contains_unknown(inputs):
        return Checked(inputs, note="the dynamic provider's check did not run, since some inputs are unknown.")
    plain = {key: _plain(value) for key, value in inputs.items()}
    try:
        provider = load_dynamic_provider(serialised)
        configure = getattr(provider, "configure", None)
        if configure is not None:
            configure(ConfigureRequest(config=Config(raw_config=dict(config), project_name=project)))
        result = provider.check({}, plain)
    except Exception as error:
        message = f"the dynamic provider's check raised {type(error).__name__}: {error}"
        raise DynamicProviderError(message, source_of_exception(error)) from error
    failures = tuple((failure.property, failure.reason) for failure in result.failures or ())
    checked = dict(result.inputs)
    for key, value in inputs.items():
        # A check that hands an input through must not take its secret marker off.
        if key in checked and checked[key] == plain[key]:
            checked[key] = value
    return Checked(checked, failures)


def _plain(value: Any) -> Any:
    value = reveal(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
