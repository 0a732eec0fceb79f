"""Our environment in the place of a virtual one that a project names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ringfence.sources.lent_environment import lent_environment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few users make links")

VENV = {"toolchain": "pip", "virtualenv": "venv"}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # An environment that uv made has no pip.
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "pip.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "requirements.txt").write_text("# SDK\npulumi>=3.100,<4 # the SDK\n\ngrpcio\n", "utf-8")
    return tmp_path / "shop" / "Pulumi.yaml"


def test_the_environment_is_there_for_the_length_of_the_block(file: Path) -> None:
    notes: list[str] = []
    link = file.parent / "venv"

    with lent_environment(file, VENV, notes.append):
        interpreter = link / "bin" / "python"
        done = subprocess.run([interpreter, "-c", "import pulumi"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert not link.is_symlink()
    assert notes == ["Pulumi.yaml: virtualenv: venv is not there: ringfence's own Python is used."]


def test_several_commands_share_it(file: Path) -> None:
    link = file.parent / "venv"
    first, second = (lent_environment(file, VENV, lambda _: None) for _ in range(2))

    with second:
        with first:
            assert link.is_dir()
        assert link.is_dir()

    assert not link.is_symlink()


def test_a_link_that_a_killed_command_left_is_taken_away(file: Path) -> None:
    link = file.parent / "venv"
    link.symlink_to(f"{sys.prefix}/.")

    with lent_environment(file, VENV, lambda _: None):
        assert link.is_dir()

    assert not link.is_symlink()


@pytest.mark.parametrize("own", ["folder", "link", "dangling"])
def test_what_the_user_has_there_stays(file: Path, own: str) -> None:
    place = file.parent / "venv"
    if own == "folder":
        place.mkdir()
    else:
        place.symlink_to(sys.prefix if own == "link" else "nowhere")
    before = place.lstat()
    notes: list[str] = []

    with lent_environment(file, VENV, notes.append):
        assert place.lstat() == before

    assert place.lstat() == before
    assert notes == []


@pytest.mark.parametrize("options", [{}, {"virtualenv": 3}, {"toolchain": "uv", "virtualenv": "venv"}])
def test_nothing_is_done_where_no_environment_is_named(file: Path, options: dict[str, Any]) -> None:
    notes: list[str] = []

    with lent_environment(file, options, notes.append):
        assert not (file.parent / "venv").is_symlink()

    assert notes == []


@pytest.mark.parametrize(
    ("line", "lacking"),
    [("no-such-package>=1", "no-such-package"), ("./lib", "./lib"), ("-r more.txt", "-r more.txt")],
)
def test_an_environment_that_lacks_something_does_not_stand_in(file: Path, line: str, lacking: str) -> None:
    (file.parent / "requirements.txt").write_text(f"pulumi\n{line}\n", "utf-8")
    notes: list[str] = []

    with lent_environment(file, VENV, notes.append):
        assert not (file.parent / "venv").is_symlink()

    assert notes == [
        "Pulumi.yaml: virtualenv: venv is not there, and ringfence's own Python cannot stand in for it: it "
        f"has no {lacking}. Pulumi makes one and installs what the project requires, over the network."
    ]
