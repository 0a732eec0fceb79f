"""What a repair is, and the changes that it makes for the length of a run: to modules, classes and builtins."""

from __future__ import annotations

import contextlib
import importlib
import operator
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ringfence.deployment import Problem
from ringfence.engine.calls import Report
from ringfence.engine.nearest import variables_of

__all__ = ["Repair", "attribute_set", "ignoring_report", "module_set"]


@dataclass(frozen=True)
class Repair:
    """A fault, and how to run the program as if it were not there."""

    target: tuple[str, ...]
    """What is repaired. The same fault again shows that a repair does not work."""
    problem: Problem
    what: str
    """What the repair does, in a few words."""
    apply: Callable[[Report], AbstractContextManager[object]]
    """For the length of a run, change what the program meets; further faults of the same kind are reported."""


def ignoring_report(
    apply: Callable[[], AbstractContextManager[object]],
) -> Callable[[Report], AbstractContextManager[object]]:
    """Return what a repair needs for a change that meets no further faults."""
    return lambda _: apply()


@contextlib.contextmanager
def attribute_set(module: str, path: str, name: str, make: Callable[[], Any]) -> Iterator[None]:
    """Set an attribute of a module, or of a class in it at `path`."""
    owner: Any = importlib.import_module(module)
    if path:
        owner = operator.attrgetter(path)(owner)
    own = variables_of(owner) if isinstance(owner, ModuleType) else vars(owner)
    existed, before = name in own, own.get(name)
    setattr(owner, name, make())
    try:
        yield
    finally:
        if existed:
            setattr(owner, name, before)
        else:
            with contextlib.suppress(AttributeError):  # the program may have deleted it
                delattr(owner, name)


@contextlib.contextmanager
def module_set(name: str, make: Callable[[], Any]) -> Iterator[None]:
    """Let a module be imported by a name that it does not have."""
    parent, _, last = name.rpartition(".")
    module = make()
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        with attribute_set(parent, "", last, lambda: module):
            yield
    finally:
        if before is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = before
