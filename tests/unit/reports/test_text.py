from __future__ import annotations

import json
from pathlib import Path

import pytest

from ringfence.deployment import SourceLine
from ringfence.reports.text import as_json, count, one_line, place, relative, shorten, source_json, visible


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/home/dev/infra/web/__main__.py", "web/__main__.py"),
        ("/home/dev/infra", "."),
        ("/home/dev/infra/../other/a.py", "/home/dev/other/a.py"),
        ("/home/dev/infra-old/a.py", "/home/dev/infra-old/a.py"),
        ("/usr/lib/python3/x.py", "/usr/lib/python3/x.py"),
        ("web/a.py", "web/a.py"),
        ("/home/dev/infra/two  blanks/ä.py", "two  blanks/ä.py"),
    ],
)
def test_paths_are_relative_below_the_base_and_absolute_elsewhere(path: str, expected: str) -> None:
    assert expected == relative(path, Path("/home/dev/infra"))


def test_a_place_is_a_path_and_a_line() -> None:
    base = Path("/w")

    assert place(SourceLine("/w/a b/x.py", 3, 7), base) == "a b/x.py:3"
    assert place(None, base) == ""
    assert source_json(SourceLine("/w/x.py", 3, 7), base) == {"path": "x.py", "line": 3, "column": 7}
    assert source_json(SourceLine("/w/x.py", 3), base) == {"path": "x.py", "line": 3}
    assert source_json(None, base) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("two\n lines\r\n and\ttabs", "two lines and tabs"),
        ("\x1b[31mred\x1b[0m", "\ufffd[31mred\ufffd[0m"),
        ("\u202eevil", "\ufffdevil"),
        ("lone \ud800", "lone \ufffd"),
        ("é 漢字 🚀", "é 漢字 🚀"),
        ("a\u2028b", "a b"),
    ],
)
def test_a_line_holds_nothing_that_steers_a_terminal(text: str, expected: str) -> None:
    assert expected == one_line(text)


def test_visible_keeps_blanks() -> None:
    assert visible("a  b\nc") == "a  b c"


def test_long_text_is_cut_with_a_note() -> None:
    assert shorten("abc", 3) == "abc"
    assert shorten("ab " * 1000, 5) == "ab ab … (3,000 characters; --format json has them all)"


def test_counts_agree_with_their_noun() -> None:
    assert [count(0, "stack"), count(1, "stack"), count(1200, "stack")] == ["0 stacks", "1 stack", "1,200 stacks"]


def test_json_holds_only_what_every_reader_takes() -> None:
    text = as_json({"a": [float("nan"), float("inf"), -float("inf"), 1.5], "é": "\ud800 漢"})

    assert json.loads(text, parse_constant=pytest.fail) == {
        "a": ["NaN", "Infinity", "-Infinity", 1.5],
        "é": "\ud800 漢",
    }
    assert "\\ud800 漢" in text.encode("utf-8").decode("utf-8")
    assert text.endswith("}\n")
