"""What the tests of programs in several languages have in common."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from ringfence.deployment import Deployment, Resource
from ringfence.sources.interface import Request
from ringfence.sources.project import EmbeddedSource


def evaluate(project: Path, *, isolate: bool = False, type_check: bool = False, **request: Any) -> Deployment:
    """Evaluate a project by the embedded engine."""
    return EmbeddedSource(isolate=isolate, type_check=type_check).evaluate(Request(project, **request))


def named(deployment: Deployment, name: str) -> Resource:
    """Return the one resource with a name."""
    (found,) = (resource for resource in deployment.resources if resource.name == name)
    return found


def notes(deployment: Deployment) -> str:
    """Return all messages."""
    return "\n".join(item.message for item in deployment.diagnostics)


def place(resource: Resource) -> tuple[str, int]:
    """Return a resource's file name and line."""
    assert resource.source is not None
    return Path(resource.source.path).name, resource.source.line


def line_of(path: Path, mark: str) -> int:
    """Return the number of the line that ends in a comment with `line: mark`."""
    (number,) = (
        number for number, line in enumerate(path.read_text().splitlines(), 1) if line.endswith(f"// line: {mark}")
    )
    return number


def alive(process: int) -> bool:
    """Whether a process is still there after a moment; one that waits to be collected is not."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
            os.kill(process, 0)
        except OSError:
            return False
        if state == "Z":
            return False
        time.sleep(0.02)
    return True
