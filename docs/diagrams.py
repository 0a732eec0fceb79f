"""Draw each reference stack from its evaluated graph into its README: `python -m docs.diagrams`, or `nox -s docs`.

The prod environment is drawn. What hangs on a resource and says nothing of the stack's shape (alarms, diagnostic
settings, private endpoints, DNS, security groups, …) is left out; what an identity may use is a dotted line.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ringfence.deployment import STACK_TYPE, Deployment, Resource
from ringfence.sources.interface import Request
from ringfence.sources.project import EmbeddedSource

__all__ = ["draw", "drawn_readme", "main"]

STACKS = Path(__file__).resolve().parent.parent / "stacks"
BEGIN, END = "<!-- diagram: begin -->", "<!-- diagram: end -->"
ENVIRONMENT = "prod"

LEFT_OUT = (
    "pulumi:providers:",
    "azure-native:resources:ResourceGroup",
    "azure-native:monitor:DiagnosticSetting",
    "azure-native:monitor:MetricAlert",
    "azure-native:monitor:ScheduledQueryRule",
    "azure-native:network:NetworkSecurityGroup",
    "azure-native:network:PrivateDnsZoneGroup",
    "azure-native:network:PrivateEndpoint",
    "azure-native:privatedns:",
    "azure-native:storage:BlobServiceProperties",
    "azure-native:storage:ManagementPolicy",
    "azure-native:web:WebAppFtpAllowed",
    "azure-native:web:WebAppScmAllowed",
    "aws:appautoscaling/target:",
    "aws:cloudwatch/metricAlarm:",
    "aws:ec2/defaultSecurityGroup",
    "aws:ec2/flowLog",
    "aws:ec2/routeTableAssociation",
    "aws:ec2/securityGroup",
    "aws:sns/topicPolicy:",
    "aws:sns/topicSubscription:",
    "aws:sqs/queuePolicy:",
    "aws:sqs/redriveAllowPolicy:",
    "aws:vpc/securityGroup",
)
"""Beginnings of the types that are not drawn."""

ACCESS = (
    "azure-native:authorization:RoleAssignment",
    "azure-native:cosmosdb:SqlResourceSqlRoleAssignment",
    "aws:iam/rolePolicy:RolePolicy",
)
"""Types that give one of the resources that they depend on the use of the others."""

IDENTITIES = ("azure-native:managedidentity:UserAssignedIdentity", "aws:iam/role:Role")


@dataclass(frozen=True)
class Drawing:
    """What is drawn of a deployment."""

    resources: Mapping[str, Resource]
    """The nodes, by URN."""
    groups: Mapping[str, Resource]
    """The components that hold nodes, by URN."""
    uses: tuple[tuple[str, str], ...]
    """Pairs of URNs: the first depends on the second, and on nothing drawn that depends on it too."""
    access: tuple[tuple[str, str], ...]
    """Pairs of URNs: the identity may use the other."""


def draw(deployment: Deployment) -> str:
    """Return a Mermaid flowchart of a deployment."""
    drawing = _drawing(deployment)
    ids = {urn: f"n{number}" for number, urn in enumerate([*drawing.resources, *drawing.groups])}
    prefix = _common_prefix(resource.name for resource in drawing.resources.values())
    lines = ["flowchart LR"]
    outside = [urn for urn, resource in drawing.resources.items() if resource.parent not in drawing.groups]
    lines += [f"    {_node(ids[urn], drawing.resources[urn], prefix)}" for urn in outside]
    for urn, group in drawing.groups.items():
        lines.append(f'    subgraph {ids[urn]}["{group.type.rpartition(":")[2]}"]')
        inside = [(key, resource) for key, resource in drawing.resources.items() if resource.parent == urn]
        lines += [f"        {_node(ids[key], resource, prefix)}" for key, resource in inside]
        lines.append("    end")
    lines += [f"    {ids[user]} --> {ids[used]}" for user, used in drawing.uses]
    lines += [f"    {ids[identity]} -.-> {ids[scope]}" for identity, scope in drawing.access]
    return "\n".join(lines) + "\n"


def _drawing(deployment: Deployment) -> Drawing:
    # By name: the order of registration is another one where the program runs in a process of its own.
    resources = sorted(deployment.resources, key=lambda item: (item.parent or "", item.type, item.name))
    nodes = {
        resource.urn: resource
        for resource in resources
        if resource.custom and not resource.type.startswith((*LEFT_OUT, *ACCESS)) and resource.type != STACK_TYPE
    }
    parents = {resource.parent for resource in nodes.values()}
    groups = {
        resource.urn: resource
        for resource in resources
        if resource.urn in parents and not resource.custom and resource.type != STACK_TYPE
    }
    reached = {urn: set(_drawn_dependencies(deployment, nodes, urn)) for urn in nodes}
    uses = tuple((user, used) for user in nodes for used in nodes if used in _reduced(reached, user))
    access = {pair for pair in _access(deployment, nodes) if pair[::-1] not in uses}
    return Drawing(nodes, groups, uses, tuple(sorted(access)))


def _drawn_dependencies(deployment: Deployment, nodes: Mapping[str, Resource], urn: str) -> Iterator[str]:
    """Yield the nearest nodes that a resource depends on, through what is left out. Access is drawn by itself."""
    for dependency in deployment.by_urn[urn].dependencies:
        if dependency in nodes:
            yield dependency
        elif not deployment.by_urn[dependency].type.startswith(ACCESS):
            yield from _drawn_dependencies(deployment, nodes, dependency)


def _reduced(reached: Mapping[str, set[str]], urn: str) -> set[str]:
    """Return the dependencies of a node less those that another of its dependencies implies."""
    implied: set[str] = set()
    waiting = [used for direct in reached[urn] for used in reached[direct]]
    while waiting:
        used = waiting.pop()
        if used not in implied:
            implied.add(used)
            waiting.extend(reached[used])
    return reached[urn] - implied


def _access(deployment: Deployment, nodes: Mapping[str, Resource]) -> Iterator[tuple[str, str]]:
    for resource in deployment.resources:
        if not resource.type.startswith(ACCESS):
            continue
        used = [urn for urn in resource.dependencies if urn in nodes]
        outer: set[str] = set()
        if not resource.type.startswith("aws:"):
            # A role on something inside an account depends on the account too. The innermost is the scope.
            outer = {urn for inner in used for urn in deployment.by_urn[inner].dependencies}
        for identity in (urn for urn in used if deployment.by_urn[urn].type in IDENTITIES):
            yield from ((identity, urn) for urn in used if urn != identity and urn not in outer)


def _node(key: str, resource: Resource, prefix: str) -> str:
    label = f"{_title(resource.type)}<br/>{resource.name.removeprefix(prefix) or resource.name}"
    return f'{key}(["{label}"])' if resource.type in IDENTITIES else f'{key}["{label}"]'


def _title(token: str) -> str:
    package, module, name = token.split(":")
    return f"{module.partition('/')[0]} {name}" if package == "aws" else name


def _common_prefix(names: Iterator[str]) -> str:
    """Return what all hyphenated names begin with, up to a hyphen."""
    parts = [name.split("-")[:2] for name in names if "-" in name]
    return "-".join(parts[0]) + "-" if parts and all(part == parts[0] for part in parts) else ""


def drawn_readme(stack: Path) -> str:
    """Return the text of a stack's README with its diagram drawn anew.

    Raises:
        SystemExit: the stack cannot be evaluated, or its README has no place for the diagram.
    """
    deployment = EmbeddedSource().evaluate(Request(stack, ENVIRONMENT))
    if deployment.error is not None:
        raise SystemExit(f"{stack}: {deployment.error.message}")
    readme = stack / "README.md"
    before, begin, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{readme}: expected the lines {BEGIN} and {END} around the diagram")
    return f"{before}{BEGIN}\n```mermaid\n{draw(deployment)}```\n{END}{after}"


def main(arguments: list[str] | None = None) -> int:
    """Draw all diagrams; with `--check` only say which READMEs are not up to date. Return the exit code."""
    parser = argparse.ArgumentParser(description="Draw each reference stack's diagram into its README.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when a diagram is out of date")
    check = parser.parse_args(arguments).check
    stale = []
    for stack in sorted(path.parent for path in STACKS.glob("*/Pulumi.yaml")):
        readme, text = stack / "README.md", drawn_readme(stack)
        if readme.read_text(encoding="utf-8") != text:
            stale.append(readme)
            if not check:
                readme.write_text(text, encoding="utf-8")
    for readme in stale:
        print(f"{readme}: the diagram {'is out of date: run nox -s docs' if check else 'was drawn anew'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
