"""What stands in for the SDK's ways with outputs gives what the SDK gives, for values of any shape."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any

import pulumi
from hypothesis import given, settings
from hypothesis import strategies as st
from pulumi.runtime import rpc
from pulumi.runtime import settings as sdk_settings

from ringfence.engine import _pulumi_sdk as sdk

Make = Callable[[], Any]
"""Makes an input when a loop runs: outputs cannot be made before."""

plain = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.floats(allow_nan=False), st.text(max_size=5))


def constant(value: Any) -> Make:
    return lambda: value


def output(make: Make, known: bool, secret: bool, resources: int) -> Make:
    async def give(value: Any) -> Any:
        await asyncio.sleep(0)
        return value

    return lambda: pulumi.Output({RESOURCES[resources]}, give(make()), give(known), give(secret))


def listed(items: list[Make]) -> Make:
    return lambda: [item() for item in items]


def named(items: dict[str, Make]) -> Make:
    return lambda: {key: item() for key, item in items.items()}


def awaitable(make: Make) -> Make:
    async def give() -> Any:
        return make()

    return lambda: asyncio.ensure_future(give())


RESOURCES = [pulumi.Resource.__new__(pulumi.Resource) for _ in range(3)]

inputs: st.SearchStrategy[Make] = st.recursive(
    st.one_of(plain.map(constant), st.just(constant(pulumi.UNKNOWN))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(listed),
        st.dictionaries(st.text(max_size=3), inner, max_size=3).map(named),
        st.builds(output, inner, st.booleans(), st.booleans(), st.integers(0, 2)),
        inner.map(awaitable),
    ),
    max_leaves=8,
)


def answers(ask: Callable[[], pulumi.Output[Any]]) -> tuple[list[Any], list[Any]]:
    """Return what an output says of itself under ours and under the SDK's own ways."""

    async def look() -> list[Any]:
        made = ask()
        data = await made._data
        plain_value = await made.future()
        return [data.value, data.is_known, data.is_secret, data.resources, plain_value]

    def run() -> list[Any]:
        return asyncio.run(look())

    def patched() -> list[Any]:
        with sdk.patched(sdk.Hooks()):
            return run()

    theirs = contextvars.copy_context().run(run)
    sdk_settings.SETTINGS.outputs.clear()
    return contextvars.copy_context().run(patched), theirs


@settings(deadline=None)
@given(inputs)
def test_an_input_becomes_the_same_output(make: Make) -> None:
    own, theirs = answers(lambda: pulumi.Output.from_input(make()))

    assert own == theirs


@settings(deadline=None)
@given(st.one_of(st.lists(inputs, max_size=3), st.dictionaries(st.from_regex("[a-z]{1,3}", fullmatch=True), inputs)))
def test_all_gives_the_same(items: list[Make] | dict[str, Make]) -> None:
    def ask() -> pulumi.Output[Any]:
        if isinstance(items, dict):
            return pulumi.Output.all(**{key: item() for key, item in items.items()})
        return pulumi.Output.all(*[item() for item in items])

    own, theirs = answers(ask)

    assert own == theirs


@settings(deadline=None)
@given(
    st.recursive(
        st.one_of(plain, st.just(pulumi.UNKNOWN)),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    )
)
def test_unknowns_are_found_where_the_sdk_finds_them(value: Any) -> None:
    assert sdk.contains_unknowns(value) == rpc.contains_unknowns(value)


def test_a_value_that_holds_itself_is_searched_once() -> None:
    value: list[Any] = [1]
    value.append({"itself": value})

    assert sdk.contains_unknowns(value) is rpc.contains_unknowns(value) is False


@settings(deadline=None)
@given(inputs)
def test_an_input_is_serialised_the_same(make: Make) -> None:
    async def look() -> Any:
        dependencies: list[pulumi.Resource] = []
        value = await rpc.serialize_property(make(), dependencies, "key")
        return value, [item in dependencies for item in RESOURCES]

    def patched() -> Any:
        with sdk.patched(sdk.Hooks()):
            return asyncio.run(look())

    theirs = contextvars.copy_context().run(lambda: asyncio.run(look()))
    sdk_settings.SETTINGS.outputs.clear()

    assert contextvars.copy_context().run(patched) == theirs
