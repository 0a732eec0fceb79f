"""What the SDK finds out about classes, remembered as long as the classes live.

The SDK remembers some of it without a limit, and so would hold the classes of every program that ever ran, with all
their modules. Other things it finds out anew for each resource.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

from pulumi import _types as sdk_types

from ringfence.engine.frames import is_library_file

__all__ = ["replacements"]

_OF_PROPERTIES = ("_py_properties", "_raw_return_hints", "_required_property_names", "_types_from_py_properties")
"""What the SDK remembers for good. It depends on a class's property getters alone."""

_OTHER = (
    "input_type_py_to_pulumi_names",
    "resource_types",
    "resource_pulumi_to_py_names",
    "resource_py_to_pulumi_names",
)
"""What the SDK finds out anew for each value or resource; of resources, annotations count, too."""

_KEPT: dict[str, Callable[[type], Any]] = {name: getattr(sdk_types, name) for name in _OF_PROPERTIES}
_KEPT |= {name: functools.lru_cache(maxsize=16384)(getattr(sdk_types, name)) for name in _OTHER}
"""The functions as asked about classes of libraries, which stay."""


def replacements() -> list[tuple[Any, str, Any]]:
    """Return what to replace for the length of a run: module, name and function."""
    found: list[tuple[Any, str, Any]] = []
    for name in _OF_PROPERTIES:
        found.append((sdk_types, name, _remembered(name, _library_class_alike)))
    for name in _OTHER:
        found.append((sdk_types, name, _remembered(name, _library_class)))
    return found


def _remembered(name: str, library_class: Callable[[type], type | None]) -> Callable[[type], Any]:
    keep = _KEPT[name]
    compute: Callable[[type], Any] = keep.__wrapped__  # type: ignore[attr-defined]
    of_run: dict[type, Any] = {}

    def lookup(cls: type) -> Any:
        try:
            return of_run[cls]
        except KeyError:
            kept = library_class(cls)
            result = of_run[cls] = compute(cls) if kept is None else keep(kept)
            return result

    return lookup


def _library_class(cls: type) -> type | None:
    return None if _is_users(cls) else cls


def _library_class_alike(cls: type) -> type | None:
    """Return the library's class that has all the property getters of `cls`.

    Most components of a program add none, and to resolve the annotations once more, in each of its modules, takes as
    long as to register a resource.
    """
    own = [base for base in cls.__mro__ if _is_users(base)]
    if not own:
        return cls
    if any(_is_pulumi_property(item) for base in own for item in vars(base).values()):
        return None
    rest = [base for base in cls.__mro__ if base not in own]
    return rest[0] if rest == list(rest[0].__mro__) else None


def _is_pulumi_property(item: object) -> bool:
    return isinstance(item, property) and hasattr(item.fget, sdk_types._PULUMI_NAME)


def _is_users(cls: type) -> bool:
    """Whether a class goes with the program: its module is imported anew in every run."""
    module = sys.modules.get(cls.__module__)
    file = getattr(module, "__file__", None)
    return not is_library_file(file) if file else module is None or cls.__module__ == "__main__"
