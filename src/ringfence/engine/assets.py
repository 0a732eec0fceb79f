"""Assets and archives that a program hands over: the paths they name exist and are what the engine takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ringfence.deployment import Archive, Asset, Secret

__all__ = ["asset_faults"]

_HOLDERS = (Mapping, list, Secret, Asset, Archive)
_ARCHIVES = (".tar", ".tgz", ".tar.gz", ".zip", ".jar")
"""Endings of the archive files that the engine reads (sdk/go/common/resource/archive)."""


def asset_faults(inputs: Mapping[str, Any], folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the property path of each asset or archive that the engine refuses, and why.

    Paths are relative to `folder`. Remote assets are not fetched: there is no network where a rehearsal runs.
    """
    waiting: list[tuple[str, Any]] = [(key, value) for key, value in inputs.items() if isinstance(value, _HOLDERS)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, Secret):
            waiting.append((path, value.value))
        elif isinstance(value, Mapping):
            waiting.extend((f"{path}.{key}", item) for key, item in value.items() if isinstance(item, _HOLDERS))
        elif isinstance(value, list):
            waiting.extend((f"{path}[{index}]", item) for index, item in enumerate(value) if isinstance(item, _HOLDERS))
        elif isinstance(value, Archive) and value.kind == "assets":
            waiting.append((path, value.content))
        elif isinstance(value, Asset | Archive) and value.kind == "file":
            fault = _fault(value, folder)
            if fault:
                yield path, fault


def _fault(value: Asset | Archive, folder: Path) -> str:
    place = folder / value.content
    if not place.exists():
        return f"is the file or folder {value.content!r}, which does not exist (looked for in {folder})"
    if isinstance(value, Asset) and place.is_dir():
        return f"is the folder {value.content!r}, where an asset takes a file; an archive takes folders"
    if isinstance(value, Archive) and not place.is_dir() and not value.content.endswith(_ARCHIVES):
        return f"is the file {value.content!r}, where an archive takes a folder or a file {', '.join(_ARCHIVES)}"
    return ""
