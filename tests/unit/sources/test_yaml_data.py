from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringfence.sources import yaml_data
from ringfence.sources.yaml_data import ProjectError, load_yaml


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data.yaml"


SCALARS: list[tuple[str, Any]] = [
    ("true", True),
    ("False", False),
    ("yes", "yes"),
    ("off", "off"),
    ("y", "y"),
    ("null", None),
    ("~", None),
    ("", None),
    ("12", 12),
    ("+12", 12),
    ("-12", -12),
    ("0", 0),
    ("1_000", 1000),
    ("0x1F", 31),
    ("-0x1F", -31),
    ("0b101", 5),
    ("0o17", 15),
    ("017", 15),
    ("089", 89),
    ("1e3", 1000),
    ("1.0", 1),
    ("1.50", 1.5),
    ("-.5", -0.5),
    (".5", 0.5),
    ("1e999", "1e999"),
    (".inf", ".inf"),
    (".nan", ".nan"),
    (".", "."),
    ("-", [None]),
    ("123456789012", 123456789012),
    ("123456789012345678901234567890", 123456789012345678901234567890),
    ("9" * 5000, "9" * 5000),
    ("2024-01-31", "2024-01-31"),
    ("2024-01-31T10:00:00Z", "2024-01-31T10:00:00Z"),
    ("22:22", "22:22"),
    ("10.0.0.0/16", "10.0.0.0/16"),
    ("1.2.3", "1.2.3"),
    ('"12"', "12"),
    ("'true'", "true"),
    ("!!str 12", "12"),
    ('!!int "12"', 12),
    ('!!bool "true"', True),
    ("!!float 1", 1),
    ("!!null ''", None),
    ("|\n  a\n  b\n", "a\nb\n"),
    ("größe", "größe"),
]


@pytest.mark.parametrize(("text", "expected"), SCALARS, ids=[text[:20] for text, _ in SCALARS])
def test_scalars_are_what_the_cli_takes_them_for(file: Path, text: str, expected: Any) -> None:
    file.write_text(f"key: {text}" if text != "-" else "key:\n  -", encoding="utf-8")

    value = load_yaml(file)["key"]

    assert value == expected
    assert type(value) is type(expected)


def test_aliases_and_merge_keys_are_expanded(file: Path) -> None:
    file.write_text("a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], z: 3}\nd: {w: 0, <<: *b}\ne: [*a, *a]\n")

    assert load_yaml(file) == {
        "a": {"x": 1, "y": 1},
        "b": {"y": 2, "z": 2},
        "c": {"x": 1, "y": 1, "z": 3},
        "d": {"w": 0, "y": 2, "z": 2},
        "e": [{"x": 1, "y": 1}, {"x": 1, "y": 1}],
    }


def test_an_empty_file_holds_nothing(file: Path) -> None:
    file.write_text("# a comment\n")

    assert load_yaml(file) is None


def test_a_byte_order_mark_is_no_part_of_the_text(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbfname: shop\n")

    assert load_yaml(file) == {"name": "shop"}


def test_a_tag_of_a_language_runs_nothing(file: Path) -> None:
    file.write_text("a: !!python/object/apply:os.getcwd []\n")

    assert load_yaml(file) == {"a": []}


def bomb(levels: int, fanout: int = 9) -> str:
    lines = ["a0: &a0 [x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * fanout)}]" for level in range(1, levels)]
    return "\n".join(lines)


FAULTS = [
    ("a: [1, 2\nb: 3\n", ":2:2: is not valid YAML: did not find expected ',' or ']'"),
    ("a: 1\n\tb: 2\n", ":2:1: is not valid YAML: found a tab character that violates indentation"),
    ("a: 1\nb: 2\na: 3\n", ":3:1: is not valid YAML: key 'a' is already defined in line 1"),
    ("a: &a [*a]", ":1:4: is not valid YAML: an anchor's value contains itself"),
    ("a: &a {b: {c: *a}}", ":1:4: is not valid YAML: an anchor's value contains itself"),
    ("a: &x 1\nb: &x 2\n", ":2:4: is not valid YAML: anchor 'x' is defined twice"),
    ("a: *b", ":1:4: is not valid YAML: found undefined alias"),
    ("config:\n  8080: x\n", ':2:3: is not valid YAML: a key must be text: write "8080"'),
    ("true: x\n", ':1:1: is not valid YAML: a key must be text: write "true"'),
    ("? [a]\n: 1\n", ":1:3: is not valid YAML: a key must be text"),
    ("<<: 5\n", ":1:5: is not valid YAML: `<<` takes a mapping or a list of mappings"),
    ("a: !!binary aGk=\n", ":1:4: is not valid YAML: tag 'binary' has no meaning here"),
    ("a: !!python/name:os.getcwd\n", ":1:4: is not valid YAML: tag 'python/name:os.getcwd' has no meaning here"),
    ("a: !!int x\n", ":1:4: is not valid YAML: 'x' is no int"),
    ("a: 1\n---\nb: 2\n", ":2:1: is not valid YAML: a second document begins"),
    ("a: \x01\n", ": is not valid YAML: unacceptable character #x0001: control characters are not allowed"),
    ("[" * 200_000, ":1:101: is not valid YAML: it is nested more than 100 levels deep"),
    ("{a: " * 200_000, ":1:401: is not valid YAML: it is nested more than 100 levels deep"),
    ("- " * 200_000, ":1:201: is not valid YAML: it is nested more than 100 levels deep"),
    (bomb(30), "is not valid YAML: its aliases stand for too many values"),
    (bomb(120, 1), "is not valid YAML: it is nested more than 100 levels deep"),
]


@pytest.mark.parametrize(("text", "message"), FAULTS, ids=[text[:20] for text, _ in FAULTS])
def test_a_fault_is_told_with_its_place(file: Path, text: str, message: str) -> None:
    file.write_text(text)

    with pytest.raises(ProjectError) as caught:
        load_yaml(file)
    assert str(caught.value).startswith(str(file))
    assert str(caught.value).endswith(message)


def test_a_large_file_without_aliases_is_no_bomb(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_data, "_EXPANDED", 10)
    values = {f"key{number}": list(range(10)) for number in range(100)}
    file.write_text("\n".join(f"{key}: {value}" for key, value in values.items()))

    assert load_yaml(file) == values


JSON_FAULTS = [
    ('{\n  "a": 1,\n}', ":3:1: is not valid JSON: "),
    ("[" * 150 + "]" * 150, ": is not valid JSON: it is nested more than 100 levels deep"),
    ("[" * 200_000, ": is not valid JSON: it is nested more than 100 levels deep"),
    (f"[{'9' * 5000}]", ": is not valid JSON: a number has too many digits"),
]


@pytest.mark.parametrize(("text", "message"), JSON_FAULTS, ids=[text[:10] for text, _ in JSON_FAULTS])
def test_a_json_file_is_read_as_json(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "Pulumi.json"
    file.write_text(text)

    with pytest.raises(ProjectError) as caught:
        load_yaml(file)
    assert str(caught.value).startswith(f"{file}{message}")
    file.write_text('{\n\t"name": "shop"}')
    assert load_yaml(file) == {"name": "shop"}


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("größe: 1".encode("latin-1"))

    with pytest.raises(ProjectError, match=r"latin\.yaml: is not UTF-8 text"):
        load_yaml(tmp_path / "latin.yaml")
    with pytest.raises(ProjectError, match=r"none\.yaml: cannot be read: No such file"):
        load_yaml(tmp_path / "none.yaml")
    with pytest.raises(ProjectError, match="cannot be read: Is a directory"):
        load_yaml(tmp_path)


TEXT = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), max_size=30)
DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT | st.dates().map(datetime.date.isoformat),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(data=DATA)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_json_is_yaml(file: Path, data: Any) -> None:
    file.write_text(json.dumps({"data": data}, ensure_ascii=False), encoding="utf-8")

    assert load_yaml(file) == {"data": data}


@given(text=st.text(alphabet="ab1:-?[]{},&*!|>'\"#% \n\t<.0_~e", max_size=40))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_no_text_makes_the_reader_crash(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")

    try:
        load_yaml(file)
    except ProjectError as error:
        assert str(error).startswith(str(file))  # noqa: PT017
