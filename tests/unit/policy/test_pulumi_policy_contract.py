"""What `_pulumi_policy` relies on and pulumi_policy does not promise. A failure here means: read the adapter again."""

from __future__ import annotations

import inspect
import json
import sys
from importlib.metadata import version
from typing import Any

import pulumi
import pulumi_policy
import pytest
from google.protobuf import json_format
from pulumi.runtime import proto
from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationArgs, ResourceValidationPolicy
from pulumi_policy.policy import PolicyResource, _NotApplicableError, _PolicyAnalyzerServicer
from pulumi_policy.proxy import UnknownValueError, _DictProxy, _ListProxy, unknown_checking_proxy

from ringfence.deployment import UNKNOWN, Archive, Asset, Options, Resource, ResourceReference, Secret
from ringfence.policy import _pulumi_policy as adapter
from ringfence.policy.analyzer_wire import write_request
from ringfence.policy.arguments import Subject
from tests.unit.policy.stock_server import StockServer, struct

URN = "urn:pulumi:dev::shop::test:index:Thing::thing"


def never(args: Any, report_violation: Any) -> None:
    raise AssertionError("never called")


def policy(name: str = "one") -> ResourceValidationPolicy:
    return ResourceValidationPolicy(name=name, description="One", validate=never)


def test_written_against_this_version() -> None:
    major, minor, *_ = version("pulumi-policy").split(".")

    assert (major, int(minor) >= 21) == ("1", True)


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (
            _PolicyAnalyzerServicer.__init__,
            ["self", "name", "version", "policies", "enforcement_level", "initial_config", "description"],
        ),
        (
            ResourceValidationArgs.__init__,
            ["self", "resource_type", "props", "urn", "name", "opts", "provider", "config", "stack_tags"],
        ),
        (
            PolicyResource.__init__,
            ["self", "resource_type", "props", "urn", "name", "opts", "provider", "parent", "dependencies"],
        ),
        (_PolicyAnalyzerServicer._get_resource_options, ["self", "request"]),
        (_PolicyAnalyzerServicer._get_provider_resource, ["self", "request"]),
        (_NotApplicableError.__init__, ["self", "reason"]),
        (UnknownValueError.__init__, ["self", "unknown_type_sentinel", "props"]),
    ],
)
def test_signatures(function: Any, parameters: list[str]) -> None:
    assert list(inspect.signature(function).parameters)[: len(parameters)] == parameters


def test_a_pack_builds_its_servicer_before_it_serves() -> None:
    source = inspect.getsource(PolicyPack.__init__)

    assert 0 < source.index("_PolicyAnalyzerServicer(") < source.index("grpc.server(")


def test_options_are_read_without_the_servicer() -> None:
    names = inspect.getsource(_PolicyAnalyzerServicer._get_resource_options)

    assert names.count("self") == 1


def test_proxies_hide_what_they_hold_from_isinstance_and_give_it_under_a_key() -> None:
    props: Any = unknown_checking_proxy({"list": [{"a": 1.0}], "none": None})

    assert type(props) is _DictProxy
    assert type(props["list"]) is _ListProxy
    assert type(props["__target"]) is dict
    assert type(props["list"]["__target"]) is list
    assert not isinstance(props, dict)
    with pytest.raises(TypeError):
        json.dumps(props)


def test_reading_an_unknown_raises_with_the_keys_that_lead_there() -> None:
    props: Any = unknown_checking_proxy(adapter.decode({"site": {"rules": [{"name": UNKNOWN}]}}))

    with pytest.raises(UnknownValueError) as raised:
        props["site"]["rules"][0]["name"]
    assert raised.value.props == ["site", "rules", "0", "name"]


def test_what_we_decode_is_what_the_server_decodes() -> None:
    values = {
        "port": 443,
        "share": 0.5,
        "flag": True,
        "none": None,
        "text": "a",
        "unknown": UNKNOWN,
        "secret": Secret({"deep": [Secret(1)]}),
        "self": ResourceReference(URN, "id-1"),
        "component": ResourceReference(URN),
        "pending": ResourceReference(URN, UNKNOWN),
        "list": (1, [2, {"three": 3}]),
        "__internal": "hidden",
    }
    server = pulumi_policy.deserialize.deserialize_properties(json_format.MessageToDict(struct(values)))

    decoded = adapter.decode(values)

    assert decoded == server
    assert json.dumps(decoded, sort_keys=True) == json.dumps(server, sort_keys=True)  # 443.0, not 443
    assert decoded["secret"] == {"deep": [1.0]}
    assert "__internal" not in decoded


def test_assets_become_pulumis_own() -> None:
    decoded = adapter.decode(
        {
            "code": Archive("assets", {"a.py": Asset("text", "x = 1"), "b": Archive("remote", "https://b")}),
            "file": Asset("file", "a.txt"),
            "remote": Asset("remote", "https://a"),
            "folder": Archive("file", "dist"),
        }
    )

    assert type(decoded["code"]) is pulumi.AssetArchive
    assert decoded["code"].assets["a.py"].text == "x = 1"
    assert decoded["code"].assets["b"].uri == "https://b"
    assert type(decoded["file"]) is pulumi.FileAsset
    assert decoded["remote"].uri == "https://a"
    assert decoded["folder"].path == "dist"


def test_restore_undoes_decode_but_for_secrets_and_references() -> None:
    values = {
        "port": 443,
        "share": 0.5,
        "unknown": [{"deep": UNKNOWN}],
        "secret": Secret("s"),
        "none": None,
        "code": Archive("assets", {"a.py": Asset("text", "x = 1"), "b": Archive("remote", "https://b")}),
        "file": Asset("file", "a.txt"),
        "remote": Asset("remote", "https://a"),
        "folder": Archive("file", "dist"),
    }

    restored = adapter.restore(unknown_checking_proxy(adapter.decode(values)))

    assert restored == {**values, "secret": "s"}
    assert type(restored["port"]) is int


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1800.0), ("1h30m", 5400.0), ("1.5s", 1.5), ("250ms", 0.25), ("", 0.0), ("soon", 0.0), ("5m later", 0.0)],
)
def test_durations(text: str, seconds: float) -> None:
    resource = Resource(URN, "test:index:Thing", "thing", {}, options=Options(custom_timeouts={"create": text}))

    assert Subject(resource).options().custom_timeouts.create_seconds == pytest.approx(seconds)


def test_a_pack_is_captured_with_its_arguments_and_what_follows_is_not_run() -> None:
    with adapter.capture() as captured:
        PolicyPack(
            "mine",
            [policy()],
            enforcement_level=EnforcementLevel.MANDATORY,
            initial_config={"one": EnforcementLevel.ADVISORY},
            description="Mine",
        )
        raise AssertionError("never reached")

    (pack,) = captured
    assert (pack.name, pack.level, pack.description) == ("mine", EnforcementLevel.MANDATORY, "Mine")
    assert [item.name for item in pack.policies] == ["one"]
    assert pack.initial_config == {"one": EnforcementLevel.ADVISORY}


def test_the_sdks_own_checks_of_a_pack_still_run() -> None:
    with pytest.raises(TypeError, match="Invalid policy pack name"), adapter.capture():
        PolicyPack("not a name!", [policy()])


def test_after_a_capture_the_sdk_is_as_it_was() -> None:
    with pytest.raises(ZeroDivisionError), adapter.capture():
        raise ZeroDivisionError

    assert sys.modules["pulumi_policy.policy"]._PolicyAnalyzerServicer is _PolicyAnalyzerServicer  # type: ignore[attr-defined]


def test_the_server_turns_an_unknown_into_an_advisory_line_without_urn() -> None:
    def unknown(args: Any, report_violation: Any) -> None:
        raise adapter.unknown_value("site.port")

    policies = [
        ResourceValidationPolicy(
            name="one", description="One", validate=unknown, enforcement_level=EnforcementLevel.MANDATORY
        )
    ]
    response = StockServer(policies).analyze(Resource(URN, "test:index:Thing", "thing", {}))

    (diagnostic,) = response.diagnostics
    assert (diagnostic.enforcementLevel, diagnostic.urn) == (proto.ADVISORY, "")
    assert ".site.port can't be known during preview" in diagnostic.message


def test_where_a_resource_policy_keeps_its_function_and_arguments_their_config() -> None:
    assert vars(ResourceValidationArgs("t", {}, "u", "n", None, None, {"a": 1}))[adapter.CONFIG_ATTRIBUTE] == {"a": 1}  # type: ignore[arg-type]
    assert adapter.validation_of(policy()) is never


@pytest.mark.parametrize("answer", [_PolicyAnalyzerServicer.GetAnalyzerInfo, _PolicyAnalyzerServicer.GetPluginInfo])
def test_metadata_needs_no_request(answer: Any) -> None:
    assert list(inspect.signature(answer).parameters) == ["self", "_request", "_context"]


def test_ambient_settings_are_configured_without_the_servicer() -> None:
    names = inspect.getsource(_PolicyAnalyzerServicer._configure_runtime_settings)

    assert names.count("self") == 1


def test_a_remediation_is_given_and_answers_what_it_does_under_the_server() -> None:
    seen: list[Any] = []

    def remediate(args: Any) -> Any:
        provider = args.provider
        seen.append((type(args.props), sorted(args.props), args.opts, provider.props["region"], args.get_config()))
        args.props["size"] = 2
        return args.props

    one = ResourceValidationPolicy("one", "One", remediate=remediate, enforcement_level=EnforcementLevel.REMEDIATE)
    server = StockServer([one])
    inputs = {"size": 1, "key": Secret("k"), "later": UNKNOWN, "tags": {"a": [1]}}
    provider = Resource("urn:p", "pulumi:providers:test", "p", {"region": "x"})
    request = write_request(Resource(URN, "test:index:Thing", "thing", inputs), provider, internal=True)

    [said] = server.servicer.Remediate(request, None).remediations
    args = adapter.remediation_args(request, {}, {})
    answer = adapter.remediation_answer(one.remediate(args))

    assert answer == said.properties
    assert seen[0][:2] == seen[1][:2]
    assert seen[0][3:] == seen[1][3:] == ("x", {})
