"""`ringfence fuzz`: what it finds in projects that know nothing of it, and what it says when it cannot search."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from ringfence.cli.main import main
from ringfence.fuzz import Found, FuzzOptions, Searched, find_target, search, source_for
from ringfence.fuzz.shrink import shrink
from ringfence.sources.yaml_data import ProjectError

MODEL = """\
import pulumi
from pydantic import BaseModel, Field


class Config(BaseModel):
    replicas: int = Field(ge=1, le=50)
    max_replicas: int = Field(default=5, ge=1, le=100)
    tls: bool = True
    region: str = Field(pattern="^[a-z]+$")
    note: str | None = Field(default=None, max_length=10)


config = pulumi.Config()
settings = Config(
    replicas=config.require_int("replicas"),
    max_replicas=config.get_int("maxReplicas") or 5,
    tls=config.get_bool("tls") is not False,
    region=config.require("region"),
    note=config.get("note"),
)
"""
BUCKET = """

class Bucket(pulumi.CustomResource):
    def __init__(self, name, **props):
        required = {"accountName": "shop", "resourceGroupName": "shop"}  # as the SDK says, where it is loaded
        super().__init__("azure-native:storage:BlobContainer", name, {**required, **props})


"""
STACK = {"shop:replicas": 2, "shop:tls": True, "shop:region": "westeurope", "shop:maxReplicas": 9}


def project(
    folder: Path, main_file: str, stack: dict[str, Any] | None = None, config: dict[str, Any] | None = None
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    about = {"name": "shop", "runtime": "python"} | ({"config": config} if config else {})
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(about))
    if stack is not None:
        (folder / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": stack}))
    (folder / "__main__.py").write_text(main_file)
    return folder


def fuzz(capsys: pytest.CaptureFixture[str], folder: Path, *options: str) -> tuple[int, Any]:
    """Return exit code and JSON report."""
    code = main(["fuzz", str(folder), "--format", "json", "--jobs", "1", "--seed", "7", *options])
    return code, json.loads(capsys.readouterr().out)


def failure(report: Any, kind: str) -> Any:
    (found,) = [item for item in report["failures"] if item["kind"] == kind]
    return found


def test_the_smallest_config_of_a_model_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = project(tmp_path / "shop", MODEL + "share = 100 // (17 - settings.replicas)\n", STACK)
    code, report = fuzz(capsys, folder, "--examples", "60")
    found = failure(report, "program-error")

    assert code == 1
    assert report["model"] == "the model Config of the program"
    assert found["config"] == {"shop:replicas": 17, "shop:region": "westeurope"}
    assert "ZeroDivisionError" in found["message"]
    assert found["source"]["line"] == len(MODEL.splitlines()) + 1
    assert found["reproducible"] is True


def test_a_mandatory_rule_that_a_config_breaks_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = MODEL + BUCKET + 'Bucket("a", publicAccess="None" if settings.tls else "Blob")\n'
    code, report = fuzz(capsys, project(tmp_path / "shop", program, STACK), "--examples", "40")
    found = failure(report, "finding")

    assert code == 1
    assert (found["code"], found["resource"]) == ("ST04", "a")
    assert found["config"] == {"shop:replicas": 2, "shop:tls": False, "shop:region": "westeurope"}


def test_the_command_that_is_printed_replays_the_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = project(tmp_path / "shop", MODEL + "share = 100 // (17 - settings.replicas)\n", STACK)
    _, report = fuzz(capsys, folder, "--examples", "60")
    command = shlex.split(failure(report, "program-error")["command"])

    assert command[:2] == ["ringfence", "fuzz"]
    assert main(command[1:]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().out
    # Mended, the same command says so.
    (folder / "__main__.py").write_text(MODEL)
    assert main(command[1:]) == 0
    assert "does not fail" in capsys.readouterr().out


def test_the_terminal_shows_yaml_and_how_to_repeat_the_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project(tmp_path / "shop", MODEL + "share = 100 // (17 - settings.replicas)\n", STACK)
    assert main(["fuzz", str(folder), "--examples", "60", "--jobs", "1", "--seed", "7"]) == 1
    captured = capsys.readouterr()

    assert "    config:\n      shop:replicas: 17\n      shop:region: westeurope\n" in captured.out
    assert re.search(r"--seed 7-[0-9a-f]{8} --examples 60\n\Z", captured.out)
    assert "54/60 configs, 1 failure" in captured.err


def test_declarations_are_searched_where_there_is_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = "import pulumi\nsize = pulumi.Config().require_int('size')\nassert size <= 1000, 'too large'\n"
    declared = {"size": {"type": "integer", "default": 3}, "on": {"type": "boolean", "default": False}}
    code, report = fuzz(capsys, project(tmp_path / "shop", program, None, declared), "--examples", "40")

    assert code == 1
    assert report["model"] == "Pulumi.yaml"
    assert failure(report, "program-error")["config"] == {"shop:size": 1001}


def test_values_that_nobody_declared_are_varied_by_their_type(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = "import pulumi\nassert not pulumi.Config().require_bool('risky')\n"
    code, report = fuzz(
        capsys, project(tmp_path / "shop", program, {"shop:risky": False, "shop:name": "a"}), "--examples", "9"
    )

    assert code == 1
    assert failure(report, "program-error")["config"] == {"shop:risky": True, "shop:name": "a"}


def test_a_model_under_one_key_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = (
        "import pulumi\nfrom pydantic import BaseModel, Field\n\n\nclass Size(BaseModel):\n"
        "    width: int = Field(ge=1, le=9)\n    deep: bool = False\n\n\n"
        "size = Size(**pulumi.Config().require_object('size'))\nassert not size.deep\n"
    )
    code, report = fuzz(capsys, project(tmp_path / "shop", program, {"shop:size": {"width": 2}}), "--examples", "20")

    assert code == 1
    assert failure(report, "program-error")["config"] == {"shop:size": {"width": 2, "deep": True}}


def test_a_clean_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = fuzz(capsys, project(tmp_path / "shop", MODEL, STACK), "--examples", "30")

    assert code == 0
    assert (report["status"], report["failures"]) == ("ok", [])


def test_the_same_seed_searches_the_same_configs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = project(tmp_path / "shop", MODEL + "share = 100 // (17 - settings.replicas)\n", STACK)
    one, two = (fuzz(capsys, folder, "--examples", "40", "--jobs", jobs)[1] for jobs in ("1", "2"))

    assert one == two


# --- what cannot be searched -----------------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["fuzz", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    return captured.err


def test_a_project_without_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, str(project(tmp_path / "shop", "import pulumi\n")))

    assert "there is no config to vary" in message
    assert "Pulumi.yaml" in message


def test_a_field_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = (
        "import pulumi\nfrom pydantic import BaseModel\nclass Odd:\n    pass\n\n"
        "class Config(BaseModel, arbitrary_types_allowed=True):\n    size: int\n    odd: Odd | None = None\n\n"
        "Config(size=pulumi.Config().require_int('size'))\n"
    )
    message = refused(capsys, str(project(tmp_path / "shop", program, {"shop:size": 1})))

    assert "Config.odd: values of type Odd cannot be generated" in message
    assert "ringfence.testing.register_strategy(Odd, a_hypothesis_strategy)" in message


def test_a_program_that_is_not_deterministic(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = MODEL + BUCKET + 'import uuid\nBucket("a", label=str(uuid.uuid4()))\n'
    code, report = fuzz(capsys, project(tmp_path / "shop", program, STACK), "--examples", "6")
    found = failure(report, "not-deterministic")

    assert code == 1
    assert found["message"] == (
        "The program gives something else each time: label of a (azure-native:storage:BlobContainer) differs."
    )


def test_a_seed_of_another_search_space(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = project(tmp_path / "shop", MODEL, STACK)
    message = refused(capsys, str(folder), "--seed", "7-00000000")

    assert "--seed 7-00000000: does not replay" in message
    assert "--replay" in message


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--seed", "x"], "--seed x: expected a number"),
        (["--replay", "{"], "--replay: is no valid JSON"),
        (["--replay", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["--strategies", "nowhere.py"], "there is no such file"),
        (["--stack", "prod"], "Pulumi.prod.yaml"),
        (["--select", "XX"], "--select XX"),
    ],
)
def test_options_that_are_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert said in refused(capsys, str(project(tmp_path / "shop", MODEL, STACK)), *options)


def test_without_hypothesis(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    assert "pip install 'ringfence[testing]'" in refused(capsys, str(project(tmp_path / "shop", MODEL, STACK)))


def test_no_project(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="is no Pulumi project"):
        source_for(tmp_path)


# --- secrets and interruption ----------------------------------------------------------------------------------------


def test_a_secret_stays_as_it_is_and_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = (
        "import pulumi\nconfig = pulumi.Config()\n"
        "assert config.require('token') == 'canary'\nassert not config.require_bool('risky')\n"
    )
    declared = {"token": {"secret": True, "default": "canary"}, "risky": {"type": "boolean", "default": False}}
    folder = project(tmp_path / "shop", program, None, declared)

    assert main(["fuzz", str(folder), "--examples", "6", "--jobs", "1", "--seed", "1"]) == 1
    captured = capsys.readouterr()
    assert "canary" not in captured.out.replace("== 'canary'", "")
    assert "shop:risky: true" in captured.out
    assert "# shop:token: a secret of the stack, as it is" in captured.out


def test_what_was_found_is_printed_when_the_user_interrupts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: Any) -> Any:
        yield from (event for event in events if isinstance(event, Found))
        raise KeyboardInterrupt

    folder = project(tmp_path / "shop", MODEL + "share = 100 // (17 - settings.replicas)\n", STACK)
    source = source_for(folder)
    events = list(search(find_target(folder, [], source), FuzzOptions(60, 7), source))
    assert isinstance(events[-1], Searched)
    monkeypatch.setattr("ringfence.fuzz.search", interrupted)

    assert main(["fuzz", str(folder), "--seed", "7"]) == 130
    captured = capsys.readouterr()
    assert "interrupted: 1 failure" in captured.out
    assert "shop:replicas: 17" in captured.out


def test_shrinking_stays_within_its_tries(tmp_path: Path) -> None:
    folder = project(tmp_path / "shop", MODEL, STACK)
    target = find_target(folder, [], source_for(folder))
    tried = []

    def fails(config: Any) -> bool:
        tried.append(config)
        return bool(config["replicas"] > 20)

    config = {"replicas": 48, "max_replicas": 77, "tls": False, "region": "abcdef", "note": "long note"}
    smaller = list(shrink(target.space, config, fails, 40))

    assert smaller[-1] == {"replicas": 21, "region": "westeurope"}
    assert len(tried) <= 40


def test_numbers_of_a_typescript_program_are_tried(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text(
        "name: shop\nruntime: nodejs\nconfig:\n  shards: {type: integer, default: 2}\n", encoding="utf-8"
    )
    (tmp_path / "index.ts").write_text(
        "const x1 = 1.5; // 1000\n/* 2000\n3000 */\nif (shards > 48 || shards === 7_000 || y.z4000) {}\n",
        encoding="utf-8",
    )

    # No process is started: the project has no packages.
    target = find_target(tmp_path, [], source_for(tmp_path))

    tried = set(target.space.settings["shop:shards"].values.boundaries)
    assert {47, 48, 49} <= tried
    assert not tried & {999, 1000, 1999, 2000, 2999, 3000, 3999, 4000}
