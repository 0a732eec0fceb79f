"""Questions to the graph of an evaluated stack."""

from __future__ import annotations

from functools import cache

from ringfence.deployment import Deployment, Resource
from ringfence.providers.interface import OutputMode
from ringfence.sources.interface import Request
from ringfence.sources.project import EmbeddedSource
from tests.unit.stacks.loading import STACKS

__all__ = ["depends_on", "deployment", "of_type", "one", "roles"]

ROLE_ASSIGNMENT = "azure-native:authorization:RoleAssignment"


@cache
def deployment(stack: str, environment: str, outputs: OutputMode = "synthetic") -> Deployment:
    """Return the stack as it is evaluated under its own settings of an environment."""
    result = EmbeddedSource().evaluate(Request(STACKS / stack, environment, outputs=outputs))
    assert result.ok, result.error
    return result


def of_type(graph: Deployment, token: str) -> list[Resource]:
    """Return the resources of a type."""
    return [resource for resource in graph.resources if resource.type == token]


def one(graph: Deployment, token: str, name_part: str = "") -> Resource:
    """Return the one resource of a type whose logical name holds the given text."""
    found = [resource for resource in of_type(graph, token) if name_part in resource.name]
    assert len(found) == 1, f"{token} with {name_part!r}: {[resource.name for resource in found]}"
    return found[0]


def depends_on(graph: Deployment, resource: Resource) -> set[str]:
    """Return the logical names of all that a resource depends on, directly or through others."""
    waiting, seen = [resource], {resource.urn}
    while waiting:
        for urn in waiting.pop().dependencies:
            if urn not in seen:
                seen.add(urn)
                waiting.append(graph.by_urn[urn])
    return {graph.by_urn[urn].name for urn in seen - {resource.urn}}


def roles(graph: Deployment) -> set[tuple[str, str, str]]:
    """Return who has which Azure role where: logical name of the identity, id of the role, name of the scope.

    An identity or a scope that no resource of the stack stands for is given as it is. A role that the stack defines is
    given by its logical name.
    """
    ids = {str(resource.id): resource.name for resource in graph.resources}
    principals = {_principal(resource): resource.name for resource in graph.resources}
    found = set()
    for assignment in of_type(graph, ROLE_ASSIGNMENT):
        inputs = assignment.inputs
        role = str(inputs["roleDefinitionId"])
        found.add(
            (
                principals.get(str(inputs["principalId"]), str(inputs["principalId"])),
                ids.get(role, role.rpartition("/")[2]),
                ids.get(str(inputs["scope"]), str(inputs["scope"])),
            )
        )
    return found


def _principal(resource: Resource) -> str:
    """Return the id under which a resource logs in, or text that no principal has."""
    identity = resource.outputs.get("identity")
    if isinstance(identity, dict) and "principalId" in identity:
        return str(identity["principalId"])
    if "principalId" in resource.inputs:  # it is given a principal and is none
        return f"not a principal: {resource.urn}"
    return str(resource.outputs.get("principalId", f"not a principal: {resource.urn}"))
