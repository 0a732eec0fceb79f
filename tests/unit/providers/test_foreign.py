"""Types for programs of other languages: only from an SDK that knows at least as much as the program's own."""

from __future__ import annotations

from importlib import metadata

import pytest

from ringfence.providers.foreign import ForeignProvider
from ringfence.providers.interface import Registration


def bucket(version: str | None, **inputs: object) -> Registration:
    return Registration(
        urn="urn:pulumi:dev::shop::aws:s3/bucket:Bucket::b",
        type="aws:s3/bucket:Bucket",
        name="b",
        inputs=inputs,
        project="shop",
        stack="dev",
        provider_inputs={} if version is None else {"version": version},
    )


@pytest.mark.parametrize(
    ("version", "checked"),
    [
        (None, True),
        ("7.51.0", True),
        ("v7.51.0", True),
        ("7.51.1", True),
        ("7.51.2", False),
        ("7.60.0", False),
        ("6.99.0", False),
        ("8.0.0", False),
    ],
)
def test_inputs_are_checked_where_the_sdk_is_as_new(
    monkeypatch: pytest.MonkeyPatch, version: str | None, checked: bool
) -> None:
    pytest.importorskip("pulumi_aws")
    monkeypatch.setattr(metadata, "version", lambda name: "7.51.1")
    provider = ForeignProvider()

    faults = [*provider.check(bucket(version, forceDestroy="maybe")), *provider.check(bucket(version, forceDestroy=3))]

    assert len(faults) == (2 if checked else 0)
    assert len(provider.notes) == (0 if checked else 1)


def test_a_package_without_an_sdk_is_said_once() -> None:
    provider = ForeignProvider()
    registration = Registration("urn:pulumi:dev::p::nowhere:index:A::a", "nowhere:index:A", "a", {}, "p", "dev")

    assert provider.check(registration) == provider.check(registration) == []

    assert provider.notes == [
        "The inputs of nowhere resources are not checked against types: its Python SDK (pulumi-nowhere) is not "
        "installed beside ringfence."
    ]
