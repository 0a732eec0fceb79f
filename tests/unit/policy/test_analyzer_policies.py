"""Ordinary policies behind our analyzer, where it differs from the SDK's: broken policies, secrets, wrong requests.

That it answers alike otherwise is in `tests/property/test_analyzer_differential.py`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime import proto
from pulumi_policy import EnforcementLevel, Policy, PolicyPack, ResourceValidationPolicy, StackValidationPolicy

from ringfence.deployment import Resource, Secret
from ringfence.policy import analyzer_server
from ringfence.policy._pulumi_policy import capture
from ringfence.policy.analyzer_policies import PolicyAnalyzer
from ringfence.policy.crossguard import load_pack
from tests.unit.policy.serving import served
from tests.unit.policy.stock_server import SIGNATURE, analyze_request, configuration, stack_request

THING = Resource("urn:pulumi:dev::shop::a:b:Thing::t", "a:b:Thing", "t", {"key": Secret("hunter2hunter2"), "port": 22})


def resource_policy(name: str, validate: Any, **more: Any) -> Policy:
    return ResourceValidationPolicy(name, f"About {name}", validate, **more)


def analyzer(*policies: Policy) -> PolicyAnalyzer:
    with capture() as captured:
        PolicyPack("pack", list(policies), EnforcementLevel.MANDATORY)
    return PolicyAnalyzer(captured[0])


def says_hello(args: Any, report_violation: Any) -> None:
    report_violation("hello")


def raises(args: Any, report_violation: Any) -> None:
    report_violation("before")
    raise LookupError(f"no {args.props['key']}")


async def raises_later(args: Any, report_violation: Any) -> None:
    await asyncio.sleep(0)
    raise LookupError(f"no {args.props['key']}")


def exits(args: Any, report_violation: Any) -> None:
    sys.exit(3)


def reports_a_number(args: Any, report_violation: Any) -> None:
    report_violation(3)


LATER = "The policy itself broke: "


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (raises, ["before", f"{LATER}LookupError: no [secret] "]),
        (raises_later, [f"{LATER}LookupError: no [secret] "]),
        ([says_hello, raises_later], ["hello", f"{LATER}LookupError: no [secret] "]),
        (exits, [f"{LATER}SystemExit: 3 "]),
        (reports_a_number, [f"{LATER}TypeError: Expected message to be a string "]),
    ],
)
def test_a_broken_policy_is_a_violation_of_its_own(broken: Any, expected: list[str]) -> None:
    answers = analyzer(resource_policy("first", says_hello), resource_policy("b", broken), resource_policy("c", exits))
    answers.configure(configuration({"c": (proto.DISABLED, {}), "b": (proto.REMEDIATE, {})}))

    response = answers.analyze(analyze_request(THING))

    said = [item.message.partition("\n")[2].partition("(")[0] for item in response.diagnostics]
    assert said == ["hello", *expected]
    assert {item.enforcementLevel for item in response.diagnostics} == {proto.MANDATORY}
    assert "hunter2" not in str(response)
    if "broke" in str(response):
        assert "(/" in response.diagnostics[-1].message


def test_a_broken_stack_policy_leaves_the_others_alone() -> None:
    def breaks(args: Any, report_violation: Any) -> None:
        raise LookupError(next(iter(args.resources)).props["key"])

    thing = Resource(THING.urn, THING.type, THING.name, {}, outputs=THING.inputs)
    answers = analyzer(StackValidationPolicy("a", "A", breaks), StackValidationPolicy("b", "B", says_hello))

    response = answers.analyze_stack(stack_request([thing]))

    assert [item.policyName for item in response.diagnostics] == ["a", "b"]
    assert "LookupError: [secret]" in response.diagnostics[0].message


def test_a_broken_remediation_leaves_the_others_alone() -> None:
    def breaks(args: Any) -> Any:
        args.props["port"] = 1
        raise LookupError(args.props["key"])

    def mends(args: Any) -> Any:
        args.props["port"] = 443
        return args.props

    answers = analyzer(
        ResourceValidationPolicy("a", "A", remediate=breaks, enforcement_level=EnforcementLevel.REMEDIATE),
        ResourceValidationPolicy("b", "B", remediate=mends, enforcement_level=EnforcementLevel.REMEDIATE),
    )

    first, second = answers.remediate(analyze_request(THING)).remediations

    assert first.diagnostic.startswith("The remediation itself broke: LookupError: [secret] (")
    assert not first.HasField("properties")
    assert second.properties.fields["port"].number_value == 443
    assert second.properties.fields["key"].struct_value.fields["value"].string_value == "hunter2hunter2"


def test_a_violation_does_not_show_a_secret() -> None:
    def shows(args: Any, report_violation: Any) -> None:
        report_violation(f"It is {args.props['key']} at {args.props['port']:g}.")

    (shown,) = analyzer(resource_policy("a", shows)).analyze(analyze_request(THING)).diagnostics

    assert shown.message == "About a\nIt is [secret] at 22."


def test_what_a_policy_writes_no_other_sees() -> None:
    def writes(args: Any, report_violation: Any) -> None:
        args.get_config()["seen"] = True
        args.props["written"] = True

    def looks(args: Any, report_violation: Any) -> None:
        report_violation(f"{sorted(args.props)} {dict(args.get_config())}")

    answers = analyzer(resource_policy("a", writes), resource_policy("b", looks))

    (found,) = answers.analyze(analyze_request(THING)).diagnostics

    assert found.message == "About b\n['key', 'port'] {}"


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"port": float("nan")}, "urn:x: a number that is infinite or none at all"),
        ({"list": [float("inf")]}, "urn:x: a number that is infinite or none at all"),
        ({"a": {SIGNATURE: "none"}}, "urn:x: Unrecognized signature 'none' when unmarshaling resource property"),
    ],
)
def test_malformed_values_fail_the_request_and_not_the_server(properties: dict[str, Any], message: str) -> None:
    request = proto.AnalyzeRequest(urn="urn:x", type="a:b:C", name="x")
    request.properties.update(properties)
    with served(analyzer(resource_policy("a", says_hello))) as stub:
        with pytest.raises(grpc.RpcError) as caught:
            stub.Analyze(request, timeout=10)

        assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, message)
        assert len(stub.Analyze(analyze_request(THING), timeout=10).diagnostics) == 1


def test_every_rpc_and_ten_megabytes() -> None:
    large = Resource(
        "urn:x", "a:b:C", "x", {"texts": ["x" * 1_000_000] * 10}, outputs={"texts": ["x" * 1_000_000] * 10}
    )

    def measures(args: Any, report_violation: Any) -> None:
        report_violation(str(sum(len(text) for text in args.props["texts"])))

    with served(analyzer(resource_policy("a", measures), StackValidationPolicy("s", "S", says_hello))) as stub:
        stub.Handshake(proto.AnalyzerHandshakeRequest(), timeout=10)
        stub.ConfigureStack(proto.AnalyzerStackConfigureRequest(tags={"a": "b"}), timeout=10)
        assert [item.name for item in stub.GetAnalyzerInfo(Empty(), timeout=10).policies] == ["a", "s"]
        assert stub.GetPluginInfo(Empty(), timeout=10).version
        stub.Configure(configuration({"a": (proto.ADVISORY, {})}), timeout=10)
        assert not stub.Remediate(analyze_request(large), timeout=30).remediations
        (measured,) = stub.Analyze(analyze_request(large), timeout=30).diagnostics
        assert len(stub.AnalyzeStack(stack_request([large]), timeout=30).diagnostics) == 1
        stub.Cancel(Empty(), timeout=10)

    assert (measured.message, measured.enforcementLevel) == ("About a\n10000000", proto.ADVISORY)


def test_a_level_that_the_protocol_does_not_know() -> None:
    with (
        served(analyzer(resource_policy("a", says_hello))) as stub,
        pytest.raises(grpc.RpcError, match=r"a\.enforcementLevel: 9 is no level of the protocol"),
    ):
        stub.Configure(configuration({"a": (9, {})}), timeout=10)


PROGRAMS: dict[str, str] = {
    "policies": (
        "from ringfence.policy.analyzer_server import PolicyPack\nfrom pulumi_policy import ResourceValidationPolicy\n"
        "PolicyPack('mine', [ResourceValidationPolicy('a', 'A', lambda args, report: report('hello'))])\n"
    ),
    "rules": ("from ringfence.policy.analyzer_server import serve\nfrom ringfence_policies import PACK\nserve(PACK)\n"),
}


@pytest.mark.parametrize(("kind", "name"), [("policies", "mine"), ("rules", "ringfence")])
def test_a_pack_that_we_serve_can_be_loaded_in_process(kind: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "PulumiPolicy.yaml").write_text("runtime: python\n", encoding="utf-8")
    (tmp_path / "__main__.py").write_text(PROGRAMS[kind], encoding="utf-8")

    assert load_pack(tmp_path).name == name


def test_the_arguments_of_a_pack_are_checked_as_by_the_sdk() -> None:
    make: Callable[..., Any] = analyzer_server.PolicyPack

    with pytest.raises(TypeError, match="Missing policies argument"):
        make("name", [])
