"""Ordinary policies under our analyzer and under that of pulumi_policy: the same requests, the same answers."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pulumi.runtime import proto
from pulumi_policy import EnforcementLevel, Policy, PolicyPack, ResourceValidationPolicy
from pulumi_policy import Severity as StockSeverity
from pulumi_policy.proxy import UnknownValueError

from ringfence.deployment import Archive, Asset, Resource, Secret
from ringfence.policy._pulumi_policy import StockAnalyzer, capture
from ringfence.policy.analyzer_policies import PolicyAnalyzer
from ringfence.policy.analyzer_wire import read_struct
from ringfence.policy.redaction import Redactor
from tests.property.test_crossguard_differential import POLICIES, keys, nested, plain, references, stacks, walk
from tests.unit.policy.stock_server import analyze_request, configuration, stack_request

LEVELS = [proto.ADVISORY, proto.MANDATORY, proto.REMEDIATE, proto.DISABLED]


def compares(args: Any, report_violation: Any) -> None:
    """Rely on what proxies are and are not: equal to themselves, of a length, sliced, searched, no dicts or lists."""
    for key in sorted(args.props):
        with contextlib.suppress(UnknownValueError):
            value = args.props[key]
            facts = [type(value).__name__, isinstance(value, dict | list), value == args.props[key]]
            if isinstance(value, Mapping):
                facts += [len(value), sorted(value), value.get("absent", 1), "a" in value]
            elif type(value).__name__ == "_ListProxy":
                facts += [len(value), [type(item).__name__ for item in value[:2]], 1.0 in value]
                facts.append([type(item).__name__ for item in reversed(value)])
            report_violation(f"{key}: {facts}")


def writes_deep(args: Any, report_violation: Any) -> None:
    for key in sorted(args.props):
        with contextlib.suppress(UnknownValueError):
            value = args.props[key]
            if isinstance(value, Mapping):
                value["written"] = {"by": "me"}  # type: ignore[index]
                report_violation(walk(value["written"]))
            elif hasattr(value, "path"):
                value.path = "written"
    args.props["name"] = "written"
    report_violation(f"{sorted(args.props)} {walk(args.props['name'])}", None)


def forever_open(args: Any, report_violation: Any) -> None:
    report_violation("")
    report_violation(None)
    args.not_applicable()


MORE: list[Policy] = [
    *POLICIES,
    ResourceValidationPolicy("compares", "About proxies", validate=compares, severity=StockSeverity.HIGH),
    ResourceValidationPolicy("writes-deep", "Writes", validate=writes_deep, severity=StockSeverity.LOW),
    ResourceValidationPolicy("compares-again", "Sees nothing of what others wrote", validate=compares),
    ResourceValidationPolicy("empty", "Says nothing", validate=forever_open, severity=StockSeverity.CRITICAL),
]

# --- remediations ----------------------------------------------------------------------------------------------------


def in_place(args: Any) -> Any:
    props = args.props
    props["port"] = 443
    for key in sorted(props):
        if isinstance(props[key], Mapping):
            props[key]["nested"] = "set"
    return props


def anew(args: Any) -> Any:
    return {"only": args.get_config().get("limit"), "was": sorted(args.props), "list": [1.0, None, {"a": args.name}]}


def now_and_then(args: Any) -> Any:
    if "a" in args.props:
        args.not_applicable("It has an a.")
    return None


async def later(args: Any) -> Any:
    return {**{key: args.props[key] for key in args.props}, "later": True}


def meets_an_unknown(args: Any) -> Any:
    if args.provider is not None and "name" in args.provider.props:
        return {**dict(args.props), "from": walk(args.provider.props["name"])}
    return None


def both(args: Any, report_violation: Any) -> Any:
    if args.props.get("b") is None:
        report_violation("There is no b.")
        return {**{key: args.props[key] for key in args.props}, "b": "set"}
    return None


REMEDIATIONS: list[Policy] = [
    ResourceValidationPolicy("in-place", "Sets in place", remediate=in_place),
    ResourceValidationPolicy("now-and-then", "Does not apply", remediate=now_and_then),
    ResourceValidationPolicy("later", "Is a coroutine", remediate=later),
    ResourceValidationPolicy("unknown", "Meets unknowns", remediate=meets_an_unknown),
    ResourceValidationPolicy("both", "Validates and remediates", validate_remediate=both),
    ResourceValidationPolicy("checks-only", "Remediates nothing", validate=forever_open),
    ResourceValidationPolicy("anew", "Returns another object", remediate=anew),
]

# --- resources -------------------------------------------------------------------------------------------------------

archives = st.builds(Archive, st.sampled_from(["file", "remote"]), st.just("path")) | st.builds(
    Archive,
    st.just("assets"),
    st.dictionaries(keys, st.builds(Asset, st.just("text"), st.sampled_from(["a", "b"])), max_size=2),
)
leaves = plain | references | archives
values = nested(leaves | st.builds(Secret, nested(leaves)))
with_secrets = st.dictionaries(keys, values, max_size=4)


@st.composite
def spiced(draw: st.DrawFn) -> list[Resource]:
    """Return a stack whose resources hold secrets and archives too."""
    resources = draw(stacks())
    return [
        replace(item, inputs={**item.inputs, **draw(with_secrets)}, outputs={**item.outputs, **draw(with_secrets)})
        for item in resources
    ]


properties = st.dictionaries(st.sampled_from(["limit", "list"]), st.sampled_from([3, "a", True]) | st.just([1, "b"]))
configs = st.dictionaries(
    st.sampled_from([policy.name for policy in (*MORE, *REMEDIATIONS)] + ["gone"]),
    st.tuples(st.sampled_from(LEVELS), properties),
)


def pair(policies: list[Policy], config: Mapping[str, Any], level: EnforcementLevel) -> tuple[StockAnalyzer, Any]:
    """Return the SDK's analyzer and ours for a pack, set up alike."""
    with capture() as captured:
        PolicyPack("pack", policies, level, description="A pack", tags=["a"])
    stock = StockAnalyzer("pack", "0.0.1", policies, level, None, "A pack", None, None, None, ["a"])
    ours = PolicyAnalyzer(captured[0])
    stack = proto.AnalyzerStackConfigureRequest(tags={"team": "blue"})
    stock.Configure(configuration(config), None)
    stock.ConfigureStack(stack, None)
    ours.configure(configuration(config))
    ours.configure_stack(stack)
    assert ours.info() == stock.GetAnalyzerInfo(None, None)
    assert ours.version == stock.GetPluginInfo(None, None).version
    return stock, ours


ADDRESS = re.compile(r" at 0x[0-9a-f]+")
"""Where the walk prints an object within an object."""


def without_addresses(response: proto.AnalyzeResponse) -> proto.AnalyzeResponse:
    for item in response.diagnostics:
        item.message = ADDRESS.sub("", item.message)
    return response


def without_secrets(response: proto.AnalyzeResponse, *structs: Any) -> proto.AnalyzeResponse:
    """Take the secrets out of what the SDK's analyzer says: the one thing in which ours differs."""
    redact = Redactor(*map(read_struct, structs))
    for item in response.diagnostics:
        description, newline, text = item.message.partition("\n")
        if newline:
            item.message = f"{description}\n{redact(text)}"
    return without_addresses(response)


levels = st.sampled_from([level for level in EnforcementLevel if level is not EnforcementLevel.DISABLED])


@settings(deadline=None, max_examples=80)
@given(spiced(), configs, levels)
def test_one_resource(resources: list[Resource], config: Any, level: EnforcementLevel) -> None:
    stock, ours = pair(MORE, config, level)

    for resource in resources:
        said = stock.Analyze(analyze_request(resource, resources), None)

        request = analyze_request(resource, resources)
        structs = request.properties, request.provider.properties
        assert without_addresses(ours.analyze(request)) == without_secrets(said, *structs)


@settings(deadline=None, max_examples=80)
@given(spiced(), configs, levels)
def test_the_stack(resources: list[Resource], config: Any, level: EnforcementLevel) -> None:
    stock, ours = pair(MORE, config, level)

    said = stock.AnalyzeStack(stack_request(resources), None)

    request = stack_request(resources)
    structs = [struct for item in request.resources for struct in (item.properties, item.provider.properties)]
    assert without_addresses(ours.analyze_stack(request)) == without_secrets(said, *structs)


@settings(deadline=None, max_examples=80)
@given(spiced(), configs, levels)
def test_remediations(resources: list[Resource], config: Any, level: EnforcementLevel) -> None:
    stock, ours = pair(REMEDIATIONS, config, level)

    for resource in resources:
        said = stock.Remediate(analyze_request(resource, resources), None)

        answer = ours.remediate(analyze_request(resource, resources))
        assert ADDRESS.sub("", str(answer)) == ADDRESS.sub("", str(said))
