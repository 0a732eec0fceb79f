"""The config that a program gets: its values, its secrets, and secrets that nobody could decrypt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi
import pytest

from ringfence.deployment import UNKNOWN, Secret
from ringfence.wire import UNKNOWN_SENTINEL
from tests.unit.engine.rehearsal import Thing, named, rehearse

VALUES = {
    "shop:size": "3",
    "shop:share": "0.5",
    "shop:on": "true",
    "shop:zones": '["a", {"b": 1}]',
    "shop:password": "hunter2",
    "shop:pin": "1234",
    "aws:region": "eu-west-1",
}


@pytest.mark.parametrize(
    ("get", "expected"),
    [
        (lambda c: c.get("size"), "3"),
        (lambda c: c.require_int("size"), 3),
        (lambda c: c.get_float("share"), 0.5),
        (lambda c: c.get_bool("on"), True),
        (lambda c: c.get_object("zones"), ["a", {"b": 1}]),
        (lambda c: c.get("missing"), None),
        (lambda c: c.get_secret("password"), Secret("hunter2")),
        (lambda c: c.require_secret_int("pin"), Secret(1234)),
        (lambda c: c.get_secret_object("zones"), Secret(["a", {"b": 1}])),
        (lambda _: pulumi.Config("aws").get("region"), "eu-west-1"),
    ],
)
def test_values(get: Callable[[pulumi.Config], Any], expected: Any) -> None:
    deployment = rehearse(
        lambda: Thing("thing", value=get(pulumi.Config())), config=VALUES, secret_keys=frozenset({"shop:password"})
    )

    assert named(deployment, "thing").inputs == ({} if expected is None else {"value": expected})


@pytest.mark.parametrize(
    "get",
    [
        lambda c: c.get_secret("password"),
        lambda c: c.require_secret("password"),
        lambda c: c.require_secret_int("password"),
        lambda c: c.get_secret_object("password").apply(lambda v: v["deep"]),
        lambda c: pulumi.Output.concat("a-", c.require_secret("password")),
        lambda c: pulumi.Output.json_dumps({"password": c.require_secret("password")}),
    ],
)
def test_a_secret_that_nobody_could_decrypt_is_unknown_and_secret(get: Callable[[pulumi.Config], Any]) -> None:
    deployment = rehearse(
        lambda: Thing("thing", value=get(pulumi.Config()), size=pulumi.Config().get_int("size")),
        config={**VALUES, "shop:password": UNKNOWN_SENTINEL},
        secret_keys=frozenset({"shop:password"}),
        undecrypted=frozenset({"shop:password"}),
    )

    assert named(deployment, "thing").inputs == {"value": Secret(UNKNOWN), "size": 3}


@pytest.mark.parametrize("text", ["{}", "user:{}@host"])
def test_the_plain_value_of_such_a_secret_and_a_text_with_it_are_unknown(text: str) -> None:
    deployment = rehearse(
        lambda: Thing("thing", value=text.format(pulumi.Config().require("password"))),
        config={"shop:password": UNKNOWN_SENTINEL},
        secret_keys=frozenset({"shop:password"}),
        undecrypted=frozenset({"shop:password"}),
    )

    assert named(deployment, "thing").inputs == {"value": UNKNOWN}
