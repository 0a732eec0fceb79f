from __future__ import annotations

import asyncio
import builtins
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import pulumi
import pytest

from ringfence.deployment import UNKNOWN, Archive, Deployment, Resource
from ringfence.engine.host import Program, run_program
from tests.unit.engine.rehearsal import EchoProvider, Thing, rehearse, rehearse_file
from tests.unit.engine.small_sdk import write_small_sdk

IMPORTS = "import pulumi\nfrom pulumi_small import compute, network\n"
"""The program's first two lines: its own begin at line 3."""
ZONES = {"small:index:getZone": {"letter": "b"}}


def run(folder: Path, text: str, **fields: Any) -> Deployment:
    write_small_sdk(folder)
    return rehearse_file(folder, text, EchoProvider(invokes=ZONES), **fields)


def faults(deployment: Deployment) -> list[tuple[str, int | None, str, str]]:
    return [
        (problem.code, problem.source.line if problem.source else None, problem.message, problem.remedy)
        for problem in deployment.problems
    ]


def resources(deployment: Deployment) -> dict[str, Resource]:
    return {item.name: item for item in deployment.resources[1:] if not item.default_provider}


def notes(deployment: Deployment) -> list[str]:
    return [item.message for item in deployment.diagnostics]


# --- what is repaired ------------------------------------------------------------------------------------------------

KINDS = [
    pytest.param(
        "from pulumi_small import compte\ncompte.Machine('m', subnet_name='s')",
        ("PG09", 1, "pulumi_small has no compte.", "Did you mean compute?"),
        {"subnetName": "s"},
        id="misspelt module",
    ),
    pytest.param(
        "from pulumi_small import (\n    compute,\n    storage,\n)\ncompute.Machine('m', subnet_name=storage.Box().id)",
        ("PG09", 3, "pulumi_small has no storage.", ""),
        {"subnetName": UNKNOWN},
        id="module that does not exist",
    ),
    pytest.param(
        "import pulumi_small.storage as storage\n"
        "from pulumi_small import compute\n"
        "compute.Machine('m', subnet_name=storage.Box('b').id)",
        ("PG09", 1, "pulumi_small has no storage.", ""),
        {"subnetName": UNKNOWN},
        id="import of a module that does not exist",
    ),
    pytest.param(
        "from pulumi_small.storage import Box\n"
        "from pulumi_small import compute\n"
        "compute.Machine('m', subnet_name=Box('b').id)",
        ("PG09", 1, "pulumi_small has no storage.", ""),
        {"subnetName": UNKNOWN},
        id="import from a module that does not exist",
    ),
    pytest.param(
        f"{IMPORTS}compute.Subnet('m', name='s')",
        ("PG09", 3, "pulumi_small.compute has no Subnet.", "Did you mean pulumi_small.network.Subnet?"),
        {"name": "s"},
        id="class of another module",
    ),
    pytest.param(
        "from pulumi_small.compute import Subnet as Net\nNet('m', name='s')",
        ("PG09", 1, "pulumi_small.compute has no Subnet.", "Did you mean pulumi_small.network.Subnet?"),
        {"name": "s"},
        id="imported class of another module",
    ),
    pytest.param(
        f"{IMPORTS}compute.machine('m', subnet_name='s')",
        None,
        None,
        id="a module of that name is no class",
    ),
    pytest.param(
        f"{IMPORTS}compute.Machin('m', subnet_name='s')",
        ("PG09", 3, "pulumi_small.compute has no Machin.", "Did you mean Machine?"),
        {"subnetName": "s"},
        id="slip of the keyboard",
    ),
    pytest.param(
        f"{IMPORTS}compute.Machine('m', subnet_name='s', disk=compute.PriceArgs(cents=3))",
        ("PG09", 3, "pulumi_small.compute has no PriceArgs.", "Did you mean SpotPriceArgs?"),
        {"subnetName": "s", "disk": {"cents": 3}},
        id="the last words of a longer name",
    ),
    pytest.param(
        f"{IMPORTS}compute.Machine('m', subnet_name='s', disk=compute.PriceArgs(dollars=3))",
        ("PG09", 3, "pulumi_small.compute has no PriceArgs.", "Did you mean SpotPriceArgs?"),
        {"subnetName": "s", "disk": UNKNOWN},
        id="a longer name that does not take these arguments",
    ),
    pytest.param(
        f"{IMPORTS}compute.Machine('m', subnet_name='s', disk=compute.StripedArgs(colour='red', stripes=3))",
        ("PG09", 3, "pulumi_small.compute has no StripedArgs.", "Did you mean FancyDiskArgs?"),
        {"subnetName": "s", "disk": {"colour": "red", "stripes": 3}},
        id="the only class that takes these arguments",
    ),
    pytest.param(
        f"{IMPORTS}compute.Machine('m', subnet_name='s', size=compute.Size.large)",
        ("PG09", 3, "Size has no large.", "Did you mean Size.LARGE?"),
        {"subnetName": "s", "size": "large"},
        id="enum value in other case",
    ),
    pytest.param(
        f"{IMPORTS}compute.Machine('m', subnet_name='s', size=compute.Size.TINY)",
        ("PG09", 3, "Size has no TINY.", ""),
        {"subnetName": "s", "size": UNKNOWN},
        id="enum value that does not exist",
    ),
    pytest.param(
        f"{IMPORTS}compute.Machine('m', subnet_name=json.dumps([1]))",
        ("PG10", 3, "json is not defined.", "Did you mean `import json`?"),
        {"subnetName": "[1]"},
        id="module of the standard library",
    ),
    pytest.param(
        "from pulumi_small import compute\ncompute.Machine('m', subnet_name=pulumi.get_stack())",
        ("PG10", 2, "pulumi is not defined.", "Did you mean `import pulumi`?"),
        {"subnetName": "dev"},
        id="pulumi",
    ),
    pytest.param(
        "import pulumi_small.network\nMachine('m', subnet_name='s')",
        ("PG10", 2, "Machine is not defined.", "Did you mean `from pulumi_small.compute import Machine`?"),
        {"subnetName": "s"},
        id="class of an SDK that is imported",
    ),
    pytest.param(
        "from pulumi_small import network\ncompute.Machine('m', subnet_name='s')",
        ("PG10", 2, "compute is not defined.", "Did you mean `from pulumi_small import compute`?"),
        {"subnetName": "s"},
        id="module of an SDK that is imported",
    ),
    pytest.param(
        f"{IMPORTS}subnets = ['s']\ncompute.Machine('m', subnet_name=subnet[0])",
        ("PG10", 4, "subnet is not defined.", "Did you mean subnets?"),
        {"subnetName": UNKNOWN},
        id="variable",
    ),
    pytest.param(
        f"{IMPORTS}compute.Machine('m', subnet_name=queue.name)",
        ("PG10", 3, "queue is not defined.", ""),
        {"subnetName": UNKNOWN},
        id="variable of a library's name",
    ),
    pytest.param(
        f"{IMPORTS}compute.Machine(\n    'm',\n    subnet_name='s',\n    colour='red',\n)",
        ("PG11", 6, "Machine takes no argument 'colour'.", ""),
        {"subnetName": "s"},
        id="argument that does not exist",
    ),
    pytest.param(
        f"{IMPORTS}compute.Machine('m', subnetName='s')",
        ("PG11", 3, "Machine takes no argument 'subnetName'.", "Did you mean subnet_name?"),
        {"subnetName": "s"},
        id="argument in other case",
    ),
    pytest.param(
        f"{IMPORTS}compute.Machine('m', size='s')",
        ("PG11", 3, "Machine needs the argument 'subnet_name'.", "Set subnet_name."),
        {"size": "s", "subnetName": UNKNOWN},
        id="missing argument of a resource",
    ),
    pytest.param(
        f"{IMPORTS}compute.Machine('m', subnet_name='s', disk=compute.DiskArgs())",
        ("PG11", 3, "DiskArgs needs the argument 'gigabytes'.", "Set gigabytes."),
        {"subnetName": "s", "disk": {"gigabytes": UNKNOWN}},
        id="missing argument of an input class",
    ),
    pytest.param(
        f"{IMPORTS}compute.Machine('m', subnet_name='s', disk=compute.DiskArgs(gigabytes=3, lable='x'))",
        ("PG11", 3, "DiskArgs takes no argument 'lable'.", "Did you mean label?"),
        {"subnetName": "s", "disk": {"gigabytes": 3, "label": "x"}},
        id="misspelt argument of an input class",
    ),
    pytest.param(
        f"{IMPORTS}from pulumi_small import get_zone\ncompute.Machine('m', subnet_name=get_zone(wher='x').letter)",
        ("PG11", 4, "get_zone takes no argument 'wher'.", ""),
        {"subnetName": "b"},
        id="argument of a function",
    ),
    pytest.param(
        f"{IMPORTS}import pulumi_small\ncompute.Machine('m', subnet_name=pulumi_small.get_zone('x', None, 1).letter)",
        ("PG11", 4, "get_zone does not take that many arguments by position.", "Give the arguments by name."),
        {"subnetName": "b"},
        id="too many arguments",
    ),
    pytest.param(
        f"{IMPORTS}net = network.Subnet('net', name='n')\ncompute.Machine('m', subnet_name=net.cidr)",
        ("PG12", 4, "Subnet has no attribute cidr.", ""),
        {"subnetName": UNKNOWN},
        id="attribute of a resource",
    ),
    pytest.param(
        f"{IMPORTS}net = network.Subnet('net', name='n')\ncompute.Machine('m', subnet_name=net.name_)",
        ("PG12", 4, "Subnet has no attribute name_.", "Did you mean name?"),
        {"subnetName": "n"},
        id="misspelt attribute of a resource",
    ),
    pytest.param(
        f"{IMPORTS}from pulumi_small import get_zone\ncompute.Machine('m', subnet_name=get_zone('x').number)",
        ("PG12", 4, "ZoneResult has no attribute number.", ""),
        {"subnetName": UNKNOWN},
        id="attribute of a result",
    ),
    pytest.param(
        f"{IMPORTS}from pulumi_small import get_zone\n"
        "zone = pulumi.Output.from_input(1).apply(lambda _: get_zone('x'))\n"
        "compute.Machine('m', subnet_name=zone.number)",
        ("PG12", 5, "ZoneResult has no attribute number.", ""),
        {"subnetName": UNKNOWN},
        id="attribute of an output's value",
    ),
]


@pytest.mark.parametrize(("text", "fault", "inputs"), KINDS)
def test_each_kind_of_fault(
    tmp_path: Path, text: str, fault: tuple[str, int, str, str] | None, inputs: dict[str, Any] | None
) -> None:
    deployment = run(tmp_path, text)

    assert deployment.error is not None
    if fault is None:
        assert (deployment.problems, deployment.repairs) == ((), 0)
        return
    assert faults(deployment) == [fault]
    assert (deployment.repairs, deployment.repaired, deployment.ok, deployment.complete) == (1, True, False, True)
    assert resources(deployment)["m"].inputs == inputs


def test_an_archive_that_is_not_there(tmp_path: Path) -> None:
    text = f"{IMPORTS}for name in 'ab':\n    compute.Machine(name, subnet_name='s', code=pulumi.FileArchive('x.zip'))"

    deployment = run(tmp_path, text)

    missing = f"code is the file or folder 'x.zip', which does not exist (looked for in {tmp_path})."
    assert faults(deployment) == [("PG13", 4, missing, ""), ("PG13", 4, missing, "")]
    assert {problem.urn for problem in deployment.problems} == {item.urn for item in resources(deployment).values()}
    assert resources(deployment)["a"].inputs["code"] == Archive("file", "x.zip")
    assert deployment.repairs == 2


def test_all_faults_of_a_program_in_one_run(tmp_path: Path) -> None:
    text = f"""{IMPORTS}
net = network.Subnet("net", named="n")
for name in "ab":
    compute.Machine(name, colour=1, subnet_name=net.cidr)
compute.Machine("c", code=pulumi.FileArchive("x.zip"), subnet_name=net.cidr)
compute.Machin("d", colour=2, subnet_name=json.dumps(1))
pulumi.export("gone", compute.gone("x").y)
"""
    deployment = run(tmp_path, text)

    assert sorted((line, code) for code, line, _, _ in faults(deployment)) == [
        (4, "PG11"),
        (6, "PG11"),
        (6, "PG12"),
        (7, "PG12"),
        (7, "PG13"),
        (8, "PG09"),
        (8, "PG10"),
        (8, "PG11"),
        (9, "PG09"),
    ]
    assert deployment.error is not None
    assert deployment.error.message.startswith("TypeError: Subnet._internal_init() got an unexpected keyword argument")
    assert list(resources(deployment)) == ["net", "a", "b", "c", "d"]
    assert deployment.outputs == {"gone": UNKNOWN}


def test_what_was_done_is_told(tmp_path: Path) -> None:
    text = (
        f"{IMPORTS}net = network.Subnet('net', naem='n')\ncompute.Machine('m', colour=1, shape=2, subnet_name=net.cidr)"
    )

    assert notes(run(tmp_path, text)) == [
        "Evaluated after 4 repairs: Subnet without naem (__main__.py:3); an unknown value for cidr (__main__.py:4); "
        "Machine without colour (__main__.py:4); 1 further fault reported and let pass. "
        "Nothing in the program was changed."
    ]


def test_a_class_that_takes_all_the_arguments_stands_for_the_wrong_one(tmp_path: Path) -> None:
    text = f"{IMPORTS}compute.Machine('m', subnet_name='s', disk=compute.DiskArgs(colour='red', stripes=3))"

    deployment = run(tmp_path, text)

    assert faults(deployment) == [
        ("PG11", 3, f"DiskArgs takes no argument {name!r}.", "Did you mean FancyDiskArgs, which takes it?")
        for name in ("colour", "stripes")
    ]
    assert resources(deployment)["m"].inputs["disk"] == {"colour": "red", "stripes": 3}


def test_modules_that_moved() -> None:

    def program() -> None:
        from pulumi_azure_native import documentdb, insights, storage
        from pulumi_azure_native.storage import v20230101

        documentdb.SqlResourceSqlDatabase("database", account_name="a", resource={"id": "x"}, resource_group_name="g")
        insights.ActionGroup("group", group_short_name="g", enabled=True, resource_group_name="g")
        insights.Component("component", kind="web", application_type="web", resource_group_name="g")
        v20230101.BlobContainer("container", account_name="a", resource_group_name="g")
        assert storage.BlobContainer is v20230101.BlobContainer

    deployment = rehearse(program)

    assert [(fault[2], fault[3]) for fault in faults(deployment)] == [
        ("pulumi_azure_native has no documentdb.", "Did you mean pulumi_azure_native.cosmosdb?"),
        (
            "pulumi_azure_native has no insights.",
            "Did you mean pulumi_azure_native.monitor or pulumi_azure_native.applicationinsights?",
        ),
        ("pulumi_azure_native.storage has no v20230101.", "Did you mean pulumi_azure_native.storage?"),
    ]
    assert [item.type for item in resources(deployment).values()] == [
        "azure-native:cosmosdb:SqlResourceSqlDatabase",
        "azure-native:monitor:ActionGroup",
        "azure-native:applicationinsights:Component",
        "azure-native:storage:BlobContainer",
    ]


def test_a_name_that_no_part_of_a_split_module_has() -> None:

    def program() -> None:
        from pulumi_azure_native import insights

        pulumi.export("gone", insights.Telescope("x").id)

    deployment = rehearse(program)

    assert [fault[2] for fault in faults(deployment)] == [
        "pulumi_azure_native has no insights.",
        "pulumi_azure_native.monitor has no Telescope.",
    ]
    assert deployment.outputs == {"gone": UNKNOWN}


# --- stand-ins -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "expression",
    [
        "gone",
        "gone('x', y=1)",
        "gone.a.b('x').c",
        "gone[0]['k'][1:]",
        "f'{gone}'",
        "f'https://{gone.host}:443/'",
        "str(gone)",
        "'%s!' % gone",
        "gone + 1",
        "2 * gone - 1",
        "-gone",
        "list(gone)[0]",
        "next(iter(gone))",
        "[item.name for item in gone][0]",
        "(lambda pair: pair[0])([a for a, b in gone.items()])",
        "gone if gone else 'no'",
        "gone.apply(lambda value: 1 / 0)",
        "pulumi.Output.concat('a', gone)",
        "pulumi.Output.all(gone, 1).apply(lambda values: 1 / 0)",
        "pulumi.Output.json_dumps({'a': gone})",
        "pulumi.Output.from_input({'a': [gone]})['a']",
        "json.dumps({'a': f'{gone}'})",
        "gone(lambda function: 1)(2)",
        "{**gone, 'a': gone}['a']",
    ],
)
def test_what_a_stand_in_can_be_used_for(tmp_path: Path, expression: str) -> None:
    deployment = run(tmp_path, f"import json\n{IMPORTS}compute.Machine('m', subnet_name={expression})")

    assert [fault[:3] for fault in faults(deployment)] == [("PG10", 4, "gone is not defined.")]
    assert resources(deployment)["m"].inputs == {"subnetName": UNKNOWN}


def test_stand_ins_in_statements(tmp_path: Path) -> None:
    text = f"""{IMPORTS}
first, second, third = gone
for item in gone:
    compute.Machine(f"in-a-loop", subnet_name=item)
with gone.opened() as handle:
    compute.Machine("within", subnet_name=handle.read())
class Mine(gone.Component):
    def __init__(self):
        super().__init__("my:own:Type", "mine", None)
        self.inner = compute.Machine("inner", subnet_name="s", opts=pulumi.ResourceOptions(parent=self))
        self.register_outputs({{}})
@gone.decorator
def decorated(): raise AssertionError
compute.Machine("last", subnet_name="s", opts=pulumi.ResourceOptions(
    parent=Mine(), provider=gone, depends_on=[gone, Mine().inner]))
pulumi.export("decorated", decorated())
pulumi.export("instance", isinstance(1, gone))
gone["key"] = third
"""
    deployment = run(tmp_path, text.replace("gone", "network.gone"))

    assert faults(deployment)[0] == ("PG09", 4, "pulumi_small.network has no gone.", "")
    assert deployment.repaired
    assert list(resources(deployment)) == ["in-a-loop", "within", "inner", "last"]
    assert deployment.outputs == {"decorated": UNKNOWN, "instance": False}


def test_a_stand_in_ends_a_loop(tmp_path: Path) -> None:
    deployment = run(tmp_path, "import pulumi\npulumi.export('n', len([1 for a in gone for b in a for c in b.c]))")

    assert deployment.outputs == {"n": 1}


# --- what is not repaired --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        (
            "import pulumi_nowhere",
            "ModuleNotFoundError: No module named 'pulumi_nowhere'. If the program needs it, install it",
        ),
        ("import json.nowhere", "ModuleNotFoundError: No module named 'json.nowhere'"),
        ("import json\njson.dupms(1)", "AttributeError: module 'json' has no attribute 'dupms'"),
        ("class Mine: pass\nMine().x", "AttributeError: 'Mine' object has no attribute 'x'"),
        ("def mine(a): pass\nmine(b=1)", "TypeError: mine() got an unexpected keyword argument 'b'"),
        ("def mine():\n    x\n    x = 1\nmine()", "UnboundLocalError: cannot access local variable 'x' where"),
        ("raise NameError(\"name 'x' is not defined\", name='x')", "NameError: name 'x' is not defined"),
        ("raise AttributeError('no', name='x', obj=__import__('pulumi'))", "AttributeError: no"),
        ("raise TypeError(\"Missing required property 'x'\")", "TypeError: Missing required property 'x'"),
        ("import sys\nsys.exit(3)", "The program ended itself by sys.exit(3)"),
        ("import pulumi\npulumi.log.error('no')", "The program logged an error: no"),
        (f"{IMPORTS}compute.Machine()", "TypeError: Machine.__init__() missing 1 required positional"),
        (f"{IMPORTS}compute.Machine('m', 3, subnet_name='s')", ""),
    ],
)
def test_other_errors_stay_as_they_were(tmp_path: Path, text: str, message: str) -> None:
    deployment = run(tmp_path, text)

    assert deployment.error is not None
    assert deployment.error.message.startswith(message)
    assert (deployment.problems, deployment.repairs, deployment.repaired) == ((), 0, False)


def test_an_error_that_cannot_be_repaired_ends_the_search(tmp_path: Path) -> None:
    deployment = run(tmp_path, f"{IMPORTS}compute.Gone()\nnetwork.Subnet('net')\n1 / 0\nnetwork.Subnet('later')")

    assert deployment.error is not None
    assert deployment.error.message == "AttributeError: module 'pulumi_small.compute' has no attribute 'Gone'"
    assert deployment.error.source is not None
    assert deployment.error.source.line == 3
    assert [fault[:2] for fault in faults(deployment)] == [("PG09", 3)]
    assert (deployment.repairs, deployment.repaired, deployment.complete) == (1, False, False)
    assert list(resources(deployment)) == ["net"]
    assert notes(deployment)[-1] == (
        "After 1 repair the program ended with: ZeroDivisionError: division by zero (__main__.py:5)"
    )


def test_a_repair_that_does_not_help(tmp_path: Path) -> None:
    deployment = run(tmp_path, f"{IMPORTS}network.Subnet('net')\nnetwork.__dict__.pop('gone', 0)\nnetwork.gone")

    assert deployment.error is not None
    assert deployment.error.message == "AttributeError: module 'pulumi_small.network' has no attribute 'gone'"
    assert [fault[:3] for fault in faults(deployment)] == [("PG09", 5, "pulumi_small.network has no gone.")]
    assert (deployment.repaired, list(resources(deployment))) == (False, ["net"])
    assert notes(deployment)[-1] == (
        "The same fault came again: its repair does not work. After 1 repair the program ended with: "
        "AttributeError: module 'pulumi_small.network' has no attribute 'gone' (__main__.py:5)"
    )


def test_an_error_that_the_program_handles_is_none(tmp_path: Path) -> None:
    text = (
        "try:\n    from pulumi_small import gone\nexcept ImportError:\n    from pulumi_small import network as gone\n"
    )

    deployment = run(tmp_path, f"{text}gone.Subnet('net')")

    assert (deployment.error, deployment.problems, deployment.repairs) == (None, (), 0)


# --- bounds ----------------------------------------------------------------------------------------------------------

MANY = "import pulumi\nopen('runs', 'a').write('x')\n" + "".join(f"gone_{number}\n" for number in range(30))


@pytest.mark.parametrize(("most", "runs"), [(20, 21), (3, 4), (0, 1)])
def test_the_runs_are_bounded(tmp_path: Path, most: int, runs: int) -> None:
    deployment = run(tmp_path, MANY, most_repairs=most)

    assert len((tmp_path / "runs").read_text()) == runs
    assert len(deployment.problems) == most + 1
    assert (deployment.repairs, deployment.repaired) == (most, False)
    assert deployment.error is not None
    assert deployment.error.message == "NameError: name 'gone_0' is not defined"
    assert most == 0 or notes(deployment)[-1].startswith(f"The bound of {most} repairs is reached. After")


def test_the_default_bound() -> None:
    assert Program(Path(), "p", "s").most_repairs == 20


def test_without_recovery_a_program_runs_once(tmp_path: Path) -> None:
    deployment = run(tmp_path, f"{IMPORTS}network.Subnet('net')\n{MANY}", recover=False)

    assert (tmp_path / "runs").read_text() == "x"
    assert (deployment.problems, deployment.repairs, notes(deployment)) == ((), 0, [])
    assert list(resources(deployment)) == ["net"]
    assert deployment.error is not None
    assert deployment.error.message == "NameError: name 'gone_0' is not defined"


def test_a_program_without_a_fault_runs_once_and_loads_none_of_this(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("calls", "diagnosis", "nearest", "recovery", "stand_ins", "syntax"):
        monkeypatch.delitem(sys.modules, f"ringfence.engine.{name}", raising=False)

    deployment = run(tmp_path, f"open('runs', 'a').write('x')\n{IMPORTS}network.Subnet('net')")

    assert (tmp_path / "runs").read_text() == "x"
    assert (deployment.repairs, deployment.repaired, deployment.complete) == (0, False, True)
    assert not {"ringfence.engine.recovery", "ringfence.engine.diagnosis"} & set(sys.modules)


def test_the_time_limit_is_that_of_all_runs(tmp_path: Path) -> None:
    started = time.monotonic()

    deployment = run(tmp_path, "import time\nopen('runs', 'a').write('x')\ntime.sleep(0.4)\n" + MANY, time_limit=1.0)

    assert time.monotonic() - started < 3
    assert len((tmp_path / "runs").read_text()) <= 2 * 4
    assert deployment.error is not None
    assert deployment.error.message == "NameError: name 'gone_0' is not defined"
    assert not deployment.repaired


def test_side_effects_that_end_a_later_run_early(tmp_path: Path) -> None:
    text = f"import os\nos.mkdir('made')\n{IMPORTS}network.Subnet('net')\ngone"

    deployment = run(tmp_path, text)

    assert deployment.error is not None
    assert deployment.error.message == "NameError: name 'gone' is not defined"
    assert list(resources(deployment)) == ["net"]
    assert "FileExistsError" in notes(deployment)[-1]


# --- nothing is left behind ------------------------------------------------------------------------------------------


def test_everything_is_as_it_was_before() -> None:
    azure = importlib.import_module("pulumi_azure_native")
    from pulumi_azure_native import servicebus, storage

    assert storage.Kind
    assert servicebus.Queue  # both modules load themselves on first use
    owners: list[Any] = [
        builtins,
        azure,
        pulumi.ResourceOptions,
        storage,
        servicebus,
        storage.SkuArgs,
        storage.StorageAccount,
        storage.Kind,
    ]
    before = [dict(vars(owner)) for owner in owners]
    modules = {name: module for name, module in sys.modules.items() if name.startswith("pulumi")}

    def program() -> None:
        import pulumi_azure_native.documentdb  # noqa: F401

        json_ = undefined_json.dumps({})  # type: ignore[name-defined]  # noqa: F821
        servicebus.SkuArgs(name="Standard")
        servicebus.ResourceGroup("group", parrot=json_)
        account = storage.StorageAccount("account", sku=storage.SkuArgs(nam="x"), kind=storage.Kind.NEW, colour=1)
        pulumi.export("x", account.connection)
        storage.list_storage_account_keys(colour=1)

    deployment = rehearse(program)

    assert deployment.repaired, deployment.diagnostics
    assert [dict(vars(owner)) for owner in owners] == before
    assert {name: sys.modules.get(name) for name in modules} == modules
    assert "pulumi_azure_native.documentdb" not in sys.modules


def test_the_next_program_has_its_own_faults(tmp_path: Path) -> None:
    text = f"{IMPORTS}net = network.Subnet('net', naem='n')\npulumi.export('x', [net.cidr, network.Gone('x'), gone])"
    first = run(tmp_path, text)

    second = run(tmp_path, text)
    once = run(tmp_path, text, recover=False)

    assert len(first.problems) == 4
    assert second.problems == first.problems
    assert first.error is not None
    assert once.error is not None
    assert once.error.message == first.error.message


def test_the_program_s_files_are_not_changed(tmp_path: Path) -> None:
    text = f"{IMPORTS}net = network.Subnet('net', naem='n')\n"
    run(tmp_path, text)

    assert (tmp_path / "__main__.py").read_text() == text


# --- where faults are ------------------------------------------------------------------------------------------------


def test_faults_in_modules_of_the_program(tmp_path: Path) -> None:
    (tmp_path / "parts.py").write_text(f"{IMPORTS}def build(name):\n    compute.Machine(name, colour=gone)\n")

    deployment = run(tmp_path, "import parts\nparts.build('a')\nparts.build('b')")

    places = {
        (problem.code, Path(problem.source.path).name, problem.source.line)
        for problem in deployment.problems
        if problem.source
    }
    assert places == {("PG10", "parts.py", 4), ("PG11", "parts.py", 4)}
    assert list(resources(deployment)) == ["a", "b"]


def test_faults_in_a_callback(tmp_path: Path) -> None:
    text = f"""{IMPORTS}
def use(value):
    return compute.gone(value).x + gone
pulumi.export("x", pulumi.Output.from_input(1).apply(use))
"""
    deployment = run(tmp_path, text)

    assert [fault[:3] for fault in faults(deployment)] == [
        ("PG09", 5, "pulumi_small.compute has no gone."),
        ("PG10", 5, "gone is not defined."),
    ]
    assert deployment.outputs == {"x": UNKNOWN}


def test_faults_of_an_asynchronous_program() -> None:
    async def program() -> None:
        await asyncio.sleep(0)
        Thing("a", size=gone_size)  # type: ignore[name-defined]  # noqa: F821
        await asyncio.sleep(0)
        Thing("b", size=pulumi.Confg().get("x"))  # type: ignore[attr-defined]

    deployment = rehearse(program)

    assert [(fault[0], fault[3]) for fault in faults(deployment)] == [
        ("PG10", ""),
        ("PG09", "Did you mean Config?"),
    ]
    assert list(resources(deployment)) == ["a", "b"]


def test_a_required_argument_of_a_function() -> None:
    azure = importlib.import_module("pulumi_azure_native.servicebus")
    from ringfence.providers.offline import OfflineProvider

    def program() -> None:
        keys = azure.list_namespace_keys(namespace_name="n", resource_group_name="g")
        pulumi.export("plain", pulumi.Output.secret(keys.primary_connection_string))
        found = azure.list_namespace_keys_output(namespace_name="n", resource_group_name="g")
        pulumi.export("output", found.primary_connection_string)

    deployment = run_program(Program(Path(__file__).parent, "p", "s", function=program), OfflineProvider())

    assert deployment.repaired
    assert deployment.error is not None
    assert "authorizationRuleName is a required argument that is missing" in deployment.error.message
    message = "azure-native:servicebus:listNamespaceKeys: authorizationRuleName is a required argument that is missing."
    assert [fault[0::2] for fault in faults(deployment)] == [("PG11", message)]
    assert faults(deployment)[0][3] == "Set authorization_rule_name."
    assert sorted(deployment.outputs) == ["output", "plain"]


def test_no_secret_is_told(tmp_path: Path) -> None:
    text = f"""{IMPORTS}
password = pulumi.Config().require_secret("password")
plain = pulumi.Config().require("password")
compute.Machine("m", colour=plain, subnet_name=password)
network.Subnet("net", naem=plain)
compute.DiskArgs(label=plain, gigabites=plain)
network.gone(plain).x(password)
"""
    deployment = run(tmp_path, text, config={"shop:password": "swordfish"}, secret_keys=frozenset({"shop:password"}))

    told = [deployment.problems, [item.message for item in deployment.diagnostics], deployment.error]
    assert deployment.repaired
    assert "swordfish" not in repr([*told[:2], deployment.error.message if deployment.error else ""])
    assert "swordfish" not in json.dumps(faults(deployment))
