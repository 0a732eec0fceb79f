"""One execution environment of a Lambda function: its process, and the Runtime API that it asks for work.

The process runs AWS's own runtime interface client, awslambdaric. The API is that of the Lambda developer guide,
"Using the Lambda runtime API for custom runtimes", version 2018-06-01.
"""

from __future__ import annotations

import fcntl
import json
import os
import queue
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Environment", "FunctionSettings", "Outcome"]

HOST = "127.0.0.1"
PREFIX = "/2018-06-01/runtime/"
INIT_SECONDS = 10.0
"""How long Lambda lets a function's initialisation take."""

POLL_SECONDS = 0.05
"""How often a process is looked at that may have ended."""


@dataclass(frozen=True)
class FunctionSettings:
    """What an execution environment is made from."""

    name: str
    arn: str
    version: str
    handler: str
    folder: str
    timeout: int
    """Seconds."""

    memory: int
    """MB. It is told to the function and not enforced."""

    variables: dict[str, str]
    """The environment of the process, but for what the Runtime API adds."""

    python: str
    log_group: str
    log_stream: str


@dataclass(frozen=True)
class Outcome:
    """How an invocation ended."""

    body: bytes
    failed: bool
    log: str
    milliseconds: float


class _Invocation:
    def __init__(self, request_id: str, payload: bytes, deadline: int, trace: str) -> None:
        self.request_id = request_id
        self.payload = payload
        self.deadline = deadline
        self.trace = trace
        self.answers: queue.Queue[tuple[bool, bytes]] = queue.Queue()


class Environment:
    """A process that handles one invocation at a time, and stays for the next."""

    def __init__(self, settings: FunctionSettings) -> None:
        self.settings = settings
        self.uses = 0
        self._work: queue.Queue[_Invocation | None] = queue.Queue()
        self._current: _Invocation | None = None
        self._ready = threading.Event()
        self._init_error: bytes | None = None
        self._lines: list[str] = []
        self._unended = b""
        self._reading = threading.Lock()
        self._server = ThreadingHTTPServer((HOST, 0), _handler_for(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        self._process = self._spawn()
        threading.Thread(target=self._read, daemon=True).start()

    def start(self) -> Outcome | None:
        """Wait until the function's module is imported; return what went wrong if it was not."""
        started = time.monotonic()
        while not self._ready.wait(POLL_SECONDS):
            if self._process.poll() is not None:
                return self._ended("init", started)
            if time.monotonic() - started > INIT_SECONDS:
                self.stop()
                return self._failure(
                    "Sandbox.Timedout", f"Init phase timed out after {INIT_SECONDS:.2f} seconds", started
                )
        if self._init_error is None:
            return None
        log = self._log(0)
        self.stop()
        return Outcome(self._init_error, True, log, _since(started))

    def invoke(self, request_id: str, payload: bytes, trace: str) -> Outcome:
        """Let the function handle an event. Afterwards the environment may be dead."""
        started, mark = time.monotonic(), len(self._lines)
        timeout = self.settings.timeout
        invocation = _Invocation(request_id, payload, int((time.time() + timeout) * 1000), trace)
        self._work.put(invocation)
        self.uses += 1
        while True:
            try:
                failed, body = invocation.answers.get(timeout=POLL_SECONDS)
            except queue.Empty:
                if self._process.poll() is not None:
                    return self._ended(request_id, started, mark)
                if time.monotonic() - started > timeout:
                    self.stop()
                    message = f"RequestId: {request_id} Error: Task timed out after {timeout:.2f} seconds"
                    return self._failure("Sandbox.Timedout", message, started, mark)
            else:
                return Outcome(body, failed, self._log(mark), _since(started))

    @property
    def alive(self) -> bool:
        """Whether it can take another invocation."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the process and what it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._work.put(None)
        self._server.shutdown()
        self._server.server_close()

    # What the process asks

    def next(self) -> _Invocation | None:
        """Wait for an event; None when there will be none."""
        self._ready.set()
        self._current = self._work.get()
        return self._current

    def answered(self, request_id: str, failed: bool, body: bytes) -> bool:
        """Take an answer, and return whether it belongs to the event in hand."""
        current = self._current
        if current is None or current.request_id != request_id:
            return False
        current.answers.put((failed, body))
        return True

    def init_failed(self, body: bytes) -> None:
        """Take that the module could not be imported, or has no such handler."""
        self._init_error = body
        self._ready.set()

    def _spawn(self) -> subprocess.Popen[bytes]:
        settings = self.settings
        # Nothing of this process's environment leaks into the function's.
        variables = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": settings.folder,
            "LANG": "C.UTF-8",
            "TZ": ":UTC",
            **settings.variables,
            "PYTHONPATH": os.pathsep.join(filter(None, [settings.folder, settings.variables.get("PYTHONPATH")])),
            "PYTHONUNBUFFERED": "1",
            "LAMBDA_TASK_ROOT": settings.folder,
            "_HANDLER": settings.handler,
            "AWS_LAMBDA_RUNTIME_API": f"{HOST}:{self._server.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": settings.name,
            "AWS_LAMBDA_FUNCTION_VERSION": settings.version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(settings.memory),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": settings.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": settings.log_stream,
        }
        return subprocess.Popen(
            [settings.python, "-m", "awslambdaric", settings.handler],
            cwd=settings.folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _read(self) -> None:
        """Keep what the process writes, for as long as it has its output open."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while True:
            select.select([descriptor], [], [])
            with self._reading:
                data = os.read(descriptor, 65536)
                *lines, self._unended = (self._unended + data).split(b"\n")
                self._lines += [line.decode(errors="replace") for line in lines]
            if not data:
                self._process.stdout.close()
                return

    def _log(self, mark: int) -> str:
        """Return what was written since a mark, once the pipe is empty."""
        stream = self._process.stdout
        assert stream is not None
        with suppress(ValueError, OSError):  # the pipe is closed, so all is read
            while struct.unpack("i", fcntl.ioctl(stream.fileno(), termios.FIONREAD, b"\0" * 4))[0]:
                time.sleep(0.001)
        with self._reading:
            if self._unended:
                self._lines.append(self._unended.decode(errors="replace"))
                self._unended = b""
            return "\n".join(self._lines[mark:])

    def _ended(self, request_id: str, started: float, mark: int = 0) -> Outcome:
        code = self._process.returncode
        how = f"signal: {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        message = f"RequestId: {request_id} Error: Runtime exited with error: {how}"
        self.stop()
        return self._failure("Runtime.ExitError", message, started, mark)

    def _failure(self, kind: str, message: str, started: float, mark: int = 0) -> Outcome:
        body = json.dumps({"errorType": kind, "errorMessage": message}).encode()
        return Outcome(body, True, "\n".join(filter(None, [self._log(mark), message])), _since(started))


def _since(started: float) -> float:
    return (time.monotonic() - started) * 1000


def _handler_for(environment: Environment) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            if self.path != f"{PREFIX}invocation/next":
                self._answer(404)
                return
            invocation = environment.next()
            if invocation is None:
                self._answer(410)
                return
            headers = {
                "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                "Lambda-Runtime-Deadline-Ms": str(invocation.deadline),
                "Lambda-Runtime-Invoked-Function-Arn": environment.settings.arn,
                "Lambda-Runtime-Trace-Id": invocation.trace,
            }
            self._answer(200, invocation.payload, headers)

        def do_POST(self) -> None:
            body = self._body()
            match self.path.removeprefix(PREFIX).split("/"):
                case ["init", "error"]:
                    environment.init_failed(body)
                    self._answer(202)
                case ["invocation", request_id, ("response" | "error") as kind]:
                    self._answer(202 if environment.answered(request_id, kind == "error", body) else 400)
                case _:
                    self._answer(404)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _answer(self, status: int, body: bytes = b"{}", headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
