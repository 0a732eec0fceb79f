"""Loading a CrossGuard pack folder in process: its `PolicyPack(...)` is captured instead of served."""

from __future__ import annotations

import contextvars
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ringfence.policy._pulumi_policy import CapturedPack, capture
from ringfence.policy.crossguard_config import reconcile
from ringfence.policy.crossguard_evaluate import CrossGuardPack, StackContext, configure_runtime
from ringfence.policy.crossguard_world import PackWorld
from ringfence.policy.manifest import Manifest, read_manifest
from ringfence.policy.pack import PackError

__all__ = ["load_pack"]


def load_pack(
    directory: Path, config: Mapping[str, Any] | None = None, context: StackContext | None = None
) -> CrossGuardPack:
    """Import the policy pack in the folder `directory`, and return it ready to evaluate.

    `config` is what a `--policy-pack-config` file holds. `context` is the stack that the pack's program is told of
    while it is imported, as the CLI tells it; packs that read the stack's config at import time need it.

    Runs the pack's program in this interpreter, in its own working folder and with its own modules; its requirements
    must be installed here. What it prints is discarded. Raises `PackError` with one message that names the folder
    and what is wrong: the manifest, the runtime, the import, the pack's arguments or the config.
    """
    directory = Path(directory).absolute()
    context = context or StackContext()
    manifest = read_manifest(directory)
    world = PackWorld(directory, _python_program(manifest))
    captured = contextvars.copy_context().run(_run, world, context)
    _refuse_double_names(directory, captured)
    try:
        settings, notes = reconcile(captured, config)
    except PackError as error:
        raise PackError(f"{directory}: {error}") from None
    return CrossGuardPack(captured, manifest.version or "0.0.1", directory, context, settings, world, notes)


def _python_program(manifest: Manifest) -> Path:
    """Return the file that constructs the pack."""
    if manifest.runtime != "python":
        raise PackError(f"{manifest.path}: runtime: expected python, found {manifest.runtime!r}")
    program = manifest.directory / manifest.main
    if program.is_dir():
        program /= "__main__.py"
    if not program.is_file():
        raise PackError(f"{manifest.path}: main: there is no {program}")
    return program


def _run(world: PackWorld, context: StackContext) -> CapturedPack:
    configure_runtime(context)
    where = world.directory
    try:
        with world.entered(), capture() as captured:
            world.execute()
    except (Exception, SystemExit) as error:
        if not captured:  # what a pack does after its PolicyPack(...) never runs under the CLI
            raise PackError(f"{where}: the policy pack does not import: {world.explain(error)}") from error
    if not captured:
        raise PackError(f"{where}: {world.program.name} ran to its end and constructed no PolicyPack")
    return captured[0]


def _refuse_double_names(directory: Path, pack: CapturedPack) -> None:
    names = [policy.name for policy in pack.policies]
    for name in names:
        if names.count(name) > 1:
            raise PackError(f"{directory}: policy pack {pack.name}: two policies are called {name}")
