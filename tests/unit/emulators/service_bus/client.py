"""A client that speaks plain AMQP over a socket, for what no SDK would say."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import time
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

from ringfence.emulators.service_bus.amqp.frames import AMQP_HEADER, SASL_FRAME, SASL_HEADER, encode_frame, read_header
from ringfence.emulators.service_bus.amqp.message import (
    APPLICATION_PROPERTIES,
    PROPERTIES,
    VALUE,
    encode_section,
    sections_of,
)
from ringfence.emulators.service_bus.amqp.performatives import (
    Attach,
    Begin,
    Composite,
    Disposition,
    Flow,
    Open,
    SaslInit,
    SaslMechanisms,
    SaslOutcome,
    Source,
    Target,
    Transfer,
    decode_performative,
    encode_performative,
)
from ringfence.emulators.service_bus.server import ServiceBusFake

Kind = TypeVar("Kind", bound=Composite)


class RawClient:
    """One connection with one session, on channel 1."""

    def __init__(self, fake: ServiceBusFake, *, frame_size: int = 65_536, window: int = 1000, idle: int | None = None):
        self.fake = fake
        self.socket = socket.create_connection(("127.0.0.1", fake.port), timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.window = window
        self.socket.sendall(SASL_HEADER)
        assert self.read(8) == SASL_HEADER
        assert isinstance(self.next()[0], SaslMechanisms)
        self.socket.sendall(encode_frame(encode_performative(SaslInit("ANONYMOUS")), kind=SASL_FRAME))
        assert self.next()[0] == SaslOutcome(0)
        self.socket.sendall(AMQP_HEADER)
        assert self.read(8) == AMQP_HEADER
        self.send(Open("raw", max_frame_size=frame_size, idle_time_out=idle), channel=0)
        assert isinstance(self.next()[0], Open)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def begin(self) -> Self:
        """Start the session, and show the root key for the whole namespace."""
        self.send(Begin(None, 0, self.window, 1000))
        self.expect(Begin)
        self.attach(Attach("answers", 100, True, source=Source("$cbs"), target=Target("me")))
        self.attach(Attach("requests", 101, False, source=Source("me"), target=Target("$cbs")))
        self.expect(Flow)
        self.flow(100, 10)
        return self

    def put_token(self, path: str) -> int:
        """Put a good token for a path, and return the status."""
        audience = f"sb://127.0.0.1:{self.fake.port}/{path}"
        rule = next(iter(self.fake.broker.authorization_rules.values()))
        encoded, expiry = quote(audience, safe=""), int(time.time()) + 60
        digest = hmac.new(rule.key.encode(), f"{encoded}\n{expiry}".encode(), hashlib.sha256).digest()
        signature = quote(base64.b64encode(digest), safe="")
        token = f"SharedAccessSignature sr={encoded}&sig={signature}&se={expiry}&skn={rule.name}"
        properties = {"operation": "put-token", "type": "jwt", "name": audience}
        answer = self.request(101, "me", properties, token)
        return int(answer[APPLICATION_PROPERTIES]["status-code"])

    def request(self, handle: int, reply_to: str, properties: dict[str, Any], body: Any) -> dict[int, Any]:
        """Send a request to a node, and return the sections of the answer."""
        raw = encode_section(PROPERTIES, ["id", None, None, None, reply_to])
        raw += encode_section(APPLICATION_PROPERTIES, properties) + encode_section(VALUE, body)
        self.transfer(handle, raw)
        _, payload = self.expect(Transfer)
        self.expect(Disposition)
        return {section.code: section.value for section in sections_of(payload)}

    def attach(self, attach: Attach) -> Attach:
        self.send(attach)
        return self.expect(Attach)[0]

    def flow(self, handle: int, credit: int, *, count: int = 0, window: int | None = None, seen: int = 0) -> None:
        """Give credit on a link. `seen` is how many transfers have come in so far."""
        self.send(Flow(seen, self.window if window is None else window, 0, 1000, handle, count, credit))

    def transfer(self, handle: int, raw: bytes, **fields: Any) -> None:
        transfer = Transfer(handle, **{"delivery_id": 1, "delivery_tag": b"t", "message_format": 0, **fields})
        self.send(transfer, raw)

    def send(self, performative: Composite, payload: bytes = b"", channel: int = 1) -> None:
        self.socket.sendall(encode_frame(encode_performative(performative, payload), channel))

    def expect(self, kind: type[Kind]) -> tuple[Kind, bytes]:
        """Return the next performative, which is of this kind."""
        performative, payload = self.next()
        assert isinstance(performative, kind), f"expected {kind.__name__}, got {performative}"
        return performative, payload

    def next(self) -> tuple[Composite | None, bytes]:
        """Return the next performative; None is an empty frame."""
        header = read_header(self.read(8))
        body = self.read(header.body_size)
        return decode_performative(body) if body else (None, b"")

    def read(self, size: int) -> bytes:
        raw = b""
        while len(raw) < size:
            part = self.socket.recv(size - len(raw))
            if not part:
                raise EOFError("the server has closed the connection")
            raw += part
        return raw

    def is_closed(self) -> bool:
        """Return whether the server closes the connection, within the time-out of the socket."""
        try:
            while self.socket.recv(4096):
                pass
        except ConnectionError:
            return True
        return True
