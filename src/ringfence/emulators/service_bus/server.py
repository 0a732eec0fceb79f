"""The Service Bus fake: a broker that listens on loopback, in a thread of this process."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import ssl
import threading
from collections import deque
from concurrent.futures import Future

from ringfence.emulators.interface import Backend, EmulatorError, StartedByWith
from ringfence.emulators.service_bus import errors
from ringfence.emulators.service_bus.broker import Broker
from ringfence.emulators.service_bus.connection import Connection
from ringfence.emulators.service_bus.links import OutgoingLink
from ringfence.emulators.service_bus.queue import Queue
from ringfence.emulators.service_bus.settings import AuthorizationRule

__all__ = ["ServiceBusFake", "ServiceBusServer"]

LOG = logging.getLogger(__name__)
HOST = "127.0.0.1"
ROOT_RULE = "RootManageSharedAccessKey"
PATIENCE = 10.0
"""Seconds to wait for the thread to start or to stop: either takes milliseconds, unless the machine is in trouble."""


class ServiceBusServer:
    """Connections of clients on one side, the broker on the other. Runs in an event loop."""

    def __init__(self, broker: Broker, name: str) -> None:
        self.broker = broker
        self.name = name
        self.faults: list[BaseException] = []
        self._consumers: dict[Queue, deque[OutgoingLink]] = {}
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, listener: socket.socket, context: ssl.SSLContext | None, ready: Future[None]) -> None:
        """Serve until cancelled."""
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._connected, sock=listener, ssl=context)
        self.broker.on_change = self.wake
        ready.set_result(None)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.broker.on_change = lambda: None
            server.close()
            self.disconnect()
            await asyncio.gather(*self._connections.values(), return_exceptions=True)
            if self._timer is not None:
                self._timer.cancel()

    def disconnect(self) -> None:
        """Break off all connections, as a network failure does."""
        for connection in self._connections:
            connection.abort()

    def record(self, error: BaseException) -> None:
        """Keep what has gone wrong in this server itself."""
        self.faults.append(error)
        LOG.error("the Service Bus fake has failed", exc_info=error)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer, self)
        task = asyncio.current_task()
        assert task is not None
        self._connections[connection] = task
        try:
            await connection.run()
        finally:
            del self._connections[connection]

    # Who gets the messages

    def add_consumer(self, link: OutgoingLink) -> None:
        """Let a link take part in what its queue hands out."""
        assert link.queue is not None
        self._consumers.setdefault(link.queue, deque()).append(link)

    def remove_consumer(self, link: OutgoingLink) -> None:
        """Let a link take no part any more."""
        links = self._consumers.get(link.queue) if link.queue is not None else None
        if links is not None and link in links:
            links.remove(link)
            if not links and link.queue is not None:
                del self._consumers[link.queue]

    def wake(self) -> None:
        """Look after the broker's state has changed. For other threads."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._pump_safely)

    def pump(self) -> None:
        """Hand out all messages that are ready, to the links that want some, in turn."""
        self.broker.sweep()
        for queue, links in list(self._consumers.items()):
            for link in list(links):
                _check(queue, link)
            idle = 0
            while links and idle < len(links):
                link = links[0]
                links.rotate(-1)
                message = None
                if link.attached and link.credit:
                    message = queue.receive(session_id=link.session_id, delete=link.settled_at_once)
                if message is None:
                    idle += 1
                else:
                    idle = 0
                    link.deliver(message)
            for link in list(links):
                link.finish_drain()
        self._schedule()

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        delay = self.broker.next_deadline()
        if delay is not None and self._loop is not None:
            self._timer = self._loop.call_later(delay, self._pump_safely)

    def _pump_safely(self) -> None:
        try:
            with self.broker.lock:
                self.pump()
        except Exception as error:
            # Nobody's request has failed here, so nobody would hear of it: the connections end.
            self.record(error)
            self.disconnect()


def _check(queue: Queue, link: OutgoingLink) -> None:
    """End a link whose queue or session it has lost, and give one that waits for a session its turn."""
    if queue.deleted:
        link.detach(errors.entity_not_found(queue.path))
    elif not link.attached:
        link.session.try_session(link)
    elif link.session_id is not None:
        lock = queue.sessions.find(link.session_id)
        if lock is None or lock.holder is not link:
            link.detach(errors.lock_lost(in_session=True))


class ServiceBusFake(StartedByWith):
    """Service Bus on loopback, for tests: queues, topics and all that clients do with messages over AMQP.

    Its entities are made on `broker`, before or after the start.
    """

    service = "service-bus"
    backend: Backend = "process"

    def __init__(
        self,
        *,
        port: int = 0,
        accept_short_durations: bool = False,
        disable_local_auth: bool = False,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """Take the settings of the namespace.

        Args:
            port: where to listen; 0 is any free port. Clients that use TLS take 5671.
            accept_short_durations: whether locks may last less than the service's 5 seconds.
            disable_local_auth: whether shared access keys are refused.
            ssl_context: what to speak TLS with; None is plain TCP, as the official emulator has it.
        """
        self._root = AuthorizationRule(ROOT_RULE, secrets.token_urlsafe(32))
        self.broker = Broker(
            [self._root], accept_short_durations=accept_short_durations, disable_local_auth=disable_local_auth
        )
        self.port = port
        self._wanted_port = port
        self._ssl_context = ssl_context
        self._server = ServiceBusServer(self.broker, "ringfence-service-bus")
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start, and return once it answers.

        Raises:
            EmulatorError: the port is taken, or it runs already.
        """
        if self._thread is not None:
            raise EmulatorError("the Service Bus fake runs already: stop it first")
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, self._wanted_port))
        except OSError as error:
            listener.close()
            message = (
                f"the Service Bus fake cannot listen on {HOST}:{self._wanted_port}: {error.strerror}; free the port"
            )
            raise EmulatorError(message) from error
        self.port = listener.getsockname()[1]
        ready: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(listener, ready), name="ringfence-service-bus", daemon=True
        )
        self._thread.start()
        try:
            ready.result(PATIENCE)
        except (EmulatorError, TimeoutError) as error:
            listener.close()
            self._thread = self._loop = self._task = None
            raise EmulatorError(f"the Service Bus fake cannot start: {error}") from error

    def environment(self) -> dict[str, str]:
        """Return the connection string, and the namespace for clients with a token credential."""
        namespace = f"{HOST}:{self.port}"
        key = f"SharedAccessKeyName={self._root.name};SharedAccessKey={self._root.key}"
        text = f"Endpoint=sb://{namespace};{key};UseDevelopmentEmulator=true;"
        return {
            "RINGFENCE_SERVICE_BUS_CONNECTION_STRING": text,
            "RINGFENCE_SERVICE_BUS_NAMESPACE": namespace,
        }

    def reset(self) -> None:
        """Forget all entities and messages, and break off all connections."""
        self.broker.reset()
        self.disconnect()

    def disconnect(self) -> None:
        """Break off all connections, as a network failure does. Sessions come free; other locks run out."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._server.disconnect)

    def stop(self) -> None:
        """Stop. Entities and messages are forgotten."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._loop is not None and self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
        thread.join(PATIENCE)
        self._loop = self._task = None
        self.broker.reset()

    @property
    def faults(self) -> list[BaseException]:
        """What has gone wrong in the fake itself since it was made: a bug of ours, never the client's fault."""
        return list(self._server.faults)

    def _run(self, listener: socket.socket, ready: Future[None]) -> None:
        asyncio.run(self._main(listener, ready))

    async def _main(self, listener: socket.socket, ready: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        try:
            await self._server.serve(listener, self._ssl_context, ready)
        except asyncio.CancelledError:
            pass  # that is how it is stopped
        except Exception as error:
            self._server.record(error)
            if not ready.done():
                ready.set_exception(EmulatorError(str(error)))
