from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest

from ringfence.deployment import UNKNOWN, Deployment, Options, Resource, Secret, SourceLine
from ringfence.policy.crossguard import CrossGuardPack, StackContext, load_pack
from ringfence.policy.pack import PackError
from ringfence.policy.verdict import Finding, Level, Severity, Verdict

PACKS = Path(__file__).parents[2] / "fixtures" / "packs"


def urn(kind: str, name: str) -> str:
    return f"urn:pulumi:dev::shop::test:index:{kind}::{name}"


def thing(name: str = "app-one", kind: str = "Thing", **inputs: Any) -> Resource:
    token = f"test:index:{kind}"
    return Resource(urn=urn(kind, name), type=token, name=name, inputs=inputs, outputs=inputs)


def deployment(*resources: Resource) -> Deployment:
    return Deployment("shop", "dev", Path("shop"), resources)


def run(pack: CrossGuardPack, *resources: Resource) -> list[tuple[str, Verdict, str]]:
    """Return name, verdict and what was reported or else the message, of every finding."""
    return [
        (finding.name, finding.verdict, finding.extra["violation"] or finding.message)
        for finding in pack.evaluate(deployment(*resources))
    ]


def only(findings: list[Finding], verdict: Verdict) -> Finding:
    (finding,) = [finding for finding in findings if finding.verdict is verdict]
    return finding


def test_violations_with_all_that_the_policy_says_of_itself() -> None:
    pack = load_pack(PACKS / "simple")
    firewall = replace(
        thing(
            "fw", "Firewall", rules=[{"name": "a", "port": 22}, {"name": "b", "port": 443}, {"name": "c", "port": 22}]
        ),
        source=SourceLine("/shop/__main__.py", 7),
        source_chain=(SourceLine("/shop/__main__.py", 7),),
    )

    findings = pack.evaluate(deployment(firewall, thing()))

    assert (pack.name, pack.version, pack.description) == ("simple", "1.2.3", "Small rules")
    assert [(item.name, item.verdict, item.resource) for item in findings] == [
        ("no-ssh", Verdict.FAIL, "fw"),
        ("no-ssh", Verdict.FAIL, "fw"),
        ("named", Verdict.FAIL, "fw"),
        ("no-ssh", Verdict.PASS, "app-one"),
        ("named", Verdict.PASS, "app-one"),
    ]
    assert findings[0] == Finding(
        code="no-ssh",
        name="no-ssh",
        verdict=Verdict.FAIL,
        level=Level.MANDATORY,
        severity=Severity.CRITICAL,
        message="Firewalls keep SSH closed: a opens port 22.0",
        urn=firewall.urn,
        type="test:index:Firewall",
        resource="fw",
        remedy="Remove the rule.",
        source=SourceLine("/shop/__main__.py", 7),
        source_chain=(SourceLine("/shop/__main__.py", 7),),
        pack="simple",
        url="https://example.com/no-ssh",
    )
    assert findings[1].message == "Firewalls keep SSH closed: c opens port 22.0"
    assert (findings[2].message, findings[2].level, findings[2].severity) == (
        "Names start with app-",
        Level.ADVISORY,
        Severity.MEDIUM,
    )


# --- configuration ---------------------------------------------------------------------------------------------------


def test_defaults_and_the_packs_own_config_are_filled_in() -> None:
    pack = load_pack(PACKS / "config")

    assert run(pack, thing()) == [
        ("limits", Verdict.FAIL, "limit=3.0, zones=['a']"),
        ("free", Verdict.FAIL, "depth=2.0"),
    ]
    levels = {policy.name: pack.level(policy) for policy in pack.policies}
    assert levels == {"limits": Level.MANDATORY, "free": Level.ADVISORY, "off": Level.DISABLED}
    assert pack.notes == ("free: the pack's initial_config names no enforcementLevel; CrossGuard takes advisory.",)


@pytest.mark.parametrize(
    ("config", "levels", "said"),
    [
        ({"all": "advisory"}, ("advisory", "advisory", "advisory"), "limit=3.0, zones=['a']"),
        (
            {"all": {"enforcementLevel": "disabled"}, "limits": {"enforcementLevel": "mandatory", "limit": 9}},
            ("mandatory", "disabled", "disabled"),
            "limit=9.0, zones=['a']",
        ),
        ({"limits": "remediate", "off": "advisory"}, ("mandatory", "advisory", "advisory"), "limit=3.0, zones=['a']"),
        (
            {"limits": {"zones": ["b", "a"], "more": {"deep": [1]}}},
            ("mandatory", "advisory", "disabled"),
            "limit=3.0, more={'deep': [1.0]}, zones=['b', 'a']",
        ),
    ],
)
def test_the_users_config(config: Mapping[str, Any], levels: tuple[str, ...], said: str) -> None:
    pack = load_pack(PACKS / "config", config)

    assert tuple(pack.level(policy).value for policy in pack.policies) == levels
    assert run(pack, thing())[0] == ("limits", Verdict.FAIL, said)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"limit": "mandatory"}, "limit: there is no such policy (there are: free, limits, off)"),
        (
            {"limits": "fatal"},
            "limits.enforcementLevel: expected one of advisory, mandatory, remediate, disabled, found 'fatal'",
        ),
        (
            {"limits": {"enforcementLevel": 3}},
            "limits.enforcementLevel: expected one of advisory, mandatory, remediate, disabled, found 3",
        ),
        ({"limits": 3}, "limits: expected an enforcement level or an object, found 3"),
        ({"all": {"limit": 3}}, "all: expected only enforcementLevel, found limit"),
        ({"limits": {"limit": "3"}}, "limits.limit: '3' is not of type 'integer'"),
        ({"limits": {"limit": 2.5}}, "limits.limit: 2.5 is not of type 'integer'"),
        ({"limits": {"limit": 0}}, "limits.limit: 0 is less than the minimum of 1"),
        ({"limits": {"limit": 11}}, "limits.limit: 11 is greater than the maximum of 10"),
        ({"limits": {"zones": ["a", "z"]}}, "limits.zones[1]: 'z' is not one of ['a', 'b']"),
        ({"limits": {"mode": "lax"}}, "limits.mode: 'strict' was expected"),
        ({"limits": {"label": "y"}}, "limits.label: 'y' does not match '^x'"),
        ({"limits": {"label": "xxxx"}}, "limits.label: 'xxxx' is too long"),
    ],
)
def test_a_wrong_config_names_policy_key_and_what_was_expected(config: Mapping[str, Any], message: str) -> None:
    with pytest.raises(PackError) as raised:
        load_pack(PACKS / "config", config)

    assert str(raised.value).startswith(f"{PACKS / 'config'}: policy pack config: {message}")


def write_pack(folder: Path, program: str, manifest: str = "runtime: python\n") -> Path:
    (folder / "PulumiPolicy.yaml").write_text(manifest)
    (folder / "__main__.py").write_text(program)
    return folder


ONE_POLICY = """
from pulumi_policy import *
def validate(args, report_violation):
    report_violation(str(args.get_config()))
schema = PolicyConfigSchema({"size": SCHEMA}, REQUIRED)
PolicyPack("p", [ResourceValidationPolicy("one", "One", validate, config_schema=schema)])
"""


def test_a_required_value_that_is_missing(tmp_path: Path) -> None:
    program = ONE_POLICY.replace("SCHEMA", '{"type": "integer"}').replace("REQUIRED", '["size"]')

    with pytest.raises(PackError, match=r"policy pack p: one: 'size' is a required property"):
        load_pack(write_pack(tmp_path, program))


def test_a_schema_that_is_none(tmp_path: Path) -> None:
    program = ONE_POLICY.replace("SCHEMA", '{"type": "whole"}').replace("REQUIRED", "None")

    with pytest.raises(PackError, match=r"one: its config schema is wrong at properties\.size\.type: 'whole'"):
        load_pack(write_pack(tmp_path, program))


def test_one_policy_cannot_change_the_config_that_it_sees_next(tmp_path: Path) -> None:
    program = """
from pulumi_policy import *
def validate(args, report_violation):
    report_violation(str(args.get_config()))
    args.get_config()["size"] = 9
PolicyPack("p", [ResourceValidationPolicy("one", "One", validate)])
"""
    pack = load_pack(write_pack(tmp_path, program), {"one": {"size": 1}})

    assert [said for _, _, said in run(pack, thing("a"), thing("b"))] == ["{'size': 1.0}", "{'size': 1.0}"]


# --- what policies are given -----------------------------------------------------------------------------------------


def test_arguments() -> None:
    provider = Resource(
        urn="urn:pulumi:dev::shop::pulumi:providers:test::default",
        type="pulumi:providers:test",
        name="default",
        inputs={"region": "north"},
    )
    resource = Resource(
        urn=urn("Thing", "app"),
        type="test:index:Thing",
        name="app",
        inputs={"port": 443, "flag": True, "list": [], "object": {}, "nothing": None, "__hidden": 1},
        parent=urn("Group", "g"),
        provider=provider.urn,
        options=Options(
            protect=True,
            ignore_changes=("tags",),
            delete_before_replace=False,
            aliases=(urn("Thing", "old"),),
            additional_secret_outputs=("key",),
            custom_timeouts={"create": "1h30m", "delete": "5s"},
        ),
    )
    pack = load_pack(PACKS / "arguments", {"describe": {"a": 1}}, StackContext(tags={"team": "blue"}))

    (_, _, said), (_, _, of_provider) = run(pack, resource, provider)

    assert json.loads(said) == {
        "props": {
            "port": "float",
            "flag": "bool",
            "list": "_ListProxy",
            "object": "_DictProxy",
            "nothing": "NoneType",
        },
        "protect": True,
        "ignore": ["tags"],
        "replace": False,
        "aliases": [],  # none pairs with a resource of a state
        "secret": ["key"],
        "timeouts": [5400.0, 0.0, 5.0],
        "parent": urn("Group", "g"),
        "provider": ["pulumi:providers:test", "default", provider.urn, "north"],
        "tags": {"team": "blue"},
        "config": {"a": 1.0},
    }
    plain = json.loads(of_provider)
    assert (plain["provider"], plain["parent"], plain["replace"], plain["protect"]) == (None, None, None, False)
    assert plain["timeouts"] == [0.0, 0.0, 0.0]


def test_what_only_is_read_is_not_analysed_and_the_stack_itself_is() -> None:
    pack = load_pack(PACKS / "simple", {"no-ssh": "disabled"})
    stack = Resource("urn:pulumi:dev::shop::pulumi:pulumi:Stack::shop-dev", "pulumi:pulumi:Stack", "shop-dev", {})

    findings = pack.evaluate(deployment(stack, replace(thing("b"), external=True), thing("c")))

    assert [finding.resource for finding in findings] == ["shop-dev", "c"]


QUEUE, OTHER = urn("Queue", "queue"), urn("Queue", "dead")


def stack_resources(*more: Resource) -> list[Resource]:
    group = thing("group", "Group")
    return [
        group,
        replace(thing("dead", "Queue"), parent=group.urn),
        replace(
            thing("queue", "Queue"),
            parent=urn("Group", "elsewhere"),
            dependencies=(OTHER, urn("Queue", "gone")),
            property_dependencies={"deadLetter": (OTHER,)},
        ),
        replace(thing("lone", "Queue"), dependencies=(QUEUE,), property_dependencies={"deadLetter": ()}),
        *more,
    ]


def test_stack_policies_see_the_resources_linked() -> None:
    pack = load_pack(PACKS / "stack_policy", None, StackContext(tags={"team": "blue"}))

    findings = pack.evaluate(deployment(*stack_resources()))

    assert [(item.name, item.verdict, item.urn, item.resource, item.extra["violation"]) for item in findings] == [
        ("at-most-two", Verdict.FAIL, "", "", "3 queues in blue"),
        ("dead-letters", Verdict.FAIL, OTHER, "dead", "dead of group has no dead letters, []"),
        ("dead-letters", Verdict.FAIL, urn("Queue", "lone"), "lone", "lone of nobody has no dead letters, ['queue']"),
        ("reads-arn", Verdict.PASS, "", "", ""),
        ("nothing", Verdict.NOT_APPLICABLE, "", "", ""),
    ]


def test_an_unknown_in_a_stack_policy_names_the_resource_if_it_can_be_no_other() -> None:
    pack = load_pack(PACKS / "stack_policy", {"all": "disabled", "reads-arn": "mandatory"})
    pending = replace(thing("pending"), outputs={"arn": UNKNOWN})
    also = replace(thing("also"), outputs={"arn": UNKNOWN})

    one = pack.evaluate(deployment(thing("known"), pending))
    two = pack.evaluate(deployment(pending, also))

    assert [(item.verdict, item.urn, item.path) for item in one] == [(Verdict.UNKNOWN, pending.urn, "arn")]
    assert [(item.verdict, item.urn, item.path) for item in two] == [(Verdict.UNKNOWN, "", "arn")]


# --- how policies end ------------------------------------------------------------------------------------------------


def test_an_unknown_keeps_the_level_names_the_property_and_leaves_what_was_said() -> None:
    pack = load_pack(PACKS / "unknown")

    findings = pack.evaluate(deployment(thing(site={"rules": [{"name": UNKNOWN}]}, size=UNKNOWN)))

    assert [(item.name, item.verdict, item.path, item.level) for item in findings] == [
        ("reads", Verdict.FAIL, "", Level.MANDATORY),
        ("reads", Verdict.UNKNOWN, "site.rules[0].name", Level.MANDATORY),
        ("contains", Verdict.UNKNOWN, "size", Level.MANDATORY),
        ("iterates", Verdict.FAIL, "", Level.MANDATORY),
    ]
    assert findings[1].message == "site.rules[0].name is not known before apply."
    assert findings[3].extra["violation"] == "site size"


def test_a_policy_that_breaks_disturbs_no_other() -> None:
    pack = load_pack(PACKS / "raises")

    assert run(pack, thing(value="this")) == [
        ("explode", Verdict.FAIL, "before"),
        ("explode", Verdict.ERROR, "The policy itself broke: ValueError: cannot bear this (checks.py:6)"),
        ("leave", Verdict.ERROR, "The policy itself broke: it exits with 3 (checks.py:10)"),
        (
            "mistyped",
            Verdict.ERROR,
            "The policy itself broke: TypeError: Expected message to be a string (checks.py:14)",
        ),
        ("fine", Verdict.FAIL, "still judged"),
    ]


ASYNCHRONOUS = [
    ("slow", Verdict.FAIL, "at once"),
    ("slow", Verdict.FAIL, "after a while"),
    ("broken", Verdict.ERROR, "The policy itself broke: KeyError: 'gone' (__main__.py:13)"),
    ("unknown", Verdict.UNKNOWN, "value is not known before apply."),
    ("stack", Verdict.FAIL, "1 resources"),
]


def test_coroutines_are_awaited() -> None:
    assert run(load_pack(PACKS / "asynchronous"), thing(value=UNKNOWN)) == ASYNCHRONOUS


def test_coroutines_are_awaited_within_a_running_loop_and_leave_it_be() -> None:
    pack = load_pack(PACKS / "asynchronous")

    async def inside() -> list[tuple[str, Verdict, str]]:
        found = run(pack, thing(value=UNKNOWN))
        await asyncio.sleep(0)
        return found

    assert asyncio.run(inside()) == ASYNCHRONOUS


def test_not_applicable() -> None:
    assert run(load_pack(PACKS / "not_applicable"), thing()) == [
        ("with-reason", Verdict.NOT_APPLICABLE, "only for Tuesdays"),
        ("without-reason", Verdict.NOT_APPLICABLE, "Policy does not apply"),
    ]


def test_what_a_policy_writes_no_other_sees() -> None:
    pack = load_pack(PACKS / "remediate")

    assert run(pack, thing(value="broken")) == [
        ("only-remedy", Verdict.NOT_APPLICABLE, "Policy does not implement validate"),
        ("both", Verdict.FAIL, "not fixed"),
        ("looks", Verdict.FAIL, "value is broken"),
    ]
    assert pack.level(pack.policies[1]) is Level.MANDATORY
    assert pack.remediates


def test_remediations_change_what_a_resource_asks_for() -> None:
    pack = load_pack(PACKS / "remediate")

    result = pack.remediate(thing(value="broken", key=Secret("hush!"), other=1), None)

    assert result.resource.inputs == {"value": "fixed", "key": Secret("hush!"), "other": 1}
    assert [(item.name, item.verdict, item.message) for item in result.findings] == [
        (
            "only-remedy",
            Verdict.ERROR,
            "The remediation itself broke: RuntimeError: it broke on [secret] (__main__.py:5)",
        )
    ]
    assert list(result.notes) == ["remediate/both: changed the inputs of test:index:Thing app-one: value."]


def test_a_remediation_that_meets_an_unknown() -> None:
    result = load_pack(PACKS / "remediate").remediate(thing(value=UNKNOWN), None)

    assert result.resource.inputs == {"value": UNKNOWN}
    assert [(item.name, item.verdict, item.path) for item in result.findings[1:]] == [
        ("both", Verdict.UNKNOWN, "value")
    ]


def test_a_pack_without_the_level_remediates_nothing() -> None:
    pack = load_pack(PACKS / "remediate", {"all": "mandatory"})

    assert not pack.remediates


CONNECTION = "Host=db.example.com;Password=hunter2!x;Port=1"


def test_secrets_reach_policies_plain_and_no_message() -> None:
    pack = load_pack(PACKS / "tells")
    resource = thing(connection=Secret(CONNECTION), pin=Secret(77), size=12)

    findings = pack.evaluate(deployment(resource))

    assert [(item.name, item.verdict, item.message) for item in findings] == [
        ("tells", Verdict.FAIL, "Tells: found [secret]. It is '[secret]', [secret], 12.0"),
        ("tells", Verdict.FAIL, "Tells: found [secret]. It is '[secret]', [secret], 12.0"),
        ("tells", Verdict.FAIL, "Tells: found [secret]. It is '[secret]', [secret], 12.0"),
        ("breaks", Verdict.ERROR, "The policy itself broke: KeyError: '[secret]' (__main__.py:10)"),
    ]
    assert "hunter2" not in repr(findings)


# --- isolation -------------------------------------------------------------------------------------------------------


def test_two_packs_with_modules_of_the_same_names_do_not_meet() -> None:
    before = set(sys.modules)
    first, second = load_pack(PACKS / "twin_a"), load_pack(PACKS / "twin_b")

    assert run(first, thing()) == [("who", Verdict.FAIL, "twin-a late twin-a True")]
    assert run(second, thing()) == [("who", Verdict.FAIL, "twin-b late twin-b True")]
    assert run(first, thing()) == [("who", Verdict.FAIL, "twin-a late twin-a True")]
    assert {
        name for name in set(sys.modules) - before if name.partition(".")[0] in ("checks", "names", "late")
    } == set()


def test_a_programs_module_of_the_same_name_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = type(sys)("checks")
    monkeypatch.setitem(sys.modules, "checks", theirs)

    found = run(load_pack(PACKS / "twin_a"), thing())

    assert found == [("who", Verdict.FAIL, "twin-a late twin-a True")]
    assert sys.modules["checks"] is theirs


def test_the_stacks_config_reaches_the_pack_and_its_prints_reach_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    context = StackContext("shop", "dev", config={"shop:colour": "blue"})
    before = (os.getcwd(), list(sys.path), list(sys.argv), sys.modules["__main__"], pulumi.get_project())  # noqa: PTH109

    pack = load_pack(PACKS / "stack_config", None, context)
    found = run(pack, thing())

    assert [said for _, _, said in found] == ["hello hello blue blue shop dev", "dry run True"]
    assert capfd.readouterr() == ("", "")
    after = (os.getcwd(), list(sys.path), list(sys.argv), sys.modules["__main__"], pulumi.get_project())  # noqa: PTH109
    assert after == before
    assert pulumi.Config("shop").get("colour") is None


def test_a_failing_pack_leaves_the_process_as_it_was() -> None:
    before = (os.getcwd(), list(sys.path), list(sys.argv), sys.modules["__main__"], sys.stdout)  # noqa: PTH109

    with pytest.raises(PackError):
        load_pack(PACKS / "does_not_import")

    assert (os.getcwd(), list(sys.path), list(sys.argv), sys.modules["__main__"], sys.stdout) == before  # noqa: PTH109
    assert "rules" not in sys.modules


def test_main_elsewhere_and_a_relative_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PACKS)

    assert run(load_pack(Path("with_main")), thing()) == [("said", Verdict.FAIL, "beside")]


# --- packs that are wrong --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "there is no such folder; a policy pack is a folder with a PulumiPolicy.yaml"),
        (".", "there is no PulumiPolicy.yaml; a policy pack is a folder with one"),
        (
            "does_not_import",
            "the policy pack does not import: ModuleNotFoundError: No module named 'a_module_that_nobody_has' "
            "(rules.py:3); install what the pack requires into this environment",
        ),
        ("no_pack", "__main__.py ran to its end and constructed no PolicyPack"),
        ("two_of_one_name", "policy pack twice: two policies are called same"),
        (
            "refused",
            'the policy pack does not import: TypeError: Invalid policy name "all"; "all" is a reserved name '
            "(__main__.py:8)",
        ),
        (
            "stack_config",
            "the policy pack does not import: ConfigMissingError: Missing required configuration variable "
            "'shop:colour' please set a value using the command `pulumi config set shop:colour <value>` "
            "(__main__.py:9)",
        ),
    ],
)
def test_a_wrong_pack(name: str, message: str) -> None:
    with pytest.raises(PackError) as raised:
        load_pack(PACKS / name)

    assert str(raised.value) == f"{PACKS / name}: {message}"


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import sys\nsys.exit(3)\n", "it exits with 3 (__main__.py:2)"),
        ("x = (1,\n", "SyntaxError: '(' was never closed (__main__.py:1)"),
        ("\nraise ValueError\n", "ValueError (__main__.py:2)"),
        ("import broken\n", "SyntaxError: invalid syntax (broken.py:2)"),
    ],
)
def test_a_program_that_ends_early(tmp_path: Path, program: str, message: str) -> None:
    (tmp_path / "broken.py").write_text("x = 1\ny = = 2\n")

    with pytest.raises(PackError) as raised:
        load_pack(write_pack(tmp_path, program))

    assert str(raised.value) == f"{tmp_path}: the policy pack does not import: {message}"


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("runtime: nodejs\n", "runtime: expected python, found 'nodejs'"),
        ("runtime:\n  name: opa\n", "runtime: expected python, found 'opa'"),
        ("version: 1.0.0\n", "runtime: expected python, found None"),
        ("- runtime\n", "expected an object with a runtime, found list"),
        ("", "expected an object with a runtime, found NoneType"),
        ("version: 1\nruntime: {name: python\n", "PulumiPolicy.yaml:3: this is no YAML: "),
        ("runtime: python\nmain: elsewhere\n", "main: there is no "),
        ("runtime: python\nmain: [a]\n", "main: expected the path of a file or folder, found ['a']"),
    ],
)
def test_a_wrong_manifest(tmp_path: Path, manifest: str, message: str) -> None:
    with pytest.raises(PackError, match=re.escape(message)) as raised:
        load_pack(write_pack(tmp_path, "", manifest))

    assert str(raised.value).startswith(str(tmp_path / "PulumiPolicy.yaml"))
    assert "\n" not in str(raised.value)


def test_a_manifest_that_is_no_text(tmp_path: Path) -> None:
    write_pack(tmp_path, "")
    (tmp_path / "PulumiPolicy.yaml").write_bytes(b"\xff\xfe\x00runtime")

    with pytest.raises(PackError, match="this is no YAML"):
        load_pack(tmp_path)
