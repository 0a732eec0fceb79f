"""How the processes of policy packs are started: command line and environment are those of the engine.

Sources, in pulumi/pulumi: pkg/resource/plugin/analyzer_plugin.go, and the `RunPlugin` of
sdk/nodejs/cmd/pulumi-language-nodejs and sdk/python/cmd/pulumi-language-python.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.engine.languages.interface import LaunchError, RemoteProgram, own_environment
from ringfence.engine.languages.nodejs import NodeLanguage
from ringfence.engine.languages.python import PythonLanguage
from ringfence.policy.manifest import Manifest
from ringfence.policy.pack import PackError

if TYPE_CHECKING:
    from ringfence.engine.languages.interface import Language

__all__ = ["NO_ENGINE", "RUNTIMES", "PackLaunch", "StackFacts", "launch_of", "runs_outside"]

RUNTIMES = ("python", "nodejs", "opa")
"""Runtimes of packs."""
_PRELOAD = Path(__file__).with_name("preload.js")
_RUNNER = Path(__file__).with_name("python_pack.py")
NO_ENGINE = "127.0.0.1:0"
"""The engine's address that a pack is told. The SDKs' runners take it and do not use it."""
_OPA = "pulumi-analyzer-policy-opa"


@dataclass(frozen=True)
class StackFacts:
    """What the engine tells a pack of the stack, besides its resources."""

    project: str
    stack: str
    organization: str = "organization"
    config: Mapping[str, str] = field(default_factory=dict)
    """Full key to value, secrets plain."""
    secret_keys: frozenset[str] = frozenset()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PackLaunch:
    """A pack's process, not yet started."""

    manifest: Manifest
    command: tuple[str, ...]
    environment: Mapping[str, str]
    """Variables over those of this process."""
    language: Language | None = field(compare=False)
    """What can read the traces of the pack's language."""
    program: RemoteProgram
    """The pack as a program, for its language to explain."""


def runs_outside(manifest: Manifest, *, isolate: bool) -> bool:
    """Whether a pack needs a process of its own."""
    if manifest.runtime != "python":
        return True
    return isolate or own_environment(manifest.directory, manifest.options) is not None


def launch_of(manifest: Manifest, facts: StackFacts, *, type_check: bool = False) -> PackLaunch:
    """Return how a pack is started. Raises `PackError` for what is missing: a runtime, its packages, its plugin."""
    program = RemoteProgram(
        runtime=str(manifest.runtime),
        folder=manifest.directory,
        project=facts.project,
        stack=facts.stack,
        organization=facts.organization,
        options=manifest.options,
        type_check=type_check,
    )
    environment = {
        "PULUMI_ORGANIZATION": facts.organization,
        "PULUMI_PROJECT": facts.project,
        "PULUMI_STACK": facts.stack,
        "PULUMI_DRY_RUN": "true",
        "PULUMI_CONFIG": json.dumps(dict(facts.config)),
    }
    match manifest.runtime:
        case "nodejs":
            return _node(manifest, program, environment)
        case "python":
            return _python(manifest, program, environment)
        case "opa":
            return _opa(manifest, program, environment)
    raise PackError(f"{manifest.path}: runtime: expected one of {', '.join(RUNTIMES)}, found {manifest.runtime!r}")


def _node(manifest: Manifest, program: RemoteProgram, environment: dict[str, str]) -> PackLaunch:
    language = NodeLanguage()
    try:
        language.prepare(program, manifest.directory)
    except LaunchError as error:
        raise PackError(f"{manifest.path}: the policy pack cannot be started: {error}") from None
    # The SDK's runners stand side by side: that of packs beside that of dynamic providers.
    beside = language.dynamic_provider(program, NO_ENGINE)
    assert beside is not None
    node, sdk = beside.command[0], Path(beside.command[1]).parents[1]
    given = manifest.options.get("nodeargs")
    command = (
        *(node, "--inspect-port=0", *(shlex.split(given) if isinstance(given, str) else ())),
        *(f"--require={_PRELOAD}", str(sdk / "cmd/run-policy-pack"), NO_ENGINE, _place(manifest)),
    )
    more = {key.replace("PULUMI_", "PULUMI_NODEJS_"): environment[key] for key in environment if "CONFIG" not in key}
    if manifest.options.get("typescript", True):
        more["PULUMI_NODEJS_TYPESCRIPT"] = "true"
    if not program.type_check:
        more["RINGFENCE_PACK_TRANSPILE"] = str(sdk)
    return PackLaunch(manifest, command, environment | more, language, program)


def _python(manifest: Manifest, program: RemoteProgram, environment: dict[str, str]) -> PackLaunch:
    own = own_environment(manifest.directory, manifest.options)
    command = (str(own or sys.executable), "-u", str(_RUNNER), NO_ENGINE, _place(manifest))
    # The SDK compiles to megabytes: without kept bytecode every start would compile it anew.
    more = {"PYTHONDONTWRITEBYTECODE": ""}
    return PackLaunch(manifest, command, environment | more, PythonLanguage(), program)


def _opa(manifest: Manifest, program: RemoteProgram, environment: dict[str, str]) -> PackLaunch:
    plugin = shutil.which(_OPA)
    if plugin is None:
        raise PackError(
            f"{manifest.path}: runtime: opa needs the analyzer plugin {_OPA} on PATH, and it is not there; it is at "
            "https://github.com/pulumi/pulumi-policy-opa/releases"
        )
    options = (f"-{key}={value}" for key, value in manifest.options.items() if str(value))
    return PackLaunch(manifest, (plugin, NO_ENGINE, ".", *options), environment, None, program)


def _place(manifest: Manifest) -> str:
    """Return the program: the pack's folder, where the manifest does not name another."""
    place = manifest.directory / manifest.main
    if not place.exists():
        raise PackError(f"{manifest.path}: main: there is no {place}")
    return str(place) if manifest.main != "." else str(manifest.directory)
