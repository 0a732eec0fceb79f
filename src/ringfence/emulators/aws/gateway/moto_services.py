"""What moto answers for, behind MiniStack's check of signatures and policies: SageMaker, auto scaling and X-Ray."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    create_backend_app,
)
from werkzeug.test import EnvironBuilder, run_wsgi_app

from . import hooks

__all__ = ["Moto"]

SERVICES = ("application-autoscaling", "sagemaker", "xray")
"""By the service in a signature's credential scope; `sagemaker` is also that of the runtime's API."""

SAGEMAKER_NAMES = {"ModelName": "model", "EndpointConfigName": "endpoint-config", "EndpointName": "endpoint"}
XRAY_ACTIONS = {
    "/TraceSegments": "PutTraceSegments",
    "/TelemetryRecords": "PutTelemetryRecords",
    "/TraceSummaries": "GetTraceSummaries",
    "/Traces": "BatchGetTraces",
}
INVOCATION_SECONDS = 60
"""How long SageMaker waits for a model's container."""


class Moto:
    """moto in this process. Accounts are those of the gateway."""

    def __init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._models: dict[tuple[str, str], str] = {}
        """Account and endpoint to the URL of the container that stands for its model."""

        self._isolated: dict[tuple[str, str, str], bool] = {}
        """Account, region and model to `EnableNetworkIsolation`, which moto drops."""

    async def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> hooks.Answer | None:
        """Answer a request for one of the services; None for any other."""
        service = _signed_for(headers)
        if service not in SERVICES:
            return None
        for action, resource, context in _asked(service, path, headers, body):
            refusal = hooks.denied(service, action, resource, headers, context)
            if refusal is not None:
                return refusal
        loop = asyncio.get_running_loop()
        account, region = hooks.current_account(), hooks.current_region()
        return await loop.run_in_executor(None, self._answer, method, path, headers, body, account, region)

    def set_model(self, account: str, endpoint: str, url: str) -> None:
        """Let an endpoint hand its requests on to `URL/invocations`, as SageMaker does to a model's container."""
        self._models[account, endpoint] = url.rstrip("/")

    def reset(self) -> None:
        """Forget everything."""
        self._models.clear()
        self._isolated.clear()
        self._forward("POST", "/moto-api/reset", {}, b"", "")

    def _answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes, account: str, region: str
    ) -> hooks.Answer:
        if path.startswith("/endpoints/") and path.endswith("/invocations"):
            return self._invoke(unquote(path.split("/")[2]), headers, body, account)
        action = headers.get("x-amz-target", ".").rpartition(".")[2]
        document = json.loads(body or b"{}") if action else {}
        if action == "RegisterScalableTarget" and document.get("ServiceNamespace") == "sagemaker":
            # moto takes any.
            parts = str(document.get("ResourceId")).split("/")
            if len(parts) != 4 or not self._endpoint_exists(parts[1], headers, account):
                message = f"No endpoint variant found for resource ID: {document.get('ResourceId')}"
                return _error(400, "ValidationException", message)
        answer = self._forward(method, path, headers, body, account)
        model = (account, region, str(document.get("ModelName")))
        if action == "CreateModel" and answer[0] == 200:
            self._isolated[model] = bool(document.get("EnableNetworkIsolation", False))
        elif action == "DescribeModel" and answer[0] == 200:
            described = json.loads(answer[2]) | {"EnableNetworkIsolation": self._isolated.get(model, False)}
            return answer[0], answer[1], json.dumps(described).encode()
        return answer

    def _invoke(self, endpoint: str, headers: dict[str, str], body: bytes, account: str) -> hooks.Answer:
        if not self._endpoint_exists(endpoint, headers, account):
            return _error(400, "ValidationError", f"Endpoint {endpoint} of account {account} not found.")
        url = self._models.get((account, endpoint))
        if url is None:
            return _model_error(500, "no server stands for the model of this endpoint: set one at the emulator")
        passed_on = {name: headers[name] for name in ("content-type", "accept") if name in headers}
        request = urllib.request.Request(f"{url}/invocations", data=body, headers=passed_on, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=INVOCATION_SECONDS) as response:
                kind = response.headers.get("Content-Type", "application/octet-stream")
                found = {"Content-Type": kind, "x-Amzn-Invoked-Production-Variant": "primary"}
                return 200, found, response.read()
        except urllib.error.HTTPError as error:
            return _model_error(error.code, error.read().decode(errors="replace"))
        except (OSError, TimeoutError) as error:
            return _model_error(500, str(error))

    def _endpoint_exists(self, endpoint: str, headers: Mapping[str, str], account: str) -> bool:
        target = {"x-amz-target": "SageMaker.DescribeEndpoint", "content-type": "application/x-amz-json-1.1"}
        signed = {"authorization": _for_sagemaker(headers["authorization"])}
        body = json.dumps({"EndpointName": endpoint}).encode()
        return self._forward("POST", "/", signed | target, body, account)[0] == 200

    def _forward(self, method: str, path: str, headers: Mapping[str, str], body: bytes, account: str) -> hooks.Answer:
        kept = {name: value for name, value in headers.items() if name not in ("content-length", "transfer-encoding")}
        if account:
            kept["x-moto-account-id"] = account
        builder = EnvironBuilder(
            path=path, method=method, data=body, headers=list(kept.items()), base_url="http://127.0.0.1/"
        )
        chunks, status, found = run_wsgi_app(self._app, builder.get_environ())
        data = b"".join(chunks)
        kept = {name: value for name, value in found if name.lower() != "content-length"}
        return int(status.split()[0]), kept, data


def _signed_for(headers: Mapping[str, str]) -> str:
    """Return the service that a request is signed for, or nothing."""
    scope = headers.get("authorization", "").partition("Credential=")[2].split(",")[0].split("/")
    return scope[3] if len(scope) == 5 else ""


def _for_sagemaker(authorization: str) -> str:
    return authorization.replace("/application-autoscaling/", "/sagemaker/", 1)


def _asked(service: str, path: str, headers: Mapping[str, str], body: bytes) -> list[tuple[str, str, dict[str, Any]]]:
    """Return the actions that a request needs, each with its resource and condition keys.

    Source: AWS's service authorization reference.
    """
    region, account = hooks.current_region(), hooks.current_account()
    if service == "xray":
        return [(f"xray:{XRAY_ACTIONS.get(path, path.strip('/'))}", "*", {})]
    if path.startswith("/endpoints/"):
        action = "InvokeEndpoint" + ("Async" if path.endswith("/async-invocations") else "")
        name = unquote(path.split("/")[2]).lower()
        return [(f"sagemaker:{action}", f"arn:aws:sagemaker:{region}:{account}:endpoint/{name}", {})]
    action = headers.get("x-amz-target", ".").rpartition(".")[2]
    if service == "application-autoscaling":
        resource = f"arn:aws:application-autoscaling:{region}:{account}:scalable-target/*"
        return [(f"application-autoscaling:{action}", resource, {})]
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        document = {}
    names = {} if action.startswith("List") else SAGEMAKER_NAMES
    resources = [
        f"arn:aws:sagemaker:{region}:{account}:{kind}/{str(document[name]).lower()}"
        for name, kind in names.items()
        if document.get(name)
    ] or [str(document.get("ResourceArn") or "*")]
    asked: list[tuple[str, str, dict[str, Any]]] = [(f"sagemaker:{action}", item, {}) for item in resources]
    if role := document.get("ExecutionRoleArn"):
        asked.append(("iam:PassRole", str(role), {"iam:PassedToService": "sagemaker.amazonaws.com"}))
    return asked


def _error(status: int, code: str, message: str, **more: Any) -> hooks.Answer:
    body = {"__type": code, "message": message, "Message": message, **more}
    headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-errortype": code}
    return status, headers, json.dumps(body).encode()


def _model_error(status: int, text: str) -> hooks.Answer:
    """Return that a model's container has failed: SageMaker runtime API reference, InvokeEndpoint, ModelError."""
    kind = "server" if status >= 500 else "client"
    message = f'Received {kind} error ({status}) from primary with message "{text}".'
    return _error(424, "ModelError", message, OriginalStatusCode=status, OriginalMessage=text)
