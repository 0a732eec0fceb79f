"""One line of JSON for each thing that happened, on standard output, which the endpoint's console log collects."""

from __future__ import annotations

import json
import logging
import sys

__all__ = ["configure", "log"]

logger = logging.getLogger("scoring")


def configure() -> None:
    """Print events from now on, and hand none to the inference server's own logger. Calling it again is harmless."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def log(event: str, *, level: int = logging.INFO, **fields: str | float | None) -> None:
    """Log an event with its fields. What callers sent must not be among them."""
    text = json.dumps({"event": event, "level": logging.getLevelName(level), **fields})
    logger.log(level, "%s", text)
