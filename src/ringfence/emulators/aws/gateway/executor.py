"""Python functions, each in processes of its own with the real runtime interface client."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tempfile
import threading
import time
import uuid
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import hooks
from .role import Clients, trace, write_log
from .runtime_api import Environment, FunctionSettings, Outcome

__all__ = ["Executor", "runs_here"]

DEFAULT_TIMEOUT = 3
DEFAULT_MEMORY = 128
QUIET_LEVELS = ("WARN", "ERROR", "FATAL")
"""System log levels at which Lambda does not log that an invocation starts and ends."""


def runs_here(record: Mapping[str, Any]) -> bool:
    """Return whether this executor runs a function: Python code in a zip file, without layers."""
    config = record.get("config") or record
    runtime = str(config.get("Runtime") or "")
    return runtime.startswith("python") and bool(record.get("code_zip")) and not config.get("Layers")


class Executor:
    """Keeps execution environments and hands each one invocation at a time."""

    def __init__(self, clients: Clients, python: str, endpoints: Mapping[str, str]) -> None:
        """Take what is the same for all functions.

        Args:
            clients: how the gateway is reached.
            python: the interpreter that functions run with. It must have awslambdaric.
            endpoints: variables by which a function's SDK finds the gateway.
        """
        self._clients = clients
        self._python = python
        self._endpoints = dict(endpoints)
        self._idle: dict[str, list[Environment]] = {}
        self._all: set[Environment] = set()
        self._folders: dict[str, Path] = {}
        self._lock = threading.Lock()

    def run(self, record: Mapping[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        """Invoke a function and wait; the result is in MiniStack's form."""
        config = record.get("config") or record
        started, header = time.time(), hooks.lambda_svc._xray_trace_id_for_invocation(config) or ""
        settings = self._settings(config, record["code_zip"])
        environment, failure = self._take(settings)
        outcome = failure or environment.invoke(request_id, json.dumps(event).encode(), header)
        self._give_back(environment)
        lines = _log_lines(config, request_id, outcome)
        write_log(self._clients, config, settings.log_group, environment.settings.log_stream, lines)
        trace(self._clients, config, header, started, outcome.failed)
        try:
            body = json.loads(outcome.body)
        except ValueError:
            body = outcome.body.decode(errors="replace")
        return {"body": body, "log": outcome.log, "request_id": request_id} | (
            {"error": True} if outcome.failed else {}
        )

    def stop(self) -> None:
        """End all environments and forget the code."""
        with self._lock:
            environments, self._all, self._idle = self._all, set(), {}
            folders, self._folders = self._folders, {}
        for environment in environments:
            environment.stop()
        for folder in folders.values():
            shutil.rmtree(folder, ignore_errors=True)

    def _settings(self, config: Mapping[str, Any], code: bytes) -> FunctionSettings:
        region = str(config["FunctionArn"]).split(":")[3]
        logging, version = config.get("LoggingConfig") or {}, config.get("Version") or "$LATEST"
        variables = {
            **self._endpoints,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{config['Runtime']}",
            **hooks.role_credentials(config),
            **{key: str(value) for key, value in ((config.get("Environment") or {}).get("Variables") or {}).items()},
        }
        if logging.get("LogFormat") == "JSON":
            variables["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
            variables["AWS_LAMBDA_LOG_LEVEL"] = logging.get("ApplicationLogLevel") or "INFO"
        return FunctionSettings(
            name=config["FunctionName"],
            arn=config["FunctionArn"],
            version=version,
            handler=config.get("Handler") or "",
            folder=str(self._folder(code)),
            timeout=int(config.get("Timeout") or DEFAULT_TIMEOUT),
            memory=int(config.get("MemorySize") or DEFAULT_MEMORY),
            variables=variables,
            python=self._python,
            log_group=logging.get("LogGroup") or f"/aws/lambda/{config['FunctionName']}",
            log_stream=f"{time.strftime('%Y/%m/%d', time.gmtime())}/[{version}]{uuid.uuid4().hex}",
        )

    def _take(self, settings: FunctionSettings) -> tuple[Environment, Outcome | None]:
        """Return an idle environment of just these settings, or a new one and why it could not start."""
        key, stale = _key(settings), []
        with self._lock:
            for other, environments in self._idle.items():
                if other != key and environments and environments[0].settings.arn == settings.arn:
                    stale += environments
                    environments.clear()
            idle = self._idle.get(key) or []
            found = idle.pop() if idle else None
            self._all.difference_update(stale)
        for environment in stale:
            environment.stop()
        if found is not None and found.alive:
            return found, None
        environment = Environment(settings)
        with self._lock:
            self._all.add(environment)
        return environment, environment.start()

    def _give_back(self, environment: Environment) -> None:
        with self._lock:
            if environment in self._all and environment.alive:
                self._idle.setdefault(_key(environment.settings), []).append(environment)
                return
            # It was ended by a reset, or has ended itself.
            self._all.discard(environment)
        environment.stop()

    def _folder(self, code: bytes) -> Path:
        digest = hashlib.sha256(code).hexdigest()
        with self._lock:
            if digest not in self._folders:
                folder = Path(tempfile.mkdtemp(prefix="function-"))
                with zipfile.ZipFile(io.BytesIO(code)) as archive:
                    archive.extractall(folder)
                self._folders[digest] = folder
            return self._folders[digest]


def _key(settings: FunctionSettings) -> str:
    """Return what must be the same for an environment to be used again: all but the log stream, which is its own."""
    fields = {name: value for name, value in vars(settings).items() if name != "log_stream"}
    return json.dumps(fields, sort_keys=True)


def _log_lines(config: Mapping[str, Any], request_id: str, outcome: Outcome) -> list[str]:
    """Return what Lambda writes about an invocation, around what the function has written."""
    logging = config.get("LoggingConfig") or {}
    written = outcome.log.splitlines()
    milliseconds = f"{outcome.milliseconds:.2f}"
    if logging.get("LogFormat") == "JSON":
        if logging.get("SystemLogLevel") in QUIET_LEVELS:
            return written
        status = "failure" if outcome.failed else "success"
        metrics = {"durationMs": float(milliseconds), "memorySizeMB": int(config.get("MemorySize") or DEFAULT_MEMORY)}
        started = {"type": "platform.start", "record": {"requestId": request_id}}
        report = {"type": "platform.report", "record": {"requestId": request_id, "status": status, "metrics": metrics}}
        return [json.dumps(started), *written, json.dumps(report)]
    return [
        f"START RequestId: {request_id} Version: {config.get('Version') or '$LATEST'}",
        *written,
        f"END RequestId: {request_id}",
        f"REPORT RequestId: {request_id}\tDuration: {milliseconds} ms"
        f"\tMemory Size: {config.get('MemorySize') or DEFAULT_MEMORY} MB",
    ]
