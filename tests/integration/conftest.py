"""Which back ends the tests ran on."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.integration.availability import BACK_ENDS


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say which back ends each module's tests ran on. Workers of pytest-xdist send it with their reports."""
    ran: Counter[tuple[str, str]] = Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            module = report.nodeid.partition("::")[0].rpartition("/")[2]
            ran.update((module, value) for name, value in report.user_properties if name == BACK_ENDS)
    if ran:
        terminalreporter.section("emulators")
    for (module, back_ends), number in sorted(ran.items()):
        terminalreporter.write_line(f"{module}: {number} tests on {back_ends}")
