"""The server on the wire: what it says to clients that do as they should, and to those that do not."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ringfence.emulators.interface import Emulator, EmulatorError
from ringfence.emulators.service_bus import Broker, QueueSettings, ServiceBusFake
from ringfence.emulators.service_bus.amqp.frames import AMQP_HEADER
from ringfence.emulators.service_bus.amqp.message import BATCH_FORMAT
from ringfence.emulators.service_bus.amqp.performatives import (
    Accepted,
    AmqpError,
    Attach,
    Close,
    Coordinator,
    Detach,
    Disposition,
    End,
    Flow,
    Modified,
    Rejected,
    Released,
    Source,
    Target,
    TransactionalState,
    Transfer,
)
from ringfence.emulators.service_bus.amqp.types import Symbol
from ringfence.emulators.service_bus.session import SESSION_FILTER
from tests.unit.emulators.service_bus.client import RawClient
from tests.unit.emulators.service_bus.helpers import encoded


@pytest.fixture
def fake() -> Iterator[ServiceBusFake]:
    with ServiceBusFake() as fake:
        fake.broker.create_queue(QueueSettings(name="orders"))
        yield fake


@pytest.fixture
def client(fake: ServiceBusFake) -> Iterator[RawClient]:
    with RawClient(fake).begin() as client:
        assert client.put_token("orders") == 202
        yield client


def to_orders(handle: int = 1, **fields: Any) -> Attach:
    return Attach(f"to-{handle}", handle, False, source=Source("me"), target=Target("orders"), **fields)


def from_orders(handle: int = 2, **fields: Any) -> Attach:
    return Attach(f"from-{handle}", handle, True, source=Source("orders"), target=Target("me"), **fields)


def refusal(client: RawClient, attach: Attach) -> str:
    """Return why a link is refused."""
    answer = client.attach(attach)
    assert (answer.source, answer.target) == (None, None)
    detach, _ = client.expect(Detach)
    assert detach.error is not None
    return detach.error.condition


# Life


def test_it_is_an_emulator_that_starts_stops_and_leaves_nothing() -> None:
    fake: Emulator = (known := ServiceBusFake())
    for _ in range(2):
        fake.start()
        environment = fake.environment()
        port = known.port
        known.broker.create_queue(QueueSettings(name="q"))
        with RawClient(known):
            fake.stop()
        fake.stop()

        assert f"Endpoint=sb://127.0.0.1:{port};" in environment["RINGFENCE_SERVICE_BUS_CONNECTION_STRING"]
        assert "UseDevelopmentEmulator=true;" in environment["RINGFENCE_SERVICE_BUS_CONNECTION_STRING"]
        assert environment["RINGFENCE_SERVICE_BUS_NAMESPACE"] == f"127.0.0.1:{port}"
        assert known.broker.queues == []
        assert not [thread for thread in threading.enumerate() if thread.name == "ringfence-service-bus"]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)
    assert (fake.service, fake.backend) == ("service-bus", "process")


def test_a_port_that_is_taken_is_named(fake: ServiceBusFake) -> None:
    with pytest.raises(EmulatorError, match=rf"cannot listen on 127.0.0.1:{fake.port}: "):
        ServiceBusFake(port=fake.port).start()
    with pytest.raises(EmulatorError, match="runs already"):
        fake.start()


def test_a_fake_that_cannot_start_says_why_and_can_be_stopped() -> None:
    fake = ServiceBusFake(ssl_context=cast(ssl.SSLContext, True))
    with pytest.raises(EmulatorError, match=r"cannot start: .*SSLContext"):
        fake.start()
    fake.stop()

    assert len(fake.faults) == 1


def test_a_reset_ends_connections_and_forgets_entities(fake: ServiceBusFake, client: RawClient) -> None:
    fake.reset()

    assert client.is_closed()
    assert fake.broker.queues == []
    with RawClient(fake).begin() as again:
        assert again.put_token("orders") == 404


def test_it_speaks_tls_if_it_is_given_a_certificate(tmp_path: Path) -> None:
    authority, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, key)
    trusting = ssl.create_default_context(cafile=str(authority))
    with (
        ServiceBusFake(ssl_context=context) as fake,
        socket.create_connection(("127.0.0.1", fake.port), timeout=5) as plain,
        trusting.wrap_socket(plain, server_hostname="localhost") as private,
    ):
        private.sendall(AMQP_HEADER)
        assert private.recv(8) == AMQP_HEADER


def certificate(folder: Path) -> tuple[Path, Path]:
    """Write a self-signed certificate for localhost and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = (
        builder.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    )
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    signed = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    (folder / "cert.pem").write_bytes(signed.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    kind = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*kind))
    return folder / "cert.pem", folder / "key.pem"


# Faults


def test_an_exception_in_a_handler_ends_the_connection_and_is_recorded(
    fake: ServiceBusFake, client: RawClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Broker, path: str) -> None:
        raise ZeroDivisionError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(Broker, "inlet", broken)
        client.send(to_orders())
        close, _ = client.expect(Close)

    assert close.error == AmqpError("amqp:internal-error", "The emulator has failed: ZeroDivisionError: a bug")
    assert client.is_closed()
    assert [str(error) for error in fake.faults] == ["a bug"]
    with RawClient(fake).begin() as other:
        assert other.put_token("orders") == 202


def test_an_exception_outside_of_requests_ends_all_connections_and_is_recorded(
    fake: ServiceBusFake, client: RawClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Broker) -> None:
        raise ZeroDivisionError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(Broker, "sweep", broken)
        fake.broker.advance(1)
        assert client.is_closed()

    assert {str(error) for error in fake.faults} == {"a bug"}


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\x00\x00\x01\x02\x00\x00\x01",  # a frame smaller than its header
        b"\xff\xff\xff\xff\x02\x00\x00\x01",  # a frame of four gigabytes
        b"\x00\x00\x00\x0b\x02\x00\x00\x01\x00\x53\x99",  # no performative
        b"\x00\x00\x00\x0c\x02\x01\x00\x01\x00\x53\x40\x45",  # SASL, too late
    ],
)
def test_nonsense_ends_the_connection_with_the_reason(fake: ServiceBusFake, client: RawClient, raw: bytes) -> None:
    client.socket.sendall(raw)
    close, _ = client.expect(Close)

    assert close.error is not None
    assert close.error.condition == "amqp:decode-error"
    assert client.is_closed()
    assert fake.faults == []


def test_another_protocol_gets_the_header_and_no_more(fake: ServiceBusFake) -> None:
    with socket.create_connection(("127.0.0.1", fake.port), timeout=5) as plain:
        plain.sendall(b"GET / HT")
        assert plain.recv(100) == AMQP_HEADER
        assert plain.recv(100) == b""


def test_frames_for_what_is_not_there_are_ignored(client: RawClient) -> None:
    client.send(Detach(77, True))
    client.send(Flow(0, 10, 0, 10, 77, 0, 10))
    client.send(Transfer(77, 1, b"t", 0), b"x")
    client.send(Disposition(True, 5, 9, True, Accepted()))
    client.send(Detach(1, True), channel=9)
    client.send(End())
    client.expect(End)
    client.send(Close(), channel=0)
    client.expect(Close)

    assert client.is_closed()


def test_an_idle_client_is_kept_alive(fake: ServiceBusFake) -> None:
    with RawClient(fake, idle=100) as client:
        assert [client.next() for _ in range(3)] == [(None, b"")] * 3


# Links


def test_a_link_needs_a_token(fake: ServiceBusFake) -> None:
    with RawClient(fake).begin() as client:
        assert refusal(client, to_orders()) == "amqp:unauthorized-access"
        assert refusal(client, from_orders()) == "amqp:unauthorized-access"
        management = Attach("m", 3, True, source=Source("orders/$management"), target=Target("me"))
        assert refusal(client, management) == "amqp:unauthorized-access"


@pytest.mark.parametrize(
    ("attach", "condition"),
    [
        (Attach("tx", 5, False, source=Source("me"), target=Coordinator()), "amqp:not-implemented"),
        (Attach("none", 5, False, source=Source("me")), "com.microsoft:argument-error"),
        (Attach("none", 5, True, target=Target("me")), "com.microsoft:argument-error"),
    ],
)
def test_links_that_are_refused(client: RawClient, attach: Attach, condition: str) -> None:
    assert refusal(client, attach) == condition


@pytest.mark.parametrize(
    ("fields", "raw", "condition"),
    [
        ({"state": TransactionalState(b"tx")}, encoded(), "amqp:not-implemented"),
        ({}, b"no message", "amqp:decode-error"),
        ({"message_format": BATCH_FORMAT}, encoded()[:-6], "amqp:decode-error"),
    ],
)
def test_messages_that_are_refused(client: RawClient, fields: dict[str, Any], raw: bytes, condition: str) -> None:
    client.attach(to_orders())
    client.expect(Flow)
    client.transfer(1, raw, **fields)
    disposition, _ = client.expect(Disposition)

    assert isinstance(disposition.state, Rejected)
    assert disposition.state.error is not None
    assert disposition.state.error.condition == condition
    assert client.fake.broker.counts("orders").active == 0


def test_a_message_in_parts_is_put_together_unless_it_is_aborted(client: RawClient) -> None:
    client.attach(to_orders())
    client.expect(Flow)
    raw = encoded("a long one")
    client.transfer(1, raw[:5], more=True, delivery_id=1)
    client.transfer(1, b"", more=True, aborted=True, delivery_id=None)
    client.transfer(1, raw[:5], more=True, delivery_id=2)
    client.transfer(1, raw[5:], delivery_id=None)
    disposition, _ = client.expect(Disposition)

    assert (disposition.first, disposition.state) == (2, Accepted())
    (stored,) = client.fake.broker.outlet("orders").peek(0, 10)
    assert stored.body_raw == raw[-len(stored.body_raw) :]


def test_a_message_that_is_settled_by_its_sender_gets_no_answer(client: RawClient) -> None:
    client.attach(to_orders())
    client.expect(Flow)
    client.transfer(1, encoded("1"), settled=True)
    client.transfer(1, encoded("2"), delivery_id=2)
    disposition, _ = client.expect(Disposition)

    assert disposition.first == 2
    assert client.fake.broker.counts("orders").active == 2


def send_all(client: RawClient, *bodies: str) -> None:
    client.attach(to_orders())
    client.expect(Flow)
    for index, body in enumerate(bodies):
        client.transfer(1, encoded(body), delivery_id=index)
        client.expect(Disposition)


def test_credit_is_respected_and_can_be_drained(client: RawClient) -> None:
    send_all(client, "1", "2", "3")
    client.attach(from_orders())
    client.flow(2, 2, seen=1)
    got = [client.expect(Transfer)[0] for _ in range(2)]
    client.send(Flow(3, 1000, 0, 1000, 2, 2, 5, None, True))
    last, _ = client.expect(Transfer)
    drained, _ = client.expect(Flow)

    assert [transfer.delivery_id for transfer in [*got, last]] == [1, 2, 3]
    assert len({transfer.delivery_tag for transfer in [*got, last]}) == 3
    assert (drained.delivery_count, drained.link_credit, drained.drain) == (7, 0, True)
    client.send(Flow(4, 1000, 0, 1000, 2, 7, 4, None, None, True))
    echo, _ = client.expect(Flow)
    assert (echo.delivery_count, echo.link_credit) == (7, 4)


@pytest.mark.parametrize(
    ("state", "outcome", "left"),
    [
        (Accepted(), Accepted(), (0, 0, 0)),
        (Released(), Released(), (1, 0, 0)),
        (Modified(True, False), Modified(True, False), (1, 0, 0)),
        (Modified(True, True), Modified(True, True), (0, 0, 1)),
        (Rejected(AmqpError("com.microsoft:dead-letter", None, {"DeadLetterReason": "R"})), Rejected(), (0, 1, 0)),
        (TransactionalState(b"tx", Accepted()), "amqp:not-implemented", (1, 0, 0)),
    ],
)
def test_an_outcome_is_carried_out_and_echoed(client: RawClient, state: Any, outcome: Any, left: Any) -> None:
    send_all(client, "1")
    client.attach(from_orders())
    client.flow(2, 1, seen=1)
    transfer, _ = client.expect(Transfer)
    number = transfer.delivery_id
    assert number is not None
    client.send(Disposition(True, number, None, False, state))
    answer, _ = client.expect(Disposition)

    assert (answer.role, answer.first, answer.settled) == (False, number, True)
    if isinstance(outcome, str):
        assert answer.state.error.condition == outcome
    else:
        assert answer.state == outcome
    counts = client.fake.broker.counts("orders")
    assert (counts.active, counts.dead_letter, counts.deferred) == left


def test_a_range_of_deliveries_can_be_settled_at_once(client: RawClient) -> None:
    send_all(client, "1", "2", "3")
    client.attach(from_orders())
    client.flow(2, 3, seen=1)
    for _ in range(3):
        client.expect(Transfer)
    client.send(Disposition(True, 0, 0xFFFFFFF0, True, Accepted()))
    client.send(Flow(4, 1000, 0, 1000, 2, 3, 1, None, None, True))
    client.expect(Flow)

    assert client.fake.broker.counts("orders").active == 0


def test_a_message_is_sent_in_frames_and_as_the_window_allows(fake: ServiceBusFake) -> None:
    with RawClient(fake, frame_size=600, window=3).begin() as client:
        client.put_token("orders")
        send_all(client, "x" * 2500)
        client.attach(from_orders())
        client.flow(2, 1, seen=1, window=2)
        parts = [client.expect(Transfer) for _ in range(2)]
        client.flow(2, 1, seen=3, window=100)
        while parts[-1][0].more:
            parts.append(client.expect(Transfer))

    assert len(parts) > 4
    assert {transfer.delivery_id for transfer, _ in parts} == {1}
    assert b"x" * 2500 in b"".join(payload for _, payload in parts)


def test_messages_of_a_closed_link_stay_locked(client: RawClient) -> None:
    send_all(client, "1")
    client.attach(from_orders())
    client.flow(2, 1, seen=1)
    transfer, _ = client.expect(Transfer)
    client.send(Detach(2, True))
    client.expect(Detach)
    client.send(Disposition(True, transfer.delivery_id or 0, None, False, Accepted()))
    client.attach(from_orders(3))
    client.flow(3, 1, seen=2)
    client.fake.broker.advance(60)
    again, payload = client.expect(Transfer)

    assert again.delivery_tag != transfer.delivery_tag
    assert encoded("1")[-6:] in payload


def test_a_link_ends_with_its_queue(client: RawClient) -> None:
    client.attach(from_orders())
    client.fake.broker.delete("orders")
    detach, _ = client.expect(Detach)

    assert detach.error is not None
    assert detach.error.condition == "amqp:not-found"


def test_a_session_goes_to_who_waits_once_its_holder_is_too_slow(fake: ServiceBusFake) -> None:
    fake.broker.create_queue(QueueSettings(name="talks", requires_session=True))

    def for_session(handle: int, session: str | None) -> Attach:
        source = Source("talks", filter={SESSION_FILTER: session})
        return Attach(f"link-{handle}", handle, True, source=source, target=Target("me"))

    with RawClient(fake).begin() as client:
        client.put_token("talks")
        client.send(for_session(1, None))
        held = client.attach(for_session(2, "A"))
        client.attach(Attach("to", 3, False, source=Source("me"), target=Target("talks")))
        client.expect(Flow)
        client.transfer(3, encoded("x", session_id="A"))
        client.expect(Disposition)
        fake.broker.advance(60)
        given, _ = client.expect(Attach)
        lost, _ = client.expect(Detach)

    assert (held.name, given.name) == ("link-2", "link-1")
    assert (held.source.filter, given.source.filter) == ({SESSION_FILTER: "A"},) * 2
    assert lost.error is not None
    assert (lost.handle, lost.error.condition) == (2, "com.microsoft:session-lock-lost")


@pytest.mark.parametrize(("wanted", "condition"), [("A", "cannot-be-locked"), (None, "timeout")])
def test_a_session_that_cannot_be_had(fake: ServiceBusFake, wanted: str | None, condition: str) -> None:
    fake.broker.create_queue(QueueSettings(name="talks", requires_session=True))
    fake.broker.outlet("talks").accept_session("A", object())
    source = Source("talks", filter={SESSION_FILTER: wanted})
    patience = {Symbol("com.microsoft:timeout"): 50}
    with RawClient(fake).begin() as client:
        client.put_token("talks")
        attach = Attach("link", 1, True, source=source, target=Target("me"), properties=patience)

        assert refusal(client, attach).endswith(condition)


def test_time_that_passes_makes_messages_ready(client: RawClient) -> None:
    client.attach(to_orders())
    client.expect(Flow)
    client.transfer(1, encoded("later", at=time.time() + 3600))
    client.expect(Disposition)
    client.attach(from_orders())
    client.flow(2, 1, seen=1)
    client.fake.broker.advance(3601)

    assert b"later" in client.expect(Transfer)[1]


# Nodes that answer


def test_other_operations_are_refused(client: RawClient) -> None:
    answer = client.request(101, "me", {"operation": "get-token"}, "x")
    assert answer[0x74]["status-code"] == 501

    client.attach(Attach("ma", 10, True, source=Source("orders/$management"), target=Target("manager")))
    client.attach(Attach("mr", 11, False, source=Source("manager"), target=Target("orders/$management")))
    client.expect(Flow)
    client.flow(10, 10, seen=2)
    for operation, body, status in (
        ("com.microsoft:batch-delete-messages", {}, 501),
        ("com.microsoft:add-rule", {}, 501),
        ("com.microsoft:renew-lock", {}, 400),
        ("com.microsoft:renew-lock", {"lock-tokens": ["text"]}, 400),
        ("com.microsoft:peek-message", {}, 400),
        ("com.microsoft:schedule-message", {"messages": [{"message": b"nonsense"}]}, 400),
        ("com.microsoft:renew-session-lock", {"session-id": "A"}, 400),
        ("com.microsoft:receive-by-sequence-number", {"sequence-numbers": [99]}, 404),
        ("com.microsoft:peek-message", {"from-sequence-number": 0, "message-count": 1}, 204),
    ):
        answer = client.request(11, "manager", {"operation": operation}, body)
        assert (operation, answer[0x74]["statusCode"]) == (operation, status)


def test_a_request_without_a_link_for_the_answer_is_refused(client: RawClient) -> None:
    client.attach(Attach("mr", 11, False, source=Source("manager"), target=Target("orders/$management")))
    client.expect(Flow)
    client.transfer(11, encoded())
    disposition, _ = client.expect(Disposition)

    assert disposition.state.error.condition == "com.microsoft:argument-error"
