"""One run of the command on programs such as tutorials publish names everything that is wrong with them.

The five programs have the faults of published ones, whose authors never ran them: four break off at their first wrong
name and have several faults behind it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TUTORIALS = Path(__file__).parents[1] / "fixtures" / "tutorials"
COMMAND = [sys.executable, "-m", "ringfence.cli.main"]

FAULTS: dict[str, list[tuple[str, str, str]]] = {
    # Mark of the line, code, and what the message and the remedy must tell.
    "stateful_functions": [
        ("module", "PG09", "pulumi_azure_native has no documentdb. Did you mean pulumi_azure_native.cosmosdb?"),
        ("attribute", "PG12", "StorageAccount has no attribute primary_connection_string."),
        ("account", "ST02", "minimumTlsVersion"),
        ("database account", "CO01", "disableLocalAuth"),
        ("app", "WA02", "minTlsVersion"),
        ("app", "WA04", "ftpsState"),
        ("app", "WA06", "identity.type"),
    ],
    "container_scaling": [
        ("group", "CI07", "example/scorer:latest"),
        ("group", "CI09", "resources.limits.cpu"),
        ("group", "CI09", "resources.limits.memoryInGB"),
    ],
    "retraining_queue": [
        (
            "group",
            "PG09",
            "pulumi_azure_native.servicebus has no ResourceGroup. "
            "Did you mean pulumi_azure_native.resources.ResourceGroup?",
        ),
        ("sku", "PG09", "pulumi_azure_native.servicebus has no SkuArgs. Did you mean SBSkuArgs?"),
        ("keys", "PG11", "authorizationRuleName is a required argument that is missing. Set authorization_rule_name."),
        ("namespace", "SB01", "disableLocalAuth"),
        ("namespace", "SB02", "minimumTlsVersion"),
        ("queue", "SB13", "deadLetteringOnMessageExpiration"),
    ],
    "decoupled_lambda": [
        ("json", "PG10", "json is not defined. Did you mean `import json`?"),
        ("function", "PG13", "code is the file or folder './build/scorer.zip', which does not exist"),
        ("function", "LA03", "python3.8"),
        ("function", "LA08", "deadLetterConfig"),
        ("function", "LA11", "reservedConcurrentExecutions"),
        ("logs", "IA27", "arn:aws:logs:*:*:*"),
        ("table", "DY02", "pointInTimeRecovery"),
        ("table", "DY04", "deletionProtectionEnabled"),
        ("model", "IA26", "The role scorer does not let sagemaker.amazonaws.com assume it."),
    ],
    "model_serving": [
        ("function", "PG09", "has no get_builtin_role_definition. Did you mean get_role_definition?"),
        ("workspace", "ML26", 'sku.name is "Enterprise"'),
        ("properties", "PG09", "has no ComputePropertiesArgs. Did you mean AmlComputeArgs?"),
        ("vm size", "PG11", "AmlComputeArgs takes no argument 'vm_size'. Did you mean AmlComputePropertiesArgs"),
        ("scale", "PG11", "AmlComputeArgs takes no argument 'scale_settings'. Did you mean AmlComputePropertiesArgs"),
        ("compute", "ML10", "disableLocalAuth"),
        ("compute", "ML15", "enableNodePublicIp"),
        ("endpoint", "ML27", "An InferenceEndpoint is not what serves models."),
        ("endpoint", "PG11", "InferenceEndpoint needs the argument 'pool_name'."),
        ("endpoint", "PG11", "InferenceEndpoint needs the argument 'workspace_name'."),
        ("compute name", "PG11", "InferenceEndpoint takes no argument 'compute_name'."),
        ("deployment name", "PG11", "InferenceEndpoint takes no argument 'deployment_name'."),
        ("endpoint properties", "PG11", "takes no argument 'properties'. Did you mean inference_endpoint_properties?"),
        ("attribute", "PG12", "has no attribute properties. Did you mean inference_endpoint_properties?"),
    ],
}


def check(name: str, *options: str) -> tuple[int, str]:
    command = [*COMMAND, "check", str(TUTORIALS / name), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout


def line_of(name: str, mark: str) -> int:
    lines = (TUTORIALS / name / "__main__.py").read_text(encoding="utf-8").splitlines()
    (found,) = [number for number, line in enumerate(lines, start=1) if line.endswith(f"# line: {mark}")]
    return found


def report(name: str, *options: str) -> tuple[int, dict[str, Any]]:
    code, text = check(name, "--format", "json", *options)
    (deployment,) = json.loads(text)["deployments"]
    return code, deployment


def test_all_tutorials_are_here() -> None:
    assert sorted(FAULTS) == sorted(path.name for path in TUTORIALS.iterdir() if path.is_dir())


@pytest.mark.parametrize("name", FAULTS)
def test_one_run_names_every_fault_at_its_line(name: str) -> None:
    before = (TUTORIALS / name / "__main__.py").read_bytes()

    code, deployment = report(name)

    breaks_off = name != "container_scaling"
    assert code == (2 if breaks_off else 1)
    assert (deployment["status"], "repairs" in deployment) == (("failed", True) if breaks_off else ("ok", False))
    failed = [
        (item["source"]["line"], item["code"], f"{item['message']} {item['remedy']}")
        for item in deployment["findings"]
        if item["verdict"] == "fail"
    ]
    for mark, wanted, text in FAULTS[name]:
        line = line_of(name, mark)
        assert [item for item in failed if item[:2] == (line, wanted) and text in item[2]], (mark, wanted, text, failed)
    # No fault of the program itself beyond those that it has.
    expected = {(line_of(name, mark), wanted) for mark, wanted, _ in FAULTS[name]}
    assert {item[:2] for item in failed if item[1] >= "PG09" and item[1].startswith("PG")} <= expected
    assert (TUTORIALS / name / "__main__.py").read_bytes() == before


@pytest.mark.parametrize("name", sorted(set(FAULTS) - {"container_scaling"}))
def test_without_recovery_the_first_fault_hides_the_rest(name: str) -> None:
    code, deployment = report(name, "--no-recovery")

    assert code == 2
    assert "repairs" not in deployment
    assert [item for item in deployment["findings"] if item["code"].startswith("PG")] == []
    assert deployment["error"]["source"]["line"] == line_of(name, FAULTS[name][0][0])


def test_a_reader_is_told_of_the_repairs() -> None:
    code, text = check("retraining_queue")

    told = " ".join(text.split())
    assert code == 2
    assert "Program failed" in text
    assert "AttributeError: module 'pulumi_azure_native.servicebus' has no attribute 'ResourceGroup'" in told
    assert "With 3 repairs it made 5 resources; what follows concerns these." in told
    assert "Evaluated after 3 repairs: pulumi_azure_native.resources.ResourceGroup for ResourceGroup" in told


def test_a_preview_shows_the_repaired_program() -> None:
    command = [*COMMAND, "preview", str(TUTORIALS / "decoupled_lambda"), "--format", "json"]
    texts = [
        subprocess.run([*command, *more], capture_output=True, text=True, timeout=120, check=False).stdout
        for more in ([], ["--no-recovery"])
    ]
    repaired, once = (json.loads(text)["deployments"][0] for text in texts)

    assert [item["code"] for item in repaired["problems"]] == ["PG10", "PG13"]
    assert len(repaired["resources"]) == 7
    assert ("problems" in once, len(once["resources"])) == (False, 1)
