"""Programs that emulators run in: how they start, end and fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ringfence.emulators.child import Child
from ringfence.emulators.interface import EmulatorError

WAITS = "import sys; print('up', flush=True); sys.stdin.read()"
STUBBORN = "import time; print('up', flush=True); time.sleep(60)"


def child(code: str, environment: dict[str, str] | None = None) -> Child:
    return Child("It", [sys.executable, "-c", code], environment or {})


def is_up(one: Child) -> bool:
    return "up" in one.output


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    return status.rpartition(")")[2].split()[0] != "Z"


def test_it_ends_when_its_input_does() -> None:
    one = child(WAITS)
    one.wait_until(lambda: is_up(one))
    folder, pid = one.folder, one.pid

    one.check()
    one.stop()
    one.stop()

    assert not alive(pid)
    assert not folder.exists()


def test_what_it_has_started_is_ended_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence.emulators.child.STOP_SECONDS", 0.2)
    code = (
        "import subprocess, sys\n"
        f"process = subprocess.Popen([sys.executable, '-c', {STUBBORN!r}])\n"
        "print(process.pid, 'up', flush=True)\n"
        "process.wait()\n"
    )
    one = child(code)
    one.wait_until(lambda: is_up(one))
    grandchild = int(one.output.split()[0])

    one.stop()

    deadline = time.monotonic() + 5
    while alive(grandchild) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(grandchild)


def test_it_gets_nothing_of_the_environment_that_could_lead_to_a_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    code = "import os; print(sorted(os.environ)); print('up', flush=True)"
    one = child(code, {"OWN": "1"})
    try:
        one.wait_until(lambda: is_up(one))
        assert "AWS_PROFILE" not in one.output
        assert "'OWN'" in one.output
    finally:
        one.stop()


def test_one_that_ends_at_once_is_shown_with_its_last_words() -> None:
    one = child("import sys; print('no such option'); sys.exit(2)")

    with pytest.raises(EmulatorError) as caught:
        one.wait_until(lambda: False)

    assert str(caught.value) == "It ended with exit code 2; its last lines:\n  no such option"
    assert not one.folder.exists()


def test_one_that_never_answers() -> None:
    one = child(WAITS)

    with pytest.raises(EmulatorError, match=r"It did not answer within 0\.1 s"):
        one.wait_until(lambda: False, 0.1)

    assert not alive(one.pid)


def test_one_that_is_killed() -> None:
    one = child(WAITS)
    one.wait_until(lambda: is_up(one))

    os.kill(one.pid, signal.SIGKILL)
    time.sleep(0.1)

    with pytest.raises(EmulatorError, match="It was killed by SIGKILL; its last lines:\n  up"):
        one.check()
    one.stop()


def test_a_program_that_is_missing() -> None:
    with pytest.raises(EmulatorError, match=r"It cannot be started: .*No such file"):
        Child("It", ["/no/such/program"], {})


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys, time\n"
        "from ringfence.emulators.child import Child\n"
        f"one = Child('It', [sys.executable, '-c', {WAITS!r}], {{}})\n"
        "one.wait_until(lambda: 'up' in one.output)\n"
        "print(one.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}

    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)

    assert found.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 5
    while alive(int(found.stdout)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(int(found.stdout))
