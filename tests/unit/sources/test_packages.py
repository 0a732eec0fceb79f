"""Which provider packages a project may use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ringfence.sources import packages
from ringfence.sources.packages import Package, find_packages

FILES = {
    "python requirements": (
        "requirements.txt",
        "pulumi>=3,<4\npulumi-aws==7.1.0 # queues\npulumi_gcp[extra]>=8.2,<9 ; python_version > '3'\n-r other.txt\n"
        "pulumi-random\nnot-pulumi-thing==1\npulumi-policy\n",
        {"aws": "7.1.0", "gcp": "8.2", "random": ""},
    ),
    "pyproject": (
        "pyproject.toml",
        '[project]\nname = "x"\ndependencies = ["pulumi-aws>=7.1"]\noptional-dependencies.a = ["pulumi-eks"]\n'
        '[dependency-groups]\nb = ["pulumi-tls", {include-group = "c"}]\n'
        '[tool.poetry.dependencies]\npulumi-gcp = "1"\n',
        {"aws": "7.1", "eks": "", "tls": "", "gcp": ""},
    ),
    "package.json": (
        "package.json",
        '{"dependencies": {"@pulumi/pulumi": "^3", "@pulumi/azure-native": "^3.1.0", "@scope/pulumi-thing": "*"},'
        ' "devDependencies": {"@pulumi/aws": "7.0.1", "typescript": "5"}}',
        {"azure-native": "3.1.0", "thing": "", "aws": "7.0.1"},
    ),
    "go.mod": (
        "go.mod",
        "module shop\nrequire (\n\tgithub.com/pulumi/pulumi-aws/sdk/v7 v7.1.0\n"
        "\tgithub.com/pulumi/pulumi-azure-native-sdk/storage/v3 v3.2.0\n"
        "\tgithub.com/pulumi/pulumi/sdk/v3 v3.200.0\n)\n",
        {"aws": "7.1.0", "azure-native": "3.2.0"},
    ),
    "csproj": (
        "Shop.csproj",
        '<PackageReference Include="Pulumi" Version="3.1.0" />\n'
        '<PackageReference Include="Pulumi.AzureNative" Version="3.2.0" /><PackageReference Include="Pulumi.Aws" />',
        {"azure-native": "3.2.0", "aws": ""},
    ),
    "pom.xml": (
        "pom.xml",
        "<dependency><groupId>com.pulumi</groupId>\n<artifactId>aws</artifactId>\n<version>(7.0.0,8)</version></dependency>",
        {"aws": "7.0.0"},
    ),
    "gradle": ("build.gradle.kts", 'implementation("com.pulumi:gcp:8.0.0")\n', {"gcp": "8.0.0"}),
    "Pulumi.yaml": (
        "Pulumi.yaml",
        "name: shop\nruntime: yaml\npackages:\n  random: terraform-provider hashicorp/random\nplugins:\n  providers:\n"
        "    - name: local\n      path: ../bin\nresources:\n  jobs:\n    type: aws:sqs:Queue\nvariables:\n  me:\n"
        "    fn::invoke:\n      function: gcp:projects:getProject\n",
        {"random": "", "local": "", "aws": "", "gcp": ""},
    ),
}


@pytest.fixture(autouse=True)
def _nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages.sys, "path", [])


@pytest.mark.parametrize(("name", "text", "expected"), FILES.values(), ids=FILES.keys())
def test_requirements_of_every_language(tmp_path: Path, name: str, text: str, expected: dict[str, str]) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")

    assert {item.name: item.version for item in find_packages([tmp_path])} == expected


def write_sdk(folder: Path, module: str, **data: object) -> None:
    (folder / module).mkdir(parents=True)
    (folder / module / "pulumi-plugin.json").write_text(json.dumps({"resource": True, **data}), encoding="utf-8")


def test_installed_sdks_have_a_root_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sdk(tmp_path / "ours", "pulumi_aws", name="aws", version="7.51.1")
    write_sdk(tmp_path / "ours", "acme_things", name="things")
    write_sdk(tmp_path / "ours", "pulumi_policy", name="policy", resource=False)
    (tmp_path / "requirements.txt").write_text("pulumi-aws==7.60.0\n", encoding="utf-8")
    monkeypatch.setattr(packages.sys, "path", [str(tmp_path / "ours")])

    assert find_packages([tmp_path]) == [Package("aws", "7.60.0", "pulumi_aws"), Package("things", "", "acme_things")]


def test_sdks_of_the_project(tmp_path: Path) -> None:
    parameter = {"name": "random", "version": "3.6.0", "value": "e30="}
    write_sdk(tmp_path / "venv/lib/python3.12/site-packages", "pulumi_gcp", name="gcp", version="8.0.0")
    write_sdk(
        tmp_path / "sdks/random", "pulumi_random", name="terraform-provider", version="1.0", parameterization=parameter
    )
    (tmp_path / "node_modules/@pulumi/tls").mkdir(parents=True)
    text = '{"version": "5.0.0", "pulumi": {"resource": true}}'
    (tmp_path / "node_modules/@pulumi/tls/package.json").write_text(text, encoding="utf-8")

    assert [(item.name, item.version) for item in find_packages([tmp_path])] == [
        ("gcp", "8.0.0"),
        ("random", "3.6.0"),
        ("terraform-provider", "1.0"),
        ("tls", "5.0.0"),
    ]


@pytest.mark.parametrize("name", ["package.json", "pyproject.toml", "node_modules/a/package.json"])
def test_broken_files_are_passed_over(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b"\xff{")
    (tmp_path / "requirements.txt").write_text("pulumi-aws\n", encoding="utf-8")

    assert [item.name for item in find_packages([tmp_path])] == ["aws"]
