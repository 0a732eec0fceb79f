"""CrossGuard packs in TypeScript and in Python, in process and over gRPC, on programs of either language.

What the packs are given is in `packs/`: `all_typescript` and `all_python` are one pack in two languages, and so are
those of `configured`. Node starts are few, since each takes seconds: one run serves many tests.
"""

from __future__ import annotations

import json
import re
import sysconfig
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.judging import PACKS, Run, check, copied, node_pack, python_pack
from tests.integration.languages import alive
from tests.integration.node_packages import node_program, use_installed_node

SECRET = "s3cr3t-value"
TAGS = 'pulumi:tags={"team": "red", "owner": "us"}'
ESTATE = ("--config", f"token={SECRET}", "--config", "colour=blue", "--config", TAGS, "--outputs", "unknown")
WAYS = ("python", "python over gRPC", "typescript")


@pytest.fixture(scope="module", autouse=True)
def installed_node() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        use_installed_node(patch)
        yield


PROGRAM = f"""
import pulumi


class Thing(pulumi.CustomResource):
    pass


Thing("test:index:Thing", "good", {{}})
Thing("test:index:Thing", "bad", {{"token": pulumi.Output.secret("{SECRET}")}})
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: little\nruntime: python\n")
    (folder / "__main__.py").write_text(PROGRAM)
    return folder


def by_way(folder: Path, name: str) -> dict[str, tuple[Path, tuple[str, ...]]]:
    """Return the pack and the options of each way to run a pack that there is in both languages."""
    python, typescript = (copied(folder, name.format(language)) for language in ("python", "typescript"))
    return {"python": (python, ()), "python over gRPC": (python, ("--isolate",)), "typescript": (typescript, ())}


# --- all that a pack is given ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("packs")
    project = copied(folder, "estate")
    return {
        way: check(project, pack, options=(*ESTATE, *options))
        for way, (pack, options) in by_way(folder, "all_{}").items()
    }


SEEN_TAGS = '[["owner","us"],["pulumi:project","estate"],["pulumi:runtime","python"],["team","red"]]'
FAILURES = [
    ("advisory", "files", "filed", "[true,true,true]"),
    ("advisory", "links", "child", '["shelf",["plain"],[]]'),
    ("advisory", "links", "fed", '["estate-dev",["plain"],[["label",["plain"]],["tags",["plain"]]]]'),
    ("advisory", "options", "child", '[false,[],false,[],[0,0,0],[],"shelf"]'),
    ("advisory", "options", "full", '[true,["label","tags"],true,[],[60,7200,30],["computed"],"estate-dev"]'),
    ("advisory", "options", "shelf", '[false,[],null,[],[0,0,0],[],"estate-dev"]'),
    ("advisory", "provider", "full", '["pulumi:providers:test","cloud","pulumi:providers:test","moon"]'),
    ("advisory", "provider", "plain", '["pulumi:providers:test","default","pulumi:providers:test",null]'),
    ("advisory", "provider", "shelf", "no provider"),
    ("advisory", "run", "estate-dev", f'["organization","estate","dev",true,"blue",{SEEN_TAGS}]'),
    ("advisory", "size", "plain", "3 is over 2, soft: initial"),
    ("advisory", "stack-provider", "full", "cloud, true"),
    ("advisory", "tells", "hidden", "the token is [secret]!"),
    ("advisory", "twice", "plain", "first"),
    ("advisory", "twice", "plain", "second"),
    ("mandatory", "count", "", "6 things, at most 5"),
    ("mandatory", "red", "plain", "plain is red"),
]
UNDECIDED = [
    ("unknown", "mandatory", "fed", "label"),
    ("unknown", "mandatory", "owner", "tags.owner"),
    ("unknown", "mandatory", "red", "label"),
]


@pytest.mark.parametrize("way", WAYS)
def test_a_pack_sees_what_the_engine_would_pass(judged: dict[str, Run], way: str) -> None:
    run = judged[way]

    assert run.deployment["error"] is None
    assert run.told("fail") == sorted(
        ("fail", level, policy, resource, f"About {policy}: {message}") for level, policy, resource, message in FAILURES
    )
    assert run.code == 1


@pytest.mark.parametrize("way", WAYS)
def test_what_reads_an_unknown_is_undecided_at_its_own_level(judged: dict[str, Run], way: str) -> None:
    undecided = [item for item in judged[way].findings if item["verdict"] == "unknown"]

    assert (
        sorted(tuple(item[key] for key in ("verdict", "level", "name", "property")) for item in undecided) == UNDECIDED
    )
    assert {item["resource"] for item in undecided if item["name"] != "fed"} == {"fed"}


@pytest.mark.parametrize("way", WAYS)
def test_a_policy_that_does_not_apply_says_why(judged: dict[str, Run], way: str) -> None:
    told = judged[way].told("not-applicable")

    assert ("not-applicable", "advisory", "castles", "", "there are no castles") in told
    assert ("not-applicable", "advisory", "shelves", "plain", "not a shelf") in told
    assert ("pass", "advisory", "shelves", "shelf", "About shelves.") in judged[way].told("pass")


@pytest.mark.parametrize("way", WAYS)
def test_a_finding_has_the_pack_s_words_and_the_program_s_line(judged: dict[str, Run], way: str) -> None:
    (finding,) = (item for item in judged[way].findings if (item["name"], item["verdict"]) == ("red", "fail"))
    lines = (PACKS / "estate" / "__main__.py").read_text().splitlines()

    assert finding["severity"] == "critical"
    assert finding["remedy"] == "Paint it."
    assert finding["url"] == "https://example.com/red"
    assert finding["pack"] == "all"
    assert finding["framework"] == {
        "name": "House",
        "version": "1",
        "reference": "2.3",
        "specification": "Colours are quiet.",
    }
    assert Path(finding["source"]["path"]).name == "__main__.py"
    assert lines[finding["source"]["line"] - 1].startswith("plain = ")


@pytest.mark.parametrize("way", WAYS)
def test_a_secret_that_a_policy_tells_is_taken_out(judged: dict[str, Run], way: str) -> None:
    assert "the token is [secret]!" in judged[way].text
    assert SECRET not in judged[way].text


@pytest.mark.parametrize("way", WAYS[1:])
def test_all_ways_give_the_same_findings(judged: dict[str, Run], way: str) -> None:
    def comparable(run: Run) -> list[str]:
        return sorted(json.dumps(item | {"source": item["source"] and item["source"]["line"]}) for item in run.findings)

    # In process a stack policy that meets an unknown value finds the resource; the protocol has no word for it.
    ours = [line for line in comparable(judged["python"]) if '"unknown"' not in line]
    assert [line for line in comparable(judged[way]) if '"unknown"' not in line] == ours
    assert len(ours) > 50


# --- config ----------------------------------------------------------------------------------------------------------

CASES: dict[str, dict[str, Any]] = json.loads((PACKS / "configured" / "cases.json").read_text())


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Run]:
    folder = tmp_path_factory.mktemp("config")
    project = copied(folder, "estate")
    packs = copied(folder, "configured")
    runs: dict[tuple[str, str], Run] = {}

    def run(way: str, kind: str) -> Run:
        if (way, kind) not in runs:
            config = folder / f"{kind}.json"
            given = {name: {"value": case[kind]} for name, case in CASES.items() if kind in case}
            config.write_text(json.dumps(given))
            language = way.partition(" ")[0]
            options = ESTATE + (("--isolate",) if "gRPC" in way else ())
            runs[way, kind] = check(project, packs / language, configs=[config], options=options)
        return runs[way, kind]

    return run


@pytest.mark.parametrize("way", WAYS)
def test_a_policy_gets_the_config_of_user_pack_and_schema(configured: Callable[[str, str], Run], way: str) -> None:
    run = configured(way, "good")

    assert {(item["name"], item["message"]) for item in run.findings if item["verdict"] == "fail"} == {
        (name, f"Config: {json.dumps(case['good'] if 'good' in case else case['default'], separators=(',', ':'))}")
        for name, case in CASES.items()
    }
    levels = {item["name"]: item["level"] for item in run.findings}
    assert {name for name, level in levels.items() if level == "mandatory"} == {"initial", "replaced"}


@pytest.mark.parametrize("way", WAYS)
def test_a_config_that_the_schema_does_not_take_is_an_error(configured: Callable[[str, str], Run], way: str) -> None:
    run = configured(way, "bad")

    assert run.code == 2
    assert "policy pack configured: " in run.text
    for name, case in CASES.items():
        if "fault" in case:
            place = f"{name}.value{case.get('at', '')}" if case.get("at") != "" else name
            assert f"{place}: {case['fault']}" in run.text, name
    assert not run.report


def test_a_config_names_levels_policies_and_all(tmp_path: Path) -> None:
    project, pack = copied(tmp_path, "estate"), copied(tmp_path, "configured") / "python"
    needed = {"required": {"value": "x"}}
    cases: list[tuple[dict[str, Any], str | set[str]]] = [
        ({"all": "mandatory", "text": "advisory", **needed}, set(CASES) - {"text"}),
        ({"all": {"enforcementLevel": "disabled"}, "text": "mandatory", **needed}, {"text"}),
        ({"text": {"enforcementLevel": "remediate"}, **needed}, {"text", "initial", "replaced"}),
        ({"all": {"value": 1}}, "all: expected only enforcementLevel, found value"),
        ({"text": "loud"}, "text.enforcementLevel: expected one of advisory, mandatory, remediate, disabled"),
        ({"nobody": "advisory"}, "nobody: there is no such policy (there are: array, choice, const"),
        # A policy that is off has its config checked all the same, as by the engine.
        ({"integer": {"enforcementLevel": "disabled", "value": "three"}}, "integer.value: 'three' is not of type"),
    ]
    for number, (given, expected) in enumerate(cases):
        config = tmp_path / f"{number}.json"
        config.write_text(json.dumps(given))
        run = check(project, pack, configs=[config], options=ESTATE)
        if isinstance(expected, str):
            assert run.code == 2
            assert expected in run.text
            continue
        failed = [item for item in run.findings if item["verdict"] == "fail"]
        assert {item["name"] for item in failed if item["level"] == "mandatory"} == expected, given
        assert run.code == 1


# --- two packs, two languages ----------------------------------------------------------------------------------------

SHOP = """
import * as pulumi from "@pulumi/pulumi";

class Thing extends pulumi.CustomResource {
    public readonly computed!: pulumi.Output<string>;
    constructor(name: string, args: any, opts?: pulumi.CustomResourceOptions) {
        super("test:index:Thing", name, { computed: undefined, ...args }, opts);
    }
}
console.log("the program prints");
const plain = new Thing("plain", { size: 3, label: "red" });
new Thing("fed", { size: 8, label: plain.computed, token: pulumi.secret("s3cr3t-value") }, { dependsOn: plain });
"""


def test_packs_of_two_languages_judge_a_typescript_program_by_their_own_configs(tmp_path: Path) -> None:
    project = node_program(tmp_path / "shop", SHOP)
    typescript, python = (copied(tmp_path, f"all_{language}") for language in ("typescript", "python"))
    configs = [tmp_path / "first.json", tmp_path / "second.yaml"]
    configs[0].write_text(json.dumps({"size": {"enforcementLevel": "mandatory", "most": 4, "mode": "hard"}}))
    configs[1].write_text("all: disabled\nsize: {enforcementLevel: advisory, most: 7, notes: [a, b]}\nred: mandatory\n")

    run = check(project, typescript, python, configs=configs, options=("--outputs", "unknown"))

    told = [(item["name"], item["resource"], item["message"], item["level"]) for item in run.findings]
    assert run.deployment["error"] is None
    assert [entry for entry in told if entry[0] == "size" and " is over " in entry[2]] == [
        ("size", "fed", "About size: 8 is over 4, hard: initial", "mandatory"),
        ("size", "fed", "About size: 8 is over 7, soft: a,b", "advisory"),
    ]
    assert [entry for entry in told if entry[0] == "red" and "is red" in entry[2]] == [
        ("red", "plain", "About red: plain is red", "mandatory")
    ] * 2
    assert ("tells", "fed", "About tells: the token is [secret]!", "advisory") in told
    assert [entry[0] for entry in told].count("tells") == len([entry for entry in told if entry[0] == "silent"])
    (source, _) = (item["source"] for item in run.findings if item["message"] == "About red: plain is red")
    assert (Path(source["path"]).name, source["line"], source["column"]) == ("index.ts", 11, 15)
    assert SECRET not in run.text
    assert "the program prints" not in run.text


# --- remediation -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mended(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("remedies")
    packs = [copied(folder, f"remedy_{language}") for language in ("python", "typescript")]
    return check(copied(folder, "sizes"), *packs, options=("--outputs", "unknown"))


def test_remediations_run_in_order_before_any_policy_judges(mended: Run) -> None:
    # `fill` gives 1, `double` doubles, and the pack after that adds ten; only then is anything judged.
    sizes = {"bare": 12, "sized": 20, "hidden": 16, "fed": 18, "feeding": 12}

    assert mended.deployment["error"] is None
    assert mended.told("fail", pack="remedy-python") == sorted(
        ("fail", "advisory", "seen", name, f"What it sees: size {size}") for name, size in sizes.items()
    )
    for name, size in sizes.items():
        assert mended.inputs(name)["size"] == size
    assert mended.inputs("sized")["note"] == "kept"
    seen = {entry[3]: entry[4] for entry in mended.told("fail", pack="remedy-typescript")}
    assert seen["sized"] == "What it sees: size 20, kept, undefined, undefined"


def test_a_remediation_says_what_it_changed(mended: Run) -> None:
    assert "remedy-python/fill: changed the inputs of test:index:Thing bare: size." in mended.notes
    assert "remedy-python/fill: changed the inputs of test:index:Thing sized" not in mended.notes
    assert "remedy-typescript/add: changed the inputs of test:index:Thing sized: size." in mended.notes


def test_a_remediation_of_an_unknown_is_undecided_and_changes_nothing(mended: Run) -> None:
    assert [
        (item["name"], item["resource"], item["property"]) for item in mended.findings if item["verdict"] == "unknown"
    ] == [("label", "fed", "label")]
    assert mended.inputs("fed")["label"] == "[unknown]"


def test_no_remediation_makes_a_secret_plain(mended: Run) -> None:
    # A remediation in Python that copies the properties hands a secret back as plain text.
    assert "size 16, [secret], [secret], [secret]" in mended.text
    assert mended.inputs("hidden")["note"] == "[secret]"
    assert mended.inputs("hidden")["token"] == "[secret]"
    assert mended.inputs("hidden")["tags"] == {"inner": "[secret]"}
    assert "s3cr3t" not in mended.text


def test_a_remediation_over_grpc_changes_the_same(tmp_path: Path) -> None:
    project, pack = copied(tmp_path, "sizes"), copied(tmp_path, "remedy_python")
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"double": {"by": 3}, "fill": "mandatory"}))

    here, there = (
        check(project, pack, configs=[config], options=("--outputs", "unknown", *more)) for more in ((), ("--isolate",))
    )

    assert here.inputs("sized")["size"] == 15
    assert "The remediation itself broke: KeyError: 'size'" in here.text
    assert here.told("fail", "error", "unknown", "pass") == there.told("fail", "error", "unknown", "pass")
    for name in ("bare", "sized", "hidden", "fed", "feeding"):
        assert here.inputs(name) == there.inputs(name)


# --- kinds of packs --------------------------------------------------------------------------------------------------

TYPED = """
import * as random from "@pulumi/random";
import {
    PolicyPack,
    remediateResourceOfType,
    validateResourceOfType,
    validateStackResourcesOfType,
} from "@pulumi/policy";

new PolicyPack("typed", {
    enforcementLevel: "mandatory",
    policies: [
        {
            name: "short",
            description: "Short.",
            enforcementLevel: "remediate",
            remediateResource: remediateResourceOfType(random.RandomPet, (pet) => ({ ...pet, length: 2 })),
            validateResource: validateResourceOfType(random.RandomPet, (pet, args, report) => {
                report(`${args.name} has ${pet.length} words`);
            }),
        },
        {
            name: "class",
            description: "Class.",
            validateResource: (args, report) => {
                const pet = args.asType(random.RandomPet);
                if (args.isType(random.RandomPet) !== (pet !== undefined) || args.isType(random.RandomString)) {
                    report("the class is another");
                }
            },
        },
        {
            name: "made",
            description: "Made.",
            validateStack: validateStackResourcesOfType(random.RandomPet, (pets, args, report) => {
                report(`${args.resources.length} of ${pets.map((pet) => pet.length)} words`);
            }),
        },
        {
            name: "arn",
            description: "ARN.",
            validateStack: (args, report) => {
                report(args.resources.find((resource) => resource.name === "jobs")!.props.arn);
            },
        },
        {
            name: "strings",
            description: "Strings.",
            validateStack: validateStackResourcesOfType(random.RandomString, (strings, args, report) => {
                report("there are none");
            }),
        },
    ],
});
"""
PETS = """
import pulumi


class Pet(pulumi.CustomResource):
    def __init__(self, name, **inputs):
        super().__init__("random:index/randomPet:RandomPet", name, inputs)


class Queue(pulumi.CustomResource):
    arn: pulumi.Output[str]

    def __init__(self, name):
        super().__init__("aws:sqs/queue:Queue", name, {"arn": None})


Pet("rex", length=5)
Queue("jobs")
"""


def test_policies_by_class_see_inputs_and_what_an_up_would_make(tmp_path: Path, project: Path) -> None:
    pytest.importorskip("pulumi_aws")
    (project / "__main__.py").write_text(PETS)

    run = check(project, node_pack(tmp_path / "pack", TYPED))

    (name,) = (item["id"].rpartition("/")[2] for item in run.deployment["resources"] if item["name"] == "jobs")
    assert run.deployment["error"] is None
    assert name.startswith("jobs-")
    assert run.told("fail", "error", "unknown") == [
        ("fail", "mandatory", "arn", "", f"ARN: arn:aws:sqs:us-east-1:123456789012:{name}"),
        ("fail", "mandatory", "made", "", "Made: 1 of 2 words"),
        ("fail", "mandatory", "short", "rex", "Short: rex has 2 words"),
    ]
    assert ("pass", "mandatory", "class", "rex", "Class.") in run.told("pass")
    reason = "Policy only applies to resources of type 'random:index/randomString:RandomString'"
    assert ("not-applicable", "mandatory", "strings", "", reason) in run.told("not-applicable")


def test_settings_name_a_pack_in_javascript(tmp_path: Path, project: Path) -> None:
    pack = node_pack(tmp_path / "pack", "throw new Error('not this one');\n")
    (pack / "PulumiPolicy.yaml").write_text(
        "runtime:\n  name: nodejs\n  options: {typescript: false}\nmain: lib/policies.js\n"
    )
    (pack / "lib").mkdir()
    (pack / "lib" / "policies.js").write_text(
        'const { PolicyPack } = require("@pulumi/policy");\n'
        'const validateResource = (args, report) => args.name === "bad" && report("in JavaScript");\n'
        'new PolicyPack("script", { policies: [{ name: "judge", description: "Judge.", validateResource }] });\n'
    )
    (project / "ringfence.toml").write_text('policy-pack = "../pack"\n')

    run = check(project)

    assert run.deployment["error"] is None
    assert run.told("fail") == [("fail", "advisory", "judge", "bad", "Judge: in JavaScript")]
    assert run.code == 0


def test_a_pack_with_an_environment_of_its_own_runs_there(tmp_path: Path, project: Path) -> None:
    pack = python_pack(
        tmp_path / "pack",
        "from only_here import WHO\nfrom pulumi_policy import *\n"
        "def judge(args, report):\n    if args.name == 'bad':\n        report(WHO)\n"
        "PolicyPack(name='own', policies=[\n"
        "    ResourceValidationPolicy(name='judge', description='Judge.', validate=judge)])\n",
    )
    (pack / "PulumiPolicy.yaml").write_text("runtime:\n  name: python\n  options: {virtualenv: own}\n")
    venv.create(pack / "own", symlinks=True, with_pip=False)
    (packages,) = (pack / "own" / "lib").glob("python*/site-packages")
    (packages / "ours.pth").write_text(sysconfig.get_path("purelib"))
    (packages / "only_here.py").write_text("WHO = __file__\n")

    run = check(project, pack)

    assert run.told("fail") == [("fail", "advisory", "judge", "bad", f"Judge: {packages / 'only_here.py'}")]


# --- packs that go wrong ---------------------------------------------------------------------------------------------

HEAD = 'import { PolicyPack } from "@pulumi/policy";\n'


def test_a_policy_that_throws_blocks_and_does_not_hide_the_others(tmp_path: Path, project: Path) -> None:
    text = (
        f"{HEAD}console.log('4711 is printed at the start');\n\n"
        "new PolicyPack('inline', { enforcementLevel: 'mandatory', policies: [\n"
        "    { name: 'throws', description: 'Throws.', validateResource: (args) => {\n"
        "        console.log('printed by a policy', args.props.token);\n"
        "        if (args.name === 'bad') {\n"
        "            throw new Error(`no good: ${args.props.token}`);\n"
        "        }\n"
        "    } },\n"
        "    { name: 'fine', description: 'Fine.', validateResource: (args, report) => {\n"
        "        console.error('printed to standard error');\n"
        "        if (args.name === 'bad') { report('still judged'); }\n"
        "    } },\n"
        "    { name: 'whole', description: 'Whole.', validateStack: async () => {\n"
        "        await null;\n"
        "        (null as any).x();\n"
        "    } },\n"
        "] });\n"
    )

    run = check(project, node_pack(tmp_path / "pack", text))

    assert run.code == 1
    assert run.told("fail") == [("fail", "mandatory", "fine", "bad", "Fine: still judged")]
    assert run.told("error") == [
        ("error", "mandatory", "throws", "bad", "The policy itself broke: Error: no good: [secret] (index.ts:8)"),
        (
            "error",
            "mandatory",
            "whole",
            "",
            "The policy itself broke: TypeError: Cannot read properties of null (reading 'x') (index.ts:17)",
        ),
    ]
    assert ("pass", "mandatory", "throws", "good", "Throws.") in run.told("pass")
    assert "printed" not in run.text
    assert SECRET not in run.text


def test_a_policy_that_raises_breaks_alone_in_both_ways(tmp_path: Path, project: Path) -> None:
    text = (
        "from pulumi_policy import *\n"
        "def raises(args, report):\n"
        "    print('printed by a policy')\n"
        "    if args.name == 'bad':\n"
        "        raise ValueError(f\"no good: {args.props['token']}\")\n"
        "def fine(args, report):\n"
        "    if args.name == 'bad':\n"
        "        report('still judged')\n"
        "PolicyPack(name='inline', enforcement_level=EnforcementLevel.MANDATORY, policies=[\n"
        "    ResourceValidationPolicy(name='raises', description='Raises.', validate=raises),\n"
        "    ResourceValidationPolicy(name='fine', description='Fine.', validate=fine),\n"
        "])\n"
    )
    pack = python_pack(tmp_path / "pack", text)

    here, there = check(project, pack), check(project, pack, options=("--isolate",))

    assert here.told("fail", "error", "pass") == there.told("fail", "error", "pass")
    (error,) = here.told("error")
    assert error[:4] == ("error", "mandatory", "raises", "bad")
    assert "ValueError: no good: [secret]" in error[4]
    assert "__main__.py:5" in error[4]
    assert (here.code, there.code) == (1, 1)
    assert "printed by" not in here.text + there.text
    assert SECRET not in here.text + there.text


NODE_FAULTS = {
    "syntax": (f"{HEAD}const x = ;\n", r"error TS1109: Expression expected\. \(index\.ts:2"),
    "module": (f'{HEAD}import "@pulumi/nowhere";\n', r"Cannot find module '@pulumi/nowhere'.* \(index\.ts:2"),
    "thrown": (f"{HEAD}function f() {{\n    throw new Error('no good');\n}}\nf();\n", r"no good \(index\.ts:3"),
    "name": (
        f"{HEAD}const all = {{ name: 'all', description: '', validateStack: () => undefined }};\n"
        "new PolicyPack('inline', { policies: [all] });\n",
        r'Invalid policy name "all"\. "all" is a reserved name',
    ),
}


@pytest.mark.parametrize("name", NODE_FAULTS)
def test_a_pack_that_does_not_start_is_one_error_with_its_line(tmp_path: Path, project: Path, name: str) -> None:
    text, message = NODE_FAULTS[name]
    pack = node_pack(tmp_path / "pack", text)

    run = check(project, pack)

    assert run.code == 2
    assert not run.report
    (line,) = run.text.strip().splitlines()
    assert re.match(rf"ringfence: {re.escape(str(pack))}: the policy pack does not start: .*{message}", line), line


def test_a_pack_without_its_packages_names_the_command(tmp_path: Path, project: Path) -> None:
    pack = node_pack(tmp_path / "pack", HEAD)
    (pack / "node_modules").unlink()
    (pack / "package-lock.json").write_text("{}")

    run = check(project, pack)

    assert run.code == 2
    assert f"{pack}/node_modules/@pulumi/pulumi: there is no such folder; run `npm ci` in {pack} first" in run.text


PYTHON_FAULTS = {
    "import": ("import pulumi_policy\nimport nowhere\n", r"ModuleNotFoundError: No module named 'nowhere' \(.*:2\)"),
    "syntax": ("import pulumi_policy\nx = = 1\n", r"SyntaxError: invalid syntax \(.*:2\)"),
    "nothing": ("import pulumi_policy\n", "it ran to its end and served no policies"),
    "exit": ("raise SystemExit(3)\n", "it ended itself with exit code 3"),
}


@pytest.mark.parametrize("name", PYTHON_FAULTS)
def test_a_python_pack_that_does_not_start_over_grpc(tmp_path: Path, project: Path, name: str) -> None:
    text, message = PYTHON_FAULTS[name]
    pack = python_pack(tmp_path / "pack", text)

    run = check(project, pack, options=("--isolate",))

    assert run.code == 2
    (line,) = run.text.strip().splitlines()
    assert re.match(rf"ringfence: {re.escape(str(pack))}: the policy pack does not start: .*{message}", line), line


def test_a_pack_that_hangs_is_ended_with_its_children(tmp_path: Path, project: Path) -> None:
    text = (
        f"{HEAD}import {{ spawn }} from 'child_process';\nimport * as fs from 'fs';\n"
        "const child = spawn('sleep', ['300']);\n"
        "fs.writeFileSync('children', `${process.pid} ${child.pid}`);\n"
        "interface Dropped {\n    lines: number;\n}\n"
        "function spin(): void {\n    for (;;) {}\n}\n"
        "new PolicyPack('inline', { policies: [{ name: 'spins', description: 'Spins.', validateResource: spin }] });\n"
    )
    pack = node_pack(tmp_path / "pack", text)

    run = check(project, pack, options=("--time-limit", "6"))

    assert run.code == 2
    assert re.search(r"the policy pack did not answer within 6 s when it judged .* \(index\.ts:10", run.text), run.text
    for process in (pack / "children").read_text().split():
        assert not alive(int(process))


def test_a_python_pack_that_hangs_over_grpc_says_where(tmp_path: Path, project: Path) -> None:
    text = (
        "import time\nfrom pulumi_policy import *\n"
        "def waits(args, report):\n    time.sleep(300)\n"
        "PolicyPack(name='inline', policies=[\n"
        "    ResourceValidationPolicy(name='waits', description='Waits.', validate=waits)])\n"
    )

    run = check(project, python_pack(tmp_path / "pack", text), options=("--isolate", "--time-limit", "2"))

    assert run.code == 2
    assert re.search(r"the policy pack did not answer within 2 s when it judged .* \(__main__\.py:4\)", run.text)


def test_a_pack_that_goes_away_is_an_error(tmp_path: Path, project: Path) -> None:
    text = (
        "import os\nfrom pulumi_policy import *\n"
        "def leaves(args, report):\n    os._exit(7)\n"
        "PolicyPack(name='inline', policies=[\n"
        "    ResourceValidationPolicy(name='leaves', description='Leaves.', validate=leaves)])\n"
    )

    run = check(project, python_pack(tmp_path / "pack", text), options=("--isolate",))

    assert run.code == 2
    assert "the policy pack broke off when it judged pulumi:pulumi:Stack little-dev" in run.text
    assert "it ended itself with exit code 7" in run.text
