"""Azure Monitor's autoscale, simulated minute by minute from the profile that a stack registers.

What is simulated is what the documentation states ("Understand autoscale settings", "Flapping in autoscale", "Best
practices for autoscale"):

- The job runs every minute. A rule's metric is sampled every minute as an average over the instances; the samples of
  its window are aggregated and compared with its threshold.
- Any scale-out rule that is met scales out, to the highest of the counts. Only if none is met, and all scale-in rules
  are, the job scales in, to the highest of the counts.
- Before scaling in, the job estimates each scale-out rule's metric on the fewer instances. Should one be met, it tries
  a count closer to the current one, and gives up when there is none.
- After a step nothing happens in either direction for the cooldown of the rule that took it.
- Without a metric, it scales out to the default and never in. A count outside the bounds is brought back.

The instances share the load evenly, new ones after a while, and a sample can be read a minute after it is taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import ge, gt, le, lt
from typing import Any

__all__ = ["Load", "Profile", "Rule", "Run", "Step", "flaps", "simulate"]

Load = Mapping[str, Sequence[float | None]]
"""By metric: the load of every minute, over all instances. None where the service gives no value."""

HIGHEST = {"CpuUtilizationPercentage": 100.0}
"""What an instance can show at most."""

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThan": gt,
    "GreaterThanOrEqual": ge,
    "LessThan": lt,
    "LessThanOrEqual": le,
}
AGGREGATIONS: dict[str, Callable[[Sequence[float]], float]] = {
    "Average": lambda samples: sum(samples) / len(samples),
    "Maximum": max,
    "Minimum": min,
    "Last": lambda samples: samples[-1],
}


@dataclass(frozen=True)
class Rule:
    """One rule, with times in minutes."""

    metric: str
    operator: str
    threshold: float
    window: int
    aggregation: str
    change: int
    """Instances; negative to scale in."""
    cooldown: int

    @classmethod
    def of(cls, inputs: Mapping[str, Any]) -> Rule:
        """Return the rule that a stack registers, or fail for what is not simulated."""
        trigger, action = inputs["metricTrigger"], inputs["scaleAction"]
        assert {"dividePerInstance", "dimensions"}.isdisjoint(trigger), trigger
        assert (trigger["timeGrain"], trigger["statistic"]) == ("PT1M", "Average")
        assert action["type"] == "ChangeCount"
        sign = {"Increase": 1, "Decrease": -1}[action["direction"]]
        return cls(
            metric=trigger["metricName"],
            operator=trigger["operator"],
            threshold=trigger["threshold"],
            window=_minutes(trigger["timeWindow"]),
            aggregation=trigger["timeAggregation"],
            change=sign * int(action["value"]),
            cooldown=_minutes(action["cooldown"]),
        )

    def is_met(self, value: float) -> bool:
        """Return whether a value is past the threshold."""
        return OPERATORS[self.operator](value, self.threshold)


@dataclass(frozen=True)
class Profile:
    """Bounds and rules."""

    minimum: int
    default: int
    maximum: int
    rules: tuple[Rule, ...]

    @classmethod
    def of(cls, inputs: Mapping[str, Any]) -> Profile:
        """Return the one profile of an autoscale setting that a stack registers."""
        (profile,) = inputs["profiles"]
        assert {"fixedDate", "recurrence"}.isdisjoint(profile)
        bounds = [int(profile["capacity"][key]) for key in ("minimum", "default", "maximum")]
        return cls(*bounds, tuple(Rule.of(rule) for rule in profile["rules"]))


@dataclass(frozen=True)
class Step:
    """A change of the number of instances by a rule."""

    minute: int
    before: int
    after: int

    @property
    def out(self) -> bool:
        """Return whether there are more afterwards."""
        return self.after > self.before


@dataclass
class Run:
    """What happened."""

    counts: list[int] = field(default_factory=list)
    """Instances that are asked for, at the end of each minute."""
    steps: list[Step] = field(default_factory=list)
    deferred: list[int] = field(default_factory=list)
    """Minutes in which scaling in was given up or cut short, as scaling out would have followed."""


def _minutes(duration: str) -> int:
    found = re.fullmatch(r"PT(\d+)M", duration)
    assert found, duration
    return int(found[1])


def simulate(profile: Profile, load: Load, *, start: int, start_minutes: int = 0) -> Run:
    """Return what autoscale makes of a load, from a number of instances that all take requests.

    Arguments:
        start_minutes: how long a new instance takes no requests.
    """
    engine = _Engine(profile, start, start_minutes)
    for minute in range(len(next(iter(load.values())))):
        engine.decide(minute)
        engine.measure(minute, {metric: values[minute] for metric, values in load.items()})
    return engine.run


class _Engine:
    def __init__(self, profile: Profile, start: int, start_minutes: int) -> None:
        self.run = Run()
        self._profile = profile
        self._start_minutes = start_minutes
        self._ready = [0] * start
        """For each instance the minute from which it takes requests, oldest first."""
        self._samples: dict[str, list[float | None]] = {rule.metric: [] for rule in profile.rules}
        self._quiet_until = 0

    def measure(self, minute: int, loads: Mapping[str, float | None]) -> None:
        serving = max(1, sum(ready <= minute for ready in self._ready))
        for metric, samples in self._samples.items():
            total = loads[metric]
            samples.append(None if total is None else min(total / serving, HIGHEST.get(metric, float("inf"))))
        self.run.counts.append(len(self._ready))

    def decide(self, minute: int) -> None:
        profile, count = self._profile, len(self._ready)
        within = min(max(count, profile.minimum), profile.maximum)
        if within != count:
            self._resize(minute, within)
            return
        values = {rule: self._value(rule) for rule in profile.rules}
        known = {rule: value for rule, value in values.items() if value is not None}
        if len(known) < len(values):
            self._resize(minute, max(count, profile.default))
        elif minute >= self._quiet_until:
            self._apply(minute, count, known)

    def _value(self, rule: Rule) -> float | None:
        samples = [sample for sample in self._samples[rule.metric][-rule.window :] if sample is not None]
        return AGGREGATIONS[rule.aggregation](samples) if samples else None

    def _apply(self, minute: int, count: int, values: Mapping[Rule, float]) -> None:
        met = [rule for rule, value in values.items() if rule.is_met(value)]
        out = [rule for rule in met if rule.change > 0]
        if out:
            rule = max(out, key=lambda rule: rule.change)
            self._step(minute, min(count + rule.change, self._profile.maximum), rule)
        elif met and len(met) == sum(rule.change < 0 for rule in values):
            rule = max(met, key=lambda rule: rule.change)
            wanted = max(count + rule.change, self._profile.minimum)
            target = next(
                (fewer for fewer in range(wanted, count) if not _would_scale_out(values, count, fewer)), count
            )
            if target != wanted:
                self.run.deferred.append(minute)
            self._step(minute, target, rule)

    def _step(self, minute: int, target: int, rule: Rule) -> None:
        before = len(self._ready)
        if target != before:
            self.run.steps.append(Step(minute, before, target))
            self._quiet_until = minute + rule.cooldown
            self._resize(minute, target)

    def _resize(self, minute: int, target: int) -> None:
        del self._ready[target:]
        self._ready += [minute + self._start_minutes] * (target - len(self._ready))


def _would_scale_out(values: Mapping[Rule, float], count: int, fewer: int) -> bool:
    return any(rule.change > 0 and rule.is_met(value * count / fewer) for rule, value in values.items())


def flaps(run: Run, load: Load, *, even: float = 0.2) -> list[tuple[Step, Step]]:
    """Return the pairs of opposing steps that nothing asked for.

    From the one to the other the load was even: its highest minute was at most so much above its lowest.
    """
    return [
        (first, second)
        for first, second in zip(run.steps, run.steps[1:], strict=False)
        if first.out != second.out
        and all(_is_even(values[first.minute : second.minute], even) for values in load.values())
    ]


def _is_even(values: Sequence[float | None], even: float) -> bool:
    known = [value for value in values if value is not None]
    return not known or max(known) <= min(known) * (1 + even)
