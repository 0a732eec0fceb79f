"""The simulator, held against the examples of the documentation."""

from __future__ import annotations

import pytest

from tests.unit.stacks.autoscale import Profile, Rule, Run, Step, flaps, simulate

CPU = "CpuUtilizationPercentage"
THREADS = "Threads"


def out(threshold: float, change: int = 1, *, metric: str = CPU, window: int = 1, cooldown: int = 1) -> Rule:
    return Rule(metric, "GreaterThan", threshold, window, "Average", change, cooldown)


def into(threshold: float, change: int = 1, *, metric: str = CPU, window: int = 1, cooldown: int = 1) -> Rule:
    return Rule(metric, "LessThan", threshold, window, "Average", -change, cooldown)


def changes(run: Run) -> list[tuple[int, int]]:
    return [(step.before, step.after) for step in run.steps]


def test_scaling_in_that_would_lead_to_scaling_out_is_deferred() -> None:
    """56 % of one instance are 28 % of two, below 30; back on one they would be above 50 again."""
    run = simulate(Profile(1, 1, 10, (out(50), into(30))), {CPU: [56] * 10}, start=1)

    assert changes(run) == [(1, 2)]
    assert run.counts[-1] == 2
    assert run.deferred == list(range(2, 10))


def test_it_scales_in_once_the_load_allows_it() -> None:
    run = simulate(Profile(1, 1, 10, (out(50), into(30))), {CPU: [56] * 10 + [45] * 5}, start=1)

    assert changes(run) == [(1, 2), (2, 1)]


def test_thresholds_without_a_margin() -> None:
    """1250 threads are 625 on two instances and 417 on three, below 600; on two there would be 625 again."""
    rules = (
        Rule(THREADS, "GreaterThanOrEqual", 600, 1, "Average", 1, 1),
        Rule(THREADS, "LessThan", 600, 1, "Average", -1, 1),
    )
    run = simulate(Profile(1, 1, 10, rules), {THREADS: [1250] * 6}, start=2)

    assert changes(run) == [(2, 3)]
    assert run.deferred == [2, 3, 4, 5]


def test_thresholds_with_a_margin() -> None:
    """With a threshold of 400, three instances stay at 417 threads each and become two at 394, then 590."""
    rules = (
        Rule(THREADS, "GreaterThanOrEqual", 600, 1, "Average", 1, 1),
        Rule(THREADS, "LessThan", 400, 1, "Average", -1, 1),
    )
    run = simulate(Profile(1, 1, 10, rules), {THREADS: [1250] * 5 + [1180] * 5}, start=2)

    assert changes(run) == [(2, 3), (3, 2)]
    assert run.deferred == []


def test_it_scales_in_by_less_than_the_rule_says() -> None:
    """180 % are 90 % of two instances, and 60 % of three."""
    run = simulate(Profile(1, 1, 10, (out(70), into(50, 4))), {CPU: [180] * 3}, start=6)

    assert changes(run) == [(6, 3)]
    assert run.deferred == [1]


def test_any_rule_scales_out_and_the_largest_step_counts() -> None:
    rules = (out(70, 3), out(90, 5), out(500, 7, metric=THREADS))
    run = simulate(Profile(1, 1, 20, rules), {CPU: [95, 95], THREADS: [100, 100]}, start=1)

    assert changes(run) == [(1, 6)]


@pytest.mark.parametrize(("cpu", "threads", "expected"), [(29, 49, [(8, 5)]), (25, 51, []), (31, 49, [])])
def test_all_rules_scale_in_and_the_smallest_step_counts(
    cpu: float, threads: float, expected: list[tuple[int, int]]
) -> None:
    rules = (out(75), out(100, metric=THREADS), into(30, 3), into(50, 4, metric=THREADS))
    run = simulate(Profile(1, 1, 20, rules), {CPU: [8 * cpu] * 2, THREADS: [8 * threads] * 2}, start=8)

    assert expected == changes(run)


def test_a_cooldown_is_that_of_the_last_step_and_holds_in_both_directions() -> None:
    """The documentation's example: out at 10:00 for 60 minutes, in at 13:00 for 40, out again at 13:40."""
    rules = (out(70, cooldown=60), into(20, cooldown=40))
    busy, usual, calm = 150.0, 150.0, 20.0
    load = {CPU: [busy] * 60 + [usual] * 119 + [calm] * 20 + [busy] * 100}
    run = simulate(Profile(1, 1, 4, rules), load, start=2)

    assert run.steps == [Step(1, 2, 3), Step(180, 3, 2), Step(220, 2, 3)]


@pytest.mark.parametrize(("start", "expected"), [(2, 3), (3, 3), (5, 5)])
def test_without_a_metric_there_are_at_least_the_default(start: int, expected: int) -> None:
    run = simulate(Profile(1, 3, 10, (out(70), into(30))), {CPU: [None] * 5}, start=start)

    assert run.counts == [expected] * 5
    assert run.steps == []


@pytest.mark.parametrize(("start", "expected"), [(1, 3), (8, 6)])
def test_a_count_outside_the_bounds_is_brought_back(start: int, expected: int) -> None:
    run = simulate(Profile(3, 3, 6, (out(70), into(30))), {CPU: [200.0] * 2}, start=start)

    assert run.counts[-1] == expected


def test_a_new_instance_takes_no_load_at_first() -> None:
    run = simulate(Profile(1, 1, 10, (out(70), into(10))), {CPU: [90] * 6}, start=1, start_minutes=3)

    assert changes(run) == [(1, 2), (2, 3), (3, 4), (4, 5)]


def test_the_window_and_its_aggregation_decide() -> None:
    rules = (
        Rule(CPU, "GreaterThan", 70, 5, "Average", 1, 5),
        Rule(CPU, "LessThan", 30, 5, "Maximum", -1, 5),
    )
    load = {CPU: [80.0, *[40.0] * 9, *[20.0] * 9]}
    run = simulate(Profile(1, 1, 4, rules), load, start=2)

    assert run.steps == [Step(6, 2, 1)], "one busy minute (80 of 200) counts for five"


def test_a_flapping_rule_set_is_found() -> None:
    """The windows are longer than the cooldowns: they still hold the calm of more instances when there are fewer.

    150 % are 75 on two instances, which become five. From there the count creeps down, each time by an average that is
    lower than what the fewer instances show, until two are too few again.
    """
    rules = (out(70, 3, window=10, cooldown=5), into(60, window=10, cooldown=5))
    load = {CPU: [150.0] * 240}
    run = simulate(Profile(1, 1, 10, rules), load, start=2)
    found = flaps(run, load)

    assert len(found) > 10
    assert {first.out for first, _ in found} == {True, False}


def test_rules_that_flap_but_for_the_service_are_found() -> None:
    """The one metric asks for more instances than the other: scaling in is wanted, and deferred, all the time."""
    rules = (out(70), into(50, metric=THREADS))
    load = {CPU: [150.0] * 60, THREADS: [20.0] * 60}
    run = simulate(Profile(1, 1, 10, rules), load, start=2)

    assert changes(run) == [(2, 3)]
    assert run.deferred == list(range(2, 60))


def test_steps_that_the_load_asks_for_are_no_flapping() -> None:
    load = {CPU: [90.0] * 30 + [20.0] * 30}
    run = simulate(Profile(1, 1, 10, (out(70), into(30))), load, start=1)

    assert changes(run) == [(1, 2), (2, 1)]
    assert flaps(run, load) == []
