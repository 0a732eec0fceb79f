from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ringfence.policy.pack import PackError
from ringfence.policy.pack_config import DeclaredPolicy, PackLevel, Setting, reconcile

SCHEMA = {
    "count": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
    "size": {"enum": ["s", "l"]},
    "mode": {"const": "strict"},
    "label": {"type": "string", "minLength": 2, "maxLength": 3},
    "zones": {"type": "array", "items": {"type": "string"}, "minItems": 1},
}
ONE = DeclaredPolicy("one", PackLevel.MANDATORY, SCHEMA, ["label"])
FREE = DeclaredPolicy("free", PackLevel.ADVISORY, checked=False)
LABEL = {"label": "xx"}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "one: 'label' is a required property"),
        ({"one": {**LABEL, "count": "3"}}, "one.count: '3' is not of type 'integer'"),
        ({"one": {**LABEL, "count": 0}}, "one.count: 0 is less than the minimum of 1"),
        ({"one": {**LABEL, "size": "m"}}, "one.size: 'm' is not one of ['s', 'l']"),
        ({"one": {**LABEL, "mode": "lax"}}, "one.mode: 'strict' was expected"),
        ({"one": {**LABEL, "zones": []}}, "one.zones: [] should be non-empty; expected at least 1 item"),
        ({"one": {"label": "xxxx"}}, "one.label: 'xxxx' is too long; expected at most 3 characters"),
        ({"one": {**LABEL, "zones": ["a", 1]}}, "one.zones[1]: 1 is not of type 'string'"),
        (
            {"one": {"label": "x", "count": 10}},
            "one.count: 10 is greater than the maximum of 9; one.label: 'x' is too short; expected at least 2 "
            "characters",
        ),
        ({"two": "advisory"}, "two: there is no such policy (there are: free, one)"),
        (
            {"all": "fatal"},
            "all.enforcementLevel: expected one of advisory, mandatory, remediate, disabled, found 'fatal'",
        ),
        ({"one": [1]}, "one: expected an enforcement level or an object, found [1]"),
        ({"all": {"count": 1}}, "all: expected only enforcementLevel, found count"),
    ],
)
def test_a_wrong_config(config: Mapping[str, Any], message: str) -> None:
    with pytest.raises(PackError) as raised:
        reconcile("guard", [ONE, FREE], {}, config)

    assert str(raised.value).startswith(f"policy pack guard: {message}")


def test_a_schema_that_is_none() -> None:
    with pytest.raises(PackError, match=r"guard: bad: its config schema is wrong at properties\.n\.type: 'whole'"):
        reconcile("guard", [DeclaredPolicy("bad", PackLevel.ADVISORY, {"n": {"type": "whole"}})], {}, {})


@pytest.mark.parametrize(
    ("initial", "given", "one", "free"),
    [
        ({}, {"one": LABEL}, PackLevel.MANDATORY, PackLevel.ADVISORY),
        ({}, {"one": LABEL, "all": "disabled"}, PackLevel.DISABLED, PackLevel.DISABLED),
        (
            {},
            {"one": {**LABEL, "enforcementLevel": "remediate"}, "all": "disabled"},
            PackLevel.REMEDIATE,
            PackLevel.DISABLED,
        ),
        ({"free": (PackLevel.MANDATORY, {})}, {"one": LABEL}, PackLevel.MANDATORY, PackLevel.MANDATORY),
        (
            {"free": (PackLevel.MANDATORY, {})},
            {"one": LABEL, "free": "advisory"},
            PackLevel.MANDATORY,
            PackLevel.ADVISORY,
        ),
        # As under the engine, `all` of the user goes before what the pack itself says of one policy.
        (
            {"free": (PackLevel.MANDATORY, {})},
            {"one": LABEL, "all": {"enforcementLevel": "disabled"}},
            PackLevel.DISABLED,
            PackLevel.DISABLED,
        ),
    ],
)
def test_levels(initial: Mapping[str, Any], given: Mapping[str, Any], one: PackLevel, free: PackLevel) -> None:
    settings, notes = reconcile("guard", [ONE, FREE], initial, given)

    assert (settings["one"].level, settings["free"].level) == (one, free)
    assert notes == []


def test_properties_are_merged_by_key() -> None:
    settings, _ = reconcile("guard", [ONE], {"one": (None, {"label": "ab", "size": "s"})}, {"one": {"size": "l"}})

    assert settings == {"one": Setting(PackLevel.MANDATORY, {"count": 3, "label": "ab", "size": "l"})}


def test_environments_of_pulumi_cloud_are_left_out_with_a_note() -> None:
    _, notes = reconcile("guard", [FREE], {}, {"environments": ["prod"]})

    assert notes == ["environments: these are read from Pulumi Cloud, and are left out here."]
