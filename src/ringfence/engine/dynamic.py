"""Dynamic providers (`pulumi.dynamic`): as in a preview their `check` runs, their `create` does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pulumi.dynamic import ConfigureRequest
from pulumi.dynamic.config import Config

from ringfence.deployment import SourceLine, Unknown, contains_unknown, reveal
from ringfence.engine.frames import source_of_exception
from ringfence.wire import UNKNOWN_SENTINEL, unknown_where_marked

__all__ = ["NOT_TAKEN", "Checked", "DynamicProviderError", "check_dynamic", "plain_value"]


NOT_TAKEN = "the dynamic provider's check does not take the unknown inputs: they are left unchecked."


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

    `serialised` is the provider as the SDK pickles it. Unknown inputs reach the check as the text that marks them, as
    from the SDK's own provider process. A check that does not take that one leaves the inputs as they are, with a note.
    Raises `DynamicProviderError` where the provider's code raises.
    """
    # Imported here: a program that runs out of process needs the rest of this module alone.
    from ringfence.engine._pulumi_sdk import load_dynamic_provider

    plain = {key: plain_value(value) for key, value in inputs.items()}
    marked = contains_unknown(inputs)
    try:
        provider = load_dynamic_provider(serialised)
        configure = getattr(provider, "configure", None)
        if configure is not None:
            configure(ConfigureRequest(config=Config(raw_config=dict(config), project_name=project)))
        result = provider.check({}, dict(plain))
    except Exception as error:
        if marked:
            return Checked(inputs, note=NOT_TAKEN)
        message = f"the dynamic provider's check raised {type(error).__name__}: {error}"
        raise DynamicProviderError(message, source_of_exception(error)) from error
    failures = tuple((failure.property, failure.reason) for failure in result.failures or ())
    if failures and marked:
        return Checked(inputs, note=NOT_TAKEN)
    checked = {key: unknown_where_marked(value) for key, value in result.inputs.items()}
    for key, value in inputs.items():
        # A check that hands an input through must not take its secret marker off.
        if key in checked and result.inputs[key] == plain[key]:
            checked[key] = value
    return Checked(checked, failures)


def plain_value(value: Any) -> Any:
    """Return a value as a dynamic provider gets it: no secrets, and unknowns as the text that marks them."""
    value = reveal(value)
    if isinstance(value, Unknown):
        return UNKNOWN_SENTINEL
    if isinstance(value, Mapping):
        return {key: plain_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain_value(item) for item in value]
    return value
