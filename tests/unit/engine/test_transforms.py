"""Transformations (in the program) and transforms (the engine calls the program back)."""

from __future__ import annotations

import asyncio
from typing import Any

import pulumi
import pytest
from pulumi import (
    InvokeTransformArgs,
    InvokeTransformResult,
    ResourceOptions,
    ResourceTransformArgs,
    ResourceTransformationArgs,
    ResourceTransformationResult,
    ResourceTransformResult,
)

from ringfence.deployment import UNKNOWN, Secret
from tests.unit.engine.rehearsal import Cloud, EchoProvider, Group, Other, Thing, Typed, line_of, named, rehearse

THING = "urn:pulumi:dev::shop::test:index:Thing::"


def tag(args: ResourceTransformArgs) -> ResourceTransformResult:
    return ResourceTransformResult({**args.props, "tag": args.name}, args.opts)


def old_style(args: ResourceTransformationArgs) -> ResourceTransformationResult | None:
    if args.type_ != "test:index:Thing":
        return None
    options = ResourceOptions.merge(args.opts, ResourceOptions(protect=True))
    return ResourceTransformationResult({**args.props, "old": True}, options)


def test_transformations_of_a_resource_of_a_component_and_of_the_stack() -> None:
    def program() -> None:
        Thing("before")
        pulumi.runtime.register_stack_transformation(old_style)
        Thing("by stack")
        Other("other")

    deployment = rehearse(program)
    assert named(deployment, "before").inputs == {}
    assert named(deployment, "by stack").inputs == {"old": True}
    assert named(deployment, "by stack").options.protect is True
    assert named(deployment, "other").inputs == {}

    def nested() -> None:
        Thing("own", ResourceOptions(transformations=[old_style]))
        group = Group("group", ResourceOptions(transformations=[old_style]))
        Thing("child", ResourceOptions(parent=Group("inner", ResourceOptions(parent=group))))

    deployment = rehearse(nested)
    assert [named(deployment, name).inputs for name in ("own", "child")] == [{"old": True}, {"old": True}]


def test_a_transform_of_a_resource_changes_its_inputs() -> None:
    def program() -> None:
        Thing("thing", ResourceOptions(transforms=[tag]), size=1)
        Thing("free")

    deployment = rehearse(program)

    assert named(deployment, "thing").inputs == {"size": 1, "tag": "thing"}
    assert named(deployment, "thing").outputs == {"size": 1, "tag": "thing"}
    assert named(deployment, "free").inputs == {}


def test_a_component_s_transforms_reach_its_descendants_and_nobody_else() -> None:
    seen: list[tuple[str, str, bool]] = []

    def note(args: ResourceTransformArgs) -> ResourceTransformResult | None:
        seen.append((args.type_, args.name, args.custom))
        return tag(args) if args.custom else None

    def program() -> None:
        group = Group("group", ResourceOptions(transforms=[note]))
        inner = Group("inner", ResourceOptions(parent=group))
        Thing("deep", ResourceOptions(parent=inner))
        Thing("outside")

    deployment = rehearse(program)

    assert named(deployment, "deep").inputs == {"tag": "deep"}
    assert named(deployment, "outside").inputs == {}
    assert seen == [
        ("test:index:Group", "group", False),
        ("test:index:Group", "inner", False),
        ("test:index:Thing", "deep", True),
    ]


def test_stack_transforms_reach_what_is_registered_later_and_run_after_nearer_ones() -> None:
    order: list[str] = []

    def stack_wide(args: ResourceTransformArgs) -> ResourceTransformResult:
        order.append(f"stack {args.name}")
        return ResourceTransformResult({**args.props, "by": "stack"}, args.opts)

    def own(args: ResourceTransformArgs) -> ResourceTransformResult:
        order.append(f"own {args.name}")
        return ResourceTransformResult({**args.props, "by": "own"}, args.opts)

    def program() -> None:
        Thing("early")
        pulumi.runtime.register_resource_transform(stack_wide)
        Thing("late", ResourceOptions(transforms=[own]))

    deployment = rehearse(program)

    assert named(deployment, "early").inputs == {}
    assert named(deployment, "late").inputs == {"by": "stack"}
    assert order == ["own late", "stack late"]


def test_an_asynchronous_transform_is_awaited() -> None:
    async def slow(args: ResourceTransformArgs) -> ResourceTransformResult:
        await asyncio.sleep(0.01)
        return ResourceTransformResult({**args.props, "slow": True}, args.opts)

    deployment = rehearse(lambda: Thing("thing", ResourceOptions(transforms=[slow, tag])))

    assert named(deployment, "thing").inputs == {"slow": True, "tag": "thing"}


def test_a_transform_may_change_the_options() -> None:
    def program() -> None:
        dependency, owner = Thing("dependency"), Thing("owner")
        north = Cloud("north")

        def change(args: ResourceTransformArgs) -> ResourceTransformResult:
            options = ResourceOptions.merge(
                args.opts,
                ResourceOptions(
                    protect=True,
                    depends_on=[dependency],
                    ignore_changes=["size"],
                    provider=north,
                    deleted_with=owner,
                    retain_on_delete=True,
                    aliases=[pulumi.Alias(name="old")],
                    version="9.9.9",
                ),
            )
            return ResourceTransformResult(args.props, options)

        Thing("thing", ResourceOptions(transforms=[change]))

    deployment = rehearse(program)

    thing = named(deployment, "thing")
    assert thing.dependencies == (f"{THING}dependency",)
    assert thing.provider == named(deployment, "north").urn
    assert thing.options.protect is True
    assert thing.options.retain_on_delete is True
    assert thing.options.deleted_with == f"{THING}owner"
    assert thing.options.ignore_changes == ("size",)
    assert thing.options.aliases == (f"{THING}old",)
    assert thing.options.version == "9.9.9"


def test_a_transform_may_take_options_away() -> None:
    def clear(args: ResourceTransformArgs) -> ResourceTransformResult:
        return ResourceTransformResult(args.props, ResourceOptions())

    def program() -> None:
        other = Thing("other")
        options = ResourceOptions(
            protect=True, depends_on=[other], ignore_changes=["size"], version="1.0.0", transforms=[clear]
        )
        Thing("thing", options)

    thing = named(rehearse(program), "thing")

    assert (thing.options.protect, thing.options.ignore_changes, thing.options.version) == (None, (), "")
    assert thing.dependencies == ()


def test_what_feeds_a_property_survives_a_transform() -> None:
    def program() -> None:
        a, b = Thing("a"), Thing("b")

        def add(args: ResourceTransformArgs) -> ResourceTransformResult:
            props = {key: value for key, value in args.props.items() if key != "dropped"}
            return ResourceTransformResult({**props, "added": b.id}, args.opts)

        Thing("thing", ResourceOptions(transforms=[add]), kept=a.id, dropped=a.computed)

    thing = named(rehearse(program), "thing")

    assert thing.inputs == {"kept": "id-a", "added": "id-b"}
    # The SDK does not say what feeds a property that a transform adds; what it keeps is known.
    assert thing.property_dependencies == {"kept": (f"{THING}a",)}
    assert thing.dependencies == (f"{THING}a",)


@pytest.mark.parametrize("everywhere", [False, True])
def test_secrets_and_unknowns_reach_a_transform_as_outputs_and_come_back(everywhere: bool) -> None:
    kinds: dict[str, type] = {}

    def look(args: ResourceTransformArgs) -> ResourceTransformResult:
        kinds.update({key: type(value) for key, value in args.props.items()})
        return tag(args) if args.name == "thing" else ResourceTransformResult(args.props, args.opts)

    def program() -> None:
        if everywhere:
            pulumi.runtime.register_resource_transform(look)
        made = Thing("made")
        Thing(
            "thing",
            ResourceOptions(transforms=[] if everywhere else [look]),
            secret=pulumi.Output.secret({"deep": ["hunter2"]}),
            unknown=made.computed,
            nested={"unknown": made.computed, "secret": pulumi.Output.secret("x")},
        )

    thing = named(rehearse(program), "thing")

    assert thing.inputs == {
        "secret": Secret({"deep": ["hunter2"]}),
        "unknown": UNKNOWN,
        "nested": {"unknown": UNKNOWN, "secret": Secret("x")},
        "tag": "thing",
    }
    assert kinds["secret"] is kinds["unknown"] is pulumi.Output


def test_a_transform_sees_the_names_of_the_wire() -> None:
    def enlarge(args: ResourceTransformArgs) -> ResourceTransformResult:
        return ResourceTransformResult({**args.props, "instanceSize": args.props["instanceSize"] + "er"}, args.opts)

    deployment = rehearse(lambda: Typed("typed", ResourceOptions(transforms=[enlarge]), instance_size="small"))

    assert named(deployment, "typed").inputs == {"instanceSize": "smaller"}


def raising(args: ResourceTransformArgs) -> ResourceTransformResult:
    raise ValueError("no such tag")  # line: raising


async def raising_later(args: ResourceTransformArgs) -> ResourceTransformResult:
    await asyncio.sleep(0)
    raise ValueError("no such tag")  # line: raising later


@pytest.mark.parametrize(("transform", "mark"), [(raising, "raising"), (raising_later, "raising later")])
def test_a_transform_that_raises_is_an_error_at_its_own_line(transform: Any, mark: str) -> None:
    deployment = rehearse(lambda: Thing("thing", ResourceOptions(transforms=[transform])))

    assert deployment.error is not None
    assert deployment.error.message == "ValueError: no such tag"
    assert deployment.error.source is not None
    assert deployment.error.source.line == line_of(__file__, mark)


def test_invoke_transforms_change_arguments_and_options() -> None:
    def program() -> None:
        def change(args: InvokeTransformArgs) -> InvokeTransformResult:
            assert args.token == "test:index:look"
            return InvokeTransformResult({**args.args, "limit": 3}, args.opts)

        pulumi.runtime.register_invoke_transform(change)
        plain = pulumi.runtime.invoke("test:index:look", {"name": "x"}).value
        pulumi.export("plain", plain)
        pulumi.export(
            "output", pulumi.runtime.invoke_output("test:index:look", {"name": pulumi.Output.from_input("y")})
        )

    provider = EchoProvider(invokes={"test:index:look": {"found": True}})
    deployment = rehearse(program, provider)

    assert deployment.error is None
    assert deployment.outputs == {"plain": {"found": True}, "output": {"found": True}}
    assert [arguments for _, arguments, _ in provider.asked] == [{"name": "x", "limit": 3}, {"name": "y", "limit": 3}]


def test_no_transform_server_stays_behind() -> None:
    from pulumi.runtime._callbacks import _CallbackServicer

    rehearse(lambda: Thing("thing", ResourceOptions(transforms=[tag])))
    rehearse(lambda: Thing("thing", ResourceOptions(transforms=[raising])))

    assert _CallbackServicer._servicers == []
