"""Logs as JSON on standard output and, where the stack says so, logs and requests in Application Insights."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

__all__ = ["JsonFormatter", "configure"]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JsonFormatter(logging.Formatter):
    """One line of JSON for each record, with what it was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure(environment: Mapping[str, str]) -> None:
    """Set up logging. Telemetry is sent as the container's identity: the connection string only says where to.

    The exporter takes a few requests a second of each container and lets the rest go, which bounds the cost.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("azure").setLevel(logging.WARNING)
    connection = environment.get("APPLICATIONINSIGHTS_CONNECTION_STRING")
    if connection is None:
        return
    from azure.identity import DefaultAzureCredential
    from azure.monitor.opentelemetry import (
        configure_azure_monitor,
    )

    configure_azure_monitor(
        connection_string=connection,
        credential=DefaultAzureCredential(),
        logger_name="scoring",
        enable_live_metrics=False,
    )
