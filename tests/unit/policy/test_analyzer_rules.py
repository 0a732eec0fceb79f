"""Our own pack behind the analyzer service: each RPC, config, levels, unknowns, remediation, bad input."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime import proto

from ringfence import __version__
from ringfence.deployment import UNKNOWN, Resource, Secret
from ringfence.policy.analyzer_rules import RuleAnalyzer
from ringfence.policy.analyzer_server import start
from ringfence.policy.checks import equals, failed, not_applicable, passed, require, undecided
from ringfence.policy.graph import ResourceView
from ringfence.policy.pack import Pack
from ringfence.policy.rule import Framework, Parameters, Rule
from ringfence.policy.rule_config import PACK_SETTINGS
from ringfence.policy.verdict import Level, Outcome
from tests.unit.policy.serving import connected, reconcile, served
from tests.unit.policy.small_rules import BUCKET, MAXIMUM, QUEUE, bounded, closed, make_rule
from tests.unit.policy.stock_server import SECRET, SIGNATURE, UNKNOWN_STRING, analyze_request, stack_request

PROVIDER = Resource("urn:pulumi:dev::shop::pulumi:providers:test::p", "pulumi:providers:test", "p", {"region": "north"})


def broken(thing: ResourceView, _: Parameters) -> Outcome:
    raise RuntimeError(f"no way with {thing['key'].value}")


def has_dead_letters(queue: ResourceView, _: Parameters) -> Outcome:
    place = queue["deadLetter"]
    others = [other for other in queue.stack.of_type(QUEUE) if other is not queue]
    named = [queue.names(other, place) for other in others]
    if any(named):
        return passed(place)
    return undecided(place) if place.unknown else failed(place, "No dead-letter queue.")


def in_the_north(thing: ResourceView, _: Parameters) -> Outcome:
    provider = thing.stack.by_urn.get(thing.resource.provider or "")
    return (
        not_applicable("It has no provider.")
        if provider is None
        else require(provider["region"], equals("north"), absent="fail")
    )


def two_values(thing: ResourceView, _: Parameters) -> Outcome:
    return failed(thing["a"], "Neither is set.") if thing["a"].absent or thing["b"].absent else passed()


CIS = (Framework("CIS", "2.0", "1.1"), Framework("MCSB", "1", "DP-3"))
RULES: tuple[Rule, ...] = (
    make_rule(closed, "TS01", "bucket-closed", remediation={"closed": True}, frameworks=CIS),
    make_rule(bounded, "TS02", "bucket-bounded", level=Level.ADVISORY, parameters=(MAXIMUM,)),
    make_rule(closed, "TS03", "bucket-closed-twice", level=Level.DISABLED, profile="strict"),
    make_rule(broken, "TS04", "bucket-broken", level=Level.DISABLED),
    make_rule(has_dead_letters, "QU01", "queue-dead-letters", types=(QUEUE,), graph=True),
    make_rule(in_the_north, "GE01", "in-the-north", types=(), level=Level.ADVISORY),
    make_rule(two_values, "TS05", "bucket-two-values", level=Level.DISABLED, remediation={"a": 1}),
    make_rule(closed, "TS06", "bucket-nested", level=Level.DISABLED, remediation={"settings.deep.closed": "yes"}),
)
PACK = Pack("small", "1.2.3", RULES)


@contextmanager
def analyzer(config: Mapping[str, Any] | None = None, *, dry_run: bool = True) -> Iterator[Any]:
    """Serve the pack as the engine sets it up, and give the client."""
    with served(RuleAnalyzer(PACK, url="https://example.com/{code}/{name}")) as stub:
        stub.Handshake(proto.AnalyzerHandshakeRequest(engine_address="127.0.0.1:1"), timeout=10)
        stub.ConfigureStack(
            proto.AnalyzerStackConfigureRequest(stack="dev", project="shop", dry_run=dry_run), timeout=9
        )
        stub.Configure(reconcile(stub.GetAnalyzerInfo(Empty(), timeout=10), config or {}), timeout=10)
        yield stub


def bucket(name: str = "one", **inputs: Any) -> Resource:
    urn = f"urn:pulumi:dev::shop::{BUCKET}::{name}"
    return Resource(urn, BUCKET, name, inputs, outputs=inputs, provider=PROVIDER.urn)


def queue(name: str, *, feeds: tuple[str, ...] = (), **inputs: Any) -> Resource:
    urn = f"urn:pulumi:dev::shop::{QUEUE}::{name}"
    dependencies = {"deadLetter": tuple(f"urn:pulumi:dev::shop::{QUEUE}::{item}" for item in feeds)} if feeds else {}
    return Resource(urn, QUEUE, name, inputs, inputs, provider=PROVIDER.urn, property_dependencies=dependencies)


def analyze(stub: Any, resource: Resource) -> proto.AnalyzeResponse:
    response: proto.AnalyzeResponse = stub.Analyze(analyze_request(resource, [PROVIDER]), timeout=10)
    return response


def said(response: Any) -> list[tuple[str, str, int]]:
    """Return policy, message without the policy's title, and level."""
    return [
        (item.policyName, item.message.removeprefix("Buckets are closed\n"), item.enforcementLevel)
        for item in response.diagnostics
    ]


# --- metadata --------------------------------------------------------------------------------------------------------


def test_the_pack_says_what_it_is() -> None:
    with analyzer() as stub:
        info = stub.GetAnalyzerInfo(Empty(), timeout=10)
        assert stub.GetPluginInfo(Empty(), timeout=10).version == __version__

    assert (info.name, info.version, info.supportsConfig) == ("small", "1.2.3", True)
    assert [policy.name for policy in info.policies] == [*(rule.name for rule in RULES), PACK_SETTINGS]
    first = info.policies[0]
    assert (first.displayName, first.description) == ("TS01 Buckets are closed", "Buckets are closed")
    assert (first.enforcementLevel, first.severity) == (proto.MANDATORY, proto.POLICY_SEVERITY_HIGH)
    assert (first.policy_type, info.policies[4].policy_type) == (proto.POLICY_TYPE_RESOURCE, proto.POLICY_TYPE_STACK)
    assert (first.framework.name, first.framework.version, first.framework.reference) == ("CIS", "2.0", "1.1")
    assert list(first.tags) == ["TS01", "MCSB 1: DP-3"]
    assert (first.remediation_steps, first.url) == ("Close it.", "https://example.com/TS01/bucket-closed")
    assert sorted(info.policies[1].configSchema.properties) == ["exempt", "maximum", "strictUnknowns"]
    assert sorted(info.policies[-1].configSchema.properties) == ["profiles", "strictUnknowns"]


# --- verdicts --------------------------------------------------------------------------------------------------------


def test_a_failure_is_reported_at_the_rules_level_with_severity_and_remedy() -> None:
    with analyzer() as stub:
        response = analyze(stub, bucket(closed=False, size=11))

    assert said(response) == [
        ("bucket-closed", "closed is false, expected true. Close it.", proto.MANDATORY),
        ("bucket-bounded", "size is 11, expected a number from 0 to 10. Close it.", proto.ADVISORY),
    ]
    first = response.diagnostics[0]
    assert (first.policyPackName, first.policyPackVersion) == ("small", "1.2.3")
    assert (first.severity, first.description, first.urn) == (proto.POLICY_SEVERITY_HIGH, "Buckets are closed", "")


def test_rules_of_other_types_do_not_apply() -> None:
    with analyzer() as stub:
        of_queue = analyze(stub, queue("a"))
        of_bucket = analyze(stub, bucket(closed=True, size=1))

    assert [item.policy_name for item in of_queue.not_applicable] == ["bucket-closed", "bucket-bounded"]
    assert not of_queue.diagnostics
    assert of_bucket == proto.AnalyzeResponse()


def test_an_api_version_in_the_type_is_no_other_type() -> None:
    rule = make_rule(closed, types=("azure-native:storage:StorageAccount",))
    token = "azure-native:storage/v20230101:StorageAccount"
    with served(RuleAnalyzer(Pack("p", "1.0.0", (rule,)))) as stub:
        response = stub.Analyze(analyze_request(Resource("urn:a", token, "a", {})), timeout=10)

    assert [item.policyName for item in response.diagnostics] == ["test-rule"]


def test_a_rule_sees_the_provider() -> None:
    south = Resource(PROVIDER.urn, PROVIDER.type, "p", {"region": "south"})
    with analyzer() as stub:
        response = stub.Analyze(analyze_request(bucket(closed=True), [south]), timeout=10)

    assert [item.policyName for item in response.diagnostics] == ["in-the-north"]


UNDECIDED = "It cannot be decided: closed is not known before apply."


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            {},
            (
                f"{UNDECIDED} This mandatory policy blocks nothing until that is known, unless strictUnknowns is set.",
                proto.ADVISORY,
            ),
        ),
        ({"bucket-closed": "advisory"}, (UNDECIDED, proto.ADVISORY)),
        ({"bucket-closed": {"strictUnknowns": True}}, (UNDECIDED, proto.MANDATORY)),
        ({PACK_SETTINGS: {"strictUnknowns": True}}, (UNDECIDED, proto.MANDATORY)),
        ({PACK_SETTINGS: {"strictUnknowns": True}, "bucket-closed": "advisory"}, (UNDECIDED, proto.ADVISORY)),
        ({"bucket-closed": {"strictUnknowns": True, "enforcementLevel": "remediate"}}, (UNDECIDED, proto.MANDATORY)),
    ],
)
def test_what_is_undecided_is_said_and_blocks_if_the_config_says_so(
    config: dict[str, Any], expected: tuple[str, int]
) -> None:
    with analyzer(config) as stub:
        response = analyze(stub, bucket(closed=UNKNOWN))

    assert said(response) == [("bucket-closed", *expected)]


def test_a_broken_rule_is_a_violation_of_its_own_and_shows_no_secret() -> None:
    with analyzer({"bucket-broken": "mandatory"}) as stub:
        response = analyze(stub, bucket(closed=False, key=Secret("hunter2hunter2")))

    assert said(response) == [
        ("bucket-closed", "closed is false, expected true. Close it.", proto.MANDATORY),
        ("bucket-broken", "The rule itself broke: RuntimeError: no way with [secret]", proto.MANDATORY),
    ]


def test_a_secret_that_fails_is_not_shown() -> None:
    with analyzer() as stub:
        response = analyze(stub, bucket(closed=True, size=Secret(4711)))

    assert [item.policyName for item in response.diagnostics] == ["bucket-bounded"]
    assert "4711" not in str(response)


# --- config ----------------------------------------------------------------------------------------------------------


def test_levels_and_parameters() -> None:
    config = {"bucket-closed": "disabled", "bucket-bounded": {"enforcementLevel": "mandatory", "maximum": 3}}
    with analyzer(config) as stub:
        response = analyze(stub, bucket(closed=False, size=4))

    assert said(response) == [
        ("bucket-bounded", "size is 4, expected a number from 0 to 3. Close it.", proto.MANDATORY)
    ]


def test_comments_are_for_people() -> None:
    config = {"bucket-closed": {"comment": "Why."}, PACK_SETTINGS: {"comment": ["Several", "lines."]}}
    with analyzer(config) as stub:
        assert [name for name, _, _ in said(analyze(stub, bucket(closed=False)))] == ["bucket-closed"]


def test_one_level_for_all() -> None:
    with analyzer({"all": "advisory", "bucket-broken": "disabled", "bucket-bounded": "disabled"}) as stub:
        response = analyze(stub, bucket(closed=False, a=1, b=1))

    assert [(name, level) for name, _, level in said(response)] == [
        ("bucket-closed", proto.ADVISORY),
        ("bucket-closed-twice", proto.ADVISORY),
        ("bucket-nested", proto.ADVISORY),
    ]


def test_a_profile_turns_its_rules_on() -> None:
    with analyzer({PACK_SETTINGS: {"profiles": ["strict"]}}) as stub:
        response = analyze(stub, bucket(closed=False))

    assert [(name, level) for name, _, level in said(response)] == [
        ("bucket-closed", proto.MANDATORY),
        ("bucket-closed-twice", proto.ADVISORY),
    ]


def test_an_exempt_failure_does_not_apply_and_says_why() -> None:
    exempt = [{"resource": "*::one", "reason": "Ticket 4711.", "owner": "platform"}]
    with analyzer({"bucket-closed": {"exempt": exempt}}) as stub:
        one, two = analyze(stub, bucket("one", closed=False)), analyze(stub, bucket("two", closed=False))

    assert said(one) == []
    assert [(item.policy_name, item.reason) for item in one.not_applicable] == [
        ("bucket-closed", "closed is false, expected true. Exempt: Ticket 4711 (platform).")
    ]
    assert [name for name, _, _ in said(two)] == ["bucket-closed"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"bucket-closd": "mandatory"}, "policy pack small: bucket-closd: there is no such policy"),
        (
            {"bucket-bounded": {"maximum": 101}},
            "policy pack small: bucket-bounded.maximum: expected a whole number from 1 to 100, found 101",
        ),
        (
            {"bucket-bounded": {"maximum": "3"}},
            "policy pack small: bucket-bounded.maximum: expected a whole number from 1 to 100, found '3'",
        ),
        (
            {"bucket-bounded": {"maxmum": 3}},
            "policy pack small: bucket-bounded.maxmum: TS02 has no such parameter "
            "(it has: maximum, strictUnknowns, exempt)",
        ),
        (
            {"bucket-closed": {"strictUnknowns": "yes"}},
            "policy pack small: bucket-closed.strictUnknowns: expected true or false, found 'yes'",
        ),
        (
            {"bucket-closed": {"exempt": [{"reason": "Because."}]}},
            "policy pack small: bucket-closed.exempt[0].owner: an exemption needs one",
        ),
        (
            {"bucket-closed": {"exempt": [{"reason": "Because.", "owner": "me", "expires": "soon"}]}},
            "policy pack small: bucket-closed.exempt[0].expires: expected YYYY-MM-DD, found 'soon'",
        ),
        (
            {PACK_SETTINGS: {"profiles": ["lax"]}},
            "policy pack small: pack-settings.profiles: policy pack small knows strict, not 'lax'",
        ),
        (
            {PACK_SETTINGS: {"profiles": "strict"}},
            "policy pack small: pack-settings.profiles: expected a list, found 'strict'",
        ),
        (
            {PACK_SETTINGS: {"strictUnknowns": 1}},
            "policy pack small: pack-settings.strictUnknowns: expected true or false, found 1",
        ),
        (
            {PACK_SETTINGS: {"strict": True}},
            "policy pack small: pack-settings.strict: there is no such key; expected strictUnknowns or profiles",
        ),
    ],
)
def test_a_wrong_config_names_policy_and_key_and_leaves_the_pack_as_it_was(
    config: dict[str, Any], message: str
) -> None:
    with analyzer() as stub:
        wrong = reconcile(stub.GetAnalyzerInfo(Empty(), timeout=10), config)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Configure(wrong, timeout=10)

        assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, message)
        assert [name for name, _, _ in said(analyze(stub, bucket(closed=False)))] == ["bucket-closed"]


def test_a_level_that_the_protocol_does_not_know() -> None:
    with analyzer() as stub:
        wrong = proto.ConfigureAnalyzerRequest()
        wrong.policyConfig["bucket-closed"].enforcementLevel = 9  # type: ignore[assignment]
        with pytest.raises(grpc.RpcError, match=r"bucket-closed\.enforcementLevel: 9 is no level"):
            stub.Configure(wrong, timeout=10)


# --- the stack -------------------------------------------------------------------------------------------------------


def test_the_stack_is_judged_by_inputs_and_outputs_and_urn() -> None:
    first, second = queue("first", deadLetter=UNKNOWN, feeds=("second",)), queue("second")
    with analyzer() as stub:
        for resource in (first, second):
            assert "queue-dead-letters" not in str(analyze(stub, resource).diagnostics)
        response = stub.AnalyzeStack(stack_request([PROVIDER, first, second]), timeout=10)

    assert [(item.policyName, item.urn, item.enforcementLevel) for item in response.diagnostics] == [
        ("queue-dead-letters", second.urn, proto.MANDATORY)
    ]


def test_a_stack_without_resources_of_the_type() -> None:
    with analyzer() as stub:
        response = stub.AnalyzeStack(stack_request([PROVIDER]), timeout=10)

    assert [(item.policy_name, item.reason) for item in response.not_applicable] == [
        ("queue-dead-letters", "The stack has no resource of the types that this policy judges.")
    ]


def test_resources_that_are_only_read_are_not_judged() -> None:
    registered, read = queue("registered", deadLetter="arn"), queue("read")
    with analyzer() as stub:
        analyze(stub, registered)
        response = stub.AnalyzeStack(stack_request([registered, read]), timeout=10)

    assert [item.urn for item in response.diagnostics] == [registered.urn]


def test_a_stack_alone_is_judged_by_its_outputs() -> None:
    with analyzer(dry_run=False) as stub:
        response = stub.AnalyzeStack(stack_request([queue("one")]), timeout=10)

    assert [item.policyName for item in response.diagnostics] == ["queue-dead-letters"]


def test_a_new_run_forgets_the_inputs_of_the_last() -> None:
    with analyzer() as stub:
        analyze(stub, bucket())
        stub.ConfigureStack(proto.AnalyzerStackConfigureRequest(dry_run=True), timeout=10)
        response = stub.AnalyzeStack(stack_request([queue("one")]), timeout=10)

    assert [item.policyName for item in response.diagnostics] == ["queue-dead-letters"]


# --- remediation -----------------------------------------------------------------------------------------------------


def remediate(stub: Any, resource: Resource) -> proto.RemediateResponse:
    response: proto.RemediateResponse = stub.Remediate(analyze_request(resource, [PROVIDER]), timeout=10)
    return response


def test_nothing_is_remediated_unless_the_config_says_so() -> None:
    with analyzer() as stub:
        assert remediate(stub, bucket(closed=False)) == proto.RemediateResponse()


@pytest.mark.parametrize(
    "inputs", [{"closed": False, "key": Secret("k")}, {"__defaults": []}, {"closed": Secret(False)}]
)
def test_after_a_remediation_the_rule_passes_and_remediating_again_changes_nothing(inputs: dict[str, Any]) -> None:
    with analyzer({"bucket-closed": "remediate"}) as stub:
        request = analyze_request(bucket(**inputs))
        request.properties.fields["__internal"].string_value = "kept"
        response = stub.Remediate(request, timeout=10)

        (offer,) = response.remediations
        assert (offer.policyName, offer.policyPackName, offer.diagnostic) == ("bucket-closed", "small", "")
        expected = Struct()
        expected.CopyFrom(request.properties)
        place = expected.fields["closed"]
        (place.struct_value.fields["value"] if place.HasField("struct_value") else place).bool_value = True
        assert offer.properties == expected
        request.properties.CopyFrom(offer.properties)
        assert stub.Remediate(request, timeout=10) == proto.RemediateResponse()
        assert not stub.Analyze(request, timeout=10).diagnostics


def test_an_unknown_or_an_exempt_value_is_left_alone() -> None:
    exempt = [{"reason": "Ticket.", "owner": "me", "resource": "*::exempt"}]
    with analyzer({"bucket-closed": {"enforcementLevel": "remediate", "exempt": exempt}}) as stub:
        assert not remediate(stub, bucket(closed=UNKNOWN)).remediations
        assert not remediate(stub, bucket("exempt", closed=False)).remediations


def test_a_failure_that_setting_does_not_mend_is_said_and_stays_mandatory() -> None:
    with analyzer({"bucket-two-values": "remediate", "bucket-closed": "disabled"}) as stub:
        (offer,) = remediate(stub, bucket()).remediations
        response = analyze(stub, bucket())

    assert not offer.HasField("properties")
    assert offer.diagnostic == "Buckets are closed\nIt cannot be remediated here, for more than one value decides it."
    assert [(name, level) for name, _, level in said(response)] == [("bucket-two-values", proto.MANDATORY)]


def test_a_rule_without_a_remediation_and_one_of_another_type() -> None:
    with analyzer({"bucket-closed": "remediate", "in-the-north": "remediate"}) as stub:
        response = remediate(stub, queue("one"))

    assert [(item.policy_name, item.reason) for item in response.not_applicable] == [
        ("bucket-closed", "It judges resources of other types."),
        ("in-the-north", "Policy does not implement remediate"),
    ]


# --- bad input -------------------------------------------------------------------------------------------------------


def raw(properties: dict[str, Any]) -> proto.AnalyzeRequest:
    request = proto.AnalyzeRequest(urn="urn:x", type=BUCKET, name="x")
    request.properties.update(properties)
    return request


MALFORMED: list[dict[str, Any]] = [
    {"closed": {SIGNATURE: "no such signature"}},
    {"closed": {SIGNATURE: SECRET}},
    {"closed": {SIGNATURE: 3}},
    {"closed": {SIGNATURE: "c44067f5952c0a294b673a41bacd8c17"}},
    {"closed": {SIGNATURE: "0def7320c3a5731c473e5ecbe6d01bc7", "assets": [1]}},
    {"closed": float("nan")},
    {"closed": float("inf")},
    {"closed": f"prefix {UNKNOWN_STRING}"},
    {"": {"": [[], {}]}},
]


@pytest.mark.parametrize("properties", MALFORMED)
def test_malformed_values_are_judged_as_what_they_are_not(properties: dict[str, Any]) -> None:
    with analyzer({"bucket-closed": "remediate"}) as stub:
        request = raw(properties)
        stub.Remediate(request, timeout=10)
        response = stub.Analyze(request, timeout=10)
        stub.AnalyzeStack(
            proto.AnalyzeStackRequest(
                resources=[proto.AnalyzerResource(urn="urn:x", type=BUCKET, properties=request.properties)]
            ),
            timeout=10,
        )

        assert [item.policyName for item in response.diagnostics] == ["bucket-closed"]


def test_a_value_of_no_kind_is_none() -> None:
    request = raw({})
    request.properties.fields["closed"].SetInParent()
    with analyzer() as stub:
        assert [item.policyName for item in stub.Analyze(request, timeout=10).diagnostics] == ["bucket-closed"]


def test_bytes_that_are_no_message_fail_that_request_alone() -> None:
    server, port = start(RuleAnalyzer(PACK))
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, connected(port) as stub:
            with pytest.raises(grpc.RpcError):
                channel.unary_unary("/pulumirpc.Analyzer/Analyze")(b"\xff\xff", timeout=10)

            assert analyze(stub, bucket(closed=False)).diagnostics
    finally:
        server.stop(None).wait(10)


def test_ten_megabytes_of_inputs() -> None:
    text = "x" * 1_000_000
    with analyzer() as stub:
        response = analyze(stub, bucket(closed=False, texts=[text] * 10))
        stack = stub.AnalyzeStack(stack_request([bucket(texts=[text] * 10), queue("one")]), timeout=60)

    assert [name for name, _, _ in said(response)] == ["bucket-closed"]
    assert not stack.diagnostics  # of the queue nobody said that it is registered


def test_two_analyzers_at_once_know_nothing_of_each_other() -> None:
    with ExitStack() as stack:
        strict = stack.enter_context(analyzer({"bucket-closed": {"strictUnknowns": True}}))
        lax = stack.enter_context(analyzer({"bucket-closed": "disabled"}))
        results: dict[int, set[int]] = {0: set(), 1: set()}

        def ask(index: int, stub: Any) -> None:
            for number in range(50):
                results[index].add(len(analyze(stub, bucket(f"b{number}", closed=UNKNOWN)).diagnostics))

        threads = [threading.Thread(target=ask, args=item) for item in enumerate((strict, lax)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

    assert results == {0: {1}, 1: {0}}


def test_after_cancel_requests_are_refused() -> None:
    with analyzer() as stub:
        stub.Cancel(Empty(), timeout=10)
        with pytest.raises(grpc.RpcError) as caught:
            analyze(stub, bucket())

    assert caught.value.code() == grpc.StatusCode.CANCELLED


def test_an_exception_of_the_service_itself_fails_the_request_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    answers = RuleAnalyzer(PACK)

    def break_down(*_: Any) -> None:
        raise KeyError("".join(["hunt", "er2"]))

    with served(answers) as stub:
        with monkeypatch.context() as patched:
            patched.setattr(answers, "_view", break_down)
            with pytest.raises(grpc.RpcError) as caught:
                analyze(stub, bucket())

        assert caught.value.code() == grpc.StatusCode.INTERNAL
        assert caught.value.details() == f"{bucket().urn}: the policy server broke: KeyError"
        assert "break_down" in (output := capfd.readouterr().err)
        assert "hunter2" not in output
        assert analyze(stub, bucket(closed=False)).diagnostics
