"""The HTTP server: scores, says whether it is alive and ready, and drains before it stops."""

from __future__ import annotations

import json
import logging
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry import trace

from scoring.model import InvalidRequestError, Model

__all__ = ["ScoringServer"]

logger = logging.getLogger(__name__)
tracer = trace.get_tracer(__name__)

MAX_BODY_BYTES = 256 * 1024

IDLE_SECONDS = 10
"""How long a caller may take to send what it has announced. It bounds how long a drained server waits, too."""


class ScoringServer(ThreadingHTTPServer):
    """Answers each request in a thread of its own, so many at a time, and finishes them before it ends."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], model: Model, *, concurrency: int, drain_seconds: float) -> None:
        self.model = model
        self.slots = threading.BoundedSemaphore(concurrency)
        self._drain_seconds = drain_seconds
        self._draining = threading.Event()
        super().__init__(address, _Handler)

    @property
    def is_ready(self) -> bool:
        """Return whether new requests should be sent here."""
        return not self._draining.is_set()

    def drain(self) -> None:
        """Say that it is not ready, answer until the load balancer has noticed, then stop. Returns at once."""
        if self.is_ready:
            self._draining.set()
            logger.info("draining", extra={"seconds": self._drain_seconds})
            # `shutdown` waits for the loop that a signal handler interrupts, hence a thread.
            threading.Thread(target=self._stop, name="drain").start()

    def _stop(self) -> None:
        time.sleep(self._drain_seconds)
        self.shutdown()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what a handler did not expect, such as a caller that went away."""
        logger.warning("a request broke off", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """One connection, which is one request.

    The load balancer spreads connections and not requests: a caller that kept its connection would keep its container,
    and one that was just added would stay idle. HTTP/1.0 ends the connection after the answer.
    """

    protocol_version = "HTTP/1.0"
    server_version = "scoring"
    sys_version = ""
    timeout = IDLE_SECONDS
    server: ScoringServer

    def do_GET(self) -> None:
        if self.path == "/health/live":
            self._answer(200, {"status": "alive"})
        elif self.path == "/health/ready":
            self._answer(*((200, {"status": "ready"}) if self.server.is_ready else (503, {"status": "draining"})))
        else:
            self._answer(404, {"detail": "GET /health/live, GET /health/ready or POST /score"})

    def do_POST(self) -> None:
        if self.path != "/score":
            self._answer(404, {"detail": "POST /score"})
            return
        started = time.monotonic()
        with tracer.start_as_current_span("POST /score", kind=trace.SpanKind.SERVER) as span:
            status, body = self._score()
            span.set_attributes({"http.request.method": "POST", "http.response.status_code": status})
            span.set_attribute("url.path", "/score")
            if status >= 500:
                span.set_status(trace.StatusCode.ERROR)
            milliseconds = round((time.monotonic() - started) * 1000, 3)
            logger.info("scored" if status == 200 else "refused", extra={"status": status, "ms": milliseconds})
        self._answer(status, body)

    def _score(self) -> tuple[int, dict[str, Any]]:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            return 411, {"detail": "Content-Length is missing"}
        if len(length) > 9 or int(length) > MAX_BODY_BYTES:
            return 413, {"detail": f"a request has at most {MAX_BODY_BYTES} bytes"}
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            return 400, {"detail": "the body is shorter than Content-Length"}
        if not self.server.slots.acquire(blocking=False):
            return 503, {"detail": "busy; try again"}
        try:
            return 200, self.server.model.answer(body)
        except InvalidRequestError as error:
            return 400, {"detail": str(error)}
        except Exception:
            logger.exception("scoring failed")
            return 500, {"detail": "scoring failed"}
        finally:
            self.server.slots.release()

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if status == 503:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name is the library's)
        """Log nothing here: scores are logged with their time, and health is asked for every few seconds."""
