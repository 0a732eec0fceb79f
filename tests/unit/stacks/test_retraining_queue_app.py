"""Producer, worker and resubmit tool, with the client's own messages and queues in memory."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus._pyamqp._decode import decode_payload
from azure.servicebus._pyamqp._encode import encode_payload
from azure.servicebus._transport._pyamqp_transport import PyamqpTransport
from azure.servicebus.amqp import AmqpMessageHeader
from azure.servicebus.exceptions import MessageLockLostError, ServiceBusError

from tests.unit.stacks.loading import load

clients, messages, producer, request, resubmit, worker, errors, json_logs = load(
    "retraining_queue", "clients", "messages", "producer", "request", "resubmit", "worker", "errors", "json_logs"
)

ASKED = request.RetrainingRequest(model="churn", dataset="churn/a.csv", target="churned", reason="drift")


def received(message: ServiceBusMessage, deliveries: int = 0, number: int = 1, dead: str | None = None) -> Any:
    """Return a message as the client hands it over: what was sent, encoded and decoded again."""
    amqp = message.raw_amqp_message
    amqp.header = AmqpMessageHeader(delivery_count=deliveries)
    locked_until = int((datetime.now(UTC) + timedelta(minutes=5)).timestamp() * 1000)
    amqp.annotations = {b"x-opt-sequence-number": number, b"x-opt-locked-until": locked_until}
    if dead is not None:
        reason = {"DeadLetterReason": dead, "DeadLetterErrorDescription": f"it is {dead}"}
        amqp.application_properties = {**(amqp.application_properties or {}), **reason}
    wire = bytes(encode_payload(bytearray(), PyamqpTransport.to_outgoing_amqp_message(amqp)))
    return ServiceBusReceivedMessage(decode_payload(memoryview(wire)), receiver=object(), frame=[0, 1, uuid4().bytes])


def sent(message: ServiceBusMessage) -> dict[str, Any]:
    """Return what is in a message that is about to be sent."""
    again = received(message)
    properties = {key.decode(): value for key, value in again.application_properties.items()}
    return {"id": again.message_id, "body": b"".join(again.body), **properties}


class Sender:
    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.at: list[datetime] = []

    def send_messages(self, message: ServiceBusMessage) -> None:
        self.sent.append(sent(message))

    def schedule_messages(self, message: ServiceBusMessage, at: datetime) -> list[int]:
        self.send_messages(message)
        self.at.append(at)
        return [42]


class Queue:
    """Hands messages over in order, and notes what becomes of each. One in `lost` has no lock when it is settled."""

    def __init__(self, *waiting: Any, lost: Sequence[Any] = ()) -> None:
        self.waiting = list(waiting)
        self.settled: list[tuple[str, ...]] = []
        self.lost = list(lost)
        self.asked: list[int] = []

    def receive_messages(self, max_message_count: int, max_wait_time: float) -> list[Any]:
        self.asked.append(max_message_count)
        taken, self.waiting = self.waiting[:max_message_count], self.waiting[max_message_count:]
        return taken

    def peek_messages(self, max_message_count: int, sequence_number: int) -> list[Any]:
        return [item for item in self.waiting if item.sequence_number >= sequence_number][:max_message_count]

    def complete_message(self, message: Any) -> None:
        self._settle(message, "completed")

    def abandon_message(self, message: Any) -> None:
        self._settle(message, "abandoned")

    def dead_letter_message(self, message: Any, reason: str, error_description: str) -> None:
        self._settle(message, "dead-lettered", reason, error_description)

    def _settle(self, message: Any, *outcome: str) -> None:
        if message in self.lost:
            raise MessageLockLostError
        self.settled.append(outcome)


class Renewer:
    """Notes how long locks are renewed, and can lose them."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.losing = False

    def register(self, _: Any, message: Any, max_lock_renewal_duration: float, on_lock_renew_failure: Any) -> None:
        self.seconds.append(max_lock_renewal_duration)
        if self.losing:
            on_lock_renew_failure(message, TimeoutError("the lock was not renewed"))


class Retrainer:
    """Does what it is told to for each attempt: return a path or None, or raise."""

    def __init__(self, *attempts: Any) -> None:
        self.attempts = list(attempts)
        self.asked: list[tuple[str, Any]] = []

    def retrain(self, request_id: str, asked: Any, checkpoint: Any) -> str | None:
        self.asked.append((request_id, asked))
        outcome = self.attempts.pop(0) if self.attempts else "churn/a.json"
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome if not callable(outcome) else outcome(checkpoint)


class Clock:
    """Time that passes when somebody asks."""

    def __init__(self, *times: float) -> None:
        self.times = list(times)

    def __call__(self) -> float:
        return self.times.pop(0) if len(self.times) > 1 else self.times[0]


class Stop(threading.Event):
    """Notes how long it is waited for, and does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        return self.is_set()


def work(queue: Queue, retrainer: Retrainer, **options: Any) -> Any:
    settings = {"renewer": Renewer(), "max_messages": 10, "training_seconds": 60.0, "stop": Stop(), **options}
    return worker.Worker(queue, retrainer=retrainer, **settings)


class Bus:
    """Stands for the client of a namespace."""

    def __init__(self, queue: Queue, dead_letters: Queue, sender: Sender) -> None:
        self.queues = {None: queue, ServiceBusSubQueue.DEAD_LETTER: dead_letters}
        self.sender = sender
        self.names: set[str] = set()

    def __enter__(self) -> Bus:
        return self

    def __exit__(self, *_: object) -> None:
        """Close nothing."""

    @contextmanager
    def get_queue_receiver(self, name: str, sub_queue: Any = None) -> Iterator[Queue]:
        self.names.add(name)
        yield self.queues[sub_queue]

    @contextmanager
    def get_queue_sender(self, name: str) -> Iterator[Sender]:
        self.names.add(name)
        yield self.sender


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Bus:
    """Return what the commands get for a namespace, with nothing in it."""
    namespace = Bus(Queue(), Queue(), Sender())
    monkeypatch.setattr(clients, "service_bus", lambda: namespace)
    monkeypatch.setattr(clients, "container", lambda _: None)
    for name, value in (("QUEUE_NAME", "requests"), ("MAX_MESSAGES", "3"), ("TRAINING_SECONDS", "60")):
        monkeypatch.setenv(name, value)
    return namespace


@pytest.fixture
def signals() -> Iterator[None]:
    """Leave the signal handlers of the process as they were."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def logs() -> Iterator[None]:
    """Leave the loggers of the process as they were."""
    root, azure = logging.getLogger(), logging.getLogger("azure")
    handlers, levels = list(root.handlers), (root.level, azure.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    azure.setLevel(levels[1])


# The producer


def test_a_request_is_sent_under_its_own_id() -> None:
    sender = Sender()
    producer.send(sender, ASKED)
    (message,) = sender.sent

    assert message["id"] == ASKED.request_id
    assert message["request_id"] == ASKED.request_id.encode()
    assert message["resubmissions"] == 0
    assert request.parse(message["body"]) == ASKED


def test_a_request_is_planned_in_universal_time() -> None:
    sender = Sender()
    at = (datetime.now(UTC) + timedelta(hours=1)).astimezone(timezone(timedelta(hours=2)))

    assert producer.send(sender, ASKED, at) == 42
    assert sender.at == [at]
    assert sender.at[0].tzinfo is UTC


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (datetime.now(UTC) - timedelta(seconds=1), "the time must be in the next 30 days"),
        (datetime.now(UTC) + timedelta(days=31), "the time must be in the next 30 days"),
        (datetime(2100, 1, 1), "the time must have a time zone"),
    ],
)
def test_a_time_that_cannot_be_is_refused(at: datetime, message: str) -> None:
    sender = Sender()
    with pytest.raises(errors.InvalidRequestError) as caught:
        producer.send(sender, ASKED, at)

    assert message == str(caught.value)
    assert sender.sent == []


def test_the_producer_s_command_says_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    status = producer.main(["--model", "Churn", "--dataset", "a.csv", "--target", "y"])
    line = json.loads(capsys.readouterr().out)

    assert status == 2
    assert line["level"] == "error"
    assert line["message"].startswith("invalid request: model must be text that matches")


def test_the_producer_s_command_sends(bus: Bus) -> None:
    status = producer.main(["--model", "churn", "--dataset", "churn/a.csv", "--target", "churned", "--reason", "drift"])

    assert status == 0
    assert [request.parse(message["body"]) for message in bus.sender.sent] == [ASKED]
    assert bus.names == {"requests"}


# The worker


def test_requests_are_trained_and_completed() -> None:
    queue = Queue(received(messages.message_of(ASKED)), received(messages.message_of(ASKED)))
    retrainer = Retrainer("churn/a.json", None)
    outcomes = work(queue, retrainer).run()

    assert outcomes == Counter({"trained": 1, "duplicate": 1})
    assert queue.settled == [("completed",), ("completed",)]
    assert retrainer.asked == [(ASKED.request_id, ASKED)] * 2


def test_the_lock_is_renewed_longer_than_training_may_take() -> None:
    renewer = Renewer()
    work(Queue(received(messages.message_of(ASKED))), Retrainer(), renewer=renewer, training_seconds=900.0).run()

    assert renewer.seconds == [930.0]


def test_a_batch_is_bounded_and_taken_one_by_one() -> None:
    queue = Queue(*[received(messages.message_of(ASKED)) for _ in range(5)])
    work(queue, Retrainer(), max_messages=3).run()

    assert len(queue.settled) == 3
    assert queue.asked == [1, 1, 1]
    assert len(queue.waiting) == 2


@pytest.mark.parametrize(
    ("message", "reason", "description"),
    [
        (ServiceBusMessage(b"hello", message_id="m1"), "InvalidRequest", "the body is not JSON"),
        (ServiceBusMessage("text", message_id="m1"), "InvalidRequest", "the body is not JSON"),
        (ServiceBusMessage(ASKED.to_json(), message_id="a/b"), "InvalidRequest", "the message id must match {}"),
        (ServiceBusMessage(ASKED.to_json(), message_id="a" * 101), "InvalidRequest", "the message id must match {}"),
    ],
)
def test_what_is_no_request_becomes_a_dead_letter(message: ServiceBusMessage, reason: str, description: str) -> None:
    queue, retrainer = Queue(received(message)), Retrainer()
    outcomes = work(queue, retrainer).run()

    assert outcomes == Counter({"dead-lettered": 1})
    assert queue.settled == [("dead-lettered", reason, description.format(messages.ID.pattern))]
    assert retrainer.asked == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.DatasetNotFoundError("why"), "DatasetNotFound"),
        (errors.UnusableDatasetError("why"), "UnusableDataset"),
        (errors.TrainingTimeoutError("why"), "TrainingTimeout"),
    ],
)
def test_a_poison_message_becomes_a_dead_letter_that_says_why(error: Exception, reason: str) -> None:
    queue = Queue(received(messages.message_of(ASKED)))
    work(queue, Retrainer(error)).run()

    assert queue.settled == [("dead-lettered", reason, "why")]


def test_a_long_description_is_cut() -> None:
    queue = Queue(received(messages.message_of(ASKED)))
    work(queue, Retrainer(errors.UnusableDatasetError("x" * 5000))).run()

    assert queue.settled == [("dead-lettered", "UnusableDataset", "x" * 1000)]


@pytest.mark.parametrize(("deliveries", "seconds"), [(0, 1), (1, 2), (3, 8), (9, 60)])
def test_what_fails_is_delivered_again_after_a_while(deliveries: int, seconds: float) -> None:
    stop, queue = Stop(), Queue(received(messages.message_of(ASKED), deliveries))
    outcomes = work(
        queue, Retrainer(ConnectionError("down")), stop=stop, training_seconds=100.0, clock=Clock(0.0)
    ).run()

    assert outcomes == Counter({"abandoned": 1})
    assert queue.settled == [("abandoned",)]
    assert stop.waits == [seconds]


@pytest.mark.parametrize(("now", "seconds"), [(95.0, 5.0), (200.0, 0.0)])
def test_the_wait_ends_when_the_message_s_time_does(now: float, seconds: float) -> None:
    stop, queue = Stop(), Queue(received(messages.message_of(ASKED), 9))
    clock = Clock(0.0, 0.0, now)
    work(queue, Retrainer(ConnectionError("down")), stop=stop, training_seconds=100.0, clock=clock).run()

    assert stop.waits == [seconds]


def test_a_failure_does_not_keep_the_next_message_waiting() -> None:
    queue = Queue(received(messages.message_of(ASKED)), received(messages.message_of(ASKED)))
    work(queue, Retrainer(ZeroDivisionError("a bug"), "churn/a.json")).run()

    assert queue.settled == [("abandoned",), ("completed",)]


def test_a_stopped_worker_gives_its_message_back_at_once_and_takes_no_other() -> None:
    stop = Stop()

    def train(checkpoint: Any) -> str:
        stop.set()
        checkpoint()
        return "never"

    queue = Queue(received(messages.message_of(ASKED)), received(messages.message_of(ASKED)))
    outcomes = work(queue, Retrainer(train), stop=stop).run()

    assert outcomes == Counter({"interrupted": 1})
    assert queue.settled == [("abandoned",)]
    assert stop.waits == []
    assert len(queue.waiting) == 1


def test_a_worker_that_is_stopped_while_it_waits_trains_nothing() -> None:
    stop, retrainer = Stop(), Retrainer()

    class Late(Queue):
        def receive_messages(self, max_message_count: int, max_wait_time: float) -> list[Any]:
            stop.set()
            return super().receive_messages(max_message_count, max_wait_time)

    queue = Late(received(messages.message_of(ASKED)))
    work(queue, retrainer, stop=stop).run()

    assert queue.settled == [("abandoned",)]
    assert retrainer.asked == []


def test_a_lost_lock_ends_the_work() -> None:
    renewer, retrainer = Renewer(), Retrainer()
    renewer.losing = True
    message = received(messages.message_of(ASKED))
    outcomes = work(Queue(message, lost=[message]), retrainer, renewer=renewer).run()

    assert outcomes == Counter({"lock-lost": 1})
    assert retrainer.asked == []


def test_a_lock_lost_at_the_end_is_no_fault_of_the_worker() -> None:
    message = received(messages.message_of(ASKED))
    queue = Queue(message, received(messages.message_of(ASKED)), lost=[message])
    outcomes = work(queue, Retrainer("churn/a.json", None)).run()

    assert outcomes == Counter({"lock-lost": 1, "duplicate": 1})


def test_training_has_an_end() -> None:
    queue = Queue(received(messages.message_of(ASKED)))
    clock = Clock(0.0, 60.0, 60.1)
    work(queue, Retrainer(lambda checkpoint: checkpoint()), training_seconds=60.0, clock=clock).run()

    assert queue.settled == [("dead-lettered", "TrainingTimeout", "training takes more than 60 seconds")]


def test_a_queue_that_cannot_be_reached_ends_the_worker_with_an_error() -> None:
    class Broken(Queue):
        def receive_messages(self, max_message_count: int, max_wait_time: float) -> list[Any]:
            raise ServiceBusError("down")

    with pytest.raises(ServiceBusError):
        work(Broken(), Retrainer()).run()


def test_the_worker_s_command_takes_its_bounds_from_the_environment(bus: Bus, signals: None) -> None:
    bus.queues[None].waiting = [received(ServiceBusMessage(b"hello", message_id="m1")) for _ in range(5)]

    assert worker.main() == 0
    assert [outcome for outcome, *_ in bus.queues[None].settled] == ["dead-lettered"] * 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_worker(bus: Bus, signals: None, number: signal.Signals) -> None:
    class Signalled(Queue):
        def receive_messages(self, max_message_count: int, max_wait_time: float) -> list[Any]:
            os.kill(os.getpid(), number)
            return super().receive_messages(max_message_count, max_wait_time)

    bus.queues[None] = Signalled(*[received(messages.message_of(ASKED)) for _ in range(2)])

    assert worker.main() == 0
    assert bus.queues[None].settled == [("abandoned",)]
    assert len(bus.queues[None].waiting) == 1


# The resubmit tool


def dead_letter(reason: str, number: int, **properties: Any) -> Any:
    message = messages.message_of(ASKED)
    message.application_properties = {**message.application_properties, **properties}
    return received(message, number=number, dead=reason)


def tool(dead_letters: Queue, sender: Sender, **options: Any) -> Any:
    settings = {"reasons": ["DatasetNotFound"], "max_resubmissions": 2, "limit": 100, **options}
    return resubmit.Resubmitter(dead_letters, sender, **settings)


def test_dead_letters_with_a_reason_are_sent_again() -> None:
    queue, sender = Queue(dead_letter("DatasetNotFound", 1), dead_letter("InvalidRequest", 2)), Sender()
    outcomes = tool(queue, sender).resubmit()

    assert outcomes == Counter({"resubmitted": 1, "other-reason": 1})
    assert queue.settled == [("completed",), ("abandoned",)]
    assert sender.sent == [
        {
            "id": f"{ASKED.request_id}.r1",
            "body": ASKED.to_json(),
            "request_id": ASKED.request_id.encode(),
            "resubmissions": 1,
        }
    ]


def test_a_resubmission_is_known_by_the_first_request_s_id() -> None:
    first = received(messages.resubmission_of(received(messages.message_of(ASKED))))
    second = received(messages.resubmission_of(first))

    assert [first.message_id, second.message_id] == [f"{ASKED.request_id}.r1", f"{ASKED.request_id}.r2"]
    assert {messages.request_id(first), messages.request_id(second)} == {ASKED.request_id}
    assert [messages.resubmissions(first), messages.resubmissions(second)] == [1, 2]


def test_a_request_is_not_sent_again_for_ever() -> None:
    letters = [dead_letter("DatasetNotFound", number, resubmissions=number) for number in range(4)]
    queue, sender = Queue(*letters), Sender()
    outcomes = tool(queue, sender, max_resubmissions=2).resubmit()

    assert outcomes == Counter({"resubmitted": 2, "too-often": 2})
    assert [message["resubmissions"] for message in sender.sent] == [1, 2]
    assert queue.settled == [("completed",), ("completed",), ("abandoned",), ("abandoned",)]


def test_a_dead_letter_without_a_usable_id_stays() -> None:
    letter = received(ServiceBusMessage(b"{}", message_id="a/b"), number=1, dead="DatasetNotFound")
    queue, sender = Queue(letter), Sender()

    assert tool(queue, sender).resubmit() == Counter({"unusable": 1})
    assert (queue.settled, sender.sent) == ([("abandoned",)], [])


def test_a_dry_run_changes_nothing() -> None:
    letters = [dead_letter("DatasetNotFound" if number % 2 else "Other", number) for number in range(50)]
    queue, sender = Queue(*letters), Sender()
    outcomes = tool(queue, sender).preview()

    assert outcomes == Counter({"resubmitted": 25, "other-reason": 25})
    assert (queue.settled, sender.sent, len(queue.waiting)) == ([], [], 50)


@pytest.mark.parametrize("dry", [True, False])
def test_no_more_are_looked_at_than_asked_for(dry: bool) -> None:
    queue, sender = Queue(*[dead_letter("DatasetNotFound", number) for number in range(50)]), Sender()
    resubmitter = tool(queue, sender, limit=30)
    outcomes = resubmitter.preview() if dry else resubmitter.resubmit()

    assert outcomes == Counter({"resubmitted": 30})


def test_a_dead_letter_that_comes_again_is_looked_at_once() -> None:
    letter = dead_letter("Other", 1)
    queue, sender = Queue(letter, letter, dead_letter("DatasetNotFound", 2)), Sender()
    outcomes = tool(queue, sender, limit=1000).resubmit()

    assert outcomes == Counter({"other-reason": 1, "resubmitted": 1})


def test_a_lost_lock_leaves_the_dead_letter_for_the_next_run() -> None:
    letter = dead_letter("DatasetNotFound", 1)
    sender = Sender()

    assert tool(Queue(letter, lost=[letter]), sender).resubmit() == Counter({"resubmitted": 1})
    assert tool(Queue(letter), sender).resubmit() == Counter({"resubmitted": 1})
    assert {message["id"] for message in sender.sent} == {f"{ASKED.request_id}.r1"}


def test_a_failure_to_send_gives_everything_back() -> None:
    class Full(Sender):
        def send_messages(self, message: ServiceBusMessage) -> None:
            raise ServiceBusError("the queue is full")

    queue = Queue(dead_letter("Other", 1), dead_letter("DatasetNotFound", 2))
    with pytest.raises(ServiceBusError):
        tool(queue, Full()).resubmit()

    assert queue.settled == [("abandoned",)]  # the other one's lock ends by itself


@pytest.mark.parametrize("arguments", [[], ["--reason", "a", "--limit", "0"], ["--reason", "a", "--limit", "10001"]])
def test_the_resubmit_command_refuses_what_has_no_bounds(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        resubmit.main(arguments)

    assert caught.value.code == 2
    assert "usage: resubmit" in capsys.readouterr().err


@pytest.mark.parametrize(("dry", "settled"), [(["--dry-run"], []), ([], [("completed",)])])
def test_the_resubmit_command_reads_the_dead_letters(
    bus: Bus, dry: list[str], settled: list[tuple[str, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    letters = bus.queues[ServiceBusSubQueue.DEAD_LETTER]
    letters.waiting = [dead_letter("DatasetNotFound", 1)]
    status = resubmit.main(["--reason", "DatasetNotFound", *dry])
    *_, last = map(json.loads, capsys.readouterr().out.splitlines())

    assert status == 0
    assert (last["message"], last["dry_run"], last["resubmitted"]) == ("done", bool(dry), 1)
    assert (letters.settled, len(bus.sender.sent)) == (settled, len(settled))
    assert bus.queues[None].asked == []


# The services


def test_the_services_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_BUS_NAMESPACE", "example.servicebus.windows.net")
    monkeypatch.setenv("MODELS_URL", "https://example.blob.core.windows.net/models")
    with clients.service_bus() as namespace, clients.container("MODELS_URL") as container:
        assert namespace.fully_qualified_namespace == "example.servicebus.windows.net"
        assert (container.account_name, container.container_name) == ("example", "models")
        assert namespace._credential is container.credential is clients._credential()


# The logs


def test_a_log_line_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    json_logs.configure_logs()
    try:
        raise ValueError("wrong")
    except ValueError:
        logging.getLogger("test").warning(
            "it %s", "failed", exc_info=True, extra={"fields": {"at": datetime(2026, 1, 1, tzinfo=UTC)}}
        )
    line = json.loads(capsys.readouterr().out)

    assert {key: line[key] for key in ("level", "logger", "message", "at")} == {
        "level": "warning",
        "logger": "test",
        "message": "it failed",
        "at": "2026-01-01 00:00:00+00:00",
    }
    assert line["exception"].endswith("ValueError: wrong")


def test_the_sdk_s_own_chatter_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    json_logs.configure_logs()
    logging.getLogger("azure.servicebus").info("link opened")

    assert capsys.readouterr().out == ""
