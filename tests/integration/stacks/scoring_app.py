"""The app of decoupled_lambda on the AWS emulator, as its tests see it: from outside, by the SDK."""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3  # type: ignore[import-untyped,import-not-found,unused-ignore]
from botocore.config import Config  # type: ignore[import-untyped,import-not-found,unused-ignore]

from ringfence.emulate import Emulation
from ringfence.emulators.aws import Aws
from tests.integration.processes import below

HIDDEN_SECONDS = 4
"""How long the queue hides a message that failed, where a test waits for its next delivery: the stack's is minutes.

Far longer than a batch takes on a busy machine: what is still at work when its time is over would be delivered again.
"""

LEFT = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")


class Model:
    """The container that stands for the model: it counts what it is asked, and fails as a test wants."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._lock = threading.Lock()
        self.reset()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def reset(self) -> None:
        self.calls: Counter[str] = Counter()
        """Features' `x` to how often the model was asked for it."""
        self.behave: Callable[[str, int], int] = lambda x, call: 200
        """Gives the status of an answer by `x` and by how often it was asked for it, this time counted."""

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                features = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                x = str(features["x"])
                with model._lock:
                    model.calls[x] += 1
                    call = model.calls[x]
                status = model.behave(x, call)
                body = json.dumps({"x": x, "call": call}).encode() if status == 200 else b"out of memory"
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    @contextmanager
    def running(self) -> Iterator[Model]:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()


class ScoringApp:
    """The deployed stack. Request ids that `ids` gives are of one test alone."""

    def __init__(self, emulation: Emulation, aws: Aws, account: str, model: Model) -> None:
        assert emulation.deployment is not None
        self.aws, self.account, self.model = aws, account, model
        self.deployment = emulation.deployment
        self._variables = emulation.environment
        self._session = boto3.session.Session()
        self.client = cache(self._client)
        outputs = self.deployment.outputs
        self.queue, self.dead_letters = str(outputs["queue_url"]), str(outputs["dead_letter_queue_url"])
        self.function, self.table = str(outputs["function_name"]), str(outputs["table_name"])
        self.endpoint = str(outputs["endpoint_name"])
        self.role = str(emulation.resource("iam/role:Role", "worker")["name"])
        self.log_group = str(emulation.resource("logGroup:LogGroup", "worker")["name"])
        (self.policy,) = [one for one in self.declared("iam/rolePolicy:RolePolicy") if one["role"] == self.role]
        (self.mapping,) = self.declared("lambda/eventSourceMapping:EventSourceMapping")
        aws.set_model(self.endpoint, model.url, account)
        self._tests = itertools.count(1)
        self.begin()

    def _client(self, service: str) -> Any:
        return self._session.client(
            service,
            endpoint_url=self._variables["AWS_ENDPOINT_URL"],
            aws_access_key_id=self._variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self._variables["AWS_SECRET_ACCESS_KEY"],
            region_name=self._variables["AWS_REGION"],
            config=Config(retries={"total_max_attempts": 1}, read_timeout=120, max_pool_connections=20),
        )

    def declared(self, token: str) -> list[Mapping[str, Any]]:
        """Return the inputs of all resources of a type, as evaluated."""
        return [item.inputs for item in self.deployment.resources if item.type.endswith(token)]

    @property
    def max_receive_count(self) -> int:
        found = [item for item in self.declared("sqs/queue:Queue") if "redrivePolicy" in item]
        return int(json.loads(found[0]["redrivePolicy"])["maxReceiveCount"])

    # --- between tests ---------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Take a new prefix of request ids, and look at nothing that was before."""
        self._prefix = f"t{next(self._tests)}-"
        self.model.reset()
        self.look_from_now()

    def look_from_now(self) -> None:
        """Let `losses` and `traces` be about what comes."""
        self._seen = len(self.aws.losses(self.account))
        self._traces = self.traces(since=0)

    def restore(self) -> None:
        """Set all to what the stack has declared, empty the queues, and end what runs still."""
        self.allow(self.statements)
        self.kill_functions()
        iam = self.client("iam")
        for name in iam.list_role_policies(RoleName=self.role)["PolicyNames"]:
            if name != self._policy_name:
                iam.delete_role_policy(RoleName=self.role, PolicyName=name)
        self.configure()
        self.client("lambda").put_function_event_invoke_config(FunctionName=self.function, MaximumRetryAttempts=2)
        (queue,) = [item for item in self.declared("sqs/queue:Queue") if "redrivePolicy" in item]
        self.hide_for(queue["visibilityTimeoutSeconds"])
        self.map(self.mapping["batchSize"], self.mapping["maximumBatchingWindowInSeconds"])
        for url in (self.queue, self.dead_letters):
            self.client("sqs").purge_queue(QueueUrl=url)

    def hide_for(self, seconds: int) -> None:
        attributes = {"VisibilityTimeout": str(int(seconds))}
        self.client("sqs").set_queue_attributes(QueueUrl=self.queue, Attributes=attributes)

    def map(self, batch_size: float, window: float) -> None:
        functions = self.client("lambda")
        (mapping,) = functions.list_event_source_mappings(FunctionName=self.function)["EventSourceMappings"]
        functions.update_event_source_mapping(
            UUID=mapping["UUID"], BatchSize=int(batch_size), MaximumBatchingWindowInSeconds=int(window)
        )

    def hurry(self, hidden: int = HIDDEN_SECONDS, batch_size: int | None = None) -> None:
        """Shorten the waits, which are minutes, and return once the function is warm and no longer wait is in use.

        A receive that waits already hides what it gets for as long as the queue said when it began, so it is given a
        message that nobody counts.
        """
        self.hide_for(hidden)
        self.map(batch_size or self.mapping["batchSize"], 0)
        name = f"warm-{self._prefix}"
        self.client("sqs").send_message(QueueUrl=self.queue, MessageBody=request(name))
        key = {"request_id": {"S": name}}
        table = self.client("dynamodb")
        until(lambda: "Item" in table.get_item(TableName=self.table, Key=key) and self.left() == 0)
        del self.model.calls[name]

    def configure(self, **variables: str) -> None:
        """Set variables of the function besides, or in place of, those that the stack declares."""
        functions = self.client("lambda")
        known = functions.get_function_configuration(FunctionName=self.function)["Environment"]["Variables"]
        (function,) = self.declared("lambda/function:Function")
        wanted = {**function["environment"]["variables"], **variables}
        if known != wanted:
            functions.update_function_configuration(FunctionName=self.function, Environment={"Variables": wanted})

    # --- the function's role ---------------------------------------------------------------------------------------

    @property
    def statements(self) -> list[dict[str, Any]]:
        """The statements of the role's policy, as the stack declares them."""
        found: list[dict[str, Any]] = json.loads(self.policy["policy"])["Statement"]
        return found

    @property
    def _policy_name(self) -> str:
        (name,) = [
            str(item.outputs["name"])
            for item in self.deployment.resources
            if item.type.endswith("iam/rolePolicy:RolePolicy") and item.inputs["role"] == self.role
        ]
        return name

    def allow(self, statements: Iterable[Mapping[str, Any]]) -> None:
        """Let the role do this and nothing else."""
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        self.client("iam").put_role_policy(RoleName=self.role, PolicyName=self._policy_name, PolicyDocument=document)

    # --- what the app is given, and what it makes of it -------------------------------------------------------------

    def ids(self, number: int) -> list[str]:
        return [f"{self._prefix}{index}" for index in range(number)]

    def send(self, *bodies: str) -> list[str]:
        """Send messages and return their ids. A body that is a request id stands for a request with it."""
        sqs = self.client("sqs")
        entries = [
            {"Id": str(index), "MessageBody": request(body) if body.startswith(self._prefix) else body}
            for index, body in enumerate(bodies)
        ]
        sent: list[str] = []
        for start in range(0, len(entries), 10):
            answer = sqs.send_message_batch(QueueUrl=self.queue, Entries=entries[start : start + 10])
            assert not answer.get("Failed")
            known = {item["Id"]: str(item["MessageId"]) for item in answer["Successful"]}
            sent += [known[entry["Id"]] for entry in entries[start : start + 10]]
        return sent

    def results(self) -> dict[str, Any]:
        """Return the stored items of this test, by request id."""
        pages = self.client("dynamodb").get_paginator("scan").paginate(TableName=self.table)
        items = [item for page in pages for item in page["Items"]]
        return {item["request_id"]["S"]: item for item in items if item["request_id"]["S"].startswith(self._prefix)}

    def predictions(self) -> dict[str, Any]:
        return {name: json.loads(item["prediction"]["S"]) for name, item in self.results().items()}

    def left(self) -> int:
        """Return how many messages the queue still has, hidden ones too."""
        found = self.client("sqs").get_queue_attributes(QueueUrl=self.queue, AttributeNames=LEFT)["Attributes"]
        return sum(int(found[name]) for name in LEFT)

    def take_dead(self) -> list[str]:
        """Take the dead letters that are there, and return their bodies."""
        sqs, bodies = self.client("sqs"), []
        while found := sqs.receive_message(QueueUrl=self.dead_letters, MaxNumberOfMessages=10).get("Messages"):
            bodies += [message["Body"] for message in found]
            for message in found:
                sqs.delete_message(QueueUrl=self.dead_letters, ReceiptHandle=message["ReceiptHandle"])
        return bodies

    def number_dead(self) -> int:
        found = self.client("sqs").get_queue_attributes(QueueUrl=self.dead_letters, AttributeNames=LEFT)
        return sum(int(found["Attributes"][name]) for name in LEFT)

    def log(self) -> list[dict[str, Any]]:
        """Return what the function itself has logged; what the runtime says of a process that ends is no JSON."""
        pages = self.client("logs").get_paginator("filter_log_events").paginate(logGroupName=self.log_group)
        lines = [event["message"] for page in pages for event in page["events"]]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def said(self, message: str) -> Counter[str]:
        """Return how often the log says something of each request of this test."""
        found = [line for line in self.log() if line.get("message") == message]
        return Counter(line["request_id"] for line in found if line["request_id"].startswith(self._prefix))

    def failures(self, message_id: str) -> list[dict[str, Any]]:
        """Return what the log says of each delivery of a message that was not a success, in their order."""
        messages = ("message failed", "message handed back")
        found = [line for line in self.log() if line.get("message_id") == message_id and line["message"] in messages]
        return sorted(found, key=lambda line: int(line["deliveries"]))

    def traces(self, since: int | None = None) -> int:
        """Return how many traces there are since the test began."""
        now = time.time()
        pages = self.client("xray").get_trace_summaries(StartTime=now - 3600, EndTime=now + 3600)
        return len(pages["TraceSummaries"]) - (self._traces if since is None else since)

    def losses(self) -> set[tuple[str, str]]:
        """Return what Lambda has lost since the test began: the call, and the error's code."""
        found = self.aws.losses(self.account)[self._seen :]
        return {(loss["operation"], loss["code"]) for loss in found}

    def mapping_problem(self) -> str:
        """Return what the event source mapping cannot do, empty when all is well."""
        functions = self.client("lambda")
        (mapping,) = functions.list_event_source_mappings(FunctionName=self.function)["EventSourceMappings"]
        last = str(mapping.get("LastProcessingResult", ""))
        return last if last.startswith("PROBLEM") else ""

    def kill_functions(self) -> None:
        """Kill the processes that the function runs in."""
        assert self.aws._child is not None
        for pid in below(self.aws._child.pid):
            os.kill(pid, signal.SIGKILL)


def request(request_id: str) -> str:
    """Return a message that asks for a prediction for `x`, which is the request's id."""
    return json.dumps({"request_id": request_id, "features": {"x": request_id}})


def until(found: Callable[[], Any], seconds: float = 30, state: Callable[[], Any] = lambda: "") -> Any:
    """Return what is found, once it is. `state` says how things are if it is not in time."""
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline, f"nothing was found in time {state()}"
        time.sleep(0.05)
    return result
