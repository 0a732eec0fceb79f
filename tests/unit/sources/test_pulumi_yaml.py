from __future__ import annotations

from pathlib import Path

import pytest

from ringfence.sources.pulumi_yaml import ConfigType, ProjectError, find_projects, load_project
from tests.unit.sources.projects import evaluate, exported, failure, write_project

HEAD = "name: shop\nruntime: python\n"


def refusal(folder: Path, text: str) -> str:
    """Return why a Pulumi.yaml is refused, with its folder left out."""
    write_project(folder, {"Pulumi.yaml": text})
    with pytest.raises(ProjectError) as caught:
        load_project(folder)
    return str(caught.value).replace(f"{folder}/", "")


# --- name, runtime, main ---------------------------------------------------------------------------------------------


def test_the_short_form_of_runtime(tmp_path: Path) -> None:
    project = load_project(write_project(tmp_path))

    assert (project.name, project.runtime, project.options, project.main) == ("shop", "python", {}, "")
    assert project.folder == tmp_path


@pytest.mark.parametrize("options", ["toolchain: uv", "virtualenv: venv", "typechecker: mypy", "poetry: {}"])
def test_the_long_form_of_runtime(tmp_path: Path, options: str) -> None:
    text = f"name: shop\nruntime:\n  name: python\n  options:\n    {options}\n"
    program = "import pulumi\npulumi.export('ran', True)\n"
    write_project(tmp_path, {"Pulumi.yaml": text, "__main__.py": program})

    assert list(load_project(tmp_path).options) == [options.partition(":")[0]]
    assert exported(tmp_path) == {"ran": True}


def test_a_long_form_without_options(tmp_path: Path) -> None:
    project = load_project(write_project(tmp_path, {"Pulumi.yaml": "name: shop\nruntime: {name: python}\n"}))

    assert (project.runtime, project.options) == ("python", {})


def test_other_keys_of_the_cli_are_left_alone(tmp_path: Path) -> None:
    text = HEAD + "description: d\nbackend: {url: file://~}\nplugins: {}\ntemplate: {}\nmain: null\nconfig: null\n"
    project = load_project(write_project(tmp_path, {"Pulumi.yaml": text}))

    assert (project.main, project.config) == ("", ())


@pytest.mark.parametrize(("main", "file"), [("src", "src/__main__.py"), ("src/", "src/__main__.py"), ("app.py",) * 2])
def test_main_is_a_file_or_a_folder(tmp_path: Path, main: str, file: str) -> None:
    program = "import os, pulumi\npulumi.export('folder', os.path.basename(os.getcwd()))\n"
    write_project(tmp_path / "p", {"Pulumi.yaml": f"{HEAD}main: {main}\n", file: program, "__main__.py": "1 / 0"})

    assert exported(tmp_path / "p") == {"folder": "src" if "src" in main else "p"}


@pytest.mark.parametrize("name", ["Pulumi.yml", "Pulumi.json"])
def test_other_names_of_the_project_file(tmp_path: Path, name: str) -> None:
    text = '{\n\t"name": "shop",\n\t"runtime": "python"\n}' if name.endswith("json") else HEAD
    suffix = Path(name).suffix
    stack = '{"config": {"size": "7"}}'
    program = "import pulumi\npulumi.export('size', pulumi.Config().get_int('size'))\n"
    write_project(tmp_path, {name: text, "__main__.py": program, f"Pulumi.prod{suffix}": stack})
    (tmp_path / "Pulumi.yaml").unlink()

    assert load_project(tmp_path).path == tmp_path / name
    assert exported(tmp_path, "prod") == {"size": 7}


def test_a_project_is_found_from_a_folder_below(tmp_path: Path) -> None:
    write_project(tmp_path, {"modules/net/__init__.py": ""})

    assert load_project(tmp_path / "modules" / "net").folder == tmp_path


MISTAKES = [
    ("- a\n", "Pulumi.yaml: expected a mapping with name and runtime, found a list"),
    ("", "Pulumi.yaml: expected a mapping with name and runtime, found nothing"),
    ("just text", 'Pulumi.yaml: expected a mapping with name and runtime, found "just text"'),
    ("runtime: python\n", "Pulumi.yaml: name: expected the project's name, found nothing"),
    ("name: 5\nruntime: python\n", "Pulumi.yaml: name: expected the project's name, found 5"),
    ("name: ''\nruntime: python\n", 'Pulumi.yaml: name: expected the project\'s name, found ""'),
    ("name: shop\n", "Pulumi.yaml: runtime: expected a name such as python, or a mapping with one, found nothing"),
    (
        "name: shop\nruntime: {nam: python}\n",
        "Pulumi.yaml: runtime: expected a name such as python, or a mapping with one, found a mapping",
    ),
    (
        "name: shop\nruntime: {name: python, options: [venv]}\n",
        "Pulumi.yaml: runtime.options: expected a mapping, found a list",
    ),
    (HEAD + "main: [a]\n", "Pulumi.yaml: main: expected a file or folder, found a list"),
    (HEAD + "stackConfigDir: 1\n", "Pulumi.yaml: stackConfigDir: expected a folder, found 1"),
    (HEAD + "config: [a]\n", "Pulumi.yaml: config: expected a mapping of keys, found a list"),
    (
        HEAD + "config: old\nstackConfigDir: new\n",
        "Pulumi.yaml: config: expected a mapping of keys, since stackConfigDir names the folder",
    ),
    (
        HEAD + "config: {a:b:c: 1}\n",
        "Pulumi.yaml: config.a:b:c: expected a key of the form name or namespace:name",
    ),
    (
        HEAD + "config: {size: {typ: string}}\n",
        "Pulumi.yaml: config.size.typ: there is no such attribute; expected one of type, items, description, secret, "
        "default, value",
    ),
    (
        HEAD + "config: {size: {type: number}}\n",
        'Pulumi.yaml: config.size.type: expected one of string, integer, boolean, array, object, found "number"',
    ),
    (
        HEAD + "config: {size: {type: [string]}}\n",
        "Pulumi.yaml: config.size.type: expected one of string, integer, boolean, array, object, found a list",
    ),
    (
        HEAD + "config: {size: {secret: sure}}\n",
        'Pulumi.yaml: config.size.secret: expected true or false, found "sure"',
    ),
    (
        HEAD + "config: {size: {default: 1, value: 2}}\n",
        "Pulumi.yaml: config.size: expected either default or value, found both",
    ),
    (
        HEAD + "config: {size: {type: integer, default: big}}\n",
        'Pulumi.yaml: config.size.default: expected an integer, found "big"',
    ),
    (
        HEAD + "config: {size: {type: string, default: 5}}\n",
        "Pulumi.yaml: config.size.default: expected a string, found 5",
    ),
    (
        HEAD + "config: {token: {type: integer, secret: true, default: hunter2}}\n",
        "Pulumi.yaml: config.token.default: expected an integer, found a value of another type",
    ),
    (
        HEAD + "config: {names: {type: array}}\n",
        "Pulumi.yaml: config.names.items: expected the type of the elements (items: {type: string}), found nothing",
    ),
    (
        HEAD + "config: {names: {type: array, items: {type: array}}}\n",
        "Pulumi.yaml: config.names.items.items: expected the type of the elements (items: {type: string}), found "
        "nothing",
    ),
    (
        HEAD + "config: {names: {type: array, items: {type: string}, default: [a, 1]}}\n",
        "Pulumi.yaml: config.names.default: expected an array of strings, found a list",
    ),
    (
        HEAD + "config: {aws:region: {type: string}}\n",
        "Pulumi.yaml: config.aws:region.type: expected value alone, since the key is not of the project's namespace",
    ),
    (
        HEAD + "config: {aws:region: {default: eu-west-1}}\n",
        "Pulumi.yaml: config.aws:region.default: expected value alone, since the key is not of the project's namespace",
    ),
    (
        HEAD + "config: {aws:region: }\n",
        "Pulumi.yaml: config.aws:region.value: expected a value, since the key is not of the project's namespace",
    ),
    ("name: shop\nruntime: [python\n", "Pulumi.yaml:3:1: is not valid YAML: did not find expected ',' or ']'"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES, ids=[message[12:60] for _, message in MISTAKES])
def test_a_mistake_is_told_with_file_key_and_what_was_expected(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path, text) == message


def test_no_project_file(tmp_path: Path) -> None:
    with pytest.raises(ProjectError) as caught:
        load_project(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: is no Pulumi project: there is no Pulumi.yaml in it, nor in a folder above it"
    )
    with pytest.raises(ProjectError) as caught:
        load_project(tmp_path / "none")
    assert str(caught.value) == f"{tmp_path}/none: there is no such folder; expected one with a Pulumi.yaml"


PROGRAM_FAULTS = [
    (HEAD + "main: app\n", "Pulumi.yaml: main: expected a Python program at app, which does not exist"),
    (HEAD, "Pulumi.yaml: runtime: expected a Python program at __main__.py, which does not exist"),
    (
        "name: shop\nruntime: java\n",
        "Pulumi.yaml: runtime: expected one of python, nodejs, go, found 'java'; programs of other runtimes need "
        "--engine pulumi",
    ),
]


@pytest.mark.parametrize(("text", "message"), PROGRAM_FAULTS)
def test_a_project_without_a_program_to_run(tmp_path: Path, text: str, message: str) -> None:
    write_project(tmp_path, {"Pulumi.yaml": text})
    (tmp_path / "__main__.py").unlink()

    assert failure(tmp_path) == message
    # The project's name is known, although it cannot be evaluated.
    assert evaluate(tmp_path).project == "shop"


# --- config declarations ---------------------------------------------------------------------------------------------

READ_ALL = """\
import pulumi
own, aws = pulumi.Config(), pulumi.Config("aws")
for key in ("size", "name", "flag", "names", "limits", "plain", "short", "factor"):
    pulumi.export(key, own.get(key))
pulumi.export("region", aws.get("region"))
pulumi.export("token", own.get_secret("token"))
"""


def test_defaults_and_values_reach_the_program(tmp_path: Path) -> None:
    config = """
        config:
          size: {type: integer, default: 3, description: how many}
          shop:name: {type: string, default: "007"}
          flag: {type: boolean, default: true}
          names: {type: array, items: {type: string}, default: [b, a]}
          limits: {type: object, default: {z: 1, a: [1.5, null]}}
          plain: {default: yes}
          short: 12
          factor: {default: 0.5}
          aws:region: eu-west-1
          token: {type: string, secret: true, default: hunter2}
    """
    write_project(tmp_path, {"Pulumi.yaml": HEAD + config.replace("\n        ", "\n"), "__main__.py": READ_ALL})

    outputs = exported(tmp_path)

    assert {key: value for key, value in outputs.items() if key != "token"} == {
        "size": "3",
        "name": "007",
        "flag": "true",
        "names": '["b","a"]',
        "limits": '{"a":[1.5,null],"z":1}',
        "plain": "yes",
        "short": "12",
        "factor": "0.5",
        "region": "eu-west-1",
    }
    assert outputs["token"].value == "hunter2"


def test_a_default_that_should_be_encrypted_is_noted(tmp_path: Path) -> None:
    text = HEAD + "config: {token: {type: string, secret: true, default: hunter2}}\n"
    write_project(tmp_path, {"Pulumi.yaml": text})

    notes = [note.message for note in evaluate(tmp_path).diagnostics]

    assert notes == [
        "Pulumi.yaml: config.shop:token: Pulumi.yaml declares a secret, and it stands here in plain text: the Pulumi "
        "CLI refuses that."
    ]


def test_stack_files_in_a_folder_of_their_own(tmp_path: Path) -> None:
    program = "import pulumi\npulumi.export('size', pulumi.Config().require('size'))\n"
    for key in ("stackConfigDir", "config"):
        folder = tmp_path / key
        files = {"Pulumi.yaml": f"{HEAD}{key}: stacks\n", "__main__.py": program}
        write_project(folder, {**files, "stacks/Pulumi.dev.yaml": "config: {size: 4}\n"})

        assert exported(folder) == {"size": "4"}


ACCEPTED = [
    (ConfigType("string"), ["", "a", "5"], [5, True, None, [], {}]),
    (
        ConfigType("integer"),
        [0, -5, 2**70, "5", "-5", "+5"],
        ["", "5.0", "²", "+-5", " 5", "1_0", str(2**63), 1.5, True],
    ),
    (ConfigType("boolean"), [True, False, "true", "false"], ["True", "yes", "", 1, 0, None]),
    (ConfigType("object"), [{}, {"a": 1}], [[], "{}", None]),
    (ConfigType("array", ConfigType("string")), [[], ["a", "5"]], [["a", 5], [None], "[]", {}, None]),
    (ConfigType("array", ConfigType("integer")), [[1, "2"]], [["a"], [True], [1.5]]),
    (ConfigType("array", ConfigType("array", ConfigType("boolean"))), [[[True], []]], [[True], [[1]]]),
]


@pytest.mark.parametrize(("type_", "good", "bad"), ACCEPTED, ids=[str(type_) for type_, _, _ in ACCEPTED])
def test_which_values_a_type_accepts(type_: ConfigType, good: list[object], bad: list[object]) -> None:
    assert [value for value in good if not type_.accepts(value)] == []
    assert [value for value in bad if type_.accepts(value)] == []


def test_types_in_words() -> None:
    assert [str(type_) for type_, _, _ in ACCEPTED] == [
        "a string",
        "an integer",
        "a boolean",
        "an object",
        "an array of strings",
        "an array of integers",
        "an array of arrays of booleans",
    ]


# --- finding projects ------------------------------------------------------------------------------------------------


def test_projects_below_a_folder(tmp_path: Path) -> None:
    for name in ("b", "a/nested", "a", ".hidden", "venv/lib", "node_modules/x", "b/.venv/y", "__pycache__"):
        write_project(tmp_path / name)
    (tmp_path / "link").symlink_to(tmp_path / "b")
    (tmp_path / "Pulumi.yaml").mkdir()

    found = find_projects(tmp_path)

    assert found == [tmp_path / "a", tmp_path / "a" / "nested", tmp_path / "b"]
    assert find_projects(tmp_path / "none") == []
