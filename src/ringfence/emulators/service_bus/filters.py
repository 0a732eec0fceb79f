"""Rules of a subscription: which messages of the topic it gets.

Source: Service Bus documentation on topic filters.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ringfence.emulators.service_bus.sql import parse_predicate
from ringfence.emulators.service_bus.sql_values import Predicate
from ringfence.emulators.service_bus.stored import StoredMessage

__all__ = ["DEFAULT_RULE", "CorrelationFilter", "FalseFilter", "Filter", "Rule", "SqlFilter", "TrueFilter", "matches"]


@dataclass(frozen=True)
class TrueFilter:
    """Every message."""

    def matches(self, message: StoredMessage) -> bool:
        """Say yes."""
        return True


@dataclass(frozen=True)
class FalseFilter:
    """No message."""

    def matches(self, message: StoredMessage) -> bool:
        """Say no."""
        return False


@dataclass(frozen=True, kw_only=True)
class CorrelationFilter:
    """Messages whose properties equal all that are given here. Text is compared with its case."""

    content_type: str | None = None
    correlation_id: str | None = None
    label: str | None = None
    message_id: str | None = None
    reply_to: str | None = None
    reply_to_session_id: str | None = None
    session_id: str | None = None
    to: str | None = None
    properties: dict[str, Any] = field(default_factory=dict)

    def matches(self, message: StoredMessage) -> bool:
        """Compare all that is given."""
        wanted = {
            "ContentType": self.content_type,
            "CorrelationId": self.correlation_id,
            "Label": self.label,
            "MessageId": self.message_id,
            "ReplyTo": self.reply_to,
            "ReplyToSessionId": self.reply_to_session_id,
            "SessionId": self.session_id,
            "To": self.to,
        }
        system, application = message.system_properties, message.application_properties
        return all(value is None or system[name] == value for name, value in wanted.items()) and all(
            name in application and _equal(application[name], value) for name, value in self.properties.items()
        )


@dataclass(frozen=True)
class SqlFilter:
    """Messages for which an SQL condition is true.

    Raises:
        SettingsError: the condition is not one, or uses what this fake does not do.
    """

    sql_expression: str
    _predicate: Predicate = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the condition."""
        object.__setattr__(self, "_predicate", parse_predicate(self.sql_expression))

    def matches(self, message: StoredMessage) -> bool:
        """Evaluate the condition.

        Raises:
            FilterError: it cannot be evaluated for this message.
        """
        return self._predicate(message.application_properties, message.system_properties) is True


Filter = TrueFilter | FalseFilter | CorrelationFilter | SqlFilter


@dataclass(frozen=True)
class Rule:
    """A named filter."""

    name: str
    filter: Filter


DEFAULT_RULE = Rule("$Default", TrueFilter())
"""What a subscription has until it is given a rule of its own."""


def matches(rules: dict[str, Rule], message: StoredMessage) -> bool:
    """Return whether any rule wants a message.

    Raises:
        FilterError: a rule cannot be evaluated for this message.
    """
    return any(rule.filter.matches(message) for rule in rules.values())


def _equal(left: Any, right: Any) -> bool:
    """Compare as the service does: a number is never a text, and a boolean is never a number."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)
