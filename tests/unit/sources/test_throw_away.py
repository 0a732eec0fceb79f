"""A throw-away place for the CLI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ringfence.sources.pulumi_yaml import load_project
from ringfence.sources.secrets import Encrypter, decrypter_for
from ringfence.sources.stack_config import StackConfig, load_stack_config
from ringfence.sources.throw_away import default_stack, throw_away, write_config
from ringfence.wire import UNKNOWN_SENTINEL
from tests.unit.sources.projects import encrypted, encryption_salt


@pytest.fixture(autouse=True)
def _no_pulumi(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_HOME"):
        monkeypatch.delenv(name, raising=False)


def write_project(folder: Path, **stacks: str) -> Path:
    (folder / "Pulumi.yaml").write_text("name: shop\nruntime: python\n", encoding="utf-8")
    for name, text in stacks.items():
        (folder / f"Pulumi.{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def test_stacks_are_in_the_format_of_the_file_backend() -> None:
    with throw_away() as place:
        place.add_stack("shop", "organization/shop/dev")
        place.add_stack("network", "prod", {"vpcId": "vpc-1"})
        place.add_stack("network", "prod")  # the outputs stay
        folder = place.folder / "state" / ".pulumi"
        stacks = {path.parent.name: json.loads(path.read_text("utf-8")) for path in folder.glob("stacks/*/*.json")}
        version = (folder / "meta.yaml").read_text(encoding="utf-8")

    assert version == "version: 1\n"
    assert stacks["shop"] == {"version": 3, "checkpoint": {"stack": "organization/shop/dev", "latest": None}}
    resources: list[dict[str, Any]] = stacks["network"]["checkpoint"]["latest"]["resources"]
    assert [item["outputs"] for item in resources] == [{"vpcId": "vpc-1"}]
    assert not place.folder.exists()


def test_a_backend_of_the_users_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://state")

    with throw_away() as place:
        place.add_stack("shop", "dev")
        written = list((place.folder / "state").iterdir())

    assert written == []
    assert "PULUMI_BACKEND_URL" not in place.environment


def test_a_config_without_secrets_is_copied_as_it_is(tmp_path: Path) -> None:
    text = "# a comment\nconfig:\n  shop:size: 007\n"
    project = load_project(write_project(tmp_path, dev=text))

    with throw_away() as place:
        copies = [place.copy_config(project, stack, preview=True).read_text("utf-8") for stack in ("dev", "blue")]

    assert copies == [text, ""]
    assert place.notes == []


@pytest.mark.parametrize(("preview", "value"), [(True, UNKNOWN_SENTINEL), (False, "placeholder")])
@pytest.mark.parametrize(
    "head", [f"encryptionsalt: {encryption_salt()}", "secretsprovider: awskms://key\nencryptedkey: abc"]
)
def test_secrets_that_cannot_be_read_are_replaced(
    tmp_path: Path, head: str, preview: bool, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"{head}\nconfig:\n  shop:token:\n    secure: {encrypted('s')}\n  shop:open: 3\n"
    project = load_project(write_project(tmp_path, dev=text))

    with throw_away() as place:
        data = yaml.safe_load(place.copy_config(project, "dev", preview=preview).read_text(encoding="utf-8"))
        monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", place.environment["PULUMI_CONFIG_PASSPHRASE"])
        decrypter = decrypter_for(data["encryptionsalt"])

    assert data.keys() == {"encryptionsalt", "config"}
    assert data["config"]["shop:open"] == 3
    assert not isinstance(decrypter, str)
    assert decrypter.decrypt(data["config"]["shop:token"]["secure"]) == value
    assert [note.partition(":")[0] for note in place.notes] == ["Pulumi.dev.yaml"]


def test_config_that_is_written_reads_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"shop:text": "007", "shop:list": '["a",1]', "shop:map": '{"b":{"c":true}}', "shop:token": "s3cret"}
    config = StackConfig(values, frozenset(["shop:token"]))
    project = load_project(write_project(tmp_path))
    write_config(tmp_path / "Pulumi.dev.yaml", config, "pass")
    text = (tmp_path / "Pulumi.dev.yaml").read_text(encoding="utf-8")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "pass")

    found = load_stack_config(project, "dev", {})

    assert (found.values, found.secret_keys) == (values, config.secret_keys)
    assert "s3cret" not in text
    assert yaml.safe_load(text)["config"]["shop:map"] == {"b": {"c": True}}


def test_two_encrypters_of_one_passphrase_have_salts_of_their_own() -> None:
    assert Encrypter("pass").salt != Encrypter("pass").salt


@pytest.mark.parametrize(
    ("stacks", "expected"),
    [({}, "dev"), ({"prod": ""}, "prod"), ({"prod": "", "dev": ""}, "dev"), ({"prod": "", "test": ""}, "")],
)
def test_the_stack_of_a_command_that_names_none(tmp_path: Path, stacks: dict[str, str], expected: str) -> None:
    assert default_stack(load_project(write_project(tmp_path, **stacks))) == expected
