"""What only the fake can do, seen through the official SDK: faults on demand, time that passes at once, tokens."""

from __future__ import annotations

import base64
import contextlib
import gc
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.credentials import AccessToken, AzureSasCredential
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusReceiver, ServiceBusSender
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessagingEntityDisabledError,
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusQuotaExceededError,
    ServiceBusServerBusyError,
)

from ringfence.emulators.service_bus import AuthorizationRule, QueueSettings, ServiceBusFake

QUICK: dict[str, Any] = {"socket_timeout": 0.02, "keep_alive": 0}


@pytest.fixture
def fake() -> Iterator[ServiceBusFake]:
    with ServiceBusFake() as fake:
        fake.broker.create_queue(QueueSettings(name="orders", max_delivery_count=2))
        yield fake
        assert fake.faults == []


def text(fake: ServiceBusFake) -> str:
    return fake.environment()["RINGFENCE_SERVICE_BUS_CONNECTION_STRING"]


def connect(fake: ServiceBusFake, **options: Any) -> ServiceBusClient:
    return ServiceBusClient.from_connection_string(
        text(fake), **{"retry_total": 0, "retry_backoff_factor": 0.01, **options}
    )


@pytest.fixture
def client(fake: ServiceBusFake) -> Iterator[ServiceBusClient]:
    with connect(fake) as client:
        yield client


@pytest.fixture
def pair(client: ServiceBusClient) -> Iterator[tuple[ServiceBusSender, ServiceBusReceiver]]:
    """Give a sender and a receiver of the queue. They prefetch, since that closes faster."""
    sender = client.get_queue_sender("orders", **QUICK)
    receiver = client.get_queue_receiver("orders", **QUICK, max_wait_time=5, prefetch_count=1)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda handler: handler.__enter__(), (sender, receiver)))
    yield sender, receiver
    receiver.close()
    sender.close()


def test_a_busy_server_refuses_and_the_sdk_tries_again(fake: ServiceBusFake) -> None:
    fake.broker.inject("orders", "send", times=1)
    with connect(fake) as client, client.get_queue_sender("orders", **QUICK) as sender:
        with pytest.raises(ServiceBusServerBusyError, match="50002"):
            sender.send_messages(ServiceBusMessage("refused"))
        sender.send_messages(ServiceBusMessage("taken"))
    fake.broker.inject("orders", "send", times=2)
    with connect(fake, retry_total=3) as client, client.get_queue_sender("orders", **QUICK) as sender:
        sender.send_messages(ServiceBusMessage("taken too"))

    assert fake.broker.counts("orders").active == 2


def test_a_busy_server_refuses_receivers_settlements_and_requests(
    fake: ServiceBusFake, client: ServiceBusClient, pair: tuple[ServiceBusSender, ServiceBusReceiver]
) -> None:
    sender, receiver = pair
    sender.send_messages(ServiceBusMessage("one"))
    (message,) = receiver.receive_messages()
    fake.broker.inject("orders", "settle")
    with pytest.raises(ServiceBusServerBusyError):
        receiver.complete_message(message)
    fake.broker.inject("orders", "manage")
    with pytest.raises(ServiceBusServerBusyError):
        receiver.peek_messages()
    fake.broker.inject("orders", "receive")
    other = client.get_queue_receiver("orders", **QUICK)
    with pytest.raises(ServiceBusServerBusyError), other:
        other.receive_messages(max_wait_time=2)

    assert fake.broker.counts("orders").active == 1


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_broken_connection_is_made_anew_and_nothing_is_lost(fake: ServiceBusFake) -> None:
    """The SDK lets go of a socket that has broken without closing it: that is collected before the test ends."""
    with connect(fake, retry_total=3) as client:
        sender = client.get_queue_sender("orders", **QUICK)
        receiver = client.get_queue_receiver("orders", **QUICK, max_wait_time=5, prefetch_count=1)
        with sender, receiver:
            sender.send_messages([ServiceBusMessage("held"), ServiceBusMessage("free")])
            (held,) = receiver.receive_messages(max_message_count=1)
            fake.disconnect()
            fake.broker.advance(60)
            done = []
            while len(done) < 2:
                for message in receiver.receive_messages(max_message_count=1):
                    # What the SDK had fetched already is locked no more.
                    with contextlib.suppress(MessageLockLostError):
                        receiver.complete_message(message)
                        done.append((str(message), message.delivery_count))
            sender.send_messages(ServiceBusMessage("sent anew"))
    del sender, receiver
    gc.collect()

    assert str(held) == "held"
    assert sorted(body for body, _ in done) == ["free", "held"]
    assert ("held", 1) in done
    assert fake.broker.counts("orders").active == 1


def test_time_can_pass_at_once(fake: ServiceBusFake, pair: tuple[ServiceBusSender, ServiceBusReceiver]) -> None:
    sender, receiver = pair
    sender.schedule_messages(ServiceBusMessage("next week"), datetime.now(UTC) + timedelta(days=7))
    started = time.monotonic()
    fake.broker.advance(timedelta(days=7).total_seconds())
    (first,) = receiver.receive_messages()
    fake.broker.advance(60)
    with pytest.raises(MessageLockLostError):
        receiver.complete_message(first)
    (second,) = receiver.receive_messages()
    fake.broker.advance(60)
    counts = fake.broker.counts("orders")

    assert (str(second), second.delivery_count) == ("next week", 1)
    assert (counts.active, counts.dead_letter, counts.scheduled) == (0, 1, 0)
    assert time.monotonic() - started < 60


def test_a_queue_that_is_deleted_or_disabled_says_so(fake: ServiceBusFake, client: ServiceBusClient) -> None:
    fake.broker.create_queue(QueueSettings(name="off", status="Disabled"))
    fake.broker.create_queue(QueueSettings(name="full", max_size_in_megabytes=1, max_message_size_in_kilobytes=1024))
    with pytest.raises(MessagingEntityDisabledError), client.get_queue_sender("off", **QUICK):
        pass
    with client.get_queue_sender("full", **QUICK) as sender:
        sender.send_messages(ServiceBusMessage(b"x" * 1_000_000))
        with pytest.raises(ServiceBusQuotaExceededError):
            sender.send_messages(ServiceBusMessage(b"x" * 100_000))
    with client.get_queue_receiver("orders", **QUICK, prefetch_count=1) as receiver:
        fake.broker.delete("orders")
        with pytest.raises(MessagingEntityNotFoundError):
            receiver.receive_messages(max_wait_time=3)


# Tokens


class Credential:
    """Gives tokens as Entra does, for a given audience."""

    def __init__(self, audience: str = "https://servicebus.azure.net") -> None:
        self.audience = audience

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        expiry = int(time.time()) + 3600
        parts = [{"alg": "none"}, {"aud": self.audience, "exp": expiry}]
        encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
        return AccessToken(".".join([*encoded, "unsigned"]), expiry)


def test_an_identity_gets_in_where_keys_do_not() -> None:
    with ServiceBusFake(disable_local_auth=True) as fake:
        fake.broker.create_queue(QueueSettings(name="orders"))
        namespace = fake.environment()["RINGFENCE_SERVICE_BUS_NAMESPACE"]
        options: dict[str, Any] = {"use_tls": False, "retry_total": 0}
        with (
            ServiceBusClient(namespace, Credential(), **options) as client,
            client.get_queue_sender("orders", **QUICK) as sender,
        ):
            sender.send_messages(ServiceBusMessage("mine"))
        with (
            ServiceBusClient(namespace, Credential("https://elsewhere"), **options) as client,
            pytest.raises(ServiceBusAuthenticationError),
            client.get_queue_sender("orders", **QUICK),
        ):
            pass
        with (
            connect(fake) as client,
            pytest.raises(ServiceBusAuthenticationError),
            client.get_queue_sender("orders", **QUICK),
        ):
            pass

        assert fake.broker.counts("orders").active == 1
        assert fake.faults == []


def test_a_key_is_good_for_its_rights_only(fake: ServiceBusFake) -> None:
    rule = AuthorizationRule("reader", "a2V5", frozenset(("Listen",)))
    fake.broker.authorization_rules["reader"] = rule
    namespace = fake.environment()["RINGFENCE_SERVICE_BUS_NAMESPACE"]
    reader = f"Endpoint=sb://{namespace};SharedAccessKeyName=reader;SharedAccessKey=a2V5;UseDevelopmentEmulator=true;"
    with ServiceBusClient.from_connection_string(reader, retry_total=0) as client:
        with client.get_queue_receiver("orders", **QUICK, prefetch_count=1) as receiver:
            assert receiver.peek_messages() == []
        with (
            pytest.raises(ServiceBusAuthorizationError, match="'Send' claim"),
            client.get_queue_sender("orders", **QUICK),
        ):
            pass


def test_a_token_that_has_expired_is_refused(fake: ServiceBusFake) -> None:
    namespace = fake.environment()["RINGFENCE_SERVICE_BUS_NAMESPACE"]
    stale = AzureSasCredential("SharedAccessSignature sr=x&sig=y&se=1&skn=RootManageSharedAccessKey")
    with (
        ServiceBusClient(namespace, stale, use_tls=False, retry_total=0) as client,
        pytest.raises(ServiceBusAuthenticationError),
        client.get_queue_sender("orders", **QUICK),
    ):
        pass


def test_time_that_passes_at_once_ends_no_token(fake: ServiceBusFake, client: ServiceBusClient) -> None:
    fake.broker.advance(timedelta(days=2).total_seconds())
    with client.get_queue_sender("orders", **QUICK) as sender:
        sender.send_messages(ServiceBusMessage("by a token of now"))
        fake.broker.advance(timedelta(days=2).total_seconds())
        sender.send_messages(ServiceBusMessage("by the same"))

    assert fake.broker.counts("orders").active == 2


def test_sessions_can_be_listed(fake: ServiceBusFake, client: ServiceBusClient) -> None:
    fake.broker.create_queue(QueueSettings(name="talks", requires_session=True))
    with client.get_queue_sender("talks", **QUICK) as sender:
        sender.send_messages([ServiceBusMessage("x", session_id=f"s{number:03}") for number in range(130)])

    assert list(client.list_queue_sessions("talks")) == [f"s{number:03}" for number in range(130)]
