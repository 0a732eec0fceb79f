"""A stand-in for what the autoscaler of container_scaling calls: one NGroup behind Azure Resource Manager.

It keeps the count and the tags, measures the load that a test asks for, and refuses whoever has no role. It replaces
what a PATCH names as a whole, which is the strictest reading of the service's own documentation.
"""

from __future__ import annotations

import copy
import json
import ssl
import threading
from base64 import urlsafe_b64decode
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from ringfence.emulators.certificates import write_certificate

Operation = Literal["read", "write", "metrics"]

MINUTE = timedelta(minutes=1)
METRICS_DELAY = 2 * MINUTE
"""How late a minute's measurement comes in."""

UPDATE_SECONDS = 90
"""How long the service is at work on a change of the count."""

ACTIONS: Mapping[Operation, str] = {
    "read": "Microsoft.ContainerInstance/ngroups/read",
    "write": "Microsoft.ContainerInstance/ngroups/write",
    "metrics": "Microsoft.Insights/metrics/read",
}


class Clock:
    """The time of the autoscaler and of the service; it stands still until it is moved. Stands for `datetime` too."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

    def now(self, zone: tzinfo) -> datetime:
        return self.time.astimezone(zone)


@dataclass
class Fault:
    """What happens to a request instead of an answer."""

    status: int | None = None
    """Status of the answer; None for none at all: the connection ends."""
    times: int = 1_000_000
    """Requests that it happens to."""
    retry_after: int | None = None
    applied: bool = False
    """Whether the request is carried out all the same."""
    hangs: bool = False
    """Whether the connection stays open, without an answer, for longer than the caller waits."""


class ResourceManager(ThreadingHTTPServer):
    """Answers for one NGroup. Use `running`."""

    daemon_threads = True
    block_on_close = False

    def __init__(
        self, ngroup_id: str, resource: Mapping[str, Any], clock: Clock, *, actions: Collection[str], principal: str
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.ngroup_id, self.clock, self.principal = ngroup_id, clock, principal
        self.actions = set(actions)
        """What the principal may do."""
        self.resource: dict[str, Any] = copy.deepcopy(dict(resource))
        self.demand = 0.0
        """Load of all groups together, in percent of one group's CPU."""
        self.measures: Literal["all", "empty", "nothing"] = "all"
        """Whether minutes have values, have none, or are not there."""
        self.faults: dict[Operation, Fault] = {}
        self.requests: list[tuple[Operation, int | None]] = []
        """What was asked for, and the status of the answer."""
        self.patches: list[dict[str, Any]] = []
        """What was carried out."""
        self.changes: list[tuple[datetime, int, int]] = []
        """When the count changed, from what to what."""
        self.problems: list[str] = []
        """What the stand-in did not expect. It stays empty."""
        self.both_have_read: threading.Barrier | None = None
        """Lets nobody read until all of its parties have."""
        self.released = threading.Event()
        self._busy_until = clock.time
        self._cpu: dict[datetime, float] = {}
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server_port}"

    @property
    def count(self) -> int:
        return int(self.resource["properties"]["elasticProfile"]["desiredCount"])

    def pass_a_minute(self) -> None:
        with self._lock:
            self._cpu[self.clock.time] = min(100.0, self.demand / self.count)
            self.clock.time += MINUTE

    def body(self) -> dict[str, Any]:
        with self._lock:
            found = copy.deepcopy(self.resource)
        busy = self.clock.time < self._busy_until
        found["properties"]["provisioningState"] = "Updating" if busy else "Succeeded"
        return found

    def apply(self, patch: dict[str, Any]) -> None:
        with self._lock:
            before = self.count
            self.patches.append(patch)
            if not patch.keys() <= {"tags", "properties"} or not patch.get("properties", {}).keys() <= {
                "elasticProfile"
            }:
                self.problems.append(f"the patch names {patch}")
            self.resource["tags"] = patch.get("tags", self.resource["tags"])
            self.resource["properties"] |= patch.get("properties", {})
            if self.count != before:
                self.changes.append((self.clock.time, before, self.count))
                self._busy_until = self.clock.time + timedelta(seconds=UPDATE_SECONDS)

    def metrics(self, query: Mapping[str, list[str]]) -> dict[str, Any]:
        since, until = (datetime.fromisoformat(text) for text in query["timespan"][0].split("/"))
        until = min(until, self.clock.time - METRICS_DELAY)
        with self._lock:
            points: list[dict[str, Any]] = [
                {"timeStamp": at.strftime("%Y-%m-%dT%H:%M:%SZ")} | ({"average": cpu} if self.measures == "all" else {})
                for at, cpu in self._cpu.items()
                if since <= at < until
            ]
        series = [] if self.measures == "nothing" else [{"metadatavalues": [], "data": points}]
        return {"value": [{"name": {"value": query["metricnames"][0]}, "timeseries": series}]}

    def fault(self, operation: Operation) -> Fault | None:
        with self._lock:
            fault = self.faults.get(operation)
            if fault is None or fault.times == 0:
                return None
            fault.times -= 1
            return fault

    def refusal(self, operation: Operation, authorization: str) -> int | None:
        """Return the status for whoever may not do this, or None."""
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer" or token.count(".") != 2:
            return 401
        payload = token.split(".")[1]
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        if claims["aud"] != self.url:
            return 401
        return None if claims["oid"] == self.principal and ACTIONS[operation] in self.actions else 403

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: callers that stop waiting end their connection, which is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    # Head and body in one packet: else each answer waits for an acknowledgement that the caller delays.
    wbufsize = -1
    server: ResourceManager

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == self.server.ngroup_id:
            self._serve("read", parse_qs(url.query), None)
        elif url.path == f"{self.server.ngroup_id}/providers/Microsoft.Insights/metrics":
            self._serve("metrics", parse_qs(url.query), None)
        else:
            self.server.problems.append(f"GET {self.path}")
            self._answer(404, {})

    def do_PATCH(self) -> None:
        url = urlsplit(self.path)
        patch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if url.path == self.server.ngroup_id:
            self._serve("write", parse_qs(url.query), patch)
        else:
            self.server.problems.append(f"PATCH {self.path}")
            self._answer(404, {})

    def _serve(self, operation: Operation, query: Mapping[str, list[str]], patch: dict[str, Any] | None) -> None:
        server = self.server
        if "api-version" not in query:
            server.problems.append(f"{operation} without api-version")
        status = server.refusal(operation, self.headers.get("Authorization", ""))
        fault = None if status else server.fault(operation)
        if status is None and patch is not None and (fault is None or fault.applied):
            server.apply(patch)
        if fault is not None:
            self._fail(operation, fault)
            return
        server.requests.append((operation, status or (200 if patch is None else 202)))
        if status is not None:
            self._answer(status, {"error": {"code": "AuthorizationFailed"}})
        elif operation == "metrics":
            self._answer(200, server.metrics(query))
        elif operation == "write":
            self._answer(202, server.body())
        else:
            content = server.body()
            if server.both_have_read is not None:
                server.both_have_read.wait(10)
            self._answer(200, content)

    def _fail(self, operation: Operation, fault: Fault) -> None:
        self.server.requests.append((operation, fault.status))
        if fault.status is not None:
            headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            self._answer(fault.status, {"error": {"code": "Injected"}}, headers)
            return
        if fault.hangs:
            self.server.released.wait(10)
        self.close_connection = True

    def _answer(self, status: int, content: Any, headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@contextmanager
def running(manager: ResourceManager, folder: Path) -> Iterator[Path]:
    """Answer over TLS on loopback, and give the certificate that callers must trust."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    write_certificate(certificate, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with manager:
        # The handshake is the handler's, or one slow caller would stop all.
        manager.socket = context.wrap_socket(manager.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=manager.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield certificate
        finally:
            manager.released.set()
            manager.shutdown()
            thread.join()
