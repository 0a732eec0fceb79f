"""What is written for an analyzer is read by one as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ringfence.deployment import UNKNOWN, Archive, Asset, Options, Resource, ResourceReference, Secret
from ringfence.policy.analyzer_wire import (
    provider_of,
    read_resource,
    read_struct,
    seconds,
    write_request,
    write_stack_resource,
    write_struct,
)

INPUTS = {
    "text": "a",
    "number": 3,
    "part": 0.5,
    "flag": False,
    "none": None,
    "list": [1, {"a": UNKNOWN}],
    "secret": Secret({"deep": [Secret("x"), UNKNOWN]}),
    "asset": Asset("text", "hi"),
    "archive": Archive("assets", {"a": Asset("file", "a.txt")}),
    "empty": {},
}


def made(**more: object) -> Resource:
    options = Options(
        protect=True,
        ignore_changes=("a",),
        delete_before_replace=True,
        additional_secret_outputs=("b",),
        aliases=("urn:old",),
        custom_timeouts={"create": "60s"},
    )
    given = {"urn": "urn:a", "type": "t:i:T", "name": "a", "inputs": INPUTS, "outputs": {"id": "i", **INPUTS}}
    return Resource(**{**given, "options": options, "parent": "urn:p", "provider": "urn:v", **more})  # type: ignore[arg-type]


PROVIDER = Resource("urn:v", "pulumi:providers:t", "v", {"key": Secret("k")})


def test_a_request_is_read_as_it_was_written() -> None:
    resource = made()
    request = write_request(resource, PROVIDER)

    read = read_resource(request, read_struct(request.properties), {}, dry_run=True)

    for name in ("urn", "type", "name", "inputs", "parent", "provider", "custom"):
        assert getattr(read, name) == getattr(resource, name), name
    # The engine passes the aliases that pair with a resource of the state, and here is none.
    assert read.options == replace(resource.options, aliases=())
    provider = provider_of(request)
    assert provider is not None
    assert (provider.urn, provider.type, provider.name, provider.inputs) == (
        "urn:v",
        PROVIDER.type,
        "v",
        PROVIDER.inputs,
    )


def test_a_resource_of_a_stack_is_read_as_it_was_written() -> None:
    resource = made(dependencies=("urn:d",), property_dependencies={"text": ("urn:d",), "flag": ()})
    message = write_stack_resource(resource, None)

    read = read_resource(message, {}, read_struct(message.properties), dry_run=False)

    assert read.outputs == resource.outputs
    assert (read.parent, read.dependencies) == ("urn:p", ("urn:d",))
    assert read.property_dependencies == {"text": ("urn:d",)}
    assert not read.custom


def test_a_struct_without_properties_is_there() -> None:
    # The SDK for TypeScript breaks on a request without one.
    assert write_request(made(inputs={}), None).HasField("properties")
    assert write_request(made(), Resource("urn:v", "t", "v", {})).provider.HasField("properties")


def test_a_resource_as_a_value_travels_as_its_id_or_urn() -> None:
    given = {
        "known": ResourceReference("urn:x", "id-1"),
        "later": [ResourceReference("urn:x", UNKNOWN)],
        "component": Secret(ResourceReference("urn:x")),
    }

    assert read_struct(write_struct(given)) == {"known": "id-1", "later": [UNKNOWN], "component": Secret("urn:x")}


def test_what_the_engine_keeps_for_itself_is_for_remediations_alone() -> None:
    assert set(write_struct({"__provider": "x", "a": 1}).fields) == {"a"}
    assert set(write_struct({"__provider": "x", "a": 1}, internal=True).fields) == {"__provider", "a"}


@pytest.mark.parametrize(
    ("duration", "expected"), [("1h30m", 5400.0), ("1.5s", 1.5), ("250ms", 0.25), ("", 0.0), ("soon", 0.0), ("5", 0.0)]
)
def test_seconds(duration: str, expected: float) -> None:
    assert seconds(duration) == expected
