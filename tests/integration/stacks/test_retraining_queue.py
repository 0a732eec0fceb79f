"""Producer, worker and resubmit tool of retraining_queue over the stack's own queue and containers."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from azure.servicebus import AutoLockRenewer, ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.exceptions import MessageSizeExceededError
from azure.storage.blob import ContainerClient

from ringfence.emulate import Emulation
from ringfence.emulators.service_bus import Broker, MessageCounts, QueueSettings, ServiceBusFake
from ringfence.providers.emulated.service_bus import ServiceBusService
from tests.integration.availability import BACK_ENDS
from tests.integration.stacks import run_app
from tests.integration.stacks.deploying import deployed
from tests.unit.stacks.loading import load

STACK = "retraining_queue"
clients, producer, request, resubmit, worker, retraining, blob_store, training = load(
    STACK, "clients", "producer", "request", "resubmit", "worker", "retraining", "blob_store", "training"
)
ROOT = Path(__file__).parents[3]
CONTAINERS = ("DATASETS_URL", "MODELS_URL", "LEDGER_URL")
EMPTY = MessageCounts(active=0, dead_letter=0, scheduled=0, deferred=0)


class Retraining:
    """The deployed stack's programs, with a namespace and containers of a test's own, set up as the deployed ones."""

    def __init__(
        self, emulation: Emulation, deployed_queue: QueueSettings, fake: ServiceBusFake, closing: ExitStack
    ) -> None:
        self.fake = fake
        self._closing = closing
        self.queue = deployed_queue.name
        fake.broker.create_queue(deployed_queue)
        assert emulation.deployment is not None
        (job,) = [item for item in emulation.deployment.resources if item.type.endswith("app:Job")]
        (container,) = job.inputs["template"]["containers"]
        own = uuid4().hex
        settings = {entry["name"]: entry["value"] for entry in container["env"]}
        for name in CONTAINERS:
            settings[name] = f"{settings[name]}-{own}"
        self.environment = {**emulation.environment, **fake.environment(), **settings}

    def create_containers(self) -> None:
        for name in CONTAINERS:
            with run_app.container(name) as container:
                container.create_container()

    @property
    def broker(self) -> Broker:
        return self.fake.broker

    @property
    def counts(self) -> MessageCounts:
        return self.broker.counts(self.queue)

    def container(self, name: str) -> ContainerClient:
        return run_app.container(f"{name.upper()}_URL")

    def upload(self, path: str, rows: int = 40, columns: int = 2) -> None:
        """Put a dataset of y = x0 + 2 x1 + 3 x2 … into the container."""
        numbers = random.Random(7)
        lines = [",".join(["y", *(f"x{column}" for column in range(columns))])]
        for _ in range(rows):
            values = [numbers.uniform(-5, 5) for _ in range(columns)]
            lines.append(",".join(map(str, [sum((n + 1) * value for n, value in enumerate(values)), *values])))
        with self.container("datasets") as container:
            container.upload_blob(path, "\n".join(lines).encode())

    @cached_property
    def _bus(self) -> Any:
        return self._closing.enter_context(clients.service_bus())

    @cached_property
    def sender(self) -> Any:
        """A sender that stays open for the test: the client takes a second to close one."""
        return self._closing.enter_context(self._bus.get_queue_sender(self.queue))

    @cached_property
    def letters(self) -> Any:
        """A receiver of the dead letters."""
        letters = self._bus.get_queue_receiver(self.queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER)
        return self._closing.enter_context(letters)

    def send(self, *requests: Any) -> None:
        for asked in requests:
            producer.send(self.sender, asked)

    def work(
        self, most: int = 100, seconds: float = 30.0, idle: float = 0.3, trainer: Any = None, renew: bool = True
    ) -> Counter[str]:
        """Run a worker until nothing is left, and return how many messages had which outcome."""
        retrainer = retraining.Retrainer(
            blob_store.BlobDatasets(clients.container("DATASETS_URL")),
            blob_store.BlobModels(clients.container("MODELS_URL")),
            blob_store.BlobLedger(clients.container("LEDGER_URL")),
            trainer or training.LinearTrainer(),
        )
        with (
            clients.service_bus() as bus,
            bus.get_queue_receiver(self.queue) as receiver,
            AutoLockRenewer() as renewer,
        ):
            running = worker.Worker(
                receiver,
                renewer if renew else NoRenewer(),
                retrainer,
                max_messages=most,
                training_seconds=seconds,
                idle_seconds=idle,
            )
            outcomes: Counter[str] = running.run()
        return outcomes

    @contextmanager
    def process(self, program: str, *arguments: str, **changes: str) -> Iterator[subprocess.Popen[str]]:
        """Run a program in a process of its own, as the job's container does."""
        variables = {**os.environ, **self.environment, **changes}
        command = [sys.executable, "-m", "tests.integration.stacks.run_app", program, *arguments]
        with subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True) as running:
            try:
                yield running
            finally:
                running.kill()

    def names(self, container: str) -> list[str]:
        with self.container(container) as client:
            return sorted(client.list_blob_names())


class NoRenewer:
    """Lets locks run out."""

    def register(self, *_: Any, **__: Any) -> None: ...


@pytest.fixture(scope="module")
def deployment() -> Iterator[tuple[Emulation, QueueSettings]]:
    """Deploy the stack, and return it with the queue that the emulated provider made of it."""
    bus = ServiceBusService()
    with deployed(STACK, ["storage", bus]) as emulation:
        (queue,) = bus.fake(emulation.resource("servicebus:Namespace")["name"]).broker.queues
        assert queue.name == emulation.resource("servicebus:Queue")["name"]
        yield emulation, queue


@pytest.fixture
def stack(
    deployment: tuple[Emulation, QueueSettings],
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> Iterator[Retraining]:
    """Return the stack's programs, which find the emulators."""
    emulation, queue = deployment
    record_property(BACK_ENDS, ", ".join(emulation.backends))
    with ServiceBusFake() as fake, ExitStack() as closing:
        running = Retraining(emulation, queue, fake, closing)
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(clients, "service_bus", run_app.service_bus)
        monkeypatch.setattr(clients, "container", run_app.container)
        running.create_containers()
        yield running
        assert fake.faults == []


def asked_for(model: str, dataset: str, **more: Any) -> Any:
    return request.RetrainingRequest(model=model, dataset=dataset, target="y", **more)


def events(output: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return what a program logged."""
    return [json.loads(line) for line in output if line.startswith("{")]


# The documented path


def test_a_request_becomes_a_model(stack: Retraining) -> None:
    stack.upload("sales/a.csv")
    words = ["--model", "sales", "--dataset", "sales/a.csv", "--target", "y", "--penalty", "0", "--reason", "drift"]
    assert producer.main(words) == 0
    assert stack.counts.active == 1

    with stack.process("worker", MAX_MESSAGES="1") as running:
        output, _ = running.communicate(timeout=30)
    asked = asked_for("sales", "sales/a.csv", penalty=0.0, reason="drift")
    assert running.returncode == 0, output
    assert [f"sales/{asked.request_id}.json"] == stack.names("models")
    assert [f"{asked.request_id}.json"] == stack.names("ledger")
    with stack.container("models") as models:
        artefact = json.loads(models.download_blob(f"sales/{asked.request_id}.json").readall())
    assert asdict(asked) == artefact["request"]
    assert pytest.approx({"x0": 1.0, "x1": 2.0}) == artefact["model"]["weights"]
    assert stack.counts == EMPTY


def test_the_queue_has_the_stacks_own_settings(stack: Retraining) -> None:
    (queue,) = stack.broker.queues

    assert queue.max_delivery_count == 5
    assert queue.lock_duration == timedelta(minutes=1)
    assert queue.default_message_time_to_live == timedelta(days=2)
    assert queue.duplicate_detection_history_time_window == timedelta(hours=1)
    assert queue.requires_duplicate_detection
    assert queue.dead_lettering_on_message_expiration
    assert not queue.requires_session


# Duplicates and order


def test_a_request_that_is_sent_again_is_handled_once(stack: Retraining) -> None:
    stack.upload("a.csv")
    asked = asked_for("sales", "a.csv")
    stack.send(asked, asked, asked)
    assert stack.counts.active == 1, "the queue drops the same id within its window"
    assert stack.work() == {"trained": 1}

    stack.broker.advance(3601)  # past the window of the queue's duplicate detection
    stack.send(asked, asked)
    assert stack.counts.active == 1
    assert stack.work() == {"duplicate": 1}
    assert len(stack.names("models")) == len(stack.names("ledger")) == 1
    assert stack.counts == EMPTY


def test_many_requests_in_any_order_to_two_workers_are_each_handled_once(stack: Retraining) -> None:
    numbers = random.Random(3)
    for name in ("a", "b", "c"):
        stack.upload(f"{name}.csv")
    requests = [asked_for(f"model-{number}", f"{numbers.choice('abc')}.csv") for number in range(12)]
    numbers.shuffle(requests)
    # Copies with ids of their own get past the queue, and only the ledger can tell.
    copies = [requests[number] for number in (0, 5, 5, 11)]
    for number, asked in enumerate([*copies[:2], *requests, *copies[2:]]):
        properties = {"request_id": asked.request_id, "resubmissions": 0}
        message = ServiceBusMessage(asked.to_json(), message_id=f"copy-{number}", application_properties=properties)
        stack.sender.send_messages(message)

    with ThreadPoolExecutor(2) as pool:
        outcomes = sum(pool.map(lambda _: stack.work(), range(2)), Counter())

    # Two workers may make the same model at once; the ledger takes one entry of it.
    assert outcomes.total() == 16
    assert outcomes["trained"] + outcomes["duplicate"] == 16
    assert sorted(f"{asked.request_id}.json" for asked in requests) == stack.names("ledger")
    assert sorted(f"{asked.model}/{asked.request_id}.json" for asked in requests) == stack.names("models")
    assert stack.counts == EMPTY


# Workers that end in the middle


SLOW = {"rows": 2000, "columns": 80}
"""A dataset whose training takes about a second: far longer than it takes to kill a worker."""


def test_a_worker_killed_in_mid_message_loses_nothing(stack: Retraining) -> None:
    stack.upload("slow.csv", **SLOW)
    asked = asked_for("slow", "slow.csv")
    stack.send(asked)
    with stack.process("worker") as killed:
        _wait_for(killed, "received")
        killed.send_signal(signal.SIGKILL)
        assert killed.wait(10) == -signal.SIGKILL
    assert stack.names("models") == stack.names("ledger") == []
    assert stack.counts.active == 1, "locked for the worker that is gone"
    assert stack.work(idle=0.2) == {}, "nobody gets it before the lock ends"

    stack.broker.advance(61)
    with stack.process("worker", MAX_MESSAGES="1") as next_one:
        output = next_one.communicate(timeout=60)[0].splitlines()
    assert [event["delivery"] for event in events(output) if event["message"] == "received"] == [2]
    assert [f"{asked.request_id}.json"] == stack.names("ledger")
    assert [f"slow/{asked.request_id}.json"] == stack.names("models")
    assert stack.counts == EMPTY


def test_a_worker_told_to_stop_gives_its_message_back(stack: Retraining) -> None:
    stack.upload("slow.csv", **SLOW)
    asked = asked_for("slow", "slow.csv")
    stack.send(asked)
    with stack.process("worker") as stopped:
        _wait_for(stopped, "received")
        stopped.send_signal(signal.SIGTERM)
        output = stopped.communicate(timeout=30)[0].splitlines()
    assert stopped.returncode == 0
    assert "interrupted" in [event["message"] for event in events(output)]
    assert stack.names("ledger") == []
    assert stack.counts.active == 1

    # Free at once: no lock has to end.
    assert stack.work(most=1) == {"trained": 1}
    assert [f"{asked.request_id}.json"] == stack.names("ledger")


def _wait_for(running: subprocess.Popen[str], message: str) -> None:
    assert running.stdout is not None
    for line in running.stdout:
        if line.startswith("{") and json.loads(line)["message"] == message:
            return
    raise AssertionError(f"the worker ended without {message!r}")


def test_a_lock_that_ends_in_training_makes_no_second_model(stack: Retraining) -> None:
    stack.upload("a.csv")
    asked = asked_for("sales", "a.csv")
    stack.send(asked)
    begun, go_on = threading.Event(), threading.Event()

    class Slow:
        def train(self, dataset: str, **settings: Any) -> Any:
            begun.set()
            assert go_on.wait(30)
            return training.LinearTrainer().train(dataset, **settings)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(stack.work, most=1, trainer=Slow(), renew=False)
        assert begun.wait(30)
        stack.broker.advance(61)
        second = stack.work(most=1)
        go_on.set()
        assert (second, first.result(30)) == ({"trained": 1}, {"lock-lost": 1})
    assert [f"{asked.request_id}.json"] == stack.names("ledger")
    assert [f"sales/{asked.request_id}.json"] == stack.names("models")
    assert stack.counts == EMPTY


# Poison


def test_a_message_that_always_fails_is_dead_after_exactly_the_deliveries_and_comes_back(stack: Retraining) -> None:
    stack.upload("a.csv")
    asked = asked_for("sales", "a.csv")
    stack.send(asked)
    with stack.container("models") as models:
        models.delete_container()
    # The worker would take eight; the queue hands it out five times, which is the stack's maxDeliveryCount.
    assert stack.work(most=8, seconds=0.5) == {"abandoned": 5}
    assert (stack.counts.active, stack.counts.dead_letter) == (0, 1)
    (letter,) = stack.letters.peek_messages(100)
    assert letter.dead_letter_reason == "MaxDeliveryCountExceeded"

    with stack.container("models") as models:
        models.create_container()
    assert resubmit.main(["--reason", "MaxDeliveryCountExceeded"]) == 0
    assert (stack.counts.active, stack.counts.dead_letter) == (1, 0)
    assert stack.work() == {"trained": 1}
    assert [f"{asked.request_id}.json"] == stack.names("ledger")
    assert [f"sales/{asked.request_id}.json"] == stack.names("models")
    assert stack.counts == EMPTY


def test_what_is_wrong_for_good_is_dead_at_once_with_its_reason(stack: Retraining) -> None:
    stack.upload("text.csv", rows=3)
    stack.sender.send_messages(ServiceBusMessage(b"no request", message_id="garbage"))
    stack.send(asked_for("sales", "absent.csv"), asked_for("sales", "text.csv"))

    assert stack.work() == {"dead-lettered": 3}
    reasons = {letter.message_id: letter.dead_letter_reason for letter in stack.letters.peek_messages(100)}
    assert reasons == {
        "garbage": "InvalidRequest",
        asked_for("sales", "absent.csv").request_id: "DatasetNotFound",
        asked_for("sales", "text.csv").request_id: "UnusableDataset",
    }
    stack.upload("absent.csv")
    tool = resubmit.Resubmitter(stack.letters, stack.sender, ["DatasetNotFound"], 3, 100, idle_seconds=0.3)
    assert tool.resubmit() == {"resubmitted": 1, "other-reason": 2}
    assert stack.work() == {"trained": 1}
    assert stack.counts.dead_letter == 2
    assert len(stack.names("ledger")) == 1


def test_a_request_that_nobody_takes_in_time_becomes_a_dead_letter(stack: Retraining) -> None:
    stack.send(asked_for("sales", "a.csv"))
    stack.broker.advance(timedelta(days=2).total_seconds() + 1)

    assert stack.work() == {}
    (letter,) = stack.letters.peek_messages(100)
    assert letter.dead_letter_reason == "TTLExpiredException"


# The service refuses


def test_a_busy_service_is_tried_again_and_each_request_arrives_once(stack: Retraining) -> None:
    stack.upload("a.csv")
    stack.broker.inject(stack.queue, "send")
    stack.send(asked_for("sales", "a.csv"))
    assert stack.counts.active == 1
    assert stack.work() == {"trained": 1}
    assert len(stack.names("ledger")) == 1


def test_a_message_that_is_too_large_is_refused(stack: Retraining) -> None:
    with pytest.raises(MessageSizeExceededError):
        stack.sender.send_messages(ServiceBusMessage(b"x" * 300_000))
    assert stack.counts == EMPTY
