"""One line of JSON for each thing that happened."""

from __future__ import annotations

import json
import logging

__all__ = ["log"]

logger = logging.getLogger("state_api")


def log(event: str, *, level: int = logging.INFO, **fields: str | float | None) -> None:
    """Log an event with its fields. What a session holds must not be among them."""
    logger.log(level, "%s", json.dumps({"event": event, **fields}))
