"""AWS Lambda: the roles of functions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product

from ringfence.policy.checks import failed, not_applicable, passed, undecided
from ringfence.policy.graph import ResourceView, StackView
from ringfence.policy.property import Property
from ringfence.policy.rule import Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity, Verdict
from ringfence_policies.aws.iam import POLICY, ROLE, ROLE_POLICY, policies
from ringfence_policies.aws.iam_attachments import POLICY_ATTACHMENT, ROLE_POLICY_ATTACHMENT, managed_policy
from ringfence_policies.aws.iam_document import Statement, both, forbid, judge, spans_actions
from ringfence_policies.aws.lambda_ import FUNCTION
from ringfence_policies.aws.references import Place, properties, referents, referrers

__all__ = ["RULES"]


@rule(
    "LA18",
    "lambda-role-no-star",
    "Roles of Lambda functions do not allow the action *",
    types=(FUNCTION,),
    severity=Severity.HIGH,
    level=Level.MANDATORY,
    graph=True,
    why="A function runs code that the internet may reach through its events; with * a flaw in it is a flaw in the "
    "account.",
    reads="the inline and attached policies of the role that role names",
    absent="Not applicable: the property is required.",
    remedy="List the actions that the function needs.",
    sources=("Serverless-LambdaStarPermissions",),
    bad=(
        Sample(FUNCTION, {"role": "arn:aws:iam::111122223333:role/score"}, name="score"),
        Sample(
            ROLE,
            {
                "assumeRolePolicy": "{}",
                "inlinePolicies": [
                    {
                        "name": "all",
                        "policy": json.dumps({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}),
                    }
                ],
            },
            name="role",
            outputs={"arn": "arn:aws:iam::111122223333:role/score"},
        ),
    ),
    good=(
        Sample(FUNCTION, {"role": "arn:aws:iam::111122223333:role/score"}, name="score"),
        Sample(ROLE, {"assumeRolePolicy": "{}"}, name="role", outputs={"arn": "arn:aws:iam::111122223333:role/score"}),
    ),
)
def role_no_star(function: ResourceView, _: Parameters) -> list[Outcome]:
    """Check the policies of the function's role, as far as the stack holds them.

    Policies that AWS manages cannot be read here; of those, AdministratorAccess is known to allow everything.
    """
    place = function["role"]
    if place.absent:
        return [not_applicable("The function has no role.")]
    if place.present and place.text is None:
        return [failed(place, f"role is {place.shown}.", expected="the ARN of a role")]
    roles = function.stack.once(referents, properties(FUNCTION, "role"), ROLE).get(function)
    if not roles:
        return [undecided(place, "The role is not known to be one of this stack, so its policies are not known.")]
    return [passed(place), *(_moved(outcome, name, place) for name, outcome in _outcomes(roles[0]))]


def _outcomes(role: ResourceView) -> Iterator[tuple[str, Outcome]]:
    """Yield what the role's policies say, with the name of the resource that says it."""

    def check(statement: Statement) -> Outcome:
        return forbid(both(statement.acts(spans_actions), statement.allows), "the statement allows {}.")

    def document(view: ResourceView, place: Property, sure: bool | None) -> Iterator[tuple[str, Outcome]]:
        for outcome in judge(place, check):
            yield view.name, outcome if sure or outcome.verdict is not Verdict.FAIL else undecided(place)

    for inline in policies(role):
        yield from document(role, inline, True)
    for view, _, named in referrers(role, properties(ROLE_POLICY, "role")):
        yield from document(view, view["policy"], named)
    for view, arn, named in _attached(role):
        name = managed_policy(arn)
        if name is not None:
            if name == "AdministratorAccess":
                yield view.name, failed(arn, f"{name} is attached.") if named else undecided(arn)
            continue
        for policy, is_it in role.stack.once(_policies).get((view, arn.path), ()):
            yield from document(policy, policy["policy"], named and is_it)
        if arn.unknown and not arn.sources:
            yield view.name, undecided(arn)


def _attached(role: ResourceView) -> Iterator[tuple[ResourceView, Property, bool | None]]:
    for arn in role["managedPolicyArns"].elements():
        yield role, arn, True
    for view, _, named in referrers(role, properties(ROLE_POLICY_ATTACHMENT, "role")):
        yield view, view["policyArn"], named
    for view, _, named in referrers(role, _attached_roles):
        yield view, view["policyArn"], named


def _attached_roles(stack: StackView) -> Iterator[Place]:
    for view in stack.of_type(POLICY_ATTACHMENT):
        for place in view["roles"].elements():
            yield view, place


def _attached_policies(stack: StackView) -> Iterator[Place]:
    for role in stack.of_type(ROLE):
        for place in role["managedPolicyArns"].elements():
            yield role, place
    for view in stack.of_type(ROLE_POLICY_ATTACHMENT, POLICY_ATTACHMENT):
        yield view, view["policyArn"]


def _policies(stack: StackView) -> dict[tuple[ResourceView, str], list[tuple[ResourceView, bool | None]]]:
    """Return the policies of the stack that each place (resource and path) attaches, or may attach (None)."""
    policies: dict[tuple[ResourceView, str], list[tuple[ResourceView, bool | None]]] = {}
    for policy in stack.of_type(POLICY):
        for view, place, named in referrers(policy, _attached_policies):
            policies.setdefault((view, place.path), []).append((policy, named))
    return policies


def _moved(outcome: Outcome, name: str, place: Property) -> Outcome:
    """Return the outcome as one about the function's role."""
    if outcome.verdict is Verdict.FAIL:
        return failed(place, f"The role's policies, in {name}: {outcome.message}", expected="the actions it needs")
    if outcome.verdict is Verdict.UNKNOWN:
        return undecided(place, f"The role's policies, in {name}: {outcome.message}")
    return passed(place)


@rule(
    "LA21",
    "lambda-own-role",
    "Each Lambda function has a role of its own",
    types=(FUNCTION,),
    severity=Severity.LOW,
    level=Level.ADVISORY,
    graph=True,
    why="A shared role must hold the permissions that any of its functions needs, so each has more than its own.",
    reads="role of every function in the stack",
    absent="Not applicable: the property is required.",
    remedy="Give each function its own aws.iam.Role with what that function needs.",
    sources=("project",),
    bad=(
        Sample(FUNCTION, {"role": "arn:aws:iam::111122223333:role/shared"}, name="ingest"),
        Sample(FUNCTION, {"role": "arn:aws:iam::111122223333:role/shared"}, name="score"),
    ),
    good=(
        Sample(FUNCTION, {"role": "arn:aws:iam::111122223333:role/ingest"}, name="ingest"),
        Sample(FUNCTION, {"role": "arn:aws:iam::111122223333:role/score"}, name="score"),
    ),
)
def own_role(function: ResourceView, _: Parameters) -> Outcome:
    """Check that no other function has the same role."""
    role = function["role"]
    if role.absent:
        return not_applicable("The function has no role.")
    if role.present and role.text is None:
        return failed(role, f"role is {role.shown}.", expected="the ARN of a role")
    arn, origin = role.text, _origin(function)
    same: list[_RoleKey] = [("ARN", arn), ("unknown ARN", origin)] if arn is not None else [("origin", origin)]
    other = _first_other(function, same)
    if other is not None:
        message = f"The function {other.name} has the same role."
        return failed(role, message, expected="a role that no other function has")
    other = _first_other(function, [("unclear", arn is not None, origin is not None)])
    if other is not None:
        return undecided(role, f"It is not known before apply whether {other.name} has the same role.")
    return passed(role)


def _origin(function: ResourceView) -> str | None:
    """Return the URN of the role that went into the function's property; None if there is not exactly one."""
    urns = {view.urn for view in function.stack.feeding(function["role"]) if view.type == ROLE}
    return urns.pop() if len(urns) == 1 else None


_RoleKey = tuple[str | bool | None, ...]


def _first_other(function: ResourceView, keys: list[_RoleKey]) -> ResourceView | None:
    index = function.stack.once(_by_role)
    found = [entry for key in keys for entry in index.get(key, ())[:2] if entry[1] is not function]
    return min(found, key=lambda entry: entry[0])[1] if found else None


def _by_role(stack: StackView) -> dict[_RoleKey, list[tuple[int, ResourceView]]]:
    """Return the functions, numbered, by what tells their roles apart.

    Two known ARNs are compared. An unknown one is told from any other by the role resource that both come from. What
    is left is unclear: the last keys say whether the function that asks has a known ARN, and one role of origin.
    """
    index: dict[_RoleKey, list[tuple[int, ResourceView]]] = {}
    for number, view in enumerate(stack.of_type(FUNCTION)):
        role = view["role"]
        if not role.present and not role.unknown:
            continue
        arn, origin = role.text, _origin(view)
        keys: list[_RoleKey] = [("ARN", arn)] if arn is not None else []
        if origin is not None:
            keys += [("origin", origin)] if arn is not None else [("origin", origin), ("unknown ARN", origin)]
        for has_arn, has_origin in product((False, True), repeat=2):
            if not (has_arn and arn is not None) and not (has_origin and origin is not None):
                keys.append(("unclear", has_arn, has_origin))
        for key in keys:
            index.setdefault(key, []).append((number, view))
    return index


RULES: tuple[Rule, ...] = (role_no_star, own_role)
