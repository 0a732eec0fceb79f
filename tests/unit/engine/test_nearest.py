from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ringfence.engine.nearest import certain, close, homes, public_names
from tests.unit.engine.small_sdk import write_small_sdk

NAMES = (
    "StorageAccount",
    "SBSkuArgs",
    "ResourceGroup",
    "get_role",
    "get_role_assignment",
    "AmlCompute",
    "size",
    "Queue",
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("storageaccount", "StorageAccount"),
        ("storage_account", "StorageAccount"),
        ("StorageAcount", "StorageAccount"),
        ("StorageAccountt", "StorageAccount"),
        ("StroageAccount", "StorageAccount"),
        ("StorageAkcount", "StorageAccount"),
        ("StorageAkkount", ""),
        ("SkuArgs", "SBSkuArgs"),
        ("kuArgs", ""),
        ("assignment", "get_role_assignment"),
        ("Compute", "AmlCompute"),
        ("Group", "ResourceGroup"),
        ("sice", ""),
        ("queued", ""),
        ("Nothing", ""),
    ],
)
def test_near_certainty(name: str, expected: str) -> None:
    assert certain(name, NAMES, lambda _: True) == expected


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("SkuArgs", ["SBSkuArgs", "EventSkuArgs"]),
        ("Queues", ["Queue", "QueuesX"]),
        ("kind", ["Kind", "KIND"]),
    ],
)
def test_two_candidates_are_no_certainty(name: str, known: list[str]) -> None:
    assert certain(name, known, lambda _: True) == ""


def test_the_end_of_a_longer_name_must_fit() -> None:
    assert certain("SkuArgs", ["SBSkuArgs", "EventSkuArgs"], lambda name: name == "SBSkuArgs") == "SBSkuArgs"
    assert certain("SkuArgs", ["SBSkuArgs"], lambda _: False) == ""


@pytest.mark.parametrize(
    ("name", "fitting", "expected"),
    [
        ("get_role_assignments", "", "get_role_assignment"),
        ("StorageAkkount", "", "StorageAccount"),
        ("get_rolle_assignment", "get_role_assignment", "get_role_assignment"),
        ("Nothing", "", ""),
        ("default_host_name", "", ""),
    ],
)
def test_what_is_close(name: str, fitting: str, expected: str) -> None:
    assert close(name, NAMES, lambda candidate: candidate == fitting) == expected


def test_what_fits_goes_before_what_is_closer() -> None:
    assert close("queue_key", ["queue_keys", "queues_keys"], lambda _: False) == "queue_keys"
    assert close("queue_key", ["queue_keys", "queues_keys"], lambda name: name == "queues_keys") == "queues_keys"


def test_names_and_homes_of_an_sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_small_sdk(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    import pulumi_small  # type: ignore[import-not-found]

    try:
        assert public_names(pulumi_small) == ["ZoneResult", "compute", "get_zone", "network"]
        assert "Machine" in public_names(pulumi_small.compute)
        assert homes(pulumi_small, "Machine") == ["pulumi_small.compute"]
        assert homes(pulumi_small, "DiskArgs") == ["pulumi_small.compute"]
        assert homes(pulumi_small, "Size") == ["pulumi_small.compute"]
        assert homes(pulumi_small, "get_zone") == ["pulumi_small"]
        assert homes(pulumi_small, "Disk") == []
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "pulumi_small"]:
            del sys.modules[name]
