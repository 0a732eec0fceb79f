from __future__ import annotations

from typing import Any

import pytest

from ringfence.deployment import UNKNOWN, Archive, Asset, ResourceReference, Secret
from ringfence.policy.property import Property, State, describe

INPUTS: dict[str, Any] = {
    "name": "host",
    "none": None,
    "size": 3,
    "flag": False,
    "empty": "",
    "unknown": UNKNOWN,
    "secret": Secret("hunter2"),
    "secretUnknown": Secret(UNKNOWN),
    "secretObject": Secret({"key": "hunter2", "list": ["hunter2"]}),
    "list": [1, UNKNOWN, Secret("hunter2"), None, {"a": 1}],
    "object": {"a": {"b": [True]}, "odd key": 1, "half": {"known": 1, "not": UNKNOWN}},
    "json": '{"Statement": [{"Effect": "Allow"}]}',
}
ROOT = Property(INPUTS)

PLACES: list[tuple[Property, State, str, str]] = [
    (ROOT["name"], State.PRESENT, "name", '"host"'),
    (ROOT["none"], State.ABSENT, "none", "nothing"),
    (ROOT["missing"], State.ABSENT, "missing", "nothing"),
    (ROOT["missing"]["deeper"], State.ABSENT, "missing.deeper", "nothing"),
    (ROOT["unknown"], State.UNKNOWN, "unknown", "a value that is not known before apply"),
    (ROOT["unknown"]["deeper"], State.UNKNOWN, "unknown.deeper", "a value that is not known before apply"),
    (ROOT["name"]["key"], State.MALFORMED, "name.key", '"host" where an object belongs'),
    (ROOT["name"]["key"]["deeper"], State.MALFORMED, "name.key.deeper", '"host" where an object belongs'),
    (ROOT["list"]["key"], State.MALFORMED, "list.key", "[1, "),
    (ROOT["flag"], State.PRESENT, "flag", "false"),
    (ROOT["empty"], State.PRESENT, "empty", '""'),
    (ROOT["secret"], State.PRESENT, "secret", "a secret value"),
    (ROOT["secretUnknown"], State.UNKNOWN, "secretUnknown", "a value that is not known before apply"),
    (ROOT["secretObject"]["key"], State.PRESENT, "secretObject.key", "a secret value"),
    (ROOT["secret"]["key"], State.MALFORMED, "secret.key", "a secret value where an object belongs"),
    (ROOT["object"]["odd key"], State.PRESENT, 'object["odd key"]', "1"),
    (ROOT.at("object.a.b"), State.PRESENT, "object.a.b", "[true]"),
    (ROOT.at("object.half.not"), State.UNKNOWN, "object.half.not", "a value that is not known before apply"),
    (ROOT["list"].elements()[3], State.ABSENT, "list[3]", "nothing"),
    (ROOT["list"].elements()[4]["a"], State.PRESENT, "list[4].a", "1"),
    (ROOT["json"].json()["Statement"].elements()[0]["Effect"], State.PRESENT, "json.Statement[0].Effect", '"Allow"'),
]


@pytest.mark.parametrize(("place", "state", "path", "shown"), PLACES, ids=[path for _, _, path, _ in PLACES])
def test_a_place_knows_its_state_path_and_text(place: Property, state: State, path: str, shown: str) -> None:
    assert place.state is state
    assert place.path == path
    assert place.shown == shown or (shown == "[1, " and place.shown.endswith("where an object belongs"))
    states = (place.present, place.absent, place.unknown)
    assert states == (state is State.PRESENT, state is State.ABSENT, state is State.UNKNOWN)
    assert "hunter2" not in repr(place)


NUMBERS: list[tuple[Any, float | None]] = [
    (3, 3.0),
    (3.5, 3.5),
    ("3", 3.0),
    ("-3.5 ", -3.5),
    ("+3", 3.0),
    (True, None),
    ("3a", None),
    ("", None),
    ("1e3", None),
    ("٣", None),
    (float("nan"), None),
    (float("inf"), None),
    (10**400, None),
    ("9" * 100, None),
    ([3], None),
    (None, None),
    (UNKNOWN, None),
    (Secret(3), 3.0),
]


@pytest.mark.parametrize(("value", "expected"), NUMBERS, ids=[repr(value)[:12] for value, _ in NUMBERS])
def test_numbers(value: Any, expected: float | None) -> None:
    assert Property(value).number == expected


def test_values_and_texts() -> None:
    assert ROOT["secret"].value == "hunter2"
    assert ROOT["secret"].text == "hunter2"
    assert ROOT["size"].text is None
    assert ROOT["unknown"].value is None
    assert ROOT["name"]["key"].value is None


def test_kinds() -> None:
    assert [key for key in INPUTS if ROOT[key].is_object] == ["secretObject", "object"]
    assert [key for key in INPUTS if ROOT[key].is_list] == ["list"]
    assert Property((1, 2)).is_list
    assert not Property("text").is_list


def test_a_test_of_a_value() -> None:
    assert ROOT["size"].satisfies(lambda value: value == 3) is True
    assert ROOT["size"].satisfies(lambda value: value == 4) is False
    assert ROOT["unknown"].satisfies(lambda value: True) is None
    assert ROOT["missing"].satisfies(lambda value: True) is False
    assert ROOT["name"]["key"].satisfies(lambda value: True) is False


def paths(places: list[Property]) -> list[tuple[str, str]]:
    return [(place.path, place.state.value) for place in places]


def test_elements_never_pass_by_being_empty() -> None:
    assert paths(ROOT["list"].elements()) == [
        ("list[0]", "present"),
        ("list[1]", "unknown"),
        ("list[2]", "present"),
        ("list[3]", "absent"),
        ("list[4]", "present"),
    ]
    assert paths(ROOT["unknown"].elements()) == [("unknown[*]", "unknown")]
    assert paths(ROOT["missing"].elements()) == []
    assert paths(ROOT["name"].elements()) == [("name", "malformed")]
    assert ROOT["name"].elements()[0].shown == '"host" where a list belongs'
    assert paths(ROOT["name"]["key"].elements()) == [("name.key", "malformed")]
    assert all(place.secret for place in ROOT["secretObject"]["list"].elements())


def test_a_single_value_may_stand_for_a_list_of_one() -> None:
    assert paths(ROOT["name"].elements_or_self()) == [("name", "present")]
    assert paths(ROOT["unknown"].elements_or_self()) == [("unknown", "unknown")]
    assert paths(ROOT["missing"].elements_or_self()) == []
    assert len(ROOT["list"].elements_or_self()) == 5


def test_entries() -> None:
    def entries(place: Property) -> list[tuple[str, str, str]]:
        return [(key, item.path, item.state.value) for key, item in place.entries()]

    assert entries(ROOT["object"])[:2] == [
        ("a", "object.a", "present"),
        ("odd key", 'object["odd key"]', "present"),
    ]
    assert entries(ROOT["unknown"]) == [("*", "unknown.*", "unknown")]
    assert entries(ROOT["missing"]) == []
    assert entries(ROOT["name"]) == [("*", "name", "malformed")]
    assert entries(ROOT["name"]["key"]) == [("*", "name.key", "malformed")]
    assert entries(Property({5: "x"}, "p")) == [("5", "p.5", "present")]
    [(_, inner)] = Property(Secret("hunter2"), "p").entries()
    assert inner.shown == "a secret value where an object belongs"


JSON: list[tuple[Any, State, str]] = [
    ('{"a": 1}', State.PRESENT, '{"a": 1}'),
    ({"a": 1}, State.PRESENT, '{"a": 1}'),
    ([1], State.PRESENT, "[1]"),
    ("null", State.ABSENT, "nothing"),
    ("[1, ", State.MALFORMED, "text that is not JSON"),
    ("", State.MALFORMED, "text that is not JSON"),
    (5, State.MALFORMED, "5 where a JSON document belongs"),
    ("[" * 100_000, State.MALFORMED, "text that is not JSON"),
    ("[" * 300 + "]" * 300, State.MALFORMED, "JSON nested too deeply to be read"),
    (UNKNOWN, State.UNKNOWN, "a value that is not known before apply"),
    (None, State.ABSENT, "nothing"),
    (Secret('{"a": 1}'), State.PRESENT, "a secret value"),
    (Secret("no"), State.MALFORMED, "text that is not JSON"),
    (Secret(5), State.MALFORMED, "a secret value where a JSON document belongs"),
]


@pytest.mark.parametrize(("value", "state", "shown"), JSON, ids=[repr(value)[:14] for value, _, _ in JSON])
def test_documents_within_text(value: Any, state: State, shown: str) -> None:
    document = Property(value, "policy", sources=("urn:a",)).json()

    assert (document.state, document.shown, document.path) == (state, shown, "policy")


def test_what_feeds_a_place_is_known_further_down() -> None:
    place = Property('{"a": [1]}', "policy", sources=("urn:a",))

    assert place.json()["a"].elements()[0].sources == ("urn:a",)


DESCRIBED: list[tuple[Any, str]] = [
    (None, "nothing"),
    (True, "true"),
    ("größe", '"größe"'),
    ("x" * 100, f'"{"x" * 79}…"'),
    (5, "5"),
    (5.0, "5"),
    (0.1, "0.1"),
    (-(10**20), "-100000000000000000000"),
    (10**400, "a very large number"),
    ([1, UNKNOWN, Secret("hunter2")], '[1, "[unknown]", "[secret]"]'),
    (list(range(100)), "a list"),
    ({str(key): key for key in range(100)}, "an object"),
    (Asset("text", "x"), "an asset"),
    (Archive("file", "x"), "an archive"),
    (ResourceReference("urn:a"), "a resource"),
]


@pytest.mark.parametrize(("value", "text"), DESCRIBED, ids=[text[:20] for _, text in DESCRIBED])
def test_values_in_words(value: Any, text: str) -> None:
    assert describe(value) == text
