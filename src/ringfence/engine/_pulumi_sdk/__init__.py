"""The one place that touches private parts of the Pulumi Python SDK's runtime.

Everything in this package rests on names that the SDK does not promise. The contract test
(`tests/unit/engine/test_pulumi_sdk_contract.py`) fails loudly when one of them changes. What is replaced for the
length of a run, and why:

- RPCs run in line on the event loop instead of on a thread each, in one task instead of two: the monitor answers from
  memory.
- The stack trace is taken without reading source lines, and holds only the user's frames.
- The aliases that a provider SDK adds to its own types are dropped: 24 to 65 a resource, each of which costs several
  tasks. A first deployment has no state that they could match. Those of the user and of component libraries are kept.
- `Output.__str__` remembers where it was called: its result is a text about how not to do that.
- Where an output is made is remembered until it has a value: where it fails, that is the line to show.
- A resource's output is made when it is asked for, where the SDK makes four futures and a task for each of up to fifty:
  half of a run's time went there. What the outputs resolve to is the same.
- The outputs that a run waits for are a plain set: the SDK's takes a lock and two callbacks for each.
- Plain values are not unwrapped, searched for unknowns or serialised by way of outputs and tasks. A URN made of plain
  strings is made at once.
- Resource options, copied several times for each resource, are copied without the general protocol for copies.
- What is found out about a class or a type annotation is remembered: much of it the SDK finds out anew for every value
  that it serialises. What concerns the user's own classes is forgotten with them, where the SDK would hold them.
- An invoke's form is noted: an output may be unknown, a plain value may not.
- Whether two resources depend on each other is found out without recursion: a chain of 1,000 would end in an error, and
  long before that takes most of the time.
- Callbacks (transforms) are called in process: the SDK's server for them is not started.
- Debug messages of the SDK are dropped, and secret config values that could not be decrypted are unknown.

`hooks` is what a run remembers, `transport` how calls reach the monitor, `outputs`, `properties` and `classes` what
stands in for the SDK's own of these, `session` how a run begins and ends.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

import pulumi
import pulumi.log
import pulumi.runtime
from pulumi import _types as sdk_types
from pulumi import output as sdk_output
from pulumi.runtime import _callbacks as sdk_callbacks
from pulumi.runtime import resource as sdk_resource
from pulumi.runtime import resource_cycle_breaker as sdk_cycles
from pulumi.runtime import rpc as sdk_rpc
from pulumi.runtime import settings as sdk_settings
from pulumi.runtime import stack as sdk_stack
from pulumi.runtime.rpc_manager import RPCManager
from pulumi.runtime.stack import Stack

from ringfence.engine._pulumi_sdk import classes, properties, transport
from ringfence.engine._pulumi_sdk.hooks import Hooks, caller_line, stack_trace, waiting_line
from ringfence.engine._pulumi_sdk.outputs import (
    OutputPatches,
    UnknownOutput,
    contains_unknowns,
    create_urn,
    unknown_secret,
)
from ringfence.engine._pulumi_sdk.session import (
    configure,
    forget_packages,
    load_dynamic_provider,
    release,
    run_in_stack,
)
from ringfence.engine._pulumi_sdk.transport import EngineLoop, MonitorAdapter, call_back, drop_callback_servers
from ringfence.engine.frames import chain_of_frames, is_user_file

__all__ = [
    "OUTPUT_AS_TEXT",
    "EngineLoop",
    "Hooks",
    "MonitorAdapter",
    "UnknownOutput",
    "call_back",
    "configure",
    "drop_callback_servers",
    "forget_packages",
    "load_dynamic_provider",
    "patched",
    "release",
    "run_in_stack",
    "waiting_line",
]

OUTPUT_AS_TEXT = "Calling __str__ on an Output[T] is not supported."
"""How the text begins that an `Output` gives when it is used as a string."""

_CALLERS = (sdk_resource, sdk_settings, sdk_stack, transport.sdk_invoke)
"""Modules of the SDK that hand RPCs to an executor."""

_SECRET_GETTERS = tuple(
    f"{verb}_secret{kind}" for verb in ("get", "require") for kind in ("", "_bool", "_int", "_float", "_object")
)


@contextlib.contextmanager
def patched(hooks: Hooks) -> Iterator[None]:
    """Replace parts of the SDK for the length of a run; see the module's docstring."""
    original_text = pulumi.Output.__str__

    def text_of_output(output: pulumi.Output[Any]) -> str:
        chain = chain_of_frames(sys._getframe(1))
        if chain:
            hooks.texts.append(chain[0])
        return original_text(output)

    original_options = pulumi.ResourceOptions.__init__

    def make_options(options: pulumi.ResourceOptions, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("aliases") and _is_generated(sys._getframe(1).f_code):
            kwargs["aliases"] = None
        original_options(options, *args, **kwargs)

    original_export = Stack.output

    def export(stack: Stack, name: str, value: Any) -> None:
        if hooks.texts:
            hooks.texts_before["", name] = len(hooks.texts)
        original_export(stack, name, value)

    original_error = pulumi.log.error

    def log_error(*args: Any, **kwargs: Any) -> None:
        hooks.error_line = hooks.error_line or caller_line(2)
        original_error(*args, **kwargs)

    def drop(*_: Any, **__: Any) -> None:
        return None

    outputs = OutputPatches(hooks)
    replacements: list[tuple[Any, str, Any]] = [
        (sdk_callbacks, "aio", transport.NoServer),
        (sdk_cycles, "_reachable", properties.reachable),
        (sdk_output, "contains_unknowns", contains_unknowns),
        (sdk_resource, "_get_stack_trace", stack_trace),
        (sdk_resource, "create_urn", create_urn),
        (sdk_resource, "serialize_property", properties.serialize_property),
        (sdk_rpc, "contains_unknowns", contains_unknowns),
        (sdk_rpc, "resolve_outputs", properties.resolve_outputs),
        (sdk_rpc, "resolve_outputs_due_to_exception", properties.resolve_outputs_due_to_exception),
        (sdk_rpc, "serialize_properties", properties.serialize_properties),
        (sdk_rpc, "serialize_property", properties.serialize_property),
        (sdk_rpc, "transfer_properties", properties.transfer_properties),
        (sdk_stack, "wait_for_rpcs", outputs.wait_for_rpcs),
        (sdk_types, "unwrap_type", properties.unwrap_type),
        (transport.sdk_invoke, "_invoke", transport.invoke),
        (pulumi.log, "debug", drop),
        (pulumi.log, "error", log_error),
        (pulumi.ResourceOptions, "__init__", make_options),
        (pulumi.ResourceOptions, "_copy", _copy_options),
        (pulumi.Output, "__str__", text_of_output),
        (pulumi.Output, "_from_data", staticmethod(outputs.from_data)),
        (pulumi.Output, "_track", lambda output: outputs.track(output)),
        (pulumi.Output, "_untrack", lambda output: outputs.untrack(output)),
        (pulumi.Output, "all", staticmethod(outputs.all)),
        (pulumi.Output, "from_input", staticmethod(outputs.from_input)),
        (RPCManager, "do_rpc", transport.run_rpc),
        (Stack, "output", export),
    ]
    replacements += classes.replacements()
    replacements += [(module, "wrap_with_context", transport.InlineCall) for module in _CALLERS]
    if hooks.undecrypted:
        for name in _SECRET_GETTERS:
            original = getattr(pulumi.Config, name)
            replacements.append((pulumi.Config, name, _unknown_secret(original, hooks.undecrypted)))
    # A class's own entry, since `getattr` would bind a class method.
    saved = [(owner, name, vars(owner)[name]) for owner, name, _ in replacements]
    try:
        for owner, name, value in replacements:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in saved:
            setattr(owner, name, value)


def _unknown_secret(getter: Callable[..., Any], undecrypted: frozenset[str]) -> Callable[..., Any]:
    @functools.wraps(getter)
    def wrapper(config: pulumi.Config, key: str, *args: Any, **kwargs: Any) -> Any:
        if config.full_key(key) in undecrypted:
            return unknown_secret()
        return getter(config, key, *args, **kwargs)

    return wrapper


def _is_generated(code: CodeType) -> bool:
    """Whether code is a constructor in a generated SDK, the only place that such an SDK makes options with aliases."""
    return code.co_name == "_internal_init" and not is_user_file(code.co_filename)


def _copy_options(options: pulumi.ResourceOptions) -> pulumi.ResourceOptions:
    copied = object.__new__(type(options))
    copied.__dict__.update(options.__dict__)
    return copied
