"""The AWS emulator, on whichever back end there is, by boto3; and what is ringfence's own about it."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from ringfence.emulators.aws import Aws
from ringfence.emulators.interface import EmulatorError
from tests.integration.availability import start
from tests.integration.processes import below

REGION = "us-east-1"
SESSION = boto3.session.Session()
"""One for all, since each reads the services' descriptions anew. It has no credentials of its own."""

PERMISSIONS = {
    "sqs:ReceiveMessage": "queue",
    "sqs:DeleteMessage": "queue",
    "sqs:GetQueueAttributes": "queue",
    "sqs:SendMessage": "dead",
    "dynamodb:PutItem": "table",
    "logs:CreateLogStream": "log",
    "logs:PutLogEvents": "log",
    "xray:PutTraceSegments": "*",
    "xray:PutTelemetryRecords": "*",
}
"""What the role of the function below needs, each on one resource."""

FUNCTION = """\
import json, os, time
import boto3

DYNAMODB = boto3.client("dynamodb")

def handle(event, context):
    failed = []
    print("messages:", len(event.get("Records", [])))
    for record in event.get("Records", []):
        body = json.loads(record["body"])
        if body.get("kill"):
            os.kill(os.getpid(), 9)
        if body.get("bad"):
            failed.append({"itemIdentifier": record["messageId"]})
            continue
        time.sleep(body.get("sleep", 0))
        DYNAMODB.put_item(TableName="results", Item={"id": {"S": body["id"]}})
    if event.get("raise"):
        raise ValueError(event["raise"])
    return {"batchItemFailures": failed}
"""


class Cloud:
    """One account, by the SDK."""

    def __init__(self, variables: dict[str, str], account: str) -> None:
        self.variables = variables
        self.account = account
        self.client = cache(self._client)

    def _client(self, service: str) -> Any:
        return client(self.variables, service)

    def arn(self, service: str, rest: str) -> str:
        return f"arn:aws:{service}:{REGION}:{self.account}:{rest}"


def client(variables: dict[str, str], service: str, **options: str) -> Any:
    key = f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}"
    given = {
        "endpoint_url": variables.get(key) or variables["AWS_ENDPOINT_URL"],
        "aws_access_key_id": variables["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": variables["AWS_SECRET_ACCESS_KEY"],
        "region_name": REGION,
        **options,
    }
    return SESSION.client(service, config=Config(retries={"total_max_attempts": 1}), **given)


@pytest.fixture
def cloud(aws_emulator: Any, account: str) -> Cloud:
    return Cloud(aws_emulator.environment(account), account)


def until(found: Callable[[], Any], seconds: float = 15) -> Any:
    """Return what is found, once it is."""
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline, "nothing was found in time"
        time.sleep(0.05)
    return result


def trust(service: str) -> str:
    return policy([{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}])


def policy(statements: Sequence[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


class Worker:
    """A queue with a dead-letter queue, a table, a role, and a function between them."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.sqs, self.table, self.iam = (cloud.client(name) for name in ("sqs", "dynamodb", "iam"))
        self.functions, self.logs = cloud.client("lambda"), cloud.client("logs")
        self.arns = {
            "queue": cloud.arn("sqs", "work"),
            "dead": cloud.arn("sqs", "dead"),
            "table": cloud.arn("dynamodb", "table/results"),
            "log": cloud.arn("logs", "log-group:/work:*"),
            "*": "*",
        }
        self.dead_url = self.sqs.create_queue(QueueName="dead")["QueueUrl"]
        redrive = json.dumps({"deadLetterTargetArn": self.arns["dead"], "maxReceiveCount": 3})
        # Long enough for a busy machine; tests that wait for it set it shorter.
        attributes = {"VisibilityTimeout": "20", "RedrivePolicy": redrive}
        self.url = self.sqs.create_queue(QueueName="work", Attributes=attributes)["QueueUrl"]
        self.table.create_table(
            TableName="results",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        self.logs.create_log_group(logGroupName="/work")
        created = self.iam.create_role(RoleName="worker", AssumeRolePolicyDocument=trust("lambda.amazonaws.com"))
        self.role = created["Role"]["Arn"]
        self.allow(PERMISSIONS)

    def allow(self, actions: Any) -> None:
        """Let the role do these things and no others."""
        statements = [
            {"Effect": "Allow", "Action": action, "Resource": self.arns[PERMISSIONS[action]]} for action in actions
        ]
        self.iam.put_role_policy(RoleName="worker", PolicyName="own", PolicyDocument=policy(statements))

    def deploy(self, *, code: str = FUNCTION, mapped: bool = True, **options: Any) -> None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("app.py", code)
        settings = {
            "Timeout": 10,
            "TracingConfig": {"Mode": "Active"},
            "DeadLetterConfig": {"TargetArn": self.arns["dead"]},
            "LoggingConfig": {"LogGroup": "/work"},
        }
        self.functions.create_function(
            FunctionName="worker",
            Runtime="python3.13",
            Handler="app.handle",
            Role=self.role,
            Code={"ZipFile": packed.getvalue()},
            **(settings | options),
        )
        if mapped:
            self.map()

    def map(self, **options: Any) -> str:
        created = self.functions.create_event_source_mapping(
            FunctionName="worker",
            EventSourceArn=self.arns["queue"],
            FunctionResponseTypes=["ReportBatchItemFailures"],
            **options,
        )
        return str(created["UUID"])

    def stop(self) -> None:
        """End what works by itself: the polls of a queue that nobody needs would go on until the emulator stops."""
        for mapping in self.functions.list_event_source_mappings()["EventSourceMappings"]:
            self.functions.delete_event_source_mapping(UUID=mapping["UUID"])
        for function in self.functions.list_functions()["Functions"]:
            self.functions.delete_function(FunctionName=function["FunctionName"])

    def hide_for(self, seconds: int) -> None:
        """Set how long the queue hides a message that is received."""
        self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"VisibilityTimeout": str(seconds)})

    def warm_up(self) -> None:
        """Let the function start, so that its messages need not wait for that."""
        self.functions.invoke(FunctionName="worker")

    def send(self, **body: Any) -> None:
        self.sqs.send_message(QueueUrl=self.url, MessageBody=json.dumps(body))

    def results(self) -> list[str]:
        return sorted(item["id"]["S"] for item in self.table.scan(TableName="results")["Items"])

    def left(self) -> int:
        """Return how many messages the queue still has, hidden ones too."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def dead(self) -> list[Any]:
        found = self.sqs.receive_message(
            QueueUrl=self.dead_url, AttributeNames=["All"], MessageAttributeNames=["All"], VisibilityTimeout=30
        )
        messages: list[Any] = found.get("Messages", [])
        return messages

    def log(self) -> list[str]:
        found = self.logs.filter_log_events(logGroupName="/work")["events"]
        return [event["message"].rstrip() for event in found]


@pytest.fixture
def worker(cloud: Cloud) -> Iterator[Worker]:
    worker = Worker(cloud)
    yield worker
    worker.stop()


# --- the mapping from the queue to the function ----------------------------------------------------------------------


def test_messages_are_handled_once_and_deleted(worker: Worker) -> None:
    worker.deploy()
    for number in range(25):
        worker.send(id=f"{number:02}")

    until(lambda: worker.left() == 0)

    assert worker.results() == [f"{number:02}" for number in range(25)]
    handled = [int(line.split()[1]) for line in worker.log() if line.startswith("messages:")]
    assert sum(handled) == 25
    assert worker.dead() == []


def test_a_part_of_a_batch_that_fails_goes_to_the_dead_letters_after_three_receives(worker: Worker) -> None:
    worker.deploy(mapped=False, Timeout=2)
    worker.hide_for(2)
    worker.warm_up()
    worker.send(id="good-1")
    worker.send(id="bad", bad=True)
    worker.send(id="good-2")
    worker.map()

    (dead,) = until(worker.dead)

    assert json.loads(dead["Body"]) == {"id": "bad", "bad": True}
    # Three by the mapping, and the one just now.
    assert dead["Attributes"]["ApproximateReceiveCount"] == "4"
    assert worker.results() == ["good-1", "good-2"]
    assert worker.left() == 0


@pytest.mark.parametrize("fault", [{"kill": True}, {"sleep": 30}], ids=["killed", "too slow"])
def test_a_function_that_dies_is_given_the_message_three_times(fault: dict[str, Any], worker: Worker) -> None:
    worker.hide_for(2)
    worker.deploy(Timeout=2)
    worker.send(id="poison", **fault)

    (dead,) = until(worker.dead, 30)

    assert json.loads(dead["Body"])["id"] == "poison"
    # The third run may end a little after its message is visible again.
    until(lambda: [line for line in worker.log() if line.startswith("messages:")] == ["messages: 1"] * 3)
    assert worker.results() == []


def test_a_busy_function_gets_the_message_later(worker: Worker) -> None:
    worker.deploy()
    worker.functions.put_function_concurrency(FunctionName="worker", ReservedConcurrentExecutions=1)
    for number in range(3):
        worker.send(id=str(number), sleep=0.5)
        time.sleep(0.15)

    until(lambda: worker.left() == 0)

    assert worker.results() == ["0", "1", "2"]
    assert sum(line.startswith("messages:") for line in worker.log()) <= 3


def test_a_batch_is_collected_for_the_length_of_the_window(worker: Worker) -> None:
    worker.deploy(mapped=False)
    worker.map(BatchSize=20, MaximumBatchingWindowInSeconds=3)
    for number in range(15):
        worker.send(id=f"{number:02}")

    until(lambda: worker.left() == 0)

    assert [line for line in worker.log() if line.startswith("messages:")] == ["messages: 15"]


def test_no_more_comes_once_the_mapping_is_gone(worker: Worker) -> None:
    worker.deploy(mapped=False)
    name = worker.map()
    worker.functions.delete_event_source_mapping(UUID=name)
    time.sleep(1.3)
    worker.send(id="late")
    time.sleep(0.7)

    assert worker.left() == 1
    assert worker.results() == []


# --- the function's role ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("sqs:SendMessage", "The provided execution role does not have permissions to call SendMessage on SQS"),
        (
            "xray:PutTraceSegments",
            "The provided execution role does not have permissions to call PutTraceSegments on XRAY",
        ),
        ("sqs:ReceiveMessage", "The function execution role does not have permissions to call ReceiveMessage on SQS"),
        ("sqs:DeleteMessage", "The function execution role does not have permissions to call DeleteMessage on SQS"),
        (
            "sqs:GetQueueAttributes",
            "The function execution role does not have permissions to call GetQueueAttributes on SQS",
        ),
    ],
)
def test_lambda_refuses_a_role_that_lacks_what_it_needs(missing: str, message: str, worker: Worker) -> None:
    worker.allow(PERMISSIONS.keys() - {missing})

    with pytest.raises(ClientError) as caught:
        worker.deploy()

    assert caught.value.response["Error"] == {"Code": "InvalidParameterValueException", "Message": message}


def done(worker: Worker) -> bool:
    return worker.results() == ["one"] and worker.left() == 0


def traces(worker: Worker) -> list[Any]:
    now = datetime.now(UTC)
    found = worker.cloud.client("xray").get_trace_summaries(
        StartTime=now - timedelta(hours=1), EndTime=now + timedelta(hours=1)
    )
    summaries: list[Any] = found["TraceSummaries"]
    return summaries


def cannot_poll(worker: Worker) -> bool:
    (mapping,) = worker.functions.list_event_source_mappings()["EventSourceMappings"]
    return str(mapping["LastProcessingResult"]).startswith("PROBLEM: Lambda failed to poll the queue: AccessDenied")


def test_a_role_with_all_of_them_works(worker: Worker) -> None:
    worker.deploy()
    worker.send(id="one")

    until(lambda: done(worker))

    assert "messages: 1" in worker.log()
    assert len(traces(worker)) == 1


BROKEN: dict[str, Callable[[Worker], bool]] = {
    "sqs:ReceiveMessage": cannot_poll,
    "sqs:GetQueueAttributes": cannot_poll,
    # It is done again and again.
    "sqs:DeleteMessage": lambda worker: worker.log().count("messages: 1") == 2 and worker.results() == ["one"],
    "dynamodb:PutItem": lambda worker: any("AccessDenied" in line for line in worker.log()) and not worker.results(),
    "logs:CreateLogStream": lambda worker: done(worker) and not worker.log(),
    "logs:PutLogEvents": lambda worker: done(worker) and not worker.log(),
    "xray:PutTraceSegments": lambda worker: done(worker) and not traces(worker),
}
"""A permission to what is wrong without it."""


@pytest.mark.parametrize("missing", BROKEN)
def test_each_permission_that_is_taken_away_breaks_something(missing: str, worker: Worker) -> None:
    worker.hide_for(2)
    worker.deploy(mapped=False, Timeout=2)
    name = worker.map(Enabled=False)
    worker.allow(PERMISSIONS.keys() - {missing})
    worker.functions.update_event_source_mapping(UUID=name, Enabled=True)
    worker.send(id="one")

    until(lambda: BROKEN[missing](worker))


def test_what_is_lost_without_a_permission_is_known(own: Aws) -> None:
    worker = Worker(Cloud(own.environment("000000000042"), "000000000042"))
    worker.deploy(mapped=False)
    worker.allow(PERMISSIONS.keys() - {"xray:PutTelemetryRecords", "logs:PutLogEvents"})

    worker.functions.invoke(FunctionName="worker")

    found = own.losses("000000000042")
    assert {(loss["operation"], loss["code"]) for loss in found} == {
        ("PutTelemetryRecords", "AccessDeniedException"),
        ("PutLogEvents", "AccessDeniedException"),
    }
    assert own.losses("000000000043") == []


def test_a_role_that_lambda_may_not_assume(worker: Worker) -> None:
    worker.iam.update_assume_role_policy(RoleName="worker", PolicyDocument=trust("ec2.amazonaws.com"))

    with pytest.raises(ClientError, match="The role defined for the function cannot be assumed by Lambda"):
        worker.deploy()


def test_a_queue_that_hides_messages_too_shortly(worker: Worker) -> None:
    with pytest.raises(ClientError, match="Queue visibility timeout: 20 seconds is less than Function timeout: 21"):
        worker.deploy(Timeout=21)


def test_whoever_makes_a_function_must_be_allowed_to_pass_its_role(worker: Worker) -> None:
    worker.iam.create_user(UserName="deployer")
    worker.iam.put_user_policy(
        UserName="deployer",
        PolicyName="lambda",
        PolicyDocument=policy([{"Effect": "Allow", "Action": "lambda:*", "Resource": "*"}]),
    )
    key = worker.iam.create_access_key(UserName="deployer")["AccessKey"]
    worker.functions = client(
        worker.cloud.variables,
        "lambda",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )

    with pytest.raises(ClientError, match="iam:PassRole") as caught:
        worker.deploy()

    assert caught.value.response["Error"]["Code"] == "AccessDeniedException"


# --- invocations ------------------------------------------------------------------------------------------------------


def test_an_error_has_the_form_of_the_service(worker: Worker) -> None:
    worker.deploy(mapped=False)

    found = worker.functions.invoke(FunctionName="worker", Payload=json.dumps({"raise": "no"}))

    assert found["FunctionError"] == "Unhandled"
    error = json.loads(found["Payload"].read())
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "no")
    assert "raise ValueError" in error["stackTrace"][-1]


def test_an_event_that_fails_for_good_is_a_dead_letter(worker: Worker) -> None:
    worker.deploy(mapped=False)
    worker.functions.put_function_event_invoke_config(FunctionName="worker", MaximumRetryAttempts=1)

    worker.functions.invoke(FunctionName="worker", InvocationType="Event", Payload=json.dumps({"raise": "no"}))

    (dead,) = until(worker.dead)
    assert json.loads(dead["Body"]) == {"raise": "no"}
    attributes = {name: value["StringValue"] for name, value in dead["MessageAttributes"].items()}
    assert attributes["ErrorMessage"] == "no"
    assert attributes["ErrorCode"] == "200"
    assert [line for line in worker.log() if line.startswith("messages:")] == ["messages: 0"] * 2


def test_logs_as_json(worker: Worker) -> None:
    code = "import logging\ndef handle(event, context):\n    logging.getLogger().info('hello')\n"
    logging = {"LogGroup": "/work", "LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "WARN"}
    worker.deploy(mapped=False, code=code, LoggingConfig=logging)

    worker.functions.invoke(FunctionName="worker")

    (line,) = worker.log()
    assert json.loads(line)["message"] == "hello"


# --- SageMaker and application auto scaling ---------------------------------------------------------------------------


class Model(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = 200 if self.path == "/invocations" and b"bad" not in body else 500
        answer = b'{"score": 1}' if status == 200 else b"out of memory"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def model() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Model) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def endpoint(cloud: Cloud) -> str:
    sagemaker = cloud.client("sagemaker")
    role = cloud.client("iam").create_role(RoleName="model", AssumeRolePolicyDocument=trust("sagemaker.amazonaws.com"))
    image = {"Image": f"{cloud.account}.dkr.ecr.{REGION}.amazonaws.com/model:1"}
    sagemaker.create_model(
        ModelName="model",
        ExecutionRoleArn=role["Role"]["Arn"],
        PrimaryContainer=image,
        EnableNetworkIsolation=True,
    )
    variant = {
        "VariantName": "primary",
        "ModelName": "model",
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    sagemaker.create_endpoint_config(EndpointConfigName="config", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="scores", EndpointConfigName="config")
    return "scores"


def ask(runtime: Any, endpoint: str, body: bytes = b"{}") -> Any:
    found = runtime.invoke_endpoint(EndpointName=endpoint, ContentType="application/json", Body=body)
    return json.loads(found["Body"].read())


def test_an_endpoint_hands_on_to_its_model(aws_emulator: Any, cloud: Cloud, endpoint: str, model: str) -> None:
    if aws_emulator.backend != "process":
        pytest.skip("a container cannot reach a server on this machine's loopback")
    runtime = cloud.client("sagemaker-runtime")
    with pytest.raises(ClientError, match="no server stands for the model"):
        ask(runtime, endpoint)

    aws_emulator.set_model(endpoint, model, cloud.account)

    assert ask(runtime, endpoint) == {"score": 1}
    with pytest.raises(ClientError) as caught:
        ask(runtime, endpoint, b"bad")
    assert caught.value.response["Error"]["Code"] == "ModelError"
    assert caught.value.response["OriginalStatusCode"] == 500
    assert caught.value.response["OriginalMessage"] == "out of memory"


def test_an_endpoint_that_does_not_exist(cloud: Cloud) -> None:
    with pytest.raises(ClientError, match=f"Endpoint none of account {cloud.account} not found"):
        ask(cloud.client("sagemaker-runtime"), "none")


def test_network_isolation_is_kept(cloud: Cloud, endpoint: str) -> None:
    assert cloud.client("sagemaker").describe_model(ModelName="model")["EnableNetworkIsolation"] is True


def test_only_variants_that_exist_are_scaled(cloud: Cloud, endpoint: str) -> None:
    scaling = cloud.client("application-autoscaling")
    target = {
        "ServiceNamespace": "sagemaker",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        "MinCapacity": 1,
        "MaxCapacity": 3,
    }

    scaling.register_scalable_target(ResourceId=f"endpoint/{endpoint}/variant/primary", **target)
    with pytest.raises(ClientError) as caught:
        scaling.register_scalable_target(ResourceId="endpoint/none/variant/primary", **target)

    assert caught.value.response["Error"]["Code"] == "ValidationException"
    (found,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert found["MaxCapacity"] == 3


@pytest.mark.parametrize(
    ("resource", "allowed"), [("endpoint/scores", True), ("endpoint/other", False), ("model/scores", False)]
)
def test_policies_count_for_sagemaker_too(resource: str, allowed: bool, cloud: Cloud, endpoint: str) -> None:
    iam = cloud.client("iam")
    iam.create_user(UserName="caller")
    statement = {"Effect": "Allow", "Action": "sagemaker:InvokeEndpoint", "Resource": cloud.arn("sagemaker", resource)}
    iam.put_user_policy(UserName="caller", PolicyName="own", PolicyDocument=policy([statement]))
    key = iam.create_access_key(UserName="caller")["AccessKey"]
    runtime = client(
        cloud.variables,
        "sagemaker-runtime",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )

    with pytest.raises(ClientError) as caught:
        ask(runtime, endpoint)

    # There is no model, so what is allowed gets as far as that.
    assert caught.value.response["Error"]["Code"] == ("ModelError" if allowed else "AccessDeniedException")


# --- the emulator -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["sqs", "sagemaker"])
@pytest.mark.parametrize(
    ("wrong", "codes"),
    [
        # JSON services have names of their own for the same.
        ("secret", {"SignatureDoesNotMatch", "InvalidSignatureException"}),
        ("key", {"InvalidClientTokenId", "UnrecognizedClientException"}),
    ],
)
def test_a_wrong_key_is_refused(wrong: str, codes: set[str], service: str, cloud: Cloud) -> None:
    iam = cloud.client("iam")
    iam.create_user(UserName="caller")
    everything = policy([{"Effect": "Allow", "Action": "*", "Resource": "*"}])
    iam.put_user_policy(UserName="caller", PolicyName="all", PolicyDocument=everything)
    key = iam.create_access_key(UserName="caller")["AccessKey"]
    good = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    bad = good | (
        {"aws_secret_access_key": "x"} if wrong == "secret" else {"aws_access_key_id": "AKIAUNKNOWNUNKNOWN00"}
    )
    operation = "list_queues" if service == "sqs" else "list_models"

    getattr(client(cloud.variables, service, **good), operation)()
    refused = getattr(client(cloud.variables, service, **bad), operation)
    with pytest.raises(ClientError) as caught:
        refused()

    assert caught.value.response["Error"]["Code"] in codes


def test_accounts_share_nothing(aws_emulator: Any, cloud: Cloud, endpoint: str) -> None:
    other = Cloud(aws_emulator.environment("999999999999"), "999999999999")
    cloud.client("sqs").create_queue(QueueName="mine")

    assert not other.client("sqs").list_queues().get("QueueUrls")
    assert other.client("sagemaker").list_models()["Models"] == []


@pytest.fixture(scope="module")
def own() -> Iterator[Aws]:
    """Give a process of this module alone, which may be reset."""
    emulator = Aws()
    start(emulator)
    yield emulator
    emulator.stop()


def test_reset_forgets_everything(own: Aws) -> None:
    cloud = Cloud(own.environment(), "000000000000")
    worker = Worker(cloud)
    worker.deploy()
    before = own.environment()
    cloud.client("sagemaker").create_model(ModelName="model", ExecutionRoleArn=worker.role)

    own.reset()

    assert own.environment() == before
    assert not cloud.client("sqs").list_queues().get("QueueUrls")
    assert cloud.client("lambda").list_functions()["Functions"] == []
    assert cloud.client("sagemaker").list_models()["Models"] == []
    again = Worker(cloud)
    again.deploy()
    again.send(id="after")
    until(lambda: again.results() == ["after"])


def test_nothing_is_left_after_stop() -> None:
    emulator = Aws()
    start(emulator)
    worker = Worker(Cloud(emulator.environment(), "000000000000"))
    worker.deploy(mapped=False)
    worker.functions.invoke(FunctionName="worker")
    assert emulator._child is not None
    pid, folder, port = emulator._child.pid, emulator._child.folder, emulator.port
    processes = below(pid)
    assert len(processes) == 1

    emulator.stop()

    assert not folder.exists()
    assert not any(Path(f"/proc/{one}").exists() for one in [pid, *processes])
    with closing(socket.socket()) as one:
        assert one.connect_ex(("127.0.0.1", port)) != 0
    with pytest.raises(EmulatorError, match="the AWS emulator does not run: start it first"):
        emulator.environment()


def test_a_port_that_is_taken(own: Aws) -> None:
    with pytest.raises(EmulatorError, match=f"cannot listen on 127.0.0.1:{own.port}: Address already in use"):
        Aws(port=own.port).start()


def test_one_that_is_killed_says_so_and_takes_its_functions_along() -> None:
    emulator = Aws()
    start(emulator)
    worker = Worker(Cloud(emulator.environment(), "000000000000"))
    worker.deploy(mapped=False)
    worker.functions.invoke(FunctionName="worker")
    assert emulator._child is not None
    (function,) = below(emulator._child.pid)

    os.kill(emulator._child.pid, signal.SIGKILL)

    until(lambda: not Path(f"/proc/{function}/cmdline").exists() or not Path(f"/proc/{function}/cmdline").read_text())
    with pytest.raises(EmulatorError, match="the AWS emulator was killed by SIGKILL"):
        emulator.reset()
    emulator.stop()


def test_accounts_have_twelve_digits(own: Aws) -> None:
    with pytest.raises(ValueError, match="'me' is not an AWS account: 12 digits"):
        own.environment("me")
