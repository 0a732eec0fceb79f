"""How many container groups there should be: a pure function of what was measured and what was done before.

The load is shared evenly, so one group's part of it is the mean CPU times the number of groups over the new number.
Scaling out aims at the target. Scaling in aims below it, by a margin, and looks at the highest minute of a longer
window. A count that was just scaled out to can therefore not be scaled in from by the same load, nor the other way
round: see `_needed`.

What is not measured is not guessed. Without fresh measurements the count stays; only an order, the bounds, still holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

__all__ = ["Action", "Decision", "Reason", "Rules", "Sample", "decide"]

MINUTE = timedelta(minutes=1)

DELAY = timedelta(minutes=3)
"""How old a minute is before it is missed: platform metrics take up to about that long to come in."""

SKEW = timedelta(minutes=1)
"""How far clocks may be apart. What is further in the future than that was written by a wrong clock."""


@dataclass(frozen=True)
class Rules:
    """Bounds and pace of scaling."""

    minimum: int
    """Fewest groups."""
    maximum: int
    """Most groups."""
    target: float
    """Mean CPU, in percent of the groups' own, that scaling out aims at."""
    margin: float
    """How far below the target, in percent of it, scaling in must stay."""
    out_window: int
    """Minutes whose mean decides on scaling out."""
    in_window: int
    """Minutes whose highest decides on scaling in. None of them may be missing."""
    out_cooldown: timedelta
    """Time between an action and the next scaling out."""
    in_cooldown: timedelta
    """Time between an action and the next scaling in."""
    out_step: int
    """Most groups that are added at once."""
    in_step: int
    """Most groups that are removed at once."""
    startup: timedelta
    """Time until a new group takes its share; what is measured before does not count."""

    def __post_init__(self) -> None:
        """Refuse rules that cannot be kept or that would scale in faster than out."""
        if not 1 <= self.minimum <= self.maximum:
            raise ValueError(f"minimum {self.minimum} must be from 1 to maximum {self.maximum}")
        if not 0 < self.target <= 100 or not 0 < self.margin < 100:
            raise ValueError(f"target {self.target} and margin {self.margin} must be percentages above 0")
        if self.in_window < self.out_window or self.in_cooldown < self.out_cooldown:
            raise ValueError("the window and the cool-down of scaling in must not be shorter than those of scaling out")
        if not 1 <= self.in_step <= self.out_step or self.out_window < 1:
            raise ValueError("steps and windows must be at least 1, and scaling in must not take larger steps")


@dataclass(frozen=True)
class Sample:
    """What was measured in one minute."""

    at: datetime
    """Beginning of the minute."""
    cpu: float | None
    """Mean CPU of the groups in percent, or None when nothing was reported."""


@dataclass(frozen=True)
class Action:
    """The last time that the count was set, or seen to have been set by somebody else."""

    at: datetime
    count: int


class Reason(StrEnum):
    """Why the count is what it is."""

    BOUNDS = "the count was out of bounds"
    SCALE_OUT = "the load is above the target"
    SCALE_IN = "fewer groups are enough"
    FIRST_SEEN = "the count was set by somebody else, or by a wrong clock: the cool-down begins anew"
    NO_METRICS = "nothing was measured lately"
    COOLDOWN = "it is too soon after the last action"
    MAXIMUM = "the load is above the target and the count at its maximum"
    STEADY = "the count fits the load"


@dataclass(frozen=True)
class Decision:
    """What to do now."""

    count: int
    reason: Reason
    record: Action | None = None
    """What to remember as the last action; None when it stays what it was."""


def decide(samples: Iterable[Sample], current: int, rules: Rules, last: Action | None, now: datetime) -> Decision:
    """Return how many groups there should be.

    All times are aware. Samples may come in any order, twice, or not at all.
    """
    bounded = min(max(current, rules.minimum), rules.maximum)
    if bounded != current:
        return _set(bounded, Reason.BOUNDS, now)
    if last is None or last.count != current or last.at > now + SKEW:
        return _set(current, Reason.FIRST_SEEN, now)
    measured = _by_minute(samples, now)
    end = _minute(now - DELAY)
    lately = sorted(at for at in measured if at >= end - rules.out_window * MINUTE)[-rules.out_window :]
    if not lately:
        return Decision(current, Reason.NO_METRICS)
    # The last action's time is by another clock, perhaps, than that of the measurements.
    settled = last.at + rules.startup + SKEW
    wanted = _out([measured[at] for at in lately if at >= settled], current, rules)
    if wanted > current and current == rules.maximum:
        return Decision(current, Reason.MAXIMUM)
    if wanted > current:
        more = min(wanted, current + rules.out_step, rules.maximum)
        return _set(more, Reason.SCALE_OUT, now) if now - last.at >= rules.out_cooldown else _hold(current)
    window = [end - (minute + 1) * MINUTE for minute in range(rules.in_window)]
    if now - last.at < rules.in_cooldown or window[-1] < settled:
        return _hold(current)
    if any(minute not in measured for minute in window):
        return Decision(current, Reason.NO_METRICS)
    peak = max(cpu for at, cpu in measured.items() if at >= window[-1])
    fewer = _in(peak, current, rules)
    return _set(fewer, Reason.SCALE_IN, now) if fewer < current else Decision(current, Reason.STEADY)


def _set(count: int, reason: Reason, now: datetime) -> Decision:
    return Decision(count, reason, Action(now, count))


def _hold(current: int) -> Decision:
    return Decision(current, Reason.COOLDOWN)


def _by_minute(samples: Iterable[Sample], now: datetime) -> Mapping[datetime, float]:
    """Return what was measured by the beginning of the minute; the highest of two that say they are the same minute."""
    found: dict[datetime, float] = {}
    for sample in samples:
        if sample.cpu is None or not math.isfinite(sample.cpu) or sample.cpu < 0 or sample.at > now + SKEW:
            continue
        minute = _minute(sample.at)
        found[minute] = max(sample.cpu, found.get(minute, 0.0))
    return found


def _minute(time: datetime) -> datetime:
    return time.replace(second=0, microsecond=0)


def _out(values: list[float], current: int, rules: Rules) -> int:
    """Return the count that the mean asks for, without bounds. Up to half of the window may be missing."""
    if len(values) * 2 < rules.out_window:
        return current
    return _needed(sum(values) / len(values), current, rules.target)


def _in(peak: float, current: int, rules: Rules) -> int:
    """Return the count at which the highest minute would still have been below the target by the margin."""
    wanted = _needed(peak, current, rules.target * (1 - rules.margin / 100))
    return min(current, max(wanted, current - rules.in_step, rules.minimum))


def _needed(cpu: float, current: int, aim: float) -> int:
    """Return the fewest groups whose mean is not above `aim` when `current` groups have the mean `cpu`.

    For the same load, the aim of scaling in is below the target, so it never needs fewer groups than the target does.
    The small number keeps a quotient that is whole from being rounded up.
    """
    return math.ceil(current * cpu / aim - 1e-9)
