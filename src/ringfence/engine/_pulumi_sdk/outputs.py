"""Outputs with fewer futures, tasks and callbacks than the SDK makes. What they resolve to is the same."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from types import CoroutineType, NoneType
from typing import Any

import pulumi
from pulumi.output import UNKNOWN as SDK_UNKNOWN
from pulumi.output import Unknown as SdkUnknown
from pulumi.output import _OutputData
from pulumi.runtime import resource as sdk_resource
from pulumi.runtime import settings as sdk_settings
from pulumi.runtime.rpc_manager import RPCManager

from ringfence.deployment import SourceLine
from ringfence.engine._pulumi_sdk.hooks import Hooks, caller_line

__all__ = [
    "PLAIN",
    "OutputPatches",
    "UnknownOutput",
    "contains_unknowns",
    "create_urn",
    "resolved",
    "unknown_secret",
]

PLAIN = frozenset((str, int, float, bool, NoneType))
"""Types of values that hold no others: nothing of them has to be unwrapped, awaited or searched."""

_RESOURCE_OUTPUT = sdk_resource.resource_output.__code__

_sdk_create_urn = sdk_resource.create_urn
_sdk_from_input = pulumi.Output.from_input
_sdk_all = pulumi.Output.all
_sdk_from_data = pulumi.Output._from_data


def contains_unknowns(value: Any) -> bool:
    """Whether a value is or holds the SDK's mark of an unknown. Stands in for the SDK's function."""
    if type(value) in PLAIN:
        return False
    waiting, seen = [value], set()
    while waiting:
        item = waiting.pop()
        if type(item) in PLAIN:
            continue
        if isinstance(item, SdkUnknown):
            return True
        if isinstance(item, dict | list) and id(item) not in seen:
            seen.add(id(item))
            # A dictionary's keys, since a subclass may have an `items` of its own.
            waiting.extend([item[key] for key in item] if isinstance(item, dict) else item)
    return False


def output_of(future: asyncio.Future[_OutputData[Any]]) -> pulumi.Output[Any]:
    """Return an output that nobody waits for when the program ends."""
    output: pulumi.Output[Any] = object.__new__(pulumi.Output)
    output._data = future
    return output


class _Settled(pulumi.Output[Any]):
    """An output that was made of a plain value: it has its value already, and depends on nothing."""


def resolved(value: Any) -> pulumi.Output[Any]:
    """Return an output of a value that holds no output, no awaitable and no unknown."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.set_result(_OutputData(resources=set(), value=value, is_known=True, is_secret=False))
    output: pulumi.Output[Any] = object.__new__(_Settled)
    output._data = future
    return output


def create_urn(
    name: Any, type_: Any, parent: Any = None, project: str | None = None, stack: str | None = None
) -> pulumi.Output[str]:
    """Give at once what the SDK puts together by several outputs, where all parts are plain strings.

    The SDK does so for each registration, to have a URN in case there is no monitor.
    """
    if not (isinstance(name, str) and isinstance(type_, str) and isinstance(parent, str | None)):
        return _sdk_create_urn(name, type_, parent, project, stack)
    if parent is not None:
        prefix = parent[: parent.rfind("::")] + "$"
    else:
        prefix = f"urn:pulumi:{stack or sdk_settings.get_stack()}::{project or sdk_settings.get_project()}::"
    return resolved(f"{prefix}{type_}::{name}")


class OutputPatches:
    """What stands in for parts of `pulumi.Output` during one run."""

    def __init__(self, hooks: Hooks) -> None:
        self.hooks = hooks
        self.tracked = hooks.tracked

    def from_data(self, data: Awaitable[_OutputData[Any]]) -> pulumi.Output[Any]:
        """Make an output, and see to it that where it was made is known if it fails."""
        if isinstance(data, CoroutineType):
            watched = _Watched(data, caller_line(2), self.hooks)
            future: asyncio.Future[Any] = asyncio.get_running_loop().create_task(watched)
        elif sys._getframe(1).f_code is _RESOURCE_OUTPUT:  # a URN or an id fails with its registration
            assert isinstance(data, asyncio.Future)
            future = data
        else:
            line = caller_line(2)
            future = asyncio.ensure_future(data)
            future.add_done_callback(lambda done: self._note(line, done))
        self.tracked[future] = None
        return output_of(future)

    def _note(self, line: Any, future: asyncio.Future[Any]) -> None:
        error = None if future.cancelled() else future.exception()
        if error is not None:
            self.hooks.failed(line, error)

    def track(self, output: pulumi.Output[Any]) -> None:
        """Make the program's end wait for an output."""
        self.tracked[output._data] = None

    def untrack(self, output: pulumi.Output[Any]) -> None:
        """Leave an output to the one that was derived from it."""
        self.tracked.pop(output._data, None)

    def from_input(self, value: Any) -> pulumi.Output[Any]:
        """Return an output of an input with all that it holds unwrapped."""
        if type(value) in PLAIN:
            return resolved(value)
        if isinstance(value, pulumi.Output):
            self.untrack(value)
            return self.from_data(_unwrapped(value))
        kind = type(value)
        if value and kind in (list, tuple):
            return self._combined(value, kind)
        if value and kind is dict and all(type(key) in PLAIN for key in value):
            keys = list(value)
            return self._combined(value.values(), lambda values: dict(zip(keys, values, strict=True)))
        return _sdk_from_input(value)

    def all(self, *args: Any, **kwargs: Any) -> pulumi.Output[Any]:
        """Return an output of a list, or of a dictionary, with the values of all inputs."""
        if args and kwargs:
            return _sdk_all(*args, **kwargs)
        if kwargs:
            return self._combined(kwargs.values(), lambda values: dict(zip(kwargs, values, strict=True)))
        return self._combined(args, list)

    def _combined(self, inputs: Iterable[Any], shape: Callable[[list[Any]], Any]) -> pulumi.Output[Any]:
        items = [item if type(item) in PLAIN else self.from_input(item) for item in inputs]
        # Those that were made of plain values alone have their value already.
        values = [item._data.result().value if type(item) is _Settled else item for item in items]
        if not any(isinstance(item, pulumi.Output) for item in values):
            return resolved(shape(values))
        return self.from_data(_gathered(items, shape))

    async def wait_for_rpcs(self, await_all_outstanding_tasks: bool = True) -> None:
        """Wait for all RPCs and outputs, those that come up meanwhile too, and raise the first fault."""
        manager = sdk_settings.SETTINGS.rpc_manager
        while True:
            while manager.rpcs:
                await asyncio.sleep(0)
                await manager.rpcs.pop()
                _raise_fault(manager)
            _raise_fault(manager)
            if await_all_outstanding_tasks:
                await self._wait_for_outputs()
            if not manager.rpcs:
                return

    async def _wait_for_outputs(self) -> None:
        while self.tracked:
            done = [future for future in self.tracked if future.done()]
            for future in done:
                del self.tracked[future]
                future.result()
            if self.tracked:
                await asyncio.wait(list(self.tracked), return_when=asyncio.FIRST_EXCEPTION)


class _Watched(Coroutine[Any, Any, Any]):
    """A coroutine whose failure is noted at once, without a callback for each that does not fail.

    It is no coroutine around the other: of one that is cancelled before it starts, the other would never be awaited.
    """

    __slots__ = ("_hooks", "_inner", "_line")

    def __init__(self, inner: CoroutineType[Any, Any, Any], line: SourceLine | None, hooks: Hooks) -> None:
        self._inner, self._line, self._hooks = inner, line, hooks

    def send(self, value: Any) -> Any:
        """Run on to where it waits next."""
        try:
            return self._inner.send(value)
        except (StopIteration, asyncio.CancelledError):
            raise
        except BaseException as error:
            self._hooks.failed(self._line, error)
            raise

    def throw(self, *error: Any) -> Any:
        """Raise an exception where it waits."""
        try:
            return self._inner.throw(*error)
        except (StopIteration, asyncio.CancelledError):
            raise
        except BaseException as failure:
            self._hooks.failed(self._line, failure)
            raise

    def close(self) -> None:
        """End it where it waits."""
        self._inner.close()

    def __await__(self) -> Any:
        return self._inner.__await__()

    def __getattr__(self, name: str) -> Any:
        """Return what tells of the inner one: its frame, its code, what it waits for."""
        return getattr(self._inner, name)


def _raise_fault(manager: RPCManager) -> None:
    if manager.unhandled_exception is not None:
        raise manager.unhandled_exception.with_traceback(manager.exception_traceback)


async def _unwrapped(output: pulumi.Output[Any]) -> _OutputData[Any]:
    """Return what an output holds, unwrapped to its depth, as applying `from_input` to it does."""
    data = await output._data
    value = data.value
    if type(value) in PLAIN and data.is_known:
        return _OutputData(set(data.resources), value, True, data.is_secret)
    if not data.is_known and not contains_unknowns(value):
        value = SDK_UNKNOWN
    inner = await pulumi.Output.from_input(value)._data
    return _OutputData(data.resources | inner.resources, inner.value, inner.is_known, inner.is_secret or data.is_secret)


async def _gathered(items: list[Any], shape: Callable[[list[Any]], Any]) -> _OutputData[Any]:
    values, resources, known, secret = [], set(), True, False
    for item in items:
        if not isinstance(item, pulumi.Output):
            values.append(item)
            continue
        data = await item._data
        values.append(data.value)
        resources |= data.resources
        known = known and data.is_known
        secret = secret or data.is_secret
    return _OutputData(resources, shape(values), known, secret)


class UnknownOutput(pulumi.Output[Any]):
    """An output that is not known. It may be made before the event loop runs, unlike the SDK's own."""

    @property
    def _data(self) -> asyncio.Future[Any]:  # type: ignore[override]
        held = self.__dict__
        if "unknown" not in held:
            held["unknown"] = asyncio.get_running_loop().create_future()
            held["unknown"].set_result(_OutputData(resources=set(), value=None, is_known=False, is_secret=False))
        future: asyncio.Future[Any] = held["unknown"]
        return future


def unknown_secret() -> pulumi.Output[Any]:
    """Return an output that is secret and not known."""

    async def give(value: Any) -> Any:
        return value

    return pulumi.Output(set(), give(None), give(False), give(True))
