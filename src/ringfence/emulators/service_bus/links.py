"""The broker's ends of links: one kind takes messages in, the other hands them out."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ringfence.emulators.service_bus import errors
from ringfence.emulators.service_bus.amqp.message import BATCH_FORMAT, unbatch
from ringfence.emulators.service_bus.amqp.performatives import (
    Accepted,
    AmqpError,
    Attach,
    Composite,
    Detach,
    Disposition,
    Flow,
    Modified,
    Rejected,
    Released,
    TransactionalState,
    Transfer,
)
from ringfence.emulators.service_bus.amqp.types import AmqpDecodeError
from ringfence.emulators.service_bus.cbs import claim_of
from ringfence.emulators.service_bus.errors import ServiceError
from ringfence.emulators.service_bus.management import Reply, Request, manage
from ringfence.emulators.service_bus.queue import Queue
from ringfence.emulators.service_bus.stored import StoredMessage

if TYPE_CHECKING:
    from ringfence.emulators.service_bus.session import Session

__all__ = ["CBS_NODE", "IncomingLink", "OutgoingLink", "error_of"]

CBS_NODE = "$cbs"
CREDIT = 1000
"""How many messages a sender may have on the way."""

CBS_NAMES = ("status-code", "status-description", "error-condition")
MANAGEMENT_NAMES = ("statusCode", "statusDescription", "errorCondition")


def error_of(refusal: ServiceError) -> AmqpError:
    """Return a refusal as it goes over the wire."""
    return AmqpError(refusal.condition, refusal.description)


class Link:
    """What both kinds have."""

    def __init__(self, session: Session, attach: Attach, path: str) -> None:
        self.session = session
        self.broker = session.connection.broker
        self.attach = attach
        self.handle = attach.handle
        self.path = path

    def detach(self, refusal: ServiceError) -> None:
        """End the link from this side, and say why."""
        self.session.forget(self)
        self.session.send(Detach(self.handle, True, error_of(refusal)))

    def gone(self) -> None:
        """Clean up: the link, its session or its connection has ended."""


class IncomingLink(Link):
    """Takes messages for an entity, or requests for a node that answers."""

    def __init__(self, session: Session, attach: Attach, path: str, max_message_size: int | None) -> None:
        super().__init__(session, attach, path)
        self.max_message_size = max_message_size
        self._delivery_count = attach.initial_delivery_count or 0
        self._credit = 0
        self._first: Transfer | None = None
        self._parts: list[bytes] = []
        self._size = 0

    def grant(self) -> None:
        """Let the sender send on, once half of its credit is gone."""
        if self._credit <= CREDIT // 2:
            self._credit = CREDIT
            self.session.send_flow(self.handle, self._delivery_count, self._credit)

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        """Take a part of a message in, and with the last part the message."""
        first = self._first = self._first or transfer
        self._size += len(payload)
        # What is too large is refused in the end; it is not kept until then.
        if self.max_message_size is None or self._size <= self.max_message_size:
            self._parts.append(payload)
        if transfer.more and not transfer.aborted:
            return
        raw, size = b"".join(self._parts), self._size
        self._first, self._parts, self._size = None, [], 0
        self._delivery_count += 1
        self._credit -= 1
        if not transfer.aborted:
            outcome = self._outcome(first, raw, size)
            if not first.settled and first.delivery_id is not None:
                self.session.send(Disposition(True, first.delivery_id, first.delivery_id, True, outcome))
        self.grant()

    def _outcome(self, first: Transfer, raw: bytes, size: int) -> Composite:
        try:
            if isinstance(first.state, TransactionalState):
                raise errors.not_implemented("Sending in a transaction")
            if self.max_message_size is not None and size > self.max_message_size:
                raise errors.size_exceeded(size, self.max_message_size)
            self._take(raw, first.message_format == BATCH_FORMAT)
        except AmqpDecodeError as error:
            return Rejected(AmqpError("amqp:decode-error", f"The message cannot be read: {error}"))
        except ServiceError as refusal:
            return Rejected(error_of(refusal))
        return Accepted()

    def _take(self, raw: bytes, batch: bool) -> None:
        if self.max_message_size is None:
            self._answer(Request.parse(raw))
            return
        self.broker.check_fault(self.path, "send")
        parts = unbatch(raw) if batch else [raw]
        self.broker.inlet(self.path).send([StoredMessage.parse(part) for part in parts])

    def _answer(self, request: Request) -> None:
        link = self.session.response_link(self.attach.target.address, request.reply_to)
        if link is None:
            raise errors.argument_error("There is no link to answer on: attach a receiver to the node first.")
        if self.path == CBS_NODE:
            link.respond(self._put_token(request).encode(request.message_id, CBS_NAMES))
        else:
            link.respond(manage(self.broker, self.path, request).encode(request.message_id, MANAGEMENT_NAMES))

    def _put_token(self, request: Request) -> Reply:
        if request.properties.get("operation") != "put-token":
            return Reply.refused(errors.not_implemented("Any operation of $cbs but put-token"))
        try:
            claim = claim_of(self.broker, str(request.properties.get("name")), request.body)
        except ServiceError as refusal:
            return Reply.refused(refusal)
        self.session.connection.claims[claim.path.lower()] = claim
        return Reply(202, "Accepted")


class OutgoingLink(Link):
    """Hands messages of a queue out, or the answers of a node."""

    def __init__(self, session: Session, attach: Attach, path: str, queue: Queue | None) -> None:
        super().__init__(session, attach, path)
        self.queue = queue
        self.session_id: str | None = None
        self.attached = False
        self.settled_at_once = attach.snd_settle_mode == 1
        self.credit = 0
        self._delivery_count = 0
        self._drain = False
        self._answers: deque[bytes] = deque()

    def reply(self, properties: dict[Any, Any] | None = None) -> None:
        """Attach this end."""
        attach = self.attach
        self.attached = True
        self.session.send(
            Attach(
                name=attach.name,
                handle=self.handle,
                role=False,
                snd_settle_mode=attach.snd_settle_mode,
                rcv_settle_mode=attach.rcv_settle_mode,
                source=attach.source,
                target=attach.target,
                initial_delivery_count=0,
                properties=properties,
            )
        )

    def on_flow(self, flow: Flow) -> None:
        """Learn how many messages the receiver wants."""
        if self.queue is not None:
            try:
                self.broker.check_fault(self.path, "receive")
            except ServiceError as refusal:
                self.detach(refusal)
                return
        wanted = (flow.delivery_count or 0) + (flow.link_credit or 0)
        self.credit = max(0, wanted - self._delivery_count)
        self._drain = bool(flow.drain)
        while self.credit and self._answers:
            self._send(uuid4().bytes, self._answers.popleft(), None)
        if flow.echo:
            self.session.send_flow(self.handle, self._delivery_count, self.credit)

    def finish_drain(self) -> None:
        """Give back the credit that there are no messages for, if the receiver has asked for that."""
        if self._drain and self.attached:
            self._delivery_count += self.credit
            self.credit = 0
            self._drain = False
            self.session.send_flow(self.handle, self._delivery_count, 0, drain=True)

    def respond(self, message: bytes) -> None:
        """Send an answer as soon as there is credit."""
        if self.credit:
            self._send(uuid4().bytes, message, None)
        else:
            self._answers.append(message)

    def deliver(self, message: StoredMessage) -> None:
        """Send a message of the queue. The delivery's tag is the token of the lock."""
        lock = message.lock
        tag = (lock.token if lock is not None else uuid4()).bytes_le
        self._send(tag, message.encode(), lock.token if lock is not None else None)

    def _send(self, tag: bytes, message: bytes, token: Any) -> None:
        self.credit -= 1
        self._delivery_count += 1
        self.session.send_delivery(self, tag, message, token)

    def settle(self, token: Any, state: Any) -> Composite:
        """Carry out what a receiver has decided on a message, and return the outcome to tell it."""
        queue = self.queue
        assert queue is not None
        try:
            self.broker.check_fault(self.path, "settle")
            return _settled(queue, token, state)
        except ServiceError as refusal:
            return Rejected(error_of(refusal))

    def gone(self) -> None:
        """Give the session back, and stop being served."""
        self.session.connection.server.remove_consumer(self)
        if self.queue is not None and self.session_id is not None:
            self.queue.release_session(self.session_id, self)


def _settled(queue: Queue, token: Any, state: Any) -> Composite:
    match state:
        case Accepted():
            queue.complete(token)
        case Rejected(error):
            info = {str(key): value for key, value in ((error.info if error else None) or {}).items()}
            reason, description = info.pop("DeadLetterReason", None), info.pop("DeadLetterErrorDescription", None)
            queue.dead_letter(token, reason, description, info)
            # The condition of a rejection would read as a failure: only the outcome goes back.
            return Rejected()
        case Modified(_, undeliverable, properties):
            changed = {str(key): value for key, value in (properties or {}).items()}
            if undeliverable:
                queue.defer(token, changed)
            else:
                queue.abandon(token, changed)
            return Modified(state.delivery_failed, state.undeliverable_here)
        case TransactionalState():
            raise errors.not_implemented("Settling in a transaction")
        case Released():
            queue.release(token)
        case _:
            raise errors.argument_error(f"The outcome {type(state).__name__} is not known.")
    return Accepted() if isinstance(state, Accepted) else Released()
