"""Resource hooks and error hooks: accepted, kept by name, never run."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi import (
    ErrorHook,
    ErrorHookArgs,
    ResourceHook,
    ResourceHookArgs,
    ResourceHookBinding,
    ResourceHookOptions,
    ResourceOptions,
)

from tests.unit.engine.rehearsal import Group, Thing, named, rehearse


def test_hooks_are_kept_by_name_and_not_run() -> None:
    ran: list[Any] = []

    def hook(args: ResourceHookArgs) -> None:
        ran.append(args)

    async def also(args: ResourceHookArgs) -> None:
        ran.append(args)

    def on_error(args: ErrorHookArgs) -> bool:
        ran.append(args)
        return False

    def program() -> None:
        first = ResourceHook("first", hook, ResourceHookOptions(on_dry_run=True))
        second = ResourceHook("second", also)
        bindings = ResourceHookBinding(
            before_create=[first],
            after_create=[first, hook],
            before_delete=[second],
            on_error=[ErrorHook("r", on_error)],
        )
        Thing("thing", ResourceOptions(hooks=bindings))
        Group("group", ResourceOptions(hooks=ResourceHookBinding(after_update=[second])))
        pulumi.export("done", True)

    deployment = rehearse(program)

    hooks = named(deployment, "thing").options.hooks
    assert ran == []
    assert deployment.outputs == {"done": True}
    assert {**hooks, "after_create": len(hooks["after_create"])} == {
        "before_create": ("first",),
        "after_create": 2,  # a plain function gets a name from the SDK
        "before_delete": ("second",),
        "on_error": ("r",),
    }
    assert named(deployment, "group").options.hooks == {"after_update": ("second",)}
