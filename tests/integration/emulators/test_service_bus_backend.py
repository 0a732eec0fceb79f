"""How the conformance suite reaches the official emulator's administration."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from azure.core.exceptions import HttpResponseError
from azure.servicebus.management import ServiceBusAdministrationClient

from tests.integration.emulators.service_bus_backend import PlainHttp


class Refuses(BaseHTTPRequestHandler):
    """A server without TLS, as the emulator's administration is."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(418)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Refuses) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_the_administration_is_asked_without_tls(port: int) -> None:
    connection = f"Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName=any;SharedAccessKey=key"
    with (
        ServiceBusAdministrationClient.from_connection_string(connection, transport=PlainHttp()) as client,
        pytest.raises(HttpResponseError) as refused,
    ):
        client.create_queue("jobs")

    assert refused.value.status_code == 418
