from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ringfence.deployment import UNKNOWN, Options, Resource, ResourceReference, Secret, SourceLine
from ringfence.packs.launch import StackFacts
from ringfence.packs.running import close_all
from ringfence.policy.pack import PackError
from ringfence.policy.verdict import Level, Severity
from tests.unit.packs.fakes import (
    FACTS,
    THING,
    asked,
    fake_pack,
    fake_plugin,
    judged,
    names,
    policy,
    shown,
    starts,
    thing,
    violation,
    wait_until_gone,
)

PROVIDER = Resource("urn:pulumi:dev::shop::pulumi:providers:acme::p", "pulumi:providers:acme", "p", {"region": "x"})


@pytest.fixture(autouse=True)
def _no_pack_stays() -> Iterator[None]:
    yield
    close_all()


# --- the protocol ----------------------------------------------------------------------------------------------------


def test_a_pack_is_asked_in_the_engines_order_and_told_what_the_engine_tells(tmp_path: Path) -> None:
    pack = fake_pack(tmp_path / "pack", policy("one"), policy("all-of-it", kind="STACK"))
    made = Resource(
        "urn:pulumi:dev::shop::acme:index:Thing::a",
        THING,
        "a",
        {"size": 3, "key": Secret("s3cret!"), "later": UNKNOWN, "of": ResourceReference("urn:x", "id-1"), "__own": 1},
        outputs={"arn": "arn:a"},
        parent="urn:stack",
        provider=PROVIDER.urn,
        dependencies=("urn:d",),
        property_dependencies={"size": ("urn:d",), "none": ()},
        options=Options(
            protect=True,
            ignore_changes=("size",),
            delete_before_replace=False,
            additional_secret_outputs=("key",),
            aliases=("urn:old",),
            custom_timeouts={"create": "1m30s", "read": "5s"},
        ),
    )

    judged([pack], PROVIDER, made)
    close_all()

    questions = asked(pack)
    assert list(names(questions)) == [
        *("Handshake", "ConfigureStack", "GetAnalyzerInfo", "Configure"),
        *("Analyze", "Analyze", "AnalyzeStack", "Cancel"),
    ]
    said = dict(questions[:-3])
    assert said["Handshake"]["rootDirectory"] == said["Handshake"]["programDirectory"] == str(pack)
    assert said["ConfigureStack"] == {
        "stack": "dev",
        "project": "shop",
        "organization": "organization",
        "dryRun": True,
        "config": {"shop:size": "4"},
        "tags": {"team": "blue"},
    }
    options = {
        "protect": True,
        "ignoreChanges": ["size"],
        "deleteBeforeReplaceDefined": True,
        "additionalSecretOutputs": ["key"],
        "customTimeouts": {"create": 90.0, "read": 5.0},
        "parent": "urn:stack",
    }
    provider = {
        "type": "pulumi:providers:acme",
        "urn": PROVIDER.urn,
        "name": "p",
        "properties": {"region": "x"},
    }
    assert questions[5][1] == {
        "type": THING,
        "urn": made.urn,
        "name": "a",
        "properties": {
            "size": 3.0,
            "key": {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": "s3cret!"},
            "later": "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
            "of": "id-1",
        },
        "options": options,
        "provider": provider,
    }
    assert questions[6][1]["resources"][1] == {
        "type": THING,
        "urn": made.urn,
        "name": "a",
        "properties": {"arn": "arn:a"},
        "options": options,
        "provider": provider,
        "parent": "urn:stack",
        "dependencies": ["urn:d"],
        "propertyDependencies": {"size": {"urns": ["urn:d"]}},
    }


def test_how_the_process_is_started(tmp_path: Path) -> None:
    pack = fake_pack(tmp_path / "pack", policy("one"))

    judged([pack], thing())

    [start] = starts(pack)
    assert start["arguments"] == ["127.0.0.1:0", str(pack)]
    assert (
        start["environment"].items()
        >= {
            "PULUMI_ORGANIZATION": "organization",
            "PULUMI_PROJECT": "shop",
            "PULUMI_STACK": "dev",
            "PULUMI_DRY_RUN": "true",
            "PULUMI_CONFIG": '{"shop:size": "4"}',
        }.items()
    )


def test_resources_that_are_only_read_are_not_judged_and_are_part_of_the_stack(tmp_path: Path) -> None:
    pack = fake_pack(tmp_path / "pack", policy("one"), policy("all-of-it", kind="STACK"))
    read = Resource("urn:r", THING, "r", {}, external=True)

    judged([pack], read)

    assert list(names(asked(pack)))[4:] == ["AnalyzeStack"]


def test_what_no_policy_asks_for_is_not_asked(tmp_path: Path) -> None:
    pack = fake_pack(tmp_path / "pack", policy("one", level="DISABLED"), policy("two", kind="STACK"))

    assert shown(judged([pack], thing()).findings) == [("two", "pass", "About two.")]
    assert list(names(asked(pack)))[4:] == ["AnalyzeStack"]


def test_messages_of_many_megabytes(tmp_path: Path) -> None:
    pack = fake_pack(tmp_path / "pack", policy("one"))

    [finding] = judged([pack], thing(text="x" * (20 << 20))).findings

    assert finding.verdict.value == "pass"


def test_a_pack_without_the_newer_questions(tmp_path: Path) -> None:
    absent = dict.fromkeys(("Handshake", "ConfigureStack", "AnalyzeStack", "Remediate a"), "unimplemented")
    pack = fake_pack(tmp_path / "pack", policy("one", level="REMEDIATE"), policy("two", kind="STACK"), **absent)

    assert shown(judged([pack], thing()).findings) == [("one", "pass", "About one."), ("two", "pass", "About two.")]


# --- findings --------------------------------------------------------------------------------------------------------


def test_findings_have_what_the_pack_gives_and_the_line_of_the_program(tmp_path: Path) -> None:
    about = policy(
        "one",
        severity="POLICY_SEVERITY_HIGH",
        framework={"name": "CIS", "version": "2.0", "specification": "3.1"},
        remediationSteps="Turn it on.",
        url="https://example.com/one",
    )
    answers = {"a": {"diagnostics": [violation("one", "it is off"), violation("one", severity=4)]}}
    pack = fake_pack(tmp_path / "pack", about, answers=answers)
    source = SourceLine("/shop/index.ts", 4, 2)
    made = Resource("urn:a", THING, "a", {}, source=source)

    first, second = judged([pack], made).findings

    assert (first.code, first.name, first.pack) == ("one", "one", "pack")
    assert first.message == "About one: it is off"
    assert (first.severity, second.severity) == (Severity.HIGH, Severity.CRITICAL)
    assert second.message == "About one."
    assert (first.urn, first.type, first.resource, first.source) == ("urn:a", THING, "a", source)
    assert (first.remedy, first.url) == ("Turn it on.", "https://example.com/one")
    assert first.extra["framework"] == {"name": "CIS", "version": "2.0", "specification": "3.1"}
    assert first.extra["violation"] == "it is off"


UNKNOWN_READ = "can't run policy 'one' from policy pack 'pack@v0.0.1' during preview: string value at .a.0.b "
UNKNOWN_READ += "can't be known during preview"


VERDICTS = [
    ({}, [("one", "pass", "About one.")]),
    (
        {"diagnostics": [violation("one", "x"), violation("one", "y")]},
        [("one", "fail", "About one: x"), ("one", "fail", "About one: y")],
    ),
    ({"notApplicable": [{"policyName": "one", "reason": "no"}]}, [("one", "not-applicable", "no")]),
    (
        {"diagnostics": [violation("one", level="ADVISORY") | {"message": UNKNOWN_READ}]},
        [("one", "unknown", "a[0].b is not known before apply.")],
    ),
    (
        {"diagnostics": [violation("one", "x"), violation("one", level="ADVISORY") | {"message": UNKNOWN_READ}]},
        [("one", "fail", "About one: x"), ("one", "unknown", "a[0].b is not known before apply.")],
    ),
    ({"diagnostics": [violation("one", "x", level="DISABLED")]}, []),
    # A policy may report in the name of another.
    (
        {"diagnostics": [violation("other", "x")]},
        [("one", "pass", "About one."), ("other", "fail", "About other: x")],
    ),
]


def test_verdicts(tmp_path: Path) -> None:
    answers = {str(number): answer for number, (answer, _) in enumerate(VERDICTS)}
    pack = fake_pack(tmp_path / "pack", policy("one"), answers=answers)

    found = judged([pack], *map(thing, answers)).findings

    for number, (_, expected) in enumerate(VERDICTS):
        assert shown([item for item in found if item.resource == str(number)]) == expected, answers[str(number)]


def test_levels_are_those_of_the_config_and_an_undecided_policy_keeps_its_own(tmp_path: Path) -> None:
    answers = {
        "a": {
            "diagnostics": [
                violation("one", level="ADVISORY") | {"message": UNKNOWN_READ},
                violation("two", level="REMEDIATE"),
            ]
        }
    }
    pack = fake_pack(tmp_path / "pack", policy("one", "ADVISORY"), policy("two"), answers=answers)

    one, two = judged([pack], thing(), configs=[{"one": "mandatory", "two": "remediate"}]).findings

    assert [one.level, two.level] == [Level.MANDATORY, Level.MANDATORY]
    assert (one.verdict.value, one.path, one.blocks) == ("unknown", "a[0].b", False)
    assert two.blocks


def test_findings_of_stack_policies_name_their_resource_or_none(tmp_path: Path) -> None:
    answers = {"the stack": {"diagnostics": [violation("all", "x", urn=thing("b").urn), violation("all", "y")]}}
    pack = fake_pack(tmp_path / "pack", policy("all", kind="STACK"), answers=answers)

    first, second = judged([pack], thing("a"), thing("b")).findings

    assert (first.resource, first.urn) == ("b", thing("b").urn)
    assert (second.resource, second.urn) == ("", "")


def test_a_policy_whose_kind_is_not_told_passes_once(tmp_path: Path) -> None:
    answers = {"b": {"diagnostics": [violation("old", "x")]}}
    pack = fake_pack(tmp_path / "pack", policy("old", kind="UNKNOWN"), answers=answers)

    found = judged([pack], thing("a"), thing("b")).findings

    assert [item.resource for item in found if item.verdict.value == "fail"] == ["b"]
    assert list(names(asked(pack)))[4:] == ["Analyze", "Analyze", "AnalyzeStack"]


def test_secrets_are_taken_out_of_messages(tmp_path: Path) -> None:
    answers = {"a": {"diagnostics": [violation("one", "key hunter2x of tok3n-abc")]}}
    pack = fake_pack(tmp_path / "pack", policy("one"), answers=answers)
    facts = StackFacts("shop", "dev", config={"shop:t": "tok3n-abc"}, secret_keys=frozenset({"shop:t"}))

    [finding] = judged([pack], thing(key=Secret("hunter2x")), facts=facts).findings

    assert finding.message == "About one: key [secret] of [secret]"


def test_a_policy_that_raises_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    answers = {
        "a": {
            "raises": {"two": "Exception calling application: odd hunter2x"},
            "diagnostics": [violation("one", "x"), violation("three", "y")],
        },
        "the stack": {"raises": {"four": "bad"}, "diagnostics": [violation("five", "z")]},
    }
    policies = [policy(name) for name in ("one", "two", "three")]
    pack = fake_pack(
        tmp_path / "pack", *policies, policy("four", kind="STACK"), policy("five", kind="STACK"), answers=answers
    )

    found = judged([pack], thing(key=Secret("hunter2x")), thing("b")).findings

    assert shown(found) == [
        ("one", "fail", "About one: x"),
        ("two", "error", "The policy itself broke: odd [secret]"),
        ("three", "fail", "About three: y"),
        *((name, "pass", f"About {name}.") for name in ("one", "two", "three")),
        ("four", "error", "The policy itself broke: bad"),
        ("five", "fail", "About five: z"),
    ]


def test_the_only_policy_raises(tmp_path: Path) -> None:
    pack = fake_pack(tmp_path / "pack", policy("one"), answers={"a": {"raises": {"one": "odd"}}})

    assert shown(judged([pack], thing()).findings) == [("one", "error", "The policy itself broke: odd")]


# --- remediation -----------------------------------------------------------------------------------------------------


def remedy(name: str, **properties: Any) -> dict[str, Any]:
    return {"policyName": name, "properties": properties}


def test_remediations_are_applied_pack_by_pack_before_any_analysis(tmp_path: Path) -> None:
    first = fake_pack(
        tmp_path / "first",
        policy("a1", "REMEDIATE"),
        policy("a2", "REMEDIATE"),
        answers={"remediate a": {"remediations": [remedy("a1", size=1), remedy("a2", size=1, tags={"x": "y"})]}},
    )
    second = fake_pack(
        tmp_path / "second",
        policy("b1", "REMEDIATE"),
        answers={"remediate a": {"remediations": [remedy("b1", size=2, tags={"x": "y"})]}},
    )
    looks = fake_pack(tmp_path / "looks", policy("c1"), policy("c2", kind="STACK"))

    result = judged([first, second, looks], thing(size=0))

    def properties(pack: Path, question: str) -> list[Any]:
        return [said.get("properties", {}) for name, said in asked(pack) if name == question]

    assert properties(first, "Remediate") == [{"size": 0.0}]
    assert properties(second, "Remediate") == [{"size": 1.0, "tags": {"x": "y"}}]
    final = {"size": 2.0, "tags": {"x": "y"}}
    assert properties(first, "Analyze") == properties(looks, "Analyze") == [final]
    [stack] = [said for name, said in asked(looks) if name == "AnalyzeStack"]
    assert stack["resources"][0]["properties"] == final
    assert not properties(looks, "Remediate")
    [resource] = result.deployment.resources
    assert resource.inputs == {"size": 2, "tags": {"x": "y"}}
    assert result.notes == [
        f"first/a1: changed the inputs of {THING} a: size.",
        f"first/a2: changed the inputs of {THING} a: tags.",
        f"second/b1: changed the inputs of {THING} a: size.",
    ]


def test_a_remediation_keeps_what_the_wire_cannot_carry(tmp_path: Path) -> None:
    answers = {"remediate a": {"remediations": [remedy("one", of="id-1", size=2)]}}
    pack = fake_pack(tmp_path / "pack", policy("one", "REMEDIATE"), answers=answers)
    reference = ResourceReference("urn:x", "id-1")

    [resource] = judged([pack], thing(of=reference, size=1, gone=True)).deployment.resources

    assert resource.inputs == {"of": reference, "size": 2}
    assert resource.outputs == {"of": reference, "size": 2}


def test_a_remediation_makes_no_secret_plain(tmp_path: Path) -> None:
    answer = remedy("one", key="hunter2x", url="db://hunter2x@host", size=2, deep={"list": ["pin-4711"]}, hint="hunter")
    pack = fake_pack(tmp_path / "pack", policy("one", "REMEDIATE"), answers={"remediate a": {"remediations": [answer]}})
    deep = {"list": [Secret("pin-4711")]}

    result = judged([pack], thing(key=Secret("hunter2x"), size=1, deep=deep, hint="hunter"))

    [resource] = result.deployment.resources
    assert resource.inputs == {
        "key": Secret("hunter2x"),
        "url": Secret("db://hunter2x@host"),
        "size": 2,
        "deep": deep,
        "hint": "hunter",
    }
    assert result.notes == [f"pack/one: changed the inputs of {THING} a: size, url."]


def test_a_remediation_that_cannot_be_decided_or_that_raises(tmp_path: Path) -> None:
    undecided = UNKNOWN_READ.replace("policy 'one'", "remediation 'one'", 1)
    answers = {
        "remediate a": {"remediations": [{"policyName": "one", "diagnostic": undecided}]},
        "remediate b": {"raises": {"one": "odd"}, "remediations": [remedy("two", size=2)]},
    }
    pack = fake_pack(tmp_path / "pack", policy("one", "REMEDIATE"), policy("two", "REMEDIATE"), answers=answers)

    result = judged([pack], thing("a", size=1), thing("b", size=1))

    assert shown(result.findings)[:2] == [
        ("one", "unknown", "a[0].b is not known before apply."),
        ("one", "error", "The remediation itself broke: odd"),
    ]
    assert [resource.inputs for resource in result.deployment.resources] == [{"size": 1}, {"size": 2}]


def test_a_remediation_that_takes_the_mark_of_an_unknown_for_a_value(tmp_path: Path) -> None:
    answers = {"remediate a": {"remediations": [remedy("one", size=2)]}}
    pack = fake_pack(tmp_path / "pack", policy("one", "REMEDIATE"), answers=answers)

    result = judged([pack], thing(size=UNKNOWN))

    assert shown(result.findings)[0] == ("one", "unknown", "size is not known before apply.")
    assert result.deployment.resources[0].inputs == {"size": UNKNOWN}


# --- config ----------------------------------------------------------------------------------------------------------


def test_a_wrong_config_names_folder_pack_policy_and_key(tmp_path: Path) -> None:
    schema = {"properties": {"count": {"type": "integer", "minimum": 2}}, "required": ["label"]}
    pack = fake_pack(tmp_path / "pack", policy("one", configSchema=schema))

    with pytest.raises(PackError) as raised:
        judged([pack], thing(), configs=[{"one": {"count": 1}}])

    assert str(raised.value) == (
        f"{pack}: policy pack pack: one: 'label' is a required property; one.count: 1 is less than the minimum of 2"
    )


def test_defaults_then_the_packs_own_config_then_the_users(tmp_path: Path) -> None:
    initial = {"initialConfig": {"one": {"enforcementLevel": "ADVISORY", "properties": {"label": "abc"}}}}
    other = policy("other", configSchema={"properties": {"n": {"type": "number", "default": 1.5}}})
    schema = {"properties": {"count": {"type": "integer", "default": 3}, "label": {"type": "string"}}}
    pack = fake_pack(tmp_path / "pack", policy("one", configSchema=schema), other, info=initial)

    judged([pack], thing(), configs=[{"all": "disabled", "one": {"count": 7}}])

    configured = dict(asked(pack))["Configure"]["policyConfig"]
    assert configured == {
        "one": {"enforcementLevel": "DISABLED", "properties": {"count": 7.0, "label": "abc"}},
        "other": {"enforcementLevel": "DISABLED", "properties": {"n": 1.5}},
    }


def test_two_policies_of_one_name(tmp_path: Path) -> None:
    pack = fake_pack(tmp_path / "pack", policy("one"), policy("one"))

    with pytest.raises(PackError, match="policy pack pack: two policies are called one"):
        judged([pack], thing())


# --- OPA -------------------------------------------------------------------------------------------------------------


def test_a_pack_for_opa_runs_by_its_plugin_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = fake_plugin(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(plugin.parent), prepend=":")
    pack = fake_pack(tmp_path / "pack", policy("one"))
    (pack / "PulumiPolicy.yaml").write_text("runtime:\n  name: opa\n  options: {data: x}\n")

    found = judged([pack], thing("a", size=1), thing("b", size=UNKNOWN)).findings

    assert starts(pack)[0]["arguments"] == ["127.0.0.1:0", ".", "-data=x"]
    # Rego does not raise where it meets the mark of an unknown: it takes it for a text.
    assert [item.verdict.value for item in found] == ["pass", "unknown"]


def test_opa_without_its_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    pack = fake_pack(tmp_path / "pack", policy("one"))
    (pack / "PulumiPolicy.yaml").write_text("runtime: opa\n")

    with pytest.raises(PackError, match="opa needs the analyzer plugin pulumi-analyzer-policy-opa on PATH"):
        judged([pack], thing())


def test_the_process_is_gone_when_it_is_over(tmp_path: Path) -> None:
    pack = fake_pack(tmp_path / "pack", policy("one"), child=True)

    judged([pack], thing(), facts=FACTS)
    close_all()

    wait_until_gone(starts(pack)[0]["pid"], int((pack / "child").read_text()))
