"""The offline provider as the real engine speaks to it: each RPC over a gRPC channel."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct, Value
from pulumi.runtime.proto import engine_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc

from ringfence.deployment import UNKNOWN, Asset, Secret
from ringfence.providers.interface import InputFault
from ringfence.providers.plugin import OfflinePlugin, PluginError, serve
from ringfence.wire import SIGNATURE, decode, encode

QUEUE = "aws:sqs/queue:Queue"
ACCOUNT = "azure-native:storage:StorageAccount"
LIMITS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Spoken:
    """A connection of the engine's to a plugin."""

    def __init__(self, port: int) -> None:
        # Each provider resource has a connection of its own, which gRPC would share.
        options = [*LIMITS, ("grpc.use_local_subchannel_pool", 1)]
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=options)
        self.rpc: Any = provider_pb2_grpc.ResourceProviderStub(self.channel)

    def check(self, inputs: Mapping[str, Any], token: str = QUEUE) -> Any:
        return self.rpc.Check(provider_pb2.CheckRequest(urn=urn(token), type=token, name="jobs", news=encode(inputs)))

    def create(self, inputs: Mapping[str, Any], token: str = QUEUE, *, preview: bool) -> Any:
        return self.rpc.Create(
            provider_pb2.CreateRequest(
                urn=urn(token), type=token, name="jobs", properties=encode(inputs), preview=preview
            )
        )

    def diff(self, old: Mapping[str, Any], new: Mapping[str, Any], token: str = QUEUE, identity: str = "") -> Any:
        identity = identity or self.create(old, token, preview=False).id
        return self.rpc.Diff(
            provider_pb2.DiffRequest(
                id=identity, urn=urn(token), type=token, name="jobs", old_inputs=encode(old), news=encode(new)
            )
        )


def urn(token: str = QUEUE, name: str = "jobs") -> str:
    return f"urn:pulumi:dev::shop::my:index:Group${token}::{name}"


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def aws(notes: list[str]) -> Iterator[Spoken]:
    with serve([OfflinePlugin("aws", "v7.51.1", on_note=notes.append)]) as ports:
        spoken = Spoken(ports["aws"])
        yield spoken
        spoken.channel.close()


@pytest.fixture
def azure() -> Iterator[Spoken]:
    with serve([OfflinePlugin("azure-native", "3.29.0", mode="unknown")]) as ports:
        spoken = Spoken(ports["azure-native"])
        yield spoken
        spoken.channel.close()


# --- the connection --------------------------------------------------------------------------------------------------


def test_the_handshake_says_that_secrets_are_understood(aws: Spoken) -> None:
    response = aws.rpc.Handshake(provider_pb2.ProviderHandshakeRequest(engine_address="127.0.0.1:1"))

    assert (response.accept_secrets, response.accept_resources, response.accept_outputs) == (True, True, True)


def test_attach_cancel_and_delete_are_taken(aws: Spoken) -> None:
    assert aws.rpc.Attach(plugin_pb2.PluginAttach(address="127.0.0.1:1")) == Empty()
    assert aws.rpc.Cancel(Empty()) == Empty()
    assert aws.rpc.Delete(provider_pb2.DeleteRequest(id="x", urn=urn(), properties=Struct())) == Empty()


def test_the_version_is_a_semantic_one(aws: Spoken) -> None:
    assert aws.rpc.GetPluginInfo(Empty()).version == "7.51.1"


def test_the_schema_names_the_package(aws: Spoken) -> None:
    schema = json.loads(aws.rpc.GetSchema(provider_pb2.GetSchemaRequest()).schema)

    assert schema == {"name": "aws", "version": "7.51.1"}


def test_a_parameter_of_a_generated_sdk_is_taken(aws: Spoken) -> None:
    value = provider_pb2.ParameterizeRequest.ParametersValue(name="random", version="3.6.0", value=b"{}")

    response = aws.rpc.Parameterize(provider_pb2.ParameterizeRequest(value=value))

    assert (response.name, response.version) == ("random", "3.6.0")


def test_no_sdk_is_generated_offline(aws: Spoken) -> None:
    arguments = provider_pb2.ParameterizeRequest.ParametersArgs(args=["hashicorp/random"])

    with pytest.raises(grpc.RpcError) as failure:
        aws.rpc.Parameterize(provider_pb2.ParameterizeRequest(args=arguments))

    assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "needs its provider plugin" in failure.value.details()


def test_there_are_no_mappings(aws: Spoken) -> None:
    assert aws.rpc.GetMapping(provider_pb2.GetMappingRequest(key="terraform")).data == b""
    assert list(aws.rpc.GetMappings(provider_pb2.GetMappingsRequest(key="terraform")).providers) == []


def test_config_is_taken_and_compared(aws: Spoken) -> None:
    old, new = encode({"region": "eu-west-1"}), encode({"region": "us-east-1", "token": Secret("t")})

    assert aws.rpc.CheckConfig(provider_pb2.CheckRequest(urn=urn("pulumi:providers:aws"), news=new)).inputs == new
    response = aws.rpc.DiffConfig(provider_pb2.DiffRequest(urn=urn(), old_inputs=old, olds=old, news=new))
    assert (list(response.diffs), list(response.replaces)) == (["region", "token"], [])


def test_config_is_kept_by_connection() -> None:
    with serve([OfflinePlugin("aws")]) as ports:
        first, second = Spoken(ports["aws"]), Spoken(ports["aws"])
        first.rpc.Configure(provider_pb2.ConfigureRequest(args=encode({"region": "eu-west-1"})))
        second.rpc.Configure(provider_pb2.ConfigureRequest(args=encode({"region": "us-west-2"})))

        arns = [decode(spoken.create({}, preview=True).properties)["arn"] for spoken in (first, second)]
        for spoken in (first, second):
            spoken.channel.close()

    assert [arn.split(":")[3] for arn in arns] == ["eu-west-1", "us-west-2"]


# --- resources -------------------------------------------------------------------------------------------------------


def test_good_inputs_come_back_as_they_are(aws: Spoken) -> None:
    inputs = {"name": UNKNOWN, "delaySeconds": 3, "tags": {"token": Secret("t")}}

    response = aws.check(inputs)

    assert (decode(response.inputs), list(response.failures)) == (inputs, [])


def test_each_fault_is_a_failure_with_its_path(azure: Spoken) -> None:
    inputs = {"resourceGroupName": "g", "kind": "StorageV3", "sku": {"name": "Standard_LRS", "size": Secret("large")}}

    failures = {item.property: item.reason for item in azure.check(inputs, ACCOUNT).failures}

    assert failures.keys() == {"kind", "sku.size"}
    assert failures["kind"].endswith('Did you mean "StorageV2"?')
    assert "large" not in failures["sku.size"]


def test_faults_may_be_tolerated_silenced_or_taken() -> None:
    notes: list[str] = []
    taken: list[tuple[str, list[InputFault]]] = []
    wrong = {"delaySeconds": "three", "nothing": 1}
    plugins = [
        OfflinePlugin("aws", tolerated={"PG02"}, silenced={"PG03"}, on_note=notes.append),
        OfflinePlugin("awsx", on_faults=lambda name, faults: taken.append((name, list(faults)))),
    ]
    with serve(plugins) as ports:
        responses = [Spoken(port).check(wrong) for port in ports.values()]

    assert [list(response.failures) for response in responses] == [[], []]
    assert notes == ['PG02 delaySeconds is "three", not an integer.']
    assert [(name, [fault.code for fault in faults]) for name, faults in taken] == [(urn(), ["PG02", "PG03"])]


def test_a_preview_knows_what_the_mode_says(azure: Spoken, aws: Spoken) -> None:
    synthetic = aws.create({"delaySeconds": 3}, preview=True)
    unknown = azure.create({"resourceGroupName": "g", "tags": Secret({"a": "b"})}, ACCOUNT, preview=True)

    assert synthetic.id.startswith("https://sqs.us-east-1.amazonaws.com/123456789012/jobs-")
    assert decode(synthetic.properties)["delaySeconds"] == 3
    outputs = decode(unknown.properties)
    assert unknown.id == ""
    assert (outputs["tags"], outputs["primaryEndpoints"]) == (Secret({"a": "b"}), UNKNOWN)


def test_an_apply_leaves_nothing_unknown(azure: Spoken) -> None:
    inputs = {"resourceGroupName": "g", "identity": {"type": "SystemAssigned"}, "tags": Secret({"a": "b"})}

    created = azure.create(inputs, ACCOUNT, preview=False)

    outputs = decode(created.properties)
    assert created.id.startswith("/subscriptions/")
    assert "UNKNOWN" not in repr(outputs)
    assert "Unknown" not in repr(outputs)
    assert outputs["tags"] == Secret({"a": "b"})
    assert isinstance(outputs["primaryEndpoints"]["blob"], str)


def test_a_type_without_sdk_passes_through_and_is_noted_once(aws: Spoken, notes: list[str]) -> None:
    inputs = {"size": 3, "deep": [{"a": Secret(None)}]}
    for _ in range(3):
        assert list(aws.check(inputs, "nowhere:index:Thing").failures) == []
        assert decode(aws.create(inputs, "nowhere:index:Thing", preview=False).properties) == inputs

    assert notes == ["No installed SDK defines nowhere:index:Thing: its inputs go through unchecked."]


@pytest.mark.parametrize(
    ("old", "new", "diffs", "replaces"),
    [
        ({"name": "a", "tags": {"x": "1"}}, {"name": "a", "tags": {"x": "1"}}, {}, []),
        ({"tags": {"x": "1"}}, {"tags": {"x": Secret("1")}}, {}, []),
        ({"delaySeconds": 3}, {"delaySeconds": 3.0}, {}, []),
        ({"delaySeconds": 3}, {"delaySeconds": 4}, {"delaySeconds": "UPDATE"}, []),
        ({"delaySeconds": 3}, {"delaySeconds": UNKNOWN}, {"delaySeconds": "UPDATE"}, []),
        ({}, {"tags": {"x": "1"}}, {"tags": "ADD"}, []),
        ({"tags": {"x.y": "1", "z": "2"}}, {"tags": {"z": "3"}}, {'tags["x.y"]': "DELETE", "tags.z": "UPDATE"}, []),
        ({"name": "a"}, {"name": "b"}, {"name": "UPDATE_REPLACE"}, ["name"]),
        ({"name": "a"}, {}, {"name": "DELETE_REPLACE"}, ["name"]),
    ],
)
def test_differences(
    aws: Spoken, old: dict[str, Any], new: dict[str, Any], diffs: dict[str, str], replaces: list[str]
) -> None:
    response = aws.diff(old, new)

    kinds = provider_pb2.PropertyDiff.Kind
    assert {path: kinds.Name(item.kind) for path, item in response.detailedDiff.items()} == diffs
    assert list(response.replaces) == replaces
    assert response.changes == (provider_pb2.DiffResponse.DIFF_SOME if diffs else provider_pb2.DiffResponse.DIFF_NONE)
    assert response.hasDetailedDiff


def test_a_place_cannot_change_and_the_old_one_goes_first(azure: Spoken) -> None:
    old = {"resourceGroupName": "g", "accountName": "files", "location": "westeurope"}

    response = azure.diff(old, {**old, "location": "northeurope"}, ACCOUNT)

    assert list(response.replaces) == ["location"]
    assert response.deleteBeforeReplace


def test_what_was_imported_is_not_replaced_by_its_own_declaration(aws: Spoken) -> None:
    response = aws.diff({}, {"name": "legacy"}, identity="https://sqs/legacy")

    assert (list(response.diffs), list(response.replaces)) == (["name"], [])


def test_an_asset_is_compared_by_its_content(aws: Spoken) -> None:
    def code(content: str) -> Struct:
        struct = encode({"code": Asset("file", "app.zip")})
        struct.fields["code"].struct_value.fields["hash"].string_value = content
        return struct

    token = "aws:lambda/function:Function"
    changed, same = [
        aws.rpc.Diff(
            provider_pb2.DiffRequest(id="x", urn=urn(token), type=token, old_inputs=code("1"), news=code(content))
        )
        for content in ("2", "1")
    ]

    assert (list(changed.diffs), list(same.diffs)) == (["code"], [])


def test_an_engine_that_sends_no_old_inputs_is_answered_by_the_old_outputs(aws: Spoken) -> None:
    request = provider_pb2.DiffRequest(
        id="x", urn=urn(), olds=encode({"delaySeconds": 3}), news=encode({"delaySeconds": 4})
    )

    assert list(aws.rpc.Diff(request).diffs) == ["delaySeconds"]


def test_an_update_keeps_the_id(aws: Spoken) -> None:
    request = provider_pb2.UpdateRequest(
        id="https://sqs/legacy", urn=urn(), type=QUEUE, olds=encode({}), news=encode({"name": "n", "delaySeconds": 9})
    )

    outputs = decode(aws.rpc.Update(request).properties)

    assert (outputs["delaySeconds"], outputs["url"]) == (9, "https://sqs/legacy")


def test_a_read_answers_get_and_refresh_and_import(aws: Spoken) -> None:
    given = encode({"name": "theirs"})
    state = encode({"name": "theirs", "arn": "arn:aws:sqs:x"})

    def read(**fields: Any) -> Any:
        return aws.rpc.Read(provider_pb2.ReadRequest(id="https://sqs/theirs", urn=urn(), type=QUEUE, **fields))

    got, refreshed, imported = read(inputs=given, properties=given), read(inputs=given, properties=state), read()

    assert (got.id, decode(got.properties)["name"]) == ("https://sqs/theirs", "theirs")
    assert "Unknown" not in repr(decode(got.properties))
    assert (refreshed.properties, refreshed.inputs) == (state, given)
    assert imported.id == "https://sqs/theirs"


def test_remote_components_and_lists_are_refused_with_the_reason(aws: Spoken) -> None:
    with pytest.raises(grpc.RpcError) as construct:
        aws.rpc.Construct(provider_pb2.ConstructRequest(type="aws:index:Cluster", name="main"))
    with pytest.raises(grpc.RpcError) as listing:
        list(aws.rpc.List(provider_pb2.ListRequest(token=QUEUE)))

    assert "cannot be constructed offline" in construct.value.details()
    assert "nothing to list offline" in listing.value.details()


# --- functions -------------------------------------------------------------------------------------------------------


def invoke(spoken: Spoken, token: str, arguments: Mapping[str, Any], *, preview: bool = True) -> Any:
    return spoken.rpc.Invoke(provider_pb2.InvokeRequest(tok=token, args=encode(arguments), preview=preview))


def test_functions_are_answered(aws: Spoken, notes: list[str]) -> None:
    identity = invoke(aws, "aws:index/getCallerIdentity:getCallerIdentity", {})
    subnet = invoke(aws, "aws:ec2/getSubnet:getSubnet", {"id": "subnet-1"})

    assert decode(getattr(identity, "return"))["accountId"] == "123456789012"
    assert decode(getattr(subnet, "return"))["id"] == "subnet-1"
    assert [note.partition(":")[0] for note in notes] == ["No answer is known for aws"]


def test_refused_arguments_are_failures(azure: Spoken) -> None:
    response = invoke(azure, "azure-native:servicebus:listNamespaceKeys", {"namespaceName": "n"})

    assert [item.property for item in response.failures] == ["authorizationRuleName"]


def test_an_answer_that_nobody_knows_is_an_error_that_says_what_to_do(aws: Spoken) -> None:
    with pytest.raises(grpc.RpcError) as failure:
        invoke(aws, "nowhere:index:getThing", {})

    assert failure.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert '[invokes."nowhere:index:getThing"] in ringfence.toml' in failure.value.details()


def test_the_users_answers_go_first() -> None:
    answers = {"nowhere:index:getThing": {"size": 3}}
    with serve([OfflinePlugin("nowhere", invokes=answers)]) as ports:
        response = invoke(Spoken(ports["nowhere"]), "nowhere:index:getThing", {}, preview=False)

    assert decode(getattr(response, "return")) == {"size": 3}


def test_a_methods_result_is_unknown_in_a_preview_only(aws: Spoken) -> None:
    token = "nowhere:index:Thing/method"

    response = aws.rpc.Call(provider_pb2.CallRequest(tok=token, dryRun=True))
    with pytest.raises(grpc.RpcError) as failure:
        aws.rpc.Call(provider_pb2.CallRequest(tok=token, dryRun=False))

    assert decode(getattr(response, "return")) == {"result": UNKNOWN}
    assert "Only the provider knows" in failure.value.details()


# --- notes, sizes, wrong input ---------------------------------------------------------------------------------------


class Engine(engine_pb2_grpc.EngineServicer):
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.logged: list[str] = []

    def Log(self, request: Any, context: Any) -> Any:
        self.logged.append(request.message)
        return Empty()


@pytest.mark.parametrize("way", ["handshake", "attach"])
def test_notes_go_to_the_engines_log(way: str) -> None:
    engine, server = Engine(), grpc.server(ThreadPoolExecutor(1))
    engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    with serve([OfflinePlugin("aws")]) as ports:
        spoken = Spoken(ports["aws"])
        if way == "handshake":
            spoken.rpc.Handshake(provider_pb2.ProviderHandshakeRequest(engine_address=address))
        else:
            spoken.rpc.Attach(plugin_pb2.PluginAttach(address=address))
        spoken.check({}, "nowhere:index:Thing")
    server.stop(None).wait()

    assert engine.logged == ["No installed SDK defines nowhere:index:Thing: its inputs go through unchecked."]


def test_an_engine_that_has_gone_is_no_failure() -> None:
    with serve([OfflinePlugin("aws")]) as ports:
        spoken = Spoken(ports["aws"])
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{unused.getsockname()[1]}"
            spoken.rpc.Attach(plugin_pb2.PluginAttach(address=address))
            assert list(spoken.check({}, "nowhere:index:Thing").failures) == []


def test_ten_megabytes_of_inputs(aws: Spoken) -> None:
    inputs = {"tags": {f"key-{number}": "x" * 1000 for number in range(10_000)}}

    assert list(aws.check(inputs).failures) == []
    assert len(decode(aws.create(inputs, preview=False).properties)["tags"]) == 10_000


MALFORMED = {
    "no kind": Value(),
    "secret without value": Value(struct_value=encode({SIGNATURE: "1b47061264138c4ac30d75fd1eb44270"})),
    "unheard-of signature": Value(struct_value=encode({SIGNATURE: "0" * 32, "value": 1})),
    "archive of a number": Value(struct_value=encode({SIGNATURE: "0def7320c3a5731c473e5ecbe6d01bc7", "assets": 3})),
    "not a number": Value(number_value=float("nan")),
    "infinite": Value(number_value=float("inf")),
    "reference to nothing": Value(struct_value=encode({SIGNATURE: "5cf8f73096256a8f31e491e813e4eb8e"})),
}


@pytest.mark.parametrize("value", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_values_are_answered(aws: Spoken, value: Value) -> None:
    news = Struct()
    for key in ("name", "delaySeconds", "tags", "fifoQueue"):
        news.fields[key].CopyFrom(value)

    aws.rpc.Check(provider_pb2.CheckRequest(urn=urn(), type=QUEUE, name="jobs", news=news))
    for preview in (True, False):
        aws.rpc.Create(provider_pb2.CreateRequest(urn=urn(), type=QUEUE, name="jobs", properties=news, preview=preview))
    aws.rpc.Diff(provider_pb2.DiffRequest(id="x", urn=urn(), type=QUEUE, old_inputs=news, news=news))


def test_a_urn_that_is_none_is_an_error_and_no_hang(aws: Spoken) -> None:
    with pytest.raises(grpc.RpcError) as failure:
        aws.rpc.Check(provider_pb2.CheckRequest(urn="nonsense", news=Struct()))

    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "nonsense" in failure.value.details()
    assert list(aws.check({}).failures) == []


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(PluginError, match=rf"127\.0\.0\.1:{port}: the port is in use"),
            serve([OfflinePlugin("aws")], [port]),
        ):
            pass


def test_nothing_listens_afterwards() -> None:
    with serve([OfflinePlugin("aws")]) as ports:
        Spoken(ports["aws"]).check({})

    with socket.socket() as free:
        free.settimeout(1)
        assert free.connect_ex(("127.0.0.1", ports["aws"])) != 0
