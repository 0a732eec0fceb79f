"""Assets and archives: what a program hands over exists, seen from the program's own folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringfence.deployment import Archive, Asset, Deployment
from tests.unit.engine.rehearsal import line_of, named, rehearse_file

PROGRAM = """
import pulumi
from pulumi import AssetArchive, FileArchive, FileAsset, RemoteArchive, RemoteAsset, StringAsset

pulumi.CustomResource("test:index:Thing", "thing", {{"code": {value}, "other": 1}})  # line: thing
"""


def run(folder: Path, value: str) -> Deployment:
    return rehearse_file(folder, PROGRAM.format(value=value))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "handler.py").write_text("x = 1\n")
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('FileAsset("app/handler.py")', Asset("file", "app/handler.py")),
        ('FileAsset("./app/../app/handler.py")', Asset("file", "./app/../app/handler.py")),
        ('FileArchive("app")', Archive("file", "app")),
        ('FileArchive("empty")', Archive("file", "empty")),
        ('FileArchive(".")', Archive("file", ".")),
        ('StringAsset("app/missing")', Asset("text", "app/missing")),
        ('RemoteAsset("https://example.com/missing")', Asset("remote", "https://example.com/missing")),
        ('RemoteArchive("https://example.com/m.zip")', Archive("remote", "https://example.com/m.zip")),
        ('AssetArchive({"a": FileArchive("app")})', Archive("assets", {"a": Archive("file", "app")})),
        ("AssetArchive({})", Archive("assets", {})),
    ],
)
def test_what_exists_or_is_elsewhere_is_taken(project: Path, value: str, expected: object) -> None:
    assert named(run(project, value), "thing").inputs == {"code": expected, "other": 1}


def test_absolute_paths_are_taken(project: Path) -> None:
    handler = str(project / "app" / "handler.py")

    assert named(run(project, f"FileAsset({handler!r})"), "thing").inputs["code"] == Asset("file", handler)


@pytest.mark.parametrize(
    ("value", "path", "missing"),
    [
        ('FileAsset("app/missing.py")', "code", "app/missing.py"),
        ('FileArchive("missing")', "code", "missing"),
        ('FileArchive("missing.zip")', "code", "missing.zip"),
        ('{"nested": [1, FileAsset("gone")]}', "code.nested[1]", "gone"),
        ('pulumi.Output.secret(FileAsset("gone"))', "code", "gone"),
        ('pulumi.Output.from_input(FileAsset("gone"))', "code", "gone"),
        ('AssetArchive({"in": AssetArchive({"deep": FileAsset("gone")})})', "code.in.deep", "gone"),
        ('FileAsset("/nowhere/at/all")', "code", "/nowhere/at/all"),
    ],
)
def test_a_missing_path_is_an_error_that_names_the_property(project: Path, value: str, path: str, missing: str) -> None:
    error = run(project, value).error

    assert error is not None
    assert error.message == (
        f"thing: {path} is the file or folder {missing!r}, which does not exist (looked for in {project})"
    )
    assert error.source is not None
    assert (error.source.path, error.source.line) == (
        str(project / "__main__.py"),
        line_of(project / "__main__.py", "thing"),
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('FileAsset("app")', "the folder 'app', where an asset takes a file; an archive takes folders"),
        ('FileAsset("")', "the folder '', where an asset takes a file; an archive takes folders"),
        (
            'FileArchive("app/handler.py")',
            "the file 'app/handler.py', where an archive takes a folder or a file .tar, .tgz, .tar.gz, .zip, .jar",
        ),
    ],
)
def test_files_and_folders_are_not_the_same(project: Path, value: str, message: str) -> None:
    error = run(project, value).error

    assert error is not None
    assert error.message == f"thing: code is {message}"


@pytest.mark.parametrize("name", ["app.zip", "app.tar.gz", "app.tgz", "app.tar", "app.jar"])
def test_archive_files_are_taken(project: Path, name: str) -> None:
    (project / name).write_bytes(b"")

    assert named(run(project, f"FileArchive({name!r})"), "thing").inputs["code"] == Archive("file", name)


def test_assets_are_looked_for_where_the_program_runs(project: Path) -> None:
    deployment = rehearse_file(
        project / "app", 'import pulumi\npulumi.export("code", pulumi.FileAsset("handler.py"))\n', root=project
    )

    assert deployment.outputs == {"code": Asset("file", "handler.py")}
