"""A client's connection: handshake, frames in and out, and what happens when something breaks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ringfence.emulators.service_bus.amqp import sasl
from ringfence.emulators.service_bus.amqp.frames import (
    AMQP_FRAME,
    AMQP_HEADER,
    HEADER_SIZE,
    MAX_FRAME_SIZE,
    SASL_HEADER,
    FrameHeader,
    encode_frame,
    read_header,
)
from ringfence.emulators.service_bus.amqp.performatives import (
    AmqpError,
    Begin,
    Close,
    Composite,
    End,
    Open,
    decode_performative,
    encode_performative,
)
from ringfence.emulators.service_bus.amqp.types import AmqpDecodeError
from ringfence.emulators.service_bus.cbs import Claim
from ringfence.emulators.service_bus.session import Session

if TYPE_CHECKING:
    from ringfence.emulators.service_bus.server import ServiceBusServer

__all__ = ["Connection"]

CHANNEL_MAX = 4999
SMALLEST_FRAME = 512
"""Bytes: no peer may announce less."""


class Connection:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: ServiceBusServer) -> None:
        self.server = server
        self.broker = server.broker
        self.claims: dict[str, Claim] = {}
        """What the client has shown that it may do, by the path that it is about."""
        self.max_frame_size = SMALLEST_FRAME
        self._reader = reader
        self._writer = writer
        self._sessions: dict[int, Session] = {}
        self._timers: set[asyncio.TimerHandle] = set()
        self._closing = False

    async def run(self) -> None:
        """Serve the client until it goes, or until it or this server breaks the rules of AMQP."""
        try:
            if await self._greet():
                while not self._closing:
                    header, body = await self._read_frame()
                    self._handle(header, body)
                    await self._writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client has gone, as clients do
        except AmqpDecodeError as error:
            self._fail("amqp:decode-error", str(error))
        except Exception as error:
            self.server.record(error)
            self._fail("amqp:internal-error", f"The emulator has failed: {type(error).__name__}: {error}")
        finally:
            await self._finish()

    def send(self, body: bytes, channel: int = 0) -> None:
        """Send a frame."""
        if not self._writer.is_closing():
            self._writer.write(encode_frame(body, channel))

    def call_later(self, seconds: float, call: Callable[..., None], *arguments: Any) -> None:
        """Call something later, unless the connection has ended by then."""

        def guarded() -> None:
            self._timers.discard(timer)
            try:
                with self.broker.lock:
                    call(*arguments)
            except Exception as error:
                self.server.record(error)
                self.abort()

        timer = asyncio.get_running_loop().call_later(seconds, guarded)
        self._timers.add(timer)

    def abort(self) -> None:
        """Break the connection off, as a network failure does."""
        self._writer.transport.abort()

    async def _greet(self) -> bool:
        header = await self._reader.readexactly(HEADER_SIZE)
        if header == SASL_HEADER:
            self._writer.write(SASL_HEADER + sasl.offer())
            _, body = await self._read_frame()
            accepted, answer = sasl.answer(body)
            self._writer.write(answer)
            if not accepted:
                return False
            header = await self._reader.readexactly(HEADER_SIZE)
        self._writer.write(AMQP_HEADER)
        return header == AMQP_HEADER

    async def _read_frame(self) -> tuple[FrameHeader, bytes]:
        header = read_header(await self._reader.readexactly(HEADER_SIZE))
        await self._reader.readexactly(header.extended_size)
        return header, await self._reader.readexactly(header.body_size)

    def _handle(self, header: FrameHeader, body: bytes) -> None:
        if not body:
            return
        if header.kind != AMQP_FRAME:
            raise AmqpDecodeError("a SASL frame came after the connection was opened")
        performative, payload = decode_performative(body)
        with self.broker.lock:
            self._dispatch(header.channel, performative, payload)
            self.server.pump()

    def _dispatch(self, channel: int, performative: Composite, payload: bytes) -> None:
        session = self._sessions.get(channel)
        match performative:
            case Open():
                self._open(performative)
            case Begin():
                session = self._sessions[channel] = Session(self, channel, performative)
                session.open()
            case End():
                if session is not None:
                    self._sessions.pop(channel).close()
                    self.send(encode_performative(End()), channel)
            case Close():
                self._closing = True
                self.send(encode_performative(Close()))
            case _:
                # The SDK for Python detaches links once more after it has ended their session.
                if session is not None:
                    session.handle(performative, payload)

    def _open(self, asked: Open) -> None:
        self.max_frame_size = max(SMALLEST_FRAME, min(asked.max_frame_size or MAX_FRAME_SIZE, MAX_FRAME_SIZE))
        answer = Open(self.server.name, None, MAX_FRAME_SIZE, CHANNEL_MAX)
        self.send(encode_performative(answer))
        if asked.idle_time_out:
            self._keep_alive(asked.idle_time_out / 2000)

    def _keep_alive(self, seconds: float) -> None:
        def beat() -> None:
            self.send(b"")
            self._keep_alive(seconds)

        self.call_later(seconds, beat)

    def _fail(self, condition: str, description: str) -> None:
        self._closing = True
        self.send(encode_performative(Close(AmqpError(condition, description))))

    async def _finish(self) -> None:
        for timer in self._timers:
            timer.cancel()
        with self.broker.lock:
            for session in self._sessions.values():
                session.close()
            self._sessions.clear()
            self.server.pump()
        self._writer.close()
        with contextlib.suppress(OSError):  # it was closed already
            await self._writer.wait_closed()
