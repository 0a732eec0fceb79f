"""Which name was meant: nearest by spelling, and where an installed SDK keeps a name.

*Certain* is a name that can hardly be anything else: the program is then run on with it. *Close* is good enough for a
question, "did you mean …?".
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["certain", "close", "homes", "public_names", "variables_of"]

_SHORTEST = 5
"""Letters that a name must have for one slip in it to be told from another name."""
_CLOSE = 0.72
"""Similarity (difflib's ratio) from which on a name is worth a question."""


def _fold(name: str) -> str:
    return name.replace("_", "").casefold()


def certain(name: str, known: Iterable[str], fits: Callable[[str], bool]) -> str:
    """Return the one known name that `name` stands for with near certainty, or an empty string.

    That is the same name in other case or with other underscores; else the only one that has it as its last words
    (`SBSkuArgs` for `SkuArgs`), if that fits; else the only one that is one slip of the keyboard away.
    """
    names = sorted(set(known))
    plain = _fold(name)
    for pick in (
        [item for item in names if _fold(item) == plain],
        [item for item in names if _ends_with_words(item, name) and fits(item)] if len(name) >= _SHORTEST else [],
        [item for item in names if _one_slip(plain, _fold(item)) and item[0].isupper() == name[0].isupper()]
        if len(plain) >= _SHORTEST
        else [],
    ):
        if pick:
            return pick[0] if len(pick) == 1 else ""
    return ""


def _ends_with_words(longer: str, name: str) -> bool:
    """Whether the last words of a longer name are `name`: words begin with a capital or after an underscore."""
    rest = longer.removesuffix(name)
    return rest not in ("", longer) and (name[0].isupper() or rest.endswith("_"))


def _one_slip(one: str, other: str) -> bool:
    """Whether one letter too many, too few or wrong, or two letters that changed places, make the difference."""
    if abs(len(one) - len(other)) > 1 or one == other:
        return False
    start = next((index for index, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), None)
    if start is None:
        return True  # the longer one has one letter more at its end
    left, right = one[start:], other[start:]
    swapped = left[:2] == right[:2][::-1] and left[2:] == right[2:]
    return swapped or left[1:] == right[1:] or left[1:] == right or left == right[1:]


def close(name: str, known: Iterable[str], fits: Callable[[str], bool]) -> str:
    """Return the known name that is most like `name`, one that fits before others; or an empty string."""
    names = {_fold(item): item for item in known}
    found = [names[item] for item in difflib.get_close_matches(_fold(name), names, n=5, cutoff=_CLOSE)]
    return next((item for item in found if fits(item)), found[0] if found else "")


def public_names(module: ModuleType) -> list[str]:
    """Return the names that a module of an SDK offers: its classes, functions and modules, and those below it."""
    names = {name for name in dir(module) if not name.startswith("_") and _is_its_own(module, name)}
    for folder in getattr(module, "__path__", ()):
        with os.scandir(folder) as entries:
            names |= {
                entry.name
                for entry in entries
                if entry.is_dir() and not entry.name.startswith("_") and Path(entry.path, "__init__.py").is_file()
            }
    return sorted(names)


def _is_its_own(module: ModuleType, name: str) -> bool:
    # Typed dictionaries are the twins of args classes; they cannot be told from plain dictionaries when used.
    if name.endswith("ArgsDict") or name in ("builtins", "copy", "pulumi", "sys", "types", "typing", "warnings"):
        return False
    value = variables_of(module).get(name)
    if isinstance(value, ModuleType) and "__path__" not in variables_of(value):
        return False  # the file of one class
    # What an earlier repair set bears another name, or none.
    return value is None or getattr(value, "__name__", "").rpartition(".")[2] == name


def variables_of(module: ModuleType) -> dict[str, Any]:
    """Return a module's variables without loading a module that loads itself on first use."""
    variables: dict[str, Any] = ModuleType.__getattribute__(module, "__dict__")
    return variables


def homes(root: ModuleType, name: str) -> list[str]:
    """Return the public modules of an SDK that define a class or a function, by looking at its files alone.

    Generated SDKs keep a resource or a function in a file of its own name, input classes in `_inputs.py` and enums in
    `_enums.py`. A whole SDK has thousands of files: importing them would take a minute.
    """
    plain = _fold(name)
    stems = {plain, plain.removesuffix("args"), plain.removesuffix("initargs")}
    shared = "_inputs.py" if name.endswith("Args") else "_enums.py"
    marks = tuple(mark.encode() for mark in (f"\nclass {name}(", f"\nclass {name}:", f"\ndef {name}("))
    found = set()
    for folder in getattr(root, "__path__", ()):
        for path in _candidates(Path(folder), stems, shared):
            text = path.read_bytes()
            if any(mark in text for mark in marks):
                parts = path.parent.relative_to(folder).parts
                found.add(".".join((root.__name__, *parts)))
    return sorted(found)


def _candidates(folder: Path, stems: set[str], shared: str) -> Iterator[Path]:
    for directory, subfolders, files in os.walk(folder):
        subfolders[:] = [item for item in subfolders if not item.startswith("_")]
        for file in files:
            if file == shared or (file.endswith(".py") and _fold(file[:-3]) in stems):
                yield Path(directory, file)
