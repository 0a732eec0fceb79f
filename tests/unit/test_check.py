from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import ringfence_policies
from ringfence.check import CheckOptions, Target, blocks, check, find_targets, judging_rules
from ringfence.deployment import UNKNOWN, Deployment, Problem, ProgramError, Resource
from ringfence.packs.running import close_all
from ringfence.policy.checks import failed
from ringfence.policy.pack import Pack, PackError
from ringfence.policy.verdict import Finding, Level, Severity, Verdict
from ringfence.reports.interface import Result, TargetJudged, TargetStarted
from ringfence.sources.interface import Request
from ringfence.sources.pulumi_yaml import ProjectError
from tests.unit.packs.fakes import fake_pack, policy, starts, violation
from tests.unit.policy.small_rules import BUCKET, QUEUE, SMALL, codes, make_rule, resource
from tests.unit.sources.projects import write_project

PACKS = Path(__file__).parents[1] / "fixtures" / "packs"
OPEN = resource(BUCKET, "open", inputs={"closed": False, "size": 50})
PROBLEM = Problem(code="PG07", message="Never awaited.")


@pytest.fixture(autouse=True)
def _small_pack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ringfence_policies, "PACK", SMALL)


@dataclass
class Answers:
    """A source that knows what each project gives."""

    resources: Mapping[str, Sequence[Resource]] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    problems: Sequence[Problem] = ()
    requests: list[Request] = field(default_factory=list)

    def evaluate(self, request: Request) -> Deployment:
        self.requests.append(request)
        name = request.project.absolute().name
        error = self.errors.get(name)
        return Deployment(
            project="shop",
            stack=request.stack,
            path=request.project.absolute(),
            resources=tuple(self.resources.get(name, (OPEN,))),
            problems=tuple(self.problems),
            error=ProgramError(error) if error else None,
        )


def results(folder: Path, source: Answers | None = None, stacks: Sequence[str] = (), **options: Any) -> list[Result]:
    events = check(find_targets([folder], stacks), CheckOptions(**options), source or Answers())
    return [event.result for event in events if isinstance(event, TargetJudged)]


def failing(result: Result) -> list[str]:
    """Return the codes that fail, mandatory ones with a star."""
    return [
        finding.code + ("*" if finding.level is Level.MANDATORY else "")
        for finding in result.findings
        if finding.verdict is Verdict.FAIL
    ]


def notes(result: Result) -> list[str]:
    return [note.message for note in result.deployment.diagnostics]


def error_of(result: Result) -> str:
    assert result.deployment.error is not None
    return result.deployment.error.message


# --- targets ---------------------------------------------------------------------------------------------------------


def test_every_project_below_a_folder_with_each_of_its_stacks(tmp_path: Path) -> None:
    write_project(tmp_path / "b", prod="", dev="")
    write_project(tmp_path / "a" / "deep")
    write_project(tmp_path / "a" / "other", test="")

    assert find_targets([tmp_path], []) == [
        Target(tmp_path / "a" / "deep", "dev"),
        Target(tmp_path / "a" / "other", "test"),
        Target(tmp_path / "b", "dev"),
        Target(tmp_path / "b", "prod"),
    ]


def test_without_a_path_the_current_folder_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(tmp_path)
    write_project(tmp_path / "examples" / "one")
    monkeypatch.chdir(tmp_path)

    assert find_targets([], []) == [Target(Path(), "dev"), Target(Path("examples/one"), "dev")]


def test_a_folder_that_is_a_project_is_taken_alone(tmp_path: Path) -> None:
    write_project(tmp_path / "p")
    write_project(tmp_path / "p" / "examples" / "one")

    assert find_targets([tmp_path / "p"], []) == [Target(tmp_path / "p", "dev")]


def test_a_file_of_a_project_stands_for_it(tmp_path: Path) -> None:
    write_project(tmp_path)

    assert find_targets([tmp_path / "Pulumi.yaml"], []) == [Target(tmp_path, "dev")]


def test_a_folder_inside_a_project(tmp_path: Path) -> None:
    write_project(tmp_path, {"modules/net.py": ""}, prod="")

    assert find_targets([tmp_path / "modules"], []) == [Target(tmp_path / "modules", "prod")]


def test_named_stacks_and_repeated_projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(tmp_path / "a", prod="", dev="", test="")
    write_project(tmp_path / "b")
    monkeypatch.chdir(tmp_path)

    targets = find_targets([Path("a"), tmp_path / "a", Path("b/../a"), Path()], ["prod", "dev", "prod"])

    assert targets == [
        Target(Path("a"), "prod"),
        Target(Path("a"), "dev"),
        Target(Path("b"), "prod"),
        Target(Path("b"), "dev"),
    ]


def test_no_project_at_all(tmp_path: Path) -> None:
    [target] = find_targets([tmp_path], [])
    [missing] = find_targets([tmp_path / "none"], ["prod", "dev"])

    assert "is no Pulumi project" in target.error
    assert (missing.stack, missing.error) == (
        "prod",
        f"{tmp_path}/none: there is no such folder; expected one with a Pulumi.yaml",
    )
    assert "is no Pulumi project" in error_of(results(tmp_path)[0])


def test_a_broken_project_does_not_hide_the_others(tmp_path: Path) -> None:
    write_project(tmp_path / "a", {"Pulumi.yaml": "name: [\n"})
    write_project(tmp_path / "b")
    write_project(tmp_path / "c", {"ringfence.toml": "nonsense = 1\n"})
    write_project(tmp_path / "d")
    source = Answers(errors={"b": "It raised."})

    a, b, c, d = results(tmp_path, source)

    assert error_of(a).startswith(f"{tmp_path}/a/Pulumi.yaml:2:1: is not valid YAML")
    assert error_of(b) == "It raised."
    assert error_of(c).startswith(f"{tmp_path}/c/ringfence.toml: nonsense: there is no such setting")
    assert failing(d) == ["TS01*", "TS02"]
    assert [result.deployment.path for result in (a, b, c, d)] == [tmp_path / name for name in "abcd"]


def test_events_tell_the_progress(tmp_path: Path) -> None:
    write_project(tmp_path, prod="", dev="")

    events = list(check(find_targets([tmp_path], []), CheckOptions(), Answers()))

    assert events[0] == TargetStarted(tmp_path, "dev", 1, 2)
    assert events[2] == TargetStarted(tmp_path, "prod", 2, 2)
    assert [type(event) for event in events] == [TargetStarted, TargetJudged] * 2


def test_a_source_gets_what_options_and_settings_say(tmp_path: Path) -> None:
    text = '[stack-references.s]\nx = 1\n[invokes."a:b:c"]\ny = 2\n'
    write_project(tmp_path, {"ringfence.toml": text}, prod="")
    source = Answers()

    results(tmp_path, source, config={"size": "3"}, outputs="unknown", time_limit=5.0)

    assert source.requests == [
        Request(
            project=tmp_path,
            stack="prod",
            config={"size": "3"},
            outputs="unknown",
            stack_references={"s": {"x": 1}},
            invokes={"a:b:c": {"y": 2}},
            time_limit=5.0,
        )
    ]


# --- which rules judge -----------------------------------------------------------------------------------------------

CHOICES: list[tuple[dict[str, Any], str, list[str]]] = [
    ({}, "", ["PG07", "TS01*", "TS02"]),
    ({"select": ("TS01",)}, "", ["TS01*"]),
    ({"select": ("ts",)}, "", ["TS01*", "TS02"]),
    ({"select": ("bucket-bounded", "PG")}, "", ["PG07", "TS02"]),
    ({"select": ("PG07",)}, "", ["PG07"]),
    ({"select": ("program-never-awaited",)}, "", ["PG07"]),
    ({"select": ("QU01",)}, "", []),
    ({"ignore": ("TS01",)}, "", ["PG07", "TS02"]),
    ({"ignore": ("PG", "BUCKET-CLOSED")}, "", ["TS02"]),
    ({"select": ("TS",), "ignore": ("TS02",)}, "", ["TS01*"]),
    ({"profiles": ("strict",)}, "", ["PG07", "TS01*", "TS02", "TS03"]),
    ({}, 'profiles = ["strict"]', ["PG07", "TS01*", "TS02", "TS03"]),
    ({}, '[rules.TS01]\nlevel = "advisory"', ["PG07", "TS01", "TS02"]),
    ({}, '[rules.bucket-closed]\nlevel = "disabled"', ["PG07", "TS02"]),
    ({}, '[rules.TS03]\nlevel = "mandatory"', ["PG07", "TS01*", "TS02", "TS03*"]),
    ({"profiles": ("strict",)}, '[rules.TS03]\nlevel = "disabled"', ["PG07", "TS01*", "TS02"]),
    ({}, "[rules.TS02]\nmaximum = 60", ["PG07", "TS01*"]),
    ({}, '[rules.TS02]\nmaximum = 20\nlevel = "mandatory"', ["PG07", "TS01*", "TS02*"]),
    ({}, '[rules.TS02]\nmaximum = 60\n[rules.bucket-bounded]\nlevel = "mandatory"', ["PG07", "TS01*"]),
    ({}, '[rules.PG07]\nlevel = "mandatory"', ["PG07*", "TS01*", "TS02"]),
    ({}, '[rules.program-never-awaited]\nlevel = "disabled"', ["TS01*", "TS02"]),
]


@pytest.mark.parametrize(("options", "settings", "expected"), CHOICES)
def test_which_rules_judge(tmp_path: Path, options: dict[str, Any], settings: str, expected: list[str]) -> None:
    write_project(tmp_path, {"ringfence.toml": settings})

    [result] = results(tmp_path, Answers(problems=[PROBLEM]), **options)

    assert failing(result) == expected


CONFIGS: list[tuple[str, str, list[str]]] = [
    ('{"TS01": "advisory"}', "", ["TS01", "TS02"]),
    ('{"bucket-closed": {"enforcementLevel": "disabled"}}', "", ["TS02"]),
    ('{"bucket-bounded": {"maximum": 60}}', "", ["TS01*"]),
    ('{"TS02": {"maximum": 20, "enforcementLevel": "mandatory"}}', "[rules.TS02]\nmaximum = 60", ["TS01*", "TS02*"]),
    ('{"TS02": "mandatory"}', '[rules.TS02]\nmaximum = 20\nlevel = "disabled"', ["TS01*", "TS02*"]),
    ('{"all": "disabled"}', "", []),
    ('{"all": {"enforcementLevel": "advisory"}, "TS01": "mandatory"}', "", ["TS01*", "TS02", "TS03"]),
    ("", "", ["TS01*", "TS02"]),
    ("{}", '[rules.TS01]\nlevel = "advisory"', ["TS01", "TS02"]),
]


@pytest.mark.parametrize(("config", "settings", "expected"), CONFIGS)
@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_a_pack_config_goes_before_the_settings(
    tmp_path: Path, suffix: str, config: str, settings: str, expected: list[str]
) -> None:
    write_project(tmp_path / "p", {"ringfence.toml": settings})
    file = tmp_path / f"config.{suffix}"
    file.write_text(config or ("{}" if suffix == "json" else ""))

    assert failing(results(tmp_path / "p", pack_configs=(file,))[0]) == expected


OPTION_MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"select": ("XX01",)}, "--select XX01: no rule has that code or name; `ringfence rules` lists them"),
    ({"ignore": ("TS01", "closed")}, "--ignore closed: no rule has that code or name; `ringfence rules` lists them"),
    (
        {"profiles": ("lax",)},
        "--profile lax: policy pack ringfence has no profile 'lax'; expected one of strict",
    ),
    (
        {"pack_configs": (Path("a"), Path("b"))},
        "--policy-pack-config b: expected one config for each policy pack; there is one pack",
    ),
    ({"pack_configs": (Path("none.json"),)}, "none.json: cannot be read: No such file or directory"),
]


@pytest.mark.parametrize(("options", "message"), OPTION_MISTAKES, ids=[text[:30] for _, text in OPTION_MISTAKES])
def test_a_wrong_option_ends_the_run(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    write_project(tmp_path)
    source = Answers()

    with pytest.raises(PackError) as caught:
        results(tmp_path, source, **options)
    assert str(caught.value) == message
    assert source.requests == []


def test_more_configs_than_packs(tmp_path: Path) -> None:
    write_project(tmp_path)
    configs = (Path("a"), Path("b"), Path("c"))

    with pytest.raises(PackError, match="there are 2 packs"):
        results(tmp_path, policy_packs=("ringfence", "other"), pack_configs=configs)


CONFIG_MISTAKES = [
    ("[1]", "expected an object of policy names, found a list"),
    ('{"TS09": "advisory"}', "TS09: policy pack ringfence has no such rule"),
    ('{"TS01": 5}', "TS01: expected a level or an object, found 5"),
    (
        '{"TS01": "remediate"}',
        "TS01.enforcementLevel: expected one of advisory, mandatory, disabled, found 'remediate'",
    ),
    (
        '{"TS01": {"enforcementLevel": 5}}',
        "TS01.enforcementLevel: expected one of advisory, mandatory, disabled, found 5",
    ),
    ('{"TS02": {"maximum": 0}}', "TS02.maximum: expected a whole number from 1 to 100, found 0"),
    ('{"TS02": {"minimum": 0}}', "TS02.minimum: TS02 has no such parameter (it has: maximum)"),
    ('{"all": {"maximum": 5}}', "all.maximum: expected enforcementLevel alone"),
    ("{", ""),
]


@pytest.mark.parametrize(("text", "message"), CONFIG_MISTAKES)
def test_a_wrong_pack_config_names_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    write_project(tmp_path / "p")
    file = tmp_path / "config.json"
    file.write_text(text)

    with pytest.raises(PackError) as caught:
        results(tmp_path / "p", pack_configs=(file,))
    if message:
        assert str(caught.value) == f"{file}: {message}"
    else:
        assert str(caught.value).startswith(f"{file}:1:2: is not valid JSON")


SETTINGS_MISTAKES = [
    ("[rules.TS09]", "rules.TS09: there is no such rule; `ringfence rules` lists them"),
    ("[rules.TS02]\nmaximum = 1000", "rules.TS02.maximum: expected a whole number from 1 to 100, found 1000"),
    ("[rules.TS01]\nmaximum = 1", "rules.TS01.maximum: TS01 has no such parameter (it has: none)"),
    ("[rules.PG07]\nmaximum = 1", "rules.PG07.maximum: PG07 has no parameters"),
    ('profiles = ["lax"]', "profiles: policy pack ringfence has no profile 'lax'; expected one of strict"),
]


@pytest.mark.parametrize(("text", "message"), SETTINGS_MISTAKES)
def test_wrong_settings_concern_their_project_alone(tmp_path: Path, text: str, message: str) -> None:
    write_project(tmp_path / "bad", {"ringfence.toml": text})
    write_project(tmp_path / "good")
    source = Answers()

    bad, good = results(tmp_path, source)

    assert error_of(bad) == f"{tmp_path}/bad/ringfence.toml: {message}"
    assert bad.findings == ()
    assert failing(good) == ["TS01*", "TS02"]
    assert [request.project.name for request in source.requests] == ["good"]


# --- packs -----------------------------------------------------------------------------------------------------------


def pack_findings(result: Result) -> set[tuple[str, str, str]]:
    return {(finding.pack, finding.code, finding.verdict.value) for finding in result.findings}


def test_another_pack_judges_instead_of_the_built_in_one(tmp_path: Path) -> None:
    write_project(tmp_path)

    [result] = results(tmp_path, Answers(problems=[PROBLEM]), policy_packs=(str(PACKS / "simple"),))

    assert pack_findings(result) == {
        ("program", "PG07", "fail"),
        ("simple", "no-ssh", "pass"),
        ("simple", "named", "fail"),
    }


def test_both_packs_judge_when_both_are_named(tmp_path: Path) -> None:
    write_project(tmp_path, {"ringfence.toml": f'policy-pack = ["ringfence", "{PACKS / "simple"}"]\n'})

    [result] = results(tmp_path)

    assert {pack for pack, _, _ in pack_findings(result)} == {"ringfence", "simple"}


def test_the_command_line_goes_before_the_settings_pack(tmp_path: Path) -> None:
    write_project(tmp_path, {"ringfence.toml": f'policy-pack = "{PACKS / "simple"}"\n'})

    [result] = results(tmp_path, policy_packs=("ringfence",))

    assert {pack for pack, _, _ in pack_findings(result)} == {"ringfence"}


def test_select_and_ignore_choose_among_the_policies_of_any_pack(tmp_path: Path) -> None:
    write_project(tmp_path)
    packs = ("ringfence", str(PACKS / "simple"))

    [selected] = results(tmp_path, policy_packs=packs, select=("Named", "TS01"))
    [ignored] = results(tmp_path, policy_packs=packs, ignore=("named", "TS"))

    assert codes(selected.findings) == ["TS01", "named"]
    assert codes(ignored.findings) == ["no-ssh"]
    with pytest.raises(PackError, match="--select none: no rule has that code or name"):
        results(tmp_path, policy_packs=packs, select=("named", "none"))


def test_a_config_for_the_second_pack(tmp_path: Path) -> None:
    write_project(tmp_path / "p")
    (tmp_path / "a.json").write_text('{"TS01": "disabled"}')
    (tmp_path / "b.json").write_text('{"named": "mandatory"}')
    configs = (tmp_path / "a.json", tmp_path / "b.json")

    [result] = results(tmp_path / "p", policy_packs=("ringfence", str(PACKS / "simple")), pack_configs=configs)

    assert failing(result) == ["TS02", "named*"]


@pytest.mark.parametrize(("name", "message"), [("does_not_import", "does not import"), ("two_of_one_name", "same")])
def test_a_broken_pack_ends_the_run_where_the_command_line_names_it(tmp_path: Path, name: str, message: str) -> None:
    write_project(tmp_path)

    with pytest.raises(PackError, match=message):
        results(tmp_path, policy_packs=(str(PACKS / name),))


def test_a_broken_pack_of_the_settings_breaks_that_project_alone(tmp_path: Path) -> None:
    write_project(tmp_path / "bad", {"ringfence.toml": f'policy-pack = "{PACKS / "does_not_import"}"\n'})
    write_project(tmp_path / "good")

    bad, good = results(tmp_path)

    assert "does not import" in error_of(bad)
    assert failing(good) == ["TS01*", "TS02"]


def test_a_pack_is_told_the_stack_and_its_config(tmp_path: Path) -> None:
    write_project(tmp_path / "p", prod="config: {size: 4}\n")
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text("runtime: python\n")
    (pack / "__main__.py").write_text(
        "import pulumi\n"
        "from pulumi_policy import PolicyPack, ResourceValidationPolicy\n"
        "size = pulumi.Config().require('size')\n"
        "SEEN = [pulumi.get_organization(), pulumi.get_project(), pulumi.get_stack(), size]\n"
        "def tell(args, report): report(' '.join(SEEN))\n"
        "PolicyPack(name='p', policies=[ResourceValidationPolicy(name='tell', description='T', validate=tell)])\n"
    )

    [result] = results(tmp_path / "p", stacks=["acme/shop/prod"], policy_packs=(str(pack),), config={"size": "9"})

    assert [finding.message for finding in result.findings] == ["T: acme shop prod 9"]


TAGS = """
name: shop
runtime: python
description: A shop
config:
  pulumi:tags:
    value: {team: blue}
"""


def test_a_pack_is_told_the_tags_of_the_stack(tmp_path: Path) -> None:
    write_project(
        tmp_path / "p", {"Pulumi.yaml": TAGS}, prod='config: {pulumi:tags: {"team": red, "pulumi:project": x}}\n'
    )
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text("runtime: python\n")
    (pack / "__main__.py").write_text(
        "from pulumi_policy import PolicyPack, ResourceValidationPolicy\n"
        "def tell(args, report): report(str(sorted(args.stack_tags.items())))\n"
        "PolicyPack(name='p', policies=[ResourceValidationPolicy(name='tell', description='T', validate=tell)])\n"
    )

    dev, prod = results(tmp_path / "p", stacks=["dev", "prod"], policy_packs=(str(pack),))

    own = [("pulumi:description", "A shop"), ("pulumi:runtime", "python")]
    assert [finding.message for finding in prod.findings] == [
        f"T: {sorted([*own, ('pulumi:project', 'x'), ('team', 'red')])}"
    ]
    assert [finding.message for finding in dev.findings] == [
        f"T: {sorted([*own, ('pulumi:project', 'shop'), ('team', 'blue')])}"
    ]


@pytest.mark.parametrize("tags", ["a text", "[a]", "{team: {name: blue}}"])
def test_tags_that_are_none(tmp_path: Path, tags: str) -> None:
    write_project(tmp_path, dev=f"config: {{'pulumi:tags': {tags}}}\n")

    with pytest.raises(ProjectError, match="pulumi:tags: expected an object of strings"):
        results(tmp_path, policy_packs=(str(PACKS / "simple"),))


def test_a_pack_in_a_process_of_its_own(tmp_path: Path) -> None:
    write_project(tmp_path / "p")
    remedy = {"policyName": "closes", "properties": {"closed": True, "size": 50}}
    failing_thing = violation("open", "it is", level="ADVISORY")
    pack = fake_pack(
        tmp_path / "pack",
        policy("closes", "REMEDIATE"),
        policy("open", "ADVISORY"),
        answers={"open": {"diagnostics": [failing_thing]}, "remediate open": {"remediations": [remedy]}},
    )

    packs = ("ringfence", str(pack))
    [result] = results(tmp_path / "p", policy_packs=packs, isolate=True)
    [narrowed] = results(tmp_path / "p", policy_packs=packs, isolate=True, ignore=("open", "TS"))
    close_all()

    # What the pack remediates, the built-in rules find mended.
    assert failing(result) == ["TS02", "open"]
    assert result.deployment.resources[0].inputs == {"closed": True, "size": 50}
    assert notes(result) == [f"pack/closes: changed the inputs of {BUCKET} open: closed."]
    assert [finding.name for finding in narrowed.findings if finding.pack == "pack"] == ["closes"]
    assert len(starts(pack)) == 1


def test_a_pack_in_a_process_of_its_own_that_breaks_off(tmp_path: Path) -> None:
    pack = fake_pack(tmp_path / "pack", policy("one"), **{"Analyze open": "kill"})
    (pack / "PulumiPolicy.yaml").write_text("runtime: {name: python, options: {virtualenv: venv}}\n")
    (pack / "venv/bin").mkdir(parents=True)
    (pack / "venv/bin/python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (pack / "venv/bin/python").chmod(0o755)
    write_project(tmp_path / "bad", {"ringfence.toml": f'policy-pack = "{pack}"\n'})
    write_project(tmp_path / "good")

    bad, good = results(tmp_path)

    assert error_of(bad).endswith(f"broke off when it judged {BUCKET} open: it was ended by signal 9")
    assert bad.findings == ()
    assert failing(good) == ["TS01*", "TS02"]


def test_a_program_that_broke_off_is_judged_by_what_it_had_registered(tmp_path: Path) -> None:
    write_project(tmp_path)
    source = Answers(errors={tmp_path.name: "It raised."}, problems=[PROBLEM])

    [result] = results(tmp_path, source, policy_packs=("ringfence", str(PACKS / "simple")))

    assert failing(result) == ["PG07", "TS01*", "TS02", "named"]
    assert error_of(result) == "It raised."


def test_a_program_that_broke_off_at_once_is_not_judged(tmp_path: Path) -> None:
    write_project(tmp_path)
    source = Answers({tmp_path.name: ()}, errors={tmp_path.name: "It raised."})

    [result] = results(tmp_path, source, policy_packs=("ringfence", str(PACKS / "simple")))

    assert result.findings == ()


@dataclass
class Recovered(Answers):
    """A source whose programs were repaired."""

    repaired: bool = True

    def evaluate(self, request: Request) -> Deployment:
        return dataclasses.replace(super().evaluate(request), repairs=2, repaired=self.repaired)


QUEUES = [resource("test:index:Queue", name) for name in ("a", "b", "c")]


@pytest.mark.parametrize(
    ("repaired", "verdict", "end"),
    [
        (True, Verdict.FAIL, "It is alone."),
        (False, Verdict.UNKNOWN, "The program broke off before it had registered all that this depends on."),
    ],
)
def test_rules_about_the_whole_stack_fail_a_whole_stack_only(
    tmp_path: Path, repaired: bool, verdict: Verdict, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = make_rule(lambda resource, _: failed(resource["x"], end), "TS08", "queue-alone", graph=True, types=(QUEUE,))
    single = make_rule(lambda resource, _: failed(resource["x"], end), "TS09", "queue-single", types=(QUEUE,))
    monkeypatch.setattr(ringfence_policies, "PACK", Pack("ringfence", "1.0.0", (alone, single)))
    write_project(tmp_path)
    source = Recovered({tmp_path.name: [resource(QUEUE, "q")]}, {tmp_path.name: "It raised."}, repaired=repaired)

    [result] = results(tmp_path, source)

    of_stack, of_resource = result.findings
    assert (of_stack.verdict, of_stack.message.endswith(end)) == (verdict, True)
    assert of_resource.verdict is Verdict.FAIL


@pytest.mark.parametrize(("repaired", "verdict"), [(True, Verdict.FAIL), (False, Verdict.UNKNOWN)])
def test_stack_policies_of_other_packs_too(tmp_path: Path, repaired: bool, verdict: Verdict) -> None:
    write_project(tmp_path)
    source = Recovered({tmp_path.name: QUEUES}, {tmp_path.name: "It raised."}, repaired=repaired)

    [result] = results(tmp_path, source, policy_packs=(str(PACKS / "stack_policy"),))

    assert {finding.verdict for finding in result.findings if finding.name == "dead-letters"} == {verdict}


def test_a_pack_that_does_not_load_does_not_hide_the_program_s_error(tmp_path: Path) -> None:
    write_project(tmp_path, {"ringfence.toml": 'policy-pack = "nowhere"\n'})

    [result] = results(tmp_path, Answers(errors={tmp_path.name: "It raised."}))

    assert error_of(result) == "It raised."


@pytest.mark.parametrize("recover", [True, False])
def test_whether_to_recover_reaches_the_source(tmp_path: Path, recover: bool) -> None:
    write_project(tmp_path)
    source = Answers()

    results(tmp_path, source, recover=recover)

    assert [request.recover for request in source.requests] == [recover]


def test_evaluating_only(tmp_path: Path) -> None:
    write_project(tmp_path, {"ringfence.toml": 'policy-pack = "none"\n'})

    [result] = results(tmp_path, Answers(problems=[PROBLEM]), judge=False)

    assert (result.findings, result.deployment.error) == ((), None)


def test_rules_for_reports() -> None:
    assert judging_rules(CheckOptions()) == SMALL.rules
    assert judging_rules(CheckOptions(policy_packs=("ringfence", "x"))) == SMALL.rules
    assert judging_rules(CheckOptions(policy_packs=("x",))) == ()


# --- exemptions ------------------------------------------------------------------------------------------------------

EXEMPT = '[[exempt]]\nrule = "TS01"\nresource = "*::open"\nreason = "It moves."\nowner = "team"\n'
UNUSED = "The exemption of TS01 for *::open (team) selects no failure: it can go."
CLOSED = resource(BUCKET, "open", inputs={"closed": True})


def test_an_exemption_of_the_settings_holds(tmp_path: Path) -> None:
    write_project(tmp_path, {"ringfence.toml": EXEMPT})

    [result] = results(tmp_path)

    assert [finding.code for finding in result.findings if finding.verdict is Verdict.EXEMPT] == ["TS01"]
    assert (failing(result), notes(result)) == (["TS02"], [])
    assert not blocks([result])


def test_an_expired_exemption_is_noted(tmp_path: Path) -> None:
    write_project(tmp_path, {"ringfence.toml": EXEMPT + "expires = 2020-01-31\n"})

    [result] = results(tmp_path)

    assert failing(result) == ["TS01*", "TS02"]
    assert notes(result) == [
        "The exemption of TS01 for *::open (team) expired on 2020-01-31: what it exempted fails again."
    ]


def test_an_exemption_that_nothing_needs_is_noted_once(tmp_path: Path) -> None:
    write_project(tmp_path / "a", dev="", prod="")
    write_project(tmp_path / "b")
    (tmp_path / "ringfence.toml").write_text(EXEMPT)
    source = Answers({"a": [CLOSED], "b": [CLOSED]})

    assert [notes(result) for result in results(tmp_path, source)] == [[], [], [UNUSED]]


def test_an_exemption_that_one_project_of_the_run_needs_is_not_noted(tmp_path: Path) -> None:
    for name in "abc":
        write_project(tmp_path / name)
    (tmp_path / "ringfence.toml").write_text(EXEMPT)
    source = Answers({"a": [CLOSED], "b": [OPEN], "c": [CLOSED]})

    assert [notes(result) for result in results(tmp_path, source)] == [[], [], []]


@pytest.mark.parametrize(
    ("options", "errors"),
    [
        ({"select": ("TS02",)}, {}),
        ({"ignore": ("TS01",)}, {}),
        ({"policy_packs": ("ringfence",)}, {}),
        ({}, {"p": "!"}),
    ],
)
def test_a_run_that_does_not_see_all_failures_says_nothing_of_unused_exemptions(
    tmp_path: Path, options: dict[str, Any], errors: dict[str, str]
) -> None:
    write_project(tmp_path / "p", {"ringfence.toml": EXEMPT})

    [result] = results(tmp_path / "p", Answers({"p": [CLOSED]}, errors), **options)

    assert notes(result) == []


# --- blocking --------------------------------------------------------------------------------------------------------

BLOCKING = [
    (Verdict.FAIL, Level.MANDATORY, True, True),
    (Verdict.ERROR, Level.MANDATORY, True, True),
    (Verdict.UNKNOWN, Level.MANDATORY, False, True),
    (Verdict.EXEMPT, Level.MANDATORY, False, False),
    (Verdict.PASS, Level.MANDATORY, False, False),
    (Verdict.NOT_APPLICABLE, Level.MANDATORY, False, False),
    (Verdict.FAIL, Level.ADVISORY, False, False),
    (Verdict.ERROR, Level.ADVISORY, False, False),
    (Verdict.UNKNOWN, Level.ADVISORY, False, False),
]


@pytest.mark.parametrize(("verdict", "level", "expected", "strict"), BLOCKING)
def test_what_blocks(verdict: Verdict, level: Level, expected: bool, strict: bool, tmp_path: Path) -> None:
    harmless = Finding("TS02", "t", Verdict.PASS, Level.ADVISORY, Severity.LOW, "")
    deciding = Finding("TS01", "t", verdict, level, Severity.LOW, "")
    run = [
        Result(Deployment("p", "dev", tmp_path), (harmless,)),
        Result(Deployment("q", "dev", tmp_path), (harmless, deciding)),
    ]

    assert blocks(run) is expected
    assert blocks(run, strict_unknowns=True) is strict
    assert not blocks([], strict_unknowns=True)


def test_an_undecided_mandatory_rule_blocks_only_when_asked(tmp_path: Path) -> None:
    write_project(tmp_path)
    queue = resource(QUEUE, inputs={"closed": UNKNOWN})

    run = results(tmp_path, Answers({tmp_path.name: [queue]}))

    assert [(finding.code, finding.verdict) for finding in run[0].findings] == [("QU01", Verdict.UNKNOWN)]
    assert not blocks(run)
    assert blocks(run, strict_unknowns=True)


def test_settings_are_data(tmp_path: Path) -> None:
    """Keys of a pack config file may spell anything; they are looked up, never run."""
    write_project(tmp_path / "p")
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"__class__": "advisory"}))

    with pytest.raises(PackError, match="__class__: policy pack ringfence has no such rule"):
        results(tmp_path / "p", pack_configs=(file,))
