"""docs/testing.md, as a reader would follow it: its files are written, its commands are run, one after the other."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_every_block_is_run(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    outputs = []
    for language, text in BLOCKS:
        if language in ("python", "yaml"):
            first, _, _ = text.partition("\n")
            path = pytester.path / first.removeprefix("# ")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif language == "sh":
            program, *arguments = shlex.split(text)
            assert program == "pytest"
            outputs.append(pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments))
        else:
            assert language == "text"

    shop, findings, report, policy = [output.parseoutcomes() for output in outputs]
    assert shop == {"passed": 8}
    assert {"passed"} == set(findings)
    assert findings["passed"] >= 4
    assert {"passed"} <= set(report) <= {"passed", "skipped", "xfailed"}
    assert report["passed"] >= 4
    assert policy == {"passed": 9}
    assert (pytester.path / "policies.xml").stat().st_size > 1000


def test_the_failure_that_the_page_shows(pytester: pytest.Pytester) -> None:
    (shown,) = [text for language, text in BLOCKS if language == "text"]
    for language, text in BLOCKS:
        if language in ("python", "yaml") and text.startswith("# shop/"):
            path = pytester.path / text.partition("\n")[0].removeprefix("# ")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.ringfence("shop", stacks=["dev"])
        def test_it(deployment):
            assert deployment.one(name="jobs").inputs["visibilityTimeoutSeconds"] == 3000
        """
    )

    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")

    result.stdout.fnmatch_lines([line.replace("[", "[[]") for line in shown.splitlines()])
