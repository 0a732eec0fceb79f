"""The Docker back ends, with a client that stands for the daemon."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from docker.errors import DockerException, ImageNotFound
from testcontainers.core import container as containers
from testcontainers.core import network as networks

from ringfence.emulators.docker import (
    DockerAws,
    DockerAzurite,
    DockerCosmos,
    DockerServiceBus,
    Images,
    docker_available,
)
from ringfence.emulators.docker import containers as back_ends
from ringfence.emulators.interface import EmulatorError

MISSING = "missing/image"


class FakeContainer:
    """What docker-py gives for a container. It serves HTTP on its public ports, as if it were ready."""

    def __init__(self, daemon: FakeDaemon, image: str, options: dict[str, Any]) -> None:
        self.daemon = daemon
        self.image = image
        self.options = options
        self.short_id = self.id = str(len(daemon.made))
        self.status = "created"
        self.log = b""
        self.servers: list[HTTPServer] = []

    def start(self) -> None:
        self.status = self.daemon.status_after_start
        self.log = self.daemon.log
        for address in self.options["ports"].values():
            server = HTTPServer(address, _Ready)
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            self.servers.append(server)

    def reload(self) -> None:
        if self.status == "gone":
            raise DockerException("no such container")

    def logs(self, **_: Any) -> bytes:
        return self.log

    def remove(self, **_: Any) -> None:
        self.status = "removed"
        for server in self.servers:
            server.shutdown()
            server.server_close()


class _Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


class FakeDaemon:
    def __init__(self) -> None:
        self.made: list[FakeContainer] = []
        self.status_after_start = "running"
        self.log = b"Azurite Table service is successfully listening\nSQL Server is now ready for client connections"
        self.networks: list[FakeNetwork] = []
        self.client = self
        self.closed = 0

    # What testcontainers' DockerClient has, as far as it is used.

    def create(self, image: str, **options: Any) -> FakeContainer:
        if image == MISSING:
            raise ImageNotFound(f"no such image: {image}")
        self.made.append(FakeContainer(self, image, options))
        return self.made[-1]

    def start(self, container: FakeContainer) -> None:
        container.start()

    def close(self) -> None:
        self.closed += 1


class FakeNetwork:
    daemon: FakeDaemon

    def __init__(self) -> None:
        self.name = "between"
        self.removed = False
        self.daemon.networks.append(self)

    def create(self) -> FakeNetwork:
        return self

    def remove(self) -> None:
        self.removed = True


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDaemon]:
    made = FakeDaemon()
    FakeNetwork.daemon = made
    monkeypatch.setattr(containers, "DockerClient", lambda **_: made)
    monkeypatch.setattr(networks, "Network", FakeNetwork)
    monkeypatch.setattr(containers.c, "ryuk_disabled", True)
    monkeypatch.setenv("ACCEPT_EULA", "Y")
    for name in ("LOCALSTACK_AUTH_TOKEN", *(f"RINGFENCE_IMAGE_{name}" for name in ("AZURITE", "AWS", "MOTO"))):
        monkeypatch.delenv(name, raising=False)
    yield made
    for container in made.made:
        container.remove()


def test_images_are_settings_and_the_environment_wins() -> None:
    given = Images(azurite="mirror/azurite:1", aws="mirror/aws:1")

    found = given.overridden({"RINGFENCE_IMAGE_AWS": "local/aws", "RINGFENCE_IMAGE_MOTO": "", "OTHER": "x"})

    assert found == Images(azurite="mirror/azurite:1", aws="local/aws", moto="")


def test_images_are_pinned_to_a_localstack_without_token() -> None:
    assert Images().aws == "localstack/localstack:4.14.0"


@pytest.mark.parametrize("emulator", [DockerAzurite, DockerAws, DockerCosmos, DockerServiceBus])
def test_what_is_public_is_on_loopback_only_and_gone_after_stop(emulator: Any, daemon: FakeDaemon) -> None:
    with emulator() as running:
        ports = [address for container in daemon.made for address in container.options["ports"].values()]
        assert {host for host, _ in ports} == {"127.0.0.1"}
        assert {port for _, port in ports} == set(running.ports.values())
        assert all(value for value in running.environment().values())
        assert running.backend == "docker"

    running.stop()
    assert {container.status for container in daemon.made} == {"removed"}
    assert all(network.removed for network in daemon.networks)
    with pytest.raises(EmulatorError, match="does not run: start it first"):
        running.environment()


def test_azurite_gets_its_own_key_and_the_options_that_it_needs(daemon: FakeDaemon) -> None:
    with DockerAzurite() as azurite:
        (made,) = daemon.made
        key = made.options["environment"]["AZURITE_ACCOUNTS"].partition(":")[2]
        assert f"AccountKey={key};" in azurite.environment()["RINGFENCE_STORAGE_CONNECTION_STRING"]
        for option in ("--skipApiVersionCheck", "--inMemoryPersistence", f"--blobPort {azurite.ports['blob']}"):
            assert option in made.options["command"]


def test_localstack_gets_a_token_when_there_is_one(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    with DockerAws():
        pass
    monkeypatch.setenv("LOCALSTACK_AUTH_TOKEN", "ls-token")
    with DockerAws():
        pass

    tokens = [
        container.options["environment"].get("LOCALSTACK_AUTH_TOKEN")
        for container in daemon.made
        if container.image.startswith("localstack")
    ]
    assert tokens == [None, "ls-token"]


def test_what_localstack_has_not_is_motos(daemon: FakeDaemon) -> None:
    with DockerAws() as aws:
        found = aws.environment()
        assert found["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:{aws.ports['gateway']}"
        assert found["AWS_ENDPOINT_URL_SAGEMAKER"] == f"http://127.0.0.1:{aws.ports['moto']}"
    with DockerAws(Images(moto="")) as aws:
        found = aws.environment()
        assert found["AWS_ENDPOINT_URL_SAGEMAKER"] == found["AWS_ENDPOINT_URL"]

    assert [container.image.partition("/")[0] for container in daemon.made] == [
        "localstack",
        "motoserver",
        "localstack",
    ]


def test_each_account_of_azurite_has_a_key_of_its_own(daemon: FakeDaemon) -> None:
    with DockerAzurite(accounts=["one", "two2"]) as azurite:
        (made,) = daemon.made
        keys = dict(entry.split(":") for entry in made.options["environment"]["AZURITE_ACCOUNTS"].split(";"))
        assert list(keys) == ["one", "two2"]
        assert len(set(keys.values())) == 2
        variables = azurite.environment("two2")
        assert f"AccountName=two2;AccountKey={keys['two2']};" in variables["RINGFENCE_STORAGE_CONNECTION_STRING"]
        assert variables["RINGFENCE_STORAGE_BLOB_ENDPOINT"] == f"http://127.0.0.1:{azurite.ports['blob']}/two2"
        with pytest.raises(EmulatorError, match="runs without TLS and has no certificate"):
            _ = azurite.ca_file
    with pytest.raises(ValueError, match="'No!' is not the name of a storage account"):
        DockerAzurite(accounts=["No!"])


def test_azurite_with_tls_has_a_certificate_that_stays_over_a_reset(daemon: FakeDaemon) -> None:
    with DockerAzurite(tls=True) as azurite:
        file = azurite.ca_file
        certificate = file.read_bytes()
        azurite.reset()
        options = daemon.made[-1].options

        assert (azurite.ca_file, file.read_bytes()) == (file, certificate)
        assert options["volumes"] == {str(file.parent): {"bind": "/ringfence", "mode": "ro"}}
        assert options["command"].endswith(" --oauth basic --cert /ringfence/certificate.pem --key /ringfence/key.pem")
        assert azurite.environment()["RINGFENCE_STORAGE_BLOB_ENDPOINT"].startswith("https://127.0.0.1:")
        assert azurite.environment()["RINGFENCE_STORAGE_CA_FILE"] == str(file)
    assert not file.parent.exists()


def test_the_cosmos_emulator_is_at_the_address_that_it_tells(daemon: FakeDaemon) -> None:
    with DockerCosmos() as cosmos:
        (made,) = daemon.made
        port, health = cosmos.ports["gateway"], cosmos.ports["health"]
        assert made.image == "mcr.microsoft.com/cosmosdb/linux/azure-cosmos-emulator:vnext-preview"
        assert made.options["ports"] == {str(port): ("127.0.0.1", port), "8080": ("127.0.0.1", health)}
        assert made.options["environment"] == {
            "PORT": str(port),
            "GATEWAY_PUBLIC_ENDPOINT": "127.0.0.1",
            "PROTOCOL": "http",
            "ENABLE_EXPLORER": "false",
            "ENABLE_TELEMETRY": "false",
        }
        assert cosmos.environment()["RINGFENCE_COSMOS_ENDPOINT"] == f"http://127.0.0.1:{port}/"


def test_localstack_is_told_its_address_and_gets_the_daemons_socket(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "docker.sock").touch()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    with DockerAws() as aws:
        localstack, moto = (container.options for container in daemon.made)
        port = aws.ports["gateway"]
        assert localstack["environment"] == {
            "GATEWAY_LISTEN": f"0.0.0.0:{port}",
            "LOCALSTACK_HOST": f"127.0.0.1:{port}",
            "DISABLE_EVENTS": "1",
        }
        assert localstack["ports"] == {str(port): ("127.0.0.1", port)}
        assert localstack["volumes"] == {f"{tmp_path}/docker.sock": {"bind": "/var/run/docker.sock", "mode": "rw"}}
        assert moto["command"] == f"-H 0.0.0.0 -p {aws.ports['moto']}"
        assert moto["volumes"] == {}
        with pytest.raises(ValueError, match="'7' is not an AWS account"):
            aws.environment("7")


def test_a_daemon_elsewhere_has_no_socket_to_mount(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2375")
    with DockerAws():
        assert daemon.made[0].options["volumes"] == {}


def test_the_service_bus_emulator_gets_its_entities_in_a_file_that_it_may_read(daemon: FakeDaemon) -> None:
    queue = {"Name": "jobs", "Properties": {"MaxDeliveryCount": 5, "LockDuration": "PT30S"}}
    with DockerServiceBus(entities={"Queues": [queue]}) as bus:
        sql, broker = daemon.made
        ((path, mount),) = broker.options["volumes"].items()
        assert mount == {"bind": "/ServiceBus_Emulator/ConfigFiles/Config.json", "mode": "ro"}
        namespace = {"Name": "sbemulatorns", "Queues": [queue], "Topics": []}
        assert json.loads(Path(path).read_text(encoding="utf-8")) == {
            "UserConfig": {"Namespaces": [namespace], "Logging": {"Type": "Console"}}
        }
        # The emulator's user in the container is another one.
        assert [oct(item.stat().st_mode & 0o777) for item in (Path(path), Path(path).parent)] == ["0o644", "0o755"]
        assert broker.options["ports"] == {
            "5672": ("127.0.0.1", bus.ports["amqp"]),
            "5300": ("127.0.0.1", bus.ports["administration"]),
        }
        password = sql.options["environment"]["MSSQL_SA_PASSWORD"]
        assert broker.options["environment"] == {
            "ACCEPT_EULA": "Y",
            "SQL_SERVER": "sql",
            "MSSQL_SA_PASSWORD": password,
        }
        assert sql.options["environment"] == {"ACCEPT_EULA": "Y", "MSSQL_SA_PASSWORD": password}
        kinds = (str.isupper, str.islower, str.isdigit)
        assert len(password) >= 8
        assert all(any(map(kind, password)) for kind in kinds)
        assert sql.options["networking_config"]["between"]["Aliases"] == ["sql"]
        assert broker.options["network"] == "between"
    assert not Path(path).parent.exists()


def test_the_service_bus_emulator_finds_its_database(daemon: FakeDaemon) -> None:
    with DockerServiceBus():
        sql, broker = (container.options["environment"] for container in daemon.made)
        assert broker["MSSQL_SA_PASSWORD"] == sql["MSSQL_SA_PASSWORD"]
        assert broker["SQL_SERVER"] == "sql"
        assert daemon.made[0].options["ports"] == {}


def test_licences_are_yours_to_accept(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCEPT_EULA")

    with pytest.raises(EmulatorError, match="set ACCEPT_EULA=Y if you accept them"):
        DockerServiceBus().start()

    assert daemon.made == []


def test_reset_makes_it_anew_at_the_same_ports(daemon: FakeDaemon) -> None:
    with DockerAzurite() as azurite:
        before = azurite.environment()
        azurite.reset()
        assert azurite.environment() == before

    assert [container.status for container in daemon.made] == ["removed", "removed"]


def test_an_image_that_cannot_be_had(daemon: FakeDaemon) -> None:
    with pytest.raises(EmulatorError) as caught:
        DockerAws(Images(moto=MISSING)).start()

    message = str(caught.value)
    assert message.startswith("the AWS emulator cannot be started from missing/image: no such image")
    assert "RINGFENCE_IMAGE_MOTO" in message
    assert [container.status for container in daemon.made] == ["removed"]


@pytest.mark.parametrize("status", ["exited", "gone"])
def test_a_container_that_ends_at_once(status: str, daemon: FakeDaemon) -> None:
    daemon.status_after_start, daemon.log = status, b"no such option"

    with pytest.raises(EmulatorError, match=f"the container is {status}; its last lines:\n  no such option"):
        DockerAzurite().start()

    assert [container.status for container in daemon.made] == ["removed"]


def test_a_container_that_never_answers(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(back_ends, "START_SECONDS", 0.2)
    daemon.log = b"still thinking"

    with pytest.raises(EmulatorError, match=r"it was not ready within 0\.2 s; its last lines:\n  still thinking"):
        DockerAzurite().start()


def test_a_container_that_is_killed_later(daemon: FakeDaemon) -> None:
    with DockerAzurite() as azurite:
        daemon.made[0].status = "exited"
        with pytest.raises(EmulatorError, match=r"Azurite: the container of .* is exited"):
            azurite.environment()


def test_what_cannot_be_removed_is_said_and_hinders_nothing_else(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = DockerServiceBus()
    bus.start()
    sql, broker = daemon.made

    def refuse(**_: Any) -> None:
        raise DockerException("the device is busy")

    with monkeypatch.context() as patched:
        patched.setattr(broker, "remove", refuse)
        with pytest.raises(EmulatorError, match=r"the container of .*servicebus-emulator.*: the device is busy"):
            bus.stop()

    assert sql.status == "removed"
    assert [network.removed for network in daemon.networks] == [True]
    bus.stop()


def test_it_runs_once(daemon: FakeDaemon) -> None:
    with DockerAzurite() as azurite, pytest.raises(EmulatorError, match="runs already"):
        azurite.start()


@pytest.mark.parametrize("host", ["unix:///no/such/socket", "tcp://127.0.0.1:1", "not a host"])
def test_no_daemon(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)

    assert docker_available() is False
