"""Runs the server until it is told to stop: `python -m scoring`."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path

from scoring.model import Model
from scoring.server import ScoringServer
from scoring.telemetry import configure

logger = logging.getLogger("scoring")


def main() -> None:
    """Serve. SIGTERM and SIGINT drain; the process ends when the last request is answered."""
    configure(os.environ)
    model = Model.load(Path(os.environ.get("MODEL_FILE", Path(__file__).with_name("model.json"))))
    server = ScoringServer(
        ("", int(os.environ.get("PORT", "8080"))),
        model,
        concurrency=int(os.environ.get("CONCURRENCY", "8")),
        drain_seconds=float(os.environ.get("DRAIN_SECONDS", "15")),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.drain())
    logger.info("serving", extra={"model": model.version, "port": server.server_port})
    with server:
        server.serve_forever(poll_interval=0.1)
    logger.info("stopped")


if __name__ == "__main__":
    main()
