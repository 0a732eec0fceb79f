"""Loads a stack's modules. Each stack has a `config` of its own, so none may stay in `sys.modules`."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pulumi
import yaml

STACKS = Path(__file__).resolve().parents[3] / "stacks"


def stack_names() -> list[str]:
    """Return the names of the reference stacks."""
    return sorted(path.parent.name for path in STACKS.glob("*/Pulumi.yaml"))


@cache
def load(stack: str, *modules: str) -> list[ModuleType]:
    """Return modules of a stack's folder, of its `app` folder or of the shared package, as its program imports them.

    The same modules are imported once; nothing else in the process meets them.
    """
    path, known = list(sys.path), set(sys.modules)
    sys.path[:0] = [str(STACKS / stack), str(STACKS / stack / "app"), str(STACKS)]
    try:
        return [importlib.import_module(module) for module in modules]
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - known:
            if _is_of_a_stack(sys.modules[name]):
                del sys.modules[name]


def _is_of_a_stack(module: ModuleType) -> bool:
    return STACKS in Path(getattr(module, "__file__", None) or "/").parents


def settings_model(stack: str) -> Any:
    """Return the settings of a stack, the one model that its `config` defines."""
    (config,) = load(stack, "config")
    models = [item for item in vars(config).values() if isinstance(item, type) and item.__module__ == "config"]
    (model,) = [item for item in models if hasattr(item, "model_validate")]
    return model


def stack_config(stack: str, environment: str) -> dict[str, str]:
    """Return the config of a settings file as the CLI hands it over: everything is text, and lists are JSON."""
    settings = yaml.safe_load((STACKS / stack / f"Pulumi.{environment}.yaml").read_text())["config"]
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in settings.items()}


def set_stack(stack: str, environment: str, config: Mapping[str, str], secrets: list[str]) -> None:
    """Make this the stack that `pulumi.Config` reads."""
    pulumi.runtime.settings.reset_options(project=stack, stack=environment)
    pulumi.runtime.set_all_config(dict(config), secrets)
