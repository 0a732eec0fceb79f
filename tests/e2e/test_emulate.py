"""`ringfence emulate` with the real CLI: `up` makes what the stack declares, `destroy` removes it, nothing is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import PASSPHRASE
from tests.integration.availability import need

LIFE = """
pulumi up --yes --skip-preview
python {show} after-up
pulumi preview --expect-no-changes
pulumi refresh --yes --skip-preview --expect-no-changes
{before_destroy}
pulumi destroy --yes --skip-preview
python {show} after-destroy
"""
SHOW = """\
import json, os, sys, warnings

warnings.simplefilter("ignore")  # of certificates on loopback
found = {}
if "AWS_ENDPOINT_URL" in os.environ:
    import boto3

    found["queues"] = len(boto3.client("sqs").list_queues().get("QueueUrls", []))
    found["tables"] = len(boto3.client("dynamodb").list_tables()["TableNames"])
    found["functions"] = len(boto3.client("lambda").list_functions()["Functions"])
    found["roles"] = len(boto3.client("iam").list_roles()["Roles"])
    found["topics"] = len(boto3.client("sns").list_topics()["Topics"])
    found["subscriptions"] = len(boto3.client("sns").list_subscriptions()["Subscriptions"])
    found["alarms"] = len(boto3.client("cloudwatch").describe_alarms()["MetricAlarms"])
    found["log groups"] = len(boto3.client("logs").describe_log_groups()["logGroups"])
    sagemaker = boto3.client("sagemaker")
    found["endpoints"] = len(sagemaker.list_endpoints()["Endpoints"])
    found["configurations"] = len(sagemaker.list_endpoint_configs()["EndpointConfigs"])
    found["models"] = len(sagemaker.list_models()["Models"])
    scaling = boto3.client("application-autoscaling")
    found["targets"] = len(scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"])
for variable, text in os.environ.items():
    if variable == "RINGFENCE_STORAGE_CONNECTION_STRING":
        from azure.storage.blob import BlobServiceClient

        with BlobServiceClient.from_connection_string(text) as client:
            found["containers"] = [container.name for container in client.list_containers()]
if "RINGFENCE_COSMOS_ENDPOINT" in os.environ:
    from azure.cosmos import CosmosClient

    client = CosmosClient(os.environ["RINGFENCE_COSMOS_ENDPOINT"], os.environ["RINGFENCE_COSMOS_KEY"])
    for database in client.list_databases():
        for container in client.get_database_client(database["id"]).list_containers():
            found[f"{database['id']}/{container['id']}"] = [container["partitionKey"]["paths"], container["defaultTtl"]]
if "RINGFENCE_SERVICE_BUS_CONNECTION_STRING" in os.environ:
    from azure.servicebus import ServiceBusClient, ServiceBusMessage
    from azure.servicebus.exceptions import ServiceBusError

    with ServiceBusClient.from_connection_string(os.environ["RINGFENCE_SERVICE_BUS_CONNECTION_STRING"]) as client:
        try:
            with client.get_queue_sender("retraining-requests") as sender:
                sender.send_messages(ServiceBusMessage("x"))
            found["queue"] = True
        except ServiceBusError:
            found["queue"] = False
print(sys.argv[1], json.dumps(found))
"""
UNPROTECT = """
if pulumi destroy --yes --skip-preview; then echo "a protected table was deleted" >&2; exit 1; fi
python -c "import boto3; client = boto3.client('dynamodb')
for name in client.list_tables()['TableNames']: client.update_table(TableName=name, DeletionProtectionEnabled=False)"
"""
NOTHING: dict[str, Any] = dict.fromkeys(
    (
        *("queues", "tables", "functions", "roles", "topics", "subscriptions", "alarms", "log groups"),
        *("endpoints", "configurations", "models", "targets"),
    ),
    0,
)


def emulate(folder: Path, script: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script under `ringfence emulate`, whose `pulumi up` makes the resources."""
    command = [sys.executable, "-m", "ringfence.cli.main", "emulate", "--emulators", "process", "--engine", "pulumi"]
    command += [*options, "--", "sh", "-ec", script]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    if "cannot be installed" in done.stderr:
        need(done.stderr)
    return done


def shown(done: subprocess.CompletedProcess[str], when: str) -> dict[str, Any]:
    (line,) = [line for line in done.stdout.splitlines() if line.startswith(f"{when} ")]
    found: dict[str, Any] = json.loads(line.removeprefix(when))
    return found


@pytest.mark.parametrize(
    ("stack", "after_up", "after_destroy", "before_destroy", "report"),
    [
        (
            "decoupled_lambda",
            {
                **dict.fromkeys(("functions", "tables", "topics", "subscriptions"), 1),
                **dict.fromkeys(("endpoints", "configurations", "models", "targets"), 1),
                **dict.fromkeys(("queues", "roles", "log groups"), 2),
                "alarms": 10,
            },
            NOTHING,
            UNPROTECT,
            "ringfence: 32 of 32 resources made on emulators, 32 of them deleted again",
        ),
        (
            "retraining_queue",
            {"containers": ["datasets", "ledger", "models"], "queue": True},
            {"containers": [], "queue": False},
            "",
            "ringfence: 7 of 31 resources made on emulators, 7 of them deleted again",
        ),
        (
            "stateful_functions",
            {"containers": ["artefacts"], "state/sessions": [["/tenantId", "/sessionId"], 86400]},
            {"containers": []},
            "",
            "ringfence: 10 of 29 resources made on emulators, 9 of them deleted again",
        ),
    ],
)
def test_a_stack_lives_its_whole_life_on_emulators(
    stacks: Path,
    tmp_path: Path,
    stack: str,
    after_up: dict[str, Any],
    after_destroy: dict[str, Any],
    before_destroy: str,
    report: str,
) -> None:
    show = tmp_path / "show.py"
    show.write_text(SHOW, encoding="utf-8")

    done = emulate(stacks / stack, LIFE.format(show=show, before_destroy=before_destroy), "--stack", "dev")

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert shown(done, "after-up") == after_up
    assert shown(done, "after-destroy") == after_destroy
    assert report in done.stderr
    assert not list(Path(os.environ["TMPDIR"]).glob("ringfence-*"))


PROGRAM = """\
import pulumi
import pulumi_aws as aws

queue = aws.sqs.Queue("jobs", name=pulumi.Config().get("name") or "one")
pulumi.export("url", queue.url)
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.yaml").write_text("name: small\nruntime: python\n", encoding="utf-8")
    (tmp_path / "__main__.py").write_text(PROGRAM, encoding="utf-8")
    return tmp_path


QUEUES = "python -c \"import boto3; print('queues', boto3.client('sqs').list_queues().get('QueueUrls', []))\""


def test_a_preview_makes_nothing(small: Path) -> None:
    done = emulate(small, f"pulumi preview; {QUEUES}")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "queues []" in done.stdout


def test_outputs_are_the_emulators_own_and_a_replaced_resource_is_gone(small: Path) -> None:
    script = f"""
    export PULUMI_CONFIG_PASSPHRASE='{PASSPHRASE}'
    pulumi up --yes --skip-preview
    {QUEUES}
    pulumi config set name two
    pulumi up --yes --skip-preview
    {QUEUES}
    echo "output $(pulumi stack output url)"
    """
    done = emulate(small, script)

    assert done.returncode == 0, done.stdout + done.stderr
    first, second = [line for line in done.stdout.splitlines() if line.startswith("queues ")]
    (output,) = [line.removeprefix("output ") for line in done.stdout.splitlines() if line.startswith("output ")]
    assert first.endswith("/one']")
    assert second == f"queues ['{output}']"
    assert output.endswith("/two")
    assert output.startswith("http://127.0.0.1:")
