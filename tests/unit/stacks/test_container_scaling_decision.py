"""The autoscaler's decision, one run at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.unit.stacks.loading import load

(decision,) = load("container_scaling", "autoscaler.decision")
Action, Reason, Rules, Sample, decide = (
    decision.Action,
    decision.Reason,
    decision.Rules,
    decision.Sample,
    decision.decide,
)

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LONG_AGO = NOW - timedelta(days=1)

RULES = Rules(
    minimum=2,
    maximum=10,
    target=60,
    margin=20,
    out_window=3,
    in_window=10,
    out_cooldown=timedelta(minutes=3),
    in_cooldown=timedelta(minutes=10),
    out_step=4,
    in_step=1,
    startup=timedelta(seconds=90),
)


def load_of(*cpu: float | None, newest: datetime = NOW - MINUTE) -> list[Any]:
    """Return one sample for each minute, the newest last."""
    return [Sample(newest - (len(cpu) - 1 - index) * MINUTE, value) for index, value in enumerate(cpu)]


def steady(cpu: float) -> list[Any]:
    return load_of(*[cpu] * 20)


def decided(samples: list[Any], current: int = 4, *, acted: datetime = LONG_AGO, rules: Any = RULES) -> Any:
    return decide(samples, current, rules, Action(acted, current), NOW)


@pytest.mark.parametrize(
    ("cpu", "current", "count", "reason"),
    [
        (60, 4, 4, Reason.STEADY),  # just on the target
        (60.1, 4, 5, Reason.SCALE_OUT),
        (75, 4, 5, Reason.SCALE_OUT),  # 4 x 75 / 60 is 5 exactly
        (75.1, 4, 6, Reason.SCALE_OUT),
        (100, 6, 10, Reason.SCALE_OUT),
        (100, 10, 10, Reason.MAXIMUM),
        (60, 10, 10, Reason.STEADY),
        (36, 4, 3, Reason.SCALE_IN),  # 4 x 36 / 48 is 3 exactly
        (36.1, 4, 4, Reason.STEADY),
        (0, 4, 3, Reason.SCALE_IN),
        (0, 2, 2, Reason.STEADY),
        (1000, 2, 6, Reason.SCALE_OUT),  # no more than the step
    ],
)
def test_steady_load(cpu: float, current: int, count: int, reason: Any) -> None:
    got = decided(steady(cpu), current)

    assert (count, reason) == (got.count, got.reason)


def test_a_change_is_recorded_and_nothing_else_is() -> None:
    assert Action(NOW, 6) == decided(steady(90)).record
    assert Action(NOW, 3) == decided(steady(0)).record
    assert decided(steady(50)).record is None
    assert decided([]).record is None


@pytest.mark.parametrize(("current", "count"), [(0, 2), (1, 2), (11, 10), (100, 10)])
def test_bounds_hold_without_measurements_and_within_cooldown(current: int, count: int) -> None:
    got = decided([], current, acted=NOW)

    assert (count, Reason.BOUNDS) == (got.count, got.reason)


@pytest.mark.parametrize(
    "last",
    [None, Action(LONG_AGO, 3), Action(NOW + timedelta(hours=1), 4), Action(NOW + timedelta(days=10_000), 4)],
    ids=["never", "by somebody else", "an hour ahead", "decades ahead"],
)
def test_an_action_that_cannot_be_relied_on_starts_the_cooldown_anew(last: Any) -> None:
    got = decide(steady(0), 4, RULES, last, NOW)

    assert (4, Reason.FIRST_SEEN, Action(NOW, 4)) == (got.count, got.reason, got.record)


@pytest.mark.parametrize(
    ("cpu", "ago", "count"),
    [(100, 3 * MINUTE - timedelta(seconds=1), 4), (0, 10 * MINUTE - timedelta(seconds=1), 4), (100, -MINUTE, 4)],
)
def test_cooldown(cpu: float, ago: timedelta, count: int) -> None:
    got = decided(steady(cpu), acted=NOW - ago)

    assert (count, Reason.COOLDOWN) == (got.count, got.reason)


def test_scaling_out_waits_for_its_own_cooldown_however_busy_the_groups_are() -> None:
    slow = replace(RULES, out_cooldown=8 * MINUTE)
    waiting = decided(steady(100), acted=NOW - 8 * MINUTE + timedelta(seconds=1), rules=slow)
    done = decided(steady(100), acted=NOW - 8 * MINUTE, rules=slow)

    assert (waiting.reason, done.reason) == (Reason.COOLDOWN, Reason.SCALE_OUT)


def test_what_was_measured_before_the_last_action_does_not_count() -> None:
    acted = NOW - 6 * MINUTE
    before_and_after = load_of(*[100] * 15, *[50] * 4)
    got = decided(before_and_after, acted=acted)

    assert (got.count, got.reason) == (4, Reason.COOLDOWN)


def test_scaling_in_waits_for_a_whole_window_after_the_last_action() -> None:
    slow = replace(RULES, in_window=30)
    waiting = decided(load_of(*[0] * 60), acted=NOW - 20 * MINUTE, rules=slow)
    done = decided(load_of(*[0] * 60), acted=NOW - 36 * MINUTE, rules=slow)

    assert (waiting.reason, done.reason) == (Reason.COOLDOWN, Reason.SCALE_IN)


def test_one_busy_minute_of_the_window_keeps_the_groups() -> None:
    busy = load_of(*[10] * 10, 55, *[10] * 9)

    assert decided(busy).reason == Reason.STEADY


def test_a_minute_that_came_in_early_keeps_the_groups_too() -> None:
    assert decided(load_of(*[10] * 19, 55)).reason == Reason.STEADY


@pytest.mark.parametrize("missing", range(3, 13))
def test_scaling_in_takes_every_minute_of_the_window(missing: int) -> None:
    samples: list[Any] = [0.0] * 20
    samples[-missing - 1] = None

    assert (decided(load_of(*samples)).count, decided(load_of(*samples)).reason) == (4, Reason.NO_METRICS)


def test_the_newest_minutes_are_not_missed_before_they_are_due() -> None:
    assert decided(load_of(*[0] * 17, None, None, None)).reason == Reason.SCALE_IN


@pytest.mark.parametrize(
    "samples",
    [
        [],
        load_of(*[None] * 20),
        load_of(*[float("nan")] * 20),
        load_of(*[float("inf")] * 20),
        load_of(*[-1.0] * 20),
        load_of(*[0.0] * 20, newest=NOW - timedelta(hours=1)),
        load_of(*[0.0] * 20, newest=NOW + timedelta(hours=1)),
    ],
    ids=["none", "null", "nan", "inf", "negative", "an hour old", "an hour ahead"],
)
def test_what_is_no_measurement_changes_nothing(samples: list[Any]) -> None:
    got = decided(samples)

    assert (got.count, got.reason, got.record) == (4, Reason.NO_METRICS, None)


@pytest.mark.parametrize(("cpu", "count"), [((90, None, 90, 90, None), 6), ((None, None, 90, None, None), 4)])
def test_scaling_out_takes_half_of_the_window(cpu: tuple[float | None, ...], count: int) -> None:
    assert count == decided(load_of(*cpu)).count


def test_order_and_repetition_of_samples_do_not_matter() -> None:
    samples = load_of(*range(40, 60))

    assert decided(samples) == decided([*reversed(samples), *samples])


def test_of_two_values_for_a_minute_the_higher_one_counts() -> None:
    high, low = steady(55), steady(10)

    assert decided(high + low).reason == decided(low + high).reason == Reason.STEADY


def test_a_count_that_fits_exactly_is_not_missed_by_rounding() -> None:
    rules = replace(RULES, target=22, margin=30, in_step=4)  # 7 x 11 / 15.4 is 5, and 5.000000000000001 to a float

    assert decided(steady(11), 7, rules=rules).count == 5


@pytest.mark.parametrize(
    "changes",
    [
        {"minimum": 0},
        {"minimum": 11},
        {"target": 0},
        {"target": 101},
        {"margin": 0},
        {"margin": 100},
        {"in_window": 2},
        {"in_cooldown": MINUTE},
        {"in_step": 0},
        {"in_step": 5},
        {"out_window": 0},
    ],
    ids=str,
)
def test_rules_that_contradict_themselves_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        replace(RULES, **changes)
