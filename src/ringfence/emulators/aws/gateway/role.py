"""What Lambda itself does as a function's execution role: logs, traces and dead letters.

Everything goes through the gateway with the role's own credentials, so a permission that is missing has the effect
that it has in the cloud.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from . import hooks

__all__ = ["Clients", "error_code", "send_dead_letter", "trace", "write_log"]

LOG = logging.getLogger("ringfence")
LONGEST_ERROR = 1000
"""Bytes of an error message that Lambda puts into a dead letter."""


class Clients:
    """SDK clients for the gateway itself, made once for each service, role and region."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.losses: list[dict[str, str]] = []
        """What Lambda could not do as the role of a function: nobody else would hear of it."""

        self._made: dict[tuple[str, str, str], Any] = {}
        self._lock = threading.Lock()

    def get(self, service: str, credentials: Mapping[str, str], region: str) -> Any:
        """Return a client that signs with these credentials."""
        key = (service, credentials["AWS_ACCESS_KEY_ID"], region)
        # Making a client is not safe for threads.
        with self._lock:
            if key not in self._made:
                session = boto3.session.Session(
                    aws_access_key_id=credentials["AWS_ACCESS_KEY_ID"],
                    aws_secret_access_key=credentials["AWS_SECRET_ACCESS_KEY"],
                    aws_session_token=credentials["AWS_SESSION_TOKEN"],
                    region_name=region,
                )
                config = Config(retries={"total_max_attempts": 1}, max_pool_connections=50)
                self._made[key] = session.client(service, endpoint_url=self.endpoint, config=config)
            return self._made[key]

    def forget(self) -> None:
        """Forget all clients and losses."""
        with self._lock:
            self._made.clear()
            self.losses.clear()

    def lost(self, what: str, config: Mapping[str, Any], error: ClientError) -> None:
        """Keep that something is lost."""
        arn = str(config["FunctionArn"])
        code = str(error.response["Error"]["Code"])
        self.losses.append({"function": arn, "operation": str(error.operation_name), "code": code})
        LOG.warning("%s of %s is lost: %s", what, arn, error)


def error_code(error: ClientError) -> str:
    """Return a service's error code."""
    return str(error.response["Error"]["Code"]).rpartition("#")[2]


def write_log(clients: Clients, config: Mapping[str, Any], group: str, stream: str, lines: Sequence[str]) -> None:
    """Write lines as the function's role may; without the permission they are lost, as in Lambda."""
    _, region = hooks.account_and_region(config)
    client = clients.get("logs", hooks.role_credentials(config), region)
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": line} for line in lines if line]
    if not events:
        return
    try:
        try:
            client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
        except client.exceptions.ResourceNotFoundException:
            _make_stream(client, group, stream)
            client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
    except ClientError as error:
        clients.lost("the log", config, error)


def _make_stream(client: Any, group: str, stream: str) -> None:
    """Make the stream of an execution environment, and its group if there is none."""
    # Another environment may be faster.
    with suppress(client.exceptions.ResourceAlreadyExistsException):
        try:
            client.create_log_stream(logGroupName=group, logStreamName=stream)
        except client.exceptions.ResourceNotFoundException:
            with suppress(client.exceptions.ResourceAlreadyExistsException):
                client.create_log_group(logGroupName=group)
            client.create_log_stream(logGroupName=group, logStreamName=stream)


def trace(clients: Clients, config: Mapping[str, Any], header: str, started: float, failed: bool) -> None:
    """Send an invocation's segment and the telemetry to X-Ray, if tracing is active; lost without the permission."""
    if (config.get("TracingConfig") or {}).get("Mode") != "Active" or not header:
        return
    _, region = hooks.account_and_region(config)
    client = clients.get("xray", hooks.role_credentials(config), region)
    fields = dict(part.split("=", 1) for part in header.split(";"))
    segment = {
        "trace_id": fields["Root"],
        "id": fields["Parent"],
        "name": config["FunctionName"],
        "origin": "AWS::Lambda::Function",
        "resource_arn": config["FunctionArn"],
        "start_time": started,
        "end_time": time.time(),
        "fault": failed,
    }
    telemetry = {
        "Timestamp": time.time(),
        "SegmentsReceivedCount": 1,
        "SegmentsSentCount": 1,
        "SegmentsSpilloverCount": 0,
        "SegmentsRejectedCount": 0,
    }
    try:
        client.put_trace_segments(TraceSegmentDocuments=[json.dumps(segment)])
        client.put_telemetry_records(TelemetryRecords=[telemetry])
    except ClientError as error:
        clients.lost("a trace", config, error)


def send_dead_letter(
    clients: Clients, config: Mapping[str, Any], target: str, event: Any, result: Mapping[str, Any]
) -> None:
    """Send an event that an asynchronous invocation has failed on to the function's dead-letter target.

    The body is the event and the error is in attributes: Lambda developer guide, "Adding a dead-letter queue".
    """
    account, region = hooks.account_and_region(config)
    body = result.get("body")
    message = str(body.get("errorMessage", "")) if isinstance(body, dict) else ""
    attributes = {
        "RequestID": {"DataType": "String", "StringValue": result.get("request_id") or str(uuid.uuid4())},
        "ErrorCode": {"DataType": "Number", "StringValue": "200"},
        "ErrorMessage": {"DataType": "String", "StringValue": message[:LONGEST_ERROR] or "unknown"},
    }
    credentials, payload = hooks.role_credentials(config), json.dumps(event)
    try:
        if ":sqs:" in target:
            with hooks.in_scope(account, region):
                url = hooks.queue_url(target.rpartition(":")[2])
            client = clients.get("sqs", credentials, region)
            client.send_message(QueueUrl=url, MessageBody=payload, MessageAttributes=attributes)
        else:
            client = clients.get("sns", credentials, region)
            client.publish(TopicArn=target, Message=payload, MessageAttributes=attributes)
    except ClientError as error:
        clients.lost("a dead letter", config, error)
