"""Progress on standard error while a run is under way; nothing of it ever reaches standard output."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from ringfence.reports.interface import Event, TargetJudged, TargetStarted
from ringfence.reports.text import relative, visible

if TYPE_CHECKING:
    from rich.live import Live
    from rich.spinner import Spinner

__all__ = ["Progress"]


class Progress:
    """Shows events: a status line that moves on a terminal, plain lines elsewhere.

    Where `stream` is no terminal, a run of one target is silent and a longer one gives a line per target, so that a
    log says which target it was that took long. Use it as a context manager: leaving it clears the status line.
    """

    def __init__(self, base: Path, stream: TextIO | None = None) -> None:
        self._base = base
        self._stream = stream if stream is not None else sys.stderr
        self._live: Live | None = None
        self._spinner: Spinner | None = None
        self._started: list[TargetStarted] = []

    def __enter__(self) -> Self:
        if self._stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown"):
            # Only a terminal needs rich, and loading it takes a while.
            from rich.console import Console
            from rich.live import Live
            from rich.spinner import Spinner

            self._spinner = Spinner("line", "Starting")
            # A redirected sys.stdout would send the report, or what a program prints, to standard error.
            self._live = Live(
                self._spinner,
                console=Console(file=self._stream),
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case TargetStarted():
                self._started.append(event)
                if self._live is None and event.total > 1:
                    print(self._line(event), file=self._stream, flush=True)
            case TargetJudged():
                deployment = event.result.deployment
                self._started = [
                    item for item in self._started if (item.path, item.stack) != (deployment.path, deployment.stack)
                ]
        if self._live is not None and self._spinner is not None:
            from rich.text import Text

            self._spinner.update(text=Text(self._line(self._started[-1]) if self._started else "Judging"))
            self._live.refresh()

    def _line(self, event: TargetStarted) -> str:
        place = visible(relative(event.path, self._base))
        return f"[{event.number}/{event.total}] {place} · {visible(event.stack)}"
