"""What autoscale makes of the rules that the stack registers, under loads of many shapes."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest

from ringfence.deployment import Deployment
from ringfence.sources.interface import Request
from ringfence.sources.project import EmbeddedSource
from tests.unit.stacks.autoscale import Load, Profile, Run, flaps, simulate
from tests.unit.stacks.graphs import deployment, one
from tests.unit.stacks.loading import STACKS

STACK = "model_serving"
SETTING = "azure-native:monitor:AutoscaleSetting"
CPU = "CpuUtilizationPercentage"
START_MINUTES = 5
"""What the settings say by default."""

SCALED = [("dev", "blue"), ("prod", "blue"), ("prod", "green")]


def profile_of(environment: str, colour: str) -> Profile:
    return Profile.of(one(deployment(STACK, environment), SETTING, colour).inputs)


def shape(name: str, low: float, high: float) -> list[float | None]:
    """Return the load of each minute, in percent of one instance over all."""
    match name:
        case "steady":
            return [low] * 240
        case "step up":
            return [low] * 60 + [high] * 300
        case "step down":
            return [high] * 120 + [low] * 480
        case "spike":
            return [low] * 60 + [high] * 20 + [low] * 480
        case "short spike":
            return [low] * 60 + [high] * 2 + [low] * 60
        case "diurnal":
            middle, half = (high + low) / 2, (high - low) / 2
            return [middle - half * math.cos(minute / 1440 * 2 * math.pi) for minute in range(2 * 1440)]
        case "sawtooth":
            return [low + (high - low) * (minute % 180) / 180 for minute in range(1440)]
        case "uneven":
            # Up and down by a tenth from minute to minute, around a level that rises and falls.
            level = shape("diurnal", low, high)
            return [value * (1.1 if minute % 3 else 0.9) for minute, value in enumerate(level) if value is not None]
        case "missing":
            return [high] * 120 + [None] * 90 + [high] * 120
        case "gaps":
            return [None if minute % 7 in (2, 3) else high for minute in range(300)]
    raise AssertionError(name)


SHAPES = [
    "steady",
    "step up",
    "step down",
    "spike",
    "short spike",
    "diurnal",
    "sawtooth",
    "uneven",
    "missing",
    "gaps",
]


def load_of(name: str, profile: Profile) -> Load:
    """Return a load that the smallest number of instances is bored by at its lowest, and the largest just carries."""
    return {CPU: shape(name, low=10 * profile.minimum, high=60 * profile.maximum)}


def run_of(name: str, profile: Profile, start: int | None = None) -> Run:
    return simulate(profile, load_of(name, profile), start=start or profile.minimum, start_minutes=START_MINUTES)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(("environment", "colour"), SCALED)
def test_the_rules_do_not_flap(environment: str, colour: str, name: str) -> None:
    profile = profile_of(environment, colour)
    run = run_of(name, profile)

    assert flaps(run, load_of(name, profile)) == []
    assert run.deferred == [], "the service need not hold the rules back"


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(("environment", "colour"), SCALED)
def test_the_bounds_hold_and_steps_are_what_the_rules_say(environment: str, colour: str, name: str) -> None:
    profile = profile_of(environment, colour)
    run = run_of(name, profile)
    largest = max(rule.change for rule in profile.rules)

    assert all(profile.minimum <= count <= profile.maximum for count in run.counts)
    assert all(-1 <= step.after - step.before <= largest for step in run.steps)
    assert all(later.minute - earlier.minute >= 10 for earlier, later in pairwise(run.steps))


def critical_loads(profile: Profile) -> list[float]:
    """Return the loads that are just past a threshold on some number of instances, and some between."""
    past = {
        count * rule.threshold + (1 if rule.change > 0 else -1)
        for rule in profile.rules
        for count in range(profile.minimum, profile.maximum + 1)
    }
    return sorted(past | set(range(10, 100 * profile.maximum, 100)))


@pytest.mark.parametrize(("environment", "colour"), SCALED)
def test_a_steady_load_is_followed_by_steps_in_one_direction(environment: str, colour: str) -> None:
    profile = profile_of(environment, colour)
    for start in (profile.minimum, (profile.minimum + profile.maximum) // 2, profile.maximum):
        for percent in critical_loads(profile):
            run = simulate(profile, {CPU: [percent] * 200}, start=start, start_minutes=START_MINUTES)

            assert len({step.out for step in run.steps}) <= 1, f"{start} instances, {percent} percent: {run.steps}"


@pytest.mark.parametrize(("environment", "colour"), SCALED)
def test_a_step_up_is_carried_in_the_end(environment: str, colour: str) -> None:
    profile = profile_of(environment, colour)
    run = run_of("step up", profile)
    scale_out = next(rule for rule in profile.rules if rule.change > 0)

    assert 60 * profile.maximum / run.counts[-1] <= scale_out.threshold
    assert run.steps[0].minute - 60 <= scale_out.window + 1


@pytest.mark.parametrize(("environment", "colour"), SCALED)
def test_scaling_in_is_slower_than_scaling_out(environment: str, colour: str) -> None:
    profile = profile_of(environment, colour)
    up, down = run_of("step up", profile), run_of("step down", profile, start=profile.maximum)
    first_up, first_down = up.steps[0].minute - 60, down.steps[0].minute - 120
    gained = sum(step.after - step.before for step in up.steps) / (up.steps[-1].minute - 60)
    lost = sum(step.before - step.after for step in down.steps) / (down.steps[-1].minute - 120)

    assert all(step.out for step in up.steps)
    assert not any(step.out for step in down.steps)
    assert down.counts[-1] == profile.minimum
    assert first_down >= 2 * first_up
    assert lost < gained, "instances a minute"


def test_two_busy_minutes_are_no_reason() -> None:
    """The average of five minutes stays low, and nothing is started that is ready when all is over."""
    profile = profile_of("prod", "blue")
    load = {CPU: [100.0] * 60 + [360.0] * 2 + [100.0] * 60}

    assert simulate(profile, load, start=4, start_minutes=START_MINUTES).steps == []


def test_regular_bursts_keep_the_instances_that_they_need() -> None:
    """Four minutes of each 14 are busy; on average the instances look idle, and with fewer the bursts are too much."""
    profile = profile_of("prod", "blue")
    load = {CPU: [520.0 if minute % 14 < 4 else 80.0 for minute in range(600)]}
    by_average = Profile(
        profile.minimum,
        profile.default,
        profile.maximum,
        tuple(replace(rule, aggregation="Average") for rule in profile.rules),
    )
    kept = simulate(profile, load, start=8, start_minutes=START_MINUTES)
    lost = simulate(by_average, load, start=8, start_minutes=START_MINUTES)

    assert kept.steps == []
    assert {step.out for step in lost.steps} == {True, False}


@pytest.mark.parametrize(("environment", "colour"), SCALED)
def test_without_metrics_nothing_goes_away(environment: str, colour: str) -> None:
    profile = profile_of(environment, colour)
    run = run_of("missing", profile)
    before, during, after = run.counts[:120], run.counts[140:210], run.counts[210:]

    assert set(during) == {before[-1]}
    assert min(after) >= profile.minimum
    assert after[-1] == before[-1]


def test_an_outage_of_the_metrics_from_the_start_keeps_the_default() -> None:
    profile = profile_of("prod", "blue")
    run = simulate(profile, {CPU: [None] * 60}, start=profile.minimum)

    assert set(run.counts) == {profile.default} == {profile.minimum}


def test_the_metrics_come_back_to_a_higher_load() -> None:
    profile = profile_of("prod", "blue")
    load = {CPU: [120.0] * 60 + [None] * 60 + [700.0] * 240}
    run = simulate(profile, load, start=4, start_minutes=START_MINUTES)

    assert set(run.counts[:120]) == {4}
    assert 700 / run.counts[-1] <= 70
    assert flaps(run, load) == []


def evaluated(**changes: int) -> Deployment:
    """Return the stack of dev under other settings."""
    config = {f"{STACK}:{key}": str(value) for key, value in changes.items()}
    return EmbeddedSource().evaluate(Request(STACKS / STACK, "dev", config=config))


@cache
def profile_with(**changes: int) -> Profile:
    """Return the blue profile of dev with other settings, as the program registers it."""
    result = evaluated(**changes)
    assert result.ok, result.error
    return Profile.of(one(result, SETTING, "blue").inputs)


LIMITS = [
    # out, step, least instances, highest threshold to scale in that the settings allow
    (70, 1, 1, 30),
    (70, 1, 4, 51),
    (70, 2, 2, 30),
    (90, 5, 10, 55),
    (90, 1, 1, 40),
    (60, 3, 4, 29),
    (45, 2, 3, 22),
    (90, 4, 15, 60),
]


@pytest.mark.parametrize(("out", "step", "least", "highest"), LIMITS)
def test_the_highest_threshold_that_is_allowed_does_not_flap(out: int, step: int, least: int, highest: int) -> None:
    profile = profile_with(
        scaleOutCpuPercent=out,
        scaleOutStep=step,
        blueMinInstances=least,
        blueMaxInstances=20,
        scaleInCpuPercent=highest,
    )
    for percent in critical_loads(profile):
        uneven = [percent * (1.04 if minute % 2 else 0.96) for minute in range(150)]
        for start in (least, 20):
            for values in ([percent] * 150, uneven):
                run = simulate(profile, {CPU: values}, start=start, start_minutes=START_MINUTES)

                assert len({step.out for step in run.steps}) <= 1, f"{start} instances, {percent} percent: {run.steps}"
                assert run.deferred == []


@pytest.mark.parametrize(("out", "step", "least", "highest"), LIMITS[:7])
def test_a_threshold_above_the_limit_and_its_margin_flaps(out: int, step: int, least: int, highest: int) -> None:
    """The limit is not there for nothing: just above its margin the rules turn on each other."""
    allowed = profile_with(
        scaleOutCpuPercent=out,
        scaleOutStep=step,
        blueMinInstances=least,
        blueMaxInstances=20,
        scaleInCpuPercent=highest,
    )
    refused = Profile(
        allowed.minimum,
        allowed.default,
        allowed.maximum,
        tuple(replace(rule, threshold=highest + 8) if rule.change < 0 else rule for rule in allowed.rules),
    )
    load = {CPU: [least * (out + 1.0)] * 300}
    run = simulate(refused, load, start=least, start_minutes=START_MINUTES)

    assert flaps(run, load) or run.deferred
    one_more = evaluated(
        scaleOutCpuPercent=out,
        scaleOutStep=step,
        blueMinInstances=least,
        blueMaxInstances=20,
        scaleInCpuPercent=highest + 1,
    )
    assert f"scaleInCpuPercent is {highest + 1} and must be at most {highest}:" in str(one_more.error)
