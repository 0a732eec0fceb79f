"""What `ringfence offline` adds to the command that it wraps."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["offline"]

ROOT = Path(__file__).parent.parent
_PROGRAM = [sys.executable, "-m", "ringfence.cli.main", "offline", "--"]


def _seconds(*command: str) -> float:
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT / "stacks" / "decoupled_lambda", check=True)
    return time.perf_counter() - start


def offline(rounds: int = 9) -> None:
    """Time `true` on its own and under `ringfence offline`, in turn, and print the difference."""
    _seconds(*_PROGRAM, "true")  # compiled modules, a warm file cache
    pairs = [(_seconds("true"), _seconds(*_PROGRAM, "true")) for _ in range(rounds)]
    added = statistics.median(wrapped - alone for alone, wrapped in pairs)
    print(f"ringfence offline adds {added:.2f} s to the command that it wraps")
