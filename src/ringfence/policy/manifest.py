"""PulumiPolicy.yaml: what a folder needs to be a policy pack, and how the pack runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ringfence.policy.pack import PackError

__all__ = ["Manifest", "read_manifest"]

_NAME = "PulumiPolicy.yaml"


@dataclass(frozen=True)
class Manifest:
    """What a pack's PulumiPolicy.yaml says."""

    path: Path
    runtime: Any
    """Its language: a name, where the file is right."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """`runtime.options`."""
    main: str = "."
    """The program, or its folder, below the pack's folder."""
    version: str = ""
    description: str = ""

    @property
    def directory(self) -> Path:
        """The pack's folder."""
        return self.path.parent


def read_manifest(directory: Path) -> Manifest:
    """Return the manifest of the pack in a folder. Raises `PackError` that names the file and the key."""
    directory = Path(directory).absolute()
    path = directory / _NAME
    if not directory.is_dir():
        raise PackError(f"{directory}: there is no such folder; a policy pack is a folder with a {_NAME}")
    if not path.is_file():
        raise PackError(f"{directory}: there is no {_NAME}; a policy pack is a folder with one")
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
    main = document.get("main") or "."
    if not isinstance(main, str):
        raise PackError(f"{path}: main: expected the path of a file or folder, found {main!r}")
    runtime = document.get("runtime")
    name, options = (runtime.get("name"), runtime.get("options")) if isinstance(runtime, dict) else (runtime, None)
    if options is not None and not isinstance(options, dict):
        raise PackError(f"{path}: runtime.options: expected an object, found {options!r}")
    return Manifest(
        path=path,
        runtime=name,
        options=options or {},
        main=main,
        version=str(document.get("version") or ""),
        description=str(document.get("description") or ""),
    )
