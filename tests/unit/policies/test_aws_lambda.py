from __future__ import annotations

import pytest

from ringfence.deployment import UNKNOWN, Secret
from ringfence.policy.rule import Rule, Sample
from ringfence.policy.verdict import Verdict
from ringfence_policies.aws import lambda_
from ringfence_policies.aws.lambda_ import EVENT_INVOKE_CONFIG, EVENT_SOURCE_MAPPING, FUNCTION
from ringfence_policies.aws.lambda_permission import PERMISSION
from tests.unit.policies.cases import Case, check, check_examples, check_neighbour, run

ARN = "arn:aws:lambda:eu-west-1:111122223333:function:score"
KNOWN = {"arn": ARN, "id": "score", "name": "score"}
QUEUE_ARN = "arn:aws:sqs:eu-west-1:111122223333:jobs"
QUEUE = Sample("aws:sqs/queue:Queue", {}, name="jobs")
STREAM = Sample("aws:kinesis/stream:Stream", {}, name="stream")
NETWORK = Sample("pulumi:pulumi:StackReference", {}, name="network")
ALIAS = Sample("aws:lambda/alias:Alias", {"functionName": ARN, "name": "live"}, "alias", outputs={"arn": f"{ARN}:live"})


def invoke_config(function: object, target: object = QUEUE_ARN, **more: object) -> Sample:
    inputs = {"functionName": function, "destinationConfig": {"onFailure": {"destination": target}}}
    return Sample(EVENT_INVOKE_CONFIG, inputs, name="settings", **more)  # type: ignore[arg-type]


def mapping(function: object = ARN) -> Sample:
    return Sample(EVENT_SOURCE_MAPPING, {"functionName": function, "eventSourceArn": QUEUE_ARN}, name="trigger")


def permission(principal: object, function: object = "score") -> Sample:
    return Sample(PERMISSION, {"function": function, "principal": principal}, name="permission")


SCHEDULE = Sample(lambda_.SCHEDULE, {"target": {"arn": ARN}}, name="nightly")

TABLE: list[tuple[Rule, list[Case]]] = [
    (
        lambda_.supported_runtime,
        [
            Case("pass", Verdict.PASS, {"runtime": "python3.14"}),
            Case("fail", Verdict.FAIL, {"runtime": "python3.9"}, path="runtime"),
            Case("absent", Verdict.FAIL, {}, path="runtime"),
            Case("unknown", Verdict.UNKNOWN, {"runtime": UNKNOWN}, path="runtime"),
            Case("wrong type", Verdict.FAIL, {"runtime": 3.12}),
            Case("list", Verdict.FAIL, {"runtime": ["python3.13"]}),
            Case("zip", Verdict.FAIL, {"runtime": "nodejs18.x", "packageType": "Zip"}),
            Case("image", Verdict.NOT_APPLICABLE, {"packageType": "Image", "imageUri": "x"}),
            Case("unknown package", Verdict.UNKNOWN, {"packageType": UNKNOWN}, path="packageType"),
            Case("unknown package, good runtime", Verdict.PASS, {"packageType": UNKNOWN, "runtime": "java21"}),
            Case("parameter", Verdict.PASS, {"runtime": "cobol"}, parameters={"allowedRuntimes": ["cobol"]}),
            Case("not in parameter", Verdict.FAIL, {"runtime": "java21"}, parameters={"allowedRuntimes": ["cobol"]}),
        ],
    ),
    (
        lambda_.dead_letter,
        [
            Case("pass", Verdict.PASS, {"deadLetterConfig": {"targetArn": QUEUE_ARN}}),
            Case("absent", Verdict.FAIL, {}, path="deadLetterConfig.targetArn"),
            Case("fail", Verdict.FAIL, {"deadLetterConfig": {"targetArn": ""}}, path="deadLetterConfig.targetArn"),
            Case("unknown", Verdict.UNKNOWN, {"deadLetterConfig": {"targetArn": UNKNOWN}}),
            Case(
                "unknown but set",
                Verdict.PASS,
                {"deadLetterConfig": {"targetArn": UNKNOWN}},
                others=(QUEUE,),
                feeds={"deadLetterConfig": ("jobs",)},
            ),
            Case("wrong type", Verdict.FAIL, {"deadLetterConfig": QUEUE_ARN}),
            Case("wrong type of target", Verdict.FAIL, {"deadLetterConfig": {"targetArn": 7}}),
            Case("destination", Verdict.PASS, {}, others=(invoke_config("score"),), outputs=KNOWN),
            Case("destination by arn", Verdict.PASS, {}, others=(invoke_config(ARN),), outputs=KNOWN),
            Case("destination of version", Verdict.PASS, {}, others=(invoke_config(f"{ARN}:7"),), outputs=KNOWN),
            Case(
                "destination of alias",
                Verdict.PASS,
                {},
                others=(ALIAS, invoke_config(UNKNOWN, feeds={"functionName": ("alias",)})),
                outputs=KNOWN,
            ),
            Case(
                "destination by dependency",
                Verdict.PASS,
                {},
                others=(invoke_config(UNKNOWN, feeds={"functionName": ("example",)}),),
            ),
            Case("destination of another", Verdict.FAIL, {}, others=(invoke_config("other"),), outputs=KNOWN),
            Case("unknown whose destination", Verdict.UNKNOWN, {}, others=(invoke_config(UNKNOWN),), outputs=KNOWN),
            Case("unknown destination", Verdict.UNKNOWN, {}, others=(invoke_config("score", UNKNOWN),), outputs=KNOWN),
            Case("empty destination", Verdict.FAIL, {}, others=(invoke_config("score", ""),), outputs=KNOWN),
            Case("only polled", Verdict.NOT_APPLICABLE, {}, others=(mapping(),), outputs=KNOWN),
            Case("only polled, by name", Verdict.NOT_APPLICABLE, {}, others=(mapping("score"),), outputs=KNOWN),
            Case(
                "polled and by API Gateway",
                Verdict.NOT_APPLICABLE,
                {},
                others=(mapping(), permission("apigateway.amazonaws.com")),
                outputs=KNOWN,
            ),
            Case(
                "polled and by S3", Verdict.FAIL, {}, others=(mapping(), permission("s3.amazonaws.com")), outputs=KNOWN
            ),
            Case("polled and scheduled", Verdict.FAIL, {}, others=(mapping(), SCHEDULE), outputs=KNOWN),
            Case(
                "polled and asynchronous settings",
                Verdict.FAIL,
                {},
                others=(mapping(), invoke_config("score", None)),
                outputs=KNOWN,
            ),
            Case("another is polled", Verdict.FAIL, {}, others=(mapping("other"),), outputs=KNOWN),
            Case("perhaps polled", Verdict.UNKNOWN, {}, others=(mapping(UNKNOWN),), outputs=KNOWN),
            Case(
                "polled and perhaps by S3",
                Verdict.UNKNOWN,
                {},
                others=(mapping(), permission("s3.amazonaws.com", UNKNOWN)),
                outputs=KNOWN,
            ),
            Case(
                "polled, but an empty target",
                Verdict.FAIL,
                {"deadLetterConfig": {"targetArn": ""}},
                others=(mapping(),),
            ),
        ],
    ),
    (
        lambda_.bounded_concurrency,
        [
            Case("pass", Verdict.PASS, {"reservedConcurrentExecutions": 20.0}),
            Case("unreserved", Verdict.FAIL, {"reservedConcurrentExecutions": -1}, path="reservedConcurrentExecutions"),
            Case("blocked", Verdict.FAIL, {"reservedConcurrentExecutions": 0}),
            Case("too many", Verdict.FAIL, {"reservedConcurrentExecutions": 901}),
            Case("absent", Verdict.FAIL, {}, path="reservedConcurrentExecutions"),
            Case("unknown", Verdict.UNKNOWN, {"reservedConcurrentExecutions": UNKNOWN}),
            Case("wrong type", Verdict.FAIL, {"reservedConcurrentExecutions": True}),
            Case("list", Verdict.FAIL, {"reservedConcurrentExecutions": [20]}),
            Case(
                "parameter",
                Verdict.FAIL,
                {"reservedConcurrentExecutions": 20},
                parameters={"maximumConcurrency": 10},
            ),
            Case(
                "mapping",
                Verdict.PASS,
                {"eventSourceArn": QUEUE_ARN, "scalingConfig": {"maximumConcurrency": 2}},
                type=EVENT_SOURCE_MAPPING,
            ),
            Case(
                "mapping, too few",
                Verdict.FAIL,
                {"eventSourceArn": QUEUE_ARN, "scalingConfig": {"maximumConcurrency": 1}},
                path="scalingConfig.maximumConcurrency",
                type=EVENT_SOURCE_MAPPING,
            ),
            Case(
                "mapping, absent",
                Verdict.FAIL,
                {"eventSourceArn": QUEUE_ARN},
                path="scalingConfig.maximumConcurrency",
                type=EVENT_SOURCE_MAPPING,
            ),
            Case(
                "mapping, wrong type",
                Verdict.FAIL,
                {"eventSourceArn": QUEUE_ARN, "scalingConfig": 10},
                type=EVENT_SOURCE_MAPPING,
            ),
            Case(
                "mapping of an unknown queue",
                Verdict.FAIL,
                {"eventSourceArn": UNKNOWN},
                others=(QUEUE,),
                feeds={"eventSourceArn": ("jobs",)},
                type=EVENT_SOURCE_MAPPING,
            ),
            Case(
                "mapping of an unknown stream",
                Verdict.NOT_APPLICABLE,
                {"eventSourceArn": UNKNOWN},
                others=(STREAM,),
                feeds={"eventSourceArn": ("stream",)},
                type=EVENT_SOURCE_MAPPING,
            ),
            Case(
                "mapping of what another stack has",
                Verdict.UNKNOWN,
                {"eventSourceArn": UNKNOWN},
                others=(NETWORK,),
                feeds={"eventSourceArn": ("network",)},
                type=EVENT_SOURCE_MAPPING,
            ),
            Case(
                "mapping of something unknown", Verdict.UNKNOWN, {"eventSourceArn": UNKNOWN}, type=EVENT_SOURCE_MAPPING
            ),
            Case(
                "mapping of a table",
                Verdict.NOT_APPLICABLE,
                {"eventSourceArn": "arn:aws:dynamodb:eu-west-1:111122223333:table/x/stream/y"},
                type=EVENT_SOURCE_MAPPING,
            ),
            Case("mapping of nothing", Verdict.NOT_APPLICABLE, {}, type=EVENT_SOURCE_MAPPING),
            Case(
                "mapping in provisioned mode",
                Verdict.NOT_APPLICABLE,
                {"eventSourceArn": QUEUE_ARN, "provisionedPollerConfig": {"maximumPollers": 4}},
                type=EVENT_SOURCE_MAPPING,
            ),
        ],
    ),
    (
        lambda_.no_plain_secrets,
        [
            Case("pass", Verdict.PASS, {"environment": {"variables": {"TABLE": "sessions"}}}),
            Case(
                "fail",
                Verdict.FAIL,
                {"environment": {"variables": {"TABLE": "sessions", "DB_PASSWORD": "hunter2hunter2"}}},
                path="environment.variables.DB_PASSWORD",
            ),
            Case(
                "by value",
                Verdict.FAIL,
                {"environment": {"variables": {"WHO": "AKIAIOSFODNN7EXAMPLE"}}},
                path="environment.variables.WHO",
            ),
            Case("secret", Verdict.FAIL, {"environment": Secret({"variables": {"DB_PASSWORD": "hunter2hunter2"}})}),
            Case("reference", Verdict.PASS, {"environment": {"variables": {"DB_SECRET": QUEUE_ARN}}}),
            Case("absent", Verdict.PASS, {}),
            Case("no variables", Verdict.PASS, {"environment": {}}),
            Case("unknown", Verdict.UNKNOWN, {"environment": UNKNOWN}),
            Case(
                "one unknown",
                Verdict.UNKNOWN,
                {"environment": {"variables": {"TABLE": "sessions", "URL": UNKNOWN}}},
                path="environment.variables.URL",
            ),
            Case(
                "one bad beside an unknown",
                Verdict.FAIL,
                {"environment": {"variables": {"URL": UNKNOWN, "DB_PASSWORD": "hunter2hunter2"}}},
            ),
            Case("wrong type", Verdict.FAIL, {"environment": "DB_PASSWORD=x"}),
            Case("list", Verdict.FAIL, {"environment": {"variables": ["DB_PASSWORD=x"]}}),
            Case("null", Verdict.PASS, {"environment": {"variables": {"DB_PASSWORD": None}}}),
        ],
    ),
    (
        lambda_.url_needs_iam,
        [
            Case("pass", Verdict.PASS, {"authorizationType": "AWS_IAM"}),
            Case("fail", Verdict.FAIL, {"authorizationType": "NONE"}, path="authorizationType"),
            Case("absent", Verdict.FAIL, {}, path="authorizationType"),
            Case("unknown", Verdict.UNKNOWN, {"authorizationType": UNKNOWN}),
            Case("wrong type", Verdict.FAIL, {"authorizationType": True}),
            Case("list", Verdict.FAIL, {"authorizationType": ["AWS_IAM"]}),
        ],
    ),
]
CASES = [pytest.param(rule, case, id=f"{rule.code}-{case.label}") for rule, cases in TABLE for case in cases]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_verdict(rule: Rule, case: Case) -> None:
    check(rule, case)


@pytest.mark.parametrize("rule", lambda_.RULES, ids=lambda rule: rule.code)
def test_examples(rule: Rule) -> None:
    check_examples(rule)


@pytest.mark.parametrize("rule", lambda_.RULES, ids=lambda rule: rule.code)
def test_neighbours_are_left_alone(rule: Rule) -> None:
    check_neighbour(rule, "aws:lambda/layerVersionPermission:LayerVersionPermission")


def test_every_rule_has_a_table() -> None:
    assert [rule.code for rule in lambda_.RULES] == [rule.code for rule, _ in TABLE]


def test_no_finding_holds_a_secret() -> None:
    for variables in ({"DB_PASSWORD": "hunter2hunter2"}, Secret({"A": "postgres://u:hunter2hunter2@db/x"})):
        findings = run(lambda_.no_plain_secrets, [Sample(FUNCTION, {"environment": {"variables": variables}})])

        assert [finding.verdict for finding in findings] == [Verdict.FAIL]
        assert "hunter2" not in repr(findings)
