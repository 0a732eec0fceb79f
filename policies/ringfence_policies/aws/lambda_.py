"""AWS Lambda: functions, their URLs and their event source mappings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import accumulate

from ringfence.policy.checks import (
    any_of,
    between,
    equals,
    every,
    failed,
    not_applicable,
    one_of,
    passed,
    require,
    undecided,
)
from ringfence.policy.graph import ResourceView, StackView
from ringfence.policy.property import Property
from ringfence.policy.rule import Parameter, Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity, Verdict
from ringfence_policies.aws.frameworks import fsbp
from ringfence_policies.aws.lambda_permission import PERMISSION
from ringfence_policies.aws.references import (
    Places,
    candidates,
    is_set,
    points_to,
    properties,
    referrers,
    require_reference,
)
from ringfence_policies.common.secrets import looks_secret

__all__ = ["EVENT_SOURCE_MAPPING", "EVENT_SOURCE_MAPPINGS", "FUNCTION", "RULES", "function_referrers"]

FUNCTION = "aws:lambda/function:Function"
FUNCTION_URL = "aws:lambda/functionUrl:FunctionUrl"
ALIAS = "aws:lambda/alias:Alias"
EVENT_SOURCE_MAPPING = "aws:lambda/eventSourceMapping:EventSourceMapping"
EVENT_INVOKE_CONFIG = "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig"
SCHEDULE = "aws:scheduler/schedule:Schedule"
QUEUE = "aws:sqs/queue:Queue"

RUNTIMES = (
    "python3.11",
    "python3.12",
    "python3.13",
    "python3.14",
    "nodejs22.x",
    "nodejs24.x",
    "java8.al2",
    "java8.al2023",
    "java11",
    "java11.al2023",
    "java17",
    "java17.al2023",
    "java21",
    "java25",
    "dotnet10",
    "ruby3.3",
    "ruby3.4",
    "ruby4.0",
    "provided.al2023",
)
"""Runtimes that were not deprecated in November 2026.

Source: AWS Lambda Developer Guide, "Lambda runtimes" (docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html), table
"Supported runtimes". Out since 2026: ruby3.2 (31 March), nodejs20.x (30 April), provided.al2 (31 July), python3.10
(31 October), dotnet8 (10 November). Next: ruby3.3 (31 March 2027), nodejs22.x (30 April 2027), python3.11 and the Java
runtimes on Amazon Linux 2 (30 June 2027).
"""

_SQS_ARN = re.compile(r"arn:[^:]+:sqs:.*")
# They wait for the answer, so a failure is theirs and no dead letter queue gets it. Source: AWS Lambda Developer Guide,
# "Invoking Lambda with events from other AWS services".
_SYNCHRONOUS = ("apigateway.amazonaws.com", "elasticloadbalancing.amazonaws.com", "cognito-idp.amazonaws.com")


def _names_function(
    view: ResourceView, place: Property, function: ResourceView, aliases: list[ResourceView]
) -> bool | None:
    """Return whether the value at `place` of `view` is the name or ARN of `function`, or of an alias or version of it.

    None if that is unknown. The forms are those of the Lambda API's `FunctionName`: name, ARN or partial ARN, each
    with or without a qualifier.
    """
    direct = points_to(view, place, function)
    if direct:
        return True
    for alias in aliases:
        if alias.urn in place.sources or (place.text is not None and alias.output("arn").text == place.text):
            return True
    if place.text is None or function.urn in place.sources:
        return direct
    parts = place.text.split(":")
    name = _function_name(parts)
    arn, actual = function.output("arn").text, function.output("name").text
    if parts[0] == "arn" and arn is not None:
        return place.text.startswith(f"{arn}:")
    if actual is None:
        return direct
    if name != actual:
        return False
    # The name fits; an ARN may still be one of another account or region.
    return None if parts[0] == "arn" else True


def _function_name(parts: list[str]) -> str:
    """Return the function's name in a `FunctionName` that is split at its colons."""
    return parts[parts.index("function") + 1] if "function" in parts[:-1] else parts[0]


def _spellings(text: str) -> Iterable[str]:
    """Return what a function is called that a text names: a qualifier, which is no part of it, may follow."""
    parts = text.split(":")
    return {_function_name(parts), *accumulate(parts, "{}:{}".format)}


def _aliases(_: StackView, function: ResourceView) -> list[ResourceView]:
    return [alias for alias, _, named in referrers(function, properties(ALIAS, "functionName")) if named]


def function_referrers(function: ResourceView, places: Places) -> Iterator[tuple[ResourceView, bool | None]]:
    """Yield the resources that name the function, an alias or a version of it at `places`, or that may (None)."""
    aliases = function.stack.once(_aliases, function)
    called = [name for alias in aliases for name in (alias.urn, alias.output("arn").text)]
    for view, place in candidates(function, places, *called, spellings=_spellings):
        named = _names_function(view, place, function, aliases)
        if named is not False:
            yield view, named


_EVENT_INVOKE_CONFIGS = properties(EVENT_INVOKE_CONFIG, "functionName")
_PERMISSIONS = properties(PERMISSION, "function")
_SCHEDULES = properties(SCHEDULE, "target.arn")
EVENT_SOURCE_MAPPINGS = properties(EVENT_SOURCE_MAPPING, "functionName")
"""Where event source mappings name their function."""


@rule(
    "LA03",
    "lambda-supported-runtime",
    "Lambda functions use a supported runtime",
    types=(FUNCTION,),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="A deprecated runtime gets no security patches, and after a while functions with it can no longer be updated.",
    reads="runtime, packageType",
    absent="Fails for zip packages, which need a runtime.",
    remedy='Set runtime to a supported one, for example "python3.13".',
    frameworks=(fsbp("Lambda.2"),),
    sources=("CKV_AWS_363", "AwsSolutions-L1"),
    parameters=(Parameter("allowedRuntimes", "array", RUNTIMES, "Runtime identifiers that functions may use."),),
    bad=(Sample(FUNCTION, {"role": "r", "runtime": "python3.8"}),),
    good=(Sample(FUNCTION, {"role": "r", "runtime": "python3.13"}),),
)
def supported_runtime(function: ResourceView, parameters: Parameters) -> Outcome:
    """Check the runtime of a zip package (the default of packageType). An image brings its own runtime."""
    package = function["packageType"]
    if package.text == "Image":
        return not_applicable("A container image brings its own runtime.")
    outcome = require(function["runtime"], one_of(*parameters["allowedRuntimes"]), absent="A zip package needs one.")
    return any_of(outcome, undecided(package)) if package.unknown else outcome


@rule(
    "LA11",
    "lambda-bounded-concurrency",
    "Lambda functions and their SQS triggers have a concurrency bound",
    types=(FUNCTION, EVENT_SOURCE_MAPPING),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="An unbounded function takes the whole account's concurrency, and with it the other functions', and its cost "
    "has no limit. An unbounded SQS trigger polls more than the function may run and sends good messages to the dead "
    "letter queue.",
    reads="reservedConcurrentExecutions of functions, scalingConfig.maximumConcurrency of SQS event source mappings",
    absent="Fails: -1 (unreserved) is the default of functions, and a mapping without a bound scales to 1,000 or more.",
    remedy="Set reserved_concurrent_executions on the function and scaling_config.maximum_concurrency on the mapping.",
    sources=("CKV_AWS_115", "NIST-R5-LambdaConcurrency", "pb:lambda-concurrent-execution-limits-required"),
    parameters=(
        Parameter(
            "maximumConcurrency",
            "integer",
            900,
            "Highest bound, in concurrent executions. An account has 1,000 by default, of which 100 stay unreserved.",
            minimum=2,
        ),
    ),
    bad=(Sample(FUNCTION, {"role": "r", "runtime": "python3.13"}),),
    good=(
        Sample(FUNCTION, {"role": "r", "runtime": "python3.13", "reservedConcurrentExecutions": 20}, name="score"),
        Sample(
            EVENT_SOURCE_MAPPING,
            {
                "functionName": "score",
                "eventSourceArn": "arn:aws:sqs:eu-west-1:111122223333:jobs",
                "scalingConfig": {"maximumConcurrency": 10},
            },
            name="trigger",
        ),
    ),
)
def bounded_concurrency(resource: ResourceView, parameters: Parameters) -> Outcome:
    """Check the bound of a function or of an SQS mapping.

    0 would stop the function, and 2 is the smallest bound that a mapping takes. Only SQS mappings take one; in
    provisioned mode the pollers bound a mapping and the service refuses both.
    """
    highest = parameters["maximumConcurrency"]
    if resource.type == FUNCTION:
        return require(
            resource["reservedConcurrentExecutions"],
            between(1, highest, "concurrent executions"),
            absent="The function may then take all of the account's concurrency.",
        )
    if is_set(resource["provisionedPollerConfig"]):
        return not_applicable("The mapping is in provisioned mode, where its pollers bound it.")
    outcome = require(
        resource.at("scalingConfig.maximumConcurrency"),
        between(2, highest, "concurrent executions"),
        absent="The mapping may then scale without a bound of its own.",
    )
    from_queue = _reads_queue(resource)
    if from_queue:
        return outcome
    if from_queue is None:
        return any_of(outcome, undecided(resource["eventSourceArn"]))
    return not_applicable("The event source is no SQS queue.")


def _reads_queue(mapping: ResourceView) -> bool | None:
    source = mapping["eventSourceArn"]
    if source.text is not None:
        return _SQS_ARN.fullmatch(source.text) is not None
    if source.unknown:
        types = [view.type for view in mapping.stack.feeding(source)]
        if QUEUE in types:
            return True
        # A stack reference or a component may well hand over a queue.
        return False if types and all(token.startswith("aws:") for token in types) else None
    return False


@rule(
    "LA13",
    "lambda-no-plain-secrets",
    "Lambda environment variables hold no credentials",
    types=(FUNCTION,),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="Whoever may read the function's configuration reads its environment; a credential there also ends up in state "
    "files and logs.",
    reads="environment.variables",
    absent="Passes.",
    remedy="Keep the credential in Secrets Manager, give the function the secret's name and read it at run time.",
    sources=("CKV_AWS_45",),
    bad=(Sample(FUNCTION, {"role": "r", "environment": {"variables": {"DB_PASSWORD": "correct-horse-battery"}}}),),
    good=(Sample(FUNCTION, {"role": "r", "environment": {"variables": {"TABLE_NAME": "sessions"}}}),),
)
def no_plain_secrets(function: ResourceView, _: Parameters) -> list[Outcome]:
    """Check each environment variable by its name and its value. A secret marker does not hide it from AWS."""

    def check(name: str, place: Property) -> Outcome:
        reason = looks_secret(name, place.value)
        if reason is None:
            return passed(place)
        return failed(
            place,
            f"The environment variable {name} holds a credential: {reason}.",
            expected="the name of a secret that is read at run time",
            actual="a value that looks like a credential",
        )

    outcomes: list[Outcome] = []
    for name, place in function.at("environment.variables").entries():
        outcomes += every([place], partial(check, name))
    return outcomes


@rule(
    "LA15",
    "lambda-url-needs-iam",
    "Lambda function URLs require IAM authentication",
    types=(FUNCTION_URL,),
    severity=Severity.CRITICAL,
    level=Level.MANDATORY,
    why="A URL with the authorization type NONE runs the function for everyone on the internet.",
    reads="authorizationType",
    absent="Fails: the property is required.",
    remedy='Set authorization_type="AWS_IAM".',
    sources=("CKV_AWS_258",),
    bad=(Sample(FUNCTION_URL, {"functionName": "score", "authorizationType": "NONE"}),),
    good=(Sample(FUNCTION_URL, {"functionName": "score", "authorizationType": "AWS_IAM"}),),
)
def url_needs_iam(url: ResourceView, _: Parameters) -> Outcome:
    """Check who may call the URL."""
    return require(url["authorizationType"], equals("AWS_IAM"), absent="It is required.")


@rule(
    "LA08",
    "lambda-dead-letter",
    "Lambda functions keep what they fail to process asynchronously",
    types=(FUNCTION,),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    graph=True,
    why="Lambda drops an asynchronous event after two retries. Without a dead letter target or a failure destination "
    "it is lost without a trace.",
    reads="deadLetterConfig.targetArn, or destinationConfig.onFailure of a FunctionEventInvokeConfig for the function",
    absent="Fails, except for functions that only event source mappings invoke.",
    remedy="Set dead_letter_config.target_arn, or add a FunctionEventInvokeConfig with an on_failure destination.",
    sources=(
        "CKV_AWS_116",
        "NIST-R5-LambdaDLQ",
        "Serverless-LambdaDLQ",
        "Serverless-LambdaAsyncFailureDestination",
        "prowler:awslambda_function_no_dead_letter_queue",
        "pb:lambda-dead-letter-queue-required",
    ),
    bad=(Sample(FUNCTION, {"role": "r", "runtime": "python3.13"}),),
    good=(
        Sample(
            FUNCTION,
            {"role": "r", "deadLetterConfig": {"targetArn": "arn:aws:sqs:eu-west-1:111122223333:failed"}},
        ),
    ),
)
def dead_letter(function: ResourceView, _: Parameters) -> Outcome:
    """Check where events go that the function fails on.

    The sources ask this of every function. It is not asked of one that the stack only invokes through event source
    mappings: these invoke synchronously, a failed batch stays in the queue (whose own dead letter queue SQ07 asks for)
    or the stream, and nothing would ever arrive at the function's target, for which its role would need a further
    permission. A permission for another invoker, a schedule or asynchronous settings bring the question back. A
    function that nothing in the stack invokes is asked: whoever does may do it asynchronously.
    """
    target = function.at("deadLetterConfig.targetArn")
    own = require_reference(target, _KEEPER, absent="Nothing keeps the events that the function fails on.")
    if own.verdict is Verdict.PASS:
        return own
    answers = [own]
    configs = list(function_referrers(function, _EVENT_INVOKE_CONFIGS))
    for config, named in configs:
        there = require_reference(config.at("destinationConfig.onFailure.destination"), _KEEPER, absent="fail")
        if named and there.verdict is Verdict.PASS:
            return passed(target)
        if there.verdict is not Verdict.FAIL:
            answers.append(
                undecided(target, f"It is not known before apply whether {config.name} keeps this function's failures.")
            )
    answer = any_of(*answers)
    if answer.verdict is Verdict.FAIL and target.absent:
        return _only_polled(function, [named for _, named in configs]) or answer
    return answer


_KEEPER = "the ARN of a queue, a topic or another destination"


def _only_polled(function: ResourceView, configured: list[bool | None]) -> Outcome | None:
    """Return that the rule does not apply, or that this is unknown; None if others than mappings may invoke.

    `configured` says of each resource with asynchronous settings whether they are the function's.
    """
    mappings = [named for _, named in function_referrers(function, EVENT_SOURCE_MAPPINGS)]
    if not mappings:
        return None
    callers = list(configured)
    for permission, named in function_referrers(function, _PERMISSIONS):
        if permission["principal"].text not in _SYNCHRONOUS:
            callers.append(named)
    callers += [named for _, named in function_referrers(function, _SCHEDULES)]
    if True in callers:
        return None
    if callers or True not in mappings:
        return undecided(
            function["deadLetterConfig"], "It is not known before apply whether only event source mappings invoke it."
        )
    return not_applicable(
        "Only event source mappings invoke the function: what it fails on stays in their queue or stream."
    )


RULES: tuple[Rule, ...] = (
    supported_runtime,
    dead_letter,
    bounded_concurrency,
    no_plain_secrets,
    url_needs_iam,
)
