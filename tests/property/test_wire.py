"""Values go over the wire and come back as they were."""

from __future__ import annotations

from typing import Any

from google.protobuf.struct_pb2 import Struct
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.deployment import UNKNOWN, Archive, Asset, ResourceReference, Secret, contains_unknown
from ringfence.wire import decode, dependencies_of, encode, output_value, with_output_values

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
KEYS = st.text(st.characters(exclude_categories=("Cs",)), max_size=10)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False)
ASSETS = st.builds(Asset, st.sampled_from(["file", "text", "remote"]), TEXTS)
ARCHIVES = st.recursive(
    st.builds(Archive, st.sampled_from(["file", "remote"]), TEXTS),
    lambda inner: st.builds(Archive, st.just("assets"), st.dictionaries(KEYS, ASSETS | inner, max_size=3)),
    max_leaves=4,
)
REFERENCES = st.builds(ResourceReference, TEXTS, st.none() | st.just(UNKNOWN) | TEXTS)
LEAVES = st.none() | st.booleans() | NUMBERS | TEXTS | st.just(UNKNOWN) | ASSETS | ARCHIVES | REFERENCES
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4) | st.builds(Secret, inner),
    max_leaves=20,
)
PROPERTIES = st.dictionaries(KEYS, VALUES, max_size=5)


def wired(struct: Struct) -> Struct:
    """Return what a receiver reads of a message."""
    return Struct.FromString(struct.SerializeToString())


@settings(deadline=None)
@given(PROPERTIES)
def test_what_comes_back_is_what_was_sent(properties: dict[str, Any]) -> None:
    assert decode(wired(encode(properties))) == properties


@settings(deadline=None)
@given(PROPERTIES)
def test_keys_come_back_in_an_order_of_their_own(properties: dict[str, Any]) -> None:
    assert list(decode(encode(properties))) == sorted(properties)
    assert repr(decode(encode(dict(reversed(properties.items()))))) == repr(decode(wired(encode(properties))))


@settings(deadline=None)
@given(st.integers(-(2**53), 2**53))
def test_integers_stay_integers(number: int) -> None:
    back = decode(encode({"number": number}))["number"]

    assert type(back) is int
    assert back == number


@settings(deadline=None)
@given(PROPERTIES, st.sets(TEXTS, max_size=3))
def test_output_values_hold_the_same_and_what_it_depends_on(properties: dict[str, Any], urns: set[str]) -> None:
    for key, value in encode(properties).fields.items():
        wrapped = output_value(value, urns)
        assert decode(encode_field(wrapped))["field"] == properties[key]
        assert urns <= dependencies_of(wrapped)
        again = output_value(wrapped, {"more"})
        assert decode(encode_field(again))["field"] == properties[key]
        assert dependencies_of(again) == dependencies_of(wrapped) | {"more"}
        assert decode(encode_field(with_output_values(value)))["field"] == properties[key]


def encode_field(value: Any) -> Struct:
    struct = Struct()
    struct.fields["field"].CopyFrom(value)
    return struct


@settings(deadline=None)
@given(VALUES)
def test_an_unknown_is_seen_wherever_it_is(value: Any) -> None:
    assert contains_unknown(decode(encode({"value": value}))["value"]) == ("Unknown()" in repr(value))
