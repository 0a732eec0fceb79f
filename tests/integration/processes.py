"""Processes of this machine, by what Linux says of them."""

from __future__ import annotations

from pathlib import Path


def below(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stat = path.read_text(encoding="utf-8")
        except OSError:  # it has ended since
            continue
        if int(stat.rpartition(")")[2].split()[1]) == pid:
            found.append(int(stat.split()[0]))
    return found
