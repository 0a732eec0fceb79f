"""`pack-settings` of a pack that is loaded in process: the same file works there and under the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ringfence.deployment import UNKNOWN, Deployment, Resource
from ringfence.policy.crossguard import load_pack
from ringfence.policy.pack import PackError
from ringfence.policy.verdict import Verdict

POLICIES = Path(__file__).parents[3] / "policies"
ACCOUNT = "azure-native:storage:StorageAccount"


def verdicts(config: dict[str, Any]) -> set[Verdict]:
    resource = Resource(f"urn:pulumi:dev::shop::{ACCOUNT}::a", ACCOUNT, "a", {"minimumTlsVersion": UNKNOWN})
    findings = load_pack(POLICIES, config).evaluate(Deployment("shop", "dev", POLICIES, (resource,)))
    return {finding.verdict for finding in findings if finding.name == "storage-minimum-tls"}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"pack-settings": {"comment": "Why.", "profiles": []}}, Verdict.UNKNOWN),
        ({"pack-settings": {"strictUnknowns": True}}, Verdict.FAIL),
        ({"pack-settings": {"strictUnknowns": True}, "storage-minimum-tls": "advisory"}, Verdict.FAIL),
    ],
)
def test_strict_unknowns_for_all(config: dict[str, Any], expected: Verdict) -> None:
    assert verdicts(config) == {expected}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("advisory", "pack-settings: expected an object"),
        ({"strict": True}, "pack-settings.strict: there is no such key"),
        ({"strictUnknowns": "yes"}, "strictUnknowns: 'yes' is not of type 'boolean'"),
    ],
)
def test_wrong_settings(settings: Any, message: str) -> None:
    with pytest.raises(PackError, match=message):
        load_pack(POLICIES, {"pack-settings": settings})
