"""Go programs: built, then run against the monitor over gRPC."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence.cli.main import main
from ringfence.deployment import UNKNOWN, Deployment, Secret
from tests.integration.languages import evaluate, line_of, named, place
from tests.integration.node_packages import need

GO_FIXTURES = Path(__file__).parent.parent / "fixtures" / "go"


@pytest.fixture(scope="module", autouse=True)
def toolchain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Go is there and has the modules; it may not fetch anything while the tests run."""
    with pytest.MonkeyPatch.context() as patch:
        # An environment without a home or with another one's flags would build nothing.
        patch.delenv("GOFLAGS", raising=False)
        if shutil.which("go") is None:
            need("Go is not on PATH: https://go.dev/dl")
        fetched = subprocess.run(
            ["go", "mod", "download"],
            cwd=GO_FIXTURES / "shop",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if fetched.returncode:
            need(f"go mod download failed, is the Go module proxy reachable? {fetched.stderr.strip()[-400:]}")
        yield


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("go") / "shop"
    shutil.copytree(GO_FIXTURES / "shop", folder)
    return folder


@pytest.fixture(scope="module")
def shop(project: Path) -> Deployment:
    return evaluate(project, config={"token": "s3cr3t-value"})


def test_resources_come_with_inputs_options_and_lines(shop: Deployment, project: Path) -> None:
    assert shop.error is None
    main = project / "main.go"
    plain, full, shelf, child = (named(shop, name) for name in ("plain", "full", "shelf", "shelf-first"))
    assert plain.inputs == {"size": 3, "seen": "plain"}
    assert full.inputs == {"size": 3, "label": UNKNOWN, "token": Secret("s3cr3t-value"), "seen": "full"}
    assert full.dependencies == (plain.urn,)
    assert full.options.protect is True
    assert child.parent == shelf.urn
    assert shelf.outputs == {"made": True}
    assert shop.outputs == {"size": 3, "type": "Thing", "token": Secret("s3cr3t-value")}
    assert place(plain) == ("main.go", line_of(main, "plain"))
    assert place(full) == ("main.go", line_of(main, "full"))
    assert shop.printed == "this goes to standard output\n"


@pytest.fixture(scope="module")
def built(project: Path) -> Path:
    """Return the project with a binary of its own, so that a run does not build it."""
    folder = project.with_name("built")
    shutil.copytree(project, folder)
    subprocess.run(["go", "build", "-o", "program", "."], cwd=folder, check=True)
    (folder / "Pulumi.yaml").write_text("name: shop\nruntime:\n  name: go\n  options:\n    binary: ./program\n")
    return folder


def test_a_binary_of_the_projects_own_needs_no_toolchain(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.defpath)

    deployment = evaluate(built, config={"size": "5"})

    assert deployment.error is None
    assert named(deployment, "plain").inputs["size"] == 5


FAULTS = {
    "error": ("no good", "run"),
    "panic": ("panic: runtime error: invalid memory address or nil pointer dereference", "panic"),
    "resource": ("bad: file is the file or folder 'missing.txt', which does not exist", "resource"),
    "hang": ("The program did not end within 4 s.", "hang"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_one_error_with_its_line(built: Path, kind: str) -> None:
    message, mark = FAULTS[kind]

    error = evaluate(built, config={"fault": kind}, time_limit=4).error

    assert error is not None
    assert error.message.startswith(message)
    assert error.source is not None
    assert error.source.path == str(built / "main.go")
    assert abs(error.source.line - line_of(built / "main.go", mark)) <= (kind == "hang")


def test_a_program_that_does_not_compile(tmp_path: Path) -> None:
    shutil.copytree(GO_FIXTURES / "shop", tmp_path / "shop")
    main = tmp_path / "shop" / "main.go"
    main.write_text(main.read_text().replace('errors.New("no good")', "errors.New(3)"))

    error = evaluate(tmp_path / "shop").error

    assert error is not None
    assert error.message == (
        "The program does not compile: cannot use 3 (untyped int constant) as string value in argument to errors.New"
    )
    assert error.source is not None
    assert "errors.New(3)" in main.read_text().splitlines()[error.source.line - 1]


@pytest.mark.parametrize("command", ["check", "preview"])
def test_commands_take_a_go_program(built: Path, capfd: pytest.CaptureFixture[str], command: str) -> None:
    assert main([command, str(built), "--format", "json"]) == 0

    (deployment,) = json.loads(capfd.readouterr().out)["deployments"]
    assert deployment["status"] == "ok"
    plain = next(item for item in deployment["resources"] if item["name"] == "plain")
    assert plain["source"]["line"] == line_of(built / "main.go", "plain")


def test_offline_attaches_the_packages_of_a_project(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(GO_FIXTURES / "shop", tmp_path / "shop")
    modules = tmp_path / "shop" / "go.mod"
    modules.write_text(modules.read_text() + "\nrequire github.com/pulumi/pulumi-gcp/sdk/v8 v8.1.0\n")
    monkeypatch.chdir(tmp_path / "shop")

    assert main(["offline", "--", "sh", "-c", "echo $PULUMI_DEBUG_PROVIDERS"]) == 0

    assert "gcp" in {entry.partition(":")[0] for entry in capfd.readouterr().out.split(",")}


def test_a_missing_toolchain_is_named(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    error = evaluate(project).error

    assert error is not None
    assert error.message.startswith("go: there is no such command on PATH")
