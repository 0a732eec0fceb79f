"""What `_pulumi_sdk` relies on and the SDK does not promise. A failure here means: read the adapter again."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import random
import sys
import types
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pulumi
import pulumi.runtime._callbacks
import pytest
from pulumi import _types as sdk_types
from pulumi.output import _OutputData
from pulumi.runtime import _context, settings, stack
from pulumi.runtime import resource as sdk_resource
from pulumi.runtime import resource_cycle_breaker as sdk_cycles
from pulumi.runtime import rpc as sdk_rpc
from pulumi.runtime._callbacks import _CallbackServicer
from pulumi.runtime._serialization import _deserialize

from ringfence.deployment import UNKNOWN
from ringfence.engine import _pulumi_sdk as adapter
from tests.unit.engine.rehearsal import EchoProvider, Thing, named, rehearse


def test_written_against_this_version() -> None:
    major, minor, *_ = version("pulumi").split(".")

    assert (major, int(minor) >= 272) == ("3", True)


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (sdk_resource._get_stack_trace, []),
        (sdk_resource.resource_output, ["res"]),
        (sdk_resource.create_urn, ["name", "type_", "parent", "project", "stack"]),
        (sdk_resource.register_resource, ["res", "ty", "name", "custom", "remote"]),
        (sdk_resource.read_resource, ["res", "ty", "name", "props", "opts"]),
        (sdk_rpc.transfer_properties, ["res", "props", "custom"]),
        (sdk_types.unwrap_type, ["val"]),
        (pulumi.Output._from_data, ["data"]),
        (pulumi.Alias.__init__, ["self", "name", "type_", "parent", "stack", "project"]),
        (stack.Stack.output, ["self", "name", "value"]),
        (stack.run_in_stack, ["func"]),
        (_context.wrap_with_context, ["fn"]),
        (_CallbackServicer.__init__, ["self", "monitor"]),
        (_deserialize, ["f", "args"]),
        (sdk_cycles._reachable, ["from_resource", "to_resource"]),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_signatures(function: Any, parameters: list[str]) -> None:
    assert list(inspect.signature(function).parameters)[: len(parameters)] == parameters


def test_settings_take_a_monitor_and_an_engine_and_live_in_the_context() -> None:
    parameters = inspect.signature(settings.Settings.__init__).parameters

    assert {"project", "stack", "monitor", "engine", "parallel", "dry_run", "organization", "root_directory"} <= set(
        parameters
    )
    assert settings.SETTINGS.rpc_manager.rpcs == []
    assert isinstance(settings.SETTINGS.outputs, set)
    assert settings.ROOT.get() is None


def test_an_rpc_is_handed_to_the_executor_in_a_wrapper_of_one_module() -> None:
    wrapper = _context.wrap_with_context(lambda: 1)

    assert wrapper.__module__ == adapter._RPC_MODULE
    assert wrapper() == 1


@pytest.mark.parametrize("name", ["do_register", "do_read"])
def test_registrations_run_in_functions_of_these_names_that_know_their_resource(name: str) -> None:
    functions = [sdk_resource.register_resource, sdk_resource.read_resource]
    codes = [code for function in functions for code in function.__code__.co_consts if isinstance(code, types.CodeType)]
    found = [code for code in codes if code.co_name == name]

    assert len(found) == 1
    assert "res" in found[0].co_freevars


def test_resources_are_made_through_two_constructors_of_the_sdk() -> None:
    """The third is the class's own: positions start at its caller, as the SDK's own do."""
    frames: list[str] = []

    class Watched(pulumi.CustomResource):
        def __init__(self, name: str) -> None:
            super().__init__("test:index:Thing", name, {})

    def look(args: pulumi.ResourceTransformationArgs) -> None:
        frame = inspect.currentframe()
        frame = frame.f_back if frame else None
        while frame is not None and frame.f_locals.get(next(iter(frame.f_code.co_varnames), "")) is args.resource:
            frames.append(frame.f_code.co_name)
            frame = frame.f_back

    def program() -> None:
        pulumi.runtime.register_stack_transformation(look)
        Watched("watched")

    assert rehearse(program).error is None
    assert frames == ["__init__", "__init__", "__init__"]


def test_callbacks_are_kept_by_token() -> None:
    source = inspect.getsource(_CallbackServicer)

    assert _CallbackServicer._servicers == []
    assert "self._callbacks[token] = cb" in source
    assert "aio.server(" in source
    assert "_loop" in _CallbackServicer.__annotations__


def test_packages_and_modules_of_generated_sdks_are_tables_of_lists() -> None:
    for table in (sdk_rpc._RESOURCE_PACKAGES, sdk_rpc._RESOURCE_MODULES):
        assert all(isinstance(entries, list) for entries in table.values())


def test_forget_packages_takes_out_what_the_modules_registered() -> None:
    class Package(pulumi.runtime.ResourcePackage):
        def version(self) -> Any:
            return None

        def construct_provider(self, name: str, typ: str, urn: str) -> Any:
            raise NotImplementedError

    pulumi.runtime.register_resource_package("contract", Package())
    kept = {key: list(value) for key, value in sdk_rpc._RESOURCE_PACKAGES.items() if key != "contract"}

    adapter.forget_packages({__name__})

    assert kept == sdk_rpc._RESOURCE_PACKAGES


def test_an_output_tells_how_not_to_be_used_as_text() -> None:
    texts: list[str] = []

    rehearse(lambda: texts.append(str(Thing("thing").id)))

    assert texts[0].startswith(adapter.OUTPUT_AS_TEXT)


def test_an_output_has_all_its_state_in_one_future_of_this_name() -> None:
    assert "_data" in pulumi.Output.__annotations__
    assert "_data" not in vars(pulumi.Output)  # else a property of a subclass could not stand for it

    def program() -> None:
        unknown = adapter.UnknownOutput.__new__(adapter.UnknownOutput)
        Thing("thing", size=unknown, other=[unknown, pulumi.Output.concat("a", unknown)])

    assert named(rehearse(program), "thing").inputs == {"size": UNKNOWN, "other": [UNKNOWN, UNKNOWN]}


@pytest.mark.parametrize("stand_in", [False, True])
def test_resources_take_only_resources_for_these_options(stand_in: bool) -> None:
    from ringfence.engine.stand_ins import StandIn, accepted_as_resources

    options = ("parent", "provider", "providers", "deleted_with")
    with accepted_as_resources() if stand_in else contextlib.nullcontext():
        given = pulumi.ResourceOptions(**dict.fromkeys(options, StandIn()))

    assert [getattr(given, name) is None for name in options] == [stand_in] * 4


def test_the_sdk_is_as_it_was_after_a_run() -> None:
    def state() -> list[Any]:
        owners = [
            (sdk_resource, "_get_stack_trace"),
            (sdk_resource, "create_urn"),
            (sdk_rpc, "transfer_properties"),
            (sdk_types, "unwrap_type"),
            (pulumi.log, "debug"),
            (pulumi.log, "error"),
            (pulumi.Alias, "__init__"),
            (pulumi.Output, "__str__"),
            (pulumi.Output, "_from_data"),
            (stack.Stack, "output"),
            (pulumi.runtime._callbacks, "aio"),
            (sys.modules["pulumi.runtime.invoke"], "_invoke"),
            (sdk_cycles, "_reachable"),
            *((pulumi.Config, name) for name in adapter._SECRET_GETTERS),
        ]
        return [vars(owner)[name] for owner, name in owners]

    before = state()
    rehearse(lambda: Thing("thing"), undecrypted=frozenset({"shop:key"}))
    assert state() == before
    rehearse(lambda: 1 / 0)
    assert state() == before


class BoomError(Exception):
    pass


VALUES: list[Any] = [3, "text", None, [1, {"a": None}], {"nested": {"deep": True}}]
RESOLUTIONS = [
    *itertools.product(VALUES, [True], [False, True], [None]),
    (None, False, False, None),
    (None, False, True, None),
    ([1, pulumi.UNKNOWN], True, False, None),
    ({"a": pulumi.UNKNOWN}, True, True, None),
    (None, False, False, BoomError("failed")),
]


@pytest.mark.parametrize(("value", "known", "secret", "failed"), RESOLUTIONS)
@pytest.mark.parametrize("custom", [False, True])
def test_outputs_of_resources_behave_like_the_sdk_s_own(
    value: Any, known: bool, secret: bool, failed: Exception | None, custom: bool
) -> None:
    """Everything that can be asked of an output gives the same answer, and so does all that is derived from it."""

    async def look(transfer: Any) -> dict[str, Any]:
        resource, other = (pulumi.Resource.__new__(pulumi.Resource) for _ in range(2))
        resolvers = transfer(resource, {"urn": 1, "id": 2, "size": 3, "count": 4}, custom)
        names = sorted(resolvers)
        output = resource.__dict__["size"]
        derived = {
            "applied": output.apply(lambda v: [v]),
            "with unknowns": output.apply(lambda v: type(v).__name__, run_with_unknowns=True),
            "all": pulumi.Output.all(output, 1),
            "secret": pulumi.Output.secret(output),
            "plain": pulumi.Output.unsecret(output),
            "lifted": output["nested"],
        }
        for name in names:
            resolvers[name](value, known, secret, {other}, failed)
        found: dict[str, Any] = {
            "names": names,
            "attributes": sorted(resource.__dict__),
            "type": type(output),
            "resources": failed is not None or await output.resources() == {resource, other},
        }
        for name, item in {"itself": output, **derived}.items():
            found[name] = [await answer(ask) for ask in (item.future, item.is_known, item.is_secret)]
        for name, item in derived.items():
            found[f"{name} resources"] = failed is not None or name == "lifted" or await item.resources()
            found[f"{name} resources"] = found[f"{name} resources"] is True or (
                {resource, other} <= found[f"{name} resources"]
            )
        settings.SETTINGS.outputs.clear()
        return found

    async def answer(ask: Any) -> Any:
        try:
            return await ask()
        except Exception as error:
            return type(error), str(error)

    with contextlib.ExitStack() as context:
        context.enter_context(quiet_loop())
        own = asyncio.run(look(adapter._transfer_properties))
        theirs = asyncio.run(look(sdk_rpc.transfer_properties))
    assert own == theirs


@contextlib.contextmanager
def quiet_loop() -> Iterator[None]:
    """Let failed outputs that nobody awaits go without a report."""
    import logging

    logger = logging.getLogger("asyncio")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


@pytest.mark.parametrize(
    ("name", "type_", "parent", "project", "stack_name"),
    [
        ("name", "a:b:C", None, None, None),
        ("na::me", "a:b:C", None, "shop", "dev"),
        ("name", "a:b:C", "urn:pulumi:dev::shop::x:y:Z::parent", None, None),
        ("name", "a:b:C", "urn:pulumi:dev::shop::x:y:Z::par::ent", "p", "s"),
    ],
)
def test_urns_made_at_once_are_those_of_the_sdk(
    name: str, type_: str, parent: str | None, project: str | None, stack_name: str | None
) -> None:
    async def both() -> tuple[str, str, set[Any]]:
        own = adapter._create_urn(name, type_, parent, project, stack_name)
        theirs = sdk_resource.create_urn(name, type_, parent, project, stack_name)
        data = await own._data
        assert isinstance(data, _OutputData)
        result = data.value, str(await theirs.future()), data.resources
        settings.SETTINGS.outputs.clear()
        return result

    own, theirs, resources = asyncio.run(both())

    assert own == theirs
    assert resources == set()


def test_a_long_chain_of_resources_does_not_exhaust_the_stack() -> None:
    def program() -> None:
        before = Thing("thing-0")
        for index in range(1, 1100):
            before = Thing(f"thing-{index}", pulumi.ResourceOptions(depends_on=[before]), of=before.id)
        pulumi.export("last", before.id)

    deployment = rehearse(program, EchoProvider())

    assert deployment.error is None
    assert deployment.outputs == {"last": "id-thing-1099"}
    assert len(deployment.resources) == 1102
    assert named(deployment, "thing-1099").dependencies == ("urn:pulumi:dev::shop::test:index:Thing::thing-1098",)


def test_dependencies_are_found_as_the_sdk_finds_them() -> None:
    numbers = random.Random(3)
    for _ in range(50):
        nodes = [pulumi.Resource.__new__(pulumi.Resource) for _ in range(8)]
        for node in nodes:
            sdk_cycles._add_dep(node, numbers.choice(nodes))
            sdk_cycles._add_dep(node, numbers.choice(nodes))
        pairs = list(itertools.product(nodes, nodes))
        assert [adapter._reachable(*pair) for pair in pairs] == [sdk_cycles._reachable(*pair) for pair in pairs]
