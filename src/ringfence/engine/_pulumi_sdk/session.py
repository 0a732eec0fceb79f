"""How a run begins and ends for the SDK."""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Mapping
from typing import Any

import dill
import pulumi
import pulumi.runtime
from pulumi.runtime import config as sdk_config
from pulumi.runtime import rpc as sdk_rpc
from pulumi.runtime import settings as sdk_settings
from pulumi.runtime._serialization import _deserialize

from ringfence.engine._pulumi_sdk.hooks import Hooks
from ringfence.engine._pulumi_sdk.properties import unwrap_type
from ringfence.engine._pulumi_sdk.transport import MonitorAdapter
from ringfence.providers.sdk_types import forget_classes

__all__ = ["configure", "forget_packages", "load_dynamic_provider", "release", "run_in_stack"]


def configure(
    *,
    adapter: MonitorAdapter,
    project: str,
    stack: str,
    organization: str,
    root_directory: str,
    config: Mapping[str, str],
    secret_keys: frozenset[str],
) -> None:
    """Point the SDK of the current context at a monitor. Everything it sets is a context variable."""
    sdk_settings.ROOT.set(None)
    sdk_settings.configure(
        sdk_settings.Settings(
            project=project,
            stack=stack,
            monitor=adapter,
            engine=adapter,
            parallel=16,
            dry_run=True,
            organization=organization,
            root_directory=root_directory,
        )
    )
    sdk_config.set_all_config(dict(config), sorted(secret_keys))


def release(hooks: Hooks) -> None:
    """Let go of the exceptions and tasks that the SDK and the hooks keep of a failed run."""
    hooks.failures.clear()
    hooks.tracebacks.clear()
    hooks.tracked.clear()
    sdk_settings.SETTINGS.rpc_manager.clear()
    sdk_settings.ROOT.set(None)


async def run_in_stack(program: Callable[[], Any], hooks: Hooks) -> None:
    """Run a program inside a new stack resource and wait for all that it started."""

    def start() -> Any:
        pulumi.runtime.register_stack_transformation(hooks.constructing)
        return program()

    await pulumi.runtime.run_in_stack(start)


class _Registered:
    """What generated SDKs have registered: packages and modules."""

    tables: tuple[dict[str, list[Any]], ...] = (sdk_rpc._RESOURCE_PACKAGES, sdk_rpc._RESOURCE_MODULES)
    after_last_run = 0
    """Number of entries. A large SDK has two thousand, and most programs register none of their own."""

    @classmethod
    def count(cls) -> int:
        return sum(sum(map(len, table.values())) for table in cls.tables)


class _Remembered:
    """Types of programs that have ended, which caches hold with all their modules."""

    runs = 0
    runs_with_own_sdk = 0
    at_once = 50
    """Runs after which a cache is emptied: what a run leaves behind is a few hundred kilobytes at most."""


def forget_packages(modules: Collection[str]) -> None:
    """Take out of the SDK's tables what the given modules registered.

    A generated SDK registers itself on import and must not do so twice; one that belongs to the project is imported
    anew in every run. Once in a while what is remembered of types goes, too.
    """
    _Remembered.runs += bool(modules)
    if _Remembered.runs >= _Remembered.at_once:
        _Remembered.runs = 0
        unwrap_type.cache_clear()
    if _Registered.count() == _Registered.after_last_run:
        return
    _Remembered.runs_with_own_sdk += bool(modules)
    if _Remembered.runs_with_own_sdk >= _Remembered.at_once:
        _Remembered.runs_with_own_sdk = 0
        # To find out all of a provider SDK's classes again takes a while.
        forget_classes()
    for table in _Registered.tables:
        for key in list(table):
            table[key] = [entry for entry in table[key] if type(entry).__module__ not in modules]
            if not table[key]:
                del table[key]
    _Registered.after_last_run = _Registered.count()


def load_dynamic_provider(serialised: str) -> Any:
    """Return the dynamic provider that the SDK pickled into a resource's inputs."""
    return _deserialize(dill.loads, base64.b64decode(serialised))
