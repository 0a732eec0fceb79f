"""The reference stacks under any config."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from ringfence.deployment import Deployment
from ringfence.fuzz import FuzzOptions, FuzzTarget, find_target, source_for
from ringfence.fuzz.search import Judge
from ringfence.reports.interface import Result
from ringfence.sources.interface import Source
from tests.unit.stacks.loading import STACKS


@cache
def source(stack: str) -> Source:
    """Return what evaluates a stack."""
    return source_for(STACKS / stack)


@cache
def target(stack: str) -> FuzzTarget:
    """Return a stack's configs: its model is found as `ringfence fuzz` finds it."""
    found = find_target(STACKS / stack, [], source(stack))
    assert "model" in found.described, found.described
    return found


def judged(stack: str, config: Mapping[str, Any], *, order: Any = None) -> Result:
    """Return what a stack gives under a config, judged by its own settings; `order` shuffles the config's keys."""
    where = target(stack)
    if order is not None:
        keys = list(config)
        order.shuffle(keys)
        config = {key: config[key] for key in keys}
    return Judge(where, FuzzOptions(), source(stack)).run(where.request(config, where.base_of(config)))


def graph(deployment: Deployment) -> dict[str, tuple[Any, ...]]:
    """Return all that a deployment says of each resource, to be compared."""
    return {
        resource.urn: (
            resource.inputs,
            resource.outputs,
            resource.parent,
            resource.provider,
            resource.dependencies,
            resource.property_dependencies,
            resource.options,
        )
        for resource in deployment.resources
    }
