"""The emulated provider: what it reports, and what it leaves to the offline provider."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2

from ringfence.deployment import UNKNOWN, Archive, Asset, Deployment, Resource, Secret
from ringfence.emulators.interface import Backend, EmulatorError
from ringfence.providers.emulated import CannotCreateError, CannotDeleteError, EmulatedProvider, Gap, Made
from ringfence.providers.emulated.interface import gaps, plain, with_whole_paths
from ringfence.providers.emulated.service_bus import ServiceBusService
from ringfence.providers.interface import Created, Registration
from ringfence.providers.offline import OfflineProvider
from ringfence.providers.plugin import OfflinePlugin, serve
from ringfence.wire import decode, encode
from tests.unit.providers.registrations import registration
from tests.unit.providers.test_plugin import Spoken, urn

QUEUE = "azure-native:servicebus:Queue"
WORKSPACE = "azure-native:operationalinsights:Workspace"

# --- what is a gap -------------------------------------------------------------------------------------------------

FOUND = {"size": 3, "tags": {"a": "b"}, "rules.ttl": 60, "on": True, "names": ["x", "y"]}


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"size": 3, "on": True, "rules": {"ttl": 60}, "tags": {"a": "b"}, "names": ["x", "y"]}, []),
        ({"size": 4}, [Gap("size", "the emulator has another value", "4", "3")]),
        ({"on": 1}, [Gap("on", "the emulator has another value", "1", "true")]),
        ({"rules": {"ttl": 60, "other": 1}}, [Gap("rules.other", "no such setting", "1")]),
        ({"tags": {"a": "c"}}, [Gap("tags", "the emulator has another value", "{a: c}", "{a: b}")]),
        ({"names": ["y", "x"]}, [Gap("names", "the emulator has another value", "[y, x]", "[x, y]")]),
        ({"names": UNKNOWN}, [Gap("names", "its value is not known", "[unknown]")]),
        ({"new": False}, [Gap("new", "no such setting", "false")]),
        ({"new": None, "name": "x", "silent": 1}, []),
        ({"kept": 1}, [Gap("kept", "nothing acts on it", "1")]),
        ({"gone": 1}, [Gap("gone", "the emulator dropped it", "1")]),
        ({"size": Secret(3)}, []),
        ({"size": Secret(4)}, [Gap("size", "the emulator has another value", "[secret]", "[secret]")]),
        ({"new": Secret("hush")}, [Gap("new", "no such setting", "[secret]")]),
        ({"new": {"inner": Secret("hush")}}, [Gap("new.inner", "no such setting", "[secret]")]),
    ],
)
def test_whatever_is_not_so_on_the_emulator_is_a_gap(inputs: Mapping[str, Any], expected: list[Gap]) -> None:
    found = gaps(
        inputs,
        names=["name"],
        found={**FOUND, "gone": None},
        reasons={"kept": "nothing acts on it", "silent": ""},
        otherwise="no such setting",
    )

    assert list(found) == expected


def test_markers_come_off_and_what_is_unknown_is_left_out() -> None:
    value = {"a": Secret({"b": UNKNOWN, "c": [Secret(1), UNKNOWN]}), "d": UNKNOWN}

    assert plain(value) == {"a": {"c": [1]}}


def test_files_are_named_from_the_root() -> None:
    code = Archive("assets", {"a.py": Asset("file", "app/a.py"), "b.txt": Asset("text", "app/a.py")})

    assert with_whole_paths({"code": [Secret(code)], "z": Archive("file", "/z.zip")}, Path("/home/shop")) == {
        "code": [
            Secret(
                Archive("assets", {"a.py": Asset("file", "/home/shop/app/a.py"), "b.txt": Asset("text", "app/a.py")})
            )
        ],
        "z": Archive("file", "/z.zip"),
    }


# --- the provider --------------------------------------------------------------------------------------------------


class Queues:
    """A service that makes queues unless they are called `bad`."""

    name = "queues"
    title = "the queues"

    def __init__(self) -> None:
        self.made: list[Mapping[str, Any]] = []
        self.needed: list[str] = []
        self.deleted: list[tuple[str, Any]] = []

    def serves(self, token: str) -> bool:
        return token == QUEUE

    def needs(self, registrations: Iterable[Registration], outputs: Iterable[Mapping[str, Any]]) -> None:
        self.needed += [registration.name for registration in registrations]

    def create(self, registration: Registration, offline: Created) -> Made:
        if registration.name == "bad":
            raise EmulatorError("its name is bad")
        self.made.append(registration.inputs)
        return Made({"location": "here"}, "own-id", (Gap("lockDuration", "there are no locks"),), absent=("type",))

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return {"primaryKey": "own"} if token.endswith("listQueueKeys") else None

    def delete(self, registration: Registration, existing: Created) -> str:
        if registration.name == "locked":
            raise EmulatorError("it is locked")
        self.deleted.append((registration.name, existing.id))
        return "it is glued" if registration.name == "glued" else ""

    def start(self) -> None: ...

    def environment(self) -> dict[str, str]:
        return {}

    def backends(self) -> set[Backend]:
        return {"process"}

    def check(self) -> None: ...

    def stop(self) -> None: ...


def test_ids_and_outputs_are_the_emulators_own_over_those_that_are_synthesised() -> None:
    provider = EmulatedProvider([Queues()])
    declared = registration(QUEUE, "jobs", queueName="jobs", namespaceName="bus", resourceGroupName="g")
    created = provider.create(declared)
    synthesised = OfflineProvider().create(declared)

    assert created.id == "own-id"
    assert created.outputs["location"] == "here"
    assert created.outputs["name"] == synthesised.outputs["name"] == "jobs"
    assert "type" in synthesised.outputs
    assert "type" not in created.outputs


def test_what_no_emulator_has_is_answered_offline_without_unknowns_and_said() -> None:
    provider = EmulatedProvider([Queues()])
    created = provider.create(registration(WORKSPACE, "logs", resourceGroupName="g"))

    assert created.id == OfflineProvider().create(registration(WORKSPACE, "logs", resourceGroupName="g")).id
    assert UNKNOWN not in created.outputs.values()
    (entry,) = provider.report
    assert (entry.name, entry.service, entry.gaps, entry.failure) == ("logs", "", (), "")


def test_a_failure_is_reported_and_raised_where_that_is_asked_for() -> None:
    provider = EmulatedProvider([Queues()])
    bad = registration(QUEUE, "bad", queueName="bad")

    assert provider.create(bad).outputs["name"] == "bad"
    assert [entry.failure for entry in provider.report] == ["its name is bad"]
    with pytest.raises(
        CannotCreateError, match=r"bad \(azure-native:servicebus:Queue\) cannot be made.*its name is bad"
    ):
        provider.deploy(bad)


def test_changes_are_not_carried_out_and_that_is_said() -> None:
    queues = Queues()
    provider = EmulatedProvider([queues])
    before = registration(QUEUE, "jobs", queueName="jobs", maxDeliveryCount=5, tags={})
    provider.create(before)
    updated = provider.update(registration(QUEUE, "jobs", queueName="jobs", maxDeliveryCount=6), "own-id")

    assert len(queues.made) == 1
    assert (updated.id, updated.outputs["location"], updated.outputs["maxDeliveryCount"]) == ("own-id", "here", 6)
    assert [(gap.property, gap.reason) for gap in provider.report[0].gaps[1:]] == [
        ("maxDeliveryCount", "changed after it was made: the emulator keeps what it has"),
        ("tags", "changed after it was made: the emulator keeps what it has"),
    ]


def test_a_deletion_is_carried_out_and_told() -> None:
    queues = Queues()
    provider = EmulatedProvider([queues])
    for name in ("jobs", "glued", "locked"):
        made = provider.create(registration(QUEUE, name, queueName=name))
        assert made.id == "own-id"
    provider.delete(registration(QUEUE, "jobs"), made)
    provider.delete(registration(QUEUE, "glued"), made)
    provider.delete(registration(WORKSPACE, "logs"), Created("other", {}))
    with pytest.raises(
        CannotDeleteError, match=r"locked \(azure-native:servicebus:Queue\) cannot be deleted.*it is locked"
    ):
        provider.delete(registration(QUEUE, "locked"), made)

    assert queues.deleted == [("jobs", "own-id"), ("glued", "own-id")]
    report = {entry.name: entry for entry in provider.report}
    assert [report[name].deleted for name in ("jobs", "glued", "locked")] == [True, False, False]
    left = "deleted, and still there until the emulator stops: it is glued"
    assert [gap.reason for gap in report["glued"].gaps] == ["there are no locks", left]


def test_the_deletion_of_what_was_replaced_says_nothing_of_its_successor() -> None:
    provider = EmulatedProvider([Queues()])
    provider.create(registration(QUEUE, "jobs", queueName="two"))
    provider.delete(registration(QUEUE, "jobs", queueName="one"), Created("id-of-one", {}))

    assert [entry.deleted for entry in provider.report] == [False]


def test_functions_are_answered_by_the_user_then_the_emulators_then_offline() -> None:
    token, other = "azure-native:servicebus:listQueueKeys", "aws:index/getCallerIdentity:getCallerIdentity"
    plainly = EmulatedProvider([Queues()])
    told = EmulatedProvider([Queues()], {token: {"primaryKey": "users"}})

    assert plainly.invoke(token, {}, {}).value == {"primaryKey": "own"}
    assert told.invoke(token, {}, {}).value["primaryKey"] == "users"
    assert plainly.invoke(other, {}, {}).value == OfflineProvider().invoke(other, {}, {}).value


def test_the_services_hear_beforehand_what_will_be_made() -> None:
    queues = Queues()
    provider = EmulatedProvider([queues])
    resources = (
        Resource("urn:1", QUEUE, "jobs", {}),
        Resource("urn:2", WORKSPACE, "logs", {}),
        Resource("urn:3", QUEUE, "of others", {}, external=True),
    )
    provider.prepare(Deployment("shop", "dev", Path("/shop"), resources), Path("/shop"))

    assert queues.needed == ["jobs"]
    assert provider.is_needed(queues)


# --- behind the real engine's protocol -----------------------------------------------------------------------------


@pytest.fixture
def attached() -> Iterator[Callable[[], tuple[Spoken, EmulatedProvider, ServiceBusService]]]:
    bus = ServiceBusService()
    provider = EmulatedProvider([bus])
    try:
        with serve([OfflinePlugin("azure-native", "3.29.0", emulated=provider)]) as ports:
            spoken = Spoken(ports["azure-native"])
            yield lambda: (spoken, provider, bus)
            spoken.channel.close()
    finally:
        bus.stop()


DECLARED = {"queueName": "jobs", "namespaceName": "bus", "resourceGroupName": "g", "maxDeliveryCount": 3}


def test_a_preview_makes_nothing_and_an_apply_does(attached: Any) -> None:
    spoken, _, bus = attached()
    spoken.create(DECLARED, QUEUE, preview=True)
    assert bus.backends() == set()
    response = spoken.create(DECLARED, QUEUE, preview=False)

    (queue,) = bus.fake("bus").broker.queues
    assert (queue.name, queue.max_delivery_count) == ("jobs", 3)
    assert decode(response.properties)["maxDeliveryCount"] == 3


def test_what_an_emulator_refuses_fails_the_apply(attached: Any) -> None:
    spoken, provider, _ = attached()
    with pytest.raises(grpc.RpcError) as refused:
        spoken.create({**DECLARED, "maxDeliveryCount": 5000}, QUEUE, preview=False)

    assert "max_delivery_count is 5000, expected 1 to 2000" in refused.value.details()  # type: ignore[attr-defined]
    assert "max_delivery_count" in provider.report[0].failure


def test_an_update_answers_the_new_inputs_and_is_reported(attached: Any) -> None:
    spoken, provider, bus = attached()
    identity = spoken.create(DECLARED, QUEUE, preview=False).id

    request = provider_pb2.UpdateRequest(
        id=identity, urn=urn(QUEUE), type=QUEUE, name="jobs", news=encode({**DECLARED, "maxDeliveryCount": 4})
    )
    answer = decode(spoken.rpc.Update(request).properties)

    assert answer["maxDeliveryCount"] == 4
    assert bus.fake("bus").broker.queues[0].max_delivery_count == 3
    assert [gap.property for gap in provider.report[0].gaps] == ["maxDeliveryCount"]


@pytest.mark.parametrize("sends_inputs", [True, False])
def test_a_deletion_by_the_engine_is_carried_out(attached: Any, sends_inputs: bool) -> None:
    spoken, provider, bus = attached()
    created = spoken.create(DECLARED, QUEUE, preview=False)
    request = provider_pb2.DeleteRequest(
        id=created.id, urn=urn(QUEUE), type=QUEUE, name="jobs", properties=created.properties
    )
    if sends_inputs:
        request.old_inputs.CopyFrom(encode(DECLARED))
    elif "namespaceName" not in decode(created.properties):
        # What engines before old_inputs sent: the outputs, among which the inputs are as a provider echoes them.
        request.properties.CopyFrom(encode({**DECLARED, **decode(created.properties)}))
    spoken.rpc.Delete(request)

    assert bus.fake("bus").broker.queues == []
    assert [entry.deleted for entry in provider.report] == [True]


def test_a_deletion_that_the_emulator_refuses_fails() -> None:
    with serve([OfflinePlugin("azure-native", "3.29.0", emulated=EmulatedProvider([Queues()]))]) as ports:
        spoken = Spoken(ports["azure-native"])
        request = provider_pb2.DeleteRequest(id="own-id", urn=urn(QUEUE, "locked"), type=QUEUE, name="locked")
        with pytest.raises(grpc.RpcError) as refused:
            spoken.rpc.Delete(request)
        spoken.channel.close()

    assert "locked (azure-native:servicebus:Queue) cannot be deleted" in refused.value.details()  # type: ignore[attr-defined]


def test_a_new_name_replaces_although_the_id_is_the_emulators_own() -> None:
    with serve([OfflinePlugin("azure-native", "3.29.0", emulated=EmulatedProvider([Queues()]))]) as ports:
        spoken = Spoken(ports["azure-native"])
        assert spoken.create(DECLARED, QUEUE, preview=False).id == "own-id"
        renamed = spoken.diff(DECLARED, {**DECLARED, "queueName": "other"}, QUEUE, identity="own-id")
        changed = spoken.diff(DECLARED, {**DECLARED, "maxDeliveryCount": 4}, QUEUE, identity="own-id")
        spoken.channel.close()

    assert (list(renamed.replaces), list(renamed.diffs)) == (["queueName"], ["queueName"])
    assert (list(changed.replaces), list(changed.diffs)) == ([], ["maxDeliveryCount"])
