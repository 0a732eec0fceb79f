from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ringfence.deployment import UNKNOWN, Deployment, Secret, to_json
from ringfence.sources.pulumi_yaml import load_project
from ringfence.sources.stack_config import StackConfig, load_stack_config, stack_names
from tests.unit.sources.projects import (
    PASSPHRASE,
    encrypted,
    encryption_salt,
    evaluate,
    exported,
    failure,
    write_project,
)

DECLARES = "name: shop\nruntime: python\nconfig:\n"


@pytest.fixture(autouse=True)
def _no_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE", raising=False)


def config_of(folder: Path, stack: str = "dev", **overrides: str) -> StackConfig:
    return load_stack_config(load_project(folder), stack, overrides)


def notes(deployment: Deployment) -> list[str]:
    return [note.message for note in deployment.diagnostics]


# --- what a program sees ---------------------------------------------------------------------------------------------

VALUES = [
    ("hello", "hello"),
    ("true", "true"),
    ("False", "false"),
    ("yes", "yes"),
    ("8080", "8080"),
    ("0x10", "16"),
    ("1.0", "1"),
    ("1.5", "1.5"),
    ("1e3", "1000"),
    ("123456789012", "123456789012"),
    ("9223372036854775808", "9223372036854775808"),
    ("2024-01-31", "2024-01-31"),
    ("'007'", "007"),
    ("", ""),
    ("null", ""),
    ('""', ""),
    ("größe 😀", "größe 😀"),
    ("|\n    two\n    lines\n", "two\nlines\n"),
    ("[b, 1, true, null, 2024-01-31, [1.5]]", '["b",1,true,null,"2024-01-31",[1.5]]'),
    ("{z: 1, a: {y: größe, b: [x]}}", '{"a":{"b":["x"],"y":"größe"},"z":1}'),
    ("[]", "[]"),
    ("{}", "{}"),
    ("{secure: 5}", '{"secure":5}'),
    ('"[1]"', "[1]"),
]


@pytest.mark.parametrize(("text", "expected"), VALUES, ids=[text[:20] for text, _ in VALUES])
def test_a_value_as_the_cli_hands_it_over(tmp_path: Path, text: str, expected: str) -> None:
    write_project(tmp_path, dev=f"config:\n  shop:key: {text}\n")

    assert config_of(tmp_path) == StackConfig({"shop:key": expected})


PROGRAM = """\
import pulumi
config = pulumi.Config()
pulumi.export("text", config.require("text"))
pulumi.export("count", config.require_int("count"))
pulumi.export("ratio", config.get_float("ratio"))
pulumi.export("flag", config.require_bool("flag"))
pulumi.export("limits", config.require_object("limits"))
pulumi.export("keys", list(config.require_object("limits")))
assert config.get("none") is None
pulumi.export("region", pulumi.Config("aws").require("region"))
pulumi.export("old", pulumi.Config("aws").get("profile"))
"""


def test_what_the_program_reads(tmp_path: Path) -> None:
    stack = """\
        config:
          text: hello
          shop:count: 3
          ratio: 0.25
          flag: true
          limits: {z: [1, 2.5], a: {on: true}}
          aws:region: eu-west-1
          aws:config:profile: admin
    """
    write_project(tmp_path, {"__main__.py": PROGRAM}, dev=stack)

    outputs = exported(tmp_path)

    assert outputs == {
        "text": "hello",
        "count": 3,
        "ratio": 0.25,
        "flag": True,
        "limits": {"a": {"on": True}, "z": [1, 2.5]},
        "keys": ["a", "z"],
        "region": "eu-west-1",
        "old": "admin",
    }


def test_stacks_have_their_own_values_over_the_projects(tmp_path: Path) -> None:
    program = "import pulumi\npulumi.export('size', pulumi.Config().require_int('size'))\n"
    project = DECLARES + "  size: {type: integer, default: 1}\n"
    write_project(tmp_path, {"Pulumi.yaml": project, "__main__.py": program}, dev="", prod="config: {size: 9}\n")

    assert exported(tmp_path, "dev") == {"size": 1}
    assert exported(tmp_path, "prod") == {"size": 9}
    assert exported(tmp_path, "acme/shop/prod") == {"size": 9}


def test_a_project_without_stack_files_takes_any_stack(tmp_path: Path) -> None:
    write_project(tmp_path, {"__main__.py": "import pulumi\npulumi.export('stack', pulumi.get_stack())\n"})

    assert exported(tmp_path, "acme/shop/try") == {"stack": "try"}


# --- secrets ---------------------------------------------------------------------------------------------------------

SECRETS = f"""\
encryptionsalt: {encryption_salt()}
config:
  shop:token:
    secure: {encrypted("hunter2")}
  shop:count:
    secure: {encrypted("3")}
  shop:limits:
    plain: [1]
    nested:
      - name: {{secure: {encrypted("deep")}}}
"""
READS_SECRETS = """\
import pulumi
config = pulumi.Config()
pulumi.export("token", config.require_secret("token"))
pulumi.export("count", config.require_secret_int("count"))
pulumi.export("limits", config.require_secret_object("limits"))
pulumi.export("length", config.require_secret("token").apply(len))
"""


def test_secrets_are_decrypted_when_the_passphrase_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)
    write_project(tmp_path, {"__main__.py": READS_SECRETS}, dev=SECRETS)

    deployment = evaluate(tmp_path)

    assert deployment.error is None
    assert deployment.outputs == {
        "token": Secret("hunter2"),
        "count": Secret(3),
        "limits": Secret({"plain": [1], "nested": [{"name": "deep"}]}),
        "length": Secret(7),
    }
    assert notes(deployment) == []
    assert to_json(deployment.outputs) == dict.fromkeys(deployment.outputs, "[secret]")


REASONS = [
    ({}, SECRETS, "PULUMI_CONFIG_PASSPHRASE is not set"),
    (
        {"PULUMI_CONFIG_PASSPHRASE": "wrong"},
        SECRETS,
        "PULUMI_CONFIG_PASSPHRASE does not fit this stack",
    ),
    (
        {"PULUMI_CONFIG_PASSPHRASE": PASSPHRASE},
        SECRETS.replace("encryptionsalt", "secretsprovider: awskms://k\nencryptedkey"),
        "the stack's secrets are not encrypted by a passphrase",
    ),
]


@pytest.mark.parametrize(("environment", "stack", "reason"), REASONS, ids=[reason for *_, reason in REASONS])
def test_other_secrets_stay_unknown_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], stack: str, reason: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    write_project(tmp_path, {"__main__.py": READS_SECRETS}, dev=stack)

    deployment = evaluate(tmp_path)

    assert deployment.error is None
    assert deployment.outputs == dict.fromkeys(("token", "count", "limits", "length"), Secret(UNKNOWN))
    assert notes(deployment) == [
        f"Pulumi.dev.yaml: config.shop:{key}: the secret stays unknown: {reason}."
        for key in ("token", "count", "limits")
    ]


def test_one_damaged_secret_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)
    stack = (
        f"encryptionsalt: {encryption_salt()}\nconfig:\n  a: {{secure: {encrypted('x')}}}\n  b: {{secure: v1:a:b}}\n"
    )
    write_project(tmp_path, dev=stack)

    config = config_of(tmp_path)

    assert config.values["shop:a"] == "x"
    assert config.secret_keys == {"shop:a", "shop:b"}
    assert config.undecrypted == {"shop:b"}
    assert config.notes == (
        "Pulumi.dev.yaml: config.shop:b: the secret stays unknown: it is damaged, or encrypted by another passphrase.",
    )


def test_a_value_of_the_command_line_takes_the_place_of_an_unknown_secret(tmp_path: Path) -> None:
    write_project(tmp_path, dev=SECRETS)

    config = config_of(tmp_path, token="given")

    assert config.values["shop:token"] == "given"
    assert "shop:token" in config.secret_keys
    assert config.undecrypted == {"shop:count", "shop:limits"}
    assert [note for note in config.notes if "token" in note] == []


def test_a_declared_secret_in_plain_text_is_a_secret_and_noted(tmp_path: Path) -> None:
    project = DECLARES + "  token: {type: string, secret: true}\n  untyped: {secret: true}\n"
    write_project(tmp_path, {"Pulumi.yaml": project}, dev="config: {token: hunter2, untyped: x}\n")

    config = config_of(tmp_path)

    assert config.secret_keys == {"shop:token", "shop:untyped"}
    assert config.notes == (
        "Pulumi.dev.yaml: config.shop:token: Pulumi.yaml declares a secret, and it stands here in plain text: the "
        "Pulumi CLI refuses that.",
    )
    assert config_of(tmp_path, token="given").secret_keys == config.secret_keys


def test_values_of_an_environment_are_not_known(tmp_path: Path) -> None:
    project = DECLARES + "  size: {type: integer}\n"
    write_project(tmp_path, {"Pulumi.yaml": project}, dev="environment: [acme/dev]\nconfig: {}\n")

    assert failure(tmp_path) == (
        "Pulumi.dev.yaml: config.shop:size: is missing for stack 'dev'; expected an integer, since Pulumi.yaml "
        "declares the key without a default; if it comes from Pulumi ESC, which is not known here, give it by --config"
    )
    assert config_of(tmp_path, size="3").notes == (
        "Pulumi.dev.yaml: environment: values from Pulumi ESC are not known here.",
    )


# --- overrides -------------------------------------------------------------------------------------------------------


def test_values_of_the_command_line_go_first(tmp_path: Path) -> None:
    write_project(tmp_path, dev="config: {size: 1, name: a}\n")
    overrides = {"size": "2", "shop:name": "b", "aws:region": "eu-west-1", "aws:config:profile": "p", "empty": ""}

    config = load_stack_config(load_project(tmp_path), "dev", overrides)

    assert config.values == {
        "aws:profile": "p",
        "aws:region": "eu-west-1",
        "shop:empty": "",
        "shop:name": "b",
        "shop:size": "2",
    }


def test_a_list_of_the_command_line_is_json(tmp_path: Path) -> None:
    project = DECLARES + "  names: {type: array, items: {type: string}}\n"
    program = "import pulumi\npulumi.export('names', pulumi.Config().require_object('names'))\n"
    write_project(tmp_path, {"Pulumi.yaml": project, "__main__.py": program})

    assert exported(tmp_path, config={"names": '["a", "b"]'}) == {"names": ["a", "b"]}
    assert failure(tmp_path, config={"names": "a,b"}) == ('--config names: expected an array of strings, found "a,b"')
    assert failure(tmp_path, config={"names": "[1]"}) == (
        "--config names: expected an array of strings, found a list with other elements"
    )


# --- mistakes --------------------------------------------------------------------------------------------------------

TYPED = DECLARES + (
    "  size: {type: integer, default: 1}\n"
    "  flag: {type: boolean, default: true}\n"
    "  name: {type: string, default: x}\n"
    "  names: {type: array, items: {type: string}, default: []}\n"
    "  limits: {type: object, default: {}}\n"
    "  token: {type: integer, secret: true, default: 1}\n"
)
MISTAKES: list[tuple[str, str]] = [
    ("config: {size: large}", 'Pulumi.dev.yaml: config.shop:size: expected an integer, found "large"'),
    ("config: {size: 1.5}", "Pulumi.dev.yaml: config.shop:size: expected an integer, found 1.5"),
    ("config: {size: true}", "Pulumi.dev.yaml: config.shop:size: expected an integer, found true"),
    ("config: {size: [1]}", "Pulumi.dev.yaml: config.shop:size: expected an integer, found a list"),
    ("config: {size: {a: 1}}", "Pulumi.dev.yaml: config.shop:size: expected an integer, found a mapping"),
    ("config: {size: }", "Pulumi.dev.yaml: config.shop:size: expected an integer, found nothing"),
    ("config: {shop:config:size: x}", 'Pulumi.dev.yaml: config.shop:size: expected an integer, found "x"'),
    ("config: {flag: 1}", "Pulumi.dev.yaml: config.shop:flag: expected a boolean, found 1"),
    ("config: {flag: yes}", 'Pulumi.dev.yaml: config.shop:flag: expected a boolean, found "yes"'),
    ("config: {name: [a]}", "Pulumi.dev.yaml: config.shop:name: expected a string, found a list"),
    ("config: {names: a}", 'Pulumi.dev.yaml: config.shop:names: expected an array of strings, found "a"'),
    ("config: {names: '[]'}", 'Pulumi.dev.yaml: config.shop:names: expected an array of strings, found "[]"'),
    (
        "config: {names: [a, 1]}",
        "Pulumi.dev.yaml: config.shop:names: expected an array of strings, found a list with other elements",
    ),
    ("config: {limits: [a]}", "Pulumi.dev.yaml: config.shop:limits: expected an object, found a list"),
    ("config: {token: hunter2}", "Pulumi.dev.yaml: config.shop:token: expected an integer, found a secret value"),
    (
        f"config: {{name: {'x' * 10}, size: {'y' * 200}}}",
        f'Pulumi.dev.yaml: config.shop:size: expected an integer, found "{"y" * 79}…',
    ),
    ("config: {a:b:c: 1}", "Pulumi.dev.yaml: config.a:b:c: expected a key of the form name or namespace:name"),
    ("config: [a]", "Pulumi.dev.yaml: config: expected a mapping of keys, found a list"),
    ("- a", "Pulumi.dev.yaml: expected a mapping with config, found a list"),
    ("config: {size: 1", "Pulumi.dev.yaml:2:1: is not valid YAML: did not find expected ',' or '}'"),
    ("config:\n  5: x", 'Pulumi.dev.yaml:2:3: is not valid YAML: a key must be text: write "5"'),
]


@pytest.mark.parametrize(("stack", "message"), MISTAKES, ids=[message[17:70] for _, message in MISTAKES])
def test_a_mistake_is_told_with_file_key_and_what_was_expected(tmp_path: Path, stack: str, message: str) -> None:
    write_project(tmp_path, {"Pulumi.yaml": TYPED}, dev=stack + "\n")

    assert failure(tmp_path) == message


def test_a_secret_of_the_wrong_type_does_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)
    write_project(tmp_path, {"Pulumi.yaml": TYPED}, dev=SECRETS.replace("shop:token", "shop:size"))

    assert failure(tmp_path) == "Pulumi.dev.yaml: config.shop:size: expected an integer, found a secret value"


REQUIRED = [
    ("size: {type: integer}", "expected an integer, since"),
    ("size: {description: how many}", "expected a value, since"),
    ("size:", "expected a value, since"),
    ("size: {type: array, items: {type: boolean}, secret: true}", "expected an array of booleans, since"),
]


@pytest.mark.parametrize(("declaration", "expected"), REQUIRED)
def test_a_required_value_that_is_missing(tmp_path: Path, declaration: str, expected: str) -> None:
    write_project(tmp_path, {"Pulumi.yaml": f"{DECLARES}  {declaration}\n"}, prod="config: {other: 1}\n")

    assert failure(tmp_path, "prod") == (
        f"Pulumi.prod.yaml: config.shop:size: is missing for stack 'prod'; {expected} Pulumi.yaml declares the key "
        "without a default"
    )


def test_a_key_that_only_the_program_requires(tmp_path: Path) -> None:
    program = "import pulumi\n\npulumi.Config().require('size')\n"
    write_project(tmp_path, {"__main__.py": program}, dev="")

    error = evaluate(tmp_path).error

    assert error is not None
    assert "Missing required configuration variable 'shop:size'" in error.message
    assert error.source is not None
    assert (Path(error.source.path).name, error.source.line) == ("__main__.py", 3)


def test_a_stack_that_there_is_not(tmp_path: Path) -> None:
    write_project(tmp_path, prod="", dev="", **{"eu.west": ""})

    assert failure(tmp_path, "test") == (
        "Pulumi.test.yaml: there is no such file for stack 'test'; expected one of the stacks dev, eu.west, prod"
    )


def test_names_of_stacks(tmp_path: Path) -> None:
    write_project(tmp_path, prod="", dev="", **{"eu.west": ""})
    (tmp_path / "Pulumi.folder.yaml").mkdir()
    (tmp_path / "Pulumi..yaml").write_text("")
    (tmp_path / "Pulumi.other.json").write_text("")

    assert stack_names(load_project(tmp_path)) == ["dev", "eu.west", "prod"]


UNREADABLE: list[tuple[Any, str]] = [
    (b"config: {name: gr\xf6\xdfe}\n", "Pulumi.dev.yaml: is not UTF-8 text"),
    (b"[" * 100_000, "Pulumi.dev.yaml:1:101: is not valid YAML: it is nested more than 100 levels deep"),
    (
        b"config:\n  a: &a [x, x]\n"
        + b"".join(b"  a%d: &a%d [*%s, *%s]\n" % (n, n, *[b"a%d" % (n - 1) if n else b"a"] * 2) for n in range(40)),
        "is not valid YAML: its aliases stand for too many values",
    ),
]


@pytest.mark.parametrize(("content", "message"), UNREADABLE, ids=["latin-1", "deep", "bomb"])
def test_a_stack_file_that_cannot_be_read(tmp_path: Path, content: bytes, message: str) -> None:
    write_project(tmp_path)
    (tmp_path / "Pulumi.dev.yaml").write_bytes(content)

    assert failure(tmp_path).endswith(message)


def test_a_stack_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(tmp_path, dev="config: {}\n")
    read = Path.read_text

    def refuse(self: Path, *arguments: Any, **options: Any) -> str:
        if self.name == "Pulumi.dev.yaml":
            raise PermissionError(13, "Permission denied")
        return read(self, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", refuse)

    assert failure(tmp_path) == "Pulumi.dev.yaml: cannot be read: Permission denied"
