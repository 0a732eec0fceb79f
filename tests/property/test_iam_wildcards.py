from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.deployment import UNKNOWN, Secret
from ringfence.policy.property import Property
from ringfence.policy.verdict import Outcome
from ringfence_policies.aws.iam_document import (
    Statement,
    action_matches,
    judge,
    matches,
    spans_actions,
    spans_resources,
)

# A small alphabet, so that patterns often match.
TEXTS = st.text("ab:*?[", max_size=8)
PATTERNS = st.text("ab:*?[", max_size=8)


def model(pattern: str, text: str) -> bool:
    """Match by the definition, one symbol after the other, without any cleverness."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(model(pattern[1:], text[skipped:]) for skipped in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and model(pattern[1:], text[1:])


@settings(deadline=None, max_examples=500)
@given(PATTERNS, TEXTS)
def test_matches_like_the_model(pattern: str, text: str) -> None:
    assert matches(pattern, text) is model(pattern, text)


@settings(deadline=None)
@given(st.text(max_size=20), st.integers(0, 20), st.integers(0, 20))
def test_a_star_stands_for_any_part(text: str, start: int, end: int) -> None:
    assert matches(text[:start] + "*" + text[max(start, end) :], text)


@settings(deadline=None)
@given(st.text("abzABZ:*?", max_size=10), st.text("abzABZ:", max_size=10))
def test_case_of_actions_does_not_matter(pattern: str, action: str) -> None:
    assert action_matches(pattern, action) is action_matches(pattern.swapcase(), action.swapcase())


@settings(deadline=None)
@given(st.text("s3:*?", max_size=6), st.from_regex(r"[a-z][a-z0-9-]{1,8}:[A-Z][A-Za-z]{2,12}", fullmatch=True))
def test_what_spans_all_actions_matches_each(pattern: str, action: str) -> None:
    assert not spans_actions(pattern) or pattern.count("?") > 3 or action_matches(pattern, action)


@settings(deadline=None)
@given(
    st.sampled_from(["*", "arn:*", "arn:aws:*", "arn:*:*:*:*:*", "arn:aws:*:*:*:*", "arn:aws:s3:::*", "arn:aws:*:eu*"]),
    st.from_regex(r"arn:aws:[a-z]{2,8}:[a-z0-9-]{0,12}:[0-9]{0,12}:[a-z0-9:/-]{1,12}", fullmatch=True),
)
def test_what_spans_all_resources_matches_each(pattern: str, arn: str) -> None:
    assert not spans_resources(pattern) or matches(pattern, arn)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.just(UNKNOWN)
KEYS = st.sampled_from(
    ["Version", "Statement", "Effect", "Action", "NotAction", "Resource", "Principal", "Condition", "AWS"]
)
VALUES = st.recursive(
    SCALARS | st.sampled_from(["Allow", "Deny", "*", "s3:*", Secret("*"), Secret(UNKNOWN)]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=5),
    max_leaves=20,
)


def everything(statement: Statement) -> list[Outcome]:
    """Ask a statement for all that it can tell."""
    facts = [
        statement.allows,
        statement.acts(spans_actions),
        statement.excludes_actions,
        statement.on_all_resources,
        statement.grants("s3:GetObject"),
        statement.conditioned_on("aws:PrincipalOrgID"),
    ]
    assert all(fact.holds in (True, False, None) for fact in facts)
    assert all(isinstance(place.path, str) for _, place in statement.principals())
    return []


@settings(deadline=None, max_examples=300)
@given(VALUES, st.booleans())
def test_no_document_breaks_the_reader(value: Any, wrapped: bool) -> None:
    raw = {"Statement": value} if wrapped else value

    assert judge(Property(raw, "policy"), everything)
    assert judge(Property(json.dumps(raw, default=str), "policy"), everything)
