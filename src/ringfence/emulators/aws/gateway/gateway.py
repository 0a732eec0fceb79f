"""MiniStack with what it lacks, as one ASGI application."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from . import admission, hooks, role
from .executor import Executor, runs_here
from .moto_services import Moto
from .sqs_poller import Poller

__all__ = ["Gateway"]

RESET = "/_ministack/reset"
MODELS = "/_ringfence/models/"
"""PUT here, with account and endpoint, sets the URL of the server that stands for an endpoint's model."""

LOSSES = "/_ringfence/losses"
"""What Lambda could not do as the role of a function, as JSON."""

LOG_STREAM_ACTIONS = ("CreateLogStream", "DeleteLogStream", "GetLogEvents", "PutLogEvents")


class Gateway:
    """The whole emulator."""

    def __init__(self, endpoint: str, python: str) -> None:
        """Take the gateway's own URL, and the interpreter that functions run with."""
        hooks.check()
        self._clients = role.Clients(endpoint)
        self._moto = Moto()
        self._executor = Executor(self._clients, python, {"AWS_ENDPOINT_URL": endpoint})
        self._poller = Poller(self._clients)
        self._install()
        self._poller.start()

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] == "http" and scope["path"].startswith(MODELS):
            await self._set_model(scope, receive, send)
            return
        if scope["type"] == "http" and scope["path"] == LOSSES:
            await _send(send, 200, json.dumps(self._clients.losses).encode())
            return
        if scope["type"] == "http" and scope["path"] == RESET:
            await asyncio.get_running_loop().run_in_executor(None, self._reset)
        if scope["type"] == "http":
            # Loopback stands for TLS: policies that demand it (aws:SecureTransport) would refuse everything else.
            scope = {**scope, "headers": [*scope["headers"], (b"x-forwarded-proto", b"https")]}
        await hooks.asgi(scope, receive, send)

    def stop(self) -> None:
        """End all functions."""
        self._executor.stop()

    def _reset(self) -> None:
        self._executor.stop()
        self._moto.reset()
        self._clients.forget()

    async def _set_model(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        account, _, endpoint = scope["path"].removeprefix(MODELS).partition("/")
        self._moto.set_model(account, endpoint, json.loads(body)["url"])
        await _send(send, 204, b"")

    async def _before(self, method: str, path: str, headers: dict[str, str], body: bytes) -> hooks.Answer | None:
        return admission.pass_role(method, path, headers, body) or await self._moto.answer(method, path, headers, body)

    def _install(self) -> None:
        """Put the gateway's own parts in the place of MiniStack's."""
        hooks.before_dispatch(self._before)
        admission.install()
        functions = hooks.lambda_svc

        def warm(original: Any) -> Any:
            def run(record: dict[str, Any], event: Any, request_id: str) -> Any:
                if runs_here(record):
                    return self._executor.run(record, event, request_id)
                return original(record, event, request_id)

            return run

        def logs(original: Any) -> Any:
            def emit(record: dict[str, Any], *rest: Any, **more: Any) -> None:
                # The executor writes them itself, as the role of the function.
                if not runs_here(record):
                    original(record, *rest, **more)

            return emit

        def dead_letters(original: Any) -> Any:
            def route(target: str, name: str, event: Any, result: dict[str, Any]) -> None:
                record = hooks.function(name, None)
                config = record["config"] if record else {}
                if (config.get("DeadLetterConfig") or {}).get("TargetArn") == target:
                    role.send_dead_letter(self._clients, config, target, event, result)
                else:
                    original(target, name, event, result)

            return route

        hooks.replace(functions, "_execute_function_warm", warm)
        hooks.replace(functions, "_emit_lambda_logs", logs)
        hooks.replace(functions, "_route_async_failure", dead_letters)
        # The poller here does it as the role of the function.
        hooks.replace(functions, "_poll_sqs", lambda _: lambda: False)
        hooks.replace(hooks.iam_actions, "extract_iam_action", _without_batch)
        hooks.replace(hooks.iam_actions, "extract_resource_arn", _with_log_stream)
        hooks.replace(hooks.iam_actions, "request_tag_context", _with_namespace)


async def _send(send: Any, status: int, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})


def _without_batch(original: Any) -> Any:
    """Let SQS's batch operations need the permission of the single ones: they have none of their own."""

    def extract(service: str, *rest: Any) -> Any:
        action = original(service, *rest)
        return action.removesuffix("Batch") if service == "sqs" and action else action

    return extract


def _with_log_stream(original: Any) -> Any:
    """Let requests for a log stream be for the stream: policies name it `LOG_GROUP_ARN:log-stream:NAME`."""

    def extract(service: str, method: str, path: str, headers: dict[str, str], body: bytes, *rest: Any) -> str:
        arn = str(original(service, method, path, headers, body, *rest))
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        if service == "logs" and action in LOG_STREAM_ACTIONS and ":log-stream:" not in arn:
            stream = json.loads(body or b"{}").get("logStreamName", "")
            return f"{arn.removesuffix(':*')}:log-stream:{stream}"
        return arn

    return extract


def _with_namespace(original: Any) -> Any:
    """Let policies ask for `cloudwatch:namespace`."""

    def context(service: str, action: str, body: bytes, parameters: dict[str, Any]) -> dict[str, Any]:
        found = dict(original(service, action, body, parameters) or {})
        namespace = _namespace(body, parameters) if action == "cloudwatch:PutMetricData" else None
        return found | ({"cloudwatch:namespace": namespace} if namespace else {})

    return context


def _namespace(body: bytes, parameters: dict[str, Any]) -> str | None:
    """Return the namespace of metrics, from any of the service's three protocols."""
    if given := parameters.get("Namespace"):
        return str(given[0] if isinstance(given, list) else given)
    if body[:1] == b"{":
        return json.loads(body).get("Namespace")  # type: ignore[no-any-return]
    try:
        import cbor2

        return cbor2.loads(body).get("Namespace")  # type: ignore[no-any-return]
    except (ImportError, ValueError, AttributeError):
        return None
