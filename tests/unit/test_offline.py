"""`ringfence offline` with commands that are not the CLI: what they get, and what is left when they have ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import provider_pb2_grpc

from ringfence.cli.main import main
from tests.unit.sources.projects import encrypted, encryption_salt

COMMAND = [sys.executable, "-m", "ringfence.cli.main", "offline"]
SHOW = """\
import json, os, pathlib
state = pathlib.Path(os.environ.get("PULUMI_BACKEND_URL", "file:///nowhere").removeprefix("file://"))
print(json.dumps({
    "environment": {key: value for key, value in os.environ.items() if key.startswith("PULUMI_")},
    "stacks": sorted(str(path.relative_to(state)) for path in state.glob(".pulumi/stacks/*/*.json")),
    "config": pathlib.Path(os.environ.get("PULUMI_OPTION_CONFIG_FILE", os.devnull)).read_text(),
}))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: shop\nruntime: nodejs\n", encoding="utf-8")
    (folder / "package.json").write_text('{"dependencies": {"@pulumi/gcp": "^8.1.0"}}', encoding="utf-8")
    return folder


def environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")}
    return kept | more


def run(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words], cwd=folder, env=environment(**more), capture_output=True, text=True, check=False, timeout=60
    )


def told(folder: Path, *command: str, **more: str) -> Mapping[str, Any]:
    """Return what a command under `ringfence offline` sees."""
    done = run(folder, "--", *(command or (sys.executable, "-c", SHOW)), **more)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def pretend_pulumi(folder: Path) -> str:
    """Write a command called pulumi that shows what it gets, and return the PATH that has it."""
    script = folder / "pulumi"
    script.write_text(f"#!{sys.executable}\n{SHOW}", encoding="utf-8")
    script.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def test_a_command_gets_a_place_of_its_own(project: Path) -> None:
    seen = told(project)["environment"]

    assert seen["PULUMI_BACKEND_URL"].startswith("file:///")
    assert seen["PULUMI_HOME"].startswith(tempfile.gettempdir())
    assert len(seen["PULUMI_CONFIG_PASSPHRASE"]) == 32
    assert seen["PULUMI_STACK"] == "dev"
    assert seen["PULUMI_SKIP_UPDATE_CHECK"] == "true"
    assert seen["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] == "true"
    assert not Path(seen["PULUMI_HOME"]).exists()


def test_what_the_user_set_stays(project: Path) -> None:
    own = {
        "PULUMI_BACKEND_URL": "s3://state",
        "PULUMI_HOME": "/home/me/.pulumi",
        "PULUMI_CONFIG_PASSPHRASE_FILE": "/run/secret",
        "PULUMI_DEBUG_PROVIDERS": "gcp:4711",
        "PULUMI_STACK": "blue",
    }

    seen = told(project, **own)["environment"]

    assert {key: seen[key] for key in own if key != "PULUMI_DEBUG_PROVIDERS"} == {
        key: value for key, value in own.items() if key != "PULUMI_DEBUG_PROVIDERS"
    }
    assert "PULUMI_CONFIG_PASSPHRASE" not in seen
    attached = dict(entry.split(":") for entry in seen["PULUMI_DEBUG_PROVIDERS"].split(","))
    assert attached["gcp"] == "4711"
    assert {"aws", "azure-native"} < attached.keys()


def test_every_package_is_attached(project: Path) -> None:
    script = f"""
import os, grpc
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import provider_pb2_grpc
{SHOW}
for entry in os.environ["PULUMI_DEBUG_PROVIDERS"].split(","):
    name, port = entry.split(":")
    with grpc.insecure_channel("127.0.0.1:" + port) as channel:
        print(name, provider_pb2_grpc.ResourceProviderStub(channel).GetPluginInfo(Empty()).version)
"""
    done = run(project, "--", sys.executable, "-c", script)

    versions = dict(line.split() for line in done.stdout.splitlines()[1:])
    assert versions["gcp"] == "8.1.0"
    assert versions["aws"].startswith("7.")


def test_each_stack_is_there_and_the_one_that_is_named(project: Path, tmp_path: Path) -> None:
    for stack in ("blue", "green"):
        (project / f"Pulumi.{stack}.yaml").write_text(f"config:\n  shop:colour: {stack}\n", encoding="utf-8")
    path = pretend_pulumi(tmp_path)

    seen = told(project, "pulumi", "preview", "--stack", "red", PATH=path)
    elsewhere = told(tmp_path, "pulumi", "-C", "shop", "preview", "-s", "organization/shop/green", PATH=path)

    assert seen["stacks"] == [f".pulumi/stacks/shop/{name}.json" for name in ("blue", "green", "red")]
    assert "PULUMI_STACK" not in seen["environment"]
    assert "colour: green" in elsewhere["config"]


def test_stack_references_are_answered_from_the_settings(project: Path) -> None:
    text = '[stack-references."organization/network/prod"]\nvpcId = "vpc-1"\n'
    (project / "ringfence.toml").write_text(text, encoding="utf-8")

    assert ".pulumi/stacks/network/prod.json" in told(project)["stacks"]


SEALED = f"""\
encryptionsalt: {encryption_salt()}
config:
  shop:size: 3
  shop:token:
    secure: {encrypted("s3cret")}
  shop:deep:
    a:
      secure: {encrypted("deeper")}
    b: open
"""


@pytest.mark.parametrize(("word", "value"), [("preview", "unknown"), ("up", "a placeholder")])
def test_secrets_that_cannot_be_decrypted_are_replaced_in_a_copy(
    project: Path, tmp_path: Path, word: str, value: str
) -> None:
    file = project / "Pulumi.prod.yaml"
    file.write_text(SEALED + "environment: [team/aws]\n", encoding="utf-8")
    before = file.read_bytes()

    done = run(project, "--", "pulumi", word, PATH=pretend_pulumi(tmp_path))

    config = json.loads(done.stdout)["config"]
    assert file.read_bytes() == before
    assert "size: 3" in config
    assert "b: open" in config
    assert "environment" not in config
    assert encrypted("s3cret") not in config
    assert done.stderr.splitlines() == [
        "ringfence: Pulumi.prod.yaml: environment: values from Pulumi ESC are left out.",
        "ringfence: Pulumi.prod.yaml: the secrets shop:token, shop:deep cannot be decrypted: each is " + f"{value}.",
    ]


def test_with_the_users_passphrase_secrets_stay(project: Path, tmp_path: Path) -> None:
    (project / "Pulumi.prod.yaml").write_text(SEALED, encoding="utf-8")

    seen = told(project, "pulumi", "up", PATH=pretend_pulumi(tmp_path), PULUMI_CONFIG_PASSPHRASE="correct horse")

    assert seen["config"] == SEALED


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few users make links")
@pytest.mark.parametrize("words", [["-C", "shop", "preview", "--policy-pack", "rules"], ["-C", "shop", "preview"]])
def test_our_environment_stands_in_for_those_that_are_not_there(
    project: Path, tmp_path: Path, words: list[str]
) -> None:
    runtime = "runtime:\n  name: python\n  options:\n    virtualenv: venv\n"
    (project / "Pulumi.yaml").write_text(f"name: shop\n{runtime}", encoding="utf-8")
    (project / "rules").mkdir()
    (project / "rules" / "PulumiPolicy.yaml").write_text(runtime, encoding="utf-8")
    (tmp_path / "pip.py").touch()  # an environment that uv made has no pip
    path = pretend_pulumi(tmp_path)
    script = tmp_path / "pulumi"
    script.write_text(
        f"#!{sys.executable}\n"
        "import json, pathlib\n"
        "print(json.dumps(sorted(map(str, pathlib.Path().glob('**/venv/bin/python')))))\n",
        encoding="utf-8",
    )

    done = run(tmp_path, "--", "pulumi", *words, PATH=path, PYTHONPATH=str(tmp_path))

    expected = {"Pulumi.yaml": "shop/venv/bin/python", "PulumiPolicy.yaml": "shop/rules/venv/bin/python"}
    if "--policy-pack" not in words:
        del expected["PulumiPolicy.yaml"]
    assert json.loads(done.stdout) == sorted(expected.values())
    assert done.stderr.splitlines() == [
        f"ringfence: {name}: virtualenv: venv is not there: ringfence's own Python is used." for name in expected
    ]
    assert json.loads(run(project, "--", "pulumi", "install", PATH=path, PYTHONPATH=str(tmp_path)).stdout) == []
    assert not list(tmp_path.glob("**/venv"))


def test_config_files_are_left_as_they_were(project: Path) -> None:
    (project / "Pulumi.prod.yaml").write_text("config: {}\n", encoding="utf-8")

    done = run(project, "--", "sh", "-c", "echo salt >> Pulumi.prod.yaml; echo salt > Pulumi.dev.yaml; exit 3")

    assert done.returncode == 3
    assert (project / "Pulumi.prod.yaml").read_text(encoding="utf-8") == "config: {}\n"
    assert not (project / "Pulumi.dev.yaml").exists()


def test_with_a_backend_of_the_users_own_config_files_are_theirs(project: Path) -> None:
    done = run(project, "--", "sh", "-c", "echo salt > Pulumi.dev.yaml", PULUMI_BACKEND_URL="file:///state")

    assert done.returncode == 0
    assert (project / "Pulumi.dev.yaml").read_text(encoding="utf-8") == "salt\n"


# --- exit codes and signals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("kill $$", 143)])
def test_the_exit_code_is_the_commands(tmp_path: Path, script: str, code: int) -> None:
    assert run(tmp_path, "--", "sh", "-c", script).returncode == code


def test_a_missing_command_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, "--", "pulumi", "preview", PATH=str(tmp_path))

    assert done.returncode == 2
    assert done.stderr.startswith(
        "ringfence: pulumi: there is no such command: install it from https://www.pulumi.com/"
    )


def test_no_command_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["offline", "--"]) == 2
    assert "expected a command, for example `ringfence offline -- pulumi preview`" in capsys.readouterr().err


def test_wrong_settings_are_named(project: Path) -> None:
    (project / "ringfence.toml").write_text("nothing = 1\n", encoding="utf-8")

    done = run(project, "--", "true")

    assert done.returncode == 2
    assert "ringfence.toml: nothing: there is no such setting" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_signals_are_passed_on(tmp_path: Path, number: signal.Signals) -> None:
    script = (
        "import signal, sys, time\n"
        f"signal.signal({int(number)}, lambda *_: sys.exit(40))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [*COMMAND, "--", sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)

        assert process.wait(20) == 40


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who an orphan's parent was")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_ignores_the_signal_is_killed_with_all_that_it_started(
    tmp_path: Path, number: signal.Signals
) -> None:
    ignoring = "for number in (signal.SIGTERM, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)\n"
    child = f"import signal, time\n{ignoring}print('ready', flush=True)\ntime.sleep(600)"
    script = (
        f"import os, signal, subprocess, sys, time\n{ignoring}"
        f"command = [sys.executable, '-c', {child!r}]\n"
        "process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)\n"
        "process.stdout.readline()\n"
        "print(os.getpid(), process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    place = tmp_path / "tmp"
    place.mkdir()
    with subprocess.Popen(
        [*COMMAND, "--", sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment(TMPDIR=str(place)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        pids = process.stdout.readline().split()
        process.send_signal(number)
        _, said = process.communicate(timeout=30)

    assert process.returncode == 128 + signal.SIGKILL
    assert f"ringfence: the command did not end within 5 s of {number.name}: it is killed." in said
    assert len(pids) == 2
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert list(place.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who an orphan's parent was")
@pytest.mark.parametrize("stubborn", [False, True])
def test_nothing_is_left_behind(tmp_path: Path, stubborn: bool) -> None:
    trap = "signal.signal(signal.SIGTERM, signal.SIG_IGN);" if stubborn else ""
    child = f"import signal, time; {trap} print('ready', flush=True); time.sleep(60)"
    script = (
        "import subprocess, sys\n"
        f"command = [sys.executable, '-c', {child!r}]\n"
        "process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)\n"
        "process.stdout.readline()\n"
        "print(process.pid)\n"
    )
    start = time.monotonic()
    place = tmp_path / "tmp"
    place.mkdir()

    done = run(tmp_path, "--", sys.executable, "-c", script, TMPDIR=str(place))

    assert done.returncode == 0
    assert not Path(f"/proc/{int(done.stdout)}").exists()
    assert time.monotonic() - start < 30
    assert list(place.iterdir()) == []


def test_a_killed_command_leaves_no_folder_and_no_server(project: Path) -> None:
    seen = run(project, "--", "sh", "-c", "echo $PULUMI_HOME $PULUMI_DEBUG_PROVIDERS; kill -KILL $$")

    home, _, providers = seen.stdout.strip().partition(" ")
    assert seen.returncode == 137
    assert not Path(home).exists()
    with grpc.insecure_channel(f"127.0.0.1:{providers.rpartition(':')[2]}") as channel:
        stub: Any = provider_pb2_grpc.ResourceProviderStub(channel)
        with pytest.raises(grpc.RpcError):
            stub.GetPluginInfo(Empty(), timeout=5)
