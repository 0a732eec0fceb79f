"""The private parts of MiniStack that the gateway uses. Its version is pinned; `check` fails loudly if one is gone."""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import ministack.app as app
from ministack.core import (
    iam_actions,
    iam_evaluator,
    lambda_runtime,
    responses,
)
from ministack.services import iam, lambda_svc, sqs

__all__ = [
    "Answer",
    "account_and_region",
    "allowed",
    "asgi",
    "before_dispatch",
    "check",
    "current_account",
    "current_region",
    "denied",
    "event_source_mappings",
    "execute",
    "filter_records",
    "function",
    "iam_actions",
    "in_scope",
    "invalid_parameter",
    "lambda_svc",
    "queue_url",
    "replace",
    "role_credentials",
    "trust_policy",
    "visibility_timeout",
]

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers and body of a response."""

PARTS: dict[Any, dict[str, int]] = {
    app: {"app": 3, "_handle_post_body_shortcuts": 6, "_enforce_data_plane": 9},
    iam_actions: {"extract_resource_arn": 8, "request_tag_context": 4, "extract_iam_action": 6},
    iam_evaluator: {"enforce": 6},
    lambda_runtime: {"execution_credentials": 1},
    lambda_svc: {
        "_account_region_from_function_config": 1,
        "_apply_filter_criteria": 2,
        "_create_esm": 1,
        "_create_function": 1,
        "_emit_lambda_logs": 6,
        "_ensure_poller": 0,
        "_execute_function": 2,
        "_execute_function_warm": 3,
        "_get_func_record_for_qualifier": 2,
        "_invalid_parameter_value": 1,
        "_iter_all_esms": 0,
        "_poll_sqs": 0,
        "_resolve_name": 1,
        "_route_async_failure": 4,
        "_update_config": 2,
        "_xray_trace_id_for_invocation": 2,
        "reset": 0,
    },
    responses: {"get_account_id": 0, "get_region": 0},
    sqs: {"_queue_by_arn": 1, "_queue_url": 1},
}
"""Module to the functions that are used or replaced, with the number of their parameters."""


def check() -> None:
    """Do nothing if MiniStack has all the parts that the gateway needs.

    Raises:
        RuntimeError: it has not; the message names them.
    """
    wrong = [
        f"{module.__name__}.{name}"
        for module, names in PARTS.items()
        for name, count in names.items()
        if not callable(found := getattr(module, name, None)) or len(inspect.signature(found).parameters) != count
    ]
    if wrong:
        raise RuntimeError(f"this MiniStack is not the one that the gateway is written for: {', '.join(wrong)}")


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """MiniStack itself."""
    await app.app(scope, receive, send)


def replace(module: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Put `make(original)` in the place of one of the parts."""
    assert name in PARTS[module], name
    setattr(module, name, make(getattr(module, name)))


def before_dispatch(handle: Callable[[str, str, dict[str, str], bytes], Awaitable[Answer | None]]) -> None:
    """Ask `handle(method, path, headers, body)` first of every request; None lets MiniStack answer."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def asked(
            method: str, path: str, headers: dict[str, str], body: bytes, query: Any, request_id: str
        ) -> Any:
            answer = await handle(method, path, headers, body)
            return answer or await original(method, path, headers, body, query, request_id)

        return asked

    replace(app, "_handle_post_body_shortcuts", make)


def denied(
    service: str, action: str, resource: str, headers: Mapping[str, str], context: Mapping[str, Any] | None = None
) -> Answer | None:
    """Check the signature of the request in hand and whether its caller may do this; return the refusal if not."""
    refusal: Answer | None = app._enforce_data_plane(
        service, action, headers, {}, "", resource_arn=resource, service_context=dict(context or {})
    )
    return refusal


def allowed(credentials: Mapping[str, str], service: str, action: str, resource: str, region: str) -> bool:
    """Return whether a role may do this, by its policies alone: no request is made."""
    key = credentials["AWS_ACCESS_KEY_ID"]
    return iam_evaluator.enforce(key, action, service, region, resource_arn=resource) is None


def trust_policy(role_arn: str) -> str | None:
    """Return a role's trust policy, or None if there is no such role."""
    account, name = role_arn.split(":")[4], role_arn.rpartition("/")[2]
    role = iam._roles.get_scoped(account, None, name)
    return None if role is None else str(role["AssumeRolePolicyDocument"])


def current_account() -> str:
    """Return the account that the request or thread in hand is for."""
    return str(responses.get_account_id())


def current_region() -> str:
    """Return the region that the request or thread in hand is for."""
    return str(responses.get_region())


def account_and_region(config: Mapping[str, Any]) -> tuple[str, str]:
    """Return where a function is."""
    account, region = lambda_svc._account_region_from_function_config(config)
    return account, region


@contextmanager
def in_scope(account: str, region: str) -> Iterator[None]:
    """Let what happens inside be for an account and a region."""
    tokens: list[tuple[contextvars.ContextVar[str], contextvars.Token[str]]] = [
        (variable, variable.set(value))
        for variable, value in ((responses._request_account_id, account), (responses._request_region, region))
    ]
    try:
        yield
    finally:
        for variable, token in tokens:
            variable.reset(token)


def role_credentials(config: Mapping[str, Any]) -> dict[str, str]:
    """Return credentials of a function's execution role, as environment variables."""
    found: dict[str, str] = lambda_runtime.execution_credentials(config)
    return found


def event_source_mappings() -> list[tuple[str, str, dict[str, Any]]]:
    """Return all event source mappings, with account and region."""
    return list(lambda_svc._iter_all_esms())


def function(name: str, qualifier: str | None) -> dict[str, Any] | None:
    """Return a function of the account and region in hand, or None."""
    record, _ = lambda_svc._get_func_record_for_qualifier(name, qualifier)
    return record  # type: ignore[no-any-return]


def execute(record: dict[str, Any], event: Any) -> dict[str, Any]:
    """Invoke a function and wait; the result has `body`, and `error` or `throttle` if it was either."""
    result: dict[str, Any] = lambda_svc._execute_function(record, event)
    return result


def filter_records(records: list[dict[str, Any]], mapping: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the records that a mapping's filter criteria let pass."""
    kept: list[dict[str, Any]] = lambda_svc._apply_filter_criteria(records, mapping)
    return kept


def queue_url(name: str) -> str:
    """Return the URL of a queue of the account and region in hand."""
    return str(sqs._queue_url(name))


def visibility_timeout(arn: str) -> int:
    """Return the seconds for which a queue hides a message that is received, 0 if there is no such queue."""
    found = sqs._queue_by_arn(arn)
    return int(found["attributes"]["VisibilityTimeout"]) if found else 0


def invalid_parameter(message: str) -> Answer:
    """Return Lambda's InvalidParameterValueException."""
    answer: Answer = lambda_svc._invalid_parameter_value(message)
    return answer
