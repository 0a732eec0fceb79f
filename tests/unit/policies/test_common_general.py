from __future__ import annotations

import re
import sysconfig
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ringfence.deployment import UNKNOWN, Secret
from ringfence.policy.evaluate import evaluate
from ringfence.policy.pack import Pack, PackConfig, RuleConfig
from ringfence.policy.rule import Rule, Sample
from ringfence.policy.verdict import Verdict
from ringfence_policies.common import general
from ringfence_policies.common.taggable import TAGGABLE
from tests.unit.policies.cases import Case, build, check, check_examples

PASS, FAIL, OPEN, SKIP = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN, Verdict.NOT_APPLICABLE
ACCOUNT = general.ACCOUNT
VERSIONED = "azure-native:storage/v20220901:StorageAccount"
MOVED = "azure-native:documentdb:DatabaseAccount"
CONTAINER = "azure-native:storage:BlobContainer"
QUEUE = "aws:sqs/queue:Queue"
EUROPE = {"locations": ["westeurope", "North Europe"]}
OWNER = {"tags": ["owner"]}
ENV = {"tags": ["owner", "env=dev|prod"]}


def place(label: str, verdict: Verdict, location: Any, **more: Any) -> Case:
    return Case(label, verdict, {"location": location}, **({"parameters": EUROPE, "type": ACCOUNT} | more))


def regions(label: str, verdict: Verdict, names: Any, **more: Any) -> Case:
    inputs = {"locations": [{"locationName": name} for name in names] if isinstance(names, list) else names}
    return Case(label, verdict, inputs, **({"parameters": EUROPE, "type": general.COSMOS} | more))


def tagged(label: str, verdict: Verdict, tags: Any, **more: Any) -> Case:
    return Case(label, verdict, {"tags": tags}, **({"parameters": OWNER, "type": ACCOUNT} | more))


TABLE: list[tuple[Rule, list[Case]]] = [
    (
        general.allowed_locations,
        [
            place("pass", PASS, "westeurope"),
            place("display name", PASS, "West Europe"),
            place("display name in the parameter", PASS, "northeurope"),
            place("no region", PASS, "global"),
            place("fail", FAIL, "westus", path="location"),
            place("not configured", SKIP, "westus", parameters={}),
            Case("absent", SKIP, {}, parameters=EUROPE, type=ACCOUNT),
            Case("absent of a group", OPEN, {}, parameters=EUROPE, type=general.GROUP, path="location"),
            place("group", FAIL, "westus", type=general.GROUP),
            place("unknown", OPEN, UNKNOWN, path="location"),
            place("secret", FAIL, Secret("westus"), path="location"),
            place("wrong type", FAIL, 7),
            place("list", FAIL, ["westeurope"]),
            place("another cloud", SKIP, "westus", type="aws:location/map:Map"),
            regions("regions, pass", PASS, ["West Europe", "northeurope"]),
            regions("regions, one bad element", FAIL, ["westeurope", "East US"], path="locations[1].locationName"),
            regions("regions, absent", SKIP, None),
            regions("regions, one unknown element", OPEN, ["westeurope", UNKNOWN]),
            regions("regions, unknown", OPEN, UNKNOWN),
            regions("regions, wrong type", FAIL, "westeurope", path="locations"),
            regions("regions, moved", FAIL, ["eastus"], type=MOVED),
            regions("regions of another type", SKIP, ["eastus"], type=ACCOUNT),
            place("versioned", FAIL, "westus", type=VERSIONED),
        ],
    ),
    (
        general.required_tags,
        [
            tagged("pass", PASS, {"owner": "team-a"}),
            tagged("fail", FAIL, {"env": "dev"}, path="tags.owner"),
            tagged("empty value", FAIL, {"owner": " "}, path="tags.owner"),
            tagged("not configured", SKIP, {}, parameters={}),
            tagged("configured with nothing", SKIP, {}, parameters={"tags": ["", " =x"]}),
            Case("absent", FAIL, {}, parameters=OWNER, type=ACCOUNT, path="tags.owner"),
            tagged("null tag", FAIL, {"owner": None}),
            tagged("other case on Azure", PASS, {"Owner": "team-a"}),
            tagged("other case on AWS", FAIL, {"Owner": "team-a"}, type=QUEUE),
            tagged("value, pass", PASS, {"owner": "a", "env": "dev"}, parameters=ENV),
            tagged("one bad among good", FAIL, {"owner": "a", "env": "play"}, parameters=ENV, path="tags.env"),
            tagged("unknown", OPEN, UNKNOWN, path="tags"),
            tagged("unknown value of any", PASS, {"owner": UNKNOWN}),
            tagged("unknown value of some", OPEN, {"owner": "a", "env": UNKNOWN}, parameters=ENV, path="tags.env"),
            tagged("secret", PASS, Secret({"owner": "a"})),
            tagged("wrong type", FAIL, "owner", path="tags"),
            tagged("list", FAIL, ["owner"], path="tags"),
            tagged("wrong type of a value", FAIL, {"owner": ["a"]}),
            Case("child without tags", SKIP, {}, parameters=OWNER, type=CONTAINER),
            tagged("unknown type with tags", FAIL, {"env": "dev"}, type="azure-native:new:Thing"),
            tagged("unknown type with unknown tags", OPEN, UNKNOWN, type="azure-native:new:Thing"),
            tagged("tags that are none", SKIP, ["hold1"], type="azure-native:storage:BlobContainerLegalHold"),
            tagged("AWS, pass", PASS, {"owner": "a"}, type=QUEUE),
            Case("AWS, absent", FAIL, {}, parameters=OWNER, type=QUEUE),
            tagged("AWS, list of pairs", PASS, [{"key": "owner", "value": "a"}], type=QUEUE),
            tagged("AWS, list without it", FAIL, [{"key": "env", "value": "a"}], type=QUEUE),
            tagged("AWS, list with an unknown key", OPEN, [{"key": UNKNOWN, "value": "a"}], type=QUEUE),
            Case("AWS, child without tags", SKIP, {}, parameters=OWNER, type="aws:sqs/queuePolicy:QueuePolicy"),
            tagged("another cloud", SKIP, {}, type="gcp:storage/bucket:Bucket"),
            tagged("versioned", FAIL, {}, type=VERSIONED),
        ],
    ),
]
CASES = [pytest.param(rule, case, id=f"{rule.code}-{case.label}") for rule, cases in TABLE for case in cases]
EXAMPLES = {"GE01": EUROPE, "GE02": OWNER}


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_verdict(rule: Rule, case: Case) -> None:
    check(rule, case)


@pytest.mark.parametrize("rule", general.RULES, ids=lambda rule: rule.code)
def test_examples(rule: Rule) -> None:
    check_examples(rule, EXAMPLES[rule.code])


def test_every_rule_has_a_table() -> None:
    assert [rule.code for rule in general.RULES] == [rule.code for rule, _ in TABLE]


def with_provider(rule: Rule, sample: Sample, provider: Sample, parameters: dict[str, Any]) -> Verdict:
    """Return the verdict on a resource that an explicit provider makes."""
    subject, made_by = build([sample, provider])
    pack = Pack("test", "1.0.0", (rule,)).activate(PackConfig(rules={rule.code: RuleConfig(parameters=parameters)}))
    (finding,) = evaluate([replace(subject, provider=made_by.urn), made_by], pack)
    return finding.verdict


@pytest.mark.parametrize(
    ("defaults", "verdict"),
    [
        ({"tags": {"owner": "a"}}, PASS),
        ('{"tags": {"owner": "a"}}', PASS),  # SDKs send nested provider settings as JSON
        ({"tags": {"env": "dev"}}, FAIL),
        ({"tags": UNKNOWN}, OPEN),
        (UNKNOWN, OPEN),
        ("no JSON", FAIL),
        (None, FAIL),
    ],
)
def test_default_tags_of_the_provider_count(defaults: Any, verdict: Verdict) -> None:
    provider = Sample("pulumi:providers:aws", {"defaultTags": defaults}, name="provider")

    assert with_provider(general.required_tags, Sample(QUEUE, {}), provider, OWNER) == verdict


@pytest.mark.parametrize(
    ("location", "verdict"), [("West Europe", PASS), ("westus", FAIL), (UNKNOWN, OPEN), (None, OPEN)]
)
def test_a_group_without_location_takes_the_providers(location: Any, verdict: Verdict) -> None:
    provider = Sample("pulumi:providers:azure-native", {"location": location}, name="provider")

    assert with_provider(general.allowed_locations, Sample(general.GROUP, {}), provider, EUROPE) == verdict


def _sdk_file(token: str) -> Path:
    """Return the SDK's source file of a type: reading it is much faster than importing the SDK."""
    package, module, name = token.split(":")
    folder = {"azure-native": "pulumi_azure_native", "aws": "pulumi_aws"}[package]
    module = module.partition("/")[0]
    file = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    return Path(sysconfig.get_path("purelib"), folder, {"lambda": "lambda_"}.get(module, module), f"{file}.py")


@pytest.mark.parametrize("token", sorted(TAGGABLE))
def test_the_sdk_agrees_that_a_type_takes_tags(token: str) -> None:
    source = _sdk_file(token).read_text(encoding="utf-8")
    arguments = re.search(rf"class {token.rpartition(':')[2]}(?:Init)?Args:(.*?)\nclass ", source, re.DOTALL)

    assert arguments is not None
    assert "def tags(self)" in arguments.group(1)
    assert f"'{token}'" in source
