"""Findings written for a reader, one file per format.

`reporter` gives the writer of a format. It loads that format alone: the machine formats need no rich.
"""

from __future__ import annotations

from ringfence.reports.interface import Event, Reporter, Result, Run, TargetJudged, TargetStarted
from ringfence.reports.summary import Summary, summarise

__all__ = [
    "FORMATS",
    "Event",
    "Reporter",
    "Result",
    "Run",
    "Summary",
    "TargetJudged",
    "TargetStarted",
    "reporter",
    "summarise",
]

FORMATS = ("terminal", "json", "sarif")
"""The formats that `reporter` knows, the default first."""


def reporter(form: str, *, width: int = 80, color: bool = False) -> Reporter:
    """Return the writer of a format; `width` (in columns) and `color` concern the terminal only.

    Raises `ValueError` for a format that is not among `FORMATS`.
    """
    match form:
        case "terminal":
            from ringfence.reports.terminal import TerminalReporter

            return TerminalReporter(width=width, color=color)
        case "json":
            from ringfence.reports.json_report import JsonReporter

            return JsonReporter()
        case "sarif":
            from ringfence.reports.sarif import SarifReporter

            return SarifReporter()
        case _:
            raise ValueError(f"format {form!r}: expected one of {', '.join(FORMATS)}")
