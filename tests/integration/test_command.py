"""The real command on small projects: exit codes, messages, and what goes where."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ringfence.cli import shared
from ringfence.cli.main import main
from ringfence.sources.project import EmbeddedSource
from tests.unit.sources.projects import write_project

PACKS = Path(__file__).parents[1] / "fixtures" / "packs"
SIMPLE = str(PACKS / "simple")
COMMAND = [sys.executable, "-m", "ringfence.cli.main"]
MARKS = ("Traceback", "internal error")
"""What no user's mistake may show."""

GOOD = """\
import os
import sys

import pulumi

print("noise of print")
print("noise of stderr", file=sys.stderr)
os.system("echo noise of a child")
config = pulumi.Config()


class Firewall(pulumi.CustomResource):
    def __init__(self, name, **props):
        super().__init__("test:index:Firewall", name, props)


Firewall("app-open", rules=[{"name": "ssh", "port": 22}], size=config.get_int("size"))
Firewall("closed", rules=[])
pulumi.export("size", config.get_int("size"))
pulumi.export("token", config.get_secret("token"))
"""
RAISES = """\
from parts import build

print("noise of print")
build()
"""
PARTS = """\
def build():
    value = 3
    raise ValueError(f"cannot build {value}")
"""
STORAGE = """\
import pulumi
from pulumi_azure_native import resources, storage

group = resources.ResourceGroup("group")
tls = pulumi.Output.from_input(group.id).apply(lambda _: storage.MinimumTlsVersion.TLS1_2)
storage.StorageAccount(
    "account",
    resource_group_name=group.name,
    kind="StorageV2",
    sku=storage.SkuArgs(name="Standard_LRS"),
    minimum_tls_version=tls,
)
"""


def run(
    *arguments: str | Path, cwd: Path, environment: dict[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run the command with an environment that holds nothing of the developer's own."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=clean(environment or {}),
        text=True,
        timeout=60,
        check=False,
        **({"capture_output": True} | options),
    )


def clean(environment: dict[str, str]) -> dict[str, str]:
    left_out = ("PULUMI_", "NO_COLOR", "TERM", "COLUMNS", "PYTHONHASHSEED", "FORCE_COLOR")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(left_out)}
    return kept | environment


@pytest.fixture(scope="session")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of projects, most of them broken, each in its own way."""
    folder = tmp_path_factory.mktemp("projects")
    typed = "name: shop\nruntime: python\nconfig:\n  size: {type: integer}\n"
    write_project(folder / "broken_yaml", {"Pulumi.yaml": "name: shop\nruntime: [python\n"})
    write_project(folder / "config_type", {"Pulumi.yaml": typed}, dev="config: {size: large}\n")
    write_project(folder / "config_missing", {"Pulumi.yaml": typed}, dev="config: {}\n")
    write_project(folder / "exits", {"__main__.py": "import sys\n\nsys.exit(3)\n"})
    write_project(folder / "good", {"__main__.py": GOOD}, dev="config: {size: 1}\n", prod="config: {size: 9}\n")
    write_project(folder / "import_error", {"__main__.py": "import pulumi\nimport nothing_like_this\n"})
    write_project(folder / "loops", {"__main__.py": "while True:\n    pass\n"})
    write_project(folder / "no_program", {"Pulumi.yaml": "name: shop\nruntime: python\nmain: app\n"})
    write_project(folder / "raises", {"__main__.py": RAISES, "parts.py": PARTS})
    write_project(folder / "syntax_error", {"__main__.py": "import pulumi\n\nx = (1,\n"})
    return folder


# --- many projects in one run ----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def whole_run(projects: Path) -> subprocess.CompletedProcess[str]:
    """Return what one run over all projects gives."""
    return run("check", "--format", "json", "--time-limit", "1", "--policy-pack", SIMPLE, cwd=projects)


@pytest.fixture(scope="session")
def whole_report(whole_run: subprocess.CompletedProcess[str]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the deployments of that run by path and stack."""
    return {(item["path"], item["stack"]): item for item in json.loads(whole_run.stdout)["deployments"]}


ERRORS = [
    ("broken_yaml", "broken_yaml/Pulumi.yaml:3:1: is not valid YAML: did not find expected ',' or ']'", None),
    ("config_type", 'Pulumi.dev.yaml: config.shop:size: expected an integer, found "large"', None),
    (
        "config_missing",
        "Pulumi.dev.yaml: config.shop:size: is missing for stack 'dev'; expected an integer, since Pulumi.yaml "
        "declares the key without a default",
        None,
    ),
    ("exits", "The program ended itself by sys.exit(3) before it was done.", ("exits/__main__.py", 3)),
    ("import_error", "No module named 'nothing_like_this'", ("import_error/__main__.py", 2)),
    ("loops", "The program did not end within 1 s.", ("loops/__main__.py", None)),
    ("no_program", "no_program/Pulumi.yaml: main: expected a Python program at", None),
    ("raises", "ValueError: cannot build 3", ("raises/parts.py", 3)),
    ("syntax_error", "SyntaxError: '(' was never closed", ("syntax_error/__main__.py", 3)),
]


@pytest.mark.parametrize(("name", "message", "source"), ERRORS, ids=[name for name, _, _ in ERRORS])
def test_a_broken_project_has_one_message_with_its_place(
    whole_report: dict[tuple[str, str], dict[str, Any]],
    name: str,
    message: str,
    source: tuple[str, int | None] | None,
) -> None:
    deployment = whole_report[name, "dev"]

    assert deployment["status"] == "failed"
    assert message in deployment["error"]["message"]
    found = deployment["error"]["source"]
    if source is None:
        assert found is None
    else:
        assert found["path"] == source[0]
        assert found["line"] == source[1] or source[1] is None


def test_broken_projects_do_not_hide_the_others(
    projects: Path,
    whole_run: subprocess.CompletedProcess[str],
    whole_report: dict[tuple[str, str], dict[str, Any]],
) -> None:
    assert whole_run.returncode == 2
    assert sorted(whole_report) == sorted([(path.name, "dev") for path in projects.iterdir()] + [("good", "prod")])
    for stack, size in (("dev", 1), ("prod", 9)):
        deployment = whole_report["good", stack]
        assert (deployment["status"], deployment["error"]) == ("ok", None)
        assert deployment["outputs"]["size"] == size
        failing = [
            (item["code"], item["resource"])
            for item in deployment["findings"]
            if item["verdict"] == "fail" and item["type"] == "test:index:Firewall"
        ]
        assert failing == [("no-ssh", "app-open"), ("named", "closed")]


def test_the_report_holds_nothing_but_the_report(whole_run: subprocess.CompletedProcess[str]) -> None:
    assert "noise" not in whole_run.stdout
    assert "noise of" not in whole_run.stderr
    assert not any(mark in whole_run.stdout + whole_run.stderr for mark in MARKS)
    assert whole_run.stdout.endswith("}\n")
    # Progress goes to standard error, one line for each project and stack.
    assert "[1/11] broken_yaml · dev" in whole_run.stderr.splitlines()


# --- one project -----------------------------------------------------------------------------------------------------


def test_the_report_is_the_same_every_time(projects: Path, tmp_path: Path) -> None:
    arguments = ("check", "good", "--format", "json", "--policy-pack", SIMPLE, "--all-verdicts")

    first, second = (run(*arguments, cwd=projects, environment={"PYTHONHASHSEED": seed}) for seed in ("1", "2"))
    written = run(*arguments, "--output", tmp_path / "r.json", cwd=projects, environment={"PYTHONHASHSEED": "3"})

    assert first.returncode == second.returncode == written.returncode == 1
    assert first.stdout == second.stdout == (tmp_path / "r.json").read_text(encoding="utf-8")
    assert written.stdout == ""
    verdicts = {item["verdict"] for item in json.loads(first.stdout)["deployments"][0]["findings"]}
    assert verdicts == {"fail", "pass"}


def test_stacks_and_config_of_the_command_line(projects: Path) -> None:
    result = run(
        *("preview", "good", "--format", "json", "--stack", "prod", "dev"),
        *("--config", "size=5", "--config", "shop:token=hunter2"),
        cwd=projects,
    )

    assert result.returncode == 0, result.stderr
    deployments = json.loads(result.stdout)["deployments"]
    assert [(item["stack"], item["outputs"]["size"]) for item in deployments] == [("prod", 5), ("dev", 5)]
    assert deployments[0]["findings"] == []
    assert deployments[0]["outputs"]["token"] == "[secret]"
    assert "hunter2" not in result.stdout + result.stderr


def test_the_terminal_report_in_a_pipe(projects: Path) -> None:
    result = run("check", "good", "--stack", "dev", "--policy-pack", SIMPLE, "--exit-zero", cwd=projects)

    assert result.returncode == 0
    assert "\x1b" not in result.stdout
    assert "good/__main__.py:17" in result.stdout
    assert "no-ssh" in result.stdout
    assert "noise" not in result.stdout


@pytest.mark.parametrize(("environment", "colored"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colour_on_a_terminal(projects: Path, environment: dict[str, str], colored: bool) -> None:
    outer, inner = pty.openpty()
    options: dict[str, Any] = {"stdout": inner, "stderr": subprocess.PIPE, "capture_output": False}
    arguments = ("check", "good", "--stack", "dev", "--policy-pack", SIMPLE)
    result = run(*arguments, cwd=projects, environment={"TERM": "xterm-256color", **environment}, **options)
    os.close(inner)
    shown = b""
    # A terminal that nobody holds open any more ends with an error instead of nothing.
    try:
        while part := os.read(outer, 65536):
            shown += part
    except OSError:
        pass
    os.close(outer)

    assert result.returncode == 1
    assert b"no-ssh" in shown
    assert (b"\x1b[" in shown) is colored


def test_what_a_preview_does_not_know_can_be_made_to_block(tmp_path: Path) -> None:
    write_project(tmp_path, {"__main__.py": STORAGE})
    arguments = ("check", "--select", "ST02", "--format", "sarif")

    known = run(*arguments, cwd=tmp_path)
    lenient = run(*arguments, "--outputs", "unknown", cwd=tmp_path)
    strict = run(*arguments, "--outputs", "unknown", "--strict-unknowns", cwd=tmp_path)

    assert (known.returncode, lenient.returncode, strict.returncode) == (0, 0, 1), strict.stderr
    assert json.loads(known.stdout)["version"] == "2.1.0"
    [result] = json.loads(strict.stdout)["runs"][0]["results"]
    assert result["ruleId"] == "ST02"
    assert "minimumTlsVersion is not known before apply" in result["message"]["text"]


def test_debug_shows_the_traceback_and_what_the_program_prints(projects: Path) -> None:
    result = run("check", "raises", "--debug", cwd=projects)

    assert result.returncode == 2
    assert "ValueError: cannot build 3" in result.stdout
    assert "Traceback" not in result.stdout
    assert "raises/parts.py:3" in result.stdout
    assert "noise of print" in result.stderr
    assert 'parts.py", line 3, in build' in result.stderr


def test_a_reader_that_goes_away_is_no_failure(projects: Path) -> None:
    command = " ".join([*COMMAND, "check good --stack dev --format json --policy-pack", SIMPLE])
    script = f"{command} | head -c 5; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(
        ["bash", "-c", script], cwd=projects, env=clean({}), capture_output=True, text=True, timeout=60, check=False
    )

    assert result.stdout == '{\n  "1\n'
    assert "BrokenPipe" not in result.stderr
    assert not any(mark in result.stderr for mark in MARKS)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_standard_output_that_takes_nothing(projects: Path) -> None:
    with Path("/dev/full").open("w") as full:
        options: dict[str, Any] = {"stdout": full, "stderr": subprocess.PIPE, "capture_output": False}
        result = run("check", "good", "--stack", "dev", "--format", "json", cwd=projects, **options)

    assert result.returncode == 2
    assert result.stderr.splitlines()[-1] == ("ringfence: standard output: cannot be written: No space left on device")


def test_an_interrupted_run(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    program = f"import pathlib\npathlib.Path({str(begun)!r}).touch()\nwhile True:\n    pass\n"
    write_project(tmp_path / "loops", {"__main__.py": program})
    with subprocess.Popen(
        [*COMMAND, "check", "loops"],
        cwd=tmp_path,
        env=clean({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 60
        while not begun.exists():
            assert time.monotonic() < deadline, "it does not begin"
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)

    assert (process.returncode, out) == (130, "")
    assert err == "ringfence: interrupted\n"


def test_a_thread_that_a_program_left_behind_does_not_keep_the_command(tmp_path: Path) -> None:
    program = "import threading, time\nthreading.Thread(target=time.sleep, args=(300,)).start()\n"
    start = time.monotonic()

    done = run("check", ".", cwd=write_project(tmp_path, {"__main__.py": program}))

    assert time.monotonic() - start < 30
    assert (done.returncode, "1 stack" in done.stdout) == (0, True)


def test_help_loads_neither_pulumi_nor_a_provider(tmp_path: Path) -> None:
    program = (
        "import contextlib, io, sys\n"
        "from ringfence.cli.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main(['--help'])\n"
        "print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=clean({}), capture_output=True, text=True, check=True
    )

    loaded = set(result.stdout.split())
    assert "ringfence" in loaded
    assert loaded & {"pulumi", "pulumi_policy", "pydantic", "rich", "yaml", "grpc", "ringfence_policies"} == set()


# --- the command line, in this process -------------------------------------------------------------------------------


def called(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error of the command, run in this process."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else -1
    captured = capsys.readouterr()
    assert not any(mark in captured.out + captured.err for mark in MARKS)
    return code, captured.out, captured.err


HELP: list[tuple[Sequence[str], list[str]]] = [
    (["--help"], ["check", "preview", "rules", "exit codes: 0 nothing blocks; 1"]),
    (
        ["check", "--help"],
        [
            *("--stack", "--config", "--policy-pack", "--policy-pack-config", "--profile", "--select", "--ignore"),
            *("--outputs", "--strict-unknowns", "--format", "--output", "--all-verdicts", "--exit-zero", "--debug"),
        ],
    ),
    (["preview", "--help"], ["--stack", "--config", "--outputs", "--format", "--output"]),
    (["rules", "--help"], ["CODE|NAME", "ringfence rules ST02"]),
    (["--version"], ["ringfence 0."]),
]


@pytest.mark.parametrize(("arguments", "expected"), HELP, ids=[" ".join(arguments) for arguments, _ in HELP])
def test_help(capsys: pytest.CaptureFixture[str], arguments: Sequence[str], expected: list[str]) -> None:
    code, out, err = called(capsys, *arguments)

    assert (code, err) == (0, "")
    assert [text for text in expected if text not in out] == []


WRONG: list[tuple[Sequence[str], str]] = [
    ([], "the following arguments are required: COMMAND"),
    (["chek"], "argument COMMAND: invalid choice: 'chek'"),
    (["check", "--nonsense"], "unrecognized arguments: --nonsense"),
    (["check", "--format", "pdf"], "argument --format: invalid choice: 'pdf'"),
    (["check", "--outputs", "maybe"], "argument --outputs: invalid choice: 'maybe'"),
    (["check", "--stack"], "argument --stack: expected at least one argument"),
    (["check", "--time-limit", "soon"], "expected a number of seconds above 0 and below 86400, found 'soon'"),
    (["check", "--time-limit", "0"], "expected a number of seconds above 0 and below 86400, found '0'"),
    (["check", "--time-limit", "nan"], "expected a number of seconds above 0 and below 86400, found 'nan'"),
    (["preview", "--format", "sarif"], "argument --format: invalid choice: 'sarif'"),
    (["rules", "--format", "sarif"], "argument --format: invalid choice: 'sarif'"),
    (["check", "--config", "size"], "ringfence: --config size: expected KEY=VALUE"),
    (["check", "--config", "=hunter2"], "ringfence: --config …: expected KEY=VALUE"),
    (["check", "--config", "my token hunter2"], "ringfence: --config …: expected KEY=VALUE"),
    (["check", "--config", "a:b:c=1", "good"], "--config a:b:c: expected a key of the form name or namespace:name"),
    (["check", "--stack", "dev", "good"], "ringfence: --stack dev good: good is a folder; put projects before --stack"),
    (["check", "--select", "XX01", "good"], "ringfence: --select XX01: no rule has that code or name"),
    (["check", "--ignore", "storage", "good"], "ringfence: --ignore storage: no rule has that code or name"),
    (["check", "--profile", "nonsense", "good"], "ringfence: --profile nonsense: policy pack ringfence has no profile"),
    (["check", "--policy-pack-config", "none.json", "good"], "ringfence: none.json: cannot be read: No such file"),
    (["check", "--policy-pack", "nowhere", "good"], "nowhere: there is no such folder; a policy pack is a folder with"),
    (
        ["check", "--policy-pack", str(PACKS / "does_not_import"), "good"],
        "does_not_import: the policy pack does not import: ",
    ),
    (
        ["check", "--policy-pack", str(PACKS / "two_of_one_name"), "good"],
        "two_of_one_name: policy pack twice: two policies are called same",
    ),
    (["check", "nowhere"], "nowhere: there is no such folder; expected one with a Pulumi.yaml"),
    (["check", "."], "is no Pulumi project: there is no Pulumi.yaml in it, nor in a folder above it"),
    (["preview", "nowhere"], "nowhere: there is no such folder; expected one with a Pulumi.yaml"),
    (["check", "good", "--stack", "test"], "there is no such file for stack 'test'; expected one of the stacks dev"),
    (["check", "--output", "good", "good"], "ringfence: --output good: is a folder; expected a file"),
    (["check", "--output", "no/r.json", "good"], "ringfence: --output no/r.json: there is no folder "),
    (["preview", "--output", "good", "good"], "ringfence: --output good: is a folder; expected a file"),
    (["rules", "XX01"], "ringfence: no rule is called 'XX01'; `ringfence rules` lists them"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[" ".join(arguments)[-60:] for arguments, _ in WRONG])
def test_a_mistake_is_one_message_and_exit_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: Sequence[str],
    message: str,
) -> None:
    if "." not in arguments:
        write_project(tmp_path / "good", dev="config: {}\n")
    monkeypatch.chdir(tmp_path)

    code, out, err = called(capsys, *arguments)

    assert code == 2
    # Reports wrap lines; messages of the command itself stand on one.
    assert message in err or message in " ".join(out.split())
    assert "hunter2" not in out + err


def test_the_rules_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert "ST02" in called(capsys, "rules")[1]
    assert "PG05" in called(capsys, "rules")[1]
    assert called(capsys, "rules", "st02")[1] == called(capsys, "rules", "storage-minimum-tls")[1]
    assert "The engine refuses two resources with one URN." in called(capsys, "rules", "pg05")[1]
    for name in ("ST02", "PG05"):
        [rule] = json.loads(called(capsys, "rules", name, "--format", "json")[1])["rules"]
        assert rule["code"] == name


def test_an_old_report_stays_whole_when_the_new_one_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_project(tmp_path / "p")
    report = tmp_path / "report.json"
    report.write_text("old")

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    code, _, err = called(capsys, "check", tmp_path / "p", "--format", "json", "--output", report)

    assert code == 2
    assert err == f"ringfence: --output {report}: cannot be written: No space left on device\n"
    assert report.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p", "report.json"]


def test_a_report_takes_the_place_of_the_old_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_project(tmp_path / "p")
    report, link = tmp_path / "report.json", tmp_path / "link.json"
    report.write_text("old")
    report.chmod(0o640)
    link.symlink_to(report)

    code, out, err = called(capsys, "check", tmp_path / "p", "--format", "json", "--output", link)

    assert (code, out, err) == (0, "", "")
    assert json.loads(report.read_text())["version"] == 1
    assert link.is_symlink()
    assert report.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.json", "p", "report.json"]


def test_a_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path and allowed(path, mode))

    with pytest.raises(shared.OutputError, match=f"nothing may be written to {tmp_path}"):
        shared.check_output(tmp_path / "report.json")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) == tmp_path)
    (tmp_path / "report.json").write_text("old")
    with pytest.raises(shared.OutputError, match=r"report\.json: may not be written"):
        shared.check_output(tmp_path / "report.json")


def test_a_fault_of_our_own_is_said_to_be_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("lost")

    write_project(tmp_path)
    monkeypatch.setattr(EmbeddedSource, "evaluate", fail)

    assert main(["check", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        "ringfence: internal error: KeyError: 'lost'\n"
        "This is a fault of ringfence itself. --debug shows where; please report it with that output.\n"
    )
    with pytest.raises(KeyError, match="lost"):
        main(["check", str(tmp_path), "--debug"])


def test_an_input_that_cannot_be_read_is_told_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_project(tmp_path / "p")
    (tmp_path / "config.json").write_bytes(b"\xff")

    code, _, err = called(capsys, "check", tmp_path / "p", "--policy-pack-config", tmp_path / "config.json")

    assert (code, err) == (2, f"ringfence: {tmp_path}/config.json: is not UTF-8 text\n")
    code, _, err = called(capsys, "check", "x" * 5000)
    assert code == 2
    assert err.endswith(": File name too long\n")


COLOR = [
    (True, {}, True),
    (True, {"NO_COLOR": ""}, True),
    (True, {"NO_COLOR": "1"}, False),
    (True, {"TERM": "dumb"}, False),
    (False, {}, False),
]


@pytest.mark.parametrize(("terminal", "environment", "expected"), COLOR)
def test_when_to_colour(terminal: bool, environment: dict[str, str], expected: bool) -> None:
    class Stream:
        def isatty(self) -> bool:
            return terminal

    assert shared.use_color(Stream(), environment) is expected
    assert shared.use_color(None, environment) is False
