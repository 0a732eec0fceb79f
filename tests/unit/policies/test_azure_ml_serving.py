from __future__ import annotations

from typing import Any

import pytest

from ringfence.deployment import UNKNOWN
from ringfence.policy.verdict import Verdict
from ringfence_policies.azure import ml_serving
from tests.unit.policies.cases import Case, check, check_examples, check_neighbour

(RULE,) = ml_serving.RULES
PREFIX = "azure-native:machinelearningservices"


@pytest.mark.parametrize(
    ("type_", "verdict"),
    [
        (f"{PREFIX}:InferenceEndpoint", Verdict.FAIL),
        (f"{PREFIX}/v20240401preview:InferenceEndpoint", Verdict.FAIL),
        (f"{PREFIX}:OnlineEndpoint", Verdict.PASS),
        (f"{PREFIX}/v20240401:OnlineEndpoint", Verdict.PASS),
        (f"{PREFIX}:BatchEndpoint", Verdict.PASS),
        (f"{PREFIX}:ServerlessEndpoint", Verdict.PASS),
    ],
)
@pytest.mark.parametrize("inputs", [{}, {"kind": "Deployment"}, {"kind": UNKNOWN}, {"kind": None}, {"kind": [1]}])
def test_the_type_decides(type_: str, verdict: Verdict, inputs: dict[str, Any]) -> None:
    check(RULE, Case("type", verdict, inputs, type=type_))


def test_examples() -> None:
    check_examples(RULE)


def test_neighbours_are_left_alone() -> None:
    check_neighbour(RULE, f"{PREFIX}:InferencePool")
