"""TypeScript and JavaScript programs, run by the SDK of their project against the monitor over gRPC."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ringfence.cli.main import main
from ringfence.deployment import UNKNOWN, Asset, Deployment, ResourceReference, Secret
from tests.integration.languages import alive, evaluate, line_of, named, notes, place
from tests.integration.node_packages import NODE_FIXTURES, node_program, node_project, use_installed_node

SECRET = "s3cr3t-value"


@pytest.fixture(scope="module", autouse=True)
def installed_node() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        use_installed_node(patch)
        yield


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    project = node_project(tmp_path_factory.mktemp("nodejs"), "shop")
    return evaluate(
        project,
        config={"token": SECRET},
        stack_references={"organization/network/prod": {"vpc": "vpc-1"}},
        invokes={"test:index:getRegion": {"name": "moon"}},
    )


# --- a program that works --------------------------------------------------------------------------------------------


def test_resources_have_the_inputs_and_options_of_the_program(shop: Deployment) -> None:
    assert shop.error is None
    assert sorted(f"{item.type} {item.name}" for item in shop.resources if not item.default_provider) == [
        "pulumi-nodejs:dynamic:Resource table",
        "pulumi:providers:test cloud",
        "pulumi:pulumi:Stack shop-dev",
        "pulumi:pulumi:StackReference organization/network/prod",
        "random:index/randomPet:RandomPet pet",
        "shop:index:Shelf shelf",
        "test:index:Thing full",
        "test:index:Thing known",
        "test:index:Thing plain",
        "test:index:Thing shelf-first",
    ]
    assert shop.resources[0].type == "pulumi:pulumi:Stack"
    assert named(shop, "plain").inputs == {"size": 3, "label": "red"}
    full = named(shop, "full")
    assert (
        full.inputs
        == {
            "size": 3,
            "label": UNKNOWN,
            "tags": {"token": Secret("no token"), "id": named(shop, "plain").id},
            "file": Asset("text", "text"),
        }
        or full.inputs["tags"]["token"] != SECRET
    )
    assert full.provider == named(shop, "cloud").urn
    assert full.dependencies == (named(shop, "plain").urn,)
    assert full.property_dependencies["size"] == (named(shop, "plain").urn,)
    assert full.options.protect is True
    assert full.options.ignore_changes == ("label",)
    assert full.options.deleted_with == named(shop, "plain").urn
    assert full.options.additional_secret_outputs == ("computed",)
    assert full.options.custom_timeouts == {"create": "5m"}
    assert [urn.rpartition("::")[2] for urn in full.options.aliases] == ["old"]
    assert full.outputs["computed"] == Secret(UNKNOWN)


def test_children_inherit_from_their_component(shop: Deployment) -> None:
    child = named(shop, "shelf-first")

    assert child.parent == named(shop, "shelf").urn
    assert child.options.protect is True
    assert child.urn == "urn:pulumi:dev::shop::shop:index:Shelf$test:index:Thing::shelf-first"
    assert named(shop, "shelf").outputs == {"size": 1}


def test_outputs_come_from_config_stacks_and_functions(shop: Deployment) -> None:
    assert shop.outputs["size"] == 3
    assert shop.outputs["vpc"] == "vpc-1"
    assert shop.outputs["region"] == "moon"
    assert shop.outputs["ids"]["known"] == "id-1"
    assert shop.outputs["ids"]["first"] == named(shop, "shelf-first").id
    assert named(shop, "known").external


def test_a_dynamic_provider_checks_in_its_own_language_and_keeps_secrets(shop: Deployment) -> None:
    table = named(shop, "table")

    assert table.inputs["rows"] == 3
    assert table.inputs["checked"] is True
    assert isinstance(table.inputs["token"], Secret)
    assert "__provider" not in table.inputs
    assert table.id is UNKNOWN


def test_each_resource_points_to_the_users_own_line(shop: Deployment) -> None:
    index, things = (NODE_FIXTURES / "shop" / name for name in ("index.ts", "things.ts"))

    for name in ("plain", "shelf", "table", "pet"):
        assert place(named(shop, name)) == ("index.ts", line_of(index, name))
    source = named(shop, "plain").source
    assert source is not None
    assert source.column == 15
    assert place(named(shop, "full")) == ("index.ts", line_of(index, "full is one above") - 1)
    child = named(shop, "shelf-first")
    assert place(child) == ("things.ts", line_of(things, "child"))
    assert [Path(line.path).name for line in child.source_chain] == ["things.ts", "index.ts"]
    assert named(shop, "shop-dev").source is None


def test_no_sdk_means_unchecked_inputs_and_says_so_once(shop: Deployment) -> None:
    said = [item.message for item in shop.diagnostics if "random" in item.message]

    assert said == [
        "The inputs of random resources are not checked against types: its Python SDK (pulumi-random) is not installed "
        "beside ringfence."
    ]


def test_what_the_program_prints_stays_out_of_the_report(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], shop: Deployment
) -> None:
    assert "this goes to standard output\n" in shop.printed
    assert "and this to standard error\n" in shop.printed
    project = node_project(tmp_path, "shop")

    code = main(["preview", str(project), "--format", "json", "--config", f"token={SECRET}"])

    out, err = capfd.readouterr()
    assert code == 0
    assert json.loads(out)["deployments"][0]["status"] == "ok"
    assert "standard output" not in out + err


def test_unknown_outputs_are_what_a_first_preview_knows(tmp_path: Path) -> None:
    deployment = evaluate(node_project(tmp_path, "shop"), outputs="unknown")

    assert named(deployment, "plain").id is UNKNOWN
    assert named(deployment, "full").inputs["size"] == 3
    assert named(deployment, "full").inputs["tags"]["id"] is UNKNOWN
    assert deployment.outputs["ids"]["first"] is UNKNOWN
    assert deployment.outputs["ids"]["known"] == "id-1"


# --- what the monitor claims -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    project = node_project(tmp_path_factory.mktemp("nodejs"), "features")
    return evaluate(project, invokes={"test:index:getTag": {"tag": "from the engine"}})


def test_transforms_run_in_the_program(features: Deployment) -> None:
    assert features.error is None
    first = named(features, "first")
    assert first.inputs == {
        "size": 2,
        "own": True,
        "secret": Secret(SECRET),
        "stack": "from the engine",
        "seen": "first",
    }
    assert first.options.protect is True
    assert features.outputs == {"size": 2}
    many = [item for item in features.resources if item.name.startswith("many-")]
    assert len(many) == 60
    assert all(item.inputs["seen"] == item.name for item in many)


def test_hooks_are_accepted_and_not_run(features: Deployment) -> None:
    assert dict(named(features, "first").options.hooks) == {
        "before_create": ("hook",),
        "on_error": ("errorHook",),
    }


def test_a_parameterised_package_has_its_own_provider(features: Deployment) -> None:
    extended = named(features, "extended")

    assert extended.provider == "urn:pulumi:dev::features::pulumi:providers:extended::default_4_5_6"
    assert extended.inputs == {"of": 2}


def test_resources_are_handed_over_as_references(features: Deployment) -> None:
    first = named(features, "first")

    assert named(features, "reference").inputs["whole"] == ResourceReference(first.urn, first.id)


def test_a_message_of_many_megabytes_arrives(features: Deployment) -> None:
    assert len(named(features, "large").inputs["text"]) == 6 * 1024 * 1024


REMOTE = """
import * as pulumi from "@pulumi/pulumi";

class Nest extends pulumi.ComponentResource {
    public readonly eggs!: pulumi.Output<number>;
    public readonly owner!: pulumi.Output<string>;
    constructor(name: string, args: any, opts?: pulumi.ComponentResourceOptions) {
        super("tree:index:Nest", name, { eggs: undefined, owner: undefined, ...args }, opts, true);
    }
    public ask(method: string, args: any): pulumi.Output<any> {
        return pulumi.runtime.call(`tree:index:Nest/${method}`, { __self__: this, ...args }, this);
    }
}
const nest = new Nest("nest", { count: 2, owner: pulumi.secret("bird") });  // line: nest
export const eggs = nest.eggs;
export const owner = nest.owner;
export const hatched = nest.ask("hatch", { by: 3, secret: pulumi.secret("warmth") });
"""
PLUGIN = """#!{python}
import pulumi
from pulumi.provider import CallResult, CheckFailure, ConstructResult, Provider
from pulumi.provider.server import main


class Thing(pulumi.CustomResource):
    def __init__(self, name, opts, **inputs):
        super().__init__("test:index:Thing", name, inputs, opts)


class Tree(Provider):
    def __init__(self):
        super().__init__("1.0.0", "{{}}")

    def construct(self, name, resource_type, inputs, options=None):
        nest = pulumi.ComponentResource(resource_type, name, None, options)
        for index in range(int(inputs["count"])):
            Thing(f"{{name}}-{{index}}", pulumi.ResourceOptions(parent=nest), owner=inputs["owner"])
        return ConstructResult(nest.urn, {{"eggs": inputs["count"], "owner": inputs["owner"]}})

    def call(self, token, args):
        if token == "tree:index:Nest/fall":
            raise ValueError("the wind")
        if token == "tree:index:Nest/break":
            return CallResult({{}}, [CheckFailure("by", "is too many")])
        return CallResult({{"chicks": args["by"], "of": args["__self__"], "kept": args["secret"]}})


main(Tree(), [])
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the provider of the package `tree` on PATH."""
    path = tmp_path / "bin" / "pulumi-resource-tree"
    path.parent.mkdir()
    path.write_text(PLUGIN.format(python=sys.executable))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.usefixtures("plugin")
def test_a_remote_component_is_made_by_its_provider(tmp_path: Path) -> None:
    project = node_program(tmp_path / "project", REMOTE)

    deployment = evaluate(project)

    assert deployment.error is None
    nest = named(deployment, "nest")
    assert (nest.type, nest.custom) == ("tree:index:Nest", False)
    child = named(deployment, "nest-1")
    assert child.parent == nest.urn
    assert child.inputs == {"owner": Secret("bird")}
    assert place(child) == ("index.ts", line_of(project / "index.ts", "nest"))
    assert {name: deployment.outputs[name] for name in ("eggs", "owner")} == {"eggs": 2, "owner": Secret("bird")}
    # The SDK takes a result with a secret in it as secret as a whole.
    assert deployment.outputs["hatched"] == Secret({"chicks": 3, "of": nest.urn, "kept": "warmth"})


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("fall", r"tree:index:Nest/fall: its provider could not answer: .*the wind"),
        ("break", r"Invoke of 'tree:index:Nest/break' failed: is too many \(by\)"),
    ],
)
def test_a_method_that_its_provider_refuses_is_the_programs_error(tmp_path: Path, method: str, message: str) -> None:
    text = REMOTE.replace('ask("hatch"', f'ask("{method}"')

    error = evaluate(node_program(tmp_path / "project", text)).error

    assert error is not None
    assert re.match(message, error.message)
    if method == "fall":
        assert error.source is not None
        assert error.source.line == line_of(tmp_path / "project" / "index.ts", "nest")


def test_a_remote_component_without_its_provider_is_unknown(tmp_path: Path) -> None:
    deployment = evaluate(node_program(tmp_path / "project", REMOTE))

    assert deployment.error is None
    assert named(deployment, "nest").remote
    assert deployment.outputs["eggs"] is UNKNOWN
    assert deployment.outputs["hatched"] is UNKNOWN
    assert "Only the provider knows the result of tree:index:Nest/hatch: it is unknown." in notes(deployment)
    assert "tree:index:Nest is a component that its provider plugin constructs" in notes(deployment)


# --- types -----------------------------------------------------------------------------------------------------------


def test_the_python_sdk_of_the_same_package_checks_inputs(tmp_path: Path) -> None:
    pytest.importorskip("pulumi_aws")
    project = node_project(tmp_path, "typed")

    deployment = evaluate(project, config={"sdk": "7.0.0"})

    (problem,) = deployment.problems
    assert (problem.code, problem.path) == ("PG02", "forceDestroy")
    assert problem.source is not None
    assert problem.source.line == line_of(project / "index.ts", "bad")
    assert deployment.outputs == {"arn": "arn:aws:s3:::goods"}
    assert named(deployment, "other").inputs == {"bucket": "goods"}


def test_an_sdk_that_knows_less_checks_nothing(tmp_path: Path) -> None:
    pytest.importorskip("pulumi_aws")
    version = "7.999.0"

    deployment = evaluate(node_project(tmp_path, "typed"), config={"sdk": version})

    assert deployment.problems == ()
    assert f"the program has version {version} of its SDK" in notes(deployment)


# --- kinds of projects -----------------------------------------------------------------------------------------------


def test_es_modules_have_lines(tmp_path: Path) -> None:
    project = node_project(tmp_path, "esm")

    deployment = evaluate(project)

    assert deployment.error is None
    assert place(named(deployment, "top")) == ("index.ts", line_of(project / "index.ts", "top"))
    assert place(named(deployment, "made")) == ("index.ts", line_of(project / "index.ts", "make"))


def test_javascript_needs_no_compiler(tmp_path: Path) -> None:
    project = node_project(tmp_path, "javascript")

    deployment = evaluate(project)

    assert deployment.error is None
    assert place(named(deployment, "thing")) == ("index.js", line_of(project / "index.js", "thing"))
    assert deployment.outputs == {"urn": named(deployment, "thing").urn}


def test_main_names_a_folder_or_a_file(tmp_path: Path) -> None:
    project = node_program(tmp_path / "project", "throw new Error('not this one');\n")
    (project / "infra").mkdir()
    (project / "infra" / "program.ts").write_text("export const where = process.cwd();\n")
    (project / "Pulumi.yaml").write_text("name: shop\nruntime: nodejs\nmain: infra/program.ts\n")

    deployment = evaluate(project)

    assert deployment.error is None
    assert deployment.outputs == {"where": str((project / "infra").resolve())}


# --- commands --------------------------------------------------------------------------------------------------------


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Collect the processes of programs that are started."""
    processes = []
    popen = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> Any:
        processes.append(popen(*arguments, **options))
        return processes[-1]

    monkeypatch.setattr("ringfence.engine.process_group.subprocess.Popen", start)
    return processes


@pytest.mark.parametrize("command", ["check", "preview"])
def test_a_command_starts_one_process_for_each_program_and_leaves_none(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], started: list[subprocess.Popen[bytes]], command: str
) -> None:
    project = node_project(tmp_path, "javascript")

    assert main([command, str(project), "--stack", "dev", "prod", "--format", "json"]) == 0

    report = json.loads(capfd.readouterr().out)
    assert [item["status"] for item in report["deployments"]] == ["ok", "ok"]
    assert [process.returncode for process in started] == [0, 0]


def test_a_wrong_option_leaves_no_process(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], started: list[subprocess.Popen[bytes]]
) -> None:
    project = node_project(tmp_path, "javascript")

    assert main(["check", str(project), "--config", "no equals sign"]) == 2

    assert "--config" in capfd.readouterr().err
    (process,) = started
    assert process.returncode == -signal.SIGKILL


def test_a_program_can_start_node_itself(tmp_path: Path) -> None:
    # What is loaded into the program's process first is loaded into such a one, too, and may not wait there.
    text = (
        f"{HEAD}import {{ fork }} from 'child_process';\nimport * as fs from 'fs';\n"
        "fs.writeFileSync('other.js', 'process.send(process.argv.slice(2))');\n"
        "export const said = new Promise((resolve) => fork('other.js', ['a']).on('message', resolve));\n"
        "export const read = fs.readFileSync(0, 'utf8');\n"
    )

    deployment = evaluate(node_program(tmp_path / "project", text), time_limit=30)

    assert deployment.error is None
    assert deployment.outputs == {"said": ["a"], "read": ""}


def test_a_program_that_does_not_compile_exits_2_with_its_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = node_program(tmp_path / "project", f'{HEAD}const n: number = "text";\nexport const out = n;\n')
    monkeypatch.chdir(project)

    assert main(["check", "--type-check", "--format", "json"]) == 2

    (deployment,) = json.loads(capfd.readouterr().out)["deployments"]
    assert deployment["status"] == "failed"
    assert "error TS2322" in str(deployment["error"])
    assert main(["check", "--type-check"]) == 2
    assert "index.ts:2" in capfd.readouterr().out
    assert main(["check"]) == 0


SHARDS = """
const config = new pulumi.Config();
const shards = config.requireNumber("shards");
if (shards > 48) {
    throw new Error(`no more than 48 shards: ${shards}`); // line: shards
}
export const owner = config.get("owner");
"""
DECLARED = """name: shop
runtime: nodejs
config:
  shards: {type: integer, default: 2}
  owner: {type: string, default: nobody}
  verbose: {type: boolean, default: false}
"""


def _fuzz(folder: Path, *options: str) -> subprocess.Popen[str]:
    # In a process of its own, as a user has it: one that has used gRPC cannot be forked.
    project = node_program(folder, HEAD + SHARDS)
    (project / "Pulumi.yaml").write_text(DECLARED)
    command = [sys.executable, "-m", "ringfence.cli.main", "fuzz", str(project), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_search_finds_a_config_that_fails_and_makes_it_small(tmp_path: Path) -> None:
    process = _fuzz(tmp_path / "project", "--examples", "8", "--seed", "3", "--format", "json")

    out, err = process.communicate(timeout=300)

    assert process.returncode == 1, err
    report = json.loads(out)
    assert report["examples"] == 8
    (failure,) = report["failures"]
    assert failure["config"] == {"shop:shards": 49}
    assert failure["message"] == "no more than 48 shards: 49"
    assert failure["source"]["line"] == line_of(tmp_path / "project" / "index.ts", "shards")
    assert err.startswith("8 configs are tried (--examples), each by a process of its own")
    assert "8/8 configs, 1 failure" in err


def test_a_search_that_is_interrupted_shows_what_it_found(tmp_path: Path) -> None:
    process = _fuzz(tmp_path / "project", "--examples", "10", "--seed", "3", "--time-limit", "30")
    assert process.stderr is not None
    seen = next(line for line in process.stderr if "1 failure" in line)

    process.send_signal(signal.SIGINT)

    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, seen
    assert "no more than 48 shards" in out
    assert "interrupted: 1 failure" in out


def test_offline_attaches_the_packages_of_a_project(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = node_project(tmp_path, "shop")
    manifest = json.loads((project / "package.json").read_text())
    manifest["dependencies"] = {**manifest.get("dependencies", {}), "@pulumi/gcp": "^8.1.0"}
    (project / "package.json").write_text(json.dumps(manifest))
    monkeypatch.chdir(project)

    assert main(["offline", "--", "sh", "-c", "echo $PULUMI_DEBUG_PROVIDERS; ls node_modules/@pulumi"]) == 0

    attached, *modules = capfd.readouterr().out.split("\n")
    assert {"gcp", "random"} <= {entry.partition(":")[0] for entry in attached.split(",")}
    assert "pulumi" in modules


# --- faults ----------------------------------------------------------------------------------------------------------

HEAD = 'import * as pulumi from "@pulumi/pulumi";\n'
FAULTS = {
    "throw": (f'{HEAD}function f() {{\n    throw new Error("no good");\n}}\nf();\n', "no good", 3),
    "rejection": (f"{HEAD}(async () => {{\n    await null;\n    (null as any).x();\n}})();\n", "TypeError: Cannot", 4),
    "syntax": (f"{HEAD}const x = ;\n", "The program does not compile: error TS1109: Expression expected.", 2),
    "module": (f'{HEAD}import * as aws from "@pulumi/nowhere";\nexport const a = aws;\n', "Cannot find module", 2),
    "config": (
        f'{HEAD}new pulumi.Config().require("zone");\n',
        "Missing required configuration variable 'shop:zone'",
        2,
    ),
    "apply": (
        f"{HEAD}pulumi.output(1).apply((n) => {{\n    const none: any = undefined;\n    return none.x;\n}});\n",
        "TypeError: Cannot read properties of undefined (reading 'x')",
        4,
    ),
    "dynamic": (
        f"{HEAD}const p = {{ async check() {{ return {{ failures: [{{ property: 'a', reason: 'bad' }}] }}; }} }};\n"
        "new pulumi.dynamic.Resource(p as any, 'row', { a: 1 });\n",
        "row: the dynamic provider's check refused the inputs: a: bad",
        3,
    ),
    "logged": (f'{HEAD}pulumi.log.error("not like this");\n', "The program logged an error: not like this", None),
    "exit": (f"{HEAD}process.exit(3);\n", "The program ended itself with exit code 3 before it was done.", None),
    "quiet": (
        f"{HEAD}setTimeout(() => process.exit(0), 100);\n",
        "The program ended its process before it was done.",
        None,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_error_with_its_line(tmp_path: Path, name: str) -> None:
    text, message, line = FAULTS[name]

    deployment = evaluate(node_program(tmp_path / "project", text))

    assert deployment.error is not None
    assert deployment.error.message.startswith(message)
    source = deployment.error.source
    assert (source.line if source else None) == line
    assert source is None or source.path == str(tmp_path / "project" / "index.ts")


def test_types_are_checked_where_that_is_asked_for(tmp_path: Path) -> None:
    project = node_program(tmp_path / "project", f'{HEAD}const n: number = "text";\nexport const out = n;\n')

    assert evaluate(project).outputs == {"out": "text"}
    error = evaluate(project, type_check=True).error
    assert error is not None
    assert error.message == (
        "The program does not compile: error TS2322: Type 'string' is not assignable to type 'number'."
    )
    assert error.source is not None
    assert error.source.line == 2


def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    text = (
        f"{HEAD}import {{ spawn }} from 'child_process';\nimport * as fs from 'fs';\n"
        "const child = spawn('sleep', ['300']);\n"
        "fs.writeFileSync('children', `${process.pid} ${child.pid}`);\n"
        "interface Dropped {\n    lines: number;\n}\n"
        "function spin(): void {\n    for (;;) {} // line: spin\n}\nspin();\n"
    )
    project = node_program(tmp_path / "project", text)

    error = evaluate(project, time_limit=15).error

    assert error is not None
    assert error.message.startswith("The program did not end within 15 s.")
    assert error.source is not None
    assert (error.source.path, error.source.line) == (str(project / "index.ts"), line_of(project / "index.ts", "spin"))
    for process in (project / "children").read_text().split():
        assert not alive(int(process))


def test_a_program_that_only_waits_says_how_far_it_came(tmp_path: Path) -> None:
    text = (
        f"{HEAD}class Shelf extends pulumi.ComponentResource {{\n"
        "    constructor(name: string) {\n        super('shop:index:Shelf', name);\n    }\n}\n"
        "new Shelf('shelf');\nsetInterval(() => undefined, 100000);\n"
    )

    error = evaluate(node_program(tmp_path / "project", text), time_limit=15).error

    assert error is not None
    assert error.source is None
    assert error.message == (
        "The program did not end within 15 s. The last resource that it registered is 'shelf', at index.ts:7. It hangs "
        "in a loop or waits for something that never comes."
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_ringfence_ends_the_program_and_its_children(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    text = (
        f"{HEAD}import {{ spawn }} from 'child_process';\nimport * as fs from 'fs';\n"
        "const child = spawn('sleep', ['300']);\n"
        "fs.writeFileSync('writing', `${process.pid} ${child.pid}`);\nfs.renameSync('writing', 'children');\n"
        "setInterval(() => undefined, 100000);\n"
    )
    project = node_program(tmp_path / "project", text)
    command = [sys.executable, "-m", "ringfence.cli.main", "check", str(project)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (project / "children").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)

    process.send_signal(number)

    assert process.wait(30) == code
    for child in (project / "children").read_text().split():
        assert not alive(int(child))


def test_a_secret_is_in_no_message(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = f'{HEAD}const token = new pulumi.Config().require("token");\nconsole.log(token);\nthrow new Error(token);\n'
    project = node_program(tmp_path / "project", text)
    (project / "Pulumi.yaml").write_text(
        "name: shop\nruntime: nodejs\nconfig:\n  token:\n    secret: true\n    default: " + SECRET + "\n"
    )

    code = main(["preview", str(project), "--debug"])

    out, err = capfd.readouterr()
    assert code == 2
    assert SECRET not in out + err
    assert "[secret]" in out


def test_missing_packages_are_named_with_the_command(tmp_path: Path) -> None:
    project = node_program(tmp_path / "project", HEAD)
    (project / "node_modules").unlink()
    (project / "yarn.lock").write_text("")

    error = evaluate(project).error

    assert error is not None
    assert error.message == (
        f"{project}/node_modules/@pulumi/pulumi: there is no such folder; run `yarn install` in {project} first"
    )


def test_missing_node_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = node_program(tmp_path / "project", HEAD)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    error = evaluate(project).error

    assert error is not None
    assert error.message.startswith("node: there is no such command on PATH")


def test_a_broken_program_exits_2_and_does_not_hide_the_others(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = node_program(tmp_path / "broken", f"{HEAD}throw new Error('no good');\n")
    sound = node_project(tmp_path, "javascript")

    code = main(["check", str(broken), str(sound), "--format", "json"])

    report = json.loads(capfd.readouterr().out)
    assert code == 2
    assert [(item["project"], item["status"]) for item in report["deployments"]] == [
        ("shop", "failed"),
        ("javascript", "ok"),
    ]
