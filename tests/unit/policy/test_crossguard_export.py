"""Rules as CrossGuard policies, run by the policy server of pulumi_policy itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import empty_pb2
from jsonschema import Draft7Validator
from pulumi.runtime import proto
from pulumi_policy import EnforcementLevel, ResourceValidationPolicy, Severity, StackValidationPolicy

from ringfence.deployment import UNKNOWN, Options, Resource, Secret
from ringfence.policy.checks import equals, every, failed, not_applicable, one_of, passed, require, undecided
from ringfence.policy.crossguard import load_pack, to_policies
from ringfence.policy.graph import ResourceView
from ringfence.policy.pack import Pack
from ringfence.policy.rule import Framework, Parameter, Parameters, Rule, Sample, rule
from ringfence.policy.verdict import Level, Outcome
from ringfence.policy.verdict import Severity as OurSeverity
from ringfence_policies import PACK
from ringfence_policies.azure import storage
from tests.unit.policies.cases import build
from tests.unit.policy.stock_server import StockServer

THING, QUEUE = "test:index:Thing", "test:index:Queue"
METADATA: dict[str, Any] = {
    "severity": OurSeverity.HIGH,
    "why": "Because.",
    "reads": "port",
    "absent": "Fails.",
    "remedy": "Mend it.",
    "sources": ("project",),
    "bad": (),
    "good": (),
}


def make(code: str, name: str, check: Any, **more: Any) -> Rule:
    metadata = {"types": (THING,), "level": Level.MANDATORY, **METADATA, **more}
    return rule(code, name, f"Title of {code}", **metadata)(check)


def check_port(thing: ResourceView, parameters: Parameters) -> Outcome:
    return require(thing["port"], one_of(*parameters["ports"]), absent="A port is needed.")


def check_elements(thing: ResourceView, _: Parameters) -> list[Outcome]:
    return every(thing["list"].elements(), lambda item: require(item["on"], equals(True), absent="fail"))


def check_kind(thing: ResourceView, _: Parameters) -> Outcome:
    if thing["kind"].text == "other":
        return not_applicable("It is of another kind.")
    return passed()


def check_broken(thing: ResourceView, _: Parameters) -> Outcome:
    raise ValueError(thing["port"].value)


def check_secret(thing: ResourceView, _: Parameters) -> Outcome:
    return passed() if thing["key"].secret else failed(thing["key"], "The key is no secret.")


def check_options(thing: ResourceView, _: Parameters) -> Outcome:
    options = thing.options
    return failed(None, f"{options.protect} {options.ignore_changes} {dict(options.custom_timeouts)} {options.aliases}")


def check_dead_letters(queue: ResourceView, _: Parameters) -> Outcome:
    place = queue["deadLetter"]
    targets = [other for other in queue.stack.of_type(QUEUE) if other is not queue]
    named = [queue.names(other, place) for other in targets]
    if any(named):
        return passed(place)
    if None in named or (place.unknown and not named):
        return undecided(place)
    return failed(place, f"{place.path} names no queue, it is {place.shown}.")


PORTS = Parameter("ports", "array", ("https", "8443"), "Ports that are fine.")
LIMIT = Parameter("limit", "integer", 3, "A limit, in seconds.", minimum=1, maximum=9)
RULES = (
    make("TS01", "thing-port", check_port, parameters=(PORTS, LIMIT), frameworks=(Framework("CIS", "2.0", "1.1"),)),
    make("TS02", "thing-elements", check_elements, level=Level.ADVISORY),
    make("TS03", "thing-kind", check_kind),
    make("TS04", "thing-broken", check_broken, level=Level.DISABLED, profile="prod"),
    make("TS05", "thing-secret", check_secret, level=Level.DISABLED),
    make("TS06", "thing-options", check_options, level=Level.DISABLED),
    make("TS07", "queue-dead-letter", check_dead_letters, types=(QUEUE,), graph=True),
    make(
        "TS08",
        "every-resource",
        lambda thing, _: failed(None, f"{thing.name} is there."),
        types=(),
        level=Level.DISABLED,
    ),
)
LEVELS = {"advisory": proto.ADVISORY, "mandatory": proto.MANDATORY, "disabled": proto.DISABLED}


def server(only: str, config: Mapping[str, Any] | None = None, level: str = "mandatory") -> StockServer:
    """Return a server whose one enabled policy is `only`."""
    policies = to_policies(Pack("test", "1.0.0", RULES))
    made = StockServer(policies)
    settings: dict[str, tuple[int, Mapping[str, Any]]] = {item.name: (proto.DISABLED, {}) for item in policies}
    settings[only] = (LEVELS[level], config or {})
    made.configure(settings)
    return made


def thing(**inputs: Any) -> Resource:
    return Resource(f"urn:pulumi:dev::shop::{THING}::app", THING, "app", inputs)


def said(response: Any) -> list[str]:
    return [diagnostic.message.partition("\n")[2] or diagnostic.message for diagnostic in response.diagnostics]


# --- metadata --------------------------------------------------------------------------------------------------------


def test_a_rules_metadata() -> None:
    policies = to_policies(Pack("test", "1.0.0", RULES), url="https://example.com/{code}/{name}")

    first = policies[0]
    assert isinstance(first, ResourceValidationPolicy)
    assert (first.name, first.description, first.display_name) == (
        "thing-port",
        "Title of TS01",
        "TS01 Title of TS01",
    )
    assert (first.enforcement_level, first.severity) == (EnforcementLevel.MANDATORY, Severity.HIGH)
    assert (first.remediation_steps, first.url, first.tags) == (
        "Mend it.",
        "https://example.com/TS01/thing-port",
        ["TS01"],
    )
    assert first.framework is not None
    assert (first.framework.name, first.framework.version, first.framework.reference) == ("CIS", "2.0", "1.1")
    assert first.config_schema is not None
    assert list(first.config_schema.properties) == ["ports", "limit", "strictUnknowns", "exempt"]
    assert policies[1].enforcement_level is EnforcementLevel.ADVISORY
    assert policies[3].enforcement_level is EnforcementLevel.DISABLED
    assert policies[3].tags == ["TS04", "prod"]
    assert [isinstance(policy, StackValidationPolicy) for policy in policies] == [item.graph for item in RULES]


def test_a_parameter_cannot_take_the_reserved_name() -> None:
    bad = make("TS09", "thing-strict", check_kind, parameters=(Parameter("strictUnknowns", "boolean", True, "Mine."),))

    with pytest.raises(ValueError, match="TS09: a rule's parameter cannot be called strictUnknowns"):
        to_policies(Pack("test", "1.0.0", (bad,)))


@pytest.mark.parametrize("item", [*RULES, *storage.RULES], ids=lambda item: item.code)
def test_every_rule_makes_a_policy_that_the_server_can_describe(item: Rule) -> None:
    (policy,) = to_policies(Pack("test", "1.0.0", (item,)))
    assert policy.config_schema is not None
    Draft7Validator.check_schema({"type": "object", "properties": policy.config_schema.properties})

    info = StockServer([policy]).servicer.GetAnalyzerInfo(empty_pb2.Empty(), None)

    (described,) = info.policies
    assert (described.name, described.description) == (item.name, item.title)
    names = [parameter.name for parameter in item.parameters]
    assert sorted(described.configSchema.properties.keys()) == sorted([*names, "exempt", "strictUnknowns"])


# --- resource policies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "resource", "messages"),
    [
        ("thing-port", thing(port="https"), []),
        (
            "thing-port",
            thing(port="telnet"),
            ['port is a value that is not shown, expected one of "https", "8443". Mend it.'],
        ),
        ("thing-port", thing(), ["port is not set. A port is needed. Mend it."]),
        ("thing-elements", thing(list=[{"on": True}]), []),
        (
            "thing-elements",
            thing(list=[{"on": False}, {"on": True}, {}, {"on": UNKNOWN}]),
            ["list[0].on is a value that is not shown, expected true. Mend it.", "list[2].on is not set. Mend it."],
        ),
        ("thing-broken", thing(port="telnet"), ["The rule TS04 itself broke on this resource."]),
        (
            "thing-options",
            Resource(
                f"urn:pulumi:dev::shop::{THING}::app",
                THING,
                "app",
                {},
                options=Options(
                    protect=True, ignore_changes=("tags",), custom_timeouts={"create": "90s"}, aliases=("urn:old",)
                ),
            ),
            ["True ('tags',) {'create': '90s'} ('urn:old',) Mend it."],
        ),
    ],
)
def test_violations(name: str, resource: Resource, messages: list[str]) -> None:
    response = server(name).analyze(resource)

    assert said(response) == messages
    assert all(item.enforcementLevel == proto.MANDATORY for item in response.diagnostics)
    assert list(response.not_applicable) == []


def test_the_level_is_the_configured_one() -> None:
    response = server("thing-port", level="advisory").analyze(thing())

    assert [item.enforcementLevel for item in response.diagnostics] == [proto.ADVISORY]


def test_parameters_come_from_the_config() -> None:
    configured = server("thing-port", {"ports": ["telnet"], "limit": 9})

    assert said(configured.analyze(thing(port="telnet"))) == []
    assert said(configured.analyze(thing(port="https"))) != []


def test_a_wrong_parameter_is_said_and_nothing_else() -> None:
    response = server("thing-port", {"limit": 99}).analyze(thing(port="https"))

    assert said(response) == [
        "This policy's configuration is wrong: limit: expected a whole number from 1 to 9, found 99."
    ]


@pytest.mark.parametrize(
    ("name", "resource", "path"),
    [
        ("thing-port", thing(port=UNKNOWN), "port"),
        ("thing-elements", thing(list=UNKNOWN), "list[*]"),
        ("thing-elements", thing(list=[{"on": True}, {"on": UNKNOWN}]), "list[1].on"),
    ],
)
def test_an_unknown_is_an_advisory_line_that_names_the_property(name: str, resource: Resource, path: str) -> None:
    response = server(name).analyze(resource)

    (diagnostic,) = response.diagnostics
    assert diagnostic.enforcementLevel == proto.ADVISORY
    assert f"can't run policy '{name}'" in diagnostic.message
    assert f" .{path} can't be known" in diagnostic.message.replace("at ", "")


def test_an_unknown_is_a_violation_where_the_config_asks_for_it() -> None:
    response = server("thing-port", {"strictUnknowns": True}).analyze(thing(port=UNKNOWN))

    (diagnostic,) = response.diagnostics
    assert diagnostic.enforcementLevel == proto.MANDATORY
    assert said(response) == ["It cannot be decided: port is not known before apply."]


ACCEPTED = {"resource": f"{THING}::a*", "reason": "Ticket 4711.", "owner": "platform"}


def test_an_exempt_failure_is_not_applicable_with_its_reason() -> None:
    response = server("thing-port", {"exempt": [ACCEPTED]}).analyze(thing(port="ftp"))

    assert said(response) == []
    (item,) = response.not_applicable
    assert "Exempt: Ticket 4711 (platform)" in item.reason


@pytest.mark.parametrize(
    "entry",
    [
        ACCEPTED | {"resource": "other::*"},
        ACCEPTED | {"expires": "2020-01-31"},
        ACCEPTED | {"property": "list*"},
    ],
    ids=["another resource", "expired", "another property"],
)
def test_an_exemption_that_does_not_hold_leaves_the_violation(entry: dict[str, str]) -> None:
    response = server("thing-port", {"exempt": [entry]}).analyze(thing(port="ftp"))

    assert len(said(response)) == 1


def test_one_finding_of_several_can_be_exempt() -> None:
    entry = ACCEPTED | {"property": "list[1].on"}
    response = server("thing-elements", {"exempt": [entry]}).analyze(thing(list=[{"on": False}, {"on": False}]))

    assert [text.partition(" ")[0] for text in said(response)] == ["list[0].on"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"reason": "Because."}, "exempt[0].owner: an exemption needs one"),
        ({"owner": "me", "reason": ""}, "exempt[0].reason: an exemption needs one"),
        (ACCEPTED | {"until": "2030-01-01"}, "exempt[0].until: there is no such key"),
        (ACCEPTED | {"expires": "soon"}, "exempt[0].expires: expected YYYY-MM-DD, found 'soon'"),
    ],
)
def test_a_wrong_exemption_is_said(entry: dict[str, str], message: str) -> None:
    (text,) = said(server("thing-port", {"exempt": [entry]}).analyze(thing(port="ftp")))

    assert message in text


def test_not_applicable() -> None:
    response = server("thing-kind").analyze(thing(kind="other"))

    assert [(item.policy_name, item.reason) for item in response.not_applicable] == [
        ("thing-kind", "It is of another kind.")
    ]
    assert said(response) == []


def test_other_types_are_left_alone_without_reading_their_properties() -> None:
    bucket = Resource("urn:pulumi:dev::shop::test:index:Bucket::b", "test:index:Bucket", "b", {"port": UNKNOWN})

    response = server("thing-port").analyze(bucket)

    assert (said(response), list(response.not_applicable)) == ([], [])


def test_a_rule_for_every_resource_judges_custom_resources_only() -> None:
    provider = Resource("urn:pulumi:dev::shop::pulumi:providers:test::default", "pulumi:providers:test", "default", {})
    custom = Resource("urn:pulumi:dev::shop::test:index:Thing::app", THING, "app", {}, provider=provider.urn)
    component = Resource("urn:pulumi:dev::shop::test:index:Group::group", "test:index:Group", "group", {})
    generic = server("every-resource")

    assert said(generic.analyze(custom, [provider])) == ["app is there. Mend it."]
    assert said(generic.analyze(component, [provider])) == []
    assert said(generic.analyze(provider)) == []


def test_no_value_is_shown_for_any_may_be_secret() -> None:
    response = server("thing-port").analyze(thing(port=Secret("hunter2")))

    assert "hunter2" not in str(response)
    assert len(response.diagnostics) == 1


def test_what_hangs_on_the_secret_mark_is_unknown() -> None:
    advisory = server("thing-secret").analyze(thing(key=Secret("hunter2")))
    strict = server("thing-secret", {"strictUnknowns": True}).analyze(thing(key="hunter2"))

    assert [item.enforcementLevel for item in advisory.diagnostics] == [proto.ADVISORY]
    assert "(whether a value is secret)" in advisory.diagnostics[0].message
    assert said(strict) == [
        "It cannot be decided: it hangs on which values are secret, and policies are not told that."
    ]


@pytest.mark.parametrize("item", [item for item in storage.RULES if not item.graph], ids=lambda item: item.code)
def test_the_examples_of_real_rules(item: Rule) -> None:
    (policy,) = to_policies(Pack("test", "1.0.0", (item,)))
    made = StockServer([policy])
    made.configure({item.name: (proto.MANDATORY, {})})

    def judged(samples: Iterable[Sample]) -> list[int]:
        responses = [made.analyze(resource) for resource in build(samples) if resource.type in item.types]
        return [diagnostic.enforcementLevel for response in responses for diagnostic in response.diagnostics]

    assert proto.MANDATORY in judged(item.bad)
    assert judged(item.good) == []


# --- stack policies --------------------------------------------------------------------------------------------------


def queue(name: str, outputs: Mapping[str, Any], feeds: tuple[str, ...] = ()) -> Resource:
    return Resource(
        urn=f"urn:pulumi:dev::shop::{QUEUE}::{name}",
        type=QUEUE,
        name=name,
        inputs={},
        outputs=outputs,
        dependencies=feeds,
        property_dependencies={"deadLetter": feeds} if feeds else {},
    )


DEAD = queue("dead", {"deadLetter": "arn:none", "arn": "arn:dead", "id": "dead"})


def test_a_stack_policy_reports_at_the_resource() -> None:
    response = server("queue-dead-letter").analyze_stack([DEAD, queue("lone", {"arn": "arn:lone", "id": "lone"})])

    assert [(item.urn.rpartition("::")[2], item.enforcementLevel) for item in response.diagnostics] == [
        ("dead", proto.MANDATORY),
        ("lone", proto.MANDATORY),
    ]
    assert said(response) == [
        "deadLetter names no queue, it is a value that is not shown. Mend it.",
        "deadLetter names no queue, it is nothing. Mend it.",
    ]


def test_a_stack_policy_follows_values_and_dependencies() -> None:
    first = queue("first", {"arn": "arn:first", "id": "first", "deadLetter": "arn:dead"})
    second = queue("second", {"arn": "arn:second", "id": "second", "deadLetter": UNKNOWN}, feeds=(DEAD.urn,))

    response = server("queue-dead-letter").analyze_stack([DEAD, first, second])

    assert [item.urn.rpartition("::")[2] for item in response.diagnostics] == ["dead"]


def test_unknowns_of_a_stack_policy_stand_in_one_line_after_its_violations() -> None:
    pending = [queue(name, {"deadLetter": UNKNOWN}) for name in ("a", "b", "c", "d", "e")]

    response = server("queue-dead-letter").analyze_stack([queue("lone", {}), *pending])

    assert [item.enforcementLevel for item in response.diagnostics] == [proto.MANDATORY, proto.ADVISORY]
    assert "a.deadLetter, b.deadLetter, c.deadLetter and 2 more" in response.diagnostics[1].message


@pytest.mark.parametrize(("preview", "level"), [(True, proto.ADVISORY), (False, proto.MANDATORY)])
def test_what_a_preview_leaves_out_is_not_taken_for_absent(
    preview: bool, level: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a preview the ARN of "other" is yet to come, so the literal may or may not name it.
    monkeypatch.setattr("pulumi.runtime.is_dry_run", lambda: preview)
    other = queue("other", {"id": "other", "deadLetter": "other"})

    response = server("queue-dead-letter").analyze_stack([queue("lone", {"deadLetter": "arn:x"}), other])

    assert response.diagnostics[0].enforcementLevel == level
    assert "lone" in (response.diagnostics[0].urn + response.diagnostics[0].message)


def test_a_stack_without_such_resources() -> None:
    response = server("queue-dead-letter").analyze_stack([thing(port="telnet")])

    assert said(response) == []
    assert [item.reason for item in response.not_applicable] == [
        "The stack has no resource of the types that this policy judges."
    ]


# --- the pack folder -------------------------------------------------------------------------------------------------


def test_the_pack_folder_holds_every_rule() -> None:
    loaded = load_pack(Path(__file__).parents[3] / "policies")

    assert loaded.name == PACK.name
    assert [policy.name for policy in loaded.policies] == [item.name for item in PACK.rules]
    assert loaded.version == PACK.version
