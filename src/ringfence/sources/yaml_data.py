"""YAML and JSON files, read as the Pulumi CLI reads them.

The CLI uses gopkg.in/yaml.v3, which differs from PyYAML where it hurts in config: `yes` and `22:22` are text, `1e3` is
a number, a key may not stand twice. So PyYAML only parses here, and the scalars are resolved as yaml.v3's resolve.go
does it. Two differences are meant: dates stay as they are written, and whole numbers keep all their digits.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import yaml

__all__ = ["ProjectError", "load_yaml"]

_DEPTH = 100
"""Levels of nesting. The parser's own recursion is in C and would take the whole process down."""
_TOO_DEEP = f"it is nested more than {_DEPTH} levels deep"
_EXPANDED = 100_000
"""Values that aliases may stand for. A few lines of aliases of aliases would else be billions of values."""

_TAG = "tag:yaml.org,2002:"
_PLAIN = "!plain"
"""The tag that scalars without quotes and without a tag get."""
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")


class ProjectError(ValueError):
    """A project or its config is wrong. The message names the file, the key and what was expected."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Parses only: which scalar is a number is not left to it."""


_Loader.yaml_implicit_resolvers = {None: [(_PLAIN, re.compile(""))]}


def load_yaml(path: Path) -> Any:
    """Return the data of a YAML file, or of a JSON file if it is called so.

    Raises `ProjectError` naming the file and, for a syntax error, line and column.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ProjectError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ProjectError(f"{path}: is not UTF-8 text") from None
    if path.suffix == ".json":
        return _load_json(path, text)
    try:
        return _Builder(text).build()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
        raise ProjectError(f"{path}{where}: is not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ProjectError(f"{path}: is not valid YAML: {str(error).splitlines()[0]}") from None


def _load_json(path: Path, text: str) -> Any:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ProjectError(f"{path}:{error.lineno}:{error.colno}: is not valid JSON: {error.msg}") from None
    except ValueError:
        raise ProjectError(f"{path}: is not valid JSON: a number has too many digits") from None
    except RecursionError:
        raise ProjectError(f"{path}: is not valid JSON: {_TOO_DEEP}") from None
    level = [data]
    for _ in range(_DEPTH):
        level = [child for item in level for child in _children(item)]
    if level:
        raise ProjectError(f"{path}: is not valid JSON: {_TOO_DEEP}")
    return data


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


class _Builder:
    """Makes data of one document. Every fault is a `yaml.MarkedYAMLError` with its place."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._left = 0
        self._open: set[int] = set()

    def build(self) -> Any:
        depth = documents = 0
        anchors: set[str] = set()
        for event in yaml.parse(self._text, Loader=_Loader):
            self._left += 1
            anchor = None if isinstance(event, yaml.AliasEvent) else getattr(event, "anchor", None)
            if anchor in anchors:
                raise _fault(event, f"anchor {anchor!r} is defined twice")
            if anchor is not None:
                anchors.add(anchor)
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _fault(event, "a second document begins")
            elif isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > _DEPTH:
                    raise _fault(event, _TOO_DEEP)
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
        self._left += _EXPANDED
        node = yaml.compose(self._text, Loader=_Loader)
        return None if node is None else self._value(node)

    def _value(self, node: yaml.Node) -> Any:
        self._left -= 1
        if self._left < 0:
            raise _fault(node, "its aliases stand for too many values")
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        if id(node) in self._open:
            raise _fault(node, "an anchor's value contains itself")
        if len(self._open) >= _DEPTH:
            raise _fault(node, _TOO_DEEP)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node)
            return [self._value(item) for item in node.value]
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _PLAIN and key_node.value == "<<":
                for item in self._merged(value_node):
                    merged = {**item, **merged}
                continue
            key = self._value(key_node)
            if not isinstance(key, str):
                raise _fault(key_node, f"a key must be text{_suggestion(key)}")
            if key in values:
                raise _fault(key_node, f"key {key!r} is already defined in line {lines[key]}")
            values[key] = self._value(value_node)
            lines[key] = key_node.start_mark.line + 1
        return {**merged, **values}

    def _merged(self, node: yaml.Node) -> list[dict[str, Any]]:
        """Return what a `<<` key takes over; of several the first wins."""
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        if not all(isinstance(item, yaml.MappingNode) for item in nodes):
            raise _fault(node, "`<<` takes a mapping or a list of mappings")
        return [self._value(item) for item in nodes]


def _fault(place: yaml.Node | yaml.Event, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=place.start_mark)  # type: ignore[arg-type]


def _suggestion(key: Any) -> str:
    """Say how to write a key that is no text: `8080` is a number, `"8080"` a text."""
    return "" if isinstance(key, dict | list) else f": write {json.dumps(json.dumps(key))}"


def _scalar(node: yaml.ScalarNode) -> Any:
    tag = node.tag.removeprefix(_TAG)
    if tag == "str":
        return node.value
    value = _resolved(node.value)
    if tag == _PLAIN:
        return value
    kinds = {"int": int, "float": int | float, "bool": bool, "null": type(None)}
    if tag not in kinds:
        raise _fault(node, f"tag {tag!r} has no meaning here")
    if not isinstance(value, kinds[tag]) or (tag in ("int", "float") and isinstance(value, bool)):
        raise _fault(node, f"{node.value!r} is no {tag}")
    return value


def _resolved(text: str) -> Any:
    """Return what a scalar without quotes is: null, a boolean, a number, else the text."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "0123456789+-.":
        return text
    plain = text.replace("_", "") if text[0] != "." else text
    match = _INTEGER.match(plain)
    if match is not None:
        sign, *digits = match.groups()
        base, number = next((base, item) for base, item in zip((16, 2, 8, 10), digits, strict=True) if item is not None)
        try:
            return int(sign + number, base)
        except ValueError:  # more digits than Python converts
            return text
    if _FLOAT.match(plain):
        value = float(plain)
        if math.isfinite(value):
            # The CLI writes the file's data out again before it reads the config: 1.0 becomes 1 on the way.
            return int(value) if value.is_integer() and abs(value) < 1e21 else value
    return text
