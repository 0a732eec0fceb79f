from __future__ import annotations

from typing import Any

import pytest

from ringfence.policy.rule import Parameter, ParameterError, Rule, rule
from ringfence.policy.verdict import Level, Severity
from tests.unit.policy.small_rules import BUCKET, closed, make_rule

SIZE = Parameter("size", "integer", 5, "Gigabytes.", minimum=1, maximum=10)
RATIO = Parameter("ratio", "number", 0.5, "Share.", minimum=0.1)
NAME = Parameter("name", "string", "a", "Name.", choices=("a", "b"))
TEXT = Parameter("text", "string", "", "Text.")
FLAG = Parameter("flag", "boolean", False, "Flag.")
NAMES = Parameter("names", "array", (), "Names.", choices=("a", "b"))
CAP = Parameter("cap", "number", 1, "Cap.", maximum=9)

ACCEPTED: list[tuple[Parameter, list[tuple[Any, Any]], list[Any], str]] = [
    (
        SIZE,
        [(1, 1), (10, 10), (3.0, 3)],
        [0, 11, 2.5, "3", True, None, [3], float("nan"), float("inf"), 10**400],
        "a whole number from 1 to 10",
    ),
    (RATIO, [(0.1, 0.1), (7, 7)], [0, "1", False, float("nan"), float("inf")], "a number of at least 0.1"),
    (CAP, [(9, 9)], [9.5, float("nan"), float("-inf")], "a number of at most 9"),
    (NAME, [("a", "a")], ["c", "A", 1, None], "a string out of a, b"),
    (TEXT, [("x", "x"), ("", "")], [1, None, ["x"]], "a string"),
    (FLAG, [(True, True)], [1, 0, "true", None], "true or false"),
    (NAMES, [(["a"], ("a",)), ((), ())], ["a", ["c"], [1], None, {"a": 1}], "a list of strings out of a, b"),
]


@pytest.mark.parametrize(("parameter", "good", "bad", "expected"), ACCEPTED, ids=[item[0].name for item in ACCEPTED])
def test_which_values_a_parameter_takes(
    parameter: Parameter, good: list[tuple[Any, Any]], bad: list[Any], expected: str
) -> None:
    assert parameter.expected() == expected
    for value, taken in good:
        assert parameter.accept(value) == taken
        assert type(parameter.accept(value)) is type(taken)
    for value in bad:
        with pytest.raises(ParameterError) as caught:
            parameter.accept(value)
        assert str(caught.value) == f"{parameter.name}: expected {expected}, found {value!r}"


SCHEMAS = [
    (SIZE, {"type": "integer", "description": "Gigabytes.", "default": 5, "minimum": 1, "maximum": 10}),
    (NAME, {"type": "string", "description": "Name.", "default": "a", "enum": ["a", "b"]}),
    (
        NAMES,
        {"type": "array", "description": "Names.", "default": (), "items": {"type": "string", "enum": ["a", "b"]}},
    ),
    (FLAG, {"type": "boolean", "description": "Flag.", "default": False}),
]


@pytest.mark.parametrize(("parameter", "schema"), SCHEMAS, ids=[parameter.name for parameter, _ in SCHEMAS])
def test_the_schema_of_a_parameter(parameter: Parameter, schema: dict[str, Any]) -> None:
    assert parameter.schema() == schema


def test_the_values_of_a_rule() -> None:
    subject = make_rule(closed, parameters=(SIZE, NAMES))

    assert subject.values() == {"size": 5, "names": ()}
    assert subject.values({"size": 7.0, "names": ["b"]}) == {"size": 7, "names": ("b",)}
    with pytest.raises(ParameterError, match=r"^siz: TS01 has no such parameter \(it has: size, names\)$"):
        subject.values({"siz": 7})
    with pytest.raises(ParameterError, match=r"^size: expected a whole number from 1 to 10, found 0$"):
        subject.values({"size": 0})


NAMES_REFUSED = [
    ({"code": "T1"}, "T1: a rule's code is two or three capitals and two digits"),
    ({"code": "ts01"}, "ts01: a rule's code"),
    ({"code": "TS001"}, "TS001: a rule's code"),
    ({"code": "TS01\n"}, "a rule's code"),
    ({"name": "closed"}, "TS01: 'closed' is not a policy name in kebab-case"),
    ({"name": "Bucket-closed"}, "is not a policy name"),
    ({"name": "bucket_closed"}, "is not a policy name"),
    ({"name": "bucket--closed"}, "is not a policy name"),
    ({"name": "bucket-closed\n"}, "is not a policy name"),
]


@pytest.mark.parametrize(("changes", "message"), NAMES_REFUSED)
def test_codes_and_names_have_a_form(changes: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_rule(closed, **changes)


def test_the_decorator_makes_a_rule_of_a_function() -> None:
    made = rule(
        "TS01",
        "bucket-closed",
        "Buckets are closed",
        types=(BUCKET,),
        severity=Severity.HIGH,
        level=Level.MANDATORY,
        why="w",
        reads="r",
        absent="a",
        remedy="m",
        sources=("project",),
        bad=(),
        good=(),
    )(closed)

    assert isinstance(made, Rule)
    assert (made.code, made.name, made.title, made.check) == ("TS01", "bucket-closed", "Buckets are closed", closed)
