"""`python -m gateway PORT DESCRIPTOR PYTHON`: serve on an inherited socket until standard input ends."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config

KEEP_ALIVE_SECONDS = 75


def main() -> None:
    """Start everything and serve."""
    port, descriptor, python = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    endpoint = f"http://127.0.0.1:{port}"
    os.environ |= {
        "AUTH": "true",
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "LAMBDA_EXECUTOR": "local",
        "LOG_LEVEL": "WARNING",
        "MINISTACK_HOST": "127.0.0.1",
        "SFTP_ENABLED": "0",
    }
    # Only now: MiniStack reads its settings when it is imported.
    from .gateway import Gateway

    gateway = Gateway(endpoint, python)
    threading.Thread(target=_end_with_parent, args=(gateway,), daemon=True).start()
    config = Config()
    config.bind = [f"fd://{descriptor}"]
    config.accesslog = None
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    asyncio.run(serve(gateway.asgi, config))


def _end_with_parent(gateway: Any) -> None:
    """Wait for the end of standard input, which is the end of whoever started this, or its wish."""
    sys.stdin.buffer.read()
    gateway.stop()
    os._exit(0)


if __name__ == "__main__":
    main()
