"""Judging projects by policy packs, for the tests of packs."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ringfence.cli.main import main
from tests.integration.node_packages import node_modules

PACKS = Path(__file__).parent / "packs"


@dataclass(frozen=True)
class Run:
    """What a command came to."""

    code: int
    report: dict[str, Any]
    text: str
    """All that it wrote: the report, and what went to standard error."""

    @property
    def deployment(self) -> dict[str, Any]:
        (found,) = self.report["deployments"]
        assert isinstance(found, dict)
        return found

    @property
    def notes(self) -> str:
        return "\n".join(note["message"] for note in self.deployment.get("notes", []))

    @property
    def findings(self) -> list[dict[str, Any]]:
        """What the packs say; what we say of the program is left out."""
        return [item for item in self.deployment["findings"] if not re.fullmatch(r"PG\d+", item["code"])]

    def told(self, *verdicts: str, pack: str = "") -> list[tuple[str, ...]]:
        """Return verdict, level, policy, resource and message of findings."""
        keys = ("verdict", "level", "name", "resource", "message")
        chosen = (item for item in self.findings if item["verdict"] in verdicts and item["pack"].startswith(pack))
        return sorted(tuple(item[key] for key in keys) for item in chosen)

    def inputs(self, name: str) -> dict[str, Any]:
        (found,) = (item["inputs"] for item in self.deployment["resources"] if item["name"] == name)
        assert isinstance(found, dict)
        return found


def check(project: Path, *packs: Path, configs: Sequence[Path] = (), options: Sequence[str] = ()) -> Run:
    """Judge a project by packs."""
    given = [word for pack in packs for word in ("--policy-pack", str(pack))]
    given += [word for config in configs for word in ("--policy-pack-config", str(config))]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["check", str(project), "--format", "json", "--all-verdicts", *given, *options])
    text = out.getvalue()
    return Run(code, json.loads(text) if text else {}, text + err.getvalue())


def copied(folder: Path, name: str) -> Path:
    """Return a copy of something in `packs/`; with the npm packages, where it is TypeScript."""
    to = folder / name
    if not to.exists():
        shutil.copytree(PACKS / name, to, ignore=shutil.ignore_patterns("__pycache__"))
        for manifest in to.rglob("package.json"):
            (manifest.parent / "node_modules").symlink_to(node_modules())
    return to


def node_pack(folder: Path, text: str) -> Path:
    """Return a pack in TypeScript whose program is `text`."""
    folder.mkdir()
    (folder / "PulumiPolicy.yaml").write_text("runtime: nodejs\n")
    (folder / "package.json").write_text('{"name": "inline", "version": "0.1.0"}\n')
    (folder / "index.ts").write_text(text)
    (folder / "node_modules").symlink_to(node_modules())
    return folder


def python_pack(folder: Path, text: str) -> Path:
    """Return a pack in Python whose program is `text`."""
    folder.mkdir()
    (folder / "PulumiPolicy.yaml").write_text("runtime: python\n")
    (folder / "__main__.py").write_text(text)
    return folder
