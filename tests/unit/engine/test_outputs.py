"""Outputs: the SDK's helpers, what stays secret, what is unknown, and what a program exports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi
import pytest
from pulumi import Output

from ringfence.deployment import UNKNOWN, Archive, Asset, ResourceReference, Secret
from tests.unit.engine.rehearsal import EchoProvider, Group, Thing, Typed, named, rehearse

HELPERS: list[tuple[str, Callable[[Thing], Any], Any]] = [
    ("all", lambda t: Output.all(t.id, t.size, 3), ["id-thing", 5, 3]),
    ("all by name", lambda t: Output.all(a=t.id, b=t.size), {"a": "id-thing", "b": 5}),
    ("concat", lambda t: Output.concat("<", t.id, "-", "x>"), "<id-thing-x>"),
    ("format", lambda t: Output.format("{0}/{name}", t.id, name=t.id), "id-thing/id-thing"),
    ("json_dumps", lambda t: Output.json_dumps({"a": [t.id, {"b": t.size}]}), '{"a": ["id-thing", {"b": 5.0}]}'),
    ("json_loads", lambda t: Output.json_loads(Output.json_dumps({"a": t.id}))["a"], "id-thing"),
    ("from_input", lambda t: Output.from_input({"a": [t.id, {"b": t.size}]}), {"a": ["id-thing", {"b": 5}]}),
    ("apply chain", lambda t: t.id.apply(lambda v: Output.from_input(v + "!")).apply(len), 9),
    ("lifted attribute", lambda t: Output.from_input({"a": [t.id]})["a"][0], "id-thing"),
    ("secret", lambda t: Output.secret(t.id), Secret("id-thing")),
    ("secret in all", lambda t: Output.all(t.id, Output.secret("x")), Secret(["id-thing", "x"])),
    ("secret in concat", lambda t: Output.concat(t.id, Output.secret("x")), Secret("id-thingx")),
    ("secret in format", lambda t: Output.format("{0}", Output.secret("x")), Secret("x")),
    ("secret in json", lambda t: Output.json_dumps({"a": Output.secret("x")}), Secret('{"a": "x"}')),
    ("secret nested", lambda t: {"a": [Output.secret("x"), t.id]}, {"a": [Secret("x"), "id-thing"]}),
    ("secret applied", lambda t: Output.secret(t.id).apply(len), Secret(8)),
    ("apply to secret", lambda t: t.id.apply(lambda v: Output.secret(v)), Secret("id-thing")),
    ("unsecret", lambda t: Output.unsecret(Output.secret(t.id)), "id-thing"),
    ("unsecret applied", lambda t: Output.unsecret(Output.secret(t.id).apply(len)), 8),
    ("unknown", lambda t: t.computed, UNKNOWN),
    ("unknown in all", lambda t: Output.all(t.id, t.computed), UNKNOWN),
    ("unknown in concat", lambda t: Output.concat("a", t.computed), UNKNOWN),
    ("unknown in json", lambda t: Output.json_dumps({"a": t.computed}), UNKNOWN),
    ("unknown nested", lambda t: {"a": [t.computed, t.id]}, {"a": [UNKNOWN, "id-thing"]}),
    ("unknown applied", lambda t: t.computed.apply(lambda v: v["never"]), UNKNOWN),
    ("unknown lifted", lambda t: t.computed["a"].b[0], UNKNOWN),
    ("unknown secret", lambda t: Output.secret(t.computed), Secret(UNKNOWN)),
    ("none", lambda t: t.id.apply(lambda v: None), None),
    ("numbers", lambda t: t.id.apply(lambda v: [1, 1.5, True, "1"]), [1, 1.5, True, "1"]),
]


@pytest.mark.parametrize(("make", "expected"), [case[1:] for case in HELPERS], ids=[case[0] for case in HELPERS])
def test_helpers_as_inputs_and_as_exports(make: Callable[[Thing], Any], expected: Any) -> None:
    def program() -> None:
        thing = Thing("thing", size=5)
        Thing("user", value=make(thing))
        pulumi.export("value", make(thing))

    deployment = rehearse(program)

    # The SDK leaves an input out that turns out to be nothing.
    assert named(deployment, "user").inputs == ({} if expected is None else {"value": expected})
    assert deployment.outputs == ({} if expected is None else {"value": expected})


def test_types_of_numbers_are_those_of_the_wire() -> None:
    values = rehearse(lambda: pulumi.export("n", [1, 2.0, 2.5, True, 10**15])).outputs["n"]

    assert [type(value) for value in values] == [int, int, float, bool, int]
    assert values == [1, 2, 2.5, True, 10**15]


def test_in_mode_unknown_ids_and_computed_outputs_are_unknown_and_inputs_are_known() -> None:
    ran: list[Any] = []

    def program() -> None:
        thing = Thing("thing", size=5)
        thing.id.apply(ran.append)
        thing.size.apply(ran.append)
        pulumi.export("id", thing.id)
        pulumi.export("size", thing.size)
        pulumi.export("both", Output.all(thing.id, thing.size))
        pulumi.export("urn", thing.urn)

    deployment = rehearse(program, EchoProvider("unknown"))

    assert deployment.outputs == {
        "id": UNKNOWN,
        "size": 5,
        "both": UNKNOWN,
        "urn": "urn:pulumi:dev::shop::test:index:Thing::thing",
    }
    assert ran == [5]


def test_apply_can_ask_to_run_with_unknowns() -> None:
    def program() -> None:
        thing = Thing("thing")
        seen = thing.computed.apply(lambda v: "known" if v != pulumi.UNKNOWN else "unknown", run_with_unknowns=True)
        pulumi.export("seen", seen)

    # The result of an apply on an unknown is itself taken as unknown.
    assert rehearse(program).outputs["seen"] in (UNKNOWN, "unknown")


def test_exports_of_resources_components_assets_and_classes() -> None:
    class Plain:
        def __init__(self) -> None:
            self.name = "n"
            self._hidden = "h"

    def program() -> None:
        thing = Typed("thing", instance_size="small")
        pulumi.export("thing", thing)
        pulumi.export("list", [thing.instance_size, {"deep": (1, 2)}])
        pulumi.export("asset", pulumi.StringAsset("text"))
        pulumi.export("plain", Plain())
        pulumi.export("same", "first")
        pulumi.export("same", "second")

    outputs = rehearse(program).outputs

    assert outputs["thing"]["instance_size"] == "small"
    assert outputs["thing"]["id"] == "id-thing"
    assert outputs["thing"]["urn"] == "urn:pulumi:dev::shop::test:index:Typed::thing"
    assert outputs["list"] == ["small", {"deep": [1, 2]}]
    assert outputs["asset"] == Asset("text", "text")
    assert outputs["plain"] == {"name": "n"}
    assert outputs["same"] == "second"


def test_resources_as_inputs_are_references() -> None:
    def program() -> None:
        thing, group = Thing("thing"), Group("group")
        Thing("user", of=thing, within=[group])

    user = named(rehearse(program), "user")

    assert user.inputs == {
        "of": ResourceReference("urn:pulumi:dev::shop::test:index:Thing::thing", "id-thing"),
        "within": [ResourceReference("urn:pulumi:dev::shop::test:index:Group::group")],
    }


def test_assets_and_archives_as_inputs() -> None:
    def program() -> None:
        Thing(
            "thing",
            text=pulumi.StringAsset("body"),
            remote=pulumi.RemoteAsset("https://example.com/a"),
            archive=pulumi.AssetArchive({"a/b.txt": pulumi.StringAsset("b"), "c": pulumi.FileArchive(".")}),
            far=pulumi.RemoteArchive("https://example.com/b.zip"),
        )

    assert named(rehearse(program), "thing").inputs == {
        "text": Asset("text", "body"),
        "remote": Asset("remote", "https://example.com/a"),
        "archive": Archive("assets", {"a/b.txt": Asset("text", "b"), "c": Archive("file", ".")}),
        "far": Archive("remote", "https://example.com/b.zip"),
    }


def test_typed_outputs_have_python_s_names_for_the_program() -> None:
    def program() -> None:
        typed = Typed("typed", instance_size="small", tag_map={"some_key": "v"})
        pulumi.export("size", typed.instance_size)
        pulumi.export("tags", typed.tag_map["some_key"])

    deployment = rehearse(program)

    assert deployment.outputs == {"size": "small", "tags": "v"}
    assert named(deployment, "typed").inputs == {"instanceSize": "small", "tagMap": {"some_key": "v"}}


def test_a_program_may_be_a_coroutine_and_may_use_pulumi_run() -> None:
    async def program() -> None:
        thing = Thing("thing", size=2)
        pulumi.export("size", await thing.size.future())

    def with_run() -> None:
        async def main() -> dict[str, Any]:
            thing = Thing("thing", size=2)
            return {"size": thing.size, "id": await thing.id.future()}

        pulumi.run(main)

    assert rehearse(program).outputs == {"size": 2}
    assert rehearse(with_run).outputs == {"size": 2, "id": "id-thing"}


def test_resources_made_within_apply_are_registered() -> None:
    def program() -> None:
        first = Thing("first", names=["a", "b"])
        first.id.apply(lambda _: [Thing(name) for name in ("a", "b")])

    deployment = rehearse(program)

    assert [resource.name for resource in deployment.resources if resource.type == "test:index:Thing"] == [
        "first",
        "a",
        "b",
    ]


def test_components_outputs_and_their_use() -> None:
    class Site(pulumi.ComponentResource):
        url: Output[str]

        def __init__(self, name: str) -> None:
            super().__init__("test:index:Site", name)
            thing = Thing(f"{name}-thing", pulumi.ResourceOptions(parent=self))
            self.url = Output.concat("https://", thing.id)
            self.register_outputs({"url": self.url})

    def program() -> None:
        pulumi.export("url", Site("site").url)

    deployment = rehearse(program)

    assert deployment.outputs == {"url": "https://id-site-thing"}
    assert named(deployment, "site").outputs == {"url": "https://id-site-thing"}
    assert deployment.resources[0].outputs == {"url": "https://id-site-thing"}
