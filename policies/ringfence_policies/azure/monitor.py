"""Azure Monitor: autoscale settings. The SDK's second version calls the module `insights`.

Capacities are strings on the wire.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from ringfence.policy.checks import (
    PASS,
    every,
    failed,
    is_true,
    non_empty,
    require,
    undecided,
)
from ringfence.policy.graph import ResourceView
from ringfence.policy.property import Property
from ringfence.policy.rule import Parameter, Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome, Severity, Verdict
from ringfence_policies.azure.arm import whole_number

__all__ = ["RULES"]

SETTING = "azure-native:monitor:AutoscaleSetting"


def _profiles(setting: ResourceView, check: Callable[[Property], Outcome | list[Outcome]]) -> list[Outcome]:
    """Check every profile. A setting without any fails: the property is required and must not be empty."""
    profiles = setting["profiles"]
    outcome = require(profiles, non_empty("a list of profiles"), absent="fail")
    return [outcome] if outcome.verdict is Verdict.FAIL else every(profiles.elements(), check)


def _capacity(minimum: str, default: str, maximum: str) -> Sample:
    """Return an example of a setting with one profile."""
    capacity = {"minimum": minimum, "default": default, "maximum": maximum}
    return Sample(SETTING, {"profiles": [{"name": "default", "capacity": capacity}]})


@rule(
    "AS01",
    "autoscale-enabled",
    "Autoscale settings are enabled",
    types=(SETTING,),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="A setting that is not enabled looks as if the resource scaled, and does nothing.",
    reads="enabled",
    absent="Fails: the default of the service is false.",
    remedy="Set enabled=True.",
    sources=("project",),
    bad=(Sample(SETTING, {"enabled": False}),),
    good=(Sample(SETTING, {"enabled": True}),),
)
def enabled(setting: ResourceView, _: Parameters) -> Outcome:
    """Check that the setting is switched on."""
    return require(setting["enabled"], is_true(), absent="The setting then does nothing.")


@rule(
    "AS02",
    "autoscale-minimum",
    "Autoscale settings keep a minimum of instances",
    types=(SETTING,),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="With too few instances left, the first requests after a quiet hour wait or fail.",
    reads="profiles[].capacity.minimum",
    absent="Fails: the property is required.",
    remedy="Raise capacity.minimum of the profile.",
    sources=("project",),
    parameters=(
        Parameter("minimum", "integer", 1, "Instances that every profile keeps, at least.", minimum=1, maximum=1000),
    ),
    bad=(_capacity("0", "1", "4"),),
    good=(_capacity("1", "1", "4"),),
)
def minimum(setting: ResourceView, parameters: Parameters) -> list[Outcome]:
    """Check the smallest number of instances of every profile."""
    test = whole_number(parameters["minimum"], unit="instances")
    return _profiles(setting, lambda profile: require(profile["capacity"]["minimum"], test, absent="fail"))


@rule(
    "AS03",
    "autoscale-maximum",
    "Autoscale settings have an upper bound of instances",
    types=(SETTING,),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="The maximum is what a burst, or a wrong metric, may cost.",
    reads="profiles[].capacity.maximum",
    absent="Fails: the property is required.",
    remedy="Lower capacity.maximum of the profile.",
    sources=("project",),
    parameters=(
        Parameter("maximum", "integer", 20, "Instances that a profile may scale to, at most.", minimum=1, maximum=1000),
    ),
    bad=(_capacity("1", "1", "500"),),
    good=(_capacity("1", "1", "4"),),
)
def maximum(setting: ResourceView, parameters: Parameters) -> list[Outcome]:
    """Check the largest number of instances of every profile."""
    test = whole_number(0, parameters["maximum"], "instances")
    return _profiles(setting, lambda profile: require(profile["capacity"]["maximum"], test, absent="fail"))


@rule(
    "AS04",
    "autoscale-order",
    "Autoscale capacities are in order",
    types=(SETTING,),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="The service refuses a capacity that is no whole number, or a default outside the minimum and the maximum, "
    "when the stack is half deployed.",
    reads="profiles[].capacity: minimum, default, maximum",
    absent="Fails: all three are required.",
    remedy="Give whole numbers with minimum ≤ default ≤ maximum.",
    sources=("project",),
    bad=(_capacity("2", "1", "4"),),
    good=(_capacity("1", "2", "4"),),
)
def order(setting: ResourceView, _: Parameters) -> list[Outcome]:
    """Check the capacity of every profile."""
    return _profiles(setting, lambda profile: _in_order(profile["capacity"]))


_COUNT = whole_number(0, unit="instances")


def _in_order(capacity: Property) -> list[Outcome]:
    places = [capacity[key] for key in ("minimum", "default", "maximum")]
    outcomes = [require(place, _COUNT, absent="fail") for place in places]
    known = [(place, place.number) for place in places if place.number is not None]
    for (small, less), (large, more) in pairwise(known):
        if less > more:
            message = f"{small.path} is {small.shown}, more than {large.path}, which is {large.shown}."
            outcomes.append(failed(small, message, expected="minimum ≤ default ≤ maximum"))
    return outcomes


def _scaling(*directions: str) -> Sample:
    """Return an example of a setting with one rule a direction."""
    rules = [{"scaleAction": {"direction": direction, "type": "ChangeCount"}} for direction in directions]
    return Sample(SETTING, {"profiles": [{"name": "default", "rules": rules}]})


@rule(
    "AS05",
    "autoscale-both-ways",
    "Autoscale profiles scale out and in",
    types=(SETTING,),
    severity=Severity.MEDIUM,
    level=Level.MANDATORY,
    why="What only scales out stays large and is paid for; what only scales in is small when it is needed.",
    reads="profiles[].rules[].scaleAction.direction; fixedDate, recurrence and capacity of profiles without rules",
    absent="Fails, except for a scheduled profile of a fixed count, which has no need of rules.",
    remedy="Give every profile a rule with direction Increase and one with direction Decrease.",
    sources=("project",),
    bad=(_scaling("Increase"),),
    good=(_scaling("Increase", "Decrease"),),
)
def both_ways(setting: ResourceView, _: Parameters) -> list[Outcome]:
    """Check the directions of every profile's rules."""
    return _profiles(setting, _both_ways)


def _both_ways(profile: Property) -> list[Outcome]:
    rules = profile["rules"]
    if rules.absent or (rules.is_list and not rules.elements()):
        fixed = _fixed_count(profile)
        if fixed is not False:
            return [PASS if fixed else undecided(profile["capacity"])]
    directions = [element["scaleAction"]["direction"] for element in rules.elements()]
    outcomes: list[Outcome] = []
    for wanted, way in (("Increase", "out"), ("Decrease", "in")):
        if any((direction.text or "").casefold() == wanted.casefold() for direction in directions):
            continue
        if any(direction.unknown for direction in directions):
            message = f"It is not known whether a rule of {rules.path} scales {way}."
            outcomes.append(undecided(rules, message))
        else:
            message = f"No rule of {rules.path} scales {way}."
            outcomes.append(failed(rules, message, expected=f"a rule with direction {wanted}"))
    return outcomes or [PASS]


def _fixed_count(profile: Property) -> bool | None:
    """Return whether a profile holds one number of instances at certain times; None if that is unknown."""
    if profile["fixedDate"].absent and profile["recurrence"].absent:
        return False
    low, high = profile["capacity"]["minimum"], profile["capacity"]["maximum"]
    if low.unknown or high.unknown:
        return None
    return low.number is not None and low.number == high.number


RULES: tuple[Rule, ...] = (enabled, minimum, maximum, order, both_ways)
