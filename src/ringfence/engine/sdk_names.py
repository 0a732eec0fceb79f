"""What was meant by a name that an installed SDK does not have, or that a program forgot to import."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import operator
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ringfence.engine.calls import accepts, only_class_for
from ringfence.engine.nearest import certain, close, homes, public_names
from ringfence.engine.stand_ins import StandIn
from ringfence.engine.syntax import Place, Use
from ringfence.moved import AZURE_NATIVE_MODULES

__all__ = ["UNKNOWN_VALUE", "Member", "SeveralModules", "find_member", "forgotten_import", "is_of_sdk", "is_sdk"]

UNKNOWN_VALUE = "an unknown value"
"""How people are told of a stand-in."""
_VERSION = re.compile(r"v\d{8}(preview|privatepreview)?")
"""Modules of pulumi-azure-native that hold one API version."""
_MOST_NAMED = 3
"""Modules that a message names when a name is in several."""


@dataclass(frozen=True)
class Member:
    """What to put where an SDK has no such name."""

    make: Callable[[], Any]
    stands: str
    """What that is, for people."""
    meant: str = ""
    """The name that exists instead, or several."""


def is_sdk(module: str) -> bool:
    """Whether a module belongs to the Pulumi SDK or to an imported provider SDK, by the file that each of those has."""
    root = module.partition(".")[0]
    folders = getattr(sys.modules.get(root), "__path__", ())
    return root == "pulumi" or any(Path(folder, "pulumi-plugin.json").is_file() for folder in folders)


def is_of_sdk(target: Any) -> bool:
    """Whether a class or function is one that an SDK's module holds, so that it is found again in the next run."""
    if not is_sdk(target.__module__):
        return False
    try:
        return operator.attrgetter(target.__qualname__)(sys.modules[target.__module__]) is target
    except (AttributeError, KeyError):
        return False


def find_member(owner: ModuleType, name: str, uses: Sequence[Use]) -> Member:
    """Find what was meant by a name that a module of an SDK does not have."""
    if isinstance(owner, StandIn):
        return Member(StandIn, UNKNOWN_VALUE)
    if _VERSION.fullmatch(name) and "." in owner.__name__:
        # pulumi-azure-native 3 holds one version of each API; the others are packages of their own.
        return Member(functools.partial(importlib.import_module, owner.__name__), owner.__name__, owner.__name__)
    if owner.__name__ == "pulumi_azure_native" and name in AZURE_NATIVE_MODULES:
        moved = tuple(f"{owner.__name__}.{new}" for new in AZURE_NATIVE_MODULES[name])
        title = " or ".join(moved)
        return Member(functools.partial(_several_modules, f"{owner.__name__}.{name}", moved), title, title)

    def fits(candidate: str) -> bool:
        return _fits(owner.__name__, candidate, uses)

    names = public_names(owner)
    meant = certain(name, names, fits)
    called = next((use.keywords for use in uses if use.called and use.keywords), None)
    if not meant and name.endswith("Args") and called:
        meant = only_class_for(owner, called)
    if meant:
        full = f"{owner.__name__}.{meant}"
        return Member(functools.partial(_load, owner.__name__, meant), full, meant)
    root = sys.modules[owner.__name__.partition(".")[0]]
    elsewhere = [home for home in homes(root, name) if home != owner.__name__ and _fits(home, name, uses)]
    if len(elsewhere) == 1:
        full = f"{elsewhere[0]}.{name}"
        return Member(functools.partial(_load, elsewhere[0], name), full, full)
    several = " or ".join(f"{home}.{name}" for home in elsewhere[:_MOST_NAMED])
    return Member(StandIn, UNKNOWN_VALUE, several or close(name, names, fits))


def _fits(module: str, name: str, uses: Sequence[Use]) -> bool:
    """Whether an SDK's name can be used as the program does. Only the module that holds it is imported."""
    try:
        found = _load(module, name)
    except (AttributeError, ImportError):
        return False
    return all(accepts(found, use) for use in uses)


def _load(module: str, name: str) -> Any:
    owner = importlib.import_module(module)
    try:
        return getattr(owner, name)
    except AttributeError:
        return importlib.import_module(f"{module}.{name}")


class SeveralModules(ModuleType):
    """Several modules in the place of the one that they were split from."""

    def __init__(self, name: str, parts: tuple[str, ...]) -> None:
        super().__init__(name)
        self.parts = [importlib.import_module(part) for part in parts]

    def __getattr__(self, name: str) -> Any:
        for part in self.parts:
            if hasattr(part, name):
                return getattr(part, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}", name=name, obj=self)

    def __dir__(self) -> list[str]:
        return sorted({name for part in self.parts for name in dir(part)})


def _several_modules(name: str, parts: tuple[str, ...]) -> ModuleType:
    return importlib.import_module(parts[0]) if len(parts) == 1 else SeveralModules(name, parts)


def forgotten_import(name: str, use: Use, place: Place) -> Member | None:
    """Return the module, or the class of an SDK, that the program forgot to import."""
    if use.attribute and name in sys.stdlib_module_names and _fits_module(name, use):
        return Member(functools.partial(importlib.import_module, name), f"the module {name}", f"`import {name}`")
    for module in dict.fromkeys((name, f"pulumi_{name}")):
        if use.attribute and module.startswith("pulumi") and _is_installed(module) and _fits_module(module, use):
            meant = f"`import {module}" + (f" as {name}`" if module != name else "`")
            return Member(functools.partial(importlib.import_module, module), f"the module {module}", meant)
    for root in _imported_sdks(place):
        found = [root.__name__] if name in public_names(root) else homes(root, name)
        found = [home for home in found if _fits(home, name, [use])]
        if len(found) == 1:
            load = functools.partial(_load, found[0], name)
            return Member(load, f"{found[0]}.{name}", f"`from {found[0]} import {name}`")
    return None


def _fits_module(module: str, use: Use) -> bool:
    try:
        return accepts(importlib.import_module(module), use)
    except ImportError:
        return False


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _imported_sdks(place: Place) -> list[ModuleType]:
    """Return the SDKs that the program's file has imported from: what else the process has loaded is no hint."""
    roots = ["pulumi"]
    for value in list(place.frame.f_globals.values()):
        if isinstance(value, ModuleType):
            roots.append(ModuleType.__getattribute__(value, "__name__").partition(".")[0])
        elif inspect.isclass(value) or inspect.isfunction(value):
            roots.append(str(value.__module__).partition(".")[0])
    return [sys.modules[root] for root in dict.fromkeys(roots) if root in sys.modules and is_sdk(root)]
