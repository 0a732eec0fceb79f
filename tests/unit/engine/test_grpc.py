"""The monitor over gRPC, asked by a client that does what SDKs do: what the protocol has and few programs use."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import empty_pb2
from google.protobuf.struct_pb2 import Struct, Value
from pulumi.runtime.proto import callback_pb2, callback_pb2_grpc, engine_pb2_grpc, resource_pb2, resource_pb2_grpc

from ringfence.deployment import UNKNOWN, ResourceReference, Secret
from ringfence.engine.grpc_server import OPTIONS, CallbackClients, MonitorServer
from ringfence.engine.monitor import FEATURES, Monitor
from ringfence.wire import OUTPUT, RESOURCE, SIGNATURE, decode, encode
from tests.unit.engine.rehearsal import EchoProvider

THING = "test:index:Thing"


class Client:
    """A program's end of the connection."""

    def __init__(self, server: MonitorServer, provider: EchoProvider, channel: grpc.aio.Channel) -> None:
        self.server, self.monitor, self.provider = server, server.monitor, provider
        self.ask: Any = resource_pb2_grpc.ResourceMonitorStub(channel)
        self.engine: Any = engine_pb2_grpc.EngineStub(channel)

    async def register(self, name: str, inputs: Mapping[str, Any] | Struct | None = None, **fields: Any) -> Any:
        given = inputs if isinstance(inputs, Struct) else encode(inputs or {})
        request = resource_pb2.RegisterResourceRequest(
            **{"type": THING, "name": name, "custom": True, "object": given, **fields}
        )
        return await self.ask.RegisterResource(request)

    def inputs(self, name: str) -> Mapping[str, Any]:
        (found,) = (item for item in self.monitor.resources.values() if item.name == name)
        return found.inputs


@asynccontextmanager
async def _serving(provider: EchoProvider) -> Any:
    callbacks = CallbackClients()
    monitor = Monitor(project="shop", stack="dev", provider=provider, call_back=callbacks.call_back)
    server = MonitorServer(monitor, lambda path: True)
    channel = grpc.aio.insecure_channel(await server.start(), options=OPTIONS)
    try:
        yield Client(server, provider, channel)
    finally:
        await channel.close(None)
        await callbacks.close()
        await server.stop()


def asked(program: Callable[[Client], Awaitable[Any]], provider: EchoProvider | None = None) -> Any:
    """Run a client against a monitor and return what it returns."""

    async def run() -> Any:
        async with _serving(provider or EchoProvider()) as client:
            return await program(client)

    return asyncio.run(run())


class Callbacks(callback_pb2_grpc.CallbacksServicer):
    """A program's callback server; `answer` gets the request's bytes."""

    def __init__(self, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
        self._answer = answer

    async def Invoke(self, request: Any, context: Any) -> Any:
        try:
            return callback_pb2.CallbackInvokeResponse(response=await self._answer(request.request))
        except ValueError as error:
            await context.abort(grpc.StatusCode.UNKNOWN, str(error))


@asynccontextmanager
async def called_back(answer: Callable[[bytes], Awaitable[bytes]]) -> Any:
    server = grpc.aio.server(options=OPTIONS)
    callback_pb2_grpc.add_CallbacksServicer_to_server(Callbacks(answer), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield callback_pb2.Callback(target=f"127.0.0.1:{port}", token="a token")
    finally:
        await server.stop(None)


# --- what it claims --------------------------------------------------------------------------------------------------


def test_every_feature_is_claimed_by_both_ways_of_asking() -> None:
    names = (
        *("secrets", "resourceReferences", "outputValues", "aliasSpecs", "deletedWith", "replaceWith", "transforms"),
        *("invokeTransforms", "parameterization", "resourceHooks", "errorHooks"),
    )

    async def program(client: Client) -> Any:
        info = await client.ask.GetDeploymentInfo(empty_pb2.Empty())
        claimed = {
            name: (await client.ask.SupportsFeature(resource_pb2.SupportsFeatureRequest(id=name))).hasSupport
            for name in (*names, "notAFeature")
        }
        return tuple(info.supportedFeatures), info.project, info.dryRun, claimed

    features, project, dry_run, claimed = asked(program)
    assert (features, project, dry_run) == (FEATURES, "shop", True)
    assert claimed == {**dict.fromkeys(names, True), "notAFeature": False}


def test_hooks_are_accepted() -> None:
    async def program(client: Client) -> Any:
        hook = callback_pb2.Callback(target="127.0.0.1:1", token="never called")
        await client.ask.RegisterResourceHook(resource_pb2.RegisterResourceHookRequest(name="before", callback=hook))
        await client.ask.RegisterErrorHook(resource_pb2.RegisterErrorHookRequest(name="failed", callback=hook))
        hooks = resource_pb2.RegisterResourceRequest.ResourceHooksBinding(before_create=["before"], on_error=["failed"])
        await client.register("thing", hooks=hooks)
        return dict(next(item for item in client.monitor.resources.values() if item.name == "thing").options.hooks)

    assert asked(program) == {"before_create": ("before",), "on_error": ("failed",)}


def test_whether_a_resource_exists_is_unknown() -> None:
    async def program(client: Client) -> Any:
        answer = await client.ask.ExistsResource(resource_pb2.ExistsResourceRequest(type=THING, id="id-7"))
        return answer.exists, answer.unknown, [item.message for item in client.monitor.diagnostics]

    note = "Whether test:index:Thing 'id-7' exists is only known to the cloud: the answer is unknown."
    assert asked(program) == (False, True, [note])


def test_a_resource_that_exists_is_read() -> None:
    async def program(client: Client) -> Any:
        parent = await client.register("parent")
        request = resource_pb2.ReadResourceRequest(
            id="id-7",
            type=THING,
            name="old",
            parent=parent.urn,
            properties=encode({"size": 1}),
            dependencies=[parent.urn],
            additionalSecretOutputs=["key"],
        )
        answer = await client.ask.ReadResource(request)
        return client.monitor.resources[answer.urn], answer.id, decode(answer.properties)

    resource, identity, outputs = asked(program)
    assert resource.urn == "urn:pulumi:dev::shop::test:index:Thing$test:index:Thing::old"
    assert (resource.external, resource.id, identity) == (True, "id-7", "id-7")
    assert resource.dependencies == (resource.parent,)
    assert outputs == {"size": "as read", "key": Secret(UNKNOWN)}


def test_packages_with_and_without_a_parameter_have_a_provider_each() -> None:
    async def program(client: Client) -> Any:
        plain = await client.ask.RegisterPackage(resource_pb2.RegisterPackageRequest(name="test", version="1.2.3"))
        parameter = resource_pb2.Parameterization(name="wide", version="4.5.6", value=b"how wide")
        made = await client.ask.RegisterPackage(
            resource_pb2.RegisterPackageRequest(name="base", version="7.8.9", parameterization=parameter)
        )
        await client.register("one", packageRef=plain.ref)
        await client.register("two", type="wide:index:Thing", packageRef=made.ref)
        await client.ask.ReadResource(
            resource_pb2.ReadResourceRequest(id="3", type="wide:index:Thing", name="three", packageRef=made.ref)
        )
        found = {item.name: item.provider for item in client.monitor.resources.values() if not item.default_provider}
        return plain.ref != made.ref, found

    different, providers = asked(program)
    assert different
    assert providers == {
        "one": "urn:pulumi:dev::shop::pulumi:providers:test::default_1_2_3",
        "two": "urn:pulumi:dev::shop::pulumi:providers:wide::default_4_5_6",
        "three": "urn:pulumi:dev::shop::pulumi:providers:wide::default_4_5_6",
    }


def test_output_values_and_references_are_read() -> None:
    def output(value: Any, **fields: Any) -> Value:
        inner = encode({"value": value} if value is not None else {}).fields
        signed = Struct(fields={SIGNATURE: Value(string_value=OUTPUT), **inner, **encode(fields).fields})
        return Value(struct_value=signed)

    async def program(client: Client) -> Any:
        first = (await client.register("first")).urn
        reference = {SIGNATURE: RESOURCE, "urn": first, "id": "id-first", "packageVersion": "1.0.0"}
        given = Struct(
            fields={
                "known": output("text", dependencies=[first]),
                "secret": output("s3cr3t-value", secret=True),
                "unknown": output(None, dependencies=[first]),
                "both": output(None, secret=True),
                "whole": encode({"it": reference}).fields["it"],
            }
        )
        await client.register("second", given)
        return first, client.inputs("second")

    first, inputs = asked(program)
    assert inputs == {
        "known": "text",
        "secret": Secret("s3cr3t-value"),
        "unknown": UNKNOWN,
        "both": Secret(UNKNOWN),
        "whole": ResourceReference(first, "id-first"),
    }


def test_deleted_with_is_kept_and_handed_to_children() -> None:
    async def program(client: Client) -> Any:
        first = (await client.register("first")).urn
        parent = (await client.register("parent", deletedWith=first)).urn
        child = (await client.register("child", parent=parent)).urn
        other = (await client.register("other", parent=parent, deletedWith=parent)).urn
        resources = client.monitor.resources
        return first, parent, [resources[urn].options.deleted_with for urn in (first, parent, child, other)]

    first, parent, found = asked(program)
    assert found == [None, first, first, parent]


# --- callbacks -------------------------------------------------------------------------------------------------------


def test_an_invoke_transform_changes_arguments_and_options() -> None:
    async def answer(request: bytes) -> bytes:
        asked = resource_pb2.TransformInvokeRequest.FromString(request)
        changed = resource_pb2.TransformInvokeResponse(args=encode({**decode(asked.args), "added": asked.token}))
        changed.options.version = "9.9.9"
        return changed.SerializeToString()

    async def program(client: Client) -> Any:
        async with called_back(answer) as callback:
            await client.ask.RegisterStackInvokeTransform(callback)
            request = resource_pb2.ResourceInvokeRequest(tok="test:index:getTag", args=encode({"name": "n"}))
            result = await client.ask.Invoke(request)
            return decode(getattr(result, "return")), client.provider.asked

    result, calls = asked(program, EchoProvider(invokes={"test:index:getTag": {"tag": "red"}}))
    assert result == {"tag": "red"}
    token = "test:index:getTag"
    assert calls == [(token, {"name": "n", "added": token}, {"version": "9.9.9"})]


def test_a_callback_that_fails_fails_the_registration() -> None:
    async def answer(request: bytes) -> bytes:
        raise ValueError("no transform today")

    async def program(client: Client) -> Any:
        async with called_back(answer) as callback:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await client.register("thing", transforms=[callback])
        return raised.value.code(), raised.value.details(), list(client.monitor.resources), client.server.faults

    code, details, resources, faults = asked(program)
    assert (code, resources, faults) == (grpc.StatusCode.INVALID_ARGUMENT, [], [])
    assert details == "a callback of the program failed: no transform today"


def test_a_callback_server_that_is_gone_fails_the_registration() -> None:
    async def program(client: Client) -> Any:
        callback = callback_pb2.Callback(target="127.0.0.1:1", token="gone")
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await client.register("thing", transforms=[callback])
        return raised.value.details()

    assert asked(program).startswith("a callback of the program failed: ")


def test_registrations_wait_for_their_callbacks_side_by_side() -> None:
    count = 100
    arrived = 0

    async def program(client: Client) -> Any:
        everyone = asyncio.Event()

        async def answer(request: bytes) -> bytes:
            # No answer is given before all are asked for: one after the other would never end.
            nonlocal arrived
            arrived += 1
            if arrived == count:
                everyone.set()
            await asyncio.wait_for(everyone.wait(), 30)
            asked = resource_pb2.TransformRequest.FromString(request)
            properties = encode({**decode(asked.properties), "seen": asked.name})
            return resource_pb2.TransformResponse(properties=properties).SerializeToString()

        async with called_back(answer) as callback:
            await client.ask.RegisterStackTransform(callback)
            await asyncio.gather(*(client.register(f"thing-{index}", {"size": index}) for index in range(count)))
        return [client.inputs(f"thing-{index}") for index in range(count)]

    assert asked(program) == [{"size": index, "seen": f"thing-{index}"} for index in range(count)]


# --- sizes and faults ------------------------------------------------------------------------------------------------


def test_a_message_of_64_mebibytes_goes_both_ways() -> None:
    size = 64 * 1024 * 1024

    async def program(client: Client) -> Any:
        given = Struct(fields={"text": Value(string_value="x" * size)})
        answer = await client.register("large", given)
        return len(answer.object.fields["text"].string_value), len(client.inputs("large")["text"])

    assert asked(program) == (size, size)


def test_a_method_is_unknown_without_its_provider() -> None:
    async def program(client: Client) -> Any:
        urn = (await client.register("nest", type="tree:index:Nest", custom=False)).urn
        request = resource_pb2.ResourceCallRequest(tok="tree:index:Nest/eggs")
        request.argDependencies["__self__"].urns.append(urn)
        answer = await client.ask.Call(request)
        dependencies = [list(entry.urns) for entry in answer.returnDependencies.values()]
        return decode(getattr(answer, "return")), dependencies == [[urn]], client.provider.called

    assert asked(program) == ({"result": UNKNOWN}, True, [("tree:index:Nest/eggs", {})])


def test_a_fault_of_ours_is_kept_and_fails_the_call() -> None:
    class Broken(EchoProvider):
        def check(self, registration: Any) -> Any:
            raise ZeroDivisionError("of ours")

    async def program(client: Client) -> Any:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await client.register("thing")
        return raised.value.code(), [type(fault) for fault in client.server.faults]

    assert asked(program, Broken()) == (grpc.StatusCode.INTERNAL, [ZeroDivisionError])
