"""Amazon DynamoDB: tables."""

from __future__ import annotations

from ringfence.policy.checks import (
    all_of,
    any_of,
    between,
    equals,
    failed,
    is_true,
    not_applicable,
    one_of,
    passed,
    require,
    undecided,
)
from ringfence.policy.graph import ResourceView
from ringfence.policy.rule import Parameter, Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity, Verdict
from ringfence_policies.aws.frameworks import fsbp
from ringfence_policies.aws.scaling import POLICY, TARGET, scales, tracks

__all__ = ["RULES", "TABLE"]

TABLE = "aws:dynamodb/table:Table"

_DIMENSIONS = {"read": "dynamodb:table:ReadCapacityUnits", "write": "dynamodb:table:WriteCapacityUnits"}


def _scaling_target(dimension: str) -> Sample:
    return Sample(
        TARGET,
        {
            "serviceNamespace": "dynamodb",
            "resourceId": "table/sessions",
            "scalableDimension": dimension,
            "minCapacity": 1,
            "maxCapacity": 100,
        },
        name=dimension,
    )


@rule(
    "DY01",
    "dynamodb-scales",
    "DynamoDB tables scale with demand",
    types=(TABLE,),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    graph=True,
    why="A table of fixed capacity throttles as soon as the load exceeds it, and costs the same when there is none.",
    reads="billingMode, or the application auto scaling targets for the table's read and write capacity",
    absent="Fails without scaling targets: the default is PROVISIONED.",
    remedy='Set billing_mode="PAY_PER_REQUEST", or add an aws.appautoscaling.Target each for read and write capacity.',
    frameworks=(fsbp("DynamoDB.1"),),
    sources=("CKV2_AWS_16", "NIST-R5-DynamoDBAutoScalingEnabled", "pb:dynamodb-auto-scaling-enabled"),
    bad=(Sample(TABLE, {"hashKey": "id", "billingMode": "PROVISIONED", "readCapacity": 5, "writeCapacity": 5}),),
    good=(
        Sample(TABLE, {"hashKey": "id", "billingMode": "PAY_PER_REQUEST"}, name="on-demand"),
        Sample(TABLE, {"name": "sessions", "readCapacity": 5, "writeCapacity": 5}, name="provisioned"),
        *(_scaling_target(dimension) for dimension in _DIMENSIONS.values()),
    ),
)
def scaling(table: ResourceView, _: Parameters) -> list[Outcome]:
    """Check the billing mode, else that both capacities have a scaling target. Indexes are not looked at."""
    mode = table["billingMode"]
    on_demand = require(mode, equals("PAY_PER_REQUEST"), absent="The default is PROVISIONED.")
    if on_demand.verdict is Verdict.PASS:
        return [on_demand]
    known = require(mode, one_of("PAY_PER_REQUEST", "PROVISIONED"), absent="pass")
    if known.verdict is Verdict.FAIL:
        return [known]
    return [any_of(on_demand, _scaled(table, kind, dimension)) for kind, dimension in _DIMENSIONS.items()]


def _scaled(table: ResourceView, kind: str, dimension: str) -> Outcome:
    mode = table["billingMode"]
    name = table.output("name").text
    found = scales(table, "dynamodb", dimension, f"table/{name}" if name else None)
    if found:
        return passed(mode)
    if found is None:
        return undecided(
            mode, f"It is not known before apply whether the table's {kind} capacity has a scaling target."
        )
    return failed(
        mode,
        f"The table has provisioned capacity, and nothing scales its {kind} capacity.",
        expected=f'"PAY_PER_REQUEST" or a scaling target for {kind} capacity',
    )


@rule(
    "DY02",
    "dynamodb-point-in-time-recovery",
    "DynamoDB tables have point-in-time recovery",
    types=(TABLE,),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="Without it a bug or a wrong script that overwrites items cannot be undone.",
    reads="pointInTimeRecovery.enabled",
    absent="Fails: it is off by default.",
    remedy='Set point_in_time_recovery={"enabled": True}.',
    frameworks=(fsbp("DynamoDB.2"),),
    sources=("CKV_AWS_28", "AwsSolutions-DDB3", "NIST-R5-DynamoDBPITREnabled"),
    bad=(Sample(TABLE, {"hashKey": "id", "pointInTimeRecovery": {"enabled": False}}),),
    good=(Sample(TABLE, {"hashKey": "id", "pointInTimeRecovery": {"enabled": True}}),),
)
def point_in_time_recovery(table: ResourceView, _: Parameters) -> Outcome:
    """Check that continuous backups are on."""
    return require(table.at("pointInTimeRecovery.enabled"), is_true(), absent="It is off by default.")


@rule(
    "DY04",
    "dynamodb-deletion-protection",
    "DynamoDB tables are protected from deletion",
    types=(TABLE,),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="One wrong destroy or replacement otherwise deletes the table with its data.",
    reads="deletionProtectionEnabled",
    absent="Fails: it is off by default.",
    remedy="Set deletion_protection_enabled=True.",
    frameworks=(fsbp("DynamoDB.6"),),
    sources=("FSBP DynamoDB.6",),
    bad=(Sample(TABLE, {"hashKey": "id"}),),
    good=(Sample(TABLE, {"hashKey": "id", "deletionProtectionEnabled": True}),),
)
def deletion_protection(table: ResourceView, _: Parameters) -> Outcome:
    """Check deletion protection."""
    return require(table["deletionProtectionEnabled"], is_true(), absent="It is off by default.")


@rule(
    "DY10",
    "dynamodb-scaling-bounds",
    "Scaling targets of DynamoDB tables have bounds and a policy",
    types=(TARGET,),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    graph=True,
    why="A target without a target tracking policy scales nothing, and one with a high upper bound has no cost limit.",
    reads="minCapacity and maxCapacity of the target; policyType, resourceId and scalableDimension of scaling policies",
    absent="Fails: the bounds are required, and the default policy type is StepScaling, which DynamoDB does not take.",
    remedy="Set min_capacity and max_capacity, and add an aws.appautoscaling.Policy of the type TargetTrackingScaling.",
    frameworks=(fsbp("DynamoDB.1"),),
    sources=("FSBP DynamoDB.1",),
    parameters=(Parameter("maximumCapacity", "integer", 4000, "Highest upper bound, in capacity units.", minimum=1),),
    bad=(_scaling_target(_DIMENSIONS["read"]),),
    good=(
        _scaling_target(_DIMENSIONS["read"]),
        Sample(
            POLICY,
            {
                "policyType": "TargetTrackingScaling",
                "serviceNamespace": "dynamodb",
                "resourceId": "table/sessions",
                "scalableDimension": _DIMENSIONS["read"],
            },
            name="policy",
        ),
    ),
)
def scaling_bounds(target: ResourceView, parameters: Parameters) -> list[Outcome]:
    """Check a target of a table or an index."""
    namespace, low, high = target["serviceNamespace"], target["minCapacity"], target["maxCapacity"]
    if namespace.present and namespace.text != "dynamodb":
        return [not_applicable("The target does not scale a DynamoDB table.")]
    test = between(1, parameters["maximumCapacity"], "capacity units")
    outcomes = [require(place, test, absent="It is required.") for place in (low, high)]
    if low.number is not None and high.number is not None and low.number > high.number:
        outcomes.append(failed(low, f"minCapacity is {low.shown}, more than maxCapacity, {high.shown}."))
    tracked = tracks(target)
    if tracked is None:
        outcomes.append(undecided(target["resourceId"], "It is not known before apply which target a policy is for."))
    elif not tracked:
        outcomes.append(
            failed(target["resourceId"], "No target tracking policy is for this target, so it scales nothing.")
        )
    if namespace.unknown:
        return [any_of(all_of(*outcomes), undecided(namespace))]
    return outcomes


RULES: tuple[Rule, ...] = (scaling, point_in_time_recovery, deletion_protection, scaling_bounds)
