"""CrossGuard policies under our evaluation and under the server of pulumi_policy, and our exported rules under both."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pulumi.runtime import proto
from pulumi_policy import EnforcementLevel, Policy, ResourceValidationPolicy, StackValidationPolicy
from pulumi_policy.proxy import UnknownValueError

from ringfence.deployment import UNKNOWN, Asset, Deployment, Options, Resource, ResourceReference, Secret
from ringfence.policy._pulumi_policy import CapturedPack, StockAnalyzer
from ringfence.policy.crossguard import CrossGuardPack, StackContext, to_policies
from ringfence.policy.crossguard_config import reconcile
from ringfence.policy.crossguard_world import PackWorld
from ringfence.policy.evaluate import evaluate
from ringfence.policy.pack import Pack, PackConfig, RuleConfig
from ringfence.policy.verdict import Finding, Level, Verdict
from ringfence_policies.azure import storage
from tests.unit.policy.stock_server import StockServer

HERE = Path(__file__).parent

# --- generated resources ---------------------------------------------------------------------------------------------

keys = st.sampled_from(["a", "b", "name", "port", "rules", "0", "minimumTlsVersion"])
# Secrets are left out: the server shows them plain and we do not, which the unit tests pin.
plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    st.just(UNKNOWN),
    st.builds(Asset, st.sampled_from(["text", "file", "remote"]), st.sampled_from(["a", "b"])),
)
references = st.builds(ResourceReference, st.just("urn:x"), st.sampled_from([None, "id", UNKNOWN]))


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
    )


values = nested(plain | references)
objects = st.dictionaries(keys | st.just("__internal"), values, max_size=5)
types = st.sampled_from(["test:index:Thing", "test:index:Other"])
options = st.builds(
    Options,
    protect=st.sampled_from([None, True, False]),
    ignore_changes=st.sampled_from([(), ("a",)]),
    delete_before_replace=st.sampled_from([None, True, False]),
    additional_secret_outputs=st.sampled_from([(), ("b", "a")]),
    custom_timeouts=st.sampled_from([{}, {"create": "90s", "delete": "5s"}]),
)


@st.composite
def stacks(draw: st.DrawFn) -> list[Resource]:
    tokens = draw(st.lists(types, min_size=1, max_size=4))
    provider = Resource(
        "urn:pulumi:dev::shop::pulumi:providers:test::p", "pulumi:providers:test", "p", draw(objects), custom=True
    )
    resources = [provider]
    for index, token in enumerate(tokens):
        others = [*(item.urn for item in resources), "urn:gone"]
        some = st.lists(st.sampled_from(others), max_size=2, unique=True).map(tuple)
        inputs = draw(objects)
        resources.append(
            Resource(
                urn=f"urn:pulumi:dev::shop::{token}::r{index}",
                type=token,
                name=f"r{index}",
                inputs=inputs,
                outputs={**inputs, **draw(objects)},
                parent=draw(st.sampled_from([None, *others])),
                provider=draw(st.sampled_from([None, provider.urn])),
                dependencies=draw(some),
                property_dependencies=draw(st.dictionaries(keys, some, max_size=2)),
                options=draw(options),
            )
        )
    return resources


# --- generated policies ----------------------------------------------------------------------------------------------


def walk(value: Any, depth: int = 0) -> str:
    """Return all there is, types and all; raises at the first unknown."""
    if isinstance(value, Mapping) or type(value).__name__ == "_DictProxy":
        return "{" + ", ".join(f"{key}: {walk(value[key], depth + 1)}" for key in sorted(value)) + "}"
    if type(value).__name__ == "_ListProxy":
        return "[" + ", ".join(walk(item, depth + 1) for item in value) + "]"
    if hasattr(value, "__dict__"):
        return f"{type(value).__name__}{sorted(vars(value).items())}"
    return repr(value)


def shallow(args: Any, report_violation: Any) -> None:
    for key in sorted(args.props):  # the wire keeps no order
        with contextlib.suppress(UnknownValueError):
            report_violation(f"{key}: {type(args.props[key]).__name__}", "urn:ignored")


def deep(args: Any, report_violation: Any) -> None:
    report_violation("before")
    report_violation(walk(args.props))


async def metadata(args: Any, report_violation: Any) -> None:
    opts, provider = args.opts, args.provider
    timeouts = (opts.custom_timeouts.create_seconds, opts.custom_timeouts.update_seconds, args.get_config())
    lists = (list(opts.ignore_changes), list(opts.aliases), list(opts.additional_secret_outputs))
    report_violation(f"{args.name} {args.urn} {opts.protect} {opts.delete_before_replace} {opts.parent} {lists}")
    report_violation(f"{timeouts} {dict(args.stack_tags)}")
    if provider is not None:
        report_violation(f"{provider.name} {provider.resource_type} {sorted(provider.props)}")
        with contextlib.suppress(UnknownValueError):  # the server leaves its event loop open if a coroutine raises
            report_violation(walk(provider.props))


def writes(args: Any, report_violation: Any) -> None:
    args.props["written"] = True
    args.opts.ignore_changes.append("written")
    report_violation(" ".join(sorted(args.props)))


def some_types(args: Any, report_violation: Any) -> None:
    if args.resource_type != "test:index:Thing":
        args.not_applicable(f"not for {args.resource_type}")
    if "port" in args.props and args.props["port"] == 22:
        report_violation("")


def whole_stack(args: Any, report_violation: Any) -> None:
    for item in args.resources:
        parent = item.parent.name if item.parent else None
        feeds = {key: [other.name for other in others] for key, others in sorted(item.property_dependencies.items())}
        report_violation(f"{item.name} {parent} {[other.name for other in item.dependencies]} {feeds}", item.urn)
        with contextlib.suppress(UnknownValueError):
            report_violation(walk(item.props))
    report_violation(f"{args.get_config()} {dict(args.stack_tags)}")


def stack_reads(args: Any, report_violation: Any) -> None:
    for item in args.resources:
        report_violation(walk(item.props.get("name")), item.urn)


POLICIES: list[Policy] = [
    *(
        ResourceValidationPolicy(name, f"About {name}", validate=validate, enforcement_level=level)
        for name, validate, level in (
            ("writes", writes, None),
            ("shallow", shallow, None),
            ("deep", deep, EnforcementLevel.MANDATORY),
            ("metadata", metadata, EnforcementLevel.REMEDIATE),
            ("several", [shallow, some_types], None),
            ("mixed", [shallow, metadata], None),
            ("some-types", some_types, EnforcementLevel.MANDATORY),
            ("off", deep, EnforcementLevel.DISABLED),
        )
    ),
    StackValidationPolicy("whole-stack", "About the stack", validate=whole_stack),
    StackValidationPolicy("stack-reads", "About names", validate=stack_reads),
]
CONFIG = {"metadata": {"limit": 3}, "whole-stack": {"list": [1, "a"]}}
TAGS = {"team": "blue"}

Said = tuple[str, str, str]
"""Policy, what it said, level."""


def ours(resources: list[Resource]) -> tuple[list[list[Said]], list[Said]]:
    """Return what our evaluation says: by resource, and of the stack."""
    server = StockAnalyzer("pack", "0.0.1", POLICIES, EnforcementLevel.ADVISORY)
    captured = CapturedPack("pack", tuple(POLICIES), EnforcementLevel.ADVISORY, {}, "", server)
    configured, _ = reconcile(captured, CONFIG)
    world = PackWorld(HERE, HERE / "__main__.py")
    pack = CrossGuardPack(captured, "1.0.0", HERE, StackContext(tags=TAGS), configured, world)
    findings = pack.evaluate(Deployment("shop", "dev", HERE, tuple(resources)))
    stack_names = {policy.name for policy in POLICIES if isinstance(policy, StackValidationPolicy)}
    of_stack = [item for item in findings if item.name in stack_names]
    of_resources = [
        [_said(item) for item in findings if item.urn == resource.urn and item.name not in stack_names]
        for resource in resources
    ]
    return [list(filter(None, said)) for said in of_resources], list(filter(None, map(_said, of_stack)))


def _said(finding: Finding) -> Said | None:
    match finding.verdict:
        case Verdict.FAIL:
            return (finding.name, f"{finding.extra['violation']}", finding.level.value)
        case Verdict.UNKNOWN:
            return (finding.name, f"unknown {finding.path}", "advisory")  # the server's level for it
        case Verdict.NOT_APPLICABLE:
            return (finding.name, finding.message, "not applicable")
        case Verdict.PASS:
            return None
    raise AssertionError(finding)


def theirs(response: Any) -> list[Said]:
    """Return what the server's answer says."""
    said = []
    levels = {proto.ADVISORY: "advisory", proto.MANDATORY: "mandatory"}
    for item in response.diagnostics:
        description, _, text = item.message.partition("\n")
        if item.message.startswith("can't run policy"):
            path = item.message.rpartition(" value at .")[2].removesuffix(" can't be known during preview")
            text = f"unknown {path}"
        else:
            assert description == item.description
        said.append((item.policyName, text, levels[item.enforcementLevel]))
    # Ours has no room for "it fails, and does not apply".
    failing = {name for name, text, _ in said if not text.startswith("unknown ")}
    said.extend(
        (item.policy_name, item.reason, "not applicable")
        for item in response.not_applicable
        if item.policy_name not in failing
    )
    return said


def dotted(said: list[Said]) -> list[Said]:
    """Return paths of unknowns as the server spells them: `rules.0.name`."""
    return sorted(
        (name, text.replace("[", ".").replace("]", "") if text.startswith("unknown ") else text, level)
        for name, text, level in said
    )


@settings(deadline=None, max_examples=150)
@given(stacks())
def test_we_say_what_the_server_says(resources: list[Resource]) -> None:
    server = StockServer(POLICIES)
    levels = {
        EnforcementLevel.ADVISORY: proto.ADVISORY,
        EnforcementLevel.MANDATORY: proto.MANDATORY,
        EnforcementLevel.REMEDIATE: proto.REMEDIATE,
        EnforcementLevel.DISABLED: proto.DISABLED,
        None: proto.ADVISORY,
    }
    server.configure({item.name: (levels[item.enforcement_level], CONFIG.get(item.name, {})) for item in POLICIES})
    server.set_tags(TAGS)

    by_resource, of_stack = ours(resources)

    for resource, said in zip(resources, by_resource, strict=True):
        assert dotted(said) == dotted(theirs(server.analyze(resource, resources)))
    assert dotted(of_stack) == dotted(theirs(server.analyze_stack(resources)))


# --- our rules, exported ---------------------------------------------------------------------------------------------

ACCOUNT = "azure-native:storage:StorageAccount"
RESOURCE_RULES = tuple(item for item in storage.RULES if not item.graph)
EXPORTED = {item.name: to_policies(Pack("test", "1.0.0", (item,)))[0] for item in RESOURCE_RULES}


def storage_inputs() -> st.SearchStrategy[dict[str, Any]]:
    """Return inputs that rules have read in their examples, mixed and spoiled."""
    known: dict[str, list[Any]] = {}
    for item in RESOURCE_RULES:
        for sample in (*item.bad, *item.good):
            for key, value in sample.inputs.items():
                known.setdefault(key, []).append(value)
    # No references: they travel as ids, which rules may judge otherwise.
    fields = {key: st.sampled_from(seen) | nested(plain) | st.just(Secret("hunter2!")) for key, seen in known.items()}
    return st.fixed_dictionaries({}, optional=fields)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(RESOURCE_RULES), storage_inputs())
def test_an_exported_rule_says_under_the_server_what_it_says_here(item: Any, inputs: dict[str, Any]) -> None:
    resource = Resource(f"urn:pulumi:dev::shop::{item.types[0]}::a", item.types[0], "a", inputs, outputs=inputs)
    config = PackConfig(rules={item.code: RuleConfig(level=Level.MANDATORY)})
    here = {finding.verdict for finding in evaluate([resource], Pack("test", "1.0.0", (item,)).activate(config))}
    server = StockServer([EXPORTED[item.name]])
    server.configure({item.name: (proto.MANDATORY, {})})

    response = server.analyze(resource)

    if any(diagnostic.enforcementLevel == proto.MANDATORY for diagnostic in response.diagnostics):
        there = {Verdict.FAIL}
    elif response.diagnostics:
        there = {Verdict.UNKNOWN}
    else:
        there = {Verdict.NOT_APPLICABLE} if response.not_applicable else {Verdict.PASS}
    assert there == here
    assert "hunter2!" not in str(response)
