from __future__ import annotations

import json
from typing import Any

import pytest

from ringfence.deployment import UNKNOWN
from ringfence.policy.rule import Rule, Sample
from ringfence.policy.verdict import Verdict
from ringfence_policies.aws import sqs
from ringfence_policies.aws.lambda_ import EVENT_SOURCE_MAPPING, FUNCTION
from tests.unit.policies.cases import Case, check, check_examples, check_neighbour, run

ARN = "arn:aws:sqs:eu-west-1:111122223333:jobs"
URL = "https://sqs.eu-west-1.amazonaws.com/111122223333/jobs"
DEAD = "arn:aws:sqs:eu-west-1:111122223333:dead"
KNOWN = {"arn": ARN, "url": URL, "id": URL, "name": "jobs"}
DLQ = Sample(sqs.QUEUE, {}, name="dead", outputs={"arn": DEAD, "id": "d", "url": "d", "name": "dead"})
OTHER = "aws:cloudwatch/eventRule:EventRule"


def redrive(count: Any = 5, target: Any = DEAD) -> dict[str, Any]:
    return {"redrivePolicy": json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": count})}


def separate(queue: Any = URL, feeds: dict[str, tuple[str, ...]] | None = None, **inputs: Any) -> Sample:
    return Sample(sqs.REDRIVE_POLICY, {"queueUrl": queue, **(inputs or redrive())}, name="redrive", feeds=feeds or {})


def source(target: Any = ARN, feeds: dict[str, tuple[str, ...]] | None = None) -> Sample:
    """Return another queue, with this one as its target."""
    policy = UNKNOWN if target is UNKNOWN else redrive(target=target)["redrivePolicy"]
    return Sample(sqs.QUEUE, {"redrivePolicy": policy}, name="source", feeds=feeds or {})


def sends_failures(type_: str, inputs: dict[str, Any], feeds: dict[str, tuple[str, ...]] | None = None) -> Sample:
    return Sample(type_, inputs, name="sender", feeds=feeds or {})


def function(timeout: Any = 60, name: str = "score") -> Sample:
    inputs = {"name": name, "role": "r", **({} if timeout is None else {"timeout": timeout})}
    return Sample(FUNCTION, inputs, name=name, outputs={"id": name})


def mapping(
    queue: Any = ARN, invokes: Any = "score", feeds: dict[str, tuple[str, ...]] | None = None, **more: Any
) -> Sample:
    return Sample(
        EVENT_SOURCE_MAPPING, {"eventSourceArn": queue, "functionName": invokes, **more}, "trigger", feeds or {}
    )


def visible(seconds: Any) -> dict[str, Any]:
    return {"visibilityTimeoutSeconds": seconds}


TABLE: list[tuple[Rule, list[Case]]] = [
    (
        sqs.encrypted,
        [
            Case("pass", Verdict.PASS, {"sqsManagedSseEnabled": True}),
            Case("absent", Verdict.PASS, {}),
            Case("fail", Verdict.FAIL, {"sqsManagedSseEnabled": False}, path="sqsManagedSseEnabled"),
            Case("key", Verdict.PASS, {"sqsManagedSseEnabled": False, "kmsMasterKeyId": "alias/jobs"}),
            Case("empty key", Verdict.FAIL, {"sqsManagedSseEnabled": False, "kmsMasterKeyId": ""}),
            Case("unknown", Verdict.UNKNOWN, {"sqsManagedSseEnabled": UNKNOWN}),
            Case("unknown key", Verdict.UNKNOWN, {"sqsManagedSseEnabled": False, "kmsMasterKeyId": UNKNOWN}),
            Case(
                "unknown key, but set",
                Verdict.PASS,
                {"sqsManagedSseEnabled": False, "kmsMasterKeyId": UNKNOWN},
                others=(Sample("aws:kms/key:Key", {}, name="key"),),
                feeds={"kmsMasterKeyId": ("key",)},
            ),
            Case("wrong type", Verdict.FAIL, {"sqsManagedSseEnabled": "no"}),
            Case("list", Verdict.FAIL, {"sqsManagedSseEnabled": [True]}),
        ],
    ),
    (
        sqs.dead_letter_queue,
        [
            Case("pass", Verdict.PASS, redrive()),
            Case("object", Verdict.PASS, {"redrivePolicy": {"deadLetterTargetArn": DEAD}}),
            Case("absent", Verdict.FAIL, {}, path="redrivePolicy"),
            Case("empty", Verdict.FAIL, {"redrivePolicy": ""}, path="redrivePolicy"),
            Case("fail", Verdict.FAIL, {"redrivePolicy": "{}"}, path="redrivePolicy.deadLetterTargetArn"),
            Case("empty target", Verdict.FAIL, redrive(target=" "), path="redrivePolicy.deadLetterTargetArn"),
            Case("no JSON", Verdict.FAIL, {"redrivePolicy": DEAD}),
            Case("list", Verdict.FAIL, {"redrivePolicy": json.dumps([DEAD])}),
            Case("null", Verdict.FAIL, {"redrivePolicy": "null"}),
            Case("wrong type", Verdict.FAIL, {"redrivePolicy": 5}),
            Case("unknown", Verdict.UNKNOWN, {"redrivePolicy": UNKNOWN}, path="redrivePolicy"),
            Case(
                "unknown, but a queue feeds it",
                Verdict.PASS,
                {"redrivePolicy": UNKNOWN},
                path="redrivePolicy",
                others=(DLQ,),
                feeds={"redrivePolicy": ("dead",)},
            ),
            Case(
                "unknown, and something else feeds it",
                Verdict.UNKNOWN,
                {"redrivePolicy": UNKNOWN},
                others=(Sample(OTHER, {}, name="other"),),
                feeds={"redrivePolicy": ("other",)},
            ),
            Case("separate", Verdict.PASS, {}, others=(separate(),), outputs=KNOWN),
            Case(
                "separate, by dependency",
                Verdict.PASS,
                {},
                others=(
                    DLQ,
                    separate(UNKNOWN, {"queueUrl": ("example",), "redrivePolicy": ("dead",)}, redrivePolicy=UNKNOWN),
                ),
            ),
            Case("separate, of another queue", Verdict.FAIL, {}, others=(separate("https://x"),), outputs=KNOWN),
            Case("separate, without a target", Verdict.FAIL, {}, others=(separate(redrivePolicy="{}"),), outputs=KNOWN),
            Case("separate, unknown whose", Verdict.UNKNOWN, {}, others=(separate(UNKNOWN),), outputs=KNOWN),
            Case(
                "separate, unknown whose and without a target",
                Verdict.FAIL,
                {},
                path="redrivePolicy",
                others=(separate(UNKNOWN, redrivePolicy="{}"),),
                outputs=KNOWN,
            ),
            Case("own good, separate unknown", Verdict.PASS, redrive(), others=(separate(UNKNOWN),), outputs=KNOWN),
            Case("is a target", Verdict.NOT_APPLICABLE, {}, others=(source(),), outputs=KNOWN),
            Case(
                "is a target, by dependency",
                Verdict.NOT_APPLICABLE,
                {},
                others=(source(UNKNOWN, {"redrivePolicy": ("example",)}),),
            ),
            Case(
                "is a target of a separate policy",
                Verdict.NOT_APPLICABLE,
                {},
                others=(separate("https://x", redrivePolicy=redrive(target=ARN)["redrivePolicy"]),),
                outputs=KNOWN,
            ),
            Case("another is the target", Verdict.FAIL, {}, others=(source(DEAD),), outputs=KNOWN),
            Case(
                "another is the target, by dependency",
                Verdict.FAIL,
                {},
                others=(DLQ, source(UNKNOWN, {"redrivePolicy": ("dead",)})),
            ),
            Case("perhaps a target", Verdict.UNKNOWN, {}, others=(source(UNKNOWN),), outputs=KNOWN),
            Case("its own target", Verdict.PASS, redrive(target=ARN), outputs=KNOWN),
            Case(
                "keeps what a function fails on",
                Verdict.NOT_APPLICABLE,
                {},
                others=(sends_failures(FUNCTION, {"deadLetterConfig": {"targetArn": ARN}}),),
                outputs=KNOWN,
            ),
            Case(
                "success and failure go to two queues",
                Verdict.FAIL,
                {},
                others=(
                    DLQ,
                    sends_failures(
                        "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
                        {"destinationConfig": {"onSuccess": {"destination": ARN}, "onFailure": {"destination": DEAD}}},
                        {"destinationConfig": ("example", "dead")},
                    ),
                ),
                outputs=KNOWN,
            ),
            Case(
                "success and failure go to two queues, unknown",
                Verdict.UNKNOWN,
                {},
                others=(
                    DLQ,
                    sends_failures(
                        "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
                        {
                            "destinationConfig": {
                                "onSuccess": {"destination": UNKNOWN},
                                "onFailure": {"destination": UNKNOWN},
                            }
                        },
                        {"destinationConfig": ("example", "dead")},
                    ),
                ),
            ),
            Case(
                "only success goes to the queue",
                Verdict.FAIL,
                {},
                others=(
                    sends_failures(
                        "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
                        {"destinationConfig": {"onSuccess": {"destination": UNKNOWN}}},
                        {"destinationConfig": ("example",)},
                    ),
                ),
            ),
        ],
    ),
    (
        sqs.max_receive_count,
        [
            Case("pass", Verdict.PASS, redrive(3)),
            Case("text", Verdict.PASS, redrive("10")),
            Case("float", Verdict.PASS, redrive(5.0)),
            Case("fail", Verdict.FAIL, redrive(2), path="redrivePolicy.maxReceiveCount"),
            Case("too many", Verdict.FAIL, redrive(11), path="redrivePolicy.maxReceiveCount"),
            Case("huge", Verdict.FAIL, {"redrivePolicy": '{"maxReceiveCount": 1' + "0" * 400 + "}"}),
            Case("absent", Verdict.NOT_APPLICABLE, {}),
            Case("empty", Verdict.NOT_APPLICABLE, {"redrivePolicy": ""}),
            Case("no count", Verdict.FAIL, {"redrivePolicy": "{}"}, path="redrivePolicy.maxReceiveCount"),
            Case("null", Verdict.FAIL, redrive(None)),
            Case("wrong type", Verdict.FAIL, redrive(True)),
            Case("list", Verdict.FAIL, redrive([5])),
            Case("no JSON", Verdict.FAIL, {"redrivePolicy": "5"}),
            Case("unknown", Verdict.UNKNOWN, {"redrivePolicy": UNKNOWN}),
            Case(
                "unknown, although a queue feeds it",
                Verdict.UNKNOWN,
                {"redrivePolicy": UNKNOWN},
                others=(DLQ,),
                feeds={"redrivePolicy": ("dead",)},
            ),
            Case("separate", Verdict.FAIL, {}, others=(separate(**redrive(100)),), outputs=KNOWN),
            Case(
                "separate, of another queue",
                Verdict.NOT_APPLICABLE,
                {},
                others=(separate("x", **redrive(100)),),
                outputs=KNOWN,
            ),
            Case(
                "separate, unknown whose",
                Verdict.UNKNOWN,
                {},
                others=(separate(UNKNOWN, **redrive(100)),),
                outputs=KNOWN,
            ),
            Case("one of two", Verdict.FAIL, redrive(5), others=(separate(**redrive(100)),), outputs=KNOWN),
            Case("parameter", Verdict.PASS, redrive(20), parameters={"maximumReceiveCount": 20}),
            Case("other parameter", Verdict.FAIL, redrive(5), parameters={"minimumReceiveCount": 6}),
        ],
    ),
    (
        sqs.visibility_timeout,
        [
            Case("pass", Verdict.PASS, visible(360), others=(function(), mapping()), outputs=KNOWN),
            Case(
                "fail",
                Verdict.FAIL,
                visible(359),
                path="visibilityTimeoutSeconds",
                others=(function(), mapping()),
                outputs=KNOWN,
            ),
            Case("absent", Verdict.FAIL, {}, others=(function(), mapping()), outputs=KNOWN),
            Case("both absent", Verdict.PASS, {}, others=(function(None), mapping()), outputs=KNOWN),
            Case("default too short", Verdict.FAIL, {}, others=(function(6), mapping()), outputs=KNOWN),
            Case("function's default", Verdict.FAIL, visible(17), others=(function(None), mapping()), outputs=KNOWN),
            Case("unknown", Verdict.UNKNOWN, visible(UNKNOWN), others=(function(), mapping()), outputs=KNOWN),
            Case(
                "unknown timeout", Verdict.UNKNOWN, visible(360), others=(function(UNKNOWN), mapping()), outputs=KNOWN
            ),
            Case("wrong type", Verdict.FAIL, visible([360]), others=(function(), mapping()), outputs=KNOWN),
            Case(
                "wrong type of timeout", Verdict.UNKNOWN, visible(360), others=(function([1]), mapping()), outputs=KNOWN
            ),
            Case(
                "batching window",
                Verdict.FAIL,
                visible(360),
                others=(function(), mapping(maximumBatchingWindowInSeconds=20)),
                outputs=KNOWN,
            ),
            Case(
                "by dependency",
                Verdict.FAIL,
                visible(60),
                others=(
                    function(),
                    mapping(UNKNOWN, UNKNOWN, {"eventSourceArn": ("example",), "functionName": ("score",)}),
                ),
            ),
            Case("no mapping", Verdict.NOT_APPLICABLE, visible(1), others=(function(),), outputs=KNOWN),
            Case(
                "mapping of another queue",
                Verdict.NOT_APPLICABLE,
                visible(1),
                others=(function(), mapping(DEAD)),
                outputs=KNOWN,
            ),
            Case(
                "unknown whose mapping",
                Verdict.UNKNOWN,
                visible(1),
                others=(function(), mapping(UNKNOWN)),
                outputs=KNOWN,
            ),
            Case(
                "unknown whose mapping, long enough",
                Verdict.PASS,
                visible(360),
                others=(function(), mapping(UNKNOWN)),
                outputs=KNOWN,
            ),
            Case("function of another stack", Verdict.UNKNOWN, visible(360), others=(mapping(),), outputs=KNOWN),
            Case(
                "one of two functions",
                Verdict.FAIL,
                visible(60),
                others=(
                    function(5),
                    function(60, "slow"),
                    mapping(),
                    Sample(EVENT_SOURCE_MAPPING, {"eventSourceArn": ARN, "functionName": "slow"}, "second"),
                ),
                outputs=KNOWN,
            ),
            Case(
                "parameter",
                Verdict.PASS,
                visible(60),
                parameters={"factor": 1},
                others=(function(), mapping()),
                outputs=KNOWN,
            ),
        ],
    ),
]
CASES = [pytest.param(rule, case, id=f"{rule.code}-{case.label}") for rule, cases in TABLE for case in cases]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_verdict(rule: Rule, case: Case) -> None:
    check(rule, case)


@pytest.mark.parametrize("rule", sqs.RULES, ids=lambda rule: rule.code)
def test_examples(rule: Rule) -> None:
    check_examples(rule)


@pytest.mark.parametrize("rule", sqs.RULES, ids=lambda rule: rule.code)
def test_neighbours_are_left_alone(rule: Rule) -> None:
    check_neighbour(rule, "aws:sns/topic:Topic")


def test_every_rule_has_a_table() -> None:
    assert [rule.code for rule in sqs.RULES] == [rule.code for rule, _ in TABLE]


def test_a_first_preview_knows_that_there_is_a_dead_letter_queue() -> None:
    jobs = Sample(sqs.QUEUE, {"redrivePolicy": UNKNOWN}, "jobs", feeds={"redrivePolicy": ("dead",)})
    dead = Sample(sqs.QUEUE, {}, "dead", outputs={"arn": UNKNOWN, "url": UNKNOWN})

    def verdicts(rule: Rule) -> dict[str, Verdict]:
        return {finding.resource: finding.verdict for finding in run(rule, [jobs, dead])}

    assert verdicts(sqs.dead_letter_queue) == {"jobs": Verdict.PASS, "dead": Verdict.NOT_APPLICABLE}
    assert verdicts(sqs.max_receive_count) == {"jobs": Verdict.UNKNOWN, "dead": Verdict.NOT_APPLICABLE}
