"""The packs of one target: their processes start while the program is evaluated, and what remains is loaded after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from ringfence.packs.interface import JudgingPack
from ringfence.packs.launch import StackFacts, launch_of, runs_outside
from ringfence.packs.running import RunningPack, started
from ringfence.policy.manifest import read_manifest
from ringfence.policy.pack import PackError

__all__ = ["starting"]

Config = Mapping[str, Any] | None


@contextmanager
def starting(
    packs: Sequence[tuple[Path, Config]],
    facts: StackFacts,
    *,
    seconds: float,
    isolate: bool = False,
    type_check: bool = False,
) -> Iterator[Callable[[], list[JudgingPack]]]:
    """Start packs, each a folder with its config, and give what returns them loaded, told of the stack and configured.

    Packs in Python are imported into this process when they are loaded; with `isolate`, or where they have a virtual
    environment of their own, they run in processes as those of other runtimes do. `type_check` is for packs in
    TypeScript. Only loading raises `PackError`.
    """
    with ExitStack() as stack:
        begun = [
            _begin(stack, folder, config, facts, seconds, isolate=isolate, type_check=type_check)
            for folder, config in packs
        ]
        yield lambda: [load() for load in begun]


def _begin(
    stack: ExitStack,
    folder: Path,
    config: Config,
    facts: StackFacts,
    seconds: float,
    *,
    isolate: bool,
    type_check: bool,
) -> Callable[[], JudgingPack]:
    try:
        manifest = read_manifest(folder)
        if not runs_outside(manifest, isolate=isolate):
            return partial(_load_here, folder, config, facts)
        running = stack.enter_context(started(launch_of(manifest, facts, type_check=type_check), seconds))
    except PackError as error:
        return partial(_fail, error)
    return partial(_load_remote, running, facts, config)


def _load_here(folder: Path, config: Config, facts: StackFacts) -> JudgingPack:
    # Imported here: pulumi_policy is only needed for packs made of its policies.
    from ringfence.policy.crossguard import StackContext, load_pack

    context = StackContext(
        project=facts.project,
        stack=facts.stack,
        organization=facts.organization,
        config=facts.config,
        tags=facts.tags,
    )
    return load_pack(folder, config, context)


def _load_remote(running: RunningPack, facts: StackFacts, config: Config) -> JudgingPack:
    # Imported here: while gRPC and the Pulumi SDK load, the process starts.
    from ringfence.packs.remote_loading import load_remote

    return load_remote(running.client, facts, config)


def _fail(error: PackError) -> NoReturn:
    raise error
