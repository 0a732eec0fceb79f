"""Amazon SQS: queues, their dead letter queues, and the functions that read them."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ringfence.policy.checks import (
    any_of,
    between,
    failed,
    is_not,
    not_applicable,
    passed,
    require,
    satisfying,
    undecided,
)
from ringfence.policy.graph import ResourceView, StackView
from ringfence.policy.property import Property
from ringfence.policy.rule import Parameter, Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity, Verdict
from ringfence_policies.aws.frameworks import fsbp
from ringfence_policies.aws.lambda_ import EVENT_SOURCE_MAPPING, EVENT_SOURCE_MAPPINGS, FUNCTION, function_referrers
from ringfence_policies.aws.references import Place, properties, referrers, require_reference

__all__ = ["QUEUE", "RULES"]

QUEUE = "aws:sqs/queue:Queue"
REDRIVE_POLICY = "aws:sqs/redrivePolicy:RedrivePolicy"

_DEFAULT_VISIBILITY = 30.0
"""Seconds. Source: SQS API reference, SetQueueAttributes, VisibilityTimeout."""
_DEFAULT_TIMEOUT = 3.0
"""Seconds. Source: Lambda API reference, CreateFunction, Timeout."""

_DEAD_LETTER_PLACES = (
    ("aws:lambda/function:Function", "deadLetterConfig.targetArn"),
    ("aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig", "destinationConfig.onFailure.destination"),
    (EVENT_SOURCE_MAPPING, "destinationConfig.onFailure.destinationArn"),
    ("aws:scheduler/schedule:Schedule", "target.deadLetterConfig.arn"),
    ("aws:cloudwatch/eventTarget:EventTarget", "deadLetterConfig.arn"),
)
"""Where other services name the queue that gets what they fail on."""

_JOBS = "arn:aws:sqs:eu-west-1:111122223333:jobs"
_DEAD = "arn:aws:sqs:eu-west-1:111122223333:dead"


def _redrive(count: int) -> str:
    return json.dumps({"deadLetterTargetArn": _DEAD, "maxReceiveCount": count})


def _redrive_policies(queue: ResourceView) -> Iterator[tuple[Property, bool | None]]:
    """Yield the redrive policies of a queue, its own and those of RedrivePolicy resources (None: perhaps its)."""
    own = queue["redrivePolicy"]
    if not own.absent and own.text != "":
        yield own, True
    for resource, _, named in referrers(queue, properties(REDRIVE_POLICY, "queueUrl")):
        yield resource["redrivePolicy"], named


@rule(
    "SQ07",
    "sqs-dead-letter-queue",
    "SQS queues have a dead letter queue",
    types=(QUEUE,),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    graph=True,
    why="A message that no consumer can process is otherwise tried until it expires, and is then lost.",
    reads="redrivePolicy of the queue, or of an aws:sqs/redrivePolicy:RedrivePolicy for it",
    absent="Fails, except for queues that are dead letter queues themselves.",
    remedy="Set redrive_policy with deadLetterTargetArn and maxReceiveCount.",
    sources=("AwsSolutions-SQS3", "Serverless-SQSRedrivePolicy", "pb:sqs-dead-letter-queue"),
    bad=(Sample(QUEUE, {"name": "jobs"}, name="jobs"),),
    good=(
        Sample(QUEUE, {"name": "jobs", "redrivePolicy": _redrive(5)}, name="jobs"),
        Sample(QUEUE, {"name": "dead"}, name="dead", outputs={"arn": _DEAD}),
    ),
)
def dead_letter_queue(queue: ResourceView, _: Parameters) -> Outcome:
    """Check where messages go that cannot be processed.

    A redrive policy that is not known before apply counts if a queue's output went into it: that queue is the target.
    """
    answers: list[Outcome] = []
    for place, named in _redrive_policies(queue):
        outcome = _target_outcome(queue, place)
        if named is None and outcome.verdict is Verdict.PASS:
            outcome = undecided(place, "It is not known before apply whether this redrive policy is for the queue.")
        if named or outcome.verdict is not Verdict.FAIL:
            answers.append(outcome)
    answer = (
        any_of(*answers)
        if answers
        else failed(
            queue["redrivePolicy"],
            "The queue has no dead letter queue: there is no redrive policy for it.",
            expected="a redrive policy with deadLetterTargetArn",
        )
    )
    if answer.verdict is Verdict.PASS:
        return answer
    is_target = _is_dead_letter_queue(queue)
    if is_target:
        return not_applicable("The queue is a dead letter queue itself.")
    if is_target is None and answer.verdict is Verdict.FAIL:
        return undecided(
            queue["redrivePolicy"], "It is not known before apply whether the queue is a dead letter queue itself."
        )
    return answer


def _target_outcome(queue: ResourceView, place: Property) -> Outcome:
    if place.unknown:
        from_queue = any(view.type == QUEUE for view in queue.stack.feeding(place))
        return passed(place) if from_queue else undecided(place)
    return require_reference(
        place.json()["deadLetterTargetArn"],
        "the ARN of a queue",
        absent="The redrive policy names no dead letter queue.",
    )


def _is_dead_letter_queue(queue: ResourceView) -> bool | None:
    """Return whether something in the stack sends what failed to this queue; None if that is unknown."""
    arn = queue.output("arn").text
    answers: list[bool | None] = []
    for view, _, named in referrers(queue, _dead_letter_places):
        policy = view["redrivePolicy"]
        # SQS takes the ARN only: where it is known, a policy that holds the queue's name instead is not for it.
        other_text = arn and policy.text is not None and arn not in policy.text and queue.urn not in policy.sources
        if view is not queue and not other_text:
            answers.append(named)
    return True if True in answers else None if answers else False


def _dead_letter_places(stack: StackView) -> Iterator[Place]:
    for resource in stack.of_type(QUEUE, REDRIVE_POLICY):
        yield resource, resource["redrivePolicy"].json()["deadLetterTargetArn"]
    for type_, path in _DEAD_LETTER_PLACES:
        yield from properties(type_, path)(stack)


@rule(
    "SQ08",
    "sqs-max-receive-count",
    "SQS messages are retried a few times before they go to the dead letter queue",
    types=(QUEUE,),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    graph=True,
    why="With one or two receives a short outage or a throttled function sends good messages to the dead letter queue; "
    "with many a poison message keeps the consumers busy.",
    reads="maxReceiveCount of the redrive policy",
    absent="Fails where there is a redrive policy; SQ07 asks for the policy itself.",
    remedy="Set maxReceiveCount to 5.",
    sources=("project",),
    parameters=(
        Parameter("minimumReceiveCount", "integer", 3, "Fewest receives of a message.", minimum=1, maximum=1000),
        Parameter("maximumReceiveCount", "integer", 10, "Most receives of a message.", minimum=1, maximum=1000),
    ),
    bad=(Sample(QUEUE, {"name": "jobs", "redrivePolicy": _redrive(1)}),),
    good=(Sample(QUEUE, {"name": "jobs", "redrivePolicy": _redrive(5)}),),
)
def max_receive_count(queue: ResourceView, parameters: Parameters) -> list[Outcome]:
    """Check the bounds of maxReceiveCount, in every redrive policy for the queue."""
    test = between(parameters["minimumReceiveCount"], parameters["maximumReceiveCount"], "receives")
    outcomes: list[Outcome] = []
    for place, named in _redrive_policies(queue):
        outcome = require(place.json()["maxReceiveCount"], test, absent="SQS needs it in a redrive policy.")
        outcomes.append(outcome if named else any_of(outcome, undecided(place)))
    return outcomes or [not_applicable("The queue has no redrive policy.")]


def _mapping(queue: str, function: str) -> Sample:
    return Sample(
        EVENT_SOURCE_MAPPING,
        {"eventSourceArn": queue, "functionName": function},
        name="trigger",
    )


@rule(
    "SQ10",
    "sqs-visibility-timeout",
    "SQS messages stay invisible while the function works on them",
    types=(QUEUE,),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    graph=True,
    why="A message that becomes visible while a slow or throttled function still has it is processed twice. Lambda "
    "asks for six times the function's timeout, plus the batching window.",
    reads="visibilityTimeoutSeconds of the queue; timeout of the functions and maximumBatchingWindowInSeconds of the "
    "event source mappings that read it",
    absent="The queue's default is 30 seconds, the function's timeout 3 seconds.",
    remedy="Set visibility_timeout_seconds to six times the function's timeout plus the batching window.",
    sources=("project",),
    parameters=(Parameter("factor", "number", 6, "How many function timeouts a message stays invisible.", minimum=1),),
    bad=(
        Sample(QUEUE, {"name": "jobs", "visibilityTimeoutSeconds": 30}, name="jobs", outputs={"arn": _JOBS}),
        Sample(FUNCTION, {"name": "score", "role": "r", "timeout": 60}, name="score"),
        _mapping(_JOBS, "score"),
    ),
    good=(
        Sample(QUEUE, {"name": "jobs", "visibilityTimeoutSeconds": 360}, name="jobs", outputs={"arn": _JOBS}),
        Sample(FUNCTION, {"name": "score", "role": "r", "timeout": 60}, name="score"),
        _mapping(_JOBS, "score"),
    ),
)
def visibility_timeout(queue: ResourceView, parameters: Parameters) -> list[Outcome]:
    """Check the visibility timeout against every function that reads the queue.

    Source of the factor and of the batching window: AWS Lambda Developer Guide, "Creating and configuring an Amazon SQS
    event source mapping".
    """
    outcomes: list[Outcome] = []
    for mapping, _, reads in referrers(queue, properties(EVENT_SOURCE_MAPPING, "eventSourceArn")):
        outcome = _visible_after(queue, mapping, parameters["factor"])
        outcomes.append(outcome if reads else any_of(outcome, undecided(queue["visibilityTimeoutSeconds"])))
    return outcomes or [not_applicable("No event source mapping in the stack reads the queue.")]


def _visible_after(queue: ResourceView, mapping: ResourceView, factor: float) -> Outcome:
    visibility = queue["visibilityTimeoutSeconds"]
    functions = queue.stack.once(_functions).get(mapping, [])
    if len(functions) != 1:
        return undecided(visibility, f"It is not known which function {mapping.name} invokes, and so not its timeout.")
    function = functions[0]
    timeout = _seconds(function["timeout"], _DEFAULT_TIMEOUT)
    window = _seconds(mapping["maximumBatchingWindowInSeconds"], 0.0)
    if timeout is None or window is None:
        return undecided(visibility, f"The timeout of {function.name} or the batching window is not known.")
    needed = factor * timeout + window
    if visibility.absent and needed <= _DEFAULT_VISIBILITY:
        return passed(visibility)
    return require(
        visibility,
        satisfying(lambda value: (Property(value).number or 0) >= needed, f"at least {needed:g} seconds", "number"),
        absent=f"The default of 30 seconds is too short for {function.name}, which may take {timeout:g} seconds.",
    )


def _functions(stack: StackView) -> dict[ResourceView, list[ResourceView]]:
    """Return the functions that each event source mapping is known to name."""
    functions: dict[ResourceView, list[ResourceView]] = {}
    for function in stack.of_type(FUNCTION):
        for mapping, named in function_referrers(function, EVENT_SOURCE_MAPPINGS):
            if named:
                functions.setdefault(mapping, []).append(function)
    return functions


def _seconds(place: Property, default: float) -> float | None:
    return default if place.absent else place.number


@rule(
    "SQ01",
    "sqs-encrypted",
    "SQS queues are encrypted at rest",
    types=(QUEUE,),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="Messages may hold personal or business data, and stay in the queue for up to 14 days.",
    reads="sqsManagedSseEnabled, kmsMasterKeyId",
    absent="Passes: new queues are encrypted with keys that SQS owns.",
    remedy="Remove sqs_managed_sse_enabled=False, or set kms_master_key_id.",
    frameworks=(fsbp("SQS.1"),),
    sources=("CKV_AWS_27", "AwsSolutions-SQS2"),
    bad=(Sample(QUEUE, {"name": "jobs", "sqsManagedSseEnabled": False}),),
    good=(Sample(QUEUE, {"name": "jobs"}),),
)
def encrypted(queue: ResourceView, _: Parameters) -> Outcome:
    """Check that encryption is not switched off. With a KMS key, encryption with keys of SQS has to be off."""
    key = queue["kmsMasterKeyId"]
    own = require_reference(key, "the id of a key", absent="fail")
    if own.verdict is Verdict.PASS:
        return own
    managed = require(queue["sqsManagedSseEnabled"], is_not(False), absent="pass")
    return any_of(managed, own) if key.unknown else managed


RULES: tuple[Rule, ...] = (encrypted, dead_letter_queue, max_receive_count, visibility_timeout)
