"""The Cosmos DB fake: the gateway behind an HTTP server on loopback, in threads of this process."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from ringfence.emulators.cosmos.auth import TOKEN_LIFETIME, Authorizer, make_key, make_token
from ringfence.emulators.cosmos.errors import ServiceError, too_many_requests
from ringfence.emulators.cosmos.messages import Request, Response
from ringfence.emulators.cosmos.routes import Gateway, InjectedFault
from ringfence.emulators.cosmos.settings import AccountSettings
from ringfence.emulators.cosmos.store import Account
from ringfence.emulators.cosmos.tls import Certificate, make_certificate
from ringfence.emulators.interface import Backend, EmulatorError, StartedByWith

__all__ = ["CosmosFake"]

LOG = logging.getLogger(__name__)
HOST = "127.0.0.1"
POLL_SECONDS = 0.02
"""How long `stop` may wait for the listening thread to notice."""
HANDSHAKE_SECONDS = 10.0
PATIENCE = 10.0
"""Seconds to wait for threads to end: that takes milliseconds, unless the machine is in trouble."""


class CosmosFake(StartedByWith):
    """Cosmos DB for NoSQL on loopback, for tests.

    Databases and containers are made on `account`, before or after the start, or by clients.
    """

    service = "cosmos"
    backend: Backend = "process"

    def __init__(
        self,
        settings: AccountSettings | None = None,
        *,
        port: int = 0,
        tls: bool = True,
        key: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the settings of the account.

        Args:
            settings: the account's.
            port: where to listen; 0 is any free port.
            tls: whether to speak TLS with a certificate made at start; clients send tokens in no other way.
            key: the account's key in base 64; None makes one.
            clock: seconds since 1970, for time stamps and time to live. What a token's time is compared with is the
                real time.
        """
        self.account = Account(settings, clock)
        self.key = key or make_key()
        self.port = port
        self._wanted_port = port
        self._tls = tls
        self._certificate: Certificate | None = None
        audiences = [f"https://{host}" for host in (HOST, "localhost")]
        self._gateway = Gateway(
            self.account, Authorizer(self.account.settings, self.key, audiences, time.time), lambda: self.endpoint
        )
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def endpoint(self) -> str:
        """Where clients reach it."""
        return f"{'https' if self._tls else 'http'}://{HOST}:{self.port}/"

    @property
    def certificate_pem(self) -> str:
        """The certificate, for clients that check it. Those of Azure do not on loopback.

        Raises:
            EmulatorError: it has none, since it does not run or speaks no TLS.
        """
        if self._certificate is None:
            raise EmulatorError("the Cosmos DB fake has a certificate only while it runs with TLS")
        return self._certificate.pem

    @property
    def faults(self) -> list[BaseException]:
        """What has gone wrong in the fake itself since it was made: a bug of ours, never the client's fault."""
        return list(self._gateway.faults)

    def token(self, principal_id: str, audience: str = f"https://{HOST}", lifetime: float = TOKEN_LIFETIME) -> str:
        """Return a token of a principal that the account takes for so many seconds."""
        return make_token(audience, principal_id, time.time() + lifetime)

    def throttle(self, times: int = 1, retry_after_ms: int = 20, operation: str | None = None) -> None:
        """Refuse the next so-many requests about items with 429; `operation` narrows it as in `fail`."""
        self.fail(too_many_requests(retry_after_ms), times, operation)

    def fail(self, error: ServiceError, times: int = 1, operation: str | None = None) -> None:
        """Refuse the next so-many requests about items with an error.

        Args:
            error: what they get.
            times: how many.
            operation: which: create, upsert, read, replace, patch, delete, query, batch or change-feed; None is any.
        """
        self._gateway.inject(InjectedFault(error, times, operation))

    def stop_failing(self) -> None:
        """Forget what `throttle` and `fail` still hold for requests to come."""
        self._gateway.reset()

    def start(self) -> None:
        """Start, and return once it answers.

        Raises:
            EmulatorError: the port is taken, or it runs already.
        """
        if self._server is not None:
            raise EmulatorError("the Cosmos DB fake runs already: stop it first")
        context = None
        if self._tls:
            self._certificate = make_certificate()
            context = self._certificate.server_context()
        try:
            self._server = _Server((HOST, self._wanted_port), self._gateway, context)
        except OSError as error:
            self._certificate = None
            raise EmulatorError(
                f"the Cosmos DB fake cannot listen on {HOST}:{self._wanted_port}: {error.strerror}; free the port"
            ) from error
        self.port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_SECONDS,), name="ringfence-cosmos", daemon=True
        )
        self._thread.start()

    def environment(self) -> dict[str, str]:
        """Return the endpoint and the account's key."""
        return {"RINGFENCE_COSMOS_ENDPOINT": self.endpoint, "RINGFENCE_COSMOS_KEY": self.key}

    def reset(self) -> None:
        """Forget all databases, and the faults that were to be injected."""
        self.account.reset()
        self._gateway.reset()

    def stop(self) -> None:
        """Stop. Databases are forgotten."""
        server, self._server = self._server, None
        thread, self._thread = self._thread, None
        if server is None or thread is None:
            return
        server.shutdown()
        server.end()
        thread.join(PATIENCE)
        self._certificate = None
        self.reset()


class _Server(ThreadingHTTPServer):
    """A thread for each connection, all of which end when it does."""

    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], gateway: Gateway, context: ssl.SSLContext | None) -> None:
        self.gateway = gateway
        self._context = context
        self._lock = threading.Lock()
        self._connections: dict[threading.Thread, socket.socket] = {}
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own."""
        connection: socket.socket = request
        if self._context is not None:
            # The handshake is for the thread: a client that is slow to shake hands holds up nobody else.
            connection = self._context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(
            target=self._serve, args=(connection, client_address), name="ringfence-cosmos-connection", daemon=True
        )
        with self._lock:
            self._connections[thread] = connection
        thread.start()

    def _serve(self, connection: socket.socket, address: Any) -> None:
        try:
            if isinstance(connection, ssl.SSLSocket):
                connection.settimeout(HANDSHAKE_SECONDS)
                connection.do_handshake()
                connection.settimeout(None)
            self.finish_request(connection, address)
        except OSError:
            LOG.debug("a client of the Cosmos DB fake has gone", exc_info=True)
        except Exception as error:
            self.gateway.faults.append(error)
            LOG.exception("the Cosmos DB fake has failed")
        finally:
            self.shutdown_request(connection)
            with self._lock:
                self._connections.pop(threading.current_thread(), None)

    def end(self) -> None:
        """Close the port and all connections."""
        self.server_close()
        with self._lock:
            open_ones = dict(self._connections)
        for connection in open_ones.values():
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it has closed by itself
        for thread in open_ones:
            thread.join(PATIENCE)


class _Handler(BaseHTTPRequestHandler):
    """From HTTP to the gateway and back."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # a response is one write
    server: _Server

    def handle_any(self) -> None:
        """Answer a request of any method."""
        length = self.headers.get("Content-Length") or "0"
        path = urlsplit(self.path).path
        request = Request(
            self.command,
            tuple(unquote(segment) for segment in path.split("/") if segment),
            {name.lower(): value for name, value in self.headers.items()},
            self.rfile.read(int(length) if length.isdecimal() else 0),
        )
        self._send(self.server.gateway.answer(request))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_any  # noqa: N815

    def _send(self, response: Response) -> None:
        data = response.encoded()
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if data:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        """Keep quiet: tests say themselves what they asked."""
