"""What a policy pack's config says of one rule: its parameters, how unknowns count, and exemptions."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ringfence.policy.exemptions import Exemption
from ringfence.policy.rule import ParameterError, Rule

__all__ = [
    "COMMENT",
    "EXEMPT",
    "PACK_SETTINGS",
    "PROFILES",
    "STRICT_UNKNOWNS",
    "RuleSettings",
    "config_schema",
    "read_settings",
]

STRICT_UNKNOWNS: Final = "strictUnknowns"
"""Name of the parameter that every policy has besides its rule's own."""
PACK_SETTINGS: Final = "pack-settings"
"""Name of the entry of a config that is about all rules. The engine knows settings of policies alone, so it is listed
among them; it judges nothing."""
PROFILES: Final = "profiles"
"""Name of the profiles to turn on, among the settings of the whole pack."""
COMMENT: Final = "comment"
"""A key that may stand in every entry, for people: JSON has no comments."""
EXEMPT: Final = "exempt"
"""Name of the parameter that takes exemptions, in the form of the settings' `[[exempt]]` without the rule."""

_STRICT_SCHEMA = {
    "type": "boolean",
    "description": "Whether it is a violation that the policy cannot be decided before apply.",
    "default": False,
}
_EXEMPT_SCHEMA = {
    "type": "array",
    "description": "Failures that somebody answers for. They are reported as not applicable, with the reason.",
    "default": [],
    "items": {
        "type": "object",
        "required": ["reason", "owner"],
        "properties": {
            "resource": {"type": "string", "description": "A URN, `type::name`, or a glob of either; all by default."},
            "property": {"type": "string", "description": "Path of one property, for a single finding; a glob."},
            "reason": {"type": "string", "minLength": 1},
            "owner": {"type": "string", "minLength": 1},
            "expires": {"type": "string", "description": "The last day on which it holds: YYYY-MM-DD."},
        },
    },
}
_EXEMPTION_KEYS = ("resource", "property", "reason", "owner", "expires")


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """The config of one rule, checked."""

    parameters: Mapping[str, Any]
    strict_unknowns: bool = False
    exemptions: tuple[Exemption, ...] = ()


def config_schema(rule: Rule) -> dict[str, Any]:
    """Return the JSON schemas of what a config may set for `rule`, by key.

    Raises `ValueError` for a rule that has a parameter of a reserved name: `strictUnknowns`, `exempt` or `comment`.
    """
    schema = {parameter.name: parameter.schema() for parameter in rule.parameters}
    for reserved in (STRICT_UNKNOWNS, EXEMPT, COMMENT):
        if reserved in schema:
            raise ValueError(f"{rule.code}: a rule's parameter cannot be called {reserved}")
    return {**schema, STRICT_UNKNOWNS: dict(_STRICT_SCHEMA), EXEMPT: dict(_EXEMPT_SCHEMA)}


def read_settings(rule: Rule, given: Mapping[str, Any]) -> RuleSettings:
    """Return what the config `given` sets for `rule`, defaults filled in.

    Raises `ParameterError` that names the key and what was expected.
    """
    rest = {key: value for key, value in given.items() if key != COMMENT}
    strict = rest.pop(STRICT_UNKNOWNS, False)
    if not isinstance(strict, bool):
        raise ParameterError(f"{STRICT_UNKNOWNS}: expected true or false, found {strict!r}")
    exemptions = _exemptions(rule, rest.pop(EXEMPT, None))
    try:
        parameters = rule.values(rest)
    except ParameterError as error:
        unknown = next((key for key in rest if key not in {parameter.name for parameter in rule.parameters}), None)
        if unknown is None:
            raise
        known = ", ".join([*(parameter.name for parameter in rule.parameters), STRICT_UNKNOWNS, EXEMPT])
        raise ParameterError(f"{unknown}: {rule.code} has no such parameter (it has: {known})") from error
    return RuleSettings(parameters, strict, exemptions)


def _exemptions(rule: Rule, given: Any) -> tuple[Exemption, ...]:
    if given is None:
        return ()
    if not isinstance(given, list):
        raise ParameterError(f"{EXEMPT}: expected a list, found {type(given).__name__}")
    found = []
    for index, entry in enumerate(given):
        place = f"{EXEMPT}[{index}]"
        if not isinstance(entry, Mapping) or not all(isinstance(value, str) for value in entry.values()):
            raise ParameterError(f"{place}: expected an object of texts: {', '.join(_EXEMPTION_KEYS)}")
        stray = [key for key in entry if key not in _EXEMPTION_KEYS]
        if stray:
            known = ", ".join(_EXEMPTION_KEYS)
            raise ParameterError(f"{place}.{stray[0]}: there is no such key; expected one of {known}")
        for key in ("reason", "owner"):
            if not entry.get(key):
                raise ParameterError(f"{place}.{key}: an exemption needs one")
        try:
            expires = datetime.date.fromisoformat(entry["expires"]) if "expires" in entry else None
        except ValueError:
            raise ParameterError(f"{place}.expires: expected YYYY-MM-DD, found {entry['expires']!r}") from None
        found.append(
            Exemption(
                rule.code,
                entry.get("resource", "*"),
                entry["reason"],
                entry["owner"],
                expires,
                entry.get("property", "*"),
            )
        )
    return tuple(found)
