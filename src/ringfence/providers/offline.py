"""The offline provider: it answers for every type from what the installed SDKs say, without a cloud."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ringfence.providers import invokes as _invokes
from ringfence.providers import outputs, schema
from ringfence.providers.interface import Answer, Created, InputFault, OutputMode, Registration

__all__ = ["OfflineProvider"]


class OfflineProvider:
    """A `Provider` that reaches no network and raises nothing.

    `mode` is the one of `--outputs`. `invokes` holds the user's answers to functions, by token.
    """

    def __init__(self, mode: OutputMode = "synthetic", invokes: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.mode = mode
        self._answers: Mapping[str, Mapping[str, Any]] = invokes or {}

    def check(self, registration: Registration) -> list[InputFault]:
        """Return the inputs that the type does not take: PG01 to PG04."""
        return schema.check(registration.type, registration.inputs)

    def create(self, registration: Registration) -> Created:
        """Return the id and the outputs of a new resource, or of one that `import_id` takes over."""
        return outputs.create(registration, self.mode)

    def read(self, registration: Registration) -> Created:
        """Return the id and the outputs of an existing resource: the given id, and what follows from it."""
        return outputs.create(registration, self.mode)

    def invoke(
        self, token: str, arguments: Mapping[str, Any], provider_inputs: Mapping[str, Any], *, plain: bool = True
    ) -> Answer:
        """Answer a function: the user's answer, a built-in one, a placeholder with a note, or unknown.

        In mode `unknown` the answer is unknown instead of a placeholder, where the program can take that.
        """
        answer = _invokes.answer(token, arguments, provider_inputs, self._answers)
        if answer.note and answer.known and self.mode == "unknown" and not plain:
            return Answer({}, known=False)
        return answer

    def call(self, token: str, arguments: Mapping[str, Any], provider: str | None = None) -> Answer:
        """Answer a method of a resource: only its provider knows the result."""
        return _invokes.answer_method(token, provider)
