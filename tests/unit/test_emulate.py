"""`ringfence emulate` over projects that need the Service Bus fake alone: what the command gets, and what is left."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ringfence.emulate import SERVICES, EmulateError, Target, emulated, find_target
from ringfence.emulators import choose
from ringfence.emulators.docker import DockerServiceBus
from ringfence.emulators.interface import EmulatorError
from ringfence.settings import Settings

COMMAND = [sys.executable, "-m", "ringfence.cli.main", "emulate"]
SHOW = "import json, os; print(json.dumps(dict(os.environ)))"
PROGRAM = """\
import pulumi
from pulumi_azure_native import resources, servicebus

group = resources.ResourceGroup("group")
bus = servicebus.Namespace(
    "bus", resource_group_name=group.name, sku=servicebus.SBSkuArgs(name="Standard", tier="Standard")
)
servicebus.Queue(
    "jobs",
    resource_group_name=group.name,
    namespace_name=bus.name,
    queue_name="jobs",
    max_delivery_count=pulumi.Config().get_int("deliveries") or 3,
    forward_to="elsewhere",
)
pulumi.export("endpoint", bus.service_bus_endpoint)
"""


@pytest.fixture(autouse=True)
def _no_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the fakes, also where a Docker daemon answers."""
    monkeypatch.setenv("RINGFENCE_EMULATORS", "process")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "shop", PROGRAM)


def write_project(folder: Path, program: str, runtime: str = "python") -> Path:
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text(f"name: shop\nruntime: {runtime}\n", encoding="utf-8")
    (folder / "__main__.py").write_text(program, encoding="utf-8")
    return folder


def run(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=False, timeout=60, **more)


def python(code: str) -> list[str]:
    return ["--", sys.executable, "-c", code]


def refuses(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0


# What the command gets


def test_the_command_gets_the_endpoints_and_its_exit_code_is_passed_on(project: Path) -> None:
    done = run(str(project), *python(f"{SHOW}; raise SystemExit(7)"))
    variables = json.loads(done.stdout)

    assert done.returncode == 7, done.stderr
    namespace = variables["RINGFENCE_SERVICE_BUS_NAMESPACE"]
    text = variables["RINGFENCE_SERVICE_BUS_CONNECTION_STRING"]
    assert re.fullmatch(rf"Endpoint=sb://{namespace};SharedAccessKeyName=\w+;SharedAccessKey=[^;]+;.*", text)
    assert not {"RINGFENCE_STORAGE_CONNECTION_STRING", "RINGFENCE_COSMOS_ENDPOINT"} & variables.keys()
    assert refuses(int(namespace.rpartition(":")[2])), "the fake still listens"


def test_what_cannot_be_represented_is_on_standard_error(project: Path) -> None:
    done = run(str(project), *python("print('out')"))

    assert done.stdout == "out\n"
    lines = [" ".join(line.split()) for line in done.stderr.splitlines()]
    assert lines[0] == "ringfence: the Service Bus fake (process): as asked for"
    assert "ringfence: 2 of 3 resources made on emulators" in lines
    assert "Queue jobs forwardTo the fake does not forward messages" in lines
    assert lines[-1] == "ringfence: on no emulator, answered offline: ResourceGroup"
    assert "SharedAccessKey" not in done.stderr


def test_the_queue_is_there_with_its_settings_when_the_command_runs(project: Path) -> None:
    code = (
        "import os; from azure.servicebus import ServiceBusClient, ServiceBusMessage\n"
        "with ServiceBusClient.from_connection_string(os.environ['RINGFENCE_SERVICE_BUS_CONNECTION_STRING']) as bus:\n"
        "    with bus.get_queue_sender('jobs') as sender: sender.send_messages(ServiceBusMessage('x'))\n"
        "    with bus.get_queue_receiver('jobs') as receiver:\n"
        "        for delivery in range(4):\n"
        "            found = receiver.receive_messages(max_wait_time=1)\n"
        "            print(len(found))\n"
        "            [receiver.abandon_message(message) for message in found]\n"
    )
    done = run(str(project), "--config", "deliveries=2", *python(code))

    assert done.stdout.split() == ["1", "1", "0", "0"], done.stderr


def test_the_command_gets_the_stacks_outputs_without_its_secrets(project: Path) -> None:
    program = f"{PROGRAM}pulumi.export('hush', pulumi.Output.secret('hush'))\n"
    (project / "__main__.py").write_text(program, encoding="utf-8")
    variables = json.loads(run(str(project), *python(SHOW)).stdout)

    namespace = variables["RINGFENCE_SERVICE_BUS_NAMESPACE"]
    assert json.loads(variables["RINGFENCE_STACK_OUTPUTS"]) == {"endpoint": f"sb://{namespace}/", "hush": "[secret]"}


def test_the_project_of_the_current_folder_is_meant_where_none_is_named(project: Path) -> None:
    done = run(*python(SHOW), cwd=project)

    assert "RINGFENCE_SERVICE_BUS_NAMESPACE" in json.loads(done.stdout)


def test_services_can_be_named_without_a_project(tmp_path: Path) -> None:
    done = run("--service", "cosmos", "service-bus", *python(SHOW), cwd=tmp_path)
    variables = json.loads(done.stdout)

    assert {"RINGFENCE_COSMOS_ENDPOINT", "RINGFENCE_COSMOS_KEY", "RINGFENCE_SERVICE_BUS_NAMESPACE"} <= variables.keys()
    assert "the Cosmos DB fake (process), the Service Bus fake (process)" in done.stderr


def test_words_after_the_dashes_are_the_commands(tmp_path: Path) -> None:
    code = "import sys; print(sys.argv[1:])"
    done = run("--service", "service-bus", *python(code), "--service", "--", "-x", cwd=tmp_path)

    assert done.stdout == "['--service', '--', '-x']\n"


def test_in_process_outputs_are_the_emulators_own(project: Path) -> None:
    with emulated(Target(project)) as emulation:
        assert emulation.deployment is not None
        namespace = emulation.environment["RINGFENCE_SERVICE_BUS_NAMESPACE"]
        assert emulation.deployment.outputs == {"endpoint": f"sb://{namespace}/"}
        assert emulation.resource("servicebus:Queue")["name"] == "jobs"
        assert emulation.backends == ["the Service Bus fake (process)"]
        with pytest.raises(LookupError, match="0 resources"):
            emulation.resource("servicebus:Topic")
    assert refuses(int(namespace.rpartition(":")[2]))


# What the emulators run in


NO_DAEMON = {"DOCKER_HOST": "unix:///no/such/socket"}


def test_without_a_daemon_auto_runs_the_process_and_says_so(project: Path) -> None:
    environment = {**os.environ, **NO_DAEMON, "RINGFENCE_EMULATORS": "docker"}
    done = run(str(project), "--emulators", "auto", *python("pass"), env=environment)

    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("ringfence: the Service Bus fake (process): no Docker daemon answers\n")


@pytest.mark.parametrize(
    ("asked", "words", "message"),
    [
        ("docker", [], "no Docker daemon answers: start it, set DOCKER_HOST, or take the back end `process`"),
        ("process", ["--emulators", "docker"], "no Docker daemon answers: start it"),
        ("podman", [], "RINGFENCE_EMULATORS is 'podman', expected auto, docker, process"),
        ("auto", ["--emulators", "podman"], "invalid choice: 'podman'"),
    ],
)
def test_a_back_end_that_cannot_be_had_is_a_mistake(project: Path, asked: str, words: list[str], message: str) -> None:
    environment = {**os.environ, **NO_DAEMON, "RINGFENCE_EMULATORS": asked}
    done = run(str(project), *words, *python("print('ran')"), env=environment)

    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_in_docker_the_official_emulator_gets_the_entities_that_are_declared(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = []

    def start(emulator: DockerServiceBus) -> None:
        configs.append(emulator.config())
        raise EmulatorError("far enough")

    monkeypatch.setattr(choose, "docker_available", lambda: True)
    monkeypatch.setattr(DockerServiceBus, "start", start)
    with (
        pytest.raises(EmulatorError, match="far enough"),
        emulated(Target(project, config={"deliveries": "7"}), emulators="auto"),
    ):
        pass

    (config,) = configs
    (namespace,) = config["UserConfig"]["Namespaces"]
    (queue,) = namespace["Queues"]
    assert (queue["Name"], queue["Properties"]["MaxDeliveryCount"]) == ("jobs", 7)
    assert queue["Properties"]["ForwardTo"] == "elsewhere"


@pytest.mark.parametrize(
    ("name", "backend", "title"),
    [
        ("storage", "docker", "Azurite"),
        ("cosmos", "docker", "the Cosmos DB emulator"),
        ("cosmos", "process", "the Cosmos DB fake"),
        ("service-bus", "docker", "the Service Bus emulator"),
        ("service-bus", "process", "the Service Bus fake"),
        ("aws", "docker", "the AWS emulator"),
    ],
)
def test_each_service_has_both_back_ends(name: str, backend: Any, title: str) -> None:
    assert SERVICES[name](backend, True, Settings()).title == title


# Signals


@contextmanager
def started(words: Sequence[str], **more: Any) -> Iterator[subprocess.Popen[str]]:
    command = [*COMMAND, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more) as running:
        try:
            yield running
        finally:
            running.kill()


def test_a_signal_goes_to_the_command_whose_answer_counts(project: Path, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(42))\n"
        "print(os.environ['RINGFENCE_SERVICE_BUS_NAMESPACE'], flush=True)\n"
        "time.sleep(60)\n"
    )
    folder = tmp_path / "temporary"
    folder.mkdir()
    with started([str(project), *python(code)], env={**os.environ, "TMPDIR": str(folder)}) as running:
        assert running.stdout is not None
        port = int(running.stdout.readline().rpartition(":")[2])
        assert not refuses(port)
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=30)

    assert running.returncode == 42
    assert refuses(port)
    assert list(folder.iterdir()) == []


def test_a_command_that_is_killed_is_told_as_a_shell_tells_it(project: Path) -> None:
    done = run(str(project), *python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))

    assert done.returncode == 128 + signal.SIGKILL


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_while_the_project_is_evaluated_ends_all(tmp_path: Path, number: signal.Signals, code: int) -> None:
    mark = tmp_path / "begun"
    program = f"import pathlib, time\npathlib.Path({str(mark)!r}).touch()\ntime.sleep(60)\n"
    with started([str(write_project(tmp_path / "slow", program)), *python("print('ran')")]) as running:
        deadline = time.monotonic() + 30
        while not mark.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        running.send_signal(number)
        output, errors = running.communicate(timeout=30)

    assert (running.returncode, output) == (code, ""), errors
    assert "Traceback" not in errors


# What can be wrong


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["PROJECT", "--", "no-such-command"], "ringfence: no-such-command: there is no such command"),
        (["PROJECT"], "ringfence: emulate: expected a command after `--`"),
        (["nowhere", "--", "true"], "ringfence: nowhere: there is no Pulumi.yaml"),
        (["PROJECT", "--config", "deliveries", "--", "true"], "ringfence: --config"),
        (
            ["PROJECT", "--config", "deliveries=5000", "--", "true"],
            "Queue jobs: jobs: max_delivery_count is 5000, expected 1 to 2000",
        ),
        (["PROJECT", "--stack", "prod-eu", "--config", "deliveries=x", "--", "true"], "deliveries"),
    ],
)
def test_a_mistake_is_one_message_and_the_command_does_not_run(project: Path, words: list[str], message: str) -> None:
    done = run(*[str(project) if word == "PROJECT" else word for word in words])

    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr


def test_a_service_that_does_not_exist_is_a_mistake(tmp_path: Path) -> None:
    done = run("--service", "mail", "--", "true", cwd=tmp_path)

    assert done.returncode == 2
    assert "invalid choice: 'mail'" in done.stderr


def test_without_project_and_service_there_is_nothing_to_start(tmp_path: Path) -> None:
    done = run("--", "true", cwd=tmp_path)

    assert done.returncode == 2
    assert "expected a PROJECT, or --service" in done.stderr


def test_an_emulator_that_cannot_be_installed_says_what_would_mend_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    environment = {**os.environ, "RINGFENCE_CACHE": str(tmp_path / "file" / "below")}
    done = run("--service", "storage", "--", "true", env=environment, cwd=tmp_path)

    assert done.returncode == 2
    assert "ringfence: the cache folder" in done.stderr
    assert "RINGFENCE_CACHE names another" in done.stderr
    assert "internal error" not in done.stderr


def test_a_program_that_fails_is_told_with_its_line(tmp_path: Path) -> None:
    folder = write_project(tmp_path / "broken", "import pulumi\n\nraise ValueError('no such plan')\n")
    done = run(str(folder), "--", "true")

    assert done.returncode == 2
    assert re.search(r"broken/__main__\.py:3: .*no such plan", done.stderr)


def test_a_program_in_another_language_needs_its_services_named(tmp_path: Path) -> None:
    folder = write_project(tmp_path / "other", "", runtime="nodejs")
    with pytest.raises(EmulateError, match="say with --service which emulators it needs"), emulated(Target(folder)):
        pass


def test_an_emulator_is_stopped_where_another_cannot_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ringfence.providers.emulated.cosmos import CosmosService
    from ringfence.providers.emulated.service_bus import ServiceBusService

    bus, cosmos = ServiceBusService(), CosmosService()

    def fail() -> None:
        assert bus.backends() == {"process"}
        raise EmulatorError("no port is free")

    monkeypatch.setattr(cosmos, "start", fail)
    with pytest.raises(EmulatorError, match="no port is free"), emulated(None, [bus, cosmos]):
        pass
    assert bus.backends() == set()


def test_the_nearest_project_is_found(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    inside = project / "app"
    inside.mkdir()
    monkeypatch.chdir(inside)
    assert find_target(None) == project
    monkeypatch.chdir(tmp_path)
    assert find_target(None) is None


# The Pulumi CLI


PRETEND = """\
#!{python}
import os, sys
sys.path.insert(0, {root!r})
from azure.servicebus import ServiceBusClient
from tests.unit.providers.test_plugin import Spoken

ports = dict(entry.split(":") for entry in os.environ["PULUMI_DEBUG_PROVIDERS"].split(","))
spoken = Spoken(int(ports["azure-native"]))
queue = {{"queueName": "jobs", "namespaceName": sys.argv[1], "resourceGroupName": "g", "forwardTo": "x"}}
print(spoken.create(queue, "azure-native:servicebus:Queue", preview=False).id)
with ServiceBusClient.from_connection_string(os.environ["RINGFENCE_SERVICE_BUS_CONNECTION_STRING"]) as bus:
    with bus.get_queue_receiver("jobs") as receiver:
        print(receiver.peek_messages())
print(os.environ["PULUMI_STACK"])
"""


def test_under_the_pulumi_cli_its_own_up_makes_the_resources(project: Path, tmp_path: Path) -> None:
    script = tmp_path / "bin" / "pulumi"
    script.parent.mkdir()
    script.write_text(PRETEND.format(python=sys.executable, root=str(Path(__file__).parents[2])), encoding="utf-8")
    script.chmod(0o755)
    # The name that the provider gives the namespace, as the program declares none.
    with emulated(Target(project)) as emulation:
        namespace = emulation.resource("servicebus:Namespace")["name"]
    environment = {**os.environ, "PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}"}
    done = run("--", "pulumi", namespace, cwd=project, env=environment)

    assert done.returncode == 0, done.stderr
    identity, messages, stack = done.stdout.splitlines()
    assert identity.endswith(f"/namespaces/{namespace}/queues/jobs")
    assert (messages, stack) == ("[]", "dev")
    assert "ringfence: 1 of 1 resource made on emulators" in done.stderr
    assert "the fake does not forward messages" in done.stderr
