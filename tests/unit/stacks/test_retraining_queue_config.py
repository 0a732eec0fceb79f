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

STACK = "retraining_queue"
LoadSettings = Callable[..., Any]

NAME = "text that matches ^[a-z][a-z0-9]*$, 3 to 8 characters"
EMAIL = r"text that matches ^[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$, 1 to 254 characters"
COST_CENTRE = "text that matches ^[A-Za-z0-9-]{2,20}$"
LOCATION = "text that matches ^[a-z][a-z0-9]*$, 5 to 30 characters"
REGISTRY = (
    r"text that matches ^/subscriptions/[0-9a-fA-F-]{36}/resourceGroups/[A-Za-z0-9_().-]{1,90}"
    r"/providers/Microsoft\.ContainerRegistry/registries/[A-Za-z0-9]{5,50}$"
)
IMAGE = "text that matches ^[a-z0-9]+([._/-][a-z0-9]+)*@sha256:[0-9a-f]{64}$, 1 to 255 characters"
QUEUE_SIZES = "one of 1024, 2048, 3072, 4096, 5120, 10240, 20480, 40960, 81920"
UNITS = "one of 1, 2, 4, 8, 16"
YES_NO = "true or false"

SUBSCRIPTION = "/subscriptions/0a1b2c3d-0000-4000-8000-000000000001"
DIGEST = "sha256:" + "0" * 64
DAY = 24 * 60 * 60


def whole(low: int, high: int) -> str:
    return f"a whole number from {low} to {high}"


BAD = [
    Bad("azure-native:location", "West Europe", LOCATION),
    Bad("azure-native:location", None, LOCATION),
    Bad("environment", "Prod", "one of dev, prod"),
    Bad("environment", None, "one of dev, prod"),
    Bad("workload", "ab", NAME),
    Bad("workload", "a" * 9, NAME),
    Bad("workload", "re-train", NAME),
    Bad("workload", None, NAME),
    Bad("owner", "nobody", EMAIL),
    Bad("owner", None, EMAIL),
    Bad("costCentre", "ML 1", COST_CENTRE),
    Bad("costCentre", None, COST_CENTRE),
    Bad("alertEmail", "@example.com", EMAIL),
    Bad("alertEmail", None, EMAIL),
    Bad("zoneRedundant", "maybe", YES_NO),
    Bad("privateNetwork", "2", YES_NO),
    Bad("registryId", "examplemodels.azurecr.io", REGISTRY),
    Bad("registryId", f"{SUBSCRIPTION}/resourceGroups/a/providers/Microsoft.ContainerRegistry/registries/a", REGISTRY),
    Bad("registryId", None, REGISTRY),
    Bad("image", "retraining/worker:latest", IMAGE),
    Bad("image", f"examplemodels.azurecr.io:443/worker@{DIGEST}", IMAGE),
    Bad("image", f"Worker@{DIGEST}", IMAGE),
    Bad("image", "a" * 200 + f"@{DIGEST}", IMAGE),
    Bad("image", None, IMAGE),
    Bad("namespaceSku", "Basic", "one of Standard, Premium"),
    Bad("messagingUnits", "3", UNITS),
    Bad("queueSizeMb", "1000", QUEUE_SIZES),
    Bad("messageTtlDays", "15", whole(1, 14)),
    Bad("duplicateWindowMinutes", "0", whole(1, 7 * 24 * 60)),
    Bad("lockSeconds", "301", whole(30, 300)),
    Bad("lockSeconds", "PT1M", whole(30, 300)),
    Bad("maxDeliveryCount", "2", whole(3, 10)),
    Bad("trainingSeconds", "59", whole(60, 6 * 3600)),
    Bad("messagesPerReplica", "0", whole(1, 20)),
    Bad("replicaTimeoutSeconds", "86401", whole(120, DAY)),
    Bad("replicaRetryLimit", "-1", whole(0, 5)),
    Bad("parallelism", "0", whole(1, 10)),
    Bad("maxExecutions", "0", whole(1, 100)),
    Bad("pollingSeconds", "9", whole(10, 300)),
    Bad("workerMillicores", "300", whole(250, 4000) + " in steps of 250"),
    Bad("ledgerDays", "1", whole(2, 400)),
    Bad("modelDays", "3651", whole(2, 3650)),
    Bad("softDeleteDays", "6", whole(7, 365)),
    Bad("logDays", "731", whole(30, 730)),
    Bad("logDailyGb", "0", whole(1, 100)),
]

CONTRADICTIONS = [
    Contradiction(
        "private endpoints on Standard",
        "dev",
        {"privateNetwork": "true"},
        "namespaceSku is Standard and must be Premium when privateNetwork is true",
    ),
    Contradiction(
        "zones on Standard",
        "prod",
        {"namespaceSku": "Standard", "privateNetwork": "false"},
        "namespaceSku is Standard and must be Premium when zoneRedundant is true",
    ),
    Contradiction(
        "messaging units on Standard",
        "dev",
        {"messagingUnits": "2"},
        "namespaceSku is Standard and must be Premium when messagingUnits is 2",
    ),
    Contradiction(
        "a queue too large for Standard",
        "dev",
        {"queueSizeMb": "10240"},
        "namespaceSku is Standard and must be Premium when queueSizeMb is 10240",
    ),
    Contradiction(
        "zones without a subnet",
        "prod",
        {"privateNetwork": "false"},
        "privateNetwork is false and must be true when zoneRedundant is true",
    ),
    Contradiction(
        "a replica that is ended as it trains",
        "dev",
        {"messagesPerReplica": "2", "trainingSeconds": "600", "replicaTimeoutSeconds": "1259"},
        "replicaTimeoutSeconds is 1259 and must be at least 1260: messagesPerReplica 2 * trainingSeconds 600 + 60",
    ),
    Contradiction(
        "more cores than the quota",
        "dev",
        {"maxExecutions": "26", "parallelism": "2", "workerMillicores": "2000"},
        "maxExecutions 26 * parallelism 2 * workerMillicores 2000 is 104 cores and must be at most 100",
    ),
    Contradiction(
        "a ledger that forgets what can come back",
        "dev",
        {"messageTtlDays": "4"},
        "ledgerDays is 7 and must be at least 8: a request and its resubmission wait up to messageTtlDays 4 each",
    ),
    Contradiction(
        "a ledger of models that are gone",
        "dev",
        {"modelDays": "6"},
        "modelDays is 6 and must be at least 7, as ledgerDays is 7",
    ),
    Contradiction(
        "prod in one zone",
        "prod",
        {"zoneRedundant": "false"},
        "zoneRedundant is false and must be true when environment is prod",
    ),
    Contradiction(
        "prod with short soft delete",
        "prod",
        {"softDeleteDays": "29"},
        "softDeleteDays is 29 and must be at least 30 when environment is prod: damage is often found late",
    ),
    Contradiction(
        "prod with short logs",
        "prod",
        {"logDays": "89"},
        "logDays is 89 and must be at least 90 when environment is prod: an investigation looks back a quarter",
    ),
]

LIMITS = [
    ("dev", {"messagesPerReplica": "2", "trainingSeconds": "600", "replicaTimeoutSeconds": "1260"}),
    ("dev", {"maxExecutions": "25", "parallelism": "2", "workerMillicores": "2000"}),
    ("dev", {"messageTtlDays": "3", "ledgerDays": "6", "modelDays": "6"}),
    ("dev", {"queueSizeMb": "5120"}),
    ("dev", {"namespaceSku": "Premium", "privateNetwork": "true", "messagingUnits": "16", "queueSizeMb": "81920"}),
]

NUMBERS = [key for key, schema in fields(STACK).items() if "minimum" in schema]


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_stack_has_good_settings(load_settings: LoadSettings, environment: str) -> None:
    settings = load_settings(STACK, environment, {})

    assert environment == settings.environment
    assert (environment == "prod") is settings.is_prod
    assert settings.registry_server == "examplemodels.azurecr.io"


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.label[:60])
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


@pytest.mark.parametrize(("environment", "changes"), LIMITS)
def test_the_limit_of_a_rule_is_allowed(load_settings: LoadSettings, environment: str, changes: dict[str, str]) -> None:
    settings = load_settings(STACK, environment, {f"{STACK}:{key}": value for key, value in changes.items()})

    assert environment == settings.environment


def test_readme_names_every_setting() -> None:
    assert set() == undocumented(STACK)
