"""Packs that are missing something, crash or hang: one error that names the pack, and no process left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ringfence.deployment import Secret
from ringfence.packs.launch import StackFacts
from ringfence.packs.running import close_all
from ringfence.policy.pack import PackError
from tests.unit.packs.fakes import ROOT, THING, fake_pack, judged, policy, starts, thing, wait_until_gone

FAKE = ROOT / "tests/unit/packs/fake_analyzer.py"


@pytest.fixture(autouse=True)
def _no_pack_stays() -> Iterator[None]:
    yield
    close_all()


@pytest.mark.parametrize(
    ("does", "message"),
    [
        ({"start": "exit"}, "does not start: it ran to its end and served no policies"),
        ({"start": "exit", "code": 3}, "does not start: it ended itself with exit code 3"),
        (
            {"start": "exit", "code": 3, "warns": ["No luck."]},
            "does not start: No luck; it ended itself with exit code 3",
        ),
        ({"Handshake": "exit"}, "broke off when it was greeted: the last words; it ended itself with exit code 7"),
        ({"ConfigureStack": "refuse"}, "failed when it was told of the stack: it went wrong"),
        ({"GetAnalyzerInfo": "refuse"}, "failed when it was asked for its policies: it went wrong"),
        ({"Configure": "refuse"}, "failed when it was configured: it went wrong"),
        (
            {"Analyze a": "exit"},
            f"broke off when it judged {THING} a: the last words; it ended itself with exit code 7",
        ),
        ({"Analyze a": "kill"}, f"broke off when it judged {THING} a: it was ended by signal 9"),
        ({"AnalyzeStack": "kill"}, "broke off when it judged the stack: it was ended by signal 9"),
        ({"Remediate a": "kill"}, f"broke off when it remediated {THING} a: it was ended by signal 9"),
    ],
    ids=str,
)
def test_a_pack_that_breaks_off(tmp_path: Path, does: dict[str, Any], message: str) -> None:
    policies = (policy("one", "REMEDIATE"), policy("all", kind="STACK"))
    pack = fake_pack(tmp_path / "pack", *policies, child=True, **does)

    with pytest.raises(PackError) as raised:
        judged([pack], thing())

    assert str(raised.value) == f"{pack}: the policy pack {message}"
    wait_until_gone(starts(pack)[0]["pid"], int((pack / "child").read_text()))


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("x = (1,\n", "SyntaxError: '(' was never closed (__main__.py:1)"),
        ("\nimport rules\n", "ValueError: no such size (rules.py:2)"),
        (
            "import nowhere\n",
            "ModuleNotFoundError: No module named 'nowhere' (__main__.py:1); install what the pack requires for "
            f"{sys.executable}",
        ),
    ],
)
def test_a_pack_in_python_that_does_not_import(tmp_path: Path, program: str, message: str) -> None:
    pack = fake_pack(tmp_path / "pack")
    (pack / "__main__.py").write_text(program)
    (pack / "rules.py").write_text("def size():\n    raise ValueError('no such size')\n\nsize()\n")

    with pytest.raises(PackError) as raised:
        judged([pack], thing())

    assert str(raised.value) == f"{pack}: the policy pack does not start: {message}"


def test_a_pack_that_hangs_at_its_start_says_where(tmp_path: Path) -> None:
    pack = fake_pack(tmp_path / "pack", child=True)
    (pack / "__main__.py").write_text("import time\n\nprint('up')\ntime.sleep(600)\n")

    with pytest.raises(PackError) as raised:
        judged([pack], thing(), seconds=3)

    assert str(raised.value) == f"{pack}: the policy pack did not start within 3 s (__main__.py:4)"


def test_a_pack_that_hangs_at_a_resource(tmp_path: Path) -> None:
    pack = fake_pack(tmp_path / "pack", policy("one"), **{"Analyze b": "hang"})

    with pytest.raises(PackError) as raised:
        judged([pack], thing("a"), thing("b"), seconds=4)

    # It hangs in the fake, which is no file of the pack.
    line = next(n for n, text in enumerate(FAKE.read_text().splitlines(), 1) if "sleep(600)" in text)
    expected = f"{pack}: the policy pack did not answer within 4 s when it judged {THING} b ({FAKE}:{line})"
    assert str(raised.value) == expected
    wait_until_gone(starts(pack)[0]["pid"])


def test_what_a_pack_writes_before_it_dies_shows_no_secret(tmp_path: Path) -> None:
    early = fake_pack(tmp_path / "early", start="exit", code=1, warns=["token is tok3n-abc"])
    late = fake_pack(tmp_path / "late", policy("one"), words="key is hunter2x", **{"Analyze a": "exit"})
    facts = StackFacts("shop", "dev", config={"shop:t": "tok3n-abc"}, secret_keys=frozenset({"shop:t"}))

    with pytest.raises(PackError, match=r"token is \[secret\]"):
        judged([early], thing(), facts=facts)
    with pytest.raises(PackError, match=r"key is \[secret\]; it ended itself"):
        judged([late], thing(key=Secret("hunter2x")), facts=facts)


def test_what_a_pack_prints_goes_nowhere(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pack = fake_pack(tmp_path / "pack", policy("one"), prints=["hello", "port 80", "0x50"], warns=["careful"])

    assert [finding.verdict.value for finding in judged([pack], thing()).findings] == ["pass"]
    close_all()
    assert capfd.readouterr() == ("", "")


# --- one process for many runs ---------------------------------------------------------------------------------------


def test_a_process_is_used_again_for_the_same_stack(tmp_path: Path) -> None:
    pack = fake_pack(tmp_path / "pack", policy("one"))

    for number in range(3):
        judged([pack], thing(), configs=[{"one": "advisory"} if number == 1 else {}])
    other = StackFacts("shop", "prod", config={"shop:size": "4"})
    judged([pack], thing(), facts=other)

    assert [start["environment"]["PULUMI_STACK"] for start in starts(pack)] == ["dev", "prod"]


def test_a_process_that_ended_meanwhile_is_started_again(tmp_path: Path) -> None:
    pack = fake_pack(tmp_path / "pack", policy("one"))
    judged([pack], thing())
    pid = starts(pack)[0]["pid"]
    subprocess.run(["kill", "-KILL", str(pid)], check=True)
    # The first of its threads is gone before the others are, and the process is over with the last.
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    judged([pack], thing())

    assert len(starts(pack)) == 2


def test_one_pack_twice_in_a_run_has_two_processes(tmp_path: Path) -> None:
    pack = fake_pack(tmp_path / "pack", policy("one"))

    judged([pack, pack], thing(), configs=[{"one": "advisory"}, {"one": "mandatory"}])

    assert len(starts(pack)) == 2


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)", "os.kill(os.getpid(), 15)", "pass"])
def test_a_pack_ends_with_the_process_that_started_it(tmp_path: Path, end: str) -> None:
    pack = fake_pack(tmp_path / "pack", policy("one"), child=True)
    code = (
        "import os\nfrom pathlib import Path\n"
        "from tests.unit.packs.fakes import judged, thing\n"
        f"judged([Path({str(pack)!r})], thing())\n{end}\n"
    )

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = {**os.environ, "TMPDIR": str(scratch)}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=False, timeout=60)

    wait_until_gone(starts(pack)[0]["pid"], int((pack / "child").read_text()))
    assert list(scratch.iterdir()) == []


def test_packs_start_while_the_program_is_evaluated(tmp_path: Path) -> None:
    from ringfence.packs.loading import starting
    from tests.unit.packs.fakes import FACTS

    pack = fake_pack(tmp_path / "pack", policy("one"))

    with starting([(pack, None)], FACTS, seconds=30, isolate=True):
        limit = time.monotonic() + 20
        while not starts(pack):  # nothing waits for it
            assert time.monotonic() < limit
            time.sleep(0.02)
