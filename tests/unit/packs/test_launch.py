from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ringfence.packs.launch import NO_ENGINE, StackFacts, launch_of, runs_outside
from ringfence.policy.manifest import read_manifest
from ringfence.policy.pack import PackError

FACTS = StackFacts("shop", "dev", "acme", config={"shop:size": "4"})


def pack(folder: Path, manifest: str, *files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "PulumiPolicy.yaml").write_text(manifest)
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.fixture
def _node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence.engine.languages.nodejs._node", lambda: "/usr/bin/node")


@pytest.mark.usefixtures("_node")
def test_node(tmp_path: Path) -> None:
    sdk = "node_modules/@pulumi/pulumi"
    folder = pack(tmp_path / "p", "runtime: nodejs\n", f"{sdk}/cmd/run/index.js", f"{sdk}/cmd/run-policy-pack/index.js")

    launch = launch_of(read_manifest(folder), FACTS)

    assert launch.command[0] == "/usr/bin/node"
    assert launch.command[-3:] == (str(folder / sdk / "cmd/run-policy-pack"), NO_ENGINE, str(folder))
    names = ("ORGANIZATION", "PROJECT", "STACK", "DRY_RUN")
    for prefix in ("PULUMI_", "PULUMI_NODEJS_"):
        assert [launch.environment[prefix + name] for name in names] == ["acme", "shop", "dev", "true"]
    assert launch.environment["PULUMI_CONFIG"] == '{"shop:size": "4"}'
    assert launch.environment["PULUMI_NODEJS_TYPESCRIPT"] == "true"
    assert launch.environment["RINGFENCE_PACK_TRANSPILE"] == str(folder / sdk)
    assert "RINGFENCE_PACK_TRANSPILE" not in launch_of(read_manifest(folder), FACTS, type_check=True).environment


@pytest.mark.usefixtures("_node")
def test_node_with_options(tmp_path: Path) -> None:
    manifest = (
        "main: src\nruntime:\n  name: nodejs\n  options: {typescript: false, nodeargs: '--max-old-space-size=99'}\n"
    )
    folder = pack(tmp_path / "p", manifest, "node_modules/@pulumi/pulumi/cmd/run/index.js", "src/index.js")

    launch = launch_of(read_manifest(folder), FACTS)

    assert "--max-old-space-size=99" in launch.command
    assert launch.command[-1] == str(folder / "src")
    assert "PULUMI_NODEJS_TYPESCRIPT" not in launch.environment


@pytest.mark.usefixtures("_node")
def test_node_without_its_packages(tmp_path: Path) -> None:
    folder = pack(tmp_path / "p", "runtime: nodejs\n", "package.json", "package-lock.json")

    with pytest.raises(PackError) as raised:
        launch_of(read_manifest(folder), FACTS)

    assert str(raised.value) == (
        f"{folder}/PulumiPolicy.yaml: the policy pack cannot be started: {folder}/node_modules/@pulumi/pulumi: "
        f"there is no such folder; run `npm ci` in {folder} first"
    )


def test_python_runs_in_its_own_environment_where_it_has_one(tmp_path: Path) -> None:
    manifest = "runtime:\n  name: python\n  options: {virtualenv: venv}\n"
    without = read_manifest(pack(tmp_path / "a", manifest))
    own = read_manifest(pack(tmp_path / "b", manifest, "venv/bin/python"))

    assert not runs_outside(without, isolate=False)
    assert runs_outside(without, isolate=True)
    assert launch_of(without, FACTS).command[0] == sys.executable
    assert runs_outside(own, isolate=False)
    assert launch_of(own, FACTS).command[0] == str(tmp_path / "b/venv/bin/python")
    assert launch_of(own, FACTS).command[-2:] == (NO_ENGINE, str(tmp_path / "b"))


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("runtime: dotnet\n", "runtime: expected one of python, nodejs, opa, found 'dotnet'"),
        ("version: 1.0.0\n", "runtime: expected one of python, nodejs, opa, found None"),
        ("runtime: {name: python, options: [a]}\n", "runtime.options: expected an object, found ['a']"),
        ("runtime: python\nmain: nowhere\n", "main: there is no "),
    ],
)
def test_a_wrong_manifest(tmp_path: Path, manifest: str, message: str) -> None:
    folder = pack(tmp_path / "p", manifest)

    with pytest.raises(PackError) as raised:
        launch_of(read_manifest(folder), FACTS)

    assert str(raised.value).startswith(f"{folder}/PulumiPolicy.yaml: {message}")
