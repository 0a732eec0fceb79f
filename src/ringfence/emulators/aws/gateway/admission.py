"""What Lambda refuses when a function or an event source mapping is made, and MiniStack does not.

The messages are the service's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from . import hooks

__all__ = ["install", "pass_role"]

FUNCTIONS = "/2015-03-31/functions"
NETWORK_ACTIONS = ("CreateNetworkInterface", "DescribeNetworkInterfaces", "DeleteNetworkInterface")


def pass_role(method: str, path: str, headers: Mapping[str, str], body: bytes) -> hooks.Answer | None:
    """Refuse a request that gives a function a role which its caller may not pass."""
    path = path.rstrip("/")
    creates = method == "POST" and path == FUNCTIONS
    if not creates and not (method == "PUT" and path.endswith("/configuration")):
        return None
    try:
        role = json.loads(body).get("Role")
    except (ValueError, AttributeError):
        return None  # MiniStack says what is wrong with it
    if not role:
        return None
    context = {"iam:PassedToService": "lambda.amazonaws.com"}
    return hooks.denied("lambda", "iam:PassRole", str(role), headers, context)


def install() -> None:
    """Let MiniStack check roles and queues as Lambda does."""

    def checked(original: Any) -> Any:
        def create(data: dict[str, Any]) -> Any:
            return _refusal(data, str(data.get("FunctionName"))) or original(data)

        return create

    def checked_update(original: Any) -> Any:
        def update(name: str, data: dict[str, Any]) -> Any:
            record = hooks.function(name, None)
            if record is None:
                return original(name, data)
            return _refusal({"Role": record["config"]["Role"]} | data, name) or original(name, data)

        return update

    def checked_mapping(original: Any) -> Any:
        def create(data: dict[str, Any]) -> Any:
            return _mapping_refusal(data) or original(data)

        return create

    hooks.replace(hooks.lambda_svc, "_create_function", checked)
    hooks.replace(hooks.lambda_svc, "_update_config", checked_update)
    hooks.replace(hooks.lambda_svc, "_create_esm", checked_mapping)


def _refusal(data: Mapping[str, Any], name: str) -> hooks.Answer | None:
    role = str(data.get("Role") or "")
    if role.count(":") != 5:
        return None  # MiniStack says what is wrong with it
    trust = hooks.trust_policy(role)
    if trust is None:
        return None
    if not _trusts_lambda(trust):
        return hooks.invalid_parameter("The role defined for the function cannot be assumed by Lambda.")
    for service, action, resource in _needed(data):
        if not _role_may(role, name, service, action, resource):
            return _lacks("provided", action, service)
    return None


def _trusts_lambda(policy: str) -> bool:
    """Return whether a statement lets Lambda assume the role. Conditions are taken to be met."""
    statements = json.loads(policy).get("Statement", [])
    for statement in [statements] if isinstance(statements, dict) else statements:
        principal = statement.get("Principal", {})
        services = principal.get("Service", []) if isinstance(principal, dict) else ["lambda.amazonaws.com"]
        actions = statement.get("Action", [])
        if (
            statement.get("Effect") == "Allow"
            and "lambda.amazonaws.com" in ([services] if isinstance(services, str) else services)
            and {"sts:AssumeRole", "sts:*", "*"} & set([actions] if isinstance(actions, str) else actions)
        ):
            return True
    return False


def _needed(data: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield what a role must be allowed for a function with these settings: service, action and resource."""
    target = str((data.get("DeadLetterConfig") or {}).get("TargetArn") or "")
    if ":sqs:" in target:
        yield "sqs", "SendMessage", target
    elif ":sns:" in target:
        yield "sns", "Publish", target
    if (data.get("TracingConfig") or {}).get("Mode") == "Active":
        yield "xray", "PutTraceSegments", "*"
    if (data.get("VpcConfig") or {}).get("SubnetIds"):
        interfaces = f"arn:aws:ec2:{hooks.current_region()}:{hooks.current_account()}:network-interface/*"
        for action in NETWORK_ACTIONS:
            yield "ec2", action, "*" if action.startswith("Describe") else interfaces


def _mapping_refusal(data: Mapping[str, Any]) -> hooks.Answer | None:
    source = str(data.get("EventSourceArn") or "")
    reference = str(data.get("FunctionName") or "")
    record = hooks.function(hooks.lambda_svc._resolve_name(reference), None)
    if record is None or ":sqs:" not in source:
        return None  # MiniStack says what is wrong with it
    config = record["config"]
    for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
        if not _role_may(config["Role"], config["FunctionName"], "sqs", action, source):
            return _lacks("function", action, "sqs")
    visibility, timeout = hooks.visibility_timeout(source), int(config.get("Timeout") or 0)
    if 0 < visibility < timeout:
        return hooks.invalid_parameter(
            f"Queue visibility timeout: {visibility} seconds is less than Function timeout: {timeout} seconds"
        )
    return None


def _role_may(role: str, name: str, service: str, action: str, resource: str) -> bool:
    region, account = hooks.current_region(), hooks.current_account()
    arn = f"arn:aws:lambda:{region}:{account}:function:{name}"
    credentials = hooks.role_credentials({"Role": role, "FunctionName": name, "FunctionArn": arn})
    return hooks.allowed(credentials, service, f"{service}:{action}", resource, region)


def _lacks(whose: str, action: str, service: str) -> hooks.Answer:
    label = {"xray": "XRAY"}.get(service, service.upper())
    return hooks.invalid_parameter(f"The {whose} execution role does not have permissions to call {action} on {label}")
