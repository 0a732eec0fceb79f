"""AWS Lambda: permissions, which say who else may invoke a function."""

from __future__ import annotations

import re

from ringfence.policy.checks import failed, is_not, not_applicable, passed, require, undecided
from ringfence.policy.graph import ResourceView
from ringfence.policy.rule import Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity
from ringfence_policies.aws.frameworks import cis, fsbp
from ringfence_policies.aws.references import is_set

__all__ = ["PERMISSION", "RULES"]

PERMISSION = "aws:lambda/permission:Permission"

_SERVICE_PRINCIPAL = re.compile(r"[a-z0-9.-]+\.amazonaws\.com(\.cn)?", re.IGNORECASE)


@rule(
    "LA01",
    "lambda-not-public",
    "Lambda functions may not be invoked by everyone",
    types=(PERMISSION,),
    severity=Severity.CRITICAL,
    level=Level.MANDATORY,
    why="A permission for the principal * lets every AWS account, and through a URL everyone, run the function.",
    reads="principal, principalOrgId",
    absent="Fails: the property is required.",
    remedy="Name the service or the account that invokes the function, or set principal_org_id.",
    frameworks=(fsbp("Lambda.1"), cis("7.0", "2.21")),
    sources=("CKV_AWS_301", "prowler:awslambda_function_not_publicly_accessible"),
    bad=(Sample(PERMISSION, {"action": "lambda:InvokeFunction", "function": "score", "principal": "*"}),),
    good=(
        Sample(
            PERMISSION, {"action": "lambda:InvokeFunction", "function": "score", "principal": "events.amazonaws.com"}
        ),
    ),
)
def not_public(permission: ResourceView, _: Parameters) -> Outcome:
    """Check who may invoke. Inside an organisation (`principalOrgId`) the principal may be `*`."""
    principal, organisation = permission["principal"], permission["principalOrgId"]
    if principal.text == "*":
        within = is_set(organisation)
        if within:
            return passed(organisation)
        if within is None:
            return undecided(organisation)
    return require(principal, is_not("*"), absent="It is required.")


@rule(
    "LA02",
    "lambda-permission-source",
    "Lambda permissions for AWS services name the source",
    types=(PERMISSION,),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="Without a source, the service may be made to invoke the function on behalf of any other account: the confused "
    "deputy.",
    reads="principal, sourceArn, sourceAccount",
    absent="Fails for service principals: nothing then limits on whose behalf the service acts.",
    remedy="Set source_arn to the rule, bucket, topic or API that invokes the function, or source_account.",
    sources=("CKV_AWS_364",),
    bad=(Sample(PERMISSION, {"principal": "s3.amazonaws.com", "function": "score"}),),
    good=(
        Sample(
            PERMISSION,
            {"principal": "s3.amazonaws.com", "function": "score", "sourceArn": "arn:aws:s3:::incoming"},
        ),
    ),
)
def permission_source(permission: ResourceView, _: Parameters) -> Outcome:
    """Check that a service is limited to a source.

    Accounts and roles act for themselves, and Alexa's principals (`*.amazon.com`) take an event source token instead.
    """
    principal = permission["principal"]
    arn, account = permission["sourceArn"], permission["sourceAccount"]
    if is_set(arn) or is_set(account):
        return passed(arn if is_set(arn) else account)
    if principal.unknown:
        return undecided(principal)
    if principal.present and principal.text is None:
        return failed(principal, f"principal is {principal.shown}.", expected="a string")
    if principal.text is None or not _SERVICE_PRINCIPAL.fullmatch(principal.text):
        return not_applicable("The permission is not for an AWS service.")
    for place in (arn, account):
        if place.unknown:
            return undecided(place)
    return failed(
        arn,
        f"{principal.shown} may invoke the function on behalf of any account: neither sourceArn nor sourceAccount is "
        "set.",
        expected="sourceArn or sourceAccount",
    )


RULES: tuple[Rule, ...] = (not_public, permission_source)
