"""Containers that are started together, watched and removed."""

from __future__ import annotations

import http.client
import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringfence.emulators.child import HOST, LINES_SHOWN
from ringfence.emulators.docker.daemon import PROBE_SECONDS
from ringfence.emulators.docker.images import VARIABLES, Images
from ringfence.emulators.interface import Backend, EmulatorError, StartedByWith

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

__all__ = ["DockerEmulator", "Part", "answers", "bind", "container_of", "has_logged"]

START_SECONDS = 120
"""How long a container may take to be ready, once its image is there. SQL Server is the slowest of them."""

REQUEST_SECONDS = 300
"""How long the daemon may take for one request: with some storage drivers it copies the whole image, or removes it."""

Ready = Callable[["DockerContainer"], bool]
Part = tuple["DockerContainer", Ready]
"""A container, and what says whether it is ready."""


class DockerEmulator(StartedByWith):
    """Containers that are started together. What is public is bound to loopback, at ports chosen before."""

    service: str
    backend: Backend = "docker"
    title: str
    public: tuple[str, ...]
    """A name for each port that this machine reaches."""

    def __init__(self, images: Images | None = None) -> None:
        """Take the images; those that the environment names are used instead."""
        self.images = (images or Images()).overridden()
        self.ports: dict[str, int] = {}
        self._running: list[DockerContainer] = []
        self._folder: Path | None = None
        self._network: Any = None

    def start(self) -> None:
        """Pull the images if they are not there, start the containers, and return once they answer.

        Raises:
            EmulatorError: there is no daemon, an image cannot be had, or a container does not become ready.
        """
        if self._running:
            raise EmulatorError(f"{self.title} runs already: stop it first")
        self.ports = dict(zip(self.public, _free_ports(len(self.public)), strict=True))
        self._start()

    def reset(self) -> None:
        """Forget everything: the containers are made anew, at the same ports and with the same files.

        Raises:
            EmulatorError: it does not run, or cannot be started anew.
        """
        self.check()
        self._remove()
        self._start()

    def check(self) -> None:
        """Do nothing while it runs.

        Raises:
            EmulatorError: it does not run; the message has the last lines of the container that has ended.
        """
        if not self._running:
            raise EmulatorError(f"{self.title} does not run: start it first")
        for container in self._running:
            state = _state(container)
            if state != "running":
                raise EmulatorError(
                    f"{self.title}: the container of {container.image} is {state}{_last_lines(container)}"
                )

    def stop(self) -> None:
        """Stop, and remove the containers with all that they hold. Stopping twice is fine.

        Raises:
            EmulatorError: something cannot be removed; all else is.
        """
        try:
            self._remove()
        finally:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None

    def _containers(self) -> list[Part]:
        """Return the containers in the order in which they are started."""
        raise NotImplementedError

    def _start(self) -> None:
        from docker.errors import DockerException

        try:
            for container, ready in self._containers():
                # Before it starts, so that one which does not become ready is removed too.
                self._running.append(container)
                container.start()
                self._wait(container, ready)
        except (DockerException, OSError, TimeoutError) as error:
            image = self._running[-1].image if self._running else "its images"
            lines = _last_lines(self._running[-1]) if self._running else ""
            self.stop()
            variables = ", ".join(VARIABLES.values())
            message = f"{self.title} cannot be started from {image}: {error}{lines}\n  Other images: {variables}"
            raise EmulatorError(message) from error
        except BaseException:
            self.stop()
            raise

    def _remove(self) -> None:
        from docker.errors import DockerException

        running, self._running = self._running, []
        network, self._network = self._network, None
        left = []
        for container in reversed(running):
            try:
                container.stop(force=True, delete_volume=True)
            except (DockerException, OSError) as error:
                left.append(f"the container of {container.image}: {error}")
        if network is not None:
            try:
                network.remove()
            except (DockerException, OSError) as error:
                left.append(f"the network {network.name}: {error}")
        if left:
            raise EmulatorError(f"{self.title} cannot be removed: {'; '.join(left)}")

    def _wait(self, container: DockerContainer, ready: Ready) -> None:
        # testcontainers' own waiting asks at the address of the daemon's network when it runs in a container itself.
        deadline = time.monotonic() + START_SECONDS
        while not ready(container):
            if (state := _state(container)) != "running":
                raise OSError(f"the container is {state}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"it was not ready within {START_SECONDS} s")
            time.sleep(0.05)

    def _private_folder(self) -> Path:
        """Return a folder for what a container mounts. The container's user may be another one, and reads it."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="ringfence-"))
            self._folder.chmod(0o755)
        return self._folder


def container_of(image: str, *ports: int) -> DockerContainer:
    """Return a container whose ports are the same inside, and on loopback outside."""
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(image, docker_client_kw={"timeout": REQUEST_SECONDS})
    for port in ports:
        bind(container, port, port)
    return container


def bind(container: DockerContainer, inside: int, outside: int) -> None:
    """Publish a port of a container on loopback."""
    # `with_bind_ports` binds to all addresses of the machine. docker-py takes an address beside the port.
    container.ports[str(inside)] = (HOST, outside)  # type: ignore[assignment,unused-ignore]


def answers(port: int, path: str) -> Ready:
    """Return what says that a container is ready when it answers 200 there."""

    def ready(_: DockerContainer) -> bool:
        connection = http.client.HTTPConnection(HOST, port, timeout=PROBE_SECONDS)
        try:
            connection.request("GET", path)
            with connection.getresponse() as response:
                return response.status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return ready


def has_logged(text: str) -> Ready:
    """Return what says that a container is ready when it has written a text."""

    def ready(container: DockerContainer) -> bool:
        return text.encode() in container.get_wrapped_container().logs()

    return ready


def _free_ports(count: int) -> list[int]:
    """Return ports that are free now. They stay so until the containers take them, or the start fails and says so."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(count)]
    try:
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _state(container: DockerContainer) -> str:
    from docker.errors import DockerException

    wrapped = container.get_wrapped_container()
    try:
        wrapped.reload()
    except DockerException:
        return "gone"
    return str(wrapped.status)


def _last_lines(container: DockerContainer) -> str:
    from docker.errors import DockerException
    from testcontainers.core.exceptions import (
        ContainerStartException,
    )

    try:
        lines = container.get_wrapped_container().logs(tail=LINES_SHOWN).decode(errors="replace").splitlines()
    except (DockerException, ContainerStartException):
        return ""  # it was never made, or is gone
    return "\n  ".join(["; its last lines:", *lines]) if lines else ""
