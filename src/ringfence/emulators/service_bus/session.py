"""An AMQP session: its links, its windows, and the deliveries that are not settled yet."""

from __future__ import annotations

import dataclasses
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ringfence.emulators.service_bus import errors
from ringfence.emulators.service_bus.amqp.frames import HEADER_SIZE
from ringfence.emulators.service_bus.amqp.performatives import (
    Attach,
    Begin,
    Composite,
    Coordinator,
    Detach,
    Disposition,
    Flow,
    Source,
    Target,
    Transfer,
    encode_performative,
)
from ringfence.emulators.service_bus.amqp.types import AmqpDecodeError, Described, Symbol
from ringfence.emulators.service_bus.cbs import check_claims, path_of
from ringfence.emulators.service_bus.errors import ServiceError
from ringfence.emulators.service_bus.links import CBS_NODE, IncomingLink, Link, OutgoingLink, error_of
from ringfence.emulators.service_bus.management import MANAGEMENT_SUFFIX

if TYPE_CHECKING:
    from ringfence.emulators.service_bus.connection import Connection

__all__ = ["SESSION_FILTER", "Session"]

SESSION_FILTER = Symbol("com.microsoft:session-filter")
LOCKED_UNTIL = Symbol("com.microsoft:locked-until-utc")
TIMEOUT = Symbol("com.microsoft:timeout")
SESSION_WAIT = 60_000
"""Milliseconds that a receiver waits for any session unless it says otherwise."""

TICKS_AT_EPOCH = 621_355_968_000_000_000
"""Ticks of .NET (100 ns since the year 1) at the Unix epoch."""

WINDOW = 0x7FFFFFFF
COUNTER = 0xFFFFFFFF


@dataclass
class _Unsettled:
    link: OutgoingLink
    token: UUID


class Session:
    """One session of a connection."""

    def __init__(self, connection: Connection, channel: int, begin: Begin) -> None:
        self.connection = connection
        self.channel = channel
        self.links: dict[int, Link] = {}
        self._next_incoming_id = begin.next_outgoing_id
        self._next_outgoing_id = 0
        self._next_delivery_id = 0
        self._remote_window = begin.incoming_window
        self._waiting: deque[bytes] = deque()
        self._unsettled: dict[int, _Unsettled] = {}

    # To the peer

    def open(self) -> None:
        """Begin this end."""
        self.send(Begin(self.channel, 0, WINDOW, WINDOW, 255))

    def send(self, performative: Composite) -> None:
        """Send a performative on this session's channel."""
        self.connection.send(encode_performative(performative), self.channel)

    def send_flow(self, handle: int, delivery_count: int, credit: int, drain: bool = False) -> None:
        """Say how much may be sent on a link."""
        windows = (self._next_incoming_id, WINDOW, self._next_outgoing_id, WINDOW)
        self.send(Flow(*windows, handle, delivery_count, credit, None, drain))

    def send_delivery(self, link: OutgoingLink, tag: bytes, message: bytes, token: UUID | None) -> None:
        """Send a message, in as many frames as it takes and as the peer's window allows."""
        number = self._next_delivery_id
        self._next_delivery_id = (number + 1) & COUNTER
        if token is not None:
            self._unsettled[number] = _Unsettled(link, token)
        transfer = Transfer(link.handle, number, tag, 0, token is None, True)
        room = self.connection.max_frame_size - HEADER_SIZE - len(encode_performative(transfer))
        for start in range(0, len(message), room):
            part = message[start : start + room]
            last = start + room >= len(message)
            self._waiting.append(encode_performative(dataclasses.replace(transfer, more=not last), part))
        self._flush()

    def _flush(self) -> None:
        while self._waiting and self._remote_window > 0:
            self.connection.send(self._waiting.popleft(), self.channel)
            self._next_outgoing_id = (self._next_outgoing_id + 1) & COUNTER
            self._remote_window -= 1

    # From the peer

    def handle(self, performative: Composite, payload: bytes) -> None:
        """Act on what the peer says. A link that has ended on this side may still be spoken to: that is ignored.

        Raises:
            AmqpDecodeError: it makes no sense in a session.
        """
        match performative:
            case Attach():
                self._attach(performative)
            case Flow():
                self._flow(performative)
            case Transfer():
                self._next_incoming_id = (self._next_incoming_id + 1) & COUNTER
                link = self.links.get(performative.handle)
                if isinstance(link, IncomingLink):
                    link.on_transfer(performative, payload)
            case Disposition():
                self._dispose(performative)
            case Detach():
                ended = self.links.get(performative.handle)
                if ended is not None:
                    self.forget(ended)
                    self.send(Detach(performative.handle, performative.closed))
            case _:
                raise AmqpDecodeError(f"{type(performative).__name__} has no place in a session")

    def forget(self, link: Link) -> None:
        """Let a link go. Messages locked by it stay locked until their locks expire, as the service has it."""
        if self.links.pop(link.handle, None) is not None:
            self._unsettled = {key: item for key, item in self._unsettled.items() if item.link is not link}
            link.gone()

    def close(self) -> None:
        """Let all links go."""
        for link in list(self.links.values()):
            self.forget(link)

    def response_link(self, node: object, reply_to: object) -> OutgoingLink | None:
        """Return the link that takes the answers of a node: by the address to reply to, or else any of that node."""
        links = [link for link in self.links.values() if isinstance(link, OutgoingLink) and link.queue is None]
        named = [link for link in links if reply_to is not None and link.attach.target.address == reply_to]
        of_node = [link for link in links if path_of(link.attach.source.address) == path_of(node)]
        return next(iter([*named, *of_node]), None)

    def _flow(self, flow: Flow) -> None:
        start = flow.next_incoming_id if flow.next_incoming_id is not None else 0
        window = (start + flow.incoming_window - self._next_outgoing_id) & COUNTER
        # The counters wrap round: what looks like more than half of them is less than nothing.
        self._remote_window = window if window <= WINDOW else 0
        self._flush()
        link = self.links.get(flow.handle) if flow.handle is not None else None
        if isinstance(link, OutgoingLink):
            link.on_flow(flow)

    def _dispose(self, disposition: Disposition) -> None:
        if not disposition.role:
            return
        last = disposition.last if disposition.last is not None else disposition.first
        for number in [number for number in self._unsettled if disposition.first <= number <= last]:
            if disposition.state is None and not disposition.settled:
                continue
            delivery = self._unsettled.pop(number)
            if disposition.state is None:
                continue  # settled without an outcome: the lock runs out by itself
            outcome = delivery.link.settle(delivery.token, disposition.state)
            if not disposition.settled:
                self.send(Disposition(False, number, number, True, outcome))

    def _attach(self, attach: Attach) -> None:
        if attach.handle in self.links:
            raise AmqpDecodeError(f"handle {attach.handle} is in use")
        try:
            if attach.role:
                self._attach_receiver(attach)
            else:
                self._attach_sender(attach)
        except ServiceError as refusal:
            self._refuse(attach, refusal)

    def _attach_sender(self, attach: Attach) -> None:
        if isinstance(attach.target, Coordinator):
            raise errors.not_implemented("Transactions")
        if not isinstance(attach.target, Target):
            raise errors.argument_error("A sender must name a target.")
        path = path_of(attach.target.address)
        broker = self.connection.broker
        limit = None
        if path.lower().endswith(MANAGEMENT_SUFFIX):
            path = path[: -len(MANAGEMENT_SUFFIX)]
            self._check_management(path)
        elif path != CBS_NODE:
            check_claims(self.connection.claims.values(), path, "Send", broker.token_time())
            inlet = broker.inlet(path)
            inlet.check_open()
            limit = inlet.max_message_size
        link = self.links[attach.handle] = IncomingLink(self, attach, path, limit)
        self.send(
            Attach(
                name=attach.name,
                handle=attach.handle,
                role=True,
                snd_settle_mode=attach.snd_settle_mode,
                rcv_settle_mode=attach.rcv_settle_mode,
                source=attach.source,
                target=attach.target,
                max_message_size=limit,
            )
        )
        link.grant()

    def _attach_receiver(self, attach: Attach) -> None:
        if not isinstance(attach.source, Source):
            raise errors.argument_error("A receiver must name a source.")
        path = path_of(attach.source.address)
        if path == CBS_NODE or path.lower().endswith(MANAGEMENT_SUFFIX):
            if path != CBS_NODE:
                self._check_management(path[: -len(MANAGEMENT_SUFFIX)])
            answers = OutgoingLink(self, attach, path, None)
            self.links[attach.handle] = answers
            answers.reply()
            return
        broker = self.connection.broker
        check_claims(self.connection.claims.values(), path, "Listen", broker.token_time())
        broker.check_fault(path, "receive")
        queue = broker.outlet(path)
        if queue.settings.status in ("Disabled", "ReceiveDisabled"):
            raise errors.entity_disabled(path)
        wants_session = SESSION_FILTER in (attach.source.filter or {})
        if queue.settings.requires_session and not wants_session:
            raise errors.not_allowed(
                "It is not possible for an entity that requires sessions to create a non-sessionful message receiver."
            )
        if wants_session and not queue.settings.requires_session:
            raise errors.not_allowed(
                "A sessionful message receiver cannot be created on an entity that does not require sessions. Ensure "
                "RequiresSession is set to true when creating a Queue or Subscription to enable sessionful behavior."
            )
        link = OutgoingLink(self, attach, path, queue)
        self.links[attach.handle] = link
        self.connection.server.add_consumer(link)
        if not wants_session:
            link.reply()
        elif not self._accept_session(link):
            wait = (attach.properties or {}).get(TIMEOUT)
            milliseconds = wait if isinstance(wait, int) else SESSION_WAIT
            self.connection.call_later(milliseconds / 1000, self._stop_waiting, link)

    def _check_management(self, path: str) -> None:
        broker = self.connection.broker
        try:
            check_claims(self.connection.claims.values(), path, "Listen", broker.token_time())
        except ServiceError:
            check_claims(self.connection.claims.values(), path, "Send", broker.token_time())

    # Sessions of Service Bus: a link for one is attached once it has the session

    def try_session(self, link: OutgoingLink) -> None:
        """Give a link that waits for a session one, if there is one now."""
        try:
            self._accept_session(link)
        except ServiceError as refusal:
            self._refuse(link.attach, refusal)

    def _accept_session(self, link: OutgoingLink) -> bool:
        assert link.queue is not None
        wanted = _wanted_session(link.attach)
        lock = link.queue.accept_session(wanted, link)
        if lock is None:
            return False
        link.session_id = lock.session_id
        link.attach.source.filter = {SESSION_FILTER: lock.session_id}
        link.reply({LOCKED_UNTIL: TICKS_AT_EPOCH + round(lock.until * 10_000_000)})
        return True

    def _stop_waiting(self, link: OutgoingLink) -> None:
        if self.links.get(link.handle) is link and not link.attached:
            self._refuse(link.attach, errors.no_session_in_time())

    def _refuse(self, attach: Attach, refusal: ServiceError) -> None:
        """Attach without source and target, and detach at once: that is how the service says no to a link."""
        link = self.links.get(attach.handle)
        if link is not None:
            self.forget(link)
        count = 0 if attach.role else None
        self.send(Attach(attach.name, attach.handle, not attach.role, initial_delivery_count=count))
        self.send(Detach(attach.handle, True, error_of(refusal)))


def _wanted_session(attach: Attach) -> str | None:
    """Return the session that a receiver asks for; None is any."""
    value: Any = (attach.source.filter or {}).get(SESSION_FILTER)
    value = value.value if isinstance(value, Described) else value
    return value.decode() if isinstance(value, bytes) else value
