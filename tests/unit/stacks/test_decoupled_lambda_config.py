from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.stacks.rejections import (
    Bad,
    Contradiction,
    check_bad,
    check_bounds,
    check_contradiction,
    fields,
    undocumented,
)

STACK = "decoupled_lambda"
LoadSettings = Callable[..., Any]

NAME = "text that matches ^[a-z][a-z0-9]*(-[a-z0-9]+)*$, 3 to 20 characters"
EMAIL = r"text that matches ^[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$, 1 to 254 characters"
COST_CENTRE = "text that matches ^[A-Za-z0-9-]{2,20}$"
REGION = "text that matches ^[a-z]{2}(-[a-z]+)+-[0-9]$"
IMAGE = (
    r"text that matches ^[0-9]{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/[a-z0-9][a-z0-9._/-]*"
    "@sha256:[0-9a-f]{64}$, 1 to 255 characters"
)
DATA = r"text that matches ^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[A-Za-z0-9!_.'()/-]+\.tar\.gz$, 1 to 1024 characters"
INSTANCES = (
    "one of ml.m5.large, ml.m5.xlarge, ml.m5.2xlarge, ml.c5.large, ml.c5.xlarge, ml.c5.2xlarge, ml.g4dn.xlarge, "
    "ml.g5.xlarge"
)
ZONES = "a list of 0 to 3 items, each text that matches ^[a-z]{2}(-[a-z]+)+-[0-9][a-z]$"
RETENTIONS = "one of 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 3653"


def whole(low: int, high: int) -> str:
    return f"a whole number from {low} to {high}"


BAD = [
    Bad("aws:region", "Frankfurt", REGION),
    Bad("aws:region", None, REGION),
    Bad("environment", "staging", "one of dev, prod"),
    Bad("environment", None, "one of dev, prod"),
    Bad("workload", "ab", NAME),
    Bad("workload", "a" * 21, NAME),
    Bad("workload", "Inference", NAME),
    Bad("workload", "ends-", NAME),
    Bad("workload", None, NAME),
    Bad("owner", "nobody", EMAIL),
    Bad("owner", None, EMAIL),
    Bad("costCentre", "1", COST_CENTRE),
    Bad("costCentre", None, COST_CENTRE),
    Bad("alarmEmail", "a@b", EMAIL),
    Bad("alarmEmail", None, EMAIL),
    Bad("privateNetwork", "maybe", "true or false"),
    Bad("availabilityZones", '["eu-central-1"]', ZONES),
    Bad("availabilityZones", "eu-central-1a", ZONES),
    Bad("availabilityZones", "[" + ", ".join(f'"eu-central-1{zone}"' for zone in "abcd") + "]", ZONES),
    Bad("modelImage", "123456789012.dkr.ecr.eu-central-1.amazonaws.com/scorer:latest", IMAGE),
    Bad("modelImage", None, IMAGE),
    Bad("modelDataUrl", "https://example.com/model.tar.gz", DATA),
    Bad("modelDataUrl", "s3://models/*.tar.gz", DATA),
    Bad("modelDataUrl", None, DATA),
    Bad("instanceType", "ml.t2.medium", INSTANCES),
    Bad("minInstances", "0", whole(1, 10)),
    Bad("minInstances", "one", whole(1, 10)),
    Bad("maxInstances", "11", whole(1, 10)),
    Bad("maxInstances", "1.5", whole(1, 10)),
    Bad("targetInvocationsPerInstance", "0", whole(1, 10_000)),
    Bad("scaleOutCooldownSeconds", "59", whole(60, 3600)),
    Bad("scaleInCooldownSeconds", "3601", whole(60, 3600)),
    Bad("functionMemoryMb", "127", whole(128, 3008)),
    Bad("functionTimeoutSeconds", "901", whole(10, 900)),
    Bad("reservedConcurrency", "-1", whole(2, 100)),
    Bad("reservedConcurrency", "0", whole(2, 100)),
    Bad("consumerConcurrency", "1", whole(2, 100)),
    Bad("batchSize", "11", whole(1, 10)),
    Bad("batchWindowSeconds", "301", whole(0, 300)),
    Bad("inferenceTimeoutSeconds", "61", whole(1, 60)),
    Bad("maxReceiveCount", "2", whole(3, 10)),
    Bad("maxReceiveCount", "[5]", whole(3, 10)),
    Bad("messageRetentionDays", "14", whole(1, 13)),
    Bad("resultTtlDays", "0", whole(1, 3650)),
    Bad("maxReadUnits", "40001", whole(1, 40_000)),
    Bad("maxWriteUnits", "0", whole(1, 40_000)),
    Bad("recoveryDays", "36", whole(1, 35)),
    Bad("logRetentionDays", "31", RETENTIONS),
    Bad("logRetentionDays", "never", RETENTIONS),
]

US_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/scorer@sha256:" + "0" * 64

CONTRADICTIONS = [
    Contradiction(
        "fewer instances at most than at least",
        "dev",
        {"minInstances": "3", "maxInstances": "2"},
        "minInstances is 3 and must be at most maxInstances, 2",
    ),
    Contradiction(
        "scaling in faster than out",
        "dev",
        {"scaleInCooldownSeconds": "60", "scaleOutCooldownSeconds": "61"},
        "scaleInCooldownSeconds is 60 and must be at least scaleOutCooldownSeconds, 61: "
        "scaling in faster than out flaps",
    ),
    Contradiction(
        "more consumers than runs",
        "dev",
        {"consumerConcurrency": "6", "reservedConcurrency": "5"},
        "consumerConcurrency is 6 and must be at most reservedConcurrency, 5: the queue would be throttled and good "
        "messages become dead letters",
    ),
    Contradiction(
        "a batch that takes longer than the function may",
        "dev",
        {"functionTimeoutSeconds": "59", "batchSize": "5", "inferenceTimeoutSeconds": "10"},
        "functionTimeoutSeconds is 59 and must be at least 60: batchSize 5 times inferenceTimeoutSeconds 10 plus 10",
    ),
    Contradiction(
        "a private network without zones",
        "dev",
        {"privateNetwork": "true"},
        "availabilityZones names 0 zones and must name at least 2 when privateNetwork is true",
    ),
    Contradiction(
        "a private network in one zone",
        "prod",
        {"availabilityZones": '["eu-central-1a"]'},
        "availabilityZones names 1 zones and must name at least 2 when privateNetwork is true",
    ),
    Contradiction(
        "a zone of another region",
        "dev",
        {"availabilityZones": '["eu-central-1a", "eu-west-1a"]'},
        "availabilityZones names eu-west-1a and must name zones of aws:region, eu-central-1",
    ),
    Contradiction(
        "one zone twice",
        "prod",
        {"availabilityZones": '["eu-central-1a", "eu-central-1a"]'},
        "availabilityZones names eu-central-1a 2 times and must name it once",
    ),
    Contradiction(
        "an image of another region",
        "dev",
        {"modelImage": US_IMAGE},
        f"modelImage is {US_IMAGE} and must be in the region of aws:region, eu-central-1",
    ),
    Contradiction(
        "prod on one instance",
        "prod",
        {"minInstances": "1"},
        "minInstances is 1 and must be at least 2 when environment is prod: SageMaker spreads two instances over two "
        "zones",
    ),
    Contradiction(
        "prod with short recovery",
        "prod",
        {"recoveryDays": "34"},
        "recoveryDays is 34 and must be at least 35 when environment is prod: damage is often found late",
    ),
    Contradiction(
        "prod with short logs",
        "prod",
        {"logRetentionDays": "180"},
        "logRetentionDays is 180 and must be at least 365 when environment is prod: an investigation looks back a year",
    ),
]

NUMBERS = [key for key, schema in fields(STACK).items() if "minimum" in schema]


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_stack_has_good_settings(load_settings: LoadSettings, environment: str) -> None:
    settings = load_settings(STACK, environment, {})

    assert environment == settings.environment
    assert (environment == "prod") is settings.is_prod


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.label)
def test_a_bad_setting_is_refused(load_settings: LoadSettings, bad: Bad) -> None:
    check_bad(load_settings, STACK, bad)


def test_every_setting_has_a_bad_case() -> None:
    assert set(fields(STACK)) == {bad.key for bad in BAD}


@pytest.mark.parametrize("key", NUMBERS)
def test_bounds_are_inclusive(load_settings: LoadSettings, key: str) -> None:
    check_bounds(load_settings, STACK, key)


@pytest.mark.parametrize("case", CONTRADICTIONS, ids=lambda case: case.label)
def test_a_contradiction_is_refused(load_settings: LoadSettings, case: Contradiction) -> None:
    check_contradiction(load_settings, STACK, case)


def test_the_queue_hides_a_message_for_six_runs_and_the_batch_window(load_settings: LoadSettings) -> None:
    settings = load_settings(
        STACK,
        "dev",
        {f"{STACK}:functionTimeoutSeconds": "100", f"{STACK}:batchWindowSeconds": "7"},
    )

    assert settings.visibility_timeout_seconds == 607


def test_readme_names_every_setting() -> None:
    assert set() == undocumented(STACK)
