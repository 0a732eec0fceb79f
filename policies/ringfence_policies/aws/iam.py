"""AWS IAM: what policies grant, and whom roles trust."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ringfence.policy.checks import failed, not_applicable
from ringfence.policy.graph import ResourceView
from ringfence.policy.property import Property
from ringfence.policy.rule import Parameter, Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity
from ringfence_policies.aws.frameworks import cis, fsbp
from ringfence_policies.aws.iam_document import (
    Fact,
    Statement,
    both,
    forbid,
    judge,
    negated,
    spans_actions,
    spans_service,
)

__all__ = ["POLICY", "POLICY_TYPES", "ROLE", "ROLE_POLICY", "RULES", "judge_policies", "policies"]

ROLE = "aws:iam/role:Role"
POLICY = "aws:iam/policy:Policy"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
USER_POLICY = "aws:iam/userPolicy:UserPolicy"
GROUP_POLICY = "aws:iam/groupPolicy:GroupPolicy"
POLICY_TYPES = (POLICY, ROLE_POLICY, USER_POLICY, GROUP_POLICY, ROLE)

_ACCOUNT = re.compile(r"arn:[^:]+:iam::([\d*]+):root|(\d{12})")


def policies(resource: ResourceView) -> list[Property]:
    """Return the places of the identity-based policies that a resource of `POLICY_TYPES` holds."""
    if resource.type == ROLE:
        return [inline["policy"] for inline in resource["inlinePolicies"].elements()]
    return [resource["policy"]]


def judge_policies(resource: ResourceView, check: Callable[[Statement], Outcome | Iterable[Outcome]]) -> list[Outcome]:
    """Check each statement of each identity-based policy of a resource."""
    places = policies(resource)
    if not places:
        return [not_applicable("The role has no inline policy.")]
    return [outcome for place in places for outcome in judge(place, check)]


def _document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def _policy(action: str | list[str], resource: str = "arn:aws:sqs:eu-west-1:111122223333:jobs") -> Sample:
    return Sample(POLICY, {"policy": _document({"Effect": "Allow", "Action": action, "Resource": resource})})


_READS = "policy of managed and inline policies, inlinePolicies[].policy of roles"
_ABSENT = "Not applicable: there is no policy document."
_GOOD = (_policy(["sqs:ReceiveMessage", "sqs:DeleteMessage"]),)


@rule(
    "IA01",
    "iam-no-full-admin",
    "IAM policies do not grant full administration",
    types=POLICY_TYPES,
    severity=Severity.CRITICAL,
    level=Level.MANDATORY,
    why="Whoever gets hold of the identity owns the account.",
    reads=_READS,
    absent=_ABSENT,
    remedy="List the actions that are needed, and the ARNs that they are needed on.",
    frameworks=(fsbp("IAM.1"), cis("5.0", "1.15"), cis("6.0", "2.15"), cis("7.0", "2.14")),
    sources=("CKV_AWS_62", "NIST-R5-IAMPolicyNoStatementsWithAdminAccess"),
    bad=(_policy("*", "*"),),
    good=_GOOD,
)
def no_full_admin(resource: ResourceView, _: Parameters) -> list[Outcome]:
    """Check that no statement allows all actions on all resources."""

    def check(statement: Statement) -> Outcome:
        fact = both(statement.acts(spans_actions), statement.on_all_resources, statement.allows)
        return forbid(fact, "the statement allows {} on all resources.", expected="the actions that are needed")

    return judge_policies(resource, check)


@rule(
    "IA02",
    "iam-no-star-action",
    "IAM policies do not allow the action *",
    types=POLICY_TYPES,
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="All actions include those that delete the resource and those that change who may do what.",
    reads=_READS,
    absent=_ABSENT,
    remedy="List the actions that are needed.",
    sources=("CKV_AWS_63", "AwsSolutions-IAM5"),
    bad=(_policy("*"),),
    good=_GOOD,
)
def no_star_action(resource: ResourceView, _: Parameters) -> list[Outcome]:
    """Check that no statement allows all actions, on whatever resource."""

    def check(statement: Statement) -> Outcome:
        fact = both(statement.acts(spans_actions), statement.allows)
        return forbid(fact, "the statement allows {}, which is every action.", expected="the actions that are needed")

    return judge_policies(resource, check)


@rule(
    "IA03",
    "iam-no-service-wildcard",
    "IAM policies do not allow all actions of a service",
    types=POLICY_TYPES,
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    why="A service's wildcard also allows what the program never does, and what the service adds tomorrow.",
    reads=_READS,
    absent=_ABSENT,
    remedy="List the actions that are needed instead of the service's wildcard or NotAction.",
    frameworks=(fsbp("IAM.21"),),
    sources=(
        "NIST-R5-IAMPolicyNoStatementsWithFullAccess",
        "AwsSolutions-IAM5",
        "pb:iam-*-least-privilege",
    ),
    bad=(_policy("sqs:*"),),
    good=_GOOD,
)
def no_service_wildcard(resource: ResourceView, _: Parameters) -> list[Outcome]:
    """Check that no statement allows all actions of a service, be it by `svc:*` or by what NotAction leaves over."""

    def check(statement: Statement) -> list[Outcome]:
        wildcard = both(statement.acts(spans_service), statement.allows)
        rest = both(statement.excludes_actions, statement.allows)
        return [
            forbid(wildcard, "the statement allows {}.", expected="the actions that are needed"),
            forbid(
                rest,
                "with NotAction the statement allows every action of every other service.",
                expected="Action with the actions that are needed",
            ),
        ]

    return judge_policies(resource, check)


def _trust(principal: Any, **more: Any) -> Sample:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more}
    return Sample(ROLE, {"assumeRolePolicy": _document(statement)})


@rule(
    "IA13",
    "iam-trust-not-open",
    "IAM roles trust named principals only",
    types=(ROLE,),
    severity=Severity.CRITICAL,
    level=Level.MANDATORY,
    why="A role that trusts * can be assumed from any AWS account; one that trusts an account's root, by every "
    "identity of that account that is allowed to assume roles.",
    reads="assumeRolePolicy",
    absent=_ABSENT,
    remedy="Name the service, role or identity provider that assumes the role, or pin the caller by a condition.",
    frameworks=(cis("7.0", "2.21"),),
    sources=("CKV_AWS_60", "CKV_AWS_61"),
    parameters=(Parameter("trustedAccounts", "array", (), "Ids of the AWS accounts that roles may trust as a whole."),),
    bad=(_trust({"AWS": "*"}),),
    good=(_trust({"Service": "lambda.amazonaws.com"}),),
)
def trust_not_open(role: ResourceView, parameters: Parameters) -> list[Outcome]:
    """Check the principals of the trust policy.

    A condition may narrow them: on the caller's organisation, account or ARN for every principal, and on the external
    id (the way AWS tells third parties to be trusted) for a whole account.
    """
    trusted = set(parameters["trustedAccounts"])

    def check(statement: Statement) -> Iterator[Outcome]:
        caller = negated(
            statement.conditioned_on(
                "aws:PrincipalOrgID", "aws:PrincipalOrgPaths", "aws:PrincipalAccount", "aws:PrincipalArn"
            )
        )
        no_external_id = negated(statement.conditioned_on("sts:ExternalId"))
        excluded = statement.element("NotPrincipal")
        if not excluded.absent:
            all_others = both(Fact(True, excluded), statement.allows)
            yield forbid(all_others, "with NotPrincipal the role trusts everyone else.", expected="Principal")
        elif statement.element("Principal").absent:
            yield failed(statement.place, f"{statement.place.path} has no Principal.", expected="Principal")
        for kind, place in statement.principals():
            fault = _principal_fault(kind, place)
            if fault is not None:
                yield fault
                continue
            anyone = Fact(None if place.unknown else place.text == "*", place)
            yield forbid(
                both(anyone, statement.allows, caller),
                "the role trusts everyone.",
                expected="the principals that assume the role",
            )
            account = Fact(None if place.unknown else _is_account(kind, place, trusted), place)
            yield forbid(
                both(account, statement.allows, caller, no_external_id),
                "the role trusts a whole account, {}.",
                expected="the principals that assume the role",
            )

    return judge(role["assumeRolePolicy"], check)


def _is_account(kind: str, place: Property, trusted: set[str]) -> bool:
    found = _ACCOUNT.fullmatch(place.text or "") if kind.casefold() == "aws" else None
    return found is not None and (found.group(1) or found.group(2)) not in trusted


def _principal_fault(kind: str, place: Property) -> Outcome | None:
    if place.unknown or place.text == "*" or (place.text is not None and kind != "*"):
        return None
    shown = "null" if place.absent else place.shown
    return failed(place, f"{place.path} is {shown} where a principal belongs.", expected="a principal")


RULES: tuple[Rule, ...] = (no_full_admin, no_star_action, no_service_wildcard, trust_not_open)
