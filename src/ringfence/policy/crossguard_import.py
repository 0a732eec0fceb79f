"""Loading a CrossGuard pack folder in process: its `PolicyPack(...)` is captured instead of served."""

from __future__ import annotations

import contextvars
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ringfence.policy._pulumi_policy import CapturedPack, capture
from ringfence.policy.crossguard_config import reconcile
from ringfence.policy.crossguard_evaluate import CrossGuardPack, StackContext, configure_runtime
from ringfence.policy.crossguard_world import PackWorld
from ringfence.policy.pack import PackError

__all__ = ["load_pack"]

_MANIFEST = "PulumiPolicy.yaml"


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
    manifest = _read_manifest(directory)
    world = PackWorld(directory, manifest.program)
    captured = contextvars.copy_context().run(_run, world, context)
    _refuse_double_names(directory, captured)
    try:
        settings, notes = reconcile(captured, config)
    except PackError as error:
        raise PackError(f"{directory}: {error}") from None
    return CrossGuardPack(captured, manifest.version, directory, context, settings, world, notes)


@dataclass(frozen=True)
class _Manifest:
    program: Path
    """The file that constructs the pack."""
    version: str


def _read_manifest(directory: Path) -> _Manifest:
    path = directory / _MANIFEST
    if not directory.is_dir():
        raise PackError(f"{directory}: there is no such folder; a policy pack is a folder with a {_MANIFEST}")
    if not path.is_file():
        raise PackError(f"{directory}: there is no {_MANIFEST}; a policy pack is a folder with one")
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it is not UTF-8 text"
        raise PackError(f"{path}{line}: this is no YAML: {problem}") from None
    except OSError as error:
        raise PackError(f"{path}: it cannot be read: {error.strerror}") from None
    if not isinstance(document, dict):
        raise PackError(f"{path}: expected an object with a runtime, found {type(document).__name__}")
    runtime = document.get("runtime")
    name = runtime.get("name") if isinstance(runtime, dict) else runtime
    if name != "python":
        raise PackError(f"{path}: runtime: expected python, found {name!r}; packs in other languages need the CLI")
    main = document.get("main") or "."
    if not isinstance(main, str):
        raise PackError(f"{path}: main: expected the path of a file or folder, found {main!r}")
    program = directory / main
    if program.is_dir():
        program /= "__main__.py"
    if not program.is_file():
        raise PackError(f"{path}: main: there is no {program}")
    return _Manifest(program, str(document.get("version") or "0.0.1"))


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
