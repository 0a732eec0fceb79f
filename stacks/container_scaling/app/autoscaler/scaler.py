"""One run of the autoscaler: measure, decide, act, and say so in the log."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol

from azure.core.exceptions import AzureError

from autoscaler.decision import DELAY, MINUTE, Action, Decision, Reason, Rules, Sample, decide
from autoscaler.ngroup import State

__all__ = ["BlindError", "Group", "rules_from", "run"]

logger = logging.getLogger(__name__)


class BlindError(Exception):
    """Nothing was measured, so the count stays. The run fails: failed runs are what the alert counts."""


class Group(Protocol):
    """What is scaled."""

    def state(self) -> State:
        """Return what it is now."""

    def samples(self, since: datetime, until: datetime) -> list[Sample]:
        """Return its load by the minute."""

    def set(self, state: State, action: Action) -> None:
        """Ask for another count."""


def rules_from(environment: Mapping[str, str]) -> Rules:
    """Return the rules that the environment asks for.

    Raises:
        KeyError, ValueError: one is missing, is no number, or contradicts another one.
    """

    def seconds(key: str) -> timedelta:
        return timedelta(seconds=int(environment[key]))

    return Rules(
        minimum=int(environment["MINIMUM_GROUPS"]),
        maximum=int(environment["MAXIMUM_GROUPS"]),
        target=float(environment["TARGET_CPU_PERCENT"]),
        margin=float(environment["SCALE_IN_MARGIN_PERCENT"]),
        out_window=int(environment["SCALE_OUT_WINDOW_MINUTES"]),
        in_window=int(environment["SCALE_IN_WINDOW_MINUTES"]),
        out_cooldown=seconds("SCALE_OUT_COOLDOWN_SECONDS"),
        in_cooldown=seconds("SCALE_IN_COOLDOWN_SECONDS"),
        out_step=int(environment["SCALE_OUT_STEP"]),
        in_step=int(environment["SCALE_IN_STEP"]),
        startup=seconds("STARTUP_SECONDS"),
    )


def run(group: Group, rules: Rules, now: datetime) -> Decision | None:
    """Bring the count to what it should be and return the decision, or None while the last change is still under way.

    Raises:
        BlindError: nothing was measured; the count is in its bounds nevertheless.
        azure.core.exceptions.AzureError: the group cannot be read or changed.
    """
    state = group.state()
    if state.is_busy:
        logger.info("the last change is still under way", extra={"count": state.count})
        return None
    decision = decide(_samples(group, rules, now), state.count, rules, state.last, now)
    if decision.record is not None:
        group.set(state, decision.record)
    logger.info(decision.reason, extra={"count_before": state.count, "count": decision.count})
    if decision.reason is Reason.NO_METRICS:
        raise BlindError(decision.reason)
    return decision


def _samples(group: Group, rules: Rules, now: datetime) -> list[Sample]:
    """Return what was measured. What cannot be read was not measured; the bounds hold all the same."""
    try:
        return group.samples(now - DELAY - (rules.in_window + 1) * MINUTE, now)
    except AzureError as error:
        logger.warning("the metrics cannot be read", extra={"error": type(error).__name__})
        return []
