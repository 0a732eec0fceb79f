from __future__ import annotations

from typing import Any

import pytest

from ringfence.deployment import UNKNOWN
from ringfence.policy.graph import StackView
from ringfence.policy.property import Property
from ringfence.policy.rule import Sample
from ringfence_policies.aws.references import is_set, points_to
from tests.unit.policies.cases import build

ARN = "arn:aws:sqs:eu-west-1:111122223333:jobs"
URL = "https://sqs.eu-west-1.amazonaws.com/111122223333/jobs"
KNOWN = {"arn": ARN, "id": URL, "url": URL, "name": "jobs"}
QUEUE = "aws:sqs/queue:Queue"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("x", True), (0, True), (False, True), ("", False), ([], False), ({}, False), (None, False), (UNKNOWN, None)],
)
def test_is_set(value: Any, expected: bool | None) -> None:
    assert is_set(Property(value, "here")) is expected


def test_what_another_resource_feeds_is_set() -> None:
    assert is_set(Property(UNKNOWN, "here", sources=("urn",))) is True
    assert is_set(Property(None, "here", fault="text where an object belongs")) is False


@pytest.mark.parametrize(
    ("value", "feeds", "outputs", "expected"),
    [
        (ARN, (), KNOWN, True),
        (URL, (), KNOWN, True),
        ("jobs", (), KNOWN, True),
        ("arn:other", (), KNOWN, False),
        ("https://other", (), KNOWN, False),
        ("other", (), KNOWN, False),
        # One form says nothing of another.
        (ARN, (), {"name": "jobs"}, None),
        ("jobs", (), {"arn": ARN}, None),
        ("other", (), {"name": "jobs"}, False),
        (ARN, (), {}, None),
        (UNKNOWN, (), KNOWN, None),
        (None, (), KNOWN, False),
        (7, (), KNOWN, False),
        ([ARN], (), KNOWN, False),
        (UNKNOWN, ("jobs",), {}, True),
        (UNKNOWN, ("rival",), {}, False),
        (UNKNOWN, ("jobs", "rival"), {}, None),
        (UNKNOWN, ("jobs", "topic"), {}, True),
        (ARN, ("rival",), {}, False),
        (ARN, ("jobs", "rival"), KNOWN, True),
        ("arn:rival", ("jobs", "rival"), KNOWN, False),
        ("arn:third", ("jobs", "rival"), KNOWN, None),
        (f"{ARN}/suffix", ("jobs",), KNOWN, True),
    ],
)
def test_points_to(value: Any, feeds: tuple[str, ...], outputs: dict[str, Any], expected: bool | None) -> None:
    user, jobs, _, _ = StackView(
        build(
            [
                Sample("aws:lambda/function:Function", {"queue": value}, "user", feeds={"queue": feeds}),
                Sample(QUEUE, {}, "jobs", outputs=outputs),
                Sample(QUEUE, {}, "rival", outputs={"arn": "arn:rival"}),
                Sample("aws:sns/topic:Topic", {}, "topic"),
            ]
        )
    ).resources

    assert points_to(user, user["queue"], jobs) is expected
