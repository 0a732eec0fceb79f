"""What `_pulumi_sdk` relies on and the SDK does not promise. A failure here means: read the adapter again."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import inspect
import itertools
import random
import sys
import threading
import types
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pulumi
import pulumi.runtime._callbacks
import pytest
from google.protobuf.struct_pb2 import Struct
from pulumi import _types as sdk_types
from pulumi.output import _OutputData
from pulumi.runtime import _context, settings, stack
from pulumi.runtime import resource as sdk_resource
from pulumi.runtime import resource_cycle_breaker as sdk_cycles
from pulumi.runtime import rpc as sdk_rpc
from pulumi.runtime._callbacks import _CallbackServicer
from pulumi.runtime._serialization import _deserialize
from pulumi.runtime.rpc_manager import RPCManager

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
        (sdk_resource.serialize_property, ["value", "deps", "property_key"]),
        (sdk_rpc.resolve_outputs, list(inspect.signature(adapter.properties.resolve_outputs).parameters)),
        (sdk_rpc.resolve_outputs_due_to_exception, ["resolvers", "exn"]),
        (sdk_rpc.serialize_properties, list(inspect.signature(adapter.properties.serialize_properties).parameters)),
        (sdk_rpc.serialize_property, list(inspect.signature(adapter.properties.serialize_property).parameters)),
        (sdk_rpc.contains_unknowns, ["val"]),
        (stack.wait_for_rpcs, ["await_all_outstanding_tasks"]),
        (RPCManager.do_rpc, ["self", "name", "rpc_function"]),
        (pulumi.ResourceOptions._copy, ["self"]),
        (pulumi.Output.from_input, ["val"]),
        (pulumi.Output.all, ["args", "kwargs"]),
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


def test_all_that_hands_an_rpc_to_an_executor_wraps_it() -> None:
    """A module that came to do so would run it on a thread."""
    package = Path(pulumi.__file__).parent
    wrapping = {path for path in package.rglob("*.py") if "import wrap_with_context" in path.read_text("utf-8")}

    assert wrapping == {Path(str(module.__file__)) for module in adapter._CALLERS}


def test_an_rpc_runs_in_line_and_in_one_task() -> None:
    tasks: list[Any] = []

    class Watching(EchoProvider):
        def create(self, registration: Any) -> Any:
            tasks.append((threading.current_thread(), len(asyncio.all_tasks())))
            return super().create(registration)

    rehearse(lambda: [Thing("one"), Thing("two")], Watching())

    # One for the program, one for the stack's outputs, one for each registration that is under way.
    assert tasks == [(threading.main_thread(), 4), (threading.main_thread(), 3)]


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
            *((module, "wrap_with_context") for module in adapter._CALLERS),
            (sdk_resource, "_get_stack_trace"),
            (sdk_resource, "create_urn"),
            (sdk_resource, "serialize_property"),
            *((sdk_rpc, name) for name in adapter.properties.__all__ if hasattr(sdk_rpc, name)),
            (sdk_rpc, "contains_unknowns"),
            (sdk_types, "unwrap_type"),
            (stack, "wait_for_rpcs"),
            (RPCManager, "do_rpc"),
            (pulumi.log, "debug"),
            (pulumi.log, "error"),
            (pulumi.Alias, "__init__"),
            (pulumi.ResourceOptions, "_copy"),
            *((pulumi.Output, name) for name in ("__str__", "_from_data", "_track", "_untrack", "all", "from_input")),
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


class Sized(pulumi.CustomResource):
    """A resource of a generated SDK, as far as its outputs go."""

    @property
    @pulumi.getter(name="maxSize")
    def max_size(self) -> pulumi.Output[int]:
        return pulumi.get(self, "max_size")  # type: ignore[no-any-return]


SECRET = {sdk_rpc._special_sig_key: sdk_rpc._special_secret_sig}
ANSWERS: list[dict[str, Any]] = [
    {},
    {"maxSize": 3.0, "other": "text"},
    {"maxSize": None, "other": ""},
    {"maxSize": sdk_rpc.UNKNOWN, "other": [1, {"a": None}], "unasked": 1},
    {"maxSize": SECRET | {"value": 3}, "other": SECRET | {"value": sdk_rpc.UNKNOWN}},
    {"other": [SECRET | {"value": "inner"}, sdk_rpc.UNKNOWN]},
    {"other": {"nested": {"deep": [True, sdk_rpc.UNKNOWN]}}},
]


@pytest.mark.parametrize("failed", [None, BoomError("failed")])
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("keep_unknowns", [False, True])
@pytest.mark.parametrize("typed", [False, True])
def test_outputs_of_resources_behave_like_the_sdk_s_own(
    typed: bool, keep_unknowns: bool, answer: dict[str, Any], failed: Exception | None
) -> None:
    """Everything that can be asked of an output gives the same answer, and so does all that is derived from it."""
    struct = Struct()
    struct.update(answer)

    async def look(rpc: Any) -> dict[str, Any]:
        resource, other = pulumi.CustomResource.__new__(Sized), pulumi.CustomResource.__new__(Sized)
        resource._name = "sized"
        attributes = resource.__dict__
        properties = dict.fromkeys(("urn", "id", "max_size", "maxSize", "other"), 1)
        resolvers = rpc.transfer_properties(resource, properties, True)
        early = {name: derived(attributes[name]) for name in ("max_size", "other")}
        if failed is not None:
            rpc.resolve_outputs_due_to_exception(resolvers, failed)
        else:
            rpc.resolve_outputs(resource, Struct(), struct, {"other": {other}}, resolvers, True, typed, keep_unknowns)
        late = {name: derived(attributes[name]) for name in ("max_size", "other", "maxSize")}
        found: dict[str, Any] = {"attributes": sorted(attributes)}
        for when, group in {"early": early, "late": late}.items():
            for name, items in group.items():
                for what, item in items.items():
                    found[f"{when} {name} {what}"] = [
                        *[await ask(question) for question in (item.future, item.is_known, item.is_secret)],
                        await ask(lambda of=item: item_resources(of, resource, other)),
                    ]
        settings.SETTINGS.outputs.clear()
        return found

    def derived(output: pulumi.Output[Any]) -> dict[str, pulumi.Output[Any]]:
        return {
            "itself": output,
            "applied": output.apply(lambda v: [v]),
            "with unknowns": output.apply(lambda v: type(v).__name__, run_with_unknowns=True),
            "all": pulumi.Output.all(output, 1),
            "secret": pulumi.Output.secret(output),
            "plain": pulumi.Output.unsecret(output),
        }

    async def item_resources(output: pulumi.Output[Any], *known: pulumi.Resource) -> list[bool]:
        resources = await output.resources()
        return [resource in resources for resource in known]

    async def ask(question: Any) -> Any:
        try:
            return await question()
        except Exception as error:
            return type(error), str(error)

    def both() -> list[dict[str, Any]]:
        settings.configure(settings.Settings(project="shop", stack="dev", dry_run=True))
        return [asyncio.run(look(rpc)) for rpc in (adapter.properties, sdk_rpc)]

    with quiet_loop():
        own, theirs = contextvars.copy_context().run(both)
    assert own == theirs


def test_a_value_that_is_not_of_its_type_fails_what_reads_it() -> None:
    """The SDK fails the registration, whoever reads the value: only a provider's fault can bring it about."""

    class Wrong(EchoProvider):
        def create(self, registration: Any) -> Any:
            return dataclasses.replace(super().create(registration), outputs={"maxSize": {"not": "a number"}})

    def make(**options: Any) -> Sized:
        return Sized("test:index:Sized", "sized", {"max_size": None, "maxSize": None}, **options)

    assert rehearse(make, Wrong()).error is None
    error = rehearse(lambda: pulumi.export("size", make().maxSize), Wrong()).error
    assert error is not None
    assert "expected a value of type `<class 'int'>`" in error.message


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
        own = adapter.create_urn(name, type_, parent, project, stack_name)
        theirs = sdk_resource.create_urn(name, type_, parent, project, stack_name)
        data = await own._data
        assert isinstance(data, _OutputData)
        result = data.value, str(await theirs.future()), data.resources
        settings.SETTINGS.outputs.clear()
        return result

    def here() -> tuple[str, str, set[Any]]:
        settings.configure(settings.Settings(project="shop", stack="dev"))
        return asyncio.run(both())

    own, theirs, resources = contextvars.copy_context().run(here)

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
        own = [adapter.properties.reachable(*pair) for pair in pairs]
        assert own == [sdk_cycles._reachable(*pair) for pair in pairs]


def test_options_are_copied_as_the_sdk_copies_them() -> None:
    options = pulumi.ResourceOptions(protect=True, depends_on=[], aliases=[pulumi.Alias(name="old")])
    options.__dict__["added"] = 1
    own, theirs = adapter._copy_options(options), options._copy()

    assert type(own) is type(theirs)
    assert own.__dict__ == theirs.__dict__
    assert own is not options
