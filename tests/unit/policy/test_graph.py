from __future__ import annotations

from typing import Any

import pytest

from ringfence.deployment import STACK_TYPE, UNKNOWN, Resource, Secret
from ringfence.policy.graph import ResourceView, StackView
from ringfence.policy.property import State
from tests.unit.policy.small_rules import BUCKET, QUEUE, resource

STACK = resource(STACK_TYPE, "shop-dev", custom=False)


def view(stack: StackView, name: str) -> ResourceView:
    return next(item for item in stack.resources if item.name == name)


def names(views: list[ResourceView]) -> list[str]:
    return [item.name for item in views]


def test_the_stack_itself_is_no_resource_of_it() -> None:
    stack = StackView([STACK, resource(BUCKET, "a")], project="shop", stack="dev")

    assert names(stack.resources) == ["a"]
    assert (stack.project, stack.stack) == ("shop", "dev")


def test_inputs_are_places_that_know_what_feeds_them() -> None:
    queue = resource(QUEUE, "q")
    bucket = resource(
        BUCKET,
        "b",
        inputs={"target": UNKNOWN, "site": {"cors": ["*"]}, "key": Secret("hunter2")},
        property_dependencies={"target": (queue.urn, "urn:elsewhere")},
    )
    stack = StackView([queue, bucket])
    subject = view(stack, "b")

    assert subject["target"].state is State.UNKNOWN
    assert subject["missing"].state is State.ABSENT
    assert subject.at("site.cors").value == ["*"]
    assert subject.at("site").path == "site"
    assert subject["key"].shown == "a secret value"
    assert [key for key, _ in subject.inputs] == ["target", "site", "key"]
    assert subject["target"] is subject["target"]
    assert names(stack.feeding(subject["target"])) == ["q"]
    assert stack.feeding(subject["site"]) == []
    assert (subject.urn, subject.options, subject.source) == (bucket.urn, bucket.options, bucket.source)


def test_types_are_read_without_versions() -> None:
    stack = StackView(
        [
            resource("azure-native:storage/v20220901:StorageAccount", "versioned"),
            resource("azure-native:storage:StorageAccount", "plain"),
            resource("azure-native:documentdb:DatabaseAccount", "moved"),
        ]
    )

    assert names(stack.of_type("azure-native:storage:StorageAccount")) == ["versioned", "plain"]
    assert names(stack.of_type("azure-native:cosmosdb:DatabaseAccount", "azure-native:storage:StorageAccount")) == [
        "moved",
        "versioned",
        "plain",
    ]
    assert stack.of_type("azure-native:documentdb:DatabaseAccount") == []
    assert view(stack, "versioned").resource.type == "azure-native:storage/v20220901:StorageAccount"


def test_parents_and_children() -> None:
    parent = resource("test:index:Component", "parent", custom=False)
    stack = StackView(
        [
            parent,
            resource(BUCKET, "a", parent=parent.urn),
            resource(QUEUE, "q", parent=parent.urn),
            resource(BUCKET, "b", parent=parent.urn),
            resource(BUCKET, "other"),
        ]
    )

    assert names(stack.children(view(stack, "parent"))) == ["a", "q", "b"]
    assert stack.by_urn[parent.urn] is view(stack, "parent")


def test_outputs() -> None:
    subject = StackView([resource(BUCKET, "a", outputs={"arn": "arn:a", "size": UNKNOWN}, id="id-a")]).resources[0]

    assert subject.output("arn").value == "arn:a"
    assert subject.output("size").unknown
    assert subject.output("id").value == "id-a"
    assert subject.output("missing").unknown


IDENTITIES = {"arn": "arn:q", "name": "q-1", "url": UNKNOWN}


def named(value: Any, outputs: dict[str, Any], *, fed: bool = False, identity: Any = "id-q") -> bool | None:
    queue = resource(QUEUE, "q", outputs=outputs, id=identity)
    inputs = {} if value is None else {"target": value}
    feeds = {"target": (queue.urn,)} if fed else {}
    stack = StackView([queue, resource(BUCKET, "b", inputs=inputs, property_dependencies=feeds)])
    bucket = view(stack, "b")
    return bucket.names(view(stack, "q"), bucket["target"])


NAMED: list[tuple[bool | None, bool | None]] = [
    (named("arn:q", IDENTITIES), True),
    (named("q-1", IDENTITIES), True),
    (named("id-q", IDENTITIES), True),
    (named("arn:other", IDENTITIES), None),
    (named("arn:other", {"arn": "arn:q"}), False),
    (named(UNKNOWN, IDENTITIES), None),
    (named(UNKNOWN, IDENTITIES, fed=True), True),
    (named(None, IDENTITIES, fed=True), False),
    (named(["arn:q"], IDENTITIES), False),
    (named(Secret("arn:q"), IDENTITIES), True),
    (named("arn:other", {}, identity=UNKNOWN), None),
]


@pytest.mark.parametrize(("found", "expected"), NAMED)
def test_whether_a_value_names_a_resource(found: bool | None, expected: bool | None) -> None:
    assert found is expected


def test_a_value_fed_by_another_resource_alone_names_no_third() -> None:
    queue, other = resource(QUEUE, "q", id=UNKNOWN), resource(QUEUE, "other", id=UNKNOWN)
    bucket = resource(BUCKET, "b", inputs={"target": UNKNOWN}, property_dependencies={"target": (other.urn,)})
    stack = StackView([queue, other, bucket])
    subject = view(stack, "b")

    assert subject.names(view(stack, "q"), subject["target"]) is False
    assert subject.names(view(stack, "other"), subject["target"]) is True


def test_a_large_stack_is_indexed_once() -> None:
    resources: list[Resource] = [resource(BUCKET, f"b{number}") for number in range(500)]
    stack = StackView(resources)

    assert stack.of_type(BUCKET) == stack.resources
    assert stack.by_urn is stack.by_urn


def test_a_fact_of_the_stack_is_found_once() -> None:
    asked: list[StackView] = []

    def buckets(stack: StackView) -> list[str]:
        asked.append(stack)
        return names(stack.of_type(BUCKET))

    one, other = StackView([resource(BUCKET, "a")]), StackView([resource(BUCKET, "b")])

    assert [one.once(buckets), one.once(buckets), other.once(buckets)] == [["a"], ["a"], ["b"]]
    assert asked == [one, other]
