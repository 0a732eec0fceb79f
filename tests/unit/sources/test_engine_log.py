"""The real engine's log of messages, read as resources."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from pulumi.runtime.proto import alias_pb2, callback_pb2, provider_pb2, resource_pb2, source_pb2

from ringfence.deployment import UNKNOWN, Secret, SourceLine
from ringfence.sources.engine_log import Recorded, read_log
from ringfence.wire import UNKNOWN_SENTINEL, encode

STACK = "urn:pulumi:dev::shop::pulumi:pulumi:Stack::shop-dev"
QUEUE = "urn:pulumi:dev::shop::aws:sqs/queue:Queue::jobs"
PROVIDER = "urn:pulumi:dev::shop::pulumi:providers:aws::default_7_51_1"
REGISTER = "/pulumirpc.ResourceMonitor/RegisterResource"


def entry(method: str, request: Message, response: Message | None, progress: str = "response_completed") -> str:
    line: dict[str, Any] = {"method": method, "request": MessageToDict(request), "progress": progress}
    if response is not None:
        line["response"] = MessageToDict(response)
    return json.dumps(line)


def registration(inputs: Mapping[str, Any], **fields: Any) -> resource_pb2.RegisterResourceRequest:
    fields = {"type": "aws:sqs/queue:Queue", "name": "jobs", "custom": True, "parent": STACK} | fields
    return resource_pb2.RegisterResourceRequest(object=encode(inputs), **fields)


def registered(
    request: resource_pb2.RegisterResourceRequest, outputs: Mapping[str, Any] | None = None, **fields: Any
) -> str:
    response = resource_pb2.RegisterResourceResponse(object=encode(outputs or {}), **({"urn": QUEUE} | fields))
    return entry(REGISTER, request, response)


def checked(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    return entry(
        "/pulumirpc.ResourceProvider/Check",
        provider_pb2.CheckRequest(urn=QUEUE, news=encode(before)),
        provider_pb2.CheckResponse(inputs=encode(after)),
    )


def read(folder: Path, *lines: str) -> Recorded:
    path = folder / "messages.json"
    path.write_text("\n".join(lines), encoding="utf-8")
    return read_log(path, {QUEUE: f"{PROVIDER}::{UNKNOWN_SENTINEL}"}, "dev", "shop")


def test_a_registration_is_a_resource(tmp_path: Path) -> None:
    feeds = resource_pb2.RegisterResourceRequest.PropertyDependencies
    dependencies = {"tags": feeds(urns=[STACK]), "name": feeds()}
    request = registration(
        {"tags": {"a": UNKNOWN}, "name": Secret("n")},
        dependencies=[STACK],
        propertyDependencies=dependencies,
        protect=True,
        additionalSecretOutputs=["arn"],
    )

    queue = read(tmp_path, registered(request, {"url": UNKNOWN, "arn": "arn:x"})).resources[QUEUE]

    assert queue.inputs == {"tags": {"a": UNKNOWN}, "name": Secret("n")}
    assert queue.outputs == {"url": UNKNOWN, "arn": Secret("arn:x")}
    assert (queue.id, queue.parent, queue.provider) == (UNKNOWN, STACK, PROVIDER)
    assert (queue.dependencies, queue.property_dependencies) == ((STACK,), {"tags": (STACK,)})
    assert queue.options.protect is True


def test_inputs_are_what_the_provider_made_of_them_and_stay_secret(tmp_path: Path) -> None:
    given = {"token": Secret("t"), "deep": {"key": Secret("k")}, "list": [Secret(1), 2]}
    bare = {"token": "t", "deep": {"key": "k", "more": 1}, "list": [1, 2], "size": 7}

    queue = read(tmp_path, checked(given, bare), registered(registration(given))).resources[QUEUE]

    assert queue.inputs == {
        "token": Secret("t"),
        "deep": {"key": Secret("k"), "more": 1},
        "list": [Secret(1), 2],
        "size": 7,
    }


def test_what_a_transform_changed_is_seen(tmp_path: Path) -> None:
    asked = resource_pb2.TransformRequest(type="aws:sqs/queue:Queue", name="jobs", parent=STACK, custom=True)
    options = resource_pb2.TransformResourceOptions(depends_on=[STACK], protect=True)
    given = resource_pb2.TransformResponse(properties=encode({"size": 2}), options=options)
    call = entry(
        "/pulumirpc.Callbacks/Invoke",
        callback_pb2.CallbackInvokeRequest(token="t", request=asked.SerializeToString()),
        callback_pb2.CallbackInvokeResponse(response=given.SerializeToString()),
    )

    queue = read(tmp_path, call, registered(registration({"size": 1}, custom=False))).resources[QUEUE]

    assert (queue.inputs, queue.dependencies, queue.options.protect) == ({"size": 2}, (STACK,), True)


@pytest.mark.parametrize("payload", ["!", base64.b64encode(b"\xff\xff").decode()])
def test_a_callback_of_another_kind_is_passed_over(tmp_path: Path, payload: str) -> None:
    line = json.dumps(
        {
            "method": "/pulumirpc.Callbacks/Invoke",
            "request": {"request": payload},
            "response": {"response": payload},
            "progress": "response_completed",
        }
    )

    assert read(tmp_path, line, registered(registration({"size": 1}))).resources[QUEUE].inputs == {"size": 1}


def test_components_and_the_stack_have_the_outputs_that_they_registered(tmp_path: Path) -> None:
    root = resource_pb2.RegisterResourceRequest(type="pulumi:pulumi:Stack", name="shop-dev")
    outputs = entry(
        "/pulumirpc.ResourceMonitor/RegisterResourceOutputs",
        resource_pb2.RegisterResourceOutputsRequest(urn=STACK, outputs=encode({"url": Secret(UNKNOWN)})),
        resource_pb2.RegisterResourceResponse(),
    )

    recorded = read(tmp_path, registered(root, urn=STACK), outputs)

    assert recorded.outputs == recorded.resources[STACK].outputs == {"url": Secret(UNKNOWN)}
    assert recorded.resources[STACK].id is None


def test_a_provider_of_a_parameterized_package_says_what_the_package_is(tmp_path: Path) -> None:
    urn = "urn:pulumi:dev::shop::pulumi:providers:goodbye::own"
    parameter = resource_pb2.Parameterization(name="goodbye", version="2.0.0", value=b"Goodbye")
    package = entry(
        "/pulumirpc.ResourceMonitor/RegisterPackage",
        resource_pb2.RegisterPackageRequest(
            name="base", version="1.2.3", download_url="https://a.example", parameterization=parameter
        ),
        resource_pb2.RegisterPackageResponse(ref="4711"),
    )
    config = entry(
        "/pulumirpc.ResourceProvider/CheckConfig", provider_pb2.CheckRequest(urn=urn, news=encode({"text": "x"})), None
    )
    request = registration({"text": "x"}, type="pulumi:providers:goodbye", name="own", packageRef="4711")

    own = read(tmp_path, package, config, registered(request, urn=urn)).resources[urn]

    internal = {"name": "base", "version": "1.2.3", "parameterization": "R29vZGJ5ZQ=="}
    internal["pluginDownloadURL"] = "https://a.example"
    assert own.inputs == {"text": "x", "__internal": internal}


def test_default_providers_are_the_engines_own(tmp_path: Path) -> None:
    config = entry(
        "/pulumirpc.ResourceProvider/CheckConfig",
        provider_pb2.CheckRequest(urn=PROVIDER, news=encode({"region": "eu-west-1"})),
        None,  # a provider need not implement it
    )

    provider = read(tmp_path, config).resources[PROVIDER]

    assert (provider.default_provider, provider.name, provider.type) == (
        True,
        "default_7_51_1",
        "pulumi:providers:aws",
    )
    assert provider.inputs == provider.outputs == {"region": "eu-west-1"}


def test_what_is_read_is_external(tmp_path: Path) -> None:
    request = resource_pb2.ReadResourceRequest(
        id="q-1", type="aws:sqs/queue:Queue", name="jobs", properties=encode({"name": "n"}), parent=STACK
    )
    response = resource_pb2.ReadResourceResponse(urn=QUEUE, properties=encode({"name": "n", "url": "u"}))

    queue = read(tmp_path, entry("/pulumirpc.ResourceMonitor/ReadResource", request, response)).resources[QUEUE]

    assert (queue.external, queue.id, queue.outputs["url"]) == (True, "q-1", "u")


def test_lines_are_those_of_the_program(tmp_path: Path) -> None:
    def frame(path: str, line: int) -> source_pb2.StackFrame:
        return source_pb2.StackFrame(pc=source_pb2.SourcePosition(uri=f"file://{path}", line=line))

    trace = source_pb2.StackTrace(
        frames=[
            frame("/venv/lib/python3.12/site-packages/pulumi/resource.py", 9),
            frame("/shop/node_modules/@pulumi/aws/queue.js", 7),
            frame("/shop/queues.py", 5),
            frame("/shop/__main__.py", 3),
            frame("/opt/pulumi/bin/pulumi-language-python-exec", 200),
        ]
    )

    queue = read(tmp_path, registered(registration({}, stackTrace=trace))).resources[QUEUE]

    assert queue.source == SourceLine("/shop/queues.py", 5)
    assert queue.source_chain == (SourceLine("/shop/queues.py", 5), SourceLine("/shop/__main__.py", 3))


def test_aliases_that_an_sdk_adds_are_left_out(tmp_path: Path) -> None:
    aliases = [
        alias_pb2.Alias(spec=alias_pb2.Alias.Spec(type="aws:sqs/old:Queue")),
        alias_pb2.Alias(spec=alias_pb2.Alias.Spec(name="before")),
        alias_pb2.Alias(urn="urn:pulumi:dev::shop::other:index:Queue::jobs"),
    ]

    queue = read(tmp_path, registered(registration({}, aliases=aliases))).resources[QUEUE]

    assert [urn.rpartition("::")[2] for urn in queue.options.aliases] == ["before", "jobs"]


def test_a_log_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = registered(registration({"size": 1}))
    begun = entry(REGISTER, registration({}), None, progress="request_started")

    assert list(read(tmp_path, begun, whole, whole[: len(whole) // 2] + '"response_completed"').resources) == [QUEUE]


def test_no_log_is_nothing(tmp_path: Path) -> None:
    assert read_log(tmp_path / "missing", {}, "dev", "shop").resources == {}
