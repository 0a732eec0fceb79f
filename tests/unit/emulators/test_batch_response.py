"""Which messages of a batch a function says have failed."""

from __future__ import annotations

from typing import Any

import pytest

from ringfence.emulators.aws.gateway.batch_response import failed_items

ALL = {"a", "b", "c"}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, set()),
        ({}, set()),
        ({"batchItemFailures": None}, set()),
        ({"batchItemFailures": []}, set()),
        ({"batchItemFailures": [{"itemIdentifier": "b"}]}, {"b"}),
        ({"batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": "a"}]}, {"a", "b"}),
        # All that is malformed means that the whole batch has failed.
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, ALL),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, ALL),
        ({"batchItemFailures": [{"itemIdentifier": ["a"]}]}, ALL),
        ({"batchItemFailures": [{"itemId": "a"}]}, ALL),
        ({"batchItemFailures": [{"itemIdentifier": "not of this batch"}]}, ALL),
        ({"batchItemFailures": ["a"]}, ALL),
        ({"batchItemFailures": {"itemIdentifier": "a"}}, ALL),
        ("done", ALL),
        ([], ALL),
    ],
)
def test_failed_items(answer: Any, expected: set[str]) -> None:
    assert expected == failed_items(answer, ["a", "b", "c"])
