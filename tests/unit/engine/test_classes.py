"""What a run finds out about classes is what the SDK finds out about them."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest
from pulumi import _types as sdk_types
from pulumi_aws import sns, sqs
from pulumi_azure_native import storage

from ringfence.engine._pulumi_sdk import classes


class Bare(pulumi.ComponentResource):
    pass


class Annotated(pulumi.ComponentResource):
    endpoint: pulumi.Output[str]
    account: storage.StorageAccount
    size: pulumi.Output[int | None] = pulumi.property("sizeInGb")


class WithGetter(pulumi.CustomResource):
    @property
    def plain(self) -> str:
        return "no property of Pulumi's"

    @property
    @pulumi.getter(name="sizeInGb")
    def size(self) -> pulumi.Output[int]:
        return pulumi.get(self, "size")


class Derived(WithGetter):
    pass


class OfTwo(sqs.Queue, sns.Topic):
    pass


class Queue(sqs.Queue):
    @property
    def short_name(self) -> str:
        return "jobs"


@pulumi.input_type
class Settings:
    def __init__(self, *, max_size: int | None = None) -> None:
        pulumi.set(self, "max_size", max_size)

    @property
    @pulumi.getter(name="maxSize")
    def max_size(self) -> int | None:
        return pulumi.get(self, "max_size")


RESOURCES = [Bare, Annotated, WithGetter, Derived, OfTwo, Queue, sqs.Queue, storage.StorageAccount]
INPUTS = [Settings, storage.SkuArgs, storage.NetworkRuleSetArgs]
QUESTIONS = [
    pytest.param(name, cls, id=f"{name}-{cls.__name__}")
    for _, name, _ in classes.replacements()
    for cls in [*RESOURCES, *INPUTS]
    # The SDK asks these of input types alone.
    if cls in INPUTS or not name.startswith("input_type_")
]


@pytest.mark.parametrize(("name", "cls"), QUESTIONS)
def test_the_answer_is_the_sdk_s(monkeypatch: pytest.MonkeyPatch, name: str, cls: type) -> None:
    theirs: Any = getattr(sdk_types, name)(cls)

    for owner, replaced, function in classes.replacements():
        monkeypatch.setattr(owner, replaced, function)

    ours = getattr(sdk_types, name)
    assert [ours(cls), ours(cls)] == [theirs, theirs]


def test_the_answers_tell_the_classes_apart() -> None:
    types = sdk_types.resource_types

    assert types(Bare) != types(Annotated) != types(WithGetter)
    assert types(Queue) == types(sqs.Queue)
