"""The official emulators in containers, by testcontainers.

Names of images are settings, since many organisations reach the public registries through a mirror of their own.
docs/emulators/ has what of this was run, and with which images.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
import socket
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ringfence.emulators.aws.emulator import DEFAULT_ACCOUNT, OWN_ENDPOINTS, REGION, SECRET_KEY
from ringfence.emulators.azurite import DEFAULT_ACCOUNT as STORAGE_ACCOUNT
from ringfence.emulators.azurite import storage_environment
from ringfence.emulators.child import HOST, LINES_SHOWN
from ringfence.emulators.interface import Backend, EmulatorError

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer  # type: ignore[import-not-found,unused-ignore]

__all__ = [
    "DockerAws",
    "DockerAzurite",
    "DockerCosmos",
    "DockerServiceBus",
    "Images",
    "docker_available",
]

PREFIX = "RINGFENCE_IMAGE_"
PROBE_SECONDS = 2
"""How long the daemon may take to answer; one on this machine takes milliseconds."""

DEFAULT_HOST = "unix:///var/run/docker.sock"
PROBE_VERSION = "1.44"
"""Of the Docker API. It matters little, since any answer will do."""

START_SECONDS = 120
"""How long a container may take to be ready, once its image is there. SQL Server is the slowest of them."""

COSMOS_KEY = "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="
"""The key that every Cosmos DB emulator has. Source: Microsoft Learn, "Develop locally using the emulator"."""

SERVICE_BUS_KEY = "SAS_KEY_VALUE"
"""The key that every Service Bus emulator has. Source: Microsoft Learn, "Test locally with the emulator"."""


@dataclass(frozen=True)
class Images:
    """Which images are run. `RINGFENCE_IMAGE_AZURITE` and so on override them, one by one."""

    azurite: str = "mcr.microsoft.com/azure-storage/azurite:3.37.0"
    cosmos: str = "mcr.microsoft.com/cosmosdb/linux/azure-cosmos-emulator:vnext-preview"
    service_bus: str = "mcr.microsoft.com/azure-messaging/servicebus-emulator:latest"
    sql: str = "mcr.microsoft.com/mssql/server:2022-latest"
    """The database that the Service Bus emulator keeps its messages in."""

    aws: str = "localstack/localstack:4.14.0"
    """The last LocalStack that starts without a token. `LOCALSTACK_AUTH_TOKEN` is handed on when it is set."""

    moto: str = "motoserver/moto:5.2.5"
    """What answers for SageMaker, auto scaling and X-Ray beside LocalStack; empty if the AWS image does itself."""

    def overridden(self, environment: Mapping[str, str] | None = None) -> Images:
        """Return these images with those that the environment names."""
        found = os.environ if environment is None else environment
        variables = {field.name: PREFIX + field.name.upper() for field in fields(self)}
        return replace(self, **{name: found[key] for name, key in variables.items() if key in found})


def docker_available() -> bool:
    """Return whether a Docker daemon answers, at DOCKER_HOST or where it is by default."""
    try:
        import docker  # type: ignore[import-not-found,import-untyped,unused-ignore]
        from docker.errors import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
            APIError,
            DockerException,
        )
    except ImportError:
        return False
    host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
    if host.startswith("unix://") and not _listens(host.removeprefix("unix://")):
        return False
    try:
        # With a version it asks for nothing yet.
        client = docker.from_env(version=PROBE_VERSION, timeout=PROBE_SECONDS)
    except (DockerException, ValueError):
        return False
    try:
        return bool(client.ping())
    except APIError:
        return True  # it answers that it speaks another version
    except (DockerException, OSError):
        return False
    finally:
        client.close()


def _listens(path: str) -> bool:
    # Asked beforehand, since docker-py leaves a socket open when nobody listens.
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as one:
        one.settimeout(PROBE_SECONDS)
        try:
            one.connect(path)
        except OSError:
            return False
        return True


Ready = Callable[["DockerContainer"], bool]
Part = tuple["DockerContainer", Ready]
"""A container, and what says whether it is ready."""


class _DockerEmulator:
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
        """Forget everything: the containers are made anew, at the same ports.

        Raises:
            EmulatorError: it does not run, or cannot be started anew.
        """
        self.check()
        ports = self.ports
        self.stop()
        self.ports = ports
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
        """Stop, and remove the containers with all that they hold. Stopping twice is fine."""
        running, self._running = self._running, []
        for container in reversed(running):
            container.stop(force=True, delete_volume=True)
        if self._network is not None:
            self._network.remove()
            self._network = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def _containers(self) -> list[Part]:
        """Return the containers in the order in which they are started."""
        raise NotImplementedError

    def _start(self) -> None:
        from docker.errors import DockerException  # type: ignore[import-not-found,import-untyped,unused-ignore]

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
            variables = ", ".join(PREFIX + field.name.upper() for field in fields(self.images))
            message = f"{self.title} cannot be started from {image}: {error}{lines}\n  Other images: {variables}"
            raise EmulatorError(message) from error
        except BaseException:
            self.stop()
            raise

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
        """Return a folder for what a container mounts."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="ringfence-"))
        return self._folder


class DockerAzurite(_DockerEmulator):
    """Storage: Azurite in a container."""

    service = "storage"
    title = "Azurite"
    public = ("blob", "queue", "table")

    def __init__(self, images: Images | None = None) -> None:
        """Take the images; those that the environment names are used instead."""
        super().__init__(images)
        self._key = b64encode(secrets.token_bytes(64)).decode()

    def environment(self) -> dict[str, str]:
        """Return the connection string and the endpoints.

        Raises:
            EmulatorError: it does not run.
        """
        self.check()
        endpoints = {name: f"http://{HOST}:{port}/{STORAGE_ACCOUNT}" for name, port in self.ports.items()}
        return storage_environment(STORAGE_ACCOUNT, self._key, endpoints)

    def _containers(self) -> list[Part]:
        command = "azurite --silent --disableTelemetry --inMemoryPersistence --skipApiVersionCheck"
        hosts = "".join(f" --{name}Host 0.0.0.0 --{name}Port {port}" for name, port in self.ports.items())
        container = _container(self.images.azurite, *self.ports.values()).with_command(command + hosts)
        container.with_env("AZURITE_ACCOUNTS", f"{STORAGE_ACCOUNT}:{self._key}")
        return [(container, _has_logged("Azurite Table service is successfully listening"))]


class DockerAws(_DockerEmulator):
    """AWS: LocalStack in a container, and moto in another for what LocalStack's free edition has not.

    An image of ringfence's own emulator can stand in for both: docs/emulators/aws.md.
    """

    service = "aws"
    title = "the AWS emulator"
    public = ("gateway", "moto")

    def environment(self, account: str = DEFAULT_ACCOUNT) -> dict[str, str]:
        """Return the variables that the SDKs read, with the root key of an account.

        Raises:
            EmulatorError: it does not run.
        """
        self.check()
        gateway = f"http://{HOST}:{self.ports['gateway']}"
        moto = f"http://{HOST}:{self.ports['moto']}" if self.images.moto else gateway
        return {
            "AWS_ENDPOINT_URL": gateway,
            **{f"AWS_ENDPOINT_URL_{service}": moto for service in OWN_ENDPOINTS},
            "AWS_ACCESS_KEY_ID": account,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def _containers(self) -> list[Part]:
        port = self.ports["gateway"]
        # Inside it is the same port, since the URLs of queues name it.
        gateway = _container(self.images.aws, port).with_env("GATEWAY_LISTEN", f"0.0.0.0:{port}")
        gateway.with_env("LOCALSTACK_HOST", f"{HOST}:{port}").with_env("DISABLE_EVENTS", "1")
        if token := os.environ.get("LOCALSTACK_AUTH_TOKEN"):
            gateway.with_env("LOCALSTACK_AUTH_TOKEN", token)
        parts = [(gateway, _answers(port, "/_localstack/health"))]
        if self.images.moto:
            port = self.ports["moto"]
            moto = _container(self.images.moto, port).with_command(f"-H 0.0.0.0 -p {port}")
            parts.append((moto, _answers(port, "/moto-api/data.json")))
        return parts


class DockerCosmos(_DockerEmulator):
    """Cosmos DB: the vNext emulator in a container, over HTTP."""

    service = "cosmos"
    title = "the Cosmos DB emulator"
    public = ("gateway", "health")

    def environment(self) -> dict[str, str]:
        """Return the endpoint and the key. Clients must be made with `enable_endpoint_discovery=False`.

        Raises:
            EmulatorError: it does not run.
        """
        self.check()
        return {
            "RINGFENCE_COSMOS_ENDPOINT": f"http://{HOST}:{self.ports['gateway']}/",
            "RINGFENCE_COSMOS_KEY": COSMOS_KEY,
        }

    def _containers(self) -> list[Part]:
        container = _container(self.images.cosmos)
        _bind(container, 8081, self.ports["gateway"])
        _bind(container, 8080, self.ports["health"])
        container.with_env("PROTOCOL", "http").with_env("ENABLE_EXPLORER", "false").with_env(
            "ENABLE_TELEMETRY", "false"
        )
        return [(container, _answers(self.ports["health"], "/ready"))]


class DockerServiceBus(_DockerEmulator):
    """Service Bus: the official emulator in a container, and the SQL Server that it needs in another.

    Both have licences that only you can accept: `ACCEPT_EULA=Y` in the environment.
    """

    service = "service-bus"
    title = "the Service Bus emulator"
    public = ("amqp", "administration")

    def environment(self) -> dict[str, str]:
        """Return the connection strings: for messages, and for making entities.

        Raises:
            EmulatorError: it does not run.
        """
        self.check()
        key = f"SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey={SERVICE_BUS_KEY}"
        urls = {name: f"{HOST}:{port}" for name, port in self.ports.items()}
        text = {name: f"Endpoint=sb://{url};{key};UseDevelopmentEmulator=true;" for name, url in urls.items()}
        return {
            "RINGFENCE_SERVICE_BUS_CONNECTION_STRING": text["amqp"],
            "RINGFENCE_SERVICE_BUS_ADMINISTRATION_CONNECTION_STRING": text["administration"],
            "RINGFENCE_SERVICE_BUS_NAMESPACE": urls["amqp"],
        }

    def _containers(self) -> list[Part]:
        from testcontainers.core.network import Network  # type: ignore[import-not-found,unused-ignore]

        if os.environ.get("ACCEPT_EULA") != "Y":
            message = "the Service Bus emulator and SQL Server have licences: set ACCEPT_EULA=Y if you accept them"
            raise EmulatorError(message)
        self._network = Network().create()
        password = f"Aa1-{secrets.token_urlsafe(24)}"
        sql = _container(self.images.sql).with_network(self._network).with_network_aliases("sql")
        sql.with_env("ACCEPT_EULA", "Y").with_env("MSSQL_SA_PASSWORD", password)
        settings = self._private_folder() / "Config.json"
        namespaces = [{"Name": "sbemulatorns", "Queues": [], "Topics": []}]
        document = {"UserConfig": {"Namespaces": namespaces, "Logging": {"Type": "Console"}}}
        settings.write_text(json.dumps(document), encoding="utf-8")
        broker = _container(self.images.service_bus).with_network(self._network)
        _bind(broker, 5672, self.ports["amqp"])
        _bind(broker, 5300, self.ports["administration"])
        broker.with_volume_mapping(str(settings), "/ServiceBus_Emulator/ConfigFiles/Config.json", "ro")
        broker.with_env("ACCEPT_EULA", "Y").with_env("SQL_SERVER", "sql").with_env("MSSQL_SA_PASSWORD", password)
        return [
            (sql, _has_logged("SQL Server is now ready for client connections")),
            (broker, _answers(self.ports["administration"], "/health")),
        ]


def _container(image: str, *ports: int) -> DockerContainer:
    """Return a container whose ports are the same inside, and on loopback outside."""
    from testcontainers.core.container import DockerContainer  # type: ignore[import-not-found,unused-ignore]

    container = DockerContainer(image)
    for port in ports:
        _bind(container, port, port)
    return container


def _bind(container: DockerContainer, inside: int, outside: int) -> None:
    # `with_bind_ports` binds to all addresses of the machine. docker-py takes an address beside the port.
    container.ports[str(inside)] = (HOST, outside)  # type: ignore[assignment,unused-ignore]


def _answers(port: int, path: str) -> Ready:
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


def _has_logged(text: str) -> Ready:
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
    from docker.errors import DockerException  # type: ignore[import-not-found,import-untyped,unused-ignore]

    wrapped = container.get_wrapped_container()
    try:
        wrapped.reload()
    except DockerException:
        return "gone"
    return str(wrapped.status)


def _last_lines(container: DockerContainer) -> str:
    from docker.errors import DockerException  # type: ignore[import-not-found,import-untyped,unused-ignore]
    from testcontainers.core.exceptions import (  # type: ignore[import-not-found,unused-ignore]
        ContainerStartException,
    )

    try:
        lines = container.get_wrapped_container().logs(tail=LINES_SHOWN).decode(errors="replace").splitlines()
    except (DockerException, ContainerStartException):
        return ""  # it was never made, or is gone
    return "\n  ".join(["; its last lines:", *lines]) if lines else ""
