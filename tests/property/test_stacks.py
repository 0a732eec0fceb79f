"""The reference stacks, under any config that their models accept and any that they refuse."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from ringfence.policy.verdict import Verdict
from ringfence.reports.interface import Result
from ringfence.testing.strategies import broken_settings, settings_of
from tests.property.examples import few
from tests.property.stack_configs import graph, judged, target
from tests.unit.stacks.loading import stack_names

STACKS = stack_names()

COUNTS = {
    "container_scaling": ["maximumGroups", "scaleOutStep", "targetCpuPercent", "drainSeconds"],
    "decoupled_lambda": ["maxInstances", "reservedConcurrency", "consumerConcurrency", "batchSize"],
    "model_serving": ["blueMaxInstances", "greenMaxInstances", "clusterMaxNodes", "concurrentRequests"],
    "retraining_queue": ["maxExecutions", "parallelism", "maxDeliveryCount"],
    "stateful_functions": ["maximumInstances", "alwaysReadyInstances", "httpConcurrency"],
}
"""Settings that only say how many."""
SECURITY = {
    "container_scaling": ["privateNetwork"],
    "decoupled_lambda": ["privateNetwork"],
    "model_serving": ["privateNetwork", "zoneRedundant"],
    "retraining_queue": ["privateNetwork", "zoneRedundant"],
    "stateful_functions": ["privateNetwork", "zoneRedundant"],
}
"""Settings that make a stack safer."""
IDENTITY = ("workload", "environment", "azure-native:location", "aws:region", "secondaryLocation")
"""Settings that names and places are made of: who changes one makes another stack."""
STATELESS = ["container_scaling"]
"""It keeps no data, so that it has nothing to protect."""
NAMES = re.compile(r"(?i)(.*name|bucket(Prefix)?|id)$")


def wrong(result: Result) -> list[str]:
    """Return what blocks, and every problem of the program itself."""
    error = result.deployment.error
    found = [] if error is None else [error.message]
    found += [f"{item.code} {item.message}" for item in result.deployment.problems]
    return found + [f"{item.code} {item.urn} {item.message}" for item in result.findings if item.blocks]


@pytest.mark.parametrize("stack", STACKS)
def test_any_valid_config_gives_a_clean_deployment_and_always_the_same(stack: str) -> None:
    @few(6)
    @given(settings_of(target(stack).space), st.randoms())
    def check(config: dict[str, Any], order: random.Random) -> None:
        result = judged(stack, config)

        assert wrong(result) == []
        again = judged(stack, config, order=order)
        assert graph(again.deployment) == graph(result.deployment)
        assert again.deployment.outputs == result.deployment.outputs

    check()


@pytest.mark.parametrize("stack", STACKS)
def test_a_broken_config_is_refused_by_the_name_of_its_field(stack: str) -> None:
    @few(12)
    @given(broken_settings(target(stack).space))
    def check(broken: Any) -> None:
        error = judged(stack, broken.config).deployment.error

        assert error is not None, broken
        assert re.search(rf"(?<!\w){re.escape(broken.key)}(?!\w)", error.message), (broken, error.message)
        # Exactly one line of complaint: nothing else was broken.
        assert error.message.count("\n  - ") == 1, error.message

    check()


@pytest.mark.parametrize("stack", STACKS)
def test_what_contradicts_another_setting_is_refused_by_its_name(stack: str) -> None:
    space = target(stack).space
    contradictions = [
        (key, changed)
        for base in space.bases
        for key, setting in space.settings.items()
        for value in setting.values.boundaries
        for changed in [{**base, key: value}]
        if space.faults(changed)
    ]
    assert contradictions
    for key, changed in contradictions:
        message = space.faults(changed)[0].message
        assert re.search(rf"(?<!\w){re.escape(key)}(?!\w)", message), message

    @few(2)
    @given(st.sampled_from(contradictions))
    def check(case: tuple[str, dict[str, Any]]) -> None:
        error = judged(stack, case[1]).deployment.error

        # What the model says is what the user sees.
        assert error is not None
        assert space.faults(case[1])[0].message in error.message

    check()


@pytest.mark.parametrize("stack", STACKS)
def test_a_higher_count_changes_numbers_and_nothing_else(stack: str) -> None:
    space = target(stack).space

    @few(4)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        config = data.draw(settings_of(space))
        raised = [
            (key, more)
            for key in COUNTS[stack]
            for count in [config.get(key, space.settings[key].default)]
            for more in [{**config, key: count + 1}]
            # 0 turns something off; what is there is counted from 1.
            if count > 0 and not space.faults(more)
        ]
        assume(raised)
        key, more = data.draw(st.sampled_from(raised))
        before, after = judged(stack, config), judged(stack, more)

        assert wrong(after) == []
        assert after.deployment.by_urn.keys() == before.deployment.by_urn.keys(), key
        for urn, resource in before.deployment.by_urn.items():
            changes = list(differences(resource.inputs, after.deployment.by_urn[urn].inputs))
            assert [change for change in changes if not only_a_number(*change)] == [], (key, urn)

    check()


def differences(one: Any, other: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the leaves that differ."""
    if isinstance(one, Mapping) and isinstance(other, Mapping) and one.keys() == other.keys():
        for key in one:
            yield from differences(one[key], other[key])
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for pair in zip(one, other, strict=True):
            yield from differences(*pair)
    elif one != other:
        yield one, other


def only_a_number(one: Any, other: Any) -> bool:
    """Whether two values are numbers, or texts that differ in their numbers alone."""
    if isinstance(one, str) and isinstance(other, str):
        return re.sub(r"[0-9]+", "#", one) == re.sub(r"[0-9]+", "#", other)
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other))


@pytest.mark.parametrize("stack", STACKS)
def test_a_security_option_that_is_turned_on_adds_no_failure(stack: str) -> None:
    space = target(stack).space

    @few(4)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        config = data.draw(settings_of(space))
        key = data.draw(st.sampled_from(SECURITY[stack]))
        on = space.changed(config, key, True)
        off = None if on is None else space.changed(on, key, False)
        assume(on is not None and off is not None)
        assert on is not None
        assert off is not None
        before, after = failures(judged(stack, off)), failures(judged(stack, on))

        assert after <= before, key

    check()


def failures(result: Result) -> set[str]:
    """Return the rules that fail, at whatever level, exempt or not."""
    assert result.deployment.ok, result.deployment.error
    return {item.code for item in result.findings if item.verdict in (Verdict.FAIL, Verdict.EXEMPT, Verdict.ERROR)}


@pytest.mark.parametrize("stack", [stack for stack in STACKS if stack not in STATELESS])
def test_a_stack_that_evolves_keeps_the_identity_of_what_is_protected(stack: str) -> None:
    space = target(stack).space

    class Evolution(RuleBasedStateMachine):
        """One setting after another is changed, as a team does over the years."""

        def __init__(self) -> None:
            super().__init__()
            self.config: dict[str, Any] = {}
            self.protected: dict[str, Any] = {}
            self.result: Result | None = None

        @initialize()
        def begin(self) -> None:
            # Only prod protects anything.
            self.config = dict(next(base for base in space.bases if base["environment"] == "prod"))
            self.result = judged(stack, self.config)
            self.protected = identities(self.result)
            assert self.protected, "the stack protects nothing"

        @rule(data=st.data())
        def change(self, data: st.DataObject) -> None:
            key = data.draw(st.sampled_from([key for key in space.settings if key not in IDENTITY]))
            changed = space.changed(self.config, key, data.draw(space.settings[key].values.strategy))
            if changed is not None and all(changed.get(item) == self.config.get(item) for item in IDENTITY):
                self.config = changed
                self.result = judged(stack, changed)

        @invariant()
        def keeps_what_is_protected(self) -> None:
            if self.result is not None:
                now = identities(self.result)
                assert {urn: now.get(urn) for urn in self.protected} == self.protected, self.config

    run_state_machine_as_test(Evolution, settings=settings(few(2), stateful_step_count=6))


def identities(result: Result) -> dict[str, Any]:
    """Return the physical names that each protected resource is given, by URN."""
    assert result.deployment.ok, result.deployment.error
    return {
        resource.urn: {
            key: value for key, value in resource.inputs.items() if NAMES.match(key) and isinstance(value, str)
        }
        for resource in result.deployment.resources
        if resource.options.protect
    }
