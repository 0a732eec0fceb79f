"""The autoscaler against load: a model of an NGroup, minute by minute.

Flapping is an action in one direction that is soon undone by one in the other although the load did not ask for it.
What the load asks for is known here, so it is counted: how often the count changed direction, against how often the
load did.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.stacks.loading import load

(decision,) = load("container_scaling", "autoscaler.decision")
Action, Decision, Reason, Rules, Sample = (
    decision.Action,
    decision.Decision,
    decision.Reason,
    decision.Rules,
    decision.Sample,
)

START = datetime(2026, 11, 21, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY = 24 * 60

RULES = Rules(
    minimum=2,
    maximum=12,
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
SPARE = RULES.target / 100
"""Part of a group that is used when the load is as many groups as there are."""

Load = Callable[[int], float]
"""Groups at their target that the load of a minute keeps busy."""
Decide = Callable[..., Any]


@dataclass
class Run:
    """What happened in each minute, and what was done."""

    counts: list[int] = field(default_factory=list)
    reasons: list[Any] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def steps(self) -> list[tuple[int, int, Any]]:
        """Return minute, groups added or removed, and reason of each change."""
        return [
            (minute, after - before, self.reasons[minute])
            for minute, (before, after) in enumerate(pairwise(self.counts), start=1)
            if after != before
        ]

    def direction_changes(self) -> int:
        """Return how often a scaling out follows a scaling in or the other way round."""
        signs = [change > 0 for _, change, reason in self.steps() if reason is not Reason.BOUNDS]
        return sum(before != after for before, after in pairwise(signs))

    def overloaded(self) -> int:
        """Return the minutes in which the groups had no CPU left."""
        return sum(cpu >= 100 for cpu in self.cpu)


def simulate(
    minutes: int,
    demand: Load,
    *,
    rules: Any = RULES,
    initial: int = 2,
    first_seen: bool = False,
    lost: Callable[[int], bool] = lambda minute: False,
    skew: Callable[[int], timedelta] = lambda minute: timedelta(0),
    decide: Decide = decision.decide,
) -> Run:
    """Run the autoscaler once a minute.

    A group that is added works after a minute, one that is removed stops at once. A minute's mean CPU comes in a minute
    late, or never if it is lost. The autoscaler's clock is off by `skew`.
    """
    run = Run()
    wanted = running = initial
    last = None if first_seen else Action(START - timedelta(days=1), initial)
    samples: list[Any] = []
    for minute in range(minutes):
        now = START + minute * MINUTE
        decided = decide(samples, wanted, rules, last, now + skew(minute))
        last = decided.record or last
        wanted = decided.count
        running = min(running, wanted)
        run.counts.append(wanted)
        run.reasons.append(decided.reason)
        cpu = min(100.0, demand(minute) * rules.target / running)
        run.cpu.append(cpu)
        # What is measured from now on until the next run comes in before the run after that.
        if minute > 0 and not lost(minute - 1):
            samples.append(Sample(now - MINUTE, run.cpu[minute - 1]))
        samples = samples[-(rules.in_window + 10) :]
        running = wanted
    return run


def step(at: int, before: float, after: float) -> Load:
    return lambda minute: before if minute < at else after


def spike(at: int, minutes: int, base: float, peak: float) -> Load:
    return lambda minute: peak if at <= minute < at + minutes else base


def diurnal(low: float, high: float) -> Load:
    return lambda minute: low + (high - low) * (1 - math.cos(2 * math.pi * minute / DAY)) / 2


def noisy(demand: Load, share: float, seed: int = 1) -> Load:
    noise = random.Random(seed)
    values: dict[int, float] = {}
    return lambda minute: demand(minute) * values.setdefault(minute, 1 + noise.uniform(-share, share))


TRACES = {
    "step up": (step(60, 2, 9), 240, 0),
    "step down": (step(60, 9, 2), 300, 1),
    "spike": (spike(60, 10, 2, 10), 300, 1),
    "diurnal": (diurnal(2, 10), 2 * DAY, 3),
    "noise": (noisy(step(0, 6, 6), 0.1), DAY, 0),
    "noisy diurnal": (noisy(diurnal(2, 10), 0.1), 2 * DAY, 3),
    "bursts of a minute every five": (lambda minute: 8.0 if minute % 5 == 0 else 3.0, DAY, 1),
    "more than the maximum": (step(60, 2, 40), 240, 0),
    "nothing": (step(0, 0, 0), 240, 0),
}
"""Load, minutes, and how often the count may change its direction: as often as the load, seen from the first count."""


@pytest.mark.parametrize("name", TRACES)
def test_bounds_hold_and_nothing_flaps(name: str) -> None:
    demand, minutes, changes = TRACES[name]
    run = simulate(minutes, demand)

    assert all(RULES.minimum <= count <= RULES.maximum for count in run.counts)
    assert run.direction_changes() <= changes


def test_a_hasty_rule_flaps_and_is_found() -> None:
    def hasty(samples: list[Any], current: int, rules: Any, last: Any, now: datetime) -> Any:
        """Set what the newest minute asks for, as if the groups that it was measured on were the present ones."""
        wanted = math.ceil(current * samples[-1].cpu / rules.target) if samples else current
        return Decision(min(max(wanted, rules.minimum), rules.maximum), Reason.STEADY)

    demand, minutes, _ = TRACES["step up"]

    assert simulate(minutes, demand, decide=hasty).direction_changes() > 20


def test_a_step_is_met_within_minutes() -> None:
    run = simulate(240, step(60, 2, 9))

    assert run.counts[59] == 2
    assert run.counts[60 + 15] == 9
    assert run.cpu[80] == pytest.approx(RULES.target)
    # CPU shows no more than 100 %, so one action adds about two thirds, each as fast as metrics come in.
    assert [run.counts[minute] for minute, _, _ in run.steps()] == [3, 5, 9]
    assert run.overloaded() <= 15


def test_scaling_in_is_slower_than_scaling_out() -> None:
    run = simulate(600, spike(60, 120, 2, 9))
    up = next(minute for minute, count in enumerate(run.counts) if count >= 9) - 60
    down = next(minute for minute, count in enumerate(run.counts) if minute > 180 and count <= 3) - 180

    assert up <= 15
    assert down >= 4 * up
    assert run.counts[-1] == 3  # at which the load is below the target by the margin: 2 would not be


def test_a_spike_shorter_than_the_window_leaves_no_trace_for_longer_than_it_takes_to_scale_in() -> None:
    run = simulate(300, spike(60, 2, 2, 10))

    assert max(run.counts) <= 2 + 2 * RULES.out_step
    assert run.counts[-1] == 3


def test_a_day_is_followed() -> None:
    run = simulate(2 * DAY, diurnal(2, 10))
    noon, midnight = run.counts[DAY // 2 : DAY // 2 + 60], run.counts[DAY : DAY + 60]

    assert min(noon) >= 10
    assert max(midnight) <= 4
    assert run.overloaded() == 0


@pytest.mark.parametrize("gap", [range(100, 130), range(100, 600)], ids=["half an hour", "hours"])
def test_the_count_stays_while_nothing_is_measured_and_follows_afterwards(gap: range) -> None:
    run = simulate(900, step(110, 8, 2), initial=8, lost=gap.__contains__)
    # The last minute that was measured is used up first, then there is nothing to go by.
    blind = range(gap.start + 1, gap.stop + 1)

    assert {run.counts[minute] for minute in blind} == {run.counts[gap.start]}
    assert {run.reasons[minute] for minute in blind[RULES.out_window + 3 :]} == {Reason.NO_METRICS}
    assert run.counts[-1] == 3


def test_load_that_came_while_nothing_was_measured_is_met_when_it_is_seen() -> None:
    run = simulate(300, step(110, 2, 9), lost=range(100, 160).__contains__)

    assert set(run.counts[:160]) == {2}
    assert run.counts[160 + 15] == 9


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_single_minutes_that_are_lost_never_scale_in(share: float) -> None:
    holes = random.Random(2)
    lost = {minute for minute in range(DAY) if holes.random() < share}
    run = simulate(DAY, step(0, 3, 3), initial=10, lost=lost.__contains__)

    check_scaling_in_was_measured(run, lost)


@pytest.mark.parametrize("minutes", [-60, -2, -1, 1, 2, 60])
def test_a_clock_that_is_off_changes_the_time_and_not_the_count(minutes: int) -> None:
    run = simulate(600, spike(60, 120, 2, 9), skew=lambda _: minutes * MINUTE)
    far = abs(minutes) > 2

    assert run.direction_changes() <= 1
    assert max(run.counts) == (2 if far else 9)  # what is measured is too old or not yet: as good as nothing


def test_a_clock_that_is_put_right_is_recovered_from() -> None:
    run = simulate(600, step(60, 2, 9), skew=lambda minute: timedelta(hours=2 if minute < 30 else 0))

    assert run.counts[90] == 9


def test_hosts_whose_clocks_differ_do_not_make_it_flap() -> None:
    skew = random.Random(3)
    offsets = [timedelta(seconds=skew.uniform(-60, 60)) for _ in range(2 * DAY)]
    run = simulate(2 * DAY, diurnal(2, 10), skew=offsets.__getitem__)

    assert run.direction_changes() <= 3
    assert run.overloaded() == 0


def check_scaling_in_was_measured(run: Run, lost: Iterable[int], rules: Any = RULES) -> None:
    """Check that each scaling in had a measurement for every minute of its window."""
    missing = set(lost)
    for minute, _, reason in run.steps():
        if reason is Reason.SCALE_IN:
            window = range(minute - 3 - rules.in_window, minute - 3)
            assert missing.isdisjoint(window), f"scaled in at {minute} without {missing & set(window)}"


@st.composite
def some_rules(draw: st.DrawFn) -> Any:
    """Draw rules that the stack's settings allow."""
    minimum = draw(st.integers(1, 10))
    out_window = draw(st.integers(2, 10))
    out_cooldown = draw(st.integers(60, 900))
    in_step = draw(st.integers(1, 4))
    return Rules(
        minimum=minimum,
        maximum=draw(st.integers(minimum, 30)),
        target=draw(st.integers(20, 85)),
        margin=draw(st.integers(20, 60)),
        out_window=out_window,
        in_window=draw(st.integers(max(5, out_window), 20)),
        out_cooldown=timedelta(seconds=out_cooldown),
        in_cooldown=timedelta(seconds=draw(st.integers(max(300, out_cooldown), 1800))),
        out_step=draw(st.integers(in_step, 10)),
        in_step=in_step,
        startup=timedelta(seconds=draw(st.integers(60, 300))),
    )


stretches = st.lists(st.tuples(st.integers(1, 60), st.floats(0, 40)), min_size=1, max_size=6)
"""Loads, each with the minutes that it lasts."""


def stretched(parts: list[tuple[int, float]]) -> list[float]:
    return [level for minutes, level in parts for _ in range(minutes)]


@settings(deadline=None, max_examples=50)
@given(
    rules=some_rules(),
    parts=stretches,
    initial=st.integers(0, 40),
    lost=st.sets(st.integers(0, 200), max_size=60),
    clocks=st.lists(st.integers(-60, 60), min_size=1, max_size=20),
)
def test_whatever_happens_bounds_steps_and_pace_hold(
    rules: Any, parts: list[tuple[int, float]], initial: int, lost: set[int], clocks: list[int]
) -> None:
    loads = stretched(parts)
    run = simulate(
        len(loads),
        loads.__getitem__,
        rules=rules,
        initial=max(initial, 1),
        first_seen=True,
        lost=lost.__contains__,
        skew=lambda minute: timedelta(seconds=clocks[minute % len(clocks)]),
    )
    acted = 0
    for minute, change, reason in run.steps():
        elapsed = (minute - acted) * MINUTE
        cooldown = rules.out_cooldown if change > 0 else rules.in_cooldown
        acted = minute

        assert reason in (Reason.SCALE_OUT, Reason.SCALE_IN)
        assert -rules.in_step <= change <= rules.out_step
        assert elapsed >= cooldown - 2 * decision.SKEW
    assert all(rules.minimum <= count <= rules.maximum for count in run.counts)


@settings(deadline=None, max_examples=50)
@given(rules=some_rules(), parts=stretches, initial=st.integers(1, 30), lost=st.sets(st.integers(0, 300)))
def test_scaling_in_is_always_measured(
    rules: Any, parts: list[tuple[int, float]], initial: int, lost: set[int]
) -> None:
    loads = stretched(parts)
    run = simulate(len(loads), loads.__getitem__, rules=rules, initial=initial, lost=lost.__contains__)

    check_scaling_in_was_measured(run, lost, rules)


@settings(deadline=None, max_examples=50)
@given(rules=some_rules(), level=st.floats(0, 40), initial=st.integers(1, 30), seed=st.integers(0, 1000))
def test_a_load_that_stays_is_never_followed_in_both_directions(
    rules: Any, level: float, initial: int, seed: int
) -> None:
    # Noise of a tenth either way is less than the margin of a fifth: 1.1 / 0.9 < 1 / (1 - 0.2).
    run = simulate(400, noisy(step(0, level, level), 0.1, seed), rules=rules, initial=initial)

    assert run.direction_changes() == 0


@settings(deadline=None, max_examples=50)
@given(rules=some_rules(), level=st.floats(0, 40), initial=st.integers(1, 30))
def test_a_load_that_stays_is_met(rules: Any, level: float, initial: int) -> None:
    run = simulate(1500, step(0, level, level), rules=rules, initial=initial)
    enough = min(max(math.ceil(level - 1e-6), rules.minimum), rules.maximum)
    spare = max(math.ceil(level / (1 - rules.margin / 100)), rules.minimum)

    assert len(set(run.counts[-200:])) == 1
    assert enough <= run.counts[-1] <= max(spare, enough) or initial <= run.counts[-1] <= spare


@settings(deadline=None)
@given(
    samples=st.lists(
        st.builds(
            Sample,
            st.datetimes(timezones=st.just(UTC)),
            st.none() | st.floats() | st.floats(0, 100),
        )
    ),
    current=st.integers(-5, 1000),
    last=st.none() | st.builds(Action, st.datetimes(timezones=st.just(UTC)), st.integers(-5, 1000)),
    now=st.datetimes(timezones=st.just(UTC), min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)),
    rules=some_rules(),
)
def test_any_input_gives_a_count_within_bounds(
    samples: list[Any], current: int, last: Any, now: datetime, rules: Any
) -> None:
    decided = decision.decide(samples, current, rules, last, now)

    assert rules.minimum <= decided.count <= rules.maximum
    assert (decided.record is not None) or decided.count == current
