"""AWS IAM: roles that are handed to services, and ARNs in policies that name nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from ringfence.policy.checks import PASS, failed, not_applicable, passed, undecided
from ringfence.policy.graph import ResourceView, StackView
from ringfence.policy.property import Property
from ringfence.policy.rule import Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity, Verdict
from ringfence_policies.aws.iam import POLICY, POLICY_TYPES, ROLE, judge_policies
from ringfence_policies.aws.iam_document import Fact, Statement, both, either, forbid, judge, some
from ringfence_policies.aws.lambda_ import FUNCTION
from ringfence_policies.aws.references import properties, referents

__all__ = ["RULES"]

SERVICES: Mapping[str, Mapping[str, str]] = {
    FUNCTION: {"role": "lambda"},
    "aws:batch/computeEnvironment:ComputeEnvironment": {"serviceRole": "batch"},
    "aws:cfg/recorder:Recorder": {"roleArn": "config"},
    "aws:codebuild/project:Project": {"serviceRole": "codebuild"},
    "aws:ecs/taskDefinition:TaskDefinition": {"executionRoleArn": "ecs-tasks", "taskRoleArn": "ecs-tasks"},
    "aws:glue/job:Job": {"roleArn": "glue"},
    "aws:pipes/pipe:Pipe": {"roleArn": "pipes"},
    "aws:sagemaker/model:Model": {"executionRoleArn": "sagemaker"},
    "aws:sagemaker/notebookInstance:NotebookInstance": {"roleArn": "sagemaker"},
    "aws:sagemaker/pipeline:Pipeline": {"roleArn": "sagemaker"},
    "aws:sfn/stateMachine:StateMachine": {"roleArn": "states"},
}
"""Type to the properties that hold a role, and the service that takes it on.

Facts: the services' developer guides, each under "execution role" or "service role".
"""

_MODEL = "aws:sagemaker/model:Model"
_ROLE_ARN = "arn:aws:iam::111122223333:role/score"


def _role(service: str) -> Sample:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return Sample(
        ROLE,
        {"assumeRolePolicy": json.dumps({"Version": "2012-10-17", "Statement": [statement]})},
        name="role",
        outputs={"arn": _ROLE_ARN},
    )


@rule(
    "IA26",
    "iam-role-trusts-its-service",
    "A role that is handed to a service may be assumed by that service",
    types=tuple(SERVICES),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    graph=True,
    why="Otherwise the service cannot take the role on: the deployment fails, or what it deploys cannot run. A role "
    "made for another service has that service's permissions, too.",
    reads="the role properties of functions, models, state machines, tasks and the like; assumeRolePolicy of the role",
    absent="Not applicable: no role is handed over.",
    remedy="Make a role of its own for the service, with the service as principal of its assume_role_policy.",
    sources=("project",),
    bad=(Sample(_MODEL, {"executionRoleArn": _ROLE_ARN}, name="model"), _role("lambda.amazonaws.com")),
    good=(Sample(_MODEL, {"executionRoleArn": _ROLE_ARN}, name="model"), _role("sagemaker.amazonaws.com")),
)
def role_trusts_its_service(resource: ResourceView, _: Parameters) -> list[Outcome]:
    """Check each role property, as far as the stack holds the roles."""
    outcomes = [
        _trusted(resource, resource[name], service)
        for name, service in SERVICES[resource.type].items()
        if not resource[name].absent
    ]
    return outcomes or [not_applicable("No role is handed over.")]


def _trusted(resource: ResourceView, place: Property, service: str) -> Outcome:
    if place.present and place.text is None:
        return failed(place, f"{place.path} is {place.shown}.", expected="a role")
    roles = resource.stack.once(referents, properties(resource.type, place.path), ROLE).get(resource)
    if not roles:
        return undecided(place, "The role is not known to be one of this stack, so whom it trusts is not known.")
    role = roles[0]
    trusts = resource.stack.once(_trusts, role, service)
    if trusts:
        return passed(place)
    if trusts is None:
        return undecided(place, f"Whom the role {role.name} trusts is not known before apply.")
    return failed(
        place,
        f"The role {role.name} does not let {service}.amazonaws.com assume it.",
        expected=f"a role that trusts {service}.amazonaws.com",
    )


def _trusts(_: StackView, role: ResourceView, service: str) -> bool | None:
    """Return whether a role lets a service assume it; None if that is unknown."""
    # The service may also be named with a region.
    name = re.compile(rf"{service}(\.[a-z]{{2}}(-[a-z]+)+-\d+)?\.amazonaws\.com(\.cn)?", re.IGNORECASE)
    facts: list[Fact] = []

    def look(statement: Statement) -> Outcome:
        facts.append(both(_names(statement, name), statement.allows, statement.grants("sts:AssumeRole")))
        return PASS

    trust = role["assumeRolePolicy"]
    outcomes = judge(trust, look)
    trusts = either(Fact(False, trust), *facts).holds
    if trusts is False and any(outcome.verdict is Verdict.UNKNOWN for outcome in outcomes):
        return None
    return trusts


def _names(statement: Statement, service: re.Pattern[str]) -> Fact:
    """Return whether the statement's principals take in a service."""
    principals = list(statement.principals())
    services = [place for kind, place in principals if kind.casefold() == "service"]
    everyone = [place for kind, place in principals if kind == "*"]
    otherwise = statement.element("Principal")
    return either(
        some(services, lambda text: service.fullmatch(text) is not None, otherwise),
        some(everyone, lambda text: text == "*", otherwise),
    )


# --- ARNs that name nothing ------------------------------------------------------------------------------------------

_NAMELESS = re.compile(
    # The account open, and of the resource at most the type told: arn:aws:logs:*:*:*, arn:aws:sqs:*:*:*.
    r"arn:[^:]+:[a-z0-9-]+:[^:]*:\*:(?:[a-z-]+[:/])?\*(?:[:/]?\*)*"
    # Types without an account: arn:aws:s3:::*
    r"|arn:[^:]+:[a-z0-9-]+:[^:]*::\*+"
)


def _policy(resource: str) -> Sample:
    statement = {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": resource}
    return Sample(POLICY, {"policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]})})


@rule(
    "IA27",
    "iam-no-nameless-arn",
    "ARNs in IAM policies name an account or a resource",
    types=POLICY_TYPES,
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="An ARN such as arn:aws:logs:*:*:* covers every resource of the service, those of other programs too.",
    reads="Resource in policy of managed and inline policies, inlinePolicies[].policy of roles",
    absent="Not applicable: there is no policy document.",
    remedy="Name the resource, for example by the ARN output of the log group, with pulumi.Output.json_dumps.",
    sources=("project",),
    bad=(_policy("arn:aws:logs:*:*:*"),),
    good=(_policy("arn:aws:logs:eu-west-1:111122223333:log-group:/aws/lambda/score:*"),),
)
def no_nameless_arn(resource: ResourceView, _: Parameters) -> list[Outcome]:
    """Check the resources of statements that allow something. That `*` alone is too wide is said by other rules."""

    def check(statement: Statement) -> Outcome:
        nameless = some(
            statement.values("Resource"),
            lambda text: _NAMELESS.fullmatch(text) is not None,
            statement.element("Resource"),
        )
        message = "the statement is about {}, which names neither an account nor a resource."
        return forbid(both(nameless, statement.allows), message, expected="the ARNs that are needed")

    return judge_policies(resource, check)


RULES: tuple[Rule, ...] = (role_trusts_its_service, no_nameless_arn)
