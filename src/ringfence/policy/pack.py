"""A pack: an ordered set of rules, and how one run of it is configured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ringfence.policy.rule import ParameterError, Rule
from ringfence.policy.verdict import Level

__all__ = ["ActiveRule", "Pack", "PackConfig", "PackError", "RuleConfig"]


class PackError(ValueError):
    """A pack, or a pack's configuration, is wrong. The message names the rule, the key and what was expected."""


@dataclass(frozen=True, slots=True)
class RuleConfig:
    """What a user sets for one rule."""

    level: Level | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PackConfig:
    """What a user sets for one run of a pack."""

    rules: Mapping[str, RuleConfig] = field(default_factory=dict)
    """By code or by policy name."""
    profiles: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    """Codes, names or code prefixes (`ST`) to judge by; empty for all."""
    ignore: tuple[str, ...] = ()
    """Codes, names or code prefixes to leave out."""


@dataclass(frozen=True)
class ActiveRule:
    """A rule with the level and the parameters of one run."""

    rule: Rule
    level: Level
    parameters: Mapping[str, Any]


def _selects(pattern: str, rule: Rule) -> bool:
    wanted = pattern.strip()
    return wanted.casefold() == rule.name or rule.code.startswith(wanted.upper())


@dataclass(frozen=True)
class Pack:
    """An ordered set of rules. Raises `PackError` if two rules have one code or one name."""

    name: str
    version: str
    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        seen: dict[str, Rule] = {}
        for rule in self.rules:
            for key in (rule.code, rule.name):
                if key in seen:
                    raise PackError(f"policy pack {self.name}: two rules are called {key}")
                seen[key] = rule

    @cached_property
    def by_key(self) -> Mapping[str, Rule]:
        """The rules by code and by name."""
        return {key: rule for rule in self.rules for key in (rule.code, rule.name)}

    @property
    def profiles(self) -> tuple[str, ...]:
        """The profiles that the rules know, sorted."""
        return tuple(sorted({rule.profile for rule in self.rules if rule.profile}))

    def activate(self, config: PackConfig | None = None) -> list[ActiveRule]:
        """Return the rules that judge under `config`, in pack order.

        Raises `PackError` for a rule, a profile, a parameter or a selection that the pack does not know.
        """
        config = config or PackConfig()
        self._check_names(config)
        active: list[ActiveRule] = []
        for rule in self.rules:
            given = config.rules.get(rule.code) or config.rules.get(rule.name) or RuleConfig()
            level = given.level or rule.level
            if given.level is None and level is Level.DISABLED and rule.profile in config.profiles:
                level = Level.ADVISORY
            if level is Level.DISABLED:
                continue
            if config.select and not any(_selects(pattern, rule) for pattern in config.select):
                continue
            if any(_selects(pattern, rule) for pattern in config.ignore):
                continue
            try:
                parameters = rule.values(given.parameters)
            except ParameterError as error:
                raise PackError(f"rules.{rule.code}.{error}") from None
            active.append(ActiveRule(rule, level, parameters))
        return active

    def _check_names(self, config: PackConfig) -> None:
        for key in config.rules:
            if key not in self.by_key:
                raise PackError(f"rules.{key}: policy pack {self.name} has no such rule")
        for profile in config.profiles:
            if profile not in self.profiles:
                raise PackError(
                    f"profile {profile!r}: policy pack {self.name} knows {', '.join(self.profiles) or 'no profile'}"
                )
        for option, patterns in (("--select", config.select), ("--ignore", config.ignore)):
            for pattern in patterns:
                if not any(_selects(pattern, rule) for rule in self.rules):
                    raise PackError(f"{option} {pattern}: policy pack {self.name} has no rule of that code or name")


def index(active: Iterable[ActiveRule]) -> dict[str, list[ActiveRule]]:
    """Return the rules by the type they judge; those that judge every resource stand under the empty string."""
    by_type: dict[str, list[ActiveRule]] = {}
    for entry in active:
        for token in entry.rule.types or ("",):
            by_type.setdefault(token, []).append(entry)
    return by_type
