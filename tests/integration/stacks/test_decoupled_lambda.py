"""The function of decoupled_lambda over the stack's own queue, table, endpoint and role, with IAM enforced.

What runs is the evaluated stack, environment `dev`: its properties, its policies and the code of its `app` folder. Two
waits are shortened where a test is about the next delivery of a message: how long the queue hides it, and the batching
window. Of the roles, the function's alone is proven: nobody works as the model's role on the emulator.
"""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pytest

from ringfence.emulate import Emulation
from ringfence.emulators.aws import Aws
from ringfence.providers.aws import ACCOUNT
from ringfence.providers.emulated.aws import AwsService
from tests.integration.availability import BACK_ENDS
from tests.integration.stacks.deploying import deployed
from tests.integration.stacks.scoring_app import Model, ScoringApp, request, until

DAY = 24 * 60 * 60
"""Seconds."""


@pytest.fixture(scope="module")
def deployment() -> Iterator[tuple[Emulation, ScoringApp]]:
    """Deploy the stack on an emulator of this module's own."""
    aws = Aws()
    with Model().running() as model, deployed("decoupled_lambda", [AwsService(lambda: aws)]) as emulation:
        yield emulation, ScoringApp(emulation, aws, ACCOUNT, model)


@pytest.fixture
def app(
    deployment: tuple[Emulation, ScoringApp], record_property: Callable[[str, object], None]
) -> Iterator[ScoringApp]:
    """Return the stack as it was deployed, with request ids of the test's own."""
    emulation, app = deployment
    record_property(BACK_ENDS, ", ".join(emulation.backends))
    app.begin()
    yield app
    app.restore()


def done(app: ScoringApp, number: int) -> bool:
    return len(app.results()) == number and app.left() == 0


# --- the documented path -------------------------------------------------------------------------------------------


def test_requests_are_scored_by_the_model_and_kept(app: ScoringApp) -> None:
    ids = app.ids(23)
    app.send(*ids)

    until(lambda: done(app, 23))

    assert app.predictions() == {name: {"x": name, "call": 1} for name in ids}
    assert app.model.calls == Counter(ids)
    assert app.said("request scored") == Counter(ids)
    assert app.number_dead() == 0
    assert app.losses() == set()
    until(lambda: app.traces() >= 5)  # of batches of at most five
    for item in app.results().values():
        assert item.keys() == {"request_id", "prediction", "expires_at"}
        assert 30 * DAY - 60 < int(item["expires_at"]["N"]) - time.time() <= 30 * DAY


# --- faults --------------------------------------------------------------------------------------------------------


def test_a_duplicate_is_not_scored_again(app: ScoringApp) -> None:
    ids = app.ids(4)
    app.send(*ids)
    until(lambda: done(app, 4))

    app.send(*ids, *ids)
    until(lambda: app.said("request has a result already").total() == 8 and app.left() == 0)

    assert app.model.calls == Counter(ids)
    assert app.predictions() == {name: {"x": name, "call": 1} for name in ids}


def test_of_two_runs_at_the_same_time_the_first_result_stays(app: ScoringApp) -> None:
    ids = app.ids(6)
    # Both runs have looked the request up, and neither has kept a result, once the model is asked for the second time.
    both = {name: threading.Barrier(2) for name in ids}

    def behave(x: str, call: int) -> int:
        with suppress(threading.BrokenBarrierError):
            both[x].wait(5)
        return 200

    app.hurry(60, batch_size=1)
    app.model.behave = behave
    app.send(*(name for name in ids for _ in range(2)))
    until(lambda: done(app, 6))
    until(lambda: app.said("another run was first") == Counter(ids))

    assert app.model.calls == Counter([*ids, *ids])
    assert app.said("request scored") == Counter(ids)
    kept = app.predictions()
    app.send(*ids)
    until(lambda: app.said("request has a result already") == Counter(ids) and app.left() == 0)
    assert app.predictions() == kept


def test_what_fails_of_a_batch_comes_again_and_nothing_else(app: ScoringApp) -> None:
    ids = app.ids(5)
    app.model.behave = lambda x, call: 500 if x == ids[2] and call == 1 else 200
    app.hurry()
    sent = app.send(*ids)

    until(lambda: done(app, 5))

    assert app.model.calls == Counter([*ids, ids[2]])
    (failure,) = app.failures(sent[2])
    assert "ModelError" in json.dumps(failure)
    assert app.said("request has a result already").total() == 0
    assert app.predictions()[ids[2]] == {"x": ids[2], "call": 2}


def test_a_model_that_does_not_answer_in_time_is_asked_again(app: ScoringApp) -> None:
    ids = app.ids(3)

    def behave(x: str, call: int) -> int:
        if x == ids[0] and call == 1:
            time.sleep(3)
        return 200

    app.model.behave = behave
    app.configure(INFERENCE_TIMEOUT_SECONDS="1")
    app.hurry()
    sent = app.send(*ids)

    until(lambda: done(app, 3))

    assert app.model.calls == Counter([*ids, ids[0]])
    (failure,) = app.failures(sent[0])
    assert "ReadTimeoutError" in json.dumps(failure)
    # The answer to the first call came when nobody waited for it any more.
    assert app.predictions()[ids[0]] == {"x": ids[0], "call": 2}


def test_a_function_that_is_killed_loses_nothing(app: ScoringApp) -> None:
    ids = app.ids(3)

    def behave(x: str, call: int) -> int:
        if x == ids[1] and call == 1:
            app.kill_functions()
        return 200

    app.model.behave = behave
    app.hurry()
    app.send(*ids)

    until(lambda: done(app, 3))

    # The first was done and came again with its batch; the third had not been begun.
    assert app.model.calls == Counter([*ids, ids[1]])
    assert app.said("request has a result already") == Counter([ids[0]])
    assert app.predictions()[ids[0]] == {"x": ids[0], "call": 1}


def test_an_expired_result_is_replaced(app: ScoringApp) -> None:
    expired, fresh = app.ids(2)
    for name, seconds in ((expired, -5), (fresh, 600)):
        item = {
            "request_id": {"S": name},
            "prediction": {"S": '"old"'},
            "expires_at": {"N": str(int(time.time()) + seconds)},
        }
        app.client("dynamodb").put_item(TableName=app.table, Item=item)

    app.send(expired, fresh)
    until(lambda: app.said("request scored").total() == 1 and app.left() == 0)

    assert app.predictions() == {expired: {"x": expired, "call": 1}, fresh: "old"}
    assert app.model.calls == Counter([expired])


def test_poison_is_set_aside_after_all_its_deliveries_and_all_else_is_done_once(app: ScoringApp) -> None:
    """Count every message: duplicates, some that fail once, some that fail until the model is mended, and garbage."""
    names = app.ids(24)
    good, hopeless = names[:22], names[22:]
    copies = good[::3]
    flaky = set(good[::4])
    garbage = ["not JSON", '{"request_id": "a b", "features": {"x": 1}}', '{"request_id": "n", "features": {"x": NaN}}']
    app.model.behave = lambda x, call: 503 if x in hopeless or (x in flaky and call == 1) else 200
    app.hurry(6)  # longer than a second instance of the function takes to start on a busy machine
    sent = app.send(*good, *hopeless, *garbage, *copies)
    poison = sent[22:27]

    until(
        lambda: app.number_dead() == 5 and app.left() == 0,
        120,
        lambda: (app.number_dead(), app.left(), {message: len(app.failures(message)) for message in sent}),
    )

    assert app.max_receive_count == 5
    for message in poison:
        assert [line["deliveries"] for line in app.failures(message)] == ["1", "2", "3", "4", "5"]
    assert {name: app.model.calls[name] for name in hopeless} == dict.fromkeys(hopeless, 5)
    assert app.said("request scored") == Counter(good)
    # Each message of a good request ends just once.
    again = app.said("request has a result already") + app.said("another run was first")
    assert again == Counter(copies)
    assert set(app.predictions()) == set(good)
    dead = app.take_dead()
    assert sorted(dead) == sorted([*garbage, *map(request, hopeless)])

    # The model is mended, and what failed by it is moved back.
    app.model.behave = lambda x, call: 200
    app.send(*hopeless)
    until(lambda: done(app, 24))
    assert app.said("request scored") == Counter(names)


# --- least privilege -----------------------------------------------------------------------------------------------

Permission = dict[str, Any]
"""A statement of one action on one resource."""

BREAKS = {
    "sqs:DeleteMessage": "delivered again after it was done",
    "sqs:GetQueueAttributes": "PROBLEM: Lambda failed to poll the queue: AccessDenied",
    "sqs:ReceiveMessage": "PROBLEM: Lambda failed to poll the queue: AccessDenied",
    "sqs:SendMessage": "lost: SendMessage: AccessDenied",
    "sagemaker:InvokeEndpoint": "is not authorized to perform: sagemaker:InvokeEndpoint",
    "dynamodb:GetItem": "is not authorized to perform: dynamodb:GetItem",
    "dynamodb:PutItem": "is not authorized to perform: dynamodb:PutItem",
    "logs:CreateLogStream": "lost: CreateLogStream: AccessDenied",
    "logs:PutLogEvents": "lost: PutLogEvents: AccessDenied",
    "xray:PutTelemetryRecords": "lost: PutTelemetryRecords: AccessDenied",
    "xray:PutTraceSegments": "lost: PutTraceSegments: AccessDenied",
}
"""Each action that the role is allowed, in the policy's order, to what breaks without it."""


def permissions(statements: Sequence[Mapping[str, Any]]) -> list[Permission]:
    """Return statements taken apart, so that one permission can be taken away."""
    return [
        {**statement, "Action": [action], "Resource": [resource]}
        for statement in statements
        for action in statement["Action"]
        for resource in statement["Resource"]
    ]


def try_out(app: ScoringApp, allowed: Sequence[Permission]) -> str:
    """Let the app do all that it does with these permissions, and return what breaks first; empty if all works.

    It does all with the whole policy first, so that nothing else can be broken. Then a new instance of the function
    handles a message, and an asynchronous call that fails.
    """
    before, after = app.ids(2)
    app.client("lambda").put_function_event_invoke_config(FunctionName=app.function, MaximumRetryAttempts=0)
    app.hurry()
    app.send(before)
    until(lambda: done(app, 1) and not app.mapping_problem())
    app.configure(INSTANCE=after)
    app.allow(allowed)
    app.look_from_now()

    (message,) = app.send(after)
    app.client("lambda").invoke(FunctionName=app.function, InvocationType="Event", Payload=b"{}")

    def works() -> bool:
        return (
            app.results().keys() == {before, after}
            and app.left() == 0
            and app.said("request scored") == Counter([before, after])
            and app.number_dead() == 1
            and app.traces() == 2
        )

    def broken() -> str:
        for operation, code in app.losses():
            return f"lost: {operation}: {code}"
        for failure in app.failures(message):
            return f"failed: {failure.get('errorMessage', failure)}"
        if app.said("request has a result already")[after]:
            return "delivered again after it was done"
        return app.mapping_problem()

    found = until(lambda: broken() or works())
    if found is True:
        # A receive that waited already, and what comes after the run, are known by now.
        time.sleep(1)
    return broken()


def test_all_permissions_are_tried_and_none_has_a_condition(app: ScoringApp) -> None:
    """A condition might be one that the emulator does not evaluate, and then the proof below would be none."""
    iam = app.client("iam")
    assert [statement["Action"][0] for statement in permissions(app.statements)] == list(BREAKS)
    assert {statement["Effect"] for statement in app.statements} == {"Allow"}
    assert all(statement.keys() == {"Effect", "Action", "Resource"} for statement in app.statements)
    assert iam.list_attached_role_policies(RoleName=app.role)["AttachedPolicies"] == []
    (name,) = iam.list_role_policies(RoleName=app.role)["PolicyNames"]
    assert iam.get_role_policy(RoleName=app.role, PolicyName=name)["PolicyDocument"]["Statement"] == app.statements
    assert "PermissionsBoundary" not in iam.get_role(RoleName=app.role)["Role"]


def test_the_app_works_with_its_own_permissions_and_one_too_many_would_be_found(app: ScoringApp) -> None:
    """Nothing breaks when a permission that is not needed is missing, and so `try_out` says."""
    assert try_out(app, permissions(app.statements)) == ""


@pytest.mark.parametrize("action", BREAKS)
def test_each_permission_is_needed(action: str, app: ScoringApp) -> None:
    allowed = permissions(app.statements)
    (taken,) = [permission for permission in allowed if permission["Action"] == [action]]

    found = try_out(app, [permission for permission in allowed if permission is not taken])

    assert found, f"nothing breaks without {action} on {taken['Resource'][0]}: it is too much"
    assert BREAKS[action] in found


Call = tuple[str, str, dict[str, Any]]
"""A client, its method and the arguments."""

PROBE = """\
import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

def handle(calls, context):
    found = []
    for service, method, arguments in calls:
        client = boto3.client(service, config=Config(retries={"total_max_attempts": 1}))
        try:
            getattr(client, method)(**arguments)
        except ClientError as error:
            found.append(error.response["Error"]["Code"])
        else:
            found.append("done")
    return found
"""
"""Does calls as the role that it runs under: Lambda alone can assume it."""


class Others:
    """Things of the same kinds as the stack's own, that are no business of the function's role."""

    def __init__(self, app: ScoringApp) -> None:
        self.app = app
        self.queue = app.client("sqs").create_queue(QueueName="other")["QueueUrl"]
        self.table = "other"
        app.client("dynamodb").create_table(
            TableName=self.table,
            KeySchema=[{"AttributeName": "request_id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "request_id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        (endpoint,) = app.declared("sagemaker/endpoint:Endpoint")
        self.endpoint = "other"
        app.client("sagemaker").create_endpoint(
            EndpointName=self.endpoint, EndpointConfigName=endpoint["endpointConfigName"]
        )
        app.aws.set_model(self.endpoint, app.model.url, app.account)
        self.log = {"logGroupName": "/other", "logStreamName": "other"}
        app.client("logs").create_log_group(logGroupName="/other")
        app.client("logs").create_log_stream(**self.log)
        self.bucket = "other-weights"
        place = {"LocationConstraint": app.client("s3").meta.region_name}
        app.client("s3").create_bucket(Bucket=self.bucket, CreateBucketConfiguration=place)
        app.client("s3").put_object(Bucket=self.bucket, Key="model.tar.gz", Body=b"1")
        self.secret = app.client("secretsmanager").create_secret(Name="other", SecretString="1")["ARN"]
        self.topic = app.client("sns").create_topic(Name="other")["TopicArn"]

    def allowed(self) -> list[Call]:
        """Return calls of the actions that the role has, with resources of the stack."""
        app, key = self.app, {"request_id": {"S": "probe"}}
        return [
            ("sqs", "get_queue_attributes", {"QueueUrl": app.queue, "AttributeNames": ["All"]}),
            ("sqs", "receive_message", {"QueueUrl": app.queue, "WaitTimeSeconds": 0}),
            ("sqs", "send_message", {"QueueUrl": app.dead_letters, "MessageBody": "1"}),
            ("dynamodb", "put_item", {"TableName": app.table, "Item": key}),
            ("dynamodb", "get_item", {"TableName": app.table, "Key": key}),
            ("sagemaker-runtime", "invoke_endpoint", asked(app.endpoint)),
        ]

    def forbidden(self) -> list[Call]:
        """Return calls that whoever may do everything can do, in this order."""
        app, key = self.app, {"request_id": {"S": "probe"}}
        value = {":p": {"S": "probe"}}
        written = {"Key": key, "UpdateExpression": "SET a = :p", "ExpressionAttributeValues": value}
        queried = {"KeyConditionExpression": "request_id = :p", "ExpressionAttributeValues": value}
        anything = json.dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
        )
        metric = [{"MetricName": "m", "Value": 1}]
        event = {"timestamp": int(time.time() * 1000), "message": "1"}
        return [
            # The actions that it has, on other resources.
            ("sqs", "get_queue_attributes", {"QueueUrl": self.queue, "AttributeNames": ["All"]}),
            ("sqs", "receive_message", {"QueueUrl": self.queue, "WaitTimeSeconds": 0}),
            ("sqs", "receive_message", {"QueueUrl": app.dead_letters, "WaitTimeSeconds": 0}),
            ("sqs", "send_message", {"QueueUrl": self.queue, "MessageBody": "1"}),
            ("dynamodb", "put_item", {"TableName": self.table, "Item": key}),
            ("dynamodb", "get_item", {"TableName": self.table, "Key": key}),
            ("sagemaker-runtime", "invoke_endpoint", asked(self.endpoint)),
            ("logs", "create_log_stream", {**self.log, "logStreamName": "more"}),
            ("logs", "put_log_events", {**self.log, "logEvents": [event]}),
            # Other actions on the stack's resources.
            ("sqs", "send_message", {"QueueUrl": app.queue, "MessageBody": "1"}),
            ("sqs", "purge_queue", {"QueueUrl": app.queue}),
            ("sqs", "set_queue_attributes", {"QueueUrl": app.queue, "Attributes": {"DelaySeconds": "0"}}),
            ("dynamodb", "scan", {"TableName": app.table}),
            ("dynamodb", "query", {"TableName": app.table, **queried}),
            ("dynamodb", "update_item", {"TableName": app.table, **written}),
            ("dynamodb", "delete_item", {"TableName": app.table, "Key": key}),
            ("dynamodb", "batch_write_item", {"RequestItems": {app.table: [{"PutRequest": {"Item": key}}]}}),
            ("dynamodb", "describe_table", {"TableName": app.table}),
            ("dynamodb", "delete_table", {"TableName": self.table}),
            ("sagemaker", "describe_endpoint", {"EndpointName": app.endpoint}),
            ("sagemaker", "delete_endpoint", {"EndpointName": self.endpoint}),
            ("logs", "filter_log_events", {"logGroupName": app.log_group}),
            ("logs", "create_log_group", {"logGroupName": "/more"}),
            ("xray", "get_trace_summaries", {"StartTime": 1, "EndTime": 2}),
            ("lambda", "invoke", {"FunctionName": app.function, "Payload": '{"Records": []}'}),
            ("lambda", "list_functions", {}),
            # All else.
            ("iam", "get_role", {"RoleName": app.role}),
            ("iam", "put_role_policy", {"RoleName": app.role, "PolicyName": "more", "PolicyDocument": anything}),
            ("iam", "create_user", {"UserName": "more"}),
            ("iam", "create_access_key", {"UserName": "more"}),
            ("s3", "list_buckets", {}),
            ("s3", "list_objects_v2", {"Bucket": self.bucket}),
            ("s3", "get_object", {"Bucket": self.bucket, "Key": "model.tar.gz"}),
            ("s3", "put_object", {"Bucket": self.bucket, "Key": "model.tar.gz", "Body": "2"}),
            ("secretsmanager", "get_secret_value", {"SecretId": self.secret}),
            ("kms", "create_key", {}),
            ("sns", "publish", {"TopicArn": self.topic, "Message": "1"}),
            ("cloudwatch", "put_metric_data", {"Namespace": "n", "MetricData": metric}),
            ("ec2", "describe_instances", {}),
        ]


def asked(endpoint: str) -> dict[str, Any]:
    return {"EndpointName": endpoint, "ContentType": "application/json", "Body": '{"x": "probe"}'}


REFUSED = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"}
"""What services call it."""


def test_what_is_not_allowed_is_refused(app: ScoringApp) -> None:
    others, functions = Others(app), app.client("lambda")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("probe.py", PROBE)
    functions.create_function(
        FunctionName="probe",
        Runtime="python3.13",
        Handler="probe.handle",
        Role=functions.get_function_configuration(FunctionName=app.function)["Role"],
        Code={"ZipFile": packed.getvalue()},
        Timeout=120,
    )

    def probed(calls: Sequence[Call]) -> list[tuple[str, str, str]]:
        answer = functions.invoke(FunctionName="probe", Payload=json.dumps(calls))
        codes = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, codes
        return [(service, method, code) for (service, method, _), code in zip(calls, codes, strict=True)]

    # The role is what answers: with it, the stack's own work is done.
    assert [found for found in probed(others.allowed()) if found[2] != "done"] == []
    assert [found for found in probed(others.forbidden()) if found[2] not in REFUSED] == []
    # It was the role and nothing about the calls: the account's root may do each.
    for service, method, arguments in others.forbidden():
        getattr(app.client(service), method)(**arguments)
